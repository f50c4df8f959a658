"""A report as a paper: what it says, that no text of a study is taken for markup, that the same report is the same bytes."""

import importlib.util
import io
import re
import sys
import zipfile

import pytest
from click.testing import CliRunner
from support.projects import EFFECT, SAMPLE, make_project

import evalaid as ea
from evalaid.cli import main
from evalaid.did.estimators.registry import METHODS
from evalaid.report.display import fonts
from evalaid.report.display.table_files import TableGrid, word_table
from evalaid.report.paper.page_parts import read_parts
from evalaid.report.paper.paper_contents import Paper, list_references, read_references
from evalaid.report.paper.typesetting import typeset

HOSTILE = r'#panic("x") $x^2$ *a* _b_ @ref <tag> \\ `c` [d] {e} //f /* g */ ~h = i + j - k "l" #{1+1} &lt; \u{41}'
SVG = b'<svg font-family="X, sans-serif" viewBox="0 0 100 50" xmlns="http://www.w3.org/2000/svg"><text style="font-size: 9px" x="5" y="20">%s</text></svg>'
WORDS = {
    name: name
    for name in (
        "answer",
        "overturn",
        "may",
        "may_not",
        "contents",
        "references",
        "appendix",
        "table",
        "figure",
        "nothing",
    )
}
needs_typst = pytest.mark.skipif(
    importlib.util.find_spec("typst") is None or importlib.util.find_spec("pypdf") is None,
    reason="NO TYPST: typst or pypdf is not installed (requirements-dev.lock); no paper is made",
)


def table(**changes):
    return {
        "kind": "table", "name": "t", "caption": "A table", "heads": ["", "Effect"], "columns": ["label", "estimate"],
        "rows": [["one", "+1.00"], ["two", "-2.00"]], "numeric": [False, True], "notes": ["CR3"], **changes,
    }  # fmt: skip


def paper_of(parts, pictures=None, **changes):
    content = {
        "language": "en", "words": WORDS, "title": "A title", "band": "Real data", "stamp": "", "verdict": "Not told from zero",
        "finding": "F", "sentence": "S", "truth": "", "why": "W", "caution": "", "overturn": [], "may": "M", "may_not": "N", "facts": [],
        "question": "Q", "first": None, "note": "", "references": [], "footer": "made",
        "body": [{"name": "results", "title": "Results", "parts": parts}], "appendix": [],
    }  # fmt: skip
    return Paper({**content, **changes}, pictures or {})


def read_pages(pdf):
    from pypdf import PdfReader

    return [page.extract_text() for page in PdfReader(io.BytesIO(pdf)).pages]


def squeezed(text):
    return re.sub(r"[\s\u200b]+", "", text)


def test_the_parts_of_a_page_are_read_without_its_code_its_files_and_its_drawings():
    html = (
        '<h2 id="a">Head &amp; tail</h2><p>One <strong>two</strong>\nthree <a class="v" href="@x">4.5</a> <a href="https://doi.org/1">d</a></p>'
        "<ul><li>item</li><li><p>more</p></li></ul><details class='code'><pre>code</pre></details>"
        '<div class="table" id="table-eff"><div class="wide"><table><caption>Cap</caption><thead><tr><td data-column="label"></td>'
        '<th class="n" data-column="std_error">SE</th></tr></thead><tbody><tr data-row="r"><th>A</th><td class="n">1</td></tr></tbody>'
        '</table></div><p class="note">First.</p><p class="note">Second.</p><p class="files"><a href="x">csv</a></p></div>'
        '<figure class="drawn" id="figure-f"><div class="desk"><svg aria-label="seen"><text>no</text></svg></div>'
        '<div class="phone" hidden><svg aria-label="again"></svg></div><figcaption>Fig</figcaption></figure>'
    )
    heading, text, items, shown, figure = read_parts(html)
    assert heading == {"kind": "heading", "level": 1, "says": [{"text": "Head & tail"}]}
    assert text["says"] == [
        {"text": "One "}, {"text": "two", "style": "strong"}, {"text": " three 4.5 "}, {"text": "d", "to": "https://doi.org/1"},
    ]  # fmt: skip
    assert [item[0]["says"][0]["text"] for item in items["items"]] == ["item", "more"]
    assert (shown["name"], shown["caption"], shown["heads"], shown["rows"]) == ("eff", "Cap", ["", "SE"], [["A", "1"]])
    assert (shown["numeric"], shown["columns"], shown["notes"]) == (
        [False, True],
        ["label", "std_error"],
        ["First.", "Second."],
    )
    assert figure == {"kind": "figure", "name": "f", "caption": "Fig", "alt": "seen"}


@needs_typst
def test_no_text_of_a_study_is_taken_for_markup():
    says = [{"text": HOSTILE}, {"text": HOSTILE, "style": "code"}, {"text": HOSTILE, "style": "strong"}]
    parts = [
        {"kind": "heading", "level": 2, "says": [{"text": HOSTILE}]}, {"kind": "text", "says": says},
        {"kind": "list", "numbered": False, "items": [[{"kind": "text", "says": [{"text": HOSTILE}]}]]},
        {"kind": "verbatim", "text": HOSTILE}, table(caption=HOSTILE, heads=[HOSTILE, "b"], rows=[[HOSTILE, "1"]], notes=[HOSTILE]),
        {"kind": "figure", "name": "f", "caption": HOSTILE, "alt": HOSTILE},
    ]  # fmt: skip
    told = dict.fromkeys(("title", "finding", "sentence", "question", "caution", "may", "footer"), HOSTILE)
    pages = read_pages(typeset(paper_of(parts, {"f": SVG % b"text"}, facts=[[HOSTILE, HOSTILE]], **told)))
    said = squeezed("".join(pages))
    assert (
        said.count(squeezed(HOSTILE)) >= len(told) - 1 + 2 + len(says) + 7
    )  # the footer says it without the marks of code


@needs_typst
def test_control_characters_and_words_without_end_do_no_harm():
    pages = read_pages(typeset(paper_of([table(rows=[["a\x00b\x1bc" + "x" * 400, "1"]])])))
    assert squeezed("".join(pages)).count("x" * 400) == 1
    assert "abc" in squeezed("".join(pages))


@needs_typst
def test_chinese_and_korean_are_drawn_and_the_same_paper_is_the_same_bytes():
    parts = [
        {"kind": "text", "says": [{"text": "县域内住院率 기흥 Møller −1.5"}]},
        {"kind": "figure", "name": "f", "caption": "图 x", "alt": "a"},
    ]
    paper = paper_of(parts, {"f": SVG % "세종".encode()}, language="zh", title="医院对口帮扶")
    made = typeset(paper)
    assert made == typeset(paper)
    assert b"CreationDate" not in made
    said = squeezed("".join(read_pages(made)))
    for text in ("县域内住院率", "기흥", "세종", "医院对口帮扶", "Møller", "−1.5"):
        assert text in said, text
    drawn = set(re.findall(rb"/BaseFont\s*/[A-Z]{6}\+([\w-]+)", made))
    assert b"EvalaidCJK" in b" ".join(drawn).replace(b"-", b"")


@needs_typst
def test_a_letter_that_no_font_has_is_named_with_the_fonts_that_were_looked_for(monkeypatch):
    monkeypatch.setattr(fonts, "FAMILIES", (fonts.OWN, "Noto Sans CJK KR"))
    fonts.find_family.cache_clear()
    with pytest.raises(
        ea.EvalaidError,
        match=r"No font for these letters of the paper: \ue123 \(U\+E123\)\. Evalaid CJK.*Noto Sans CJK KR.*Install",
    ):
        typeset(paper_of([{"kind": "text", "says": [{"text": "a\ue123"}]}]))
    fonts.find_family.cache_clear()


@needs_typst
def test_simulated_data_are_stamped_on_the_title_page_on_every_page_and_on_every_figure():
    figures = [{"kind": "figure", "name": "f", "caption": "C", "alt": "a"}] * 3
    pages = read_pages(
        typeset(paper_of(figures, {"f": SVG % b"x"}, stamp="Simulated data", band="SIMULATED DATA: drawn"))
    )
    assert "SIMULATED DATA: drawn" in pages[0]
    assert all("Simulated data" in page for page in pages[1:])
    assert "".join(pages).count("Simulated data") == len(pages) - 1 + 2 * len(figures)
    assert "imulated" not in "".join(read_pages(typeset(paper_of(figures, {"f": SVG % b"x"}))))


@needs_typst
def test_exhibits_are_numbered_and_those_of_the_appendix_anew():
    appendix = [{"name": "tests", "title": "Tests", "parts": [table(caption="Third")]}]
    paper = paper_of(
        [table(caption="First"), table(caption="Second", rows=[])], appendix=appendix, words={**WORDS, "table": "Table"}
    )
    said = squeezed("".join(read_pages(typeset(paper))))
    for text in ("Table1.First", "Table2.Second", "nothing", "TableA1.Third", "1Results", "ATests"):
        assert text in said, text


def test_without_typst_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "typst", None)
    with pytest.raises(ea.EvalaidError, match=r"needs typst: install evalaid\[paper\]"):
        typeset(paper_of([]))


def test_every_method_has_a_whole_reference_and_every_reference_can_be_cited():
    known = {str(entry["doi"]): entry for entry in read_references()}
    of_methods = {doi.rstrip(".") for method in METHODS for doi in re.findall(r"doi:(\S+)", method.source)}
    assert of_methods <= set(known)
    assert all(entry.get("exhibits") or doi in of_methods for doi, entry in known.items())
    assert all(re.search(r"\(\d{4}\)\. .{20,}\.$", entry["text"]) for entry in known.values())
    cited = list_references({"methods": {"main": {"method": "callaway_santanna"}}}, {"honest"})
    assert [one["doi"] for one in cited] == ["10.1016/j.jeconom.2020.12.001", "10.1093/restud/rdad018"]


def test_a_word_file_holds_all_tables_and_no_date():
    docx = pytest.importorskip("docx", reason="NO python-docx: it is not installed (requirements-dev.lock)")
    one = TableGrid("a", "First", "", ("", "b"), (("c", "1"),), (False, True), (False, False), ("note",))
    two = TableGrid("b", "Second", "Simulated data", ("x",), (("y",),), (False,), (False,), ())
    made = word_table(one, two)
    assert made == word_table(one, two)
    document = docx.Document(io.BytesIO(made))
    assert [[cell.text for cell in table.rows[-1].cells] for table in document.tables] == [["c", "1"], ["y"]]
    assert {member.date_time for member in zipfile.ZipFile(io.BytesIO(made)).infolist()} == {(1980, 1, 1, 0, 0, 0)}


def call(*arguments):
    return CliRunner().invoke(main, list(arguments), catch_exceptions=False)


@needs_typst
def test_the_command_writes_both_documents_links_them_and_leaves_the_report_up_to_date(tmp_path, monkeypatch):
    pytest.importorskip("docx", reason="NO python-docx: it is not installed (requirements-dev.lock)")
    monkeypatch.chdir(make_project(tmp_path, cells=(SAMPLE, EFFECT), title=HOSTILE))
    before = call("paper", "toy")
    assert (before.exit_code, "no finished report of 'toy'" in before.output, "evalaid run toy" in before.output) == (
        2,
        True,
        True,
    )
    assert call("run", "toy").exit_code == 0
    downloads = tmp_path / "reports" / "toy" / "downloads.html"
    assert "<code>evalaid paper toy</code>" in downloads.read_text(encoding="utf-8")
    made = call("paper", "toy")
    assert (made.exit_code, made.output) == (0, "Paper: reports/toy/paper.pdf\nTables: reports/toy/tables.docx\n")
    assert 'href="paper.pdf"' in downloads.read_text(encoding="utf-8")
    assert 'href="tables.docx"' in downloads.read_text(encoding="utf-8")
    first = [(tmp_path / "reports" / "toy" / name).read_bytes() for name in ("paper.pdf", "tables.docx")]
    pages = read_pages(first[0])
    assert squeezed(HOSTILE) in squeezed(pages[0])
    assert "SIMULATED DATA" in pages[0]
    assert squeezed("Table 1. Sample") in squeezed("".join(pages))
    assert "Up to date" in call("run", "toy").output
    assert call("paper", "toy").exit_code == 0
    assert first == [(tmp_path / "reports" / "toy" / name).read_bytes() for name in ("paper.pdf", "tables.docx")]
    study = tmp_path / "notebooks" / "studies" / "toy.yaml"
    study.write_text(study.read_text(encoding="utf-8").replace("seed: 1", "seed: 2"), encoding="utf-8")
    after = call("paper", "toy")
    assert (after.exit_code, "would be out of date. First: evalaid run toy" in " ".join(after.output.split())) == (
        2,
        True,
    )


COHORTS = 'section.table(describe.describe_cohorts(design), "cohorts", ["cohort_label", "n_units"], "Average effect by cohort, over its treated periods")'
STATUS = (
    "from evalaid.report.display import figures\n"
    'section.figure(figures.draw_status_map, describe.map_status(design), "status_map", "The methods by result")'
)
CAPTIONS = {
    "en": (
        "Average effect by cohort, over its treated periods",
        "The methods by result",
        "Does the machinery work?",
        "Answer",
    ),
    "zh": ("各批次的平均效应（其全部处理期）", "各方法按结果分类", "这套程序能运行吗？", "结论"),
}
QUESTION = "question: 这套程序能运行吗？\n"


@needs_typst
def test_an_english_study_has_a_chinese_paper_beside_its_own(tmp_path, monkeypatch):
    docx = pytest.importorskip("docx", reason="NO python-docx: it is not installed (requirements-dev.lock)")
    monkeypatch.chdir(make_project(tmp_path, cells=(SAMPLE, EFFECT, COHORTS, STATUS)))
    words = tmp_path / "notebooks" / "words" / "zh"
    words.mkdir(parents=True)
    (words / "toy.yaml").write_text(QUESTION, encoding="utf-8")
    folder = tmp_path / "reports" / "toy"
    made = call("run", "toy")
    assert made.exit_code == 0, made.output
    assert "<code>evalaid paper toy --language zh</code>" in (folder / "downloads.zh.html").read_text(encoding="utf-8")
    made = call("paper", "toy", "--language", "zh")
    assert (made.exit_code, made.output) == (0, "Paper: reports/toy/paper.zh.pdf\nTables: reports/toy/tables.zh.docx\n")
    names = ("paper.zh.pdf", "tables.zh.docx")
    for page, left in (("downloads.html", True), ("downloads.zh.html", False)):  # whether its own is still to be made
        html = (folder / page).read_text(encoding="utf-8")
        assert [f'href="{name}"' in html for name in names] == [True, True]
        assert ("<code>evalaid paper" in html) == left, page
    first = [(folder / name).read_bytes() for name in names]
    said = squeezed("".join(read_pages(first[0])))
    assert [text for text in CAPTIONS["zh"] if squeezed(text) not in said] == []
    assert [text for text in CAPTIONS["en"] if squeezed(text) in said] == []
    assert "从未处理" in said  # in the figure
    assert "Nevertreated" not in said
    tables = [paragraph.text for paragraph in docx.Document(io.BytesIO(first[1])).paragraphs]
    assert CAPTIONS["zh"][0] in tables
    assert "模拟数据" in "".join(
        cell.text for table in docx.Document(io.BytesIO(first[1])).tables for cell in table.columns[0].cells
    )
    assert "Up to date" in call("run", "toy").output
    assert call("paper", "toy").exit_code == 0
    english = squeezed("".join(read_pages((folder / "paper.pdf").read_bytes())))
    assert [text for text in CAPTIONS["en"] if squeezed(text) not in english] == []
    assert not re.search("[\u4e00-\u9fff]", english)
    assert call("paper", "toy", "--language", "zh").exit_code == 0
    assert first == [(folder / name).read_bytes() for name in names]


@needs_typst
def test_a_chinese_study_has_an_english_paper_beside_its_own(tmp_path, monkeypatch):
    pytest.importorskip("docx", reason="NO python-docx: it is not installed (requirements-dev.lock)")
    monkeypatch.chdir(
        make_project(tmp_path, cells=(SAMPLE, EFFECT, COHORTS, STATUS), language="zh", question="这套程序能运行吗？")
    )
    assert call("run", "toy").exit_code == 0
    for language, name in (("zh", "paper.pdf"), ("en", "paper.en.pdf")):
        assert f"reports/toy/{name}\n" in call("paper", "toy", "--language", language).output
        said = squeezed("".join(read_pages((tmp_path / "reports" / "toy" / name).read_bytes())))
        assert [text for text in CAPTIONS[language][:2] if squeezed(text) not in said] == []
        assert ("从未处理" in said) == (language == "zh")  # in the figure


@pytest.mark.parametrize(
    ("language", "reason"), [("ko", "the words of the first page alone"), ("fr", "it has no catalogue")]
)
def test_a_paper_in_a_language_without_all_words_is_refused(tmp_path, monkeypatch, language, reason):
    monkeypatch.chdir(make_project(tmp_path))
    refused = call("paper", "toy", "--language", language)
    said = " ".join(refused.output.split())
    assert refused.exit_code == 2
    assert f"There is no paper in '{language}'" in said
    assert reason in said
    assert "Languages of papers: en, zh (evalaid paper toy --language en)" in said
    assert not list(tmp_path.glob("reports/**/paper*"))
