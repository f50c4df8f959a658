"""What functions of inference take in common, checked in one way."""

from __future__ import annotations

import numpy as np

from evalaid.base.errors import InferenceError
from evalaid.did.effects.effects import Effects


def check_options(*, level: object = 0.95, draws: object = 999, seed: object = 1) -> None:
    """Refuse a coverage, a number of draws or a seed that is none."""
    if faults := option_faults(level=level, draws=draws, seed=seed):
        raise InferenceError("; ".join(faults) + ".")


def option_faults(*, level: object = 0.95, draws: object = 999, seed: object = 1) -> list[str]:
    """Return what is wrong with them.

    Examples
    --------
    >>> option_faults(level=95, draws=9999)
    ['level=95 found; a coverage between 0 and 1 is expected, for example 0.95']
    """
    faults = []
    if isinstance(level, bool) or not isinstance(level, int | float | np.number) or not 0 < level < 1:
        faults.append(f"level={level!r} found; a coverage between 0 and 1 is expected, for example 0.95")
    if not _whole(draws) or draws < 1:  # type: ignore[operator]
        faults.append(f"draws={draws!r} found; a positive number of draws is expected (9999 is usual)")
    if not isinstance(seed, np.random.Generator) and (not _whole(seed) or seed < 0):  # type: ignore[operator]
        faults.append(f"seed={seed!r} found; an integer that is not negative, or a numpy Generator, is expected")
    return faults


def check_effects(effects: object) -> None:
    """Refuse what is no Effects, such as a table of estimates or a design."""
    if not isinstance(effects, Effects):
        raise InferenceError(
            f"{type(effects).__name__} found where Effects are expected: what evalaid.estimate returns, or an aggregate of it; a table "
            "of estimates no longer carries what errors are made of."
        )


def _whole(value: object) -> bool:
    return isinstance(value, int | np.integer) and not isinstance(value, bool)
