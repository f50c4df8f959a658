"""A tidy table of any file (one header row, then one row per observation) as a frame: `read_tidy`."""

from __future__ import annotations

import csv
import io
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from evalaid.base.errors import ReadingError
from evalaid.base.names import CODE, NAME
from evalaid.reading.files.cells import make_cells
from evalaid.reading.files.data_files import open_data_file, split_source
from evalaid.reading.files.digits import cells_in_western_digits, in_western_digits
from evalaid.reading.files.endings import DATA_FILES
from evalaid.reading.files.grids import Grid, open_grids
from evalaid.reading.files.snapshot import Limits, fault, readable_name, take
from evalaid.reading.journal.decisions import DECISION_COLUMNS, LEFT_OUT_COLUMNS
from evalaid.reading.journal.layouts import FileLayout, TableLayout
from evalaid.reading.places.own_divisions import OwnDivisions
from evalaid.reading.places.whose_units import COUNTIES, decide_units
from evalaid.reading.tables.detection import is_tidy
from evalaid.reading.tables.typed_columns import FileFacts, type_columns
from evalaid.reading.values.comparable_names import comparable, name_text
from evalaid.reading.values.kinds import find_role, plain
from evalaid.reading.values.total_words import FEW, is_total_word, totals_by_name


@dataclass(frozen=True, eq=False)
class TidyTable:
    """Hold a tidy table and how its file was opened.

    Columns of numbers are numeric; names and codes are text as it stands in the file ("01001" keeps its zero, "NA" is a name);
    fiscal years and periods in words are in the plain form of `evalaid.base.periods`. Rows of totals are in ``left_out``.
    """

    frame: (
        pd.DataFrame
    )  # one row for each row of the file that is no total; its index counts the rows of the file from zero
    decisions: pd.DataFrame  # ``file``, ``sheet``, ``cell``, ``what``, ``decided``, ``because``
    first_line: int = 2  # number of the first row of data as a spreadsheet or an editor shows it
    left_out: pd.DataFrame = field(default_factory=lambda: pd.DataFrame(columns=LEFT_OUT_COLUMNS))
    labels: Mapping[str, str] = field(
        default_factory=dict
    )  # column -> what the file says that it is (Stata, SPSS, SAS)


def read_tidy(
    path: Path | str,
    *,
    sheet: str | None = None,
    encoding: str | None = None,
    layout: FileLayout | None = None,
) -> TidyTable:
    r"""Read a tidy table from a text file, a workbook, or a file of Stata, SPSS, SAS, Parquet, Feather, JSON, SQLite or DuckDB.

    Assumes that the first row holds the names of the columns and every other row an observation; a table of a database is named
    as ``file.duckdb::table``. Of a layout it takes what it says about the text, numbers, periods and units.

    Raises
    ------
    ReadingError
        If the file cannot be opened or has no rows, no sheet of that name, two columns of one name, or numbers that can be read in
        two ways.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = Path(folder) / "panel.csv"
    ...     _ = file.write_text("code;année;taux\n01001;2019;68,1\n2A;2019;70,2\nEnsemble;2019;69,0\n", encoding="cp1252")
    ...     table = read_tidy(file)
    >>> table.frame.to_dict("records")
    [{'code': '01001', 'année': 2019, 'taux': 68.1}, {'code': '2A', 'année': 2019, 'taux': 70.2}]
    """
    path, table = split_source(path)
    return _with_units(
        _checked(_open(path, table, sheet, encoding, layout or FileLayout()), path), layout or FileLayout()
    )


def _open(path: Path, table: str, sheet: str | None, encoding: str | None, layout: FileLayout) -> TidyTable:
    stated = layout.find(path.name, sheet or "") or TableLayout()
    facts = FileFacts("", stated.decimal, stated.thousands, layout.reckoning)
    options = layout.text_options(path.name)
    options |= {"encoding": encoding} if encoding else {}
    suffix = path.suffix.lower()
    if suffix in DATA_FILES:
        return _from_data_file(path, table, facts)
    if path.is_file() and path.stat().st_size > Limits().file_bytes:
        take(path, Limits())  # refuses it, with advice
    plain_text = suffix == ".csv" and not any(options.values()) and path.is_file()
    if plain_text and (raw := _plain_csv(path)) is not None:
        return _typed(raw, replace(facts, separator=","), (readable_name(path.name), ""))
    return _from_grid(path, sheet, options, facts)


def _with_units(table: TidyTable, layout: FileLayout) -> TidyTable:
    """Call units by their present codes or names, and by those of the list of divisions, as the layout says."""
    if not layout.former and layout.divisions is None:
        return table
    frame, rows = table.frame.copy(), []
    listed = OwnDivisions.read(layout.divisions) if layout.divisions is not None else None
    present = {comparable(old): new for old, new in (layout.former or {}).items()}
    for column in [name for name in frame.columns if find_role(plain(name)) in {NAME, CODE}] or _columns_of_units(
        frame
    ):
        texts = frame[column].map(name_text)
        known = {text: present.get(comparable(text), text) for text in texts.unique()}
        if renamed := ", ".join([text for text, now in known.items() if now != text][:8]):
            rows.append(
                ("", "", "", f"column {column!r}", renamed, "called by their present code or name: the layout says so")
            )
        if listed is not None and (codes := _look_up(listed, known, column)):
            known = codes
            rows.append(
                (
                    "",
                    "",
                    "",
                    f"column {column!r}",
                    "codes of the list",
                    f"{len(codes)} units are looked up in {listed.file}",
                )
            )
        frame[column] = texts.map(known)
    decided = pd.concat([table.decisions, pd.DataFrame(rows, columns=DECISION_COLUMNS)], ignore_index=True)
    return replace(table, frame=frame, decisions=decided)


def _look_up(listed: OwnDivisions, known: Mapping[str, str], column: object) -> dict[str, str]:
    """Return the code in a list of every unit of a column; none where no unit is in it: the column holds something else."""
    found = {text: listed.find(now, now) for text, now in known.items()}
    wrong = [why for why in found.values() if isinstance(why, str)]
    if wrong and len(wrong) < len(found):
        raise ReadingError(
            f"{len(wrong)} units of {column!r} cannot be looked up: {'; '.join(wrong[:4])}. Expected units of the list, or another list in "
            "'divisions' of the layout."
        )
    return {text: division.code for text, division in found.items() if not isinstance(division, str)}


def is_plainly_tidy(path: Path) -> bool:
    """Return whether the beginning of a large csv shows a tidy table of units that are no counties of China, to read it once."""
    if path.suffix.lower() != ".csv" or not path.is_file() or path.stat().st_size < _LARGE:
        return False
    with path.open("rb") as stream:
        lines = stream.read(_LARGE).splitlines()[:-1]
    try:
        rows = list(csv.reader(line.decode("utf-8-sig") for line in lines[:_TITLES]))
    except (UnicodeDecodeError, csv.Error):
        return False
    grid = Grid(path.name, "", make_cells(rows))
    return is_tidy(grid) and decide_units([grid.cells])[0] != COUNTIES


_LARGE = 1 << 19


def _checked(table: TidyTable, path: Path) -> TidyTable:
    if table.frame.empty:
        message = f"{readable_name(path.name)} has no rows. Expected a row of column names and at least one below it."
        raise fault(path, message, found="no rows", expected="a header and rows")
    return table


def _plain_csv(path: Path) -> pd.DataFrame | None:
    """Read the texts of csv as it mostly is, in UTF-8 with commas; None when it is not."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", pd.errors.ParserWarning)
            text = in_western_digits(path.read_text(encoding="utf-8-sig"))
            raw = pd.read_csv(io.StringIO(text), dtype=str, keep_default_na=False, na_filter=False, index_col=False)
    except (ValueError, pd.errors.ParserWarning):  # not UTF-8, or rows of unlike length
        return None
    names = [str(name) for name in raw.columns if not str(name).startswith("Unnamed: ")]
    twice = any(name.rpartition(".")[2].isdigit() and name.rpartition(".")[0] in names for name in names)
    plain_names = len(names) == raw.shape[1] > 1 and not twice and names[0][:1] != "#" and ";" not in names[0]
    return raw if plain_names else None


def _from_data_file(path: Path, table: str, facts: FileFacts) -> TidyTable:
    found = open_data_file(path, table)
    name = readable_name(path.name)
    typed = _typed(found.frame, facts, (name, ""))
    rows = [(name, "", "", "file", "read", f"it is {found.kind}")]
    rows += [
        (name, "", "", f"column {column!r}", text, "the label in the file") for column, text in found.labels.items()
    ]
    decisions = pd.concat([pd.DataFrame(rows, columns=DECISION_COLUMNS), typed.decisions], ignore_index=True)
    return TidyTable(typed.frame, decisions, 1, typed.left_out, dict(found.labels))


def _from_grid(path: Path, sheet: str | None, options: Mapping[str, Any], facts: FileFacts) -> TidyTable:
    grids = open_grids(path, sheet, **options)
    grid = replace(grids[0], cells=cells_in_western_digits(grids[0].cells))
    top = _header_row(grid.cells)
    header = ["" if cell is None else str(cell).strip() for cell in grid.cells[top]]
    named = [place for place, name in enumerate(header) if name]
    names = [header[place] for place in named]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        message = f"{grid.file}: several columns are named {', '.join(twice)}. Expected a name of its own for each."
        raise fault(path, message, found="columns of one name", expected="unlike names", sheet=grid.sheet)
    raw = pd.DataFrame({header[place]: pd.Series(grid.cells[top + 1 :, place], dtype=object) for place in named})
    filled = raw.map(lambda cell: cell is not None and (not isinstance(cell, str) or bool(cell.strip()))).any(axis=1)
    facts = replace(facts, separator=grid.separator)
    typed = _typed(raw[filled] if len(raw.columns) else raw, facts, (grid.file, grid.sheet), top + 2)
    rows = [
        (grid.file, grid.sheet, f"A{top + 1}", "header", f"row {top + 1}", "the rows above it hold one text each")
    ] * (top > 0)
    rows += [(grid.file, grid.sheet, "", "opening", note, "found while the file was opened") for note in grid.notes]
    rows += [
        (other.file, other.sheet, "", "sheet", "not read", "a tidy panel is the first sheet; --sheet names another")
        for other in grids[1:]
    ]
    decisions = pd.concat([pd.DataFrame(rows, columns=DECISION_COLUMNS), typed.decisions], ignore_index=True)
    return TidyTable(typed.frame, decisions, top + 2, typed.left_out)


def _header_row(cells: np.ndarray) -> int:
    """Return the row of the names: the first, or the first below titles and comments, which are one text each."""
    filled = [sum(value is not None for value in row) for row in cells[:_TITLES]]
    wide = cells.shape[1] > 2
    return next((at for at, count in enumerate(filled) if count > 1), 0) if wide else 0


_TITLES = 20


def _no_observations(raw: pd.DataFrame) -> pd.Series:
    """Return why rows are no observations: notes (one text in the first column and nothing else), or the header again."""
    why = pd.Series("", index=raw.index)
    if raw.shape[1] > 2:
        for reason, others in (("a note: one text and nothing else", None), ("the header again", raw.columns)):
            first = raw.columns[0]
            hit = raw[first].eq(first) if others is not None else pd.Series(True, index=raw.index)
            for column in raw.columns[1:]:
                if hit.any():
                    hit &= raw[column].eq(column) if others is not None else raw[column].isna() | raw[column].eq("")
            why = why.mask(hit, reason)
    return why


def _typed(raw: pd.DataFrame, facts: FileFacts, where: tuple[str, str], first_line: int = 2) -> TidyTable:
    """Read every column in its type; leave out notes, headers that stand again, units that are totals, and parts of a total."""
    why = _no_observations(raw)
    no_data = why[why != ""]
    texts = raw.loc[no_data.index].iloc[:, :1].to_numpy().ravel()
    left: list[tuple[object, ...]] = [
        (*where, int(str(row)) + first_line, "", str(text), reason)
        for (row, reason), text in zip(no_data.items(), texts, strict=True)
    ]
    frame, said = type_columns(raw[why == ""], facts)
    rows = [
        (*where, f"A{int(str(found.index[0])) + first_line}", f"{len(found)} rows", "left out", reason)
        for reason, found in no_data.groupby(no_data)
    ]
    rows += [(*where, "", f"column {column!r}", decided, because) for column, decided, because in said]
    for column in _columns_of_units(frame):
        totals = totals_by_name(frame[column].dropna().unique())
        is_total = frame[column].isin(list(totals))
        others = frame.loc[~is_total, column].nunique()
        if is_total.any() and others >= min(2, FEW):
            shown = {int(str(row)): str(value) for row, value in frame.loc[is_total, column].items()}
            left += [(*where, row + first_line, "", name, totals[name]) for row, name in shown.items()]
            rows += [(*where, "", f"unit {name!r}", "left out", totals[name]) for name in dict.fromkeys(shown.values())]
            frame = frame[~is_total]
    for column, total in _breakdowns(frame).items():
        parts = ", ".join(map(repr, [name for name in frame[column].dropna().unique() if name != total][:4]))
        rows.append(
            (*where, "", f"column {column!r}", f"rows of {total!r} alone", f"it breaks totals down; left out: {parts}")
        )
        frame = frame[frame[column] == total]
    left_out = pd.DataFrame(left, columns=LEFT_OUT_COLUMNS).astype({"row": "Int64"})
    return TidyTable(frame.reset_index(drop=True), pd.DataFrame(rows, columns=DECISION_COLUMNS), 2, left_out)


def _columns_of_units(frame: pd.DataFrame) -> list[str]:
    """The columns of names and codes by their headers, else the first column of texts."""
    texts = [
        column
        for column in frame.columns
        if not pd.api.types.is_numeric_dtype(frame[column])
        and frame[column].map(lambda value: isinstance(value, str)).any()
    ]
    roles = {column: find_role(plain(column)) for column in texts}
    named = [column for column in texts if roles[column] in {NAME, CODE}]
    return list(dict.fromkeys([*named, *(texts[:1] if NAME not in roles.values() else [])]))


def _breakdowns(frame: pd.DataFrame) -> dict[str, str]:
    """Return the columns (sex, age) whose values are one total and its parts, each about as often, with the total."""
    found = {}
    units = _columns_of_units(frame)
    for column in frame.columns.drop(units):
        if (
            pd.api.types.is_numeric_dtype(frame[column])
            or len(counts := frame[column].value_counts().head(_PARTS + 1)) > _PARTS
        ):
            continue
        totals = [name for name in counts.index if is_total_word(name)]
        if len(totals) == 1 and len(counts) > 1 and 2 * counts.min() >= counts.max():
            found[str(column)] = str(totals[0])
    return found


_PARTS = 30
