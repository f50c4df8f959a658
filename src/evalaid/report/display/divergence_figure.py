"""The figure of sensitivity to violations of parallel trends: intervals by how far trends diverge.

As `evalaid.report.display.canvas` says, a figure draws the columns of a tidy frame and computes nothing.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from evalaid.base.effect_columns import CONF_HIGH, CONF_LOW, ENDS, ESTIMATE
from evalaid.report.display.canvas import (
    ACCENT,
    GREY,
    INK,
    SERIES,
    Look,
    add_legend,
    cut_axis,
    finish,
    mark_truth,
    open_canvas,
    say_truth,
    wrap_axis,
)

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Canvas

_BESIDE = 0.012  # of the axis: how far left of M = 0 the original interval stands, so that it hides no other


def draw_honest(frame: pd.DataFrame, look: Look) -> tuple[Canvas, str]:
    """Draw the interval of an effect by how far trends may diverge, with the original interval and the breakdown value.

    Parameters
    ----------
    frame : pandas.DataFrame
        ``kind`` ("usual" or "bounds"), ``m``, ``estimate``, ``conf_low``, ``conf_high``, ``identified_low``,
        ``identified_high``, ``restriction``, ``breakdown`` (`HonestBounds.curve`).
    look : Look
    """
    canvas, axes = open_canvas(look, 3.9)
    cut = plot_honest(axes, frame, look)
    add_legend(canvas, look)
    usual, bounds = frame[frame["kind"] == "usual"].iloc[0], frame[frame["kind"] == "bounds"]
    told = "; ".join(
        f"M = {row['m']:.3g}: {look.write_range(row[CONF_LOW], row[CONF_HIGH])}" for _, row in bounds.iterrows()
    )
    limit = usual["breakdown"]
    key = "inside" if math.isnan(limit) else "reached" if math.isfinite(limit) else "not_reached"
    title = look.say(f"honest.{key}", m=f"{limit:.3g}")
    original = look.write_range(usual[CONF_LOW], usual[CONF_HIGH])
    subtitle = look.say("honest.drawn", intervals=look.say("intervals")) + cut
    alt = look.say("honest.alt", data=look.data_label, original=original, values=told, title=title)
    return finish(canvas, look, title, subtitle), alt + say_truth(frame, look)


def plot_honest(axes: Axes, frame: pd.DataFrame, look: Look) -> str:
    """Draw the curve on given axes, its effects cut at a multiple of the estimate; return how the axis is cut."""
    usual, bounds = frame[frame["kind"] == "usual"].iloc[0], frame[frame["kind"] == "bounds"]
    axes.axhline(0, color=INK, lw=0.9)
    m = bounds["m"].to_numpy(float)
    beside = -_BESIDE * (m.max() - m.min() or 1.0) * 2
    axes.vlines([beside], usual[CONF_LOW], usual[CONF_HIGH], color=SERIES[5], lw=4, label=look.say("honest.original"))
    axes.plot([beside], [usual[ESTIMATE]], "s", color=SERIES[5], mec=INK, ms=7)
    axes.axhline(usual[ESTIMATE], color=GREY, lw=0.9, ls=":")
    axes.vlines(m, bounds[CONF_LOW], bounds[CONF_HIGH], color=ACCENT, lw=2.2, label=look.say("honest.interval"))
    for place, end in enumerate(("identified_low", "identified_high")):
        label = None if place else look.say("honest.identified")
        axes.plot(m, bounds[end], "--", color=SERIES[1], lw=1.3, label=label)
    limit = usual["breakdown"]
    if math.isfinite(limit):
        label = look.say("honest.breakdown", m=f"{limit:.3g}")
        axes.axvline(limit, color=INK, lw=1.1, ls="-.", label=label)
    mark_truth(axes, frame, look)
    name = look.say(f"honest.{usual['restriction']}")
    name += look.in_points if usual["restriction"] == "smoothness" else ""
    axes.set(xlabel=wrap_axis(name, look), ylabel=wrap_axis(look.effect, look, upright=True))
    truth = frame.get("truth", ())
    ends = [(m, bounds[end]) for end in (*ENDS,)] + [([beside], [usual[end]]) for end in ENDS]
    return cut_axis(axes, [usual[ESTIMATE]], ends, look, always=truth)
