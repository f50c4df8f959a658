"""What a workbook's values alone do not show: errors, formulas without values, hidden rows, and how far a sheet reaches."""

from __future__ import annotations

import io
import re
import struct
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any
from xml.parsers import expat

from evalaid.reading.containers import damaged, ole_chain, ole_streams, part, protected
from evalaid.reading.snapshot import Snapshot

_REFERENCE = re.compile(r"([A-Z]{1,3})([1-9]\d{0,6})")
_BIFF_ERRORS = {0: "#NULL!", 7: "#DIV/0!", 15: "#VALUE!", 23: "#REF!", 29: "#NAME?", 36: "#NUM!", 42: "#N/A"}
_BLOCK = 1 << 16
_XLS_ROWS, _XLS_COLUMNS = 65_536, 256


@dataclass
class Survey:
    """Collect what was found on one sheet.

    Parameters
    ----------
    rows, columns : int
        How far its values reach from A1.
    declared : tuple of int
        How far it says that they reach.
    errors : dict
        (row, column) -> error text.
    unvalued : list
        (row, column) of formulas whose value is not stored.
    hidden_rows : list
        Hidden rows with values.
    hidden_columns : list
        Hidden columns.
    merged : list
        (top, left, bottom, right).
    """

    rows: int = 0
    columns: int = 0
    declared: tuple[int, int] = (0, 0)
    errors: dict[tuple[int, int], str] = field(default_factory=dict)
    unvalued: list[tuple[int, int]] = field(default_factory=list)
    hidden_rows: list[int] = field(default_factory=list)
    hidden_columns: list[int] = field(default_factory=list)
    merged: list[tuple[int, int, int, int]] = field(default_factory=list)

    def reach(self, row: int, column: int) -> None:
        """Note that a value stands in a cell."""
        self.rows, self.columns = max(self.rows, row + 1), max(self.columns, column + 1)


def survey_xlsx(snapshot: Snapshot) -> dict[str, Survey]:
    """Survey every sheet of an xlsx or xlsm workbook.

    Parameters
    ----------
    snapshot : Snapshot
        The file, whose sizes were checked.

    Returns
    -------
    dict
        Sheet -> survey.

    Raises
    ------
    ReadingError
        When a part is missing or damaged.
    """
    with zipfile.ZipFile(io.BytesIO(snapshot.content)) as archive:
        names = set(archive.namelist())
        targets: dict[str, str] = {}
        sheets: list[tuple[str, str]] = []

        def relation(tag: str, values: dict[str, str]) -> None:
            if tag == "Relationship" and "Id" in values and "Target" in values:
                target = values["Target"]
                targets[values["Id"]] = target.lstrip("/") if target.startswith("/") else f"xl/{target}"

        def sheet(tag: str, values: dict[str, str]) -> None:
            if tag == "sheet":
                sheets.append((values.get("name", ""), values.get("id", "")))

        _parse(snapshot, part(archive, "xl/_rels/workbook.xml.rels", snapshot), relation)
        _parse(snapshot, part(archive, "xl/workbook.xml", snapshot), sheet)
        surveys = {}
        for name, key in sheets:
            target = targets.get(key, "")
            if target not in names:
                raise damaged(snapshot, f"the sheet {name!r} is missing")
            if "worksheets/" in target:
                surveys[name] = _survey_sheet(snapshot, part(archive, target, snapshot))
    return surveys


def _survey_sheet(snapshot: Snapshot, content: bytes) -> Survey:
    survey = Survey()
    state: dict[str, Any] = {
        "row": -1,
        "column": -1,
        "hidden": False,
        "type": "",
        "formula": False,
        "value": "",
        "inside": "",
    }

    def start(tag: str, values: dict[str, str]) -> None:
        if tag == "c":
            match = _REFERENCE.fullmatch(values.get("r", ""))
            if match:
                state["row"], state["column"] = int(match[2]) - 1, _column(match[1])
            else:
                state["column"] += 1
            state.update(type=values.get("t", ""), formula=False, value="")
        elif tag == "row":
            state["row"] = int(values["r"]) - 1 if values.get("r", "").isdigit() else state["row"] + 1
            state["column"] = -1
            state["hidden"] = values.get("hidden") in {"1", "true"}
        elif tag in {"v", "t"}:
            state["inside"] = tag
        elif tag == "f":
            state["formula"] = True
        elif tag == "col" and values.get("hidden") in {"1", "true"}:
            first, last = int(values.get("min", "1")), int(values.get("max", "1"))
            survey.hidden_columns.extend(range(first - 1, min(last, first + 255)))

    def end(tag: str) -> None:
        if tag in {"v", "t"}:
            state["inside"] = ""
        if tag != "c":
            return
        at = (state["row"], state["column"])
        if state["value"]:
            survey.reach(*at)
            if state["type"] == "e":
                survey.errors[at] = state["value"]
            if state["hidden"] and (not survey.hidden_rows or survey.hidden_rows[-1] != state["row"]):
                survey.hidden_rows.append(state["row"])
        elif state["formula"] and state["type"] != "str":
            survey.unvalued.append(at)

    def text(content: str) -> None:
        if state["inside"]:
            state["value"] = (state["value"] + content)[:40]

    _parse(snapshot, content, start, end, text)
    return survey


def survey_ods(snapshot: Snapshot) -> dict[str, Survey]:
    """Survey every sheet of an OpenDocument spreadsheet.

    Parameters
    ----------
    snapshot : Snapshot
        The file, whose sizes were checked.

    Returns
    -------
    dict
        Sheet -> survey.

    Raises
    ------
    ReadingError
        When its content is damaged.
    """
    with zipfile.ZipFile(io.BytesIO(snapshot.content)) as archive:
        content = part(archive, "content.xml", snapshot)
    surveys: dict[str, Survey] = {}
    state: dict[str, Any] = {
        "survey": Survey(),
        "row": 0,
        "rows": 1,
        "column": 0,
        "cell": None,
        "text": "",
        "hidden": False,
        "depth": 0,
    }

    def start(tag: str, values: dict[str, str]) -> None:
        if tag == "table":
            state["depth"] += 1
            if state["depth"] == 1:
                state.update(survey=Survey(), row=0, column=0)
                surveys[values.get("name", "")] = state["survey"]
        elif tag == "table-row":
            state.update(
                rows=_count(values.get("number-rows-repeated")),
                column=0,
                hidden="visibility" in values and values["visibility"] != "visible",
            )
        elif tag in {"table-cell", "covered-table-cell"}:
            state.update(cell=values, text="")

    def end(tag: str) -> None:
        survey = state["survey"]
        if tag == "table":
            state["depth"] -= 1
        elif tag == "table-row":
            state["row"] += state["rows"]
        elif tag in {"table-cell", "covered-table-cell"} and state["cell"] is not None:
            values, repeated = state["cell"], _count(state["cell"].get("number-columns-repeated"))
            row, column = state["row"], state["column"]
            if values.get("value-type") or state["text"]:
                survey.reach(row + state["rows"] - 1, column + repeated - 1)
                if values.get("calcext-type") == "error" or (
                    values.get("formula") and re.match(r"#[A-Z]|Err:\d", state["text"])
                ):
                    survey.errors[row, column] = state["text"] or "error"
                if state["hidden"]:
                    survey.hidden_rows.extend(range(row, row + min(state["rows"], 1000)))
            elif values.get("formula"):
                survey.unvalued.append((row, column))
            down, across = _count(values.get("number-rows-spanned")), _count(values.get("number-columns-spanned"))
            if down > 1 or across > 1:
                survey.merged.append((row, column, row + down - 1, column + across - 1))
            state["column"] += repeated
            state["cell"] = None

    def text(content: str) -> None:
        if state["cell"] is not None:
            state["text"] = (state["text"] + content)[:40]

    _parse(snapshot, content, start, end, text)
    return surveys


def survey_xls(snapshot: Snapshot) -> dict[str, Survey]:
    """Survey every sheet of an xls workbook (BIFF8, [MS-XLS]).

    Parameters
    ----------
    snapshot : Snapshot
        The file.

    Returns
    -------
    dict
        Sheet -> survey; errors and hidden rows only, an xls sheet has at most 65,536 x 256 cells.

    Raises
    ------
    ReadingError
        When it has a password or is damaged.
    """
    streams = ole_streams(snapshot)
    name = next(name for name in streams if name.lower() in {"workbook", "book"})
    first, size = streams[name]
    if size < 4096:  # kept in the small sectors, which only a workbook without content needs
        return {}
    stream = ole_chain(snapshot, first, size)
    sheets: dict[int, str] = {}
    surveys: dict[str, Survey] = {}
    survey, at = None, 0
    while at + 4 <= len(stream):
        kind, length = struct.unpack_from("<HH", stream, at)
        body = stream[at + 4 : at + 4 + length]
        if kind == 0x002F:
            raise protected(snapshot)
        if kind == 0x0085 and length >= 8:
            sheets[struct.unpack_from("<I", body)[0]] = _sheet_name(body)
        elif kind == 0x0809:
            survey = surveys.setdefault(sheets[at], Survey()) if at in sheets else None
        elif kind == 0x00FC and length >= 8 and struct.unpack_from("<I", body, 4)[0] > size:
            raise damaged(snapshot, "it declares more texts than it can hold")
        elif survey is not None:
            _survey_record(survey, kind, body)
            rows, columns = survey.declared
            if max(survey.rows, rows) > _XLS_ROWS or max(survey.columns, columns) > _XLS_COLUMNS:
                raise damaged(snapshot, "a cell lies outside the sheet")
        at += 4 + length
    return surveys


def _survey_record(survey: Survey, kind: int, body: bytes) -> None:
    if kind in {0x0006, 0x0205, 0x0203, 0x027E, 0x00FD, 0x0204} and len(body) >= 8:
        row, column = struct.unpack_from("<HH", body)
        survey.reach(row, column)
        if kind == 0x0006 and len(body) >= 14 and body[12:14] == b"\xff\xff" and body[6] == 2:
            survey.errors[row, column] = _BIFF_ERRORS.get(body[8], "#VALUE!")
        elif kind == 0x0205 and body[7]:
            survey.errors[row, column] = _BIFF_ERRORS.get(body[6], "#VALUE!")
    elif kind == 0x00BD and len(body) >= 6:
        survey.reach(struct.unpack_from("<H", body)[0], struct.unpack_from("<H", body, len(body) - 2)[0])
    elif kind == 0x0200 and len(body) >= 10:  # the library sets memory aside for what is declared here
        top, rows, left, columns = struct.unpack_from("<IIHH" if len(body) >= 12 else "<HHHH", body)
        backwards = top > rows or left > columns
        survey.declared = (_XLS_ROWS + 1, columns) if backwards else (rows, columns)
    elif kind == 0x0208 and len(body) >= 14 and body[12] & 0x20:
        survey.hidden_rows.append(struct.unpack_from("<H", body)[0])


def _sheet_name(body: bytes) -> str:
    length, wide = body[6], body[7] & 1
    return body[8 : 8 + length * (2 if wide else 1)].decode("utf-16-le" if wide else "latin-1", errors="replace")


def _column(letters: str) -> int:
    number = 0
    for letter in letters:
        number = number * 26 + ord(letter) - 64
    return number - 1


def _count(text: str | None) -> int:
    return int(text[:18]) if text and text.isdigit() else 1


@lru_cache(maxsize=1000)
def _local(name: str) -> str:
    """Take a name without its prefix."""
    return name.rpartition(":")[2]


def _parse(
    snapshot: Snapshot,
    content: bytes,
    start: Callable[[str, dict[str, str]], None],
    end: Callable[[str], None] | None = None,
    text: Callable[[str], None] | None = None,
) -> None:
    """Run through an XML part; names come without their prefix, declared entities are refused."""
    parser = expat.ParserCreate()
    parser.buffer_text = True

    def on_start(name: str, values: dict[str, str]) -> None:
        if ":" in "".join(values):
            plain = {_local(key): value for key, value in values.items()}
            if "calcext:value-type" in values:
                plain |= {
                    "calcext-type": values["calcext:value-type"],
                    "value-type": values.get("office:value-type", "error"),
                }
            values = plain
        start(_local(name), values)

    def refuse(*_: object) -> None:
        raise damaged(snapshot, "it declares entities, which no workbook does")

    parser.StartElementHandler = on_start
    parser.EntityDeclHandler = refuse
    if end is not None:
        on_end = end
        parser.EndElementHandler = lambda name: on_end(_local(name))
    if text is not None:
        parser.CharacterDataHandler = text
    try:
        for at in range(0, len(content), _BLOCK):
            parser.Parse(content[at : at + _BLOCK], False)
        parser.Parse(b"", True)
    except (expat.ExpatError, ValueError) as error:
        raise damaged(snapshot, f"unreadable XML: {error}") from error
