"""What a file is by its content, whatever its name says, and whether its container is safe to open."""

from __future__ import annotations

import io
import re
import struct
import zipfile
import zlib

from evalaid.base.errors import ReadingError
from evalaid.reading.files.snapshot import Limits, Snapshot, fault

XLSX, XLS, ODS, HTML, TEXT = "xlsx", "xls", "ods", "html", "text"

_OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_OTHERS = {
    b"%PDF": "a PDF document",
    b"\x89PNG": "a picture",
    b"\xff\xd8\xff": "a picture",
    b"GIF8": "a picture",
    b"Rar!": "an archive (RAR)",
    b"7z\xbc\xaf": "an archive (7z)",
    b"\x1f\x8b": "a compressed file (gzip)",
    b"PAR1": "a Parquet file",
    b"{\\rtf": "a text document (RTF)",
    b"SQLite format 3": "a database",
}
_MEGABYTE = 1 << 20
_END, _SECTOR_LIMIT = 0xFFFFFFFA, 1 << 22


def kind_of(snapshot: Snapshot, limits: Limits) -> str:
    """Return what a file is by its content."""
    content = snapshot.content
    if content.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        return _kind_of_zip(snapshot, limits)
    if content.startswith(_OLE):
        return _kind_of_ole(snapshot)
    for start, what in _OTHERS.items():
        if content.startswith(start):
            raise _other(snapshot, what)
    head = content[:4096].replace(b"\0", b"").lstrip(b"\xef\xbb\xbf\xff\xfe \t\r\n").lower()
    if b"urn:schemas-microsoft-com:office:spreadsheet" in head and b"<workbook" in head:
        raise _other(snapshot, "an XML table of Excel 2003")
    if re.match(
        rb"(?:<\?xml[^>]*>\s*)?(?:<!--.*?-->\s*)*<(?:!doctype html|html|head|meta|table|body|style)\b", head, re.DOTALL
    ):
        return HTML
    return TEXT


def part(archive: zipfile.ZipFile, name: str, snapshot: Snapshot) -> bytes:
    """Unpack one part of a workbook whose sizes were checked."""
    try:
        with archive.open(name) as stream:
            declared = archive.getinfo(name).file_size
            content = stream.read(declared + 1)
    except (
        KeyError,
        zipfile.BadZipFile,
        zlib.error,
        EOFError,
        OSError,
        ValueError,
        RuntimeError,
        NotImplementedError,
    ) as error:
        raise damaged(snapshot, f"its part {name!r} cannot be unpacked") from error
    if len(content) > declared:
        raise damaged(snapshot, f"its part {name!r} is larger than declared")
    return content


def damaged(snapshot: Snapshot, why: str) -> ReadingError:
    """Make the error for a workbook that cannot be read."""
    text = (
        f"{snapshot.file}: the workbook is damaged or incomplete ({why}). Expected a workbook that Excel or LibreOffice opens "
        "without repair: open it there and save it as .xlsx, or ask for it again."
    )
    return fault(snapshot.path, text, found=f"damaged workbook: {why}", expected="a workbook that opens without repair")


def protected(snapshot: Snapshot) -> ReadingError:
    """Make the error for a workbook with a password."""
    text = (
        f"{snapshot.file}: the workbook is protected by a password. Expected one without: open it with its password and save "
        "a copy without (Excel: File, Info, Protect Workbook)."
    )
    return fault(snapshot.path, text, found="password", expected="a workbook without a password")


def _other(snapshot: Snapshot, what: str) -> ReadingError:
    text = (
        f"{snapshot.file}: this is {what}, not a table that can be read. Expected xlsx, xlsm, xls, ods, csv, tsv or txt: open "
        "it with the program that made it and save the table as .xlsx."
    )
    return fault(snapshot.path, text, found=what, expected="a workbook or a text file")


def _kind_of_zip(snapshot: Snapshot, limits: Limits) -> str:
    try:
        with zipfile.ZipFile(io.BytesIO(snapshot.content)) as archive:
            parts = archive.infolist()
            names = {entry.filename for entry in parts}
            _check_sizes(snapshot, parts, limits)
            if any(entry.flag_bits & 1 for entry in parts):
                raise protected(snapshot)
            if "xl/workbook.xml" in names:
                return XLSX
            if "xl/workbook.bin" in names:
                raise _other(snapshot, "a binary workbook (xlsb)")
            if "content.xml" in names:
                kind = part(archive, "mimetype", snapshot) if "mimetype" in names else b""
                if b"opendocument.spreadsheet" not in kind:
                    raise _other(snapshot, "an OpenDocument file that is no spreadsheet")
                manifest = part(archive, "META-INF/manifest.xml", snapshot) if "META-INF/manifest.xml" in names else b""
                if b"encryption-data" in manifest:
                    raise protected(snapshot)
                return ODS
    except (
        zipfile.BadZipFile,
        EOFError,
        ValueError,
        OSError,
        NotImplementedError,
        UnicodeError,
        struct.error,
    ) as error:
        raise damaged(snapshot, "its list of parts is unreadable") from error
    what = "a Word document" if any(name.startswith("word/") for name in names) else "an archive (zip)"
    raise _other(snapshot, what)


def _check_sizes(snapshot: Snapshot, parts: list[zipfile.ZipInfo], limits: Limits) -> None:
    total = sum(entry.file_size for entry in parts)
    swollen = [
        entry
        for entry in parts
        if entry.file_size > _MEGABYTE and entry.file_size > limits.ratio * max(entry.compress_size, 1)
    ]
    if total <= limits.unpacked_bytes and not swollen:
        return
    packed = len(snapshot.content)
    found = f"{packed / 1e6:,.1f} MB that unpack to {total / 1e6:,.0f} MB"
    text = (
        f"{snapshot.file}: {found}: nothing was unpacked. Expected at most {limits.unpacked_bytes / 1e6:,.0f} MB and no part "
        f"more than {limits.ratio:,.0f} times its packed size. If the file comes from a known sender, save its values as .csv and read that."
    )
    raise fault(snapshot.path, text, found=found, expected=f"at most {limits.unpacked_bytes:,} bytes unpacked")


def _kind_of_ole(snapshot: Snapshot) -> str:
    names = set(ole_streams(snapshot))
    if names & {"EncryptedPackage", "EncryptionInfo"}:
        raise protected(snapshot)
    if names & {"Workbook", "Book", "WORKBOOK", "BOOK"}:
        return XLS
    raise _other(snapshot, "a Word document" if "WordDocument" in names else "an Office file that is no workbook")


def ole_streams(snapshot: Snapshot) -> dict[str, tuple[int, int]]:
    """List the streams of a compound file (the container of xls).

    Assumes the layout of [MS-CFB].
    """
    content = snapshot.content
    try:
        (first,) = struct.unpack_from("<I", content, 48)
        counts = (struct.unpack_from("<I", content, at)[0] for at in (40, 44, 64, 72))
        if max(counts) * 512 > len(content):
            raise damaged(snapshot, "it declares more sectors than it has")
        directory = ole_chain(snapshot, first)
    except struct.error as error:
        raise damaged(snapshot, "its header is cut off") from error
    streams: dict[str, tuple[int, int]] = {}
    for at in range(0, len(directory) - 127, 128):
        (length,) = struct.unpack_from("<H", directory, at + 64)
        kind = directory[at + 66]
        start, size = struct.unpack_from("<IQ", directory, at + 116)
        if kind in {2, 5} and size > len(content):
            raise damaged(snapshot, "a part is longer than the file")
        if kind == 2 and 2 <= length <= 64:
            name = directory[at : at + length - 2].decode("utf-16-le", errors="replace")
            streams.setdefault(name, (start, size))
    return streams


def ole_chain(snapshot: Snapshot, first: int, size: int | None = None) -> bytes:
    """Join the sectors of one chain of a compound file."""
    content = snapshot.content
    try:
        (shift,) = struct.unpack_from("<H", content, 30)
        if shift not in {9, 12}:
            raise damaged(snapshot, "its sectors have an unknown size")
        width = 1 << shift
        table = _sector_table(snapshot, width)
    except struct.error as error:
        raise damaged(snapshot, "its header is cut off") from error
    pieces, at, seen = [], first, 0
    while at < _END:
        if at >= len(table) or seen > len(table):
            raise damaged(snapshot, "its sectors lead nowhere")
        if (at + 1) * width >= len(content):
            raise damaged(snapshot, "it is cut off")
        pieces.append(content[(at + 1) * width : (at + 2) * width])
        at, seen = table[at], seen + 1
    joined = b"".join(pieces)
    return joined if size is None else joined[:size]


def _sector_table(snapshot: Snapshot, width: int) -> tuple[int, ...]:
    content = snapshot.content
    listed = list(struct.unpack_from("<109I", content, 76))
    more, count = struct.unpack_from("<II", content, 68)
    while more < _END and count and len(listed) < _SECTOR_LIMIT:
        block = struct.unpack_from(f"<{width // 4}I", content, (more + 1) * width)
        listed += block[:-1]
        more, count = block[-1], count - 1
    table: list[int] = []
    for sector in (sector for sector in listed if sector < _END):
        raw = content[(sector + 1) * width : (sector + 2) * width]
        table += struct.unpack(f"<{len(raw) // 4}I", raw[: len(raw) // 4 * 4])
        if len(table) * width > len(content) + 200 * width * width:
            break
    return tuple(table)
