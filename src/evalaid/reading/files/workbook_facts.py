"""What a workbook's values alone do not show: errors, formulas without values, hidden rows, and how far a sheet reaches."""

from __future__ import annotations

import io
import re
import struct
import zipfile
from dataclasses import dataclass, field
from functools import lru_cache
from xml.parsers import expat

from evalaid.reading.files.cells import cell_place
from evalaid.reading.files.containers import damaged, ole_chain, ole_streams, part, protected
from evalaid.reading.files.snapshot import Snapshot

_REFERENCE = re.compile(r"([A-Z]{1,3})([1-9]\d{0,6})")
_BIFF_ERRORS = {0: "#NULL!", 7: "#DIV/0!", 15: "#VALUE!", 23: "#REF!", 29: "#NAME?", 36: "#NUM!", 42: "#N/A"}
_BLOCK = 1 << 16
_ZEROS = re.compile(r"\"?(0{2,})\"?(?:;@|;[^;]*)*")
_KEPT = 40  # characters of a value: enough for an error, and to tell that there is one
_ODS_CELLS = {"table-cell", "covered-table-cell"}
_XLS_ROWS, _XLS_COLUMNS = 65_536, 256


@dataclass
class SheetFacts:
    """Collect what was found on one sheet."""

    rows: int = 0  # how far its values reach from A1
    columns: int = 0  # how far its values reach from A1
    declared: tuple[int, int] = (0, 0)  # how far it says that they reach
    errors: dict[tuple[int, int], str] = field(default_factory=dict)  # (row, column) -> error text
    # (row, column) of formulas whose value is not stored
    unvalued: list[tuple[int, int]] = field(default_factory=list)
    hidden_rows: list[int] = field(default_factory=list)  # hidden rows with values
    hidden_columns: list[int] = field(default_factory=list)  # hidden columns
    merged: list[tuple[int, int, int, int]] = field(default_factory=list)  # (top, left, bottom, right)
    # (row, column) of whole numbers shown with so many digits, zeros before them (01001)
    padded: dict[tuple[int, int], int] = field(default_factory=dict)

    def reach(self, row: int, column: int) -> None:
        """Record that a value stands in a cell."""
        self.rows, self.columns = max(self.rows, row + 1), max(self.columns, column + 1)


def facts_of_xlsx(snapshot: Snapshot) -> dict[str, SheetFacts]:
    """Collect the facts of every sheet of an xlsx or xlsm workbook."""
    with zipfile.ZipFile(io.BytesIO(snapshot.content)) as archive:
        names = set(archive.namelist())
        index = _Index()
        for name in ("xl/_rels/workbook.xml.rels", "xl/workbook.xml"):
            _parse(snapshot, part(archive, name, snapshot), index)
        every = {}
        styles = _Styles()
        if "xl/styles.xml" in names:
            _parse(snapshot, part(archive, "xl/styles.xml", snapshot), styles)
        for name, key in index.sheets:
            target = index.targets.get(key, "")
            if target not in names:
                raise damaged(snapshot, f"the sheet {name!r} is missing")
            if "worksheets/" in target:
                sheet = _XlsxSheet(styles.digits)
                _parse(snapshot, part(archive, target, snapshot), sheet)
                every[name] = sheet.facts
    return every


class _Handler:
    """Receive the tags and texts of an XML part; names come without their prefix."""

    def start(self, tag: str, values: dict[str, str]) -> None:
        """Receive an opening tag with its values."""

    def end(self, tag: str) -> None:
        """Receive a closing tag."""

    def text(self, content: str) -> None:
        """Receive a piece of text."""


class _Index(_Handler):
    """Find the sheets of an xlsx workbook and the parts that hold them."""

    def __init__(self) -> None:
        self.targets: dict[str, str] = {}
        self.sheets: list[tuple[str, str]] = []

    def start(self, tag: str, values: dict[str, str]) -> None:
        if tag == "Relationship" and "Id" in values and "Target" in values:
            target = values["Target"]
            self.targets[values["Id"]] = target.lstrip("/") if target.startswith("/") else f"xl/{target}"
        elif tag == "sheet":
            self.sheets.append((values.get("name", ""), values.get("id", "")))


class _Styles(_Handler):
    """Find the cell formats of an xlsx workbook that show numbers with zeros before them (00000)."""

    def __init__(self) -> None:
        self.formats: dict[str, int] = {}
        self.digits: dict[str, int] = {}  # number of a cell format -> digits
        self.inside = False
        self.count = 0

    def start(self, tag: str, values: dict[str, str]) -> None:
        if tag == "numFmt" and (zeros := _ZEROS.fullmatch(values.get("formatCode", ""))):
            self.formats[values.get("numFmtId", "")] = len(zeros[1])
        elif tag == "cellXfs":
            self.inside = True
        elif tag == "xf" and self.inside:
            if digits := self.formats.get(values.get("numFmtId", "")):
                self.digits[str(self.count)] = digits
            self.count += 1

    def end(self, tag: str) -> None:
        self.inside = self.inside and tag != "cellXfs"


class _XlsxSheet(_Handler):
    """SheetFacts a sheet of an xlsx workbook."""

    def __init__(self, digits: dict[str, int]) -> None:
        self.digits, self.style = digits, ""
        self.facts = SheetFacts()
        self.row = self.column = -1
        self.hidden = self.formula = False
        self.type = self.value = self.inside = ""

    def start(self, tag: str, values: dict[str, str]) -> None:
        if tag == "c":
            match = _REFERENCE.fullmatch(values.get("r", ""))
            self.row, self.column = cell_place(match[0]) if match else (self.row, self.column + 1)
            self.type, self.formula, self.value = values.get("t", ""), False, ""
            self.style = values.get("s", "")
        elif tag == "row":
            self.row = int(values["r"]) - 1 if values.get("r", "").isdigit() else self.row + 1
            self.column = -1
            self.hidden = values.get("hidden") in {"1", "true"}
        elif tag in {"v", "t"}:
            self.inside = tag
        elif tag == "f":
            self.formula = True
        elif tag == "col" and values.get("hidden") in {"1", "true"}:
            first, last = int(values.get("min", "1")), int(values.get("max", "1"))
            self.facts.hidden_columns.extend(range(first - 1, min(last, first + 255)))

    def end(self, tag: str) -> None:
        if tag in {"v", "t"}:
            self.inside = ""
        if tag != "c":
            return
        if self.value:
            self.facts.reach(self.row, self.column)
            if self.style in self.digits and self.value.isdigit():
                self.facts.padded[self.row, self.column] = self.digits[self.style]
            if self.type == "e":
                self.facts.errors[self.row, self.column] = self.value
            if self.hidden and self.facts.hidden_rows[-1:] != [self.row]:
                self.facts.hidden_rows.append(self.row)
        elif self.formula and self.type != "str":
            self.facts.unvalued.append((self.row, self.column))

    def text(self, content: str) -> None:
        if self.inside:
            self.value = (self.value + content)[:_KEPT]


class _OdsSheets(_Handler):
    """SheetFacts all sheets of an OpenDocument spreadsheet."""

    def __init__(self) -> None:
        self.every: dict[str, SheetFacts] = {}
        self.facts = SheetFacts()
        self.row = self.column = self.depth = 0
        self.rows = 1
        self.cell: dict[str, str] | None = None
        self.written = ""
        self.hidden = False

    def start(self, tag: str, values: dict[str, str]) -> None:
        if tag == "table":
            self.depth += 1
            if self.depth == 1:
                self.facts, self.row, self.column = SheetFacts(), 0, 0
                self.every[values.get("name", "")] = self.facts
        elif tag == "table-row":
            self.rows, self.column = _count(values.get("number-rows-repeated")), 0
            self.hidden = values.get("visibility", "visible") != "visible"
        elif tag in _ODS_CELLS:
            self.cell, self.written = values, ""

    def end(self, tag: str) -> None:
        if tag == "table":
            self.depth -= 1
        elif tag == "table-row":
            self.row += self.rows
        elif tag in _ODS_CELLS and self.cell is not None:
            self._end_cell(self.cell)
            self.cell = None

    def _end_cell(self, values: dict[str, str]) -> None:
        facts, row, column = self.facts, self.row, self.column
        repeated = _count(values.get("number-columns-repeated"))
        if values.get("value-type") or self.written:
            facts.reach(row + self.rows - 1, column + repeated - 1)
            failed = values.get("formula") and re.match(r"#[A-Z]|Err:\d", self.written)
            if values.get("calcext-type") == "error" or failed:
                facts.errors[row, column] = self.written or "error"
            if self.hidden:
                facts.hidden_rows.extend(range(row, row + min(self.rows, 1000)))
        elif values.get("formula"):
            facts.unvalued.append((row, column))
        down, across = _count(values.get("number-rows-spanned")), _count(values.get("number-columns-spanned"))
        if down > 1 or across > 1:
            facts.merged.append((row, column, row + down - 1, column + across - 1))
        self.column += repeated

    def text(self, content: str) -> None:
        if self.cell is not None:
            self.written = (self.written + content)[:_KEPT]


def facts_of_ods(snapshot: Snapshot) -> dict[str, SheetFacts]:
    """Collect the facts of every sheet of an OpenDocument spreadsheet."""
    with zipfile.ZipFile(io.BytesIO(snapshot.content)) as archive:
        content = part(archive, "content.xml", snapshot)
    sheets = _OdsSheets()
    _parse(snapshot, content, sheets)
    return sheets.every


def facts_of_xls(snapshot: Snapshot) -> dict[str, SheetFacts]:
    """Collect the facts of every sheet of an xls workbook (BIFF8, [MS-XLS])."""
    streams = ole_streams(snapshot)
    name = next(name for name in streams if name.lower() in {"workbook", "book"})
    first, size = streams[name]
    if size < 4096:  # kept in the small sectors, which only a workbook without content needs
        return {}
    stream = ole_chain(snapshot, first, size)
    sheets: dict[int, str] = {}
    every: dict[str, SheetFacts] = {}
    facts, at = None, 0
    while at + 4 <= len(stream):
        kind, length = struct.unpack_from("<HH", stream, at)
        body = stream[at + 4 : at + 4 + length]
        if kind == 0x002F:
            raise protected(snapshot)
        if kind == 0x0085 and length >= 8:
            sheets[struct.unpack_from("<I", body)[0]] = _sheet_name(body)
        elif kind == 0x0809:
            facts = every.setdefault(sheets[at], SheetFacts()) if at in sheets else None
        elif kind == 0x00FC and length >= 8 and struct.unpack_from("<I", body, 4)[0] > size:
            raise damaged(snapshot, "it declares more texts than it can hold")
        elif facts is not None:
            _note_record(facts, kind, body)
            rows, columns = facts.declared
            if max(facts.rows, rows) > _XLS_ROWS or max(facts.columns, columns) > _XLS_COLUMNS:
                raise damaged(snapshot, "a cell lies outside the sheet")
        at += 4 + length
    return every


def _note_record(facts: SheetFacts, kind: int, body: bytes) -> None:
    if kind in {0x0006, 0x0205, 0x0203, 0x027E, 0x00FD, 0x0204} and len(body) >= 8:
        row, column = struct.unpack_from("<HH", body)
        facts.reach(row, column)
        if kind == 0x0006 and len(body) >= 14 and body[12:14] == b"\xff\xff" and body[6] == 2:
            facts.errors[row, column] = _BIFF_ERRORS.get(body[8], "#VALUE!")
        elif kind == 0x0205 and body[7]:
            facts.errors[row, column] = _BIFF_ERRORS.get(body[6], "#VALUE!")
    elif kind == 0x00BD and len(body) >= 6:
        facts.reach(struct.unpack_from("<H", body)[0], struct.unpack_from("<H", body, len(body) - 2)[0])
    elif kind == 0x0200 and len(body) >= 10:  # the library sets memory aside for what is declared here
        top, rows, left, columns = struct.unpack_from("<IIHH" if len(body) >= 12 else "<HHHH", body)
        backwards = top > rows or left > columns
        facts.declared = (_XLS_ROWS + 1, columns) if backwards else (rows, columns)
    elif kind == 0x0208 and len(body) >= 14 and body[12] & 0x20:
        facts.hidden_rows.append(struct.unpack_from("<H", body)[0])


def _sheet_name(body: bytes) -> str:
    length, wide = body[6], body[7] & 1
    return body[8 : 8 + length * (2 if wide else 1)].decode("utf-16-le" if wide else "latin-1", errors="replace")


def _count(text: str | None) -> int:
    return int(text[:18]) if text and text.isdigit() else 1


@lru_cache(maxsize=1000)
def _local(name: str) -> str:
    """Take a name without its prefix."""
    return name.rpartition(":")[2]


def _parse(snapshot: Snapshot, content: bytes, handler: _Handler) -> None:
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
        handler.start(_local(name), values)

    def refuse(*_: object) -> None:
        raise damaged(snapshot, "it declares entities, which no workbook does")

    parser.StartElementHandler = on_start
    parser.EntityDeclHandler = refuse
    parser.EndElementHandler = lambda name: handler.end(_local(name))
    parser.CharacterDataHandler = handler.text
    try:
        for at in range(0, len(content), _BLOCK):
            parser.Parse(content[at : at + _BLOCK], False)
        parser.Parse(b"", True)
    except (expat.ExpatError, ValueError) as error:
        raise damaged(snapshot, f"unreadable XML: {error}") from error
