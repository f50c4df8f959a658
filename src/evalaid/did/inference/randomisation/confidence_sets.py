"""Confidence sets by inversion: the constant effects that a randomisation test does not reject."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from evalaid.did.inference.randomisation.reassignment import AssignmentMoments, Progress

Floats = NDArray[np.float64]

# Two routes to the same number differ by rounding; a tie is a tie.
TIE = 1e-9
# Ends found by bisection are this close, as a share of the distance from the estimate.
PRECISION = 1e-6
# An end that is not found within so many doublings of the first step does not exist.
DOUBLINGS = 60
# Where each effect needs all estimates anew less is asked for: a hundredth of the distance, at most 64 standard deviations away.
SEARCH_PRECISION, SEARCH_DOUBLINGS = 0.01, 6
# The bracket is half as long as its end is far, so that this many halvings are enough for the precision.
SEARCH_HALVINGS = 7


def p_value_at(
    actual: AssignmentMoments, drawn: AssignmentMoments, effect: float, *, studentised: bool, exact: bool
) -> float:
    """Return the p-value of a constant effect: the share of assignments whose statistic is at least the true one's.

    ``#{|T_b| >= |T|} / n`` over all n assignments; ``(1 + #) / (draws + 1)`` over random ones (Phipson and Smyth 2010,
    doi:10.2202/1544-6115.1585). Assignments without an estimate count as at least as large.
    """
    own, others = (np.abs(statistic(moments, effect, studentised=studentised)) for moments in (actual, drawn))
    reached = int((np.isnan(others) | (others >= own[0] * (1 - TIE))).sum())
    return reached / len(others) if exact else (1 + reached) / (1 + len(others))


def statistic(moments: AssignmentMoments, effect: float, *, studentised: bool) -> Floats:
    """Return the statistic on the outcome less a constant effect of treatment."""
    gap = moments.outcome - (0.0 if effect == 0 or moments.treatment is None else effect * moments.treatment)
    if not studentised:
        return gap
    yy, yd, dd = moments.covariance.T
    variance = yy if effect == 0 else yy - 2 * effect * yd + effect**2 * dd
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(variance > 0, gap / np.sqrt(np.maximum(variance, 0.0)), np.where(gap == 0, 0.0, np.inf))


def invert(
    actual: AssignmentMoments, drawn: AssignmentMoments, level: float, *, studentised: bool, exact: bool
) -> tuple[float, float, str]:
    """Find the smallest and largest constant effect that is not rejected at ``1 - level``.

    Notes
    -----
    Under the sharp null of effect tau the outcome without treatment is ``y - tau D``; for a linear estimator its estimates
    are ``a_b - tau d_b``. ``|a_b - tau d_b| >= |a - tau d|`` holds between (or outside) the two roots
    ``(a_b - a) / (d_b - d)`` and ``(a_b + a) / (d_b + d)``: the p-value is a step function of tau known in closed form.
    Rosenbaum (2002), Observational Studies, section 2.6, doi:10.1007/978-1-4757-3692-2. Studentised statistics are ratios of
    quadratics in tau, and the ends are found by bisection outwards from the estimate.
    """
    if studentised:
        return _bisect(actual, drawn, level, exact=exact)
    least, events = _count_steps(actual, drawn)
    events = events[np.argsort(events[:, 0], kind="stable")]
    places, first = np.unique(events[:, 0], return_index=True)
    before = np.concatenate([[0.0], np.cumsum(events[:, 1])])
    counts = least + np.concatenate([before[first], [before[-1]]])  # on the open segments between the places
    total = len(drawn.outcome) + (not exact)
    kept = (counts + (not exact)) / total > (1 - level) * (1 + TIE)
    centre = float(actual.outcome[0] / _slope(actual))
    if not kept.any():
        return centre, centre, ""
    ends = np.concatenate([[-np.inf], places, [np.inf]])
    inside = np.flatnonzero(kept)
    note = "" if len(inside) == inside[-1] - inside[0] + 1 else "the set has gaps; its outermost values are given"
    return float(ends[inside[0]]), float(ends[inside[-1] + 1]), note


def _slope(actual: AssignmentMoments) -> float:
    assert actual.treatment is not None  # noqa: S101  (only linear estimators are inverted)
    return float(actual.treatment[0])


def _count_steps(actual: AssignmentMoments, drawn: AssignmentMoments) -> tuple[int, Floats]:
    """Return the number of assignments that count at minus infinity, and (place, change) where one starts or ends to."""
    assert drawn.treatment is not None  # noqa: S101
    a, d = float(actual.outcome[0]), _slope(actual)
    usable = ~np.isnan(drawn.outcome) & ~np.isnan(drawn.treatment)
    always = int((~usable).sum())
    a_b, d_b = drawn.outcome[usable], drawn.treatment[usable]
    size = abs(a) + float(np.abs(a_b).max(initial=0.0))
    gap, sum_, minus, plus = a_b - a, a_b + a, d_b - d, d_b + d
    same, mirrored = np.abs(minus) <= TIE * abs(d), np.abs(plus) <= TIE * abs(d)
    fixed = (same & (np.abs(gap) <= TIE * size)) | (mirrored & (np.abs(sum_) <= TIE * size))
    always += int(fixed.sum())
    # With d_b = d (or -d) one root is left and a half-line counts: above it when the other factor falls with tau.
    half = (same | mirrored) & ~fixed
    root = np.where(same, sum_, gap)[half] / np.where(same, plus, minus)[half]
    upwards = (np.where(same, -gap * plus, -sum_ * minus)[half]) > 0
    two = ~same & ~mirrored
    roots = np.sort(np.stack([gap[two] / minus[two], sum_[two] / plus[two]]), axis=0)
    between = np.where(np.abs(d_b[two]) < abs(d), 1.0, -1.0)
    events = np.column_stack([
        np.concatenate([root, roots[0], roots[1]]),
        np.concatenate([np.where(upwards, 1.0, -1.0), between, -between]),
    ])  # fmt: skip
    return always + int((~upwards).sum()) + int((between < 0).sum()), events


def _bisect(
    actual: AssignmentMoments, drawn: AssignmentMoments, level: float, *, exact: bool
) -> tuple[float, float, str]:
    centre = float(actual.outcome[0] / _slope(actual))
    first = float(np.sqrt(max(actual.covariance[0, 0], 0.0))) or abs(centre) or 1.0

    def kept(effect: float) -> bool:
        found = p_value_at(actual, drawn, effect, studentised=True, exact=exact)
        return found > (1 - level) * (1 + TIE)

    low, high = (_find_end(kept, centre, side * first, DOUBLINGS, PRECISION) for side in (-1.0, 1.0))
    return low, high, f"ends of the set by bisection, to {PRECISION:g} of their distance from the estimate"


def _find_end(kept: Callable[[float], bool], centre: float, first: float, doublings: int, precision: float) -> float:
    """Find the first rejected effect on one side of the centre: doubling the first step, then halving; infinite if none is."""
    near, far = 0.0, first
    for _ in range(doublings):
        if not kept(centre + far):
            break
        near, far = far, 2 * far
    else:
        return float(np.copysign(np.inf, first))
    while abs(far - near) > precision * abs(far):
        middle = (near + far) / 2
        near, far = (middle, far) if kept(centre + middle) else (near, middle)
    return centre + far


def search(
    refits: Callable[[float], Iterator[AssignmentMoments]],
    centre: float,
    spread: float,
    total: int,
    level: float,
    *,
    studentised: bool,
    exact: bool,
    progress: Progress | None = None,
) -> tuple[float, float, str]:
    """Find a confidence set where every effect needs all estimates anew: by doubling and halving outwards from the estimate.

    Notes
    -----
    The set is the run of effects around the estimate that are not rejected; what is not rejected further out is not found. An
    effect counts as not rejected as soon as enough statistics are as large as the true one.
    """
    refused = False
    done, most = 0, 2 * (SEARCH_DOUBLINGS + SEARCH_HALVINGS) * (total + 1)

    def kept(effect: float) -> bool:
        nonlocal done, refused
        needed = (1 - level) * (1 + TIE) * (total if exact else total + 1)
        reached, own = 0.0 if exact else 1.0, np.nan
        for place, moments in enumerate(refits(effect)):
            size = abs(float(statistic(moments, 0.0, studentised=studentised)[0]))
            done += 1
            if progress is not None:
                progress(done, most)
            if place == 0:
                own = size
                if np.isnan(own):
                    refused = True
                    return False
            elif np.isnan(size) or size >= own * (1 - TIE):
                reached += 1
                if reached > needed:
                    return True
        return False

    if not kept(centre):
        return np.nan, np.nan, "no confidence set: the estimate itself is rejected as a constant effect"
    low, high = (_find_end(kept, centre, side * spread, SEARCH_DOUBLINGS, SEARCH_PRECISION) for side in (-1.0, 1.0))
    how = f"ends of the set by {done:,} further estimates, to {SEARCH_PRECISION:g} of their distance from the estimate"
    cut = "; cut where the outcome less the effect is none that the method takes" if refused else ""
    return low, high, how + cut
