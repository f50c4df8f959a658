"""Maps: places with their boundaries, or a tile for each place, as small multiples of share, start, neighbours and influence.

As `evalaid.report.display.canvas` says, a figure draws the columns of a tidy frame and computes nothing.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from evalaid.report.display.canvas import GREY, INK, SERIES, SMALL, Look, add_legend, finish, open_canvas
from evalaid.report.display.fonts import drawable, fold, is_foreign
from evalaid.report.wording.prose import format_value

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Canvas

PANELS = ("share", "cohort", "neighbours", "leave_out")
_OUTSIDE, _UNTREATED = "#f1f3f5", "#d7dde3"
_STRETCH = 1.09  # a degree of latitude by one of longitude, at 23 degrees north
_TILE = 0.46  # half the side of a tile
_NAME = 3  # Hangul or Han letters that fit into a tile


def draw_map(frame: pd.DataFrame, look: Look) -> tuple[Canvas, str]:
    """Draw one map for each of share, cohort, treated neighbours and leave-one-out that the frame has.

    Parameters
    ----------
    frame : pandas.DataFrame
        One row per place: ``place`` (its name), ``shape`` (GeoJSON coordinates of a MultiPolygon as text, or ``[row, column]`` of a
        tile), ``in_sample``; and of `PANELS` what is known: ``share`` (of the first period, with ``period_label``), ``cohort`` (first
        treated period, "" never treated), ``neighbours`` (treated neighbours), ``leave_out`` (the estimate without the place).
    look : Look
    """
    shapes = [json.loads(text) for text in frame["shape"]]
    tiles = not isinstance(shapes[0][0], list)
    panels = [name for name in PANELS if name in frame and frame[name].notna().any()]
    across = 1 if look.narrow and tiles else 2
    down = -(-len(panels) // across)
    each = 2.3 if look.narrow and not tiles else 3.3 if not tiles else 5.2
    canvas, grid = open_canvas(look, each * down + 0.2, columns=across, rows=down, squeeze=False)
    cells = list(grid.ravel())
    for axes, name in zip(cells, panels, strict=False):
        _draw_panel(axes, frame, shapes, name, look, tiles=tiles)
    for axes in cells[len(panels) :]:
        axes.set_axis_off()
    add_legend(canvas, look, _legend(frame, look), most=4)
    own = frame[frame["in_sample"]]
    treated, share = int((own["cohort"].fillna("") != "").sum()), own["share"]
    first = str(own["period_label"].iloc[0])
    low, high = (
        format_value(value, "%" if look.unit == "pp" else "number", 1, with_unit=True)
        for value in (share.min(), share.max())
    )
    title = look.say("map.seen", treated=treated, n=len(own), low=low, high=high, period=first)
    subtitle = look.say("map.tiles" if tiles else "map.drawn")
    subtitle += " " + look.say("map.invented") if look.data_kind == "simulated" else ""
    told = "; ".join(
        f"{row['place']}: {format_value(row['share'], 'number', 1)}, {row['cohort'] or look.say('map.never')}"
        for _, row in own.iterrows()
    )
    return finish(canvas, look, title, subtitle), look.say("map.alt", n=len(own), data=look.data_label, values=told)


def _draw_panel(axes: Axes, frame: pd.DataFrame, shapes: list[Any], name: str, look: Look, *, tiles: bool) -> None:
    from matplotlib.collections import PatchCollection
    from matplotlib.patches import Polygon, Rectangle

    colours, scale = _colours(frame, name)
    patches: list[Any] = []
    filled: list[Any] = []
    for shape, colour in zip(shapes, colours, strict=True):
        parts = [Rectangle((shape[1] - _TILE, shape[0] - _TILE), 2 * _TILE, 2 * _TILE)] if tiles else [
            Polygon(ring) for polygon in shape for ring in polygon[:1]
        ]  # fmt: skip
        patches += parts
        filled += [colour] * len(parts)
    axes.add_collection(
        PatchCollection(patches, facecolors=filled, edgecolors="white" if tiles else GREY, linewidths=0.4)
    )
    axes.autoscale_view()
    axes.set_aspect("equal" if tiles else _STRETCH)
    if tiles:
        axes.invert_yaxis()
        for shape, place, colour in zip(shapes, drawable(list(frame["place"])), colours, strict=True):
            text = f"{place[:2]}\n{place[2:]}" if len(place) > _NAME and is_foreign(place) else fold(place, 2 * _NAME)
            axes.text(shape[1], shape[0], text, ha="center", va="center", fontsize=SMALL, color=_on(colour))
    axes.set_axis_off()
    period = str(frame["period_label"].iloc[0])
    axes.set_title(fold(look.say(f"map.{name}", period=period), 34 if look.narrow else 52), loc="left")
    if scale is not None:
        bar = axes.figure.colorbar(scale, ax=axes, orientation="horizontal", shrink=0.6, aspect=22, pad=0.02)
        bar.ax.tick_params(labelsize=SMALL)
        bar.ax.locator_params(nbins=3)
        bar.ax.ticklabel_format(useOffset=False)
        bar.outline.set_visible(False)


def _colours(frame: pd.DataFrame, name: str) -> tuple[list[Any], Any]:
    """Return the colour of every place and, of a measured panel, its scale."""
    import matplotlib as mpl
    import numpy as np
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize, TwoSlopeNorm

    inside = frame["in_sample"].to_numpy(bool)
    if name == "cohort":
        cohorts = _cohorts(frame)
        return [
            _OUTSIDE if not own else SERIES[cohorts.index(cohort) % len(SERIES)] if cohort else _UNTREATED
            for own, cohort in zip(inside, frame["cohort"].fillna(""), strict=True)
        ], None
    values = frame[name].to_numpy(float)
    known = values[inside & np.isfinite(values)]
    if name == "leave_out":
        full = float(frame["full"].iloc[0])
        reach = max(abs(known - full).max(), 1e-9)
        norm: Any = TwoSlopeNorm(full, full - reach, full + reach)
        scale = ScalarMappable(norm, mpl.colormaps["PuOr"])
    else:
        low, high = float(known.min()), float(known.max())
        scale = ScalarMappable(Normalize(low, high if high > low else low + 1), mpl.colormaps["Blues"])
    return [
        scale.to_rgba(value) if own and np.isfinite(value) else _OUTSIDE
        for own, value in zip(inside, values, strict=True)
    ], scale


def _cohorts(frame: pd.DataFrame) -> list[str]:
    return sorted({str(cohort) for cohort in frame["cohort"].fillna("") if cohort})


def _legend(frame: pd.DataFrame, look: Look) -> list[Any]:
    from matplotlib.patches import Patch

    drawn = [Patch(fc=SERIES[at % len(SERIES)], label=cohort) for at, cohort in enumerate(_cohorts(frame))]
    own = frame[frame["in_sample"]]
    if (own["cohort"].fillna("") == "").any():
        drawn.append(Patch(fc=_UNTREATED, label=look.say("map.never")))
    if not frame["in_sample"].all():
        drawn.append(Patch(fc=_OUTSIDE, ec=GREY, lw=0.4, label=look.say("map.outside")))
    return drawn


def _on(colour: Any) -> str:
    """Return a colour of letters that can be read on this one."""
    from matplotlib.colors import to_rgb

    red, green, blue = to_rgb(colour)
    return "white" if 0.3 * red + 0.59 * green + 0.11 * blue < 0.55 else INK
