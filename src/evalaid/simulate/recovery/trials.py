"""The trials of every generator: the methods, options and periods that its design may be estimated with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from evalaid.base.errors import SimulationError
from evalaid.did.estimators.estimation import find_method
from evalaid.simulate.generators import GENERATORS


@dataclass(frozen=True)
class Trial:
    """One way to estimate a design's overall effect.

    Parameters
    ----------
    name : str
        What a table calls it.
    method : str
        Registered name.
    options : mapping
        Options of the method.
    covariates : tuple of str, optional
        Covariates of the design; None = those that the panel names, if any.
    last_period : int or str, optional
        Last period used; units that start later are then never treated within the panel.
    """

    name: str
    method: str
    options: Mapping[str, Any] = field(default_factory=dict)
    covariates: tuple[str, ...] | None = None
    last_period: int | str | None = None


def _trials(names: Sequence[str], **common: Any) -> tuple[Trial, ...]:
    return tuple(Trial(name, name, **common) for name in names)


_PLAIN = ("two_by_two", "twfe", "event_study", "callaway_santanna", "imputation")
_SYNTHETIC = ("synthetic_did", "synthetic_control")
_BEFORE = "2019Q4"  # from 2020Q1 on every county of the roll-out is treated
_CONCURRENT = ("new_building", "tight_community")
_HISTORY = ("poverty", "share_2013")
TRIALS: dict[str, tuple[Trial, ...]] = {
    "guangdong": (
        *_trials((*_PLAIN, *_SYNTHETIC), last_period=_BEFORE),
        Trial("imputation, other programmes held fixed", "imputation", {}, _CONCURRENT, _BEFORE),
        Trial("twfe, all quarters", "twfe"),
        Trial("callaway_santanna, all quarters", "callaway_santanna"),
    ),
    "second_round": _trials((*_PLAIN, *_SYNTHETIC)),
    "ten_thousand_doctors": (  # counties without a dose are few and near the ceiling: their season is smaller, too
        *_trials(_PLAIN),
        Trial("dose, average level", "dose", {}, ("dose",)),
        Trial("dose, against the lowest dose", "dose", {"comparison": "lowest_dose", "base": "mean"}, ("dose",)),
    ),
    "national_pairing": (
        *_trials(_PLAIN, covariates=()),
        Trial("twfe, poverty and history", "twfe", {}, _HISTORY),
        Trial("callaway_santanna, poverty and history", "callaway_santanna", {}, _HISTORY),
        Trial("callaway_santanna, regression on both", "callaway_santanna", {"adjustment": "regression"}, _HISTORY),
    ),
    "zhejiang_guizhou": (
        *_trials((*_PLAIN, *_SYNTHETIC)),
        Trial("callaway_santanna, poverty", "callaway_santanna", {}, ("poverty",)),
    ),
    "tibet": _trials(("two_by_two", "callaway_santanna", "imputation", "synthetic_did")),
    "xinjiang": _trials((*_PLAIN, *_SYNTHETIC)),
    "shanghai_departments": _trials((*_PLAIN, *_SYNTHETIC)),
    "liannan": _trials(("callaway_santanna", *_SYNTHETIC), last_period=_BEFORE),
    "yangxi": _trials(("callaway_santanna", *_SYNTHETIC)),
    "xinyi": _trials(("callaway_santanna", *_SYNTHETIC)),
}
"""The trials of every generator, with options that fit its design."""


def choose_trials(generator: str, methods: Sequence[str | Trial] | None) -> tuple[Trial, ...]:
    """Return the trials of a generator, all or the named ones.

    Assumes that a registered method without a trial of its own runs with its default options.

    Examples
    --------
    >>> choose_trials("tibet", ["twfe"])[0].method
    'twfe'
    """
    if generator not in GENERATORS:
        raise SimulationError(f"No generator {generator!r}; there are {', '.join(GENERATORS)}.")
    known = {trial.name: trial for trial in TRIALS[generator]}
    if methods is None:
        return tuple(known.values())
    trials = []
    for item in (methods,) if isinstance(methods, str) else methods:
        if isinstance(item, Trial):
            trials.append(item)
        elif item in known:
            trials.append(known[item])
        else:
            trials.append(Trial(item, find_method(item).name))
    return tuple(trials)
