"""Languages of a report: the same keys and places, no words that nobody uses, no English left on a Chinese page."""

import ast
import json
import re

import pytest
from support.languages import english_in, texts_of
from support.projects import ROOT
from support.reports import REPORTS

from evalaid.base.project import WORDS, find_words, list_studies, study_file
from evalaid.report.display.formatted_tables import COLUMNS
from evalaid.report.site.editions import open_editions, read_published, turn_html
from evalaid.report.wording import results, robustness
from evalaid.report.wording.language import PHRASES, list_languages, load_catalogue, read_catalogue, read_yaml
from evalaid.report.wording.translation import Translation, load_translation, pair_words

OTHERS = [language for language in list_languages() if language != "en"]
FRONT_ONLY = (
    "figure.",
    "numbers.",
    "downloads.",
    "paper.",
)  # what a language with the first pages alone leaves out
PLACE = re.compile(r"\{([^{}]+)\}")
SOURCES = ROOT / "src" / "evalaid"
BY_VERDICT = ("finding", "sentence", "may", "may_not", "simulated_finding", "simulated_sentence")
SHOWN_OF_STUDY = ("title", "programme", "caution", "outcome_label")  # of every study, on its first page
LABELLED = ("methods", "scenarios", "estimands", "placebo")


def strings_of_the_code():
    """String constants of the report's code, templates and script: whole ones, and the beginnings of those with places."""
    whole, starts = set(), set()
    for path in SOURCES.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.JoinedStr):
                first = node.values[0]
                starts |= {first.value} if isinstance(first, ast.Constant) else set()
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                whole.add(node.value)
                starts |= {node.value} if node.value.endswith(".") else set()
        starts |= {f"{part}." for part in re.findall(r'\.part\("(\w+)"\)', path.read_text(encoding="utf-8"))}
    for path in (SOURCES / "report" / "site" / "templates").iterdir():
        text = path.read_text(encoding="utf-8")
        whole |= {key for pair in re.findall(r"'([\w.]+)'|\bwords\.(\w+)", text) for key in pair if key}
        starts |= set(re.findall(r"'([\w.]+\.)'", text))
    return whole, {start for start in starts if len(start) > 3}


@pytest.mark.parametrize("language", OTHERS)
def test_every_language_has_every_key_with_the_same_places(language):
    english, other = load_catalogue().words, dict(load_catalogue(language).words)
    front_only = other.pop("covers", "")
    wanted = {key for key in english if not (front_only and key.startswith(FRONT_ONLY))}
    assert wanted == set(other)
    for key, text in other.items():
        assert set(PLACE.findall(text)) == set(PLACE.findall(english[key])), key


@pytest.mark.parametrize("language", OTHERS)
def test_a_phrase_has_the_same_places_in_both_languages(language):
    for english, said in read_catalogue(language)[PHRASES].items():
        assert isinstance(said, str), english
        assert sorted(PLACE.findall(english)) == sorted(PLACE.findall(said)), english


def test_every_key_of_the_catalogue_is_used():
    whole, starts = strings_of_the_code()
    unused = []
    for key in load_catalogue().words:
        names = {key, key.removeprefix("figure.")}
        chosen = f"{key.partition('.')[0]}" in whole and key.partition(".")[0] in BY_VERDICT
        if not chosen and not names & whole and not any(name.startswith(start) for name in names for start in starts):
            unused.append(key)
    assert unused == []


@pytest.mark.parametrize(
    "path", sorted((ROOT / WORDS).glob("*/*.yaml")), ids=lambda path: f"{path.parent.name}-{path.stem}"
)
def test_words_of_a_study_stand_where_its_texts_stand_and_have_their_places(path):
    stored = read_published() if path.stem == "published" else read_yaml(study_file(path.stem))
    words = read_yaml(path)

    def count(tree):
        parts = tree.values() if isinstance(tree, dict) else tree if isinstance(tree, list) else ()
        return sum(map(count, parts)) if isinstance(tree, (dict, list)) else 1

    pairs = list(pair_words(stored, words))
    assert len(pairs) == count(words)  # none stands at a place that the study does not have
    for english, said in pairs:
        assert sorted(PLACE.findall(english)) == sorted(PLACE.findall(said)), english


@pytest.mark.parametrize("study", list_studies("project"))
def test_every_study_of_the_project_has_its_words_in_every_language(study):
    stored = read_yaml(study_file(study))
    for language in OTHERS:
        assert find_words(study, language), language
        words = read_yaml(find_words(study, language)[0])
        assert {name for name in SHOWN_OF_STUDY if name in stored} <= set(words), language
    (edition,) = [one for one in open_editions([study]) if one.language == "zh"]
    for part in LABELLED:
        for entry in stored.get(part, {}).values():
            assert english_in(edition.say(" ".join(entry["label"].split()))) == [], entry["label"]
    for text in (*stored.get("summary", ()), *(entry["why"] for entry in stored["methods"].values())):
        assert english_in(PLACE.sub("", edition.say(" ".join(text.split())))) == [], text


def test_headings_questions_and_chapters_are_chinese():
    turn = load_translation("zh")
    filled = {"Units": "Counties", "units": "counties", "Clusters": "Clusters", "clusters": "clusters"}
    headings = [PLACE.sub(lambda place: filled[place[1]], column.heading) for column in COLUMNS.values()]
    asked = [one.ask for one in vars(robustness).values() if isinstance(one, robustness.Asked)]
    fixed = [
        text for name, text in vars(results).items() if name.isupper() and isinstance(text, str) and "{" not in text
    ]
    chapters = [
        "".join(cell["source"])
        for name in ("2_design", "3_effect")
        for cell in json.loads((ROOT / "notebooks" / f"{name}.ipynb").read_text(encoding="utf-8"))["cells"]
        if cell["cell_type"] == "markdown"
        and not {"details", "methods", "tests"} & set(cell["metadata"].get("tags", ()))
    ]
    assert len(asked) == 8
    said = [*map(turn, [*headings, *asked, *fixed]), *(turn.markdown(text).partition("\n")[0] for text in chapters)]
    assert {text: words for text in said if (words := english_in(text)) and words != ["M"]} == {}


@pytest.mark.parametrize(
    ("english", "chinese"),
    [
        ("+1.63 to +4.71 points", "+1.63至+4.71个百分点"),
        ("Nobody knows.", "Nobody knows."),  # what no template fits stays, and is found by the tests below
        ("Nobody knows. Nobody cares; or does.", "Nobody knows. Nobody cares; or does."),  # with its spaces
        ("Nobody knows. Never treated.", "Nobody knows.从未处理。"),
        (
            "Average effect by cohort, over its trea…",
            "各批次的平均效应（其全部处理期）",
        ),  # a label that a figure cut short
        ("The two-way reg…", "用statsmodels以…"),
        ("never treated: 3, treated: 4", "从未处理：3，已处理：4"),
        (
            "CR3, t(2.2): 128 clusters count as 3.2 (−9, +8 to +9)",
            "CR3，t(2.2)：128个聚类相当于3.2个有效聚类（−9、+8至+9）",
        ),
        ("Two-way fixed effects: +1.75 (+0.91 to +2.59)", "双向固定效应：+1.75（+0.91至+2.59）"),
        ("**Recovery.** Synthetic control; Imputation.", "**Recovery**：合成控制法；插补法。"),
        ("**never treated: 3, treated: 4.** Imputation.", "**从未处理：3，已处理：4**。插补法。"),
        ("  Never treated ", "  从未处理 "),
        ("2.50", "2.50"),
    ],
)
def test_a_text_is_turned_as_a_whole_or_by_its_parts(english, chinese):
    assert load_translation("zh")(english) == chinese


def test_a_longer_template_goes_before_a_shorter_one_and_own_words_before_all():
    turn = Translation(
        "zh", (("Cohort {n}", "{n}批次"), ("{a} of the cohorts", "批次的{a}"), ("mean of the cohorts", "批次均值"))
    )
    assert [turn(text) for text in ("Cohort 2018Q3", "Cohort one", "mean of the cohorts")] == [
        "2018Q3批次",
        "Cohort one",
        "批次均值",
    ]
    assert turn.with_words([("Cohort {n}", "第{n}批")])("Cohort 4") == "第4批"


def test_a_chinese_study_has_english_pages_too():
    turn = load_translation("en", "zh")
    assert turn("从未处理") == "never treated"
    assert turn("各批次各时期的处理状态。") == "Treatment status by cohort and period."
    assert load_translation("en") is None


def test_texts_of_a_drawing_keep_their_place_size_and_number_of_lines():
    drawn = (
        '<svg viewBox="0 0 9 9" aria-label="no estimates"><g><text x="1" y="2">Treatment status by cohort</text>\n'
        '<text x="1" y="9">and period.</text></g><g><text x="4" y="5">+1.5</text></g><path d="M0 0"/></svg>'
    )
    said = turn_html(drawn, load_translation("zh"))
    assert said.count("<text") in (2, 3)
    assert "".join(re.findall(r">([^<]+)<", said)).replace("\n", "") == "各批次各时期的处理状态。+1.5"
    assert '<path d="M0 0"/>' in said


@pytest.mark.slow
@pytest.mark.parametrize("folder", REPORTS)
def test_no_english_is_left_on_a_chinese_answer_or_evidence_page(folder):
    pages = [path for path in folder.glob("*.zh.html") if path.name.startswith(("index", "evidence"))]
    if not pages:
        pytest.skip(f"{folder.name} was made before reports had two languages, or is Chinese: run it again")
    left = {
        (path.name, text): words
        for path in pages
        for text in texts_of(path.read_text(encoding="utf-8"))
        if (words := [word for word in english_in(text) if word != folder.name])
    }
    assert left == {}


@pytest.mark.slow
def test_no_english_is_left_on_the_chinese_index():
    page = ROOT / "reports" / "index.zh.html"
    if not page.is_file():
        pytest.skip("NO REPORT on this machine: evalaid run")
    references = {
        row["reference"]
        for row in read_yaml(find_words("published", "zh")[0])["literature"].values()
        if "reference" in row
    }
    texts = [text for text in texts_of(page.read_text(encoding="utf-8")) if text not in references]
    assert {text: words for text in texts if (words := english_in(text))} == {}
