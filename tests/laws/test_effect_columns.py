"""The columns of effect tables are spelt in one file: a new one touches it and the file that titles it."""

import ast
import io
import re
import tokenize
from pathlib import Path

from evalaid.base import effect_columns

SRC = Path(__file__).parents[2] / "src" / "evalaid"
SCHEMA = SRC / "base" / "effect_columns.py"
# What no other thing in the package is called; `estimate`, `level` and `note` are words of options and other tables, too.
ONLY_COLUMNS = {
    getattr(effect_columns, name)
    for name in (
        "STD_ERROR",
        "P_VALUE",
        "CONF_LOW",
        "CONF_HIGH",
        "BAND_LOW",
        "BAND_HIGH",
        "N_CLUSTERS",
        "TREATED_CLUSTERS",
    )
}
INSIDE_TEXT = re.compile(rf"\['(?:{'|'.join(ONLY_COLUMNS)})'\]")
FILES = sorted(set(SRC.rglob("*.py")) - {SCHEMA})


def test_no_module_spells_an_effect_column_by_itself():
    """Its name is imported from base/effect_columns.py."""
    assert [f"{path.name}:{token.start[0]}: {token.string}" for path in FILES for token in spelt(path)] == []


def spelt(path):
    """The strings of a file that are, or hold, the name of an effect column."""
    for token in tokenize.generate_tokens(io.StringIO(path.read_text(encoding="utf-8")).readline):
        if token.type == tokenize.STRING:
            formatted = token.string.lstrip("rR").startswith(("f", "F"))
            if INSIDE_TEXT.search(token.string) if formatted else ast.literal_eval(token.string) in ONLY_COLUMNS:
                yield token


def test_every_name_of_the_schema_is_the_word_of_its_column():
    names = {name: value for name, value in vars(effect_columns).items() if name.isupper() and isinstance(value, str)}
    assert len(set(names.values())) == len(names)
    assert all(value == name.lower() for name, value in names.items())
