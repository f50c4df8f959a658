"""A drawn figure as bytes and as a part of a page: the same bytes for the same frame, and text that stays text.

A page holds the picture itself, not an image of it: its letters can be read, searched and copied, its ids are the figure's own,
and ink, paper and lines take the colours of the page, in light and dark.
"""

from __future__ import annotations

import io
import re
from dataclasses import dataclass, replace
from html import escape
from typing import TYPE_CHECKING, Any

from evalaid.report.display.canvas import ACCENT, BAND, GREY, INK, PALE, TEXT, WARN, Drawing, Look
from evalaid.report.display.fonts import families
from evalaid.report.display.safe_text import csv_text

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure as Canvas

DPI = 150
# What the reader's machine draws letters with, wherever matplotlib wrote the font that it measured them by.
_LETTERS = (
    "'Noto Sans', 'Segoe UI', Roboto, 'Helvetica Neue', Arial, 'Noto Sans CJK SC', 'PingFang SC', 'Microsoft YaHei', "
    "'Noto Sans CJK KR', 'Malgun Gothic', sans-serif"
)
_PAGE = {
    "#eceff2": "--zone", INK: "--ink", "#000000": "--ink", GREY: "--soft", PALE: "--line", "#ffffff": "--paper", ACCENT: "--accent",
    BAND: "--pale", WARN: "--warn",
}  # fmt: skip
_COLOUR = re.compile("|".join(_PAGE), re.IGNORECASE)
_REFERENCE = re.compile(r'(?:href="#|url\(#)([^")]+)')
_OWN_ID = re.compile(r' id="([^"]+)"')
_TAG = re.compile(r"<[^>]*>")
_NUMBER = re.compile(r"-?\d+\.\d{2,}")
_ID = re.compile(r'(id="|href="#|url\(#)([^")]+)')
_HEAD = re.compile(r"<\?xml.*?(?=<svg)|<metadata>.*?</metadata>|<!--.*?-->", re.DOTALL)
_STYLE = re.compile(r"<defs>\s*<style[^>]*>.*?</style>\s*</defs>", re.DOTALL)
_ROOT = re.compile(r'<svg\b[^>]*?viewBox="([^"]+)"[^>]*>', re.DOTALL)
_FONT = re.compile(r"font: ((?:italic |bold |\d{3} )*)([\d.]+px) [^;\"]+|font-family: [^;\"]+;? ?")


@dataclass(frozen=True, repr=False)
class RenderedFigure:
    """A drawn figure: name, caption, alternative text, its bytes as SVG and PNG, the SVG for a phone, and its data as csv."""

    name: str
    caption: str
    alt: str
    svg: bytes
    png: bytes
    phone: bytes = b""
    data: str = ""

    def to_html(self) -> str:
        """Return the figure as HTML with the pictures for a page and for a phone inside, and the alternative text."""
        name = escape(self.name)
        pictures = [f'<div class="desk">{inline_svg(self.svg, name, self.alt)}</div>']
        if self.phone:
            pictures.append(f'<div class="phone" hidden>{inline_svg(self.phone, f"{name}-phone", self.alt)}</div>')
        return f'<figure class="drawn" id="figure-{name}">{"".join(pictures)}<figcaption>{escape(self.caption)}</figcaption></figure>'

    def __repr__(self) -> str:
        return f"Figure '{self.name}': {self.alt}"

    def _repr_html_(self) -> str:
        return self.to_html()


def draw(drawing: Drawing, frame: pd.DataFrame, look: Look, *, name: str, caption: str) -> RenderedFigure:
    """Draw a frame for a page and for a phone and render it, without clock or random identifiers."""
    svg, png, alt = _render(drawing, frame, look)
    phone, _, _ = _render(drawing, frame, replace(look, narrow=True))
    marked = frame if "data_kind" in frame else frame.assign(data_kind=look.data_kind)
    return RenderedFigure(name, caption, alt, svg, png, phone, csv_text(marked))


def style_of(words: str) -> dict[Any, Any]:
    """Return matplotlib's settings of the house style for figures with these words."""
    import seaborn as sns

    return {
        **sns.axes_style("whitegrid", {"axes.edgecolor": GREY, "grid.color": PALE, "text.color": INK}),
        "font.family": families([words]),
        "font.size": TEXT,
        "axes.labelsize": TEXT,
        "axes.labelcolor": INK,
        "xtick.color": INK,
        "ytick.color": INK,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.titlelocation": "left",
        "axes.titlesize": TEXT,
        "axes.titley": 1.0,  # no axis has ticks above: a title need not be moved off them at every drawing
        "axes.unicode_minus": True,
        "svg.hashsalt": "evalaid",
        "svg.fonttype": "none",
    }


def inline_svg(svg: bytes, name: str, alt: str) -> str:
    """Return a picture as part of a page, with ids of its own, the colours of the page, and no style that reaches beyond it."""
    text = _STYLE.sub("", svg.decode("utf-8"))
    text = _ID.sub(rf"\1{name}-\2", text)
    text = _COLOUR.sub(lambda found: f"var({_PAGE[found.group().lower()]}, {found.group()})", _lowered(text))
    root = (
        rf'<svg viewBox="\1" role="img" aria-label="{escape(alt)}" font-family="{_LETTERS}" '
        'style="stroke-linejoin: round; stroke-linecap: butt">'
    )
    return _ROOT.sub(lambda found: root.replace(r"\1", found.group(1)), text, count=1).strip()


def _lowered(text: str) -> str:
    return re.sub(r"#[0-9A-Fa-f]{6}\b", lambda found: found.group().lower(), text)


def _render(drawing: Drawing, frame: pd.DataFrame, look: Look) -> tuple[bytes, bytes, str]:
    import matplotlib as mpl
    import matplotlib.pyplot as plt
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    words = [str(item) for column in frame.select_dtypes(exclude="number") for item in frame[column].unique()]
    words += [look.outcome_label, look.units, look.clusters, *look.catalogue.words.values()]
    png = io.BytesIO()
    with mpl.rc_context(style_of("".join(words))):
        canvas, alt = drawing(frame, look)
        # Not savefig: it lays out and draws the whole figure once more before each format.
        svg = _draw_svg(canvas)
        if not look.narrow:
            canvas.set_layout_engine("none")
            canvas.set_dpi(DPI)
            FigureCanvasAgg(canvas).print_png(png, metadata={"Software": None})
        plt.close(canvas)
    return _tidy_svg(svg), png.getvalue(), alt


def _draw_svg(canvas: Canvas) -> str:
    """Lay a figure out and draw it, with one renderer for both: each measures every text of its own."""
    from matplotlib.backends.backend_mixed import MixedModeRenderer
    from matplotlib.backends.backend_svg import FigureCanvasSVG, RendererSVG

    text, page, dpi = io.StringIO(), FigureCanvasSVG(canvas), canvas.dpi
    canvas.set_dpi(page.fixed_dpi)
    width, height = canvas.get_size_inches()
    metadata, inch = {"Date": None, "Creator": None}, page.fixed_dpi
    vectors = RendererSVG(width * inch, height * inch, text, image_dpi=dpi, metadata=metadata)
    renderer: Any = MixedModeRenderer(canvas, width, height, dpi, vectors)
    vars(page)["get_renderer"] = lambda: renderer  # what the layout measures with
    canvas.draw(renderer)
    renderer.finalize()
    return text.getvalue()


def _own_ids(text: str) -> str:
    """Keep the ids that something in the picture refers to, each once: matplotlib writes one for every group."""
    wanted = set(_REFERENCE.findall(text))

    def one(found: re.Match[str]) -> str:
        if found.group(1) not in wanted:
            return ""
        wanted.remove(found.group(1))
        return found.group()

    return _OWN_ID.sub(one, text)


def _one_digit(found: re.Match[str]) -> str:
    return f"{float(found.group()):.1f}".removesuffix(".0")


def _own_font(found: re.Match[str]) -> str:
    style, size = found.groups()
    if size is None:
        return ""
    slant = "; font-style: italic" if "italic" in style else ""
    return f"font-size: {size}{slant}" + ("; font-weight: bold" if style.replace("italic", "").strip() else "")


def _tidy_svg(svg: str) -> bytes:
    """Round coordinates, drop comments, and let the reader's own fonts draw the letters."""
    text = _HEAD.sub("", svg)
    text = _TAG.sub(lambda tag: _NUMBER.sub(_one_digit, tag.group()), text)  # never a number that the reader sees
    text = _FONT.sub(_own_font, text)
    text = _own_ids(text)
    text = text.replace("<svg ", f'<svg font-family="{_LETTERS}" ', 1)
    return (re.sub(r"\s*\n\s*", "\n", text).strip() + "\n").encode("utf-8")
