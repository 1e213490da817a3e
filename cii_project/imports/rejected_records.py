"""The records that an import left out: the first few for the eye, all of them for a file."""

import csv
import json
import os
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import PurePath
from typing import Any, Protocol, Self, TextIO

from checks.services import AMBIGUOUS_DATE, DATE_ORDERS, Rejected

SHOWN = 10
Say = Callable[[str], object]


class Writer(Protocol):
    def __call__(self, rejected: Rejected, /) -> None: ...


class Rejects:
    """Takes each rejected record: ``say`` prints the first :data:`SHOWN`, ``file`` keeps all. At its end,
    good or bad, it says where the rest is. ``unit``: what a record's number counts (a line, a record)."""

    def __init__(self, say: Say, file: "RejectsFile", unit: str) -> None:
        self.say, self.file, self.unit, self.count = say, file, unit, 0
        # A date was refused for want of an order of day and month.
        self.has_ambiguous_date = False

    def add(self, rejected: Rejected) -> None:
        self.count += 1
        self.has_ambiguous_date |= any(problem.expected == AMBIGUOUS_DATE for problem in rejected.problems)
        self.file.write(rejected)
        if self.count <= SHOWN:
            for problem in rejected.problems:
                self.say(
                    f"{self.unit} {rejected.line}, column {problem.column}: "
                    f"{problem.value!r}; expected {problem.expected}"
                )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        if self.count > SHOWN:
            self.say(f"… and {self.count - SHOWN:,} more")
        if self.has_ambiguous_date:
            self.say(
                f"--dates {'|'.join(DATE_ORDERS)} names the order of the dates in the file; "
                "--zone NAME the time zone of times without an offset"
            )
        if self.count and self.file.usable:
            self.say(f"all {self.count:,} rejected records are in {self.file.path}")


class RejectsFile:
    """CSV like the file that was read, with a first column ``error``; or JSON Lines with line, errors and
    record. ``names``: field → the file's name for it.

    A ``path`` that was asked for is opened at once, and raises OSError where that cannot be. Without one
    a file named after ``stem`` appears in the current folder with the first bad record; if that fails, a
    warning is printed and the import continues. Both are their owner's alone: they hold people's data.
    """

    def __init__(
        self, path: str | None, *, stem: str, as_csv: bool, names: Mapping[str, str], say: Say
    ) -> None:
        self.asked, self.as_csv, self.names, self.say = bool(path), as_csv, names, say
        self.path = path or f"{PurePath(stem).stem}.rejects.{'csv' if as_csv else 'jsonl'}"
        self.usable = True
        self._stack = ExitStack()
        self._write: Writer | None = None

    def __enter__(self) -> Self:
        if self.asked:
            self._open()
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.close()

    def write(self, rejected: Rejected) -> None:
        if self.usable and not self._write:
            try:
                self._open()
            except OSError as error:
                self.usable = False
                self.say(f"{self.path}: {error.strerror}; --rejects FILE writes the bad records elsewhere")
        if self._write:
            self._write(rejected)

    def _open(self) -> None:
        # Bytes that are not UTF-8 are written as they were read.
        file = open(self.path, "w", encoding="utf-8", errors="surrogateescape", newline="")  # noqa: SIM115
        stream = self._stack.enter_context(file)
        os.chmod(self.path, 0o600)
        self._write = _csv_writer(stream, self.names) if self.as_csv else _json_writer(stream)


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
