"""PATCH (RFC 7644, section 3.5.2) on a stored document, in the spellings of Okta and Entra: operations in any case, paths
as keys of a value without a path, a value path that selects nothing yet. Pure.
"""

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass, field

from integrations.json_types import JsonObject
from integrations.sources.scim.documents import clean_extension, clean_value, put
from integrations.sources.scim.errors import ScimError, invalid_syntax, invalid_value
from integrations.sources.scim.filters import (
    Comparison,
    Filter,
    Junction,
    Path,
    ValuePath,
    equalities,
    matches,
    parse_filter,
    resolve_path,
)
from integrations.sources.scim.schemas import Attribute, ResourceType, Schema

MAX_OPERATIONS = 1_000
VERBS = ("add", "replace", "remove")


@dataclass(slots=True)
class MemberChange:
    """A change of a group's members, in the order of the operations. ``ids`` None: all of them."""

    verb: str
    ids: list[str] | None


@dataclass(slots=True)
class Patched:
    """The document after the operations; ``members``: what to change in the group's memberships."""

    document: JsonObject
    members: list[MemberChange] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _PatchTarget:
    """``selection``: the filter in brackets, None without one."""

    path: Path
    selection: Filter | None = None


def patch(document: Mapping[str, object], body: object, kind: ResourceType) -> Patched:
    """Apply a PatchOp message. Raises ScimError; then nothing is changed."""
    operations = _operations(body)
    patched = Patched(deepcopy(dict(document)))
    for operation in operations:
        if not isinstance(operation, dict):
            raise invalid_syntax("Each of the Operations is an object.")
        named = {key.lower(): value for key, value in operation.items()}
        verb = named.get("op")
        if not isinstance(verb, str) or verb.lower() not in VERBS:
            raise invalid_syntax(f"op: expected one of {', '.join(VERBS)}.")
        _apply(patched, verb.lower(), named.get("path"), named.get("value"), kind)
    return patched


def _operations(body: object) -> list[object]:
    if not isinstance(body, dict):
        raise invalid_syntax("Send a JSON object.")
    found = next((value for key, value in body.items() if key.lower() == "operations"), None)
    if not isinstance(found, list) or not found:
        raise invalid_syntax("Operations: expected a list with at least one operation.")
    if len(found) > MAX_OPERATIONS:
        raise ScimError(413, f"At most {MAX_OPERATIONS:,} operations are accepted in one PATCH.")
    return found


def _apply(patched: Patched, verb: str, path: object, value: object, kind: ResourceType) -> None:
    if path is not None and not isinstance(path, str):
        raise ScimError(400, "path: expected text.", "invalidPath")
    if not path:
        if verb == "remove":
            raise ScimError(400, "remove needs a path.", "noTarget")
        if not isinstance(value, dict):
            raise invalid_value("Without a path, value is an object.")
        for name, item in value.items():
            _apply_named(patched, verb, name, item, kind)
        return
    target = parse_target(path, kind)
    if kind.main.by_name.get("members") and target.path.name == "members" and not target.path.schema:
        patched.members.append(_member_change(verb, target, value))
        return
    _change(patched.document, verb, target, value, kind)


def _apply_named(patched: Patched, verb: str, name: str, item: object, kind: ResourceType) -> None:
    """One entry of a value without a path."""
    schema = kind.schema_of(name)
    if schema is not None and isinstance(item, dict):
        for key, inner in item.items():
            _apply(patched, verb, f"{schema.urn}:{key}", inner, kind)
    elif name.lower() not in ("schemas", "id", "meta"):
        # Okta repeats the id in its value.
        _apply(patched, verb, name, item, kind)


def parse_target(path: str, kind: ResourceType) -> _PatchTarget:
    """Raises ScimError (invalidPath)."""
    head, bracket, rest = path.partition("[")
    if not bracket:
        return _PatchTarget(resolve_path(path.strip(), kind))
    inside, closing, tail = rest.rpartition("]")
    if not closing or (tail and not tail.startswith(".")):
        raise ScimError(400, "path: a bracket is missing.", "invalidPath")
    try:
        found = parse_filter(f"{head}[{inside}]", kind)
    except ScimError as error:
        raise ScimError(400, f"path: {error}", "invalidPath") from None
    if not isinstance(found, ValuePath):
        raise ScimError(400, "path: expected an attribute with one pair of brackets.", "invalidPath")
    base = found.path
    return _PatchTarget(Path(base.schema, base.name, tail[1:].lower(), base.attribute), found.inner)


def _member_change(verb: str, target: _PatchTarget, value: object) -> MemberChange:
    if target.selection is not None:
        ids = [text for name, text in equalities(target.selection) if name == "value"]
        if verb != "remove" or not isinstance(target.selection, Comparison) or not ids:
            raise ScimError(400, 'Select one member by members[value eq "…"].', "invalidPath")
        return MemberChange("remove", ids)
    if verb == "remove" and value is None:
        return MemberChange("remove", None)
    return MemberChange(verb, member_ids(value))


def member_ids(value: object) -> list[str]:
    """The ids that a value of ``members`` names. Raises ScimError."""
    found = []
    for item in value if isinstance(value, list) else [] if value is None else [value]:
        text = item.get("value") if isinstance(item, dict) else item
        if not isinstance(text, str) or not text:
            raise invalid_value("members: each member needs a value, the id of a user or group.")
        found.append(text)
    return list(dict.fromkeys(found))


def _change(document: JsonObject, verb: str, target: _PatchTarget, value: object, kind: ResourceType) -> None:
    path, attribute = target.path, target.path.attribute
    schema = kind.schema_of(path.schema) if path.schema else None
    if schema is not None and not path.name:
        _change_extension(document, verb, schema, value)
        return
    if attribute is None:
        # Not declared: not stored, as with POST.
        return
    if attribute.is_read_only:
        raise ScimError(400, f"{attribute.name} cannot be changed.", "mutability")
    holder = document if schema is None else document.setdefault(schema.urn, {})
    if target.selection is not None:
        _change_selected(holder, verb, target, attribute, value)
    elif path.part:
        _change_part(holder, verb, path, attribute, value)
    else:
        _change_attribute(holder, verb, attribute, value)
    if schema is not None and not holder:
        del document[schema.urn]


def _change_extension(document: JsonObject, verb: str, schema: Schema, value: object) -> None:
    if verb == "remove":
        document.pop(schema.urn, None)
    elif found := {**document.get(schema.urn, {}), **clean_extension(value, schema)}:
        document[schema.urn] = found


def _change_attribute(holder: JsonObject, verb: str, attribute: Attribute, value: object) -> None:
    current = holder.get(attribute.name)
    if verb == "remove":
        if value is None or not isinstance(current, list):
            holder.pop(attribute.name, None)
        else:
            gone = clean_value(value, attribute) or []
            put(holder, attribute, [item for item in current if item not in gone])
        return
    cleaned = clean_value(value, attribute)
    if verb == "add" and attribute.is_multiple:
        cleaned = _joined(current or [], cleaned or [])
    elif attribute.parts and not attribute.is_multiple and isinstance(current, dict) and cleaned:
        cleaned = {**current, **cleaned}
    put(holder, attribute, cleaned)


def _joined(current: list[object], added: list[object]) -> list[object]:
    """Both lists; an item that is there already is not added, and a new primary one takes the place of the old."""
    if any(isinstance(item, dict) and item.get("primary") for item in added):
        current = [
            {**item, "primary": False} if isinstance(item, dict) and item.get("primary") else item
            for item in current
        ]
    return current + [item for item in added if item not in current]


def _part_of(path: Path, attribute: Attribute) -> Attribute | None:
    part = attribute.part(path.part)
    if part is not None and part.is_read_only:
        raise ScimError(400, f"{attribute.name}.{part.name} cannot be changed.", "mutability")
    return part


def _change_part(holder: JsonObject, verb: str, path: Path, attribute: Attribute, value: object) -> None:
    """A sub-attribute: of a complex attribute, or of every item of a list."""
    part = _part_of(path, attribute)
    if part is None:
        return
    cleaned = None if verb == "remove" else clean_value(value, part)
    current = holder.get(attribute.name)
    items = current if isinstance(current, list) else [current] if isinstance(current, dict) else []
    if not items and cleaned is not None:
        items = [{}]
    for item in items:
        put(item, part, cleaned)
    kept = [item for item in items if item]
    put(holder, attribute, kept if attribute.is_multiple else (kept[0] if kept else None))


def _change_selected(
    holder: JsonObject, verb: str, target: _PatchTarget, attribute: Attribute, value: object
) -> None:
    """The items that the brackets select, or a sub-attribute of them."""
    assert target.selection is not None  # noqa: S101  # nosec B101  for the type checker
    items = list(holder.get(attribute.name) or [])
    chosen = [item for item in items if isinstance(item, dict) and matches(target.selection, item)]
    part = _part_of(target.path, attribute) if target.path.part else None
    if verb == "remove":
        if part is None:
            items = [item for item in items if item not in chosen]
        for item in chosen if part else ():
            put(item, part, None)  # type: ignore[arg-type]
        put(holder, attribute, [item for item in items if item])
        return
    if target.path.part and part is None:
        return
    if not chosen:
        made = _item_of(target.selection, attribute)
        items.append(made)
        chosen = [made]
    for item in chosen:
        if part is not None:
            put(item, part, clean_value(value, part))
        else:
            changed = (clean_value(value, attribute) or [{}])[0]
            if isinstance(changed, dict):
                item.update(changed)
    put(holder, attribute, clean_value(items, attribute))


def _item_of(selection: Filter, attribute: Attribute) -> JsonObject:
    """The item that a selection of equalities describes: Entra adds to ``emails[type eq "work"].value`` where there is none.

    Raises ScimError (noTarget) for another selection.
    """
    parts = selection.parts if isinstance(selection, Junction) and selection.is_all else (selection,)
    made: JsonObject = {}
    for each in parts:
        declared = each.path.attribute if isinstance(each, Comparison) and each.operator == "eq" else None
        if declared is None or not isinstance(each, Comparison):
            raise ScimError(400, f"{attribute.name}: no value is selected by the path.", "noTarget")
        put(made, declared, clean_value(each.value, declared))
    return made
