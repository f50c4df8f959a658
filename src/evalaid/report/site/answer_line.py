"""The answer of a report as one line for a terminal; read from the file beside the page, so that nothing heavy is imported."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from evalaid.base.errors import DAMAGED
from evalaid.report.wording.language import load_catalogue

ANSWER_FILE = "answer.json"


def tell_answer(folder: Path) -> str:
    """Return the kind of data where it is not real, the verdict, the number and its interval; "" where there is no answer.

    Parameters
    ----------
    folder : Path
        A report's folder.
    """
    path = folder / ANSWER_FILE
    try:
        return _tell(json.loads(path.read_text(encoding="utf-8"))) if path.is_file() else ""
    except DAMAGED:  # the next run of its study makes it again
        return ""


def _tell(answer: dict[str, Any]) -> str:
    words = load_catalogue()

    def write(value: float) -> str:
        text = f"{value:+.2f}".replace("-", "\N{MINUS SIGN}")
        if words.has(f"unit.{answer['unit']}"):
            return words(f"unit.{answer['unit']}", value=text)
        return text if answer["unit"] == "number" else f"{text} {answer['unit']}"

    said = words(f"verdict.{answer['verdict']}").lower()
    if answer["estimate"] is not None:
        said += f", {write(answer['estimate'])}"
    if answer["ends"] is not None:
        said += f" ({answer['level']:.0%} interval {write(answer['ends'][0])} to {write(answer['ends'][1])})"
    return f"simulated data, {said}" if answer["simulated"] else said
