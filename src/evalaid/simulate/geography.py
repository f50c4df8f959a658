"""The 57 counties of Guangdong and who borders on whom, from the published data."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from evalaid.base.errors import SimulationError
from evalaid.base.project import project_root

COUNTIES = Path("data") / "published" / "guangdong_counties.csv"
ADJACENCY = Path("data") / "published" / "guangdong_adjacency.csv"


def read_counties() -> pd.DataFrame:
    """Read the counties of Guangdong.

    Assumes that the programme's 57 counties are the 57 county-level units that are no districts (the number is
    published, the list is not).

    Examples
    --------
    >>> int(read_counties()["above_90"].sum())
    9
    """
    return _read(str(COUNTIES)).copy()


def read_neighbours(adcodes: Sequence[str]) -> NDArray[np.bool_]:
    """Read which of the given units share a border.

    Assumes the simplified boundaries that the list was computed from.
    """
    pairs = _read(str(ADJACENCY))
    place = {code: position for position, code in enumerate(adcodes)}
    one, other = (pairs[name].map(place) for name in ("adcode_a", "adcode_b"))
    known = (one.notna() & other.notna()).to_numpy()
    matrix = np.zeros((len(place), len(place)), dtype=bool)
    matrix[one[known].astype(int), other[known].astype(int)] = True
    return matrix | matrix.T


@cache
def _read(name: str) -> pd.DataFrame:
    path = project_root() / name
    if not path.is_file():
        raise SimulationError(f"The file {name} does not exist in the project. Restore the published data.")
    table = pd.read_csv(path, dtype="str", encoding="utf-8")
    if "share_tier_2018" in table:
        table["above_90"] = table["share_tier_2018"].str.startswith(">90")
        table["region_group"] = table["region_group"].str.split(" ").str[0]
    return table
