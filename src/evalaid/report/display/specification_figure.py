"""The figure of a specification curve: every estimate, sorted, and the choices behind it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from evalaid.base.effect_columns import CONF_HIGH, CONF_LOW, ESTIMATE, leaves_out_zero
from evalaid.report.display.canvas import (
    ACCENT,
    BAND,
    GREY,
    INK,
    SERIES,
    SMALL,
    Look,
    add_legend,
    cut_axis,
    finish,
    mark_truth,
    open_canvas,
    say_truth,
    wrap_axis,
)
from evalaid.report.display.fonts import drawable, fold

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Canvas

CHOICES = ("method", "comparison", "covariates", "window", "weights", "scale")
_LONGEST = 52
_SPELT = {
    "share": "share",
    "log_odds": "log-odds",
    "log_outflow": "log of the outflow",
    "own": "as the method has it",
    "eventually_treated": "only units treated later",
    "none": "none",
}


def draw_specifications(frame: pd.DataFrame, look: Look) -> tuple[Canvas, str]:
    """Draw the estimates of all specifications in ascending order, above the choices that made them.

    Parameters
    ----------
    frame : pandas.DataFrame
        One row per specification, sorted: ``estimate``, ``conf_low``, ``conf_high``, and the choices as text. A choice that never
        varies has no rows of points.
    look : Look
    """
    frame = frame.reset_index(drop=True)
    rows = list_choices(frame)
    row = 0.34 if look.narrow else 0.24
    canvas, panels = open_canvas(
        look, 3.6 + row * len(rows), rows=2, sharex=True, height_ratios=[3.0, max(row * len(rows), 0.3)]
    )
    cut = plot_specifications(panels, frame, look)
    add_legend(canvas, look)
    outside = leaves_out_zero(frame)
    main = frame[frame["is_main"]] if "is_main" in frame else frame.iloc[:0]
    names = {
        "n": len(frame), "k": int(outside.sum()), "median": look.write(frame[ESTIMATE].median()),
        "range": look.write_range(frame[ESTIMATE].min(), frame[ESTIMATE].max()), "data": look.data_label,
        "main": look.say("curve.main_at", main=look.write(main[ESTIMATE].iloc[0])) if len(main) else "",
    }  # fmt: skip
    title = look.say("curve.seen", **names)
    subtitle = look.say("curve.drawn", intervals=look.with_intervals(frame)) + cut
    return finish(canvas, look, title, subtitle), look.say("curve.alt", **names) + say_truth(frame, look)


def list_choices(frame: pd.DataFrame) -> list[tuple[str, str]]:
    """List the choices that vary with their values, the most frequent of each first."""
    return [
        (choice, value)
        for choice in CHOICES
        if choice in frame and len(set(frame[choice])) > 1
        for value in sorted(frame[choice].unique(), key=lambda value: -int((frame[choice] == value).sum()))
    ]


def spell(choice: str, value: str) -> str:
    """Write the value of a choice in words, not in the code that the options have."""
    return _SPELT.get(value, value) if choice in {"scale", "comparison", "weights"} else value


def plot_specifications(panels: Sequence[Any], frame: pd.DataFrame, look: Look) -> str:
    """Draw estimates on the first axes and the choices behind them on the second; return how the axis is cut."""
    top, below = panels
    place, outside = range(len(frame)), leaves_out_zero(frame)
    for colour, chosen, word in ((BAND, ~outside, "curve.holds"), (SERIES[1], outside, "curve.leaves_out")):
        own = frame[chosen]
        label = look.say(word) if len(own) else None
        top.vlines(own.index, own[CONF_LOW], own[CONF_HIGH], color=colour, lw=1.4, label=label)
    top.axhline(0, color=INK, lw=0.9)
    mark_truth(top, frame, look)
    top.plot(place, frame[ESTIMATE], "o", color=ACCENT, mec=INK, mew=0.4, ms=3.2, label=look.say("estimate"))
    main = frame.index[frame["is_main"]] if "is_main" in frame else frame.index[:0]
    if len(main):
        label = look.say("curve.main")
        top.plot(main, frame.loc[main, ESTIMATE], "s", color=SERIES[5], mec=INK, ms=8, label=label, zorder=5)
        for axes in (top, below):
            axes.axvline(main[0], color=SERIES[5], lw=1.6, zorder=0)
    top.set(ylabel=wrap_axis(look.effect, look, upright=True))
    _plot_choices(below, frame, look)
    ends: list[tuple[Any, Any]] = [(place, frame[end]) for end in (CONF_LOW, CONF_HIGH)]
    truth = frame.get("truth", ())
    return cut_axis(top, frame[ESTIMATE], ends, look, always=truth)


def _plot_choices(below: Axes, frame: pd.DataFrame, look: Look) -> None:
    rows = list_choices(frame)
    for height, (choice, value) in enumerate(rows):
        own = frame.index[frame[choice] == value]
        below.plot(own, [height] * len(own), "|", color=INK, ms=6, mew=1.0)
    names = [look.say(f"curve.choice_{choice}") + look.phrase(spell(choice, str(value))) for choice, value in rows]
    names = drawable([n if len(n) <= _LONGEST else n[: _LONGEST - 1] + "…" for n in names])
    if look.narrow:
        below.set_yticks([])
        for height, name in enumerate(names):
            below.annotate(
                name,
                (0, height),
                (2, 4),
                xycoords=("axes fraction", "data"),
                textcoords="offset points",
                fontsize=SMALL,
            )
    else:
        below.set_yticks(range(len(rows)), [fold(name, 60) for name in names], fontsize=SMALL)
    below.set_ylim(len(rows) - 0.5, -0.9 if look.narrow else -0.5)
    for line in (k for k in range(1, len(rows)) if rows[k][0] != rows[k - 1][0]):
        below.axhline(line - (0.75 if look.narrow else 0.5), color=GREY, lw=0.6)
    below.set(xlabel=wrap_axis(look.say("curve.order"), look), ylabel="")
    below.set_xticks([])
    below.set_xlim(-1, len(frame))
    below.grid(visible=False)
