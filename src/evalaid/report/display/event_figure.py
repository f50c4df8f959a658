"""Effects by time since the start and effects side by side: one estimate, or those of several methods.

The functions that begin with ``plot`` draw on given axes; those that begin with ``draw`` open a figure around them.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from evalaid.base.effect_columns import (
    BAND_HIGH,
    BAND_LOW,
    CONF_HIGH,
    CONF_LOW,
    ESTIMATE,
    TREATED_CLUSTERS,
    leaves_out_zero,
)
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
    height_of,
    name_rows,
    open_canvas,
    series_styles,
    wrap_axis,
)
from evalaid.report.wording.prose import format_value

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Canvas

SERIES_COLUMN = "series"  # of a frame with the estimates of several methods: whose row it is
TRUTH = "truth"
_ZERO = 1e-12  # an estimate this close to 0 and without an interval is that of the reference period
_TICKS, _PHONE_TICKS = 16, 9  # short labels of an axis that do not touch
_NEAR = 1  # times without an estimate that are drawn at either end
_SPREAD = 0.62  # of the space between two times that dodged estimates take


def draw_event_study(frame: pd.DataFrame, look: Look) -> tuple[Canvas, str]:
    """Draw effects by time since the start, with pointwise intervals and simultaneous bands, and how many stand behind each.

    Parameters
    ----------
    frame : pandas.DataFrame
        ``event_time``, ``estimate``, ``conf_low``, ``conf_high`` (pointwise), ``band_low``, ``band_high``
        (simultaneous), in percentage points for a share. Missing ends and an estimate of 0: the reference period; missing
        ends and another estimate: a point without an interval, as of one treated unit; a missing estimate is marked as such.
        ``treated_clusters`` stand below the times; ``series`` names the method where there are several, which are drawn side
        by side without bands.
    look : Look
    """
    several = SERIES_COLUMN in frame
    canvas, axes = open_canvas(look, 4.0 + (0.1 * frame[SERIES_COLUMN].nunique() if several else 0))
    drawn_of, frame = frame, in_window(frame)
    left = drawn_of[~drawn_of.index.isin(frame.index)]
    cut = plot_event_study(axes, frame, look)
    add_legend(canvas, look, most=3 if not several else 1 if look.narrow else 2)
    after = frame[(frame["event_time"] >= 0) & frame[ESTIMATE].notna()]
    before = frame[(frame["event_time"] < 0) & frame[CONF_LOW].notna()]
    names: dict[str, object] = {"k": int(leaves_out_zero(after).sum()), "n": len(after)}
    names |= {"before_k": int(leaves_out_zero(before).sum()), "before_n": len(before)}
    names |= {"range": look.write_range(after[ESTIMATE].min(), after[ESTIMATE].max()) if len(after) else ""}
    kind = "none_after" if after.empty else "seen" if after[CONF_LOW].notna().any() else "seen_plain"
    title = look.say(f"event.{'several' if several else kind}", **names)
    below = look.say("event.below") if TREATED_CLUSTERS in frame else ""
    drawn = "event.drawn" if not several and frame[BAND_LOW].notna().any() else "event.drawn_plain"
    beyond = "" if left.empty else " " + look.say("event.beyond")
    subtitle = look.say(drawn, intervals=look.with_intervals(frame)) + below + beyond + cut
    told = "; ".join(
        f"{_series_of(row, look)}{_signed(row['event_time'])}: {look.write_effect(row)}"
        for _, row in frame[_kept(frame)].iterrows()
    )
    return finish(canvas, look, title, subtitle), look.say("event.alt", title=title, data=look.data_label, values=told)


def in_window(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the rows that figures draw: those of the study's window, from the first to the last that has an estimate."""
    frame = frame[frame["in_window"]] if "in_window" in frame else frame
    known = frame[frame[ESTIMATE].notna()]["event_time"]
    near = frame["event_time"].between(known.min() - _NEAR, known.max() + _NEAR)
    return frame[near] if len(known) else frame


def plot_event_study(axes: Axes, frame: pd.DataFrame, look: Look) -> str:
    """Draw an event study, of one method or of several side by side, on given axes; return how the axis is cut."""
    axes.axhline(0, color=INK, lw=0.9)
    axes.axvline(-0.5, color=GREY, lw=0.9, ls=(0, (4, 3)))
    several = len(set(frame.get(SERIES_COLUMN, ()))) > 1
    drawn = []
    if several:
        names = list(dict.fromkeys(frame[SERIES_COLUMN]))
        colours, markers = series_styles(len(names))
        for at, name in enumerate(names):
            own = frame[frame[SERIES_COLUMN] == name]
            own = own[_kept(own)]
            time = own["event_time"].to_numpy(float) + _SPREAD * ((at + 0.5) / len(names) - 0.5)
            axes.vlines(time, own[CONF_LOW], own[CONF_HIGH], color=colours[at], lw=1.5)
            axes.plot(
                time, own[ESTIMATE], markers[at], color=colours[at], mec=INK, mew=0.5, ms=5.5, label=look.phrase(name)
            )
            drawn += [(time, own[end]) for end in (CONF_LOW, CONF_HIGH)]
    else:
        drawn = _plot_one(axes, frame, look)
    _plot_gaps(axes, frame, look)
    if TRUTH in frame and frame[TRUTH].notna().any():
        true = frame[frame[TRUTH].notna()].drop_duplicates("event_time").sort_values("event_time")
        axes.plot(true["event_time"], true[TRUTH], color=SERIES[1], ls=(0, (6, 2)), lw=1.6, label=look.say("put_in"))
        if len(true) == 1:
            axes.plot(true["event_time"], true[TRUTH], "D", mfc="none", mec=SERIES[1], ms=8)
    _name_times(axes, frame, look)
    axes.set(
        xlabel=look.say("event.time"), ylabel=wrap_axis(look.say("effect_on") + look.in_points, look, upright=True)
    )
    return cut_axis(axes, frame[ESTIMATE], drawn, look, always=frame.get(TRUTH, ()))


def _plot_one(axes: Axes, frame: pd.DataFrame, look: Look) -> list[tuple[Any, Any]]:
    own = frame[_kept(frame)]
    time = own["event_time"].to_numpy(float)
    drawn = [(time, own[end]) for end in (BAND_LOW, BAND_HIGH, CONF_LOW, CONF_HIGH) if end in own]
    if BAND_LOW in own and own[BAND_LOW].notna().any():
        axes.vlines(time, own[BAND_LOW], own[BAND_HIGH], color=BAND, lw=7, label=look.say("band"))
    if own[CONF_LOW].notna().any():
        axes.vlines(time, own[CONF_LOW], own[CONF_HIGH], color=INK, lw=1.6, label=look.say("pointwise"))
    before = time < 0
    axes.plot(time[before], own[ESTIMATE][before], "o", mfc="white", mec=INK, ms=6.5, label=look.say("event.before"))
    axes.plot(time[~before], own[ESTIMATE][~before], "o", color=ACCENT, mec=INK, ms=6.5, label=look.say("event.after"))
    return drawn


def _plot_gaps(axes: Axes, frame: pd.DataFrame, look: Look) -> None:
    """Mark the reference period, and the times that have no estimate."""
    known = frame[ESTIMATE].notna()
    reference = frame[known & ~_kept(frame)].drop_duplicates("event_time")
    if len(reference):
        axes.plot(
            reference["event_time"],
            [0] * len(reference),
            "D",
            color=GREY,
            ms=5,
            ls="",
            label=look.say("event.reference"),
        )
    missing = frame[~known]
    missing = missing[~missing["event_time"].isin(frame[known]["event_time"])].drop_duplicates("event_time")
    if len(missing):
        axes.plot(
            missing["event_time"], [0.03] * len(missing), "x", color=GREY, ms=5, ls="",
            transform=axes.get_xaxis_transform(), label=look.say("event.missing"),
        )  # fmt: skip


def _name_times(axes: Axes, frame: pd.DataFrame, look: Look) -> None:
    """Label the times, and below each how many treated clusters stand behind its estimate."""
    rows = frame.drop_duplicates("event_time").sort_values("event_time")
    times = rows["event_time"].to_numpy(float)
    labels = [_signed(time) for time in times]
    if TREATED_CLUSTERS in frame:
        most = frame.groupby("event_time")[TREATED_CLUSTERS].max()
        counts = [most.loc[time] for time in rows["event_time"]]
        labels = [
            f"{label}\n{'' if math.isnan(count) else int(count)}" for label, count in zip(labels, counts, strict=True)
        ]
    step = -(-len(labels) // (_PHONE_TICKS if look.narrow else _TICKS))
    from_zero = int((abs(times)).argmin()) % step
    axes.set_xticks(times, [label if at % step == from_zero else "" for at, label in enumerate(labels)], fontsize=SMALL)
    axes.grid(visible=False, axis="x")


def draw_comparison(frame: pd.DataFrame, look: Look) -> tuple[Canvas, str]:
    """Draw estimates of the same effect below one another, with their intervals.

    Parameters
    ----------
    frame : pandas.DataFrame
        ``label``, ``estimate``, ``conf_low``, ``conf_high`` in percentage points for a share; rows without an estimate
        are named and left empty. The first row is the main one: its interval is drawn through the whole figure.
    look : Look
    """
    canvas, axes = open_canvas(look, height_of(len(frame), look))
    cut = plot_comparison(axes, frame, look)
    add_legend(canvas, look)
    main, known = frame.iloc[0], frame[frame[ESTIMATE].notna()]
    names = {
        "range": look.write_range(known[ESTIMATE].min(), known[ESTIMATE].max()) if len(known) else "",
        "main": look.write(main[ESTIMATE]), "label": look.phrase(main["label"]), "n": len(known),
        "k": int(leaves_out_zero(known).sum()),
    }  # fmt: skip
    title = look.say("comparison.main_missing" if math.isnan(main[ESTIMATE]) else "comparison.seen", **names)
    subtitle = look.say("comparison.drawn", intervals=look.with_intervals(frame)) + cut
    if not math.isnan(main[CONF_LOW]):
        subtitle += " " + look.say("comparison.shaded")
    told = "; ".join(
        f"{look.phrase(row['label'])}: {look.say('not_identified') if math.isnan(row[ESTIMATE]) else look.write_effect(row)}"
        for _, row in frame.iterrows()
    )
    alt = look.say("comparison.alt", data=look.data_label, values=told, intervals=look.with_intervals(frame))
    return finish(canvas, look, title, subtitle), alt


def plot_comparison(axes: Axes, frame: pd.DataFrame, look: Look) -> str:
    """Draw estimates below one another on given axes, the first one marked; return how the axis is cut."""
    main = frame.iloc[0]
    if not math.isnan(main[CONF_LOW]):
        axes.axvspan(main[CONF_LOW], main[CONF_HIGH], color=BAND, alpha=0.35, lw=0)
    axes.axvline(0, color=INK, lw=0.9)
    for place, (_, row) in enumerate(frame.iterrows()):
        if math.isnan(row[ESTIMATE]):
            note_row(axes, place, look.say("not_identified"))
            continue
        axes.plot([row[CONF_LOW], row[CONF_HIGH]], [place, place], color=INK, lw=1.6)
        axes.plot([row[ESTIMATE]], [place], "s" if place == 0 else "o", color=ACCENT, mec=INK, ms=7)
    if TRUTH in frame and frame[TRUTH].notna().any():
        axes.plot(
            frame[TRUTH], range(len(frame)), "D", mfc="none", mec=SERIES[1], mew=1.5, ms=8, label=look.say("put_in")
        )
    name_rows(axes, list(frame["label"]), look)
    axes.set(xlabel=wrap_axis(look.effect, look), ylabel="")
    ends = [(range(len(frame)), frame[end]) for end in (CONF_LOW, CONF_HIGH)]
    return cut_axis(axes, frame[ESTIMATE], ends, look, across=True, always=frame.get(TRUTH, ()))


def note_row(axes: Axes, place: float, text: str, at: float = 0) -> None:
    """Write in a row why nothing is drawn there."""
    axes.annotate(text, (at, place), (4, 0), textcoords="offset points", va="center", fontsize=SMALL, color=GREY)


def _kept(frame: pd.DataFrame) -> Any:
    """Return which rows are estimates: those with an interval, and those that are not the zero of the reference period."""
    return frame[CONF_LOW].notna() | (frame[ESTIMATE].abs() > _ZERO)


def _signed(time: float) -> str:
    return format_value(time, "number", 0, signed=True)


def _series_of(row: pd.Series, look: Look) -> str:
    return f"{look.phrase(row[SERIES_COLUMN])} " if SERIES_COLUMN in row else ""
