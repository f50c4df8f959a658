"""The pages of a report: the answer is on the first, everything is escaped, nothing is loaded, every language has every key."""

import json
import re
from base64 import b64encode
from hashlib import sha256
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from evalaid.report.display.formatted_tables import FormattedTable
from evalaid.report.site.answer import Answer, load_answer
from evalaid.report.site.answer_line import tell_answer
from evalaid.report.site.blocks import show_notebook, show_output
from evalaid.report.site.chapters import BYTES, TABLES, lay_out, locate, resolve
from evalaid.report.site.index_page import write_index
from evalaid.report.site.marks import LinearScale, draw_event_study, draw_strip, signed
from evalaid.report.site.notes import Notes
from evalaid.report.site.pages import PAGES, write_site
from evalaid.report.wording.language import load_catalogue

SPEC = {
    "study": "toy", "title": "A <toy> & more", "question": "Why?", "data_kind": "simulated", "sources": ["Simulated <b>."],
    "seed": 1, "draws": 99, "level": 0.95, "outcome_label": "Share <of> care", "unit_label": "counties", "cluster_label": "areas",
    "programme": "A programme & its <name>.", "data_notes": ["Drawn."],
}  # fmt: skip
WHERE = {"notebook": "2_design", "cell": "In [3]", "method": "twfe()", "spec_hash": "0" * 16, "digits": 2}


def number(key, value, unit="pp"):
    return {"key": key, "value": value, "unit": unit, **WHERE}


NUMBERS = [
    number("a.b", 0.5), number("overall.main.estimate", 3.0), number("overall.main.conf_low", 1.0), number("overall.main.conf_high", 5.0),
    number("truth.overall.effect", 2.0), number("sample.units", 12, "count"), number("sample.clusters", 6, "count"),
    number("sample.treated_clusters", 3, "count"), number("threat_counts.taking", 1, "count"),
]  # fmt: skip
EVENT = "key,estimate,conf_low,conf_high,band_low,band_high,treated_clusters\n-2,0.5,-1,2,-2,3,3\n-1,0.0,,,,,3\n0,3.0,1,5,0,6,3\n"
ANSWERS = "key,threat,tried,result,answer\nexclusions,One part,L,Little moves.,leaves the effect\ntrends,Trends <differ>,M,At M = 1 all is open.,reaches zero\n"


@pytest.fixture
def report(tmp_path):
    folder = tmp_path / "toy"
    (folder / "tables").mkdir(parents=True)
    (folder / "tables" / "event_study.csv").write_text(EVENT, encoding="utf-8")
    (folder / "tables" / "answers.csv").write_text(ANSWERS, encoding="utf-8")
    output = {"output_type": "display_data", "data": {"text/markdown": "Said **once**.", "text/plain": "-"}}
    cells = [
        {"cell_type": "markdown", "source": "# A head\n\n<script>alert(1)</script>", "metadata": {}},
        {
            "cell_type": "code",
            "source": "1 < 2",
            "execution_count": 3,
            "outputs": [output],
            "metadata": {"tags": ["headline"]},
        },
    ]
    (folder / "2_design.ipynb").write_text(json.dumps({"cells": cells}), encoding="utf-8")
    return folder


def test_a_warning_on_a_page_does_not_name_a_folder_of_this_machine():
    stream = {"output_type": "stream", "name": "stderr", "text": "/srv/me/v 1/src/evalaid/did/x.py:80: W: <y>\n"}
    windows = {**stream, "text": r"D:\me\site-packages\evalaid\did\x.py:80: W"}
    notes = Notes({}, "", Path())
    assert show_output(stream, notes) == '<pre tabindex="0">evalaid/did/x.py:80: W: &lt;y&gt;\n</pre>'
    assert show_output(windows, notes) == r'<pre tabindex="0">evalaid\did\x.py:80: W</pre>'


def pages_of(folder, spec=SPEC, numbers=NUMBERS):
    write_site(folder, [folder / "2_design.ipynb"], spec, numbers, {"data/toy.csv": "f" * 64})
    return {path.stem: path.read_text(encoding="utf-8") for path in folder.glob("*.html")}


def test_a_report_is_a_page_for_each_question_and_loads_nothing(report):
    pages = pages_of(report)
    english = {"index", "evidence", "methods", "numbers", "downloads"}  # no robustness was run
    assert set(pages) == {*english, *(f"{name}.zh" for name in english), "index.ko"}
    for name, html in pages.items():
        assert "<title>A &lt;toy&gt; &amp; more" in html
        assert {"zh": "模拟数据", "ko": "모의 자료"}.get(name.partition(".")[2], "SIMULATED DATA") in html
        (allowed,) = re.findall("script-src 'sha256-([^']+)'", html)
        (script,) = re.findall("<script>(.*?)</script>", html, re.DOTALL)
        assert allowed == b64encode(sha256(script.encode()).digest()).decode(), name
        assert not re.findall(r"<[^>]+ on[a-z]+=", html)  # no handler stands in a tag
        assert not re.findall(r'(?:src|href)="(?:[a-z]+:)?//[^"]*"', html)
        assert "<toy>" not in html
        assert "Share <of>" not in html
    assert "<p>Said <strong>once</strong>.</p>" in pages["evidence"]
    assert "<p>Said <strong>once</strong>.</p>" in pages["index"]
    assert '<pre tabindex="0"><code>1 &lt; 2</code></pre>' in pages["evidence"]
    assert "f" * 64 in pages["methods"]
    assert (
        '<th scope="row">a.b</th><td class="n">0.50</td><td>pp</td><td><a href="evidence.html#in-2_design-3">'
        in pages["numbers"]
    )
    assert 'href="tables/answers.csv"' in pages["downloads"]


def test_the_answer_has_the_verdict_the_number_the_truth_and_the_most_serious_threat_first(report):
    html = pages_of(report)["index"]
    head = html.split("</header>")[0]
    assert "Effect shown, fragile" in head
    head = re.sub("</?a[^>]*>", "", head)
    assert "+3.0 points (95% interval +1.0 to +5.0 points)" in head
    assert head.index("Put into the simulated panel: +2.0 points.") < head.index(
        "On this simulated panel the estimate is +3.0"
    )
    assert html.index("Trends &lt;differ&gt;") < html.index("One part")
    assert "Anything about what the real programme did." in html


def test_the_answer_tells_a_threat_in_a_sentence_and_without_the_mark_that_guards_a_spreadsheet(report):
    rows = 'key,threat,tried,result,answer,reach_low,reach_high\na,First,L,"\'+1.5 to +2.5 points. More of it.",leaves the effect,,\nb,Second,M,Long tale. More.,excludes less,-3.25,9\n'
    (report / "tables" / "answers.csv").write_text(rows, encoding="utf-8")
    pages = pages_of(report)
    assert "<strong>First</strong>: +1.5 to +2.5 points. <em>" in pages["index"]
    assert "<strong>Second</strong>: Not excluded under this threat: −3.2 to +9.0. <em>" in pages["index"]
    assert "More" not in re.sub(
        r"<style>.*?</style>", "", pages["index"].split("</header>")[1].split("<dl>")[0], flags=re.DOTALL
    )


def test_an_index_has_no_unit_and_is_not_said_to_be_a_number(report):
    heads = "label,method,covariates,window,comparison,scale,estimate,conf_low,conf_high,is_main\n"
    (report / "specifications.csv").write_text(
        heads + "a,m,none,2019 to 2020,own,share,3,1,5,True\nb,k,none,2019 to 2020,own,share,4,1,5,False\n",
        encoding="utf-8",
    )
    (report / "declared.csv").write_text(
        "method,covariates,window,comparison,scale,place,reason\nm,none,2019 to 2020,own,share,0,\nk,none,2019 to 2020,own,share,1,\n",
        encoding="utf-8",
    )
    html = pages_of(report, numbers=[{**one, "unit": "number"} for one in NUMBERS])["index"]
    (explored,) = re.findall(r'<script type="application/json" id="explorer">(.*?)</script>', html, re.DOTALL)
    assert json.loads(explored)["unit"] == "{value}"
    assert "(number)" not in html
    assert "Share &lt;of&gt; care, change<" in html


def test_a_curve_that_is_cut_says_so_and_marks_where(report):
    heads = "label,method,covariates,window,comparison,scale,estimate,conf_low,conf_high,is_main\n"
    (report / "specifications.csv").write_text(
        heads + "a,m,n,w,c,s,1,-1,3,False\nb,m,n,w,c,t,2,-90,3,True\n", encoding="utf-8"
    )
    html = pages_of(report)["index"]
    assert re.search(r"The axis is cut at ±[\d.]+; an arrow", html.split("Would other choices")[1])
    assert html.count('class="band on"') == 2  # once for a phone, once for a page
    (report / "specifications.csv").write_text(heads + "a,m,n,w,c,s,1,-1,3,True\n", encoding="utf-8")
    assert "axis is cut" not in pages_of(report)["index"].split("Would other choices")[1]


def test_what_a_finding_must_not_be_taken_for_stands_under_it_before_the_threats(report):
    html = pages_of(report, {**SPEC, "caution": "It is <no> partnership."})["index"]
    head = html.split("</header>")[0]
    head = re.sub("</?a[^>]*>", "", head)
    assert head.index("the estimate is +3.0") < head.index("It is &lt;no&gt; partnership.")
    assert "caution" not in pages_of(report)["index"]


def test_a_design_without_an_estimate_offers_no_number(report):
    html = pages_of(report, numbers=[one for one in NUMBERS if not one["key"].startswith("overall")])["index"]
    assert "the design gives no estimate" in html
    assert "finds ." not in html


@pytest.mark.parametrize(("sign", "word", "other"), [(1, "higher", "lower"), (-1, "lower", "higher")])
def test_what_may_be_said_of_a_fragile_effect_has_its_direction(report, sign, word, other):
    ends = {"overall.main.estimate": 3.0, "overall.main.conf_low": 1.0, "overall.main.conf_high": 5.0}
    turned = dict(zip(ends, (sign * 3.0, *sorted((sign * 1.0, sign * 5.0))), strict=True))
    numbers = [{**one, "value": turned.get(one["key"], one["value"])} for one in NUMBERS if "truth" not in one["key"]]
    html = pages_of(report, {**SPEC, "data_kind": "real"}, numbers)["index"]
    html = re.sub("</?a[^>]*>", "", html)
    assert "Effect shown, fragile" in html
    assert f"is estimated to be 3.0 points {word} with the programme than without it" in html
    assert f"points {other} with" not in html


def test_the_index_links_every_study_with_its_verdict_real_ones_first(report, tmp_path):
    pages_of(report)
    answer = load_answer(report)
    studies = [
        {
            "folder": name,
            "title": name,
            "data_kind": kind,
            "own": False,
            "changed": changed,
            "numbers": 3,
            "answer": answer,
        }
        for name, kind, changed in (("one", "simulated", ""), ("two", "real", "changed parameters"))
    ]
    html = write_index(tmp_path, studies).read_text(encoding="utf-8")
    assert re.findall(r'href="(\w+)/index.html"', html) == ["two", "one"]
    assert html.count("Effect shown, fragile") == 2
    assert "with changed parameters" in html
    synthesis = tmp_path / "5_synthesis.ipynb"
    synthesis.write_text('{"cells": []}', encoding="utf-8")
    assert "Real and simulated data" in write_index(tmp_path, studies, synthesis).read_text(encoding="utf-8")


def test_an_answer_is_read_back_as_it_was_written(report):
    pages_of(report)
    answer = load_answer(report)
    assert isinstance(answer, Answer)
    assert (answer.estimate, answer.ends, answer.truth, answer.verdict) == (3.0, (1.0, 5.0), 2.0, "fragile")
    assert [point.time for point in answer.event] == [-2, -1, 0]
    assert answer.event[1].ends is None


def test_the_most_serious_threat_comes_first_and_a_number_without_a_size_that_matters_has_no_zone(report):
    pages_of(report)
    assert [row.answer for row in load_answer(report).threats] == ["reaches zero", "leaves the effect"]
    pages_of(report, numbers=[{**one, "unit": "number"} for one in NUMBERS])
    answer = load_answer(report)
    assert answer.smallest is None
    strip = draw_strip(answer, load_catalogue(), dict.fromkeys(("findable", "truth", "estimate", "low", "high"), "1"))
    assert 'class="zone"' not in strip


def test_pictures_have_their_values_in_words_and_no_text_below_nine_pixels_on_a_phone(report):
    pages_of(report)
    answer, words = load_answer(report), load_catalogue()
    picture = draw_event_study(answer, words, "points", 350, 250)
    assert "+0.5; " in picture
    assert all(float(size) >= 9 for size in re.findall(r'font-size="([\d.]+)"', picture))
    assert 'class="truth"' in picture
    strip = draw_strip(
        answer, words, {"smallest": "2", "findable": "1", "truth": "2", "estimate": "3", "low": "1", "high": "5"}
    )
    assert 'class="truth"' in strip


def test_an_interval_that_dwarfs_the_estimates_is_cut_with_an_arrow_and_a_sentence(report):
    wide = EVENT.replace("0,3.0,1,5,0,6,3", "0,3.0,1,5,-900,906,3")
    (report / "tables" / "event_study.csv").write_text(wide, encoding="utf-8")
    html = pages_of(report)["index"]
    assert "The axis is cut at ±12; an arrow says that an interval or band goes on." in html
    assert html.count('class="band on"') == 4  # both ends, on the phone and on the desk
    drawn = draw_event_study(load_answer(report), load_catalogue(), "points", 350, 250)
    ticks = re.findall(r'text-anchor="end" font-size="[\d.]+">([^<]+)<', drawn)
    assert max(abs(float(tick.replace("\u2212", "-"))) for tick in ticks) <= 12
    (report / "tables" / "event_study.csv").write_text(EVENT, encoding="utf-8")
    whole = pages_of(report)["index"]
    assert "The axis is cut" not in whole
    assert 'class="band on"' not in whole


@pytest.mark.parametrize(("low", "high"), [(-0.013, 0.02), (-7.0, 8.5), (0.0, 1e6)])
def test_ticks_are_round_few_and_inside(low, high):
    ticks = LinearScale(low, high, 0, 100).ticks()
    assert 2 <= len(ticks) <= 7
    assert all(low <= tick <= high for tick in ticks)


def test_a_value_that_rounds_to_zero_has_no_sign():
    assert [signed(value) for value in (0.04, -0.04, -1.25, 2.0)] == ["0.0", "0.0", "\N{MINUS SIGN}1.2", "+2.0"]


def test_no_english_is_left_on_a_chinese_answer(report):
    html = pages_of(
        report,
        {
            **SPEC,
            "language": "zh",
            "outcome_label": "县域内住院率",
            "title": "甲",
            "unit_label": "县",
            "cluster_label": "县",
        },
    )["index"]
    head = re.sub(r"<style>.*?</style>|<[^>]+>", " ", html.split("</header>")[0].split("<body")[1], flags=re.DOTALL)
    assert re.findall(r"[A-Za-z]{4,}", head.partition(">")[2]) == ["English"]  # of the switch between languages
    assert "存在效应，但不稳固" in html


def notebook_of(*cells):
    """A notebook of headings (with tags) and of cells that show HTML (with tags)."""
    made = []
    for number, (shown, *tags) in enumerate(cells, start=1):
        if shown.startswith("#"):
            made.append({"cell_type": "markdown", "source": shown, "metadata": {"tags": tags}})
        else:
            output = {"output_type": "display_data", "data": {"text/html": shown}, "metadata": {}}
            made.append(
                {
                    "cell_type": "code",
                    "source": f"cell {number}",
                    "execution_count": number,
                    "outputs": [output],
                    "metadata": {"tags": tags},
                }
            )
    return {"cells": made}


def table(name):
    return f'<div class="table" id="table-{name}"><div class="wide"><table><caption>The {name}</caption></table></div></div>'


def lay(tmp_path, *cells):
    notes = Notes({}, "areas", tmp_path)
    blocks = show_notebook("3_effect", notebook_of(*cells), "evidence", PAGES, notes)
    return lay_out(blocks, PAGES, "More:")


def test_a_tag_moves_a_section_or_a_table_and_leaves_a_link(tmp_path):
    chapters = lay(
        tmp_path, ("# Effect",), ("## Main",), (table("overall"),), (table("cells"), "details"),
        ("## Scales", "details"), (table("scales"),), ("## Last",), (table("one") + table("two"), "tests:nothing"),
    )  # fmt: skip
    evidence, details = chapters
    places = locate(chapters)
    assert (evidence.file, details.file) == ("evidence", "details")
    shown = resolve("".join(evidence.html), places, "evidence")
    assert [name for name in ("overall", "cells", "scales", "one", "two") if f'id="table-{name}"' in shown] == [
        "overall",
        "one",
        "two",
    ]
    assert '<a href="details.html#table-cells">The cells</a>' in shown
    assert re.search(r'<a href="details.html#s-3_effect-4-0">Scales</a>', shown)
    moved = "".join(details.html)
    assert [entry.text for entry in details.contents] == [
        "Effect",
        "Main",
        "Scales",
    ]  # under the headings that they came from
    assert moved.index(">Main<") < moved.index("table-cells") < moved.index(">Scales<") < moved.index("table-scales")
    names = re.findall(r'id="([^"]+)"', shown + moved)
    assert len(names) == len(set(names))


def test_a_page_holds_so_many_tables_and_bytes_and_nothing_is_lost(tmp_path):
    many = [
        cell for k in range(9) for cell in ((f"## Section {k}",), (table(f"a{k}"),), (table(f"b{k}") + "x" * 60_000,))
    ]
    chapters = lay(tmp_path, ("# Effect",), *many)
    assert [chapter.file for chapter in chapters] == ["evidence", "evidence_2"]
    for chapter in chapters:
        html = "".join(chapter.html)
        assert html.count("<table") <= TABLES
        assert len(html.encode()) <= BYTES + 1000
        assert chapter.contents[0].text == "Effect"
    every = "".join(html for chapter in chapters for html in chapter.html)
    assert every.count("<table") == 18


def test_every_number_of_a_table_and_of_a_text_is_a_link_to_its_cell(tmp_path):
    numbers = {
        "overall.main.estimate": number("overall.main.estimate", 0.8), "overall.main.conf_low": number("overall.main.conf_low", -1.0),
        "sample.units": number("sample.units", 8, "count"),
    }  # fmt: skip
    notes = Notes(numbers, "areas", tmp_path)
    shown = FormattedTable(
        "overall",
        pd.DataFrame({"key": ["main", "none"], "label": ["A", "B"], "estimate": [0.8, np.nan], "conf_low": [-1, np.nan], "conf_high": [2, np.nan], "unit": "pp", "level": 0.95}),
        "Caption", ("label", "estimate", "conf_low", "conf_high"),
    ).to_html()  # fmt: skip
    html = notes.in_exhibits(shown)
    links = re.findall(r'<a class="v" href="@in-2_design-3" data-n="(\d)">([^<]+)</a>', html)
    assert links == [("0", "+0.80"), ("0", "\N{MINUS SIGN}1.00 to +2.00")]
    assert notes.to_data()["made"] == [["twfe()", "areas"]]
    told = [["8 districts, and 0.8 points", [["8", "sample.units"], ["0.8 points", "overall.main.estimate"]]]]
    said = notes.in_prose("<p>In 2018: 8 districts, and 0.8 points.</p>", told)
    assert re.sub("<[^>]+>", "", said) == "In 2018: 8 districts, and 0.8 points."
    assert re.findall(r'data-k="([^"]+)">([^<]+)<', said) == [
        ("sample.units", "8"),
        ("overall.main.estimate", "0.8 points"),
    ]


def test_a_long_list_of_numbers_is_cut_into_pages(report):
    many = [number(f"very.long.name.of.a.number.{k}", k, "count") for k in range(3000)]
    pages = pages_of(report, numbers=[*NUMBERS, *many])
    lists = {name: html for name, html in pages.items() if name.startswith("numbers") and "." not in name}
    assert len(lists) > 1
    assert all(len(html.encode()) < 400_000 for html in lists.values())
    assert sum(html.count('<th scope="row">') for html in lists.values()) == 3000 + len(NUMBERS)
    assert all(f'href="{name}.html"' in lists["numbers"] for name in lists)


def test_a_drawing_that_is_too_large_for_a_page_is_shown_as_a_picture(tmp_path):
    (tmp_path / "figures").mkdir()
    for ending in ("svg", "png"):
        (tmp_path / "figures" / f"map.{ending}").write_bytes(b"x")
    notes = Notes({}, "areas", tmp_path)
    for size, shown in ((100, "<svg"), (400_000, '<img src="data:image/png;base64,eA==" alt="A map">')):
        drawn = f'<figure class="drawn" id="figure-map"><svg aria-label="A map">{"x" * size}</svg><figcaption>Map</figcaption></figure>'
        html = notes.in_exhibits(drawn)
        assert shown in html
        assert html.count("</figure>") == html.count("<figcaption>Map</figcaption>") == 1
        assert '<a href="figures/map.png" aria-label="png: Map">png</a>' in html


def test_a_refusal_says_why_and_what_would_settle_it_and_shows_no_empty_figure(report):
    (report / "tables" / "event_study.csv").unlink()
    (report / "tables" / "refusal.csv").write_text(
        "key,what,why,what_could_be_done\nr,Main method,all <units> start at once,add units\n", encoding="utf-8"
    )
    html = pages_of(report, numbers=[one for one in NUMBERS if not one["key"].startswith("overall")])["index"]
    assert "<strong>Main method</strong>: all &lt;units&gt; start at once. What could be done: add units." in html
    assert "<figure" not in html
    assert "What could overturn it" not in html


@pytest.mark.parametrize(
    ("unit", "said"),
    [
        ("pp", "−50.28 points (95% interval −61.96 points to −38.61 points)"),
        ("per 100,000", "−50.28 per 100,000 (95% interval −61.96 per 100,000 to −38.61 per 100,000)"),
        ("number", "−50.28 (95% interval −61.96 to −38.61)"),
    ],
)
def test_the_line_of_an_answer_says_its_unit(tmp_path, unit, said):
    answer = {
        "verdict": "fragile",
        "simulated": False,
        "unit": unit,
        "level": 0.95,
        "estimate": -50.284,
        "ends": [-61.96, -38.61],
    }
    (tmp_path / "answer.json").write_text(json.dumps(answer), encoding="utf-8")
    assert tell_answer(tmp_path) == f"effect shown, fragile, {said}"


def test_numbers_of_a_sentence_lead_to_the_cell_that_was_asked_and_names_with_digits_do_not():
    number = {"method": "other estimates", "notebook": "4_robustness", "cell": "In [7]", "value": 1.0}
    notes = Notes({"answers.overlap.reach_low": number}, "areas", Path())
    said = notes.in_sentence(
        "At M = 1 without COVID-19 beds: \N{MINUS SIGN}6.81 to +8.27 points; it&#39;s T01.", "answers.overlap."
    )
    assert re.findall(r">([^<]+)</a>", said) == ["1", "\N{MINUS SIGN}6.81", "+8.27 points"]
    assert said.count('href="@in-4_robustness-7"') == 3
    assert notes.in_sentence("p = 0.2", "answers.trends.") == "p = 0.2"
