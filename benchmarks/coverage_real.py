"""The default interval on the designs of the studies on real data, with residuals of their own untreated units.

Units, clusters, starts, gaps and levels are those of the study; every cluster gets the residual path of a never-treated cluster, drawn
with replacement and a random sign. All these intervals move with the effect, so that coverage at no effect is coverage at any.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pandas as pd

import evalaid as ea
from evalaid.did.sensitivity.power.process import untreated_paths
from evalaid.did.sensitivity.power.residuals import residual_source
from evalaid.study.sample import load_design

STUDIES = ("korea_responsible_hospitals", "korea_obstetrics", "korea_satellites")
NAMES = {"main": "Callaway-Sant'Anna, as in the study", "twfe": "two-way fixed effects"}
INTERVALS = {"default": "auto", "CR1, t(G - 1)": "CR1"}
PANELS, SEED, LEVEL, NORMAL = 500, 20_261_128, 0.95, 2 * 1.959964


def panels(design: ea.Design, count: int) -> Iterator[ea.Design]:
    """Draw panels without an effect on a design."""
    matrices = design.matrices
    expected, _ = untreated_paths(matrices, design.anticipation)
    draw, _ = residual_source(design, "paths")
    rng = np.random.default_rng(SEED)
    for _ in range(count):
        outcome = expected + draw(rng)
        if matrices.observed is not None:
            outcome = np.where(matrices.observed, outcome, 0.0)
        yield replace(design, matrices=replace(matrices, outcome=outcome))


def simulate(study: str, count: int = PANELS) -> pd.DataFrame:
    """Return one row per estimator and interval: how many of the intervals hold zero, and their median length."""
    spec = ea.StudySpec(study=study)
    design = load_design(spec)
    entry = spec.methods[spec.main]
    tries = {"main": (entry.method, dict(entry.options)), "twfe": ("twfe", {})}
    found: dict[tuple[str, str], list[tuple[float, float, float]]] = {}
    for panel in panels(design, count):
        for name, (method, options) in tries.items():
            overall = ea.estimate(panel, method, **options).aggregate("overall")
            for interval, vcov in INTERVALS.items():
                row = ea.infer(overall, vcov=vcov, level=LEVEL).iloc[0]
                found.setdefault((name, interval), []).append((row["estimate"], row["conf_low"], row["conf_high"]))
    matrices = design.matrices
    treated = ~np.isnan(matrices.cohort)
    rows = []
    for (name, interval), values in found.items():
        estimate, low, high = np.array(values, dtype=float).T
        known = ~np.isnan(low)
        rows.append({
            "study": study, "n_units": matrices.n_units, "n_clusters": matrices.n_clusters,
            "treated_clusters": len(np.unique(matrices.cluster[treated])), "estimator": name, "interval": interval,
            "panels": count, "intervals": int(known.sum()),
            "held": int(((low <= 0) & (high >= 0))[known].sum()),
            "length": float(np.median((high - low)[known]) / (NORMAL * estimate.std(ddof=1))), "seed": SEED,
        })  # fmt: skip
    return pd.DataFrame(rows)


def show(table: pd.DataFrame) -> str:
    """Write the table in Markdown."""
    head = ["study", "units", "clusters", "treated clusters", "estimator", *INTERVALS]
    lines = [head, ["---"] * len(head)]
    for (study, estimator), group in table.groupby(["study", "estimator"], sort=False):
        first, own = group.iloc[0], group.set_index("interval")
        cells = [
            f"{100 * own.loc[name, 'held'] / own.loc[name, 'intervals']:.1f} ({own.loc[name, 'length']:.2f})"
            for name in INTERVALS
        ]
        counts = (str(first[name]) for name in ("n_units", "n_clusters", "treated_clusters"))
        lines.append([f"`{study}`", *counts, NAMES[str(estimator)], *cells])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
