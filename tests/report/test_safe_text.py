"""Files of a report for other programs: no csv cell is a formula, and TeX reads every table, whatever a study's file says."""

import csv
import io
import re
import shutil
import subprocess

import pandas as pd
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from support.projects import TOY, make_project

from evalaid.report.display.formatted_tables import ColumnFormat, FormattedTable
from evalaid.report.display.safe_text import csv_text
from evalaid.running.notebooks import run_study
from evalaid.study.spec import StudySpec

NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?")
SPECIAL = r"\&%_#$~^<>|[]*{}" + "\n\t"
TEXTS = st.text(alphabet=st.sampled_from(SPECIAL + "ab=+-@1. "), max_size=12)


def assert_no_formula(text):
    for row in csv.reader(io.StringIO(text)):
        for cell in row:
            assert NUMBER.fullmatch(cell) or not cell.lstrip().startswith(("=", "+", "-", "@")), row
            assert not cell.startswith(("\t", "\r")), row


def assert_tex_reads(text):
    """What a TeX engine would refuse: open braces and environments, special letters, rows of too many columns."""
    lines = [line for line in text.splitlines() if not line.startswith("%")]
    body = "\n".join(lines)
    letters = re.sub(r"\\[a-zA-Z]+|\\[^a-zA-Z]", lambda found: " " if found[0][1].isalpha() else "", body)
    depth = 0
    for letter in letters:
        depth += (letter == "{") - (letter == "}")
        assert depth >= 0, body
    assert depth == 0, body
    opened = []
    for word, name in re.findall(r"\\(begin|end)\{(\w+)\}", body):
        assert word == "begin" or opened.pop() == name, body
        opened += [name] * (word == "begin")
    assert not opened, body
    assert body.count(r"\begin{tabular}") == 1
    assert not re.search(r"[%#^~_<>|]", letters.replace(">{", "{")), letters
    assert letters.replace("$-$", "").count("$") == 0
    kinds = next(line for line in lines if line.startswith(r"\begin{tabular}")).removeprefix(r"\begin{tabular}")
    columns = re.findall(r"[lr]|p\{[\d.]+cm\}", re.sub(r">\{[^}]*\}", "", kinds))
    rows = [line for line in lines if line.endswith(r"\\")]
    assert rows
    for row in rows:
        assert not row.startswith(("[", "*")), row
        spanned = re.match(r"\\multicolumn\{(\d+)\}", row)
        cells = int(spanned[1]) if spanned else len(re.findall(r"(?<!\\)&", row.replace(r"\\", ""))) + 1
        assert cells == len(columns), row


def made(label, heading, caption="Caption", kind="simulated"):
    frame = pd.DataFrame({
        "key": ["a", "b"], "label": [label, "plain"], "estimate": [-0.5, None], "unit": ["pp", "pp"], "reason": ["", label],
    })  # fmt: skip
    extra = {"label": ColumnFormat(heading)}
    return FormattedTable("event", frame, caption, ("label", "estimate", "reason"), (caption,), extra=extra, kind=kind)


@example("=HYPERLINK(1)", "{x}", "a\n\nb")
@example("[1pt]", "{", "}")
@example(r"\end{tabular}", "{units} {unknown} }", "%")
@given(TEXTS, TEXTS, TEXTS)
@settings(max_examples=150, deadline=None)
def test_whatever_a_label_heading_or_caption_is_the_files_are_read(label, heading, caption):
    table = made(label, heading, caption)
    assert_no_formula(table.to_csv())
    assert_tex_reads(table.to_latex())
    assert table.to_html()


def test_numbers_stay_numbers_and_the_text_is_kept():
    frame = pd.DataFrame(
        {"=key": ["+a", "-1.5", "@x"], "value": [-1.0, float("nan"), 2.0], "also": ["\tx", None, "1-2"]}
    )
    rows = list(csv.reader(io.StringIO(csv_text(frame))))
    assert rows == [["'=key", "value", "also"], ["'+a", "-1.0", "'\tx"], ["-1.5", "", ""], ["'@x", "2.0", "1-2"]]


def test_every_file_of_a_report_is_safe(tmp_path, monkeypatch):
    """Names of units and labels that are formulas and full of TeX reach the tables of a run."""
    monkeypatch.chdir(make_project(tmp_path))
    label = "=1+1 {50% of $x_1$} & more"
    spec = StudySpec(
        study="toy", methods={"main": {**TOY["methods"]["main"], "label": label}}, outcome_label="{share}^2 #1"
    )
    folder = run_study(spec).folder
    tables, tex = sorted(folder.rglob("*.csv")), sorted(folder.rglob("*.tex"))
    assert len(tables) >= 2
    assert len(tex) >= 2
    for path in tables:
        assert_no_formula(path.read_text(encoding="utf-8"))
    for path in tex:
        assert_tex_reads(path.read_text(encoding="utf-8"))


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="LaTeX is not here; the check above needs none")
def test_latex_itself_takes_a_table(tmp_path):
    written = made(SPECIAL, SPECIAL, SPECIAL).to_latex()
    document = (
        r"\documentclass{article}\usepackage{array,booktabs,threeparttable}\begin{document}"
        + written
        + r"\end{document}"
    )
    (tmp_path / "a.tex").write_text(document, encoding="utf-8")
    done = subprocess.run(["pdflatex", "-interaction=batchmode", "-halt-on-error", "a.tex"], cwd=tmp_path, check=False)
    assert done.returncode == 0
