"""Scores of the two-group two-period comparison: regression, inverse probability weighting, doubly robust.

``panel_scores`` takes outcome changes of the same units, ``section_scores`` takes observations of two periods that need
not be of the same units. Both give the estimate and the influence of each row, scaled as in :mod:`evalaid.did.effects.influence`.
Sant'Anna and Zhao (2020), doi:10.1016/j.jeconom.2020.06.003.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from evalaid.did.effects.likelihood import fit_logits
from evalaid.did.effects.linear import inverse_gram, inverse_grams, standardise
from evalaid.did.estimators.common.separation import COLLINEAR, NO_OVERLAP, NOT_CONVERGED

Floats = NDArray[np.float64]

# R DRDID drops comparison units with a fitted probability of treatment from here on: their odds weigh too much.
TRIM = 0.995
# R did refuses a cell when the largest fitted probability of an unweighted logit reaches this: no overlap.
OVERLAP = 0.999
# R DRDID caps fitted probabilities here, so that odds stay finite.
CAP = 1 - 1e-6
# Covariates whose mean and standard deviation are within this factor of one lose three of sixteen digits at most.
WELL_SCALED = 30.0
# Rows whose logits are fitted at once: enough for the fixed cost of a fit, few enough for the cache.
BATCH = 8_192


@dataclass(frozen=True)
class PanelScores:
    """Estimates of m outcome changes, (m,), and influence of treated (n1, m) and comparison (n0, m) units."""

    value: Floats
    treated: Floats
    comparison: Floats
    reason: str = ""


@dataclass(frozen=True)
class SectionScores:
    """One estimate and the influence of each observation, (n,); ``slip`` is what R ``DRDID`` adds to it in error."""

    value: float
    rows: Floats
    reason: str = ""
    slip: Floats | None = None


def panel_scores(
    change_treated: Floats,
    covariates_treated: Floats,
    mass_treated: Floats,
    change_comparison: Floats,
    covariates_comparison: Floats,
    mass_comparison: Floats,
    adjustment: str,
) -> PanelScores:
    """Compare outcome changes of treated and comparison units, all columns at once.

    Shapes: ``change_treated``, ``change_comparison`` (n1, m), ``covariates_treated``, ``covariates_comparison`` (n1,
    k), ``mass_treated``, ``mass_comparison`` (n1,).

    With ``reason`` set (and nothing else of use) when the comparison is not possible.
    """
    sample = make_sample(
        np.concatenate([change_treated, change_comparison]),
        np.concatenate([covariates_treated, covariates_comparison]),
        np.concatenate([mass_treated, mass_comparison]),
        len(change_treated),
    )
    return adjusted_scores([sample], adjustment)[0]


@dataclass(frozen=True, slots=True)
class PanelSample:
    """What an adjusted comparison is made from, treated units first."""

    change: Floats  # (n, m): Outcome changes, one column per pair of periods
    regressors: Floats  # (k, n): The constant and the covariates
    mass: Floats  # (n,): Sampling weights
    n_treated: int  # Number of treated units


def make_sample(change: Floats, covariates: Floats, mass: Floats, n_treated: int) -> PanelSample:
    """Put a sample together from covariates without their constant, (n, k)."""
    return PanelSample(change, _with_constant(covariates).T, mass, n_treated)


def adjusted_scores(samples: list[PanelSample], adjustment: str) -> list[PanelScores]:
    """Compare outcome changes, for several samples whose small fits of covariates are made at once."""
    if adjustment == "none":
        return [_plain_panel(sample) for sample in samples]
    samples = [_standardised(sample) for sample in samples]
    size = max(len(sample.mass) for sample in samples)
    x = np.zeros((len(samples), len(samples[0].regressors), size))
    mass, treated, real = np.zeros((3, len(samples), size))
    for number, sample in enumerate(samples):
        n = len(sample.mass)
        x[number, :, :n], mass[number, :n], real[number, :n] = sample.regressors, sample.mass, 1.0
        treated[number, : sample.n_treated] = 1.0
    nothing: list[Floats | None] = [None] * len(samples)
    inverse, probability, hessian = nothing, nothing, nothing
    reasons = [""] * len(samples)
    if adjustment != "ipw":
        inverses = inverse_grams((x * (mass * (1 - treated))[:, None]) @ x.transpose(0, 2, 1))
        reasons = [COLLINEAR if np.isnan(each).any() else "" for each in inverses]
        inverse = list(inverses)
    if adjustment != "regression":
        *fits, refused = _propensities(x, treated, mass, real)
        probability, hessian = map(list, fits)
        reasons = [reason or other for reason, other in zip(reasons, refused, strict=True)]
    return [
        _refused_panel(reason) if reason else _adjusted_panel(sample, *fits)
        for sample, reason, *fits in zip(samples, reasons, inverse, probability, hessian, strict=True)
    ]


def values_without(sample: PanelSample, codes: NDArray[np.int64], count: int, adjustment: str) -> Floats:
    """Compare outcome changes without each of the groups 0 to ``count`` of a sample's units, (count, m); NaN where that cannot be."""
    value = np.full((count, sample.change.shape[1]), np.nan)
    touched = np.unique(codes[codes < count])
    kept = [np.arange(len(codes)), *(np.flatnonzero(codes != code) for code in touched)]
    places = [np.setdiff1d(np.arange(count), touched), *touched[:, None]]
    wanted = [
        (place, _part(sample, rows))
        for place, rows in zip(places, kept, strict=True)
        if len(place) and 0 < np.count_nonzero(rows < sample.n_treated) < len(rows)
    ]
    step = max(1, BATCH // len(codes))
    for first in range(0, len(wanted), step):
        batch = wanted[first : first + step]
        found = adjusted_scores([part for _, part in batch], adjustment)
        for (place, _), scores in zip(batch, found, strict=True):
            if not scores.reason:
                value[place] = scores.value
    return value


def _part(sample: PanelSample, rows: NDArray[np.intp]) -> PanelSample:
    treated = int(np.count_nonzero(rows < sample.n_treated))
    return PanelSample(sample.change[rows], sample.regressors[:, rows], sample.mass[rows], treated)


def _plain_panel(sample: PanelSample) -> PanelScores:
    n = sample.n_treated
    share, weight = sample.mass[:n] / sample.mass[:n].sum(), sample.mass[n:] / sample.mass[n:].sum()
    treated, comparison = share @ sample.change[:n], weight @ sample.change[n:]
    return PanelScores(
        treated - comparison,
        share[:, None] * (sample.change[:n] - treated),
        -weight[:, None] * (sample.change[n:] - comparison),
    )


def _standardised(sample: PanelSample) -> PanelSample:
    """Measure covariates in standard deviations of the comparison: estimates and influence do not depend on their unit."""
    x = sample.regressors[1:]
    comparison = x[:, sample.n_treated :]
    centre, spread = comparison.mean(axis=1), comparison.std(axis=1)
    if ((spread > 1 / WELL_SCALED) & (spread < WELL_SCALED) & (np.abs(centre) < WELL_SCALED * spread)).all():
        return sample
    scaled = standardise(x.T, comparison.T)
    return replace(sample, regressors=np.concatenate([sample.regressors[:1], scaled.T]))


def _adjusted_panel(
    sample: PanelSample, inverse: Floats | None, probability: Floats | None, hessian: Floats | None
) -> PanelScores:
    """Return estimates and influence from the fits that the adjustment has."""
    n = sample.n_treated
    x_treated, x_comparison = sample.regressors[:, :n], sample.regressors[:, n:]
    mass_treated, mass_comparison = sample.mass[:n], sample.mass[n:]
    share = mass_treated / mass_treated.sum()
    treated, comparison = sample.change[:n], sample.change[n:]
    if inverse is not None:
        slope = inverse @ ((x_comparison * mass_comparison) @ comparison)
        treated, comparison = treated - x_treated.T @ slope, comparison - x_comparison.T @ slope
    mean_treated = share @ treated
    if probability is None or hessian is None:
        leverage = (inverse @ (x_treated @ share)) @ x_comparison
        return PanelScores(
            mean_treated,
            share[:, None] * (treated - mean_treated),
            (-mass_comparison * leverage)[:, None] * comparison,
        )
    p_treated, p_comparison = probability[:n], probability[n : len(sample.mass)]
    odds = mass_comparison * p_comparison / (1 - p_comparison) * (p_comparison < TRIM)
    weight = odds / odds.sum()
    mean_comparison = weight @ comparison
    gradient = hessian @ ((x_comparison * weight) @ (comparison - mean_comparison))
    pull = weight
    if inverse is not None:
        balance = x_treated @ share - x_comparison @ weight
        pull = weight + mass_comparison * ((inverse @ balance) @ x_comparison)
    psi_treated = (
        share[:, None] * (treated - mean_treated) - (x_treated * (mass_treated * (1 - p_treated))).T @ gradient
    )
    psi_comparison = (x_comparison * (mass_comparison * p_comparison)).T @ gradient
    psi_comparison += np.outer(weight, mean_comparison) - pull[:, None] * comparison
    return PanelScores(mean_treated - mean_comparison, psi_treated, psi_comparison)


def section_scores(
    outcome: Floats,
    covariates: Floats,
    mass: Floats,
    treated: NDArray[np.bool_],
    post: NDArray[np.bool_],
    adjustment: str,
) -> SectionScores:
    """Compare two periods of treated and comparison observations that need not be of the same units.

    Shapes: ``outcome``, ``mass`` (n,), ``covariates`` (n, k), ``treated``, ``post`` (n,).

    With ``reason`` set when a group has no observation in a period or the adjustment is not possible.

    Notes
    -----
    ``rows`` is the derivative of the estimator with respect to the weight of each observation. R ``DRDID`` 1.2.3
    (``drdid_rc``) adds the base-period outcome regression of the two groups with the wrong sign, which moves doubly
    robust errors by up to a third; ``slip`` is the difference.
    """
    sides = {(d, s): (treated == d) & (post == s) for d in (True, False) for s in (True, False)}
    for (is_treated, is_post), rows in sides.items():
        if not rows.any():
            who, when = "treated" if is_treated else "comparison", "current" if is_post else "base"
            return _refused_section(f"no observation of {who} units in the {when} period")
    if adjustment == "none":
        value, psi = 0.0, np.zeros(len(outcome))
        for (is_treated, is_post), rows in sides.items():
            sign = 1.0 if is_treated == is_post else -1.0
            mean, deviation = _hajek(mass * rows, outcome)
            value, psi = value + sign * mean, psi + sign * deviation
        return SectionScores(value, psi)

    x = _with_constant(standardise(covariates, covariates[~treated]))
    odds = treated.astype(float)
    if adjustment != "regression":
        probability, hessian, reason = _propensity(x, treated, mass)
        if reason:
            return _refused_section(reason)
        odds = np.where(treated, 1.0, probability / (1 - probability) * (probability < TRIM))
    predicted = {}
    inverses = {}
    if adjustment != "ipw":
        groups = (False,) if adjustment == "regression" else (True, False)
        for side in [(d, s) for d in groups for s in (True, False)]:
            inverse = inverse_gram(x, mass * sides[side])
            if inverse is None:
                return _refused_section(COLLINEAR)
            predicted[side] = x @ (inverse @ (x.T @ (mass * sides[side] * outcome)))
            inverses[side] = inverse
    terms: list[tuple[float, Floats, Floats]] = []
    gradients: dict[tuple[bool, bool], Floats] = {}
    everyone_treated = mass * treated
    mean_x = _mean(everyone_treated, x)
    for is_post, sign in ((True, 1.0), (False, -1.0)):
        own, other = mass * sides[True, is_post], mass * odds * sides[False, is_post]
        if adjustment == "regression":
            terms += [(sign, own, outcome), (-sign, everyone_treated, predicted[False, is_post])]
            gradients[False, is_post] = -sign * mean_x
            continue
        baseline = predicted[False, is_post] if adjustment == "doubly_robust" else np.zeros(len(outcome))
        terms += [(sign, own, outcome - baseline), (-sign, other, outcome - baseline)]
        if adjustment == "doubly_robust":
            contrast = predicted[True, is_post] - baseline
            terms += [(sign, everyone_treated, contrast), (-sign, own, contrast)]
            gradients[False, is_post] = sign * (_mean(other, x) - mean_x)
            gradients[True, is_post] = sign * (mean_x - _mean(own, x))
    value, psi = 0.0, np.zeros(len(outcome))
    for sign, weight, values in terms:
        mean, deviation = _hajek(weight, values)
        value, psi = value + sign * mean, psi + sign * deviation
        if adjustment != "regression" and not weight[treated].any():
            psi += sign * mass * (treated - probability) * (x @ (hessian @ (x.T @ deviation)))

    def of_regression(side: tuple[bool, bool], gradient: Floats) -> Floats:
        error = mass * sides[side] * (outcome - predicted[side])
        return np.asarray(error * (x @ (inverses[side] @ gradient)))

    for side, gradient in gradients.items():
        psi += of_regression(side, gradient)
    if adjustment != "doubly_robust":
        return SectionScores(float(value), psi)
    base = (False, False)
    turned = 2 * (_mean(mass * odds * sides[base], x) - _mean(mass * sides[True, False], x))
    return SectionScores(float(value), psi, slip=of_regression(base, turned))


def _propensity(x: Floats, treated: NDArray[np.bool_], mass: Floats) -> tuple[Floats, Floats, str]:
    """Fit the probability of treatment; the reason is why it cannot be used."""
    real = np.ones((1, len(x)))
    probability, hessian, reasons = _propensities(x.T[None], treated[None].astype(float), mass[None], real)
    return probability[0], hessian[0], reasons[0]


def _propensities(x: Floats, treated: Floats, mass: Floats, real: Floats) -> tuple[Floats, Floats, list[str]]:
    """Fit the probabilities of treatment of several samples, (g, k, n) and (g, n), and find which cannot be used, and why.

    Samples of fewer than n observations are filled up; ``real`` is one for observations and else zero.
    """
    fits = fit_logits(x, treated, real)
    probability, hessian, converged = fits.probability, fits.inverse, fits.converged
    overlap = (probability * real).max(axis=1) < OVERLAP
    varies = (mass != mass[:, :1] * real).any(axis=1)
    hessian = hessian / mass[:, :1, None]
    if varies.any():
        weighted = fit_logits(x[varies], treated[varies], mass[varies])
        probability[varies], hessian[varies], converged[varies] = (
            weighted.probability,
            weighted.inverse,
            weighted.converged,
        )
    reasons = [
        NO_OVERLAP if not enough else "" if fine else NOT_CONVERGED
        for enough, fine in zip(overlap, converged & ~np.isnan(hessian[:, 0, 0]), strict=True)
    ]
    return np.minimum(probability, CAP), hessian, reasons


def _hajek(weight: Floats, values: Floats) -> tuple[float, Floats]:
    """Return the weighted mean and the influence of each row on it."""
    share = weight / weight.sum()
    mean = float(share @ values)
    return mean, share * (values - mean)


def _mean(weight: Floats, values: Floats) -> Floats:
    return np.asarray((weight @ values) / weight.sum())


def _with_constant(covariates: Floats) -> Floats:
    return np.column_stack([np.ones(len(covariates)), covariates])


def _refused_panel(reason: str) -> PanelScores:
    nothing = np.empty(0)
    return PanelScores(nothing, nothing, nothing, reason)


def _refused_section(reason: str) -> SectionScores:
    return SectionScores(float("nan"), np.empty(0), reason)
