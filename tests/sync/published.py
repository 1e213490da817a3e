"""Compares what a scripted server answers with the schemas that the vendor publishes.

``published_schemas/NAME.json`` is a vendor's OpenAPI 3.0 document, cut to the operations that a source calls: ``paths`` with
``parameters`` and ``responses`` (their schemas in place or as ``$ref``), ``components.schemas``, and a ``$comment`` that names
the repository, the commit, the licence and how it was cut.

An answer may hold only what its schema names: an object whose schema lists properties is closed, unless the vendor opens it
with ``additionalProperties``.
"""

import json
import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator, FormatChecker

from cii_project.tools.scripted_sources.server import Answer, Asked

FOLDER = Path(__file__).parent / "published_schemas"
# Keywords that mean the same in OpenAPI 3.0 and in JSON Schema 2020-12.
SAME = (
    "type",
    "enum",
    "const",
    "pattern",
    "minLength",
    "maxLength",
    "minimum",
    "maximum",
    "minItems",
    "maxItems",
    "uniqueItems",
    "minProperties",
    "maxProperties",
    "required",
)
CHECKED_FORMATS = FormatChecker(formats=("email", "uuid", "ipv4", "ipv6"))


class AnswerDiffers(AssertionError):
    """An answer is not as the vendor publishes it. The text names each difference."""


@CHECKED_FORMATS.checks("date-time", raises=ValueError)
def _is_date_time(value: object) -> bool:
    """RFC 3339: a date, "T", a time and an offset."""
    return not isinstance(value, str) or (
        "T" in value and datetime.fromisoformat(value).utcoffset() is not None
    )


@cache
def published(name: str) -> dict[str, Any]:
    """The cut document of a vendor."""
    document: dict[str, Any] = json.loads((FOLDER / f"{name}.json").read_text())
    return document


def operation(document: Mapping[str, Any], path: str, method: str) -> tuple[str, Mapping[str, Any]]:
    """The published path that a request's path matches, and its operation. Raises ``AnswerDiffers`` if there is none."""
    parts = path.strip("/").split("/")
    found = [
        each
        for each in document["paths"]
        if len(wanted := each.strip("/").split("/")) == len(parts)
        and all(map(_matches, wanted, parts))
        and method.lower() in document["paths"][each]
    ]
    if not found:
        raise AnswerDiffers(f"{method} {path} is not published.")
    # “/users/me” before “/users/{id}”.
    chosen = min(found, key=lambda each: each.count("{"))
    return chosen, document["paths"][chosen][method.lower()]


def _matches(wanted: str, part: str) -> bool:
    """Whether a part of a path is that of the published one, in which “{id}” stands for any text."""
    pattern = re.sub(r"\\\{[^}]*\\\}", ".+", re.escape(wanted))
    return re.fullmatch(pattern, part) is not None


def answers_match(document: Mapping[str, Any], path: str, method: str, answer: Answer) -> None:
    """Raises ``AnswerDiffers`` if the vendor publishes no such operation or status, or another body.

    ``path``: of a request, such as /api/v1/users/00u1/factors. A status that the operation does not name may have a ``default``.
    """
    template, found = operation(document, path, method)
    responses = found["responses"]
    response = responses.get(str(answer.status), responses.get("default"))
    if response is None:
        raise AnswerDiffers(f"{method} {template}: status {answer.status} is not published.")
    schema = response.get("content", {}).get("application/json", {}).get("schema")
    if schema is None:
        if answer.body:
            raise AnswerDiffers(f"{method} {template} {answer.status}: a body is not published.")
        return
    validator = Draft202012Validator(_root(document, schema), format_checker=CHECKED_FORMATS)
    errors = _plain(list(_deepest(validator.iter_errors(json.loads(answer.body)))))
    if errors:
        texts = dict.fromkeys(f"  {each.json_path}: {each.message}" for each in errors)
        raise AnswerDiffers("\n".join([f"{method} {template} {answer.status}:", *texts]))


def request_matches(document: Mapping[str, Any], asked: Asked) -> None:
    """Raises ``AnswerDiffers`` if the vendor publishes no such operation, or other parameters of its query."""
    template, found = operation(document, asked.path, asked.method)
    parameters = {
        each["name"]: each["schema"] for each in found.get("parameters", ()) if each["in"] == "query"
    }
    for name, text in asked.query.items():
        if name not in parameters:
            raise AnswerDiffers(f"{asked.method} {template}: parameter {name} is not published.")
        value = _parameter(text, parameters[name].get("type", ""))
        for error in Draft202012Validator(_root(document, parameters[name])).iter_errors(value):
            raise AnswerDiffers(f"{asked.method} {template}: parameter {name}: {error.message}")


def _parameter(text: str, kind: str) -> object:
    """The value of a parameter as its type has it; a text that is none of the type stays."""
    if kind == "array":
        return text.split(",")
    if kind == "boolean":
        return {"true": True, "false": False}.get(text, text)
    return int(text) if kind == "integer" and re.fullmatch("-?[0-9]+", text) else text


def record_exchanges(provider: Any) -> list[tuple[Asked, Answer]]:
    """The requests and answers of a scripted provider from now on."""
    exchanges: list[tuple[Asked, Answer]] = []
    answer_of = provider.answer

    def answer(asked: Asked) -> Answer:
        answer = answer_of(asked)
        exchanges.append((asked, answer))
        return answer

    provider.answer = answer
    return exchanges


def _plain(errors: list[Any]) -> list[Any]:
    """Without what only follows from another error: the properties of a part that is not valid count as unevaluated."""
    others = [list(each.absolute_path) for each in errors if each.validator != "unevaluatedProperties"]
    return [
        each
        for each in errors
        if each.validator != "unevaluatedProperties"
        or not any(path[: len(each.absolute_path)] == list(each.absolute_path) for path in others)
    ]


def _deepest(errors: Any) -> Iterator[Any]:
    """The errors inside the branches of ``anyOf`` and ``oneOf``, if there is one branch that is not null."""
    for error in errors:
        branches = {each.schema_path[0] for each in error.context if each.message[-14:] != "of type 'null'"}
        inner = [each for each in error.context if each.schema_path[0] in branches]
        if len(branches) == 1:
            yield from _deepest(inner)
        else:
            yield error


# --- OpenAPI 3.0 as JSON Schema -----------------------------------------------------------------------


def _root(document: Mapping[str, Any], schema: Mapping[str, Any]) -> dict[str, Any]:
    """The JSON Schema of a value, with all that it refers to."""
    return {**_closed(document, schema), "components": _components(_Hashed(document))}


class _Hashed:
    """A document as a key of a cache: by its identity."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        self.document = document

    def __hash__(self) -> int:
        return id(self.document)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Hashed) and other.document is self.document


@cache
def _components(key: _Hashed) -> dict[str, Any]:
    schemas = key.document["components"]["schemas"]
    return {"schemas": {name: _open(key.document, each) for name, each in schemas.items()}}


def _closed(document: Mapping[str, Any], schema: Mapping[str, Any]) -> dict[str, Any]:
    """The schema of a whole value: no properties besides those that it and the schemas it consists of list."""
    found = _open(document, schema)
    return {**found, "unevaluatedProperties": False} if _lists_properties(document, schema) else found


def _lists_properties(document: Mapping[str, Any], schema: Mapping[str, Any]) -> bool:
    if "$ref" in schema:
        return _lists_properties(document, _referred(document, schema["$ref"]))
    parts = [each for name in ("allOf", "anyOf", "oneOf") for each in schema.get(name, ())]
    return bool(schema.get("properties")) or any(_lists_properties(document, each) for each in parts)


def _referred(document: Mapping[str, Any], ref: str) -> Mapping[str, Any]:
    schema: Mapping[str, Any] = document["components"]["schemas"][ref.removeprefix("#/components/schemas/")]
    return schema


def _open(document: Mapping[str, Any], schema: Mapping[str, Any]) -> dict[str, Any]:
    """The schema of a value or of a part of one (in ``allOf``): further properties are another part's."""
    if "$ref" in schema:
        # In OpenAPI 3.0 a reference stands alone.
        return {"$ref": schema["$ref"]}
    found: dict[str, Any] = {name: schema[name] for name in SAME if name in schema}
    if schema.get("format") in CHECKED_FORMATS.checkers:
        found["format"] = schema["format"]
    if "properties" in schema:
        # A request's alone: no answer has it.
        found["properties"] = {
            name: {"not": {}} if each.get("writeOnly") else _closed(document, each)
            for name, each in schema["properties"].items()
        }
    for name in ("items", "additionalProperties"):
        if name in schema:
            value = schema[name]
            found[name] = value if isinstance(value, bool) else _closed(document, value)
    for name in ("allOf", "anyOf", "oneOf"):
        if name in schema:
            found[name] = [_open(document, each) for each in schema[name]]
    if schema.get("discriminator", {}).get("mapping"):
        found = _chosen(found, schema["discriminator"])
    return _nullable(found) if schema.get("nullable") else found


def _chosen(found: dict[str, Any], discriminator: Mapping[str, Any]) -> dict[str, Any]:
    """One schema by the value of a property, so that an error is one of that schema."""
    name, mapping = discriminator["propertyName"], discriminator["mapping"]
    rest = {key: value for key, value in found.items() if key not in ("oneOf", "anyOf")}
    choices = [
        {
            "if": {"properties": {name: {"const": value}}, "required": [name]},
            "then": {"$ref": ref},
        }
        for value, ref in mapping.items()
    ]
    choice = {"required": [name], "properties": {name: {"enum": list(mapping)}}, "allOf": choices}
    return {**rest, "allOf": [*rest.get("allOf", []), choice]}


def _nullable(found: dict[str, Any]) -> dict[str, Any]:
    if "type" not in found:
        return {"anyOf": [{"type": "null"}, found]}
    null = {"enum": [*found["enum"], None]} if "enum" in found else {}
    return {**found, "type": [found["type"], "null"], **null}
