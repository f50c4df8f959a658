"""Tables as offices send them, made from a panel that is known: what is read must be that panel."""

import csv
import io

import numpy as np
import openpyxl
import pandas as pd

COUNTIES = {
    "440222": ("始兴县", "韶关市"),
    "440224": ("仁化县", "韶关市"),
    "440232": ("乳源瑶族自治县", "韶关市"),
    "441826": ("连南瑶族自治县", "清远市"),
    "441881": ("英德市", "清远市"),
    "445381": ("罗定市", "云浮市"),
}
TITLE = "各县（市、区）县域内住院情况表"


def quarters(first=2018, last=2019, seed=1, counties=None):
    """Counts by county and quarter; the share is what they give."""
    rng = np.random.default_rng(seed)
    rows = []
    for code in counties or COUNTIES:
        size = rng.integers(4_000, 30_000)
        for year in range(first, last + 1):
            for quarter in range(1, 5):
                total = int(size * rng.uniform(0.9, 1.1))
                inside = int(total * rng.uniform(0.66, 0.93))
                rows.append((code, year, quarter, inside, total))
    frame = pd.DataFrame(rows, columns=["unit", "year", "quarter", "inside", "total"])
    frame["period"] = frame["year"].astype(str) + "Q" + frame["quarter"].astype(str)
    return frame.assign(share=frame["inside"] / frame["total"])


def years(first=2017, last=2020, seed=2):
    """Counts by county and year."""
    frame = quarters(first, last, seed).groupby(["unit", "year"], as_index=False)[["inside", "total"]].sum()
    return frame.assign(period=frame["year"], share=frame["inside"] / frame["total"])


def name(code):
    """Name of a county."""
    return COUNTIES[code][0]


def write_xlsx(path, sheets):
    """Write sheets: name -> (rows, merged ranges such as "A1:C1")."""
    book = openpyxl.Workbook()
    book.remove(book.active)
    for title, (rows, merged) in sheets.items():
        sheet = book.create_sheet(title)
        for row in rows:
            sheet.append(list(row))
        for area in merged:
            sheet.merge_cells(area)
    book.save(path)
    return path


def write_csv(path, rows, encoding="gb18030"):
    """Write rows as a csv file."""
    out = io.StringIO()
    csv.writer(out).writerows([["" if value is None else value for value in row] for row in rows])
    path.write_bytes(out.getvalue().encode(encoding))
    return path


def three_headers(panel):
    """Year over quarter over indicator, merged; title, unit and notes; city rows and totals."""
    periods = list(dict.fromkeys(zip(panel["year"], panel["quarter"], strict=True)))
    width = 3 + 2 * len(periods)
    top = ["序号", "行政区划代码", "县（市、区）"]
    middle, bottom, merged = [None] * 3, [None] * 3, ["A3:A5", "B3:B5", "C3:C5"]
    letters = openpyxl.utils.get_column_letter
    merged.append(f"A1:{letters(width)}1")
    for place, (year, quarter) in enumerate(periods):
        left = 4 + 2 * place
        top += [f"{year}年" if quarter == 1 else None, None]
        middle += [f"第{'一二三四'[quarter - 1]}季度", None]
        bottom += ["县域内住院人次", "居民住院总人次"]
        merged.append(f"{letters(left)}4:{letters(left + 1)}4")
        if quarter == 1:
            merged.append(f"{letters(left)}3:{letters(left + 7)}3")
    rows = [[TITLE], [None] * (width - 1) + ["单位：人次"], top, middle, bottom]
    totals = panel.groupby(["year", "quarter"])[["inside", "total"]].sum()
    rows.append([None, None, "合计", *totals.to_numpy().ravel().tolist()])
    number = 0
    for city in dict.fromkeys(city for _, city in COUNTIES.values()):
        codes = [code for code in panel["unit"].unique() if COUNTIES[code][1] == city]
        own = panel[panel["unit"].isin(codes)]
        rows.append(
            [None, None, city, *own.groupby(["year", "quarter"])[["inside", "total"]].sum().to_numpy().ravel().tolist()]
        )
        for code in codes:
            number += 1
            figures = panel[panel["unit"] == code][["inside", "total"]].to_numpy().ravel().tolist()
            rows.append([number, code, name(code), *figures])
    rows += [["注：1.数据截至2020年1月9日。"], ["2.不含驻地部队医院。"]]
    return rows, merged


def long(
    panel, header=("统计期", "县区", "县域内住院人次", "居民住院总人次"), period=None, columns=("inside", "total")
):
    """One row for each county and period."""
    period = period or (lambda row: row.period)
    return [list(header)] + [
        [period(row), name(row.unit), *(getattr(row, column) for column in columns)] for row in panel.itertuples()
    ]


def cumulate(panel):
    """Counts from January on."""
    counts = panel.groupby(["unit", "year"])[["inside", "total"]].cumsum()
    return panel.assign(inside=counts["inside"], total=counts["total"], share=counts["inside"] / counts["total"])
