"""What a source of records is: one module with one class, listed in ``__init__``.

A source reads and renames; what a field may hold is not its business. One that calls an API yields
the same pairs.
"""

import io
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, BinaryIO, ClassVar, NamedTuple


class SourceError(ValueError):
    """The file as a whole cannot be read; the text says why and what to do."""


class Unreadable(NamedTuple):
    """One record that could not be read, in place of it. ``problem``: column, value, expected.

    ``original`` is what stood there: a CSV row's cells by field, else the text or the value.
    """

    original: Any
    problem: tuple[str, str, str]


# Line number (from 1, true to the file) and the record by field name, or why there is none.
Read = tuple[int, dict[str, Any] | Unreadable]


class FileSource:
    """Base of the sources that read a file. ``slug`` is what ``--format`` takes."""

    slug: ClassVar[str]
    label: ClassVar[str]
    extensions: ClassVar[tuple[str, ...]]
    # Which of a file's bytes, blanks and byte order mark aside, come first; empty: any other.
    first_bytes: ClassVar[bytes] = b""
    # What the number of a record counts.
    unit: ClassVar[str] = "line"

    def read(self, stream: BinaryIO, mapping: Mapping[str, str] | None = None) -> Iterator[Read]:
        """Yield the records of a file in order, holding one at a time.

        ``mapping``: field of the data set → the file's name for it. Raises :class:`SourceError`.
        """
        raise NotImplementedError


BYTE_ORDER_MARK = b"\xef\xbb\xbf"


def peekable(stream: BinaryIO) -> io.BufferedReader:
    """The stream, or a buffer over it, whose beginning can be looked at without reading it."""
    return stream if isinstance(stream, io.BufferedReader) else io.BufferedReader(stream)  # type: ignore[arg-type]


def beginning(stream: io.BufferedReader) -> bytes:
    """The first bytes of an unread stream, byte order mark and blanks aside; b"" where it is empty."""
    return stream.peek(4096)[:4096].removeprefix(BYTE_ORDER_MARK).lstrip()


def renamer(mapping: Mapping[str, str] | None) -> dict[str, str]:
    """The file's name for a field → the field. Raises SourceError where two fields claim one name."""
    names: dict[str, str] = {}
    for field, name in (mapping or {}).items():
        if name in names:
            raise SourceError(f"both {names[name]} and {field} are mapped to {name!r}; map each to its own")
        names[name] = field
    return names


def rename(record: dict[str, Any], names: Mapping[str, str], claimed: Iterable[str]) -> dict[str, Any]:
    """Rename the fields of one record; a field that is mapped is read from nowhere else."""
    if not names:
        return record
    kept = {name: value for name, value in record.items() if name not in claimed}
    return kept | {field: record[name] for name, field in names.items() if name in record}


def shorten(text: str) -> str:
    """The beginning of what could not be read, on one line."""
    line = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text[:60])
    return line if len(text) <= 60 else line + "…"
