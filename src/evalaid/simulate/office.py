"""Simulated files as an office would send them: a table with three rows of headers, and a roster with dates like "about 2014"."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from evalaid.simulate.programme_figures import read_document

FOLDER = "模拟数据 simulated"
PANEL_FILE = "县域内住院情况（模拟 simulated）.xlsx"
ROSTER_FILE = "帮扶名单（模拟 simulated）.xlsx"
_FIGURES = read_document("office")
EFFECT: float = _FIGURES["effect"]
"""The effect that is in the files: the share inside rises by so much in every year from the start on."""

COUNTIES: list[str] = _FIGURES["counties"]
STARTS: dict[str, list[Any]] = _FIGURES["starts"]
"""County -> the true first treated year, what the roster says, hospitals, mechanism, experts."""


@dataclass(frozen=True)
class OfficeFiles:
    """Where the simulated files lie.

    Parameters
    ----------
    panel, roster : Path
        The workbooks.
    effect : float
        The effect in them, a fraction.
    """

    panel: Path
    roster: Path
    effect: float


def write_office_files(folder: Path | str, *, seed: int = 1, years: tuple[int, int] = (2010, 2018)) -> OfficeFiles:
    """Write a panel and a roster as an office would send them; every name says that they are simulated.

    Assumes that shares of counties differ by a constant, move with a common trend and a small shock of their own, and rise by
    `EFFECT` from the true start on. The roster says some of the starts only roughly.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     files = write_office_files(folder)
    ...     files.panel.parent.name, files.panel.is_file()
    ('模拟数据 simulated', True)
    """
    place = Path(folder) / FOLDER
    place.mkdir(parents=True, exist_ok=True)
    _write_panel(place / PANEL_FILE, np.random.default_rng(seed), range(years[0], years[1] + 1))
    _write_roster(place / ROSTER_FILE)
    return OfficeFiles(place / PANEL_FILE, place / ROSTER_FILE, EFFECT)


def _write_panel(path: Path, rng: np.random.Generator, years: range) -> None:
    from openpyxl import Workbook  # type: ignore[import-untyped]

    size = _FIGURES["share"]
    level = rng.uniform(size["low"], size["high"], len(COUNTIES))
    trend = size["trend"] * np.arange(len(years))
    share = level[:, None] + trend + rng.normal(0, size["shock"], (len(COUNTIES), len(years)))
    for row, county in enumerate(COUNTIES):
        if county in STARTS:
            share[row, [year >= STARTS[county][0] for year in years]] += EFFECT
    total = rng.integers(9_000, 40_000, len(COUNTIES))[:, None] + 150 * np.arange(len(years))
    inside = np.rint(share * total).astype(int)
    book = Workbook()
    sheet = book.active
    sheet.title = "汇总"
    sheet.append(["各县（市、区）县域内住院情况统计表（模拟数据 simulated）"])
    sheet.append([None] * (2 * len(years)) + ["单位：人次"])
    sheet.append(["县（市、区）", *["县域内住院情况"] * (2 * len(years))])
    sheet.append([None, *[f"{year}年" for year in years for _ in range(2)]])
    sheet.append([None, *["住院总人次", "县域内住院人次"] * len(years)])
    for name, everything, own in zip(COUNTIES, total.tolist(), inside.tolist(), strict=True):
        sheet.append([name, *(number for pair in zip(everything, own, strict=True) for number in pair)])
    sums = [
        number for pair in zip(total.sum(axis=0).tolist(), inside.sum(axis=0).tolist(), strict=True) for number in pair
    ]
    sheet.append(["合计", *sums])
    sheet.append(["注：本表为模拟数据 simulated，不是真实数据。"])
    last = 1 + 2 * len(years)
    sheet.merge_cells(start_row=1, start_column=1, end_row=1, end_column=last)
    sheet.merge_cells(start_row=3, start_column=1, end_row=5, end_column=1)
    sheet.merge_cells(start_row=3, start_column=2, end_row=3, end_column=last)
    for column in range(2, last, 2):
        sheet.merge_cells(start_row=4, start_column=column, end_row=4, end_column=column + 1)
    book.save(path)


def _write_roster(path: Path) -> None:
    from openpyxl import Workbook

    book = Workbook()
    sheet = book.active
    sheet.title = "名单"
    sheet.append(["帮扶名单（模拟数据 simulated）"])
    sheet.append(["序号", "受援县", "支援医院", "帮扶时间", "帮扶方式", "派驻专家人数"])
    for number, (county, (_, text, hospitals, mechanism, experts)) in enumerate(STARTS.items(), start=1):
        sheet.append([number, county, hospitals, text, mechanism, experts])
    sheet.append(["注：本表为模拟数据 simulated，不是真实名单。"])
    sheet.merge_cells("A1:F1")
    book.save(path)
