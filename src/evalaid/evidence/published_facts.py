"""The published figures: what is known on one indicator and place, and which differences mean anything."""

from __future__ import annotations

import difflib
import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

import pandas as pd

from evalaid.base.errors import FactsError
from evalaid.base.faults import Faults
from evalaid.base.rounding import Figure, evaluate, names_in
from evalaid.evidence.comparability import Fact, LikeForLike, compare_facts, years_apart
from evalaid.evidence.register import (
    FACT_PATTERNS,
    FACTS_FILE,
    PROGRAMME_PATTERNS,
    PROGRAMMES_FILE,
    check_facts,
    check_programmes,
    read_table,
)

_TOLERANCE = 1e-9


@dataclass(frozen=True)
class Change:
    """The difference of two published figures.

    Parameters
    ----------
    from_fact, to_fact : str
        Ids: the change is the second figure minus the first.
    figure : Figure
        The difference with the interval that rounding leaves open, in ``unit``.
    unit : str
        "pp" for the difference of two percentages, else the unit of the figures.
    digits : int
        Decimals to show: those of the finer figure (``figure`` says how far they can be trusted).
    years : float or None
        Time between the middles of the periods; None when a period is unstated.
    alike : bool
        Whether the figures are like for like. If not, the number is an arithmetic illustration and nothing more.
    reasons, remarks : tuple of str
        As in `evalaid.evidence.comparability.LikeForLike`.
    made_by : str
        How the number came about.
    """

    from_fact: str
    to_fact: str
    figure: Figure
    unit: str
    digits: int
    years: float | None
    alike: bool
    reasons: tuple[str, ...]
    remarks: tuple[str, ...]
    made_by: str


@dataclass(frozen=True, eq=False, repr=False)
class Facts:
    """The register of published figures and of the programmes they belong to.

    Parameters
    ----------
    frame : pandas.DataFrame
        One row per figure; ``value`` and ``digits`` are numbers, all other columns text (see ``data/README.md``).
    registry : pandas.DataFrame
        One row per programme.

    Examples
    --------
    >>> facts = Facts.read("data/published")
    >>> facts["F001"].value, facts["F003"].figure.low.__round__(2)
    (86.9, 82.1)
    """

    frame: pd.DataFrame
    registry: pd.DataFrame

    @classmethod
    def read(cls, folder: Path | str) -> Facts:
        """Read and validate the register.

        Parameters
        ----------
        folder : Path or str
            Holds ``facts.csv`` and ``programmes.csv``.

        Returns
        -------
        Facts

        Raises
        ------
        FactsError
            With all faults of both files at once; ``rows`` has the columns row (id), column, value, fault, expected.

        Examples
        --------
        >>> Facts.read("data/published")
        <Facts: 234 figures on 21 programmes>
        """
        faults = Faults()
        registry = read_table(Path(folder) / PROGRAMMES_FILE, PROGRAMME_PATTERNS, "programme", faults)
        frame = read_table(Path(folder) / FACTS_FILE, FACT_PATTERNS, "fact_id", faults)
        faults.raise_if_any(FactsError, "register of published figures")
        check_programmes(registry, faults)
        check_facts(frame, set(registry["programme"]), faults)
        faults.raise_if_any(FactsError, "register of published figures")
        numbers = {name: pd.to_numeric(frame[name], errors="coerce") for name in ("value", "digits")}
        return cls(frame.assign(**numbers), registry)

    def __repr__(self) -> str:
        return f"<Facts: {len(self.frame)} figures on {len(self.registry)} programmes>"

    def __getitem__(self, fact_id: str) -> Fact:
        if fact_id not in self._facts:
            near = difflib.get_close_matches(str(fact_id), list(self._facts), n=3)
            raise FactsError(f"There is no published figure {fact_id!r}. Near it: {', '.join(near) or 'none'}.")
        return self._facts[fact_id]

    def programmes(self) -> pd.DataFrame:
        """Return the registry of programmes.

        Returns
        -------
        pandas.DataFrame
            Columns ``programme`` (key), ``name_en``, ``name_zh``, ``source_document``, ``unit``, ``start``, ``end``,
            ``supporting_hospitals``, ``recipients``, ``outcome``, ``published_figures``, ``possible_comparison``, ``study``
            (key) or, where there is none, ``refusal`` (why, and which data it would take).

        Examples
        --------
        >>> Facts.read("data/published").programmes()["programme"].tolist()[:2]
        ['guangdong_cluster', 'guangdong_second_round']
        """
        return self.registry.copy()

    def about(
        self, indicator: str | None = None, place: str | None = None, programme: str | None = None
    ) -> pd.DataFrame:
        """List the figures on an indicator, a place, a programme, or any combination of these.

        Parameters
        ----------
        indicator : str, optional
            Canonical key, for example ``"county_inpatient_share"``.
        place : str, optional
            GB/T 2260 code or name; a figure on several places is found under each.
        programme : str, optional
            Key of the registry.

        Returns
        -------
        pandas.DataFrame
            The columns of ``frame`` with ``low`` and ``high`` (the interval that rounding leaves open), by period.

        Raises
        ------
        FactsError
            When no figure has that indicator, place or programme (an empty combination is an empty frame).

        Examples
        --------
        >>> Facts.read("data/published").about("county_inpatient_share", "441826")["value"].tolist()
        [71.0, 9.1, 80.1]
        """
        frame = self.frame
        keep = pd.Series(data=True, index=frame.index)
        for column, wanted in (("indicator", indicator), ("place", place), ("programme", programme)):
            if wanted is None:
                continue
            cells = frame[column].str.split(r"[;+]", regex=True)
            hit = cells.map(lambda parts, one=wanted: one in parts)
            if column == "place":
                hit |= frame["place_name"].str.split("、").map(lambda parts, one=wanted: one in parts)
            if not hit.any():
                known = sorted({part for parts in cells for part in parts if part})
                near = difflib.get_close_matches(wanted, known, n=3)
                raise FactsError(
                    f"No published figure has the {column} {wanted!r}. Near it: {', '.join(near) or 'none'}."
                )
            keep &= hit
        found = frame[keep].sort_values(["period_start", "period_end", "fact_id"], kind="stable").reset_index(drop=True)
        figures = [self._facts[fact_id].figure for fact_id in found["fact_id"]]
        return found.assign(low=[figure.low for figure in figures], high=[figure.high for figure in figures])

    def like_for_like(self, fact_a: str, fact_b: str) -> LikeForLike:
        """Check whether two figures may be compared (see `evalaid.evidence.comparability.compare_facts`).

        Parameters
        ----------
        fact_a, fact_b : str
            Ids.

        Returns
        -------
        LikeForLike
            ``alike``, and the ``reasons`` against.

        Raises
        ------
        FactsError
            When an id is unknown.

        Examples
        --------
        >>> Facts.read("data/published").like_for_like("F036", "F038").reasons
        ('unlike periods: full year (2018) against cumulative part of a year (2019 January to September)',)
        """
        return compare_facts(self[fact_a], self[fact_b])

    def change(self, fact_a: str, fact_b: str, unlike: Literal["refuse", "show"] = "refuse") -> Change:
        """Subtract the first figure from the second, if they are like for like.

        Assumes unrelated roundings, unless the change itself was published: then its own rounding is the narrower one.

        Parameters
        ----------
        fact_a, fact_b : str
            Ids; the change is b minus a.
        unlike : {"refuse", "show"}
            What to do with unlike figures. ``"show"`` gives the number with ``alike=False`` and the reasons, to be shown as
            an arithmetic illustration under that name.

        Returns
        -------
        Change

        Raises
        ------
        FactsError
            With ``reasons`` when the figures are unlike, and always when their units differ or one is no number.

        Examples
        --------
        >>> facts = Facts.read("data/published")
        >>> change = facts.change("F003", "F001")
        >>> change.figure.value, change.unit, change.years, change.made_by
        (4.7, 'pp', 2.0, 'published as F002')
        """
        if unlike not in {"refuse", "show"}:
            raise FactsError(f"Found unlike={unlike!r}; expected 'refuse' or 'show'.")
        one, other = self[fact_a], self[fact_b]
        comparison = compare_facts(one, other)
        no_number = one.unit != other.unit or math.isnan(one.value) or math.isnan(other.value)
        if no_number or (unlike == "refuse" and not comparison.alike):
            rows = pd.DataFrame({"from_fact": fact_a, "to_fact": fact_b, "reason": comparison.reasons})
            advice = (
                "" if no_number else " Take figures of one kind, or show the number as an illustration: unlike='show'."
            )
            raise FactsError(
                f"{fact_b} ({other.value:g} {other.unit}, {other.when}) minus {fact_a} ({one.value:g} {one.unit}, "
                f"{one.when}) is not a change of one thing: {'; '.join(comparison.reasons)}.{advice}",
                rows,
                comparison.reasons,
            )
        figure, digits, made_by = self._difference(one, other)
        return Change(
            from_fact=fact_a,
            to_fact=fact_b,
            figure=figure,
            unit="pp" if one.unit == "%" else one.unit,
            digits=digits,
            years=years_apart(one, other),
            alike=comparison.alike,
            reasons=comparison.reasons,
            remarks=comparison.remarks,
            made_by=made_by,
        )

    def _difference(self, one: Fact, other: Fact) -> tuple[Figure, int, str]:
        """Subtract, or take the published change when its own rounding says more."""
        figure = other.figure - one.figure
        for fact_id in self._changes.get((one.fact_id, other.fact_id), ()):
            stated = self[fact_id].figure
            if abs(stated.value - figure.value) < _TOLERANCE and stated.width < figure.width:
                return stated, self[fact_id].digits, f"published as {fact_id}"
        return figure, max(one.digits, other.digits), f"{other.fact_id} - {one.fact_id}"

    @cached_property
    def _changes(self) -> Mapping[tuple[str, str], list[str]]:
        """The published changes from one figure to another."""
        found: dict[tuple[str, str], list[str]] = {}
        changes = self.frame[self.frame["measure"] == "change"]
        for one, other, fact_id in zip(changes["from_fact"], changes["to_fact"], changes["fact_id"], strict=True):
            found.setdefault((one, other), []).append(fact_id)
        return found

    @cached_property
    def _facts(self) -> Mapping[str, Fact]:
        rows = {str(row["fact_id"]): row for row in self.frame.astype(object).to_dict("records")}
        figures: dict[str, Figure] = {}
        for fact_id in rows:
            _find_figure(fact_id, rows, figures, ())
        names = [name for name in Fact.__dataclass_fields__ if name not in {"digits", "derived", "figure"}]
        return MappingProxyType({
            fact_id: Fact(
                **{name: row[name] for name in names},
                digits=0 if math.isnan(row["digits"]) else int(row["digits"]),
                derived=row["derived"] == "yes",
                figure=figures[fact_id],
            )
            for fact_id, row in rows.items()
        })  # fmt: skip


def recompute(facts: Facts) -> pd.DataFrame:
    """Compute every figure that has arithmetic from the figures it names.

    Examples
    --------
    >>> bool(recompute(Facts.read("data/published"))["agrees"].all())
    True
    """
    frame = facts.frame[facts.frame["arithmetic"] != ""]
    rows = []
    for row in frame.to_dict("records"):
        named = {name: Figure.exact(facts[name].value) for name in names_in(row["arithmetic"])}
        computed = evaluate(row["arithmetic"], named).value
        agrees = abs(computed - row["value"]) <= 0.5 * 10.0 ** -row["digits"] + _TOLERANCE
        if row["derived"] == "yes":
            agrees = abs(computed - row["value"]) <= _TOLERANCE
        rows.append((row["fact_id"], row["arithmetic"], row["value"], computed, agrees, row["derived"]))
    return pd.DataFrame(rows, columns=["fact_id", "arithmetic", "value", "computed", "agrees", "derived"])


def _find_figure(
    fact_id: str, rows: Mapping[str, Mapping[Any, Any]], figures: dict[str, Figure], path: tuple[str, ...]
) -> Figure:
    """Return the interval of a figure; that of a derived one follows from the figures it was computed from."""
    if fact_id in path:
        raise FactsError(f"The arithmetic of {fact_id} leads back to itself: {' -> '.join((*path, fact_id))}.")
    if fact_id not in figures:
        row = rows[fact_id]
        value, qualifier = float(row["value"]), row["qualifier"]
        if qualifier == "derived":
            parts = names_in(row["arithmetic"])
            named = {name: _find_figure(name, rows, figures, (*path, fact_id)) for name in parts}
            found = evaluate(row["arithmetic"], named)
            found = Figure(value, min(found.low, value), max(found.high, value))
        elif qualifier == "date":
            found = Figure(0.0, -math.inf, math.inf)
        elif qualifier == "exact":
            found = Figure.exact(value)
        elif qualifier in {"more_than", "at_least"}:
            found = Figure(value, value, math.inf)
        elif qualifier == "nearly":
            found = Figure(value, -math.inf, value)
        else:
            found = Figure.rounded(value, int(row["digits"]))
        figures[fact_id] = found
    return figures[fact_id]
