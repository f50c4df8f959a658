"""Small projects in a temporary folder: one simulated study, one short notebook."""

import hashlib
import json
import os
from pathlib import Path

import numpy as np
import pandas as pd
import yaml

ROOT = Path(__file__).parents[2]

TOY = {
    "title": "A simulated programme",
    "question": "Does the machinery work?",
    "programme": "Simulated.",
    "data_kind": "simulated",
    "panel": "data/toy.csv",
    "unit": "county",
    "period": "year",
    "outcome": "share",
    "outcome_unit": "fraction",
    "outcome_label": "Share",
    "cohort": "first_treated",
    "main": "main",
    "methods": {"main": {"label": "Main", "method": "callaway_santanna", "options": {"adjustment": "none"}}},
    "seed": 1,
}
OPEN = (
    "from evalaid.report.questions import analysis, describe\n"
    "from evalaid.report.section import open_section\n"
    "section = open_section(globals(), notebook='2_toy')\n"
    "spec, design = section.spec, section.design"
)
SAMPLE = 'section.table(describe.describe_sample(spec, design), "sample", ["label", "value"], "Sample")'
EFFECT = (
    "effects = analysis.estimate_main(spec, design)\n"
    'section.table(analysis.report_effects(effects, "overall", spec), "overall", ["label", "estimate"], "Effect")'
)


def toy_frame():
    """Simulate twelve counties over six years; four start in 2017, four in 2019."""
    rng = np.random.default_rng(1)
    return pd.DataFrame({
        "county": np.repeat([f"C{number:02d}" for number in range(12)], 6),
        "year": np.tile(np.arange(2015, 2021), 12),
        "share": rng.uniform(0.6, 0.9, 72).round(4),
        "first_treated": np.repeat([2017] * 4 + [2019] * 4 + [np.nan] * 4, 6),
    })  # fmt: skip


def make_project(folder, cells=(SAMPLE, EFFECT), **changes):
    """Make a project with the study `toy` and one notebook of these code cells."""
    (folder / "notebooks" / "studies").mkdir(parents=True)
    (folder / "data").mkdir()
    toy_frame().to_csv(folder / "data" / "toy.csv", index=False)
    digest = hashlib.sha256((folder / "data" / "toy.csv").read_bytes()).hexdigest()
    package = {"resources": [{"name": "toy", "path": "toy.csv", "hash": f"sha256:{digest}"}]}
    (folder / "data" / "datapackage.json").write_text(json.dumps(package), encoding="utf-8")
    write_study(folder, "toy", {**TOY, **changes})
    write_notebook(folder, cells)
    return folder


def write_study(folder, name, content):
    text = content if isinstance(content, str) else yaml.safe_dump(content)
    (folder / "notebooks" / "studies" / f"{name}.yaml").write_text(text, encoding="utf-8")


def write_notebook(folder, cells, name="2_toy", opening=OPEN):
    """Write a notebook of these code cells below its parameters and the cell that opens its section."""
    stored = [code_cell('study = "toy"\nlevel = None', tags=["parameters"]), *map(code_cell, (opening, *cells))]
    content = {"cells": stored, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
    (folder / "notebooks" / f"{name}.ipynb").write_text(json.dumps(content), encoding="utf-8")


def code_cell(source, tags=()):
    digest = hashlib.sha256(source.encode()).hexdigest()[:12]
    metadata = {"tags": list(tags)} if tags else {}
    return {
        "cell_type": "code", "id": digest, "metadata": metadata, "source": source, "execution_count": None, "outputs": [],
    }  # fmt: skip


def environment(**changes):
    """Return the variables of a process that runs the package from its sources."""
    return {**os.environ, "PYTHONPATH": str(ROOT / "src"), "COLUMNS": "200", **changes}
