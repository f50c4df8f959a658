"""The list of exhibits names each table and figure once, in the order of notebooks and cells."""

import csv

from evalaid.report.exhibit_list import COLUMNS, EXHIBITS_FILE, add_exhibit


def listed(folder):
    with (folder / EXHIBITS_FILE).open(encoding="utf-8", newline="") as stored:
        return list(csv.DictReader(stored))


def test_exhibits_stand_in_the_order_of_notebooks_and_cells(tmp_path):
    add_exhibit(tmp_path, "3_effect", "In [12]", ("figures/event.svg", "figures/event.png"), "Event study")
    add_exhibit(tmp_path, "3_effect", "In [4]", ("tables/main.csv", "tables/main.tex"), 'Main, "universal" base')
    add_exhibit(tmp_path, "2_design", "In [30]", ("tables/design.csv", "tables/design.tex"), "Design")
    rows = listed(tmp_path)
    assert [row["cell"] for row in rows] == ["In [30]", "In [4]", "In [12]"]
    assert [row["exhibit"] for row in rows] == ["table", "table", "figure"]
    assert tuple(rows[0]) == COLUMNS
    assert rows[1]["caption"] == 'Main, "universal" base'


def test_a_notebook_that_runs_again_alone_replaces_its_rows(tmp_path):
    files = ("tables/main.csv", "tables/main.tex")
    add_exhibit(tmp_path, "3_effect", "In [4]", files, "Main")
    add_exhibit(tmp_path, "3_effect", "In [5]", files, "Main, moved")
    assert [(row["cell"], row["caption"]) for row in listed(tmp_path)] == [("In [5]", "Main, moved")]
