"""Every programme of the registry has its study; a simulated study says so, and says what was put in."""

import csv
import re
from types import SimpleNamespace

import pytest
from support.projects import ROOT

from evalaid.base.project import PUBLISHED, list_studies
from evalaid.evidence.claims.published_claims import Claims
from evalaid.report import synthesis
from evalaid.report.questions.kept_recovery import read_kept
from evalaid.report.wording import results
from evalaid.running.checked.expected import read_expected
from evalaid.running.notebooks import run_study
from evalaid.study.sources import check_sources, load_simulation
from evalaid.study.spec import RECOVERY_FILE, load_study

STUDIES = list_studies("project")
SIMULATED = [name for name in STUDIES if load_study(name).data_kind == "simulated"]
ROUNDING = 1e-6  # of the unit of a report: sums in another order
WORDS = ("summary", "data_notes", "caveats", "limits", "sources")


def programmes():
    """The programmes of the registry that have a study; of the others it says why they have none."""
    with (ROOT / PUBLISHED / "programmes.csv").open(encoding="utf-8") as stream:
        return [row["programme"] for row in csv.DictReader(stream) if not row["refusal"]]


def written(spec):
    """Join a study's own words."""
    return " ".join(
        [spec.title, spec.question, spec.programme, *(text for name in WORDS for text in getattr(spec, name))]
    )


def test_every_programme_has_its_study_and_every_study_its_programme():
    assert set(programmes()) == set(STUDIES)


@pytest.mark.parametrize("name", STUDIES)
def test_what_a_study_names_exists(name):
    check_sources(load_study(name))


@pytest.mark.parametrize("name", SIMULATED)
def test_a_simulated_study_says_so_and_reads_no_real_panel(name):
    spec = load_study(name)
    assert "simulated" in spec.title
    assert spec.panel is None
    assert all(path.startswith(PUBLISHED.as_posix()) or path == RECOVERY_FILE for path in spec.data_files())
    assert any(note.startswith("**Simulated.**") for note in spec.data_notes)
    assert any(note.startswith("**Assumed.**") or "are drawn" in note for note in spec.data_notes)


@pytest.mark.parametrize("name", SIMULATED)
def test_a_simulated_study_examines_claims_and_recovers_a_known_effect(name):
    spec = load_study(name)
    assert spec.claims == name
    assert Claims.read(ROOT / PUBLISHED).of(name).claims
    assert spec.recovery
    assert "no_effect" in spec.scenarios


@pytest.mark.parametrize("name", SIMULATED)
def test_the_words_state_the_effect_that_was_put_in(name):
    spec = load_study(name)
    effect = float(spec.simulation["effect_pp"])
    notes = " ".join(spec.data_notes)
    assert re.search(rf"(?<![\d.]){re.escape(f'{effect:g}')} (percentage point|point|disease)", notes), notes
    truth = load_simulation(spec.simulation).truth.set_index("estimand")["effect"]
    mean = abs(float(truth.get("overall_compared", truth["overall"])))
    share = spec.outcome_unit == "fraction"
    stated = {f"{mean * 100:.1f}" if share else f"{mean:.1f}", f"{mean * 100:.0f}" if share else f"{mean:.0f}"}
    said = " ".join(spec.summary)
    assert any(re.search(rf"(?<![\d.]){re.escape(number)}(?![\d.]\d)", said) for number in stated), stated


@pytest.mark.parametrize("name", SIMULATED)
def test_recovery_is_over_four_hundred_panels_and_kept(name):
    spec = load_study(name)
    kept = read_kept(spec)
    assert kept is not None, "data/recovery.csv is of other parameters: draw it again"
    assert (kept["draws"] >= 400).all()
    assert kept["seed"].astype(int).eq(spec.recovery.seed or spec.seed).all()


@pytest.mark.parametrize("name", STUDIES)
def test_what_must_agree_agrees_in_every_committed_report(name):
    """Identities, and the two-way regressions by dummies: a gap that is published is a fault of one side."""
    numbers = read_expected(name).numbers
    gaps = [one.value for key, one in numbers.items() if key.endswith(".largest_gap") and one.value is not None]
    assert gaps or name in SIMULATED  # where nothing is compared there is nothing to agree
    assert max(gaps, default=0) < ROUNDING


@pytest.mark.parametrize("name", STUDIES)
def test_methods_and_scenarios_have_a_reason(name):
    spec = load_study(name)
    for entries in (spec.methods, spec.scenarios):
        assert all(entry.why for entry in entries.values())


@pytest.mark.parametrize("name", SIMULATED)
def test_no_sentence_reads_as_if_a_real_effect_had_been_estimated(name):
    text = written(load_study(name)).lower()
    for words in ("the programme raised", "the programme increased", "proves", "significant", "quasi-random"):
        assert not re.search(rf"\b{words}\b", text), words


def test_a_cheap_study_runs_from_end_to_end(tmp_path):
    run = run_study(load_study("tibet_cluster"), folder=tmp_path / "tibet_cluster")
    assert run.manifest.numbers["overall.main.estimate"].value is None
    page = run.page.read_text(encoding="utf-8")
    assert "SIMULATED DATA" in page
    assert "Not identified" in page


@pytest.mark.parametrize(
    ("counts", "words"),
    [
        ((8, 0, 0, 0), "has an interval"),
        ((10, 8, 0, 1), "the others have no interval"),
        ((10, 8, 1, 1), "holds zero in {agreement.around:counted}."),
    ],
)
def test_estimates_without_an_interval_are_not_counted_as_if_they_had_one(counts, words):
    values = dict(zip(("estimates", "above", "below", "around"), counts, strict=True))
    numbers = {f"agreement.{name}": value for name, value in values.items()}
    section = SimpleNamespace(
        spec=load_study("yangxi_community"),
        value=lambda key: numbers.get(key, 1.0 if "overall" in key else None),
        has=lambda _: False,
    )
    assert any(words in text for text in results.sum_up(section))


@pytest.mark.parametrize(
    ("study", "aimed_at"), [("ten_thousand_doctors", 1.2), ("guangdong_cluster", 1.9), ("liannan_trusteeship", 4.0)]
)
def test_an_estimate_stands_beside_the_effect_that_its_method_aims_at(study, aimed_at):
    values = {"truth.beyond_lowest_dose.effect": 1.2, "truth.overall_compared.effect": 1.9, "truth.overall.effect": 4.0}
    if study == "liannan_trusteeship":
        values = {"truth.overall.effect": 4.0}
    reported = SimpleNamespace(spec=load_study(study), value=lambda key: values.get(key, float("nan")))
    assert synthesis._effect_aimed_at(reported) == aimed_at
