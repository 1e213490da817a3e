"""From a file to plain values: YAML or JSON within bounds, duplicate keys refused, references to secrets resolved."""

import difflib
import os
import re
import stat
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import yaml

from cii_project.errors import ProjectError
from integrations.services import (
    MAX_JSON_BYTES,
    MAX_JSON_DEPTH,
    MAX_JSON_VALUES,
    TOO_DEEP,
    TOO_FULL,
    Json,
    JsonMapping,
    JsonObject,
    JsonOutOfBounds,
    is_encodable,
    load_json,
)

# A secret read from a file: a client key with its chain is far smaller.
MAX_SECRET = 65_536
MERGE = "tag:yaml.org,2002:merge"
# These hold names that people choose, so that a header called "env" is no reference.
NAMED_FREELY = frozenset({"header", "query", "body"})
NO_REFERENCE = "Only a secret key, such as authorization.password, takes a reference. Write the value itself."


class ConfigurationErrors(ProjectError):
    """Everything that is wrong with a file: path of the key → what is wrong and what to write instead."""

    def __init__(self, errors: Mapping[str, str]) -> None:
        super().__init__("\n".join(f"{path}: {text}" for path, text in errors.items()))
        self.errors = dict(errors)


class Problems:
    """Errors as they are found; the first one at a path stays."""

    def __init__(self) -> None:
        self.found: dict[str, str] = {}

    def add(self, path: str, text: str) -> None:
        self.found.setdefault(path, text)

    def below(self, path: str) -> bool:
        return any(found == path or found.startswith(f"{path}.") for found in self.found)

    def raise_if_any(self) -> None:
        if self.found:
            raise ConfigurationErrors(self.found)


def join_path(path: str, key: object) -> str:
    """``path.key``; ``key`` alone at the top of the file."""
    return f"{path}.{key}" if path else str(key)


def suggest(text: object, known: Iterable[str]) -> str:
    """ "Did you mean …?" where a known word is near, else all of them."""
    words = [str(word) for word in known]
    near = difflib.get_close_matches(str(text), words, n=1, cutoff=0.6)
    if near:
        return f"Did you mean {near[0]}?"
    return f"Known: {', '.join(words)}." if words else "There is none yet."


# --- Files ------------------------------------------------------------------------------------------


class _Loader(yaml.SafeLoader):
    """YAML 1.2's plain words: ``NO`` is Norway, ``16:00`` a text, a date a text; duplicate keys are refused.

    Depth and number of the values are bounded while they are composed. An alias counts as the values that it
    repeats: nine lists of nine aliases each, eight levels deep, are 43 million values in 300 characters.
    """

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._depth = self._deepest = self._count = 0
        self._anchored: dict[str, tuple[int, int]] = {}  # anchor → number of values and levels below it

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        event = self.peek_event()  # type: ignore[no-untyped-call]
        if isinstance(event, yaml.AliasEvent):
            count, levels = self._anchored.get(str(event.anchor), (1, 0))
            self._add(count, self._depth + levels)
            return super().compose_node(parent, index)
        self._depth += 1
        self._add(1, self._depth)
        before, outside, self._deepest = self._count - 1, self._deepest, self._depth
        node = super().compose_node(parent, index)
        if isinstance(event, yaml.NodeEvent) and event.anchor:
            self._anchored[event.anchor] = (self._count - before, self._deepest - self._depth + 1)
        self._deepest = max(outside, self._deepest)
        self._depth -= 1
        return node

    def _add(self, count: int, depth: int) -> None:
        self._count += count
        self._deepest = max(self._deepest, depth)
        if self._count > MAX_JSON_VALUES:
            raise self._out_of_bounds(f"the file holds {TOO_FULL}, with the values that aliases repeat")
        if depth > MAX_JSON_DEPTH:
            raise self._out_of_bounds(f"the file is {TOO_DEEP}")

    def _out_of_bounds(self, problem: str) -> yaml.MarkedYAMLError:
        return yaml.MarkedYAMLError(problem=problem, problem_mark=self.get_mark())


_Loader.yaml_implicit_resolvers = {}
for _tag, _pattern, _first in (
    ("bool", r"true|True|TRUE|false|False|FALSE", "tTfF"),
    ("int", r"[-+]?[0-9]+", "-+0123456789"),
    ("float", r"[-+]?(?:\.[0-9]+|[0-9]+\.[0-9]*)(?:[eE][-+]?[0-9]+)?", "-+0123456789."),
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
):
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(rf"^(?:{_pattern})$"), list(_first))
_Loader.add_implicit_resolver(MERGE, re.compile(r"^(?:<<)$"), ["<"])


def _whole_number(loader: _Loader, node: yaml.ScalarNode) -> int:
    return int(loader.construct_scalar(node))


def _mapping(loader: _Loader, node: yaml.MappingNode) -> dict[Hashable, Json]:
    seen: set[str | float] = set()
    for key_node, _ in node.value:
        if key_node.tag == MERGE:
            continue
        key = loader.construct_object(key_node)
        if not isinstance(key, str | int | float | bool):
            raise yaml.MarkedYAMLError(problem="a key must be a text", problem_mark=key_node.start_mark)
        if key in seen:
            raise yaml.MarkedYAMLError(
                problem=f"the key {key} occurs twice", problem_mark=key_node.start_mark
            )
        seen.add(key)
    loader.flatten_mapping(node)
    return loader.construct_mapping(node, deep=True)


# YAML 1.1 reads 010 as eight; people mean ten.
_Loader.add_constructor("tag:yaml.org,2002:int", _whole_number)
_Loader.add_constructor("tag:yaml.org,2002:map", _mapping)


def _unique(pairs: list[tuple[str, Json]]) -> JsonObject:
    found: JsonObject = {}
    for key, value in pairs:
        if key in found:
            raise ValueError(f"the key {key} occurs there twice")
        found[key] = value
    return found


def load_yaml_or_json(text: str, *, as_json: bool = False) -> Json:
    """The value of a file's text. Raises :class:`ConfigurationErrors` with the line where one is known."""
    try:
        document = (
            load_json(text, object_pairs_hook=_unique) if as_json else yaml.load(text, _Loader)  # noqa: S506  # nosec B506  a SafeLoader
        )
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        place = f"line {mark.line + 1}, column {mark.column + 1}" if mark else "file"
        raise ConfigurationErrors({place: f"{error.problem or 'this is no YAML'}."}) from error
    except JsonOutOfBounds as error:
        raise ConfigurationErrors({"file": f"The file is {error}."}) from error
    except (ValueError, yaml.YAMLError, RecursionError) as error:
        raise ConfigurationErrors({"file": f"{error}."}) from error
    if unstorable := dict.fromkeys(
        _unstorable(document, ""), "Remove NUL characters and unpaired surrogates."
    ):
        raise ConfigurationErrors(unstorable)
    return document


def parse_document(text: str, *, as_json: bool) -> JsonObject:
    """The document of a configuration file's text."""
    document = load_yaml_or_json(text, as_json=as_json)
    if document is None:
        return {}
    if not isinstance(document, dict):
        raise ConfigurationErrors({"file": "Write keys such as integrations: and checks: at the top."})
    return document


def _unstorable(value: object, path: str) -> Iterator[str]:
    """The paths of texts that no database takes."""
    if isinstance(value, str) and ("\0" in value or not is_encodable(value)):
        yield path or "file"
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from _unstorable(key, path) if isinstance(key, str) else ()
            yield from _unstorable(item, join_path(path, ascii(key)[1:-1] if isinstance(key, str) else key))
    elif isinstance(value, list):
        for place, item in enumerate(value):
            yield from _unstorable(item, f"{path}[{place}]")


def read_file(path: Path) -> JsonObject:
    """Read a configuration file; ``.json`` is JSON, anything else YAML."""
    try:
        text = read_text(path, MAX_JSON_BYTES)
    except ValueError as error:
        raise ConfigurationErrors({"file": f"{path} cannot be read: {error}."}) from error
    return parse_document(text, as_json=path.suffix.lower() == ".json")


def read_text(path: str | Path, most: int, *, regular: bool = False) -> str:
    """The text of a file of at most ``most`` bytes; ``regular``: of no device, pipe or socket, which may have no end.

    Raises ValueError that says why not.
    """
    try:
        # Without O_NONBLOCK opening a pipe without a writer would never return.
        descriptor = os.open(path, os.O_RDONLY | (os.O_NONBLOCK if regular else 0))
        with open(descriptor, "rb") as stream:
            if regular and not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise ValueError("it is not a regular file")
            data = stream.read(most + 1)
    except OSError as error:
        raise ValueError(error.strerror or str(error)) from error
    if len(data) > most:
        raise ValueError(f"it is larger than {most:,} bytes")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise ValueError("it is not UTF-8 text") from None


# --- References -------------------------------------------------------------------------------------


def _from_environment(name: str, path: str, environment: Mapping[str, str], problems: Problems) -> str | None:
    value = environment.get(name)
    if value is None:
        problems.add(path, f"The environment variable {name} is not set.")
    elif not value:
        problems.add(path, f"The environment variable {name} is empty.")
    return value


def _from_file(name: str, path: str, problems: Problems) -> str | None:
    try:
        value = read_text(name, MAX_SECRET, regular=True).rstrip("\r\n")
    except ValueError as error:
        problems.add(path, f"The file {name} cannot be read: {error}.")
        return None
    if not value:
        problems.add(path, f"The file {name} is empty.")
    return value


def _reference(value: JsonMapping) -> tuple[str, str] | None:
    if len(value) != 1:
        return None
    ((word, name),) = value.items()
    return (word, name) if word in ("env", "file") and isinstance(name, str) else None


def item_label(item: object, place: int) -> str:
    """An item of a list in a path: its name if it has one, else its index."""
    name = item.get("name") if isinstance(item, dict) else None
    return name if isinstance(name, str) and name.strip() else str(place)


# Whether the key at a path within an integration is a secret one.
IsSecret = Callable[[Sequence[str]], bool]


def resolve(
    value: Json,
    path: str,
    is_secret: IsSecret,
    environment: Mapping[str, str],
    problems: Problems,
    keys: Sequence[str] = (),
) -> Json:
    """Replace each ``{env: NAME}`` and ``{file: PATH}`` by its value; a missing one is a problem.

    ``keys``: those that lead from the integration to ``value``. A reference is a problem except at a secret
    key: other values are shown on pages. A parameter (below ``header``, ``query`` or ``body``) becomes a
    secret one.
    """
    if isinstance(value, list):
        return [
            resolve(
                item, f"{path}[{item_label(item, place)}]", is_secret, environment, problems, (*keys, "[]")
            )
            for place, item in enumerate(value)
        ]
    if not isinstance(value, dict):
        return value
    if keys[-2:-1] and keys[-2] in NAMED_FREELY and _is_secret_reference(value):
        value = value["value"]
    reference = None if keys and keys[-1] in NAMED_FREELY else _reference(value)
    if reference is None:
        return {
            key: resolve(item, join_path(path, key), is_secret, environment, problems, (*keys, str(key)))
            for key, item in value.items()
        }
    if not is_secret(keys):
        problems.add(path, NO_REFERENCE)
        return None
    word, name = reference
    found = (
        _from_environment(name, path, environment, problems)
        if word == "env"
        else _from_file(name, path, problems)
    )
    return {"value": found, "secret": True} if keys[-2:-1] and keys[-2] in NAMED_FREELY else found


def _is_secret_reference(parameter: JsonMapping) -> bool:
    """Whether a parameter is written ``{value: {env: NAME}, secret: true}``, the long form of ``{env: NAME}``."""
    inner = parameter.get("value")
    return (
        set(parameter) == {"value", "secret"}
        and parameter["secret"] is True
        and isinstance(inner, dict)
        and _reference(inner) is not None
    )


def refuse_references(value: Json, path: str, problems: Problems) -> None:
    """Note each reference in a part of the document that has no secret keys."""
    resolve(value, path, lambda _: False, {}, problems)
