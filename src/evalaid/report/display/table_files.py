"""One table, several files: LaTeX for a journal, Markdown and Word for co-authors.

All are made from the cells that the page shows, with caption, kind of data and notes inside.
"""

from __future__ import annotations

import io
import zipfile
from dataclasses import dataclass

from evalaid.base.errors import EvalaidError
from evalaid.report.display.fonts import count_columns, is_foreign
from evalaid.report.display.safe_text import tex_cell

PROSE = 34  # letters from which a cell of text gets a column that breaks its lines
_TEXT_WIDTH = 15.5  # cm of a page
_HEAD = 9  # letters of a head that stand in one line in any case
_NARROWEST = 2.4  # cm of a column of prose
# Sizes of letters, the first in which a table fits: command, cm of a letter, cm between columns.
_SIZES = (("", 0.2, 0.42), (r"\small", 0.182, 0.42), (r"\footnotesize", 0.163, 0.3), (r"\scriptsize", 0.145, 0.2))
_NO_DATE = (1980, 1, 1, 0, 0, 0)  # the first that a zip file can hold


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
    size, gap, columns = _layout(grid)
    if columns is None:
        lines.append(
            "% Wider than a page in the smallest letters: turn it (sidewaystable of the package rotating), or leave columns out."
        )
    lines += [
        r"\begin{table}[htbp]",
        r"\centering",
        r"\begin{threeparttable}",
        rf"\caption{{{tex_cell(grid.caption)}}}",
    ]
    lines.append(rf"\label{{tab:{grid.name.replace('_', '-')}}}")
    lines += [f"{size}\\setlength{{\\tabcolsep}}{{{gap / 2:.2g}cm}}"] if size else []
    lines += [rf"\begin{{tabular}}{{{columns or _alignment(grid, _NARROWEST)}}}", r"\toprule"]
    lines += [
        " & ".join(_tex_head(head, width) for head, width in zip(grid.heads, _letters(grid), strict=True)) + r" \\",
        r"\midrule",
    ]
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


def _layout(grid: TableGrid) -> tuple[str, float, str | None]:
    """Return the size of letters in which a table fits on a page, the room between columns, and the columns; None where none fits."""
    letters, prose = _letters(grid), _prose(grid)
    for size, letter, gap in _SIZES:
        taken = sum(letter * width for width, long in zip(letters, prose, strict=True) if not long) + gap * len(letters)
        room = _TEXT_WIDTH - taken
        if room >= _NARROWEST * sum(prose):
            return size, gap, _alignment(grid, room / max(sum(prose), 1))
    return _SIZES[-1][0], _SIZES[-1][2], None


def _prose(grid: TableGrid) -> list[bool]:
    """Return which columns are prose, which breaks its lines."""
    longest = [max((count_columns(row[at]) for row in grid.rows), default=0) for at in range(len(grid.heads))]
    return [not numeric and letters > PROSE for numeric, letters in zip(grid.numeric, longest, strict=True)]


def _letters(grid: TableGrid) -> list[int]:
    """Return how many letters wide each column is: its longest cell, or the longest word of its head."""
    heads = [max(map(count_columns, head.split()), default=0) for head in grid.heads]
    brackets = [2 * error for error in grid.errors]
    return [
        max(word, *(count_columns(row[at]) + more for row in grid.rows)) if grid.rows else word
        for at, (word, more) in enumerate(zip(heads, brackets, strict=True))
    ]


def _tex_head(head: str, width: int) -> str:
    """Return the head of a column, in as many lines as it takes to be no wider than the column."""
    lines: list[str] = []
    for word in head.split():
        if lines and len(lines[-1]) + 1 + len(word) <= max(width, _HEAD):
            lines[-1] += f" {word}"
        else:
            lines.append(word)
    if len(lines) < 2:
        return tex_cell(head)
    return "\\shortstack{" + r" \\ ".join(map(tex_cell, lines)) + "}"


def _alignment(grid: TableGrid, room: float) -> str:
    """Return a column of its own kind for numbers, short texts and prose; those of prose are so many cm wide."""
    broken = rf">{{\raggedright\arraybackslash}}p{{{room:.1f}cm}}"
    return "".join(
        broken if long else "r" if numeric else "l" for long, numeric in zip(_prose(grid), grid.numeric, strict=True)
    )


def _tex_cells(grid: TableGrid, row: tuple[str, ...]) -> list[str]:
    return [
        f"({tex_cell(cell)})" if error and any(letter.isdigit() for letter in cell) else tex_cell(cell)
        for cell, error in zip(row, grid.errors, strict=True)
    ]
