"""A pushed resource becomes what is stored of it. Lenient about case and types, as Entra needs it: ``"False"`` is false.
Pure.
"""

import re
from collections.abc import Mapping, Sequence
from datetime import datetime

from integrations.json_types import Json, JsonObject
from integrations.sources.scim.errors import invalid_value
from integrations.sources.scim.schemas import CII_AD, CII_AD_SCHEMA, Attribute, ResourceType, Schema
from integrations.text_encoding import is_encodable

MAX_TEXT = 4_096
MAX_NAME = 320
MAX_EXTERNAL_ID = 255
MAX_ITEMS = 1_000
_WHOLE = re.compile(r"-?[0-9]{1,18}", re.ASCII)


def clean_resource(raw: object, kind: ResourceType) -> JsonObject:
    """The document to store: declared attributes in their own spelling, without what is unassigned, without ``id``,
    ``meta``, ``schemas`` and read-only attributes. Raises ScimError."""
    if not isinstance(raw, dict):
        raise invalid_value("Send a JSON object.")
    found: JsonObject = {}
    for name, value in raw.items():
        schema = kind.schema_of(name)
        if schema is not None and schema is not kind.main:
            if values := clean_extension(value, schema):
                found[schema.urn] = values
        elif (attribute := kind.attribute(name)) and not attribute.is_read_only:
            put(found, attribute, clean_value(value, attribute))
    _take_group_names(found, raw)
    return found


def _take_group_names(document: JsonObject, raw: Mapping[str, object]) -> None:
    """Cisco's collector sends a user's memberships with the user, as names and SIDs; there are no Group resources."""
    groups = next((value for name, value in raw.items() if name.lower() == "groups"), None)
    if CII_AD in document and isinstance(groups, list):
        names = [each.get("display") for each in groups[:MAX_ITEMS] if isinstance(each, dict)]
        attribute = CII_AD_SCHEMA.by_name["groupnames"]
        put(document[CII_AD], attribute, clean_value([name for name in names if name], attribute))


def clean_extension(value: object, schema: Schema) -> JsonObject:
    """The attributes of an extension. Raises ScimError."""
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise invalid_value(f"{schema.urn}: expected an object.")
    found: JsonObject = {}
    for name, item in value.items():
        attribute = schema.by_name.get(name.lower())
        if attribute and not attribute.is_read_only:
            put(found, attribute, clean_value(item, attribute))
    return found


def put(document: JsonObject, attribute: Attribute, value: object) -> None:
    """Set an attribute, or remove it where ``value`` says that it is unassigned."""
    is_empty = value in ("", {}) or (value == [] and not attribute.keeps_empty)
    if value is None or is_empty:
        document.pop(attribute.name, None)
    else:
        document[attribute.name] = value


def clean_value(value: object, attribute: Attribute) -> Json:
    """The value of an attribute; None: unassigned. Raises ScimError."""
    if value is None:
        return None
    if not attribute.is_multiple:
        # Entra sends the manager as a list of one.
        if isinstance(value, list) and len(value) == 1:
            value = value[0]
        return _single(value, attribute)
    items = value if isinstance(value, list) else [value]
    if len(items) > MAX_ITEMS and attribute.name != "members":
        raise invalid_value(f"{attribute.name}: at most {MAX_ITEMS:,} values are accepted.")
    cleaned = [item for each in items if (item := _single(each, attribute)) not in (None, "", {})]
    return _with_one_primary(cleaned)


def _single(value: object, attribute: Attribute) -> object:
    if attribute.parts:
        return _object(value, attribute)
    if attribute.type == "boolean":
        return _flag(value, attribute)
    if attribute.type == "integer":
        return _whole(value, attribute)
    text = _text(value, attribute)
    if attribute.type == "dateTime" and text:
        _check_moment(text, attribute)
    return text


def _object(value: object, attribute: Attribute) -> JsonObject | None:
    if value is None:
        return None
    if not isinstance(value, dict):
        if isinstance(value, list):
            raise invalid_value(f"{attribute.name}: expected an object.")
        first = attribute.part("value") or attribute.part("kind") or attribute.part("name")
        # A value alone, as Entra sends a manager.
        if first is None:
            raise invalid_value(f"{attribute.name}: expected an object.")
        value = {first.name: value}
    found: JsonObject = {}
    for name, item in value.items():
        if part := attribute.part(name):
            put(found, part, clean_value(item, part))
    return found


def _flag(value: object, attribute: Attribute) -> bool | None:
    if isinstance(value, bool):
        return value
    if isinstance(value, str):
        word = value.strip().lower()
        if word in ("true", "false"):
            return word == "true"
        if not word:
            return None
    raise invalid_value(f"{attribute.name}: expected true or false.")


def _whole(value: object, attribute: Attribute) -> int | None:
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 1 << 53:
        return value
    if isinstance(value, str) and _WHOLE.fullmatch(value.strip()):
        return int(value)
    raise invalid_value(f"{attribute.name}: expected a whole number.")


def _text(value: object, attribute: Attribute) -> str | None:
    if isinstance(value, bool | int | float):
        value = str(value).lower() if isinstance(value, bool) else str(value)
    if not isinstance(value, str):
        raise invalid_value(f"{attribute.name}: expected text.")
    if "\0" in value or not is_encodable(value):
        raise invalid_value(f"{attribute.name}: NUL and lone surrogates are not accepted.")
    most = {"userName": MAX_NAME, "externalId": MAX_EXTERNAL_ID}.get(attribute.name, MAX_TEXT)
    if len(value) > most:
        raise invalid_value(f"{attribute.name}: at most {most:,} characters are accepted.")
    return value


def moment_of(text: str) -> datetime:
    """The moment of a date or dateTime (RFC 7643, section 2.3.5). Raises ValueError. Python takes any character between
    date and time, and would read LDAP's 20261101101112Z as eleven minutes past one."""
    if not re.match(r"\d{4}-\d\d-\d\d(?:[Tt ]|$)", text):
        raise ValueError(text)
    return datetime.fromisoformat(text)


def _check_moment(text: str, attribute: Attribute) -> None:
    try:
        moment_of(text)
    except ValueError:
        raise invalid_value(f"{attribute.name}: expected a time such as 2026-11-29T08:30:00Z.") from None


def _with_one_primary(items: list[object]) -> list[object]:
    """Of several primary values the last one stays primary (RFC 7644, section 3.5.2)."""
    primary = [item for item in items if isinstance(item, dict) and item.get("primary")]
    for item in primary[:-1]:
        item["primary"] = False
    return items


def require(document: Mapping[str, object], kind: ResourceType) -> None:
    """Raises ScimError where a required attribute is missing."""
    for attribute in kind.main.attributes:
        if attribute.is_required and not str(document.get(attribute.name, "")).strip():
            raise invalid_value(f"{attribute.name} is required.")


def parse_names(text: str) -> tuple[str, ...]:
    """The names of ``attributes`` or ``excludedAttributes``: comma-separated, lower case."""
    return tuple(name.strip().lower() for name in text.split(",") if name.strip())[:200]


def selected(
    resource: JsonObject, kind: ResourceType, wanted: Sequence[str], excluded: Sequence[str]
) -> JsonObject:
    """A resource with the attributes that a request asks for; ``schemas`` and ``id`` always stay."""
    if not wanted and not excluded:
        return resource
    found: JsonObject = {}
    for name, value in resource.items():
        if name in ("schemas", "id"):
            found[name] = value
        elif (kept := _kept(name, value, kind, wanted, excluded)) is not None:
            found[name] = kept
    return found


def _kept(
    name: str, value: object, kind: ResourceType, wanted: Sequence[str], excluded: Sequence[str]
) -> object:
    """What stays of an attribute or an extension; None: nothing."""
    names = wanted or excluded
    schema = kind.schema_of(name)
    prefix = name.lower()
    spellings = {prefix} if schema else {prefix, f"{kind.main.urn.lower()}:{prefix}"}
    if spellings & set(names):
        return value if wanted else None
    separators = (":", ".") if schema else (".",)
    parts = {
        each[len(spelling) + 1 :]
        for spelling in spellings
        for each in names
        for separator in separators
        if each.startswith(spelling + separator)
    }
    if not parts:
        return None if wanted else value
    if schema and isinstance(value, dict):
        inner = {
            key: kept
            for key, item in value.items()
            if (kept := _part(key, item, parts, is_wanted=bool(wanted))) is not None
        }
        return inner or None
    return _parts(value, parts, is_wanted=bool(wanted))


def _part(key: str, value: object, names: set[str], *, is_wanted: bool) -> object:
    if key.lower() in names:
        return value if is_wanted else None
    below = {name[len(key) + 1 :] for name in names if name.startswith(key.lower() + ".")}
    if not below:
        return None if is_wanted else value
    return _parts(value, below, is_wanted=is_wanted)


def _parts(value: object, names: set[str], *, is_wanted: bool) -> object:
    if isinstance(value, list):
        return [_parts(item, names, is_wanted=is_wanted) for item in value]
    if isinstance(value, dict):
        return {key: item for key, item in value.items() if (key.lower() in names) == is_wanted}
    return value
