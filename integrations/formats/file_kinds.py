"""Recognizes by their first bytes files that hold no records, so that a refusal can say what they are."""

import re
from collections.abc import Sequence

from integrations.formats.reader import SourceError

# First bytes, the name of such a file, and what to do about it.
_UNPACK = "unpack it and import the file inside"
_SAVE = "save it as CSV in UTF-8"
_ZIP = b"PK\x03\x04"
_KINDS: Sequence[tuple[bytes, str, str]] = (
    (b"\x1f\x8b", "compressed with gzip", _UNPACK),
    (b"BZh", "compressed with bzip2", _UNPACK),
    (b"\xfd7zXZ\x00", "compressed with xz", _UNPACK),
    (b"\x28\xb5\x2f\xfd", "compressed with zstd", _UNPACK),
    (b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive", _UNPACK),
    (_ZIP, "a ZIP archive or a spreadsheet (.xlsx, .ods)", f"{_UNPACK}, or {_SAVE}"),
    (b"PK\x05\x06", "an empty ZIP archive", _UNPACK),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an old Office document (.xls)", _SAVE),
    (b"%PDF", "a PDF document", _SAVE),
    (b"\xff\xfe\x00\x00", "text in UTF-32", "save it in UTF-8"),
    (b"\x00\x00\xfe\xff", "text in UTF-32", "save it in UTF-8"),
    (b"\xff\xfe", "text in UTF-16", "save it in UTF-8"),
    (b"\xfe\xff", "text in UTF-16", "save it in UTF-8"),
    (b"SQLite format 3\x00", "a SQLite database", _SAVE),
    (b"PAR1", "a Parquet file", _SAVE),
    (b"\x89PNG", "a picture (PNG)", _SAVE),
    (b"\xff\xd8\xff", "a picture (JPEG)", _SAVE),
    (b"\x7fELF", "a program (ELF)", _SAVE),
)


# Kinds of ZIP archives by their first entries.
_PACKED: Sequence[tuple[bytes, str]] = (
    (b"opendocument.spreadsheet", "an OpenDocument spreadsheet (.ods)"),
    (b"xl/", "an Excel workbook (.xlsx)"),
    (b"[Content_Types].xml", "an Office document, such as an Excel workbook (.xlsx)"),
    (b"word/", "a Word document (.docx)"),
)
# Text formats, by the start of the text in lower case, without blanks and byte order mark.
_LDIF = "an LDIF file (ldifde, ldapsearch)"
_TEXT_KINDS: Sequence[tuple[re.Pattern[bytes], str, str]] = (
    (
        re.compile(rb"(?:#[^\n]*\n\s*)*(?:version:\s*\d+\s+)?(?:#[^\n]*\n\s*)*dn::?\s"),
        _LDIF,
        "export CSV instead, for example with csvde or Get-ADUser and Export-Csv",
    ),
    (
        re.compile(
            rb"(?:<!--.{0,2000}?-->\s*)*(?:<!doctype html|<(?:html|head|body|table|meta|script|div)[\s>])",
            re.S,
        ),
        "an HTML page, perhaps a sign-in page instead of the export",
        "download the export again, as CSV or JSON",
    ),
    (
        re.compile(rb"<\?xml|<(?:soap|wd|env|worksheet|workbook|objs)[:\s>]"),
        "an XML document",
        "export CSV or JSON instead",
    ),
    (re.compile(rb"\{\\rtf"), "a document in Rich Text Format", _SAVE),
    (
        re.compile(rb"-----begin [a-z ]+-----"),
        "encrypted or a certificate (PEM)",
        "decrypt it and import the file inside",
    ),
    (re.compile(rb"begin:vcard"), "a file of contacts (vCard)", "export CSV instead"),
)


def refuse_other_kinds(start: bytes) -> None:
    """Raise :class:`SourceError` with the kind of the file if ``start``, its first bytes, is not UTF-8 text with records.

    A UTF-8 sequence that ``start`` cuts off is accepted.
    """
    for mark, what, advice in _KINDS:
        if start.startswith(mark):
            document = next((name for part, name in _PACKED if mark == _ZIP and part in start), "")
            if document:
                what, advice = document, _SAVE
            is_text = what.startswith("text ")
            raise SourceError(f"the file is {what}{'' if is_text else ', not text'}; {advice}")
    if b"\x00" in start:
        raise SourceError(_with_nul(start))
    text = start.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    for pattern, what, advice in _TEXT_KINDS:
        if pattern.match(text):
            raise SourceError(f"the file is {what}; {advice}")


def _with_nul(start: bytes) -> str:
    """UTF-16 without a byte order mark has a NUL next to every Latin character."""
    even, odd = start[0::2].count(0), start[1::2].count(0)
    if max(even, odd) > len(start) // 5 and min(even, odd) <= len(start) // 20:
        return "the file is text in UTF-16 without a byte order mark; save it in UTF-8"
    return "the file holds NUL bytes: it is binary data, not text; save it as CSV in UTF-8"


def why_no_text(data: bytes) -> str:
    """Return why a line is not UTF-8 text, what it most likely is and what to do; "" if it is text."""
    where = ""
    try:
        data.decode()
    except UnicodeDecodeError as error:
        where = f" (byte 0x{data[error.start]:02X} at position {error.start + 1})"
    controls = sum(byte < 0x20 and byte not in b"\t\r\n" for byte in data)
    if controls > len(data) // 20 or b"\x00" in data:
        return f"it is binary data, not text{where}; save it as CSV in UTF-8"
    return (
        f"it is not UTF-8{where}, most likely Latin-1 or Windows-1252; save the file in UTF-8"
        if where
        else ""
    )
