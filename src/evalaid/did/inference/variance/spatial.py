"""Standard errors that allow neighbouring units to depend on each other."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, get_args

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.sparse import coo_array, csr_array
from scipy.spatial import cKDTree

from evalaid.base.errors import InferenceError
from evalaid.base.texts import counted, join_texts
from evalaid.did.effects.effects import Effects
from evalaid.did.inference.cluster_counts import refuse_alone
from evalaid.did.inference.default_rule import say_few_effective
from evalaid.did.inference.intervals import Errors, tabulate
from evalaid.did.inference.options import check_effects, check_options
from evalaid.did.inference.variance.cluster import clusters_of

Floats = NDArray[np.float64]
Kernel = Literal["bartlett", "uniform"]

EARTH_RADIUS_KM = 6371.0088  # mean radius of the International Union of Geodesy and Geophysics
# Pairs of units are listed in runs of about this many, so that memory does not grow with their number.
PAIRS_AT_A_TIME = 2_000_000
# Distances carry rounding of this relative size: two units at the cutoff are within it, two at one place are at distance 0.
ROUNDING = 1e-9


def infer_spatial(
    effects: Effects,
    coordinates: pd.DataFrame | None = None,
    *,
    adjacency: pd.DataFrame | None = None,
    cutoff_km: float | None = None,
    steps: int = 1,
    kernel: Kernel = "bartlett",
    level: float = 0.95,
) -> pd.DataFrame:
    """Add standard errors that allow units to depend on units nearby.

    Assumes that units further apart than the cutoff are independent, and that there are many units beyond the cutoff of each.
    Nothing is assumed within a unit over time.

    Parameters
    ----------
    effects : Effects
        Estimates with influence.
    coordinates : pandas.DataFrame, optional
        ``lat`` and ``lon`` in degrees, indexed by unit; needs ``cutoff_km``.
    adjacency : pandas.DataFrame, optional
        Instead of coordinates: pairs of neighbours in ``unit`` and ``neighbour``, each pair once or in both directions. Places
        that are no unit of the design may be in it: they connect units over more than one step.
    cutoff_km : float
        Great-circle distance up to which units may depend on each other, in km; 0 = only units at one place.
    steps : int
        With ``adjacency``: up to so many steps from neighbour to neighbour; 0 = none.
    kernel : {"bartlett", "uniform"}
        Weight of a pair: falling in a line to zero, at the cutoff (one step beyond ``steps``); or one up to the cutoff.
    level : float
        Coverage of the intervals.

    Returns
    -------
    pandas.DataFrame
        Columns as :func:`evalaid.infer`: ``vcov`` is "conley", the distribution normal, ``n_clusters`` the number of units. The
        note counts the units within the cutoff of a unit, on average; where they are all units there is no error, because the
        influence of all units sums to zero.

    Raises
    ------
    InferenceError
        With all faults at once: units without coordinates or with several, latitudes beyond 90 or longitudes beyond 180
        degrees (swapped or projected ones), neighbours that are no unit, a cutoff that is not a number of 0 or more. When every estimate rests on one treated cluster.

    Notes
    -----
    ``V = sum_i sum_j K(d_ij) psi_i psi_j'``, without a small-sample factor; at a cutoff of 0 it is CR0 by unit, and where
    neighbourhoods are separate groups the uniform kernel gives CR0 by group. Conley (1999),
    doi:10.1016/S0304-4076(98)00084-0. Neither kernel makes V positive for every sample on a plane.

    Examples
    --------
    >>> import evalaid as ea
    >>> import pandas as pd
    >>> frame = pd.DataFrame({
    ...     "county": [*"aabbccdd"], "year": [2019, 2020] * 4,
    ...     "share": [0.80, 0.86, 0.80, 0.82, 0.70, 0.74, 0.70, 0.77], "first_treated": [2020] * 2 + [None] * 4 + [2020] * 2,
    ... })
    >>> effects = ea.estimate(ea.diagnose(frame, "county", "year", "share", "first_treated"), "twfe")
    >>> pairs = pd.DataFrame({"unit": ["a", "c"], "neighbour": ["b", "d"]})
    >>> table = ea.infer_spatial(effects, adjacency=pairs, kernel="uniform")
    >>> table.loc[0, "distribution"], table.loc[0, "note"].partition(";")[0]
    ('normal', 'uniform kernel, 1 step')
    """
    check_effects(effects)
    check_options(level=level)
    if kernel not in get_args(Kernel):
        raise InferenceError(f"kernel={kernel!r} is not a choice; choose {', '.join(get_args(Kernel))}.")
    units = effects.population.units
    psi = effects.influence.matrix()
    weights: Iterator[csr_array]
    if coordinates is not None and adjacency is None:
        places = _read_places(units, coordinates, cutoff_km)
        weights = _weigh_distances(places, float(cutoff_km or 0), kernel)
        reach = f"{cutoff_km:g} km"
    elif adjacency is not None and coordinates is None:
        weights = iter([_weigh_steps(units, adjacency, steps, kernel)])
        reach = counted(steps, "step")
    else:
        raise InferenceError("Give either coordinates (lat, lon by unit) or adjacency (pairs of neighbours).")
    variance, pairs = np.zeros(len(effects)), 0
    start = 0
    for rows in weights:
        stop = start + rows.shape[0]
        variance += np.einsum("ik,ik->k", psi[start:stop], rows @ psi)
        pairs += rows.nnz
        start = stop
    others = pairs / len(units) - 1
    notes = [f"{kernel} kernel, {reach}; {others:.1f} other units within it on average"] * len(effects)
    if pairs == len(units) ** 2 and kernel == "uniform":
        variance[:] = np.nan
        notes = [f"every unit is within {reach} of every other: no variance between units can be seen"] * len(effects)
    scale = np.einsum("ik,ik->k", psi, psi)
    negative = variance < -ROUNDING * scale
    variance = np.where(negative, np.nan, np.maximum(variance, 0.0))
    notes = [
        f"{note}: variance not positive, take a shorter cutoff or cluster by area" if bad else note
        for note, bad in zip(notes, negative, strict=True)
    ]
    std_error = np.sqrt(variance)
    clusters = clusters_of(effects)
    alone = refuse_alone(effects, clusters, "conley", std_error)
    few = say_few_effective(effects, clusters, None)
    errors = Errors(
        std_error=np.where([bool(text) for text in alone], np.nan, std_error),
        degrees_of_freedom=None,
        vcov="conley",
        notes=[text or join_texts((note, said)) for text, note, said in zip(alone, notes, few, strict=True)],
    )
    return tabulate(effects, errors, level, len(units))


def _read_places(units: pd.Index, coordinates: pd.DataFrame, cutoff_km: float | None) -> Floats:
    """Return the units' points on the sphere of radius one, (N, 3)."""
    faults: list[str] = []
    rows: list[pd.DataFrame] = []
    if cutoff_km is None or not np.isfinite(cutoff_km) or cutoff_km < 0:
        faults.append(f"cutoff_km={cutoff_km} found; a distance in km of 0 or more is expected")
    missing = [name for name in ("lat", "lon") if name not in coordinates]
    if missing:
        held = ", ".join(map(repr, coordinates.columns)) or "none"
        faults.append(f"no column {' and '.join(map(repr, missing))}; the columns are {held}")
        raise _refuse(faults, rows)
    points = coordinates.loc[coordinates.index.isin(units), ["lat", "lon"]].apply(pd.to_numeric, errors="coerce")
    several = points[points.index.duplicated(keep=False)]
    if len(several):
        faults.append(
            f"{counted(several.index.nunique(), 'unit has', 'units have')} several rows, for example {several.index[0]}; give each unit one"
        )
        rows.append(several)
    points = points[~points.index.duplicated()].reindex(units)
    unknown = points[points.isna().any(axis=1)]
    if len(unknown):
        some = ", ".join(map(str, unknown.index[:5]))
        faults.append(
            f"{counted(len(unknown), 'unit has', 'units have')} no lat or lon, for example {some}; index the coordinates by unit"
        )
        rows.append(unknown)
    outside = points[(points["lat"].abs() > 90) | (points["lon"].abs() > 180)]
    if len(outside):
        lat, lon = outside.iloc[0]
        swapped = bool((points["lat"].abs() > 90).any() and (points.dropna()["lon"].abs() <= 90).all())
        hint = "lat and lon look swapped" if swapped else "degrees are expected, not projected coordinates"
        faults.append(
            f"{counted(len(outside), 'unit is', 'units are')} at no place on the globe (|lat| <= 90, |lon| <= 180), for example {outside.index[0]} at "
            f"lat {lat:g}, lon {lon:g}; {hint}"
        )
        rows.append(outside)
    if faults:
        raise _refuse(faults, rows)
    lat, lon = np.radians(points.to_numpy(dtype=float)).T
    return np.column_stack([np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)])


def _refuse(faults: list[str], rows: list[pd.DataFrame]) -> InferenceError:
    listed = "".join(f"\n  - {fault}." for fault in faults)
    return InferenceError(f"These coordinates cannot be used:{listed}", pd.concat(rows) if rows else None)


def _weigh_distances(places: Floats, cutoff_km: float, kernel: str) -> Iterator[csr_array]:
    """Return the kernel weights of runs of units with all units, (run, N) each."""
    angle = min(cutoff_km / EARTH_RADIUS_KM, np.pi)
    reach = 2 * np.sin(angle / 2) * (1 + ROUNDING) + ROUNDING
    tree = cKDTree(places)
    count = len(places)
    run = max(1, int(PAIRS_AT_A_TIME * count / tree.count_neighbors(tree, reach)))
    for start in range(0, count, run):
        here = places[start : start + run]
        found = cKDTree(here).sparse_distance_matrix(tree, reach, output_type="ndarray")
        chord = np.where(found["v"] <= ROUNDING, 0.0, found["v"])
        distance = 2 * EARTH_RADIUS_KM * np.arcsin(np.minimum(chord / 2, 1.0))
        weight = np.ones(len(distance))
        if kernel == "bartlett":
            # Units at one place stay together at any cutoff.
            weight = np.where(distance > 0, 1 - distance / cutoff_km, 1.0) if cutoff_km else weight
        yield csr_array((np.maximum(weight, 0.0), (found["i"], found["j"])), shape=(len(here), count))


def _weigh_steps(units: pd.Index, adjacency: pd.DataFrame, steps: int, kernel: str) -> csr_array:
    """Return the kernel weights of all units by the steps between them, (N, N)."""
    faults = []
    if isinstance(steps, bool) or not isinstance(steps, (int, np.integer)) or steps < 0:
        faults.append(f"steps={steps!r} found; a whole number of 0 or more is expected")
    missing = [name for name in ("unit", "neighbour") if name not in adjacency]
    if missing:
        held = ", ".join(map(repr, adjacency.columns)) or "none"
        faults.append(f"no column {' and '.join(map(repr, missing))}; the columns are {held}")
    elif adjacency[["unit", "neighbour"]].isna().any(axis=None):
        faults.append(
            f"{counted(int(adjacency[['unit', 'neighbour']].isna().any(axis=1).sum()), 'pair lacks', 'pairs lack')} a place"
        )
    elif not units.isin([*adjacency["unit"], *adjacency["neighbour"]]).any():
        shown = adjacency["unit"].tolist()[0] if len(adjacency) else "nothing"
        faults.append(
            f"no unit of the design is in it: the list names for example {shown!r}, the design {units.tolist()[0]!r}; write the labels as "
            "in the panel, numbers as numbers"
        )
    if faults:
        listed = "".join(f"\n  - {fault}." for fault in faults)
        raise InferenceError(f"This list of neighbours cannot be used:{listed}")
    one, other = pd.Index(adjacency["unit"]), pd.Index(adjacency["neighbour"])
    named = one.append(other).unique()
    places = units.append(named[~named.isin(units)])
    ends = places.get_indexer(one), places.get_indexer(other)
    links = coo_array((np.ones(len(one)), ends), shape=(len(places), len(places))).tocsr()
    links = links + links.T
    # Within k steps: the pairs of k - 1 steps and their neighbours; the weight of a pair falls with each step it needs.
    within = csr_array(coo_array((np.ones(len(places)), (np.arange(len(places)),) * 2)))
    weights = within.copy()
    for _ in range(int(steps)):
        within = within + within @ links
        within.data[:] = 1.0
        weights = weights + within
    weights.eliminate_zeros()
    if kernel == "uniform":
        weights.data[:] = 1.0
    else:
        weights.data[:] /= steps + 1
    return csr_array(weights[: len(units), : len(units)])
