"""What every figure of a study has in common: its look, its colours, its head, and the space that it has.

A figure draws the columns of a tidy frame and computes nothing. It is laid out twice, for a page and for a phone
(`Look.narrow`), with letters of the same size. Its title says what is seen, the line below it what is drawn, a third whether
data are real or simulated. matplotlib and seaborn are imported inside the functions, so that the package stays light.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from evalaid.base.effect_columns import CONF_HIGH, CONF_LOW, ESTIMATE
from evalaid.report.display.fonts import drawable, fold, is_foreign
from evalaid.report.wording.language import ENGLISH, Catalogue, load_catalogue
from evalaid.report.wording.prose import format_value
from evalaid.report.wording.translation import load_translation

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure as Canvas

INK, GREY, PALE = "#1b2733", "#5b6773", "#d7dde3"
ACCENT, BAND, WARN = "#1f5f8b", "#a9c6df", "#9a3d00"
# Okabe-Ito colours and markers: cohorts stay apart in greyscale and for colour-blind readers.
SERIES = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000")
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
TEXT, SMALL = 9.5, 9.2  # points; a phone shows the narrow layout at its own size, so no letter is below 9 CSS pixels
PAGE_WIDTH, PHONE_WIDTH = 8.6, 4.9  # inches
REACH = 3  # an axis of effects goes no further than this many times the largest estimate
_PHONE_LEGEND = 0.5  # inches more: a legend has fewer entries in a row
_BOLD = {"fontweight": "bold", "fontfamily": "DejaVu Sans"}  # the font for Han and Hangul has one weight
_LINE = 0.185  # inches of a line of the head


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
    """What every figure of a study has in common: its kind of data, its level, and what outcome and units are called.

    ``language`` is that of its words; ``narrow`` lays it out for a phone.
    """

    data_kind: str
    outcome_label: str
    level: float
    unit: str = "pp"
    units: str = "units"
    clusters: str = "clusters"
    language: str = ENGLISH
    narrow: bool = False

    @property
    def catalogue(self) -> Catalogue:
        """The words of the figure's language."""
        return load_catalogue(self.language)

    def say(self, key: str, **names: object) -> str:
        """Return the words of a key of the catalogue's part ``figure``."""
        own = {"units": self.units, "clusters": self.clusters, "level": f"{self.level:.0%}", "outcome": self.outcome}
        return self.catalogue(f"figure.{key}", **{**own, **names})

    def phrase(self, text: str) -> str:
        """Return a text of a frame in the figure's language."""
        turn = load_translation(self.language)
        return text if turn is None else turn(text)

    @property
    def outcome(self) -> str:
        """The outcome as it stands inside a sentence."""
        return self.outcome_label[:1].lower() + self.outcome_label[1:]

    @property
    def data_label(self) -> str:
        """The label that each figure carries."""
        key = f"kind.{self.data_kind}"
        return self.say(key) if self.catalogue.has(f"figure.{key}") else self.phrase(f"{self.data_kind} data")

    @property
    def in_points(self) -> str:
        """What the name of an axis of effects adds: that they are percentage points, or the outcome's own unit."""
        spelt = {"pp": self.say("points"), "number": ""}.get(self.unit, self.unit)
        return self.say("in_unit", unit=spelt) if spelt else ""

    @property
    def effect(self) -> str:
        """The name of an axis of effects."""
        return self.say("effect") + self.in_points

    def write(self, value: float) -> str:
        """Write an effect with its sign, for a title or an alternative text."""
        return format_value(value, self.unit, 2, signed=True)

    def write_range(self, low: float, high: float) -> str:
        """Write the two ends of a range of effects."""
        return self.say("range", low=self.write(low), high=self.write(high))

    def write_effect(self, row: pd.Series) -> str:
        """Write an estimate and, in brackets, its interval."""
        ends = (
            self.write_range(row[CONF_LOW], row[CONF_HIGH])
            if row[CONF_LOW] == row[CONF_LOW]
            else self.say("no_intervals")
        )
        return f"{self.write(row[ESTIMATE])} ({ends})"

    def with_intervals(self, frame: pd.DataFrame) -> str:
        """Write which intervals are drawn, or that there are none."""
        return self.say("intervals" if frame[CONF_LOW].notna().any() else "no_intervals")


Drawing = Callable[["pd.DataFrame", Look], tuple["Canvas", str]]


def open_canvas(look: Look, height: float, columns: int = 1, rows: int = 1, **options: Any) -> tuple[Canvas, Any]:
    """Open a figure as wide as its page, of this height in inches."""
    import matplotlib.pyplot as plt

    width = PHONE_WIDTH if look.narrow else PAGE_WIDTH
    height += _PHONE_LEGEND if look.narrow else 0
    return plt.subplots(rows, columns, figsize=(width, height), layout="constrained", **options)


def finish(canvas: Canvas, look: Look, title: str, subtitle: str) -> Canvas:
    """Add the head: what is seen, what is drawn, and whether data are real or simulated."""
    width, height = canvas.get_size_inches()
    simulated = look.data_kind == "simulated"
    parts: list[tuple[str, dict[str, Any], float]] = [
        (
            fold(title, int(width * 10.6)),
            {"fontsize": 11, "color": INK, **({} if is_foreign(title) else _BOLD)},
            1.2,
        ),
        (fold(subtitle, int(width * 13.2)), {"fontsize": SMALL, "color": GREY}, 1.0),
        (look.data_label, {"fontsize": SMALL, "style": "italic", "color": WARN if simulated else GREY}, 1.0),
    ]
    head = 0.14 + sum(_LINE * step * (text.count("\n") + 1) for text, _, step in parts if text)
    canvas.set_size_inches(width, height + head)
    engine: Any = canvas.get_layout_engine()
    engine.set(rect=(0, 0, 1, height / (height + head)))
    top = 0.06
    for text, style, step in parts:
        if text:
            (drawn,) = drawable([text])
            canvas.text(0.012, 1 - top / (height + head), drawn, va="top", linespacing=1.25, **style)
            top += _LINE * step * (text.count("\n") + 1)
    return canvas


def add_legend(canvas: Canvas, look: Look, handles: Sequence[Any] | None = None, most: int = 4, **options: Any) -> None:
    """Put the legend below the axes, on a phone with fewer entries in a row."""
    if handles is None:
        found: dict[str, Any] = {}
        for axes in canvas.axes:
            for handle, name in zip(*axes.get_legend_handles_labels(), strict=True):
                found.setdefault(name, handle)
        handles, names = list(found.values()), list(found)
    else:
        names = [handle.get_label() for handle in handles]
    if handles:
        columns = min(len(names), 2 if look.narrow and most > 1 else most)
        names = [fold(name, 26 if look.narrow and columns > 1 else min(60, 108 // columns)) for name in drawable(names)]
        canvas.legend(
            handles, names, loc="outside lower center", ncols=columns, frameon=False, fontsize=SMALL, handlelength=1.6,
            columnspacing=1.4, **options,
        )  # fmt: skip


def name_rows(axes: Any, names: Sequence[str], look: Look, wrap: int = 44, above: int = 6) -> None:
    """Label the rows of a figure at the side; on a phone above each row, where the whole width is left for the estimates."""
    shown = drawable([look.phrase(str(name)) for name in names])
    if look.narrow:
        axes.set_yticks([])
        for place, name in enumerate(shown):
            axes.annotate(
                fold(name, 60), (0, place), (2, above), xycoords=("axes fraction", "data"), textcoords="offset points",
                fontsize=SMALL, va="bottom", zorder=6,
            )  # fmt: skip
        axes.set_ylim(len(shown) - 0.5, -0.9)
    else:
        axes.set_yticks(range(len(shown)), [fold(name, wrap) for name in shown])
        axes.set_ylim(len(shown) - 0.5, -0.5)
    axes.grid(visible=False, axis="y")


def height_of(rows: int, look: Look, page: float = 0.4, phone: float = 0.52) -> float:
    """Return the height of so many rows, with room for axis and legend."""
    return 1.25 + (phone if look.narrow else page) * rows


def mark_truth(axes: Any, frame: pd.DataFrame, look: Look, *, across: bool = False) -> str:
    """Draw the effect that was put into simulated data as a line through the figure, and return how to say it; "" without one.

    The line is level; ``across`` draws it upright, where effects are on the axis below.
    """
    said = say_truth(frame, look)
    if said:
        line = axes.axvline if across else axes.axhline
        line(frame["truth"].dropna().iloc[0], color=SERIES[1], lw=1.6, ls=(0, (6, 2)), label=look.say("put_in"))
    return said


def say_truth(frame: pd.DataFrame, look: Look) -> str:
    """Write the effect that was put into simulated data, where it is one."""
    values: Any = frame["truth"].dropna().unique() if "truth" in frame else []
    return " " + look.say("said_put_in", truth=look.write(values[0])) if len(values) == 1 else ""


def cut_axis(axes: Any, estimates: Any, ends: Any, look: Look, *, across: bool = False, always: Any = ()) -> str:
    """Cut an axis of effects at `REACH` times the largest estimate where intervals go further, mark them, and say so.

    ``ends`` are pairs of arrays (place, value); a value beyond the cut gets an arrow. ``across`` has effects on the axis below.
    """
    import numpy as np

    values = np.concatenate([np.asarray(estimates, float).ravel(), np.asarray(always, float).ravel()])
    size = np.nanmax(np.abs(values), initial=0.0) if np.isfinite(values).any() else 0.0
    drawn = [(np.asarray(at, float), np.asarray(value, float)) for at, value in ends]
    far = np.nanmax([np.nanmax(np.abs(value), initial=0.0) for _, value in drawn], initial=0.0)
    limit = REACH * size
    if limit == 0 or far <= limit:
        return ""
    (axes.set_xlim if across else axes.set_ylim)(-1.04 * limit, 1.04 * limit)
    for artist in (*axes.lines, *axes.collections):
        artist.set_in_layout(False)  # what lies beyond the cut takes no room
    for at, value in drawn:
        for side, marks in ((1, "^>"), (-1, "v<")):
            out = at[side * value > limit]
            if len(out):  # a mark at no place would take room at the corner of the figure
                where = np.full(len(out), side * limit)
                places = (where, out) if across else (out, where)
                axes.plot(*places, marks[across], color=GREY, ms=4.5, ls="", clip_on=False)
    return " " + look.say("cut", cut=format_value(limit, "number", 1))


def wrap_axis(text: str, look: Look, *, upright: bool = False) -> str:
    """Break the name of an axis where its figure ends."""
    return fold(text, (24 if look.narrow else 36) if upright else 56 if look.narrow else 90)
