"""Figures of a design and of its estimates: treatment status, means by cohort, event study, estimates side by side."""

from __future__ import annotations

import math
from textwrap import fill
from typing import TYPE_CHECKING

from evalaid.base.effect_columns import BAND_HIGH, BAND_LOW, CONF_HIGH, CONF_LOW, ESTIMATE
from evalaid.report.display.canvas import (
    ACCENT,
    BAND,
    GREY,
    INK,
    PALE,
    PUT_IN,
    SERIES,
    Look,
    canvas_of,
    finish,
    series_styles,
)
from evalaid.report.display.fonts import drawable
from evalaid.report.wording.prose import format_value

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Canvas

STATUS = ("never treated", "not yet treated", "treated")
STATUS_COLOURS = ("#eceff2", "#a9c6df", "#1f5f8b")
_LEGEND_COLUMNS = 6
_CEILING = 100.0
_WRAP = 44  # letters of a label in one line
_ZERO = 1e-12  # an estimate this close to 0 and without an interval is that of the reference period
# Labels of an axis that do not touch: on half a figure, on a figure, short ones on a figure.
_NARROW, _ROOM, _SHORT = 6, 12, 16


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
    rows = list(dict.fromkeys(frame["cohort_label"]))
    columns = list(dict.fromkeys(frame["period_label"]))
    status = _spread(frame, "cohort_label").loc[rows, columns]
    canvas, axes = canvas_of(8.0, 1.6 + 0.55 * len(rows))
    _tiles(axes, status)
    sizes = frame.drop_duplicates("cohort_label").set_index("cohort_label")
    counts = [
        f"{look.units}: {sizes.loc[row, 'n_units']}, {look.clusters}: {sizes.loc[row, 'n_clusters']}" for row in rows
    ]
    labels = [f"{row}\n{count}" for row, count in zip(rows, counts, strict=True)]
    axes.set_yticks([place + 0.5 for place in range(len(rows))], drawable(labels))
    axes.set(title="Treatment status by cohort and period", xlabel="Period", ylabel="")
    _status_legend(canvas)
    treated = {row: [c for c in columns if status.loc[row, c] == STATUS[2]] for row in rows}
    said = [f"{row}: treated from {c[0]}" if c else f"{row}: never treated in the panel" for row, c in treated.items()]
    alt = (
        f"Map of treatment status by cohort and period, {columns[0]} to {columns[-1]} ({look.data_label}). "
        + "; ".join(said)
        + "."
    )
    return finish(canvas, look), alt


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
    canvas, axes = canvas_of(8.0, 1.8 + 0.175 * len(rows))
    _tiles(axes, status)
    sizes = frame.drop_duplicates("cluster").set_index("cluster")["n_units"]
    names = [f"{name}  ({sizes[row]})" for name, row in zip(drawable(rows), rows, strict=True)]
    axes.set_yticks([place + 0.5 for place in range(len(rows))], names, fontsize=8)
    axes.set(title=f"Treatment status of {look.clusters} ({look.units} in brackets)", xlabel="Period", ylabel="")
    _status_legend(canvas)
    count = frame.drop_duplicates("cluster")["cohort_label"].value_counts(sort=False)
    said = ", ".join(f"{number} {name}" for name, number in count.items())
    return finish(
        canvas, look
    ), f"Map of treatment status of {len(rows)} {look.clusters} by period ({look.data_label}): {said}."


def draw_means(frame: pd.DataFrame, look: Look) -> tuple[Canvas, str]:
    """Draw the mean outcome by cohort and period: on the whole scale of a share, and enlarged.

    The left panel shows the whole scale from 0 to 100 %, so that the ceiling of a share stays in view; the right one
    says that its axis is cut. An outcome that is no share has the right panel alone.

    Parameters
    ----------
    frame : pandas.DataFrame
        ``cohort_label``, ``period_label``, ``mean`` (per cent for a share), ``start_label`` (the cohort's first treated
        period, empty for the never treated).
    look : Look
    """
    import seaborn as sns

    share = look.unit == "pp"
    periods = list(dict.fromkeys(frame["period_label"]))
    cohorts = list(dict.fromkeys(frame["cohort_label"]))
    colours, markers = series_styles(len(cohorts))
    canvas, both = canvas_of(9.5, 4.2, columns=2 if share else 1)
    panels = list(both) if share else [both]
    for axes in panels:
        enlarged = axes is panels[-1]
        sns.lineplot(
            frame,
            x="period_label",
            y="mean",
            hue="cohort_label",
            style="cohort_label",
            hue_order=cohorts,
            style_order=cohorts,
            palette=colours,
            markers=markers,
            dashes=False,
            errorbar=None,
            sort=False,
            legend=enlarged,
            ax=axes,
        )
        axes.set(xlabel="Period", ylabel=f"{look.outcome_label} (%)" if share else look.outcome_label)
        axes.set_xticks(range(len(periods)), _thinned(periods, _NARROW))
    if share:
        panels[0].set_ylim(0, _CEILING)
        panels[0].set_title("Whole scale, 0 to 100 %")
        panels[1].set_ylabel("Mean (%), axis cut")
        panels[1].set_title("Enlarged: the axis is cut at both ends")
    starts = frame[(frame["period_label"] == frame["start_label"])]
    for _, row in starts.iterrows():
        colour = colours[cohorts.index(row["cohort_label"])]
        panels[-1].plot([row["period_label"]], [row["mean"]], "o", mfc="none", mec=colour, ms=14, mew=1.6)
    handles, names = panels[-1].get_legend_handles_labels()
    panels[-1].get_legend().remove()
    canvas.legend(
        handles,
        names,
        title="ring: first treated period",
        loc="outside lower center",
        ncols=min(len(cohorts), _LEGEND_COLUMNS),
        frameon=False,
    )
    first, last = frame["period_label"].iloc[0], frame["period_label"].iloc[-1]
    said = []
    for cohort in cohorts:
        own = frame[frame["cohort_label"] == cohort]["mean"]
        ends = [format_value(own.iloc[place], "%" if share else "number", 1, with_unit=True) for place in (0, -1)]
        said.append(f"{cohort}: {ends[0]} to {ends[1]}")
    alt = f"Lines of the mean outcome by cohort, {first} to {last} ({look.data_label}). " + "; ".join(said) + "."
    return finish(canvas, look), alt


def draw_event_study(frame: pd.DataFrame, look: Look) -> tuple[Canvas, str]:
    """Draw effects by time since the start, with pointwise intervals and simultaneous bands.

    Parameters
    ----------
    frame : pandas.DataFrame
        ``event_time``, ``estimate``, ``conf_low``, ``conf_high`` (pointwise), ``band_low``, ``band_high``
        (simultaneous), in percentage points for a share. Missing ends and an estimate of 0: the reference period; missing
        ends and another estimate: a point without an interval, as of one treated unit; a missing estimate is marked as such.
    look : Look
    """
    canvas, axes = canvas_of(8.0, 4.6)
    frame = frame[frame["in_window"]] if "in_window" in frame else frame
    time = frame["event_time"].to_numpy(dtype=float)
    ends = frame[CONF_LOW].notna().to_numpy()
    known = frame[ESTIMATE].notna().to_numpy()
    kept = ends | (frame[ESTIMATE].abs() > _ZERO).to_numpy()
    inside, where = frame[kept], time[kept]
    axes.axhline(0, color=INK, lw=0.9)
    axes.axvline(-0.5, color=GREY, lw=0.9, ls=(0, (4, 3)))
    if ends.any():
        axes.vlines(where, inside[BAND_LOW], inside[BAND_HIGH], color=BAND, lw=7, label="simultaneous band")
        axes.vlines(where, inside[CONF_LOW], inside[CONF_HIGH], color=INK, lw=1.6, label="pointwise interval")
    before = where < 0
    axes.plot(where[before], inside[ESTIMATE][before], "o", mfc="white", mec=INK, ms=6.5, label="before the start")
    axes.plot(where[~before], inside[ESTIMATE][~before], "o", color=ACCENT, mec=INK, ms=6.5, label="from the start on")
    for rows, place, marker, name in (
        (~kept & known, axes.transData, "D", "reference period (0 by definition)"),
        (~known, axes.get_xaxis_transform(), "x", "no estimate: no comparison"),
    ):
        if rows.any():
            height = [0 if marker == "D" else 0.03] * int(rows.sum())
            axes.plot(time[rows], height, marker, color=GREY, ms=5, ls="", transform=place, label=name)
    true = frame[frame["truth"].notna()] if "truth" in frame else frame.iloc[:0]
    if len(true):
        axes.plot(true["event_time"], true["truth"], "D", mfc="none", mec=SERIES[1], mew=1.5, ms=8, label=PUT_IN)
    axes.set_xticks(time, _thinned([format_value(t, "number", 0, signed=True) for t in time], _SHORT))
    axes.set(
        title="Effect by time since the start, "
        + (f"{look.level:.0%} intervals and bands" if ends.any() else "no intervals"),
        xlabel="Periods since the first treated period",
        ylabel=f"Effect on {look.outcome_label[:1].lower()}{look.outcome_label[1:]}{look.in_points}",
    )
    canvas.legend(loc="outside lower center", ncols=3, frameon=False, fontsize=8.5)
    said = "; ".join(
        f"{format_value(row['event_time'], 'number', 0, signed=True)}: {look.write_effect(row)}"
        for _, row in inside.iterrows()
    )
    alt = f"Event study ({look.data_label}): estimate and pointwise {look.level:.0%} interval by periods since the start: {said}."
    return finish(canvas, look), alt


def draw_comparison(frame: pd.DataFrame, look: Look) -> tuple[Canvas, str]:
    """Draw estimates of the same effect below one another, with their intervals.

    Parameters
    ----------
    frame : pandas.DataFrame
        ``label``, ``estimate``, ``conf_low``, ``conf_high`` in percentage points for a share; rows without an estimate
        are named and left empty. The first row is the main one: its interval is drawn through the whole figure.
    look : Look
    """
    labels = list(frame["label"])
    canvas, axes = canvas_of(8.6, 1.5 + 0.42 * len(labels))
    true = frame["truth"] if "truth" in frame else frame[ESTIMATE] * math.nan
    main = frame.iloc[0]
    if not math.isnan(main[CONF_LOW]):
        axes.axvspan(main[CONF_LOW], main[CONF_HIGH], color=BAND, alpha=0.35, lw=0)
    axes.axvline(0, color=INK, lw=0.9)
    for place, (_, row) in enumerate(frame.iterrows()):
        if math.isnan(row[ESTIMATE]):
            axes.annotate(
                "not identified", (0, place), (4, 0), textcoords="offset points", va="center", fontsize=8, color=GREY
            )
            continue
        axes.plot([row[CONF_LOW], row[CONF_HIGH]], [place, place], color=INK, lw=1.6)
        axes.plot([row[ESTIMATE]], [place], "s" if place == 0 else "o", color=ACCENT, mec=INK, ms=7)
    if true.notna().any():
        axes.plot(true, range(len(labels)), "D", mfc="none", mec=SERIES[1], mew=1.5, ms=8, label=PUT_IN)
        canvas.legend(loc="outside lower center", frameon=False, fontsize=8.5)
    axes.set_yticks(range(len(labels)), [fill(label, _WRAP) for label in drawable(labels)])
    axes.set_ylim(len(labels) - 0.5, -0.5)
    axes.set(
        title="Estimates side by side, "
        + (f"{look.level:.0%} intervals" if frame[CONF_LOW].notna().any() else "no intervals"),
        xlabel=f"Effect{look.in_points}"
        + ("" if math.isnan(main[CONF_LOW]) else "; shaded: interval of the first row"),
        ylabel="",
    )
    said = "; ".join(f"{row['label']}: {look.write_effect(row)}" for _, row in frame.iterrows())
    with_ends = f" with {look.level:.0%} intervals" if frame[CONF_LOW].notna().any() else ""
    return finish(canvas, look), f"Estimates side by side{with_ends} ({look.data_label}): {said}."


def _spread(frame: pd.DataFrame, rows: str) -> pd.DataFrame:
    return frame.set_index([rows, "period_label"])["status"].unstack("period_label")  # noqa: PD010 (words, nothing to average)


def _tiles(axes: Axes, status: pd.DataFrame) -> None:
    import seaborn as sns
    from matplotlib.colors import ListedColormap

    codes = status.map(STATUS.index).astype(int)
    sns.heatmap(
        codes,
        cmap=ListedColormap(STATUS_COLOURS),
        vmin=0,
        vmax=len(STATUS) - 1,
        cbar=False,
        xticklabels=False,
        yticklabels=False,
        linewidths=1,
        linecolor="white",
        ax=axes,
    )
    axes.set_xticks([place + 0.5 for place in range(codes.shape[1])], _thinned(list(codes.columns)), rotation=0)
    axes.tick_params(axis="y", rotation=0, length=0)


def _thinned(names: list[str], most: int = _ROOM) -> list[str]:
    """Leave as many labels of an axis as there is room for, the first and every further one at equal steps."""
    step = -(-len(names) // most)
    return [name if place % step == 0 else "" for place, name in enumerate(names)]


def _status_legend(canvas: Canvas) -> None:
    from matplotlib.patches import Patch

    patches = [Patch(fc=colour, ec=GREY, label=name) for name, colour in zip(STATUS, STATUS_COLOURS, strict=True)]
    canvas.legend(handles=patches, loc="outside lower center", ncols=len(STATUS), frameon=False, fontsize=9)


def draw_flow(frame: pd.DataFrame, look: Look) -> tuple[Canvas, str]:
    """Draw the units that each rule leaves, and in pale those that it leaves out.

    Parameters
    ----------
    frame : pandas.DataFrame
        ``step``, ``units``, ``units_out``; see `evalaid.report.questions.flow.describe_flow`.
    look : Look
    """
    labels = [fill(step, _WRAP) for step in drawable(list(frame["step"]))]
    rows = max((label.count("\n") + 1 for label in labels), default=1)
    canvas, axes = canvas_of(8.6, 1.4 + max(0.5, 0.19 * rows) * len(frame))  # the longest label fits into its row
    places = range(len(frame))
    axes.barh(places, frame["units"], color=ACCENT, height=0.6)
    axes.barh(places, frame["units_out"], left=frame["units"], color=PALE, edgecolor=INK, lw=0.5, height=0.6)
    for place, left, out in zip(places, frame["units"], frame["units_out"], strict=True):
        text = f"{left:,}" + (f"  ({out:,} out)" if out else "")
        axes.annotate(text, (left + out, place), (4, 0), textcoords="offset points", va="center", fontsize=8.5)
    axes.set_yticks(list(places), labels)
    axes.set_ylim(len(frame) - 0.5, -0.5)
    axes.set_xlim(0, 1.18 * float((frame["units"] + frame["units_out"]).max()))
    axes.set(title="From the file to the design", xlabel=f"{look.units[:1].upper()}{look.units[1:]}", ylabel="")
    said = "; ".join(
        f"{row['step']}: {row['units']:,} left" + (f", {row['units_out']:,} out" if row["units_out"] else "")
        for _, row in frame.iterrows()
    )
    return finish(canvas, look), f"Units left after each rule ({look.data_label}): {said}."
