"""Figures of a design: treatment status, means by cohort, the flow of the sample."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from evalaid.base.effect_columns import N_CLUSTERS
from evalaid.report.display.canvas import (
    ACCENT,
    GREY,
    INK,
    PALE,
    SMALL,
    Look,
    add_legend,
    finish,
    height_of,
    name_rows,
    open_canvas,
    series_styles,
    wrap_axis,
)
from evalaid.report.display.event_figure import draw_comparison, draw_event_study
from evalaid.report.display.fonts import drawable
from evalaid.report.wording.prose import format_value

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Canvas

__all__ = ["draw_assignment", "draw_comparison", "draw_event_study", "draw_flow", "draw_means", "draw_status_map"]

STATUS = ("never treated", "not yet treated", "treated")
STATUS_COLOURS = ("#eceff2", "#a9c6df", "#1f5f8b")
_CEILING = 100.0
# Labels of an axis that do not touch: on a phone, on half a figure, on a figure.
_NARROW, _HALF, _ROOM = 5, 6, 12


def draw_status_map(frame: pd.DataFrame, look: Look) -> tuple[Canvas, str]:
    """Draw treatment status by cohort and period.

    Parameters
    ----------
    frame : pandas.DataFrame
        One row for each cohort and period: ``cohort_label``, ``period_label``, ``status`` (one of `STATUS`),
        ``n_units``, ``n_clusters``, in the order of the map.
    look : Look

    Returns
    -------
    (matplotlib.figure.Figure, str)
        The figure and its alternative text.
    """
    rows, columns = list(dict.fromkeys(frame["cohort_label"])), list(dict.fromkeys(frame["period_label"]))
    canvas, axes = open_canvas(look, height_of(len(rows), look, 0.5, 0.56))
    plot_status(axes, frame, look)
    add_legend(canvas, look, _status_patches(look), most=3)
    status = _spread(frame, "cohort_label").loc[rows, columns]
    starts = {row: next((c for c in columns if status.loc[row, c] == STATUS[2]), None) for row in rows}
    told = "; ".join(
        look.phrase(f"{row}: treated from {start}" if start else f"{row}: never treated in the panel")
        for row, start in starts.items()
    )
    last = (status[columns[-1]] != STATUS[2]).any()
    title = look.say("status.compared" if last else "status.none_left", last=columns[-1])
    alt = look.say("status.alt", first=columns[0], last=columns[-1], data=look.data_label, values=told)
    return finish(canvas, look, title, look.say("status.drawn")), alt


def plot_status(axes: Axes, frame: pd.DataFrame, look: Look) -> None:
    """Draw treatment status by cohort and period on given axes."""
    rows = list(dict.fromkeys(frame["cohort_label"]))
    columns = list(dict.fromkeys(frame["period_label"]))
    _tiles(axes, _spread(frame, "cohort_label").loc[rows, columns], _NARROW if look.narrow else _ROOM)
    sizes = frame.drop_duplicates("cohort_label").set_index("cohort_label")
    alike = look.units == look.clusters  # each unit is its own cluster, under one name
    counts = [
        look.say(
            "status.count" if alike else "status.counts",
            n_units=sizes.loc[row, "n_units"],
            n_clusters=sizes.loc[row, N_CLUSTERS],
        )
        for row in rows
    ]
    labels = [f"{look.phrase(row)}\n{count}" for row, count in zip(rows, counts, strict=True)]
    axes.set_yticks([place + 0.5 for place in range(len(rows))], drawable(labels), fontsize=SMALL)
    axes.set(xlabel=look.say("period"), ylabel="")


def draw_assignment(frame: pd.DataFrame, look: Look) -> tuple[Canvas, str]:
    """Draw when each cluster is treated: one row per cluster, under its own name, by cohort.

    Parameters
    ----------
    frame : pandas.DataFrame
        ``cluster``, ``cohort_label``, ``period_label``, ``status``, ``n_units``, in the order of the map.
    look : Look
    """
    rows, columns = list(dict.fromkeys(frame["cluster"])), list(dict.fromkeys(frame["period_label"]))
    status = _spread(frame, "cluster").loc[rows, columns]
    canvas, axes = open_canvas(look, 1.4 + 0.18 * len(rows))
    _tiles(axes, status, _NARROW if look.narrow else _ROOM)
    sizes = frame.drop_duplicates("cluster").set_index("cluster")["n_units"]
    names = [f"{name}  ({sizes[row]})" for name, row in zip(drawable(rows), rows, strict=True)]
    axes.set_yticks([place + 0.5 for place in range(len(rows))], names, fontsize=SMALL)
    axes.set(xlabel=look.say("period"), ylabel="")
    add_legend(canvas, look, _status_patches(look), most=3)
    count = frame.drop_duplicates("cluster")["cohort_label"].value_counts(sort=False)
    told = look.say("comma").join(f"{number} {look.phrase(str(name))}" for name, number in count.items())
    title = look.say("assignment.seen", n=len(rows), values=told)
    alt = look.say("assignment.alt", n=len(rows), data=look.data_label, values=told)
    return finish(canvas, look, title, look.say("assignment.drawn")), alt


def draw_means(frame: pd.DataFrame, look: Look) -> tuple[Canvas, str]:
    """Draw the mean outcome by cohort and period: on the whole scale of a share, and enlarged.

    One panel shows the whole scale from 0 to 100 %, so that the ceiling of a share stays in view; the other one
    says that its axis is cut. An outcome that is no share has the second panel alone.

    Parameters
    ----------
    frame : pandas.DataFrame
        ``cohort_label``, ``period_label``, ``mean`` (per cent for a share), ``start_label`` (the cohort's first treated
        period, empty for the never treated).
    look : Look
    """
    share = look.unit == "pp"
    across = share and not look.narrow
    down = 2 if share and look.narrow else 1
    canvas, panels = open_canvas(look, 3.6 * down, columns=2 if across else 1, rows=down)
    panels = list(panels) if share else [panels]
    for axes in panels:
        plot_paths(axes, frame, look)
    if share:
        panels[0].set_ylim(0, _CEILING)
        panels[0].set_title(look.say("means.whole"), loc="left")
        panels[1].set_title(look.say("means.cut"), loc="left")
    add_legend(canvas, look, title=look.say("means.ring"))
    first, last = frame["period_label"].iloc[0], frame["period_label"].iloc[-1]
    ends = frame.groupby("cohort_label", sort=False)["mean"].agg(["first", "last"])
    unit = "%" if share else "number"
    told = "; ".join(
        look.phrase(str(name))
        + ": "
        + look.say("range", low=_plain(row["first"], unit), high=_plain(row["last"], unit))
        for name, row in ends.iterrows()
    )
    change = ends["last"] - ends["first"]
    low, high = (
        format_value(v, "pp" if share else "number", 1, signed=True, with_unit=True)
        for v in (change.min(), change.max())
    )
    title = look.say("means.seen", low=low, high=high, first=first, last=last)
    alt = look.say("means.alt", first=first, last=last, data=look.data_label, values=told)
    return finish(canvas, look, title, look.say("means.drawn")), alt


def plot_paths(axes: Axes, frame: pd.DataFrame, look: Look) -> None:
    """Draw the mean outcome by cohort and period on given axes, with a ring at the first treated period."""
    periods = list(dict.fromkeys(frame["period_label"]))
    cohorts = list(dict.fromkeys(frame["cohort_label"]))
    colours, markers = series_styles(len(cohorts))
    for at, cohort in enumerate(cohorts):
        own = frame[frame["cohort_label"] == cohort]
        where = [periods.index(period) for period in own["period_label"]]
        size = 5.5 if len(periods) <= _ROOM else 3.5
        axes.plot(where, own["mean"], marker=markers[at], color=colours[at], ms=size, lw=1.6, label=look.phrase(cohort))
        start = own[own["period_label"] == own["start_label"]]
        place = [periods.index(period) for period in start["period_label"]]
        axes.plot(place, start["mean"], "o", mfc="none", mec=colours[at], ms=14, mew=1.6)
    share = look.unit == "pp"
    name = f"{look.outcome_label} (%)" if share else look.outcome_label
    axes.set(xlabel=look.say("period"), ylabel=wrap_axis(name, look, upright=True))
    axes.set_xticks(range(len(periods)), _thinned(periods, _HALF))


def draw_flow(frame: pd.DataFrame, look: Look) -> tuple[Canvas, str]:
    """Draw the units that each rule leaves, and in pale those that it leaves out.

    Parameters
    ----------
    frame : pandas.DataFrame
        ``step``, ``units``, ``units_out``; see `evalaid.report.questions.flow.describe_flow`.
    look : Look
    """
    canvas, axes = open_canvas(look, height_of(len(frame), look, 0.5, 0.6) - 0.3)
    places = range(len(frame))
    height = 0.3 if look.narrow else 0.5
    axes.barh(places, frame["units"], color=ACCENT, height=height)
    axes.barh(places, frame["units_out"], left=frame["units"], color=PALE, edgecolor=INK, lw=0.5, height=height)
    for place, left, out in zip(places, frame["units"], frame["units_out"], strict=True):
        text = f"{left:,}" + (look.say("flow.out", out=f"{out:,}") if out else "")
        axes.annotate(text, (left + out, place), (4, 0), textcoords="offset points", va="center", fontsize=SMALL)
    name_rows(axes, list(frame["step"]), look, wrap=48, above=10)
    axes.set_xlim(0, 1.2 * float((frame["units"] + frame["units_out"]).max()))
    axes.set(xlabel=f"{look.units[:1].upper()}{look.units[1:]}", ylabel="")
    told = "; ".join(
        look.say("flow.left", step=look.phrase(row["step"]), n=f"{row['units']:,}")
        + (look.say("flow.out", out=f"{row['units_out']:,}") if row["units_out"] else "")
        for _, row in frame.iterrows()
    )
    title = look.say("flow.seen", first=f"{frame['units'].iloc[0]:,}", last=f"{frame['units'].iloc[-1]:,}")
    alt = look.say("flow.alt", data=look.data_label, values=told)
    return finish(canvas, look, title, look.say("flow.drawn")), alt


def _plain(value: float, unit: str) -> str:
    return format_value(value, unit, 1, with_unit=True)


def _spread(frame: pd.DataFrame, rows: str) -> pd.DataFrame:
    return frame.set_index([rows, "period_label"])["status"].unstack("period_label")  # noqa: PD010 (words, nothing to average)


def _tiles(axes: Axes, status: pd.DataFrame, most: int) -> None:
    for row, values in enumerate(status.to_numpy()):
        starts = [at for at in range(len(values)) if at == 0 or values[at] != values[at - 1]]
        runs = [(at, end - at) for at, end in zip(starts, [*starts[1:], len(values)], strict=True)]
        axes.broken_barh(
            runs, (row, 1), facecolors=[STATUS_COLOURS[STATUS.index(values[at])] for at in starts], ec="white"
        )
    axes.set(xlim=(0, status.shape[1]), ylim=(len(status), 0))
    axes.set_xticks([place + 0.5 for place in range(status.shape[1])], _thinned(list(status.columns), most))
    axes.tick_params(axis="y", length=0)
    axes.grid(visible=False)


def _thinned(names: list[str], most: int = _ROOM) -> list[str]:
    """Leave as many labels of an axis as there is room for, the first and every further one at equal steps."""
    step = -(-len(names) // most)
    return [name if place % step == 0 else "" for place, name in enumerate(names)]


def _status_patches(look: Look) -> list[Any]:
    from matplotlib.patches import Patch

    return [
        Patch(fc=colour, ec=GREY, label=look.phrase(name)) for name, colour in zip(STATUS, STATUS_COLOURS, strict=True)
    ]
