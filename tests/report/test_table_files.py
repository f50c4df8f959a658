"""One table, several files: the same cells, with caption, notes and kind of data inside."""

import importlib.util
import re
import shutil
import subprocess
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from support.panels import diagnose, simulate

import evalaid as ea
from evalaid.report.display.formatted_tables import FormattedTable
from evalaid.report.display.table_files import TableGrid, latex_table

FRAME = pd.DataFrame({
    "key": ["a", "b"],
    "label": ["50% & more_", "Estimate of the effect of a programme that has a very long name indeed"],
    "estimate": [-0.5, 1.25],
    "std_error": [0.4, np.nan],
    "conf_low": [-1.3, np.nan],
    "conf_high": [0.3, np.nan],
    "unit": "pp",
    "level": 0.95,
})  # fmt: skip
TABLE = FormattedTable(
    "effects_of", FRAME, "Effects {of} 3 ~ things", ("label", "estimate", "std_error", "conf_low", "conf_high"),
    notes=("CR1, t(40)", "5 < 6 of $n$"), kind="simulated",
)  # fmt: skip
DOCUMENT = (
    "\\documentclass{article}\n\\usepackage{array,booktabs,threeparttable}\n\\begin{document}\n%s\n\\end{document}\n"
)
ENGINES = [name for name in ("tectonic", "pdflatex", "xelatex", "lualatex") if shutil.which(name)]


def environments(text):
    """The environments of a text; every one is closed in the order in which it was opened."""
    open_ones, found = [], []
    for what, name in re.findall(r"\\(begin|end)\{(\w+)\}", text):
        if what == "begin":
            open_ones.append(name)
            found.append(name)
        else:
            assert open_ones.pop() == name
    assert not open_ones
    return found


def test_latex_holds_caption_kind_and_notes_inside_and_errors_in_parentheses():
    text = TABLE.to_latex()
    assert environments(text) == ["table", "threeparttable", "tabular", "tablenotes"]
    assert r"\caption{Effects \{of\} 3 \textasciitilde{} things}" in text
    assert re.search(r"\\begin\{tabular\}\{>\{\\raggedright\\arraybackslash\}p\{\d+\.\dcm\}rrr\}", text)
    body = text.split(r"\midrule")[1].split(r"\bottomrule")[0].strip().splitlines()
    assert body[0] == r"\multicolumn{4}{l}{\textit{Simulated data}} \\"
    assert body[1] == r"50\% \& more\_ & $-$0.50 & (0.40) & $-$1.30 to +0.30 \\"
    assert body[2].endswith(r"& +1.25 & -- & -- \\")
    assert r"\item 5 \textless{} 6 of \$n\$" in text
    assert all(line.count(" & ") == 3 for line in body[1:])


def wide_grid(*notes):
    """A table of nine columns with long heads."""
    heads = ("Name", *(f"Treated care areas {at}" for at in range(8)))
    row = ("a name of prose that is longer than the others are", *["1,234.56"] * 8)
    return TableGrid("t", "C", "", heads, (row,), (False, *[True] * 8), (False,) * 9, notes)


def test_a_wide_latex_table_gets_small_letters_heads_in_lines_and_says_when_it_is_wider_than_a_page():
    grid = wide_grid()
    text = latex_table(grid)
    assert r"\scriptsize\setlength{\tabcolsep}{0.1cm}" in text
    assert r"\shortstack{Treated \\ care \\ areas 0}" in text
    assert "Wider than a page" not in text
    far = latex_table(
        replace(grid, heads=grid.heads * 4, rows=(grid.rows[0] * 4,), numeric=grid.numeric * 4, errors=grid.errors * 4)
    )
    assert far.startswith("% Wider than a page in the smallest letters: turn it (sidewaystable")


@pytest.mark.skipif("pdflatex" not in ENGINES, reason="NO TeX ENGINE (pdflatex) is installed: widths are not looked at")
def test_no_latex_table_that_fits_is_wider_than_the_page(tmp_path):
    grid = wide_grid("note")
    page = DOCUMENT.replace(r"\begin{document}", r"\usepackage[a4paper,margin=2.7cm]{geometry}\begin{document}")
    (tmp_path / "t.tex").write_text(page % latex_table(grid), encoding="utf-8")
    done = subprocess.run(
        ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "t.tex"],
        check=False,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0
    assert "Overfull" not in done.stdout


def test_a_latex_table_in_chinese_says_which_engine_it_needs():
    assert "xelatex" in replace(TABLE, caption="效应").to_latex().splitlines()[0]
    assert not TABLE.to_latex().startswith("%")


@pytest.mark.skipif(not ENGINES, reason="NO TeX ENGINE is installed: the table is not compiled")
def test_the_latex_compiles(tmp_path):
    (tmp_path / "t.tex").write_text(DOCUMENT % TABLE.to_latex(), encoding="utf-8")
    mode = [] if ENGINES[0] == "tectonic" else ["-interaction=nonstopmode", "-halt-on-error"]
    subprocess.run([ENGINES[0], *mode, "t.tex"], cwd=tmp_path, check=True, capture_output=True, timeout=120)
    assert (tmp_path / "t.pdf").stat().st_size > 1000


def test_markdown_has_the_cells_of_the_page():
    lines = TABLE.to_markdown().splitlines()
    assert lines[0] == "**Effects {of} 3 ~ things**"
    assert "*Simulated data.*" in lines
    assert "| 50% & more_ | −0.50 | 0.40 | −1.30 to +0.30 |" in lines
    assert "|---|---:|---:|---:|" in lines
    assert lines[-1] == "- 5 < 6 of $n$"


def test_word_holds_the_same_cells_or_says_what_it_needs():
    if importlib.util.find_spec("docx") is None:
        with pytest.raises(ea.EvalaidError, match=r"needs python-docx: install evalaid\[word\]"):
            TABLE.to_word()
        return
    import io

    from docx import Document

    document = Document(io.BytesIO(TABLE.to_word()))
    rows = [[cell.text for cell in row.cells] for row in document.tables[0].rows]
    assert rows[1][0] == "Simulated data"
    assert rows[2] == ["50% & more_", "−0.50", "0.40", "−1.30 to +0.30"]
    texts = [paragraph.text for paragraph in document.paragraphs]
    assert texts[0] == "Effects {of} 3 ~ things"
    assert "5 < 6 of $n$" in texts


def test_estimates_answer_what_table_makers_ask_of_a_model():
    effects = ea.estimate(diagnose(simulate(seed=1)), "callaway_santanna")
    expected = ea.infer(effects.aggregate("overall"), level=0.9, vcov="CR1")
    model, event = ea.CoefficientTable(expected), ea.CoefficientTable(ea.infer(effects.aggregate("event_time")))
    table = model.__maketables_coef_table__
    assert table.index.tolist() == ["ATT"]
    assert table[["b", "se", "p"]].iloc[0].tolist() == expected[["estimate", "std_error", "p_value"]].iloc[0].tolist()
    assert table[["ci90l", "ci90u"]].iloc[0].tolist() == expected[["conf_low", "conf_high"]].iloc[0].tolist()
    assert event.__maketables_coef_table__.index.is_unique
    assert model.__maketables_stat__("n_clusters") == expected["n_clusters"].iloc[0]
    assert model.__maketables_stat__("vcov") == "CR1"
    assert model.__maketables_stat__("r2") is None


def test_a_table_without_errors_is_no_model():
    effects = ea.estimate(diagnose(simulate(seed=1)), "callaway_santanna").aggregate("overall")
    with pytest.raises(ea.EvalaidError, match=r"The table lacks std_error, .*infer\(effects\) has them"):
        ea.CoefficientTable(effects.tidy())
    with pytest.raises(ea.EvalaidError, match="no rows"):
        ea.CoefficientTable(ea.infer(effects).iloc[:0])


def test_maketables_takes_estimates_as_models():
    mt = pytest.importorskip("maketables", reason="maketables is not installed: its protocol is checked above")
    table = ea.infer(ea.estimate(diagnose(simulate(seed=1)), "callaway_santanna").aggregate("overall"))
    made = mt.ETable([ea.CoefficientTable(table)] * 2).make(type="tex")
    assert f"{table['estimate'].iloc[0]:.3f}" in str(made)
