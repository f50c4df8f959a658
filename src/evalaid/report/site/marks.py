"""Small pictures that are drawn as part of a page: they take its colours in light and dark, and their text stays text."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from html import escape

from evalaid.report.site.answer import Answer, Point
from evalaid.report.wording.language import Catalogue
from evalaid.report.wording.prose import MINUS

FONT = 11.0  # CSS pixels at the width that a picture is laid out for
STEPS = (1, 2, 5)
REACH = 4  # an axis of effects goes no further than this many times the largest estimate, or the smallest effect of interest


@dataclass(frozen=True)
class LinearScale:
    """A straight map from values to pixels."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        """Return the pixel of a value."""
        return self.start + (value - self.low) / (self.high - self.low) * (self.end - self.start)

    def ticks(self, most: int = 6) -> list[float]:
        """Return round values between the ends, no more than ``most``."""
        span = self.high - self.low
        step = 10.0**-3
        while True:
            for factor in STEPS:
                if span / (step * factor) <= most:
                    first = int(self.low // (step * factor)) + 1
                    last = int(self.high // (step * factor))
                    return [n * step * factor for n in range(first, last + 1)]
            step *= 10


def signed(value: float, digits: int = 1) -> str:
    """Write a value with its sign."""
    text = f"{abs(value):.{digits}f}"
    return text if float(text) == 0 else ("+" if value > 0 else MINUS) + text


def draw_strip(
    answer: Answer,
    words: Catalogue,
    write: Mapping[str, str],
    width: int = 360,
    linked: Mapping[str, str] | None = None,
) -> str:
    """Draw the interval of the main estimate on a line with zero, the smallest effect of interest, and the truth put in.

    ``linked`` are the numbers below it as links to their cells.
    """
    if answer.estimate is None:
        return ""
    zone = () if answer.smallest is None else (-answer.smallest, answer.smallest)
    marks = [answer.estimate, *(answer.ends or ()), *zone, 0.0]
    marks += [value for value in (answer.truth, answer.findable) if value is not None]
    pad = 0.12 * (max(marks) - min(marks) or 1.0)
    x = LinearScale(min(marks) - pad, max(marks) + pad, 8, width - 8)
    line = 34.0
    parts = (
        [f'<rect class="zone" x="{x(zone[0]):.1f}" y="14" width="{x(zone[1]) - x(zone[0]):.1f}" height="40"/>']
        if zone
        else []
    )
    parts += [
        f'<line class="zero" x1="{x(0):.1f}" x2="{x(0):.1f}" y1="10" y2="58"/>',
    ]
    if answer.ends is not None:
        low, high = answer.ends
        parts.append(f'<line class="interval" x1="{x(low):.1f}" x2="{x(high):.1f}" y1="{line}" y2="{line}"/>')
    parts.append(f'<circle class="estimate" cx="{x(answer.estimate):.1f}" cy="{line}" r="6"/>')
    legend = [("zone", words("strip.smallest", smallest=write["smallest"]))] if zone else []
    if answer.findable is not None:
        parts.append(f'<path class="findable" d="M{x(answer.findable):.1f} 46 l4 8 h-8 z"/>')
        legend.append(("findable", words("strip.findable", findable=write["findable"])))
    if answer.truth is not None and answer.simulated:
        parts.append(f'<line class="truth" x1="{x(answer.truth):.1f}" x2="{x(answer.truth):.1f}" y1="10" y2="58"/>')
        legend.append(("truth", words("strip.truth", truth=write["truth"])))
    digits = 0 if x.high - x.low > 3 else 1
    parts += [_text(x(tick), 72, signed(tick, digits), "middle") for tick in x.ticks()]
    alt = words(
        "strip.alt_point" if answer.ends is None else "strip.alt" if zone else "strip.alt_plain",
        low=write.get("low", ""),
        high=write.get("high", ""),
        estimate=write["estimate"],
        smallest=write.get("smallest", ""),
    )
    keys = "".join(
        f'<li><span class="key {name}"></span>{_with_link(escape(text), write.get(name, ""), (linked or {}).get(name))}</li>'
        for name, text in legend
    )
    return (
        f'<div class="strip"><svg viewBox="0 0 {width} 78" role="img" aria-label="{escape(alt)}">{"".join(parts)}</svg>'
        f'<ul class="legend">{keys}</ul></div>'
    )


def _with_link(html: str, number: str, link: str | None) -> str:
    return html.replace(escape(number), link) if number and link else html


def say_cut(cut: float | None, words: Catalogue) -> str:
    """Return the sentence on where an axis is cut; "" where it is not."""
    return "" if cut is None else words("event.cut", cut=f"{cut:.0f}" if cut >= 10 else f"{cut:.1f}")


def cut_of(answer: Answer) -> float | None:
    """Return where the axis of the event study is cut on both sides of zero; None where every interval is drawn whole."""
    ends = [abs(end) for point in answer.event for pair in (point.ends, point.band) for end in pair or ()]
    shown = [abs(point.estimate) for point in answer.event]
    shown += [size for size in (answer.smallest, answer.truth) if size is not None and not math.isnan(size)]
    reach = REACH * max(shown, default=0.0)
    return reach if reach > 0 and max(ends, default=0.0) > reach else None


def draw_event_study(answer: Answer, words: Catalogue, axis: str, width: int, height: int) -> str:
    """Draw the event study: estimates with intervals and bands, the clusters behind each below, the truth where it is known."""
    points = answer.event
    if not points:
        return ""
    values = [v for point in points for v in (point.estimate, *(point.ends or ()), *(point.band or ()))]
    cut = math.inf if (far := cut_of(answer)) is None else far
    values = [min(max(value, -cut), cut) for value in values]
    values += [0.0] + ([answer.truth] if answer.truth is not None and answer.simulated else [])
    pad = 0.06 * (max(values) - min(values) or 1.0)
    y = LinearScale(max(min(values) - pad, -cut), min(max(values) + pad, cut), height - 46, 22)
    x = LinearScale(points[0].time - 0.6, points[-1].time + 0.6, 34, width - 6)
    parts = [_text(4, 11, axis, "start", "axis")]
    parts += _grid(y, width)
    if points[0].time < 0 <= points[-1].time:
        parts.append(f'<line class="start" x1="{x(-0.5):.1f}" x2="{x(-0.5):.1f}" y1="18" y2="{height - 44}"/>')
    if answer.truth is not None and answer.simulated:
        parts.append(
            f'<line class="truth" x1="{x(-0.5):.1f}" x2="{width - 6}" y1="{y(answer.truth):.1f}" y2="{y(answer.truth):.1f}"/>'
        )
    every = max(1, -(-len(points) * 26 // int(width - 40)))
    for place, point in enumerate(points):
        parts += _bars(point, x, y)
        if place % every == 0:
            parts.append(_text(x(point.time), height - 28, signed(point.time, 0), "middle"))
            parts.append(
                _text(x(point.time), height - 12, "" if point.clusters is None else str(point.clusters), "middle", "n")
            )
    told = (words("event.point", time=signed(p.time, 0), estimate=signed(p.estimate)) for p in points)
    alt = words("event.alt", values=words("event.comma").join(told))
    return f'<svg class="event" viewBox="0 0 {width} {height}" role="img" aria-label="{escape(alt)}">{"".join(parts)}</svg>'


def _grid(y: LinearScale, width: int) -> Iterable[str]:
    digits = 0 if y.high - y.low > 4 else 1
    for tick in y.ticks(5):
        shape = "zero" if abs(tick) < 1e-9 else "grid"
        yield f'<line class="{shape}" x1="34" x2="{width - 6}" y1="{y(tick):.1f}" y2="{y(tick):.1f}"/>'
        yield _text(30, y(tick) + 4, signed(tick, digits), "end")


def _bars(point: Point, x: LinearScale, y: LinearScale) -> Iterable[str]:
    at = x(point.time)
    for name, ends in (("band", point.band), ("interval", point.ends)):
        if ends is not None:
            low, high = max(ends[0], y.low), min(ends[1], y.high)
            yield f'<line class="{name}" x1="{at:.1f}" x2="{at:.1f}" y1="{y(low):.1f}" y2="{y(high):.1f}"/>'
            for end, tip, back in ((ends[1] > y.high, y(y.high), 6), (ends[0] < y.low, y(y.low), -6)):
                if end:  # it goes on beyond the axis
                    yield f'<path class="{name} on" d="M{at - 4:.1f} {tip + back:.1f} L{at:.1f} {tip:.1f} L{at + 4:.1f} {tip + back:.1f}"/>'
    shape = "estimate" if point.time >= 0 else "estimate before"
    yield f'<circle class="{shape}" cx="{at:.1f}" cy="{y(point.estimate):.1f}" r="4"/>'


def _text(x: float, y: float, text: str, anchor: str, name: str = "tick") -> str:
    return (
        f'<text class="{name}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="{FONT}">{escape(text)}</text>'
    )


def cut_of_curve(answer: Answer) -> float | None:
    """Return where the axis of the curve is cut on both sides of zero; None where every interval is drawn whole."""
    reach = REACH * max((abs(row.estimate) for row in answer.choices), default=0.0)
    return reach if any(abs(end) > reach for row in answer.choices for end in row.ends or ()) else None


def draw_choices(answer: Answer, words: Catalogue, width: int, height: int) -> str:
    """Draw the curve of all distinct specifications, sorted, with the main one marked; the script of the page moves along it."""
    rows = answer.choices
    if not rows:
        return ""
    shown = [row.estimate for row in rows] + [0.0]
    reach = REACH * max(map(abs, shown))
    values = shown + [max(-reach, min(reach, end)) for row in rows for end in row.ends or ()]
    y = LinearScale(min(values), max(values) + 1e-9, height - 10, 10)
    x = LinearScale(-1, len(rows), 34, width - 26)
    parts = [*_grid(y, width)]
    for place, row in enumerate(rows):
        at = x(place)
        if row.ends is not None:
            low, high = max(row.ends[0], y.low), min(row.ends[1], y.high)
            parts.append(f'<line class="band" x1="{at:.1f}" x2="{at:.1f}" y1="{y(low):.1f}" y2="{y(high):.1f}"/>')
            for beyond, end, back in ((row.ends[0] < y.low, y(low), -5), (row.ends[1] > y.high, y(high), 5)):
                if beyond:
                    tip = f"M{at - 3:.1f} {end + back:.1f} L{at:.1f} {end:.1f} L{at + 3:.1f} {end + back:.1f}"
                    parts.append(f'<path class="band on" d="{tip}"/>')
        shape, size = ("estimate", 5) if row.is_main else ("choice", 2.5)
        parts.append(f'<circle class="{shape}" data-at="{place}" cx="{at:.1f}" cy="{y(row.estimate):.1f}" r="{size}"/>')
    alt = words("explorer.alt", n=len(rows), low=signed(rows[0].estimate, 2), high=signed(rows[-1].estimate, 2))
    alt = f"{alt} {say_cut(cut_of_curve(answer), words)}".rstrip()
    scale = f'data-low="{y.low:.6g}" data-high="{y.high:.6g}" data-bottom="{y.start:g}" data-top="{y.end:g}"'
    return (
        f'<svg class="choices" viewBox="0 0 {width} {height}" role="img" aria-label="{escape(alt)}" {scale}>{"".join(parts)}'
        f'<g class="now" data-right="{width - 12}"><line/><circle r="7"/></g></svg>'
    )


def draw_reach(answer: Answer, reach: tuple[float, float] | None, alt: str, width: int = 220) -> str:
    """Draw the effects that a threat does not exclude below the interval of the main estimate, on the line with zero."""
    if answer.estimate is None or answer.ends is None or reach is None:
        return ""
    every = [end for row in answer.threats if row.reach for end in row.reach]
    values = [*answer.ends, *every, 0.0]
    most = REACH * max(abs(answer.estimate), answer.smallest or 0.0, *map(abs, answer.ends))
    x = LinearScale(max(min(values), -most), min(max(values), most), 6, width - 6)
    parts = [f'<line class="zero" x1="{x(0):.1f}" x2="{x(0):.1f}" y1="2" y2="34"/>']
    for name, (low, high), line in (("band", answer.ends, 10), ("interval", reach, 24)):
        ends = x(max(low, x.low)), x(min(high, x.high))
        parts.append(f'<line class="{name}" x1="{ends[0]:.1f}" x2="{ends[1]:.1f}" y1="{line}" y2="{line}"/>')
        for beyond, at, back in ((low < x.low, ends[0], 6), (high > x.high, ends[1], -6)):
            if beyond:
                parts.append(
                    f'<path class="{name} on" d="M{at + back:.1f} {line - 4} L{at:.1f} {line} L{at + back:.1f} {line + 4}"/>'
                )
    parts.append(f'<circle class="estimate" cx="{x(answer.estimate):.1f}" cy="10" r="4"/>')
    return f'<svg class="reach" viewBox="0 0 {width} 36" role="img" aria-label="{escape(alt)}">{"".join(parts)}</svg>'
