"""What inference and sensitivity cannot do is refused, or reported without a number, in words that say what to do instead."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
import pytest
from support.panels import diagnose, simulate

import evalaid as ea
from evalaid.base.errors import DesignError, InferenceError


def treat(count: int, n_units: int = 12, **columns) -> ea.Design:
    """A panel of quarters 1 to 6 in which the first units are treated from quarter 4 on."""
    frame = simulate(71, n_units=n_units, n_periods=6, cohorts=(None,))
    chosen = sorted(frame["county"].unique())[:count]
    return diagnose(frame.assign(cohort=np.where(frame["county"].isin(chosen), 4.0, np.nan), **columns))


def halves(effects: ea.Effects) -> pd.Series:
    return pd.Series(np.arange(len(effects.population.units)) % 2, index=effects.population.units)


def event(start: int = 4) -> ea.Effects:
    frame = simulate(72, n_units=24, n_periods=6, cohorts=(start, None))
    return ea.estimate(diagnose(frame), "event_study").aggregate("event_time")


REFUSED = {
    "one treated cluster, CR1": (
        lambda: ea.infer(ea.estimate(treat(1), "twfe"), vcov="CR1"),
        InferenceError,
        r"rests on one treated cluster of 12.*What applies: placebo in space \(evalaid.placebo\), randomisation inference",
    ),
    "two clusters, wild bootstrap": (
        lambda: ea.wild_bootstrap((e := ea.estimate(treat(4), "twfe")), cluster=halves(e)),
        InferenceError,
        r"2 clusters: .*finer cluster, or randomisation inference over units",
    ),
    "event study without periods before": (
        lambda: ea.honest(event(start=2)),
        InferenceError,
        r"no coefficient before the reference period -1.*estimate periods before treatment",
    ),
    "power of a test before treatment without periods before": (
        lambda: ea.pretrend_power(event(start=2)),
        InferenceError,
        r"no coefficient before the reference period -1",
    ),
    "outcome without variation": (
        lambda: ea.honest(ea.estimate(treat(4, share=0.5), "event_study")),
        InferenceError,
        r"every estimate is zero and no unit moves any. The outcome does not vary; check the column",
    ),
    "singular covariance": (
        lambda: ea.honest(event(), cluster=pd.Series({f"C{i:03d}": i % 4 for i in range(24)}), vcov="CR1"),
        InferenceError,
        r"5 coefficients has rank 2 with 4 clusters, too few for so many.*Keep at most 2 coefficients.*event times -2 to 0",
    ),
    "negative m": (lambda: ea.honest(event(), m=[0, -0.5]), InferenceError, r"m=\[0, -0.5\] found; .* 0 or above"),
    "strata of single cohorts": (
        lambda: ea.randomize(treat(4), "twfe", strata="county"),
        InferenceError,
        r"Re-assignment is impossible: all units of every stratum .* are of one cohort",
    ),
    "too few assignments for any rejection": (
        lambda: ea.randomize(treat(1, n_units=6), "twfe"),
        InferenceError,
        r"only 6 distinct assignments: the smallest reachable p-value is 0.167",
    ),
    "placebo outcome that is the outcome": (
        lambda: ea.placebo(treat(4), "twfe", "outcome", outcome="share"),
        DesignError,
        r"'share' is the outcome itself",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_done_is_refused_in_words(name):
    call, error, text = REFUSED[name]
    with pytest.raises(error) as caught:
        call()
    assert re.search(text, str(caught.value), re.DOTALL), str(caught.value)


@pytest.mark.parametrize(("clusters", "smallest"), [(3, "0.25"), (6, "0.0312")])
def test_few_clusters_with_two_point_weights_say_the_smallest_p(clusters, smallest):
    effects = ea.estimate(treat(6), "twfe")
    labels = pd.Series(np.arange(12) % clusters, index=effects.population.units)
    note = ea.wild_bootstrap(effects, cluster=labels)["note"][0]
    assert f"the smallest p-value that they can show is {smallest}; weights='webb' is finer" in note
    assert "exact p" in note


@pytest.mark.parametrize("given", ["a frame", "effects", None])
@pytest.mark.parametrize(
    "call",
    [
        lambda x: ea.estimate(x, "twfe"),
        lambda x: ea.few_treated(x, "twfe"),
        lambda x: ea.randomize(x, "twfe"),
        lambda x: ea.placebo(x, "twfe"),
        lambda x: ea.leave_out(x, "twfe", "unit"),
        lambda x: ea.overlap(x, pd.DataFrame(), "twfe"),
        lambda x: ea.spillover(x, "twfe"),
        lambda x: ea.minimum_detectable_effect(x, "twfe"),
        lambda x: ea.specification_curve(x, []),
        lambda x: ea.joint_test(x, []),
        ea.regression_to_mean,
        ea.balance,
        ea.bad_controls,
        ea.bacon,
        ea.twfe_weights,
    ],
)
def test_what_is_no_design_is_refused_in_words(call, given):
    what = {"a frame": pd.DataFrame(), "effects": event()}.get(given)
    with pytest.raises(
        DesignError, match=f"^{type(what).__name__} found where a design is expected: what evalaid.diagnose"
    ):
        call(what)
