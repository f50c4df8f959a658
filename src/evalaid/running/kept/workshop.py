"""The folder that a report is made in: beside the report, locked while its run lives, put in place in one step.

A run that was killed leaves its folder behind, unlocked: the next run removes it, or puts back the report that it had moved.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import shutil
import stat
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from evalaid.base.errors import StudyError
from evalaid.running.kept.freshness import LOCK

FAILED = ".failed"
_PREFIX, _OLD = ".", "previous"
_READABLE = 0o755  # temporary folders are private; a report is meant to be read
_AT_FDCWD, _RENAME_EXCHANGE = -100, 2


def check_writable(target: Path) -> None:
    """Raise before anything starts if a report cannot be written to this folder."""
    advice = "Make it writable or move it away, then run again; nothing was started."
    for folder in (target.parent, target):
        if folder.is_symlink() and not folder.exists():
            raise StudyError(f"The report cannot be written: '{folder.name}' is a link to nothing. {advice}")
        if folder.exists() and not folder.is_dir():
            raise StudyError(f"The report cannot be written: '{folder.name}' is a file, not a folder. {advice}")
        # The mode is read, too: an administrator may write anywhere, but a folder marked read-only is meant to stay.
        if folder.is_dir() and not (os.access(folder, os.W_OK) and folder.stat().st_mode & stat.S_IWUSR):
            raise StudyError(f"The report cannot be written: the folder '{folder.name}' is read-only. {advice}")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StudyError(f"The report cannot be written: {error.strerror} ('{target.parent.name}'). {advice}") from None


class Workshop:
    """A run's own folder beside the report that it makes."""

    def __init__(self, target: Path) -> None:
        """Make the folder and lock it.

        Raises
        ------
        StudyError
            If there is no place for it.
        """
        check_writable(target)
        self.target = target = target.resolve()  # a link stays one
        try:
            with _only_one(target.parent):
                sweep(target.parent)
                self.folder = Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{target.name}-", dir=target.parent))
                self._lock = (self.folder / LOCK).open("a+b")
                _grab(self._lock)
        except OSError as error:
            raise StudyError(f"The report cannot be written: {error.strerror}. Make room, then run again.") from None

    def put_in_place(self) -> None:
        """Put the finished report in the place of the previous one."""
        with _only_one(self.target.parent):
            self._put_in_place()

    def _put_in_place(self) -> None:
        self._lock.close()  # a folder with an open file has no other name on Windows
        self.folder.chmod(_READABLE)
        if self.target.exists():
            (
                self.target / LOCK
            ).touch()  # by which the next run knows what is left of this one, should it be killed now
        if not self.target.exists():
            self.folder.rename(self.target)
        elif _exchange(self.folder, self.target):
            _remove(self.folder)
        else:
            aside = Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{self.target.name}-", dir=self.target.parent))
            self.target.rename(aside / _OLD)
            try:
                self.folder.rename(self.target)
            except BaseException:  # an interrupt in between, too, must not lose the previous report
                if not self.target.exists():
                    (aside / _OLD).rename(self.target)
                raise
            shutil.rmtree(aside, ignore_errors=True)
        (self.target / LOCK).unlink(missing_ok=True)

    def keep_partial(self) -> str:
        """Move what an unfinished run left to ``<study>.failed`` and return what is there."""
        self.release()
        partial = sorted(path.name for path in self.folder.glob("*.ipynb")) if self.folder.is_dir() else []
        if not partial:
            shutil.rmtree(self.folder, ignore_errors=True)
            return "Nothing was kept of the run."
        kept = self.target.with_name(f"{self.target.name}{FAILED}")
        shutil.rmtree(kept, ignore_errors=True)
        try:
            self.folder.chmod(_READABLE)
            self.folder.rename(kept)
        except OSError as error:
            return f"What the run left could not be kept ({error.strerror})."
        return f"Kept: {', '.join(partial)} in {kept.parent.name}/{kept.name}."

    def release(self) -> None:
        """Release the lock; the file goes with it."""
        self._lock.close()
        (self.folder / LOCK).unlink(missing_ok=True)


def sweep(reports: Path) -> None:
    """Remove the folders of runs that were killed, and put back a report that one of them had moved and not replaced."""
    for folder in reports.glob(f"{_PREFIX}*-*"):
        old = folder / _OLD
        target = reports / folder.name.removeprefix(_PREFIX).rpartition("-")[0]
        moved = old.is_dir()
        if moved and not target.exists():
            old.rename(target)
        if moved or ((folder / LOCK).is_file() and _is_free(folder / LOCK)):  # without a lock it is no folder of a run
            _remove(folder)


def _remove(folder: Path) -> None:
    """Remove a folder of a run, its lock last: should this process be killed, the next run goes on with it."""
    with contextlib.suppress(OSError):
        for path in sorted(folder.rglob("*"), reverse=True):
            if path.name != LOCK:
                (path.rmdir if path.is_dir() and not path.is_symlink() else path.unlink)()
    shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def _only_one(folder: Path) -> Iterator[None]:
    """Let one process at a time sweep a folder and make one of its own in it."""
    if sys.platform == "win32":  # no folder can be locked there; one that is in use cannot be removed either
        yield
        return
    import fcntl

    number = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(number, fcntl.LOCK_EX)
        yield
    finally:
        os.close(number)


def _is_free(lock: Path) -> bool:
    try:
        with lock.open("a+b") as handle:
            return _grab(handle)
    except OSError:
        return False


def _grab(handle: object) -> bool:
    """Take the system's lock on an open file; it is released when the process ends, however it ends."""
    if sys.platform == "win32":
        import msvcrt

        try:
            msvcrt.locking(handle.fileno(), msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined]
        except OSError:
            return False
        return True
    import fcntl

    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)  # type: ignore[arg-type]
    except OSError as error:
        return error.errno not in (errno.EWOULDBLOCK, errno.EACCES)
    return True


def _exchange(one: Path, two: Path) -> bool:
    """Let two folders change places in one step, where the system can."""
    if not sys.platform.startswith("linux"):
        return False
    rename = getattr(ctypes.CDLL(None), "renameat2", None)
    return rename is not None and not rename(_AT_FDCWD, os.fsencode(one), _AT_FDCWD, os.fsencode(two), _RENAME_EXCHANGE)
