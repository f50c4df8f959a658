"""What the documents tell a reader to type exists and works."""

import importlib
import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from evalaid.running.checked.expected import read_expected

ROOT = Path(__file__).parents[2]
OF_DOCS = tuple(f"docs/{path.name}" for path in sorted((ROOT / "docs").glob("*.md")))
DOCUMENTS = ("README.md", "AGENTS.md", "CONTRIBUTING.md", "CHANGELOG.md", "LICENSES.md", "data/README.md", *OF_DOCS)
README = (ROOT / "README.md").read_text(encoding="utf-8")
INFERENCE = (ROOT / "docs" / "inference.md").read_text(encoding="utf-8")


def blocks(text, *languages):
    """The contents of the fenced code blocks in one of the languages."""
    return [code for language, code in re.findall(r"```(\w*)\n(.*?)```", text, re.DOTALL) if language in languages]


def shell_commands():
    """Every command a document shows, from its blocks and from its running text."""
    for document in DOCUMENTS:
        text = (ROOT / document).read_text(encoding="utf-8")
        lines = "\n".join(blocks(text, "sh", "")).splitlines()
        lines += re.findall(r"`((?:python run\.py|evalaid)(?: [^`]*)?)`", text)
        for line in lines:
            words = shlex.split(line, comments=True)
            if words:
                yield document, words


COMMANDS = sorted({(document, tuple(words)) for document, words in shell_commands()})


@pytest.fixture(scope="module")
def run_help():
    done = subprocess.run([sys.executable, ROOT / "run.py", "--help"], capture_output=True, text=True, check=True)
    return done.stdout


def test_the_python_in_the_readme_runs(monkeypatch):
    monkeypatch.chdir(ROOT)
    (code,) = blocks(README, "python")
    names = {}
    exec(compile(code, "README.md", "exec"), names)
    assert {"estimate", "std_error", "conf_low", "conf_high", "note"} <= set(names["table"])
    assert len(names["table"]) == 1
    assert names["design"].text()


@pytest.mark.parametrize("page", [page for page in OF_DOCS if "```python" in (ROOT / page).read_text(encoding="utf-8")])
def test_a_page_prints_what_it_shows(page, monkeypatch, capsys, tmp_path):
    monkeypatch.chdir(tmp_path if "savefig" in (ROOT / page).read_text(encoding="utf-8") else ROOT)
    names, text = {}, (ROOT / page).read_text(encoding="utf-8")
    for code, shown in re.findall(r"```python\n(.*?)```(?:\n\n```text\n(.*?)```)?", text, re.DOTALL):
        exec(compile(code, page, "exec"), names)
        assert capsys.readouterr().out == shown


def home(one):
    """The module that a public name comes from; a public module is its own."""
    return getattr(one, "__module__", one.__name__)


def test_every_public_function_of_inference_and_sensitivity_has_an_example():
    package = importlib.import_module("evalaid")
    found = [getattr(package, name) for name in package.__all__]
    folders = ("evalaid.did.inference.", "evalaid.did.sensitivity.")
    without = [one.__name__ for one in found if home(one).startswith(folders) and ">>>" not in (one.__doc__ or "")]
    assert without == []


def test_the_page_on_inference_names_every_function_of_inference_and_sensitivity():
    package = importlib.import_module("evalaid")
    homes = {name: home(getattr(package, name)) for name in package.__all__}
    public = {
        name
        for name, place in homes.items()
        if place.startswith(("evalaid.did.inference.", "evalaid.did.sensitivity."))
    }
    missing = {name for name in public if f"`{name}`" not in INFERENCE}
    assert missing == set(), "add a line for each to docs/inference.md"


def test_the_page_of_public_names_lists_what_the_package_offers():
    page = (ROOT / "docs" / "names.md").read_text(encoding="utf-8")
    package = importlib.import_module("evalaid")
    listed = re.findall(r"^\| `(\w+)` \|", page, re.MULTILINE)
    assert sorted(listed) == sorted(package.__all__), "docs/names.md and src/evalaid/__init__.pyi differ"
    assert len(listed) == len(set(listed))


def test_an_unknown_name_is_answered_with_those_that_exist():
    package = importlib.import_module("evalaid")
    with pytest.raises(AttributeError, match=r"no attribute 'bacom'; it offers .*bacon.*wild_bootstrap"):
        _ = package.bacom


@pytest.mark.parametrize("wing", ["did", "reading", "programme"])
def test_the_front_of_a_wing_offers_what_the_package_offers_of_it(wing):
    package, front = importlib.import_module("evalaid"), importlib.import_module(f"evalaid.{wing}")
    homes = {name: home(getattr(package, name)) for name in package.__all__}
    assert sorted(front.__all__) == sorted(name for name, place in homes.items() if place.split(".")[1] == wing)
    assert all(getattr(front, name) is getattr(package, name) for name in front.__all__)


@pytest.mark.parametrize(
    ("document", "words"), COMMANDS, ids=[f"{document}: {' '.join(words)}" for document, words in COMMANDS]
)
def test_every_command_exists(document, words, run_help):
    if words[:2] == ("python", "run.py"):
        words = words[2:]
        if not words:
            return
        assert re.search(rf"(^|[\s|]){re.escape(words[0])}([\s|]|$)", run_help), f"{document}: run.py has no {words[0]}"
    elif words[0] == "evalaid":
        words = words[1:]
    else:
        pytest.fail(f"{document} shows a command that no test knows: {' '.join(words)}")
    cli = importlib.import_module("evalaid.cli").main
    if words and words[0] in cli.commands:
        command = cli.commands[words[0]]
        assert CliRunner().invoke(cli, [words[0], "--help"]).exit_code == 0
        known = {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}
        assert {word for word in words[1:] if word.startswith("-")} <= known


def test_the_result_in_the_readme_is_the_committed_one():
    numbers = read_expected("korea_responsible_hospitals").numbers
    main = {
        key.removeprefix("scenarios.main."): number.value
        for key, number in numbers.items()
        if key.startswith("scenarios.main.")
    }
    sentence = (
        f"changed the share by {main['estimate']:.1f} percentage points (95% interval {main['conf_low']:.1f} to "
        f"{main['conf_high']:.1f}, {main['n_clusters']} care areas of which {main['treated_clusters']} treated)"
    )
    text = re.sub(r"\s+", " ", README)
    assert sentence in text
    assert f"({main['n_units']} in the sample)" in text
    assert main["conf_low"] < 0 < 2 < main["conf_high"], "the words around the sentence no longer hold"


@pytest.mark.parametrize("study", ["korea_responsible_hospitals", "korea_obstetrics", "korea_satellites"])
def test_the_real_studies_stand_side_by_side_with_the_committed_numbers(study):
    values = {key: number.value for key, number in read_expected(study).numbers.items()}
    estimate, low, high = (values[f"overall.main.{name}"] for name in ("estimate", "conf_low", "conf_high"))
    (row,) = [line for line in README.splitlines() if f"| +{estimate:.1f} points ({low:.1f} to {high:.1f})" in line]
    assert row.endswith(f"| {values['detectable.effect']:.1f} points |")
    treated = f"{values['sample.treated_clusters']} of {values['sample.clusters']} care areas"
    units = f"{values['sample.treated_units']} of {values['sample.units']} districts"
    assert treated in row or units in row


def test_every_study_that_is_named_exists():
    named = {word for _, words in COMMANDS for word in words[2:] if re.fullmatch(r"[a-z]+(_[a-z]+){2,}", word)}
    named -= {"acute_inpatient_share_pct"}
    studies = set(importlib.import_module("evalaid.base.project").list_studies("project"))
    assert named <= studies
    assert set(re.findall(r"^\| `([a-z_]+)` \|", README, re.MULTILINE)) == studies, "the table of studies"


def cited():
    """Every digital object identifier in the code and in the table of papers."""
    for path in (*sorted((ROOT / "src").rglob("*.py")), ROOT / "data" / "published" / "literature.csv"):
        for doi in re.findall(r"\b10\.\d{4,}/[^\s\"';,]+", path.read_text(encoding="utf-8")):
            yield (
                doi.rstrip(".:")
                if doi.count("(") == doi.count(")")
                else doi.rstrip(".:").removesuffix(")").rstrip(".:")
            )


def test_every_identifier_that_is_cited_is_in_the_list_of_references():
    page = (ROOT / "docs" / "references.md").read_text(encoding="utf-8")
    assert {doi for doi in cited() if doi not in page} == set()


def test_every_data_file_is_cited():
    page = (ROOT / "docs" / "references.md").read_text(encoding="utf-8")
    package = json.loads((ROOT / "data" / "datapackage.json").read_text(encoding="utf-8"))
    paths = [resource["path"] for resource in package["resources"] if resource["name"] != "literature"]
    assert [path for path in paths if f"`data/{path}`" not in page] == []


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_link_inside_the_project_leads_somewhere(document):
    text = (ROOT / document).read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)#]+)\)", text):
        if "://" not in target:
            assert ((ROOT / document).parent / target).exists(), f"{document} links {target}"


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_path_inside_the_project_that_is_named_exists(document):
    text = (ROOT / document).read_text(encoding="utf-8")
    for named in re.findall(r"`((?:src|tests|notebooks|docs|data|benchmarks)/[\w./-]+)`", text):
        if "my_counties" in named or "STUDY" in named:  # stands for any study
            continue
        assert (ROOT / named).exists(), f"{document} names {named}"


def test_the_first_screen_of_the_readme_names_the_two_commands():
    first_screen = README.splitlines()[:40]
    assert {"python run.py", "python run.py test"} <= {line.split("#")[0].strip() for line in first_screen}


def test_the_changelog_is_cut_into_releases_newest_first():
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    versions = [tuple(map(int, found.split("."))) for found in re.findall(r"^## ([\d.]+)", changelog, re.MULTILINE)]
    assert len(versions) > 1
    assert versions == sorted(versions, reverse=True)


def test_the_citation_gives_the_version_of_the_package():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert str(citation["version"]) == importlib.import_module("evalaid").__version__
    assert f"## {citation['version']} ({citation['date-released']})" in (ROOT / "CHANGELOG.md").read_text(
        encoding="utf-8"
    )
    assert f'version = "{citation["version"]}"' in (ROOT / "pyproject.toml").read_text(encoding="utf-8")


def test_the_first_screen_of_the_readme_has_a_small_picture_of_an_answer_and_the_command_for_own_data():
    first_screen = "\n".join(README.splitlines()[:20])
    (picture,) = re.findall(r"!\[[^\]]+\]\((docs/[^)]+)\)", first_screen)
    assert (ROOT / picture).stat().st_size < 150_000
    assert "python run.py new mine --panel" in first_screen
    assert README.index(picture) < README.index("| what was done") < README.index("| `guangdong_cluster` |")
