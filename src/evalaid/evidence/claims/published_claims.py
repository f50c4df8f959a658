"""Published claims: the records, and the raw change behind each of them."""

from __future__ import annotations

import difflib
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evalaid.base.errors import FactsError
from evalaid.base.faults import Faults
from evalaid.base.rounding import Figure
from evalaid.evidence.comparability import years_apart
from evalaid.evidence.published_facts import Change, Facts
from evalaid.evidence.register import CLAIM_PATTERNS, CLAIMS_FILE, check_claims, read_table

NO_BASELINE = "no figure from before is published"


@dataclass(frozen=True)
class Milestone:
    """One date of a partnership.

    Parameters
    ----------
    date : str
        Day, month or year.
    what : str
        What happened.
    latest : bool
        Whether the date is only the latest possible one: the partnership began on an unknown day before it.
    """

    date: str
    what: str
    latest: bool


@dataclass(frozen=True)
class Claim:
    """One published claim.

    Parameters
    ----------
    claim_id, programme, label, claim, indicator_zh : str
        Key, key of the registry, the claim in a few words and in full (our words), the indicator as the source names it.
    value_fact, baseline_fact, change_fact : str
        Ids of the claimed figure, of the earlier one and of the published or derived change; empty when there is none.
    dates : tuple of Milestone
        Dates of the partnership.
    trend_fact, elsewhere_fact : str
        Published change over an earlier time, and elsewhere over the same time; empty when there is none.
    comparison_before, comparison_after : str
        Figures of a place to compare with.
    later_before, later_after : str
        Figures of the same place over a longer time: what they leave speaks to the claim, too.
    concurrent_facts, limits : tuple of str
        Ids of what else happened; sentences on what else stands against the claim.
    repeat, settle : str
        What may be repeated; which data would settle it.
    """

    claim_id: str
    programme: str
    label: str
    claim: str
    indicator_zh: str
    value_fact: str
    baseline_fact: str
    change_fact: str
    dates: tuple[Milestone, ...]
    trend_fact: str
    elsewhere_fact: str
    comparison_before: str
    comparison_after: str
    later_before: str
    later_after: str
    concurrent_facts: tuple[str, ...]
    limits: tuple[str, ...]
    repeat: str
    settle: str


@dataclass(frozen=True, eq=False, repr=False)
class Claims:
    """The claims with the register of figures behind them.

    Parameters
    ----------
    facts : Facts
        The register.
    claims : tuple of Claim
        In the order of the file.

    Examples
    --------
    >>> Claims.read("data/published").of("liannan_trusteeship").claims[0].value_fact
    'F038'
    """

    facts: Facts
    claims: tuple[Claim, ...]

    @classmethod
    def read(cls, folder: Path | str) -> Claims:
        """Read and validate the claims and the register.

        Examples
        --------
        >>> Claims.read("data/published")
        <Claims: 41 claims on 16 programmes>
        """
        facts, faults = Facts.read(folder), Faults()
        frame = read_table(Path(folder) / CLAIMS_FILE, CLAIM_PATTERNS, "claim_id", faults)
        check_claims(frame, set(facts.frame["fact_id"]), set(facts.registry["programme"]), faults)
        faults.raise_if_any(FactsError, "list of claims")
        return cls(facts, tuple(_claim(row) for row in frame.to_dict("records")))

    def __repr__(self) -> str:
        return f"<Claims: {len(self.claims)} claims on {len({claim.programme for claim in self.claims})} programmes>"

    def of(self, programme: str) -> Claims:
        """Keep the claims on one programme.

        Examples
        --------
        >>> len(Claims.read("data/published").of("xinyi_alliance").claims)
        3
        """
        known = self.facts.registry["programme"].tolist()
        if programme not in known:
            near = difflib.get_close_matches(programme, known, n=3)
            raise FactsError(f"The registry has no programme {programme!r}. Near it: {', '.join(near) or 'none'}.")
        return Claims(self.facts, tuple(claim for claim in self.claims if claim.programme == programme))


def raw_change(facts: Facts, claim: Claim) -> Change | None:
    """Return the change behind a claim: between its two figures, else as a growth or change that was published alone.

    Assumes nothing on likeness: unlike figures are subtracted too, and the result says that they are.

    Examples
    --------
    >>> claims = Claims.read("data/published")
    >>> change = raw_change(claims.facts, claims.of("liannan_trusteeship").claims[0])
    >>> round(change.figure.value, 2), change.alike
    (9.1, False)
    """
    if claim.baseline_fact:
        return facts.change(claim.baseline_fact, claim.value_fact, unlike="show")
    if not claim.change_fact:
        return None
    fact = facts[claim.change_fact]
    reasons = ["only a growth is published, without the figures behind it"]
    if fact.period_kind == "unstated":
        reasons.append(f"period unstated: {fact.fact_id} ({fact.when})")
    if fact.one_sided:
        reasons.append(f"{fact.fact_id} is a bound ({fact.qualifier.replace('_', ' ')} {fact.value:g}), not a figure")
    made_by = f"published as {fact.fact_id}"
    return Change("", claim.value_fact, fact.figure, fact.unit, fact.digits, None, False, tuple(reasons), (), made_by)


def claim_years(facts: Facts, claim: Claim) -> float | None:
    """Find the length of the change behind a claim.

    Examples
    --------
    >>> claims = Claims.read("data/published")
    >>> [claim_years(claims.facts, claim) for claim in claims.of("guangdong_cluster").claims]
    [2.0, 1.0]
    """
    if not claim.baseline_fact:
        return None
    apart = years_apart(facts[claim.baseline_fact], facts[claim.value_fact])
    if apart is not None or not claim.change_fact:
        return apart
    change = facts[claim.change_fact]
    if change.period_kind == "unstated" or not (len(change.period_start) == len(change.period_end) == 4):
        return None
    return float(int(change.period_end) - int(change.period_start))


def claim_row(claim: Claim, part: str = "", /, **said: object) -> dict[str, object]:
    """Begin the row of a table about a claim: its key (with the part of the claim that the row is about) and its label.

    Examples
    --------
    >>> claim_row(Claims.read("data/published").of("yangxi_community").claims[0], "change", value=1.0)
    {'key': 'yangxi_fund_2023.change', 'claim_id': 'yangxi_fund_2023', 'label': 'Yangxi, fund balance', 'value': 1.0}
    """
    key = f"{claim.claim_id}.{part}" if part else claim.claim_id
    return {"key": key, "claim_id": claim.claim_id, "label": claim.label, **said}


def shown(figure: Figure, unit: str, digits: int) -> dict[str, object]:
    """Return the columns of a figure: ``value``, ``low``, ``high`` (rounding; missing on an open side), ``unit``, ``digits``."""
    ends = {"low": finite(figure.low), "high": finite(figure.high)}
    return {"value": figure.value, **ends, "unit": reported_unit(unit), "digits": digits}


def reported_unit(unit: str) -> str:
    """Return the unit of the manifest that a published unit is recorded in: "pp", "%" or "number".

    Examples
    --------
    >>> reported_unit("pp"), reported_unit("10k person-times")
    ('pp', 'number')
    """
    return unit if unit in {"pp", "%"} else "number"


def finite(value: float) -> float:
    """Return a number, or a missing value in place of an infinite one.

    Examples
    --------
    >>> finite(1.5), finite(math.inf)
    (1.5, nan)
    """
    return float(value) if math.isfinite(value) else math.nan


def _claim(row: dict[Any, Any]) -> Claim:
    lists = {name: tuple(part for part in row[name].split(";") if part) for name in ("concurrent_facts", "dates")}
    dates = tuple(
        Milestone(part.partition("=")[0].removeprefix("<"), part.partition("=")[2], latest=part.startswith("<"))
        for part in lists["dates"]
    )
    limits = tuple(part for part in row["limits"].split("; ") if part)
    others = {name: row[name] for name in Claim.__dataclass_fields__ if name not in {*lists, "limits"}}
    return Claim(**others, dates=dates, concurrent_facts=lists["concurrent_facts"], limits=limits)
