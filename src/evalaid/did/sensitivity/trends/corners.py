"""The multipliers of the inequalities in which nothing but the effect is left: all of them, or those found to matter.

With g+, g-, f >= 0 on the rows ``+steps``, ``-steps`` and ``extra`` of a restriction, they are the extreme rays (corners) of the
cone ``steps_post'(g+ - g-) + extra_post' f = k weights``. They depend neither on m nor on the data.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from evalaid.did.sensitivity.trends.restrictions import Restriction

Floats = NDArray[np.float64]

# Their number grows about 2.6 times with each period, and all square subsystems are solved: 924 of them with six periods,
# 184,756 with ten.
ENUMERABLE_PERIODS = 6
# Corners that differ by rounding are one corner; multipliers are of the order of one.
CORNER_DIGITS = 9
# Entries of these systems are small whole numbers: a determinant is zero or at least one.
SINGULAR = 1e-9


@dataclass(frozen=True, eq=False)
class Corners:
    """Multipliers, one row per corner.

    ``reach`` (n_post,): ``D^-T weights``, D the part of the steps after the reference (invertible): ``g+ - g-`` for k
    = 1 and f = 0. ``effect`` (n_post, n_extra): ``D^-T extra_post'``: what f takes off ``g+ - g-``. ``added``
    (corners, n_extra): f. ``slope`` (corners,): k. ``complete``: whether no corner is missing.
    """

    reach: Floats
    effect: Floats
    added: Floats
    slope: Floats
    complete: bool = True

    @cached_property
    def matrix(self) -> Floats:
        """The multipliers of all rows, (corners + n_post, rows); the last ones stand for each pair of rows alone."""
        net = self.slope[:, None] * self.reach - self.added @ self.effect.T
        pairs = np.eye(len(self.reach))
        free = np.zeros((len(pairs), self.added.shape[1]))
        return np.concatenate(
            [np.concatenate([np.maximum(net, 0), np.maximum(-net, 0), self.added], axis=1), np.c_[pairs, pairs, free]]
        )

    @property
    def slopes(self) -> Floats:
        """The k of every row of ``matrix``."""
        return np.concatenate([self.slope, np.zeros(len(self.reach))])

    def joined(self, multipliers: Floats) -> Corners:
        """Add the corners with these multipliers of all rows, (corners, rows), of any length, that are not yet among them.

        ``f`` and k are taken from them and the rest computed, so that nothing but the effect is left to the last digit.
        """
        n_post = len(self.reach)
        added = multipliers[:, 2 * n_post :]
        net = multipliers[:, :n_post] - multipliers[:, n_post : 2 * n_post] + added @ self.effect.T
        slope = net @ self.reach / (self.reach @ self.reach)
        length = np.where(np.abs(slope) > SINGULAR * multipliers.sum(axis=1), np.abs(slope), added.sum(axis=1))
        kept = length > SINGULAR * multipliers.sum(axis=1)
        new = np.column_stack([added, slope])[kept] / length[kept, None]
        new[np.abs(new) < SINGULAR] = 0.0
        every = _unique(np.concatenate([np.column_stack([self.added, self.slope]), new]))
        return replace(self, added=every[:, :-1], slope=every[:, -1])


def find_corners(restriction: Restriction, weights: Floats) -> Corners:
    """Find the corners for the effect ``weights' tau``.

    Without extra rows there are ``n_post + 2``: ``g+ - g- = +-D^-T weights`` and one for each pair of rows. With extra rows
    all are enumerated up to ``ENUMERABLE_PERIODS`` periods; beyond, these are the first of them and ``complete`` is false.
    """
    n_post = restriction.n_post
    post = restriction.steps[:, -n_post:]
    solved = np.linalg.solve(post.T, np.column_stack([weights, restriction.extra[:, -n_post:].T]))
    reach, effect = np.asarray(solved[:, 0], dtype=np.float64), np.asarray(solved[:, 1:], dtype=np.float64)
    n_extra = effect.shape[1]
    first = Corners(reach, effect, np.zeros((2, n_extra)), np.array([1.0, -1.0]), complete=not n_extra)
    if first.complete or n_post > ENUMERABLE_PERIODS:
        return first
    return Corners(reach, effect, *_extreme_rays(reach, effect))


def _extreme_rays(reach: Floats, effect: Floats) -> tuple[Floats, Floats]:
    """Find all extreme (f, k), f >= 0, where the signs of ``k reach - effect f`` cut the space.

    An extreme ray lies on as many planes (a zero of f, a zero of a row) as there are unknowns less one: every choice is
    solved, for k = 1, -1 and 0 in turn.
    """
    n_rows, n_extra = effect.shape
    added, slope = [np.zeros((2, n_extra))], [np.array([1.0, -1.0])]
    for size in range(1, n_extra + 1):
        used = np.array(list(combinations(range(n_extra), size)))
        for zeros, ks in ((size, (1.0, -1.0)), (size - 1, (0.0,))):
            chosen = list(combinations(range(n_rows), zeros))
            rows = np.array(chosen, dtype=np.intp).reshape(len(chosen), zeros)
            columns = np.tile(used, (len(rows), 1))
            square = effect[rows[:, None, :, None], used[None, :, None, :]].reshape(len(columns), zeros, size)
            # With k = 0 a ray is known up to its length: the first used multiplier is one.
            right = np.repeat(reach[rows], len(used), axis=0) if zeros == size else -square[:, :, 0]
            square = square[:, :, size - zeros :]
            regular = np.abs(np.linalg.det(square)) > SINGULAR
            solved = np.linalg.solve(square[regular], right[regular][:, :, None])[:, :, 0]
            values = solved if zeros == size else np.concatenate([np.ones((len(solved), 1)), solved], axis=1)
            for k in ks:
                signed = k * values if k else values
                good = (signed >= -SINGULAR).all(axis=1)
                rays = np.zeros((int(good.sum()), n_extra))
                np.put_along_axis(rays, columns[regular][good], np.maximum(signed[good], 0), axis=1)
                added.append(rays)
                slope.append(np.full(len(rays), k))
    every = _unique(np.column_stack([np.concatenate(added), np.concatenate(slope)]))
    return every[:, :-1], every[:, -1]


def _unique(corners: Floats) -> Floats:
    return corners[np.unique(corners.round(CORNER_DIGITS), axis=0, return_index=True)[1]]
