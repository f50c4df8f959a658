"""The wild cluster bootstrap of regression coefficients and of linear combinations of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from evalaid.base.errors import InferenceError
from evalaid.base.texts import join_texts
from evalaid.did.effects.contrasts import Contrasts
from evalaid.did.effects.effects import Effects
from evalaid.did.inference.cluster_counts import ONE_COMPARISON, alone_on_a_side
from evalaid.did.inference.intervals import FIXED, Errors, tabulate
from evalaid.did.inference.options import check_effects, option_faults
from evalaid.did.inference.variance.by_cluster import group_clusters
from evalaid.did.inference.variance.cluster import Clusters, clusters_of, small_sample_factor
from evalaid.did.inference.wild.wild_draws import Plan
from evalaid.did.inference.wild.wild_inversion import Draws, describe_set
from evalaid.did.inference.wild.wild_scores import KINDS, wild_scores
from evalaid.did.panel.few import WILD_UNSURE

Floats = NDArray[np.float64]

# One treated (or one comparison) cluster among G equal ones has the partial leverage (G-1)/G, one of two less than a half.
DOMINANT = 0.5
# Residuals of a perfect fit are rounding error of the outcome.
NO_VARIATION = 1e-12
WEIGHTS = ("rademacher", "mammen", "webb")
TAILS = ("symmetric", "equal")

WILD_NEEDS_TWO = (
    "one {} cluster: the p-value of a wild bootstrap means nothing (WCR hardly ever rejects, WCU nearly always); use "
    "randomisation inference (evalaid.randomize), {}"
)
IN_ITS_PLACE = {
    "treated": "placebo in space (evalaid.placebo) or evalaid.few_treated",
    "comparison": "bounds (evalaid.bound_effect) or more comparison units",
}


def wild_bootstrap(
    effects: Effects,
    *,
    draws: int = 9999,
    weights: str = "rademacher",
    kind: str = "WCR31",
    cluster: pd.Series | None = None,
    level: float = 0.95,
    seed: int | np.random.Generator = 1,
    tail: str = "symmetric",
) -> pd.DataFrame:
    """Test regression coefficients, and combinations of them, by the wild cluster bootstrap.

    Assumes that clusters are independent; nothing is assumed within a cluster. Better than t tests with few or unequal
    clusters, as long as neither the treated nor the other clusters are very few.

    Parameters
    ----------
    effects : Effects
        Of ``twfe``, ``event_study``, ``sun_abraham``, ``etwfe`` (gaussian), or ``two_by_two`` with one cohort; cells or their
        aggregates. Each row is tested by itself, with the same draws.
    draws : int
        Number of draws. When there are no more than this many sign vectors (Rademacher: 2^G) all are taken: p is exact.
    weights : {"rademacher", "webb", "mammen"}
        Distribution of the clusters' multipliers: two points, six points (fewer than 7 clusters), two skewed points.
    kind : {"WCR31", "WCR11", "WCR13", "WCR33", "WCU31", "WCU11", "WCU13", "WCU33"}
        WCR imposes the null hypothesis on the residuals, WCU does not. First digit: plain residuals (1), or residuals of the
        regression without the cluster (3). Second digit: t statistics with CV1 (1) or the jackknife CV3 (3).
    cluster : pandas.Series, optional
        Coarser clusters, indexed by unit; the design's by default.
    level : float
        Coverage of the confidence sets, in (0, 1).
    seed : int or numpy.random.Generator
        Source of the draws; an integer is recorded in ``note``.
    tail : {"symmetric", "equal"}
        Count draws with a larger ``|t|``, or twice those on the rarer side; the same when all sign vectors are taken.

    Returns
    -------
    pandas.DataFrame
        The columns of :func:`evalaid.infer`. ``std_error`` is the one behind ``statistic`` (CR1 or CR3); ``p_value`` (not below what
        one draw is worth) and the confidence set come from the draws, ``conf_low`` and ``conf_high`` are its ends (infinite where it
        has none); ``note`` says what was drawn, and where a set is not an interval. A row that cannot be tested has no p-value and
        the reason in ``note``.

    Raises
    ------
    InferenceError
        For effects that are not a regression's, unknown options, or fewer than three clusters.

    Notes
    -----
    The set holds every theta whose own restricted bootstrap gives ``p > 1 - level``: the residuals under ``r'b = theta``, and with
    them numerator and variance of every drawn t, are polynomials of theta, so nothing is drawn again. Cameron, Gelbach and
    Miller (2008), doi:10.1162/rest.90.3.414; Roodman, MacKinnon, Nielsen and Webb (2019), doi:10.1177/1536867X19830877;
    MacKinnon, Nielsen and Webb (2023), doi:10.1002/jae.2969. P-values equal those of R fwildclusterboot 0.14.3 for 11 and 31
    (except that R gives 0 where no draw is more extreme); for 13 and 33 its drawn t statistics are the same, but it compares them with
    a sample t that carries another factor.

    Examples
    --------
    >>> import evalaid as ea
    >>> import pandas as pd
    >>> rows = [(f"c{i}", t, 0.7 + 0.01 * t + 0.004 * (i * t % 7) + 0.05 * (i < 4 and t > 2), 3 if i < 4 else None)
    ...         for i in range(10) for t in range(1, 6)]
    >>> frame = pd.DataFrame(rows, columns=["county", "year", "share", "first_treated"])
    >>> design = ea.diagnose(frame, unit="county", period="year", outcome="share", cohort="first_treated")
    >>> table = ea.wild_bootstrap(ea.estimate(design, "sun_abraham").aggregate("overall"))
    >>> table["note"][0]
    'WCR31, all 1,024 sign vectors: exact p; 4 treated clusters: ...'
    """
    check_effects(effects)
    contrasts = _contrasts_of(effects)
    _check(draws, weights, kind, level, tail, seed)
    clusters = clusters_of(effects, cluster)
    if len(clusters) < 3:
        raise InferenceError(
            "2 clusters: the wild bootstrap has two different t statistics to compare with. Use a finer cluster, or "
            "randomisation inference over units."
        )
    plan = Plan(draws, weights, len(clusters), _entropy(seed))
    treated = _treated_clusters(contrasts, clusters)
    lonely = np.array([text == ONE_COMPARISON for text in alone_on_a_side(effects, clusters)])
    sides = np.where(treated == 1, "treated", np.where(lonely, "comparison", ""))
    results = [_Result(note=_refusal(effects, contrasts, k, str(side))) for k, side in enumerate(sides)]
    tested = np.flatnonzero(~np.isnan(effects.value) & contrasts.weights.any(axis=0) & (sides == ""))
    drawn_from = plan.words(kind, named=not isinstance(seed, np.random.Generator))
    groups = group_clusters(contrasts.problem, clusters.codes, len(clusters))
    for row in tested:
        scores = wild_scores(contrasts.problem, groups, contrasts.directions[:, row], len(clusters), KINDS[kind])
        said = join_texts((drawn_from, _few(int(treated[row])), _dominated(scores.share, clusters)))
        drawn = Draws.of(scores, plan, float(effects.value[row]), "symmetric" if plan.exact else tail)
        results[row] = _read(drawn, plan, level, said, clusters)
    factor = np.sqrt(_factor(effects, kind, len(clusters)))
    std_error = np.array([result.std_error for result in results]) * factor
    errors = Errors(std_error, None, kind, [result.note for result in results])
    return tabulate(effects, errors, level, len(clusters)).assign(
        p_value=[result.p_value for result in results],
        conf_low=[result.low for result in results],
        conf_high=[result.high for result in results],
        distribution=f"wild bootstrap ({weights})",
    )


@dataclass(frozen=True)
class _Result:
    """One row: the error without small-sample factor, the p-value, the ends of the set, what to say."""

    std_error: float = np.nan
    p_value: float = np.nan
    low: float = np.nan
    high: float = np.nan
    note: str = ""


def _read(draws: Draws, plan: Plan, level: float, said: str, clusters: Clusters) -> _Result:
    """Turn the draws of one row into its p-value and set, and say what is unusual about them."""
    std_error = draws.scores.std_error
    if draws.scores.lost >= 0:
        name = clusters.labels[draws.scores.lost]
        return _Result(
            note=join_texts((f"no estimate without cluster {name}, so no jackknife variance; use WCR31 or WCR11", said))
        )
    if std_error <= max(FIXED, NO_VARIATION * abs(draws.estimate)):
        return _Result(note=join_texts(("no variation between clusters", said)))
    p_value = draws.p_value(0.0)
    if p_value < plan.step:  # the sample is one of the draws that could have come out: a share of none proves nothing
        said, p_value = join_texts((said, f"no draw is more extreme: p is at most {plan.step:.3g}")), plan.step
    if plan.step > 1 - level:
        said = join_texts((said, f"no {100 * level:g}% set: p cannot be told from {plan.step:.3g}"))
        return _Result(std_error, p_value, note=said)
    parts = draws.confidence_set(level)
    low, high = (parts[0][0], parts[-1][1]) if parts else (np.nan, np.nan)
    return _Result(std_error, p_value, low, high, join_texts((said, describe_set(parts, level))))


def _contrasts_of(effects: Effects) -> Contrasts:
    """Return the regression behind the effects, or refuse with what applies instead."""
    if effects.contrasts is not None:
        return effects.contrasts
    raise InferenceError(
        f"The wild bootstrap fits a regression again, and these effects of {effects.method} carry none. It applies to twfe, "
        "event_study, sun_abraham, etwfe with family='gaussian', and two_by_two with one cohort on a balanced, unweighted "
        "panel; not to effects on another scale, averages with estimated weights, differences between two regressions, or "
        "effects read from a file. Use infer(effects, vcov='multiplier'), infer(effects, vcov='CR3') or randomize(design, "
        "method) instead."
    )


def _check(draws: int, weights: str, kind: str, level: float, tail: str, seed: object) -> None:
    """Refuse options that cannot be used, all at once."""
    named = (("kind", kind, (*KINDS,)), ("weights", weights, WEIGHTS), ("tail", tail, TAILS))
    faults = [
        f"{name}={found!r} is not a choice; choose {', '.join(of)}" for name, found, of in named if found not in of
    ]
    faults += option_faults(level=level, draws=draws, seed=seed)
    if faults:
        raise InferenceError("wild_bootstrap: " + "; ".join(faults) + ".")


def _treated_clusters(contrasts: Contrasts, clusters: Clusters) -> NDArray[np.int64]:
    """Count the clusters with units of the cohorts whose coefficients enter each row, (rows,)."""
    problem = contrasts.problem
    present = problem.counts(clusters.codes, len(clusters)) > 0
    used = np.asarray(problem.design.any(axis=1), dtype=np.int64)[:, : len(contrasts.weights)]
    entered = used @ (contrasts.weights != 0).astype(np.int64)
    return np.array([np.count_nonzero(present[entered[:, k] > 0].any(axis=0)) for k in range(entered.shape[1])])


def _refusal(effects: Effects, contrasts: Contrasts, row: int, side: str) -> str:
    """Return why a row cannot be tested, where its own reason does not: ``side`` is one cluster, "" where both are more."""
    if np.isnan(effects.value[row]) or not contrasts.weights[:, row].any():
        return "" if effects.cells["reason"].iloc[row] else "fixed by construction"
    return WILD_NEEDS_TWO.format(side, IN_ITS_PLACE[side]) if side else ""


def _few(treated: int) -> str:
    if treated >= WILD_UNSURE:
        return ""
    return f"{treated} treated clusters: a wild bootstrap may be far from its level; randomisation inference is the better guide"


def _dominated(share: Floats, clusters: Clusters) -> str:
    """Return a note that names a cluster that the estimate rests on, such as the only one without treatment."""
    heaviest = int(share.argmax())
    if share[heaviest] <= DOMINANT:
        return ""
    return (
        f"cluster {clusters.labels[heaviest]} makes up {share[heaviest]:.0%} of the variation behind the estimate: the p-value "
        "of a wild bootstrap means little"
    )


def _factor(effects: Effects, kind: str, n_clusters: int) -> float:
    """Return the small-sample factor of the variance behind the t statistic: CR1's or the jackknife's."""
    if KINDS[kind].variance == "3":
        return (n_clusters - 1) / n_clusters
    return small_sample_factor(effects, n_clusters)


def _entropy(seed: int | np.random.Generator) -> int:
    """Return a seed that starts the same draws again."""
    return int(seed.integers(2**63)) if isinstance(seed, np.random.Generator) else int(seed)
