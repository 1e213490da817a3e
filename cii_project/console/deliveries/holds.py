"""Held messages: direct messages to too many people, which a member releases or drops."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

from django.db.models import Count, Model, Q, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import get_object_or_404
from django.urls import path
from django.utils.functional import cached_property

from checks.services import CATALOGUE, SearchResult, search_users
from cii_project.console.core.console_view import ConsoleView, Role, page_url
from cii_project.console.core.csv_export import time_cell
from cii_project.console.core.list_query import Column, Filter, ListQuery, choices_of
from cii_project.console.core.list_view import Listing, ListView
from cii_project.console.core.titles import check_title
from cii_project.console.core.viewer_zone import shown_time
from cii_project.console.deliveries.sent_request import recipient_text
from notifications.models import Audience, Delivery, Hold
from notifications.services import HoldDecided, drop_hold, hold_reason, release_hold

SECTION = "console:deliveries"
SAMPLES = 6


@dataclass(frozen=True, slots=True)
class Sample:
    """The first of the messages of one target, audience and check; ``check`` is empty for a message about all."""

    number: int
    check: str
    delivery: Delivery
    text: str


@dataclass(frozen=True, slots=True)
class HoldRow:
    """A hold of the list, and why its messages are held."""

    hold: Hold
    reason: str


class HoldsPage(ListView):
    title = "Held messages"
    template = "console/holds/list.html"
    section = SECTION
    guide = "notifications#too-many-people-at-once"
    list_name = "holds"
    nouns = ("hold", "holds")
    search_label = "Check or member"
    default_sort = "-held"
    columns = (
        Column(
            "held",
            "Held",
            lambda row: time_cell(row.hold.created_at),
            ("created_at", "id"),
            is_indexed=True,  # one row a run at most: no order of them is long
            is_fixed=True,
            starts_descending=True,
        ),
        Column("state", "State", lambda row: row.hold.state, ("state", "created_at", "id")),
        Column(
            "people", "People", lambda row: row.hold.people, ("people", "created_at", "id"), is_number=True
        ),
        Column(
            "messages",
            "Messages",
            lambda row: row.hold.messages,
            ("messages", "created_at", "id"),
            is_number=True,
        ),
        Column("why", "Why", lambda row: row.reason),
        Column("decided", "Decided by", lambda row: row.hold.decided_by or ""),
    )

    def filters(self) -> Sequence[Filter]:
        return (Filter("state", "State", choices_of(Hold.State)),)

    def matching(self, asked: ListQuery) -> list[QuerySet[Model]]:
        found = Hold.objects.filter(**asked.filters)
        for word in asked.search.casefold().split():
            slugs = [slug for slug, one in CATALOGUE.items() if word in one.title.casefold()]
            has_word = Q(decided_by__username__icontains=word)
            found = found.filter(has_word | Q(checks__has_any_keys=slugs) if slugs else has_word)
        return [found]

    def related(self, found: QuerySet[Model]) -> QuerySet[Model]:
        return found.select_related("decided_by")

    def rows(self, found: Sequence[Hold]) -> Sequence[HoldRow]:
        return [HoldRow(hold, hold_reason(hold)) for hold in found]

    def more_context(self, listing: Listing) -> Mapping[str, object]:
        return {
            "subtitle": "Direct messages of runs that would have reached too many people.",
            "crumbs": [("Deliveries", page_url("deliveries"))],
        }


def _about(delivery: Delivery) -> str:
    """The check that the message is about, and whether it is about more."""
    finding = delivery.finding
    title = check_title(finding.check_ref.slug) if finding else "unknown"
    about = delivery.finding_ranges
    return f"{title} and more" if about and about["first"] != about["last"] else title


class HoldPage(ListView):
    """One hold: why, what the messages say, and the list of them."""

    template = "console/holds/hold.html"
    section = SECTION
    guide = "notifications#too-many-people-at-once"
    list_name = "held-messages"
    nouns = ("held message", "held messages")
    search_label = "Recipient: name, e-mail, login or employee ID"
    default_sort = "made"
    columns = (
        Column(
            "recipient",
            "Recipient",
            lambda one: one.recipient.name if one.recipient else "",
            ("recipient__name", "id"),
            is_fixed=True,
        ),
        Column(
            "display_name",
            "Display name",
            lambda one: one.recipient.display_name if one.recipient else "",
            is_csv_only=True,
        ),
        Column("email", "E-mail", lambda one: one.recipient.email if one.recipient else "", is_csv_only=True),
        Column("as", "As", lambda one: one.audience, ("audience", "id"), is_extra=True),
        Column("check", "About", _about, ("event__check_ref__slug", "id")),
        Column(
            "user",
            "User",
            lambda one: one.finding.user.name if one.finding else "",
            ("finding__user__name", "id"),
            is_extra=True,
        ),
        Column("target", "Target", lambda one: one.integration.name, ("integration__name", "id")),
        Column("state", "State", lambda one: one.state, ("state", "id")),
        Column(
            "made",
            "Made",
            lambda one: time_cell(one.created_at),
            ("created_at", "id"),
            is_indexed=True,
            is_extra=True,
        ),
        Column("delivery", "Delivery", lambda one: str(one.id), is_csv_only=True),
    )

    @cached_property
    def _hold(self) -> Hold:
        return get_object_or_404(Hold.objects.select_related("decided_by", "run"), pk=self.kwargs["pk"])

    @cached_property
    def _groups(self) -> list["_Group"]:
        return _groups(self._hold)

    @cached_property
    def _search(self) -> SearchResult:
        return search_users(self.asked(self.request.GET).search)

    @cached_property
    def _filters(self) -> Sequence[Filter]:
        targets = sorted({(group.target, str(group.integration)) for group in self._groups})
        return (
            Filter("state", "State", choices_of(Delivery.State)),
            Filter("target", "Target", [(pk, name) for name, pk in targets]),
            Filter("as", "As", [(Audience.USER, "User"), (Audience.MANAGER, "Manager")]),
        )

    def filters(self) -> Sequence[Filter]:
        return self._filters

    def matching(self, asked: ListQuery) -> list[QuerySet[Model]]:
        found = self._hold.deliveries.all()
        if state := asked.filters.get("state"):
            found = found.filter(state=state)
        if target := asked.filters.get("target"):
            found = found.filter(integration=int(target))
        if audience := asked.filters.get("as"):
            found = found.filter(audience=audience)
        return [*self._search.parts(found, "recipient__")]

    def related(self, found: QuerySet[Model]) -> QuerySet[Model]:
        return found.select_related(
            "recipient", "integration", "finding__check_ref", "finding__user", "event__check_ref"
        ).defer("body")

    def keyset(
        self, parts: list[QuerySet[Model]], columns: tuple[str, ...], asked: ListQuery, *, is_few: bool
    ) -> tuple[list[QuerySet[Model]], tuple[str, ...]]:
        # The parts of a search sort by name as Python does, to be merged.
        return parts, ("name_key", "id") if asked.search else columns

    def exported_thing(self) -> Hold:
        return self._hold

    def csv_name(self) -> str:
        return f"held-messages-{self._hold.pk}"

    def more_context(self, listing: Listing) -> Mapping[str, object]:
        hold = self._hold
        samples = list(_samples(hold, self._groups))
        return {
            "title": f"Held messages, {shown_time(hold.created_at)}",
            "crumbs": [("Deliveries", page_url("deliveries")), ("Held messages", page_url("holds"))],
            "hold": hold,
            "reason": hold_reason(hold),
            "checks": [(check_title(slug), slug, number) for slug, number in hold.checks.items()],
            "states": _states(self._groups),
            "samples": samples[:SAMPLES],
            "more_samples": max(0, len(samples) - SAMPLES),
            "search": self._search,
            "messages_shown": [(delivery, _about(delivery)) for delivery in listing.page.rows],
        }


class HoldExport(HoldPage):
    """All messages of a hold that match as CSV."""

    def get(self, request: HttpRequest, *args: object, **kwargs: object) -> HttpResponseBase:
        return self.export(self.asked(request.GET))


class ReleaseHold(ConsoleView):
    """The dialog that confirms, then sends all messages of the hold."""

    role = write_role = Role.OPERATOR
    section = SECTION
    template = "console/holds/release.html"
    decide: ClassVar[Callable[..., int]] = staticmethod(release_hold)
    done_text = "{count} released and will be sent now."

    def get(self, request: HttpRequest, pk: int) -> HttpResponse:
        hold = get_object_or_404(Hold, pk=pk)
        held = hold.deliveries.filter(state=Delivery.State.HELD)
        context = {
            "hold": hold,
            "count": held.count(),
            "resolved": held.filter(finding__resolved_at__gt=hold.created_at).count(),
        }
        return self.fragment(self.template, context)

    def post(self, request: HttpRequest, pk: int) -> HttpResponse:
        hold = get_object_or_404(Hold, pk=pk)
        try:
            count = self.decide(hold, by=request.user)
        except HoldDecided as problem:
            return self.done(str(problem), page_url("hold", pk), "error")
        said = "1 message is" if count == 1 else f"{count:,} messages are"
        return self.done(self.done_text.format(count=said), page_url("hold", pk))


class DropHold(ReleaseHold):
    """The dialog that confirms, then drops all messages of the hold."""

    template = "console/holds/drop.html"
    decide = staticmethod(drop_hold)
    done_text = "{count} dropped and will not be sent."


# --- Reading --------------------------------------------------------------------------------------
def _states(groups: Sequence["_Group"]) -> list[tuple[str, int]]:
    """The states of the messages: label and number."""
    counts = sum((group.states for group in groups), Counter[str]())
    return [(str(Delivery.State(state).label), number) for state, number in sorted(counts.items())]


class _Group(NamedTuple):
    """The messages of a hold to one audience of one target about one check; ``states``: state → their number."""

    integration: int
    target: str
    audience: str
    check: int | None
    slug: str | None
    states: Counter[str]


def _groups(hold: Hold) -> list[_Group]:
    """The largest first. One query."""
    keys = ("integration", "integration__name", "audience", "event__check_ref", "event__check_ref__slug")
    groups: dict[tuple[object, ...], Counter[str]] = defaultdict(Counter)
    for *key, state, number in (
        hold.deliveries.order_by(*keys).values_list(*keys, "state").annotate(number=Count("id"))
    ):
        groups[tuple(key)][state] += number
    found = [_Group._make((*key, states)) for key, states in groups.items()]
    return sorted(found, key=lambda group: -group.states.total())


def _samples(hold: Hold, groups: Sequence[_Group]) -> Iterator[Sample]:
    """One for each group; only the first of them with their text."""
    for place, (integration, _, audience, check, slug, states) in enumerate(groups):
        number = states.total()
        if place >= SAMPLES:
            yield Sample(number, "", Delivery(), "")
            continue
        mine = hold.deliveries.filter(
            integration=integration, audience=audience, event__check_ref=check
        ).select_related("integration", "recipient")
        first = mine.order_by("created_at", "id")[0]
        yield Sample(number, check_title(slug) if slug else "", first, recipient_text(first))


urlpatterns = [
    path("deliveries/held/", HoldsPage.as_view(), name="holds"),
    path("deliveries/held/<int:pk>/", HoldPage.as_view(), name="hold"),
    path("deliveries/held/<int:pk>/export", HoldExport.as_view(), name="hold-export"),
    path("deliveries/held/<int:pk>/release", ReleaseHold.as_view(), name="hold-release"),
    path("deliveries/held/<int:pk>/drop", DropHold.as_view(), name="hold-drop"),
]
