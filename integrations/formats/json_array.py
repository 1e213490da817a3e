"""A JSON array of objects, alone or as the one list inside an object, streamed. The number of a record is its
index in the array, from 1, since a whole array is often one line."""

from collections.abc import Iterator, Mapping
from itertools import chain
from typing import BinaryIO, ClassVar

import ijson

from integrations.formats import bounded_json, envelopes
from integrations.formats.file_kinds import refuse_other_kinds
from integrations.formats.reader import (
    BYTE_ORDER_MARK,
    FileSource,
    MappedKeys,
    Read,
    SourceError,
    UnreadableRecord,
    first_bytes,
    flattened,
    opening,
    out_of_bounds,
    peekable,
    rename,
    renamer,
    shorten,
)
from integrations.json_types import Json


class JsonArray(FileSource):
    slug: ClassVar[str] = "json"
    label: ClassVar[str] = "JSON array"
    extensions: ClassVar[tuple[str, ...]] = (".json",)
    first_bytes: ClassVar[bytes] = b"["
    unit: ClassVar[str] = "record"

    def read(self, stream: BinaryIO, mapping: Mapping[str, str] | None = None) -> Iterator[Read]:
        buffer = peekable(stream)
        refuse_other_kinds(opening(buffer))
        start = first_bytes(buffer)
        if not start:
            raise SourceError("the file is empty; an array without records is []")
        if start[:1] not in b"[{":
            raise SourceError("the file is not a JSON array: it does not start with '['; choose its format")
        if buffer.peek(3).startswith(BYTE_ORDER_MARK):
            buffer.read(len(BYTE_ORDER_MARK))
        names = renamer(mapping)
        claimed, mapped = {*names, *names.values()}, MappedKeys(names)
        number = 0
        try:
            for number, value in enumerate(_items(_Metered(buffer), in_object=start[:1] == b"{"), 1):
                if isinstance(value, dict):
                    flat = flattened(value)
                    mapped.see(flat)
                    yield number, rename(flat, names, claimed)
                else:
                    yield number, UnreadableRecord(value, ("item", shorten(str(value)), "a JSON object"))
        except bounded_json.OutOfBounds as error:
            raise out_of_bounds(number + 1, self.unit, str(error)) from error
        except (ijson.JSONError, ValueError) as error:
            if isinstance(error, SourceError):
                raise
            reason = shorten(next(iter(str(error).splitlines()), type(error).__name__))
            raise SourceError(f"the file is not a JSON array: after record {number}: {reason}") from error
        mapped.refuse_missing()


class _Metered:
    """A stream that ends in an error where one record takes more than the bounds allow; ``start_record()`` says that
    the next record starts. What was read ahead for it counts for the one before."""

    def __init__(self, stream: BinaryIO) -> None:
        self.stream, self.size = stream, 0

    def start_record(self) -> None:
        self.size = 0

    def read(self, size: int) -> bytes:
        data = self.stream.read(size)
        self.size += len(data)
        if self.size > bounded_json.MAX_BYTES + size:
            raise bounded_json.OutOfBounds(bounded_json.TOO_LARGE)
        return data


Events = Iterator[tuple[str, Json]]


def _items(stream: _Metered, *, in_object: bool) -> Iterator[object]:
    """The items of the array that the stream holds, within the bounds of a record.

    ijson.items has no such bounds: it keeps the path to every value, which takes gigabytes for a megabyte of brackets.
    """
    events: Events = ijson.basic_parse(stream, use_float=True)
    if not in_object:
        next(events)
        yield from _items_of_list(events, stream)
    else:
        name, pending = _enter_list(events)
        yield from _items_of_list(chain(pending, events), stream)
        _leave_object(events, stream, name)
    for _ in events:
        pass


def _enter_list(events: Events) -> tuple[str, list[tuple[str, object]]]:
    """Read up to the list of records: its name, and what was read of it."""
    depth, key = 0, ""
    for event, value in events:
        if event == "map_key":
            key = value
        elif event == "start_array":
            following = next(events)
            if _is_record_list(key, depth, following):
                return key, [following]
            depth += 1 + _change(following)
        else:
            depth += _change((event, value))
        if depth > bounded_json.MAX_DEPTH:
            raise bounded_json.OutOfBounds(bounded_json.TOO_DEEP)
    raise SourceError(
        "the file is not a JSON array, nor an object with a list of users inside, such as value, Resources or users"
    )


def _is_record_list(key: str, depth: int, following: tuple[str, object]) -> bool:
    """Whether a list at this depth of objects, whose first event is ``following``, is the list of records."""
    if depth > envelopes.MAX_ENVELOPE_DEPTH or following[0] not in ("start_map", "end_array"):
        return False
    return envelopes.holds_records(key, of_objects=following[0] == "start_map")


def _change(event: tuple[str, object]) -> int:
    return {"start_map": 1, "start_array": 1, "end_map": -1, "end_array": -1}.get(event[0], 0)


def _leave_object(events: Events, stream: _Metered, name: str) -> None:
    """Read what follows the list of records. A second list of records would be lost: it is refused."""
    depth, key = 0, ""
    for event, value in events:
        stream.start_record()
        if event == "map_key":
            key = value
        elif event == "start_array" and depth == 0:
            following = next(events)
            if following[0] == "start_map" and _is_record_list(key, 1, following):
                raise SourceError(
                    f"the file is not a JSON array: the object holds several lists ({shorten(name)}, {shorten(key)}); "
                    "save the list of users alone"
                )
            depth += 1 + _change(following)
        else:
            depth = max(depth + _change((event, value)), 0)


def _items_of_list(events: Events, stream: _Metered) -> Iterator[object]:
    """The items up to the end of the list that was just opened."""
    stack: list[
        tuple[object, object]
    ] = []  # the containers that are open, each with its key in the one around it
    holder: object = None
    key: object = None
    count = 0
    for event, value in events:
        if event == "map_key":
            key = value
            continue
        count += 1
        if event in ("start_map", "start_array"):
            if len(stack) >= bounded_json.MAX_DEPTH:
                raise bounded_json.OutOfBounds(bounded_json.TOO_DEEP)
            stack.append((holder, key))
            holder = {} if event == "start_map" else []
            continue
        if event in ("end_map", "end_array"):
            if not stack:
                return
            value = holder
            holder, key = stack.pop()
        if not stack:
            yield value
            stream.start_record()
            count = 0
        else:
            _put(holder, key, value)
        if count > bounded_json.MAX_VALUES:
            raise bounded_json.OutOfBounds(bounded_json.TOO_FULL)


def _put(holder: object, key: object, value: object) -> None:
    if isinstance(holder, dict):
        holder[key] = value
    elif isinstance(holder, list):
        holder.append(value)
