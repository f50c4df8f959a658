"""The raw data are what the data package says, and the data package is what the README says."""

import hashlib
import json
import re
from itertools import permutations
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

DATA = Path(__file__).parents[2] / "data"
PACKAGE = json.loads((DATA / "datapackage.json").read_text(encoding="utf-8"))
RESOURCES = {one["name"]: one for one in PACKAGE["resources"]}
OWN = [path.parent for path in DATA.glob("*/datapackage.json")]  # data of studies of one's own: recorded beside them
README = (DATA / "README.md").read_text(encoding="utf-8")

every_resource = pytest.mark.parametrize("resource", RESOURCES.values(), ids=RESOURCES)


def raw(resource):
    """Every cell as text; an empty cell is missing."""
    return pd.read_csv(DATA / resource["path"], dtype="str", keep_default_na=False, na_values=[""], encoding="utf-8")


def parsed(values, field):
    """The values of one column in the type that the schema gives it; what does not fit raises."""
    kind = field["type"]
    if kind in {"integer", "year"}:
        assert values.str.fullmatch(r"-?\d+").all(), f"{field['name']}: {kind} expected"
        return values.astype("int64")
    if kind == "number":
        return values.astype("float64")
    if kind == "date":
        return pd.to_datetime(values, format="%Y-%m-%d")
    assert kind == "string"
    return values


def table_rows(heading):
    """The body rows of the first Markdown table below a heading, as lists of cells."""
    below = README.split(heading, 1)[1].lstrip()
    table = below[below.index("|") :].split("\n\n", 1)[0].splitlines()
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in table[2:]]


def test_the_package_names_every_data_file_once():
    found = [path for path in DATA.rglob("*.*") if path.is_file() and not any(map(path.is_relative_to, OWN))]
    files = {path.relative_to(DATA).as_posix() for path in found}
    described = [resource["path"] for resource in PACKAGE["resources"]]
    assert sorted(described) == sorted(files - {"README.md", "datapackage.json"})
    assert all(not path.startswith(("/", "..")) for path in described)


@every_resource
def test_bytes_hash_and_rows_are_as_published(resource):
    content = (DATA / resource["path"]).read_bytes()
    assert len(content) == resource["bytes"]
    assert "sha256:" + hashlib.sha256(content).hexdigest() == resource["hash"]
    assert b"\r" not in content
    assert not content.startswith(b"\xef\xbb\xbf")
    assert len(raw(resource)) == resource["rows"]


@every_resource
def test_columns_types_and_constraints_hold(resource):
    frame = raw(resource)
    fields = resource["schema"]["fields"]
    assert [field["name"] for field in fields] == list(frame.columns)
    for field in fields:
        constraints = field.get("constraints", {})
        column = frame[field["name"]]
        assert not (constraints.get("required") and column.isna().any()), field["name"]
        present = column.dropna()
        values = parsed(present, field)
        if "minimum" in constraints:
            assert (values >= type(values.iloc[0])(constraints["minimum"])).all(), field["name"]
        if "maximum" in constraints:
            assert (values <= type(values.iloc[0])(constraints["maximum"])).all(), field["name"]
        if "enum" in constraints:
            assert set(present) <= set(constraints["enum"]), field["name"]
        if "pattern" in constraints:
            assert present.str.fullmatch(constraints["pattern"]).all(), field["name"]
        if constraints.get("unique"):
            assert present.is_unique, field["name"]
        assert set(constraints) <= {"required", "minimum", "maximum", "enum", "pattern", "unique"}


@every_resource
def test_every_number_says_its_unit_and_every_column_its_meaning(resource):
    for field in resource["schema"]["fields"]:
        assert field["description"]
        assert field.get("unit") or field["type"] == "string", field["name"]


@every_resource
def test_keys_are_unique_and_references_exist(resource):
    frame = raw(resource)
    assert not frame.duplicated(resource["schema"]["primaryKey"]).any()
    for foreign in resource["schema"].get("foreignKeys", []):
        target = raw(RESOURCES[foreign["reference"]["resource"]])
        known = pd.MultiIndex.from_frame(target[foreign["reference"]["fields"]])
        assert pd.MultiIndex.from_frame(frame[foreign["fields"]]).isin(known).all()


@every_resource
def test_source_and_terms_are_stated(resource):
    assert resource["sources"]
    assert all(source["title"] for source in resource["sources"])
    assert all(licence["name"] and licence["title"] for licence in resource["licenses"])


def test_the_panel_is_complete():
    panel = raw(RESOURCES["district-year"])
    assert panel.groupby("district_key")["year"].nunique().eq(6).all()
    assert set(panel["district_key"]) == set(raw(RESOURCES["care-areas"])["district_key"])


def test_an_area_has_one_status_and_the_roster_dates_exactly_the_later_waves():
    areas = raw(RESOURCES["care-areas"])
    assert areas.groupby("care_area")["programme_status"].nunique().eq(1).all()
    later = areas.loc[areas["programme_status"] == "designated 2021-2024", "care_area"]
    assert set(raw(RESOURCES["roster"])["care_area"]) == set(later)


def test_every_area_of_an_event_exists():
    named = raw(RESOURCES["events"])["care_area"].str.split(";").explode()
    assert set(named) <= set(raw(RESOURCES["care-areas"])["care_area"]) | {"all"}


def test_the_readme_lists_the_files_as_the_package_does():
    rows = {cells[0].strip("`"): cells for cells in table_rows("## Files")}
    assert set(rows) == {resource["path"] for resource in RESOURCES.values()}
    for resource in RESOURCES.values():
        _, what, source, terms, count, digest = rows[resource["path"]]
        assert what == resource["title"]
        assert source == "; ".join(entry["title"] for entry in resource["sources"])
        assert terms == "; ".join(licence["title"] for licence in resource["licenses"])
        assert int(count.replace(",", "")) == resource["rows"]
        assert digest.strip("`") == resource["hash"].removeprefix("sha256:")


@every_resource
def test_the_readme_lists_the_columns_as_the_package_does(resource):
    listed = table_rows(f"### `{resource['path']}`")
    fields = resource["schema"]["fields"]
    assert listed == [[f"`{field['name']}`", field.get("unit", ""), field["description"]] for field in fields]


def test_every_source_says_where_it_was_read_who_may_get_it_and_what_it_was_checked_against():
    rows = table_rows("**Details on each source.**")
    names = ("title", "address", "accessed", "available", "rights", "checked")
    assert rows == [[source[name] for name in names] for source in PACKAGE["sources"]]
    titles = {entry["title"] for resource in RESOURCES.values() for entry in resource["sources"]}
    assert titles == {source["title"] for source in PACKAGE["sources"]}


def test_mortality_of_four_counties_fits_best_when_rotated_by_one_row_in_even_years():
    """The reason why the warning tells to leave them out of that outcome."""
    panel = raw(RESOURCES["district-year"])
    keys = [f"충청북도_{name}" for name in ("증평군", "괴산군", "음성군", "단양군")]
    assert all(key.partition("_")[2] in README for key in keys)
    rows = panel[panel["district_key"].isin(keys)].astype({"amenable_mortality_per_100k": "float64"})
    table = rows.pivot_table("amenable_mortality_per_100k", "district_key", "year").loc[keys].to_numpy()
    even, odd = table[:, 1::2], table[:, ::2]
    beside = np.column_stack([(odd[:, 0] + odd[:, 1]) / 2, (odd[:, 1] + odd[:, 2]) / 2, odd[:, 2]])
    off = {order: np.sqrt(np.mean((even[list(order)] / beside - 1) ** 2)) for order in permutations(range(4))}
    assert min(off, key=off.get) == (3, 0, 1, 2)
    assert off[3, 0, 1, 2] < 0.7 * off[0, 1, 2, 3]


def test_the_numbers_in_the_warnings_are_those_of_the_files():
    panel, areas = raw(RESOURCES["district-year"]), raw(RESOURCES["care-areas"])
    size = areas.groupby("programme_status").agg(areas=("care_area", "nunique"), districts=("district_key", "size"))
    later, never, first = (size.loc[s] for s in ("designated 2021-2024", "not designated by 2024", "designated 2020"))
    zero = panel[panel["acute_inpatient_share_pct"].astype("float64") == 0]
    population = panel["population"].astype("int64")
    text = re.sub(r"\s+", " ", README)
    for sentence in (
        f"({later.areas + never.areas} in the usable sample), not the district ({later.districts + never.districts})",
        f"{later.areas} areas designated in 2021, 2022 or 2024 ({later.districts} districts)",
        f"{never.areas} not designated by 2024 ({never.districts} districts)",
        f"other {first.areas} areas ({first.districts} districts)",
        f"{len(zero)} district-years ({zero['district_key'].nunique()} districts) have a share of 0",
        f"districts of {population.min():,} to {population.max():,} residents",
    ):
        assert sentence in text
