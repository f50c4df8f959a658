"""The design: a panel with its cohorts, who can be compared with whom, and what no comparison can tell."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from html import escape
from typing import Any

import numpy as np
import pandas as pd

from evalaid.base import names
from evalaid.base.columns import as_numbers, find_column
from evalaid.base.effect_columns import N_CLUSTERS
from evalaid.base.errors import DesignError, PanelError
from evalaid.base.faults import Faults
from evalaid.base.periods import label
from evalaid.base.texts import counted
from evalaid.did.panel.comparisons import count_available, describe_cohorts, list_cells
from evalaid.did.panel.design_text import tell_comparison, tell_limits, tell_panel, tell_treatment
from evalaid.did.panel.keys import read_keys
from evalaid.did.panel.limits import count_clusters, find_coarser_groups, list_not_identified, list_warnings
from evalaid.did.panel.matrices import Matrices, build_matrices
from evalaid.did.panel.panel import Panel, gather_panel, read_frame
from evalaid.did.panel.treatment import (
    Treatment,
    gather_first_change,
    gather_first_treated,
    gather_treatment,
    list_reversals,
    report_exposure,
)


@dataclass(frozen=True, eq=False, repr=False)
class Design:
    """Hold a panel, its cohorts and the comparisons they admit.

    Counts, cells and limits are about ``matrices``: the units that are untreated at first. Frames are made when they are
    first asked for.

    Parameters
    ----------
    matrices : Matrices
        The panel as unit x period matrices, units sorted by cohort.
    panel : Panel
        The validated panel, always-treated units included.
    treatment : Treatment
        Cohorts of all units of the panel.
    outcome_unit : str
        "fraction" (effects are fractions; times 100 for percentage points) or "number".
    covariates : tuple of str
        Names of the covariates in the matrices.
    anticipation : int
        Periods before the start in which units may already react.
    notes : tuple of str
        What was converted, moved or set aside.
    excluded : pandas.DataFrame
        Units that are in the panel and not in the matrices: columns ``unit``, ``cohort``, ``reason``.
    reversals : pandas.DataFrame
        Units that are untreated again after their start: columns ``unit``, ``first_treated``, ``untreated_again`` (ordinals).
    source : pandas.DataFrame
        The caller's table; its other columns are searched for coarser groups, nothing else.

    Examples
    --------
    See `diagnose`.
    """

    matrices: Matrices
    panel: Panel
    treatment: Treatment
    outcome_unit: str
    covariates: tuple[str, ...]
    anticipation: int
    notes: tuple[str, ...]
    excluded: pd.DataFrame
    reversals: pd.DataFrame
    source: pd.DataFrame

    def __repr__(self) -> str:
        return f"<Design: {self._tell_panel()[0]}>"

    def _repr_html_(self) -> str:
        shown = self.cohorts.rename(columns=lambda name: str(name).replace("_", " ")).drop(columns="cohort")
        if self.outcome_unit == "fraction":
            shown = shown.assign(**{"baseline mean": 100 * shown["baseline mean"]}).rename(
                columns={"baseline mean": "baseline mean, %"}
            )
        table = shown.to_html(index=False, border=0, float_format="{:.4g}".format, na_rep="")
        return f"<pre>{escape(self.text())}</pre>{table}"

    @property
    def n_units(self) -> int:
        """Number of units that can be compared."""
        return self.matrices.n_units

    @property
    def n_periods(self) -> int:
        """Number of observed periods."""
        return self.matrices.n_periods

    @property
    def n_observations(self) -> int:
        """Number of observed unit x period cells."""
        return self.matrices.n_observations

    @property
    def n_clusters(self) -> int:
        """Number of clusters."""
        return self.matrices.n_clusters

    @property
    def n_treated(self) -> int:
        """Number of units that start treatment within the panel."""
        return int(self.matrices.never.start)

    @property
    def n_never(self) -> int:
        """Number of units that are never treated within the panel."""
        return self.n_units - self.n_treated

    @cached_property
    def n_treated_clusters(self) -> int:
        """Number of clusters with at least one treated unit."""
        return count_clusters(self.matrices, treated=True)

    @property
    def staggered(self) -> bool:
        """Whether units start in more than one period."""
        return len(self.matrices.cohorts) > 1

    @property
    def balanced(self) -> bool:
        """Whether every unit is observed in every period."""
        return self.matrices.observed is None

    @cached_property
    def cells(self) -> pd.DataFrame:
        """Every cohort, period and comparison group with counts and reasons (see `evalaid.did.panel.comparisons.list_cells`)."""
        return list_cells(self.matrices, self.anticipation)

    @cached_property
    def availability(self) -> pd.DataFrame:
        """Never-treated, not-yet-treated and treated units by period (see `evalaid.did.panel.comparisons.count_available`)."""
        return count_available(self.matrices)

    @cached_property
    def cohorts(self) -> pd.DataFrame:
        """Sizes, pre- and post-periods and baseline means (see `evalaid.did.panel.comparisons.describe_cohorts`)."""
        return describe_cohorts(self.matrices, self.anticipation)

    @cached_property
    def not_identified(self) -> pd.DataFrame:
        """What no comparison in the panel can tell (see `evalaid.did.panel.limits.list_not_identified`)."""
        return list_not_identified(self.matrices, self.anticipation)

    @cached_property
    def coarser_groups(self) -> pd.DataFrame:
        """Other columns whose groups never mix cohorts: columns ``column``, ``n_groups``."""
        keys = self.panel.keys
        cluster = np.arange(len(keys.units))
        if self.panel.cluster is not None:
            cluster[keys.unit] = self.panel.cluster
        used = {*self.panel.names.values(), *self.covariates, self.treatment.stated.name}
        unique = self.source.columns[~self.source.columns.duplicated(keep=False)]
        return find_coarser_groups(
            self.source,
            [name for name in unique if name not in used],
            keys.unit,
            self.treatment.stated.to_numpy(),
            cluster,
        )

    @cached_property
    def warnings(self) -> tuple[str, ...]:
        """What to keep in mind when estimates from this design are read."""
        warnings = list_warnings(self.matrices, self.coarser_groups)
        if not len(self.reversals):
            return warnings
        some = ", ".join(map(str, self.reversals["unit"].head(3))) + (", ..." if len(self.reversals) > 3 else "")
        ended = f"{counted(len(self.reversals), 'unit is', 'units are')} untreated again after the start"
        return (*warnings, f"{ended} ({some}; see .reversals): treatment does not stay; dcdh is the method for that")

    def subset(self, keep: np.ndarray) -> Design:
        """Keep some of the units.

        Parameters
        ----------
        keep : numpy.ndarray
            (N,) bool, or unit positions, in matrix order.

        Returns
        -------
        Design
            The same panel with a smaller matrices; counts, cells and limits follow from it.

        Examples
        --------
        >>> design = diagnose(_example(), "county", "year", "share", "first_treated")
        >>> design.subset(design.matrices.cohort != 2021).n_units
        3
        """
        matrices = self.matrices.subset(keep)
        note = f"{matrices.n_units:,} of {self.n_units:,} units kept"
        return replace(self, matrices=matrices, notes=(*self.notes, note))

    def describe(self) -> pd.DataFrame:
        """Return the counts of the design as one tidy frame.

        Returns
        -------
        pandas.DataFrame
            Columns ``key``, ``value`` (int), ``unit``.

        Examples
        --------
        >>> design = diagnose(_example(), "county", "year", "share", "first_treated")
        >>> design.describe().head(3)
                       key  value          unit
        0          n_units      4         units
        1        n_periods      4       periods
        2   n_observations     16  observations
        """
        kind = self.matrices.period_kind
        rows = [
            ("n_units", self.n_units, "units"),
            ("n_periods", self.n_periods, "periods"),
            ("n_observations", self.n_observations, "observations"),
            (N_CLUSTERS, self.n_clusters, "clusters"),
            ("n_treated", self.n_treated, "units"),
            ("n_never", self.n_never, "units"),
            ("n_treated_clusters", self.n_treated_clusters, "clusters"),
            ("n_cohorts", len(self.matrices.cohorts), "cohorts"),
            ("n_excluded", len(self.excluded), "units"),
            ("n_gaps", len(self.panel.gaps), "observations"),
            ("n_singletons", len(self.panel.singletons), "units"),
        ]
        sizes = np.diff(self.matrices.starts)
        rows += [
            (f"n_units_cohort_{label(kind, cohort)}", int(size), "units")
            for cohort, size in zip(self.matrices.cohorts, sizes[:-1], strict=True)
        ]
        return pd.DataFrame(rows, columns=["key", "value", "unit"])

    def text(self) -> str:
        """Describe in plain words what the design holds, what it admits and what it cannot tell.

        Returns
        -------
        str
            Lines for a notebook or a terminal.

        Examples
        --------
        >>> print(diagnose(_example(), "county", "year", "share", "first_treated").text().splitlines()[0])
        4 units x 4 years (2019 to 2022), balanced: 16 observations.
        """
        matrices = self.matrices
        lines = [
            *self._tell_panel(),
            *tell_treatment(matrices, self.panel, self.cohorts, len(self.excluded)),
            tell_comparison(matrices, self.cells, self.availability, self.anticipation),
            *tell_limits(self.not_identified, self.warnings, self.notes),
        ]
        return "\n".join(lines)

    def _tell_panel(self) -> list[str]:
        return tell_panel(self.matrices, self.panel, self.outcome_unit, self.covariates)


def check_design(design: object) -> None:
    """Refuse what is no design, such as the frame itself or effects."""
    if not isinstance(design, Design):
        raise DesignError(
            f"{type(design).__name__} found where a design is expected: what evalaid.diagnose returns for a panel with its cohorts."
        )


def diagnose(
    frame: Any,
    unit: str,
    period: str,
    outcome: str,
    cohort: str | None = None,
    covariates: Sequence[str] = (),
    weight: str | None = None,
    cluster: str | None = None,
    *,
    treated: str | None = None,
    path: str | None = None,
    partial: str | None = None,
    exposure: str | None = None,
    stratum: str | None = None,
    weight_kind: str | None = None,
    outcome_unit: str | None = None,
    inside: str | None = None,
    total: str | None = None,
    anticipation: int = 0,
) -> Design:
    """Validate a panel with its cohorts and say which comparisons it admits.

    Assumes that treatment is absorbing: once treated, a unit stays treated. The caller's frame is not changed.

    Parameters
    ----------
    frame : pandas.DataFrame or any other data frame
        Long table, one row for each unit and period (see `evalaid.read_panel` for what may hold it).
    unit, period, outcome : str
        Its columns (see `evalaid.did.panel.panel.read_panel`).
    cohort : str, optional
        Column of the first treated period, the same in all rows of a unit; missing = never treated.
    treated : str, optional
        Column of 0 and 1 (or False and True) by period instead: the cohort is the first period with a 1. Units that are
        untreated again later are listed in ``reversals``; only ``dcdh`` estimates from them. With ``cohort`` as well the two
        must agree.
    covariates : sequence of str
        Numeric columns without missing values.
    path : str, optional
        Column of treatment by period, 0/1 or an intensity, of units that may be treated from the first period on: the cohort is
        the first period in which it differs from the unit's first. Alone, without ``cohort`` and ``treated``; only ``dcdh``, which
        compares with units of the same baseline treatment, estimates from such a design.
    partial : str, optional
        Column of 0 and 1: 1 where a unit is treated in a part of the period only, because its start falls inside. Such a row is
        left out: it is neither before nor after, and never the base of a comparison.
    exposure : str, optional
        Column of the part of each period, 0 to 1, in which a unit is treated, instead: 0 before the cohort, 0.75 in the year of a
        start in April, 1 in every later period. ``twfe``, ``event_study`` and ``sun_abraham`` count the first treated period by
        this part, so that its effect is that of a whole period (assumes an effect in proportion); other methods refuse it.
    stratum : str, optional
        Column of groups of units, such as the region, constant within a unit: units are compared within them. Two-way
        regressions have period effects of each stratum (region x year); ``callaway_santanna`` and ``imputation`` estimate in
        each stratum and average over its treated units; other methods refuse it.
    weight : str, optional
        Column of weights, > 0.
    weight_kind : {"analytic", "precision"}, optional
        What the weights are. ``analytic`` (importance, such as residents): a unit counts by its weight in every fit and every
        average, so the effect is another one: on the average resident, not on the average unit. ``precision`` (such as the
        episodes behind a share, when its variance is known up to their number): observations are weighed in what is
        fitted, while averages over treated units and periods count each once; the effect is the same, estimated more
        exactly if the weights are right. Methods without a place for precision weights refuse them. Default: not stated,
        which is analytic in all methods but ``etwfe``, where it is precision as in its reference.
    cluster : str, optional
        Column of the clusters, constant within a unit. Default: each unit is its own cluster.
    outcome_unit : {"fraction", "percent", "number"}, optional
        Unit of the outcome; must be given when a column named as a share holds values above 1.
    inside, total : str, optional
        Columns of counts behind a share; checked (>= 0, inside <= total). ``estimate(scale="log_inside" | "log_outside")`` needs
        them.
    anticipation : int
        Periods before the start in which units may already react. It counts as event times do: calendar steps, waves where the panel's
        periods are a constant number of steps apart, observed periods where steps are unequal (``notes`` say which).

    Returns
    -------
    Design
        With ``cells``, ``availability``, ``cohorts`` and ``not_identified`` as frames and ``text()`` in words. An
        unidentified design is a result too: `evalaid.estimate` refuses it with the reasons.

    Raises
    ------
    PanelError
        With all faults of the table at once, those of the cohort column included; ``rows`` has every failing row.
    DesignError
        When ``anticipation`` is not a whole number of 0 or more.

    Examples
    --------
    >>> design = diagnose(_example(), "county", "year", "share", "first_treated")
    >>> design.n_units, design.n_treated, design.n_never, design.staggered
    (4, 2, 2, True)
    """
    _check_asked(cohort, treated, path, anticipation)
    frame = read_frame(frame)
    faults = Faults()
    roles = {
        names.UNIT: unit,
        names.PERIOD: period,
        names.OUTCOME: outcome,
        names.INSIDE: inside,
        names.TOTAL: total,
        names.WEIGHT: weight,
        names.CLUSTER: cluster,
        names.TREATED: treated,
        names.PARTIAL: partial,
        names.EXPOSURE: exposure,
        names.STRATUM: stratum,
        names.PATH: path,
    }
    whole, frame = frame, _with_outcome(frame, outcome) if path is not None else frame
    panel = gather_panel(frame, roles, covariates, outcome_unit, faults, weight_kind)
    stated = None if cohort is None else find_column(frame, cohort, names.COHORT, faults)
    treatment, reversals = None, pd.DataFrame({"unit": [], "first_treated": [], "untreated_again": []})
    if panel is not None and treated is not None:
        if not faults:
            on = panel.columns[names.TREATED]
            treatment = gather_first_treated(panel.keys, on, treated, stated, faults)
            reversals = list_reversals(panel.keys, on)
    elif panel is not None and path is not None:
        treatment = None if faults else _follow(whole, panel, unit, period, path)
    elif panel is not None and stated is not None:
        treatment = gather_treatment(panel.keys, stated, faults)
    if exposure is not None and panel is not None and treatment is not None and not faults:
        part = panel.columns[names.EXPOSURE]
        report_exposure(panel.keys, treatment.stated, part, frame[exposure], faults)
    faults.raise_if_any(PanelError, "panel")
    assert panel is not None  # noqa: S101  (without faults there is a panel and a treatment)
    assert treatment is not None  # noqa: S101
    matrices = build_matrices(panel, treatment, keep_path=len(reversals) > 0)
    hidden = int(panel.columns[names.PARTIAL].sum()) if partial else 0
    return Design(
        matrices=matrices,
        panel=panel,
        treatment=treatment,
        outcome_unit=panel.outcome_unit,
        covariates=panel.covariates,
        anticipation=int(anticipation),
        notes=(*panel.notes, *treatment.notes, *_left_out(len(whole) - len(frame), hidden)),
        excluded=_list_excluded(treatment, matrices),
        reversals=reversals,
        source=whole.copy(deep=False),  # shares memory; copy-on-write keeps later changes by the caller out
    )


def _check_asked(cohort: str | None, treated: str | None, path: str | None, anticipation: Any) -> None:
    """Refuse a design without, or with two, ways to say when units are treated, and an anticipation that is no number of periods."""
    if isinstance(anticipation, bool) or not isinstance(anticipation, (int, np.integer)) or anticipation < 0:
        raise DesignError(f"Found anticipation={anticipation!r}; expected a whole number of periods, 0 or more.")
    if cohort is None and treated is None and path is None:
        raise DesignError(
            "Found neither cohort= nor treated=; expected the column of first treated periods, or a 0/1 column."
        )
    if path is not None and (cohort is not None or treated is not None):
        raise DesignError(
            "Found path= beside cohort= or treated=; expected path alone: its cohorts are first changes of treatment, not first "
            "treated periods."
        )


def _follow(whole: pd.DataFrame, panel: Panel, unit: str, period: str, path: str) -> Treatment:
    """Read first changes of treatment from all rows in which it is known, those without an outcome included."""
    known = whole[np.isfinite(as_numbers(whole[path]))]
    return gather_first_change(panel.keys, read_keys(known[unit], known[period]), as_numbers(known[path]), path)


def _left_out(blank: int, hidden: int) -> tuple[str, ...]:
    """Note the rows that are in no comparison."""
    notes = (
        f"{counted(blank, 'row')} without an outcome left out; their treatment is read" if blank else "",
        f"{counted(hidden, 'observation')} left out: treated in a part of the period" if hidden else "",
    )
    return tuple(note for note in notes if note)


def _with_outcome(frame: pd.DataFrame, outcome: str) -> pd.DataFrame:
    """Leave out the rows without an outcome: of these only the treatment is read."""
    return frame[frame[outcome].notna()] if outcome in frame and frame.columns.is_unique else frame


def _list_excluded(treatment: Treatment, matrices: Matrices) -> pd.DataFrame:
    """List the units that are not in the matrices: always treated, or so once periods without comparison are dropped."""
    stated = treatment.stated
    if len(matrices.units) + len(treatment.excluded) == len(stated):
        return treatment.excluded
    left = stated[~stated.index.isin(matrices.units) & ~stated.index.isin(treatment.excluded["unit"])]
    reason = "always treated within the periods in which the other units are observed"
    more = pd.DataFrame({"unit": left.index, "cohort": left.to_numpy().astype(np.int64), "reason": reason})
    return pd.concat([treatment.excluded, more], ignore_index=True)


def _example() -> pd.DataFrame:
    """Return a tiny simulated panel for the examples above."""
    return pd.DataFrame(
        {
            "county": np.repeat(["A", "B", "C", "D"], 4),
            "year": np.tile(np.arange(2019, 2023), 4),
            "share": np.linspace(0.7, 0.9, 16),
            "first_treated": np.repeat([2020, 2021, np.nan, np.nan], 4),
        }
    )
