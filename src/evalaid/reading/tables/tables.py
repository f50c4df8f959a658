"""A table as an office sends it, read as a long frame with the origin of every value: `read_table`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd

from evalaid.base.errors import ReadingError
from evalaid.base.names import CODE, NAME
from evalaid.base.periods import labels
from evalaid.base.texts import counted
from evalaid.reading.files.cells import cell_place, column_number
from evalaid.reading.files.digits import cells_in_western_digits
from evalaid.reading.files.endings import TEXTS, WORKBOOKS
from evalaid.reading.files.grids import Grid, open_grids
from evalaid.reading.files.snapshot import FAULT_COLUMNS
from evalaid.reading.journal.decisions import (
    DECISION_COLUMNS,
    LEFT_OUT_COLUMNS,
    Decision,
    Fault,
    Journal,
    LeftOut,
    fault_of,
    leave,
    tabulate,
)
from evalaid.reading.journal.layouts import FileLayout, TableLayout
from evalaid.reading.places.own_divisions import OwnDivision, OwnDivisions
from evalaid.reading.places.whose_units import COUNTIES, decide_units
from evalaid.reading.tables import cumulative, panels
from evalaid.reading.tables.column_roles import is_value
from evalaid.reading.tables.detection import Detected, detect, is_tidy, refuse_tidy
from evalaid.reading.tables.sheet_areas import SheetArea, split_sheet
from evalaid.reading.tables.sheet_values import RECORD_COLUMNS, read_figures
from evalaid.reading.tables.table_rows import read_rows
from evalaid.reading.values.comparable_names import comparable
from evalaid.reading.values.successions import find_successions
from evalaid.reading.values.total_words import find_totals

SHOWN, EXAMPLES = 8, 3
"""How many kinds of faults a message spells out, and how many of each where there are many; ``rows`` of the error has all of them."""


@dataclass(frozen=True)
class Reading:
    """Hold what was read from one or several files.

    Parameters
    ----------
    frame : pandas.DataFrame
        One row for each unit and period: ``unit`` (code), ``name``, ``period``, ``inside``, ``outside``, ``total``, ``share`` (a
        fraction) and other variables as far as they are there; ``cumulative`` (whether a figure was differenced); ``file``,
        ``sheet``, ``row`` of its first figure, and for each variable ``<variable>_cell``.
    origins : pandas.DataFrame
        One row for each figure behind the frame: ``unit``, ``period``, ``variable``, ``text`` (as written), ``file``, ``sheet``,
        ``row``, ``cell``, ``part`` ("value", or "subtracted" for the earlier of two cumulative counts).
    decisions : pandas.DataFrame
        Everything that was decided: ``file``, ``sheet``, ``cell``, ``what``, ``decided``, ``because``.
    left_out : pandas.DataFrame
        Rows and figures that are not in the frame: ``file``, ``sheet``, ``row``, ``cell``, ``value``, ``reason``.
    faults : pandas.DataFrame
        What a person should look at although the files could be read (shares that differ from their counts, cumulative counts
        that fall): ``file``, ``sheet``, ``row``, ``cell``, ``value``, ``fault``, ``expected``.
    layout : FileLayout
        The layout that was used, complete; it reads the same files to the same frame.
    files : dict
        sha256 of every file by its name.
    """

    frame: pd.DataFrame
    origins: pd.DataFrame
    decisions: pd.DataFrame
    left_out: pd.DataFrame
    faults: pd.DataFrame
    layout: FileLayout
    files: dict[str, str]


class LayoutError(ReadingError):
    """Tables that cannot be read as they stand.

    ``layout`` is what was detected so far, for a person to complete; ``decisions`` and ``left_out`` are as in `Reading`;
    ``n_units`` says how many counties were found all the same.
    """

    def __init__(
        self,
        message: str,
        rows: pd.DataFrame,
        layout: FileLayout,
        decisions: pd.DataFrame,
        left_out: pd.DataFrame,
        n_units: int,
    ) -> None:
        super().__init__(message, rows)
        self.layout = layout
        self.decisions = decisions
        self.left_out = left_out
        self.n_units = n_units


def read_table(path: Path | str, layout: FileLayout | Path | str | None = None, *, sheet: str | None = None) -> Reading:
    r"""Read a table of counties and periods from a file as it was sent.

    Assumes one table per sheet: headers in one or more rows, above them titles and notes, below them rows of counties, mixed with
    totals. What the headers, the notes and the figures tell is detected and noted; what they leave open stops the reading with
    the line of the layout that settles it.

    Parameters
    ----------
    path : Path or str
        A workbook (xlsx, xlsm, xls, ods; every sheet with a table is read) or a text file (csv, tsv, txt), or a folder of them.
    layout : FileLayout, Path or str, optional
        What is known about the file, or the YAML file that says it. Default: everything is detected.
    sheet : str, optional
        The only sheet of a workbook that is read. Default: every sheet with a value.

    Returns
    -------
    Reading
        The long frame, with every decision, everything that was left out and everything to look at.

    Raises
    ------
    ReadingError
        When the file cannot be opened, or with all faults of all its sheets at once: ``rows`` has the columns file, sheet, row,
        cell, value, fault, expected, and ``layout`` what was detected.

    Examples
    --------
    >>> import tempfile
    >>> text = "县区,2019年,,2020年,\n,住院总人次,县域内住院率(%),住院总人次,县域内住院率(%)\n连南县,9800,71.2,9900,72.9\n合计,9800,71.2,9900,72.9\n"
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = Path(folder) / "county.csv"
    ...     _ = file.write_text(text, encoding="gb18030")
    ...     reading = read_table(file)
    >>> reading.frame[["unit", "name", "period", "total", "share"]].values.tolist()
    [['441826', '连南瑶族自治县', 2019, 9800.0, 0.712], ['441826', '连南瑶族自治县', 2020, 9900.0, 0.729]]
    >>> reading.left_out["reason"].tolist()
    ['a total or average, by its name']
    """
    path = Path(path)
    return read_tables(_list_files(path) if path.is_dir() else [path], layout, sheet=sheet)


def read_tables(
    paths: Iterable[Path | str], layout: FileLayout | Path | str | None = None, *, sheet: str | None = None
) -> Reading:
    """Read the tables of several files (one per year, for example) into one frame.

    Assumes that the files belong to one panel: a unit and period that stands in several of them is one figure.

    Parameters
    ----------
    paths : iterable of Path or str
        Files.
    layout, sheet : optional
        As in `read_table`.

    Returns
    -------
    Reading

    Raises
    ------
    ReadingError
        As `read_table`, with the faults of all files.

    Examples
    --------
    See `read_table`.
    """
    asked = layout if isinstance(layout, FileLayout) else FileLayout() if layout is None else FileLayout.read(layout)
    grids = [grid for path in paths for grid in open_grids(path, sheet, **asked.text_options(Path(path).name))]
    grids = [replace(grid, cells=cells_in_western_digits(grid.cells)) for grid in grids]
    given, grids = with_units(asked, grids)
    sheets = [sheet for grid in grids for sheet in _read_grid(grid, given, stated=asked.units == given.units)]
    result = _with_present_units(_in_divisions(_Result.of(sheets), given), given.former)
    complete = replace(given, tables=tuple(sheet.table for sheet in sheets))
    unused = [table for table in given.tables if not any(_fits(table, grid) for grid in grids)]
    result.faults += [
        Fault(
            table.file or "",
            table.sheet or "",
            None,
            "",
            "",
            "the layout describes a sheet that is not there",
            f"one of {', '.join(f'{grid.file} {grid.sheet}'.strip() for grid in grids)}",
        )
        for table in unused
    ]
    return _assemble(result, complete, {grid.file: grid.sha256 for grid in grids})


@dataclass(frozen=True)
class _Sheet:
    table: TableLayout
    records: pd.DataFrame
    timeless: pd.DataFrame
    journal: Journal
    units: frozenset[str] = frozenset()


@dataclass
class _Result:
    records: pd.DataFrame
    timeless: pd.DataFrame
    decisions: list[Decision]
    faults: list[Fault]
    left_out: list[LeftOut]
    n_units: int

    @classmethod
    def of(cls, sheets: Sequence[_Sheet]) -> _Result:
        return cls(
            _join([sheet.records for sheet in sheets]),
            _join([sheet.timeless for sheet in sheets]),
            [entry for sheet in sheets for entry in sheet.journal.decisions],
            [entry for sheet in sheets for entry in sheet.journal.faults],
            [entry for sheet in sheets for entry in sheet.journal.left_out],
            len({unit for sheet in sheets for unit in sheet.units}),
        )


def _join(parts: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Put records of several sheets together; an edition that no sheet names leaves a column of objects."""
    filled = [part for part in parts if len(part)]
    if not filled:
        return pd.DataFrame(columns=RECORD_COLUMNS)
    return pd.concat(filled, ignore_index=True).astype({"value": float, "resolution": float})


def with_units(given: FileLayout, grids: list[Grid]) -> tuple[FileLayout, list[Grid]]:
    """Take units as they are written where nothing in the files is Chinese, and note it."""
    if given.units != COUNTIES or given.within is not None:
        return given, grids
    units, because = decide_units(grid.cells for grid in grids)
    if units == COUNTIES:
        return given, grids
    note = f"Units are taken as they are written: {because}."
    return replace(given, units=units), [replace(grids[0], notes=(*grids[0].notes, note)), *grids[1:]]


def _list_files(folder: Path) -> list[Path]:
    files = sorted(
        path
        for path in folder.iterdir()
        if path.suffix.lower() in WORKBOOKS | TEXTS and not path.name.startswith(("~$", "."))
    )
    if not files:
        raise ReadingError(
            f"The folder {folder.name} holds no table: expected files that end in {', '.join(sorted(WORKBOOKS | TEXTS))}."
        )
    return files


def _fits(table: TableLayout, grid: Grid) -> bool:
    return table.file in (None, grid.file) and table.sheet in (None, grid.sheet)


def _read_grid(grid: Grid, layout: FileLayout, *, stated: bool) -> list[_Sheet]:
    """Read the tables of a sheet; a tidy table of units of anywhere is no office table, whatever its size."""
    if stated or layout.tables or not is_tidy(grid):
        return [_read_part(part, layout) for part in split_sheet(grid, layout)]
    journal = Journal(grid)
    for note in grid.notes:
        journal.decide("", "opening", note, "found while the file was opened")
    refuse_tidy(journal)
    nothing = pd.DataFrame(columns=RECORD_COLUMNS)
    return [_Sheet(TableLayout(file=grid.file, sheet=grid.sheet, header_rows=(1, 1)), nothing, nothing, journal)]


def _read_part(part: SheetArea, layout: FileLayout) -> _Sheet:
    grid, given = part.grid, part.table
    journal = Journal(grid, reckoning=layout.reckoning)
    for note in grid.notes:
        journal.decide("", "opening", note, "found while the file was opened")
    if given is not None and given.area:
        journal.decide(
            given.area, "one of several tables on the sheet", given.area, part.because or "the layout says so"
        )
    nothing = pd.DataFrame(columns=RECORD_COLUMNS)
    if given is not None and not given.read:
        journal.decide("", "sheet", "not read", "the layout says so")
        return _Sheet(replace(given, file=grid.file, sheet=grid.sheet), nothing, nothing, journal)
    detected = detect(given, journal, layout)
    if detected is None:
        table = replace(given or TableLayout(), file=grid.file, sheet=grid.sheet, read=bool(journal.faults))
        return _Sheet(table, nothing, nothing, journal)
    if given is not None and given.area and not _within(detected, given):
        journal.fault(
            None,
            given.area,
            "",
            f"the table that was found (rows {detected.block.header[0] + 1} to {detected.block.data[1] + 1}) is not within its area",
            "an area from the first row of the header to the last row of data",
        )
        return _Sheet(detected.table, nothing, nothing, journal)
    roles: dict[str, list[int]] = {}
    for column in detected.table.columns:
        if not is_value(column.read):
            roles.setdefault(column.read, []).append(column_number(column.column))
    across = bool(detected.placed)
    if bool({NAME, CODE} & roles.keys()) == across:
        return _Sheet(detected.table, nothing, nothing, journal)
    rows = read_rows(
        detected.block,
        detected.table,
        roles,
        journal,
        year=detected.year,
        within=layout.within,
        units=layout.units,
        across=across,
    )
    records, timeless, table = read_figures(detected, rows, journal)
    return _Sheet(table, records, timeless, journal, frozenset(records["unit"]) | frozenset(timeless["unit"]))


def _within(detected: Detected, given: TableLayout) -> bool:
    """Return whether a table lies in the rows of its area; a header that the layout names may stand above it."""
    (top, _), (bottom, _) = (cell_place(corner) for corner in str(given.area).split(":"))
    return (given.header_rows is not None or detected.block.header[0] >= top) and detected.block.data[1] <= bottom


def _assemble(result: _Result, layout: FileLayout, files: dict[str, str]) -> Reading:
    """Turn the records of all sheets into the frame; every step notes what it decides, finds and leaves out."""
    records = result.records
    notes: list[Fault] = []
    if len(records):
        records, kept, left = panels.keep_last_editions(records)
        result.faults += kept
        result.left_out += left
        unsaid = records[cumulative.is_open(records)]
        open_tables = set(zip(unsaid["file"], unsaid["sheet"], strict=True))
        records, decisions, faults = cumulative.settle(records)
        result.decisions += decisions
        result.faults += faults
        layout = layout if faults else _with_answers(layout, open_tables)
        notes += panels.check_shares(records)
        source = records
        differenced = cumulative.difference(records, layout.periods, layout.decreases)
        records = differenced.records
        notes += differenced.falls
        result.faults += differenced.faults
        result.decisions += differenced.decisions
        result.left_out += differenced.left_out
        records, left = _prefer_own(records)
        result.left_out += left
        kind = ""
        if len(records):
            every = records
            kind, records, decisions, faults, left = panels.choose_kind(every, layout.periods)
            notes += panels.check_sums(records, every.drop(index=records.index), kind) if kind else []
            result.decisions += decisions
            result.faults += faults
            result.left_out += left
            layout = replace(layout, periods=kind or layout.periods)
    if not len(records) and not result.faults:
        result.faults.append(
            Fault("", "", None, "", "", "no figure was found", "a table with a figure for each county and period")
        )
    if result.faults:
        raise _error(result, layout)
    records = records.assign(origin=_origin(records, source))
    frame, decisions = panels.spread(records, result.timeless, kind)
    result.decisions += decisions
    origins = _origins(records, source, kind)
    if layout.units != COUNTIES:
        frame, origins = _without_totals(frame, origins, result)
        result.faults += _ask_for_successors(frame, layout)
        if result.faults:
            raise _error(result, layout)
    return Reading(
        frame,
        origins,
        tabulate(result.decisions, DECISION_COLUMNS),
        tabulate(result.left_out, LEFT_OUT_COLUMNS),
        tabulate(notes, FAULT_COLUMNS),
        layout,
        files,
    )


def _without_totals(frame: pd.DataFrame, origins: pd.DataFrame, result: _Result) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Leave out units whose codes or figures show that they are totals of the others, and record it."""
    totals = find_totals(frame, "unit", "period", [str(name) for name in frame if f"{name}_cell" in frame])
    row: Any
    for row in frame[frame["unit"].isin(list(totals))].drop_duplicates("unit").itertuples(index=False):
        result.left_out.append(LeftOut(row.file, row.sheet, int(row.row), "", row.name, totals[row.unit]))
        result.decisions.append(Decision("", "", "", f"unit {row.unit!r}", "left out", totals[row.unit]))
    kept = [~table["unit"].isin(list(totals)) for table in (frame, origins)]
    return frame[kept[0]].reset_index(drop=True), origins[kept[1]].reset_index(drop=True)


def _in_divisions(result: _Result, layout: FileLayout) -> _Result:
    """Call units by the codes and names of the list of divisions that the layout names."""
    if layout.divisions is None:
        return result
    listed = OwnDivisions.read(layout.divisions)
    expected = "a unit of the list, the row in leave_out, or another list in 'divisions' of the layout"
    known: dict[tuple[str, str], OwnDivision | str] = {}
    for table in (result.records, result.timeless):
        for at, unit, name in zip(table.index, table["unit"], table["name"], strict=True):
            if (unit, name) not in known:
                known[unit, name] = listed.find(unit, name)
                if isinstance(why := known[unit, name], str):
                    result.faults.append(fault_of(table.loc[at], why, expected))
            if isinstance(found := known[unit, name], OwnDivision):
                table.loc[at, ["unit", "name"]] = [found.code, found.name]
    because = f"{len(known)} units are looked up in {listed.file}"
    result.decisions.append(Decision("", "", "", "units", "codes of the list", because))
    return result


def _with_present_units(result: _Result, former: Mapping[str, str] | None) -> _Result:
    """Call units by their present codes or names, as the layout states them."""
    if not former:
        return result
    present = {comparable(old): new for old, new in former.items()}
    for table in (result.records, result.timeless):
        was = table["unit"].map(comparable).isin(list(present))
        names = {comparable(unit): name for unit, name in zip(table["unit"], table["name"], strict=True)}
        now = [present[comparable(unit)] for unit in table.loc[was, "unit"]]
        table.loc[was, "unit"] = now
        table.loc[was, "name"] = [names.get(comparable(unit), unit) for unit in now]
    because = f"{len(former)} units are called by their present code or name: the layout says so"
    result.decisions.append(Decision("", "", "", "former units", ", ".join(list(former)[:8]), because))
    return result


def _ask_for_successors(frame: pd.DataFrame, layout: FileLayout) -> list[Fault]:
    """Ask whether units that end are those that begin, once as many end as begin."""
    if layout.former is not None:
        return []
    variables = [str(name) for name in frame if f"{name}_cell" in frame]
    found = find_successions(frame, "unit", "period", variables, names="name")
    faults = []
    for one in found:
        pairs = ", ".join(f"{old!r}: {new!r}" for old, new in one.pairs.items())
        row = frame[frame["unit"] == next(iter(one.pairs))].iloc[-1]
        expected = f"a line 'former: {{{pairs}}}' in the layout, or 'former: {{}}' when they are other units"
        faults.append(Fault(row["file"], row["sheet"], int(row["row"]), "", str(row["name"]), one.text(), expected))
    return faults


def _with_answers(layout: FileLayout, open_tables: set[tuple[str, str]]) -> FileLayout:
    """Write into the layout that the figures of these sheets are of each period alone, as their counts show."""
    tables = tuple(
        replace(table, cumulative=False)
        if (table.file, table.sheet) in open_tables and table.cumulative is None
        else table
        for table in layout.tables
    )
    return replace(layout, tables=tables)


def _prefer_own(records: pd.DataFrame) -> tuple[pd.DataFrame, list[LeftOut]]:
    """Where a period has a figure of its own beside the difference of two cumulative ones, keep its own."""
    ordered = records.sort_values("was_cumulative", kind="stable")
    twice = ordered.duplicated(["unit", "variable", "first", "last"])
    left = [leave(row, "a cumulative figure beside the period's own") for row in ordered[twice].itertuples()]
    return ordered[~twice].sort_index(), left


def _origin(records: pd.DataFrame, source: pd.DataFrame) -> pd.Series:
    """Return the name of the cell of every figure; of a difference both cells."""
    minus = source.reindex(records["minus"].where(records["minus"] >= 0))
    place = minus["cell"].to_numpy(dtype=object)
    other = (minus[["file", "sheet"]].to_numpy() != records[["file", "sheet"]].to_numpy()).any(axis=1)
    names = [
        cell if minus_row < 0 else f"{cell}-{f'{sheet or file}!' if elsewhere else ''}{before}"
        for cell, minus_row, before, elsewhere, sheet, file in zip(
            records["cell"], records["minus"], place, other, minus["sheet"], minus["file"], strict=True
        )
    ]
    return pd.Series(names, index=records.index, dtype=object)


def _origins(records: pd.DataFrame, source: pd.DataFrame, kind: str) -> pd.DataFrame:
    """List every figure behind the frame with its cell, the subtracted ones too."""
    columns = ["unit", "period", "variable", "text", "file", "sheet", "row", "cell"]
    named = records.assign(
        period=records["ordinal"] if kind == "year" else labels(kind, records["ordinal"]), part="value"
    )
    taken = named[named["minus"] >= 0]
    before = source.loc[taken["minus"], ["text", "file", "sheet", "row", "cell"]].set_axis(taken.index)
    subtracted = taken[["unit", "period", "variable"]].join(before).assign(part="subtracted")
    both = pd.concat([named[[*columns, "part"]], subtracted[[*columns, "part"]]])
    return both.sort_values(["unit", "period", "variable"], kind="stable").reset_index(drop=True)


def _error(result: _Result, layout: FileLayout) -> LayoutError:
    return LayoutError(
        describe_faults(result.faults, "tables"),
        tabulate(result.faults, FAULT_COLUMNS),
        layout,
        tabulate(result.decisions, DECISION_COLUMNS),
        tabulate(result.left_out, LEFT_OUT_COLUMNS),
        result.n_units,
    )


def describe_faults(faults: Sequence[Fault], what: str) -> str:
    """Return what is wrong, each fault with its place and what was expected; many of one kind as their count and three examples."""
    count = len(faults)
    lines = [f"The {what} cannot be read as they stand: {counted(count, 'fault')}."]
    kinds: dict[tuple[str, str], list[Fault]] = {}
    for fault in faults:
        kinds.setdefault((fault.file, fault.expected), []).append(fault)
    for alike in list(kinds.values())[:SHOWN]:
        shown = alike if count <= SHOWN else alike[:EXAMPLES]
        if len(shown) < len(alike):
            lines.append(f"- {len(alike)} faults of one kind. Expected {alike[0].expected}. The first {len(shown)}:")
        for fault in shown:
            cell = fault.cell or (f"row {fault.row}" if fault.row else "")
            place = " ".join(part for part in (fault.file, fault.sheet, cell) if part)
            alone = len(shown) == len(alike)
            lines.append(
                f"- {place}: {fault.fault}. Expected {fault.expected}."
                if alone
                else f"    {place} {fault.value!r}: {fault.fault}"
            )
    if len(kinds) > SHOWN:
        lines.append(f"... and {sum(map(len, list(kinds.values())[SHOWN:]))} more.")
    return "\n".join(lines)
