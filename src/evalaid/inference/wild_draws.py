"""The multipliers of a wild cluster bootstrap: every sign vector, or random ones, summed without holding them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from evalaid.inference.multiplier import draw_weights

Floats = NDArray[np.float64]

# Multipliers are made in blocks of about this many (they stay in the processor's cache), within these numbers of draws.
BLOCK, FEWEST, MOST = 1_400_000, 64, 512
# Eight clusters have 256 sign vectors; tables of sums are made for so many clusters at a time that they hold this many numbers.
TABLES = 1_000_000
# With more columns than this a product with the signs, of so many groups of eight clusters at a time, is faster than tables.
WIDE, TOGETHER = 96, 32
# With fewer clusters Rademacher weights give too few different t statistics (Webb 2023, doi:10.1111/caje.12661).
FEW_FOR_RADEMACHER = 7


@dataclass(frozen=True)
class Plan:
    """Which multipliers are drawn.

    Parameters
    ----------
    draws : int
        How many, at most.
    weights : {"rademacher", "webb", "mammen"}
        Their distribution. Rademacher: when there are no more than ``draws`` sign vectors, all are taken, up to a common sign (it
        changes no t statistic but its sign).
    n_clusters : int
        G.
    seed : int
        Starts the same draws at every call.
    """

    draws: int
    weights: str
    n_clusters: int
    seed: int

    @property
    def exact(self) -> bool:
        """Whether every sign vector is taken."""
        return self.weights == "rademacher" and 2**self.n_clusters <= self.draws

    @property
    def step(self) -> float:
        """The smallest difference between two p-values."""
        return 2.0 / 2**self.n_clusters if self.exact else 1.0 / self.draws

    def sums(self, columns: Floats, squares: Floats) -> tuple[Floats, Floats]:
        """Sum columns with the multipliers of every draw, and others with their squares.

        Parameters
        ----------
        columns : (G, m) array
            By cluster.
        squares : (G, s) array
            By cluster.

        Returns
        -------
        (B, m) array
            ``sum_g v_g columns[g]``.
        (B, s) array
            ``sum_g v_g^2 squares[g]``.
        """
        if self.weights == "rademacher":
            total = squares.sum(axis=0)
            found = (
                np.concatenate([signs @ columns for signs in self._signs()]) if self.exact else self._look_up(columns)
            )
            return found, np.broadcast_to(total, (len(found), len(total)))
        pairs = [(drawn @ columns, drawn**2 @ squares) for drawn in self._drawn()]
        return np.concatenate([first for first, _ in pairs]), np.concatenate([second for _, second in pairs])

    def words(self, kind: str, *, named: bool) -> str:
        """Say what is drawn; ``named`` adds the seed."""
        few = ""
        if self.weights == "rademacher" and self.n_clusters < FEW_FOR_RADEMACHER:
            few = (
                f"; {self.n_clusters} clusters: |t| takes {2 ** (self.n_clusters - 1)} values at most, and the smallest p-value that "
                f"they can show is {2.0 / 2**self.n_clusters:.3g}; weights='webb' is finer"
            )
        if self.exact:
            return f"{kind}, all {2**self.n_clusters:,} sign vectors: exact p{few}"
        return f"{kind}, {self.draws:,} {self.weights.capitalize()} draws{f', seed {self.seed}' if named else ''}{few}"

    def _signs(self) -> Iterator[Floats]:
        """Give every sign vector whose last sign is positive, (b, G) at a time."""
        places = np.arange(self.n_clusters)
        total = 2 ** (self.n_clusters - 1)
        for start in range(0, total, MOST):
            numbers = np.arange(start, min(start + MOST, total))
            yield 1.0 - 2.0 * (numbers[:, None] >> places & 1).astype(np.float64)

    def _drawn(self) -> Iterator[Floats]:
        """Give random multipliers, (b, G) at a time."""
        size = int(np.clip(BLOCK // self.n_clusters, FEWEST, MOST))
        generator = np.random.default_rng(self.seed)
        for start in range(0, self.draws, size):
            yield draw_weights(self.weights, (min(size, self.draws - start), self.n_clusters), generator)

    def _look_up(self, columns: Floats) -> Floats:
        """Sum columns with random signs: one random byte holds those of eight clusters and picks their sum from a table of 256."""
        width, groups = columns.shape[1], -(-self.n_clusters // 8)
        if not width:  # an outcome that the regression fits exactly
            return np.zeros((self.draws, 0))
        padded = np.zeros((groups, 8, width))
        padded.reshape(-1, width)[: self.n_clusters] = columns
        signs = 1.0 - 2.0 * np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1)
        generator = np.random.default_rng(self.seed)
        total = np.zeros((self.draws, width))
        picked = np.empty_like(total if width <= WIDE else total[:0])
        step = TOGETHER if width > WIDE else max(1, TABLES // (256 * max(width, 1)))
        for start in range(0, groups, step):
            part = padded[start : start + step]
            drawn = [np.frombuffer(generator.bytes(self.draws), dtype=np.uint8) for _ in part]
            if width > WIDE:
                total += signs[np.stack(drawn, axis=1)].reshape(self.draws, -1) @ part.reshape(-1, width)
                continue
            for table, chosen in zip(signs @ part, drawn, strict=True):
                np.take(table, chosen, axis=0, out=picked, mode="clip")
                total += picked
        return total
