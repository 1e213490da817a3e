"""Filters and paths of SCIM (RFC 7644, sections 3.4.2.2 and 3.5.2), read from left to right within bounds.

Every token is matched by a pattern without nested repetition, so that reading takes time in proportion to the text.
"""

import json
import operator
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from integrations.sources.scim.errors import ScimError
from integrations.sources.scim.schemas import Attribute, ResourceType

MAX_FILTER = 4_096
MAX_TERMS = 50
MAX_DEPTH = 10
OPERATORS = frozenset(("eq", "ne", "co", "sw", "ew", "gt", "ge", "lt", "le", "pr"))
_TOKEN = re.compile(
    r'\s*(?:(?P<text>"(?:[^"\\]|\\.)*")|(?P<mark>[()\[\]])|(?P<word>[^\s()\[\]"]+))', re.DOTALL
)


@dataclass(frozen=True, slots=True)
class Path:
    """``schema``: the URN of an extension, "" for the main schema; ``name``, ``part``: attribute and sub-attribute in lower
    case; ``attribute``: its declaration, None for one that is not declared."""

    schema: str
    name: str
    part: str
    attribute: Attribute | None

    @property
    def declared(self) -> Attribute | None:
        """The declaration of what the path leads to."""
        return self.attribute.part(self.part) if self.attribute and self.part else self.attribute


@dataclass(frozen=True, slots=True)
class Comparison:
    path: Path
    operator: str
    value: object = None


@dataclass(frozen=True, slots=True)
class ValuePath:
    """``emails[type eq "work"]``: some item of the list meets the filter."""

    path: Path
    inner: "Filter"


@dataclass(frozen=True, slots=True)
class Negation:
    inner: "Filter"


@dataclass(frozen=True, slots=True)
class Junction:
    """``is_all``: and; else or."""

    is_all: bool
    parts: tuple["Filter", ...]


Filter = Comparison | ValuePath | Negation | Junction


def _bad(text: str) -> ScimError:
    return ScimError(400, f"The filter is not accepted: {text}", "invalidFilter")


def resolve_path(text: str, kind: ResourceType, parent: Attribute | None = None) -> Path:
    """Read ``name``, ``name.part``, ``urn:…:User:name.part`` or Okta's ``urn:…:User.name``. ``parent``: inside its brackets."""
    if parent is not None:
        return Path("", text.lower(), "", parent.part(text))
    schema, rest = "", text
    lower = text.lower()
    for urn in kind.urns:
        if lower.startswith(urn.lower()) and lower[len(urn) : len(urn) + 1] in (":", "."):
            schema, rest = ("" if urn == kind.main.urn else urn), text[len(urn) + 1 :]
            break
        if lower == urn.lower():
            return Path(urn if urn != kind.main.urn else "", "", "", None)
    name, _, part = rest.partition(".")
    found = kind.schema_of(schema) if schema else None
    attribute = found.by_name.get(name.lower()) if found else None if schema else kind.attribute(name)
    return Path(schema, name.lower(), part.lower(), attribute)


def parse_filter(text: str, kind: ResourceType) -> Filter:
    """Raises ScimError (invalidFilter)."""
    if len(text) > MAX_FILTER:
        raise _bad(f"it has more than {MAX_FILTER:,} characters.")
    reader = _FilterReader(text, kind)
    found = reader.junction(None, 0)
    if reader.peek() is not None:
        raise _bad(f"“{reader.peek()}” is not expected.")
    return found


class _FilterReader:
    def __init__(self, text: str, kind: ResourceType) -> None:
        self.tokens = list(_tokens(text))
        self.kind = kind
        self.at = self.terms = 0

    def peek(self) -> str | None:
        return self.tokens[self.at] if self.at < len(self.tokens) else None

    def next(self) -> str:
        token = self.peek()
        if token is None:
            raise _bad("it ends too early.")
        self.at += 1
        return token

    def takes(self, word: str) -> bool:
        token = self.peek()
        if token is None or token.lower() != word:
            return False
        self.at += 1
        return True

    def junction(self, parent: Attribute | None, depth: int) -> Filter:
        if depth > MAX_DEPTH:
            raise _bad(f"it is nested more than {MAX_DEPTH} levels deep.")
        alternatives = [self._all(parent, depth)]
        while self.takes("or"):
            alternatives.append(self._all(parent, depth))
        return alternatives[0] if len(alternatives) == 1 else Junction(False, tuple(alternatives))

    def _all(self, parent: Attribute | None, depth: int) -> Filter:
        parts = [self._one(parent, depth)]
        while self.takes("and"):
            parts.append(self._one(parent, depth))
        return parts[0] if len(parts) == 1 else Junction(True, tuple(parts))

    def _one(self, parent: Attribute | None, depth: int) -> Filter:
        self.terms += 1
        if self.terms > MAX_TERMS:
            raise _bad(f"it has more than {MAX_TERMS} conditions.")
        if self.takes("not"):
            if not self.takes("("):
                raise _bad("“not” needs a condition in parentheses.")
            return Negation(self._closed(parent, depth, ")"))
        if self.takes("("):
            return self._closed(parent, depth, ")")
        name = self.next()
        if name[0] in '"()[]':
            raise _bad(f"an attribute is expected instead of “{name[:40]}”.")
        path = resolve_path(name, self.kind, parent)
        if self.takes("["):
            if parent is not None or path.part or path.attribute is None or not path.attribute.parts:
                raise _bad(f"“{name[:40]}” has no values to select by brackets.")
            return ValuePath(path, self._closed(path.attribute, depth, "]"))
        verb = self.next().lower()
        if verb not in OPERATORS:
            raise _bad(f"“{verb[:40]}” is not one of {', '.join(sorted(OPERATORS))}.")
        return Comparison(path, verb, None if verb == "pr" else _literal(self.next()))

    def _closed(self, parent: Attribute | None, depth: int, mark: str) -> Filter:
        inner = self.junction(parent, depth + 1)
        if not self.takes(mark):
            raise _bad(f"“{mark}” is missing.")
        return inner


def _tokens(text: str) -> Iterator[str]:
    at, end = 0, len(text.rstrip())
    while at < end:
        found = _TOKEN.match(text, at, end)
        if not found:
            raise _bad(f"“{text[at : at + 40].strip()}” cannot be read.")
        yield found["text"] or found["mark"] or found["word"]
        at = found.end()


def _literal(token: str) -> object:
    lowered = token.lower()
    if lowered in ("true", "false"):
        return lowered == "true"
    if lowered == "null":
        return None
    if token.startswith('"') or re.fullmatch(r"-?[0-9]{1,18}(?:\.[0-9]{1,18})?", token):
        try:
            return json.loads(token, strict=False)
        except ValueError:
            pass
    raise _bad(f"“{token[:40]}” is not a value; write text in double quotes.")


def matches(found: Filter, resource: Mapping[str, object]) -> bool:
    """Whether a resource as it is answered meets a filter."""
    match found:
        case Junction(is_all=True):
            return all(matches(part, resource) for part in found.parts)
        case Junction():
            return any(matches(part, resource) for part in found.parts)
        case Negation():
            return not matches(found.inner, resource)
        case ValuePath():
            return any(
                isinstance(item, dict) and matches(found.inner, item)
                for item in _listed(_at(resource, found.path))
            )
    return _compares(found, resource)


def _at(resource: Mapping[str, object], path: Path) -> object:
    """The value of an attribute, without its sub-attribute."""
    holder: object = resource.get(path.schema, {}) if path.schema else resource
    name = path.attribute.name if path.attribute else path.name
    return holder.get(name) if isinstance(holder, dict) else None


def _listed(value: object) -> list[object]:
    return value if isinstance(value, list) else [] if value is None else [value]


def _values(comparison: Comparison, resource: Mapping[str, object]) -> Iterator[object]:
    path = comparison.path
    for item in _listed(_at(resource, path)):
        if not isinstance(item, dict):
            yield item
        elif path.part:
            declared = path.declared
            yield item.get(declared.name if declared else path.part)
        elif comparison.operator == "pr":
            yield item
        else:
            yield item.get("value")


def _compares(comparison: Comparison, resource: Mapping[str, object]) -> bool:
    values = [value for value in _values(comparison, resource) if value is not None]
    if comparison.operator == "pr":
        return any(value not in ("", [], {}) for value in values)
    declared = comparison.path.declared
    is_exact = bool(declared and declared.is_exact)
    wanted = _comparable(comparison.value, is_exact=is_exact)
    if comparison.operator == "ne":
        return all(_comparable(value, is_exact=is_exact) != wanted for value in values)
    if wanted is None:
        return comparison.operator == "eq" and not values
    return any(_holds(comparison.operator, _comparable(value, is_exact=is_exact), wanted) for value in values)


def _comparable(value: object, *, is_exact: bool) -> object:
    """Texts without case; ``"True"`` as true, as Entra writes it."""
    if isinstance(value, str):
        folded = value.casefold()
        return value if is_exact else {"true": True, "false": False}.get(folded, folded)
    return value


_OF_TEXT: Mapping[str, Callable[[str, str], bool]] = {
    "co": lambda value, wanted: wanted in value,
    "sw": str.startswith,
    "ew": str.endswith,
}
_OF_ORDER: Mapping[str, Callable[[Any, Any], bool]] = {
    "gt": operator.gt,
    "ge": operator.ge,
    "lt": operator.lt,
    "le": operator.le,
}


def _holds(name: str, value: object, wanted: object) -> bool:
    if name == "eq":
        return bool(value == wanted)
    if isinstance(value, str) and isinstance(wanted, str):
        return bool({**_OF_TEXT, **_OF_ORDER}[name](value, wanted))
    numbers = all(isinstance(each, int | float) and not isinstance(each, bool) for each in (value, wanted))
    return numbers and name in _OF_ORDER and bool(_OF_ORDER[name](value, wanted))


def equalities(found: Filter) -> Iterator[tuple[str, str]]:
    """Attribute in lower case and text of the ``eq`` that every match meets: by them the store selects rows."""
    match found:
        case Junction(is_all=True):
            for part in found.parts:
                yield from equalities(part)
        case Comparison(operator="eq", value=str() as text) if not found.path.schema and not found.path.part:
            yield found.path.name, text
