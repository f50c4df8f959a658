"""Regression to the mean: the rise that choosing units with a low baseline produces without any effect."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import ndtri

from evalaid.design import Design
from evalaid.diagnosis.comparisons import base_columns
from evalaid.errors import DesignError, EstimationError
from evalaid.estimation import estimate
from evalaid.layout import Layout, arrange, reassign
from evalaid.periods import label
from evalaid.sensitivity.history import match_on_history
from evalaid.sensitivity.process import Process, fit_process, moments_of

Floats = NDArray[np.float64]
Progress = Callable[[int, int], object]

# The jackknife leaves out this many groups of units at most.
GROUPS = 50
# Fewer units than this do not show how changes depend on levels, or are too few to choose among.
FEW = 5
EXPECTED = [
    "cohort", "label", "event_time", "n_treated", "n_comparison", "baseline_gap", "reliability", "expected", "std_error",
    "expected_regression", "std_error_regression", "note",
]  # fmt: skip


@dataclass(frozen=True)
class RegressionToMean:
    """What choosing low baselines alone would produce in this design.

    Parameters
    ----------
    process : Process or None
        Permanent, fading and transitory variance of the outcome before any treatment; None with ``reason``.
    selection : pandas.DataFrame
        One row a cohort: ``cohort``, ``label``, ``baseline`` (periods), ``n_treated``, ``n_at_risk`` (units not treated
        before, the cohort included), ``shortfall`` (mean baseline of those at risk less that of the cohort), ``shortfall_sd``
        (in standard deviations), ``strength`` (correlation of the rule behind the choice with the baseline, 1 = the lowest
        are chosen, 0 = the baseline plays no part), ``note``.
    expected : pandas.DataFrame
        One row a cohort and period from its start on, and "all" (average over treated units and periods): ``baseline_gap``
        (cohort less comparison units), ``reliability`` (correlation of baseline and later outcome by the process),
        ``expected`` (rise against the comparison units by the process), ``expected_regression`` (the same from a regression
        of the comparison units' own change on their baseline), each with its jackknife standard error, ``note``.
    simulated : pandas.DataFrame
        The named method where there is no effect and the same rule chooses: ``source`` ("process": panels drawn from the
        process; "never_treated": never-treated units, resampled), ``bias``, ``monte_carlo_error``, ``draws``, ``note``.
    matched : pandas.DataFrame
        The method with all comparison units, and with those of similar history: ``sample``, the columns of `evalaid.infer`,
        ``change`` and ``change_std_error``.
    unit : {"unit", "cluster"}
        What was chosen: clusters, when each has one cohort only.
    method, reason : str
        The estimator; why there is no process, "" otherwise.
    draws, seed : int
    """

    process: Process | None
    selection: pd.DataFrame
    expected: pd.DataFrame
    simulated: pd.DataFrame
    matched: pd.DataFrame
    unit: str
    method: str
    reason: str
    draws: int
    seed: int

    def text(self) -> str:
        """Say it in a few sentences, in the scale of the outcome."""
        said = [
            f"{row['label']}: the {self.unit}s chosen began {abs(row['shortfall']):.4g} "
            f"{'below' if row['shortfall'] > 0 else 'above'} those that could have been "
            f"({abs(row['shortfall_sd']):.2f} standard deviations)."
            for row in self.selection.dropna(subset="shortfall").to_dict("records")
        ]
        overall = self.expected[self.expected["label"] == "all"]
        for column, how in (
            ("expected", "the process before treatment"),
            ("expected_regression", "the comparison units"),
        ):
            known = overall.dropna(subset=column)
            if len(known):
                error = float(known[f"std_error{column.removeprefix('expected')}"].iloc[0])
                said.append(
                    f"If the baseline alone decided, {how} lets them rise by {float(known[column].iloc[0]):.4g} "
                    f"(standard error {error:.2g}) against the others without any effect."
                )
        said += [
            f"{self.method} then shows {row['bias']:.4g} (simulation error {row['monte_carlo_error']:.2g}) where there is "
            f"nothing ({row['source']})."
            for row in self.simulated.dropna(subset="bias").to_dict("records")
        ]
        return " ".join([*said, *([f"No process: {self.reason}."] if self.reason else [])])


def regression_to_mean(
    design: Design,
    method: str = "callaway_santanna",
    *,
    window: int = 1,
    neighbours: int = 5,
    draws: int = 200,
    seed: int = 1,
    level: float = 0.95,
    progress: Progress | None = None,
    **options: Any,
) -> RegressionToMean:
    """Work out the rise that choosing units with a low baseline alone would have produced here.

    Assumes, for what is expected and simulated, that nothing but the baseline decided who is treated: units that were chosen
    for what is permanent about them (poverty, remoteness) do not return, and the true bias then is smaller. Assumes a
    stationary process, the same for all units. Every unit counts once in what is expected, whatever the design's weights.

    Parameters
    ----------
    design : Design
        From `evalaid.diagnose`.
    method : str
        A registered method whose cells can be averaged; ``options`` are passed on.
    window : int
        Periods before the cohort reacts whose mean is the baseline that a selector saw.
    neighbours : int
        Comparison units of the closest history taken for each treated one (with replacement).
    draws, seed : int
        Simulated panels.
    level : float
        Of the intervals in ``matched``.
    progress : callable, optional
        Called with finished and all draws.

    Returns
    -------
    RegressionToMean

    Raises
    ------
    DesignError
        When ``window``, ``neighbours`` or ``draws`` is out of range, or nobody is treated after a period that comes before.
    NotIdentifiedError
        When the method does not apply to the design.

    Notes
    -----
    ``E[y_t - y_b | y_b] = -(1 - r_tb)(y_b - mean)`` with r the correlation of the two periods (Galton 1886); against
    comparison units ``(1 - r_tb)(mean baseline of the comparison - that of the treated)``. The regression of a change on the
    baseline keeps its slope when units are chosen by this baseline, so comparison units alone can show it. Methods that
    compare with more than the last period before have another bias, which the simulation gives. The rule chooses the lowest
    of ``c z + sqrt(1 - c^2) e`` (z the standardised baseline, e noise); c follows from the shortfall that was seen,
    ``c phi(Phi^-1(p)) / p`` with a share p chosen. Matching on history removes this bias when the baseline decided, and
    creates it when the groups differ for good: Daw and Hatfield (2018), doi:10.1111/1475-6773.12993.

    Examples
    --------
    >>> import evalaid as ea
    >>> rng = np.random.default_rng(1)
    >>> y = rng.normal(size=(60, 4))                     # nothing lasts: all of a low baseline comes back
    >>> low = np.argsort(y[:, 1])[:20]
    >>> frame = pd.DataFrame({
    ...     "county": np.repeat(np.arange(60), 4), "year": np.tile(np.arange(2018, 2022), 60), "number": y.ravel(),
    ...     "start": np.repeat(np.where(np.isin(np.arange(60), low), 2020.0, np.nan), 4),
    ... })
    >>> found = regression_to_mean(ea.diagnose(frame, "county", "year", "number", "start"), draws=50)
    >>> bool(found.process.reliability(1) < 0.3), bool(found.simulated["bias"].iloc[0] > 1)
    (True, True)
    """
    _check(design, window, neighbours, draws)
    found = estimate(design, method, **options).aggregate("overall")  # refused here when it does not apply
    chosen, owner = _chosen_units(design)
    data = _Data.of(chosen, design.anticipation, window)
    selection = _describe_selection(data, chosen)
    process, reason = _find_process(data)
    simulated = _simulate(
        design, method, options, chosen, owner, selection, process, reason, data, draws, seed, progress
    )
    return RegressionToMean(
        process=process,
        selection=selection,
        expected=_expect(data, chosen),
        simulated=simulated,
        matched=match_on_history(design, method, found, neighbours=neighbours, level=level, **options),
        unit="unit" if chosen is design.layout else "cluster",
        method=method,
        reason=reason,
        draws=draws,
        seed=seed,
    )


def _check(design: Design, window: int, neighbours: int, draws: int) -> None:
    faults = [
        f"{name}={value!r} found; a whole number of at least {least} is expected"
        for name, value, least in (("window", window, 1), ("neighbours", neighbours, 1), ("draws", draws, 2))
        if isinstance(value, bool) or value != int(value) or value < least
    ]
    if not (base_columns(design.layout, design.anticipation) >= 0).any():
        faults.append("no cohort has a period before it reacts: there is no baseline")
    if faults:
        raise DesignError("Regression to the mean: " + "; ".join(faults) + ".")


def _chosen_units(design: Design) -> tuple[Layout, NDArray[np.intp]]:
    """Give the panel of what was chosen, units or means of clusters, and the row in it of every unit."""
    layout = design.layout
    n_units = layout.n_units
    if layout.clustered_by_unit or not _one_cohort_each(layout):
        return layout, np.arange(n_units)
    member = np.zeros((layout.n_clusters, n_units))
    member[layout.cluster, np.arange(n_units)] = 1.0
    there = np.ones_like(layout.outcome) if layout.observed is None else layout.observed.astype(float)
    counts = member @ there
    means = member @ (layout.outcome * there) / np.where(counts > 0, counts, 1)
    cohort = np.full(layout.n_clusters, np.nan)
    cohort[layout.cluster] = layout.cohort
    arranged = arrange(
        units=layout.clusters,
        periods=layout.periods,
        period_kind=layout.period_kind,
        outcome=means,
        observed=None if (counts > 0).all() else counts > 0,
        cohort=cohort,
    )
    return arranged, arranged.units.get_indexer(layout.clusters)[layout.cluster]


def _one_cohort_each(layout: Layout) -> bool:
    start = np.nan_to_num(layout.cohort, nan=-1.0)
    first = np.zeros(layout.n_clusters)
    first[layout.cluster] = start
    return bool((first[layout.cluster] == start).all())


@dataclass(frozen=True)
class _Data:
    """The panel of what was chosen as plain arrays, and what is before for every cohort."""

    outcome: Floats
    seen: NDArray[np.bool_]
    periods: NDArray[np.int64]
    cohort: Floats
    cohorts: NDArray[np.int64]
    bases: NDArray[np.intp]
    anticipation: int
    window: int

    @classmethod
    def of(cls, layout: Layout, anticipation: int, window: int) -> _Data:
        seen = np.ones_like(layout.outcome, dtype=bool) if layout.observed is None else layout.observed
        bases = base_columns(layout, anticipation)
        return cls(layout.outcome, seen, layout.periods, layout.cohort, layout.cohorts, bases, anticipation, window)

    def subset(self, keep: NDArray[np.bool_]) -> _Data:
        return replace(self, outcome=self.outcome[keep], seen=self.seen[keep], cohort=self.cohort[keep])

    def columns(self, base: int) -> slice:
        return slice(max(base + 1 - self.window, 0), base + 1)

    def baseline(self, base: int, outcome: Floats | None = None) -> Floats:
        """Mean outcome over the window, NaN where one of its periods is not observed."""
        columns = self.columns(base)
        values = self.outcome if outcome is None else outcome
        return np.where(self.seen[:, columns].all(axis=1), values[:, columns].mean(axis=1), np.nan)


def _describe_selection(data: _Data, layout: Layout) -> pd.DataFrame:
    """Hold the baseline of each cohort against that of all units that could have been chosen."""
    rows = []
    kind = layout.period_kind
    for cohort, base in zip(data.cohorts, data.bases, strict=True):
        row: dict[str, Any] = {"cohort": int(cohort), "label": label(kind, cohort)}
        if base < 0:
            rows.append(row | {"note": "the cohort has no period before it reacts", "strength": 0.0})
            continue
        baseline = data.baseline(int(base))
        at_risk = ~(data.cohort < cohort) & ~np.isnan(baseline)
        own = at_risk & (data.cohort == cohort)
        share = own.sum() / max(at_risk.sum(), 1)
        spread = float(baseline[at_risk].std(ddof=1)) if at_risk.sum() > 1 else np.nan
        shortfall = float(baseline[at_risk].mean() - baseline[own].mean()) if own.any() else np.nan
        standard = shortfall / spread if spread > 0 else np.nan
        note, strength = "", 0.0
        if share >= 1:
            note = "every unit at risk was chosen: nothing to choose by"
        elif not np.isnan(standard):
            strength = standard * share / (np.exp(-(ndtri(share) ** 2) / 2) / np.sqrt(2 * np.pi))
            if abs(strength) > 1:
                note = "a shortfall beyond what choosing the lowest of a normal distribution gives"
            strength = float(np.clip(strength, -1, 1))
        columns = data.columns(int(base))
        names = [label(kind, data.periods[k]) for k in (columns.start, columns.stop - 1)]
        rows.append(
            row
            | {
                "baseline": names[0] if names[0] == names[1] else f"{names[0]} to {names[1]}",
                "n_treated": int(own.sum()), "n_at_risk": int(at_risk.sum()), "shortfall": shortfall,
                "shortfall_sd": standard, "strength": strength, "note": note,
            }
        )  # fmt: skip
    names = ["cohort", "label", "baseline", "n_treated", "n_at_risk", "shortfall", "shortfall_sd", "strength", "note"]
    return pd.DataFrame(rows, columns=names)


def _find_process(data: _Data) -> tuple[Process | None, str]:
    """Fit the process to the periods before any unit reacts, in which nobody has been chosen yet."""
    common = int(data.bases.min()) + 1
    if common < 2:
        return None, (
            f"{common} period(s) come before the first cohort reacts, and the process needs two in which nobody is treated"
        )
    seen = data.seen[:, :common]
    count = np.maximum(seen.sum(axis=0), 1)
    values = np.where(seen, data.outcome[:, :common], 0.0)
    centred = np.where(seen, values - values.sum(axis=0) / count, 0.0)
    try:
        process = fit_process(moments_of(centred, seen, data.periods[:common], np.arange(len(seen))))
    except DesignError as fault:
        return None, str(fault).rstrip(".")
    return (process, "") if process.variance > 0 else (None, "the outcome does not vary before treatment")


def _expect(data: _Data, layout: Layout) -> pd.DataFrame:
    """Give the rise expected in each cohort and period, with delete-a-group jackknife errors."""
    n_units = len(data.outcome)
    cells, values = _expected_values(data)
    # Shuffled once by a fixed seed: layout order groups cohorts, and every group should hold units of each.
    group = np.random.default_rng(0).permutation(n_units) % min(GROUPS, n_units)
    again = [_expected_values(data.subset(group != k))[1] for k in range(int(group.max()) + 1)]
    with np.errstate(invalid="ignore"):
        spread = np.stack([part - values for part in again])
        error = np.sqrt((spread**2).mean(axis=0) * (len(again) - 1))
    common = int(data.bases.min())
    rows = []
    for k, cell in enumerate(cells):
        note = []
        lag = 0 if cell is None else int(data.periods[cell[1]] - data.periods[data.bases[cell[0]]])
        seen = int(data.periods[common] - data.periods[0]) if common >= 0 else 0
        if cell is not None and lag > seen and not np.isnan(values[k, 3]):
            note.append(f"{lag} periods apart: beyond the {seen} seen before treatment, extrapolated")
        if cell is None and len(cells) == 1:
            note.append("no treated period has a comparison")
        elif np.isnan(values[k, 4]) and cell is not None:
            note.append(f"fewer than {FEW} comparison units: no regression")
        rows.append(
            {
                "cohort": pd.NA if cell is None else int(data.cohorts[cell[0]]),
                "label": "all" if cell is None else label(layout.period_kind, data.cohorts[cell[0]]),
                "event_time": pd.NA if cell is None else int(data.periods[cell[1]] - data.cohorts[cell[0]]),
                "n_treated": int(values[k, 0]), "n_comparison": int(values[k, 1]), "baseline_gap": values[k, 2],
                "reliability": np.nan if cell is None else values[k, 5], "expected": values[k, 3], "std_error": error[k, 3],
                "expected_regression": values[k, 4], "std_error_regression": error[k, 4], "note": "; ".join(note),
            }
        )  # fmt: skip
    return pd.DataFrame(rows, columns=EXPECTED).astype({"cohort": "Int64", "event_time": "Int64"})


def _expected_values(data: _Data) -> tuple[list[tuple[int, int] | None], Floats]:
    """Give the cells (cohort number, column; None = all) and for each: n, n, gap, expected, by regression, reliability."""
    process, _ = _find_process(data)
    covariance = None if process is None else process.covariance(data.periods)
    cells: list[tuple[int, int] | None] = []
    rows = []
    for number, (cohort, base) in enumerate(zip(data.cohorts, data.bases, strict=True)):
        if base < 0:
            continue
        baseline = data.baseline(int(base))
        window = np.zeros(len(data.periods))
        window[data.columns(int(base))] = 1 / (data.columns(int(base)).stop - data.columns(int(base)).start)
        for column in np.flatnonzero(data.periods >= cohort):
            known = ~np.isnan(baseline) & data.seen[:, column] & data.seen[:, base]
            own = known & (data.cohort == cohort)
            others = known & (np.isnan(data.cohort) | (data.cohort > data.periods[column] + data.anticipation))
            gap = baseline[own].mean() - baseline[others].mean() if own.any() and others.any() else np.nan
            by_process = reliability = np.nan
            if covariance is not None:
                seen_variance = window @ covariance @ window
                by_process = gap * float((covariance[column] - covariance[base]) @ window / seen_variance)
                reliability = float(covariance[column] @ window / np.sqrt(seen_variance * covariance[column, column]))
            change = data.outcome[others, column] - data.outcome[others, base]
            by_regression = gap * _slope(baseline[others], change)
            cells.append((number, int(column)))
            rows.append((own.sum(), others.sum(), gap, by_process, by_regression, reliability))
    table = np.array(rows, dtype=float).reshape(-1, 6)
    weight = np.where(np.isnan(table[:, 2]), 0.0, table[:, 0])
    overall = np.full(6, np.nan)
    overall[:2] = table[:, 0].max(initial=0), table[:, 1].max(initial=0)
    for k in (2, 3, 4):
        there = (weight > 0) & ~np.isnan(table[:, k])
        overall[k] = np.average(table[there, k], weights=weight[there]) if there.any() else np.nan
    return [*cells, None], np.vstack([table, overall])


def _slope(baseline: Floats, change: Floats) -> float:
    if len(baseline) < FEW or baseline.std() <= 1e-12 * max(np.abs(baseline).max(), 1e-300):
        return np.nan
    centred = baseline - baseline.mean()
    return float(centred @ change / (centred @ centred))


def _simulate(
    design: Design,
    method: str,
    options: dict[str, Any],
    chosen: Layout,
    owner: NDArray[np.intp],
    selection: pd.DataFrame,
    process: Process | None,
    reason: str,
    data: _Data,
    draws: int,
    seed: int,
    progress: Progress | None,
) -> pd.DataFrame:
    """Let the rule that was seen choose where there is no effect, and estimate."""
    strength = selection["strength"].to_numpy(dtype=float)
    sizes = np.diff(chosen.starts)[:-1]
    never = np.flatnonzero(np.isnan(chosen.cohort))
    scaled = np.maximum(np.round(sizes * len(never) / chosen.n_units), 1).astype(int)
    level = float(data.outcome[data.seen].mean())
    layout = design.layout

    def from_process(generator: np.random.Generator) -> Design:
        assert process is not None  # noqa: S101  (called only with one)
        paths = level + process.draw(generator, chosen.n_units, chosen.periods)
        cohort = _choose(paths, data, sizes, strength, generator)
        outcome = paths[owner] if layout.observed is None else np.where(layout.observed, paths[owner], 0.0)
        return replace(design, layout=reassign(replace(layout, outcome=outcome), cohort[owner]))

    def from_never(generator: np.random.Generator) -> Design:
        rows = generator.choice(never, len(never))
        part = replace(data, outcome=data.outcome[rows], seen=data.seen[rows])
        cohort = _choose(part.outcome, part, scaled, strength, generator)
        drawn = arrange(
            units=pd.RangeIndex(len(rows)),
            periods=chosen.periods,
            period_kind=chosen.period_kind,
            outcome=part.outcome,
            observed=None if part.seen.all() else part.seen,
            cohort=cohort,
        )
        return replace(design, layout=drawn, covariates=())

    few = (
        ""
        if len(never) >= max(4 * FEW, 2 * scaled.sum())
        else f"{len(never)} never-treated units are too few to choose among"
    )
    rows = []
    children = np.random.SeedSequence(seed).spawn(2)
    tasks = (("process", from_process, reason), ("never_treated", from_never, few))
    total = draws * sum(not why for _, _, why in tasks)
    done = 0
    for (source, make, why), child in zip(tasks, children, strict=True):
        row: dict[str, Any] = {
            "source": source,
            "method": method,
            "bias": np.nan,
            "monte_carlo_error": np.nan,
            "draws": 0,
        }
        if why:
            rows.append(row | {"note": why})
            continue
        generator, values, refusal = np.random.default_rng(child), [], ""
        for _ in range(draws):
            try:
                values.append(float(estimate(make(generator), method, **options).aggregate("overall").value[0]))
            except EstimationError as fault:
                refusal = str(fault).split("\n")[0]
            done += 1
            if progress is not None:
                progress(done, total)
        known = np.array([value for value in values if not np.isnan(value)])
        lost = draws - len(known)
        note = f"{lost} draws without an estimate" + (f" ({refusal})" if refusal else "") if lost else ""
        if source == "never_treated":
            note = "; ".join(
                [*([note] if note else []), "among units left over by the choice, whose baselines it has narrowed"]
            )
        if len(known) > 1:
            row |= {"bias": known.mean(), "monte_carlo_error": known.std(ddof=1) / np.sqrt(len(known))}
        rows.append(row | {"draws": len(known), "note": note})
    return pd.DataFrame(rows)


def _choose(
    outcome: Floats, data: _Data, sizes: NDArray[np.intp], strength: Floats, generator: np.random.Generator
) -> Floats:
    """Give every unit a cohort: cohort by cohort the lowest of baseline and noise among those not chosen yet."""
    cohort = np.full(len(outcome), np.nan)
    for number, (start, base, size) in enumerate(zip(data.cohorts, data.bases, sizes, strict=True)):
        left = np.flatnonzero(np.isnan(cohort))
        noise = generator.standard_normal(len(left))
        score = noise
        if base >= 0:
            baseline = data.baseline(int(base), outcome)[left]
            known = ~np.isnan(baseline)
            spread = baseline[known].std() if known.any() else 0.0
            standard = (baseline - baseline[known].mean()) / spread if spread > 0 else np.zeros(len(left))
            own = strength[number] * np.nan_to_num(standard, nan=0.0)
            score = own + np.sqrt(1 - strength[number] ** 2) * noise
        cohort[left[np.argsort(score, kind="stable")[:size]]] = start
    return cohort
