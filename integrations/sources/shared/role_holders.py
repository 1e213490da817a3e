"""Reading who holds an administrator role, one request at a time: the names of the roles, the assignments, then the
members of the groups that hold one."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from integrations.json_types import JsonObject
from integrations.source_data import Cursor, Fault, RecordPage, SourceFault
from integrations.sources.shared.memberships import ListPage


@dataclass(frozen=True, slots=True)
class Assignment:
    """A user or a group, by its immutable id, and the id of a role that it holds."""

    holder: str
    role: str
    is_group: bool


def next_role_holders(
    cursor: Cursor | None,
    list_roles: Callable[[str | None], ListPage],
    list_assignments: Callable[[str | None], tuple[Sequence[Assignment], str | None]],
    list_members: Callable[[str, str | None], ListPage],
) -> RecordPage:
    """The next page. ``list_roles(url)``: pairs of id and name; ``list_assignments(url)``: assignments and the URL of the
    next page; ``list_members(group id, url)``: pairs with the id of a user. Each makes one request, the first one where
    the URL is None. An unknown role is called by its id.

    Cursor: ``stage``; ``names`` id → name; ``url``: the next page; ``groups``: {group id: [role names]} whose members are to
    be read.
    """
    cursor = cursor or {"stage": "names"}
    names, groups = dict(cursor.get("names", {})), dict(cursor.get("groups", {}))
    url = cursor.get("url")
    if cursor["stage"] == "names":
        page = list_roles(url)
        names |= dict(page.items)
        stage = "names" if page.next_link else "assignments"
        return RecordPage((), {"stage": stage, "names": names, "url": page.next_link}, page.rates)
    if cursor["stage"] == "assignments":
        assignments, link = list_assignments(url)
        records: list[JsonObject] = []
        for each in assignments:
            name = names.get(each.role, each.role)
            if each.is_group:
                groups[each.holder] = [*groups.get(each.holder, ()), name]
            else:
                records.append({"source_key": each.holder, "admin_roles": [name]})
        more = {"stage": "assignments", "names": names, "groups": groups, "url": link}
        return RecordPage(records, more if link else members_left(groups, None))
    return next_members(groups, url, list_members)


def next_members(
    groups: Mapping[str, list[str]], url: str | None, list_members: Callable[[str, str | None], ListPage]
) -> RecordPage:
    """The next page of members of the first group. ``groups``: {group id: [role names]}, not empty. A group that was
    deleted meanwhile is skipped."""
    key = next(iter(groups))
    rest = {each: groups[each] for each in groups if each != key}
    try:
        page = list_members(key, url)
    except SourceFault as fault:
        if fault.fault is not Fault.GONE:
            raise
        return RecordPage((), members_left(rest, None), fault.rates)
    records = [{"source_key": each, "admin_roles": groups[key]} for each, _ in page.items]
    return RecordPage(records, members_left(groups if page.next_link else rest, page.next_link), page.rates)


def members_left(groups: Mapping[str, list[str]], url: str | None) -> Cursor | None:
    """The cursor with which :func:`next_role_holders` continues at the first group; None without a group."""
    return {"stage": "members", "groups": groups, "url": url} if groups else None
