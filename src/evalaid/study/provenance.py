"""What was decided about the files of a study while they were read: its panel and its roster."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from evalaid.base.errors import ReadingError
from evalaid.base.project import project_root
from evalaid.reading.files.snapshot import FAULT_COLUMNS
from evalaid.reading.journal.decisions import DECISION_COLUMNS, LEFT_OUT_COLUMNS
from evalaid.reading.journal.layouts import Layout
from evalaid.reading.rosters.rosters import read_partnerships
from evalaid.reading.tables.tables import LayoutError, read_table
from evalaid.study.first_periods import decide_columns, decide_starts
from evalaid.study.sources import load_reading, read_partnerships_file, tidy_layout
from evalaid.study.spec import StudySpec

_GIVEN = "the layout says so"


@dataclass(frozen=True)
class FileDecisions:
    """What was decided, left out and noted while the files of a study were read; no rows for files that a study's file describes.

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
    decisions, left_out, faults = [], [], []
    if tidy_layout(spec) is None:
        reading = load_reading(spec)
        decisions.append(_with_evidence(reading, str(spec.panel), read_table))
        left_out.append(reading.left_out)
        faults.append(reading.faults)
    if spec.roster is not None and spec.roster_layout is not None:
        if tidy_layout(spec) is not None and spec.panel is not None:
            decisions.append(decide_columns(spec))
        roster = read_partnerships_file(spec.roster, spec.roster_layout)
        starts, absent = decide_starts(spec, roster)
        decisions += [_with_evidence(roster, spec.roster, read_partnerships), starts]
        left_out += [roster.left_out, absent]
        faults.append(roster.faults)
    return FileDecisions(
        _join(decisions, DECISION_COLUMNS), _join(left_out, LEFT_OUT_COLUMNS), _join(faults, FAULT_COLUMNS)
    )


def _join(frames: list[pd.DataFrame], columns: list[str]) -> pd.DataFrame:
    return pd.concat(frames, ignore_index=True)[columns] if frames else pd.DataFrame(columns=columns)


def _with_evidence(used: Any, file: str, read: Callable[[Path, Layout], Any]) -> pd.DataFrame:
    """Return decisions of the layout with the reasons for which they were detected, as far as the file alone says the same.

    Where detection gives the whole layout again its decisions are taken as they are, else those that agree word for word.
    """
    decisions: pd.DataFrame = used.decisions
    known = Layout(within=used.layout.within, units=used.layout.units, decreases=used.layout.decreases)
    try:
        again = read(project_root() / file, known)
    except LayoutError as error:
        again = error
    except ReadingError:
        return decisions
    if again.layout.tables == used.layout.tables:
        same: pd.DataFrame = again.decisions
        return same
    keys = ["file", "sheet", "cell", "what", "decided", "because"]
    reasons = {tuple(row[:5]): row[5] for row in again.decisions[keys].itertuples(index=False)}
    because = [
        reasons.get(tuple(row[:5]), row[5]) if row[5] == _GIVEN else row[5]
        for row in decisions[keys].itertuples(index=False)
    ]
    return decisions.assign(because=because)
