"""The figure of who matters: the estimate without each part of the sample.

As `evalaid.report.display.canvas` says, a figure draws the columns of a tidy frame and computes nothing.
"""

from __future__ import annotations

import math
from textwrap import fill
from typing import TYPE_CHECKING

from evalaid.base.effect_columns import CONF_HIGH, CONF_LOW, ESTIMATE
from evalaid.report.display.canvas import ACCENT, INK, SERIES, Look, canvas_of, finish, mark_truth
from evalaid.report.display.fonts import drawable

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure as Canvas

_WRAP = 46
_SAID = 5  # exclusions that the alternative text names


def draw_leave_out(frame: pd.DataFrame, look: Look) -> tuple[Canvas, str]:
    """Draw the estimate without each part of the sample, the most influential on top.

    Parameters
    ----------
    frame : pandas.DataFrame
        ``left_out``, ``estimate``, ``conf_low``, ``conf_high``, ``first_order`` (the estimate that influence foretells), ``full``
        (the estimate on the full sample), ``note``; see :meth:`evalaid.did.sensitivity.sample.leave_out.LeaveOut.most_influential`.
    look : Look
    """
    canvas, axes = canvas_of(8.6, 1.8 + 0.36 * len(frame))
    axes.axvline(0, color=INK, lw=0.9)
    full = float(frame["full"].iloc[0])
    axes.axvline(full, color=ACCENT, lw=1.2, ls="--", label="full sample")
    put_in = mark_truth(axes, frame, across=True)
    places = {"interval": False, "estimated again": False, "approximated by influence": False}

    def once(name: str) -> str | None:
        seen, places[name] = places[name], True
        return None if seen else name

    for place, (_, row) in enumerate(frame.iterrows()):
        if not math.isnan(row[CONF_LOW]):
            axes.plot([row[CONF_LOW], row[CONF_HIGH]], [place] * 2, color=INK, lw=1.4, label=once("interval"))
        if not math.isnan(row["first_order"]):
            axes.plot(
                [row["first_order"]],
                [place],
                "D",
                mfc="white",
                mec=SERIES[1],
                ms=5,
                label=once("approximated by influence"),
            )
        if not math.isnan(row[ESTIMATE]):
            axes.plot([row[ESTIMATE]], [place], "o", color=ACCENT, mec=INK, ms=6, label=once("estimated again"))
        elif math.isnan(row["first_order"]) or row["note"].startswith("no estimate"):
            axes.annotate("no estimate", (full, place), (4, 0), textcoords="offset points", va="center", fontsize=8)
    axes.set_yticks(range(len(frame)), [fill(name, _WRAP) for name in drawable(list(frame["left_out"]))])
    axes.set_ylim(len(frame) - 0.5, -0.5)
    axes.set(
        title="The estimate without one part at a time"
        + (f", {look.level:.0%} intervals" if frame[CONF_LOW].notna().any() else ""),
        xlabel=f"Estimate{look.in_points}",
        ylabel="",
    )
    canvas.legend(loc="outside lower center", ncols=4, frameon=False, fontsize=8.5)
    said = "; ".join(
        f"without {row['left_out']}: " + ("none" if math.isnan(row[ESTIMATE]) else look.write(row[ESTIMATE]))
        for _, row in frame.head(_SAID).iterrows()
    )
    return finish(
        canvas, look
    ), f"Estimates without each part of the sample, {look.write(full)} with all ({look.data_label}): {said}.{put_in}"
