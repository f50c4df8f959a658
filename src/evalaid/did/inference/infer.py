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
from evalaid.did.inference.cluster_counts import (
    ONE_TREATED,
    RESAMPLE,
    careful_degrees,
    refuse_one_treated,
    say_few,
    say_very_few,
    treated_clusters,
)
from evalaid.did.inference.intervals import Errors, pointwise, tabulate, without_fixed
from evalaid.did.inference.options import check_effects, check_options
from evalaid.did.inference.variance.bias_reduced import bias_reduced_variance
from evalaid.did.inference.variance.cluster import Clusters, clusters_of, jackknife_variance, robust_variance
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
# Re-estimating without each cluster stays a matter of seconds up to here; `auto` keeps CR1 beyond.
JACKKNIFE_LIMIT = 300
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
    weights: str = "rademacher",
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
        ``auto``: CR1 with t(G-1), or the jackknife CR3 when there are fewer than 30 clusters or an estimate rests on fewer
        than 10 treated clusters, of which then as many as there are (one of two) give the degrees of freedom of t; no error
        where it rests on a single one; ``note`` says which and why. ``reference``: the convention of the
        method's reference implementation. ``CR0``: no small-sample factor. ``CR1``: ``G/(G-1)``, for regressions times
        ``(n-1)/(n-k)``. ``CR2``: residuals of regressions adjusted so that the variance is unbiased for independent errors,
        with degrees of freedom of their own in each row (Bell and McCaffrey). ``CR3``: leave-one-cluster-out. ``two_way``:
        dependence within each of two groupings of the units, CR1 with the fewer of their groups. ``multiplier``: bootstrap
        of the influence, errors from the interquartile range.
    cluster : pandas.Series, or two of them for ``two_way``
        Coarser clusters, indexed by unit; the design's by default.
    draws, weights, seed
        Of the multiplier bootstrap (also used for ``simultaneous``): number of draws; rademacher, mammen or webb; seed
        or generator.
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
        effects that carry no regression, or errors other than ``reference`` where every estimate rests on one treated cluster.

    Notes
    -----
    Simultaneous critical values come from multiplier draws of the correlation between rows; with a t distribution the
    normal critical value c is replaced by the t value of the same tail, ``t^-1(Phi(c))``.

    Examples
    --------
    >>> import evalaid as ea
    >>> rows = [(f"c{i}", year, 0.7 + 0.01 * (i * year % 5) + 0.05 * (i < 5 and year == 2020), 2020 if i < 5 else None)
    ...         for i in range(12) for year in (2018, 2019, 2020)]
    >>> frame = pd.DataFrame(rows, columns=["county", "year", "share", "first_treated"])
    >>> table = ea.infer(ea.estimate(ea.diagnose(frame, "county", "year", "share", "first_treated"), "twfe"))
    >>> table["vcov"][0], table["distribution"][0]
    ('CR3', 't(5)')
    >>> table["note"][0]
    'CR3, t(5); only 12 clusters and 5 treated clusters: ...'
    """
    if vcov not in get_args(Vcov):
        raise InferenceError(f"vcov={vcov!r} is not a choice; choose {', '.join(get_args(Vcov))}.")
    check_effects(effects)
    check_options(level=level, draws=draws, seed=seed)
    if vcov == "two_way":
        return _two_way(effects, level, cluster, simultaneous=simultaneous)
    clusters = clusters_of(effects, cluster)
    draws_of = _Draws(effects, clusters, draws, weights, seed)
    errors = _errors(effects, clusters, vcov, draws_of)
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
        errors = _without_single(effects, clusters, errors)
    return tabulate(effects, errors, level, fewest)


def _without_single(effects: Effects, clusters: Clusters, errors: Errors) -> Errors:
    """Remove the error of rows that rest on one treated cluster; note what very few clusters mean."""
    alone = refuse_one_treated(effects, clusters, errors.vcov, errors.std_error)
    few = say_very_few(len(clusters))
    said = f"only {len(clusters)} clusters: {few}" if few else ""
    notes = [ONE_TREATED if only else join_texts((note, said)) for only, note in zip(alone, errors.notes, strict=True)]
    return replace(errors, std_error=np.where(alone, np.nan, errors.std_error), notes=notes)


class _Draws:
    """The multiplier draws, made once when first needed."""

    def __init__(
        self, effects: Effects, clusters: Clusters, draws: int, kind: str, seed: int | np.random.Generator
    ) -> None:
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
        return _automatic(effects, clusters)
    if vcov == "reference":
        convention = effects.convention
        corrected = convention.correction == "regression"
        std_error = np.sqrt(robust_variance(effects, clusters, corrected=corrected, as_reference=True))
        freedom = t_distribution if convention.distribution == "t" else None
        return Errors(std_error, freedom, "CR1" if corrected else "CR0", quiet)
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


def _automatic(effects: Effects, clusters: Clusters) -> Errors:
    """Take CR1, or CR3 when clusters or treated clusters are few; say so row by row.

    One treated cluster shows nothing of how treated clusters vary: its residual is zero by construction, and an interval
    from the comparison clusters alone is far too short (Conley and Taber 2011, doi:10.1162/REST_a_00049).
    """
    count = len(clusters)
    treated = treated_clusters(effects, clusters)
    if caution := effects.convention.caution:
        return Errors(np.full(len(effects), np.nan), count - 1, "none", [caution] * len(effects))
    few = [say_few(count, int(here)) if here != 1 else "" for here in treated]
    variance = robust_variance(effects, clusters, corrected=True)
    alone = (treated == 1) & (variance > 0)
    name = "CR1"
    wanted = any(few) and count <= JACKKNIFE_LIMIT and effects.refit is not None
    if wanted:
        jackknife, reasons = jackknife_variance(effects, clusters)
        usable = ~np.isnan(jackknife) | np.isnan(effects.value) | (treated == 1)
        if usable.all():
            variance, name = jackknife, "CR3"
        else:
            few = [
                join_texts((text, reason and f"CR3 not available: {reason}"))
                for text, reason in zip(few, reasons, strict=True)
            ]
    degrees = careful_degrees(count, treated)
    notes = [
        ONE_TREATED if only else join_texts((f"{name}, t({freedom:.0f})", text))
        for only, freedom, text in zip(alone, degrees, few, strict=True)
    ]
    return Errors(np.where(alone, np.nan, np.sqrt(variance)), degrees, name, notes)


def _critical_values(errors: Errors, level: float, draws: _Draws, *, simultaneous: bool) -> tuple[Floats, str]:
    """Return the critical value of each row and a word on how it was found."""
    std_error, freedom = errors.std_error, errors.degrees_of_freedom
    known = ~np.isnan(std_error)
    critical = np.full(len(std_error), np.nan)
    if not known.any():
        return critical, ""
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
