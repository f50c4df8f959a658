"""Simulated files as an office would send them: a table with three rows of headers, and a roster with dates like "about 2014"."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

FOLDER = "模拟数据 simulated"
PANEL_FILE = "县域内住院情况（模拟 simulated）.xlsx"
ROSTER_FILE = "帮扶名单（模拟 simulated）.xlsx"
EFFECT = 0.04
"""The effect that is in the files: the share inside rises by so much in every year from the start on."""

COUNTIES = (
    "连南瑶族自治县", "连山县", "阳山县", "佛冈县", "始兴县", "仁化县", "翁源县", "乳源瑶族自治县", "新丰县", "南雄市", "平远县", "蕉岭县",
    "大埔县", "丰顺县", "五华县", "紫金县", "龙川县", "连平县", "和平县", "东源县",
)  # fmt: skip
STARTS = {
    "连南瑶族自治县": (2014, "约2014年", "省人民医院（模拟）；中山一院（模拟）", "组团式帮扶", "12人"),
    "连山县": (2015, "2015年3月", "省中医院（模拟）", "托管", "5人"),
    "阳山县": (2016, "2016年下半年", "南方医院（模拟）", "紧密型医共体", "8"),
    "佛冈县": (2014, "2014年前后", "中山三院（模拟）", "对口支援", "约6名"),
    "始兴县": (2016, "2016-2018", "珠江医院（模拟）", "组团式帮扶", "10"),
    "仁化县": (2015, "2015年12月17日至今", "市一医院（模拟）", "医联体", "3"),
    "翁源县": (2016, "2016Q1", "市二医院（模拟）", "托管", "7"),
    "平远县": (2015, "2015年", "省二医院（模拟）", "专科联盟", "4"),
}
"""County -> the true first treated year, what the roster says, hospitals, mechanism, experts."""


@dataclass(frozen=True)
class OfficeFiles:
    """Say where the simulated files lie.

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

    Parameters
    ----------
    folder : Path or str
        Where; the files get a folder of their own in it.
    seed : int
        Of the shocks.
    years : tuple of int
        First and last year.

    Returns
    -------
    OfficeFiles

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

    level = rng.uniform(0.55, 0.75, len(COUNTIES))
    trend = 0.004 * np.arange(len(years))
    share = level[:, None] + trend + rng.normal(0, 0.008, (len(COUNTIES), len(years)))
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
