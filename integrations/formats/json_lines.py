"""JSON Lines: one object a line, UTF-8 (jsonlines.org)."""

import json
from collections.abc import Iterator, Mapping
from typing import BinaryIO, ClassVar

import orjson

from integrations.formats import bounded_json
from integrations.formats.file_kinds import refuse_other_kinds
from integrations.formats.reader import (
    BYTE_ORDER_MARK,
    MAX_RECORD,
    FileSource,
    MappedKeys,
    Read,
    UnreadableRecord,
    flattened,
    opening,
    out_of_bounds,
    peekable,
    rename,
    renamer,
    shorten,
    too_large,
)


class JsonLines(FileSource):
    slug: ClassVar[str] = "jsonl"
    label: ClassVar[str] = "JSON Lines"
    extensions: ClassVar[tuple[str, ...]] = (".jsonl", ".ndjson")
    first_bytes: ClassVar[bytes] = b"{"

    def read(self, stream: BinaryIO, mapping: Mapping[str, str] | None = None) -> Iterator[Read]:
        names = renamer(mapping)
        claimed, mapped = {*names, *names.values()}, MappedKeys(names)
        buffer = peekable(stream)
        refuse_other_kinds(opening(buffer))
        number = 0
        while line := buffer.readline(MAX_RECORD + 1):
            number += 1
            if len(line) > MAX_RECORD:
                raise too_large(number, self.unit)
            if number == 1:
                line = line.removeprefix(BYTE_ORDER_MARK)
            if line.isspace():
                continue
            try:
                record = _record(line)
            except bounded_json.OutOfBounds as error:
                raise out_of_bounds(number, self.unit, str(error)) from error
            if isinstance(record, UnreadableRecord):
                yield number, record
                continue
            flat = flattened(record)
            mapped.see(flat)
            yield number, rename(flat, names, claimed)
        mapped.refuse_missing()


def _record(line: bytes) -> dict[str, object] | UnreadableRecord:
    try:
        # Stricter than json, and three times as fast: what it refuses json looks at again.
        value = orjson.loads(line)
    except orjson.JSONDecodeError:
        return _by_json(line)
    # A text with few brackets and commas cannot exceed the bounds, so nearly no record needs the walk.
    if line.count(b"[") + line.count(b"{") > bounded_json.MAX_DEPTH or line.count(b",") > 1_000:
        bounded_json.check(value)
    return value if isinstance(value, dict) else _no_object(line.decode().strip())


def _by_json(line: bytes) -> dict[str, object] | UnreadableRecord:
    text = line.decode(errors="replace").strip()
    try:
        value = bounded_json.loads(line)
    except bounded_json.OutOfBounds:
        raise
    except UnicodeDecodeError:
        return UnreadableRecord(text, ("line", shorten(text), "UTF-8 text; save the file as UTF-8"))
    except ValueError as error:
        return UnreadableRecord(text, ("line", shorten(text), f"a JSON object ({_reason(error)})"))
    return value if isinstance(value, dict) else _no_object(text)


def _no_object(text: str) -> UnreadableRecord:
    return UnreadableRecord(text, ("line", shorten(text), "a JSON object"))


def _reason(error: ValueError) -> str:
    if isinstance(error, json.JSONDecodeError):
        return f"{error.msg} at column {error.colno}"
    return "a number out of range"
