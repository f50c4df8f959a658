"""Spillovers: do neighbours of treated units gain or lose, and does the estimate depend on them?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from evalaid.base.errors import DesignError
from evalaid.base.texts import counted, join_texts, noun
from evalaid.did.effects.effects import Effects
from evalaid.did.effects.notebook_view import NotebookView
from evalaid.did.panel.design import Design, check_design
from evalaid.did.panel.matrices import mask, reassign
from evalaid.did.sensitivity.sample.exposure import CATEGORIES, Exposure, map_exposure
from evalaid.did.sensitivity.sample.variants import Variant, estimate_variant, no_estimate, say_row, why_not_by_unit

Floats = NDArray[np.float64]
Kind = Literal["neighbours", "donut", "exposure"]

ALL, DONUT = "all comparison units", "without exposed comparison units"
WIDER = "without any unit exposed before its own start"


@dataclass(frozen=True)
class Spillover(NotebookView):
    """Estimates that look at the neighbours of treated units.

    Parameters
    ----------
    kind, method : str
        As asked for.
    table : pandas.DataFrame
        One row per estimate: ``sample`` and the columns of `evalaid.infer`. For ``neighbours`` and ``exposure`` the sample is a
        category of `evalaid.did.sensitivity.sample.exposure.CATEGORIES`, each against what is neither treated nor exposed; for
        ``donut`` "all comparison units", "without exposed comparison units" and, where units that are treated later are
        exposed before, "without any unit exposed before its own start", the latter two with ``change`` and
        ``change_std_error``. Where nothing can be estimated, ``note`` has the reason.
    exposure : pandas.DataFrame
        Units by ``period``, ``category`` with ``n_units`` and ``treated_neighbours`` (mean share of a unit's neighbours).
    units : pandas.DataFrame
        By ``unit``: ``neighbours`` (known ones), ``cohort`` and ``exposed_since`` (ordinals), ``largest_share`` of treated
        neighbours.
    effects : mapping of str to Effects
        The cells behind each row, for event studies.
    notes : tuple of str
        What was left out of the neighbourhoods.
    """

    kind: str
    method: str
    table: pd.DataFrame
    exposure: pd.DataFrame
    units: pd.DataFrame
    effects: Mapping[str, Effects]
    notes: tuple[str, ...]

    def text(self) -> str:
        """Describe it in a few sentences, in the scale of the outcome."""
        said = [say_row(row, CATEGORIES.get(row["sample"], row["sample"])) for row in self.table.to_dict("records")]
        return " ".join([*said, *(f"{note[0].upper()}{note[1:]}." for note in self.notes)])


def spillover(
    design: Design,
    method: str,
    *,
    adjacency: pd.DataFrame | None = None,
    groups: pd.Series | None = None,
    elsewhere: pd.Series | None = None,
    kind: Kind = "neighbours",
    level: float = 0.95,
    **options: Any,
) -> Spillover:
    """Estimate effects on neighbours, or the effect without them, or effects by exposure.

    ``neighbours``: units are taken as treated from the period in which a neighbour first is, until they are treated
    themselves, and compared with untreated units that have no treated neighbour. ``donut``: the effect with the exposed
    never-treated units left out of the comparison, and its change; units that are treated later serve as comparison, too, and
    are left out as well in a further row, which takes their own effects with them. ``exposure``: effects of own treatment alone, of
    neighbours' treatment alone and of both, each against neither. Assumes that exposure is what the list of neighbours says:
    nothing reaches a unit that has no treated neighbour.

    Parameters
    ----------
    design : Design
        The true design.
    method : str
        A registered method whose cells can be averaged; ``options`` are passed on. Observations under another exposure are
        left out, so the method must take an unbalanced panel where exposure changes within the panel.
    adjacency : pandas.DataFrame, optional
        Pairs of neighbours in ``unit`` and ``neighbour``, each once or in both directions.
    groups : pandas.Series, optional
        Instead: a label by unit, such as the supporting hospital; units that share it are neighbours.
    elsewhere : pandas.Series, optional
        Ordinal of the start by unit, of units outside the design that neighbours or groups may name.
    kind : {"neighbours", "donut", "exposure"}
    level : float
        Of the intervals.

    Returns
    -------
    Spillover

    Raises
    ------
    DesignError
        For an unknown kind, or neighbours that cannot be read.

    Notes
    -----
    Butts (2021), arXiv:2105.03737, section 2, for the two biases (exposed comparison units; exposed treated units); Aronow and
    Samii (2017), doi:10.1214/16-AOAS1005, for exposure mappings. An observation counts as "both" from the later of the two
    starts on, the periods between them are left out; methods that compare with the last period before alone then lose units
    whose two starts differ, those that use all earlier periods keep them.

    Examples
    --------
    >>> import evalaid as ea
    >>> frame = pd.DataFrame({
    ...     "county": np.repeat([*"abcdef"], 4), "year": [2018, 2019, 2020, 2021] * 6,
    ...     "number": [1, 1, 5, 5, 2, 2, 6, 6, 1, 1, 0, 0, 3, 3, 2, 2, 4, 4, 4, 4, 5, 5, 5, 5.],
    ...     "start": np.repeat([2020, 2020, np.nan, np.nan, np.nan, np.nan], 4),
    ... })
    >>> design = ea.diagnose(frame, "county", "year", "number", "start")
    >>> pairs = pd.DataFrame({"unit": ["a", "b"], "neighbour": ["c", "d"]})
    >>> spillover(design, "imputation", adjacency=pairs).table["estimate"].round(9).tolist()
    [-1.0]
    >>> spillover(design, "imputation", adjacency=pairs, kind="donut").table["estimate"].round(9).tolist()
    [4.5, 4.0]
    """
    check_design(design)
    if kind not in get_args(Kind):
        raise DesignError(f"kind={kind!r} is not a choice; choose {', '.join(get_args(Kind))}.")
    exposure = map_exposure(design, adjacency, groups, elsewhere)
    matrices = design.matrices
    variants = (
        _donut(design, method, options, level, exposure)
        if kind == "donut"
        else {
            name: _by_category(name, design, method, options, level, exposure)
            for name in (("indirect",) if kind == "neighbours" else ("direct", "indirect", "both"))
        }
    )
    units = pd.DataFrame({
        "unit": matrices.units,
        "neighbours": exposure.degree.astype(np.int64),
        "cohort": matrices.cohort,
        "exposed_since": exposure.since,
        "largest_share": exposure.count.max(axis=1) / np.maximum(exposure.degree, 1),
    }).astype({"cohort": "Int64", "exposed_since": "Int64"})  # fmt: skip
    return Spillover(
        kind=kind,
        method=method,
        table=pd.concat([variant.row for variant in variants.values()], ignore_index=True),
        exposure=exposure.by_period(matrices),
        units=units,
        effects={name: variant.effects for name, variant in variants.items() if variant.effects is not None},
        notes=exposure.notes,
    )


def _donut(
    design: Design, method: str, options: dict[str, Any], level: float, exposure: Exposure
) -> dict[str, Variant]:
    """Leave out never-treated units that have a treated neighbour within the panel or before."""
    matrices = design.matrices
    never = np.isnan(matrices.cohort)
    exposed = exposure.since <= matrices.periods[-1]
    whole = estimate_variant(design, method, options, level, ALL)
    left_out = never & exposed
    waiting = ~never & (exposure.since < matrices.cohort)
    n_waiting = int(waiting.sum())
    said = f"{int(left_out.sum())} of {int(never.sum())} never-treated units left out"
    stay = noun(n_waiting, "stays", "stay")
    also = f"{counted(n_waiting, 'unit')} treated later and exposed before {stay}" if n_waiting else ""
    main = None if whole.effects is None else whole.effects.aggregate("overall")

    def leave_out(units: NDArray[np.bool_], sample: str, note: str) -> Variant:
        return estimate_variant(design.subset(~units), method, options, level, sample, note, main)

    found = {ALL: whole, DONUT: no_estimate(DONUT, join_texts(("no never-treated unit has a treated neighbour", also)))}
    if left_out.any():
        found[DONUT] = leave_out(left_out, DONUT, join_texts((said, also)))
    if (~never & ~waiting).any() and waiting.any():
        too = f"{n_waiting} of {int((~never).sum())} treated units left out, with their own effects"
        found[WIDER] = leave_out(left_out | waiting, WIDER, join_texts((said if left_out.any() else "", too)))
    return found


def _by_category(
    name: str, design: Design, method: str, options: dict[str, Any], level: float, exposure: Exposure
) -> Variant:
    """Compare the observations of one category with those of neither, each unit before and after it enters."""
    matrices = design.matrices
    own = np.where(np.isnan(matrices.cohort), np.inf, matrices.cohort)
    reacts = matrices.unit_reaction(design.anticipation)
    since = np.where(np.isnan(exposure.since), np.inf, exposure.since)
    periods = matrices.periods
    clean = periods < np.minimum(reacts, since)[:, None]
    enters, inside = {
        "indirect": (
            np.where(since < reacts, since, np.inf),
            (periods >= since[:, None]) & (periods < reacts[:, None]),
        ),
        "direct": (np.where(own < since, own, np.inf), (periods >= own[:, None]) & (periods < since[:, None])),
        "both": (np.maximum(own, since), periods >= np.maximum(own, since)[:, None]),
    }[name]
    kept = clean | inside
    before = clean.any(axis=1) if matrices.observed is None else (clean & matrices.observed).any(axis=1)
    entered = np.isfinite(enters) & (enters <= periods[-1]) & before
    words = CATEGORIES[name]
    if not entered.any():
        return no_estimate(name, f"{words}: no unit is seen both before and in it")
    if reason := why_not_by_unit(method):
        return no_estimate(name, f"{words}: {reason}")
    pretended = pd.Series(np.where(entered, enters, np.nan), index=matrices.units)
    cut = mask(matrices, kept & before[:, None])
    cut = reassign(cut, pretended.reindex(cut.units).to_numpy())
    changed = replace(design, matrices=cut, anticipation=0)
    lost = int((~before).sum())
    note = join_texts(
        (
            f"{words} ({counted(int(entered.sum()), 'unit')})",
            f"{counted(lost, 'unit')} exposed or treated from the first period on left out" if lost else "",
        )
    )
    return estimate_variant(changed, method, options, level, name, note)
