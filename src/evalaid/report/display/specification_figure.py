"""The figure of a specification curve: every estimate, sorted, and the choices behind it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from evalaid.base.effect_columns import CONF_HIGH, CONF_LOW, ESTIMATE, leaves_out_zero
from evalaid.report.display.canvas import ACCENT, BAND, GREY, INK, SERIES, Look, finish, mark_truth
from evalaid.report.display.fonts import drawable

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure as Canvas

CHOICES = ("method", "comparison", "covariates", "window", "weights", "scale")
_LONGEST = 60


def draw_specifications(frame: pd.DataFrame, look: Look) -> tuple[Canvas, str]:
    """Draw the estimates of all specifications in ascending order, above the choices that made them.

    Parameters
    ----------
    frame : pandas.DataFrame
        One row per specification, sorted: ``estimate``, ``conf_low``, ``conf_high``, and the choices as text. A choice that never
        varies has no rows of points.
    look : Look
    """
    import matplotlib.pyplot as plt

    rows = [
        (choice, value)
        for choice in CHOICES
        if len(set(frame[choice])) > 1
        for value in sorted(frame[choice].unique(), key=lambda value: -int((frame[choice] == value).sum()))
    ]
    canvas, panels = plt.subplots(
        2, 1, figsize=(9.0, 3.6 + 0.24 * len(rows)), layout="constrained", sharex=True,
        height_ratios=[3.2, max(0.24 * len(rows), 0.3)],
    )  # fmt: skip
    top, below = panels
    place = range(len(frame))
    outside = leaves_out_zero(frame)
    for colour, chosen, word in (
        (BAND, ~outside, "interval holds zero"),
        (SERIES[1], outside, "interval leaves out zero"),
    ):
        own = frame[chosen]
        top.vlines(own.index, own[CONF_LOW], own[CONF_HIGH], color=colour, lw=1.4, label=word if len(own) else None)
    top.axhline(0, color=INK, lw=0.9)
    put_in = mark_truth(top, frame)
    top.plot(place, frame[ESTIMATE], "o", color=ACCENT, mec=INK, mew=0.4, ms=3.2, label="estimate")
    main = frame.index[frame["is_main"]] if "is_main" in frame else frame.index[:0]
    if len(main):
        top.plot(main, frame.loc[main, ESTIMATE], "s", color=SERIES[5], mec=INK, ms=8, label="main estimate", zorder=5)
        below.axvline(main[0], color=SERIES[5], lw=1.6, zorder=0)
    top.set(
        title=f"{len(frame)} distinct specifications, sorted by estimate"
        + (f", {look.level:.0%} intervals" if frame[CONF_LOW].notna().any() else ""),
        ylabel=f"Effect{look.in_points}",
    )
    for height, (choice, value) in enumerate(rows):
        own = frame.index[frame[choice] == value]
        below.plot(own, [height] * len(own), "|", color=INK, ms=6, mew=1.0)
    names = [f"{choice}: {value}" for choice, value in rows]
    below.set_yticks(
        range(len(rows)), drawable([n if len(n) <= _LONGEST else n[: _LONGEST - 1] + "…" for n in names]), fontsize=7.5
    )
    below.set_ylim(len(rows) - 0.5, -0.5)
    changes = [k for k in range(1, len(rows)) if rows[k][0] != rows[k - 1][0]]
    for line in changes:
        below.axhline(line - 0.5, color=GREY, lw=0.6)
    below.set(xlabel="Specifications in the order of their estimates", ylabel="")
    below.set_xticks([])
    below.set_xlim(-1, len(frame))
    canvas.legend(loc="outside lower center", ncols=3, frameon=False, fontsize=8.5)
    alt = (
        f"Specification curve ({look.data_label}): {len(frame)} estimates from "
        f"{look.write_range(frame[ESTIMATE].min(), frame[ESTIMATE].max())}, median "
        f"{look.write(frame[ESTIMATE].median())}; {int(outside.sum())} intervals leave out zero.{put_in}"
    )
    return finish(canvas, look), alt
