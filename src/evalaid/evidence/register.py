"""Read the published figures, programmes and claims from their files; every fault of a file is found at once."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from pathlib import Path

import pandas as pd

from evalaid.base import partial_dates
from evalaid.base.errors import FactsError
from evalaid.base.faults import Faults
from evalaid.base.rounding import names_in

FACTS_FILE, PROGRAMMES_FILE, CLAIMS_FILE = "facts.csv", "programmes.csv", "claims.csv"

MEASURES = ("level", "change", "growth", "target", "count", "dose", "date")
PERIOD_KINDS = ("year", "half_year", "cumulative", "to_date", "point", "span", "unstated")
QUALIFIERS = ("exact", "rounded", "about", "more_than", "at_least", "nearly", "derived", "date")
BASES = ("resident", "insured", "registered", "survey respondents", "unstated", "not applicable")

_ID, _IDS = r"F\d{3}[a-z]?", r"(F\d{3}[a-z]?(;F\d{3}[a-z]?)*)?"
_DATE_LIST = rf"(<?{partial_dates.PATTERN}=[^;=]+(;<?{partial_dates.PATTERN}=[^;=]+)*)?"

FACT_PATTERNS: Mapping[str, str] = {
    "fact_id": _ID,
    "programme": r"([a-z_]+(;[a-z_]+)*)?",
    "subject": r".+",
    "place": r"\d{6}(\+\d{6})*|unstated",
    "place_name": r".+",
    "coverage": r".+",
    "indicator": r"[a-z0-9_]+",
    "indicator_text": r".+",
    "measure": "|".join(MEASURES),
    "base": "|".join(BASES),
    "period_start": rf"({partial_dates.PATTERN})?",
    "period_end": rf"({partial_dates.PATTERN})?",
    "period_kind": "|".join(PERIOD_KINDS),
    "value": r"(-?\d+(\.\d+)?)?",
    "unit": r".+",
    "digits": r"\d?",
    "qualifier": "|".join(QUALIFIERS),
    "from_fact": rf"({_ID})?",
    "to_fact": rf"({_ID})?",
    "comparison": r".*",
    "derived": r"yes|no",
    "arithmetic": r"[F0-9a-z+\-*/(). ]*",
    "confidence": r"high|medium|low",
    "note": r".*",
    "source": r".+",
    "url": r"https?://\S+|not retrieved",
    "seen_through": r"document|page|mirror",
}
"""What a cell of each column of ``facts.csv`` looks like."""

PROGRAMME_PATTERNS: Mapping[str, str] = {
    "programme": r"[a-z_]+",
    **dict.fromkeys(("name_en", "name_zh", "source_document", "unit", "start", "end"), r".+"),
    **dict.fromkeys(
        ("supporting_hospitals", "recipients", "outcome", "published_figures", "possible_comparison"), r".+"
    ),
    "study": r"([a-z_]+)?",
    "refusal": r".*",
}
"""What a cell of each column of ``programmes.csv`` looks like."""

CLAIM_PATTERNS: Mapping[str, str] = {
    "claim_id": r"[a-z][a-z0-9_]*",
    "programme": r"[a-z_]+",
    "label": r".+",
    "claim": r".+",
    "indicator_zh": r".+",
    "value_fact": _ID,
    "baseline_fact": rf"({_ID})?",
    "change_fact": rf"({_ID})?",
    "dates": _DATE_LIST,
    "trend_fact": rf"({_ID})?",
    "elsewhere_fact": rf"({_ID})?",
    "comparison_before": rf"({_ID})?",
    "comparison_after": rf"({_ID})?",
    "later_before": rf"({_ID})?",
    "later_after": rf"({_ID})?",
    "concurrent_facts": _IDS,
    "limits": r".*",
    "repeat": r".+",
    "settle": r".+",
}
"""What a cell of each column of ``claims.csv`` looks like."""


def read_table(path: Path, patterns: Mapping[str, str], key: str, faults: Faults) -> pd.DataFrame:
    """Read one file as text and hold every cell against its pattern.

    Assumes UTF-8. An empty cell is an empty text, never a missing value.

    Parameters
    ----------
    path : Path
        A csv file.
    patterns : mapping of str to str
        Columns in their order -> the regular expression of a whole cell.
    key : str
        Column whose cells must be unique.
    faults : Faults
        Receives every failing cell; ``row`` is the key of the row.

    Returns
    -------
    pandas.DataFrame
        The columns of ``patterns``, text; without rows when columns are missing.

    Raises
    ------
    FactsError
        When there is no such file.

    Examples
    --------
    >>> faults = Faults()
    >>> len(read_table(Path("data/published/programmes.csv"), PROGRAMME_PATTERNS, "programme", faults)), bool(faults)
    (21, False)
    """
    if not path.is_file():
        raise FactsError(f"{path.name} is missing in folder '{path.parent.name}'. Restore the committed file.")
    frame = pd.read_csv(path, dtype=object, keep_default_na=False, encoding="utf-8")  # cell by cell that is quickest
    if list(frame.columns) != list(patterns):
        absent = [name for name in patterns if name not in frame.columns]
        foreign = [name for name in frame.columns if name not in patterns]
        found = f"absent: {', '.join(absent) or 'none'}; unknown: {', '.join(foreign) or 'none'}"
        faults.add(path.name, f"columns are not the expected ones ({found})", f"{', '.join(patterns)} in this order")
        return pd.DataFrame(columns=list(patterns), dtype="str")
    _check_cells(frame, patterns, key, faults)
    return frame.astype("str")


def check_facts(frame: pd.DataFrame, programmes: Collection[str], faults: Faults) -> None:
    """Check what concerns several cells of the facts: references, periods, values and arithmetic.

    Examples
    --------
    >>> from evalaid.evidence.published_facts import Facts
    >>> len(Facts.read("data/published").frame) > 167
    True
    """
    frame = frame.astype(object)
    known = set(frame["fact_id"])

    def add(column: str, failing: pd.Series, fault: str, expected: str) -> None:
        if failing.any():
            rows = frame[failing]
            faults.add(column, fault, expected, rows=rows["fact_id"], values=rows[column])

    named = frame["programme"].map(lambda cell: {part for part in cell.split(";") if part})
    add("programme", ~named.map(lambda names: names <= set(programmes)), "unknown programme", "keys of programmes.csv")
    for column in ("from_fact", "to_fact"):
        add(column, ~frame[column].isin({*known, ""}), "unknown fact", "the fact_id of another row")
    is_date = frame["measure"] == "date"
    add("value", (frame["value"] == "") != is_date, "value and measure disagree", "a number; none for a date")
    add("digits", (frame["digits"] == "") != is_date, "digits and measure disagree", "decimals; none for a date")
    add("qualifier", (frame["qualifier"] == "date") != is_date, "qualifier and measure disagree", "'date' for a date")
    derived = frame["derived"] == "yes"
    add(
        "qualifier", (frame["qualifier"] == "derived") != derived, "qualifier and derived disagree", "'derived' for yes"
    )
    add("arithmetic", derived & (frame["arithmetic"] == ""), "a derived fact without arithmetic", "e.g. F001 - F002")
    unknown = frame["arithmetic"].map(lambda text: bool(text) and not set(names_in(text)) <= known)
    add("arithmetic", unknown, "arithmetic with an unknown fact", "facts of this file")
    stated = (frame["period_start"] != "") & (frame["period_end"] != "")
    sound = frame["period_start"].str.fullmatch(partial_dates.PATTERN) & frame["period_end"].str.fullmatch(
        partial_dates.PATTERN
    )
    for row in frame[stated & sound].itertuples():
        start, end = partial_dates.earliest_day(str(row.period_start)), partial_dates.latest_day(str(row.period_end))
        if start is None or end is None or end < start:
            faults.add(
                "period_end", "ends before it starts", "a later day", rows=[row.fact_id], values=[row.period_end]
            )
    add("period_kind", frame["period_kind"].isin(["year", "half_year", "cumulative"]) & ~stated,
        "a dated kind without its dates", "start and end, or 'unstated'")  # fmt: skip


def check_programmes(frame: pd.DataFrame, faults: Faults) -> None:
    """Check that every programme has a study or says why there is none."""
    unsaid = (frame["study"] == "") == (frame["refusal"] == "")
    if unsaid.any():
        faults.add("refusal", "neither a study nor the reason why there is none, or both", "one of the two",
                   rows=frame.loc[unsaid, "programme"], values=frame.loc[unsaid, "refusal"])  # fmt: skip


def check_claims(frame: pd.DataFrame, facts: Collection[str], programmes: Collection[str], faults: Faults) -> None:
    """Check that every claim names facts and a programme that exist.

    Examples
    --------
    >>> faults = Faults()
    >>> check_claims(pd.DataFrame(columns=list(CLAIM_PATTERNS), dtype="str"), (), (), faults)
    >>> bool(faults)
    False
    """
    half = frame[(frame["later_before"] == "") != (frame["later_after"] == "")]
    if len(half):
        faults.add("later_after", "one of two figures of a later change", "both or none",
                   rows=half["claim_id"], values=half["later_after"])  # fmt: skip
    for column in (name for name in CLAIM_PATTERNS if name.endswith(("_fact", "_facts", "_before", "_after"))):
        unknown = ~frame[column].map(lambda cell: {part for part in cell.split(";") if part} <= set(facts))
        if unknown.any():
            faults.add(column, "unknown fact", "ids of facts.csv",
                       rows=frame.loc[unknown, "claim_id"], values=frame.loc[unknown, column])  # fmt: skip
    unknown = ~frame["programme"].isin(list(programmes))
    if unknown.any():
        faults.add("programme", "unknown programme", "keys of programmes.csv",
                   rows=frame.loc[unknown, "claim_id"], values=frame.loc[unknown, "programme"])  # fmt: skip


def _check_cells(frame: pd.DataFrame, patterns: Mapping[str, str], key: str, faults: Faults) -> None:
    repeated = frame.loc[frame[key].duplicated(keep=False), key]
    if len(repeated):
        faults.add(key, "occurs more than once", "unique values", rows=repeated, values=repeated)
    for name, pattern in patterns.items():
        fits = re.compile(pattern).fullmatch
        strange = [fits(cell) is None for cell in frame[name]]
        if any(strange):
            rows, cells = frame.loc[strange, key], frame.loc[strange, name]
            faults.add(name, "cell of another form", f"text like {pattern}", rows=rows, values=cells)
