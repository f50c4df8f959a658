"""What was decided about the files of a study while they were read: its panel and its roster."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pandas as pd

from evalaid.errors import ReadingError
from evalaid.reading.decisions import DECISION_COLUMNS, LEFT_OUT_COLUMNS
from evalaid.reading.snapshot import FAULT_COLUMNS
from evalaid.reading.tables import LayoutError
from evalaid.sample import read_panel_file, read_partnerships_file
from evalaid.study import StudySpec

_GIVEN = "the layout says so"


@dataclass(frozen=True)
class FileDecisions:
    """What was decided, left out and noted while the files of a study were read; no rows for files that are read as they stand.

    Parameters
    ----------
    decisions : pandas.DataFrame
        ``file``, ``sheet``, ``cell``, ``what``, ``decided``, ``because``.
    left_out : pandas.DataFrame
        ``file``, ``sheet``, ``row``, ``cell``, ``value``, ``reason``.
    faults : pandas.DataFrame
        ``file``, ``sheet``, ``row``, ``cell``, ``value``, ``fault``, ``expected``: what to look at.
    """

    decisions: pd.DataFrame
    left_out: pd.DataFrame
    faults: pd.DataFrame


def gather_decisions(spec: StudySpec) -> FileDecisions:
    """List everything that was decided about the panel and the roster of a study.

    Assumes that a layout which was written down as it was detected has the evidence of its detection: the file is read once
    more without it, and a decision that comes out the same keeps that reason.

    Returns
    -------
    FileDecisions

    Examples
    --------
    >>> gather_decisions(StudySpec(study="korea_responsible_hospitals")).decisions.empty
    True
    """
    readings: list[tuple[Any, Any]] = []
    named = (
        (spec.panel, spec.layout, read_panel_file),
        (spec.roster, spec.roster_layout, read_partnerships_file),
    )
    for file, layout, read in named:
        if file is not None and layout is not None:
            readings.append((read(file, layout), _detect_again(read, file)))
    decisions = [_with_evidence(used.decisions, again) for used, again in readings]
    return FileDecisions(
        _join(decisions, DECISION_COLUMNS),
        _join([used.left_out for used, _ in readings], LEFT_OUT_COLUMNS),
        _join([used.faults for used, _ in readings], FAULT_COLUMNS),
    )


def _join(frames: list[pd.DataFrame], columns: list[str]) -> pd.DataFrame:
    return pd.concat(frames, ignore_index=True)[columns] if frames else pd.DataFrame(columns=columns)


def _detect_again(read: Callable[[str, None], Any], file: str) -> pd.DataFrame:
    """Give the decisions of a reading without a layout; those until its faults where it has some."""
    try:
        decisions: pd.DataFrame = read(file, None).decisions
    except LayoutError as error:
        return error.decisions
    except ReadingError:
        return pd.DataFrame(columns=DECISION_COLUMNS)
    return decisions


def _with_evidence(decisions: pd.DataFrame, fresh: pd.DataFrame) -> pd.DataFrame:
    """Give decisions of the layout the reason for which they were detected, where the file still says so."""
    keys = ["file", "sheet", "cell", "what", "decided"]
    reasons = {tuple(row[:5]): row[5] for row in fresh[[*keys, "because"]].itertuples(index=False)}
    because = [
        reasons.get(tuple(row[:5]), row[5]) if row[5] == _GIVEN else row[5]
        for row in decisions[[*keys, "because"]].itertuples(index=False)
    ]
    return decisions.assign(because=because)
