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


COUNT_HEADS = {
    "inside": ("县域内住院人次", "n_in_county", "居民县域内住院人次数"),
    "total": ("居民住院总人次", "住院总人次", "n_total_resident"),
}
SHARE_HEADS = ("县域内住院率", "县域住院率", "share")
MISSING = ("—", "…", "/", "-", "")


def style(rng):
    """Draw how a table is written."""
    pick = lambda *options: options[rng.integers(len(options))]
    return {
        "shape": pick("long", "wide", "wide", "by_indicator"),
        "order": pick("period over indicator", "indicator over period"),
        "years_apart": bool(rng.integers(2)),
        "file": pick("xlsx", "xlsx", "gb18030", "utf-8", "utf-8-sig", "utf-16"),
        "merged": bool(rng.integers(2)),
        "count_unit": pick("plain", "note", "header", "thousands"),
        "share_unit": pick("none", "percent in header", "percent sign", "fraction", "full width"),
        "key": pick("name", "code", "both"),
        "name": pick("full", "short", "spaced", "city first"),
        "code": pick("number", "float", "text", "twelve"),
        "period": pick("2019Q3", "2019年第三季度", "2019年3季度", "2019年三季度"),
        "cumulative": bool(rng.integers(3) == 0),
        "title": bool(rng.integers(2)),
        "notes": bool(rng.integers(2)),
        "totals": bool(rng.integers(2)),
        "cities": bool(rng.integers(2)),
        "serial": bool(rng.integers(2)),
        "sort": pick("unit", "period", "random"),
    }


def write_random(path, panel, how, rng):
    """Write a panel of quarters with counts and shares in a style; return the file."""
    written = cumulate(panel) if how["cumulative"] else panel
    written = written.assign(share=written["share"].round(3))
    columns = {
        "inside": lambda row: _count(row.inside, how),
        "total": lambda row: _count(row.total, how),
        "share": lambda row: _share(row.share, how),
    }
    heads = {
        "inside": COUNT_HEADS["inside"][rng.integers(3)] + ("（万人次）" if how["count_unit"] == "header" else ""),
        "total": COUNT_HEADS["total"][rng.integers(3)] + ("（万人次）" if how["count_unit"] == "header" else ""),
        "share": SHARE_HEADS[rng.integers(3)] + ("（%）" if how["share_unit"] == "percent in header" else ""),
    }
    keys = (["序号"] if how["serial"] else []) + (["行政区划代码"] if how["key"] != "name" else [])
    keys += ["县（市、区）"] if how["key"] != "code" else []
    layers = {"long": _long_rows, "wide": _wide_rows, "by_indicator": _indicator_rows}
    header, rows, merged = layers[how["shape"]](written, how, rng, keys, columns, heads)
    width = len(header[-1])
    above = [["某省" + TITLE]] if how["title"] else []
    above += [[None] * (width - 1) + ["单位：万人次"]] if how["count_unit"] == "note" else []
    below = [["注：数据截至次年1月9日；未含驻地部队医院。"], ["填报单位：卫生健康局"]] if how["notes"] else []
    merged = [_area(top + len(above), left, bottom + len(above), right) for top, left, bottom, right in merged]
    table = [*above, *header, *rows, *below]
    if how["file"] == "xlsx":
        return write_xlsx(path.with_suffix(".xlsx"), {"Sheet1": (table, merged if how["merged"] else ())})
    return write_csv(path.with_suffix(".csv"), table, how["file"])


def _count(value, how):
    if how["count_unit"] in {"note", "header"}:
        return round(value / 10_000, 4)
    return f"{value:,}" if how["count_unit"] == "thousands" else int(value)


def _share(value, how):
    percent = round(100 * value, 1)
    if how["share_unit"] == "full width":
        return f"{percent:.1f}%".translate({ord(sign): ord(sign) + 0xFEE0 for sign in "0123456789.%"})
    return {"percent sign": f"{percent:.1f}%", "fraction": value}.get(how["share_unit"], percent)


def _label(row, how):
    year, quarter = row.year, row.quarter
    if how["cumulative"]:
        return f"{year}年1-{3 * quarter}月"
    return {
        "2019Q3": f"{year}Q{quarter}",
        "2019年第三季度": f"{year}年第{'一二三四'[quarter - 1]}季度",
        "2019年3季度": f"{year}年{quarter}季度",
        "2019年三季度": f"{year}年{'一二三四'[quarter - 1]}季度",
    }[how["period"]]


def _keys(code, how, number):
    county, city = COUNTIES[code]
    spelled = {"full": county, "spaced": "　".join(county), "city first": city + county}
    spelled["short"] = {"440232": "乳源县", "441826": "连南县"}.get(code, county)
    codes = {"number": int(code), "float": f"{code}.0", "text": code, "twelve": f"{code}000000"}
    return (
        ([number] if how["serial"] else [])
        + ([codes[how["code"]]] if how["key"] != "name" else [])
        + ([spelled[how["name"]]] if how["key"] != "code" else [])
    )


def _extra(label, figures, how):
    """A row of totals: the name stands where names stand, in the column of codes where there is none."""
    return ([None] if how["serial"] else []) + ([None] if how["key"] == "both" else []) + [label, *figures]


def _long_rows(panel, how, rng, keys, columns, heads):
    rows = list(panel.itertuples())
    if how["sort"] != "unit":
        order = rng.permutation(len(rows)) if how["sort"] == "random" else np.argsort(panel["period"], kind="stable")
        rows = [rows[place] for place in order]
    body = [
        [*_keys(row.unit, how, number), _label(row, how), *(write(row) for write in columns.values())]
        for number, row in enumerate(rows, start=1)
    ]
    if how["totals"]:
        body.insert(0, _extra("全省", [body[0][len(keys)], 1, 2, _share(0.8, how)], how))
    return [[*keys, "统计期", *heads.values()]], body, []


def _wide_rows(panel, how, rng, keys, columns, heads):
    periods = list(panel.drop_duplicates("period").itertuples())
    names = list(heads)
    if how["order"] == "period over indicator":
        cells = [(row, variable) for row in periods for variable in names]
    else:
        cells = [(row, variable) for variable in names for row in periods]
    lower = [_label(row, how) for row, _ in cells]
    layers = [lower]
    if how["years_apart"]:
        layers = [
            [f"{row.year}年" for row, _ in cells],
            [text[text.index("年") + 1 :] if "年" in text else text[4:] for text in lower],
        ]
    indicator = [heads[variable] for _, variable in cells]
    layers = [*layers, indicator] if how["order"] == "period over indicator" else [indicator, *layers]
    header = [[*keys, *layers[0]]] + [[*([None] * len(keys)), *layer] for layer in layers[1:]]
    depth, left, merged = len(header), len(keys), []
    merged += [(0, place, depth - 1, place) for place in range(left)]
    for level, layer in enumerate(layers[:-1]):
        for start, end in _runs([tuple(above[place] for above in layers[: level + 1]) for place in range(len(layer))]):
            for blank in range(start + 1, end + 1):
                header[level][left + blank] = None
            merged.append((level, left + start, level, left + end))
    body = []
    units = list(panel["unit"].unique())
    if how["totals"]:
        body.append(_extra("合计", [columns[variable](panel.iloc[0]) for _, variable in cells], how))
    for number, unit in enumerate(units, start=1):
        city = COUNTIES[unit][1]
        if how["cities"] and (number == 1 or COUNTIES[units[number - 2]][1] != city):
            body.append(_extra(city, [columns[variable](panel.iloc[0]) for _, variable in cells], how))
        own = {row.period: row for row in panel[panel["unit"] == unit].itertuples()}
        body.append([*_keys(unit, how, number), *(columns[variable](own[row.period]) for row, variable in cells)])
    return header, body, merged


def _indicator_rows(panel, how, rng, keys, columns, heads):
    periods = list(panel.drop_duplicates("period").itertuples())
    header = [[*keys, "指标", *(_label(row, how) for row in periods)]]
    body, merged = [], []
    for number, unit in enumerate(panel["unit"].unique(), start=1):
        own = {row.period: row for row in panel[panel["unit"] == unit].itertuples()}
        top = len(header) + len(body)
        for place, (variable, text) in enumerate(heads.items()):
            key = _keys(unit, how, number) if place == 0 else [None] * len(keys)
            body.append([*key, text, *(columns[variable](own[row.period]) for row in periods)])
        merged += [(top, column, top + 2, column) for column in range(len(keys))]
    return header, body, merged


def _runs(labels):
    start = 0
    for place in range(1, len(labels) + 1):
        if place == len(labels) or labels[place] != labels[start]:
            if place - 1 > start:
                yield start, place - 1
            start = place


def _area(top, left, bottom, right):
    letter = openpyxl.utils.get_column_letter
    return f"{letter(left + 1)}{top + 1}:{letter(right + 1)}{bottom + 1}"
