"""The crate of a report, ``ro-crate-metadata.json``: what ran, on what, with which parameters, and what came out.

A Process Run Crate (RO-Crate 1.1): one ``CreateAction`` per notebook, with its instrument, its inputs and their hashes, its
parameters and its outputs. It names no clock, host or path; the code is named by its commit, and a changed working tree is said.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from evalaid.base.errors import DAMAGED
from evalaid.base.project import project_root, study_file
from evalaid.running.kept.freshness import libraries
from evalaid.study.manifest import NUMBERS_FILE, Manifest, hash_file, write_json
from evalaid.study.spec import StudySpec

CRATE = "ro-crate-metadata.json"
_PROFILE = "https://w3id.org/ro/wfrun/process/0.5"
_DONE = {"@id": "http://schema.org/CompletedActionStatus"}
_PAGE_ACTION = "#make-the-page"


def write_crate(
    spec: StudySpec, folder: Path, manifest: Manifest, sources: Sequence[Path], outputs: Mapping[str, Sequence[str]]
) -> None:
    """Write the crate of a finished report; ``outputs`` holds what each notebook wrote, relative to the report."""
    commit = _commit()
    software = _software(commit)
    inputs = [_input(name, digest) for name, digest in sorted(manifest.data_files.items())]
    parameters = _parameters(spec)
    notebooks = [_instrument(path) for path in sources]
    paths = sorted(path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    written = [
        path.as_posix() for path in paths if path.name != CRATE and not any(part[0] == "." for part in path.parts)
    ]
    claimed = {name for names in outputs.values() for name in names}
    actions = [
        _action(f"#run-{path.stem}", path.name, notebook, [*inputs, *parameters], outputs.get(path.stem, ()))
        for path, notebook in zip(sources, notebooks, strict=True)
    ]
    actions.append(
        _action(
            _PAGE_ACTION, "the page and its numbers", software[0], [], [name for name in written if name not in claimed]
        )
    )
    root = {
        "@id": "./", "@type": "Dataset", "name": spec.title, "description": spec.question, "conformsTo": {"@id": _PROFILE},
        "hasPart": [{"@id": name} for name in written], "mentions": _ids(actions), "keywords": spec.data_kind,
        "version": commit,
    }  # fmt: skip
    about = {
        "@id": CRATE, "@type": "CreativeWork", "conformsTo": {"@id": "https://w3id.org/ro/crate/1.1"}, "about": {"@id": "./"},
    }  # fmt: skip
    files = [_file(folder, name) for name in written]
    profile = {"@id": _PROFILE, "@type": "CreativeWork", "name": "Process Run Crate", "version": "0.5"}
    graph = [about, root, profile, *software, *notebooks, *inputs, *parameters, *actions, *files]
    write_json(folder / CRATE, {"@context": "https://w3id.org/ro/crate/1.1/context", "@graph": graph})


def read_outputs(folder: Path) -> dict[str, list[str]]:
    """Return what each notebook of a report wrote, as its crate says; nothing when there is no sound crate."""
    try:
        graph = json.loads((folder / CRATE).read_text(encoding="utf-8"))["@graph"]
        actions = [entity for entity in graph if entity["@type"] == "CreateAction" and entity["@id"] != _PAGE_ACTION]
        return {Path(one["name"]).stem: [result["@id"] for result in one["result"]] for one in actions}
    except (OSError, *DAMAGED):
        return {}


def _software(commit: str) -> list[dict[str, Any]]:
    """Return the package first, then what it runs on."""
    versions = libraries()
    lock = versions.get("requirements.lock", "")
    return [
        {
            "@id": "#evalaid", "@type": "SoftwareApplication", "name": "evalaid", "version": sys.modules["evalaid"].__version__,
            "softwareRequirements": [{"@id": f"#{name}"} for name in versions if name != "requirements.lock"],
            "identifier": f"commit {commit}; requirements.lock sha256 {lock}",
        },
        *(
            {"@id": f"#{name}", "@type": "SoftwareApplication", "name": name, "version": version}
            for name, version in versions.items()
            if name != "requirements.lock"
        ),
    ]  # fmt: skip


def _instrument(path: Path) -> dict[str, Any]:
    return {
        "@id": f"#notebook-{path.stem}", "@type": ["SoftwareSourceCode", "SoftwareApplication"], "name": path.name,
        "sha256": hash_file(path), "programmingLanguage": "Python", "softwareRequirements": {"@id": "#evalaid"},
    }  # fmt: skip


def _input(name: str, digest: str) -> dict[str, Any]:
    return {"@id": f"#input-{name}", "@type": "CreativeWork", "name": name, "sha256": digest}


def _parameters(spec: StudySpec) -> list[dict[str, Any]]:
    stored = study_file(spec.study)
    changed = spec.changed_fields()
    values = {"study": spec.study, "seed": spec.seed, **changed}
    listed = [
        {"@id": f"#parameter-{name}", "@type": "PropertyValue", "name": name, "value": _text(value)}
        for name, value in values.items()
    ]
    file = {"@id": "#parameters", "@type": "CreativeWork", "name": stored.relative_to(project_root()).as_posix()}
    return [{**file, "sha256": hash_file(stored)} if stored.is_file() else file, *listed]


def _text(value: Any) -> Any:
    return value if isinstance(value, (int, float, str)) else json.dumps(value, ensure_ascii=False, sort_keys=True)


def _action(
    identifier: str,
    name: str,
    instrument: Mapping[str, Any],
    objects: Iterable[Mapping[str, Any]],
    results: Iterable[str],
) -> dict[str, Any]:
    return {
        "@id": identifier, "@type": "CreateAction", "name": name, "instrument": {"@id": instrument["@id"]},
        "object": _ids(objects), "result": [{"@id": result} for result in results], "actionStatus": _DONE,
    }  # fmt: skip


def _ids(entities: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    return [{"@id": entity["@id"]} for entity in entities]


def _file(folder: Path, name: str) -> dict[str, Any]:
    path = folder / name
    entity = {"@id": name, "@type": "File", "sha256": hash_file(path), "contentSize": str(path.stat().st_size)}
    return (
        {**entity, "description": "every reported number, its unit, notebook and cell"}
        if name == NUMBERS_FILE
        else entity
    )


def _commit() -> str:
    """Return the commit of the code, and whether the working tree differs from it."""
    if not (project_root() / ".git").exists():
        return "not under version control"

    def git(*arguments: str) -> str:
        command = ["git", "--no-optional-locks", "-C", str(project_root()), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()  # noqa: S603

    try:
        dirty = git("status", "--porcelain", "--untracked-files=no")
        return git("rev-parse", "HEAD") + (" and uncommitted changes" if dirty else "")
    except (OSError, subprocess.CalledProcessError):
        return "unknown: git is not installed, or does not read this folder"
