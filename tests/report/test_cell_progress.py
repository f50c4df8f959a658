"""A bar in a cell shows long work to a person, and leaves nothing in the notebooks of a run."""

import IPython.display
import pytest

from evalaid.report.cell_progress import watch
from evalaid.study.reports import RUN_FOLDER


class Handle:
    def __init__(self):
        self.shown = []

    def update(self, html):
        self.shown.append(html.data)


@pytest.fixture
def shown(monkeypatch):
    handle = Handle()

    def display(html, display_id):
        handle.update(html)
        return handle

    monkeypatch.setattr(IPython.display, "display", display)
    monkeypatch.setattr("evalaid.report.cell_progress.EVERY", 0)
    return handle.shown


def test_a_run_and_papermill_show_no_bar(monkeypatch):
    monkeypatch.delenv(RUN_FOLDER, raising=False)
    monkeypatch.delenv("JPY_SESSION_NAME", raising=False)
    monkeypatch.delenv("VSCODE_PID", raising=False)
    assert watch("Draws") is None
    monkeypatch.setenv("JPY_SESSION_NAME", "4_robustness.ipynb")
    assert watch("Draws") is not None
    monkeypatch.setenv(RUN_FOLDER, "somewhere")
    assert watch("Draws") is None


def test_a_bar_goes_on_and_is_empty_at_the_end(monkeypatch, shown):
    monkeypatch.delenv(RUN_FOLDER, raising=False)
    monkeypatch.setenv("JPY_SESSION_NAME", "4_robustness.ipynb")
    tell = watch("Draws & more")
    for done in (1, 2, 3):
        tell(done, 3)
    assert "Draws &amp; more: 1 of 3" in shown[0]
    assert 'value="2" max="3"' in shown[1]
    assert shown[2:] == [""]


def test_work_that_is_done_at_once_shows_nothing(monkeypatch, shown):
    monkeypatch.delenv(RUN_FOLDER, raising=False)
    monkeypatch.setenv("JPY_SESSION_NAME", "4_robustness.ipynb")
    watch("Draws")(3, 3)
    assert shown == []
