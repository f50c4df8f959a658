"""One code or name among the divisions: read, matched, followed from former to present, or given up with the nearest."""

from __future__ import annotations

import difflib
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from functools import cache, cached_property, lru_cache

import numpy as np

from evalaid.reading.places.divisions import Division, Divisions
from evalaid.reading.values.script import simplify

_MOST = 5
"""How many candidates are named."""
_ALIKE = 0.6
"""Two names are alike from this ratio of `difflib` on."""

_CODE = re.compile(r"(?<!\d)[1-8]\d{5}(?:\d{3}(?:\d{3})?)?(?!\d)")
_MARKS = re.compile(r"[*#※†‡△▲☆★\u2460-\u249b\u00b9\u00b2\u00b3\u2070-\u2079]+$")
_NUMBERING = re.compile(r"^(?:其中[::]?|[(]?(?:\d{1,3}|[一二三四五六七八九十]{1,3})(?:[、.)]|[)](?=\D)))+")
_BRACKETS = re.compile(r"[(\[【〔]([^()\[\]【】〔〕]*)[)\]】〕]")
_BETWEEN = re.compile(r"[\s\u200b\ufeff·•、,;/|>_\-\u2013\u2014:]+")


@dataclass(frozen=True)
class Region:
    """Hold one division."""

    code: str  # GB/T 2260 code, six digits
    name: str  # its name today
    prefecture: str  # names of what it belongs to; empty where there is none
    province: str  # names of what it belongs to; empty where there is none
    how: str  # how it was found, for the provenance
    level: str  # "county", "prefecture" or "province"

    def __str__(self) -> str:
        return f"{self.name} ({self.code}{', ' + (self.prefecture or self.province) if self.level == 'county' else ''})"


@dataclass(frozen=True)
class Candidates:
    """Hold why a name or a code is no single division, and which it may be."""

    text: str  # what was looked for
    reason: str  # why there is no answer
    known: tuple[Region, ...] = ()
    search: Callable[[], tuple[Region, ...]] | None = field(default=None, compare=False, repr=False)

    @cached_property
    def regions(self) -> tuple[Region, ...]:
        """The nearest, best first; names that sound alike are searched for when somebody asks."""
        return self.known if self.search is None else self.search()

    def __str__(self) -> str:
        near = ", ".join(map(str, self.regions))
        return f"{self.text!r}: {self.reason}" + (f" (nearest: {near})" if near else "")


AS_CODE = "code as listed"
AS_NAME = "name as listed"


def is_blank(cell: object) -> bool:
    """Return whether a cell holds nothing.

    Examples
    --------
    >>> is_blank("　"), is_blank(0)
    (True, False)
    """
    return cell is None or (isinstance(cell, float) and np.isnan(cell)) or not str(cell).strip()


def look_up(divisions: Divisions, value: object, prefix: str, level: str | None) -> Region | Candidates:
    """Find the division that a code, a name, or both in one cell mean.

    Examples
    --------
    >>> from evalaid.reading.places.divisions import load_divisions
    >>> look_up(load_divisions(), "440222始兴县", "", None).name
    '始兴县'
    """
    if isinstance(value, bool | np.bool_) or is_blank(value):
        return Candidates(str(value), "no name and no code", ())
    digits = _digits(value)
    if digits is not None:
        return _by_code(divisions, str(value), digits, prefix, level)
    text = simplify(_MARKS.sub("", str(value).strip()))
    if codes := _CODE.findall(text):
        rest = _BRACKETS.sub("", _CODE.sub("", text)).strip("()[]【】 ") or _CODE.sub("", text).strip("()[]【】 ")
        by_code = _by_code(divisions, str(value), codes[0], prefix, level)
        if isinstance(by_code, Candidates) or not rest:
            return by_code
        return agree(by_code, _by_name(divisions, rest, prefix, level), value)
    return _by_name(divisions, text, prefix, level)


def agree(by_code: Region, by_name: Region | Candidates, cell: object) -> Region | Candidates:
    """Hold a code against the name that stands beside it."""
    if isinstance(by_name, Region):
        if by_name.code == by_code.code:
            return by_code
        reason = f"the code {by_code.code} is {by_code.name}, the name is another"
        return Candidates(str(cell), reason, (by_name, by_code))
    if by_name.reason.startswith(SEVERAL) and any(region.code == by_code.code for region in by_name.regions):
        return Region(**{**vars(by_code), "how": "several divisions have this name: decided by the code beside it"})
    reason = f"the code {by_code.code} is {by_code.name}, and the name is unknown: {by_name.reason}"

    def near() -> tuple[Region, ...]:
        return (by_code, *(region for region in by_name.regions if region.code != by_code.code))[:_MOST]

    return Candidates(str(cell), reason, search=near)


def _digits(value: object) -> str | None:
    """The digits of a code that is a number, or a text that looks like one; None for a name."""
    text = simplify(str(value)).strip().strip("'\"`\u200b\ufeff").replace(" ", "")
    if not re.fullmatch(r"\+?\d+(?:\.\d*)?(?:[eE]\+?\d+)?", text):
        return None
    try:
        number = Decimal(text)
    except InvalidOperation:
        return None
    if number != number.to_integral_value() or number.adjusted() > 20:
        return None
    return str(int(number))


def _by_code(divisions: Divisions, text: str, digits: str, prefix: str, level: str | None) -> Region | Candidates:
    how = AS_CODE
    if len(digits) in {9, 12}:
        if set(digits[6:]) != {"0"}:
            county = divisions.current(digits[:6])
            near = (_region(divisions, county, ""),) if county else ()
            return Candidates(
                text, f"{len(digits)} digits that do not end in zeros: a township or a village, not a county", near
            )
        how, digits = f"the first six of {len(digits)} digits", digits[:6]
    if len(digits) in {2, 4}:
        whole = divisions.current(digits.ljust(6, "0"))
        near = (_region(divisions, whole, ""),) if whole else ()
        return Candidates(text, f"{len(digits)} digits, expected six", near)
    if len(digits) != 6:
        return Candidates(text, f"{len(digits)} digits, expected six", ())
    known = divisions.by_code.get(digits)
    if not known:
        return Candidates(
            text, "no list from 2002 on has this code", search=lambda: _nearest_codes(divisions, digits, prefix)
        )
    if how == AS_CODE and known[-1].current and len(known) > 1:
        how = f"the code's name today; until {known[-2].last_listed} it was {known[-2].name}"
    found = _today(divisions, known[-1], how)
    return _accept(divisions, text, [found], prefix, level) if isinstance(found, Region) else found


def _today(divisions: Divisions, division: Division, how: str) -> Region | Candidates:
    """The division as it is today, or why it is none."""
    if division.current:
        return _region(divisions, division, how)
    was = f"{division.name} ({division.code}) was last listed in {division.last_listed}"
    heir = divisions.successor(division)
    if heir is None:
        reason = (
            f"{was} and no division took its name: it was merged or renamed; name the division that has its land now"
        )
        siblings = [code for code in divisions.by_code if code[:4] == division.code[:4] and code[4:] != "00"]
        near = [
            code for code in siblings if (now := divisions.current(code)) and now.first_listed >= division.last_listed
        ]
        return Candidates(division.name, reason, _regions(divisions, near[:_MOST]))
    if heir.code == division.code:
        return _region(divisions, heir, f"{was}; the code is {heir.name} now")
    return _region(divisions, heir, f"{was}; {heir.name} ({heir.code}) took its name")


_KINDS = (0, 1, 0, 1, 2, 2)
"""Which ranks of a form compete: full names, names without peoples, names without endings; current and former alike."""

SEVERAL = "several divisions have this name"


def _by_name(divisions: Divisions, text: str, prefix: str, level: str | None) -> Region | Candidates:
    name, remark = _plain(text)
    found = _exact(divisions, name, prefix, level)
    if found is None:
        found = _after_prefix(divisions, name, prefix, level)
    if remark:
        found = _with_remark(divisions, text, name, remark, found, prefix, level)
    if found is not None:
        return found
    return Candidates(text.strip(), "unknown name", search=lambda: _nearest(divisions, name, prefix, level))


def _plain(text: str) -> tuple[str, str]:
    """A name without spaces, numbering and footnote marks, and the remark that stood behind it in brackets."""
    text = _NUMBERING.sub("", re.sub(r"\s+", "", text))
    remarks = _BRACKETS.findall(text)
    name = _BETWEEN.sub("", _BRACKETS.sub("", text))
    return name, _BETWEEN.sub("", remarks[-1]) if remarks else ""


def _exact(divisions: Divisions, name: str, prefix: str, level: str | None) -> Region | Candidates | None:
    ranked = divisions.by_form.get(name, ())
    ranked = tuple(
        (rank, division)
        for rank, division in ranked
        if division.code.startswith(prefix) and level in {None, division.level}
    )
    if not ranked:
        return None
    hits: list[Region] = []
    lost: list[Candidates] = []
    lost_divisions: list[Division] = []
    for rank, division in ranked:
        if _KINDS[rank] != _KINDS[ranked[0][0]]:
            continue
        how = AS_NAME if rank == 0 else f"short form of {division.name}"
        now = _today(divisions, division, how)
        if isinstance(now, Region):
            hits.append(now)
        else:
            lost.append(now)
            lost_divisions.append(division)
    if hits and lost:  # a former prefecture of a county's name is the same place, no rival
        places = {(region.code[:2], region.level) for region in hits}
        kept = [(c, d) for c, d in zip(lost, lost_divisions, strict=True) if not _same_place(d, places)]
        lost = [candidates for candidates, _ in kept]
    distinct = list({region.code: region for region in reversed(hits)}.values())[::-1]
    if not distinct:
        return lost[0] if len(lost) == 1 else Candidates(name, SEVERAL + ", all of them former", ())
    if lost:
        return Candidates(name, f"{SEVERAL}; {lost[0].reason}", tuple(distinct[:_MOST]))
    return _accept(divisions, name, distinct, prefix, level)


def _same_place(division: Division, places: set[tuple[str, str]]) -> bool:
    return any(province == division.code[:2] and level != division.level for province, level in places)


def _accept(
    divisions: Divisions, text: str, regions: list[Region], prefix: str, level: str | None
) -> Region | Candidates:
    """One region that lies where it should, or why not."""
    inside = [region for region in regions if region.code.startswith(prefix)]
    if not inside:
        return Candidates(
            text, f"{regions[0]} does not lie in {_region_name(divisions, prefix)}", tuple(regions[:_MOST])
        )
    right = [region for region in inside if level in {None, region.level}]
    if not right:
        return Candidates(text, f"{inside[0]} is a {inside[0].level}, expected a {level}", tuple(inside[:_MOST]))
    return right[0] if len(right) == 1 else Candidates(text, SEVERAL, tuple(right[: 4 * _MOST]))


def _after_prefix(divisions: Divisions, name: str, prefix: str, level: str | None) -> Region | Candidates | None:
    """Read 清远市连南县 as 连南县 within 清远市."""
    for cut in range(len(name) - 2, 1, -1):
        above = [d for _, d in divisions.by_form.get(name[:cut], ()) if d.level != "county"]
        for division in above:
            digits = division.code[:2] if division.level == "province" else division.code[:4]
            if not digits.startswith(prefix[: len(digits)]):
                continue
            inner = max(prefix, digits, key=len)
            rest = name[cut:]
            found = _exact(divisions, rest, inner, level)
            if found is None:
                found = _after_prefix(divisions, rest, inner, level)
            if isinstance(found, Region):
                return Region(**{**vars(found), "how": f"{rest} in {division.name}"}) if found.how == AS_NAME else found
            if found is not None:
                return found
    return None


def _with_remark(
    divisions: Divisions,
    text: str,
    name: str,
    remark: str,
    found: Region | Candidates | None,
    prefix: str,
    level: str | None,
) -> Region | Candidates | None:
    """Use what stands in brackets: the place above (城区(汕尾)), or the former name (湟中区(原湟中县))."""
    above = _exact(divisions, remark, "", None)
    if isinstance(above, Region) and above.level != "county":
        digits = above.code[:2] if above.level == "province" else above.code[:4]
        inner = _exact(divisions, name, max(digits, prefix, key=len), level)
        return Region(**{**vars(inner), "how": f"{name} in {above.name}"}) if isinstance(inner, Region) else inner
    former = _exact(divisions, remark.removeprefix("原").removeprefix("现").removeprefix("即"), prefix, level)
    if isinstance(found, Region) and isinstance(former, Region) and former.code == found.code:
        return found
    reason = f"what ({remark}) means beside the name is unknown"
    if isinstance(found, Candidates):
        return Candidates(text.strip(), reason, search=lambda: found.regions)
    return Candidates(text.strip(), reason, (found,) if found is not None else ())


@cache
def _nearest_codes(divisions: Divisions, digits: str, prefix: str) -> tuple[Region, ...]:
    codes = [code for code in divisions.by_code if code.startswith(prefix) and divisions.current(code)]
    return _regions(divisions, difflib.get_close_matches(digits, codes, _MOST, 0.8))


@cache
def _forms_by_character(divisions: Divisions) -> dict[str, tuple[str, ...]]:
    found: dict[str, list[str]] = defaultdict(list)
    for form in divisions.by_form:
        for character in set(form):
            found[character].append(form)
    return {character: tuple(forms) for character, forms in found.items()}


@lru_cache(maxsize=1 << 14)
def _nearest(divisions: Divisions, name: str, prefix: str, level: str | None) -> tuple[Region, ...]:
    """Return the divisions whose names are most alike; only forms that share enough characters can be, and are compared."""
    short, by_character = name[:20], _forms_by_character(divisions)
    shared = Counter(form for character in set(short) for form in by_character.get(character, ()))
    forms = [
        form
        for form in shared
        if 2 * _common(short, form) >= _ALIKE * (len(short) + len(form))
        if any(
            division.code.startswith(prefix) and level in {None, division.level}
            for _, division in divisions.by_form[form]
        )
    ]
    close = difflib.get_close_matches(short, forms, _MOST, _ALIKE)
    codes: list[str] = []
    for form in close:
        for _, division in divisions.by_form[form]:
            now = _today(divisions, division, "")
            if isinstance(now, Region) and now.code.startswith(prefix) and now.code not in codes:
                codes.append(now.code)
    return _regions(divisions, codes[:_MOST])


def _common(one: str, other: str) -> int:
    """How many characters two texts share, each as often as both have it."""
    return (Counter(one) & Counter(other)).total()


def _regions(divisions: Divisions, codes: Sequence[str]) -> tuple[Region, ...]:
    found = (divisions.current(code) for code in codes)
    return tuple(_region(divisions, division, "") for division in found if division is not None)


def _region(divisions: Divisions, division: Division, how: str) -> Region:
    above = divisions.current(division.code[:4] + "00") if division.level == "county" else None
    province = divisions.current(division.code[:2] + "0000") if division.level != "province" else None
    return Region(
        division.code,
        division.name,
        above.name if above else "",
        province.name if province else "",
        how,
        division.level,
    )


def _region_name(divisions: Divisions, prefix: str) -> str:
    division = divisions.current(prefix.ljust(6, "0"))
    return division.name if division else prefix
