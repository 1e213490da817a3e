"""Deliveries: the list, one delivery with its attempts, and replay."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import get_object_or_404
from django.urls import path, reverse
from django.utils.functional import cached_property
from django.utils.http import urlencode

from cii_project.console.core.console_view import ConsoleView, Role
from cii_project.console.core.csv_export import time_cell
from cii_project.console.core.list_query import Column, Filter, ListQuery, read_list_query
from cii_project.console.core.list_view import Listing, ListView
from cii_project.console.core.titles import check_title, event_title
from cii_project.console.deliveries.delivery_filters import (
    PERIODS,
    delivery_filters,
    matching_deliveries,
    replayable_deliveries,
)
from cii_project.console.deliveries.sent_request import sent_request
from integrations.models import Integration
from notifications.models import Delivery, Event, Hold
from notifications.services import (
    ReplayRefused,
    SendRefused,
    is_replayable,
    replay,
    replay_matching,
    send_now,
)

SECTION = "console:deliveries"
ATTEMPTS_SHOWN = 200
# States of which no delivery can be replayed together with others.
NOT_REPLAYED = ("held", "due", "sending", "test_failed")


@dataclass(frozen=True, slots=True)
class DeliveryRow:
    """A delivery of the list, and what it is about."""

    delivery: Delivery
    what: str


class DeliveriesPage(ListView):
    title = "Deliveries"
    template = "console/deliveries/list.html"
    body = "console/deliveries/table.html"
    refresh_seconds = 5
    section = SECTION
    guide = "delivery#operation"
    list_name = "deliveries"
    nouns = ("delivery", "deliveries")
    search_label = "Target, check, recipient or id"
    default_sort = "-made"
    columns = (
        Column("what", "What", lambda row: row.what, is_fixed=True),
        Column("id", "Id", lambda row: row.delivery.pk, is_csv_only=True),
        Column("cause", "Cause", lambda row: row.delivery.event.get_origin_display(), is_extra=True),
        Column(
            "target",
            "Target",
            lambda row: row.delivery.integration.name,
            ("integration__name", "created_at", "id"),
        ),
        Column(
            "recipient",
            "Recipient",
            lambda row: row.delivery.recipient.name if row.delivery.recipient else "",
            is_extra=True,
        ),
        Column("state", "State", lambda row: row.delivery.state, ("state", "created_at", "id")),
        Column(
            "users", "Users", lambda row: row.delivery.users, ("users", "created_at", "id"), is_number=True
        ),
        Column(
            "attempts",
            "Attempts",
            lambda row: row.delivery.attempts,
            ("attempts", "created_at", "id"),
            is_number=True,
        ),
        Column(
            "made",
            "Made",
            lambda row: time_cell(row.delivery.created_at),
            ("created_at", "id"),
            is_indexed=True,
            starts_descending=True,
        ),
        Column(
            "finished",
            "Ended",
            lambda row: time_cell(row.delivery.finished_at),
            ("finished_at", "created_at", "id"),
            is_extra=True,
        ),
        Column("status", "Status code", lambda row: row.delivery.status_code, is_csv_only=True),
        Column("answer", "Last answer", lambda row: row.delivery.reason),
    )

    @cached_property
    def _filters(self) -> Sequence[Filter]:
        return delivery_filters()

    def filters(self) -> Sequence[Filter]:
        return self._filters

    def matching(self, asked: ListQuery) -> list[QuerySet[Model]]:
        return [*matching_deliveries(asked)]

    def related(self, found: QuerySet[Model]) -> QuerySet[Model]:
        return found.select_related("integration", "event__check_ref", "recipient").defer("body")

    def rows(self, found: Sequence[Delivery]) -> Sequence[DeliveryRow]:
        return [DeliveryRow(one, event_title(one.event)) for one in found]

    def more_context(self, listing: Listing) -> Mapping[str, object]:
        state = listing.asked.filters.get("state", "")
        return {
            "open_holds": Hold.objects.filter(state=Hold.State.OPEN).count(),
            "state": state,
            "can_replay": state not in NOT_REPLAYED and not listing.asked.matches_nothing,
        }


class DeliveryPage(ConsoleView):
    template = "console/deliveries/delivery.html"
    section = SECTION
    guide = "delivery#states-of-a-delivery"

    def get(self, request: HttpRequest, delivery_id: UUID) -> HttpResponse:
        delivery = get_object_or_404(
            Delivery.objects.select_related(
                "integration", "event__check_ref", "event__run", "recipient", "hold"
            ),
            id=delivery_id,
        )
        attempts = list(delivery.log.order_by("-number")[: ATTEMPTS_SHOWN + 1])
        context = {
            "title": event_title(delivery.event),
            "subtitle": f"To {delivery.integration.name}",
            "crumbs": [("Deliveries", reverse(SECTION))],
            "delivery": delivery,
            "event": delivery.event,
            "check_title": event_title(delivery.event),
            "attempts": attempts[:ATTEMPTS_SHOWN],
            "more_attempts": len(attempts) > ATTEMPTS_SHOWN,
            "sent": sent_request(delivery),
            "replayable": is_replayable(delivery),
            "is_test": delivery.event.origin in Event.TESTS,
            "open": delivery.state in Delivery.OPEN or _is_undecided(delivery),
        }
        if self.is_htmx:
            return self.fragment("console/deliveries/state.html", context)
        return self.page(context)


class Replay(ConsoleView):
    """One delivery again: the same id, the same bytes."""

    write_role = Role.OPERATOR

    def post(self, request: HttpRequest, delivery_id: UUID) -> HttpResponse:
        delivery = get_object_or_404(Delivery.objects.select_related("integration"), id=delivery_id)
        url = reverse("console:delivery", args=[delivery.id])
        try:
            replay(delivery)
        except ReplayRefused as refusal:
            return self.done(str(refusal), url, "error")
        return self.done("Replayed: the same id and the same bytes are on their way.", url)


class SendNow(ConsoleView):
    """A delivery that waits for its next attempt, now."""

    write_role = Role.OPERATOR

    def post(self, request: HttpRequest, delivery_id: UUID) -> HttpResponse:
        delivery = get_object_or_404(Delivery.objects.select_related("integration"), id=delivery_id)
        url = reverse("console:delivery", args=[delivery.id])
        try:
            send_now(delivery)
        except SendRefused as refusal:
            return self.done(str(refusal), url, "error")
        return self.done("It is sent now.", url)


class ReplayMatching(ConsoleView):
    """All that match the filters again: the dialog with the count, then the replay."""

    role = Role.OPERATOR
    write_role = Role.OPERATOR

    def get(self, request: HttpRequest) -> HttpResponse:
        asked = self._asked(request.GET)
        found = replayable_deliveries(asked)
        targets = list(
            Integration.objects.filter(id__in=found.values("integration_id")).values_list("name", flat=True)
        )
        context = {
            "count": found.count(),
            "targets": targets,
            "said": self._said(asked),
            "kept": asked.filter_pairs,
            "problems": asked.problems,
        }
        return self.fragment("console/deliveries/replay.html", context)

    def post(self, request: HttpRequest) -> HttpResponse:
        asked = self._asked(request.POST)
        kept = [(name, value) for name, value in asked.filter_pairs if name != "state"]
        url = f"{reverse(SECTION)}?{urlencode(kept)}"
        if asked.matches_nothing:
            return self.done(" ".join(asked.problems), url, "error")
        count = replay_matching(replayable_deliveries(asked))
        if not count:
            return self.done("Nothing matched any more, so nothing was replayed.", url, "info")
        text = (
            "1 delivery is on its way again."
            if count == 1
            else f"{count:,} deliveries are on their way again."
        )
        return self.done(text, url)

    @staticmethod
    def _asked(given: QueryDict) -> ListQuery:
        return read_list_query(
            given, filters=delivery_filters(), columns=DeliveriesPage.columns, ignored=["csrfmiddlewaretoken"]
        )

    @staticmethod
    def _said(asked: ListQuery) -> list[str]:
        """The words and filters as a person reads them."""
        chosen = asked.filters
        said = [str(Delivery.State(chosen.get("state") or Delivery.State.DEAD).label)]
        if asked.search:
            said.append(f"with “{asked.search}”")
        if target := chosen.get("target"):
            said.append(f"to {Integration.objects.get(id=int(target)).name}")
        if check := chosen.get("check"):
            said.append(f"of {check_title(check)}")
        if origin := chosen.get("origin"):
            said.append(str(Event.Origin(origin).label).lower())
        if period := chosen.get("period"):
            said.append(PERIODS[period].lower())
        if chosen.get("run"):
            said.append("of one run")
        return said


def _is_undecided(delivery: Delivery) -> bool:
    """Whether it waits for the end of its run, and not for a member."""
    return delivery.state == Delivery.State.HELD and delivery.hold_id is None


urlpatterns = [
    path("deliveries/", DeliveriesPage.as_view(), name="deliveries"),
    path("deliveries/replay", ReplayMatching.as_view(), name="deliveries-replay"),
    path("deliveries/<uuid:delivery_id>/", DeliveryPage.as_view(), name="delivery"),
    path("deliveries/<uuid:delivery_id>/replay", Replay.as_view(), name="delivery-replay"),
    path("deliveries/<uuid:delivery_id>/send-now", SendNow.as_view(), name="delivery-send-now"),
]
