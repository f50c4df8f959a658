"""How a frozen result shows itself in a notebook: what it says of itself, its facts, its tables."""

from __future__ import annotations

from dataclasses import fields
from html import escape
from typing import Any

import pandas as pd

MOST_ROWS = 20  # of a table in a cell


class NotebookView:
    """A dataclass that Jupyter shows as words and tables; where rows are left out, pandas says so below the table."""

    def _repr_html_(self) -> str:
        values: dict[str, Any] = {one.name: getattr(self, one.name) for one in fields(self)}  # type: ignore[arg-type]
        speak = next((found for name in ("text", "describe") if callable(found := getattr(self, name, None))), None)
        plain = {name: value for name, value in values.items() if isinstance(value, str | int | float)}
        plain = {name: value for name, value in plain.items() if value != "" and value == value}  # noqa: PLR0124 (nan is not itself)
        said = speak() if speak else "\n".join(f"{name}: {_write(value)}" for name, value in plain.items())
        tables = [
            f"<p>{escape(name)}</p>"
            + value.to_html(
                index=False, border=0, max_rows=MOST_ROWS, show_dimensions=len(value) > MOST_ROWS, na_rep=""
            )
            for name, value in values.items()
            if isinstance(value, pd.DataFrame) and len(value)
        ]
        return "\n".join([f"<p>{escape(type(self).__name__)}</p>", f"<pre>{escape(said)}</pre>", *tables])


def _write(value: float | str) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
