"""Make the font that draws Chinese and Korean in figures and papers: the letters that the project uses, out of Noto Sans CJK.

``python tools/subset_font.py PATH_OF_NotoSansCJK-Regular.ttc`` writes ``src/evalaid/report/display/font/evalaid-cjk.otf``. It needs
fonttools, which matplotlib brings. A test says when the font lacks a letter that a catalogue or the data use.
"""

import sys
from pathlib import Path

from fontTools import subset
from fontTools.ttLib import TTCollection

ROOT = Path(__file__).parents[1]
FONT = ROOT / "src" / "evalaid" / "report" / "display" / "font" / "evalaid-cjk.otf"
SOURCES = (
    "src/evalaid/report/wording/catalogue/*.yaml", "notebooks/studies/*.yaml", "notebooks/words/*/*.yaml", "data/published/guangdong_*.csv",
    "data/korea/*.csv", "data/regions/divisions.csv", "docs/*.md",
)  # fmt: skip
FACE = "Noto Sans CJK SC"
NAME = "Evalaid CJK"
ALWAYS = "，。；：、（）《》“”‘’！？−–—…·％%±0123456789 "


def letters():
    """Return every letter that the project draws beyond Latin."""
    texts = [path.read_text(encoding="utf-8") for pattern in SOURCES for path in sorted(ROOT.glob(pattern))]
    return sorted({letter for text in texts for letter in text if ord(letter) > 0x2E7F} | set(ALWAYS))


def main(path):
    """Write the font."""
    face = next(font for font in TTCollection(path) if font["name"].getDebugName(1) == FACE)
    options = subset.Options(
        layout_features=[], hinting=False, desubroutinize=False, notdef_outline=True, recalc_timestamp=False
    )
    options.name_IDs = [0, 1, 2, 3, 4, 5, 6, 13, 14]
    maker = subset.Subsetter(options)
    maker.populate(unicodes=[ord(letter) for letter in letters()])
    maker.subset(face)
    for record in face["name"].names:
        if record.nameID in {1, 3, 4, 6, 16}:
            record.string = NAME.replace(" ", "") if record.nameID == 6 else NAME
    face.save(FONT)
    sys.stdout.write(f"{FONT.name}: {len(letters())} letters, {FONT.stat().st_size:,} bytes\n")


if __name__ == "__main__":
    main(sys.argv[1])
