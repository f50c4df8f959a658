"""What kind of file is this? A tidy panel, a table of counties, a roster; or records and matrices, which are counted first."""

from __future__ import annotations

from pathlib import Path

from evalaid.base.errors import EvalaidError, ReadingError
from evalaid.base.names import START, UNIT
from evalaid.reading.files.data_files import split_source
from evalaid.reading.files.endings import DATA_FILES, KINDS
from evalaid.reading.files.snapshot import readable_name
from evalaid.reading.journal.layouts import FileLayout
from evalaid.reading.records.record_columns import find_record_columns, plain_name
from evalaid.reading.records.tallies import county_number
from evalaid.reading.tables.tables import LayoutError
from evalaid.reading.tables.tidy import is_plainly_tidy, read_tidy
from evalaid.study.inspection.office_roster import RosterInspection, inspect_roster, name_columns
from evalaid.study.inspection.office_table import TableInspection, inspect_table, refuse
from evalaid.study.inspection.tidy_panel import Inspection, inspect_file

_MATRIX = (
    "{file} looks like an origin-destination matrix. Make counts of it first, in Python: "
    "evalaid.count_matrix('{file}', base='residents').frame.to_csv('counts.csv', index=False), with the base whose episodes they are "
    "(residents, registered, insured), and period= where no column says it; then check counts.csv."
)
_RECORDS = (
    "{file} looks like discharge records, one row per episode. Count them first, in Python: "
    "evalaid.count_records('{file}', base='residents').frame.to_csv('counts.csv', index=False), with the base whose episodes they are "
    "(residents, registered, insured), and the file of hospitals where records name hospitals by code; then check counts.csv."
)


def inspect_any(
    path: Path,
    *,
    layout: Path | FileLayout | None = None,
    sheet: str | None = None,
    encoding: str | None = None,
    **named: str | None,
) -> Inspection | TableInspection | RosterInspection:
    """Inspect a file as a tidy panel, a table of counties or a roster, whichever it is.

    A file whose columns or encoding are named is taken as a tidy panel; one with a layout as a table. Otherwise it is a table
    when counties are found in it, and a roster when it has dates of partnerships and no figures.

    Parameters
    ----------
    path : Path
    layout : Path or FileLayout, optional
        FileLayout of a table.
    sheet : str, optional
    encoding : str, optional
        Of a text file of a tidy panel; default: detected.
    **named
        As in `inspect_file`.

    Returns
    -------
    Inspection, TableInspection or RosterInspection

    Raises
    ------
    EvalaidError
        If the file cannot be read, or a needed column is not clear.
    """
    given = {name: value for name, value in named.items() if value is not None}
    layout = FileLayout.read(layout) if isinstance(layout, Path) else layout
    undecided = layout is None or layout.open
    if START in given:
        units = FileLayout(units="as_written")
        named_roster = inspect_roster(path, layout=name_columns(path, given.get(UNIT), given[START], units))
        if named_roster is None:
            raise ReadingError(f"{readable_name(path.name)} holds no dates in {given[START]!r}: it is no roster.")
        return named_roster
    alone = undecided and not given and encoding is None and sheet is None
    try:
        found = _as_panel(path, layout, sheet, encoding, given)
    except EvalaidError:
        roster = inspect_roster(path, layout=layout) if alone else None
        if roster is not None:
            return roster
        if advice := _advise(path):
            raise ReadingError(advice) from None
        raise
    if found.panel is not None:
        return found
    roster = inspect_roster(path, layout=layout) if alone or layout is not None else None
    if roster is not None and _holds_no_figures(found):
        return roster
    if advice := _advise(path):
        raise ReadingError(advice)
    return found


def _as_panel(
    path: Path, layout: FileLayout | None, sheet: str | None, encoding: str | None, given: dict[str, str]
) -> Inspection | TableInspection:
    def tidy() -> Inspection:
        return inspect_file(path, sheet=sheet, encoding=encoding, layout=layout, **given)

    undecided = layout is None or layout.open
    named = bool(given) or bool(encoding) or (layout is not None and layout.tidy is True)
    if undecided and (named or is_plainly_tidy(path) or split_source(path)[0].suffix.lower() in DATA_FILES):
        return tidy()
    try:
        return inspect_table(path, layout=layout, sheet=sheet)
    except LayoutError as error:
        refused = error
    except ReadingError:
        if not undecided or path.suffix.lower() not in KINDS:
            raise
        return tidy()
    if undecided and (not refused.n_units or refused.layout.units != "counties"):  # perhaps a tidy panel of other units
        try:
            return tidy()
        except EvalaidError as error:
            if _in_plain_words(refused.layout):
                raise
            return refuse(path, refused, f"{refused}\nAs a tidy panel: {error}")
    return refuse(path, refused, str(refused))


def _holds_no_figures(found: Inspection | TableInspection) -> bool:
    return isinstance(found, TableInspection) and found.reading is None


def _in_plain_words(layout: FileLayout) -> bool:
    """Check whether no header holds anything but ASCII or a period and the header is the first row, as in a tidy file."""
    return not any(column.period for table in layout.tables for column in table.columns) and all(
        table.header_rows in (None, (1, 1)) and all(column.header.isascii() for column in table.columns)
        for table in layout.tables
    )


def _advise(path: Path) -> str:
    """Return what to do with a file of records, or with a matrix of counts; empty for any other."""
    from evalaid.reading.records.matrix import COUNT_COLUMNS

    if path.suffix.lower() not in KINDS:
        return ""
    try:
        columns = list(map(str, read_tidy(path).frame.columns))
    except (EvalaidError, OSError):
        return ""
    found, several = find_record_columns(columns, "residents")
    roles = {*found, *several}
    codes = sum(county_number(name) is not None for name in columns)
    counted = any(plain_name(name) in COUNT_COLUMNS for name in columns)
    if "residence" in roles and (codes > 1 or ("hospital_county" in roles and counted)):
        return _MATRIX.format(file=readable_name(path.name))
    if "residence" in roles and roles & {"discharge", "admission"}:
        return _RECORDS.format(file=readable_name(path.name))
    return ""
