"""Opening files: what stands there comes back unchanged, what cannot be read says why, nothing else is raised."""

import csv
import datetime as dt
import io
import os
import re
import zipfile

import numpy as np
import openpyxl
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from support import workbooks
from support.workbooks import Date, Formula, compound, ods, pack, sheet_xml, xls, xlsx, xlsx_parts

from evalaid.base.errors import EvalaidError, ReadingError
from evalaid.reading.files import snapshot as snapshots
from evalaid.reading.files.cells import harmless
from evalaid.reading.files.grids import open_grids
from evalaid.reading.files.snapshot import FAULT_COLUMNS, Limits
from evalaid.report.site.blocks import to_html

ROWS = [["县域住院情况", None, None], ["县", "2019年", None], ["连南县", 86.9, "=1+1"], ["　始兴县 ", 0.5, "—"]]
CSV = "县,2019年\n连南县,86.9%\n始兴县,１２.5\n"
BIG = workbooks.SPREADSHEET


def zip_with(name, content, *, base=None):
    parts = dict(base or xlsx_parts({"表1": ROWS}))
    parts[name] = content
    return pack(parts)


def lying_zip():
    """A part that unpacks to more than it declares."""
    raw = bytearray(xlsx({"表1": ROWS}))
    with zipfile.ZipFile(io.BytesIO(bytes(raw))) as archive:
        size = archive.getinfo("xl/worksheets/sheet1.xml").file_size
    needle = size.to_bytes(4, "little")
    return bytes(raw).replace(needle, (size // 2).to_bytes(4, "little"))


def circular():
    raw = bytearray(xls({"s": [[1]]}))
    table = 512
    for at in range(2, 10):
        raw[table + 4 * at : table + 4 * at + 4] = (2).to_bytes(4, "little")
    return bytes(raw)


def book_of_excel():
    book = openpyxl.Workbook()
    book.active.append(["县", "=A1"])
    target = io.BytesIO()
    book.save(target)
    return target.getvalue()


ENTITIES = '<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;">]>'
LINES = "县,率\n" + "连南县,86.9\n" * 3
BOMB = "<worksheet>" + " " * 20_000_000 + "</worksheet>"
REPEATED = (
    '<table:table table:name="s"><table:table-row table:number-rows-repeated="1048576">'
    '<table:table-cell table:number-columns-repeated="16384" office:value-type="float" office:value="1"/>'
    "</table:table-row></table:table>"
)


def texts_without_number():
    """A table of texts that declares four thousand million of them: memory is set aside for all."""
    parts = xlsx_parts(
        {
            "a": f'<worksheet xmlns="{BIG}"><sheetData><row r="1"><c r="A1" t="s"><v>0</v></c></row></sheetData></worksheet>'
        }
    )
    parts["xl/sharedStrings.xml"] = (
        f'<sst xmlns="{BIG}" count="4294967295" uniqueCount="4294967295"><si><t>x</t></si></sst>'
    )
    link = f'<Relationship Id="rIdT" Type="{workbooks.RELATIONS}/sharedStrings" Target="sharedStrings.xml"/></Relationships>'
    parts["xl/_rels/workbook.xml.rels"] = parts["xl/_rels/workbook.xml.rels"].replace("</Relationships>", link)
    return pack(parts)


REFUSED = {
    "texts_without_number.xlsx": (texts_without_number(), "its structure contradicts itself"),
    "empty.csv": (b"", "the file is empty \\(0 bytes\\). Expected a table: export or download it again"),
    "empty.xlsx": (b"", "the file is empty"),
    "blank.csv": (b" \r\n , ,\r\n", "no values, only blanks"),
    "blank.xlsx": (xlsx({"a": [], "b": [[None]]}), "all sheets are empty. Expected a table with values"),
    "blank.ods": (ods({"a": []}), "all sheets are empty"),
    "blank.xls": (xls({"a": []}), "all sheets are empty"),
    "mark_only.csv": (b"\xef\xbb\xbf", "no values"),
    "password.xlsx": (
        compound({"EncryptionInfo": b"x", "EncryptedPackage": b"x"}),
        "protected by a password. .*save a copy without",
    ),
    "password.xls": (xls({"a": [[1]]}, password=True), "protected by a password"),
    "password.ods": (
        pack(
            {
                "mimetype": "application/vnd.oasis.opendocument.spreadsheet",
                "content.xml": b"\x8f" * 50,
                "META-INF/manifest.xml": "<a><encryption-data/></a>",
            }
        ),
        "protected by a password",
    ),
    "cut.xlsx": (xlsx({"a": ROWS})[:700], "damaged or incomplete .*open it there and save it as .xlsx"),
    "cut.ods": (ods({"a": ROWS})[:300], "damaged or incomplete"),
    "cut.xls": (xls({"a": ROWS})[:600], "damaged or incomplete"),
    "header_only.xls": (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "its header is cut off"),
    "circle.xls": (circular(), "its sectors lead nowhere"),
    "no_sheet.xlsx": (
        pack({k: v for k, v in xlsx_parts({"a": ROWS}).items() if "sheet1" not in k}),
        "the sheet 'a' is missing",
    ),
    "bad_xml.xlsx": (xlsx({"a": "<worksheet><sheetData><row>"}), "unreadable XML"),
    "bad_xml.ods": (
        pack({"mimetype": "application/vnd.oasis.opendocument.spreadsheet", "content.xml": "<a><b></a>"}),
        "unreadable XML",
    ),
    "entities.xlsx": (xlsx({"a": sheet_xml(ROWS, prolog=ENTITIES)}), "it declares entities, which no workbook does"),
    "bomb.xlsx": (xlsx({"a": BOMB}), "nothing was unpacked. Expected at most .* no part more than 200 times"),
    "lies.xlsx": (lying_zip(), "damaged or incomplete"),
    "formulas.xlsx": (
        xlsx({"a": [["x", Formula("A1")], [Formula("B1")]]}),
        "sheet 'a': 2 formulas without a stored value \\(B1, A2\\).*open it in Excel or LibreOffice and save it",
    ),
    "formulas_by_library.xlsx": (book_of_excel(), "1 formula without a stored value \\(B1\\)"),
    "formulas.ods": (ods({"a": [["x", Formula("[.A1]")]]}), "1 formula without a stored value \\(B1\\)"),
    "stray.xlsx": (
        xlsx(
            {
                "a": f'<worksheet xmlns="{BIG}"><sheetData><row r="1"><c r="A1"><v>1</v></c></row><row r="1048576"><c r="XFD1048576"><v>1</v></c></row></sheetData></worksheet>'
            }
        ),
        "values down to XFD1048576. Expected at most 5,000,000 cells. If a stray cell",
    ),
    "repeated.ods": (ods({}, body=REPEATED), "values down to XFD1048576"),
    "mixed.csv": (
        LINES.encode() + "始兴县住院率,90\n".encode("gb18030"),
        "lines 1, 2, 3, ... are in UTF-8, line 5 in GB18030: two files were put together",
    ),
    "mixed_other_way.csv": (
        "县域,住院率\n始兴县,90\n".encode("gb18030") + "连南县,86.9\n".encode(),
        "line 3 is in UTF-8, lines 1, 2 in GB18030",
    ),
    "undecodable.csv": (
        LINES.encode() + b"\xff\xff\xff,1\nx,2\n\x80\xff,3\n",
        "lines 5, 7 cannot be read as UTF-8 or GB18030 \\(line 5 begins with the bytes ff ff ff",
    ),
    "cut_inside_a_character.csv": (
        CSV.encode()[:-16] + b"\xe5",
        "ends inside a character \\(UTF-8, line 3\\): it was cut off",
    ),
    "two_encodings_fit.csv": (
        "a,b\n卤,1\n".encode("gb18030"),
        "valid in two encodings: '±,1' in UTF-8, '卤,1' in GB18030",
    ),
    "odd_utf16.csv": (CSV.encode("utf-16")[:-1], "cannot be read as UTF-16 with a byte-order mark"),
    "open_quote.csv": ('县,率\n"连南县,1\n始兴县,2\n'.encode(), "the quotes do not fit by line 3"),
    "stray_quote.csv": ('县,率\n"连南"县,1\n'.encode(), "the quotes do not fit by line 2"),
    "two_separators.csv": (
        b"a;b,c\n1,2;3\n4,5;6\n",
        "two separators fit the first 3 rows alike \\(comma: 2 fields.*semicolon: 2 fields",
    ),
    "junk.csv": (bytes(range(32)) * 9, "the content is not text"),
    "zeros.txt": (b"\0" * 999, "the content is not text"),
    "picture.csv": (b"\x89PNG\r\n\x1a\n" + b"\0" * 99, "this is a picture"),
    "report.xlsx": (b"%PDF-1.7\n", "this is a PDF document, not a table"),
    "letter.xlsx": (pack({"word/document.xml": "<a/>"}), "this is a Word document"),
    "letter.xls": (compound({"WordDocument": b"x"}), "this is a Word document"),
    "archive.xlsx": (pack({"a.csv": CSV}), "this is an archive \\(zip\\)"),
    "binary.xlsx": (pack({"xl/workbook.bin": b"x"}), "a binary workbook \\(xlsb\\)"),
    "text_document.ods": (
        pack({"mimetype": "application/vnd.oasis.opendocument.text", "content.xml": "<a/>"}),
        "OpenDocument file that is no spreadsheet",
    ),
    "excel_2003.xls": (
        b'<?xml version="1.0"?><Workbook xmlns="urn:schemas-microsoft-com:office:spreadsheet"/>',
        "an XML table of Excel 2003.*save the table as .xlsx",
    ),
    "login.xls": (
        b"<html><body>please log in</body></html>",
        "a web page without a table \\(a page of login or of an error\\?\\)",
    ),
    "columns.parquet": (b"PAR1", "files that end in '.parquet' are not read. Expected one of .csv"),
    "no_suffix": (b"a,b\n", "files that end in 'nothing' are not read"),
    "long_field.csv": (b'a,b\n"' + b"x" * 200_000 + b'",1\n', "field larger than field limit"),
}

WEB = "<html><meta charset=gbk><style>td{}</style><table><tr><th rowspan=2>县</th><th colspan=2>2019年</th></tr><tr><td>率<td>数</tr><tr><td>连南&lt;b&gt;县<td>86.9%<td>1,234</table></html>"
SHEET = [["县", "2019年"], ["连南县", "86.9%"], ["始兴县", "１２.5"]]
READ = {
    "utf8.csv": (CSV.encode(), SHEET, "Read as UTF-8: all bytes are valid UTF-8"),
    "mark.csv": (CSV.encode("utf-8-sig"), SHEET, "Read as UTF-8 with a byte-order mark"),
    "gbk.csv": (CSV.encode("gb18030"), SHEET, "Read as GB18030 .*not valid UTF-8"),
    "gbk.txt": (
        CSV.replace(",", "\t").encode("gb18030"),
        SHEET,
        "separated by tab: 3 of the first 3 rows have 2 fields",
    ),
    "wide.tsv": (CSV.replace(",", "\t").encode("utf-16"), SHEET, "Read as UTF-16 with a byte-order mark"),
    "wide_no_mark.csv": (CSV.replace("\n", "\r\n").encode("utf-16-le"), SHEET, "UTF-16 \\(little-endian\\) without"),
    "semicolon.csv": (CSV.replace(",", ";").encode(), SHEET, "separated by semicolon"),
    "full_width_comma.csv": (CSV.replace(",", "，").encode(), SHEET, "separated by full-width comma"),
    "mac.csv": (CSV.replace("\n", "\r").encode(), SHEET, "separated by comma"),
    "dos_end.csv": (CSV.encode("gb18030") + b"\x1a", SHEET, "GB18030"),
    "one_column.csv": ("县\n连南县\n".encode(), [["县"], ["连南县"]], "No separator was found"),
    "line_in_a_cell.csv": (
        b'a,b\n"1\n2",=1+1\n\n@x,-1\n',
        [["a", "b"], ["1\n2", "=1+1"], [None, None], ["@x", "-1"]],
        "comma",
    ),
    "thousands.csv": (
        b"a;b\n1,234;2\n5,678;3\n9;4\n",
        [["a", "b"], ["1,234", "2"], ["5,678", "3"], ["9", "4"]],
        "semicolon",
    ),
    "text_named.xls": (CSV.replace(",", "\t").encode("gb18030"), SHEET, "named .xls but holds text"),
    "web_named.xls": (
        WEB.encode("gb18030"),
        [["县", "2019年", None], [None, "率", "数"], ["连南<b>县", "86.9%", "1,234"]],
        "named .xls but holds a web page",
    ),
    "book_named.csv": (xlsx({"a": [["x", 1]]}), [["x", 1.0]], "named .csv but holds an xlsx workbook"),
    "old_named.xlsx": (xls({"a": [["x", 1]]}), [["x", 1.0]], "named .xlsx but holds an xls workbook"),
    "plain.xlsx": (xlsx({"a": ROWS}), ROWS, ""),
    "plain.xlsm": (xlsx({"a": ROWS}), ROWS, ""),
    "plain.ods": (ods({"a": ROWS}), ROWS, ""),
    "plain.xls": (xls({"a": ROWS}), ROWS, ""),
    "hidden.xlsx": (xlsx({"a": ROWS}, hidden=["a"]), ROWS, "The sheet 'a' is hidden"),
    "hidden_rows.xlsx": (
        xlsx({"a": sheet_xml(ROWS, hidden_rows=[2, 3])}),
        ROWS,
        "2 hidden rows with values were read all the same \\(3, 4\\)",
    ),
    "hidden_rows.xls": (
        xls({"a": ROWS}, hidden_rows=[2]),
        ROWS,
        "1 hidden row with values was read all the same \\(3\\)",
    ),
    "hidden_columns.xlsx": (
        xlsx({"a": sheet_xml(ROWS, hidden_columns=[1])}),
        ROWS,
        "1 hidden column was read all the same \\(B\\)",
    ),
    "errors.xlsx": (
        xlsx({"a": [["x", Formula("1/0", error="#DIV/0!")]]}),
        [["x", "#DIV/0!"]],
        "1 cell holds an error in place of a value \\(B1 #DIV/0!\\)",
    ),
    "errors.xls": (xls({"a": [["x", Formula("1", error="#REF!")]]}), [["x", "#REF!"]], "B1 #REF!"),
    "errors.ods": (ods({"a": [["x", Formula("1", error="#REF!")]]}), [["x", "#REF!"]], "B1 #REF!"),
    "values.xlsx": (xlsx({"a": [["x", Formula("1+1", 2)]]}), [["x", 2.0]], ""),
    "dates.xlsx": (xlsx({"a": [["x", Date(43709)]]}), [["x", dt.date(2019, 9, 1)]], ""),
    "dates.ods": (ods({"a": [["x", Date("2019-09-01")]]}), [["x", dt.date(2019, 9, 1)]], ""),
    "one_empty.xlsx": (xlsx({"a": [], "b": [[1, True]]}), [[1.0, True]], "Left out, for they are empty: 'a'"),
    "formatted_to_the_end.xlsx": (
        xlsx(
            {
                "a": f'<worksheet xmlns="{BIG}"><sheetData><row r="1"><c r="A1"><v>1</v></c></row><row r="1048576"><c r="XFD1048576" s="1"/></row></sheetData></worksheet>'
            }
        ),
        [[1.0]],
        "",
    ),
}


def write(folder, name, content):
    path = folder / name
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("name", REFUSED)
def test_a_file_that_cannot_be_read_says_why_and_what_to_do(tmp_path, name):
    content, message = REFUSED[name]
    path = write(tmp_path, name, content)
    with pytest.raises(ReadingError, match=message) as caught:
        open_grids(path)
    assert str(caught.value).startswith(name)
    assert "Expected" in str(caught.value)
    assert list(caught.value.rows.columns) == FAULT_COLUMNS
    assert (caught.value.rows["file"] == name).all()
    assert len(caught.value.rows) >= 1
    assert [found.name for found in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize("name", READ)
def test_a_file_comes_back_as_it_stands_with_what_was_decided(tmp_path, name):
    content, cells, note = READ[name]
    (grid,) = open_grids(write(tmp_path, name, content))
    assert grid.cells.tolist() == cells
    assert grid.file == name
    assert len(grid.sha256) == 64
    if note:
        assert any(re.search(note, said) for said in grid.notes), grid.notes
    else:
        assert grid.notes == ()


def test_the_corpus_is_large_enough():
    assert len(REFUSED) + len(READ) >= 80


@pytest.mark.parametrize(
    "make", [lambda m: xlsx({"a": sheet_xml(ROWS, merged=m)}), lambda m: xls({"a": ROWS}, merged=m)]
)
def test_merged_ranges_are_listed_from_zero(tmp_path, make):
    merged = ((0, 0, 0, 2), (1, 1, 1, 2))
    (grid,) = open_grids(write(tmp_path, "a.xlsx", make(merged)))
    assert grid.merged == merged


def test_merged_ranges_of_ods_and_of_pages(tmp_path):
    body = (
        '<table:table table:name="s"><table:table-row><table:table-cell table:number-columns-spanned="2" table:number-rows-spanned="1" '
        'office:value-type="string"><text:p>年</text:p></table:table-cell><table:covered-table-cell/></table:table-row></table:table>'
    )
    (grid,) = open_grids(write(tmp_path, "a.ods", ods({}, body=body)))
    assert (grid.merged, grid.cells.tolist()) == (((0, 0, 0, 1),), [["年"]])
    (grid,) = open_grids(write(tmp_path, "a.xls", WEB.encode()))
    assert grid.merged == ((0, 0, 1, 0), (0, 1, 0, 2))


def test_sheets_are_chosen_by_name_and_an_unknown_one_lists_them(tmp_path):
    path = write(tmp_path, "a.xlsx", xlsx({"表1": [[1]], "空": [], "表 2": [["x"]]}))
    assert [grid.sheet for grid in open_grids(path)] == ["表1", "表 2"]
    (grid,) = open_grids(path, "表 2")
    assert grid.cells.tolist() == [["x"]]
    with pytest.raises(ReadingError, match=r"there is no sheet '表3'. Expected one of '表1', '空', '表 2'"):
        open_grids(path, "表3")
    with pytest.raises(ReadingError, match="the sheet '空' is empty"):
        open_grids(path, "空")
    with pytest.raises(ReadingError, match="a text file has no sheets"):
        open_grids(write(tmp_path, "a.csv", CSV.encode()), "表1")


def test_a_sheet_without_stored_values_does_not_stop_another_one(tmp_path):
    path = write(tmp_path, "a.xlsx", xlsx({"a": [[1]], "b": [[Formula("A1")]]}))
    assert open_grids(path, "a")[0].cells.tolist() == [[1.0]]
    with pytest.raises(ReadingError, match="sheet 'b'") as caught:
        open_grids(path)
    assert caught.value.rows[["sheet", "row", "cell"]].to_numpy().tolist() == [["b", 1, "A1"]]


def test_the_encoding_and_the_separator_can_be_named(tmp_path):
    path = write(tmp_path, "a.csv", "a,b\n卤,1\n".encode("gb18030"))
    assert open_grids(path, encoding="gbk")[0].cells[1, 0] == "卤"
    assert open_grids(path, encoding="utf-8")[0].cells[1, 0] == "±"
    with pytest.raises(ReadingError, match="'klingon' is not a known encoding"):
        open_grids(path, encoding="klingon")
    path = write(tmp_path, "b.csv", b"a;b,c\n1,2;3\n4,5;6\n")
    assert open_grids(path, separator=";")[0].cells[1].tolist() == ["1,2", "3"]


def test_a_path_with_spaces_and_chinese_characters(tmp_path):
    folder = tmp_path / "卫健委 2019 年"
    folder.mkdir()
    assert open_grids(str(write(folder, "县域 住院.csv", CSV.encode())))[0].file == "县域 住院.csv"


def test_a_folder_a_missing_file_and_one_without_permission(tmp_path, monkeypatch):
    with pytest.raises(ReadingError, match=r"this is a folder. Expected a readable file: name one file in it"):
        open_grids(tmp_path)
    with pytest.raises(ReadingError, match=r"there is no such file.*check the name and the folder"):
        open_grids(tmp_path / "a.csv")
    with pytest.raises(ReadingError, match="this is no valid path"):
        open_grids("a\0b.csv")
    path = write(tmp_path, "a.csv", CSV.encode())

    def refuse(*_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(type(path), "open", refuse)
    with pytest.raises(ReadingError, match=r"reading it is not permitted.*close it in other programs"):
        open_grids(path)


def test_a_pipe_is_no_file(tmp_path):
    os.mkfifo(tmp_path / "a.csv")
    with pytest.raises(ReadingError, match="a pipe or a device"):
        open_grids(tmp_path / "a.csv")


def test_two_gigabytes_are_refused_unread(tmp_path, monkeypatch):
    path = tmp_path / "a.csv"
    with path.open("wb") as stream:
        stream.truncate(2_000_000_000)  # sparse: takes no room
    monkeypatch.setattr(type(path), "open", lambda *_: pytest.fail("the file was opened"))
    with pytest.raises(ReadingError, match=r"the file has 2,000 MB.*Nothing was read.*count_records"):
        open_grids(path)


def test_too_many_cells_are_refused(tmp_path):
    limits = Limits(cells=100)
    path = write(tmp_path, "a.csv", b"1,2\n" * 60)
    with pytest.raises(ReadingError, match="more than 100 cells by line 51"):
        open_grids(path, limits=limits)
    path = write(tmp_path, "a.xlsx", xlsx({"a": [[1] * 7] * 9, "b": [[1] * 7] * 9}))
    with pytest.raises(ReadingError, match="sheet 'b': 126 cells on the sheets up to it"):
        open_grids(path, limits=limits)
    path = write(tmp_path, "a.xls", xls({"a": [[1] * 11] * 10}))
    with pytest.raises(ReadingError, match="values down to K10"):
        open_grids(path, limits=limits)


def test_a_file_that_changes_while_it_is_read(tmp_path, monkeypatch):
    path = write(tmp_path, "a.csv", CSV.encode())
    real = snapshots.hashlib.sha256

    def touch(*content):
        if content:  # the hash of what was read: from now on the file is another
            path.write_bytes(b"x" * len(CSV.encode()))
        return real(*content)

    monkeypatch.setattr(snapshots.hashlib, "sha256", touch)
    with pytest.raises(ReadingError, match=r"the file changed while it was read.*wait until it is complete"):
        open_grids(path)


@pytest.mark.parametrize("height", [20_000, pytest.param(1_048_576, marks=pytest.mark.slow)])
def test_a_sheet_may_be_as_long_as_a_sheet_can_be(tmp_path, height):
    rows = "".join(f'<row r="{at}"><c r="A{at}"><v>{at}</v></c></row>' for at in range(1, height + 1))
    content = xlsx({"a": f'<worksheet xmlns="{BIG}"><sheetData>{rows}</sheetData></worksheet>'})
    (grid,) = open_grids(write(tmp_path, "a.xlsx", content))
    assert grid.cells.shape == (height, 1)
    assert grid.cells[-1, 0] == height
    assert grid.address(height - 1, 0) == f"A{height}"


SUFFIXES = st.sampled_from([".xlsx", ".xlsm", ".xls", ".ods", ".csv", ".tsv", ".txt"])
STARTS = st.sampled_from(
    [
        b"",
        b"PK\x03\x04",
        b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1",
        b"<html><table><tr>",
        b"\xff\xfe",
        b"\xef\xbb\xbf",
        b"\x09\x08",
    ]
)
WHOLE = {
    ".xlsx": xlsx({"表1": ROWS, "b": [[Date(43709), 1]]}),
    ".xls": xls({"表1": ROWS}),
    ".ods": ods({"表1": ROWS}),
    ".csv": CSV.encode("gb18030"),
}
many = settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])


def opens_or_says_why(folder, suffix, content):
    path = write(folder, f"a{suffix}", content)
    try:
        grids, refused = open_grids(path, limits=Limits(cells=50_000)), None
    except EvalaidError as error:
        grids, refused = (), error
    assert all(isinstance(grid.cells, np.ndarray) and grid.cells.ndim == 2 and grid.cells.size for grid in grids)
    assert refused is None or (str(refused) and list(refused.rows.columns) == FAULT_COLUMNS)
    assert bool(grids) != (refused is not None)
    assert [found.name for found in folder.iterdir()] == [path.name]
    path.unlink()


@many
@given(SUFFIXES, STARTS, st.binary(max_size=2000))
@example(".csv", b"", b'"')
@example(".xls", b"<html><table><tr>", b"<td colspan=99999999999999999999><td rowspan=0>x")
def test_random_bytes_open_or_say_why(tmp_path, suffix, start, content):
    opens_or_says_why(tmp_path, suffix, start + content)


@many
@given(
    st.sampled_from(sorted(WHOLE)),
    st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), min_size=1, max_size=8),
    st.floats(0.2, 1),
)
def test_damaged_files_open_or_say_why(tmp_path, suffix, changes, kept):
    content = bytearray(WHOLE[suffix])
    for place, byte in changes:
        content[int(place * len(content))] = byte
    opens_or_says_why(tmp_path, suffix, bytes(content[: max(1, int(kept * len(content)))]))


@many
@given(
    st.sampled_from(["xl/workbook.xml", "xl/_rels/workbook.xml.rels", "xl/worksheets/sheet1.xml", "xl/styles.xml"]),
    st.floats(0, 1, exclude_max=True),
    st.text(max_size=5),
)
def test_a_workbook_with_damaged_xml_opens_or_says_why(tmp_path, name, place, insert):
    parts = xlsx_parts({"表1": ROWS})
    at = int(place * len(parts[name]))
    parts[name] = (parts[name][:at] + insert + parts[name][at + 1 :]).encode("utf-8", errors="replace")
    opens_or_says_why(tmp_path, ".xlsx", pack(parts))


CELL_TEXT = st.text(st.characters(codec="gb18030", exclude_categories=["Cc", "Cs", "Cn", "Co"]), max_size=8)


@many
@given(
    st.lists(st.lists(CELL_TEXT, min_size=3, max_size=3), min_size=1, max_size=6),
    st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]),
    st.sampled_from([",", ";", "\t"]),
)
def test_text_comes_back_as_it_was_written(tmp_path, rows, encoding, separator):
    target = io.StringIO(newline="")
    csv.writer(target, delimiter=separator, quoting=csv.QUOTE_ALL).writerows(rows)
    path = write(tmp_path, "a.csv", target.getvalue().encode(encoding))
    if any(cell and not cell.isspace() for row in rows for cell in row):
        name = None if encoding != "utf-8" else encoding
        (grid,) = open_grids(path, encoding=name, separator=separator)
        assert grid.cells.tolist() == [[cell or None for cell in row] for row in rows]


@pytest.mark.parametrize("sign", ["=", "+", "-", "@", "\t", "\r", "＝", " =", "＋", "\n="])
def test_no_text_is_written_as_a_formula(sign):
    assert harmless(f"{sign}HYPERLINK(1)") == f"'{sign}HYPERLINK(1)"
    assert harmless("连南县=") == "连南县="


def test_markup_in_a_name_is_escaped_in_tables_of_reports():
    shown = to_html("| 县 |\n|---|\n| 连南<script>alert(1)</script>县 |\n")
    assert "<script>" not in shown
    assert "&lt;script&gt;" in shown
