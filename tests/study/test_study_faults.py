"""What of a study's fields goes together: simulation, claims, dose, placebo, recovery, notebooks; all faults at once."""

import pytest
from support.projects import TOY, make_project, write_notebook, write_study

from evalaid.base.errors import StudyError
from evalaid.running.notebooks import list_notebooks
from evalaid.study.sample import load_frame
from evalaid.study.sources import check_sources, hash_inputs, load_simulation
from evalaid.study.spec import StudySpec

SIMULATION = {"generator": "xinjiang", "seed": 1, "effect_pp": 4.0}
SIMULATED = {
    "panel": None, "simulation": SIMULATION, "unit": "hospital", "outcome": "surgery_share", "cohort": "cohort",
}  # fmt: skip
CLAIMS_ONLY = {
    **dict.fromkeys(("panel", "unit", "period", "outcome", "outcome_unit", "cohort", "main", "methods")),
    "data_kind": "published",
    "claims": "tibet_cluster",
}


@pytest.fixture
def project(tmp_path, monkeypatch):
    monkeypatch.chdir(make_project(tmp_path))
    return tmp_path


def study(project, **changes):
    write_study(project, "toy", {name: value for name, value in {**TOY, **changes}.items() if value is not None})
    return StudySpec(study="toy")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"simulation": SIMULATION}, ["panel (a file) or simulation (a generator), not both"]),
        ({**SIMULATED, "data_kind": "real"}, ["data_kind is 'real'", "made by a simulation"]),
        ({**SIMULATED, "simulation": {"effect_pp": 1.0}}, ["no generator", "no seed"]),
        ({"data_kind": "published"}, ["there is a panel"]),
        ({"panel": None}, ["neither panel nor simulation", "nothing to examine", "methods needs a panel"]),
        ({**CLAIMS_ONLY, "claims": None}, ["nothing to examine"]),
        ({**CLAIMS_ONLY, "notebooks": ["1_claims", "2_design"]}, ["2_design, which needs a panel"]),
        ({"weight_kind": "precision"}, ["weight_kind is 'precision', but weight is missing"]),
        ({"inside": "n_inside"}, ["both inside and total"]),
        ({"unit": None, "methods": None}, ["unit is missing", "methods is missing"]),
        ({"recovery": {"draws": 10}}, ["recovery needs a simulation"]),
        ({**SIMULATED, "recovery": {"draws": 0, "tries": 1}}, ["recovery.draws", "unknown entry 'tries'"]),
        ({"dose": {"column": "dose"}}, ["dose has no label"]),
        ({"methods": {"main": {"label": "Dose", "method": "dose"}}}, ["estimates by dose, but dose"]),
        ({"placebo": {"a": {"label": "A", "kind": "rank"}}}, ["placebo.a.kind must be one of time"]),
        ({"placebo": {"a": {"label": "A", "kind": "outcome"}}}, ["placebo.a must name its outcome"]),
        ({"robustness": {"trata": "region"}}, ["robustness has an unknown entry 'trata'"]),
        ({"robustness": {"strata": ["region"]}}, ["robustness.strata must be the name of a column"]),
        ({"robustness": {"neighbours": "pairs.csv"}}, ["robustness.neighbours must have file"]),
        ({"robustness": {"neighbours": {"file": "a.csv", "columns": ["a"]}}}, ["columns must be two names"]),
        ({"placebo": {"a": {"label": "A", "kind": "time", "method": "x"}}}, ["placebo.a.method is 'x'"]),
        ({"claims": "tibet_cluster", "notebooks": ["2_design"]}, ["leaves out 1_claims"]),
        ({"notebooks": ["4_dose"]}, ["4_dose, which needs dose"]),
        ({"notebooks": ["2_toy", "2_toy"]}, ["2_toy twice"]),
        ({"methods": {"main": {"label": "M", "method": "twfe", "changes": [1]}}}, ["changes must be a mapping"]),
    ],
)
def test_a_combination_that_cannot_be_is_said(project, changes, words):
    with pytest.raises(StudyError) as error:
        study(project, **changes)
    assert all(word in str(error.value) for word in words), str(error.value)


def test_fields_that_are_not_used_leave_the_hash_alone(project):
    plain = StudySpec(study="toy")
    assert study(project, notebooks=[]).hash() == plain.hash()
    assert study(project, notebooks=["2_toy"]).hash() != plain.hash()


def test_a_simulation_gives_the_panel_and_its_content_is_hashed(project):
    spec = study(project, **SIMULATED)
    assert load_frame(spec)["first_treated"].nunique() == 1
    (name, digest), *rest = hash_inputs(spec).items()
    assert (name, rest) == ("simulated xinjiang(effect_pp=4.0, seed=1)", [])
    other = spec.change({"simulation": {**SIMULATION, "seed": 2}})
    assert digest not in hash_inputs(other).values()
    assert load_simulation(SIMULATION).frame is load_simulation(dict(SIMULATION)).frame


def test_the_simulations_of_scenarios_are_hashed_too(project):
    changes = {"simulation": {**SIMULATION, "effect_pp": 0.0}}
    spec = study(project, **SIMULATED, scenarios={"none": {"label": "No effect", "changes": changes}})
    assert len(hash_inputs(spec)) == 2


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({**SIMULATED, "simulation": {"generator": "xinjang", "seed": 1}}, "No generator 'xinjang'"),
        ({**SIMULATED, "simulation": {**SIMULATION, "efect": 1}}, "unknown parameter 'efect'"),
        ({**SIMULATED, "unit": "county"}, "has no column county"),
        ({**SIMULATED, "recovery": {"methods": ["nonsense"]}}, "recovery.methods: No method 'nonsense'"),
        ({"claims": "nobody"}, "claims: "),
    ],
)
def test_what_a_study_names_is_looked_up_before_anything_runs(project, changes, words):
    with pytest.raises(StudyError, match="cannot be run") as error:
        check_sources(study(project, **changes))
    assert words in str(error.value)


def test_a_study_of_claims_alone_can_be_changed_like_any_other(project):
    spec = study(project, **CLAIMS_ONLY)
    assert (spec.change({}).unit, spec.change({"level": 0.9}).level) == ("", 0.9)
    with pytest.raises(StudyError, match="neither panel nor simulation: there are no outcome data"):
        load_frame(spec)


def test_the_notebooks_follow_the_fields(project):
    for name in ("1_claims", "2_design", "4_dose", "4_recovery", "4_robustness", "5_synthesis"):
        write_notebook(project, (), name=name)

    def chosen(**changes):
        return [path.stem for path in list_notebooks(study(project, **changes))]

    usual = ["2_design", "2_toy", "4_robustness"]
    assert chosen() == usual
    assert chosen(claims="tibet_cluster") == ["1_claims", *usual]
    assert chosen(**SIMULATED, recovery={"draws": 2}) == ["2_design", "2_toy", "4_recovery", "4_robustness"]
    assert chosen(dose={"column": "d", "label": "D"}) == ["2_design", "2_toy", "4_dose", "4_robustness"]
    assert chosen(notebooks=["2_toy"]) == ["2_toy"]
    assert chosen(**CLAIMS_ONLY) == ["1_claims"]
    with pytest.raises(StudyError, match="no notebook '9_none'"):
        chosen(notebooks=["9_none"])
