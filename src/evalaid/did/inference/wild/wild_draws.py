"""The multipliers of a wild cluster bootstrap: every sign vector, or random ones, summed without holding them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from evalaid.did.inference.variance.multiplier import draw_weights
from evalaid.did.inference.wild.wild_columns import DrawnColumns

Floats = NDArray[np.float64]

# Multipliers are made in blocks of about this many (they stay in the processor's cache), within these numbers of draws.
BLOCK, FEWEST, MOST = 1_400_000, 64, 512
# Eight clusters have 256 sign vectors; tables of sums are made for so many clusters at a time that they hold this many numbers.
TABLES = 1_000_000
# With more columns than this a product with the signs is faster than tables.
WIDE = 96
# With fewer clusters Rademacher weights give too few different t statistics (Webb 2023, doi:10.1111/caje.12661).
FEW_FOR_RADEMACHER = 7
# The signs of eight clusters in every byte.
SIGNS = 1.0 - 2.0 * np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1)


@dataclass(frozen=True)
class Plan:
    """Which multipliers are drawn.

    ``draws``: how many, at most. ``weights``, {"rademacher", "webb", "mammen"}: their distribution. Rademacher: when
    there are no more than ``draws`` sign vectors, all are taken, up to a common sign (it changes no t statistic but
    its sign). ``n_clusters``: g. ``seed``: starts the same draws at every call.
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

    def sums(self, blocks: Sequence[DrawnColumns], squares: Floats) -> Iterator[tuple[Floats, Floats]]:
        """Sum columns with the multipliers of every draw, and others with their squares.

        Shapes: squares (G, s); returns (b, m), (b, s) or (1, s).
        """
        width, signs = sum(block.columns.shape[1] for block in blocks), self.weights == "rademacher"
        total = squares.sum(axis=0, keepdims=True)
        if signs and not self.exact and len(blocks) == 1 and width <= WIDE:
            yield self._look_up(blocks[0].columns), total
            return
        for drawn in self._multipliers():
            found = np.empty((len(drawn), width))
            for block in blocks:
                found[:, block.place] = drawn[:, block.clusters] @ block.columns
            yield found, total if signs else drawn**2 @ squares

    def words(self, kind: str, *, named: bool) -> str:
        """Describe what is drawn; ``named`` adds the seed."""
        few = ""
        if self.weights == "rademacher" and self.n_clusters < FEW_FOR_RADEMACHER:
            few = (
                f"; {self.n_clusters} clusters: |t| takes {2 ** (self.n_clusters - 1)} values at most, and the smallest p-value that "
                f"they can show is {2.0 / 2**self.n_clusters:.3g}; weights='webb' is finer"
            )
        if self.exact:
            return f"{kind}, all {2**self.n_clusters:,} sign vectors: exact p{few}"
        return f"{kind}, {self.draws:,} {self.weights.capitalize()} draws{f', seed {self.seed}' if named else ''}{few}"

    def _multipliers(self) -> Iterator[Floats]:
        """Return the multipliers, (b, G) at a time."""
        size = int(np.clip(BLOCK // self.n_clusters, FEWEST, MOST))
        if self.exact:  # every sign vector whose last sign is positive
            total = 2 ** (self.n_clusters - 1)
            for start in range(0, total, size):
                numbers = np.arange(start, min(start + size, total))
                yield 1.0 - 2.0 * (numbers[:, None] >> np.arange(self.n_clusters) & 1).astype(np.float64)
        elif self.weights == "rademacher":
            drawn = np.array(list(self._bytes()))
            for start in range(0, self.draws, size):
                yield SIGNS[drawn[:, start : start + size].T].reshape(-1, 8 * len(drawn))[:, : self.n_clusters]
        else:
            generator = np.random.default_rng(self.seed)
            for start in range(0, self.draws, size):
                shape = min(size, self.draws - start), self.n_clusters
                yield draw_weights(self.weights, shape, generator)

    def _bytes(self) -> Iterator[NDArray[np.uint8]]:
        """Return the signs of eight clusters at a time, a random byte for each draw."""
        generator = np.random.default_rng(self.seed)
        for _ in range(0, self.n_clusters, 8):
            yield np.frombuffer(generator.bytes(self.draws), dtype=np.uint8)

    def _look_up(self, columns: Floats) -> Floats:
        """Sum columns with random signs: the byte of eight clusters picks their sum from a table of 256."""
        groups, width = -(-self.n_clusters // 8), columns.shape[1]
        padded = np.pad(columns, ((0, -self.n_clusters % 8), (0, 0))).reshape(groups, 8, width)
        total = np.zeros((self.draws, width))
        picked = np.empty_like(total)
        step = max(1, TABLES // (256 * max(width, 1)))
        drawn = self._bytes()
        for start in range(0, groups, step):
            for table, chosen in zip(SIGNS @ padded[start : start + step], drawn, strict=False):
                np.take(table, chosen, axis=0, out=picked, mode="clip")
                total += picked
        return total
