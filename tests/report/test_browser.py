"""The pages in a real browser: what a reader sees, reaches with the keyboard, and prints. Skipped, loudly, without a browser."""

import json

import pytest
from support.browser import PHONE_HEIGHT, SHEETS, count_sheets, look_at, open_browser, open_page
from support.reports import REPORTS

from evalaid.report.site.answer import load_answer
from evalaid.report.site.index_page import write_index
from evalaid.report.site.pages import write_site

BYTES = 400_000  # of a page

SPEC = {
    "study": "toy", "title": "A simulated programme of partnerships between hospitals", "question": "Why?", "data_kind": "simulated",
    "sources": ["Simulated."], "seed": 1, "draws": 99, "level": 0.95, "outcome_label": "Inpatient share", "unit_label": "counties",
    "cluster_label": "areas", "programme": "A programme.", "data_notes": ["Drawn."],
}  # fmt: skip
CHINESE = {
    "language": "zh", "title": "模拟的医院对口帮扶", "outcome_label": "县域内住院率", "unit_label": "县", "cluster_label": "县", "programme": "模拟。",
}  # fmt: skip
WHERE = {"notebook": "3_effect", "cell": "In [3]", "method": "twfe(); CR2", "spec_hash": "0" * 16, "digits": 2}
NUMBERS = {
    "overall.main.estimate": 3.0, "overall.main.conf_low": 1.0, "overall.main.conf_high": 5.0, "truth.overall.effect": 2.0,
    "detectable.effect": 2.8, "by_period.a.estimate": 1.5, "by_period.b.estimate": -0.5, "by_period.a.std_error": 0.5,
    "by_period.b.std_error": 0.6,
}  # fmt: skip
TABLES_OF_RUN = {
    "tables/event_study.csv": (
        "key,estimate,conf_low,conf_high,band_low,band_high,treated_clusters\n"
        "-2,0.5,-1,2,-2,3,3\n-1,0.0,,,,,3\n0,3.0,1,5,0,6,3\n1,3.5,1,6,0,7,2\n"
    ),
    "tables/answers.csv": (
        "key,threat,tried,result,answer,reach_low,reach_high\n"
        "one,One part of the sample carries the result,L,Little moves.,leaves the effect,0.5,5.5\n"
        "trends,Trends would not have been parallel,M,At M = 1 all is open.,reaches zero,-4,9\n"
    ),
    "tables/estimands.csv": "key,label,estimate,conf_low,conf_high,reason\nmain,Main,3,1,5,\narea,Areas alike,0.5,-1,2,\n",
    "specifications.csv": (
        "label,method,covariates,window,comparison,scale,estimate,conf_low,conf_high,is_main\n"
        "a,Two-way,none,2019 to 2024,own,share,1.0,-1,3,False\nb,Main,none,2019 to 2024,own,share,3.0,1,5,True\nc,Main,age,2019 to 2024,own,share,4.0,2,6,False\n"
    ),
    "declared.csv": (
        "method,covariates,window,comparison,scale,place,reason\n"
        "Main,none,2019 to 2024,own,share,1,\nMain,age,2019 to 2024,own,share,2,\nTwo-way,none,2019 to 2024,own,share,0,\n"
        "Two-way,age,2019 to 2024,own,share,,age has no value in 2019\n"
    ),
}
SHOWN = (
    '<div class="table" id="table-by_period"><div class="wide" tabindex="0" role="region" aria-label="Table: by period"><table>\n'
    '<caption>By period</caption>\n<thead><tr><td data-column="label"></td><th scope="col" class="n" data-column="estimate">Effect</th>'
    '<th scope="col" class="n" data-column="std_error">SE</th></tr></thead>\n<tbody>\n'
    '<tr data-row="a"><th scope="row">2019</th><td class="n">+1.50</td><td class="n">0.50</td></tr>\n'
    '<tr data-row="b"><th scope="row">2020</th><td class="n">−0.50</td><td class="n">0.60</td></tr>\n</tbody></table></div></div>'
)


WARNED = "/srv/somebody/src/evalaid/did/x.py:1: RuntimeWarning: " + "a line that is longer than a phone is wide, " * 9


def make_report(folder, **changes):
    """Write the pages of a small study."""
    for name, text in TABLES_OF_RUN.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    cells = [
        {"cell_type": "markdown", "source": "# Effect\n\nWhat changed.\n\n## By period", "metadata": {}},
        {
            "cell_type": "code", "source": "section.table()", "execution_count": 3, "metadata": {},
            "outputs": [
                {"output_type": "display_data", "data": {"text/html": SHOWN}, "metadata": {}},
                {"output_type": "stream", "name": "stderr", "text": WARNED},
            ],
        },
    ]  # fmt: skip
    (folder / "3_effect.ipynb").write_text(json.dumps({"cells": cells}), encoding="utf-8")
    robust = [{"cell_type": "markdown", "source": "# Robustness\n\nWhat could be wrong.", "metadata": {}}]
    (folder / "4_robustness.ipynb").write_text(json.dumps({"cells": robust}), encoding="utf-8")
    numbers = [{"key": key, "value": value, "unit": "pp", **WHERE} for key, value in NUMBERS.items()]
    write_site(
        folder, sorted(folder.glob("*.ipynb")), {**SPEC, **changes}, numbers, {"data/toy.csv": "f" * 64}, "abc123"
    )
    return folder


@pytest.fixture(scope="module")
def browser():
    with open_browser() as opened:
        yield opened


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    folder = tmp_path_factory.mktemp("reports")
    (folder / "toy").mkdir()
    made = make_report(folder / "toy")
    card = {"folder": "toy", "title": "Toy", "data_kind": "simulated", "own": False, "changed": "", "numbers": 3}
    write_index(folder, [{**card, "answer": load_answer(made)}])
    return made


@pytest.fixture(scope="module")
def chinese(tmp_path_factory):
    return make_report(tmp_path_factory.mktemp("chinese"), **CHINESE)


@pytest.mark.parametrize("own", [True, pytest.param(False, marks=pytest.mark.slow)])
@pytest.mark.parametrize("language", ["report", "chinese"])
def test_every_page_is_whole_silent_and_accessible_at_every_width_light_and_dark(browser, language, own, request):
    """The pages of each study in its own language and the first of every other; with --slow all in other languages, too."""
    folder = request.getfixturevalue(language)
    pages = [path for path in sorted(folder.glob("*.html")) if own == ("." not in path.stem or "index" in path.stem)]
    pages += [folder.parent / "index.html"] if own and language == "report" else []
    found = {path.name: wrong for path in pages if (wrong := look_at(browser, path))}
    assert found == {}
    assert len(pages) >= (6 if own else 4)


@pytest.mark.parametrize("language", ["report", "chinese"])
def test_verdict_and_number_are_on_the_first_screen_of_a_phone(browser, language, request):
    with open_page(browser, request.getfixturevalue(language) / "index.html") as (page, _):
        for name in (".verdict", ".sentence", ".strip svg"):
            box = page.locator(name).first.bounding_box()
            assert box["y"] + box["height"] <= PHONE_HEIGHT, name


def test_the_explorer_moves_along_the_curve_by_keyboard_and_says_what_changed(browser, report):
    with open_page(browser, report / "index.html", 1440, 900) as (page, faults):
        said, curve = page.locator("#said"), page.locator("#curve")
        assert "This is the main estimate." in said.inner_text()
        here = curve.locator(".desk .now circle").get_attribute("cx")
        page.locator("#choose-covariates").focus()
        page.keyboard.press("ArrowDown")
        assert said.inner_text().startswith(
            "Covariates: none → age. The estimate goes from +3.00 points to +4.00 points."
        )
        assert "+4.00 points (95% interval +2.00 to +6.00 points). Number 3 of 3 from below." in said.inner_text()
        assert float(curve.locator(".desk .now circle").get_attribute("cx")) > float(here)
        page.locator("#choose-method").focus()
        page.keyboard.press("ArrowDown")
        assert "This combination has no estimate: age has no value in 2019" in said.inner_text()
        assert not curve.locator(".desk .now").is_visible()
        curve.focus()
        page.keyboard.press("Home")
        assert curve.get_attribute("aria-valuenow") == "1"
        assert page.locator("#choose-method").input_value() == "1"
        page.locator("#choose-estimand").select_option(label="Areas alike")
        assert "Another quantity, which is not on the curve: Areas alike. +0.50 points" in said.inner_text()
        assert page.locator("#choose-method").is_disabled()
        page.locator("#choices button").press("Enter")
        assert "This is the main estimate." in said.inner_text()
        assert faults == []


def test_the_explorer_speaks_chinese(browser, chinese):
    with open_page(browser, chinese / "index.html") as (page, faults):
        page.locator("#choose-covariates").select_option(index=1)
        said = page.locator("#said").inner_text()
        assert said.startswith("协变量：无→age。估计值由+3.00个百分点变为+4.00个百分点。")
        assert page.locator("#choose-window").inner_text() == "2019至2024"
        assert faults == []
    with open_page(browser, chinese / "methods.html") as (page, _):
        assert "本页部分正文为英文" in page.locator("main").inner_text()


def test_a_reader_goes_to_another_language_and_stays_in_it(browser, chinese):
    with open_page(browser, chinese / "index.html") as (page, faults):
        assert page.locator("html").get_attribute("lang") == "zh"
        page.locator("nav.languages a", has_text="English").click()
        assert page.url.endswith("/index.en.html")
        assert page.locator("html").get_attribute("lang") == "en"
        assert page.locator(".verdict").inner_text() == "Effect shown"
        page.locator("nav.pages a", has_text="Evidence").click()
        assert page.url.endswith("/evidence.en.html")
        page.locator("nav.languages a[hreflang=zh]").click()
        assert page.url.endswith("/evidence.html")
        assert page.locator("#table-by_period th").first.inner_text() == "效应"
        assert page.locator("nav.languages a[hreflang=ko]").count() == 0  # Korean has the first page alone
        assert faults == []
    with open_page(browser, chinese / "index.ko.html") as (page, faults):
        assert page.locator(".verdict").inner_text() == "효과 확인"
        page.locator("nav.pages a", has_text="근거").click()
        assert page.url.endswith("/evidence.en.html")
        assert faults == []


def test_a_note_opens_on_focus_names_the_cell_and_the_link_shows_it(browser, report):
    with open_page(browser, report / "evidence.html", 1440, 900) as (page, faults):
        note, first = page.locator("#note"), page.locator("#table-by_period a.v").first
        first.focus()
        assert note.inner_text().split("\n") == [
            "by_period.a.estimate",
            "twfe(); CR2",
            "3_effect, In [3]",
            "clusters: areas",
            "data abc123",
        ]
        page.keyboard.press("ArrowDown")
        assert note.inner_text().startswith("by_period.b.estimate")
        page.keyboard.press("ArrowRight")
        assert note.inner_text().startswith("by_period.b.std_error")
        page.keyboard.press("Escape")
        assert not note.is_visible()
        assert not page.locator("#in-3_effect-3").is_visible()
        page.keyboard.press("Enter")
        page.locator("#in-3_effect-3 pre").wait_for(state="visible")
        assert faults == []


def test_the_list_of_numbers_is_filtered_and_not_printed(browser, report):
    with open_page(browser, report / "numbers.html", 1440, 900) as (page, _):
        page.locator("#filter").fill("by_period.a")
        assert page.locator("tbody tr:visible").count() == 2
        page.emulate_media(media="print")
        assert page.locator("tbody tr:visible").count() == 0


def test_without_javascript_the_curve_stands_and_nothing_waits_for_a_choice(browser, report):
    context = browser.new_context(java_script_enabled=False, viewport={"width": 390, "height": PHONE_HEIGHT})
    page = context.new_page()
    page.goto((report / "index.html").as_uri())
    assert page.locator("#curve svg").first.is_visible()
    assert not page.locator("#choices").is_visible()
    context.close()


@pytest.mark.slow
@pytest.mark.parametrize("folder", REPORTS)
def test_every_page_of_a_report_of_this_machine_is_whole_and_small(browser, folder):
    pages = sorted(folder.glob("*.html"))
    assert {path.name: path.stat().st_size for path in pages if path.stat().st_size > BYTES} == {}
    assert {path.name: wrong for path in pages if (wrong := look_at(browser, path))} == {}
    assert [path.name for path in pages if "Warning:" in path.read_text(encoding="utf-8")] == []
    if folder.name != "synthesis":
        assert count_sheets(browser, folder) <= SHEETS
