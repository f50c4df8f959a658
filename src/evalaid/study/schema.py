"""The JSON schema of a study's file, by which editors complete and check it: ``python -m evalaid.study.schema`` writes it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from evalaid.base.project import STUDIES, project_root
from evalaid.did.estimators.registry import METHODS
from evalaid.study.spec import StudySpec, field_names

SCHEMA = STUDIES / "schema.json"
HEAD = "# yaml-language-server: $schema=schema.json"
"""First line of a study's file: editors with a YAML language server read the schema that it names."""


def write_schema() -> str:
    """Return the text of the schema."""
    schema = _without_titles(StudySpec.model_json_schema())
    changes = {"propertyNames": {"enum": list(field_names())}}
    for entry in schema["$defs"].values():
        properties = entry["properties"]
        if "changes" in properties:
            properties["changes"] |= changes
        if "options" in properties:  # of an entry of `methods`
            properties["method"]["enum"] = [method.name for method in METHODS]
    schema |= {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "A study of evalaid",
        "description": "Parameters of one study: notebooks/studies/<study>.yaml.",
    }
    return json.dumps(schema, indent=1, ensure_ascii=False, sort_keys=True) + "\n"


def _without_titles(schema: Any) -> Any:
    """Leave out the titles that only repeat names; a field that may be left out is of its kind, not "or null"."""
    if isinstance(schema, list):
        return [_without_titles(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    kept = {
        key: _without_titles(item) for key, item in schema.items() if not (key == "title" and isinstance(item, str))
    }
    kinds = [kind for kind in kept.get("anyOf", []) if kind != {"type": "null"}]
    if len(kinds) == 1:
        kept |= kinds[0]
        del kept["anyOf"]
        kept.pop("default", None)
    return kept


if __name__ == "__main__":
    Path(project_root() / SCHEMA).write_text(write_schema(), encoding="utf-8", newline="\n")
