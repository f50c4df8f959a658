"""The notebooks on every kind of design: refused, few treated, by dose, one treated unit; simulated is always said."""

import ast
import json

import pytest
from support.projects import ROOT

from evalaid.study.spec import StudySpec

COMMON = {
    "title": "T", "question": "Q?", "programme": "P.", "data_kind": "simulated", "outcome_label": "Outcome", "cohort": "cohort",
    "main": "main", "draws": 99, "seed": 1,
}  # fmt: skip
TIBET = {
    **COMMON, "study": "one_cohort", "simulation": {"generator": "tibet", "seed": 1}, "unit": "hospital", "period": "year",
    "outcome": "disease_types", "outcome_unit": "number", "claims": "tibet_cluster",
    "methods": {"main": {"label": "Main", "method": "callaway_santanna", "options": {"comparison": "not_yet_treated"}}},
}  # fmt: skip
XINJIANG = {
    **COMMON, "study": "eight_hospitals", "simulation": {"generator": "xinjiang", "seed": 1}, "unit": "hospital",
    "period": "year", "outcome": "surgery_share", "outcome_unit": "fraction", "recovery": {"draws": 3, "methods": ["twfe"]},
    "methods": {"main": {"label": "Main", "method": "two_by_two"}},
    "placebo": {
        "early": {"label": "Early", "kind": "time", "shifts": [1]}, "others": {"label": "Others", "kind": "space", "draws": 9},
    },
}  # fmt: skip
DOCTORS = {
    **COMMON, "study": "by_dose", "simulation": {"generator": "ten_thousand_doctors", "seed": 1}, "unit": "adcode",
    "period": "quarter", "outcome": "share", "outcome_unit": "fraction",
    "methods": {"main": {"label": "Dose", "method": "dose"}, "other": {"label": "Two-way", "method": "twfe"}},
    "dose": {"column": "dose", "label": "Person-times per 10,000 residents"},
}  # fmt: skip
XINYI = {
    **COMMON, "study": "one_county", "simulation": {"generator": "xinyi", "seed": 1}, "unit": "adcode", "period": "year",
    "outcome": "fund_outflow_index", "outcome_unit": "number",
    "methods": {"main": {"label": "Synthetic", "method": "synthetic_did"}},
}  # fmt: skip


@pytest.fixture(autouse=True)
def here(monkeypatch):
    monkeypatch.chdir(ROOT)
    monkeypatch.delenv("EVALAID_RUN_FOLDER", raising=False)


def run_cells(notebook, **parameters):
    """Run the code cells of a notebook in this process, as one who opens it by hand; return what they show, as text."""
    names, shown = dict(parameters), []
    for cell in json.loads((ROOT / "notebooks" / f"{notebook}.ipynb").read_text(encoding="utf-8"))["cells"]:
        if cell["cell_type"] != "code" or "parameters" in cell["metadata"].get("tags", []):
            continue
        tree = ast.parse("".join(cell["source"]))
        last = tree.body.pop().value if isinstance(tree.body[-1], ast.Expr) else None
        exec(compile(tree, notebook, "exec"), names)
        if last is not None:
            value = eval(compile(ast.Expression(last), notebook, "eval"), names)
            shown.append(value.to_html() if hasattr(value, "to_html") else str(value))
    return "\n".join(shown), names["section"].recorder.numbers


def run(study, *notebooks):
    """Run notebooks one after the other, each with the numbers of those before."""
    from evalaid.report import section

    text, numbers = "", {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(section, "_last_numbers", lambda *_: dict(numbers))
        for notebook in notebooks:
            shown, found = run_cells(notebook, **study)
            text, numbers = text + shown, {**numbers, **found}
    return text, {key: number.value for key, number in numbers.items()}


def test_a_refusal_is_the_result():
    text, values = run(TIBET, "2_design", "3_effect")
    assert "all 8 units start in the same period (2015)" in text
    assert "**Not identified.**" in text
    assert "There is no event study" in text
    assert "no estimate: all 8 units" in text
    assert values["overall.main.estimate"] is None
    assert (values["overall.main.n_treated"], values["agreement.estimates"], values["agreement.refused"]) == (8, 0, 1)
    assert "nan" not in text.replace("nance", "")


def test_claims_are_examined_from_published_figures_alone():
    text, values = run(TIBET, "1_claims")
    assert values["count.claims"] == 5
    assert values["count.identified"] == 0
    assert "Published figures." in text
    assert "Simulated data" not in text
    assert "There is no figure of bounds" in text


def test_few_treated_units_have_placebos_and_recovery():
    text, values = run(XINJIANG, "2_design", "3_effect", "4_recovery", "4_robustness")
    assert values["placebo_space.others.placebos"] == 9
    assert 0 < values["placebo_space.others.p_value"] <= 1
    assert values["placebo_time.early.1.estimate"] is not None
    assert values["truth.overall.effect"] == pytest.approx(3.0)
    assert (values["recovery.twfe.draws"], values["recovered.trials"]) == (3, 1)
    assert "simulated data" in text


def test_a_dose_can_lead():
    text, values = run(DOCTORS, "2_design", "3_effect", "4_dose")
    assert values["overall.main.estimate"] == values["dose_effects.level.estimate"]
    assert "strong parallel trends" in text
    assert "There is no event study" in text
    assert values["methods.other.estimate"] is not None
    assert "2016Q1 to 2025Q4" in text


def test_one_treated_unit_has_an_estimate_without_an_interval():
    text, values = run(XINYI, "2_design", "3_effect")
    assert values["overall.main.estimate"] is not None
    assert values["overall.main.conf_low"] is None
    assert values["agreement.without"] == 1
    assert "No effect of any size that was tried would be found" in text
    assert "without an interval" in text


@pytest.mark.parametrize(("method", "rows"), [("two_by_two", "by_cohort.2016"), ("event_study", "event_study.1")])
def test_a_main_method_with_cells_of_its_own_kind_keeps_them(method, rows):
    study = {**XINJIANG, "methods": {"main": {"label": "Main", "method": method}}, "placebo": {}, "recovery": {}}
    _, values = run(study, "2_design", "3_effect")
    assert values[f"{rows}.estimate"] is not None
    assert not any(key.startswith("by_period.") for key in values)


def test_every_table_and_figure_of_a_simulated_study_says_so():
    text, _ = run(XINJIANG, "2_design")
    assert text.count('class="table"') == text.count("Simulated data.")
    assert text.count('role="img"') == text.count("(simulated data)") > 0


def test_the_parameters_of_these_studies_are_whole():
    assert all(StudySpec(**study).data_kind == "simulated" for study in (TIBET, XINJIANG, DOCTORS, XINYI))
