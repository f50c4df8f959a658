"""Run tasks that need one another on a number of threads: the heaviest that is ready goes first.

A thread waits for a process that does the work, so threads cost nothing. A task whose work raises stops its group, and no
other; an interruption stops all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field

_SECONDS_BETWEEN_LOOKS = 0.1  # a task that waits for another makes room for a third after so long
_ROOM = 8  # threads for every job: tasks that wait keep theirs


@dataclass(eq=False)
class Task:
    """Some work of a group, after the tasks that it needs have ended and those that it follows have begun; the heavier goes first.

    While ``waits`` returns true the work stands still, for one that it follows, and another task may run instead. ``work`` may return further tasks of the group: they come before those that need this one.
    """

    group: str
    work: Callable[[], Iterable[Task] | None]
    needs: list[Task] = field(default_factory=list)
    weight: float = 0.0
    follows: list[Task] = field(default_factory=list)
    waits: Callable[[], bool] = bool


def run_tasks(tasks: Sequence[Task], jobs: int, stop: Callable[[str | None], None]) -> dict[str, BaseException]:
    """Run tasks, ``jobs`` at a time, and return the first error of every group that has one.

    ``stop`` is called with the group that has an error, or with None to end all, and lets the tasks that run end early.

    Raises
    ------
    KeyboardInterrupt
        When interrupted, after the tasks that ran have ended.
    """
    waiting, running = list(tasks), dict[Future[Iterable[Task] | None], Task]()
    errors: dict[str, BaseException] = {}
    followed: dict[Task, list[Task]] = {}  # what has ended, and the further tasks that it asked for

    def is_over(task: Task) -> bool:
        return task in followed and all(map(is_over, followed[task]))

    begun: set[Task] = set()
    with ThreadPoolExecutor(max_workers=jobs * _ROOM) as pool:
        try:
            while waiting or running:
                free = min(jobs - sum(not task.waits() for task in running.values()), jobs * _ROOM - len(running))
                for task in sorted(waiting, key=lambda task: -task.weight):
                    if free > 0 and all(map(is_over, task.needs)) and begun.issuperset(task.follows):
                        waiting.remove(task)
                        begun.add(task)
                        running[pool.submit(task.work)] = task
                        free -= 1
                for future in wait(running, timeout=_SECONDS_BETWEEN_LOOKS, return_when=FIRST_COMPLETED).done:
                    task, error = running.pop(future), future.exception()
                    if error is None:
                        followed[task] = list(future.result() or ())
                        waiting += followed[task]
                    elif task.group not in errors:
                        errors[task.group] = error
                        stop(task.group)
                waiting = [task for task in waiting if task.group not in errors]
        except KeyboardInterrupt:
            stop(None)
            raise
    return errors
