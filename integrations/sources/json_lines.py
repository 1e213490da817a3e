"""JSON Lines: one object a line, UTF-8 (jsonlines.org)."""

import json
from collections.abc import Iterator, Mapping
from typing import BinaryIO, ClassVar

import orjson

from integrations.sources.base import FileSource, Read, Unreadable, rename, renamer, shorten

LONGEST_LINE = 1 << 20


class JsonLines(FileSource):
    slug: ClassVar[str] = "jsonl"
    label: ClassVar[str] = "JSON Lines"
    extensions: ClassVar[tuple[str, ...]] = (".jsonl", ".ndjson")
    first_bytes: ClassVar[bytes] = b"{"

    def read(self, stream: BinaryIO, mapping: Mapping[str, str] | None = None) -> Iterator[Read]:
        names = renamer(mapping)
        claimed = {*names, *names.values()}
        number = 0
        while line := stream.readline(LONGEST_LINE + 1):
            number += 1
            if len(line) > LONGEST_LINE:
                yield number, _too_long(stream, line)
                continue
            if number == 1:
                line = line.removeprefix(b"\xef\xbb\xbf")
            if line.isspace():
                continue
            record = _record(line)
            yield number, record if isinstance(record, Unreadable) else rename(record, names, claimed)


def _too_long(stream: BinaryIO, line: bytes) -> Unreadable:
    rest = line
    while rest and not rest.endswith(b"\n"):
        rest = stream.readline(LONGEST_LINE)
    text = line[:1000].decode(errors="replace")
    return Unreadable(text, ("line", shorten(text), f"a line of at most {LONGEST_LINE:,} bytes"))


def _record(line: bytes) -> dict[str, object] | Unreadable:
    try:
        # Stricter than json, and three times as fast: what it refuses json looks at again.
        value = orjson.loads(line)
    except orjson.JSONDecodeError:
        return _by_json(line)
    return value if isinstance(value, dict) else _no_object(line.decode().strip())


def _by_json(line: bytes) -> dict[str, object] | Unreadable:
    text = line.decode(errors="replace").strip()
    try:
        value = json.loads(line)
    except UnicodeDecodeError:
        return Unreadable(text, ("line", shorten(text), "UTF-8 text; save the file as UTF-8"))
    except (ValueError, RecursionError) as error:
        return Unreadable(text, ("line", shorten(text), f"a JSON object ({_reason(error)})"))
    return value if isinstance(value, dict) else _no_object(text)


def _no_object(text: str) -> Unreadable:
    return Unreadable(text, ("line", shorten(text), "a JSON object"))


def _reason(error: Exception) -> str:
    if isinstance(error, json.JSONDecodeError):
        return f"{error.msg} at column {error.colno}"
    return "nested too deeply" if isinstance(error, RecursionError) else "a number out of range"
