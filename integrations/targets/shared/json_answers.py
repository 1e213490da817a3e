"""Writes JSON for an API, and reads values from any answer. Pure."""

import json
from collections.abc import Mapping

from integrations.formats import bounded_json
from integrations.json_types import Json, JsonMapping, JsonObject


def compact(value: object) -> bytes:
    """The value as JSON in UTF-8 without spaces."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode(
        "utf-8", "replace"
    )


def parse_object(body: bytes) -> JsonObject:
    """The JSON object that an answer holds; empty if it holds none."""
    try:
        found = bounded_json.loads(body)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def objects_at(answer: JsonMapping, key: str) -> list[JsonObject] | None:
    """The JSON objects of the list at ``key``, without its other items; None if there is no list."""
    found = answer.get(key)
    return [item for item in found if isinstance(item, dict)] if isinstance(found, list) else None


def object_at(answer: JsonMapping, *keys: str) -> JsonObject:
    """The JSON object at the nested keys; empty if there is none."""
    found: Json = answer
    for key in keys:
        found = found.get(key) if isinstance(found, Mapping) else None
    return found if isinstance(found, dict) else {}


def text_at(answer: JsonMapping, *keys: str) -> str:
    """The text at the nested keys, without space around it; empty if there is none."""
    *parents, last = keys
    found = object_at(answer, *parents).get(last)
    return found.strip() if isinstance(found, str) else ""


def texts_at(answer: JsonMapping, key: str) -> list[str]:
    """The texts of the list at ``key``, without empty ones and items of other types; empty if there is no list."""
    found = answer.get(key)
    return [item for item in found if item and isinstance(item, str)] if isinstance(found, list) else []
