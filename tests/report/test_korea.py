"""The Korean study on its real data, run once for all of these tests: its numbers, its page, its figures, its words."""

import json
import re
from html.parser import HTMLParser
from itertools import pairwise

import pandas as pd
import pytest
from support.browser import PHONE_HEIGHT, SHEETS, count_sheets, look_at, open_browser, open_page
from support.languages import english_in, texts_of
from support.projects import ROOT

from evalaid.did.estimators.identities import ROUNDING
from evalaid.report.display import fonts
from evalaid.running.checked.comparison import compare_numbers
from evalaid.running.checked.expected import read_expected
from evalaid.running.notebooks import run_study
from evalaid.study.manifest import hash_file
from evalaid.study.sample import load_design, load_frame
from evalaid.study.spec import StudySpec, load_study

KOREA = "korea_responsible_hospitals"
FIGURES = {
    "sample_flow",
    "status_map",
    "assignment",
    "map",
    "leave_out_map",
    "means",
    "event_study",
    "event_studies",
    "flows",
    "methods",
    "scenarios",
    "honest",
    "leave_out",
    "permutations",
    "specifications",
}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return run_study(StudySpec(study=KOREA), folder=tmp_path_factory.mktemp("report") / KOREA)


@pytest.fixture(scope="module")
def values(run):
    return {key: number.value for key, number in run.manifest.numbers.items()}


PAGES = ("index", "evidence", "details", "robustness", "tests", "methods", "numbers", "downloads")
WORDS, HEADINGS, TABLES, BYTES = 3000, 12, 12, 400_000  # of a page


@pytest.fixture(scope="module")
def pages(run):
    """The English pages; those in other languages have an ending of their own."""
    return {
        path.stem: path.read_text(encoding="utf-8")
        for path in sorted(run.folder.glob("*.html"))
        if "." not in path.stem
    }


class Page(HTMLParser):
    """Collects tags with their attributes."""

    def __init__(self, text):
        super().__init__()
        self.tags = []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))


def test_the_sample_is_what_the_data_say(values):
    design = load_design(load_study(KOREA))
    assert (design.n_units, design.n_clusters, design.n_treated_clusters, design.balanced) == (135, 41, 26, True)
    assert (values["sample.never_clusters"], values["sample.periods"], values["sample.observations"]) == (15, 6, 810)
    raw = load_frame(load_study(KOREA))
    assert values["sample.zero_rows"] == (raw["acute_inpatient_share_pct"] == 0).sum() == 28
    assert raw["programme_status"].ne("designated 2020").all()


@pytest.mark.parametrize(
    ("scenario", "changed"),
    [
        ("later_start", {"treated_clusters": 13}),
        ("until_2023", {"treated_clusters": 13}),
        ("without_covid_hospitals", {"n_clusters": 31, "n_units": 95}),
        ("firm_status", {"n_clusters": 39, "treated_clusters": 26}),
    ],
)
def test_a_scenario_changes_what_it_says(values, scenario, changed):
    for column, value in changed.items():
        assert values[f"scenarios.{scenario}.{column}"] == value


def test_the_later_start_moves_the_waves_to_their_first_full_year():
    spec = load_study(KOREA)
    frame = load_frame(spec.change(spec.scenarios["later_start"].changes))
    starts = frame.drop_duplicates("care_area")["first_treated"].value_counts().to_dict()
    assert starts == {2022: 6, 2023: 7, 2025: 13}


def test_the_main_estimate_is_a_difference_of_means(values):
    """Each wave's change since its last year before, minus that of all districts not treated by then, from the file itself."""
    frame = load_frame(load_study(KOREA))
    share = frame.pivot_table("acute_inpatient_share_pct", "district_key", "year")
    start = frame.drop_duplicates("district_key").set_index("district_key")["first_treated"].reindex(share.index)
    total, weight = 0.0, 0
    for wave in (2021, 2022, 2024):
        for year in range(wave, 2025):
            change = share[year] - share[wave - 1]
            effect = change[start == wave].mean() - change[~(start <= year)].mean()
            total, weight = total + effect * (start == wave).sum(), weight + (start == wave).sum()
    assert values["overall.main.estimate"] == pytest.approx(total / weight, abs=1e-9)


def test_the_main_number_is_the_same_everywhere(values):
    assert values["overall.main.estimate"] == values["methods.main.estimate"] == values["scenarios.main.estimate"]
    assert values["overall.main.conf_low"] == values["methods.main.conf_low"]


def test_estimates_agree_where_they_must(values):
    gaps = {
        key: value for key, value in values.items() if key.startswith("identities.") and key.endswith("largest_gap")
    }
    assert len(gaps) == 6
    assert max(gaps.values()) < ROUNDING


def test_the_interval_uses_the_care_areas(run):
    assert run.manifest["overall.main.estimate"].method.endswith("CR3, t(30.20)")


def test_the_numbers_are_the_committed_ones(run):
    committed = read_expected(KOREA)
    assert compare_numbers(committed.numbers, run.manifest.numbers) == []
    assert committed.data_files == run.manifest.data_files
    assert committed.spec_hash == run.manifest.spec_hash


def test_every_number_has_its_origin(run):
    sources = {
        (path.stem, f"In [{cell['execution_count']}]"): "".join(cell["source"])
        for path in run.notebooks
        for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]
        if cell["cell_type"] == "code"
    }
    for key, number in run.manifest.numbers.items():
        source = sources[number.notebook, number.cell]
        assert f'"{key.split(".")[0]}"' in source or "section.show(" in source, key
        assert number.method
    assert run.manifest.data_files == {name: hash_file(ROOT / name) for name in load_study(KOREA).data_files()}


def test_the_report_is_complete(run, pages):
    assert set(PAGES) <= set(pages)
    names = {path.name for path in run.folder.iterdir()}
    assert names == {
        "2_design.ipynb",
        "3_effect.ipynb",
        "4_robustness.ipynb",
        "figures",
        ".made_from",
        "answer.json",
        "exhibits.csv",
        *(f"{name}.html" for name in pages),
        *(f"{name}.zh.html" for name in pages),
        "index.ko.html",
        "declared.csv",
        "numbers.json",
        "ro-crate-metadata.json",
        "specifications.csv",
        "tables",
    }
    for ending in ("csv", "png", "svg"):
        assert {path.stem for path in (run.folder / "figures").glob(f"*.{ending}")} == FIGURES
    tables = {path.stem for path in (run.folder / "tables").glob("*.csv")}
    for ending in ("tex", "md"):
        assert tables == {path.stem for path in (run.folder / "tables").glob(f"*.{ending}")}
    assert {"overall", "event_study", "methods", "scenarios", "detectable", "identities", "baseline"} <= tables
    assert all(path.stat().st_size for path in run.folder.rglob("*") if path.is_file())


def test_tables_hold_the_numbers_of_the_manifest(run, values):
    frame = pd.read_csv(run.folder / "tables" / "event_study.csv", dtype={"key": str}).set_index("key")
    assert frame.loc["0", "estimate"] == pytest.approx(values["event_study.0.estimate"], rel=1e-12)


@pytest.mark.parametrize("name", PAGES)
def test_a_page_loads_nothing_from_outside(pages, name):
    for tag, attributes in Page(pages[name]).tags:
        assert tag not in {"iframe", "object"}
        assert tag != "link" or attributes["rel"] == "alternate"  # the same page in another language
        assert tag != "script" or not attributes or attributes["type"] == "application/json"
        for place in (attributes.get(kind) or "" for kind in ("src", "href", "srcset", "action")):
            assert not re.match(r"(https?:)?//", place), (tag, place)
        assert tag != "img"  # pictures are part of the page
    assert "@import" not in pages[name]
    assert not re.search(r"url\((?!#)", pages[name])
    assert "Content-Security-Policy" in pages[name]
    assert "default-src 'none'" in pages[name]
    assert "base-uri 'none'; form-action 'none'" in pages[name]


def test_every_figure_has_words_for_those_who_cannot_see_it(pages):
    pictures = [
        attributes
        for name, html in pages.items()
        if name != "index"
        for tag, attributes in Page(html).tags
        if tag == "svg"
    ]
    drawn = sum(html.count('<figure class="drawn"') for html in pages.values())
    shown = sum(html.count('<div class="phone" hidden>') for html in pages.values())
    assert drawn == shown == len(FIGURES)  # each for a page and for a phone
    pictures = [picture for picture in pictures if "real data" in picture["aria-label"]]
    assert len(pictures) == 2 * len(FIGURES)
    assert all(len(picture["aria-label"]) > 80 for picture in pictures)
    for html in pages.values():
        ids = [attributes["id"] for _, attributes in Page(html).tags if attributes.get("id")]
        assert len(ids) == len(set(ids))
    drawn = [attributes for tag, attributes in Page(pages["index"]).tags if tag == "svg"]
    assert drawn
    assert all(picture["role"] == "img" and picture["aria-label"] for picture in drawn)


@pytest.mark.parametrize("name", PAGES)
def test_every_table_has_a_caption_and_scopes(pages, name):
    tags = [tag for tag, _ in Page(pages[name]).tags]
    assert tags.count("table") == tags.count("caption")
    assert all(attributes.get("scope") in {"col", "row"} for tag, attributes in Page(pages[name]).tags if tag == "th")
    assert '<html lang="en">' in pages[name]
    assert 'name="viewport"' in pages[name]
    assert "@media print" in pages[name]


@pytest.mark.parametrize("name", PAGES)
def test_headings_go_down_one_level_at_a_time_from_one_title(pages, name):
    levels = [int(tag[1]) for tag, _ in Page(pages[name]).tags if re.fullmatch(r"h[1-6]", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(now <= before + 1 for before, now in pairwise(levels))
    anchors = re.findall(r'<li class="(?:part|section)"><a href="#(s-[^"]+)">', pages[name])
    assert anchors == re.findall(r'<h[23] id="(s-[^"]+)">', pages[name])


def test_the_pages_of_numbers_list_every_number_with_a_link_to_its_cell(pages, run):
    every = "".join(html for name, html in pages.items() if name.startswith("numbers"))
    links = re.findall(r'<tr><th scope="row">.*?<a href="(\w+)\.html#([^"]+)">', every)
    assert len(links) == len(run.manifest.numbers)
    assert all(f'id="{cell}"' in pages[page] for page, cell in set(links))


def test_every_table_and_figure_is_on_a_page_with_its_files_and_every_link_leads_somewhere(pages, run):
    every = "".join(pages.values())
    counted = "threat_counts"  # is recorded for the synthesis, and shown nowhere
    for kind, ending in (("table", "csv"), ("figure", "svg")):
        for path in (run.folder / f"{kind}s").glob(f"*.{ending}"):
            assert every.count(f'id="{kind}-{path.stem}"') == (path.stem != counted), path.name
            assert every.count(f'href="{kind}s/{path.name}"') == 1 + (path.stem != counted)  # and among the downloads
    for name, html in pages.items():
        for file, place in set(re.findall(r'href="(?!\.\./)([\w./-]*?)(?:#([^"]+))?"', html)):
            there = pages.get(file.removesuffix(".html"), "") if file else html
            assert (run.folder / file).exists(), (name, file)
            assert not place or f'id="{place}"' in there, (name, file, place)


def test_the_evidence_is_short_and_every_page_small(pages):
    assert {name: len(html.encode()) for name, html in pages.items() if len(html.encode()) > BYTES} == {}
    assert max(html.count("<table") for html in pages.values()) <= TABLES
    evidence = pages["evidence"].split("<body", 1)[1]
    assert len(re.findall(r"<h[1-6]", evidence)) <= HEADINGS
    prose = re.sub(r"<svg.*?</svg>", "", evidence.split("<main", 1)[1].split("</main>")[0], flags=re.DOTALL)
    assert len(plain(prose).split()) <= WORDS


def test_the_chinese_pages_are_chinese_and_as_small(run, pages):
    for name in ("index", "evidence"):
        html = (run.folder / f"{name}.zh.html").read_text(encoding="utf-8")
        assert {text: words for text in texts_of(html) if (words := english_in(text)) and words != [KOREA]} == {}
        assert html.count("<svg") == pages[name].count("<svg")
        assert html.count('class="v"') > 0.9 * pages[name].count('class="v"')  # numbers are links there, too
    large = {path.name: path.stat().st_size for path in run.folder.glob("*.html") if path.stat().st_size > BYTES}
    assert large == {}


def test_every_number_in_a_table_has_a_note(pages):
    for name, html in pages.items():
        if not name.startswith("numbers"):
            cells = re.findall(r'<td class="n">(.*?)</td>', html)
            assert all(cell.startswith('<a class="v"') or not re.search(r"\d", cell) for cell in cells), name


def test_the_pages_are_whole_in_a_browser_and_printed_on_few_sheets(run):
    with open_browser() as browser:
        # The long lists are looked at on a small report, and here with --slow, as is every page of every report.
        looked = [
            path
            for path in sorted(run.folder.glob("*.html"))
            if ("." not in path.stem or path.stem.startswith(("index", "evidence")))
            and not path.stem.startswith(("numbers", "tests_"))
        ]
        found = {path.name: wrong for path in looked if (wrong := look_at(browser, path))}
        assert found == {}
        assert count_sheets(browser, run.folder) <= SHEETS
        with open_page(browser, run.folder / "index.html") as (page, _):
            box = page.locator(".sentence").first.bounding_box()
            assert box["y"] + box["height"] <= PHONE_HEIGHT


def plain(html):
    """The words of a page, without its code."""
    text = re.sub(r"<(style|details|script).*?</\1>", "", html, flags=re.DOTALL)
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", text)).replace("&#39;", "'")


def test_the_pages_say_what_the_data_say(pages, values):
    """The words follow the interval: as long as it holds zero, no effect is claimed."""
    answer = plain(pages["index"])
    evidence = " ".join(plain(pages[name]) for name in pages if name.startswith(("evidence", "details", "methods")))
    low, high = values["overall.main.conf_low"], values["overall.main.conf_high"]
    assert ("Not told from zero" in answer) == (low < 0 < high)
    assert f"{values['overall.main.estimate']:+.1f} points" in answer
    for words in (
        "dedicated COVID-19 hospital",
        "The residents' strike of 2024.",
        "The late start of work.",
        "does not show that trends were parallel",
        "지역책임의료기관",
        "Real data",
    ):
        assert words in evidence, words
    for text in (answer, evidence, plain(pages["robustness"])):
        assert "insignificant" not in text
        assert not re.search(r"\bnan\b|None(?! of| when)|\{\w+[.:}]", text)  # no hole in the words


def test_the_effect_that_could_be_found_is_stated_before_the_estimate(pages):
    body = pages["evidence"].split('<main id="main">')[1].split("Design: who is compared with whom", 1)[1]
    assert body.index("What could this design detect?") < body.index("The main estimate")


def test_korean_names_are_drawn(run):
    areas = list(load_design(load_study(KOREA)).matrices.clusters)
    drawn = fonts.drawable(areas)
    if fonts.find_family("".join(sorted(set("".join(areas))))):
        assert drawn == areas
    else:
        assert all(name.isascii() for name in drawn)
        assert len(set(drawn)) == len(areas)
    assert (run.folder / "figures" / "assignment.svg").stat().st_size > 10_000


def test_nothing_in_the_report_knows_the_machine(run):
    for path in run.folder.rglob("*"):
        if path.suffix in {".html", ".ipynb", ".json", ".csv", ".tex", ".svg"}:
            assert not re.search(r"/(?:home|root|tmp|work|Users)/", path.read_text(encoding="utf-8")), path.name
