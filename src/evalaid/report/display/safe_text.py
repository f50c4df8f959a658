"""Text of a reader's file in a file for another program: no spreadsheet takes a cell for a formula, TeX takes it as it is."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from evalaid.reading.files.cells import harmless

if TYPE_CHECKING:
    import pandas as pd

_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?")
_TEX = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "_": r"\_", "#": r"\#", "$": r"\$", "{": r"\{", "}": r"\}",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}", ">": r"\textgreater{}", "|": r"\textbar{}",
    "\N{MINUS SIGN}": "$-$", "\N{EN DASH}": "--",
}  # fmt: skip


def csv_text(frame: pd.DataFrame) -> str:
    """Write a frame as csv at full precision; a text that a spreadsheet would compute gets an apostrophe before it."""
    safe = frame.copy()
    for place, kind in enumerate(frame.dtypes):
        if str(kind) in ("object", "str", "string", "category"):
            safe.isetitem(place, safe.iloc[:, place].astype(object).map(guarded).array)
    return safe.rename(columns=guarded).to_csv(index=False, lineterminator="\n")


def unguarded(text: str) -> str:
    """Return a text of a file that `csv_text` wrote as it was: without the apostrophe that keeps a spreadsheet from computing it.

    Examples
    --------
    >>> unguarded("'+1 to +2"), unguarded("'tis"), unguarded("+1")
    ('+1 to +2', "'tis", '+1')
    """
    return text[1:] if text[:1] == "'" and guarded(text[1:]) == text else text


def tex_cell(text: str) -> str:
    r"""Write a text as one cell of a LaTeX table.

    Examples
    --------
    >>> print(tex_cell("{50% & more_}\n^"), tex_cell("[a]"))
    \{50\% \& more\_\} \textasciicircum{} {[}a]
    """
    written = "".join(_TEX.get(letter, letter) for letter in " ".join(text.split()))
    # What stands after the end of a row is read as its option.
    return f"{{{written[0]}}}{written[1:]}" if written[:1] in ("[", "*") else written


def guarded(value: Any) -> Any:
    """Return a value of a cell as a spreadsheet takes it for a text, unless it is a number."""
    return harmless(value) if isinstance(value, str) and not _NUMBER.fullmatch(value) else value
