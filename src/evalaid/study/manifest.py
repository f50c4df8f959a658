"""Every reported number: key, value, unit, digits, and where it came from.

A notebook records numbers while it runs (`Recorder`), each notebook in its own process writes what it recorded to a
file of the run folder, and `merge` turns these files into the one manifest of a study, ``numbers.json``. That file is
committed: it holds the expected numbers, and `evalaid verify` compares a new run with it.

Values are floats at full precision; nothing here knows the clock, the host or an absolute path.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from evalaid.base.errors import DAMAGED, ManifestError
from evalaid.base.files import need_file, write_whole
from evalaid.base.months import PER_YEAR

NUMBERS_FILE = "numbers.json"
UNITS = ("pp", "%", "count", "year", "half-year", "quarter", "month", "number", "p", "fraction", "episodes")
USED = ".used"  # ends the name of the file of earlier numbers that a notebook used
_KEY = re.compile(r"^[a-z0-9_]+(\.[\w+-]+)*$")
# Hashes are shortened in the entries of single numbers; the head of the manifest has them in full.
_SHORT = 16


class EarlierNumbersError(ManifestError):
    """A notebook asks for a number of an earlier one that does not end; its run is repeated when that has."""


@dataclass(frozen=True)
class Number:
    """One reported number.

    Parameters
    ----------
    key : str
        Dotted name, unique within the study, for example ``overall.main.estimate``.
    value : int, float or None
        Full precision, in ``unit``. None is a number that does not exist, with its reason in ``method``.
    unit : str
        One of ``UNITS``, or the study's ``outcome_measure``: ``pp`` (percentage points), ``%``, ``count``, ``year``, ``half-year``, ``quarter`` and ``month`` (ordinals of
        `evalaid.base.periods`), ``number``, ``p`` (a p-value), ``fraction``, ``episodes`` (a count of people or of their episodes;
        small ones are not written).
    digits : int
        Decimals shown in tables and prose; the value itself is not rounded.
    notebook, cell : str
        The notebook and its cell (``In [7]``) that recorded the number.
    method : str
        Estimator and options, or the count that was taken.
    spec_hash, data_hash : str
        First 16 hexadecimal digits of the study's hash and of its data's hash.
    seed : int
        Seed of the study.
    """

    key: str
    value: int | float | None
    unit: str
    digits: int
    notebook: str
    cell: str
    method: str
    spec_hash: str
    data_hash: str
    seed: int


@dataclass(frozen=True)
class Manifest:
    """All reported numbers of one study and the hashes of what they were made from."""

    study: str
    title: str
    data_kind: str
    spec_hash: str
    data_hash: str
    data_files: Mapping[str, str]
    seed: int
    numbers: Mapping[str, Number] = field(default_factory=dict)

    def __getitem__(self, key: str) -> Number:
        if key not in self.numbers:
            raise ManifestError(_unknown_key(key, self.numbers))
        return self.numbers[key]


@dataclass
class Recorder:
    """Collect the numbers of one notebook.

    The one mutable object of the package: it lives as long as a notebook and is written to a file at every change, so
    that a notebook that fails half-way still leaves the numbers that it had reported.
    """

    notebook: str
    spec_hash: str
    data_hash: str
    seed: int
    path: Path | None = None
    numbers: dict[str, Number] = field(default_factory=dict)
    earlier: dict[str, Number] = field(default_factory=dict)
    own_unit: str = ""  # that of the study's outcome, in its own words ("per 1,000")
    wait_for: Callable[[str], None] | None = None  # adds a number to the earlier ones when its notebook has recorded it
    used: dict[str, Number | None] = field(default_factory=dict)  # of the earlier ones; None: there is none
    saved: bool = False

    def has(self, key: str) -> bool:
        """Return whether a number of that name was recorded, by this notebook or an earlier one of the same run."""
        return self._find(key) is not None

    def _find(self, key: str) -> Number | None:
        if key in self.numbers:
            return self.numbers[key]
        if self.wait_for is not None:
            self.wait_for(key)
        found = self.earlier.get(key)
        if self.path is not None and key not in self.used:
            self.used[key] = found
            used = {name: None if one is None else asdict(one) for name, one in self.used.items()}
            write_json(self.path.with_suffix(USED), used)
        return found

    def record(
        self, key: str, value: Any, *, unit: str, digits: int, cell: str, method: str = "", replace_own: bool = False
    ) -> Number:
        """Add one number.

        Parameters
        ----------
        key : str
            Dotted name in lower case; must be new in the study.
        value : int, float, numpy scalar or None
            The number in ``unit``; a missing value (NaN, None) is stored as null.
        unit, digits, method
            As in `Number`.
        cell : str
            The cell that reports it, ``In [n]``.
        replace_own : bool
            Whether this notebook may record the key again (a cell run twice by hand).

        Raises
        ------
        ManifestError
            If the key is malformed or already taken, the unit is unknown or the value is infinite or not a number.

        Examples
        --------
        >>> recorder = Recorder("2_design", "0" * 16, "0" * 16, seed=1)
        >>> recorder.record("sample.units", 135, unit="count", digits=0, cell="In [3]").value
        135
        """
        taken = key in self.earlier or (key in self.numbers and not replace_own)
        if taken:
            other = self.earlier.get(key) or self.numbers[key]
            raise ManifestError(
                f"The number '{key}' is already recorded by {other.notebook} {other.cell}. Use a new key."
            )
        if not _KEY.match(key):
            raise ManifestError(
                f"'{key}' is no key: use lower-case words joined by dots, such as 'overall.main.estimate'."
            )
        if unit not in UNITS and (unit != self.own_unit or not unit):
            raise ManifestError(f"The number '{key}' has the unit '{unit}'; known units are {', '.join(UNITS)}.")
        number = Number(
            key,
            _plain(key, value, unit),
            unit,
            digits,
            self.notebook,
            cell,
            method,
            self.spec_hash,
            self.data_hash,
            self.seed,
        )
        self.numbers[key] = number
        self.saved = False
        return number

    def lookup(self, key: str) -> Number:
        """Return a number recorded by this notebook or by an earlier one of the same run."""
        found = self._find(key)
        if found is None:
            raise ManifestError(_unknown_key(key, {**self.earlier, **self.numbers}))
        return found

    def save(self) -> None:
        """Write the numbers recorded so far to the notebook's file, when the notebook runs inside a study run."""
        if self.path is not None and not self.saved:
            write_json(self.path, [vars(number) for _, number in sorted(self.numbers.items())], indent=None)
            self.saved = True


def read_parts(paths: Iterable[Path]) -> dict[str, Number]:
    """Read the numbers that single notebooks recorded.

    Raises
    ------
    ManifestError
        If two notebooks recorded the same key.
    """
    numbers: dict[str, Number] = {}
    for path in paths:
        for entry in json.loads(path.read_text(encoding="utf-8")):
            number = Number(**entry)
            if number.key in numbers:
                raise ManifestError(
                    f"The number '{number.key}' is recorded twice: by {numbers[number.key].notebook} and by "
                    f"{number.notebook}. Use a new key in one of them."
                )
            numbers[number.key] = number
    return dict(sorted(numbers.items()))


def write_manifest(manifest: Manifest, path: Path) -> None:
    """Write ``numbers.json``: sorted keys, one line per field, full precision, no clock, host or path."""
    head = asdict(replace(manifest, numbers={}))
    head["data_files"] = dict(sorted(manifest.data_files.items()))
    entries = {}
    for key, number in sorted(manifest.numbers.items()):
        entry = asdict(number)
        del entry["key"]
        entries[key] = entry
    write_json(path, {**head, "numbers": entries})


def read_manifest(path: Path) -> Manifest:
    """Read ``numbers.json``.

    Raises
    ------
    ManifestError
        If the file is missing, is not JSON or lacks a field.
    """
    if not path.is_file():
        raise ManifestError(
            f"{_shown(path)} is missing: there are no expected numbers. Run the study once and commit it."
        )
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
        numbers = {key: need_sound(Number(key=key, **entry)) for key, entry in stored.pop("numbers").items()}
        return Manifest(numbers=numbers, **stored)
    except DAMAGED as error:
        raise ManifestError(
            f"{_shown(path)} is not a manifest of numbers ({type(error).__name__}: {error}). Restore the committed file."
        ) from error


def need_sound(number: Number) -> Number:
    """Return a number that was read, or raise: beside NaN everything would agree, and infinity is no result."""
    value = number.value
    finite = value is None or (type(value) in (int, float) and abs(value) <= sys.float_info.max)
    if not finite or type(number.digits) is not int:
        raise ValueError(f"'{number.key}' is {value!r:.40} with {number.digits!r:.40} digits")
    return number


def write_json(path: Path, value: Any, indent: int | None = 2) -> None:
    """Write JSON with sorted keys and a final newline (the same bytes for the same value), in one step; one line is quickest."""
    text = json.dumps(value, ensure_ascii=False, indent=indent, sort_keys=True, allow_nan=False)
    write_whole(path, text + "\n")


def hash_file(path: Path) -> str:
    """Return the sha256 of a file's bytes, in hexadecimal."""
    digest = hashlib.sha256()
    need_file(path, path.name)
    with path.open("rb") as stream:
        for block in iter(lambda: stream.read(1 << 20), b""):
            digest.update(block)
    return digest.hexdigest()


def hash_value(value: Any) -> str:
    """Return the sha256 of a JSON-like value in canonical form (sorted keys, no spaces), in hexadecimal.

    Examples
    --------
    >>> hash_value({"a": 1, "b": 2}) == hash_value({"b": 2, "a": 1})
    True
    """
    text = json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode("utf-8")).hexdigest()


def short(digest: str) -> str:
    """Return the first 16 digits of a hash, as the entries of single numbers carry it."""
    return digest[:_SHORT]


def _plain(key: str, value: Any, unit: str) -> int | float | None:
    """Turn a numpy or pandas scalar into int, float or None; a count is a whole number."""
    if hasattr(value, "item"):
        value = value.item()
    if value is None or isinstance(value, bool):
        if value is None:
            return None
        raise ManifestError(f"The number '{key}' is {value}: record a count instead.")
    if not isinstance(value, (int, float)):
        if type(value).__name__ in {"NAType", "NaTType"}:
            return None
        raise ManifestError(f"The number '{key}' is a {type(value).__name__}, not a number.")
    if isinstance(value, float):
        if math.isnan(value):
            return None
        if math.isinf(value):
            raise ManifestError(f"The number '{key}' is infinite. Report it as missing, with a reason.")
        if unit in {"count", "episodes", *PER_YEAR} and value.is_integer():
            return int(value)
    return value


def _unknown_key(key: str, known: Iterable[str]) -> str:
    import difflib

    near = difflib.get_close_matches(key, list(known), n=3)
    hint = f" Near it: {', '.join(near)}." if near else ""
    advice = "Record it in a cell above; if another notebook records it, run the study once."
    return f"There is no recorded number '{key}'.{hint} {advice}"


def _shown(path: Path) -> str:
    return "/".join(path.parts[-3:])
