"""Compares the answers to GraphQL queries with the types that the vendor publishes.

The document has ``graphql``: name of a type → its ``fields`` (name → ``type`` in the schema language, such as ``[User!]!``,
and ``arguments``), or ``values`` for an enumeration. Read are queries of one operation whose fields have arguments and
selections; fragments, aliases and directives are not.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from cii_project.tools.scripted_sources.server import Answer, Asked
from tests.sync.published import AnswerDiffers

TOKEN = re.compile(r'"[^"]*"|[$\w]+|[\[\](){}:!=]')
# Scalars (spec.graphql.org/October2021, 3.5; GitHub's own: DateTime). An Int has 32 bits.
SCALARS: Mapping[str, Any] = {
    "Boolean": lambda value: isinstance(value, bool),
    "DateTime": lambda value: (
        isinstance(value, str) and datetime.fromisoformat(value).utcoffset() is not None
    ),
    "ID": lambda value: isinstance(value, str),
    "Int": lambda value: type(value) is int and -(2**31) <= value < 2**31,
    "String": lambda value: isinstance(value, str),
}


@dataclass
class SelectedField:
    """A field of a selection: its arguments by name, a variable as ``$name``, and what is selected of its value."""

    arguments: dict[str, str] = field(default_factory=dict)
    fields: dict[str, "SelectedField"] = field(default_factory=dict)


def graphql_matches(document: Mapping[str, Any], asked: Asked, answer: Answer) -> None:
    """Raises ``AnswerDiffers`` if the query asks for a field, an argument or a variable that is not published with this type, or
    if the data has other fields than the query selects or values of other types."""
    body, value = json.loads(asked.body), json.loads(answer.body)
    types = document["graphql"]
    variables, query = _parsed(body["query"])
    if set(body["variables"]) != set(variables):
        raise AnswerDiffers(f"The variables are {sorted(body['variables'])} and not {sorted(variables)}.")
    wrong = [
        *(
            text
            for name, kind in variables.items()
            for text in _value_differs(types, f"${name}", kind, body["variables"][name], {})
        ),
        *_query_differs(types, "Query", query, variables, ""),
    ]
    if not wrong:
        wrong = list(_fields_differ(types, "Query", "data", value.get("data"), query))
    if wrong:
        raise AnswerDiffers("\n".join(dict.fromkeys(wrong)))


# --- The query ----------------------------------------------------------------------------------------


def _parsed(query: str) -> tuple[dict[str, str], dict[str, SelectedField]]:
    """The variables with their types, and the fields of the operation."""
    tokens = iter(TOKEN.findall(query))
    if next(tokens) != "query" or next(tokens) != "(":
        raise AnswerDiffers("It is no query with variables.")
    return _pairs(tokens), _selection(tokens, next(tokens))


def _pairs(tokens: Iterator[str]) -> dict[str, str]:
    """Name → type or value, up to the closing parenthesis."""
    found: dict[str, str] = {}
    name = ""
    for token in tokens:
        if token == ")":
            return found
        if token == ":":
            continue
        if token in "[]!" or (name and not found[name].strip("[")):
            found[name] += token
        else:
            name = token.removeprefix("$")
            found[name] = ""
    raise AnswerDiffers("A parenthesis is not closed.")


def _selection(tokens: Iterator[str], opening: str) -> dict[str, SelectedField]:
    """The fields up to the closing brace."""
    found: dict[str, SelectedField] = {}
    last = SelectedField()
    if opening != "{":
        raise AnswerDiffers(f"“{opening}” where a selection begins.")
    for token in tokens:
        if token == "}":
            return found
        if token == "(":
            last.arguments = _pairs(tokens)
        elif token == "{":
            last.fields = _selection(tokens, token)
        else:
            last = found[token] = SelectedField()
    raise AnswerDiffers("A brace is not closed.")


def _query_differs(
    types: Mapping[str, Any],
    kind: str,
    fields: Mapping[str, SelectedField],
    variables: Mapping[str, str],
    path: str,
) -> Iterator[str]:
    known = types[kind]["fields"]
    for name, selected in fields.items():
        place = f"{path}.{name}".lstrip(".")
        if name not in known:
            yield f"{place}: {kind} has no such field."
            continue
        arguments = known[name].get("arguments", {})
        for argument, text in selected.arguments.items():
            wanted = arguments.get(argument)
            if wanted is None:
                yield f"{place}: argument {argument} is not published."
            elif text.startswith("$") and variables.get(text[1:]) not in (wanted, f"{wanted}!"):
                yield f"{place}: argument {argument} is {wanted} and not {variables.get(text[1:])}."
            elif wanted == "Boolean" and text not in ("true", "false"):
                yield f"{place}: argument {argument} is {wanted} and not {text}."
        yield from (
            f"{place}: argument {each} is missing."
            for each, wanted in arguments.items()
            if wanted.endswith("!") and each not in selected.arguments
        )
        inner = known[name]["type"].strip("[]!")
        has_fields = "fields" in types.get(inner, {})
        if has_fields != bool(selected.fields):
            yield f"{place}: {inner} {'needs a' if has_fields else 'has no'} selection."
        elif has_fields:
            yield from _query_differs(types, inner, selected.fields, variables, place)


# --- The data -----------------------------------------------------------------------------------------


def _fields_differ(
    types: Mapping[str, Any], kind: str, path: str, value: Any, selected: Mapping[str, SelectedField]
) -> Iterator[str]:
    if not isinstance(value, dict):
        yield f"{path}: {value!r} is no {kind}."
        return
    if set(value) != set(selected):
        yield f"{path}: the fields are {sorted(value)} and not {sorted(selected)}."
        return
    for name, each in value.items():
        wanted = types[kind]["fields"][name]["type"]
        yield from _value_differs(types, f"{path}.{name}", wanted, each, selected[name].fields)


def _value_differs(
    types: Mapping[str, Any], path: str, kind: str, value: Any, selected: Mapping[str, SelectedField]
) -> Iterator[str]:
    """``kind``: a type of the schema language; a ``!`` after it refuses null."""
    if value is None:
        if kind.endswith("!"):
            yield f"{path}: null is no {kind}."
        return
    kind = kind.removesuffix("!")
    if kind.startswith("["):
        if not isinstance(value, list):
            yield f"{path}: {value!r} is no list."
            return
        for place, each in enumerate(value):
            yield from _value_differs(types, f"{path}[{place}]", kind[1:-1], each, selected)
    elif "fields" in types.get(kind, {}):
        yield from _fields_differ(types, kind, path, value, selected)
    elif not _fits(types, kind, value):
        yield f"{path}: {value!r} is no {kind}."


def _fits(types: Mapping[str, Any], kind: str, value: Any) -> bool:
    """Whether a value is one of a scalar or of an enumeration."""
    if kind not in SCALARS:
        return value in types[kind]["values"]
    try:
        return bool(SCALARS[kind](value))
    except ValueError:
        return False
