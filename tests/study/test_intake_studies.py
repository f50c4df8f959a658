"""Files as new users have them, from eight countries, become studies by one command, with the effect that is in them."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from support.projects import ROOT

import evalaid as ea
from evalaid.base.errors import PanelError, StudyError
from evalaid.base.project import STUDIES
from evalaid.cli import main
from evalaid.study.new.own_data import begin_study
from evalaid.study.new.person_means import N_ROWS
from evalaid.study.provenance import gather_decisions
from evalaid.study.sample import load_design, load_frame
from evalaid.study.spec import load_study

INTAKE = ROOT / "tests" / "reading" / "intake"
DIGITS = 5e-5  # the effects are stated with four decimals, of points where the outcome is a share


@pytest.fixture
def project(tmp_path, monkeypatch):
    folder = tmp_path / "project"
    (folder / STUDIES).mkdir(parents=True)
    (folder / "data").mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.setenv("COLUMNS", "200")
    return folder


def call(*arguments):
    return CliRunner().invoke(main, [str(part) for part in arguments], catch_exceptions=False)


def main_effect(spec):
    entry = spec.methods[spec.main]
    return ea.estimate(load_design(spec), entry.method, **entry.options).aggregate("overall").value[0]


@pytest.mark.parametrize(
    ("panel", "how", "effect", "units", "treated", "words"),
    [
        ("us_panel.csv", ["--roster", "us_roster.csv"], 0.022242, 40, 16, ("counties", None)),
        ("imr.csv", ["--roster", "imr_roster.csv"], 0.3725, 40, 16, ("counties", "per 1,000")),
        ("imr.csv", ["--cohort", "first_treat"], 0.3725, 40, 16, ("counties", "per 1,000")),
        ("kr_share.xlsx", ["--roster", "kr_roster.xlsx"], 0.030396, 18, 6, ("districts", None)),
        ("br_internacoes.csv", ["--roster", "br_adesao.csv"], 5.0972, 20, 10, ("municípios", None)),
        ("nhs_table1.xlsx", ["--roster", "nhs_golive.xlsx", "--year-begins", "4"], -50.2840, 24, 12, ("local authorities", "per 100,000")),
    ],
)  # fmt: skip
def test_one_command_makes_a_study_with_the_effect_that_is_in_the_files(
    project, panel, how, effect, units, treated, words
):
    given = [INTAKE / part if (INTAKE / part).is_file() else part for part in how]
    made = call("new", "mine", "--panel", INTAKE / panel, *given)
    assert made.exit_code == 0, made.output
    assert made.output.startswith("Usable panel: ")  # the verdict first
    spec = load_study("mine")
    design = load_design(spec)
    assert (design.n_units, design.n_treated) == (units, treated)
    assert main_effect(spec) == pytest.approx(effect, abs=DIGITS if abs(effect) > 0.1 else DIGITS / 100)
    assert (spec.unit_label, spec.outcome_measure) == words


def test_fiscal_years_are_asked_for_the_month_in_which_they_begin(project):
    asked = call("new", "mine", "--panel", INTAKE / "nhs_table1.xlsx", "--roster", INTAKE / "nhs_golive.xlsx")
    assert asked.exit_code == 2
    assert "--year-begins MONTH" in asked.output
    dates = pd.DataFrame({"Local authority": ["Middlesbrough"], "Code": ["E06000002"], "Go-live": ["February 2018"]})
    dates.to_excel(project / "dates.xlsx", index=False)
    given = ["new", "mine", "--panel", INTAKE / "nhs_table1.xlsx", "--roster", project / "dates.xlsx"]
    assert "in which month do the years begin" in call(*given).output
    assert call(*given, "--year-begins", 4).exit_code == 0
    frame = load_frame(load_study("mine"))
    assert frame["first_treated"].dropna().unique().tolist() == [2017]  # February 2018 belongs to 2017/18


def test_fiscal_years_of_a_tidy_file_meet_dates_only_with_their_first_month(project):
    units = [f"{number:03d}" for number in range(1, 31)]
    frame = pd.DataFrame([(unit, year) for unit in units for year in range(2010, 2018)], columns=["code", "year"])
    treated = frame["code"].isin(units[:10]) & (frame["year"] >= 2014)  # from fiscal year 2014 on: October 2013
    frame["deaths_per_1000"] = 50 + frame["year"] % 3 + frame["code"].astype(int) % 7 + 4.0 * treated
    frame["year"] = "FY" + frame["year"].astype(str)
    frame.loc[3, "deaths_per_1000"] = None
    frame.to_csv(project / "panel.csv", index=False)
    pd.DataFrame({"code": units[:10], "start": "November 2013"}).to_csv(project / "roster.csv", index=False)
    given = ["new", "mine", "--panel", project / "panel.csv", "--roster", project / "roster.csv"]
    assert "in which month do the years begin" in call(*given).output
    assert "year_named: ends" in call(*given, "--year-begins", 4).output
    made = call(*given, "--year-begins", 10)
    assert made.exit_code == 0, made.output
    spec = load_study("mine")
    assert main_effect(spec) == pytest.approx(4)
    assert "'FY2010' begins in month 10 of 2009" in spec.data_notes[0]
    assert load_frame(spec)["first_treated"].dropna().unique().tolist() == [2013]


def test_a_unit_of_the_roster_that_the_panel_lacks_stops_with_the_nearest_names(project):
    roster = pd.read_csv(INTAKE / "us_roster.csv")
    roster.loc[0, "county"] = "Barbor"
    roster = pd.concat([roster, pd.DataFrame({"county": ["Guam"], "start": [2015]})])
    roster.to_csv(project / "r.csv", index=False)
    given = ["new", "mine", "--panel", INTAKE / "us_panel.csv", "--roster", project / "r.csv"]
    stopped = call(*given)
    assert stopped.exit_code == 2
    assert "2 units of the roster cannot be found in the panel" in stopped.output
    assert "'Barbor' is not in the panel (nearest: 'Barbour'" in stopped.output
    assert '--not-in-panel "Guam"' in " ".join(stopped.output.split())
    assert not (project / "data" / "mine").exists()
    made = call(*given, "--not-in-panel", "guam", "--not-in-panel", "Barbor")
    assert made.exit_code == 0, made.output
    assert load_study("mine").not_in_panel == ("Barbor", "Guam")
    assert load_design(load_study("mine")).n_treated == 15


def test_names_are_compared_without_case_and_blanks_and_shown_as_they_stand(project):
    roster = pd.read_csv(INTAKE / "us_roster.csv")
    roster["county"] = roster["county"].str.upper().str.replace(" ", "  ")
    roster.to_csv(project / "r.csv", index=False)
    assert call("new", "mine", "--panel", INTAKE / "us_panel.csv", "--roster", project / "r.csv").exit_code == 0
    design = load_design(load_study("mine"))
    assert design.n_treated == 16
    assert "Santa Clara" in set(design.matrices.units)
    told = gather_decisions(load_study("mine"))
    assert not told.left_out["reason"].str.contains("not in the panel").any()
    assert told.decisions["what"].str.startswith("first treated").sum() == 16


@pytest.mark.parametrize("ending", ["csv", "dta", "parquet"])
def test_a_panel_of_stata_with_first_treat_needs_one_option(project, ending):
    rng = np.random.default_rng(3)
    frame = pd.DataFrame({
        "county": np.repeat(np.arange(1001, 1031), 8), "year": np.tile(np.arange(2010, 2018), 30),
        "y": rng.normal(50, 0.3, 240), "first_treat": np.repeat([2013, 2015, 0], 80),
    })  # fmt: skip
    frame["y"] += 4 * ((frame["first_treat"] > 0) & (frame["year"] >= frame["first_treat"]))
    path = project / f"panel.{ending}"
    {
        "csv": lambda: frame.to_csv(path, index=False),
        "dta": lambda: frame.to_stata(path, write_index=False),
        "parquet": lambda: frame.to_parquet(path),
    }[ending]()
    checked = call("check", path)
    assert checked.exit_code == 0, checked.output
    assert checked.output.startswith("Usable panel: 30 units, 8 periods")
    assert "'first_treat' looks like the first treated period" in checked.output
    assert "0 for 10 units, never treated" in checked.output
    asked = call("new", "mine", "--panel", path)
    assert asked.exit_code == 2
    assert "--cohort first_treat" in asked.output
    assert call("new", "mine", "--panel", path, "--cohort", "first_treat").exit_code == 0
    spec = load_study("mine")
    assert (spec.never, spec.outcome, load_design(spec).n_treated) == ((0,), "y", 20)
    assert main_effect(spec) == pytest.approx(4, abs=0.5)  # the effect that was put in, up to its noise


def test_zeros_and_ones_by_period_are_a_treatment_too(project):
    made = call(
        "new", "mine", "--panel", INTAKE / "fr_ght.csv", "--treated", "ght", "--outcome", "taux_recours",
        "--outcome-unit", "percent", "--unit", "dep",
    )  # fmt: skip
    assert made.exit_code == 0, made.output
    spec = load_study("mine")
    frame = load_frame(spec)
    assert (spec.treated, spec.cohort, spec.roster) == ("ght", None, None)
    started = frame.drop_duplicates("dep").set_index("dep")["first_treated"]
    assert "2A" in started.index
    by_hand = frame[frame["ght"] == 1].groupby("dep")["year" if "year" in frame else "année"].min()
    assert started.dropna().astype(int).to_dict() == by_hand.to_dict()


def test_a_treatment_that_returns_to_zero_is_refused(project):
    frame = pd.read_csv(INTAKE / "imr.csv").assign(on=0)
    frame.loc[1, "on"] = 1
    frame.to_csv(project / "p.csv", index=False)
    with pytest.raises(PanelError, match="returns to 0 for 1 units"):
        begin_study("mine", project / "p.csv", columns={"treated": "on"})
    with pytest.raises(PanelError, match="expected 0 and 1"):
        begin_study("mine", project / "p.csv", columns={"treated": "year"} | {"period": "first_treat"})


def test_covariates_weights_clusters_and_words_come_with_the_command(project):
    frame = pd.read_csv(INTAKE / "imr.csv", dtype={"county": str})
    number = frame["county"].str[-2:].astype(int)
    frame = frame.assign(poor=number % 7, people=1000 + number, area=(number // 4).map("A{}".format))
    frame.to_csv(project / "p.csv", index=False)
    made = call(
        "new", "mine", "--panel", project / "p.csv", "--cohort", "first_treat", "--covariates", "poor", "--weight", "people",
        "--outcome", "infant_mortality_rate_per_1000", "--outcome-label", "Infant deaths", "--outcome-measure", "per 1,000 births",
        "--unit-label", "places",
    )  # fmt: skip
    assert made.exit_code == 0, made.output
    spec = load_study("mine")
    assert (spec.covariates, spec.weight, spec.weight_kind) == (("poor",), "people", "analytic")
    assert (spec.outcome_label, spec.outcome_measure, spec.unit_label) == (
        "Infant deaths",
        "per 1,000 births",
        "places",
    )
    assert load_design(spec).matrices.weight is not None
    unknown = call("new", "other", "--panel", project / "p.csv", "--cohort", "first_treat", "--covariates", "poverty")
    assert (unknown.exit_code, "no column poverty" in unknown.output) == (2, True)


def test_persons_become_a_panel_of_means_and_their_records_stay_where_they_are(project):
    persons = pd.read_csv(INTAKE / "survey_persons.csv")
    persons = persons.assign(first=np.where(persons["district"] == persons["district"].min(), 2016, np.nan))
    persons.to_csv(project.parent / "persons.csv", index=False)
    names = ["--unit", "district", "--period", "wave", "--outcome", "inpatient_in_district", "--cohort", "first"]
    checked = call("check", project.parent / "persons.csv", *names[:6])
    assert checked.exit_code == 1
    assert "one per person, it seems. With --aggregate mean" in " ".join(checked.output.split())
    made = call(
        "new",
        "mine",
        "--panel",
        project.parent / "persons.csv",
        *names,
        "--aggregate",
        "mean",
        "--outcome-unit",
        "fraction",
    )
    assert made.exit_code == 0, made.output
    spec = load_study("mine")
    (kept,) = (path for path in (project / "data" / "mine").iterdir() if path.suffix == ".csv")
    frame = pd.read_csv(kept)
    assert list(frame.columns) == ["district", "wave", "inpatient_in_district", N_ROWS, "first"]
    assert frame[N_ROWS].min() >= 5
    cells = persons.groupby(["district", "wave"])["inpatient_in_district"].agg(["mean", "size"])
    cells = cells[cells["size"] >= 5]
    assert frame["inpatient_in_district"].tolist() == pytest.approx(cells["mean"].tolist())
    assert (spec.weight, len(frame)) == (N_ROWS, len(cells))


def test_what_begins_a_study_is_asked_for_once(project):
    with pytest.raises(StudyError, match="Give --roster, --cohort or --treated: each says when"):
        begin_study("mine", INTAKE / "imr.csv", INTAKE / "imr_roster.csv", columns={"cohort": "first_treat"})
    with pytest.raises(StudyError, match="--cohort names a column of a tidy panel"):
        begin_study("mine", INTAKE / "kr_share.xlsx", columns={"cohort": "x"})


@pytest.mark.parametrize(
    "path", sorted(set(INTAKE.glob("*.*")) - set(INTAKE.glob("*.yaml"))), ids=lambda path: path.name
)
def test_no_file_is_read_in_silence_or_ends_in_a_traceback(project, path):
    result = call("check", path)
    assert result.exit_code in {0, 1, 2}
    assert Path(path).name in result.output
    assert (
        result.exit_code == 0 or "Name it with" in result.output or "Expected" in result.output or "--" in result.output
    )


def test_columns_of_a_roster_that_are_not_recognised_can_be_named(project):
    roster = pd.read_csv(INTAKE / "us_roster.csv").rename(columns={"county": "who", "start": "kick-off"})
    roster.to_csv(project / "r.csv", index=False)
    given = ["new", "mine", "--panel", INTAKE / "us_panel.csv", "--roster", project / "r.csv"]
    stopped = call(*given)
    assert (stopped.exit_code, "--roster-unit COLUMN" in stopped.output) == (2, True)
    checked = call("check", project / "r.csv", "--unit", "who", "--start", "kick-off").output.splitlines()
    assert checked[0].startswith("Usable roster: partnerships: 16")
    assert checked[1].startswith("r.csv: a roster")
    wrong = call(*given, "--roster-unit", "whom", "--roster-start", "kick-off")
    assert (wrong.exit_code, "no column whom in its first row; it has who, kick-off" in wrong.output) == (2, True)
    made = call(*given, "--roster-unit", "who", "--roster-start", "kick-off")
    assert made.exit_code == 0, made.output
    assert load_design(load_study("mine")).n_treated == 16


def test_a_roster_with_fiscal_years_is_told_as_a_roster(project):
    checked = call("check", INTAKE / "nhs_golive.xlsx")
    assert checked.exit_code == 1
    assert "nhs_golive.xlsx: a roster" in checked.output
    assert "year_begins: 4" in checked.output
