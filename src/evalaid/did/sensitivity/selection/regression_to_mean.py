"""Regression to the mean: the rise that choosing units with a low baseline produces without any effect."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from evalaid.base.errors import DesignError, EstimationError
from evalaid.base.texts import join_texts
from evalaid.did.effects.notebook_view import NotebookView
from evalaid.did.estimators.estimation import estimate, level_free
from evalaid.did.panel.comparisons import NEVER_TREATED, base_columns
from evalaid.did.panel.design import Design, check_design
from evalaid.did.panel.matrices import Matrices, arrange, reassign
from evalaid.did.sensitivity.power.process import Process
from evalaid.did.sensitivity.sample.similar_history import match_on_history
from evalaid.did.sensitivity.selection.expected_rise import FEW, expect_rise, find_process
from evalaid.did.sensitivity.selection.selection import (
    ChosenPanel,
    Floats,
    choose_again,
    describe_selection,
    find_chosen,
)

Progress = Callable[[int, int], object]
Draw = Callable[[np.random.Generator], Design]


@dataclass(frozen=True)
class RegressionToMean(NotebookView):
    """What choosing low baselines alone would produce in this design.

    Parameters
    ----------
    process : Process or None
        Permanent, fading and transitory variance of the outcome before any treatment; None with ``reason``.
    selection : pandas.DataFrame
        One row per cohort: ``cohort``, ``label``, ``baseline`` (periods), ``n_treated``, ``n_at_risk`` (units not treated
        before, the cohort included), ``shortfall`` (mean baseline of those at risk less that of the cohort), ``shortfall_sd``
        (in standard deviations), ``strength`` (correlation of the rule behind the choice with the baseline, 1 = the lowest
        are chosen, 0 = the baseline plays no part), ``note``.
    expected : pandas.DataFrame
        One row per cohort and period from its start on, and "all" (average over treated units and periods): ``baseline_gap``
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
        """Describe it in a few sentences, in the scale of the outcome."""
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
    check_design(design)
    _check(design, window, neighbours, draws)
    found = estimate(design, method, **options).aggregate("overall")  # refused here when it does not apply
    design = level_free(design, options)
    chosen, owner = find_chosen(design)
    data = ChosenPanel.of(chosen, design.anticipation, window)
    selection = describe_selection(data, chosen)
    process, reason = find_process(data)
    strength = selection["strength"].to_numpy(dtype=float)
    ways = _panels_without_effect(design, chosen, owner, data, strength, process or reason)
    return RegressionToMean(
        process=process,
        selection=selection,
        expected=expect_rise(data, chosen),
        simulated=_simulate(ways, method, options, draws, seed, progress),
        matched=match_on_history(design, method, found, neighbours=neighbours, level=level, **options),
        unit="unit" if chosen is design.matrices else "cluster",
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
    if not (base_columns(design.matrices, design.anticipation) >= 0).any():
        faults.append("no cohort has a period before it reacts: there is no baseline")
    if faults:
        raise DesignError("Regression to the mean: " + "; ".join(faults) + ".")


def _panels_without_effect(
    design: Design,
    chosen: Matrices,
    owner: NDArray[np.intp],
    data: ChosenPanel,
    strength: Floats,
    process: Process | str,
) -> dict[str, Draw | str]:
    """Return the ways to draw a panel in which nothing happens and the rule that was seen chooses, or why there is none."""
    sizes = np.diff(chosen.starts)[:-1]
    never = np.flatnonzero(np.isnan(chosen.cohort))
    scaled = np.maximum(np.round(sizes * len(never) / chosen.n_units), 1).astype(int)
    level = float(data.outcome[data.seen].mean())
    matrices = design.matrices

    def from_process(generator: np.random.Generator) -> Design:
        assert not isinstance(process, str)  # noqa: S101  (called only with one)
        paths = level + process.draw(generator, chosen.n_units, chosen.periods)
        cohort = choose_again(paths, data, sizes, strength, generator)
        outcome = paths[owner] if matrices.observed is None else np.where(matrices.observed, paths[owner], 0.0)
        return replace(design, matrices=reassign(replace(matrices, outcome=outcome), cohort[owner]))

    def from_never(generator: np.random.Generator) -> Design:
        rows = generator.choice(never, len(never))
        part = replace(data, outcome=data.outcome[rows], seen=data.seen[rows])
        cohort = choose_again(part.outcome, part, scaled, strength, generator)
        drawn = arrange(
            units=pd.RangeIndex(len(rows)),
            periods=chosen.periods,
            period_kind=chosen.period_kind,
            outcome=part.outcome,
            observed=None if part.seen.all() else part.seen,
            cohort=cohort,
        )
        return replace(design, matrices=drawn, covariates=())

    few = len(never) < max(4 * FEW, 2 * scaled.sum())
    return {
        "process": process if isinstance(process, str) else from_process,
        NEVER_TREATED: f"{len(never)} never-treated units are too few to choose among" if few else from_never,
    }


def _simulate(
    ways: Mapping[str, Draw | str],
    method: str,
    options: Mapping[str, Any],
    draws: int,
    seed: int,
    progress: Progress | None,
) -> pd.DataFrame:
    """Estimate in panels without an effect, ``draws`` times a way."""
    rows = []
    total = draws * sum(callable(way) for way in ways.values())
    done = 0
    for (source, way), child in zip(ways.items(), np.random.SeedSequence(seed).spawn(len(ways)), strict=True):
        row: dict[str, Any] = {"source": source, "method": method}
        if isinstance(way, str):
            rows.append(row | {"bias": np.nan, "monte_carlo_error": np.nan, "draws": 0, "note": way})
            continue
        generator, values, refusal = np.random.default_rng(child), [], ""
        for _ in range(draws):
            try:
                values.append(float(estimate(way(generator), method, **options).aggregate("overall").value[0]))
            except EstimationError as fault:
                refusal = str(fault).split("\n")[0]
            done += 1
            if progress is not None:
                progress(done, total)
        known = np.array([value for value in values if not np.isnan(value)])
        bias, error = (known.mean(), known.std(ddof=1) / np.sqrt(len(known))) if len(known) > 1 else (np.nan, np.nan)
        lost = draws - len(known)
        note = f"{lost} draws without an estimate" + (f" ({refusal})" if refusal else "") if lost else ""
        if source == NEVER_TREATED:
            note = join_texts((note, "among units left over by the choice, whose baselines it has narrowed"))
        rows.append(row | {"bias": bias, "monte_carlo_error": error, "draws": len(known), "note": note})
    return pd.DataFrame(rows)
