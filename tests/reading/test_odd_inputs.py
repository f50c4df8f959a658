"""Inputs that no table should hold: an error or the text itself, never another number, and in less than two seconds."""

import os
import time

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from evalaid.base.errors import PanelError, ReadingError
from evalaid.base.periods import parse_periods
from evalaid.cli import main
from evalaid.reading.tables.tidy import read_tidy

LONGEST = 2.0
"""Seconds of the processor, whatever else the machine does."""


@pytest.fixture(autouse=True)
def _in_time():
    read_tidy  # noqa: B018 (imported before the clock starts)
    begun = time.process_time()
    yield
    assert time.process_time() - begun < LONGEST


def panel(folder, years, values):
    rows = "".join(f"a,{year},{value}\n" for year, value in zip(years, values, strict=True))
    (folder / "panel.csv").write_text(f"county,year,share\n{rows}", encoding="utf-8")
    return folder / "panel.csv"


def test_whole_numbers_of_many_digits_keep_every_digit(tmp_path):
    years = ["20190000000000000001", "20190000000000000002"]
    frame = read_tidy(panel(tmp_path, years, ["9" * 100_000, "0.2"])).frame
    assert frame["year"].tolist() == years
    assert frame["share"].tolist() == ["9" * 100_000, "0.2"]
    # Fifteen digits are numbers, and so are many behind the point.
    frame = read_tidy(panel(tmp_path, [999999999999999, 2], ["0.12345678901234567", 1])).frame
    assert frame["year"].tolist() == [999999999999999, 2]
    assert frame["share"].tolist() == [0.12345678901234567, 1]


@pytest.mark.parametrize(
    "values", [["2" * 20, "3" * 20], ["9" * 100_000], [2.0e20, 3.0e20], [10**17, 10**18], [float("inf")]]
)
def test_periods_of_many_digits_are_refused(values):
    with pytest.raises(PanelError, match="periods are not readable as a number") as error:
        parse_periods(pd.Series(values))
    assert len(str(error.value)) < 500


@pytest.mark.parametrize("cell", [[1, 2], {"x": 1}])
def test_a_nested_column_is_refused_with_its_name(tmp_path, cell):
    pq.write_table(pa.table({"county": ["a"], "year": [2019], "share": [cell]}), tmp_path / "nested.parquet")
    with pytest.raises(ReadingError, match=r"nested\.parquet: a cell of column 'share' holds a list or a table"):
        read_tidy(tmp_path / "nested.parquet")


def test_an_unknown_encoding_is_told_with_those_that_are_read(tmp_path):
    path = panel(tmp_path, [2019], [0.5])
    with pytest.raises(ReadingError, match=r"'klingon' is not a known encoding\. Expected one of 'utf-8'"):
        read_tidy(path, encoding="klingon")
    result = CliRunner().invoke(main, ["check", str(path), "--encoding", "klingon"])
    assert result.exit_code == 2
    assert "is not a known encoding" in result.output


@pytest.mark.skipif(os.name != "posix", reason="pipes and devices with names")
@pytest.mark.parametrize("kind", ["pipe", "device"])
def test_a_layout_that_is_a_pipe_or_a_device_is_refused_unread(tmp_path, kind):
    path, layout = panel(tmp_path, [2019], [0.5]), tmp_path / "layout.yaml"
    os.mkfifo(layout) if kind == "pipe" else layout.symlink_to("/dev/zero")
    result = CliRunner().invoke(main, ["check", str(path), "--layout", str(layout)])
    assert result.exit_code == 2
    assert "layout.yaml" in result.output
    assert "Traceback" not in result.output
