"""The figure of where residents go: one row per unit where they live, one column per area where they are treated.

As `evalaid.report.display.canvas` says, a figure draws the columns of a tidy frame and computes nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from evalaid.report.display.canvas import GREY, SMALL, Look, finish, open_canvas
from evalaid.report.display.fonts import drawable

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Canvas

_PALE = 0.5  # exponent of the shading: a share of 10% is already seen
_SAID = 3
_APART = 0.018  # distance of two names, in parts of the axis


def draw_flows(frame: pd.DataFrame, look: Look) -> tuple[Canvas, str]:
    """Draw a map in rows and columns: the darker a field, the larger the share of the unit's residents who go to the area.

    Parameters
    ----------
    frame : pandas.DataFrame
        ``home``, ``home_region``, ``home_area``, ``area``, ``region``, ``share`` (per cent), in the order of the map.
    look : Look
    """
    from matplotlib.colors import PowerNorm

    areas = frame.drop_duplicates("home_area").set_index("home_area")["home_region"]
    homes = frame.drop_duplicates("home").set_index("home")
    wide = frame.pivot_table(index="home", columns="area", values="share", fill_value=0.0)
    wide = wide.reindex(index=homes.index, columns=areas.index, fill_value=0.0)
    canvas, axes = open_canvas(look, 5.6 if look.narrow else 9.0)
    shaded = axes.imshow(wide, aspect="auto", cmap="Blues", norm=PowerNorm(_PALE, 0, 100), interpolation="nearest")
    _name_regions(axes, list(homes["home_region"]), upright=False)
    _name_regions(axes, list(areas), upright=True)
    axes.set(xlabel=look.say("flows.areas", n=len(areas)), ylabel=look.say("flows.homes", n=len(homes)))
    axes.grid(visible=False)
    canvas.colorbar(shaded, ax=axes, shrink=0.5, label=look.say("flows.share"))
    away = frame[frame["home_area"] != frame["area"]].nlargest(_SAID, "share")
    told = "; ".join(
        look.say("flows.one", share=f"{row['share']:.0f}%", home=home, area=area)
        for home, area, (_, row) in zip(drawable(away["home"]), drawable(away["area"]), away.iterrows(), strict=True)
    )
    title = look.say("flows.seen", n=len(homes))
    alt = look.say("flows.alt", n=len(homes), m=len(areas), data=look.data_label, values=told)
    return finish(canvas, look, title, look.say("flows.drawn")), alt


def _name_regions(axes: Axes, regions: list[str], *, upright: bool) -> None:
    """Write the name of a region at its middle, and draw a line where the next begins."""
    starts = [place for place in range(len(regions)) if place == 0 or regions[place] != regions[place - 1]]
    ends = [*starts[1:], len(regions)]
    middle = [float(np.mean([start, end - 1])) for start, end in zip(starts, ends, strict=True)]
    for place in reversed(range(len(middle) - 1)):  # names of small regions do not touch
        middle[place] = min(middle[place], middle[place + 1] - _APART * len(regions))
    names = drawable(regions[start] for start in starts)
    for line in starts[1:]:
        (axes.axvline if upright else axes.axhline)(line - 0.5, color=GREY, lw=0.5)
    if upright:
        axes.set_xticks(middle, names, rotation=90, fontsize=SMALL)
    else:
        axes.set_yticks(middle, names, fontsize=SMALL)
