"""What a synthetic method compares with: the treated beside their weighted comparison, and the units that carry the weight."""

from __future__ import annotations

from typing import TYPE_CHECKING

from evalaid.report.display.canvas import (
    ACCENT,
    GREY,
    INK,
    SERIES,
    SMALL,
    Look,
    add_legend,
    finish,
    open_canvas,
    wrap_axis,
)
from evalaid.report.display.fonts import drawable, fold
from evalaid.report.wording.prose import format_value

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Canvas

TREATED, COMPARISON, WEIGHT = "treated", "comparison", "weight"  # kinds of rows
OTHERS = "others"  # the row that sums the lighter units
_LABELS, _PHONE_LABELS = 8, 6


def draw_synthetic(frame: pd.DataFrame, look: Look) -> tuple[Canvas, str]:
    """Draw for each panel the two paths and, beside or below them, the weights.

    Parameters
    ----------
    frame : pandas.DataFrame
        ``panel``, ``kind``, ``label``, ``value``, ``start_label``, ``more``; see
        `evalaid.report.questions.method_paths.trace_synthetic`.
    look : Look
    """
    panels = list(dict.fromkeys(frame["panel"]))
    down = len(panels) * (2 if look.narrow else 1)
    canvas, grid = open_canvas(
        look, 0.7 + (2.4 if look.narrow else 2.75) * down, columns=1 if look.narrow else 2, rows=down, squeeze=False,
        **({} if look.narrow else {"width_ratios": (1.7, 1)}),
    )  # fmt: skip
    places = grid.ravel()
    told, ends, fits = [], [], []
    for at, name in enumerate(panels):
        own = frame[frame["panel"] == name]
        paths = own[own["kind"] != WEIGHT].pivot_table("value", index="label", columns="kind", sort=False)
        gap = paths[TREATED] - paths[COMPARISON]
        start = list(paths.index).index(own["start_label"].iloc[0])
        _plot_pair(places[2 * at], paths, start, name, look)
        _plot_weights(places[2 * at + 1], own[own["kind"] == WEIGHT], look)
        ends.append(gap.iloc[-1])
        fits.append(gap.iloc[:start].abs().max())
        heavy = look.say("comma").join(
            f"{_named(row, look)} {_per_cent(row['value'])}" for _, row in own[own["kind"] == WEIGHT].iterrows()
        )
        told.append(
            look.say(
                "synthetic.one", panel=look.phrase(name), first=paths.index[0], last=paths.index[-1], values=heavy,
                **{
                    f"{kind}_{end}": format_value(paths[kind].iloc[place], "%" if look.unit == "pp" else look.unit, 1, with_unit=True)
                    for kind in (TREATED, COMPARISON)
                    for end, place in (("first", 0), ("last", -1))
                },
            )
        )  # fmt: skip
    add_legend(canvas, look, most=3)
    last = frame[frame["kind"] == TREATED]["label"].iloc[-1]
    title = look.say("synthetic.seen", last=last, range=_range(ends, look))
    subtitle = look.say("synthetic.drawn", fit=format_value(max(fits), look.unit, 2, with_unit=True))
    return finish(canvas, look, title, subtitle), look.say(
        "synthetic.alt", data=look.data_label, values="; ".join(told)
    )


def _plot_pair(axes: Axes, paths: pd.DataFrame, start: int, name: str, look: Look) -> None:
    where = range(len(paths))
    axes.plot(where, paths[COMPARISON], color=SERIES[1], lw=1.8, ls=(0, (5, 2)), label=look.say("synthetic.comparison"))
    axes.plot(where, paths[TREATED], "o-", color=ACCENT, mec=INK, ms=4.5, lw=1.6, label=look.say("synthetic.treated"))
    axes.axvline(start - 0.5, color=GREY, lw=0.9, ls=(0, (4, 3)))
    axes.set_title(fold(drawable([look.phrase(name)])[0], 56), loc="left", fontsize=SMALL)
    step = -(-len(paths) // (_PHONE_LABELS if look.narrow else _LABELS))
    axes.set_xticks(where, [text if at % step == 0 else "" for at, text in enumerate(paths.index)], fontsize=SMALL)
    outcome = f"{look.outcome_label} (%)" if look.unit == "pp" else look.outcome_label
    axes.set(xlabel="", ylabel=wrap_axis(outcome, look, upright=True))


def _plot_weights(axes: Axes, weights: pd.DataFrame, look: Look) -> None:
    places = range(len(weights))
    axes.barh(places, weights["value"], color=SERIES[1], alpha=0.75, height=0.6)
    names = drawable([_named(row, look) for _, row in weights.iterrows()])
    axes.set_yticks(places, [fold(text, 24) for text in names], fontsize=SMALL)
    for place, value in zip(places, weights["value"], strict=True):
        axes.annotate(_per_cent(value), (value, place), (3, 0), textcoords="offset points", va="center", fontsize=SMALL)
    axes.set(ylim=(max(len(weights), 3) - 0.5, -0.5), xlim=(0, 1.22 * float(weights["value"].max())))
    axes.set_xticks([])
    axes.set_title(look.say("synthetic.weights"), loc="left", fontsize=SMALL)
    axes.grid(visible=False)


def _named(row: pd.Series, look: Look) -> str:
    return look.say("synthetic.others", n=int(row["more"])) if row["label"] == OTHERS else str(row["label"])


def _per_cent(value: float) -> str:
    return format_value(value, "%", 0 if round(value, 1) >= 1 else 1, with_unit=True)


def _range(ends: list[float], look: Look) -> str:
    low, high = (format_value(value, look.unit, 2, signed=True, with_unit=True) for value in (min(ends), max(ends)))
    return low if low == high else look.say("range", low=low, high=high)
