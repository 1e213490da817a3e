"""Values at dotted paths of nested mappings, such as ``authorization.endpoint``."""

from collections.abc import Mapping

from integrations.json_types import Json, JsonMapping, JsonObject


def value_at(values: JsonMapping, path: str, default: Json = None) -> Json:
    """The value at a dotted path; ``default`` if there is none."""
    found: Json = values
    for key in path.split("."):
        if not isinstance(found, Mapping) or key not in found:
            return default
        found = found[key]
    return found


def put_value(values: JsonObject, path: str, value: Json) -> None:
    """Set the value at a dotted path, in mappings that are added where they are missing."""
    *parents, key = path.split(".")
    for parent in parents:
        values = values.setdefault(parent, {})
    values[key] = value
