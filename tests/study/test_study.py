"""A study's parameters are checked before anything runs; its files become one design."""

import json

import pytest
from pydantic import ValidationError
from support.projects import ROOT, TOY, make_project, toy_frame, write_study

from evalaid.base.errors import PanelError, StudyError
from evalaid.base.project import list_studies, read_study_file, study_file
from evalaid.base.yaml_files import parse_yaml
from evalaid.study import schema
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
        ({"keep": ["high"]}, ["keep must be a mapping"]),
        ({"keep": {"status": "high"}}, ["keep.status must be a list of values, found 'high' (toy.yaml, line"]),
        ({"keep": {"status": []}}, ["keep must be a mapping from a column to the list of values"]),
        ({"keep": {"a": [1, float("nan")]}}, ["keep.a[1] must be text, a finite number", "found nan (toy.yaml, line"]),
        ({"methods": {"main": {"label": "x", "method": 3}}}, ["methods.main.method must be text, found 3"]),
        ({"methods": {"main": "twfe"}}, ["methods.main must be a mapping, found 'twfe'"]),
        ({"methods": {"main": {"label": "x", "method": "twfe", "optoins": {}}}}, ["(did you mean 'options'?)"]),
        ({"baseline": {"age": {"digits": "two"}}}, ["baseline.age.digits must be a whole number"]),
        ({"main": "second"}, ["main is 'second'", "methods has main"]),
        ({"title": None}, ["title is missing"]),
        ({"cohort": None}, ["either roster", "or cohort"]),
        ({"roster": "data/roster.csv", "cohort": None}, ["roster_unit is missing", "start_column is missing"]),
        ({"methods": {"main": {"label": "x", "methd": "twfe"}}}, ["unknown entry 'methd'", "has no method"]),
        ({"scenarios": {"late": {"label": "x", "changes": {"seeed": 1}}}}, ["scenarios.late.changes", "'seed'"]),
        ({"scenarios": {"late": {"label": "x", "changes": {"seed": "a"}}}}, ["scenarios.late.changes: seed must be"]),
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


def test_every_fault_has_its_line_in_the_file(project):
    text = (project / "notebooks" / "studies" / "toy.yaml").read_text(encoding="utf-8")
    lines = [
        *text.splitlines(),
        "level: 2",
        "keep:",
        "  year: [2015, .nan]",
        "scenarios:",
        "  late:",
        "    label: Late",
        "    wy: x",
    ]
    write_study(project, "toy", "\n".join(lines) + "\n")
    with pytest.raises(StudyError) as error:
        load_study("toy")
    first = len(text.splitlines()) + 1
    for words, line in (("level must", first), ("keep.year[1]", first + 2), ("unknown entry 'wy'", first + 6)):
        (found,) = [part for part in str(error.value).split("; ") if words in part]
        assert f"(toy.yaml, line {line})" in found
    with pytest.raises(StudyError) as given:  # what a caller gives stands in no file
        StudySpec(study="toy", level=3, keep={}, scenarios={})
    assert "line" not in str(given.value)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("seed: 1\nlevel: 0.9\nseed: 2", ["'seed' stands twice: line 1 and line 3"]),
        ("keep: {code: [010, 09]}", ["line 1: is 010 a code or a number?", 'write "010"', "is 09 a code"]),
        ("title: 1:30", ["line 1: is 1:30 a text or a time?"]),
        ("keep:\n  day: [2021-05-01]", ["line 2: is 2021-05-01 a text or a date?"]),
        ("seed: !!python/object:os.system 1", ["line 1: the tag"]),
        ("keep: &a {x: [*a]}", ["line 1: an alias stands inside what it names"]),
        ("a: &a [1,1,1,1,1,1,1,1,1,1]\n" + "".join(
            f"{new}: &{new} [{', '.join([f'*{old}'] * 10)}]\n" for old, new in zip("abcdefgh", "bcdefghi", strict=True)
        ), ["more than 20,000 values once its aliases are written out"]),
    ],
)  # fmt: skip
def test_what_yaml_readers_disagree_about_is_asked_with_its_line(project, text, words):
    write_study(project, "toy", text)
    with pytest.raises(StudyError) as error:
        load_study("toy")
    assert all(word in str(error.value) for word in words), str(error.value)


def test_yaml_is_read_as_version_1_2(project):
    parsed = parse_yaml("a: yes\nb: NO\nc: 0o17\nd: 1e-3\ne: '010'\nf: {<<: {x: 1, y: 2}, y: 3}\ng: ~", "f.yaml")
    assert parsed.value == {
        "a": "yes", "b": "NO", "c": 15, "d": 0.001, "e": "010", "f": {"x": 1, "y": 3}, "g": None,
    }  # fmt: skip
    assert parsed.line_of(("f", "z")) == 6


def test_a_study_cannot_be_changed_in_place(project):
    spec = StudySpec(study="toy")
    with pytest.raises(ValidationError, match="frozen"):
        spec.level = 0.9
    for mapping in (spec.methods, spec.methods["main"].options, spec.keep):
        with pytest.raises(TypeError, match="item assignment"):
            mapping["x"] = 1


def test_the_schema_is_up_to_date_and_named_by_every_study():
    """``PYTHONPATH=src python -m evalaid.study.schema`` writes it."""
    assert (ROOT / schema.SCHEMA).read_text(encoding="utf-8") == schema.write_schema()
    for name in list_studies("project"):
        assert study_file(name).read_text(encoding="utf-8").splitlines()[0] == schema.HEAD


@pytest.mark.parametrize("name", list_studies("project"))
def test_every_study_of_the_project_fits_the_schema(name):
    jsonschema = pytest.importorskip("jsonschema")
    stored = read_study_file(study_file(name)).value
    validator = jsonschema.Draft202012Validator(json.loads(schema.write_schema()))
    assert not list(validator.iter_errors(stored))
    wrong = {**stored, "colour": "red", "level": 95, "methods": {"main": {"label": "x", "method": "twfee"}}}
    places = {tuple(error.absolute_path)[:1] for error in validator.iter_errors(wrong)}
    assert places == {(), ("level",), ("methods",)}


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


@pytest.mark.parametrize(
    "name", ["../toy", "a/b", "..", "", "a b", ".hidden", "/etc/x", "C:x", None, 3, "aux", "COM1", "toy\n", "x" * 300]
)
def test_a_name_that_could_leave_the_folder_is_refused(project, name):
    with pytest.raises(StudyError, match="cannot be the name of a study"):
        StudySpec(study=name)


def test_outside_a_project_the_studies_of_the_package_are_found(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert "korea_responsible_hospitals" in list_studies()


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
    with pytest.raises(StudyError, match=r"1 unit of the panel is not in data/link.csv: C00"):
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
