"""A study's parameters are checked before anything runs; its files become one design."""

import json

import pytest
from support.projects import KOREA, TOY, make_project, toy_frame, write_study

from evalaid.base.errors import PanelError, StudyError
from evalaid.base.project import list_studies
from evalaid.study.sample import load_design, load_frame
from evalaid.study.sources import data_faults, hash_data
from evalaid.study.spec import StudySpec, field_names, load_study


@pytest.fixture
def project(tmp_path, monkeypatch):
    monkeypatch.chdir(make_project(tmp_path))
    return tmp_path


def test_a_study_is_complete_with_its_name_alone(project):
    spec = StudySpec(study="toy")
    assert (spec.data_kind, spec.level, spec.covariates) == ("simulated", 0.95, ())
    assert spec == load_study("toy")


def test_a_parameter_given_replaces_the_one_in_the_file(project):
    spec = StudySpec(study="toy", level=0.9)
    assert spec.level == 0.9
    assert spec.changed_fields() == {"level": 0.9}
    assert spec.hash() != StudySpec(study="toy").hash()


def test_prose_does_not_change_the_hash_of_the_parameters(project):
    assert StudySpec(study="toy", title="Another title").hash() == StudySpec(study="toy").hash()


def test_names_of_a_notebook_that_are_no_parameters_are_left_alone(project):
    names = {"study": "toy", "level": None, "seed": 7, "effects": object(), "_": 1}
    assert StudySpec.from_names(names).changed_fields() == {"seed": 7}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"sed": 1}, ["unknown parameter 'sed'", "did you mean 'seed'"]),
        ({"seed": "one"}, ["seed must be a whole number", "'one'"]),
        ({"seed": True}, ["seed must be a whole number"]),
        ({"level": 95}, ["level must be a number from 0.5 to below 1"]),
        ({"data_kind": "invented"}, ["data_kind must be 'real' or 'simulated'"]),
        ({"covariates": "age"}, ["covariates must be a list"]),
        ({"keep": {"status": "high"}}, ["keep must be a mapping"]),
        ({"main": "second"}, ["main is 'second'", "methods has main"]),
        ({"title": None}, ["title is missing"]),
        ({"cohort": None}, ["either roster", "or cohort"]),
        ({"roster": "data/roster.csv", "cohort": None}, ["roster_unit is missing", "start_column is missing"]),
        ({"methods": {"main": {"label": "x", "methd": "twfe"}}}, ["unknown entry 'methd'", "has no method"]),
        ({"scenarios": {"late": {"label": "x", "changes": {"seeed": 1}}}}, ["scenarios.late.changes", "'seed'"]),
        ({"study": "other"}, ["study is 'other'", "file is named 'toy.yaml'"]),
    ],
)
def test_a_fault_of_the_file_is_said(project, changes, words):
    write_study(project, "toy", {name: value for name, value in {**TOY, **changes}.items() if value is not None})
    with pytest.raises(StudyError) as error:
        load_study("toy")
    assert all(word in str(error.value) for word in words)


def test_all_faults_come_in_one_error(project):
    write_study(project, "toy", {**TOY, "seed": -1, "level": 2, "colour": "red"})
    with pytest.raises(StudyError, match="3 fault") as error:
        load_study("toy")
    assert all(word in str(error.value) for word in ("seed", "level", "colour"))


@pytest.mark.parametrize(("text", "word"), [("- a\n- b", "list"), ("just text", "str"), ("", "NoneType")])
def test_a_file_that_is_no_mapping_is_refused(project, text, word):
    write_study(project, "toy", text)
    with pytest.raises(StudyError, match=f"must be a mapping.*{word}"):
        load_study("toy")


def test_yaml_that_does_not_parse_names_the_line(project):
    write_study(project, "toy", "title: a\nseed: [1, 2\n")
    with pytest.raises(StudyError, match=r"toy\.yaml is not valid YAML \(line"):
        load_study("toy")


def test_an_unknown_study_names_the_known_ones(project):
    with pytest.raises(StudyError, match=r"no study 'tod'. Known studies: toy"):
        load_study("tod")
    assert list_studies() == ("toy",)


def test_studies_are_listed_by_whose_they_are_even_when_one_has_faults(project):
    write_study(project, "mine", {**TOY, "origin": "own"})
    write_study(project, "broken", "title: [")
    assert list_studies("own") == ("mine",)
    assert list_studies("project") == ("broken", "toy")
    assert load_study("mine").hash() == load_study("toy").hash()
    with pytest.raises(StudyError, match="origin must be"):
        StudySpec(study="mine", origin="hers")


@pytest.mark.parametrize("name", ["../toy", "a/b", "..", "", "a b", ".hidden", "/etc/x", "C:x", None, 3])
def test_a_name_that_could_leave_the_folder_is_refused(project, name):
    with pytest.raises(StudyError, match="cannot be the name of a study"):
        StudySpec(study=name)


def test_outside_a_project_the_studies_of_the_package_are_found(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert KOREA in list_studies()


def test_the_design_follows_the_file(project):
    design = load_design(StudySpec(study="toy"))
    assert (design.n_units, design.n_treated, design.n_periods) == (12, 8, 6)


@pytest.mark.parametrize(
    ("changes", "units", "periods"),
    [
        ({"only_cohorts": [2017]}, 8, 6),
        ({"first_period": 2016}, 12, 5),
        ({"last_period": 2018}, 12, 4),
        ({"keep": {"county": ["C00", "C04", "C09"]}}, 3, 6),
    ],
)
def test_what_stays_in_the_sample_is_a_parameter(project, changes, units, periods):
    design = load_design(StudySpec(study="toy").change(changes))
    assert (design.n_units, design.n_periods) == (units, periods)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"panel": "data/none.csv"}, "data/none.csv does not exist"),
        ({"outcome": "shaare"}, "has no column shaare; it has county, year, share"),
        ({"keep": {"county": ["Q"]}}, "county has no value 'Q'"),
        ({"first_period": 2030}, "Nothing stays in the sample"),
        ({"leave_out_events": ["strike"]}, "needs events"),
    ],
)
def test_a_sample_that_cannot_be_made_says_why(project, changes, words):
    with pytest.raises(StudyError, match=words):
        load_frame(StudySpec(study="toy").change(changes))


def test_a_link_file_must_name_every_unit_once(project):
    groups = toy_frame()[["county"]].drop_duplicates().assign(area="P")
    groups.iloc[1:].to_csv(project / "data" / "link.csv", index=False)
    with pytest.raises(StudyError, match=r"1 unit\(s\) of the panel are not in data/link.csv: C00"):
        load_frame(StudySpec(study="toy").change({"link": "data/link.csv"}))
    twice = groups.iloc[[0, *range(12)]]
    twice.to_csv(project / "data" / "link.csv", index=False)
    with pytest.raises(StudyError, match="in more than one row"):
        load_frame(StudySpec(study="toy").change({"link": "data/link.csv"}))


def test_a_faulty_panel_is_refused_with_its_rows(project):
    frame = toy_frame()
    frame.loc[3, "share"] = 86.9
    frame.to_csv(project / "data" / "toy.csv", index=False)
    with pytest.raises(PanelError) as error:
        load_design(StudySpec(study="toy"))
    assert error.value.rows["value"].tolist() == [86.9]


def test_data_are_held_against_the_data_package(project):
    files = StudySpec(study="toy").data_files()
    assert data_faults(hash_data(files)) == []
    with (project / "data" / "toy.csv").open("a", encoding="utf-8") as stream:
        stream.write("\n")
    assert "data/toy.csv has changed" in data_faults(hash_data(files))[0]
    package = project / "data" / "datapackage.json"
    package.write_text(json.dumps({"resources": []}), encoding="utf-8")
    assert "not listed" in data_faults(hash_data(files))[0]
    package.unlink()
    assert "is missing" in data_faults(hash_data(files))[0]
    with pytest.raises(StudyError, match=r"not found: data/x.csv"):
        hash_data(["data/x.csv"])


@pytest.mark.parametrize("name", list_studies("project"))
def test_every_study_of_the_project_is_valid_and_its_files_are_listed(name):
    spec = load_study(name)
    assert data_faults(hash_data(spec.data_files())) == []
    assert set(spec.to_dict()) == set(field_names())
