"""The words around a table of an office: its titles and notes, which name what its figures are."""

from __future__ import annotations

import re
from pathlib import Path

import pandas as pd

from evalaid.reading.files.grids import open_grids
from evalaid.reading.journal.layouts import FileLayout
from evalaid.reading.values.measures import measure_of

_NUMBERED = re.compile(r"^(?:table|tabelle|tableau|tabla|tabela|tabella|표|表)\s*[\w.-]*\s*[:：.]\s*", re.IGNORECASE)
_ENDING = re.compile(
    r",?\s+(?:by|nach|par|por|per)\s+(?:local authority|county|district|municipality|state|kreisen?|munic[ií]pio|d[ée]partement)\b.*$|,\s*\d{4}.*$",
    re.IGNORECASE,
)


def read_headings(path: Path, layout: FileLayout) -> tuple[str, ...]:
    """Return the texts above and below the tables of a file, in their order; none of a folder."""
    if path.is_dir():
        return ()
    found: list[str] = []
    for grid in open_grids(path, **layout.text_options(path.name)):
        table = layout.find(grid.file, grid.sheet)
        if table is None or not table.read or table.header_rows is None:
            continue
        last = table.data_rows[1] if table.data_rows is not None else len(grid.cells)
        for row in (*grid.cells[: table.header_rows[0] - 1], *grid.cells[last:]):
            found += [" ".join(cell.split()) for cell in row if isinstance(cell, str) and cell.strip()]
    return tuple(dict.fromkeys(found))


def title_of(headings: tuple[str, ...], decisions: pd.DataFrame) -> str:
    """Return the title that names the variable, as reading decided, else the first; without its number and its "by county".

    Examples
    --------
    >>> title_of(("Table 1: Emergency admissions, by local authority, 2012/13 to 2019/20",), pd.DataFrame({"because": []}))
    'Emergency admissions'
    """
    named = decisions["because"].astype(str).str.extract(r"the title is '([^']+)'", expand=False).dropna()
    wanted = re.sub(r"\s", "", named.iloc[0]) if len(named) else ""
    measured = (text for text in headings if measure_of(text).kind)
    first = next(measured, headings[0] if headings else "")
    text = next((text for text in headings if re.sub(r"\s", "", text) == wanted), first)
    return _ENDING.sub("", _NUMBERED.sub("", text)).strip()
