"""Published figures that a simulated panel has to reproduce, and the proof that it does."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import pandas as pd

from evalaid.base.errors import SimulationError

COLUMNS = ("target", "unit", "published", "simulated", "difference", "tolerance", "facts")


@dataclass(frozen=True)
class Target:
    """One published figure and its value in the simulated panel.

    Parameters
    ----------
    name : str
        What it is, with place and period.
    unit : str
        "%", "pp", "counties", "episodes", "hospitals", ...
    published, simulated : float
        In ``unit``.
    tolerance : float
        Half the last published digit; more where the source says "about" or compares unlike periods.
    facts : str
        Numbers of the facts in the published data, separated by spaces; empty when there is none.
    """

    name: str
    unit: str
    published: float
    simulated: float
    tolerance: float
    facts: str = ""


def hold_against(targets: Iterable[Target]) -> pd.DataFrame:
    """Compare simulated with published figures.

    Examples
    --------
    >>> hold_against([Target("share in 2018", "%", 83.5, 83.54, 0.05)])["difference"].round(2).tolist()
    [0.04]
    """
    rows = [
        (t.name, t.unit, float(t.published), float(t.simulated), t.simulated - t.published, t.tolerance, t.facts)
        for t in targets
    ]
    frame = pd.DataFrame(rows, columns=list(COLUMNS))
    missed = frame[frame["difference"].abs() > frame["tolerance"] * (1 + 1e-9)]
    if len(missed):
        first = missed.iloc[0]
        raise SimulationError(
            f"{len(missed)} of {len(frame)} published figures are not reproduced, for example {first['target']}: "
            f"{first['simulated']:.3f} where {first['published']:g} {first['unit']} is published. "
            "Choose a smaller effect or another seed.",
            missed.reset_index(drop=True),
        )
    return frame
