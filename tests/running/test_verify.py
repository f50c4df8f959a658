"""Every number has a key, a unit and an origin; verification names the one that moved and its cell."""

import csv
import json
import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from support.projects import SAMPLE, make_project, write_notebook

from evalaid.base.errors import ManifestError
from evalaid.running.checked.comparison import compare_numbers, compare_reports
from evalaid.running.checked.expected import accept, expected_file, read_expected, write_expected
from evalaid.running.checked.repeat import repeat_studies
from evalaid.running.checked.verify import compare_run
from evalaid.running.notebooks import run_study
from evalaid.running.runs import verify_studies
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
    assert [one.fault for one in compare_numbers(*sides)] == ([] if fault is None else [fault])


def test_differences_come_in_the_order_of_the_notebooks():
    expected = {
        "a": number("a", notebook="3_effect", cell="In [2]"),
        "b": number("b", cell="In [10]"),
        "c": number("c", cell="In [9]"),
    }
    found = {key: replace(value, value=2.0) for key, value in expected.items()}
    assert [one.key for one in compare_numbers(expected, found)] == ["c", "b", "a"]


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
    assert [[found.key for found in one.differences] for one in strict] == [["a.b"]]
    (after / "two" / "numbers.json").unlink()
    with pytest.raises(ManifestError, match="Only one of 'before' and 'after' has numbers of two"):
        compare_reports(before, after)
    with pytest.raises(ManifestError, match=r"holds no numbers\.json"):
        compare_reports(tmp_path, after)


def test_a_study_is_confirmed_and_every_change_is_named(tmp_path, monkeypatch):
    monkeypatch.chdir(make_project(tmp_path))
    spec = StudySpec(study="toy")
    [outcome] = verify_studies([spec])
    assert "expected/toy.csv is missing" in str(outcome.error)
    assert str(outcome.error).endswith("evalaid accept toy")
    report = run_study(spec).folder
    seen = {path.name for path in report.iterdir()}
    assert accept("toy").compared == 18
    committed = expected_file("toy")
    text = committed.read_text(encoding="utf-8")
    assert read_expected("toy") == read_manifest(report / "numbers.json")

    result = verify_studies([spec])[0].result
    assert result.confirmed
    assert "all 18 reported numbers confirmed" in result.text()

    # One committed number changed by hand: named with both values and the cell.
    edited = text.replace("units,12,", "units,13,").replace("overall.main.estimate", "overall.extra")
    committed.write_text(edited, encoding="utf-8")
    result = verify_studies([spec])[0].result
    rows = {one.key: one for one in result.differences}
    assert not result.confirmed
    assert rows["sample.units"] == ("sample.units", "differs", 13, 12, -1, "2_toy", "In [4]")
    assert rows["overall.main.estimate"].fault == "not among the committed"
    assert rows["overall.extra"].fault == "missing in this run"
    assert "First diverging cell: 2_toy, In [4] (number sample.units)" in result.text()
    assert "describe.describe_sample(spec, design)" in result.text()

    # What the head says: title, kind of data, hashes, seed.
    for old, new, words in (
        ("# title,A sim", "# title,Another sim", "title is 'A simulated programme' where the committed"),
        (
            "# data_kind,simulated",
            "# data_kind,real",
            "data_kind is 'simulated' where the committed numbers have 'real'",
        ),
        ("# spec_hash,", "# spec_hash,0", "spec hash differs"),
        ("# data_file,data/toy.csv,", "# data_file,data/toy.csv,0", "sha256 differs"),
        ("# seed,1", "# seed,2", "seed 1 where the committed numbers have 2"),
    ):
        committed.write_text(text.replace(old, new), encoding="utf-8")
        found = compare_run(run_study(spec)).faults
        assert any(words in fault for fault in found), (words, found)

    # One data value edited: the file and the numbers that it moves.
    committed.write_text(text, encoding="utf-8")
    frame = pd.read_csv("data/toy.csv")
    frame.loc[3, "share"] += 0.01  # county C00 in 2018, the second year of its treatment
    frame.to_csv("data/toy.csv", index=False)
    result = verify_studies([spec])[0].result
    assert any("data/toy.csv has changed" in fault for fault in result.faults)
    moved = {one.key for one in result.differences}
    assert "overall.main.estimate" in moved
    assert "sample.units" not in moved
    assert {path.name for path in report.iterdir()} == seen
    assert committed.read_text(encoding="utf-8") == text


def test_the_same_bytes_twice_or_the_first_cell_that_diverges(tmp_path, monkeypatch):
    monkeypatch.chdir(make_project(tmp_path))
    spec = StudySpec(study="toy")
    [outcome] = repeat_studies([spec])
    assert outcome.result.confirmed
    assert re.search(r"toy: \d+ files, twice the same bytes", outcome.result.text())
    write_notebook(tmp_path, (SAMPLE, "import os\nos.urandom(4)"))
    [outcome] = repeat_studies([spec])
    assert "2_toy.ipynb" in outcome.result.differing
    assert "First diverging cell: 2_toy.ipynb, cell 5\n    import os\n    os.urandom(4)" in outcome.result.text()

    write_notebook(tmp_path, (SAMPLE,))
    table = run_study(spec).folder / "tables" / "sample.csv"
    table.write_text(table.read_text(encoding="utf-8").replace("12", "13"), encoding="utf-8")
    [outcome] = repeat_studies([spec])
    assert (outcome.result.differing, outcome.result.stale) == ((), ("tables/sample.csv",))
    assert "The report on disk is not the one that is made now: tables/sample.csv" in outcome.result.text()


HEAD = "# study,toy\n# title,T\n# data_kind,real\n# spec_hash,0\n# data_hash,0\n# seed,1\n"
LINE = 'a.b,0.30000000000000004,pp,2,"twfe, plain",2_design,In [3]\n'


def test_a_line_of_expected_numbers_holds_the_whole_value(tmp_path, monkeypatch):
    monkeypatch.chdir(make_project(tmp_path))
    path = expected_file("toy")
    made = Manifest("toy", "T", "real", "0", "0", {}, 1, {"a.b": number(value=0.1 + 0.2, method="twfe, plain")})
    write_expected(made, path)
    assert path.read_text(encoding="utf-8") == HEAD + "key,value,unit,digits,method,notebook,cell\n" + LINE


def test_no_cell_of_expected_numbers_begins_a_formula_and_all_are_read_as_they_were(tmp_path, monkeypatch):
    monkeypatch.chdir(make_project(tmp_path))
    texts = ("=cmd()", "@SUM(1)", "+1+cmd", "-2+3", "\t=1", "plain")
    numbers = {text: number(text, -0.5, method=text) for text in texts}
    made = Manifest("toy", "=cmd()", "real", HASH, HASH, {"=a.csv": "0"}, 1, numbers)
    write_expected(made, expected_file("toy"))
    with expected_file("toy").open(encoding="utf-8", newline="") as stream:
        cells = [cell for row in csv.reader(stream) for cell in row]
    assert not [cell for cell in cells if cell[:1] in {*"=+-@\t"} and cell != "-0.5"]
    assert read_expected("toy") == made


@pytest.mark.parametrize(
    "change", [{"value": "12"}, {"value": float("nan")}, {"value": 10**400}, {"digits": None}, {"digits": True}]
)
def test_a_manifest_that_somebody_damaged_is_not_taken(tmp_path, monkeypatch, change):
    monkeypatch.chdir(make_project(tmp_path))
    path = tmp_path / "reports" / "toy" / "numbers.json"
    path.parent.mkdir(parents=True)
    write_manifest(Manifest("toy", "T", "real", "0", "0", {}, 1, {"a.b": number()}), path)
    accept("toy")
    kept = expected_file("toy").read_bytes()
    stored = json.loads(path.read_text(encoding="utf-8"))
    stored["numbers"]["a.b"] |= change
    path.write_text(json.dumps(stored), encoding="utf-8")
    with pytest.raises(ManifestError, match=r"numbers\.json is not a manifest"):
        accept("toy")
    assert expected_file("toy").read_bytes() == kept


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "line 0, is not as evalaid writes it"),
        (HEAD, "holds no number"),
        (HEAD + LINE + LINE, "line 8, is not as evalaid writes it (the key 'a.b' stands there twice)"),
        (HEAD + LINE.replace("pp", ""), "line 7, is not as evalaid writes it (a unit is missing)"),
        (HEAD + LINE.replace("0.3", "O.3"), "line 7"),
        (HEAD + "a.b,nan,pp,2,m,2_design,In [3]\n", "'a.b' is nan with 2 digits"),
        (HEAD + "a.b,1e999,pp,2,m,2_design,In [3]\n", "'a.b' is inf with 2 digits"),
        (HEAD + "a.b,1\n", "line 7"),
        (HEAD + HEAD, "line 7, is not as evalaid writes it ('# study' is not expected here)"),
        (LINE, "line 1"),
        ("\0", "is not as evalaid writes it"),
    ],
)
def test_expected_numbers_that_somebody_damaged_are_named_by_their_line(tmp_path, monkeypatch, text, words):
    monkeypatch.chdir(make_project(tmp_path))
    expected_file("toy").parent.mkdir(parents=True)
    expected_file("toy").write_text(text, encoding="utf-8")
    with pytest.raises(ManifestError) as error:
        read_expected("toy")
    assert words in str(error.value)
    assert "reports/expected/toy.csv" in str(error.value)
