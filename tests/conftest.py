"""Small simulated panels. No number in them was observed anywhere."""

import numpy as np
import pandas as pd
import pytest

YEARS = np.arange(2015, 2021)


def simulated_panel(cohorts, seed=1):
    """Simulate one unit per entry of `cohorts` over six years, with counts, a covariate, weights and areas of two units."""
    rng = np.random.default_rng(seed)
    n_units, n_years = len(cohorts), len(YEARS)
    total = rng.integers(800, 1200, n_units * n_years)
    inside = rng.binomial(total, 0.75)
    return pd.DataFrame({
        "county": np.repeat([f"C{number:02d}" for number in range(n_units)], n_years),
        "area": np.repeat([f"P{number // 2:02d}" for number in range(n_units)], n_years),
        "year": np.tile(YEARS, n_units),
        "share": inside / total,
        "inside": inside,
        "total": total,
        "beds": rng.normal(4, 1, n_units * n_years),
        "population": np.repeat(rng.uniform(1, 9, n_units), n_years),
        "first_treated": np.repeat(np.array(cohorts, dtype=float), n_years),
    })  # fmt: skip


@pytest.fixture
def simulated_balanced():
    """Twelve units: four start in 2017, four in 2019, four never."""
    return simulated_panel([2017] * 4 + [2019] * 4 + [np.nan] * 4)


@pytest.fixture
def simulated_unbalanced(simulated_balanced):
    """The same; C00 misses 2016 and 2018 inside its span, C05 is seen in 2015 only, C11 leaves after 2018."""
    unit, year = simulated_balanced["county"], simulated_balanced["year"]
    gone = (unit == "C00") & year.isin([2016, 2018]) | (unit == "C05") & (year > 2015) | (unit == "C11") & (year > 2018)
    return simulated_balanced[~gone]


@pytest.fixture
def simulated_all_treated():
    """Eight units, all treated: four start in 2017, four in 2019."""
    return simulated_panel([2017] * 4 + [2019] * 4)


@pytest.fixture
def simulated_single_cohort():
    """Six units that all start in 2018."""
    return simulated_panel([2018] * 6)
