"""Further figures: effects by dose, bounds on an effect, placebos, recovery of a known effect, studies side by side.

As `evalaid.report.display.canvas` says, a figure draws the columns of a tidy frame and computes nothing.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from evalaid.base.effect_columns import CONF_HIGH, CONF_LOW, ESTIMATE, P_VALUE, leaves_out_zero
from evalaid.report.display.canvas import (
    ACCENT,
    BAND,
    GREY,
    INK,
    MARKERS,
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
from evalaid.report.display.fonts import drawable, fold
from evalaid.report.wording.prose import format_value

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Canvas

_NEARER = "#a9b5c1"


def draw_dose(frame: pd.DataFrame, look: Look) -> tuple[Canvas, str]:
    """Draw the effect by dose with its pointwise intervals.

    Parameters
    ----------
    frame : pandas.DataFrame
        ``dose``, ``dose_label`` (what the dose is, with its unit), ``estimate``, ``conf_low``, ``conf_high``.
    look : Look
    """
    name = str(frame["dose_label"].iloc[0])
    canvas, axes = open_canvas(look, 3.8)
    axes.axhline(0, color=INK, lw=0.9)
    axes.fill_between(
        frame["dose"], frame[CONF_LOW], frame[CONF_HIGH], color=BAND, alpha=0.5, lw=0, label=look.say("interval")
    )
    axes.plot(frame["dose"], frame[ESTIMATE], "o-", color=ACCENT, mec=INK, ms=5, label=look.say("estimate"))
    put_in = mark_truth(axes, frame, look)
    ends = [(frame["dose"], frame[end]) for end in (CONF_LOW, CONF_HIGH)]
    truth = frame.get("truth", ())
    cut = cut_axis(axes, frame[ESTIMATE], ends, look, always=truth)
    axes.set(xlabel=wrap_axis(drawable([name])[0], look), ylabel=wrap_axis(look.effect, look, upright=True))
    add_legend(canvas, look, most=3)
    told = "; ".join(
        look.say("dose.at", dose=f"{row['dose']:.2f}") + look.write_effect(row) for _, row in frame.iterrows()
    )
    first, last = frame.iloc[0], frame.iloc[-1]
    title = look.say(
        "dose.seen", low=look.write(first[ESTIMATE]), high=look.write(last[ESTIMATE]), first=f"{first['dose']:.2f}",
        last=f"{last['dose']:.2f}",
    )  # fmt: skip
    subtitle = look.say("dose.drawn", intervals=look.with_intervals(frame)) + cut
    alt = look.say("dose.alt", name=name, data=look.data_label, values=told, intervals=look.with_intervals(frame))
    return finish(canvas, look, title, subtitle), alt + put_in


def draw_bounds(frame: pd.DataFrame, look: Look) -> tuple[Canvas, str]:
    """Draw what is left of each claim's change, by how much the outcome may have moved without the programme.

    Parameters
    ----------
    frame : pandas.DataFrame
        ``claim``, ``assumption_label``, ``m``, ``lower``, ``upper``, ``alike``; one panel per claim, one band per assumption.
    look : Look
    """
    frame = frame[frame["m"].notna()]
    claims = list(dict.fromkeys(frame["claim"]))
    kinds = list(dict.fromkeys(frame["assumption_label"]))
    canvas, panels = open_canvas(look, 0.9 + (3.1 if look.narrow else 2.9) * len(claims), rows=len(claims))
    told = []
    for claim, axes in zip(claims, panels if len(claims) > 1 else [panels], strict=True):
        own = frame[frame["claim"] == claim]
        axes.axhline(0, color=INK, lw=0.9)
        for kind in (kind for kind in kinds if kind in set(own["assumption_label"])):
            rows, colour = own[own["assumption_label"] == kind], SERIES[kinds.index(kind) % len(SERIES)]
            marker = MARKERS[kinds.index(kind) % len(MARKERS)]
            axes.fill_between(rows["m"], rows["lower"], rows["upper"], color=colour, alpha=0.12, lw=0)
            for place, end in enumerate(("lower", "upper")):
                label = None if place else look.phrase(kind)
                axes.plot(rows["m"], rows[end], marker=marker, color=colour, ms=5, lw=1.2, label=label)
            drawn = list(zip(rows["m"], rows["lower"], rows["upper"], strict=True))
            ends = [f"M {m:g}: {look.write_range(lower, upper)}" for m, lower, upper in (drawn[0], drawn[-1])]
            told.append(f"{claim}, {look.phrase(kind)}: {', '.join(ends)}")
        unlike = "" if set(own["alike"]) == {"yes"} else look.say("bounds.unlike")
        axes.set_title(fold(drawable([claim])[0] + unlike, 62 if look.narrow else 100), loc="left")
        axes.set(xlabel=wrap_axis(look.say("bounds.m"), look), ylabel=wrap_axis(look.effect, look, upright=True))
    add_legend(canvas, look, most=1 if look.narrow else 2)
    signed = [
        claim
        for claim in claims
        if ((own := frame[frame["claim"] == claim])["lower"] > 0).all() or (own["upper"] < 0).all()
    ]
    title = look.say("bounds.seen", k=len(signed), n=len(claims))
    alt = look.say("bounds.alt", data=look.data_label, values="; ".join(told))
    return finish(canvas, look, title, look.say("bounds.drawn")), alt


def draw_placebos(frame: pd.DataFrame, look: Look) -> tuple[Canvas, str]:
    """Draw the placebo estimates of each test, and the true one among them.

    Parameters
    ----------
    frame : pandas.DataFrame
        ``test``, ``estimate``, ``actual``, ``unit``; one line of points per test.
    look : Look
    """
    tests = list(dict.fromkeys(frame["test"]))
    canvas, axes = open_canvas(look, height_of(len(tests), look, 0.6, 0.7))
    axes.axvline(0, color=INK, lw=0.9)
    told, within = [], 0
    for place, test in enumerate(tests):
        own = frame[frame["test"] == test]
        false, true = own[~own["actual"].astype(bool)][ESTIMATE], own[own["actual"].astype(bool)][ESTIMATE]
        label = None if place else look.say("placebo.pretended")
        axes.plot(false, [place] * len(false), "|", color=GREY, ms=14, mew=1.2, label=label)
        label = None if place else look.say("placebo.treated")
        axes.plot(true, [place] * len(true), "D", color=ACCENT, mec=INK, ms=8, label=label)
        within += int(false.abs().max() >= abs(true.iloc[0]))
        spread = look.write_range(false.min(), false.max())
        told.append(
            look.say("placebo.one", test=look.phrase(test), n=len(false), range=spread, actual=look.write(true.iloc[0]))
        )
    put_in = mark_truth(axes, frame, look, across=True)
    name_rows(axes, tests, look)
    axes.set(xlabel=wrap_axis(look.effect, look), ylabel="")
    add_legend(canvas, look, most=3)
    title = look.say("placebo.seen", k=within, n=len(tests))
    alt = look.say("placebo.alt", data=look.data_label, values="; ".join(told))
    return finish(canvas, look, title, look.say("placebo.drawn")), alt + put_in


def draw_permutations(frame: pd.DataFrame, look: Look) -> tuple[Canvas, str]:
    """Draw the distribution of the estimate over assignments drawn again, and the true one in it.

    Parameters
    ----------
    frame : pandas.DataFrame
        ``estimate`` of each assignment, ``actual`` (the estimate of the true one), ``p_value``.
    look : Look
    """
    import numpy as np

    canvas, axes = open_canvas(look, 3.2)
    drawn, actual = frame[ESTIMATE].dropna(), float(frame["actual"].iloc[0])
    bins = np.histogram_bin_edges(drawn, bins=min(40, max(8, int(len(drawn) ** 0.5))))
    far = drawn.abs() >= abs(actual) * (1 - 1e-9)
    axes.hist(
        [drawn[~far], drawn[far]], bins=bins, stacked=True, color=[_NEARER, SERIES[1]], edgecolor="white",
        label=[look.say("permutation.nearer"), look.say("permutation.farther")],
    )  # fmt: skip
    axes.axvline(0, color=INK, lw=0.9)
    axes.axvline(actual, color=ACCENT, lw=2.4, label=look.say("placebo.treated"))
    put_in = mark_truth(axes, frame, look, across=True)
    axes.set(xlabel=wrap_axis(look.effect, look), ylabel=look.say("permutation.count"))
    add_legend(canvas, look)
    p = format_value(float(frame[P_VALUE].iloc[0]), "p", 3)
    names = {"n": f"{len(drawn):,}", "k": f"{int(far.sum()):,}", "actual": look.write(actual), "p": p}
    title = look.say("permutation.seen", **names)
    alt = look.say("permutation.alt", data=look.data_label, range=look.write_range(drawn.min(), drawn.max()), **names)
    return finish(canvas, look, title, look.say("permutation.drawn")), alt + put_in


def draw_recovery(frame: pd.DataFrame, look: Look) -> tuple[Canvas, str]:
    """Draw how far each method is off on average, and how much it scatters.

    Parameters
    ----------
    frame : pandas.DataFrame
        ``label``, ``bias``, ``sd``, ``advice``; methods without an estimate are named and left empty.
    look : Look
    """
    canvas, axes = open_canvas(look, height_of(len(frame), look))
    axes.axvline(0, color=INK, lw=0.9)
    for place, (_, row) in enumerate(frame.iterrows()):
        if math.isnan(row["bias"]):
            note_row(axes, place, look.say("no_estimate"))
            continue
        spread = 0 if math.isnan(row["sd"]) else row["sd"]
        axes.plot([row["bias"] - spread, row["bias"] + spread], [place, place], color=INK, lw=1.6)
        axes.plot([row["bias"]], [place], "o", color=ACCENT, mec=INK, ms=7)
    name_rows(axes, list(frame["label"]), look)
    axes.set(xlabel=wrap_axis(look.say("recovery.axis") + look.in_points, look), ylabel="")
    told = "; ".join(
        look.say(
            "recovery.one", label=look.phrase(row["label"]), bias=look.write(row["bias"]),
            sd=format_value(row["sd"], look.unit, 2),
        )
        for _, row in frame.iterrows()
    )  # fmt: skip
    known = frame["bias"].dropna()
    title = look.say("recovery.seen", range=look.write_range(known.min(), known.max()) if len(known) else "")
    return finish(canvas, look, title, look.say("recovery.drawn")), look.say(
        "recovery.alt", data=look.data_label, values=told
    )


def draw_forest(frame: pd.DataFrame, look: Look) -> tuple[Canvas, str]:
    """Draw the studies below one another: estimates on real data filled, on simulated data hollow with the true effect.

    Parameters
    ----------
    frame : pandas.DataFrame
        ``label``, ``data_kind``, ``estimate``, ``conf_low``, ``conf_high``, ``truth`` (missing for real data), ``verdict``,
        in percentage points.
    look : Look
    """
    canvas, axes = open_canvas(look, height_of(len(frame), look, 0.5, 0.62) + 0.2)
    axes.axvline(0, color=INK, lw=0.9)
    for place, (_, row) in enumerate(frame.iterrows()):
        _draw_study(axes, place, row, look)
    names = [f"{look.phrase(row['label'])} ({look.say('kind.' + row['data_kind'])})" for _, row in frame.iterrows()]
    name_rows(axes, names, look)
    axes.set(xlabel=wrap_axis(look.say("forest.axis"), look), ylabel="")
    places = range(len(frame))
    ends = [(places, frame[end]) for end in (CONF_LOW, CONF_HIGH)]
    cut = cut_axis(axes, frame[ESTIMATE], ends, look, across=True, always=frame["truth"])
    _forest_legend(canvas, look)
    told = "; ".join(
        f"{look.phrase(row['label'])} ({look.say('kind.' + row['data_kind'])}): {look.write_effect(row)}"
        + ("" if math.isnan(row["truth"]) else look.say("forest.truth", truth=look.write(row["truth"])))
        for _, row in frame.iterrows()
    )
    real = frame[frame["data_kind"] == "real"]
    title = look.say("forest.seen", n=len(real), k=int(leaves_out_zero(real).sum()))
    subtitle = look.say("forest.drawn", intervals=look.with_intervals(frame)) + cut
    return finish(canvas, look, title, subtitle), look.say("forest.alt", values=told)


def _draw_study(axes: Axes, place: int, row: pd.Series, look: Look) -> None:
    if math.isnan(row[ESTIMATE]):
        note_row(axes, place, look.say("not_identified"))
        return
    simulated = row["data_kind"] == "simulated"
    style: dict[str, Any] = {"mfc": "white" if simulated else ACCENT, "mec": ACCENT if simulated else INK, "ms": 8}
    axes.plot([row[CONF_LOW], row[CONF_HIGH]], [place] * 2, color=GREY if simulated else INK, lw=1.6)
    axes.plot([row[ESTIMATE]], [place], "o" if simulated else "s", **style)
    if not math.isnan(row["truth"]):
        axes.plot([row["truth"]], [place], "D", color=SERIES[1], ms=6)


def _forest_legend(canvas: Canvas, look: Look) -> None:
    from matplotlib.lines import Line2D

    line: dict[str, Any] = {"ls": "", "ms": 8}
    handles = [
        Line2D([], [], marker="s", color=ACCENT, mec=INK, label=look.say("forest.real"), **line),
        Line2D([], [], marker="o", mfc="white", mec=ACCENT, label=look.say("forest.simulated"), **line),
        Line2D([], [], marker="D", color=SERIES[1], label=look.say("put_in"), **line),
        Line2D([], [], color=INK, lw=1.6, label=look.say("interval")),
    ]
    add_legend(canvas, look, handles)
