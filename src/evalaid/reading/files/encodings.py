"""Which encoding the bytes of a text are in: tried, named with its evidence, never guessed when two fit."""

from __future__ import annotations

import codecs
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from evalaid.base.errors import ReadingError
from evalaid.base.texts import noun
from evalaid.reading.files.encoding_evidence import CLEARLY, LIKELY, SURE, inside_words, rival_alphabet, score, weigh
from evalaid.reading.files.snapshot import FAULT_COLUMNS, fault

NAMES = {
    "utf-8-sig": "UTF-8 with a byte-order mark",
    "utf-8": "UTF-8",
    "utf-16": "UTF-16 with a byte-order mark",
    "utf-16-le": "UTF-16 (little-endian) without a byte-order mark",
    "utf-16-be": "UTF-16 (big-endian) without a byte-order mark",
    "gb18030": "GB18030 (which includes GBK and GB2312)",
    "cp949": "CP949 (which includes EUC-KR)",
    "cp932": "Shift-JIS",
    "big5": "Big5",
    "cp1250": "Windows-1250 (Central Europe)",
    "cp1251": "Windows-1251 (Cyrillic)",
    "cp1254": "Windows-1254 (Turkish)",
    "cp1252": "Windows-1252 (which includes most of Latin-1)",
    "latin-1": "Latin-1",
}
_SHOWN = 3
_FIRST_CJK = 0x2E80
_TEXT_CONTROLS = frozenset("\t\n\r\x0b\x0c\x1a\x85")


@dataclass(frozen=True)
class Decoded:
    """Hold a decoded text."""

    text: str  # the text, without its byte-order mark
    encoding: str  # python's name of the encoding
    note: str  # one sentence: which encoding, and why


def decode(path: Path | str, content: bytes, encoding: str | None = None) -> Decoded:
    """Decode the bytes of a text file.

    Assumes UTF-8 (with or without a byte-order mark), UTF-16 or GB18030; a file that fits two of them with different
    texts is refused until the encoding is named.

    Examples
    --------
    >>> decode("a.csv", "县域".encode("gb18030")).encoding
    'gb18030'
    """
    if encoding is not None:
        return _as_named(path, content, encoding)
    for mark, name in (
        (codecs.BOM_UTF8, "utf-8-sig"),
        (codecs.BOM_UTF16_LE, "utf-16"),
        (codecs.BOM_UTF16_BE, "utf-16"),
    ):
        if content.startswith(mark):
            return _with(path, content, name, "the file begins with its mark")
    if b"\0" in content:
        wide = _wide(content)
        if wide is None:
            raise _binary(path)
        return _with(path, content, wide, "every second byte of most characters is zero")
    if content.isascii():
        return _with(path, content, "utf-8", "the text is plain ASCII, which is the same in all of them")
    if (as_utf8 := _try(content, "utf-8")) is not None:
        return _valid_utf8(path, content, as_utf8)
    if (cut := _cut(content)) is not None:
        raise _ends_inside(path, cut)
    return _by_language(path, content)


def _valid_utf8(path: Path | str, content: bytes, as_utf8: str) -> Decoded:
    """Take bytes that are valid UTF-8, unless they are everyday Chinese in GB18030 and no words in UTF-8."""
    foreign = {character for character in as_utf8 if ord(character) > 127}
    as_gb = _try(content, "gb18030")
    unlikely = max(map(ord, foreign)) < _FIRST_CJK and score(as_utf8, "") < SURE
    if as_gb is not None and unlikely and _common(as_gb) and not inside_words(as_gb):
        raise _ambiguous(path, {"utf-8": as_utf8, "gb18030": as_gb})
    return _with(path, content, "utf-8", "all bytes are valid UTF-8")


def _by_language(path: Path | str, content: bytes) -> Decoded:
    """Decide by the language of the words which encoding bytes that are no UTF-8 are in; Chinese where nothing speaks against it."""
    weighed = {one.encoding: one for one in weigh(content)}
    as_gb = _try(content, "gb18030")
    rivals = [one for one in weighed.values() if one.encoding != "gb18030" and one.score >= _least(one.encoding)]
    best = rivals[0] if rivals else None
    chinese = weighed.get("gb18030")
    if best is not None and (chinese is None or best.score >= CLEARLY * chinese.score):
        if best.encoding in _ALPHABETS - {"cp1251"} and as_gb is not None and not inside_words(as_gb):
            raise _ambiguous(path, {best.encoding: best.text, "gb18030": as_gb})
        if (other := rival_alphabet(best, rivals)) is not None:
            raise _ambiguous(path, {best.encoding: best.text, other.encoding: other.text})
        _check_lines(path, content, best.encoding)
        return _with(
            path,
            content,
            best.encoding,
            f"{best.score:.0%} of its foreign letters fit a language that is written in it",
        )
    if best is not None and chinese is not None and chinese.score < CLEARLY * best.score:
        raise _ambiguous(path, {"gb18030": chinese.text, best.encoding: best.text})
    _check_lines(path, content, "gb18030")
    if as_gb is None:
        raise _undecodable(path, content, [1])
    if private := [line for line, text in enumerate(as_gb.split("\n"), start=1) if _unassigned(text)]:
        raise _undecodable(path, content, private)
    return _with(path, content, "gb18030", "the bytes are not valid UTF-8 and all are valid GB18030")


_ALPHABETS = frozenset({"cp1250", "cp1254", "cp1251", "cp1252", "latin-1"})


def _least(encoding: str) -> float:
    return SURE if encoding in _ALPHABETS else LIKELY


def _check_lines(path: Path | str, content: bytes, encoding: str) -> None:
    """Refuse lines that cannot be read, and lines in UTF-8 beside others."""
    kinds = [(line, _kind(raw, encoding)) for line, raw in enumerate(content.split(b"\n"), start=1)]
    if wrong := [line for line, kind in kinds if kind == "none"]:
        raise _undecodable(path, content, wrong)
    if utf8 := [line for line, kind in kinds if kind == "utf-8"]:
        raise _mixed(path, utf8, [line for line, kind in kinds if kind == encoding], encoding)
    if _try(content, encoding) is None:
        raise _undecodable(path, content, [line for line, kind in kinds if kind == encoding][:1])


def _with(path: Path | str, content: bytes, encoding: str, why: str) -> Decoded:
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError as error:
        before = content[: error.start].decode(encoding, errors="ignore")
        raise _undecodable(path, content, [before.count("\n") + 1], encoding) from error
    text = text.removesuffix("\x1a")  # end-of-file mark of old systems
    if any(unicodedata.category(c) == "Cc" and c not in _TEXT_CONTROLS for c in set(text)):
        raise _binary(path)
    return Decoded(text, encoding, f"Read as {NAMES.get(encoding, encoding)}: {why}.")


def _as_named(path: Path | str, content: bytes, encoding: str) -> Decoded:
    try:
        name = codecs.lookup(encoding).name
        content[:0].decode(name)
    except (LookupError, UnicodeError) as error:
        text = (
            f"{Path(path).name}: {encoding!r} is not a known encoding. Expected one of 'utf-8', 'utf-8-sig', 'utf-16', "
            "'gb18030', or nothing, to have it detected."
        )
        raise fault(path, text, found="unknown encoding", expected="utf-8, utf-16 or gb18030") from error
    if name == "utf-8" and content.startswith(codecs.BOM_UTF8):
        name = "utf-8-sig"
    return _with(path, content, "gb18030" if name in {"gbk", "gb2312"} else name, "as was asked for")


def _try(content: bytes, encoding: str) -> str | None:
    try:
        return content.decode(encoding)
    except UnicodeDecodeError:
        return None


def _cut(content: bytes) -> int | None:
    """The last line, when all is Chinese in UTF-8 but the last character is not complete."""
    try:
        content.decode("utf-8")
    except UnicodeDecodeError as error:
        whole = content[: error.start].decode("utf-8")
        if error.reason == "unexpected end of data" and any(ord(character) >= _FIRST_CJK for character in whole):
            return whole.count("\n") + 1
    return None


def _wide(content: bytes) -> str | None:
    """UTF-16 without a mark: digits, separators and line ends leave zeros at every second byte, on one side only."""
    if len(content) % 2:
        return None
    odd, even = content[1::2].count(0), content[::2].count(0)
    name = "utf-16-le" if odd > even else "utf-16-be"
    text = _try(content, name)
    if min(odd, even) or text is None or any(unicodedata.category(c) in {"Cn", "Co", "Cs"} for c in set(text)):
        return None
    return name


def _common(text: str) -> bool:
    """Return whether a text holds only the 7,445 characters of GB2312, those of everyday Chinese."""
    try:
        text.encode("gb2312")
    except UnicodeEncodeError:
        return False
    return True


def _unassigned(text: str) -> bool:
    """Return whether a line holds several characters for private use, as Big5 read as GB18030 does."""
    return sum(unicodedata.category(character) in {"Cn", "Co"} for character in text) > 1


def _kind(raw: bytes, encoding: str) -> str:
    """The encoding of one line: "ascii", "utf-8", the other one, "either" or "none"."""
    if raw.isascii():
        return "ascii"
    as_utf8, other = _try(raw, "utf-8"), _try(raw, encoding)
    if as_utf8 is None:
        return "none" if other is None else encoding
    foreign = any(ord(character) >= _FIRST_CJK for character in as_utf8)
    return "utf-8" if other is None or (foreign and not _common(other)) else "either"


def _lines(numbers: list[int]) -> str:
    shown = ", ".join(map(str, numbers[:_SHOWN])) + (", ..." if len(numbers) > _SHOWN else "")
    return f"{noun(len(numbers), 'line')} {shown}"


def _by_line(path: Path | str, lines: list[int], values: list[str], found: str, expected: str) -> pd.DataFrame:
    rows = [(Path(path).name, "", line, "", value, found, expected) for line, value in zip(lines, values, strict=True)]
    return pd.DataFrame(rows, columns=FAULT_COLUMNS)


def _binary(path: Path | str) -> ReadingError:
    text = (
        f"{Path(path).name}: the content is not text (it holds control characters). Expected a table as text in UTF-8, "
        "UTF-16 or GB18030: open the file with the program that made it and save it as .xlsx or as .csv (UTF-8)."
    )
    return fault(path, text, found="not text", expected="text in UTF-8, UTF-16 or GB18030")


def _ends_inside(path: Path | str, line: int) -> ReadingError:
    text = (
        f"{Path(path).name}: the file ends inside a character (UTF-8, line {line}): it was cut off. Expected a whole file: "
        "copy or download it again."
    )
    rows = _by_line(path, [line], [""], "cut off", "a whole file")
    return fault(path, text, found="cut off", expected="a whole file", rows=rows)


def _undecodable(path: Path | str, content: bytes, lines: list[int], encoding: str = "") -> ReadingError:
    raw = content.split(b"\n")
    shown = [raw[line - 1][:20].hex(" ") if line <= len(raw) else "" for line in lines]
    tried = NAMES.get(encoding, encoding) or "UTF-8 or GB18030"
    text = (
        f"{Path(path).name}: {_lines(lines)} cannot be read as {tried} (line {lines[0]} begins with the bytes {shown[0]}). "
        "The file is damaged or in another encoding. Expected UTF-8, UTF-16 or GB18030: save it again as .xlsx or as "
        ".csv (UTF-8), or name its encoding ('encoding: big5' in the layout, for example)."
    )
    rows = _by_line(path, lines, shown, "undecodable bytes", tried)
    return fault(path, text, found="undecodable bytes", expected=tried, rows=rows)


def _mixed(path: Path | str, utf8: list[int], gb: list[int], encoding: str) -> ReadingError:
    text = (
        f"{Path(path).name}: {_lines(utf8)} {noun(len(utf8), 'is', 'are')} in UTF-8, {_lines(gb)} in {encoding.upper()}: two "
        "files were put together. Expected one encoding: convert the parts to UTF-8 before joining them, or save the "
        "table as .xlsx."
    )
    lines = sorted([*utf8, *gb])
    found = ["UTF-8" if line in set(utf8) else encoding.upper() for line in lines]
    rows = _by_line(path, lines, found, "mixed encodings", "one encoding in the whole file")
    return fault(path, text, found="mixed encodings", expected="one encoding", rows=rows)


def _ambiguous(path: Path | str, texts: Mapping[str, str]) -> ReadingError:
    shown = {name: next(line for line in text.splitlines() if not line.isascii())[:30] for name, text in texts.items()}
    readings = ", ".join(f"{text!r} in {NAMES[name].partition(' ')[0]}" for name, text in shown.items())
    choices = " or ".join(f"'encoding: {name}'" for name in shown)
    text = (
        f"{Path(path).name}: the bytes are valid in two encodings: {readings}. Expected bytes that fit one: say which with {choices} "
        "in the layout."
    )
    return fault(path, text, found="two encodings fit", expected="one encoding")
