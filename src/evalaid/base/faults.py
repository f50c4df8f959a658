"""A list of everything that is wrong with a table, raised once."""

from __future__ import annotations

from typing import Any

import pandas as pd

from evalaid.base.errors import EvalaidError
from evalaid.base.texts import counted

SHOWN = 3
"""How many failing rows of each kind a message spells out; ``rows`` of the error has all of them."""

FAULT_COLUMNS = ["row", "column", "value", "fault", "expected"]


class Faults:
    """Collect the faults of one table, so that a person sees all of them at once.

    Examples
    --------
    >>> faults = Faults()
    >>> faults.add("share", "share outside 0 to 1", "a fraction", rows=[4], values=[1.2])
    >>> print(faults.message("panel"))
    The panel cannot be used: 1 kind of fault.
    - 1 row: share outside 0 to 1 (column 'share'). Expected a fraction.
        row 4: 1.2
    """

    def __init__(self) -> None:
        self._frames: list[pd.DataFrame] = []
        self._lines: list[str] = []

    def __bool__(self) -> bool:
        return bool(self._frames)

    def add(
        self, column: object, fault: str, expected: str, *, rows: Any = None, values: Any = None, detail: str = ""
    ) -> None:
        """Add one kind of fault: what was found and what was expected, without a full stop; no rows = the whole table."""
        count = 1 if rows is None else len(rows)
        self._frames.append(
            pd.DataFrame(
                {
                    "row": pd.Series([None] if rows is None else list(rows), dtype=object),
                    "column": column,
                    "value": pd.Series([None] * count if values is None else list(values), dtype=object),
                    "fault": fault,
                    "expected": expected,
                }
            )
        )
        where = "" if rows is None else f"{counted(count, 'row')}: "
        self._lines.append(f"- {where}{fault} (column {column!r}). Expected {expected}.")
        if not detail and rows is not None:
            frame = self._frames[-1].head(SHOWN)
            shown = [f"row {row}: {value}" for row, value in zip(frame["row"], frame["value"], strict=True)]
            detail = "; ".join(shown) + ("; ..." if count > SHOWN else "")
        if detail:
            self._lines.append(f"    {detail}")

    def frame(self) -> pd.DataFrame:
        """Return every failing row, or None where the fault is of the whole table.

        Examples
        --------
        >>> Faults().frame().columns.tolist()
        ['row', 'column', 'value', 'fault', 'expected']
        """
        if not self._frames:
            return pd.DataFrame(columns=FAULT_COLUMNS)
        return pd.concat(self._frames, ignore_index=True)

    def message(self, table: str) -> str:
        """Return what is wrong: one line for each kind of fault, each followed by its first few rows.

        Returns
        -------
        str
            One line for each kind of fault, each followed by its first few rows.

        """
        kinds = len(self._frames)
        head = f"The {table} cannot be used: {counted(kinds, 'kind of fault', 'kinds of faults')}."
        return "\n".join([head, *self._lines])

    def raise_if_any(self, error: type[EvalaidError], table: str) -> None:
        """Raise one error that holds all faults, if there are any.

        Raises
        ------
        EvalaidError
            Of the type ``error``, with every failing row in ``rows``.

        Examples
        --------
        >>> Faults().raise_if_any(EvalaidError, "panel")
        """
        if self:
            raise error(self.message(table), self.frame())
