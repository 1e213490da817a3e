"""Reading who belongs to which group, one request at a time: a page of groups, the members of each, the next page."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from integrations.source_data import Cursor, Fault, RateSeen, RecordPage, SourceFault


@dataclass(frozen=True, slots=True)
class ListPage:
    """A page of a list: pairs of id and name (of members the name is empty), and the URL of the next page."""

    items: Sequence[tuple[str, str]]
    next_link: str | None
    rates: Mapping[str, RateSeen]


def in_group(key: str, name: str) -> dict[str, object]:
    """The record of a membership in a group."""
    return {"source_key": key, "groups": [name]}


def next_memberships(
    cursor: Cursor | None,
    list_groups: Callable[[str | None], ListPage],
    list_members: Callable[[str, str | None], ListPage],
    member: Callable[[str, str], dict[str, object]] = in_group,
) -> RecordPage:
    """The next page. ``list_groups(url)`` and ``list_members(group id, url)`` make one request, the first one where the
    URL is None. ``member(id, name of the group)`` is the record of a membership. A group without id or name is skipped.

    Cursor: ``pending`` [[id, name]]: groups whose members are to be read; ``members``: the URL of the next page of the
    first of them; ``url``: of the next page of groups.
    """
    cursor = cursor or {}
    pending, following = [list(each) for each in cursor.get("pending", ())], cursor.get("url")
    if not pending:
        page = list_groups(following)
        named = [list(each) for each in page.items if all(each)]
        return RecordPage((), _more(named, None, page.next_link), page.rates)
    key, name = pending[0]
    try:
        page = list_members(key, cursor.get("members"))
    except SourceFault as fault:
        if fault.fault is not Fault.GONE:
            raise
        return RecordPage((), _more(pending[1:], None, following), fault.rates)
    records = [member(each, name) for each, _ in page.items if each]
    rest = pending if page.next_link else pending[1:]
    return RecordPage(records, _more(rest, page.next_link, following), page.rates)


def _more(pending: list[list[str]], members: str | None, following: str | None) -> Cursor | None:
    if not pending and not following:
        return None
    return {"pending": pending, "members": members, "url": following}
