"""The records of a file as JSON objects, so that they wait in the spool like the records of an API.

A packed record holds the number of its line and the record by the file's own names; or, where it could not be read, why not and
what stands there.
"""

import orjson

from integrations.formats.reader import Read, UnreadableRecord, printable, shorten
from integrations.json_types import JsonMapping, JsonObject

NO_JSON = "UTF-8 text and numbers of at most 64 bits; save the file as UTF-8"


def packed(read: Read) -> JsonObject:
    """One record of a reader, packed."""
    line, record = read
    if not isinstance(record, UnreadableRecord):
        found: JsonObject = {"line": line, "record": record}
        return found if _is_storable(found) else packed((line, _unstorable(record)))
    cells, more = record.original, None
    if isinstance(cells, dict):
        cells, more = {name: value for name, value in cells.items() if name is not None}, cells.get(None)
    found = {"line": line, "problem": list(record.problem), "cells": cells, "more": more}
    if not _is_storable(found):
        found = {"line": line, "problem": list(record.problem), "cells": shorten(str(cells)), "more": None}
    return found


def unpacked(found: JsonMapping) -> Read:
    """The record as the reader gave it."""
    if "record" in found:
        return found["line"], found["record"]
    column, value, expected = found["problem"]
    original = found["cells"]
    if found.get("more") is not None:
        original = {**original, None: found["more"]}
    return found["line"], UnreadableRecord(original, (column, value, expected))


def _is_storable(found: JsonMapping) -> bool:
    try:
        orjson.dumps(found)
    except (orjson.JSONEncodeError, ValueError):
        return False
    return True


def _unstorable(record: JsonMapping) -> UnreadableRecord:
    """In place of a record with half a surrogate pair, which is how the reader passes on bytes that are not UTF-8."""
    text = ",".join(str(value) for value in record.values())
    cells = {printable(name): printable(str(value)) for name, value in record.items()}
    return UnreadableRecord(cells, ("row", shorten(text), NO_JSON))
