"""The registry of generators: the name that a study's file gives, and the function behind it."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from difflib import get_close_matches
from typing import Any

from evalaid.base.errors import SimulationError
from evalaid.simulate.county import Background
from evalaid.simulate.guangdong import simulate_guangdong
from evalaid.simulate.hospitals import shanghai_departments, tibet, xinjiang
from evalaid.simulate.later import liannan, second_round, ten_thousand_doctors
from evalaid.simulate.poor import national_pairing, zhejiang_guizhou
from evalaid.simulate.simulated_panel import SimulatedPanel
from evalaid.simulate.single import xinyi, yangxi

GENERATORS: dict[str, Callable[..., SimulatedPanel]] = {
    "guangdong": simulate_guangdong,
    "second_round": second_round,
    "ten_thousand_doctors": ten_thousand_doctors,
    "national_pairing": national_pairing,
    "zhejiang_guizhou": zhejiang_guizhou,
    "tibet": tibet,
    "xinjiang": xinjiang,
    "shanghai_departments": shanghai_departments,
    "liannan": liannan,
    "yangxi": yangxi,
    "xinyi": xinyi,
}


def simulate(generator: str, **parameters: Any) -> SimulatedPanel:
    """Make a simulated panel by the name of its generator.

    Assumes nothing: the assumptions are those of the generator.

    Examples
    --------
    >>> simulate("xinjiang", effect_pp=4.0, seed=1)
    <SimulatedPanel xinjiang: 180 rows, 20 units, simulated>
    """
    if generator not in GENERATORS:
        close = get_close_matches(str(generator), GENERATORS, n=1)
        hint = f" Did you mean {close[0]!r}?" if close else ""
        raise SimulationError(f"No generator {generator!r}; there are {', '.join(GENERATORS)}.{hint}")
    known = _parameters_of(generator)
    for name in parameters:
        if name not in known:
            close = get_close_matches(name, known, n=1)
            hint = f" (did you mean {close[0]!r}?)" if close else ""
            raise SimulationError(f"{generator}: unknown parameter {name!r}{hint}; there are {', '.join(known)}.")
    return GENERATORS[generator](**parameters)


def _parameters_of(generator: str) -> list[str]:
    listed = inspect.signature(GENERATORS[generator]).parameters.values()
    named = [item.name for item in listed if item.kind is not inspect.Parameter.VAR_KEYWORD]
    return named if len(named) == len(listed) else [*named, *Background().to_dict()]
