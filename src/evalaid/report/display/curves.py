"""Further figures: effects by dose, bounds on an effect, placebos, recovery of a known effect, studies side by side.

As `evalaid.report.display.canvas` says, a figure draws the columns of a tidy frame and computes nothing.
"""

from __future__ import annotations

import math
from textwrap import fill
from typing import TYPE_CHECKING, Any

from evalaid.base.effect_columns import CONF_HIGH, CONF_LOW, ESTIMATE
from evalaid.report.display.canvas import ACCENT, BAND, GREY, INK, MARKERS, SERIES, Look, canvas_of, finish, mark_truth
from evalaid.report.display.fonts import drawable
from evalaid.report.wording.prose import format_value

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Canvas

_WRAP = 46
_PANEL_TITLE = 70


def draw_dose(frame: pd.DataFrame, look: Look) -> tuple[Canvas, str]:
    """Draw the effect by dose with its pointwise intervals.

    Parameters
    ----------
    frame : pandas.DataFrame
        ``dose``, ``dose_label`` (what the dose is, with its unit), ``estimate``, ``conf_low``, ``conf_high``.
    look : Look
    """
    name = str(frame["dose_label"].iloc[0])
    canvas, axes = canvas_of(7.6, 4.2)
    axes.axhline(0, color=INK, lw=0.9)
    axes.fill_between(frame["dose"], frame[CONF_LOW], frame[CONF_HIGH], color=BAND, alpha=0.5, lw=0, label="interval")
    axes.plot(frame["dose"], frame[ESTIMATE], "o-", color=ACCENT, mec=INK, ms=5, label="estimate")
    put_in = mark_truth(axes, frame)
    axes.set(
        title=f"Effect by dose, {look.level:.0%} pointwise intervals",
        xlabel=fill(drawable([name])[0], _PANEL_TITLE),
        ylabel=f"Effect{look.in_points}",
    )
    canvas.legend(loc="outside lower center", ncols=2, frameon=False, fontsize=8.5)
    said = "; ".join(f"dose {row['dose']:.2f}: {look.write_effect(row)}" for _, row in frame.iterrows())
    return finish(
        canvas, look
    ), f"Effect by dose ({name}) with {look.level:.0%} intervals ({look.data_label}): {said}.{put_in}"


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
    canvas, panels = canvas_of(8.6, 1.0 + 2.9 * len(claims), rows=len(claims))
    said = []
    for claim, axes in zip(claims, panels if len(claims) > 1 else [panels], strict=True):
        own = frame[frame["claim"] == claim]
        axes.axhline(0, color=INK, lw=0.9)
        for kind in (kind for kind in kinds if kind in set(own["assumption_label"])):
            rows, colour = own[own["assumption_label"] == kind], SERIES[kinds.index(kind) % len(SERIES)]
            axes.fill_between(rows["m"], rows["lower"], rows["upper"], color=colour, alpha=0.12, lw=0)
            for place, end in enumerate(("lower", "upper")):
                axes.plot(
                    rows["m"], rows[end], marker=MARKERS[kinds.index(kind)], color=colour, ms=5, lw=1.2,
                    label=None if place else fill(kind, _WRAP),
                )  # fmt: skip
            ends = rows.iloc[[0, -1]]
            said.append(
                f"{claim}, {kind}: "
                + ", ".join(
                    f"M {row['m']:g}: {look.write_range(row['lower'], row['upper'])}" for _, row in ends.iterrows()
                )
            )
        unlike = "" if set(own["alike"]) == {"yes"} else ": the figures are unlike, so this is arithmetic only"
        axes.set_title(fill(drawable([claim])[0] + unlike, _PANEL_TITLE))
        axes.set(xlabel="M: largest deviation (percentage points a year)", ylabel="Effect (pp)")
    handles: dict[str, Any] = {}
    for axes in panels if len(claims) > 1 else [panels]:
        for handle, name in zip(*axes.get_legend_handles_labels(), strict=True):
            handles.setdefault(name, handle)
    canvas.legend(handles.values(), handles.keys(), loc="outside lower center", ncols=2, frameon=False, fontsize=8.5)
    alt = f"Lower and upper bounds on the effect by M ({look.data_label}). " + "; ".join(said) + "."
    return finish(canvas, look), alt


def draw_placebos(frame: pd.DataFrame, look: Look) -> tuple[Canvas, str]:
    """Draw the placebo estimates of each test, and the true one among them.

    Parameters
    ----------
    frame : pandas.DataFrame
        ``test``, ``estimate``, ``actual``, ``unit``; one line of points per test.
    look : Look
    """
    tests = list(dict.fromkeys(frame["test"]))
    canvas, axes = canvas_of(8.6, 1.6 + 0.7 * len(tests))
    axes.axvline(0, color=INK, lw=0.9)
    said = []
    for place, test in enumerate(tests):
        own = frame[frame["test"] == test]
        false, true = own[~own["actual"].astype(bool)][ESTIMATE], own[own["actual"].astype(bool)][ESTIMATE]
        axes.plot(false, [place] * len(false), "|", color=GREY, ms=14, mew=1.2, label=None if place else "placebo")
        axes.plot(
            true, [place] * len(true), "D", color=ACCENT, mec=INK, ms=8, label=None if place else "true assignment"
        )
        spread = f"{look.write_range(false.min(), false.max())}"
        said.append(f"{test}: {len(false)} placebos from {spread}, true {look.write(true.iloc[0])}")
    put_in = mark_truth(axes, frame, across=True)
    axes.set_yticks(range(len(tests)), [fill(name, _WRAP) for name in drawable(tests)])
    axes.set_ylim(len(tests) - 0.5, -0.5)
    axes.set(
        title="Placebo estimates, and the estimate of the units that were treated",
        xlabel=f"Estimate{look.in_points}",
        ylabel="",
    )
    canvas.legend(loc="outside lower center", ncols=2, frameon=False, fontsize=8.5)
    return finish(
        canvas, look
    ), f"Placebo estimates beside the one of the units that were treated ({look.data_label}). " + "; ".join(
        said
    ) + "." + put_in


def draw_recovery(frame: pd.DataFrame, look: Look) -> tuple[Canvas, str]:
    """Draw how far each method is off on average, and how much it scatters.

    Parameters
    ----------
    frame : pandas.DataFrame
        ``label``, ``bias``, ``sd``, ``advice``; methods without an estimate are named and left empty.
    look : Look
    """
    canvas, axes = canvas_of(8.6, 1.4 + 0.42 * len(frame))
    axes.axvline(0, color=INK, lw=0.9)
    for place, (_, row) in enumerate(frame.iterrows()):
        if math.isnan(row["bias"]):
            axes.annotate(
                "no estimate", (0, place), (4, 0), textcoords="offset points", va="center", fontsize=8, color=GREY
            )
            continue
        spread = 0 if math.isnan(row["sd"]) else row["sd"]
        axes.plot([row["bias"] - spread, row["bias"] + spread], [place, place], color=INK, lw=1.6)
        axes.plot([row["bias"]], [place], "o", color=ACCENT, mec=INK, ms=7)
    axes.set_yticks(range(len(frame)), [fill(name, _WRAP) for name in drawable(list(frame["label"]))])
    axes.set_ylim(len(frame) - 0.5, -0.5)
    axes.set(
        title="Estimate minus true effect: mean, and one standard deviation either way",
        xlabel=f"Estimate minus true effect{look.in_points}",
        ylabel="",
    )
    said = "; ".join(
        f"{row['label']}: {look.write(row['bias'])}, spread {format_value(row['sd'], look.unit, 2)}"
        for _, row in frame.iterrows()
    )
    return finish(canvas, look), f"Bias and spread by method over simulated panels ({look.data_label}): {said}."


def draw_forest(frame: pd.DataFrame, look: Look) -> tuple[Canvas, str]:
    """Draw the studies below one another: estimates on real data filled, on simulated data hollow with the true effect.

    Parameters
    ----------
    frame : pandas.DataFrame
        ``label``, ``data_kind``, ``estimate``, ``conf_low``, ``conf_high``, ``truth`` (missing for real data), ``verdict``,
        in percentage points.
    look : Look
    """
    canvas, axes = canvas_of(9.0, 1.9 + 0.5 * len(frame))
    axes.axvline(0, color=INK, lw=0.9)
    for place, (_, row) in enumerate(frame.iterrows()):
        _draw_study(axes, place, row)
    names = [f"{fill(row['label'], _WRAP)}\n({row['data_kind']})" for _, row in frame.iterrows()]
    axes.set_yticks(range(len(frame)), drawable(names), fontsize=8.5)
    axes.set_ylim(len(frame) - 0.5, -0.5)
    axes.set(
        title=f"Main estimate of every study on a share, {look.level:.0%} intervals",
        xlabel="Effect on the share (percentage points)",
        ylabel="",
    )
    _forest_legend(canvas, look)
    said = "; ".join(
        f"{row['label']} ({row['data_kind']} data): {look.write_effect(row)}"
        + ("" if math.isnan(row["truth"]) else f", put in {look.write(row['truth'])}")
        for _, row in frame.iterrows()
    )
    return finish(canvas, look), f"Studies side by side ({look.data_label}): {said}."


def _draw_study(axes: Axes, place: int, row: pd.Series) -> None:
    if math.isnan(row[ESTIMATE]):
        axes.annotate(
            "not identified", (0, place), (4, 0), textcoords="offset points", va="center", fontsize=8, color=GREY
        )
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
        Line2D([], [], marker="s", color=ACCENT, mec=INK, label="estimate, real data", **line),
        Line2D([], [], marker="o", mfc="white", mec=ACCENT, label="estimate, simulated panel", **line),
        Line2D([], [], marker="D", color=SERIES[1], label="effect that was put into it", **line),
        Line2D([], [], color=INK, lw=1.6, label=f"{look.level:.0%} interval"),
    ]
    canvas.legend(handles=handles, loc="outside lower center", ncols=4, frameon=False, fontsize=8.5)
