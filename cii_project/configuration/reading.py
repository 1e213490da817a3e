"""From a file to plain values: YAML or JSON, duplicate keys refused, references to secrets resolved."""

import difflib
import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml

LARGEST_FILE = 4 << 20
MERGE = "tag:yaml.org,2002:merge"
# These hold names that people choose, so that a header called "env" is no reference.
NAMED_FREELY = frozenset({"header", "query", "body"})


class ConfigurationErrors(Exception):
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


def join(path: str, key: object) -> str:
    return f"{path}.{key}" if path else str(key)


def one_of(text: object, known: Iterable[str]) -> str:
    """ "Did you mean …?" where a known word is near, else all of them."""
    words = [str(word) for word in known]
    near = difflib.get_close_matches(str(text), words, n=1, cutoff=0.6)
    if near:
        return f"Did you mean {near[0]}?"
    return f"Known: {', '.join(words)}." if words else "There is none yet."


# --- Files ------------------------------------------------------------------------------------------


class _Loader(yaml.SafeLoader):
    """YAML 1.2's plain words: ``NO`` is Norway, ``16:00`` a text, a date a text; duplicate keys are refused."""


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


def _mapping(loader: _Loader, node: yaml.MappingNode) -> dict[Any, Any]:
    seen: set[Any] = set()
    for key_node, _ in node.value:
        if key_node.tag == MERGE:
            continue
        key = loader.construct_object(key_node)
        if not isinstance(key, str | int | float | bool):
            raise yaml.MarkedYAMLError(problem="a key must be a text", problem_mark=key_node.start_mark)
        if key in seen:
            raise yaml.MarkedYAMLError(
                problem=f"the key {key} stands here twice", problem_mark=key_node.start_mark
            )
        seen.add(key)
    loader.flatten_mapping(node)
    return loader.construct_mapping(node, deep=True)


# YAML 1.1 reads 010 as eight; people mean ten.
_Loader.add_constructor("tag:yaml.org,2002:int", _whole_number)
_Loader.add_constructor("tag:yaml.org,2002:map", _mapping)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise ValueError(f"the key {key} stands there twice")
        found[key] = value
    return found


def parse(text: str, *, as_json: bool) -> dict[str, Any]:
    """The document of a file's text. Raises :class:`ConfigurationErrors` with the line where one is known."""
    try:
        # The loader is a SafeLoader.
        document = json.loads(text, object_pairs_hook=_unique) if as_json else yaml.load(text, _Loader)  # noqa: S506
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        place = f"line {mark.line + 1}, column {mark.column + 1}" if mark else "file"
        raise ConfigurationErrors({place: f"{error.problem or 'this is no YAML'}."}) from error
    except (ValueError, yaml.YAMLError, RecursionError) as error:
        raise ConfigurationErrors({"file": f"{error}."}) from error
    if document is None:
        return {}
    if not isinstance(document, dict):
        raise ConfigurationErrors({"file": "Write keys such as integrations: and checks: at the top."})
    return document


def read_file(path: Path) -> dict[str, Any]:
    """Read a configuration file; ``.json`` is JSON, anything else YAML."""
    try:
        if path.stat().st_size > LARGEST_FILE:
            raise ConfigurationErrors({"file": f"{path} is larger than {LARGEST_FILE >> 20} MiB."})
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationErrors({"file": f"{path} cannot be read: {error}."}) from error
    return parse(text, as_json=path.suffix.lower() == ".json")


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
        return Path(name).read_text(encoding="utf-8").rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no UTF-8 text"
        problems.add(path, f"The file {name} cannot be read: {reason}.")
        return None


def _reference(value: Mapping[str, Any]) -> tuple[str, str] | None:
    if len(value) != 1:
        return None
    ((word, name),) = value.items()
    return (word, name) if word in ("env", "file") and isinstance(name, str) else None


def label(item: Any, place: int) -> str:
    """How a path names an item of a list: by its name where it has one."""
    name = item.get("name") if isinstance(item, dict) else None
    return name if isinstance(name, str) and name.strip() else str(place)


def resolve(value: Any, path: str, environment: Mapping[str, str], problems: Problems) -> Any:
    """Replace each ``{env: NAME}`` and ``{file: PATH}`` by what it names; a missing one is a problem.

    A parameter (below ``header``, ``query`` or ``body``) whose value is a reference becomes a secret one.
    """
    if isinstance(value, list):
        return [
            resolve(item, f"{path}[{label(item, place)}]", environment, problems)
            for place, item in enumerate(value)
        ]
    if not isinstance(value, dict):
        return value
    parent, _, key = path.rpartition(".")
    reference = None if key in NAMED_FREELY else _reference(value)
    if reference is None:
        return {key: resolve(item, join(path, key), environment, problems) for key, item in value.items()}
    word, name = reference
    found = (
        _from_environment(name, path, environment, problems)
        if word == "env"
        else _from_file(name, path, problems)
    )
    return {"value": found, "secret": True} if parent.rpartition(".")[2] in NAMED_FREELY else found
