"""The documentation site: every link leads somewhere, every example runs, nothing is fetched; commands that are shown do what they say."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from contextlib import suppress

import pytest
from click.testing import CliRunner
from support.browser import WIDTHS, find_faults, open_browser, open_page
from support.projects import ROOT, toy_frame

import evalaid as ea
from evalaid.base.project import in_project
from evalaid.cli import main
from evalaid.did.estimators.registry import METHODS
from evalaid.report.wording.language import load_catalogue
from evalaid.simulate.office import write_office_files
from evalaid.study.new.init_project import make_project

pytest.importorskip("mkdocs", reason="NO MKDOCS: install requirements-dev.lock")
# Commands that a reader types on a file or a study, cheap enough to carry out; the others are carried out by tests/running.
CARRIED_OUT = {
    "archive": False,
    "check": True,
    "design": True,
    "methods": True,
    "new": True,
    "tasks": True,
    "why": True,
}


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("docs")
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src"), "NO_MKDOCS_2_WARNING": "1", "MPLBACKEND": "Agg"}
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(folder)]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def test_a_build_leaves_nothing_in_the_project(site):
    seen = subprocess.run(
        ["git", "status", "--porcelain", "docs", "tools", "site"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    made = [line for line in seen.stdout.splitlines() if line.startswith("??") and "docs/methods/" in line]
    assert not made
    assert not (ROOT / "docs" / "methods").exists()


@pytest.mark.parametrize("entry", METHODS, ids=[entry.name for entry in METHODS])
def test_every_method_has_a_page_with_its_equation_its_example_and_its_test(site, entry):
    page = (site / "methods" / f"{entry.name}.html").read_text(encoding="utf-8")
    (row,) = ea.methods().query("method == @entry.name").to_dict("records")
    text = (
        re.sub(r"<[^>]+>", "", page)
        .replace("&#39;", "'")
        .replace("&amp;", "&")
        .replace("&lt;", "<")
        .replace("&gt;", ">")
        .replace("&quot;", '"')
    )
    assert row["equation"] in text
    assert row["test"] in text
    assert row["tolerance"].split("`")[0] in text
    assert "estimate" in text.partition("Example")[2]
    assert f'estimate(design, "{entry.name}")' in text


def test_every_public_name_has_its_docstring_on_a_page(site):
    pages = "\n".join(path.read_text(encoding="utf-8") for path in (site / "api").glob("*.html"))
    shown = set(re.findall(r'id="evalaid[\w.]*\.(\w+)"', pages))
    named = {getattr(getattr(ea, name), "__qualname__", name) for name in ea.__all__}
    assert named - shown == set()
    assert ":func:" not in pages


def test_nothing_is_fetched_from_elsewhere(site):
    for path in site.rglob("*.html"):
        text = path.read_text(encoding="utf-8")
        loaded = re.findall(
            r"<(?:script|img|iframe)[^>]+src=\"([^\"]+)\"|<link[^>]+rel=\"(?:stylesheet|preload|preconnect)\"[^>]+href=\"([^\"]+)\"",
            text,
        )
        assert not [one for pair in loaded for one in pair if "://" in one], path.name


def test_the_chart_names_every_method_and_refuses_where_nothing_can_be_compared(site):
    page = (site / "choosing-a-method.html").read_text(encoding="utf-8")
    chart = page.partition('<div class="chart"')[2].partition("</div>")[0]
    assert {entry.name for entry in METHODS} == set(re.findall(r'href="methods/(\w+)\.html"', chart))
    assert "no method" in chart


def test_the_glossary_has_a_word_in_every_language_and_the_verdicts_of_the_catalogues():
    text = (ROOT / "docs" / "glossary.md").read_text(encoding="utf-8")
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line.startswith("| ")
    ]
    assert all(len(row) == 3 and all(row) for row in rows)
    english, chinese, korean = zip(*rows, strict=True)
    assert all(re.search(r"[一-鿿]", word) for word in chinese)
    assert all(re.search(r"[가-힣]", word) for word, name in zip(korean, english, strict=True) if name != "English")
    for language, words in (("en", english), ("zh", chinese)):
        verdicts = {word for key, word in load_catalogue(language).part("verdict").items() if key != "no_interval"}
        assert verdicts <= set(words), language


# What the theme's own script puts on a page: the copy buttons of two blocks have one name, and a wide table scrolls without a focus.
BY_THEME = {"landmark-unique", "scrollable-region-focusable"}


def test_a_page_can_be_read_by_everybody(site):
    with open_browser() as browser:
        for name, scheme in (("index", "light"), ("api/pictures", "dark"), ("methods/sun_abraham", "dark")):
            with open_page(browser, site / f"{name}.html", width=1440, height=900, scheme=scheme) as (page, _):
                assert [fault for fault in find_faults(page) if fault[0] not in BY_THEME] == [], name


def test_a_page_can_be_read_and_searched_from_a_folder(site):
    with open_browser() as browser:
        with open_page(browser, site / "choosing-a-method.html") as (page, faults):
            for width in WIDTHS:
                page.set_viewport_size({"width": width, "height": 844})
                assert page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth") <= 0
            assert not faults
        with open_page(browser, site / "glossary.html", width=1440, height=900) as (page, faults):
            page.wait_for_function("typeof __index === 'object'", timeout=60_000)
            page.locator("[data-md-component=search-query]").click()
            page.keyboard.type("jackknife", delay=50)
            page.locator(".md-search-result__item").first.wait_for(timeout=60_000)
            assert not faults


# ---------------------------------------------------------------- commands


def shown_commands():
    """Every command of `evalaid` in a block of a page that is carried out here, once."""
    found = {}
    for path in [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]:
        for block in re.findall(r"```sh\n(.*?)```", path.read_text(encoding="utf-8"), re.DOTALL):
            for line in block.splitlines():
                words = shlex.split(line.partition(" > ")[0], comments=True)
                words = words[2:] if words[:2] == ["python", "run.py"] else words[1:]
                if words and CARRIED_OUT.get(words[0]):
                    found[" ".join(words)] = words
    return found


COMMANDS = shown_commands()


@pytest.fixture(scope="module")
def readers_project(tmp_path_factory):
    """A reader's own project with the files that the pages name."""
    folder = tmp_path_factory.mktemp("reader") / "mine"
    make_project(folder, example=False)
    toy_frame().rename(columns={"first_treated": "first_treat"}).to_stata(folder / "panel.dta", write_index=False)
    files = write_office_files(folder)
    shutil.copy(files.panel, folder / "table.xlsx")
    shutil.copy(files.roster, folder / "roster.xlsx")
    return folder


@pytest.mark.parametrize("words", COMMANDS.values(), ids=list(COMMANDS))
def test_a_command_that_a_page_shows_does_what_it_says(words, readers_project, monkeypatch):
    named = [word for word in words[1:] if (ROOT / word).exists()]
    inside = (
        ROOT
        if named or any(word.startswith("korea_") for word in words) or words[0] in ("methods", "tasks")
        else readers_project
    )
    monkeypatch.chdir(inside)
    with suppress(SystemExit), in_project(inside):
        done = CliRunner().invoke(main, words)
    assert done.exit_code == 0, done.output
    assert done.output.strip()


def test_commands_are_found():
    assert {words[0] for words in COMMANDS.values()} >= {"check", "design", "new", "tasks", "why"}
