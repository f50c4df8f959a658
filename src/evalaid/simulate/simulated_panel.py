"""The result of every generator: a panel, the effect that is in it, and how close it comes to what was published."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from evalaid.base.errors import SimulationError

LABEL = "simulated"
"""Stands in every file name; tables and figures made from these panels must show it, too."""


@dataclass(frozen=True, eq=False)
class SimulatedPanel:
    """A simulated panel with its true effect.

    Parameters
    ----------
    generator : str
        Name in `evalaid.simulate.generators.GENERATORS`.
    frame : pandas.DataFrame
        One row for each unit and period; ``true_effect`` is the programme's own effect on the outcome of that row, in the
        outcome's unit (fractions for shares).
    truth : pandas.DataFrame
        Averages of ``true_effect`` (see `evalaid.simulate.truth.summarise_truth`).
    parameters : mapping
        Everything that the generator needs to make the panel again, the seed included:
        ``simulate(generator, **parameters)`` gives the same frame.
    calibration : pandas.DataFrame
        One row for each published figure that the panel reproduces (see `evalaid.simulate.target.hold_against`).
    roles : mapping
        Arguments of `evalaid.diagnose` that name the panel's columns.
    notes : tuple of str
        What is assumed, and what this panel cannot show.
    solved : mapping
        Quantities that the published figures implied, for example how large the county shocks had to be.
    label : str
        ``"simulated"``.

    Examples
    --------
    >>> from evalaid.simulate.generators import simulate
    >>> panel = simulate("xinjiang", effect_pp=5.0, seed=1)
    >>> panel.label
    'simulated'
    """

    generator: str
    frame: pd.DataFrame
    truth: pd.DataFrame
    parameters: Mapping[str, Any]
    calibration: pd.DataFrame
    roles: Mapping[str, Any]
    notes: tuple[str, ...] = ()
    solved: Mapping[str, float] = field(default_factory=dict)
    label: str = LABEL

    def __repr__(self) -> str:
        units = self.frame[self.roles["unit"]].nunique()
        return f"<SimulatedPanel {self.generator}: {len(self.frame):,} rows, {units:,} units, {LABEL}>"

    def write(self, folder: Path | str) -> tuple[Path, ...]:
        """Write the panel, its truth, its calibration and its parameters to a folder."""
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        stem = f"{LABEL}_{self.generator}"
        paths = []
        for name, table in (("panel", self.frame), ("truth", self.truth), ("calibration", self.calibration)):
            path = folder / f"{stem}_{name}.csv"
            table.assign(data_kind=LABEL).to_csv(path, index=False, lineterminator="\n")
            paths.append(path)
        document = {
            "data_kind": LABEL,
            "generator": self.generator,
            "parameters": dict(self.parameters),
            "roles": dict(self.roles),
            "notes": list(self.notes),
            "solved": dict(self.solved),
            "truth": json.loads(self.truth.to_json(orient="records")),
        }
        path = folder / f"{stem}_parameters.json"
        text = json.dumps(document, indent=1, sort_keys=True, ensure_ascii=False, default=_plain)
        path.write_text(text + "\n", encoding="utf-8", newline="\n")
        return (*paths, path)


def check_seed(seed: object) -> int:
    """Check a seed: a whole number, 0 or more."""
    if isinstance(seed, bool) or not isinstance(seed, (int, np.integer)) or seed < 0:
        raise SimulationError(f"Found seed={seed!r}; expected a whole number, 0 or more, so that it can be recorded.")
    return int(seed)


def generator_of(seed: int) -> np.random.Generator:
    """Make the random generator of a seed (PCG64, named so that a change of numpy's default changes nothing)."""
    return np.random.Generator(np.random.PCG64(seed))


def check_number(name: str, value: object, low: float, high: float) -> float:
    """Check a finite number within limits."""
    fits = isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool)
    if not fits or not low <= float(value) <= high:  # type: ignore[arg-type]
        raise SimulationError(f"Found {name}={value!r}; expected a number from {low:g} to {high:g}.")
    return float(value)  # type: ignore[arg-type]


def check_choice(name: str, value: object, choices: tuple[str, ...]) -> str:
    """Check that a value is one of a few words."""
    if value not in choices:
        raise SimulationError(f"Found {name}={value!r}; expected one of {', '.join(map(repr, choices))}.")
    return str(value)


def _plain(value: Any) -> Any:
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, Mapping):
        return dict(value)
    return list(value)
