"""Workbooks made by code, byte for byte the same every time: good ones, and the nasty ones that offices send."""

import io
import struct
import zipfile
from xml.sax.saxutils import escape, quoteattr

STAMP = (2020, 1, 1, 0, 0, 0)  # of every part, so that two runs give the same bytes

CONTENT_TYPES = (
    '<?xml version="1.0"?><Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types">'
    '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
    '<Default Extension="xml" ContentType="application/xml"/>'
    '<Override PartName="/xl/workbook.xml" ContentType="application/vnd.openxmlformats-officedocument.spreadsheetml.sheet.main+xml"/>'
    "</Types>"
)
RELATIONS = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
SPREADSHEET = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
DATE_STYLE = (
    f'<styleSheet xmlns="{SPREADSHEET}"><fonts count="1"><font/></fonts><fills count="1"><fill><patternFill/></fill></fills>'
    '<borders count="1"><border/></borders><cellStyleXfs count="1"><xf/></cellStyleXfs>'
    '<cellXfs count="2"><xf numFmtId="0"/><xf numFmtId="14" applyNumberFormat="1"/></cellXfs></styleSheet>'
)


def letters(column):
    text = ""
    column += 1
    while column:
        column, rest = divmod(column - 1, 26)
        text = chr(65 + rest) + text
    return text


def pack(parts, *, method=zipfile.ZIP_DEFLATED):
    """A zip archive of the parts, the same bytes every time."""
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        for name, content in parts.items():
            entry = zipfile.ZipInfo(name, STAMP)
            entry.compress_type = method
            archive.writestr(entry, content)
    return target.getvalue()


class Formula:
    """A formula cell: with its stored value, or without one."""

    def __init__(self, text, value=None, error=None):
        self.text, self.value, self.error = text, value, error


class Date:
    """A serial number shown as a date."""

    def __init__(self, serial):
        self.serial = serial


def cell_xml(row, column, value):
    place = f'r="{letters(column)}{row + 1}"'
    if value is None:
        return ""
    if isinstance(value, Formula):
        kind = ' t="e"' if value.error else ' t="str"' if isinstance(value.value, str) else ""
        stored = value.error or value.value
        said = "" if stored is None else f"<v>{escape(str(stored))}</v>"
        return f"<c {place}{kind}><f>{escape(value.text)}</f>{said}</c>"
    if isinstance(value, Date):
        return f'<c {place} s="1"><v>{value.serial}</v></c>'
    if isinstance(value, bool):
        return f'<c {place} t="b"><v>{int(value)}</v></c>'
    if isinstance(value, int | float):
        return f"<c {place}><v>{value!r}</v></c>"
    return f'<c {place} t="inlineStr"><is><t xml:space="preserve">{escape(value)}</t></is></c>'


def sheet_xml(rows, *, merged=(), hidden_rows=(), hidden_columns=(), prolog=""):
    columns = "".join(f'<col min="{c + 1}" max="{c + 1}" width="9" hidden="1"/>' for c in hidden_columns)
    hidden = ' hidden="1"'
    body = "".join(
        f'<row r="{at + 1}"{hidden if at in hidden_rows else ""}>'
        + "".join(cell_xml(at, column, value) for column, value in enumerate(row))
        + "</row>"
        for at, row in enumerate(rows)
    )
    ranges = "".join(f'<mergeCell ref="{letters(left)}{t + 1}:{letters(r)}{b + 1}"/>' for t, left, b, r in merged)
    return (
        f'<?xml version="1.0" encoding="UTF-8"?>{prolog}<worksheet xmlns="{SPREADSHEET}">'
        + (f"<cols>{columns}</cols>" if columns else "")
        + f"<sheetData>{body}</sheetData>"
        + (f'<mergeCells count="{len(merged)}">{ranges}</mergeCells>' if merged else "")
        + "</worksheet>"
    )


def xlsx_parts(sheets, *, hidden=()):
    """The parts of a workbook: sheet -> rows, or sheet -> ready XML."""
    names = list(sheets)
    away = ' state="hidden"'
    listed = "".join(
        f'<sheet name={quoteattr(name)} sheetId="{at}" r:id="rId{at}"{away if name in hidden else ""}/>'
        for at, name in enumerate(names, start=1)
    )
    related = "".join(
        f'<Relationship Id="rId{at}" Type="{RELATIONS}/worksheet" Target="worksheets/sheet{at}.xml"/>'
        for at in range(1, len(names) + 1)
    )
    related += f'<Relationship Id="rIdS" Type="{RELATIONS}/styles" Target="styles.xml"/>'
    package = "http://schemas.openxmlformats.org/package/2006/relationships"
    parts = {
        "[Content_Types].xml": CONTENT_TYPES,
        "_rels/.rels": f'<Relationships xmlns="{package}"><Relationship Id="rId1" Type="{RELATIONS}/officeDocument" Target="xl/workbook.xml"/></Relationships>',
        "xl/workbook.xml": f'<workbook xmlns="{SPREADSHEET}" xmlns:r="{RELATIONS}"><sheets>{listed}</sheets></workbook>',
        "xl/_rels/workbook.xml.rels": f'<Relationships xmlns="{package}">{related}</Relationships>',
        "xl/styles.xml": DATE_STYLE,
    }
    for at, name in enumerate(names, start=1):
        content = sheets[name]
        parts[f"xl/worksheets/sheet{at}.xml"] = content if isinstance(content, str) else sheet_xml(content)
    return parts


def xlsx(sheets, **options):
    return pack(xlsx_parts(sheets, **options))


def ods_cell(value):
    if value is None:
        return "<table:table-cell/>"
    if isinstance(value, Formula):
        if value.error:
            return (
                f'<table:table-cell table:formula="of:={escape(value.text)}" office:value-type="string" office:string-value="" '
                f'calcext:value-type="error"><text:p>{value.error}</text:p></table:table-cell>'
            )
        stored = "" if value.value is None else f' office:value-type="float" office:value="{value.value}"'
        return f'<table:table-cell table:formula="of:={escape(value.text)}"{stored}/>'
    if isinstance(value, Date):
        return f'<table:table-cell office:value-type="date" office:date-value="{value.serial}"><text:p>{value.serial}</text:p></table:table-cell>'
    if isinstance(value, int | float):
        return f'<table:table-cell office:value-type="float" office:value="{value}"><text:p>{value}</text:p></table:table-cell>'
    return f'<table:table-cell office:value-type="string"><text:p>{escape(value)}</text:p></table:table-cell>'


def ods(sheets, *, body=None):
    """An OpenDocument spreadsheet: sheet -> rows, or ``body``, the XML of its tables."""
    spaces = " ".join(
        f'xmlns:{short}="urn:oasis:names:tc:opendocument:xmlns:{name}:1.0"'
        for short, name in (("office", "office"), ("table", "table"), ("text", "text"))
    )
    spaces += ' xmlns:calcext="urn:org:documentfoundation:names:experimental:calc:xmlns:calcext:1.0"'
    if body is None:
        body = "".join(
            f"<table:table table:name={quoteattr(name)}>"
            + "".join(f"<table:table-row>{''.join(map(ods_cell, row))}</table:table-row>" for row in rows)
            + "</table:table>"
            for name, rows in sheets.items()
        )
    content = f'<?xml version="1.0" encoding="UTF-8"?><office:document-content {spaces} office:version="1.3"><office:body><office:spreadsheet>{body}</office:spreadsheet></office:body></office:document-content>'
    manifest = '<manifest:manifest xmlns:manifest="urn:oasis:names:tc:opendocument:xmlns:manifest:1.0"/>'
    return pack(
        {
            "mimetype": "application/vnd.oasis.opendocument.spreadsheet",
            "content.xml": content,
            "META-INF/manifest.xml": manifest,
        }
    )


def record(kind, body):
    return struct.pack("<HH", kind, len(body)) + body


def biff_string(text):
    return struct.pack("<HB", len(text), 1) + text.encode("utf-16-le")


def biff_cell(row, column, value):
    place = struct.pack("<HHH", row, column, 0)
    if value is None:
        return b""
    if isinstance(value, Formula):
        result = (
            bytes([2, 0, {"#REF!": 23, "#DIV/0!": 7}[value.error], 0, 0, 0, 255, 255])
            if value.error
            else struct.pack("<d", value.value)
        )
        return record(0x0006, place + result + struct.pack("<HIH", 0, 0, 3) + b"\x1e\x01\x00")
    if isinstance(value, int | float):
        return record(0x0203, place + struct.pack("<d", value))
    return record(0x0204, place + biff_string(value))


def xls(sheets, *, merged=(), hidden_rows=(), password=False):
    """A workbook of Excel 97-2003 (BIFF8): sheet -> rows."""
    bof = struct.pack("<HHHHII", 0x0600, 5, 0x0DBB, 0x07CC, 0, 0x06)
    head = (
        record(0x0809, bof)
        + (record(0x002F, b"\x00" * 6) if password else b"")
        + record(0x0042, struct.pack("<H", 1200))
    )
    names = list(sheets)
    entries = [struct.pack("<BBBB", 0, 0, len(name), 1) + name.encode("utf-16-le") for name in names]
    length = len(head) + sum(len(entry) + 8 for entry in entries) + 4
    bodies = []
    for rows in sheets.values():
        body = record(0x0809, struct.pack("<HHHHII", 0x0600, 0x10, 0x0DBB, 0x07CC, 0, 0x06))
        body += record(0x0200, struct.pack("<IIHHH", 0, len(rows), 0, max(map(len, rows), default=0), 0))
        body += b"".join(record(0x0208, struct.pack("<HHHHHHI", at, 0, 9, 255, 0, 0, 0x20)) for at in hidden_rows)
        body += b"".join(biff_cell(r, c, value) for r, row in enumerate(rows) for c, value in enumerate(row))
        if merged:
            body += record(
                0x00E5,
                struct.pack("<H", len(merged))
                + b"".join(struct.pack("<HHHH", t, b, left, r) for t, left, b, r in merged),
            )
        bodies.append(body + record(0x000A, b""))
    places, at = [], length
    for body in bodies:
        places.append(at)
        at += len(body)
    listed = b"".join(
        record(0x0085, struct.pack("<I", place) + entry) for place, entry in zip(places, entries, strict=True)
    )
    return compound({"Workbook": head + listed + record(0x000A, b"") + b"".join(bodies)})


def compound(streams):
    """A compound file ([MS-CFB], sectors of 512 bytes) with the streams, each filled up to 4,096 bytes."""
    padded = {name: content.ljust(max(4096, -(-len(content) // 512) * 512), b"\0") for name, content in streams.items()}
    used = sum(len(content) // 512 for content in padded.values())
    tables = next(n for n in range(1, 110) if n * 128 >= used + n + 1)
    chain = [0xFFFFFFFD] * tables + [0xFFFFFFFE]
    entries = [("Root Entry", 5, 0xFFFFFFFE, 0)]
    data = b""
    for name, content in padded.items():
        first, count = len(chain), len(content) // 512
        entries.append((name, 2, first, len(content)))
        chain += [*range(first + 1, first + count), 0xFFFFFFFE]
        data += content
    chain += [0xFFFFFFFF] * (tables * 128 - len(chain))
    directory = b""
    for at, (name, kind, first, size) in enumerate(entries):
        raw = (name + "\0").encode("utf-16-le")
        child = 1 if at == 0 and len(entries) > 1 else 0xFFFFFFFF
        right = at + 1 if 0 < at < len(entries) - 1 else 0xFFFFFFFF
        directory += (
            raw.ljust(64, b"\0")
            + struct.pack("<HBBIII", len(raw), kind, 1, 0xFFFFFFFF, right, child)
            + b"\0" * 36
            + struct.pack("<IQ", first, size)
        )
    header = (
        b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
        + b"\0" * 16
        + struct.pack("<HHHHH", 0x3E, 3, 0xFFFE, 9, 6)
        + b"\0" * 6
        + struct.pack("<IIIIIIIII", 0, tables, tables, 0, 4096, 0xFFFFFFFE, 0, 0xFFFFFFFE, 0)
        + struct.pack("<109I", *[*range(tables), *[0xFFFFFFFF] * (109 - tables)])
    )
    return header + struct.pack(f"<{len(chain)}I", *chain) + directory.ljust(512, b"\0") + data
