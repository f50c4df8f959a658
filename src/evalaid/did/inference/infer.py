"""The inference table: effects in, one tidy frame with errors, p-values and intervals out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Literal, get_args

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import ndtr, stdtrit

from evalaid.base.errors import InferenceError
from evalaid.base.texts import join_texts
from evalaid.did.effects.effects import Effects
from evalaid.did.inference.cluster_counts import RESAMPLE, alone_on_a_side, refuse_alone, say_very_few
from evalaid.did.inference.default_rule import automatic_errors, band_critical_values, say_few_effective
from evalaid.did.inference.intervals import Errors, pointwise, tabulate, without_fixed
from evalaid.did.inference.options import check_effects, check_options
from evalaid.did.inference.variance.bias_reduced import bias_reduced_variance
from evalaid.did.inference.variance.cluster import Clusters, clusters_of, robust_variance
from evalaid.did.inference.variance.jackknife import jackknife_variance
from evalaid.did.inference.variance.multiplier import (
    bootstrap,
    pointwise_critical_values,
    simultaneous_critical_value,
    spread,
)
from evalaid.did.inference.variance.two_way import two_groupings, two_way_variance

Floats = NDArray[np.float64]
Vcov = Literal["auto", "reference", "CR0", "CR1", "CR2", "CR3", "two_way", "multiplier"]

# What is computed from how treated clusters differ: refused where there is one.
SEE_TREATED = ("CR0", "CR1", "CR2", "CR3", "multiplier")
# The t distribution with Satterthwaite degrees of freedom is close only from here (Tipton 2015, doi:10.1037/met0000011).
TOO_FEW_DEGREES = 4

FEW_DEGREES = f"fewer than {TOO_FEW_DEGREES} degrees of freedom: {RESAMPLE}"


def infer(
    effects: Effects,
    level: float = 0.95,
    vcov: Vcov = "auto",
    *,
    cluster: pd.Series | Sequence[pd.Series] | None = None,
    draws: int = 999,
    weights: str | None = None,
    seed: int | np.random.Generator = 1,
    simultaneous: bool = False,
) -> pd.DataFrame:
    """Add standard errors, tests and intervals to effects.

    Assumes that clusters are independent of each other; nothing is assumed within a cluster.

    Parameters
    ----------
    effects : Effects
        Estimates with influence, from :func:`evalaid.estimate` or an aggregate of them.
    level : float
        Coverage of the intervals, in (0, 1).
    vcov : {"auto", "reference", "CR0", "CR1", "CR2", "CR3", "two_way", "multiplier"}
        ``auto``: the jackknife CR3 with t(G* - 1), G* the effective number of clusters of the row by their shares of its treated
        and of its comparison units (:mod:`evalaid.did.inference.shares`), at least one; no error where a row rests on a single
        treated or comparison cluster; ``note`` says so. ``reference``: the convention of the
        method's reference implementation. ``CR0``: no small-sample factor. ``CR1``: ``G/(G-1)``, for regressions times
        ``(n-1)/(n-k)``. ``CR2``: residuals of regressions adjusted so that the variance is unbiased for independent errors,
        with degrees of freedom of their own in each row (Bell and McCaffrey). ``CR3``: leave-one-cluster-out. ``two_way``:
        dependence within each of two groupings of the units, CR1 with the fewer of their groups. ``multiplier``: bootstrap
        of the influence, errors from the interquartile range.
    cluster : pandas.Series, or two of them for ``two_way``
        Coarser clusters, indexed by unit; the design's by default.
    draws, weights, seed
        Of the multiplier bootstrap (also used for ``simultaneous``): number of draws; normal (the default of bands with
        ``auto``), rademacher (the default elsewhere), mammen or webb; seed or generator.
    simultaneous : bool
        Intervals that hold all rows at once with probability ``level`` (sup-t) instead of each row by itself.

    Returns
    -------
    pandas.DataFrame
        The cells with ``estimate``, ``std_error``, ``statistic``, ``p_value`` (of this row alone, two-sided),
        ``conf_low``, ``conf_high``, ``level``, ``vcov``, ``distribution``, ``n_clusters``, ``note``. In the scale of
        the effects: for a share, fractions.

    Raises
    ------
    InferenceError
        For an unknown ``vcov``, a level outside (0, 1), fewer than two clusters, CR3 on effects read from a file, CR2 on
        effects that carry no regression, or errors other than ``auto`` and ``reference`` where every estimate rests on one treated
        or one comparison cluster.

    Notes
    -----
    Simultaneous critical values come from multiplier draws of the correlation between rows; with a t distribution the
    normal critical value c is replaced by the t value of the same tail, ``t^-1(Phi(c))``. With ``auto`` the jackknife changes are
    drawn, and c moves towards Sidak's where few clusters show the correlation (:mod:`evalaid.did.inference.default_rule`).

    Examples
    --------
    >>> import evalaid as ea
    >>> rows = [(f"c{i}", year, 0.7 + 0.01 * (i * year % 5) + 0.05 * (i < 5 and year == 2020), 2020 if i < 5 else None)
    ...         for i in range(12) for year in (2018, 2019, 2020)]
    >>> frame = pd.DataFrame(rows, columns=["county", "year", "share", "first_treated"])
    >>> table = ea.infer(ea.estimate(ea.diagnose(frame, "county", "year", "share", "first_treated"), "twfe"))
    >>> table["vcov"][0], table["distribution"][0]
    ('CR3', 't(9.77)')
    >>> table["note"][0]
    'CR3, t(9.8): 12 clusters count as 10.8'
    """
    if not isinstance(vcov, str) or vcov not in get_args(Vcov):
        raise InferenceError(f"vcov={vcov!r} is not a choice; choose {', '.join(get_args(Vcov))}.")
    check_effects(effects)
    check_options(level=level, draws=draws, seed=seed)
    if vcov == "two_way":
        return _two_way(effects, level, cluster, simultaneous=simultaneous)
    clusters = clusters_of(effects, cluster)
    draws_of = _Draws(effects, clusters, draws, weights or ("normal" if vcov == "auto" else "rademacher"), seed)
    errors = _errors(effects, clusters, vcov, draws_of)
    if vcov not in ("auto", "CR2"):
        degrees = len(clusters) - 1 if errors.degrees_of_freedom is not None else None
        errors = _with_notes(errors, say_few_effective(effects, clusters, degrees))
    if vcov in SEE_TREATED:
        errors = _without_single(effects, clusters, errors)
    known = replace(errors, std_error=without_fixed(effects, errors.std_error))
    critical, how = _critical_values(known, level, draws_of, simultaneous=simultaneous)
    return tabulate(effects, errors, level, len(clusters), critical, how)


def _two_way(
    effects: Effects, level: float, cluster: pd.Series | Sequence[pd.Series] | None, *, simultaneous: bool
) -> pd.DataFrame:
    if simultaneous:
        raise InferenceError(
            "Simultaneous bands are drawn by clusters that are independent of each other; with vcov='two_way' none are. Ask for "
            "one clustering, or for intervals of each row by itself."
        )
    first, second = two_groupings(effects, cluster)
    variance, notes = two_way_variance(effects, first, second)
    fewest = min(len(first), len(second))
    counts = f"{len(first)} and {len(second)} clusters, t({fewest - 1})"
    errors = Errors(np.sqrt(variance), fewest - 1, "two_way", [join_texts((counts, note)) for note in notes])
    for clusters in (first, second):
        errors = _without_single(
            effects, clusters, _with_notes(errors, say_few_effective(effects, clusters, fewest - 1))
        )
    return tabulate(effects, errors, level, fewest)


def _with_notes(errors: Errors, said: list[str]) -> Errors:
    return replace(errors, notes=[join_texts(pair) for pair in zip(errors.notes, said, strict=True)])


def _without_single(effects: Effects, clusters: Clusters, errors: Errors) -> Errors:
    """Remove the error of rows that rest on one treated or comparison cluster; note what very few clusters mean."""
    alone = refuse_alone(effects, clusters, errors.vcov, errors.std_error)
    few = say_very_few(len(clusters))
    said = f"only {len(clusters)} clusters: {few}" if few else ""
    notes = [
        text or (note if said in note else join_texts((note, said)))
        for text, note in zip(alone, errors.notes, strict=True)
    ]
    return replace(errors, std_error=np.where([bool(text) for text in alone], np.nan, errors.std_error), notes=notes)


class _Draws:
    """The multiplier draws, made once when first needed."""

    def __init__(
        self, effects: Effects, clusters: Clusters, draws: int, kind: str, seed: int | np.random.Generator
    ) -> None:
        self.count, self.kind, self.seed = draws, kind, seed
        self._make = partial(_bootstrap, effects, clusters, draws, kind, seed)
        self._values: Floats | None = None
        source = "" if isinstance(seed, np.random.Generator) else f", seed {seed}"
        self.note = f"{draws} {kind.capitalize()} draws{source}"

    def __call__(self) -> Floats:
        if self._values is None:
            self._values = self._make()
        return self._values


def _bootstrap(effects: Effects, clusters: Clusters, draws: int, kind: str, seed: int | np.random.Generator) -> Floats:
    return bootstrap(clusters.sums(effects.influence.matrix()), draws, kind, seed)


def _errors(effects: Effects, clusters: Clusters, vcov: str, draws: _Draws) -> Errors:
    """Compute standard errors by the named estimator; `auto` decides and says why."""
    t_distribution = len(clusters) - 1
    quiet = [""] * len(effects)
    if vcov == "auto":
        return automatic_errors(effects, clusters)
    if vcov == "reference":
        convention = effects.convention
        corrected = convention.correction == "regression"
        std_error = np.sqrt(robust_variance(effects, clusters, corrected=corrected, as_reference=True))
        freedom = t_distribution if convention.distribution == "t" else None
        notes = [text and f"{text}: this one is the reference's" for text in alone_on_a_side(effects, clusters)]
        return Errors(std_error, freedom, "CR1" if corrected else "CR0", notes)
    if vcov == "multiplier":
        return Errors(spread(draws()), None, "multiplier", [draws.note] * len(effects))
    if vcov == "CR3":
        variance, notes = jackknife_variance(effects, clusters)
        return Errors(np.sqrt(variance), t_distribution, "CR3", notes)
    if vcov == "CR2":
        variance, degrees = bias_reduced_variance(effects, clusters)
        notes = [FEW_DEGREES if few else "" for few in degrees < TOO_FEW_DEGREES]
        return Errors(np.sqrt(variance), degrees, "CR2", notes)
    variance = robust_variance(effects, clusters, corrected=vcov == "CR1")
    return Errors(np.sqrt(variance), t_distribution, vcov, quiet)


def _critical_values(errors: Errors, level: float, draws: _Draws, *, simultaneous: bool) -> tuple[Floats, str]:
    """Return the critical value of each row and a word on how it was found."""
    std_error, freedom = errors.std_error, errors.degrees_of_freedom
    known = ~np.isnan(std_error)
    critical = np.full(len(std_error), np.nan)
    if not known.any():
        return critical, ""
    if simultaneous and errors.changes is not None:
        found = band_critical_values(errors, level, draws.count, draws.kind, draws.seed)
        return found, f"simultaneous over {int(known.sum())} rows, {draws.note}"
    if simultaneous:
        values = draws()[:, known]
        scale = std_error[known] if errors.vcov == "multiplier" else np.sqrt((values**2).mean(axis=0))
        joint = simultaneous_critical_value(values, scale, level)
        degrees = None if freedom is None else np.broadcast_to(freedom, known.shape)[known]
        critical[known] = joint if degrees is None else stdtrit(degrees, ndtr(joint))
        note = f"simultaneous over {int(known.sum())} rows"
        return critical, note if errors.vcov == "multiplier" else f"{note}, {draws.note}"
    if errors.vcov == "multiplier":
        critical[known] = pointwise_critical_values(draws()[:, known], std_error[known], level)
        return critical, ""
    return pointwise(errors, level), ""
