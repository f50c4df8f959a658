"""Chinese text in one form: full width and compatibility forms, traditional characters, pinyin left by OCR."""

from __future__ import annotations

import re
import unicodedata

from evalaid.reading.words.vocabulary import load_words

_PAIRS = "".join(load_words("characters")["traditional"].split())
TRADITIONAL = {_PAIRS[at]: _PAIRS[at + 1] for at in range(0, len(_PAIRS), 2)}
"""Traditional character -> simplified."""

_TABLE = str.maketrans(TRADITIONAL)
_PINYIN = re.compile(
    r"(?<=[\u3400-\u9fff])[((]\s*[a-z\u0101\u00e1\u01ce\u00e0\u0113\u00e9\u011b\u00e8\u012b\u00ed\u01d0\u00ec\u014d\u00f3\u01d2\u00f2\u016b\u00fa\u01d4\u00f9\u01d6\u01d8\u01da\u01dc\u00fc\u0261\u0144\u0148]{1,6}\s*[))]"
)


def simplify(text: str) -> str:
    """Write a text in one form: NFKC, without pinyin in brackets after a character, in simplified characters.

    Assumes a name of a division or a heading about hospital care: only the characters of these are simplified. Pinyin
    is taken to be one syllable in small letters in brackets, as OCR leaves it.

    Examples
    --------
    >>> simplify("醫(yī)療機構"), simplify("連南瑤族自治縣"), simplify("ＣＭＩ")
    ('医疗机构', '连南瑶族自治县', 'CMI')
    """
    return _PINYIN.sub("", unicodedata.normalize("NFKC", text)).translate(_TABLE)


def unify(text: str) -> str:
    """Write a heading in one form: as `simplify`, but only pinyin with marks of tone is taken out, for units look like it.

    Examples
    --------
    >>> unify("醫(yī)療機構數"), unify("距离（km）")
    ('医疗机构数', '距离(km)')
    """
    bare = _PINYIN.sub(lambda found: found[0] if found[0].isascii() else "", unicodedata.normalize("NFKC", text))
    return bare.translate(_TABLE)
