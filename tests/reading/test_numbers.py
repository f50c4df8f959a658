"""Numbers of a column: any style comes back as the number that was meant, two units that fit are refused."""

import datetime as dt
import math
import re
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from evalaid.base.errors import ReadingError
from evalaid.reading.files.snapshot import FAULT_COLUMNS
from evalaid.reading.values.numbers import read_numbers, unit_in_heading
from evalaid.reading.values.numerals import read_numeral

FULL_WIDTH = str.maketrans("0123456789.,%+-", "０１２３４５６７８９．，％＋－")
EXACT = 1e-12
"""Decimal arithmetic throughout: only the last conversion to a float rounds."""


def values(cells, name="x", unit=None):
    return read_numbers(cells, name=name, unit=unit).values.tolist()


def test_one_column_in_four_styles():
    column = read_numbers(["86.9%", 86.9, 0.869, "８６．９％", "—"], name="县域内住院率")
    assert column.values[:4] == pytest.approx([0.869] * 4, abs=EXACT)
    assert math.isnan(column.values[4])
    assert (column.unit, column.factor) == ("percent", 0.01)
    assert column.notes == [(2, "0.869", "read as a fraction in a column of percentages")]
    assert column.missing == {"—": 1}
    assert "2 numbers with a percent sign (86.9)" in column.evidence
    assert "No value: '—' 1." in column.evidence


SHARE = [  # cells, name -> what they are multiplied by
    ([86.9, 91.2, 60], "县域内住院率", 0.01, "percent"),
    ([0.869, 0.912], "县域内住院率", 1, "fraction"),
    ([0.123, 0.0456], "转诊率", 1, "fraction"),
    ([86.9, 91], "住院率（％）", 0.01, "percent"),
    ([86.9, 91], "share_pct", 0.01, "percent"),
    ([0.9, 12.5, 5], "三四级手术占比(%)", 0.01, "percent"),
    ([3.1, 4.2], "死亡率(‰)", 0.001, "per mille"),
    ([2.4, 3.15], "住院人次（万）", 10_000, "万"),
    ([2.4, 3.15], "住院人次(万人次)", 10_000, "万人次"),
    ([2.4, 3.15], "总诊疗万人次", 10_000, "万人次"),
    ([2.4, 3.15], "费用 单位：亿元", 10**8, "亿元"),
    ([24000, 31500], "住院人次", 1, "count"),
    ([24000, 31500], "住院人次（人次）", 1, "人次"),
    ([1.5, 2.25], "每千人执业（助理）医师", 1, "number"),
    ([6328.17, 5], "次均费用", 1, "number"),
]


@pytest.mark.parametrize(("cells", "name", "factor", "unit"), SHARE)
def test_the_unit_of_plain_numbers(cells, name, factor, unit):
    column = read_numbers(cells, name=name)
    assert (column.unit, column.factor) == (unit, factor)
    assert column.values == pytest.approx(np.multiply(cells, factor), rel=EXACT)
    assert column.evidence
    assert column.faults == []


REFUSED = [
    (
        [0.3, 0.5],
        "死亡率",
        r"2 numbers from 0 to 1 \(0.3 to 0.5\), and they may be small percentages. .*unit='percent' or unit='fraction'",
    ),
    ([0.869, 0.9], "率(%)", r"the heading says per cent, but all numbers lie from 0 to 1"),
    (
        [60, 12, 0.9],
        "占比",
        r"2 numbers without a sign \(12 to 60\); 1 number from 0 to 1 \(0.9\); the small numbers fit neither",
    ),
    (["0.3%", "0.9%", "20%", "90%", 0.5], "率", r"fit both|fit neither"),
    (
        [2.4, 3.1],
        "住院人次",
        r"a count with decimals: 2 numbers \(2.4 to 3.1\) beside 0 numbers without \(none\); they may be in 万",
    ),
    ([2.4, 31500], "住院人次", r"1 number \(2.4\) beside 1 number without \(31500\)"),
    (
        [2.4, 31500],
        "住院人次（万）",
        r"for 1 number \(2.4\) and for 1 number more than a hundred times as large \(31500\)",
    ),
]


@pytest.mark.parametrize(("cells", "name", "message"), REFUSED)
def test_two_units_that_fit_are_refused_with_the_evidence(cells, name, message):
    with pytest.raises(ReadingError, match=message) as caught:
        read_numbers(cells, name=name)
    assert f"Column {name!r}" in str(caught.value)
    assert "Expected one unit" in str(caught.value)
    assert list(caught.value.rows.columns) == FAULT_COLUMNS
    assert set(caught.value.rows["row"]) <= set(range(len(cells)))


@pytest.mark.parametrize(
    ("unit", "expected"),
    [
        ("percent", 0.003),
        ("%", 0.003),
        ("fraction", 0.3),
        ("per mille", 0.0003),
        ("万人次", 3000),
        ("number", 0.3),
        ("count", 0.3),
    ],
)
def test_a_given_unit_decides(unit, expected):
    column = read_numbers([0.3, "50%"] if expected < 1 and unit != "count" else [0.3], name="死亡率", unit=unit)
    assert column.values[0] == pytest.approx(expected, rel=EXACT)
    assert column.evidence.startswith("The unit was given")


def test_an_unknown_unit_lists_the_known():
    with pytest.raises(
        ReadingError, match=r"the unit 'bushels' is unknown. Expected one of fraction, percent, per mille, count"
    ):
        read_numbers([1], name="x", unit="bushels")


MISSING = [
    "",
    " ",
    "　",
    None,
    float("nan"),
    "—",
    "——",
    "–",
    "-",
    "--",
    "－",
    "…",
    "……",
    "...",
    "/",
    "／",
    "无",
    "不详",
    "N/A",
    "#N/A",
    "null",
    "暂无",
    "***",
    "_",
]


@pytest.mark.parametrize("mark", MISSING)
def test_marks_for_no_value_are_missing_and_counted_and_zero_is_not(mark):
    column = read_numbers([mark, 0, "0", "０"], name="x")
    assert math.isnan(column.values[0])
    assert column.values[1:].tolist() == [0, 0, 0]
    assert sum(column.missing.values()) == 1
    assert column.faults == []


READ = [
    ("12,345", 12345), ("1,234,567.8", 1234567.8), ("12，345", 12345), ("１２，３４５", 12345), ("12 345", 12345), ("12'345", 12345),
    ("378,302人次", 378302), ("1.2万", 12000), ("1.2万人次", 12000), ("５６３．１万人次", 5631000), ("3亿", 300000000), ("2千人", 2000),
    ("6328.17元", 6328.17), ("-3.5", -3.5), ("−3.5", -3.5), ("－3.5", -3.5), ("+3", 3), ("1.2e5", 120000), (".5", 0.5), ("86.9%", 0.869), ("3‰", 0.003),
    ("百分之86.9", 0.869), (" 86.9 ", 86.9), ("\u30001 ", 1), ("'440", 440), (np.float64(2.5), 2.5), (np.int64(3), 3), (Decimal("1.10"), 1.1),
]  # fmt: skip


@pytest.mark.parametrize(("cell", "expected"), READ)
def test_a_cell_as_a_number(cell, expected):
    column = read_numbers([cell], name="x", unit="number" if "%" not in str(cell) else None)
    assert column.values[0] == pytest.approx(expected, rel=EXACT)
    assert column.faults == []


LEFT_OUT = [
    ("86.9①", "①"),
    ("86.9*", "*"),
    ("86.9¹", "¹"),
    ("86.9 注1", "注1"),
    ("86.9[2]", "[2]"),
    ("86.9(1)", "(1)"),
    ("约86.9", "约"),
    ("86.9左右", "左右"),
    ("86.9（初步数）", "(初步数)"),
    ("≈86.9", "≈"),
]


@pytest.mark.parametrize(("cell", "remark"), LEFT_OUT)
def test_what_is_left_out_beside_a_number_is_noted(cell, remark):
    column = read_numbers([cell], name="x")
    assert column.values.tolist() == [86.9]
    assert column.notes == [(0, cell, f"read as 86.9; left out: {remark}")]


FAULTS = [
    ("(123)", "a number in brackets: -123 or 123?"), (">90", "a bound, not a value"), ("90以上", "a bound, not a value"), ("近90", "a bound, not a value"),
    ("86,9", "a comma that sets off no three digits"), ("1,2345", "a comma that sets off no three digits"), ("86.9-88.0", "more than one number"),
    ("86.9±1.2", "more than one number"), ("1.234.567", "more than one number"), ("abc", "a text, not a number"), ("三", "a text, not a number"),
    ("86.9米", "no known unit"), ("#REF!", "an error of the spreadsheet"), ("#DIV/0!", "an error of the spreadsheet"), (True, "true or false"),
    (float("inf"), "not finite"), ("1e999", "not finite|a text|no known"), (dt.date(2019, 9, 1), "a date or time"), ("x" * 500, "a text, not a number"),
]  # fmt: skip


@pytest.mark.parametrize(("cell", "why"), FAULTS)
def test_what_is_no_number_is_a_fault_with_its_place(cell, why):
    column = read_numbers([1, cell], name="x")
    assert math.isnan(column.values[1])
    ((position, text, said),) = column.faults
    assert (position, text) == (1, str(cell))
    assert re.search(why, said)


def test_a_cell_in_another_kind_of_unit_is_a_fault():
    column = read_numbers([24000, "86%"], name="住院人次", unit="count")
    assert column.faults == [(1, "86%", "the cell is in %, the column in count")]


def test_the_own_mark_of_a_cell_is_noted():
    column = read_numbers(["1.2万", 12345], name="住院人次")
    assert column.values.tolist() == [12000, 12345]
    assert column.notes == [(0, "1.2万", "read in 万, the mark of the cell")]


@pytest.mark.parametrize(
    ("name", "unit"),
    [
        ("率(%)", "percent"),
        ("率（％）", "percent"),
        ("人次（万）", "万"),
        ("人次【万人次】", "万人次"),
        ("单位：万元", "万元"),
        ("每千人床位", ""),
        ("县（市、区）", ""),
        ("常住人口(万人)", "万人"),
        ("死亡率(‰)", "per mille"),
        ("share_pct", "percent"),
        ("每万人次", ""),
    ],
)
def test_the_unit_that_a_heading_states(name, unit):
    assert unit_in_heading(name) == unit


def written(number, style):
    """One number in one of the styles of an office."""
    text = f"{number:f}"
    whole, _, rest = text.partition(".")
    point = f".{rest}" if rest else ""
    grouped = f"{int(whole):,}" + point if not whole.startswith("-") else text
    ten_thousand = f"{(number / 10_000):f}万"
    styles = [
        text,
        grouped,
        text.translate(FULL_WIDTH),
        grouped.translate(FULL_WIDTH),
        f" {text}　",
        f"{text}人次",
        grouped.replace(",", " "),
        ten_thousand,
        f"{text}①",
    ]
    return styles[style % len(styles)]


NUMBERS = st.decimals(0, 10**9, places=2)


@given(st.lists(st.tuples(NUMBERS, st.integers(0, 8)), min_size=1, max_size=20))
def test_a_number_in_any_style_is_read_back(pairs):
    column = read_numbers([written(number, style) for number, style in pairs], name="费用")
    assert column.values == pytest.approx([float(number) for number, _ in pairs], rel=EXACT)
    assert column.faults == []


@given(st.lists(st.decimals(60, 97, places=1), min_size=2, max_size=20), st.data())
def test_a_share_in_any_mixture_of_styles_is_read_back(percents, data):
    styles = [data.draw(st.sampled_from(["sign", "plain", "wide", "number", "fraction"])) for _ in percents]
    assume(any(style != "fraction" for style in styles))
    sure = [percent for percent, style in zip(percents, styles, strict=True) if style != "fraction"]
    for percent, style in zip(percents, styles, strict=True):
        assume(style != "fraction" or min(sure) / Decimal("1.25") <= percent <= max(sure) * Decimal("1.25"))
    write = {
        "sign": lambda p: f"{p}%",
        "plain": str,
        "wide": lambda p: f"{p}%".translate(FULL_WIDTH),
        "number": float,
        "fraction": lambda p: float(p / 100),
    }
    column = read_numbers(
        [write[style](percent) for percent, style in zip(percents, styles, strict=True)], name="县域内住院率"
    )
    assert column.values == pytest.approx([float(percent / 100) for percent in percents], rel=EXACT)
    assert len(column.notes) == styles.count("fraction")


@given(st.lists(st.decimals(60, 97, places=1), min_size=1, max_size=9), st.randoms())
def test_the_order_of_rows_changes_nothing(percents, random):
    cells = [float(percent) for percent in percents] + ["90%", "—"]
    order = list(range(len(cells)))
    random.shuffle(order)
    straight, shuffled = values(cells, "率"), values([cells[at] for at in order], "率")
    assert np.array_equal([straight[at] for at in order], shuffled, equal_nan=True)


@given(
    st.one_of(
        st.text(max_size=12),
        st.text("0123456789.,%万亿-—()约 ①", max_size=8),
        st.floats(),
        st.integers(),
        st.booleans(),
        st.none(),
    )
)
def test_any_cell_is_a_number_a_mark_or_a_fault(cell):
    numeral = read_numeral(cell)
    assert (numeral.value is not None) + bool(numeral.missing) + bool(numeral.fault) == 1
    assert numeral.value is None or math.isfinite(numeral.value)


def test_an_empty_column_and_a_column_of_marks():
    assert read_numbers([], name="x").values.shape == (0,)
    column = read_numbers(["—", None], name="县域内住院率")
    assert column.missing == {"—": 1, "empty": 1}
    assert "no number tells the unit" in column.evidence
