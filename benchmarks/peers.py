"""The same tasks with the peers that are installed; R through Rscript when it is there."""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pandas as pd
from tasks import CURVE, MIXED, UNBALANCED, UNBALANCED_AVERAGE, WILD, WILD_AVERAGE, Task

PEERS = ("pyfixest", "diff-diff", "csdid", "moderndid")
MODULES = {"pyfixest": "pyfixest", "diff-diff": "diff_diff", "csdid": "csdid", "moderndid": "moderndid"}
R_SCRIPT = Path(__file__).with_name("bench.R")
R_SECONDS = 600
# wildboottest multiplies dense matrices with a dummy for every unit; beyond this many numbers it is not started.
DENSE = 10_000_000
R_NOT_FOUND = "R not found: not measured. Without Rscript on PATH fixest, did, etwfe, didimputation and bacondecomp are not compared."
# Tasks that no peer has, and why.
NO_PEER = {
    "diagnose": "no peer: the validation of the panel is part of every other task",
    "two by two": "no peer: the packages have it for one cohort only",
    "efficient": "no peer in Python: R has staggered",
    "synthetic difference-in-differences": "no peer: the packages take one cohort only",
    "synthetic control": "no peer: the packages take one treated unit only",
    "augmented synthetic control": "no peer: the packages take one treated unit only",
    "matrix completion, one penalty": "no peer",
    "interactive fixed effects": "no peer",
    WILD: "no peer at this size: pyfixest with wildboottest holds one dummy a unit",
    WILD_AVERAGE: "no peer",
    UNBALANCED: "no peer",
    UNBALANCED_AVERAGE: "no peer",
    CURVE: "no peer",
    MIXED: "no peer",
}


def installed() -> list[str]:
    """Give the peers that can be imported."""
    return [name for name in PEERS if find_spec(MODULES[name])]


def peer_tasks(frame: pd.DataFrame) -> dict[str, dict[str, Task]]:
    """Give the tasks of the installed peers, by the name of our task."""
    coded = frame.assign(
        g=frame["cohort"].fillna(0).astype(int),
        treated=(frame["period"] >= frame["cohort"]).astype(int),
        relative=(frame["period"] - frame["cohort"]).fillna(-1000).astype(int),
    )
    makers = {"pyfixest": _pyfixest, "diff-diff": _diff_diff, "csdid": _csdid, "moderndid": _moderndid}
    return {name: makers[name](coded) for name in installed()}


def _pyfixest(frame: pd.DataFrame) -> dict[str, Task]:
    import pyfixest

    def feols(formula: str) -> Task:
        return lambda: pyfixest.feols(formula, frame, vcov={"CRV1": "unit"}, lean=True).tidy()

    columns = {"yname": "y", "idname": "unit", "tname": "period", "gname": "g"}
    wild: dict[str, Task] = {}
    if find_spec("wildboottest") and len(frame) * frame["unit"].nunique() <= DENSE:
        model = pyfixest.feols("y ~ treated | unit + period", frame, vcov={"CRV1": "unit"})
        wild[WILD] = lambda: model.wildboottest(reps=9999, param="treated", cluster="unit", seed=1)
    return wild | {
        "two-way fixed effects": feols("y ~ treated | unit + period"),
        "event study": feols("y ~ i(relative, ref=-1) | unit + period"),
        "Sun-Abraham": lambda: pyfixest.event_study(
            frame, **columns, estimator="saturated", cluster="unit"
        ).aggregate(),
        "local projections": lambda: pyfixest.lpdid(frame, **columns, vcov={"CRV1": "unit"}, att=False).tidy(),
    }


def _diff_diff(frame: pd.DataFrame) -> dict[str, Task]:
    import diff_diff

    columns = ("y", "unit", "period", "g")
    horizon = int(frame["period"].max()) - 2

    def santanna(group: str, kind: str, covariates: list[str] | None) -> Task:
        return lambda: diff_diff.CallawaySantAnna(control_group=group, estimation_method=kind).fit(
            frame, *columns, covariates=covariates, aggregate="event_study"
        )

    def fit(estimator: Any, *names: str, **options: Any) -> Task:
        return lambda: estimator.fit(frame, *(names or columns), **options)

    return {
        "Callaway-Sant'Anna": santanna("never_treated", "reg", None),
        "Callaway-Sant'Anna, regression": santanna("never_treated", "reg", ["x"]),
        "Callaway-Sant'Anna, doubly robust": santanna("never_treated", "dr", ["x"]),
        "Callaway-Sant'Anna, doubly robust, not yet treated": santanna("not_yet_treated", "dr", ["x"]),
        "Sun-Abraham": fit(diff_diff.SunAbraham(cluster="unit")),
        "extended two-way fixed effects, linear": fit(diff_diff.WooldridgeDiD(cluster="unit")),
        "extended two-way fixed effects, logit": fit(
            diff_diff.WooldridgeDiD(method="logit", cluster="unit"), "rate", "unit", "period", "g"
        ),
        "imputation, all horizons": fit(diff_diff.ImputationDiD(), aggregate="event_study"),
        "stacked": fit(diff_diff.StackedDiD(kappa_pre=2, kappa_post=1), aggregate="event_study"),
        "local projections": fit(
            diff_diff.LPDiD(pre_window=horizon, post_window=horizon, cluster="unit"),
            "y", "unit", "period", "treated", only_event=True,
        ),
        "treatment paths (dCDH)": fit(
            diff_diff.ChaisemartinDHaultfoeuille(placebo=False, twfe_diagnostic=False), "y", L_max=horizon,
            unit="unit", time="period", treatment="treated",
        ),
        "dose": fit(diff_diff.ContinuousDiD(degree=1), *columns, "dose"),
        "triple difference": fit(
            diff_diff.TripleDifference(estimation_method="reg"), "y", unit="unit", time="period", first_treat="g",
            partition="eligible", aggregate="event_study",
        ),
        "Goodman-Bacon decomposition": fit(diff_diff.BaconDecomposition()),
    }  # fmt: skip


def _csdid(frame: pd.DataFrame) -> dict[str, Task]:
    from csdid.att_gt import ATTgt

    def santanna(group: str, kind: str, formula: str | None) -> Task:
        def task() -> object:
            model = ATTgt("y", "period", "unit", "g", frame, control_group=[group], xformla=formula)
            return model.fit(est_method=kind, bstrap=False).aggte("dynamic", bstrap=False, cband=False)

        return task

    return {
        "Callaway-Sant'Anna": santanna("nevertreated", "reg", None),
        "Callaway-Sant'Anna, regression": santanna("nevertreated", "reg", "y ~ x"),
        "Callaway-Sant'Anna, doubly robust": santanna("nevertreated", "dr", "y ~ x"),
        "Callaway-Sant'Anna, doubly robust, not yet treated": santanna("notyettreated", "dr", "y ~ x"),
    }


def _moderndid(frame: pd.DataFrame) -> dict[str, Task]:
    import moderndid

    columns = {"yname": "y", "tname": "period", "idname": "unit", "gname": "g"}

    def santanna(group: str, kind: str, formula: str) -> Task:
        def task() -> object:
            found = moderndid.att_gt(
                frame, **columns, xformla=formula, est_method=kind, control_group=group, boot=False, cband=False
            )
            return moderndid.aggte(found, type="dynamic", boot=False, cband=False)

        return task

    def triple() -> object:
        found = moderndid.ddd(frame, **columns, pname="eligible", control_group="notyettreated", base_period="varying")
        return moderndid.agg_ddd(found, type="eventstudy", boot=False, cband=False)

    return {
        "Callaway-Sant'Anna": santanna("nevertreated", "reg", "~1"),
        "Callaway-Sant'Anna, regression": santanna("nevertreated", "reg", "~x"),
        "Callaway-Sant'Anna, doubly robust": santanna("nevertreated", "dr", "~x"),
        "Callaway-Sant'Anna, doubly robust, not yet treated": santanna("notyettreated", "dr", "~x"),
        "triple difference": triple,
    }


def measure_r(frame: pd.DataFrame, repeat: int, seconds: float) -> tuple[list[dict[str, Any]], str]:
    """Time the packages of R in a process of its own, reading of the file not counted.

    Returns
    -------
    rows : list of dict
        ``library``, ``task`` and ``cpu_seconds`` or ``failed``; empty when R is missing.
    sentence : str
        What was not measured, and why.
    """
    rscript = shutil.which("Rscript")
    if rscript is None:
        return [], R_NOT_FOUND
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "panel.csv"
        frame.to_csv(path, index=False)
        command = [rscript, "--vanilla", str(R_SCRIPT), str(path), str(repeat), str(seconds)]
        sentence = ""
        try:
            done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=R_SECONDS)
            printed = done.stdout
            if done.returncode:
                sentence = f"R stopped with an error: {done.stderr.strip()[-200:]}"
        except subprocess.TimeoutExpired as stopped:
            told = stopped.stdout or b""
            printed = told.decode() if isinstance(told, bytes) else told
            sentence = f"R needed more than {R_SECONDS} s and was stopped."
    rows = [json.loads(line) for line in printed.splitlines() if line.startswith("{") and line.endswith("}")]
    if not rows and not sentence:
        sentence = "R has none of fixest, did, etwfe, didimputation and bacondecomp: not measured."
    return rows, sentence
