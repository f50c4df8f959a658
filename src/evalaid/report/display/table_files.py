"""One table, several files: LaTeX for a journal, Markdown and Word for co-authors.

All are made from the cells that the page shows, with caption, kind of data and notes inside.
"""

from __future__ import annotations

import io
import zipfile
from dataclasses import dataclass

from evalaid.base.errors import EvalaidError
from evalaid.report.display.fonts import is_foreign
from evalaid.report.display.safe_text import tex_cell

PROSE = 34  # letters from which a cell of text gets a column that breaks its lines
_TEXT_WIDTH = 15.5  # cm of a page that prose columns share with the others
_NO_DATE = (1980, 1, 1, 0, 0, 0)  # the first that a zip file can hold
_NUMBER_WIDTH = 1.9  # cm that a column of numbers takes


@dataclass(frozen=True)
class TableGrid:
    """The cells of a table as text: ``numeric`` tells which columns are numbers, ``errors`` which hold standard errors."""

    name: str
    caption: str
    kind: str
    heads: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    numeric: tuple[bool, ...]
    errors: tuple[bool, ...]
    notes: tuple[str, ...]


def latex_table(grid: TableGrid) -> str:
    r"""Return a ``table`` with booktabs rules, its caption and its notes inside (packages array, booktabs, threeparttable).

    Standard errors stand in parentheses, columns of prose break their lines, and the kind of data is a line of the table.
    """
    lines = []
    everything = "".join([grid.caption, *grid.heads, *grid.notes, *(cell for row in grid.rows for cell in row)])
    if is_foreign(everything):
        lines.append("% Chinese or Korean inside: compile with xelatex or lualatex and the package ctex or xeCJK.")
    lines += [
        r"\begin{table}[htbp]",
        r"\centering",
        r"\begin{threeparttable}",
        rf"\caption{{{tex_cell(grid.caption)}}}",
    ]
    lines += [rf"\label{{tab:{grid.name.replace('_', '-')}}}", rf"\begin{{tabular}}{{{_alignment(grid)}}}", r"\toprule"]
    lines += [" & ".join(map(tex_cell, grid.heads)) + r" \\", r"\midrule"]
    if grid.kind:
        lines.append(rf"\multicolumn{{{len(grid.heads)}}}{{l}}{{\textit{{{tex_cell(grid.kind)}}}}} \\")
    lines += [" & ".join(_tex_cells(grid, row)) + r" \\" for row in grid.rows]
    lines += [r"\bottomrule", r"\end{tabular}"]
    if grid.notes:
        lines += [r"\begin{tablenotes}[flushleft]", r"\footnotesize", *(rf"\item {tex_cell(n)}" for n in grid.notes)]
        lines.append(r"\end{tablenotes}")
    return "\n".join([*lines, r"\end{threeparttable}", r"\end{table}"]) + "\n"


def markdown_table(grid: TableGrid) -> str:
    """Return a Markdown table (pipes), the caption above and the notes below."""

    def line(cells: tuple[str, ...]) -> str:
        return "| " + " | ".join(cell.replace("|", r"\|").replace("\n", " ") for cell in cells) + " |"

    rule = "|" + "|".join("---:" if numeric else "---" for numeric in grid.numeric) + "|"
    kind = [f"*{grid.kind}.*", ""] if grid.kind else []
    notes = ["", *(f"- {note}" for note in grid.notes)] if grid.notes else []
    return "\n".join([f"**{grid.caption}**", "", *kind, line(grid.heads), rule, *map(line, grid.rows), *notes]) + "\n"


def word_table(*grids: TableGrid) -> bytes:
    """Return a Word document with these tables in journal style: rules above and below, caption above, notes below.

    Raises
    ------
    EvalaidError
        If python-docx is not installed.
    """
    try:
        from docx import Document
        from docx.enum.text import WD_ALIGN_PARAGRAPH
        from docx.shared import Pt
    except ImportError as error:
        raise EvalaidError("A Word table needs python-docx: install evalaid[word].") from error
    document = Document()
    for grid in grids:
        document.add_paragraph(grid.caption, style="Caption")
        table = document.add_table(rows=0, cols=len(grid.heads), style="Light List")
        kind = [(grid.kind, *[""] * (len(grid.heads) - 1))] if grid.kind else []
        for row in (grid.heads, *kind, *grid.rows):
            for cell, text, numeric in zip(table.add_row().cells, row, grid.numeric, strict=True):
                paragraph = cell.paragraphs[0]
                paragraph.add_run(text).font.size = Pt(8)
                paragraph.alignment = WD_ALIGN_PARAGRAPH.RIGHT if numeric else WD_ALIGN_PARAGRAPH.LEFT
        for note in grid.notes:
            document.add_paragraph().add_run(note).font.size = Pt(8)
    stream = io.BytesIO()
    document.save(stream)
    return _without_clock(stream.getvalue())


def _without_clock(packed: bytes) -> bytes:
    """Return a zip file with the same members and none of their dates: the same tables are the same bytes."""
    stream = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(packed)) as old, zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as new:
        for name in sorted(old.namelist()):
            new.writestr(zipfile.ZipInfo(name, _NO_DATE), old.read(name), zipfile.ZIP_DEFLATED)
    return stream.getvalue()


def _alignment(grid: TableGrid) -> str:
    """Return a column of its own kind for numbers, short texts and prose; prose columns share what room is left."""
    prose = [
        not numeric and max((len(row[at]) for row in grid.rows), default=0) > PROSE
        for at, numeric in enumerate(grid.numeric)
    ]
    taken = sum(not one for one in prose)
    room = max(_TEXT_WIDTH - _NUMBER_WIDTH * taken, 3.0 * sum(prose)) / max(sum(prose), 1)
    broken = rf">{{\raggedright\arraybackslash}}p{{{room:.1f}cm}}"
    return "".join(
        broken if long else "r" if numeric else "l" for long, numeric in zip(prose, grid.numeric, strict=True)
    )


def _tex_cells(grid: TableGrid, row: tuple[str, ...]) -> list[str]:
    return [
        f"({tex_cell(cell)})" if error and any(letter.isdigit() for letter in cell) else tex_cell(cell)
        for cell, error in zip(row, grid.errors, strict=True)
    ]
