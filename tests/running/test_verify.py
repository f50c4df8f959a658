"""Every number has a key, a unit and an origin; verification names the one that moved and its cell."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from support.projects import make_project

from evalaid.base.errors import ManifestError
from evalaid.running.comparison import compare_numbers, compare_reports
from evalaid.running.notebooks import run_study
from evalaid.running.verify import verify_study
from evalaid.study.manifest import Manifest, Number, Recorder, read_manifest, read_parts, write_manifest
from evalaid.study.spec import StudySpec

HASH = "0123456789abcdef"


def number(key="a.b", value=1.0, unit="pp", **changes):
    made = Number(key, value, unit, 2, "2_design", "In [3]", "twfe()", HASH, HASH, 1)
    return replace(made, **changes)


def recorder(**changes):
    return Recorder("3_effect", HASH, HASH, 1, **changes)


@pytest.mark.parametrize(
    ("value", "unit", "stored"),
    [
        (np.float64(0.1), "pp", 0.1),
        (np.int64(41), "count", 41),
        (41.0, "count", 41),
        (2.5, "count", 2.5),
        (float("nan"), "pp", None),
        (pd.NA, "pp", None),
        (None, "pp", None),
    ],
)
def test_a_recorded_value_is_plain(value, unit, stored):
    made = recorder().record("a.b", value, unit=unit, digits=2, cell="In [1]")
    assert made.value == stored
    assert type(made.value) is type(stored)


@pytest.mark.parametrize(
    ("key", "value", "unit", "words"),
    [
        ("a.b", float("inf"), "pp", "is infinite"),
        ("a.b", "1.2", "pp", "is a str, not a number"),
        ("a.b", True, "count", "record a count instead"),
        ("A b", 1.0, "pp", "is no key"),
        ("a.b", 1.0, "percent", "known units are pp, %"),
    ],
)
def test_what_is_no_number_is_not_recorded(key, value, unit, words):
    with pytest.raises(ManifestError, match=words):
        recorder().record(key, value, unit=unit, digits=2, cell="In [1]")


def test_a_key_is_recorded_once_in_a_study():
    one = recorder(earlier={"a.b": number()})
    with pytest.raises(ManifestError, match=r"already recorded by 2_design In \[3\]"):
        one.record("a.b", 1, unit="count", digits=0, cell="In [1]")
    one.record("c", 1, unit="count", digits=0, cell="In [1]")
    with pytest.raises(ManifestError, match=r"already recorded by 3_effect In \[1\]"):
        one.record("c", 2, unit="count", digits=0, cell="In [2]")
    assert one.record("c", 2, unit="count", digits=0, cell="In [2]", replace_own=True).value == 2


def test_an_unknown_key_names_its_neighbours():
    with pytest.raises(ManifestError, match=r"no recorded number 'a.c'. Near it: a.b"):
        recorder(earlier={"a.b": number()}).lookup("a.c")


def test_a_manifest_survives_the_disk_at_full_precision(tmp_path):
    numbers = {"a.b": number(value=0.1 + 0.2), "a.a": number("a.a", 41, "count"), "a.n": number("a.n", None)}
    made = Manifest("toy", "Toy", "simulated", HASH, HASH, {"data/b": "1", "data/a": "2"}, 1, numbers)
    write_manifest(made, tmp_path / "numbers.json")
    assert read_manifest(tmp_path / "numbers.json") == made
    stored = json.loads((tmp_path / "numbers.json").read_text(encoding="utf-8"))
    assert list(stored["numbers"]) == ["a.a", "a.b", "a.n"]
    assert set(stored["numbers"]["a.a"]) == {
        "value", "unit", "digits", "notebook", "cell", "method", "spec_hash", "data_hash", "seed",
    }  # fmt: skip


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"numbers": {"a": {"value": 1}}}'])
def test_a_file_that_is_no_manifest_is_refused(tmp_path, text):
    (tmp_path / "numbers.json").write_text(text, encoding="utf-8")
    with pytest.raises(ManifestError, match="is not a manifest"):
        read_manifest(tmp_path / "numbers.json")


def test_missing_expected_numbers_are_said(tmp_path):
    with pytest.raises(ManifestError, match=r"numbers.json is missing: there are no expected numbers"):
        read_manifest(tmp_path / "numbers.json")


def test_two_notebooks_cannot_record_the_same_key(tmp_path):
    for name in ("2_design", "3_effect"):
        (tmp_path / f"{name}.json").write_text(json.dumps([vars(number(notebook=name))]), encoding="utf-8")
    with pytest.raises(ManifestError, match="recorded twice: by 2_design and by 3_effect"):
        read_parts(sorted(tmp_path.iterdir()))


@pytest.mark.parametrize(
    ("expected", "found", "fault"),
    [
        (number(), number(), None),
        (number(value=1.0), number(value=1.0 + 5e-9), None),
        (number(value=1.0), number(value=1.0 + 5e-8), "differs"),
        (number(value=0.0), number(value=5e-11), None),
        (number(value=0.0), number(value=5e-10), "differs"),
        (number(value=100, unit="count"), number(value=100 + 1e-7, unit="count"), "differs"),
        (number(value=None), number(value=None), None),
        (number(value=None), number(value=0.0), "differs"),
        (number(), None, "missing in this run"),
        (None, number(), "not among the committed"),
        (number(), number(cell="In [4]"), "described differently"),
        (number(), number(unit="%"), "described differently"),
    ],
)
def test_counts_agree_exactly_and_estimates_within_the_tolerance(expected, found, fault):
    sides = [{} if side is None else {side.key: side} for side in (expected, found)]
    differences = compare_numbers(*sides)
    assert differences["fault"].tolist() == ([] if fault is None else [fault])


def test_differences_come_in_the_order_of_the_notebooks():
    expected = {
        "a": number("a", notebook="3_effect", cell="In [2]"),
        "b": number("b", cell="In [10]"),
        "c": number("c", cell="In [9]"),
    }
    found = {key: replace(value, value=2.0) for key, value in expected.items()}
    assert compare_numbers(expected, found)["key"].tolist() == ["c", "b", "a"]


def test_two_folders_of_reports_are_compared_by_study(tmp_path):
    for folder, value in (("before", 1.0), ("after", 1.0 + 1e-9)):
        for study in ("one", "two"):
            (tmp_path / folder / study).mkdir(parents=True)
            made = Manifest(study, "T", "real", HASH, HASH, {}, 1, {"a.b": number(value=value), "c": number("c", None)})
            write_manifest(made, tmp_path / folder / study / "numbers.json")
    before, after = tmp_path / "before", tmp_path / "after"
    assert [one.text() for one in compare_reports(before, after)] == [
        f"{study}: 2 numbers: all equal (largest relative difference 1e-09)" for study in ("one", "two")
    ]
    strict = compare_reports(before / "one", after / "one" / "numbers.json", 1e-12)
    assert [one.differences["key"].tolist() for one in strict] == [["a.b"]]
    (after / "two" / "numbers.json").unlink()
    with pytest.raises(ManifestError, match="Only one of 'before' and 'after' has numbers of two"):
        compare_reports(before, after)
    with pytest.raises(ManifestError, match=r"holds no numbers\.json"):
        compare_reports(tmp_path, after)


def test_a_study_is_confirmed_and_every_change_is_named(tmp_path, monkeypatch):
    monkeypatch.chdir(make_project(tmp_path))
    spec = StudySpec(study="toy")
    committed = run_study(spec).folder / "numbers.json"
    text = committed.read_text(encoding="utf-8")
    seen = {path.name for path in committed.parent.iterdir()}

    result = verify_study(spec)
    assert result.confirmed
    assert "all 18 reported numbers confirmed" in result.text()

    # One committed number changed by hand: named with both values and the cell.
    edited = json.loads(text)
    edited["numbers"]["sample.units"]["value"] = 13
    edited["numbers"]["overall.extra"] = edited["numbers"].pop("overall.main.estimate")
    committed.write_text(json.dumps(edited), encoding="utf-8")
    result = verify_study(spec)
    rows = result.differences.set_index("key")
    assert not result.confirmed
    assert rows.loc["sample.units", ["fault", "expected", "found", "cell"]].tolist() == ["differs", 13, 12, "In [4]"]
    assert rows.loc["overall.main.estimate", "fault"] == "not among the committed"
    assert rows.loc["overall.extra", "fault"] == "missing in this run"
    assert "First diverging cell: 2_toy, In [4] (number sample.units)" in result.text()
    assert "describe.describe_sample(spec, design)" in result.text()

    # One data value edited: the file and the numbers that it moves.
    committed.write_text(text, encoding="utf-8")
    frame = pd.read_csv("data/toy.csv")
    frame.loc[3, "share"] += 0.01  # county C00 in 2018, the second year of its treatment
    frame.to_csv("data/toy.csv", index=False)
    result = verify_study(spec)
    assert any("data/toy.csv has changed" in fault for fault in result.faults)
    assert "overall.main.estimate" in set(result.differences["key"])
    assert "sample.units" not in set(result.differences["key"])
    assert {path.name for path in committed.parent.iterdir()} == seen


def test_changed_parameters_and_seeds_are_named(tmp_path, monkeypatch):
    monkeypatch.chdir(make_project(tmp_path))
    numbers = {"a.b": number(spec_hash="f" * 16)}
    made = Manifest("toy", "Toy", "simulated", "1" * 64, "2" * 64, {"data/toy.csv": "3"}, 2, numbers)
    (tmp_path / "reports" / "toy").mkdir(parents=True)
    write_manifest(made, tmp_path / "reports" / "toy" / "numbers.json")
    result = verify_study(StudySpec(study="toy"))
    for words in (
        "spec hash differs",
        "sha256 differs",
        "seed 1 where the committed numbers have 2",
        "another hash or seed",
    ):
        assert any(words in fault for fault in result.faults), words
