"""The numbers of the notebooks before one in the same run: of those that still run, too, which are waited for.

The notebooks of a study run side by side. One that asks for a number of an earlier notebook gets it as soon as that has recorded it;
that there is none is known when all earlier ones have ended. So the answer does not depend on who was faster.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

from evalaid.study.manifest import EarlierNumbersError, read_parts
from evalaid.study.reports import OWN_FOLDER, PARTS

EXPECTED = "expected"  # beside a notebook's numbers: the notebooks before it, in their order
WAITS = "waits"  # there while it waits for one of them
LONGEST_WAIT = 60.0  # seconds; after that it gives up its place, and runs again when the others have ended
_BETWEEN_LOOKS = 0.05


class EarlierNumbers:
    """The numbers of the notebooks before one, as far as they are known (``numbers``); `wait_for` adds to them."""

    def __init__(self, folder: Path, notebook: str) -> None:
        """Read what there is for the notebook that writes to a folder."""
        parts = folder / PARTS
        self._run, self._waits = folder.parent, parts / WAITS
        self._left: list[str] = []
        if (parts / EXPECTED).is_file():
            self._left = json.loads((parts / EXPECTED).read_text(encoding="utf-8"))
        self._seen: dict[Path, int] = {}
        self.numbers = read_parts(sorted(path for path in parts.glob("*.json") if path.stem < notebook))
        self._look()

    def wait_for(self, key: str) -> None:
        """Return when a number of that name is among ``numbers``, or will never be.

        Raises
        ------
        EarlierNumbersError
            If neither is known after a minute.
        """
        end = time.monotonic() + LONGEST_WAIT
        try:
            while key not in self.numbers and self._left:
                self._look()
                if key in self.numbers or not self._left:
                    return
                if time.monotonic() > end:
                    raise EarlierNumbersError(f"'{key}' may be a number of {self._left[0]}, which has not ended yet.")
                self._waits.touch()
                time.sleep(_BETWEEN_LOOKS)
        finally:
            self._waits.unlink(missing_ok=True)

    def _look(self) -> None:
        """Read what earlier notebooks have recorded since the last look."""
        for name in list(self._left):
            ended = self._run / PARTS / f"{name}.json"
            if ended.is_file():
                self.numbers.update(read_parts([ended]))
                self._left.remove(name)
                continue
            part = self._run / f"{OWN_FOLDER}{name}" / PARTS / f"{name}.json"
            try:
                changed = part.stat().st_mtime_ns
                if self._seen.get(part) != changed:
                    self.numbers.update(read_parts([part]))
                    self._seen[part] = changed
            except FileNotFoundError:  # not begun yet, or ended since the look above
                continue


def expect_earlier(folder: Path, names: Sequence[str]) -> None:
    """Write for a notebook, in the folder that it is going to write to, which ones are before it."""
    (folder / PARTS).mkdir(parents=True, exist_ok=True)
    (folder / PARTS / EXPECTED).write_text(json.dumps(list(names)), encoding="utf-8")


def is_waiting(folder: Path) -> bool:
    """Return whether the notebook that writes to a folder waits for a number of an earlier one."""
    return (folder / PARTS / WAITS).exists()


def have_ended(run: Path, names: Iterable[str]) -> bool:
    """Return whether the numbers of all these notebooks of a run are known."""
    return all((run / PARTS / f"{name}.json").is_file() for name in names)


def same_as_used(run: Path, names: Iterable[str], used: Path) -> bool:
    """Return whether the earlier numbers that a notebook used, or asked for in vain, are still those of these notebooks."""
    if not used.is_file():
        return True
    now = read_parts([run / PARTS / f"{name}.json" for name in names])
    stored = json.loads(used.read_text(encoding="utf-8"))
    return all((vars(now[key]) if key in now else None) == value for key, value in stored.items())
