"""A bar in the cell of a notebook that a person runs by hand, for work that takes long; nothing of it stays in the output.

A run writes no bar: its notebooks hold results, and the terminal shows how far they are.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from html import escape
from typing import Any

from evalaid.study.reports import RUN_FOLDER

SESSIONS = ("JPY_SESSION_NAME", "VSCODE_PID")
EVERY = 0.2  # seconds between two looks


def watch(what: str) -> Callable[[int, int], None] | None:
    """Return a function that is called with what is done and what there is to do; None where nobody looks at a cell.

    A server of notebooks and an editor name the session to the kernels that they start; Papermill and nbclient do not.
    """
    if os.environ.get(RUN_FOLDER) or not any(os.environ.get(name) for name in SESSIONS):
        return None
    from IPython.display import HTML, display

    said = 0.0
    handle: Any = None

    def tell(done: int, total: int) -> None:
        nonlocal said, handle
        if done < total and time.monotonic() - said < EVERY:
            return
        said = time.monotonic()
        text = f"{what}: {done:,} of {total:,}"
        bar = HTML(f'<label>{escape(text)} <progress value="{done}" max="{max(total, 1)}"></progress></label>')
        if done >= total and handle is not None:
            handle.update(HTML(""))
            handle = None
        elif handle is None and done < total:
            handle = display(bar, display_id=True)
        elif handle is not None:
            handle.update(bar)

    return tell
