"""The benchmark: every registered method is timed, and targets are judged as they are written."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

import evalaid as ea

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture(autouse=True)
def _on_path(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    yield
    for name in ("tasks", "targets"):
        sys.modules.pop(name, None)


def test_every_registered_method_is_timed():
    import tasks

    assert {how["method"] for how in tasks.FITS.values()} == set(ea.methods()["method"])
    frame = tasks.simulated_panel(120, 12)
    for name, task in (tasks.our_tasks("S", frame) | tasks.unbalanced_tasks(frame)).items():
        if name not in (tasks.DIAGNOSE, tasks.BACON):
            assert task()["estimate"].notna().any(), name


def test_targets_say_met_not_met_and_not_measured():
    import targets

    def row(library, seconds, megabytes, task="event study"):
        return {"panel": "M", "task": task, "library": library, "cpu_seconds": seconds, "peak_megabytes": megabytes}

    rows = [row("evalaid", 0.1, 5), row("slow", 4.0, 1), row("fast", 1.9, 4)]
    assert [verdict["met"] for verdict in targets.judge(rows)] == ["not met", "not met"]
    assert [verdict["met"] for verdict in targets.judge(rows[:2])] == ["met", "not met"]
    assert [verdict["met"] for verdict in targets.judge(rows[:1])] == ["not measured"]
