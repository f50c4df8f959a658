"""Parts of a computation on the workers of a Dask cluster: the same to the byte as here, also when a worker dies."""

import os
import signal
import warnings
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from evalaid.base.shared_out import SCHEDULER, are_shared_out, do_parts
from evalaid.did.inference.randomisation.permutation import randomize
from evalaid.did.panel.design import diagnose
from evalaid.did.sensitivity.choices.joint import joint_test
from evalaid.did.sensitivity.choices.specifications import specification_curve
from evalaid.did.sensitivity.placebo.placebo import placebo
from evalaid.did.sensitivity.power.power import minimum_detectable_effect
from evalaid.simulate.recovery.draws import estimate_draws


@pytest.fixture(scope="module")
def cluster():
    distributed = pytest.importorskip("distributed")
    with distributed.LocalCluster(n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None) as made:
        yield made


@pytest.fixture
def shared(cluster, monkeypatch):
    monkeypatch.setenv(SCHEDULER, cluster.scheduler_address)
    return cluster


@pytest.fixture(scope="module")
def design():
    rng = np.random.default_rng(3)
    frame = pd.DataFrame({
        "county": np.repeat(np.arange(24), 6), "year": np.tile(np.arange(2015, 2021), 24),
        "share": rng.uniform(0.5, 0.9, 144), "gdp": rng.normal(size=144),
        "first_treated": np.repeat([2018.0] * 5 + [2019.0] * 5 + [np.nan] * 14, 6),
    })  # fmt: skip
    return diagnose(frame, "county", "year", "share", "first_treated", covariates=("gdp",))


def curve_of(design):
    declared = {"methods": ["twfe", "callaway_santanna", "imputation"], "covariates": [(), ("gdp",)]}
    return specification_curve(design, declared, vcov="auto").table


def joint_of(design):
    declared = {"methods": ["twfe", "imputation"], "covariates": [(), ("gdp",)]}
    return joint_test(design, declared, draws=19, seed=5).table


COMPUTATIONS = {
    "specification curve": curve_of,
    "joint test": joint_of,
    "permutation": lambda design: randomize(design, "imputation", draws=39, seed=2, statistic="studentised").tidy(),
    "placebo in units": lambda design: placebo(design, "twfe", kind="units", draws=9, seed=2).table,
    "power": lambda design: minimum_detectable_effect(design, "twfe", draws=49, seed=2).table,
    "recovery": lambda _: estimate_draws("xinjiang", ["two_by_two", "twfe"], draws=3, seed=1),
}


@pytest.mark.parametrize("name", COMPUTATIONS)
def test_a_cluster_gives_the_same_to_the_byte(design, cluster, monkeypatch, name):
    here = COMPUTATIONS[name](design)
    monkeypatch.setenv(SCHEDULER, cluster.scheduler_address)
    asked = []
    monkeypatch.setattr("evalaid.base.shared_out.are_shared_out", lambda: asked.append(name) or True)
    there = COMPUTATIONS[name](design)
    assert asked, "nothing was shared out"
    pd.testing.assert_frame_equal(here, there, check_exact=True)


def kill_once(folder, part):
    """Note that a part was begun, kill the worker at the third the first time, and note that it was done."""
    (folder / f"begun-{part}").touch()
    if part == 2 and not (folder / "killed").exists():
        (folder / "killed").touch()
        os.kill(os.getpid(), signal.SIGKILL)
    with (folder / "done").open("a") as stream:
        stream.write(f"{part}\n")
    return part * part


@pytest.mark.skipif(os.name != "posix", reason="signals differ")
def test_a_worker_that_dies_loses_nothing_and_doubles_nothing(shared, tmp_path):
    found = list(do_parts(partial(kill_once, tmp_path), range(12)))
    assert (tmp_path / "killed").exists()
    assert found == [part * part for part in range(12)]  # whoever was begun twice counts once


def fail(part):
    if part == 1:
        raise ValueError("the second part")
    return part


def test_the_first_error_is_raised_here(shared):
    with pytest.raises(ValueError, match="the second part"):
        list(do_parts(fail, range(3)))


def test_without_a_scheduler_all_is_done_here_one_after_the_other(monkeypatch):
    monkeypatch.delenv(SCHEDULER, raising=False)
    done = []
    assert not are_shared_out()
    parts = do_parts(lambda part: done.append(part) or part, range(3))
    assert next(parts) == 0
    assert done == [0]
    assert Path("/proc").exists() or list(parts) == [1, 2]


def test_what_is_large_is_sent_without_a_word(shared):
    large = np.zeros(2_000_000)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert list(do_parts(partial(add_length, large), range(3))) == [2_000_000, 2_000_001, 2_000_002]


def add_length(values, part):
    return len(values) + part
