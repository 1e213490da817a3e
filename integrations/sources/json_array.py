"""A JSON array of objects, streamed. The number of a record is its place in the array, from 1: where
an array stands on one line, lines say nothing."""

from collections.abc import Iterator, Mapping
from typing import BinaryIO, ClassVar

import ijson

from integrations.sources.base import (
    BYTE_ORDER_MARK,
    FileSource,
    Read,
    SourceError,
    Unreadable,
    beginning,
    peekable,
    rename,
    renamer,
    shorten,
)


class JsonArray(FileSource):
    slug: ClassVar[str] = "json"
    label: ClassVar[str] = "JSON array"
    extensions: ClassVar[tuple[str, ...]] = (".json",)
    first_bytes: ClassVar[bytes] = b"["
    unit: ClassVar[str] = "record"

    def read(self, stream: BinaryIO, mapping: Mapping[str, str] | None = None) -> Iterator[Read]:
        buffer = peekable(stream)
        start = beginning(buffer)
        if not start:
            raise SourceError("the file is empty; an array without records is []")
        if start[:1] != b"[":
            raise SourceError("the file is no JSON array: it does not begin with '['; see --format")
        if buffer.peek(3).startswith(BYTE_ORDER_MARK):
            buffer.read(len(BYTE_ORDER_MARK))
        names = renamer(mapping)
        claimed = {*names, *names.values()}
        number = 0
        try:
            for number, value in enumerate(ijson.items(buffer, "item", use_float=True), 1):
                if isinstance(value, dict):
                    yield number, rename(value, names, claimed)
                else:
                    yield number, Unreadable(value, ("item", shorten(str(value)), "a JSON object"))
        except (ijson.JSONError, UnicodeDecodeError) as error:
            reason = shorten(next(iter(str(error).splitlines()), type(error).__name__))
            raise SourceError(f"the file is no JSON array: after record {number}: {reason}") from error
