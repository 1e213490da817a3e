"""Pushed users and groups: stored, changed, found and deleted as RFC 7644 says.

Each change marks what the import has to read (``is_pending``) in the same transaction, so nothing is lost with a worker.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TypeVar
from uuid import uuid4

from django.db import IntegrityError, transaction
from django.db.models import F, QuerySet
from django.utils import timezone

from integrations.json_types import JsonObject
from integrations.models import ScimMember, ScimResource, SourceConnection
from integrations.sources.scim.documents import clean_resource, require
from integrations.sources.scim.errors import ScimError
from integrations.sources.scim.filters import Filter, equalities, matches
from integrations.sources.scim.patching import MemberChange, member_ids, patch
from integrations.sources.scim.records import account_record, deleted_record
from integrations.sources.scim.schemas import CII_AD, ENTERPRISE, GROUPS, USERS, ResourceType
from integrations.text_encoding import storable

T = TypeVar("T")

READ_AT_ONCE = 500
MAX_KEY = 1_024
_ID = re.compile(r"[0-9a-f-]{36}", re.ASCII)
CHANGED = {"is_pending": True, "change": F("change") + 1}


def find_resource(connection: SourceConnection, kind: ResourceType, scim_id: str) -> ScimResource:
    """Raises ScimError (404)."""
    found = _live(connection, kind).filter(scim_id=scim_id).first() if _ID.fullmatch(scim_id) else None
    if found is None:
        raise _no_such(kind)
    return found


def _no_such(kind: ResourceType) -> ScimError:
    return ScimError(404, f"There is no {kind.name} with this id.")


def _live(connection: SourceConnection, kind: ResourceType) -> QuerySet[ScimResource]:
    return ScimResource.objects.filter(connection=connection, kind=kind.name, is_deleted=False)


def create_resource(connection: SourceConnection, kind: ResourceType, body: object) -> ScimResource:
    """POST. A user of Cisco's collector that is there already is replaced: the collector posts every user each time, and
    takes any answer but 201 for a failure. Raises ScimError."""
    document, members = _read(body, kind)
    now = timezone.now()
    with _unique_names(), transaction.atomic():
        if document.get(CII_AD) and (known := _known(connection, document)):
            _store(known, document, [], now)
            return known
        made = ScimResource(
            connection=connection, kind=kind.name, scim_id=str(uuid4()), created_at=now, modified_at=now
        )
        _fill(made, document)
        made.is_pending = kind is USERS
        made.save()
        if members:
            _set_members(made, [MemberChange("replace", members)])
        if kind is USERS:
            _mark_reports(made)
        _note_push(connection, now)
    return made


def _known(connection: SourceConnection, document: Mapping[str, object]) -> ScimResource | None:
    external = document.get("externalId")
    users = _live(connection, USERS).select_for_update()
    return (users.filter(external_id=external).first() if external else None) or users.filter(
        name_key=_name_key(document)
    ).first()


def replace_resource(
    connection: SourceConnection, kind: ResourceType, scim_id: str, body: object, expected: str = ""
) -> ScimResource:
    """PUT. ``expected``: the If-Match of the request. Raises ScimError."""
    document, members = _read(body, kind)
    with _unique_names(), transaction.atomic():
        resource = _locked(connection, kind, scim_id, expected)
        changes = [MemberChange("replace", members)] if kind is GROUPS else []
        _store(resource, document, changes, timezone.now())
    return resource


def patch_resource(
    connection: SourceConnection, kind: ResourceType, scim_id: str, body: object, expected: str = ""
) -> ScimResource:
    """PATCH. ``expected``: the If-Match of the request. Raises ScimError."""
    with _unique_names(), transaction.atomic():
        resource = _locked(connection, kind, scim_id, expected)
        patched = patch(resource.document, body, kind)
        require(patched.document, kind)
        _store(resource, patched.document, patched.members, timezone.now())
    return resource


def _store(
    resource: ScimResource, document: JsonObject, members: Sequence[MemberChange], now: datetime
) -> None:
    kind = _type_of(resource)
    before, name_before = resource.document, resource.name_key
    _fill(resource, document)
    is_changed = _set_members(resource, members) or before != document
    if is_changed:
        resource.version += 1
        resource.modified_at = now
    # What is pushed again unchanged is imported again: it is as of now.
    resource.is_pending = kind is USERS
    resource.change += 1
    resource.save()
    if kind is GROUPS and before.get("displayName") != document.get("displayName"):
        _mark(ScimResource.objects.filter(memberships__group=resource))
    if kind is USERS and name_before != resource.name_key:
        _mark_reports(resource)
    _note_push(resource.connection, now)


def delete_resource(
    connection: SourceConnection, kind: ResourceType, scim_id: str, expected: str = ""
) -> None:
    """DELETE. Of a user a mark stays until its account is deleted too. Raises ScimError."""
    with transaction.atomic():
        resource = _locked(connection, kind, scim_id, expected)
        _mark(ScimResource.objects.filter(memberships__group=resource))
        _mark_reports(resource)
        if kind is GROUPS:
            resource.delete()
        else:
            resource.members.all().delete()
            resource.memberships.all().delete()
            resource.is_deleted = resource.is_pending = True
            resource.change += 1
            resource.external_id = resource.manager_id = ""
            resource.document = {"userName": resource.document["userName"]}
            resource.save()
        _note_push(connection, timezone.now())


def _locked(connection: SourceConnection, kind: ResourceType, scim_id: str, expected: str) -> ScimResource:
    """The resource, for this transaction alone. Raises ScimError: 404, or 412 where it has another version."""
    resource = find_resource(connection, kind, scim_id)
    locked = _live(connection, kind).select_for_update().filter(pk=resource.pk).first()
    if locked is None:
        raise _no_such(kind)
    if expected and not is_matched(expected, locked):
        raise ScimError(412, f"The version is {version_tag(locked)}: read the resource again.")
    return locked


def is_matched(tags: str, resource: ScimResource) -> bool:
    """Whether an If-Match or If-None-Match names the resource's version; weak and strong tags are alike."""
    wanted = {tag.strip().removeprefix("W/").strip('"') for tag in tags.split(",")}
    return "*" in wanted or str(resource.version) in wanted


def _read(body: object, kind: ResourceType) -> tuple[JsonObject, list[str]]:
    """The document of a body, and the ids of the members of a group."""
    document = clean_resource(body, kind)
    require(document, kind)
    if kind is not GROUPS:
        return document, []
    members = document.pop("members", [])
    return document, member_ids(members)


def _fill(resource: ScimResource, document: JsonObject) -> None:
    resource.document = document
    resource.name_key = _name_key(document)
    resource.external_id = document.get("externalId", "")
    resource.manager_id = str((document.get(ENTERPRISE, {}).get("manager") or {}).get("value", ""))[:320]


def _name_key(document: Mapping[str, object]) -> str:
    return str(document.get("userName") or document.get("displayName") or "").strip().casefold()[:MAX_KEY]


def _type_of(resource: ScimResource) -> ResourceType:
    return USERS if resource.kind == USERS.name else GROUPS


@contextmanager
def _unique_names() -> Iterator[None]:
    """Turns the database's refusal of a second user with a name into the answer of RFC 7644, section 3.3.1."""
    try:
        yield
    except IntegrityError:
        raise ScimError(409, "A user has this userName already.", "uniqueness") from None


def _set_members(group: ScimResource, changes: Sequence[MemberChange]) -> bool:
    """Apply the changes of a group's members; whether any membership changed. Raises ScimError."""
    changed: set[int] = set()
    for change in changes:
        ids = change.ids or []
        rows = {} if change.ids is None else _members_by_id(group, ids)
        if missing := [each for each in ids if each not in rows] if change.verb != "remove" else []:
            raise ScimError(400, f"members: there is no user or group {missing[0][:64]}.", "invalidValue")
        current = set(group.members.values_list("member_id", flat=True))
        named = set(rows.values())
        added = named - current if change.verb != "remove" else set()
        gone = current - named if change.verb == "replace" else set()
        if change.verb == "remove":
            gone = current if change.ids is None else current & named
        for part in _parts(sorted(gone)):
            group.members.filter(member_id__in=part).delete()
        ScimMember.objects.bulk_create(
            [ScimMember(group=group, member_id=pk) for pk in sorted(added)], batch_size=READ_AT_ONCE
        )
        changed |= added | gone
    for part in _parts(sorted(changed)):
        _mark(ScimResource.objects.filter(pk__in=part))
    return bool(changed)


def _members_by_id(group: ScimResource, ids: Sequence[str]) -> dict[str, int]:
    live = ScimResource.objects.filter(connection=group.connection, is_deleted=False)
    storable = [each for each in ids if _ID.fullmatch(each)]
    return {
        scim_id: pk
        for part in _parts(storable)
        for scim_id, pk in live.filter(scim_id__in=part).values_list("scim_id", "pk")
    }


def _parts(items: Sequence[T]) -> Iterator[Sequence[T]]:
    for start in range(0, len(items), READ_AT_ONCE):
        yield items[start : start + READ_AT_ONCE]


def _mark(resources: QuerySet[ScimResource]) -> None:
    """Have these users imported again: something about them changed."""
    ids = list(resources.filter(kind=USERS.name).order_by("pk").values_list("pk", flat=True))
    for part in _parts(ids):
        ScimResource.objects.filter(pk__in=part).update(**CHANGED)


def _mark_reports(manager: ScimResource) -> None:
    """Have the users imported again whose manager's login is now known, or another one."""
    _mark(ScimResource.objects.filter(connection=manager.connection, manager_id=manager.scim_id))


def _note_push(connection: SourceConnection, now: datetime) -> None:
    SourceConnection.objects.filter(pk=connection.pk).update(last_push_at=now)


# --- What is answered -------------------------------------------------------------------------------


def version_tag(resource: ScimResource) -> str:
    """The weak entity tag of a resource."""
    return f'W/"{resource.version}"'


def represent(resources: Sequence[ScimResource], base: str, *, has_members: bool = True) -> list[JsonObject]:
    """Resources as they are answered. ``base``: the source's base URL; ``has_members``: False leaves out a group's."""
    ids = [each.pk for each in resources]
    groups: dict[int, list[JsonObject]] = {}
    members: dict[int, list[JsonObject]] = {}
    if any(each.kind == USERS.name for each in resources):
        for row in _memberships(member_id__in=ids):
            display = row.group.document.get("displayName", "")
            link = _link(row.group, base) | {"display": display, "type": "direct"}
            groups.setdefault(row.member_id, []).append(link)
    if has_members and any(each.kind == GROUPS.name for each in resources):
        for row in _memberships(group_id__in=ids):
            members.setdefault(row.group_id, []).append(_link(row.member, base))
    return [_represented(each, base, groups.get(each.pk), members.get(each.pk)) for each in resources]


def _memberships(**wanted: object) -> QuerySet[ScimMember]:
    return ScimMember.objects.filter(**wanted).select_related("group", "member").order_by("id")


def _link(resource: ScimResource, base: str) -> JsonObject:
    return {
        "value": resource.scim_id,
        "$ref": f"{base}/{_type_of(resource).endpoint}/{resource.scim_id}",
    }


def _represented(
    resource: ScimResource, base: str, groups: list[JsonObject] | None, members: list[JsonObject] | None
) -> JsonObject:
    kind = _type_of(resource)
    found: JsonObject = {
        "schemas": [kind.main.urn, *(urn for urn in kind.urns if urn in resource.document)],
        "id": resource.scim_id,
        **resource.document,
    }
    if groups:
        found["groups"] = groups
    if members:
        found["members"] = members
    return found | {
        "meta": {
            "resourceType": kind.name,
            "created": _moment(resource.created_at),
            "lastModified": _moment(resource.modified_at),
            "location": f"{base}/{kind.endpoint}/{resource.scim_id}",
            "version": version_tag(resource),
        }
    }


def _moment(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def list_resources(
    connection: SourceConnection,
    kind: ResourceType,
    wanted: Filter | None,
    *,
    first: int,
    count: int,
    base: str,
    has_members: bool = True,
) -> tuple[int, list[JsonObject]]:
    """The number of resources that a filter selects, and ``count`` of them from the ``first`` (0) on, by age."""
    rows = _live(connection, kind).order_by("id")
    if wanted is None:
        page = list(rows[first : first + count])
        return rows.count(), represent(page, base, has_members=has_members)
    columns = {"id": "scim_id", "externalid": "external_id", kind.main.attributes[0].name.lower(): "name_key"}
    for name, text in equalities(wanted):
        if column := columns.get(name):
            value = text.strip().casefold() if column == "name_key" else text
            rows = rows.filter(**{column: storable(value)[:MAX_KEY]})
    total, page_found = 0, []
    after = 0
    while batch := list(rows.filter(pk__gt=after)[:READ_AT_ONCE]):
        after = batch[-1].pk
        for each in represent(batch, base, has_members=has_members):
            if matches(wanted, each):
                if first <= total < first + count:
                    page_found.append(each)
                total += 1
    return total, page_found


# --- What is imported -------------------------------------------------------------------------------


def pending_sources() -> list[int]:
    """The ids of the active connections of which something waits to be imported."""
    active = SourceConnection.objects.filter(state=SourceConnection.State.ACTIVE)
    return list(active.filter(scim_resources__is_pending=True).distinct().values_list("pk", flat=True))


def pending_resources(
    connection: SourceConnection, *, is_deleted: bool, after: int, most: int
) -> list[ScimResource]:
    """Users that wait to be imported, by id."""
    waiting = ScimResource.objects.filter(
        connection=connection, is_pending=True, is_deleted=is_deleted, kind=USERS.name, pk__gt=after
    )
    return list(waiting.order_by("pk")[:most])


def records_of(resources: Sequence[ScimResource], now: datetime) -> list[JsonObject]:
    """The account records of users, those that are deleted included."""
    groups: dict[int, list[str]] = {}
    logins: dict[str, str] = {}
    for part in _parts([each.pk for each in resources]):
        for pk, document in ScimMember.objects.filter(member_id__in=part).values_list(
            "member_id", "group__document"
        ):
            groups.setdefault(pk, []).append(document.get("displayName", ""))
    for scim_ids in _parts(sorted({each.manager_id for each in resources if each.manager_id})):
        managers = ScimResource.objects.filter(
            connection=resources[0].connection_id, scim_id__in=scim_ids, is_deleted=False
        )
        logins |= {each.scim_id: str(each.document.get("userName", "")) for each in managers}
    return [
        deleted_record(each.scim_id, each.document)
        if each.is_deleted
        else account_record(
            each.scim_id,
            each.document,
            groups=[name for name in groups.get(each.pk, ()) if name],
            manager=logins.get(each.manager_id, each.manager_id),
            now=now,
        )
        for each in resources
    ]


def mark_imported(resources: Sequence[ScimResource]) -> None:
    """Take the marks of what was imported; what changed since keeps its mark, and what was deleted goes."""
    alike: dict[tuple[bool, int], list[int]] = {}
    for each in resources:
        alike.setdefault((each.is_deleted, each.change), []).append(each.pk)
    for (is_deleted, change), ids in alike.items():
        for part in _parts(ids):
            rows = ScimResource.objects.filter(pk__in=part, change=change)
            if is_deleted:
                rows.delete()
            else:
                rows.update(is_pending=False)
