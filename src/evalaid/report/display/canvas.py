"""What every figure of a study has in common: its look, its colours, and how it is rendered.

A figure draws the columns of a tidy frame and computes nothing. Every figure has a title, axis labels with units, an
alternative text and the words "real data" or "simulated data"; its SVG is the same for the same frame. matplotlib and
seaborn are imported inside the functions, so that the package stays light.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Callable
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any

from evalaid.base.effect_columns import CONF_HIGH, CONF_LOW, ESTIMATE
from evalaid.report.display.fonts import families
from evalaid.report.wording.prose import data_label, format_value

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure as Canvas

DPI = 150
INK, GREY, PALE = "#1b2733", "#6b7785", "#d7dde3"
ACCENT, BAND = "#1f5f8b", "#a9c6df"
# Okabe-Ito colours and markers: cohorts stay apart in greyscale and for colour-blind readers.
SERIES = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000")
PUT_IN = "effect that was put in"
MARKERS = ("o", "s", "^", "D", "v", "P", "X")


def series_styles(count: int) -> tuple[list[str], list[str]]:
    """Return colours and markers for so many series: each colour returns with another marker when they run out.

    Examples
    --------
    >>> colours, markers = series_styles(20)
    >>> len(set(zip(colours, markers, strict=True)))
    20
    """
    rounds = [divmod(place, len(SERIES)) for place in range(count)]
    return [SERIES[at] for _, at in rounds], [MARKERS[(at + turn) % len(MARKERS)] for turn, at in rounds]


@dataclass(frozen=True)
class Look:
    """What every figure of a study has in common: its kind of data, its level, and what outcome and units are called."""

    data_kind: str
    outcome_label: str
    level: float
    unit: str = "pp"
    units: str = "units"
    clusters: str = "clusters"

    @property
    def data_label(self) -> str:
        """The label that each figure carries."""
        return data_label(self.data_kind)

    @property
    def in_points(self) -> str:
        """What the name of an axis of effects adds: that they are percentage points, or the outcome's own unit."""
        spelt = {"pp": "percentage points", "number": ""}.get(self.unit, self.unit)
        return f" ({spelt})" if spelt else ""

    def write(self, value: float) -> str:
        """Write an effect with its sign, for an alternative text."""
        return format_value(value, self.unit, 2, signed=True)

    def write_range(self, low: float, high: float) -> str:
        """Write the two ends of a range of effects."""
        return f"{self.write(low)} to {self.write(high)}"

    def write_effect(self, row: pd.Series) -> str:
        """Write an estimate and, in brackets, its interval."""
        return f"{self.write(row[ESTIMATE])} ({self.write_range(row[CONF_LOW], row[CONF_HIGH])})"


@dataclass(frozen=True, repr=False)
class RenderedFigure:
    """A drawn figure: name, caption, alternative text, and its bytes as SVG and PNG."""

    name: str
    caption: str
    alt: str
    svg: bytes
    png: bytes

    def to_html(self) -> str:
        """Return the figure as HTML, with the picture inside and the alternative text."""
        data = base64.b64encode(self.svg).decode("ascii")
        return (
            f'<figure id="figure-{escape(self.name)}"><img src="data:image/svg+xml;base64,{data}" alt="{escape(self.alt)}">'
            f"<figcaption>{escape(self.caption)}</figcaption></figure>"
        )

    def __repr__(self) -> str:
        return f"Figure '{self.name}': {self.alt}"

    def _repr_html_(self) -> str:
        return self.to_html()


Drawing = Callable[["pd.DataFrame", Look], tuple["Canvas", str]]


def draw(drawing: Drawing, frame: pd.DataFrame, look: Look, *, name: str, caption: str) -> RenderedFigure:
    """Draw a frame and render it, without clock or random identifiers."""
    import matplotlib as mpl
    import matplotlib.pyplot as plt
    import seaborn as sns

    words = [str(item) for column in frame.select_dtypes(exclude="number") for item in frame[column].unique()]
    style = {
        **sns.axes_style("whitegrid", {"axes.edgecolor": GREY, "grid.color": PALE}),
        "font.family": families(words),
        "font.size": 9.5,
        "axes.labelsize": 9.5,
        "axes.titlelocation": "left",
        "axes.titlesize": 11,
        "axes.unicode_minus": True,
        "svg.hashsalt": "evalaid",
        "svg.fonttype": "path",
    }
    svg, png = io.BytesIO(), io.BytesIO()
    with mpl.rc_context(style):
        canvas, alt = drawing(frame, look)
        canvas.savefig(svg, format="svg", metadata={"Date": None, "Creator": None})
        canvas.savefig(png, format="png", dpi=DPI, metadata={"Software": None})
        plt.close(canvas)
    return RenderedFigure(name, caption, alt, svg.getvalue(), png.getvalue())


def canvas_of(width: float, height: float, columns: int = 1, rows: int = 1) -> tuple[Canvas, Any]:
    """Open a figure of this size in inches."""
    import matplotlib.pyplot as plt

    return plt.subplots(rows, columns, figsize=(width, height), layout="constrained")


def mark_truth(axes: Any, frame: pd.DataFrame, *, across: bool = False) -> str:
    """Draw the effect that was put into simulated data as a line through the figure, and return how to say it; "" without one.

    The line is level; ``across`` draws it upright, where effects are on the axis below.
    """
    values: Any = frame["truth"].dropna().unique() if "truth" in frame else []
    if len(values) != 1:
        return ""
    line = axes.axvline if across else axes.axhline
    line(values[0], color=SERIES[1], lw=1.6, ls=(0, (6, 2)), label=PUT_IN)
    return f" Put in: {values[0]:+.2f}."


def finish(canvas: Canvas, look: Look) -> Canvas:
    """Mark the figure as real or simulated."""
    canvas.suptitle(look.data_label, x=0.995, ha="right", fontsize=8.5, color=GREY, style="italic")
    return canvas
