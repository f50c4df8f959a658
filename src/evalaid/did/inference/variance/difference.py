"""The difference between two sets of estimates, with the error of the difference."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from evalaid.base.effect_columns import TREATED_CLUSTERS
from evalaid.base.errors import InferenceError
from evalaid.base.texts import counted, join_texts
from evalaid.did.effects.aggregation import Population
from evalaid.did.effects.contrasts import Contrasts
from evalaid.did.effects.effects import CELL_KEYS, Convention, Derivation, Effects
from evalaid.did.effects.influence import Influence
from evalaid.did.effects.without import subtracted
from evalaid.did.inference.options import check_effects

Floats = NDArray[np.float64]

# Sizes that differ by no more than rounding are the same weights.
SAME = 1e-9


def difference(effects_a: Effects, effects_b: Effects) -> Effects:
    """Subtract the second set of estimates from the first, cell by cell.

    Two estimates on the same units are not independent: their influence is subtracted unit by unit, so the error of the
    difference holds their covariance. Assumes that both sets name the same units by the same labels.

    Parameters
    ----------
    effects_a, effects_b : Effects
        Two methods, two samples, two outcomes on one scale, ...; each over all (``aggregate("overall")``) or with the same
        labels (both by event time, both by cohort, ...).

    Returns
    -------
    Effects
        One cell for each label of either; missing with a reason where one of the two has none. A unit that only one sample
        holds has no influence on the other estimate; ``estimand`` says how many there are. ``n_treated``,
        ``n_comparison`` and ``treated_clusters`` are the smaller of the two. CR3 re-estimates both. The difference of two
        combinations of the coefficients of one regression is such a combination: CR2, leverage and the wild bootstrap apply
        to it, and to no other difference.

    Raises
    ------
    InferenceError
        With all faults at once: another scale, units in other clusters, labels that do not match or are not unique, unit
        labels of another type.

    Notes
    -----
    ``psi_i = psi_i(a) - psi_i(b)``; its cluster sums give CR0. With one estimate efficient under the stronger assumption this
    is the comparison of Hausman (1978), doi:10.2307/1913827, without his shortcut for the variance. Averages of the
    difference use the sizes of the first set: aggregate first where the two methods weigh cells in different ways.

    Examples
    --------
    >>> import evalaid as ea
    >>> import pandas as pd
    >>> frame = pd.DataFrame({
    ...     "county": [*"aaabbbcccddd"], "year": [2018, 2019, 2020] * 4,
    ...     "share": [0.80, 0.81, 0.86, 0.70, 0.75, 0.77, 0.80, 0.81, 0.82, 0.70, 0.70, 0.74],
    ...     "first_treated": [2020] * 3 + [2019] * 3 + [None] * 6,
    ... })
    >>> design = ea.diagnose(frame, unit="county", period="year", outcome="share", cohort="first_treated")
    >>> one = ea.estimate(design, "twfe")
    >>> other = ea.estimate(design, "imputation").aggregate("overall")
    >>> gap = ea.difference(one, other)
    >>> bool(abs(gap.value[0] - (one.value[0] - other.value[0])) < 1e-12), gap.method
    (True, 'twfe - imputation')
    """
    for effects in (effects_a, effects_b):
        check_effects(effects)
    keys = [key for key in CELL_KEYS if key in effects_a.cells and key in effects_b.cells]
    faults = [*_unlike_samples(effects_a, effects_b), *_unlike_cells(effects_a, effects_b, keys)]
    if faults:
        raise InferenceError("These effects cannot be subtracted:" + "".join(f"\n  - {fault}." for fault in faults))
    place_a, place_b, labels = _match_cells(effects_a.cells, effects_b.cells, keys)
    units = effects_a.population.units.append(
        effects_b.population.units[~effects_b.population.units.isin(effects_a.population.units)]
    )
    rows_a, rows_b = (units.get_indexer(effects.population.units) for effects in (effects_a, effects_b))
    spread_a, spread_b = _spread(place_a, len(effects_a)), _spread(place_b, len(effects_b))
    value = _take(effects_a.value, place_a) - _take(effects_b.value, place_b)
    size = np.where(place_a >= 0, _take(effects_a.size, place_a), _take(effects_b.size, place_b))
    influence_a = _on_units(effects_a.influence.combine(spread_a), rows_a, len(units))
    influence_b = _on_units(effects_b.influence.combine(-spread_b), rows_b, len(units))
    found = Effects(
        cells=_describe(effects_a, effects_b, place_a, place_b, labels),
        value=value,
        influence=influence_a.plus(influence_b),
        population=_join_populations(effects_a.population, effects_b.population, units),
        size=size,
        method=f"{effects_a.method} - {effects_b.method}",
        estimand=_say(effects_a, effects_b, len(units)),
        scale=effects_a.scale,
        convention=_join_conventions(effects_a.convention, effects_b.convention),
        aggregation="estimated" if _averaged_alike(effects_a, effects_b, place_a, place_b) else "fixed",
        contrasts=_subtract_contrasts(effects_a, effects_b, spread_a, spread_b),
        derivation=Derivation((effects_a, effects_b), (spread_a, spread_b), subtracted(spread_a, spread_b)),
    )
    if effects_a.refit is None or effects_b.refit is None:
        return found
    # Selecting all cells makes the refitted twin keep the cells and their order.
    every_a, every_b = (effects.select(np.ones(len(effects), dtype=bool)) for effects in (effects_a, effects_b))

    def refit(keep: NDArray[np.bool_]) -> Effects:
        return difference(_without(every_a, keep[rows_a]), _without(every_b, keep[rows_b]))

    return replace(found, refit=refit).select(np.ones(len(found), dtype=bool))


def _subtract_contrasts(one: Effects, other: Effects, spread_a: Floats, spread_b: Floats) -> Contrasts | None:
    """Return the regression behind both, if it is the same on the same units."""
    if one.contrasts is None or other.contrasts is None or not one.population.units.equals(other.population.units):
        return None
    return one.contrasts.combine(spread_a).minus(other.contrasts.combine(spread_b))


def _without(effects: Effects, keep: NDArray[np.bool_]) -> Effects:
    return effects if keep.all() or effects.refit is None else effects.refit(keep)


def _unlike_samples(one: Effects, other: Effects) -> list[str]:
    """Return what makes the two samples incomparable."""
    faults = []
    if one.scale != other.scale:
        faults.append(
            f"the first is in the scale {one.scale!r}, the second in {other.scale!r}; estimate both on one scale"
        )
    first, second = one.population, other.population
    shared = first.units.intersection(second.units)
    if not len(shared) and len(pd.Index(first.units.map(str)).intersection(pd.Index(second.units.map(str)))):
        faults.append(
            f"the unit labels are of another type (for example {first.units.tolist()[0]!r} and {second.units.tolist()[0]!r}); effects read "
            "from a file have labels that are text: compare two read from files, or two estimated here"
        )
    labels_a, labels_b = _cluster_labels(first).reindex(shared), _cluster_labels(second).reindex(shared)
    moved = shared[(labels_a.to_numpy() != labels_b.to_numpy())]
    if len(moved):
        unit = moved[0]
        faults.append(
            f"{counted(len(moved), 'unit is', 'units are')} in other clusters, for example {unit} in {labels_a[unit]} and in {labels_b[unit]}; "
            "diagnose both with the same cluster"
        )
    return faults


def _unlike_cells(one: Effects, other: Effects, keys: list[str]) -> list[str]:
    """Return why the cells of the two cannot be matched."""
    advice = "aggregate both in the same way, for example with aggregate('overall') or aggregate('event_time')"
    own = [[key for key in CELL_KEYS if key in effects.cells] for effects in (one, other)]
    if not keys:
        if own == [[], []] and len(one) == len(other):
            return []
        shown = "; ".join(
            f"{counted(len(effects), 'cell')} by {', '.join(held) or 'nothing'}"
            for effects, held in zip((one, other), own, strict=True)
        )
        return [f"the cells have no label in common ({shown}); {advice}"]
    return [
        f"{', '.join(keys)} does not tell the cells of the {which} set apart; {advice}"
        for which, effects in (("first", one), ("second", other))
        if effects.cells.duplicated(keys).any()
    ]


def _match_cells(
    one: pd.DataFrame, other: pd.DataFrame, keys: list[str]
) -> tuple[NDArray[np.intp], NDArray[np.intp], pd.DataFrame]:
    """Return the position of every label in both sets (-1 = absent) and the labels, sorted."""
    if not keys:
        every = np.arange(len(one))
        return every, every, pd.DataFrame(index=range(len(one)))
    labels = pd.concat([one[keys], other[keys]]).drop_duplicates().sort_values(keys, ignore_index=True)
    wanted = pd.MultiIndex.from_frame(labels)
    place_a, place_b = (pd.MultiIndex.from_frame(cells[keys]).get_indexer(wanted) for cells in (one, other))
    return place_a, place_b, labels


def _spread(place: NDArray[np.intp], n_cells: int) -> Floats:
    """Write positions as a (cells, matched cells) matrix of zeros and ones."""
    matrix = np.zeros((n_cells, len(place)))
    found = np.flatnonzero(place >= 0)
    matrix[place[found], found] = 1.0
    return matrix


def _take(values: Floats, place: NDArray[np.intp]) -> Floats:
    return np.where(place >= 0, values[place], np.nan)


def _on_units(influence: Influence, rows: NDArray[np.intp], n_units: int) -> Influence:
    """Write the rows of an influence in a larger set of units."""
    if n_units == influence.n_units and (rows == np.arange(n_units)).all():
        return influence
    blocks = tuple(replace(block, rows=rows[block.rows]) for block in influence.blocks)
    return Influence(n_units, influence.n_cells, blocks)


def _describe(
    one: Effects, other: Effects, place_a: NDArray[np.intp], place_b: NDArray[np.intp], labels: pd.DataFrame
) -> pd.DataFrame:
    counts = {
        name: np.where(
            (place_a >= 0) & (place_b >= 0),
            np.minimum(one.cells[name].to_numpy()[place_a], other.cells[name].to_numpy()[place_b]),
            0,
        ).astype(np.int64)
        for name in ("n_treated", "n_comparison", TREATED_CLUSTERS)
    }
    reasons = [_reasons(effects, place) for effects, place in ((one, place_a), (other, place_b))]
    both = [join_texts(pair) for pair in zip(*reasons, strict=True)]
    return labels.assign(**counts, reason=both)


def _reasons(effects: Effects, place: NDArray[np.intp]) -> list[str]:
    own = effects.cells["reason"].to_numpy(dtype=object)
    return [
        f"{effects.method}: {own[k]}" * bool(own[k]) if k >= 0 else f"no such cell in {effects.method}" for k in place
    ]


def _cluster_labels(population: Population) -> pd.Series:
    return pd.Series(population.clusters[population.cluster], index=population.units)


def _join_populations(one: Population, other: Population, units: pd.Index) -> Population:
    """Join the units of both; what is known of a unit from the first goes before."""
    if len(units) == len(one.units):
        return one
    more = ~other.units.isin(one.units)
    labels = pd.concat([_cluster_labels(one), _cluster_labels(other)[more]])
    codes, clusters = pd.factorize(labels, sort=True)
    return Population(
        units=units,
        cohort=np.concatenate([one.cohort, other.cohort[more]]),
        weight=np.concatenate([one.weight, other.weight[more]]),
        cluster=codes.astype(np.int64),
        clusters=pd.Index(clusters),
        periods=one.periods,
        clock=one.clock,
    )


def _join_conventions(one: Convention, other: Convention) -> Convention:
    """Take the more careful of two conventions where they differ; a factor only where both have one."""
    if one == other:
        return one
    regressions = one.correction == other.correction == "regression"
    return Convention(
        correction="regression" if regressions else "none",
        distribution="t" if "t" in (one.distribution, other.distribution) else "normal",
        observations=min(one.observations, other.observations) if regressions else 0,
        parameters=max(one.parameters, other.parameters) if regressions else 0,
        caution=join_texts((one.caution, other.caution)),
        remark=join_texts((one.remark, other.remark)),
        magnitude=max(one.magnitude, other.magnitude),
    )


def _averaged_alike(one: Effects, other: Effects, place_a: NDArray[np.intp], place_b: NDArray[np.intp]) -> bool:
    """Return whether averages of the difference are the differences of the averages, estimated cohort sizes included."""
    if one.aggregation != "estimated" or other.aggregation != "estimated":
        return False
    first, second = one.population, other.population
    alike = first.units.equals(second.units) and np.array_equal(first.cohort, second.cohort, equal_nan=True)
    both = (place_a >= 0) & (place_b >= 0)
    return bool(alike and both.all() and np.allclose(one.size[place_a], other.size[place_b], rtol=SAME))


def _say(one: Effects, other: Effects, total: int) -> str:
    first, second = len(one.population.units), len(other.population.units)
    shared = first + second - total
    units = f"{total} units in both samples"
    if shared < max(first, second):
        units = (
            f"{shared} units in both samples, {first - shared} only in the first, {second - shared} only in the second"
        )
    return f"difference: {one.estimand} ({one.method}) minus {other.estimand} ({other.method}); {units}"
