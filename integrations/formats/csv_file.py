"""CSV with a header row: comma, semicolon or tab; UTF-8 with or without byte order mark (RFC 4180)."""

import csv
import io
import re
from collections.abc import Iterator, Mapping
from itertools import chain, islice, zip_longest
from typing import BinaryIO, ClassVar

from integrations.formats.file_kinds import refuse_other_kinds, why_no_text
from integrations.formats.reader import (
    MAX_RECORD,
    FileSource,
    Read,
    SourceError,
    UnreadableRecord,
    named,
    opening,
    peekable,
    renamer,
    shorten,
)

MAX_COLUMNS = 1_000
# Some reports have a title, a date and a blank line or two above the header.
MAX_TITLE_LINES = 10
_SEPARATOR_LINE = re.compile(r"sep=([,;\t|])", re.I)
_NO_HEADER = re.compile(r"[\ufeff\"]*#(?:TYPE\b|\s)")


class CsvFile(FileSource):
    slug: ClassVar[str] = "csv"
    label: ClassVar[str] = "CSV"
    extensions: ClassVar[tuple[str, ...]] = (".csv", ".tsv", ".tab", ".txt")

    def read(self, stream: BinaryIO, mapping: Mapping[str, str] | None = None) -> Iterator[Read]:
        return self._read(stream, mapping)

    def read_as_written(self, stream: BinaryIO) -> Iterator[Read]:
        return self._read(stream, None, as_written=True)

    def _read(
        self, stream: BinaryIO, mapping: Mapping[str, str] | None, *, as_written: bool = False
    ) -> Iterator[Read]:
        buffer = peekable(stream)
        refuse_other_kinds(opening(buffer))
        # A byte that is not UTF-8 becomes half a surrogate pair, which is refused with its record instead
        # of ending the whole import.
        text = io.TextIOWrapper(buffer, encoding="utf-8-sig", errors="surrogateescape", newline="")
        try:
            yield from _rows(_Lines(text), mapping, as_written=as_written)
        finally:
            # The caller closes what the caller opened.
            text.detach()


class _Lines:
    """The lines of a text; a record, which quotes may spread over several, has :data:`MAX_RECORD` characters
    at most. ``start_record()`` says that the next line starts a record."""

    def __init__(self, text: io.TextIOWrapper) -> None:
        self.text, self.number, self.size = text, 0, 0

    def start_record(self) -> None:
        self.size = 0

    def __iter__(self) -> "_Lines":
        return self

    def __next__(self) -> str:
        line = self.text.readline(MAX_RECORD + 1)
        if not line:
            raise StopIteration
        self.number += 1
        self.size += len(line)
        if self.size > MAX_RECORD:
            raise SourceError(
                f"the record at line {self.number} is larger than {MAX_RECORD:,} characters; "
                "see to its quotes and that the file is CSV with one user per line"
            )
        return line


def _rows(lines: _Lines, mapping: Mapping[str, str] | None, *, as_written: bool) -> Iterator[Read]:
    header, waiting, delimiter = _find_header(lines, mapping, as_written=as_written)
    _refuse_undecodable(header)
    skipped = lines.number - len(waiting) - 1
    reader = csv.reader(chain([header], waiting, lines), delimiter=delimiter, strict=True)
    names = _header(reader)
    fields = _own_names(names) if as_written else _fields(names, mapping)
    width = len(fields)
    while True:
        line = skipped + reader.line_num + 1
        lines.start_record()
        try:
            row = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            yield (
                line,
                UnreadableRecord(
                    dict.fromkeys(fields, ""), ("row", "", f"a CSV row ({error}); see to its quotes")
                ),
            )
            continue
        if not any(cell.strip() for cell in row):
            continue  # spreadsheets leave such rows at the end
        if len(row) == width:
            yield line, dict(zip(fields, row, strict=True))
        else:
            expected = f"a row of {width} cells like the header (it has {len(row)})"
            yield line, UnreadableRecord(_ragged(fields, row), ("row", shorten(",".join(row)), expected))


def _find_header(
    lines: _Lines, mapping: Mapping[str, str] | None, *, as_written: bool
) -> tuple[str, list[str], str]:
    """Returns the line of the header, the lines after it that were read already, and the delimiter. It skips
    blank lines, Windows PowerShell's ``#TYPE …``, Excel's ``sep=;``, and up to :data:`MAX_TITLE_LINES` lines
    of a title above a header that names the column of the login, or (``as_written``) that has several
    columns.
    """
    first, delimiter = "", ""
    for first in lines:
        if separator := _SEPARATOR_LINE.fullmatch(first.strip('\r\n "\ufeff')):
            delimiter = separator[1]
        elif first.strip() and not _NO_HEADER.match(first):
            break
    else:
        raise SourceError("the file is empty; it needs a header row with a column 'login'")
    wanted = renamer(mapping)
    name = next((name for name, field in wanted.items() if field == "login"), "login")

    def is_header(line: str) -> bool:
        if as_written:
            return _is_wide(line, delimiter or delimiter_of(line))
        return _names(line, name, delimiter)

    following = [] if is_header(first) else list(islice(lines, MAX_TITLE_LINES))
    for place, line in enumerate(following):
        if is_header(line):
            first, following = line, following[place + 1 :]
            break
    return first, following, delimiter or delimiter_of(first)


def _is_wide(line: str, delimiter: str) -> bool:
    """Whether the line has several columns. Spreadsheets fill a title up with empty cells, which no header has so many of."""
    cells = line.split(delimiter)
    filled = sum(bool(cell.strip(' \t\r\n"')) for cell in cells)
    return len(cells) == 2 or 2 * filled > len(cells) > 2


def _names(line: str, name: str, delimiter: str) -> bool:
    """Whether the line has a cell that is the name of a column."""
    cells = [_visible(_visible(cell).strip('"')) for cell in line.split(delimiter or delimiter_of(line))]
    return name in cells or name.casefold() in [cell.casefold() for cell in cells if name == "login"]


def _ragged(fields: list[str], row: list[str]) -> dict[str | None, object]:
    """The cells by field, those beyond the header under None, as csv.DictReader has it."""
    cells: dict[str | None, object] = dict(zip_longest(fields, row[: len(fields)], fillvalue=""))
    return cells | {None: row[len(fields) :]} if len(row) > len(fields) else cells


def _refuse_undecodable(header: str) -> None:
    if problem := why_no_text(header.encode("utf-8", "surrogateescape")):
        raise SourceError(f"the header row cannot be read: {problem}")


def delimiter_of(header: str) -> str:
    """The one of comma, semicolon and tab that the header holds most of."""
    return max(",;\t", key=header.count)


def _header(reader: Iterator[list[str]]) -> list[str]:
    try:
        header = [_visible(name) for name in next(reader)]
    except csv.Error as error:
        raise SourceError(f"the header row cannot be read: {error}") from error
    if len(header) > MAX_COLUMNS:
        raise SourceError(f"the header names {len(header):,} columns; at most {MAX_COLUMNS:,} are read")
    return header


# A second byte order mark, and what else stands unseen in a copied header.
_UNSEEN = dict.fromkeys(map(ord, "\ufeff\u200b\u200e\u200f\u2060"))


def _visible(name: str) -> str:
    return name.translate(_UNSEEN).strip()


def _own_names(header: list[str]) -> list[str]:
    if twice := {name for name in header if name and header.count(name) > 1}:
        raise _twice(min(twice))
    return header


def _twice(name: str) -> SourceError:
    return SourceError(f"the header names {name!r} twice; each column needs a different name")


def _fields(header: list[str], mapping: Mapping[str, str] | None) -> list[str]:
    """The field that each column holds: the mapped one, else the one with the column's name."""
    names = renamer(mapping)
    if missing := [name for name in names if name not in header]:
        raise SourceError(f"the file has no column {missing[0]!r}; it has: {named(header)}")
    own = {name: name.casefold().replace(" ", "_") for name in header}
    fields = [names.get(name) or own[name] for name in header]
    claimed = set(names.values())
    # A column with the name of a mapped field is not read: the mapped column replaces it.
    fields = [
        f"({name})" if name not in names and field in claimed else field
        for name, field in zip(header, fields, strict=True)
    ]
    if twice := {field for field in fields if field and fields.count(field) > 1}:
        raise _twice(min(twice))
    if "login" not in fields:
        raise SourceError(
            "the first row is not the header, or the file has no column 'login'; map one of its columns to it. "
            f"It has: {named(header)}"
        )
    return fields
