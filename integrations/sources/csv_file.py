"""CSV with a header row: comma, semicolon or tab; UTF-8 with or without byte order mark (RFC 4180)."""

import csv
import io
from collections.abc import Iterator, Mapping
from itertools import chain, zip_longest
from typing import Any, BinaryIO, ClassVar

from integrations.sources.base import (
    FileSource,
    Read,
    SourceError,
    Unreadable,
    beginning,
    peekable,
    renamer,
    shorten,
)

_OTHER_KINDS = {b"\xff\xfe": "UTF-16", b"\xfe\xff": "UTF-16", b"PK": "a spreadsheet or ZIP archive"}


class CsvFile(FileSource):
    slug: ClassVar[str] = "csv"
    label: ClassVar[str] = "CSV"
    extensions: ClassVar[tuple[str, ...]] = (".csv", ".tsv", ".tab", ".txt")

    def read(self, stream: BinaryIO, mapping: Mapping[str, str] | None = None) -> Iterator[Read]:
        buffer = peekable(stream)
        _refuse_other_kinds(beginning(buffer))
        # A byte that is no UTF-8 becomes half a surrogate pair, which is refused with its record instead
        # of ending the whole import.
        text = io.TextIOWrapper(buffer, encoding="utf-8-sig", errors="surrogateescape", newline="")
        try:
            yield from _rows(text, mapping)
        finally:
            # The caller closes what the caller opened.
            text.detach()


def _rows(lines: Iterator[str], mapping: Mapping[str, str] | None) -> Iterator[Read]:
    blank, first = 0, ""
    for first in lines:
        if first.strip():
            break
        blank += 1
    else:
        raise SourceError("the file is empty; it needs a header row with a column 'login'")
    reader = csv.reader(chain([first], lines), delimiter=delimiter_of(first), strict=True)
    fields = _fields(_header(reader), mapping)
    width = len(fields)
    while True:
        line = blank + reader.line_num + 1
        try:
            row = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            yield (
                line,
                Unreadable(dict.fromkeys(fields, ""), ("row", "", f"a CSV row ({error}); see to its quotes")),
            )
            continue
        if len(row) == width:
            yield line, dict(zip(fields, row, strict=True))
        elif row:
            expected = f"a row of {width} cells like the header (it has {len(row)})"
            yield line, Unreadable(_ragged(fields, row), ("row", shorten(",".join(row)), expected))


def _ragged(fields: list[str], row: list[str]) -> dict[str | None, Any]:
    """The cells by field, those beyond the header under None, as csv.DictReader has it."""
    cells: dict[str | None, Any] = dict(zip_longest(fields, row[: len(fields)], fillvalue=""))
    return cells | {None: row[len(fields) :]} if len(row) > len(fields) else cells


def _refuse_other_kinds(start: bytes) -> None:
    for mark, what in _OTHER_KINDS.items():
        if start.startswith(mark):
            raise SourceError(f"the file is {what}; save it as CSV in UTF-8")


def delimiter_of(header: str) -> str:
    """The one of comma, semicolon and tab that the header holds most of."""
    return max(",;\t", key=header.count)


def _header(reader: Any) -> list[str]:
    try:
        return [name.strip() for name in next(reader)]
    except csv.Error as error:
        raise SourceError(f"the header row cannot be read: {error}") from error


def _fields(header: list[str], mapping: Mapping[str, str] | None) -> list[str]:
    """The field that each column holds: the mapped one, else the one of its own name."""
    names = renamer(mapping)
    if missing := [name for name in names if name not in header]:
        raise SourceError(f"the file has no column {missing[0]!r}; it has: {', '.join(header)}")
    own = {name: name.casefold().replace(" ", "_") for name in header}
    fields = [names.get(name) or own[name] for name in header]
    claimed = set(names.values())
    # A column of a mapped field's own name stands aside for the mapped one.
    fields = [
        f"({name})" if name not in names and field in claimed else field
        for name, field in zip(header, fields, strict=True)
    ]
    if twice := {field for field in fields if field and fields.count(field) > 1}:
        raise SourceError(f"the header names {min(twice)!r} twice; each column needs a name of its own")
    if "login" not in fields:
        raise SourceError(
            f"the file has no column 'login'; map it with --map login=NAME. It has: {', '.join(header)}"
        )
    return fields
