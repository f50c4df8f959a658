"""The figure of who matters: the estimate without each part of the sample.

As `evalaid.report.display.canvas` says, a figure draws the columns of a tidy frame and computes nothing.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from evalaid.base.effect_columns import CONF_HIGH, CONF_LOW, ESTIMATE
from evalaid.report.display.canvas import (
    ACCENT,
    INK,
    SERIES,
    Look,
    add_legend,
    cut_axis,
    finish,
    height_of,
    mark_truth,
    name_rows,
    open_canvas,
    wrap_axis,
)
from evalaid.report.display.event_figure import note_row

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure as Canvas

_SAID = 5  # exclusions that the alternative text names


def draw_leave_out(frame: pd.DataFrame, look: Look) -> tuple[Canvas, str]:
    """Draw the estimate without each part of the sample, from the smallest to the largest.

    Parameters
    ----------
    frame : pandas.DataFrame
        ``left_out``, ``estimate``, ``conf_low``, ``conf_high``, ``first_order`` (the estimate that influence foretells), ``full``
        (the estimate on the full sample), ``note``; see :meth:`evalaid.did.sensitivity.sample.leave_out.LeaveOut.most_influential`.
    look : Look
    """
    frame = frame.assign(shown=frame[ESTIMATE].fillna(frame["first_order"])).sort_values("shown", kind="stable")
    canvas, axes = open_canvas(look, height_of(len(frame), look, 0.34, 0.46))
    axes.axvline(0, color=INK, lw=0.9)
    full = float(frame["full"].iloc[0])
    axes.axvline(full, color=ACCENT, lw=1.2, ls="--", label=look.say("leave_out.full"))
    put_in = mark_truth(axes, frame, look, across=True)
    places = range(len(frame))
    if frame[CONF_LOW].notna().any():
        axes.hlines(places, frame[CONF_LOW], frame[CONF_HIGH], color=INK, lw=1.4, label=look.say("interval"))
    if frame["first_order"].notna().any():
        axes.plot(
            frame["first_order"], places, "D", mfc="white", mec=SERIES[1], ms=5, label=look.say("leave_out.first_order")
        )
    axes.plot(frame[ESTIMATE], places, "o", color=ACCENT, mec=INK, ms=6, label=look.say("leave_out.again"))
    for place, (_, row) in enumerate(frame.iterrows()):
        foretold = not math.isnan(row["first_order"]) and not str(row["note"]).startswith("no estimate")
        if math.isnan(row[ESTIMATE]) and not foretold:
            note_row(axes, place, look.say("no_estimate"), full)
    name_rows(axes, list(frame["left_out"]), look)
    axes.set(xlabel=wrap_axis(look.effect, look), ylabel="")
    ends = [(places, frame[end]) for end in (CONF_LOW, CONF_HIGH)]
    cut = cut_axis(axes, frame["shown"], ends, look, across=True, always=[full])
    add_legend(canvas, look)
    known = frame[frame["shown"].notna()]
    title = look.say(
        "leave_out.seen", full=look.write(full), range=look.write_range(known["shown"].min(), known["shown"].max())
    )
    order = (frame["shown"] - full).abs().sort_values(ascending=False).index[:_SAID]
    told = "; ".join(
        look.say("leave_out.without", part=look.phrase(row["left_out"]))
        + (look.say("no_estimate") if math.isnan(row[ESTIMATE]) else look.write(row[ESTIMATE]))
        for _, row in frame.loc[order].iterrows()
    )
    alt = look.say("leave_out.alt", full=look.write(full), data=look.data_label, values=told)
    subtitle = look.say("leave_out.drawn", intervals=look.with_intervals(frame)) + cut
    return finish(canvas, look, title, subtitle), alt + put_in
