"""The results of one search: users, checks, targets, sources, a delivery by its id, pages and actions."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from urllib.parse import urlencode
from uuid import UUID

from django.urls import reverse

from checks.models import Source, User
from checks.services import CATALOGUE, search_users
from cii_project.console.core.console_view import KeysetPage, page_url
from cii_project.console.core.roles import Role
from cii_project.console.core.site import CONSOLE_PAGES
from cii_project.documentation.pages import sections
from integrations.models import Integration
from integrations.services import KINDS
from notifications.models import Delivery

# Results per group.
MOST_SHOWN = 6


@dataclass(frozen=True, slots=True)
class Found:
    """One line of the results. ``in_dialog``: the address is a dialog's, not a page's."""

    icon: str
    title: str
    note: str
    url: str
    in_dialog: bool = False


@dataclass(frozen=True, slots=True)
class Group:
    title: str
    lines: list[Found]
    # The list that shows all of them, where there are more.
    more_url: str = ""


@dataclass(frozen=True, slots=True)
class SearchAction:
    title: str
    icon: str
    url_name: str
    arguments: tuple[str, ...]
    role: Role
    in_dialog: bool = False


ACTIONS = (
    SearchAction("Run checks now", "play_arrow", "run-now", (), Role.OPERATOR, in_dialog=True),
    SearchAction("Add webhook", "add", "integration-new", ("webhook",), Role.ENGINEER),
    SearchAction("Add integration", "add", "integration-add", (), Role.ENGINEER),
    SearchAction("Import a file of users", "upload_file", "sources", (), Role.OPERATOR),
)


def find(text: str, role: Role) -> list[Group]:
    """The groups with results, the most specific first. An empty ``text`` gives pages and actions."""
    text = text.strip()
    words = text.casefold().split()
    groups = [
        Group("Deliveries", list(_deliveries(text))),
        Group("Users", list(_users(text)), f"{page_url('users')}?{urlencode({'q': text})}"),
        Group("Checks", list(_checks(words))),
        Group("Targets", list(_targets(words))),
        Group("Sources", list(_sources(words))),
        Group("Actions", list(_actions(words, role))),
        Group("Pages", list(_pages(words))),
        Group("Documentation", list(_documentation(words)), page_url("docs")),
    ]
    return [_cut(group) for group in groups if group.lines]


def _cut(group: Group) -> Group:
    more = group.more_url if len(group.lines) > MOST_SHOWN else ""
    return Group(group.title, group.lines[:MOST_SHOWN], more)


def has_words(text: str, words: Iterable[str]) -> bool:
    """Whether each word occurs in ``text``, in any case. ``words``: case-folded."""
    searched = text.casefold()
    return all(word in searched for word in words)


def _users(text: str) -> Iterator[Found]:
    if not text:
        return
    parts = search_users(text).parts(User.objects.all())
    for user in KeysetPage.of(*parts, order=("name_key", "id"), cursor=None, size=MOST_SHOWN + 1).rows:
        note = user.name if user.display_name else user.employee_id
        yield Found("person", user.display_name or user.name, note, page_url("user", user.pk))


def _checks(words: list[str]) -> Iterator[Found]:
    for slug, check in CATALOGUE.items() if words else ():
        if has_words(f"{check.title} {slug}", words):
            yield Found("rule", check.title, slug, page_url("check", slug))


def _targets(words: list[str]) -> Iterator[Found]:
    if not words:
        return
    # The longest word decides in the database, so that ten thousand targets are not read.
    longest = max(words, key=len)
    for target in Integration.objects.filter(name__icontains=longest).order_by("name")[:100]:
        if has_words(target.name, words):
            yield Found(
                "hub",
                target.name,
                KINDS[target.kind].label if target.kind in KINDS else target.kind,
                page_url("integration", target.pk),
            )


def _sources(words: list[str]) -> Iterator[Found]:
    for source in Source.objects.filter(deleted_at=None).order_by("name") if words else ():
        if has_words(f"{source.name} {source.slug}", words):
            yield Found("database", source.name, source.slug, page_url("source", source.slug))


def _deliveries(text: str) -> Iterator[Found]:
    try:
        wanted = UUID(text)
    except ValueError:
        return
    for delivery in Delivery.objects.filter(id=wanted).select_related("integration"):
        yield Found("outbox", str(delivery.id), delivery.integration.name, page_url("delivery", delivery.id))


def _actions(words: list[str], role: Role) -> Iterator[Found]:
    for action in ACTIONS:
        if role >= action.role and has_words(action.title, words):
            url = page_url(action.url_name, *action.arguments)
            yield Found(action.icon, action.title, "", url, action.in_dialog)


def _pages(words: list[str]) -> Iterator[Found]:
    for name, title, icon in CONSOLE_PAGES:
        if has_words(title, words):
            yield Found(icon, title, "", reverse(name))


def _documentation(words: list[str]) -> Iterator[Found]:
    for section in sections() if words else ():
        for path, title in section.pages:
            if path and has_words(f"{section.title} {title}", words):
                yield Found("menu_book", title, section.title, page_url("docs-page", path))
