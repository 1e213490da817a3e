"""The base class of readers of files: one module with one class each, listed in ``__init__``. A reader reads
and renames; it does not validate fields.
"""

import io
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import BinaryIO, ClassVar, NamedTuple

from integrations.errors import IntegrationError
from integrations.formats import bounded_json

MAX_NAMED = 20
# Keys of nested objects become separate names down to this depth.
NESTED = 2


class SourceError(IntegrationError, ValueError):
    """The file as a whole cannot be read; the text says why and what to do.

    The text may quote the file: what no page or database takes is replaced.
    """

    def __init__(self, text: str) -> None:
        super().__init__(printable(text))


class UnreadableRecord(NamedTuple):
    """One record that could not be read, in place of it. ``problem``: column, value, expected.

    ``original`` is the unread content: a CSV row's cells by field, else the text or the value.
    """

    original: object
    problem: tuple[str, str, str]


# Line number (from 1, as in the file) and the record by field name, or why there is none.
Read = tuple[int, dict[str, object] | UnreadableRecord]


class FileSource:
    """Base of the sources that read a file. ``slug`` is what ``--format`` takes."""

    slug: ClassVar[str]
    label: ClassVar[str]
    extensions: ClassVar[tuple[str, ...]]
    # The first bytes of a file after blanks and byte order mark; empty: any other.
    first_bytes: ClassVar[bytes] = b""
    # The unit that a record's number counts.
    unit: ClassVar[str] = "line"

    def read(self, stream: BinaryIO, mapping: Mapping[str, str] | None = None) -> Iterator[Read]:
        """Yield the records of a file in order, holding one at a time.

        ``mapping``: field of the data set → the file's name for it. Keys of nested JSON objects are names such as
        ``profile.login``. Raises :class:`SourceError`.
        """
        raise NotImplementedError

    def read_as_written(self, stream: BinaryIO) -> Iterator[Read]:
        """The records by the file's own names, whether or not one of them is a field. Raises :class:`SourceError`."""
        return self.read(stream)


BYTE_ORDER_MARK = b"\xef\xbb\xbf"
# Number of bytes of a file that are examined before it is read.
LOOKED_AT = 4096
MAX_RECORD = bounded_json.MAX_BYTES
SMALLER = "split it, or see that it holds one user per record"


def too_large(number: int, unit: str) -> SourceError:
    return SourceError(f"{unit} {number} is larger than {MAX_RECORD:,} bytes; {SMALLER}")


def out_of_bounds(number: int, unit: str, why: str) -> SourceError:
    return SourceError(f"{unit} {number} is {why}; {SMALLER}")


def peekable(stream: BinaryIO) -> io.BufferedReader:
    """The stream, or a buffer over it, whose start can be examined without reading it."""
    return stream if isinstance(stream, io.BufferedReader) else io.BufferedReader(stream)  # type: ignore[arg-type]


def first_bytes(stream: io.BufferedReader) -> bytes:
    """The first bytes of an unread stream after byte order mark and blanks; b"" where it is empty."""
    return opening(stream).removeprefix(BYTE_ORDER_MARK).lstrip()


def opening(stream: io.BufferedReader) -> bytes:
    """The first bytes of an unread stream, which stay unread."""
    return stream.peek(LOOKED_AT)[:LOOKED_AT]


def renamer(mapping: Mapping[str, str] | None) -> dict[str, str]:
    """The file's name for a field → the field. Raises SourceError where two fields claim one name."""
    names: dict[str, str] = {}
    for field, name in (mapping or {}).items():
        if name in names:
            raise SourceError(f"both {names[name]} and {field} are mapped to {name!r}; map each to its own")
        names[name] = field
    return names


class MappedKeys:
    """The mapped names that no record has had so far. ``wanted``: the file's names for fields."""

    def __init__(self, wanted: Iterable[str]) -> None:
        self.missing = set(wanted)
        self._found: dict[str, None] = {}

    def see(self, record: Mapping[str, object]) -> None:
        if self.missing:
            self.missing.difference_update(record)
            if len(self._found) <= MAX_NAMED:
                self._found.update(dict.fromkeys(record))

    def refuse_missing(self) -> None:
        """Raises :class:`SourceError` for a name that no record had, unless there was no record."""
        if self.missing and self._found:
            missing = shorten(min(self.missing))
            raise SourceError(
                f"no record of the file has the key {missing!r}; they have: {named(self._found)}"
            )


def rename(record: dict[str, object], names: Mapping[str, str], claimed: Iterable[str]) -> dict[str, object]:
    """Rename the fields of one record; a field that is mapped is read from nowhere else."""
    if not names:
        return record
    kept = {name: value for name, value in record.items() if name not in claimed}
    return kept | {field: record[name] for name, field in names.items() if name in record}


def flattened(record: dict[str, object], depth: int = NESTED) -> dict[str, object]:
    """The record with the keys of nested objects as ``profile.login``. An empty object stays."""
    if dict not in set(map(type, record.values())):
        return record
    found: dict[str, object] = {}
    for name, value in record.items():
        if depth and value and isinstance(value, dict):
            found |= {f"{name}.{key}": inner for key, inner in flattened(value, depth - 1).items()}
        else:
            found[name] = value
    return found


def shorten(text: str) -> str:
    """The start of what could not be read, on one line."""
    line = printable(text[:60])
    return line if len(text) <= 60 else line + "…"


def printable(text: str) -> str:
    """The text on one line, with a replacement character for each that cannot be shown or stored."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)


def named(names: Iterable[str]) -> str:
    """The first of a file's own names, for an error."""
    shown = [shorten(name) for name in islice(names, MAX_NAMED + 1)]
    return ", ".join(shown[:MAX_NAMED]) + (" …" if len(shown) > MAX_NAMED else "")
