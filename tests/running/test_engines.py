"""Both engines, the forked one and Papermill's own, leave the same bytes of every notebook and of all that it writes."""

import sys

import pytest
from support.projects import EFFECT, ROOT, SAMPLE, make_project, write_notebook

from evalaid.running.notebooks import list_notebooks, run_study
from evalaid.running.processes.execution import ENGINE
from evalaid.study.spec import StudySpec

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the forked engine")

EVERY_OUTPUT = (
    "import sys, warnings\nprint('first')\nprint('second', file=sys.stderr)\nprint('third', end='')",
    "from IPython.display import HTML, Markdown, display\nshown = display(HTML('<b>one</b>'), display_id='x')",
    "shown.update(HTML('<b>two</b>'))\nMarkdown('*three*')",
    "import pandas as pd",
    "pd.DataFrame({'a': [1.5, None], 'b': ['x', 'y']})",
    "import matplotlib.pyplot as plt\nfigure, axes = plt.subplots(figsize=(2, 1))\naxes.plot([1, 2])\nNone",
    "object()",
    "%matplotlib inline\n_ = 3\n_",
    "from IPython.display import clear_output\nprint('gone')\nclear_output()\nprint('left')",
    "1;",
)


def written(spec, folder, engine, monkeypatch):
    """The bytes of every file of a report; a hidden one says what the report was made from, the engine with it."""
    monkeypatch.setenv(ENGINE, engine)
    run_study(spec, folder=folder, fresh=True)
    files = (path for path in sorted(folder.rglob("*")) if path.is_file() and not path.name.startswith("."))
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def assert_same(spec, tmp_path, monkeypatch):
    ours, plain = (written(spec, tmp_path / name, name, monkeypatch) for name in ("forked", "plain"))
    assert {path.name for path in list_notebooks(spec)} <= set(ours)
    assert set(ours) == set(plain)
    assert [name for name in ours if ours[name] != plain[name]] == []


def test_every_kind_of_output_is_the_same_to_the_byte(tmp_path, monkeypatch):
    project = tmp_path / "project"
    project.mkdir()
    monkeypatch.chdir(make_project(project, (*EVERY_OUTPUT, SAMPLE, EFFECT)))
    write_notebook(project, (EFFECT.replace('"overall", ["label"', '"again", ["label"'),), name="3_more")
    assert_same(StudySpec(study="toy"), tmp_path, monkeypatch)


@pytest.mark.slow
def test_every_notebook_of_a_study_is_the_same_to_the_byte(tmp_path, monkeypatch):
    monkeypatch.chdir(ROOT)
    assert_same(StudySpec(study="liannan_trusteeship"), tmp_path, monkeypatch)
