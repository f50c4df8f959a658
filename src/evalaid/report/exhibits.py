"""What a section shows of a result, in order: tables, figures and sentences. A result lists its exhibits, a section shows them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from evalaid.report.display.canvas import Drawing
from evalaid.report.display.formatted_tables import ColumnFormat

if TYPE_CHECKING:
    import pandas as pd

NOTHING_NOTED = "The study's file notes nothing here."
NOTHING_TO_DRAW = "There is no figure here, because there is no estimate to draw."


@dataclass(frozen=True)
class Tabled:
    """A tidy frame as a table, see `evalaid.report.section.Section.table`; not shown when it has no rows."""

    frame: pd.DataFrame
    name: str
    columns: Sequence[str]
    caption: str
    notes: Sequence[str] = ()
    extra: Mapping[str, ColumnFormat] | None = None


@dataclass(frozen=True)
class Drawn:
    """A tidy frame as a figure, or the sentence that stands in its place when there is nothing to draw; "": nothing does."""

    drawing: Drawing
    frame: pd.DataFrame
    name: str
    caption: str
    without: str = NOTHING_TO_DRAW


@dataclass(frozen=True)
class Told:
    """Markdown with places for recorded numbers."""

    template: str


@dataclass(frozen=True)
class Exported:
    """A tidy frame that is written to the report's folder as csv, and not shown."""

    frame: pd.DataFrame
    file: str


Exhibit = Tabled | Drawn | Told | Exported
