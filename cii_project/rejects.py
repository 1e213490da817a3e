"""The records that an import left out: the first few for the eye, all of them for a file."""

import csv
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol, TextIO

from checks.accounts import Rejected

SHOWN = 10


class Writer(Protocol):
    def __call__(self, rejected: Rejected, /) -> None: ...


class Rejects:
    """Takes each rejected record: ``say`` prints the first :data:`SHOWN`, ``write`` keeps all."""

    def __init__(self, say: Callable[[str], object], write: Writer | None) -> None:
        self.say, self.write, self.count = say, write, 0

    def add(self, rejected: Rejected) -> None:
        self.count += 1
        if self.write:
            self.write(rejected)
        if self.count <= SHOWN:
            for problem in rejected.problems:
                self.say(
                    f"line {rejected.line}, column {problem.column}: {problem.value!r}; expected {problem.expected}"
                )

    def say_the_rest(self, path: str | None) -> None:
        if self.count > SHOWN and not path:
            self.say(f"… and {self.count - SHOWN:,} more; --rejects FILE writes them all")
        if path:
            self.say(f"all {self.count:,} rejected records are in {path}")


@contextmanager
def writer_of(path: str | None, *, as_csv: bool, names: Mapping[str, str]) -> Iterator[Writer | None]:
    """Write to ``path``: CSV like the file that was read, with a first column ``error``, or JSON Lines
    with line, errors and record. ``names``: field → the file's name for it."""
    if not path:
        yield None
        return
    # The bytes that are no UTF-8 come out as they came in.
    with Path(path).open("w", encoding="utf-8", errors="surrogateescape", newline="") as stream:
        yield _csv_writer(stream, names) if as_csv else _json_writer(stream)


def _text(rejected: Rejected) -> str:
    return f"line {rejected.line}: " + "; ".join(
        f"{p.column}: {p.value!r}, expected {p.expected}" for p in rejected.problems
    )


def _csv_writer(stream: TextIO, names: Mapping[str, str]) -> Writer:
    rows = csv.writer(stream)
    header: list[str] = []

    def write(rejected: Rejected) -> None:
        record: dict[str | None, Any] = rejected.original
        if not header:
            header.append("error")
            header.extend(names.get(field, field) for field in record if field is not None)
            rows.writerow(header)
        cells = [cell for field, cell in record.items() if field is not None]
        rows.writerow([_text(rejected), *cells, *record.get(None, [])])

    return write


def _json_writer(stream: TextIO) -> Writer:
    def write(rejected: Rejected) -> None:
        document = {
            "line": rejected.line,
            "errors": [problem._asdict() for problem in rejected.problems],
            "record": rejected.original,
        }
        stream.write(json.dumps(document, default=str) + "\n")

    return write
