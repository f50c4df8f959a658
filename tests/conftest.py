"""Small simulated panels. No number in them was observed anywhere."""

import gc
from collections import Counter

import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from support.panels import simulated_panel

from evalaid.running.processes.engine import prepare_imports

prepare_imports()  # of Jupyter, two seconds less for each worker

# A busy machine is no fault of the code: no deadline for an example, no complaint that making examples took long.
settings.register_profile("evalaid", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("evalaid")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    """Of a test marked ``crossed(n)`` every n-th case runs each time, and all of them with --slow."""
    seen = Counter()
    for item in items:
        crossed, test = item.get_closest_marker("crossed"), item.nodeid.partition("[")[0]
        if crossed and seen[test] % crossed.args[0]:
            item.add_marker(pytest.mark.slow)
        seen[test] += 1


def pytest_collection_finish():
    """Spare every search for garbage the eight thousand tests themselves."""
    gc.freeze()


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
