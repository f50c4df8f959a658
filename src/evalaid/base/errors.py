"""The errors of the package: one root, one child for each stage of a study.

Every message says what was found, where, what was expected and what to do. Errors about a table carry the failing rows
as a frame (``rows``), so that a notebook can show them and a test can compare them.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from evalaid.base.texts import one_line

if TYPE_CHECKING:
    import pandas as pd


DAMAGED = (ValueError, TypeError, KeyError, AttributeError, IndexError, RecursionError)
"""What reading a file of JSON raises that somebody damaged."""


class EvalaidError(Exception):
    """Root of every error that the package raises on purpose.

    Parameters
    ----------
    message : str
        What was found, where, what was expected, what to do.
    rows : pandas.DataFrame, optional
        The failing rows, with the columns that explain the fault.
    """

    def __init__(self, message: str, rows: pd.DataFrame | None = None) -> None:
        super().__init__(message)
        self.rows = rows


def refused_by_system(error: OSError) -> str:
    """Return in words what the system refused, and for which file."""
    where = f" ('{Path(str(error.filename)).name[:80]}')" if error.filename else ""
    return f"{error.strerror or error}{where}"


class ReadingError(EvalaidError):
    """A file that cannot be read as what it was said to be; ``rows`` lists file, sheet, cell, value, fault, expected."""


class PanelError(EvalaidError):
    """A panel that cannot be used; lists all faults of the table at once."""


class RosterError(EvalaidError):
    """A roster of partnerships that cannot be turned into cohorts."""


class DesignError(EvalaidError):
    """A question that the design cannot take (for example an unknown period)."""


class EstimationError(EvalaidError):
    """An estimate that was asked for with options that do not exist or do not fit."""


class NotIdentifiedError(EstimationError):
    """A method whose needs the design does not meet.

    ``reasons`` lists every unmet need; ``alternatives`` names the methods that do apply to this design.
    """

    def __init__(self, message: str, reasons: tuple[str, ...], alternatives: tuple[str, ...]) -> None:
        super().__init__(message)
        self.reasons = reasons
        self.alternatives = alternatives


class InferenceError(EvalaidError):
    """A standard error or interval that cannot be computed from these effects."""


class StudyError(EvalaidError):
    """A study specification that is unknown, malformed or asks for what does not exist."""


class SimulationError(EvalaidError):
    """A simulated panel that cannot be made: parameters that do not exist, or that the published figures rule out."""


class NotebookError(EvalaidError):
    """A notebook cell that failed or ran out of time."""


class ManifestError(EvalaidError):
    """Reported numbers that are missing, malformed or do not belong to this run."""


class FactsError(EvalaidError):
    """Published figures that are malformed, unknown, or not comparable with each other.

    ``reasons`` lists why two figures are not like for like; empty when the fault is another one.
    """

    def __init__(self, message: str, rows: pd.DataFrame | None = None, reasons: tuple[str, ...] = ()) -> None:
        super().__init__(message, rows)
        self.reasons = reasons


def reason_of(error: EvalaidError) -> str:
    """Return in one line why there is no result: every unmet need of a method, else the message."""
    return "; ".join(map(one_line, error.reasons if isinstance(error, NotIdentifiedError) else (error,)))
