"""Recovery over many panels takes hours, so its table is kept as data, with the seed and a hash of what it was made from.

``python -m evalaid.report.questions.kept_recovery STUDY ...`` draws the panels of studies again and writes their tables.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pandas as pd

from evalaid.base.effect_columns import ESTIMATE, STD_ERROR
from evalaid.base.project import project_root
from evalaid.simulate.recovery.draws import estimate_draws, summarise_draws
from evalaid.study.entries import RecoveryEntry
from evalaid.study.manifest import hash_value, short
from evalaid.study.spec import RECOVERY_FILE, StudySpec

DRAWS = 40
MADE_FROM = "made_from"


def made_from(spec: StudySpec) -> str:
    """Return a hash of all that decides a table of recovery: generator, parameters, methods, draws, seed and level."""
    generator, methods, draws, seed, parameters, level = _arguments(spec)
    listed = None if methods is None else list(methods)
    return short(hash_value([generator, listed, draws, seed, {k: parameters[k] for k in sorted(parameters)}, level]))


def read_kept(spec: StudySpec) -> pd.DataFrame | None:
    """Read the table that is kept for a study; None when there is none, or when it was made from something else."""
    table = _read_all()
    own = table[table["study"] == spec.study]
    if set(own[MADE_FROM]) != {made_from(spec)}:
        return None
    return own.drop(columns=["study", MADE_FROM]).reset_index(drop=True)


def draw_recovery(spec: StudySpec) -> pd.DataFrame:
    """Draw panels of a study's programme again and again, estimate on each, and summarise by trial."""
    generator, methods, draws, seed, parameters, level = _arguments(spec)
    found = estimate_draws(generator, methods, draws, seed, parameters=parameters, level=level)
    return summarise_draws(found, generator, level)


def keep(spec: StudySpec, table: pd.DataFrame) -> Path:
    """Write the table of a study, one row per trial, among those of the others."""
    path, kept = project_root() / RECOVERY_FILE, _read_all()
    own = table.assign(seed=_arguments(spec)[3], **{MADE_FROM: made_from(spec)})
    own.insert(0, "study", spec.study)
    parts = [part for part in (kept[kept["study"] != spec.study], own) if len(part)]
    whole = pd.concat(parts, ignore_index=True).sort_values("study", kind="stable")
    whole.to_csv(path, index=False, lineterminator="\n", float_format="%.12g")
    return path


def _read_all() -> pd.DataFrame:
    path = project_root() / RECOVERY_FILE
    if not path.is_file():
        return pd.DataFrame(columns=["study", MADE_FROM])
    return pd.read_csv(path, keep_default_na=False, na_values={name: [""] for name in _NUMBERS})


_NUMBERS = ("truth", ESTIMATE, "bias", "bias_error", "sd", "rmse", STD_ERROR, "coverage", "rejects_zero", "refused")


def _arguments(spec: StudySpec) -> tuple[str, tuple[str, ...] | None, int, int, dict[str, object], float]:
    entry = spec.recovery or RecoveryEntry()
    parameters = {name: value for name, value in spec.simulation.items() if name not in {"generator", "seed"}}
    seed = spec.seed if entry.seed is None else entry.seed
    return str(spec.simulation["generator"]), entry.methods, entry.draws or DRAWS, seed, parameters, spec.level


if __name__ == "__main__":
    for name in sys.argv[1:]:
        keep(StudySpec(study=name), draw_recovery(StudySpec(study=name)))
