"""The figures behind the simulated panels, published and assumed: one YAML file of ``figures/`` per group of programmes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

import pandas as pd
import yaml

from evalaid.simulate.target import Target, hold_against


@dataclass(frozen=True)
class ProgrammeFigures:
    """What is published on a group of programmes, what is assumed, and what a reader of a panel has to know."""

    published: Mapping[str, Mapping[str, Any]]
    assumed: Mapping[str, Any]
    notes: Mapping[str, tuple[str, ...]]
    programme: Mapping[str, Any]
    codes: Mapping[str, str]

    def value(self, key: str) -> Any:
        """Return one published figure."""
        return self.published[key]["value"]

    def fraction(self, key: str) -> float:
        """Return a published percentage as a fraction, rounded so that 80.1 is 0.801 to the last digit."""
        return round(self.value(key) / 100, 6)

    def compare(self, simulated: Mapping[str, float]) -> pd.DataFrame:
        """Return the calibration of a panel: published against simulated figures, in the order given."""
        names = ("unit", "tolerance", "facts")
        return hold_against(
            Target(name=self.published[key]["target"], published=self.value(key), simulated=value,
                   **{name: self.published[key][name] for name in names})
            for key, value in simulated.items()
        )  # fmt: skip


def read_document(name: str) -> Any:
    """Read one YAML file of ``figures/``."""
    return yaml.safe_load((files(__package__) / "figures" / f"{name}.yaml").read_text(encoding="utf-8"))


@cache
def read_figures(name: str) -> ProgrammeFigures:
    """Read the figures of a group of programmes."""
    document = read_document(name)
    notes = {panel: tuple(sentences) for panel, sentences in document["notes"].items()}
    return ProgrammeFigures(
        document["published"], document["assumed"], notes, document.get("programme", {}), document.get("codes", {})
    )
