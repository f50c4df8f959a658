"""Reports of this project that a run on this machine made, for tests that look at whole ones."""

import pytest
from support.projects import ROOT


def run_reports():
    """The folders of finished reports."""
    return sorted(
        path.parent for path in (ROOT / "reports").glob("*/answer.json") if not path.parent.name.startswith(".")
    )


REPORTS = [
    pytest.param(folder, id=folder.name) for folder in run_reports()
] or [pytest.param(None, id="none", marks=pytest.mark.skip(reason="NO REPORT on this machine: evalaid run"))]  # fmt: skip
