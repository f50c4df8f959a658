"""The figure of sensitivity to violations of parallel trends: intervals by how far trends diverge.

As `evalaid.report.display.canvas` says, a figure draws the columns of a tidy frame and computes nothing.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from evalaid.base.effect_columns import CONF_HIGH, CONF_LOW, ENDS, ESTIMATE
from evalaid.report.display.canvas import ACCENT, BAND, GREY, INK, SERIES, Look, canvas_of, finish, mark_truth

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure as Canvas

_RESTRICTIONS = {
    "relative_magnitude": "M: steps after treatment, in multiples of the largest one before it",
    "smoothness": "M: largest change of slope from one period to the next",
    "relative_smoothness": "M: changes of slope after treatment, in multiples of the largest one before it",
}
_DASHES = ("-", "--", ":", "-.")


def draw_honest(frame: pd.DataFrame, look: Look) -> tuple[Canvas, str]:
    """Draw the interval of an effect by how far trends may diverge, with the usual interval and the breakdown value.

    Parameters
    ----------
    frame : pandas.DataFrame
        ``kind`` ("usual" or "bounds"), ``m``, ``estimate``, ``conf_low``, ``conf_high``, ``identified_low``,
        ``identified_high``, ``restriction``, ``breakdown`` (`HonestBounds.curve`).
    look : Look
    """
    usual, bounds = frame[frame["kind"] == "usual"].iloc[0], frame[frame["kind"] == "bounds"]
    canvas, axes = canvas_of(7.6, 4.2)
    axes.axhline(0, color=INK, lw=0.9)
    axes.axhspan(usual[CONF_LOW], usual[CONF_HIGH], color=GREY, alpha=0.15, lw=0, label="under parallel trends")
    axes.axhline(usual[ESTIMATE], color=GREY, lw=0.9, ls="--")
    axes.fill_between(bounds["m"], bounds[CONF_LOW], bounds[CONF_HIGH], color=BAND, alpha=0.4, lw=0)
    for place, end in enumerate(ENDS):
        label = None if place else f"{look.level:.0%} interval"
        axes.plot(bounds["m"], bounds[end], "o-", color=ACCENT, ms=4, lw=1.4, label=label)
    for place, end in enumerate(("identified_low", "identified_high")):
        label = None if place else "without sampling error"
        axes.plot(bounds["m"], bounds[end], ":", color=SERIES[1], lw=1.4, label=label)
    limit = usual["breakdown"]
    if math.isfinite(limit):
        axes.axvline(limit, color=INK, lw=1.1, ls="-.", label=f"breakdown at M = {limit:.3g}")
    put_in = mark_truth(axes, frame)
    axes.set(
        title=f"Effect when trends diverge, {look.level:.0%} intervals",
        xlabel=_RESTRICTIONS[usual["restriction"]] + (look.in_points if usual["restriction"] == "smoothness" else ""),
        ylabel=f"Effect{look.in_points}",
    )
    canvas.legend(loc="outside lower center", ncols=4, frameon=False, fontsize=8.5)
    said = "; ".join(
        f"M = {row['m']:.3g}: {look.write_range(row[CONF_LOW], row[CONF_HIGH])}" for _, row in bounds.iterrows()
    )
    return finish(canvas, look), (
        f"Effect with {look.level:.0%} intervals by how far trends may diverge ({look.data_label}). Under parallel trends: "
        f"{look.write_range(usual[CONF_LOW], usual[CONF_HIGH])}. {said}. {_say_breakdown(limit)}{put_in}"
    )


def _say_breakdown(limit: float) -> str:
    if math.isnan(limit):
        return "Zero is inside at M = 0."
    return f"Zero is reached at M = {limit:.3g}." if math.isfinite(limit) else "Zero is not reached at any M."
