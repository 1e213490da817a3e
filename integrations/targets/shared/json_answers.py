"""Writes JSON for an API, and reads values from any answer. Pure."""

import json
import re
from collections.abc import Mapping

from integrations.formats import bounded_json
from integrations.json_types import Json, JsonMapping, JsonObject
from integrations.transport.http import HttpAnswer

_TITLE = re.compile(r"<title[^<>]*>([^<>]*)</title", re.IGNORECASE)


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
    """The texts of the list at ``key``, without empty ones and items of other types; a text is a list of itself."""
    found = answer.get(key)
    items = found if isinstance(found, list) else [found]
    return [item for item in items if item and isinstance(item, str)]


def text_of(value: Json) -> str:
    """A value of an answer for a sentence: texts and numbers unchanged, others as JSON; "" for null and what is empty."""
    if isinstance(value, str):
        return value.strip()
    # Not by compact(), which refuses NaN: an answer may have it.
    return "" if value in (None, [], {}) else json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def code_and_message(code: str, message: str) -> str:
    """“code: message”, or the one that is not empty."""
    return ": ".join(part for part in (code, message) if part)


def refusal_reason(answer: HttpAnswer, advice: str, words: str = "") -> str:
    """Why a request was refused: ``advice``, then the vendor's ``words``, or without them the status and the body's text.

    The texts are not changed or cut, because secrets in them are masked later.
    """
    if words:
        return f"{advice} {words}"
    if not answer.is_whole:
        # The end of what was received may be a part of a secret.
        return f"{advice} The answer was {answer.status}. {answer.incomplete}".strip()
    text = _body_text(answer.body)
    return f"{advice} The answer was {answer.status}{f': {text}' if text else '.'}"


def _body_text(body: bytes) -> str:
    """The text of a body, or the title of a page of HTML."""
    text = body.decode("utf-8", "replace").strip()
    if not text.startswith("<"):
        return text
    title = _TITLE.search(text)
    return title[1].strip() if title else ""
