"""How far trends may diverge after treatment: restrictions on the violation of parallel trends as moment inequalities.

Columns of every matrix are the event-study coefficients in order of event time, the reference period left out: ``n_pre``
before it, ``n_post`` after it. The violation ``d`` is the part of the coefficients that is not effect; its value in the
reference period is zero.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linprog

from evalaid.base.errors import InferenceError

Floats = NDArray[np.float64]
Kind = Literal["relative_magnitude", "smoothness", "relative_smoothness"]
Shape = Literal["positive", "negative", "increasing", "decreasing"]

KINDS: tuple[Kind, ...] = ("relative_magnitude", "smoothness", "relative_smoothness")
SHAPES: tuple[Shape, ...] = ("positive", "negative", "increasing", "decreasing")

ROUNDING = 1e-12
INFEASIBLE = 2  # status of scipy.optimize.linprog


@dataclass(frozen=True)
class Restriction:
    """A set of violations, ``+-steps d <= m (bounds_p d + constant)`` for some p, and ``extra d <= 0``.

    ``kind``, ``shape``: what is restricted, see :func:`restrict`. ``steps`` (n_post, n): first or second differences
    that reach into the periods after the reference. ``bounds`` (problems, n): what m multiplies: a difference before
    treatment with either sign, one problem each; the set is their union. Zero for smoothness. ``constant``: one for
    smoothness, zero for the relative restrictions. ``limits``: factors of m in the rows with plus and with minus; zero
    where a monotone shape makes the row ``+-steps d <= 0``. ``extra`` (rows, n): further rows of a shape.
    ``pre_steps`` (rows, n): the same differences before the reference, for what the estimates themselves say.
    """

    kind: Kind
    shape: Shape | None
    steps: Floats
    bounds: Floats
    constant: float
    limits: tuple[float, float]
    extra: Floats
    pre_steps: Floats

    @property
    def n_post(self) -> int:
        """Periods after the reference."""
        return len(self.steps)

    @property
    def mirrored(self) -> bool:
        """Whether the rows come in pairs of opposite sign with the same bound, so that both signs have one distribution."""
        return not len(self.extra) and self.limits == (1.0, 1.0)

    def rows(self, m: float, problem: int) -> tuple[Floats, Floats]:
        """Return the inequalities ``rows d <= right`` of one problem at m."""
        up, down = self.limits
        bound, constant = self.bounds[problem], self.constant * m
        matrix = np.concatenate([self.steps - up * m * bound, -self.steps - down * m * bound, self.extra])
        right = np.concatenate(
            [np.full(self.n_post, up * constant), np.full(self.n_post, down * constant), np.zeros(len(self.extra))]
        )
        return matrix, right


def differences(n_pre: int, n_post: int, order: int) -> Floats:
    """Return the first or second differences along event time as functions of the coefficients, (rows, n_pre + n_post)."""
    path = np.diff(np.eye(n_pre + n_post + 1), n=order, axis=0)
    return np.delete(path, n_pre, axis=1)


def restrict(kind: Kind, shape: Shape | None, n_pre: int, n_post: int) -> Restriction:
    """Build the restriction for an event study of this size.

    ``relative_magnitude``: no first difference after treatment exceeds m times the largest one before it.
    ``smoothness``: no second difference exceeds m. ``relative_smoothness``: no second difference after treatment exceeds m
    times the largest one before it. Their Delta^RM, Delta^SD and Delta^SDRM. A shape restricts the violation from the
    reference period on: its sign, or the sign of its first differences.

    Notes
    -----
    Rambachan and Roth (2023), section 2.4, doi:10.1093/restud/rdad018.
    """
    faults = []
    if kind not in KINDS:
        faults.append(f"restriction={kind!r} is not a choice; choose {', '.join(KINDS)}")
    if shape is not None and shape not in SHAPES:
        faults.append(f"shape={shape!r} is not a choice; choose None, {', '.join(SHAPES)}")
    if faults:
        raise InferenceError("; ".join(faults) + ".")
    order = 1 if kind == "relative_magnitude" else 2
    if n_pre < (2 if kind == "relative_smoothness" else 1):
        raise InferenceError(
            f"{kind} needs {'two coefficients' if n_pre else 'at least one coefficient'} before the reference period and finds "
            f"{n_pre}: nothing before treatment says how far trends diverge. Estimate more periods before treatment, or "
            "bound the effect without them (bound_effect)."
        )
    path = differences(n_pre, n_post, order)
    steps, pre_steps = path[-n_post:], path[:-n_post]
    smooth = kind == "smoothness"
    bounds = np.zeros((1, n_pre + n_post)) if smooth else np.repeat(pre_steps, 2, axis=0)
    bounds[1::2] *= -1
    limits, extra = (1.0, 1.0), np.zeros((0, n_pre + n_post))
    if shape in {"positive", "negative"}:
        extra = np.eye(n_pre + n_post)[n_pre:] * (-1.0 if shape == "positive" else 1.0)
    elif shape is not None and order == 1:
        # Where the differences may not fall at all, the row that says how fast they may fall says nothing.
        limits = (1.0, 0.0) if shape == "increasing" else (0.0, 1.0)
    elif shape is not None:
        extra = differences(n_pre, n_post, 1)[-n_post:] * (-1.0 if shape == "increasing" else 1.0)
    return Restriction(kind, shape, steps, bounds, 1.0 if smooth else 0.0, limits, extra, pre_steps)


@dataclass(frozen=True)
class IdentifiedSet:
    """The effects that agree with the restriction if the coefficients had no sampling error; NaN and a reason when none."""

    low: float
    high: float
    reason: str = ""


def identify(restriction: Restriction, estimate: Floats, weights: Floats, m: float) -> IdentifiedSet:
    """Bound ``weights' tau`` with the violation before treatment equal to the estimates.

    In closed form without a shape: the steps after the reference add ``+- limit sum |D^-T weights|``; with one by two
    linear programmes.
    """
    n_post = restriction.n_post
    before, after = estimate[:-n_post], estimate[-n_post:]
    seen = np.abs(restriction.pre_steps[:, : len(before)] @ before).max(initial=0.0)
    limit = m * (restriction.constant or seen)
    if restriction.kind == "smoothness" and seen > m * (1 + ROUNDING) + ROUNDING * np.abs(estimate).max(initial=0.0):
        bend = f"the estimates before treatment bend by up to {seen:.4g}, more than this m"
        return IdentifiedSet(np.nan, np.nan, f"no violation in this set equals the estimates before treatment: {bend}")
    up, down = restriction.limits
    post = restriction.steps[:, -n_post:]
    known = restriction.steps[:, :-n_post] @ before
    effect = float(weights @ after)
    if not len(restriction.extra):
        reach = np.linalg.solve(post.T, weights)
        middle = float(reach @ -known)
        high_step, low_step = np.maximum(reach, 0), np.maximum(-reach, 0)
        most = middle + limit * float(up * high_step.sum() + down * low_step.sum())
        least = middle - limit * float(down * high_step.sum() + up * low_step.sum())
        return IdentifiedSet(effect - most, effect - least)
    rows = np.concatenate([post, -post, restriction.extra[:, -n_post:]])
    extra_known = restriction.extra[:, :-n_post] @ before
    right = np.concatenate([up * limit - known, down * limit + known, -extra_known])
    ends = [linprog(sign * weights, rows, right, bounds=(None, None), method="highs") for sign in (-1, 1)]
    if any(end.status == INFEASIBLE for end in ends):
        reason = "no violation of this shape continues the estimates before treatment at this m"
        return IdentifiedSet(np.nan, np.nan, reason)
    return IdentifiedSet(effect + ends[0].fun, effect - ends[1].fun)
