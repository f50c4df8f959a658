"""P-values and confidence sets of a bootstrap whose t statistics are known functions of the hypothesised value."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from evalaid.did.inference.wild.wild_draws import Plan
from evalaid.did.inference.wild.wild_scores import WildScores

Floats = NDArray[np.float64]

# The draw that changes nothing has the sample's own t statistic; rounding must not decide which is larger.
TIE = 1e-9
# Where p-values are evaluated, as t statistics of the hypothesised value: finely where sets end, coarsely far out. A set
# that still holds the last value is called unbounded.
FINE = np.arange(0.5, 8.01, 0.5)
COARSE = np.geomspace(10.0, 1000.0, 12)
GRID = np.concatenate([-COARSE[::-1], -FINE[::-1], [0.0], FINE, COARSE])
# Halvings of a step of the grid: the end of a set is found to a millionth of a standard error at worst.
BISECTIONS = 30


@dataclass(frozen=True)
class Draws:
    """The bootstrap t statistics of one estimate.

    ``moments`` (5, B): n_0, n_1, q_0, q_1, q_2 with ``t* = (n_0 + shift n_1) / sqrt(q_0 + 2 shift q_1 + shift^2 q_2)``
    for the null hypothesis ``theta = estimate - scores.scale * shift``. ``estimate``: of the sample. ``scores``: what
    the draws were made from; its error is without the factor that the drawn variances lack, too. ``tail``,
    {"symmetric", "equal"}: whether draws are counted whose |t| is larger, or twice those of the rarer side.
    """

    moments: Floats
    estimate: float
    scores: WildScores
    tail: str

    @classmethod
    def of(cls, scores: WildScores, plan: Plan, estimate: float, tail: str) -> Draws:
        """Draw."""
        moments = [scores.moments(sums, squared) for sums, squared in plan.sums(scores.sums.blocks, scores.squares)]
        return cls(np.concatenate(moments, axis=1), estimate, scores, tail)

    def drawn(self, theta: float) -> Floats:
        """Return the bootstrap t statistics under the hypothesis that the effect is ``theta``, (B,)."""
        numerator, variance = self._parts(theta)
        with np.errstate(divide="ignore", invalid="ignore"):
            drawn = numerator / np.sqrt(np.maximum(variance, 0.0))
        return np.where(np.isnan(drawn), 0.0, drawn)

    def _parts(self, theta: float) -> tuple[Floats, Floats]:
        """Return numerator and variance of the bootstrap t statistics, (B,) each."""
        shift = (self.estimate - theta) / self.scores.scale
        n_0, n_1, q_0, q_1, q_2 = self.moments
        return n_0 + shift * n_1, q_0 + shift * (2 * q_1 + shift * q_2)

    def p_value(self, theta: float) -> float:
        """Return the share of draws that are more extreme than the sample under the hypothesis ``theta``."""
        own = (self.estimate - theta) / self.scores.std_error
        if self.tail == "symmetric":
            numerator, variance = self._parts(theta)
            return float(np.mean(numerator**2 > (own * (1 + TIE)) ** 2 * variance))
        drawn, edge = self.drawn(theta), abs(own) * TIE
        return min(1.0, 2 * min(float(np.mean(drawn > own + edge)), float(np.mean(drawn < own - edge))))

    def confidence_set(self, level: float) -> list[tuple[float, float]]:
        """Return the values with p-values above ``1 - level`` as intervals, ascending; infinite where a set has no end."""
        values = self.estimate + self.scores.std_error * GRID
        inside = np.array([self.p_value(theta) > 1 - level for theta in values])
        changes = np.flatnonzero(inside[1:] != inside[:-1])
        ends = [self._boundary(values[k], values[k + 1], level) for k in changes]
        ends = [-np.inf] * bool(inside[0]) + ends + [np.inf] * bool(inside[-1])
        return list(zip(ends[::2], ends[1::2], strict=True))

    def _boundary(self, low: float, high: float, level: float) -> float:
        """Find where the p-value crosses ``1 - level`` between two values on different sides."""
        start = self.p_value(low) > 1 - level
        for _ in range(BISECTIONS):
            middle = (low + high) / 2
            if (self.p_value(middle) > 1 - level) == start:
                low = middle
            else:
                high = middle
        return (low + high) / 2


def describe_set(parts: list[tuple[float, float]], level: float) -> str:
    """Return what is unusual about a confidence set, in words; "" for a bounded interval.

    Examples
    --------
    >>> describe_set([(-1.0, 0.5), (2.0, 3.0)], 0.95)
    'the 95% set is not an interval: [-1, 0.5] and [2, 3]'
    >>> describe_set([(-float("inf"), 0.5)], 0.9)
    'the 90% set has no lower end'
    """
    name = f"the {100 * level:g}% set"
    if not parts:
        return f"{name} is empty"
    low, high = np.isinf(parts[0][0]), np.isinf(parts[-1][1])
    if len(parts) > 1:
        return f"{name} is not an interval: {' and '.join(f'[{a:.4g}, {b:.4g}]' for a, b in parts)}"
    if low and high:
        return f"{name} is the whole line"
    return f"{name} has no {'lower' if low else 'upper'} end" if low or high else ""
