"""Parts of a computation that need nothing of one another: done here one after the other, or by the workers of a Dask cluster.

What is drawn at random is drawn before the parts are shared out, so the results do not depend on who does them.
"""

from __future__ import annotations

import ctypes
import os
import re
import sys
import threading
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

Part = TypeVar("Part")
Result = TypeVar("Result")

SCHEDULER = "EVALAID_SCHEDULER"  # the address of the cluster's scheduler; without it all is done here
_BUNDLES = 3  # for every thread of a worker: one that is late holds up the others by so much less
_RETRIES = 3
_AT_WORK = threading.local()


def do_parts(work: Callable[[Part], Result], parts: Iterable[Part]) -> Iterator[Result]:
    """Yield the result of every part, in their order; the first that raises, raises here.

    On a cluster ``work`` and the parts are sent to its workers; the parts of one that dies are done by another.

    Examples
    --------
    >>> list(do_parts(abs, [-1, 2]))
    [1, 2]
    """
    if not are_shared_out():
        yield from map(work, parts)
        return
    client, listed = _client(os.environ[SCHEDULER], os.getpid()), list(parts)
    size = max(1, -(-len(listed) // (_BUNDLES * max(1, sum(client.nthreads().values())))))
    bundles = [listed[start : start + size] for start in range(0, len(listed), size)]
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Sending large graph")  # or it would be an output of the notebook
        futures = client.map(_do_bundle, [work] * len(bundles), bundles, pure=False, retries=_RETRIES)
    try:
        for future in futures:
            yield from future.result()
    finally:
        client.cancel(futures)


def are_shared_out() -> bool:
    """Return whether parts go to a cluster: its address is known, and this is not one of its workers at such a part."""
    return bool(os.environ.get(SCHEDULER)) and not getattr(_AT_WORK, "on", False)


def use_one_blas_thread() -> None:
    """Let linear algebra that is loaded already run on one thread: two change the last digits of some factorisations."""
    if not sys.platform.startswith("linux"):
        return
    maps = Path("/proc/self/maps").read_text(encoding="utf-8", errors="replace")
    for library in sorted(set(re.findall(r"/.*openblas.*\.so\S*", maps))):
        loaded = ctypes.CDLL(library)
        for name in ("scipy_openblas_set_num_threads64_", "scipy_openblas_set_num_threads", "openblas_set_num_threads"):
            if hasattr(loaded, name):
                getattr(loaded, name)(1)
                break


@cache
def _client(address: str, _process: int) -> Any:
    """Return the connection of a process to the scheduler."""
    from distributed import Client

    return Client(address, set_as_default=False)


def _do_bundle(work: Callable[[Part], Result], parts: Sequence[Part]) -> list[Result]:
    use_one_blas_thread()
    _AT_WORK.on = True
    try:
        return [work(part) for part in parts]
    finally:
        _AT_WORK.on = False
