"""Deliveries: what was sent to whom, whether it arrived, and sending it again."""

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.urls import path, reverse

from checks.models import Check
from cii_project.console.base import ConsoleView, KeysetPage, Role
from cii_project.console.deliveries_queries import PERIODS, Filters, matching, replayable
from cii_project.console.deliveries_request import request_of
from cii_project.console.runs_progress import title_of
from integrations.models import Integration
from notifications.models import Delivery, Event
from notifications.services import ReplayRefused, replay, replay_matching

SECTION = "console:deliveries"
ATTEMPTS_SHOWN = 200


class DeliveriesPage(ConsoleView):
    title = "Deliveries"
    template = "console/deliveries/list.html"
    section = SECTION

    def get(self, request: HttpRequest) -> HttpResponse:
        filters = Filters.read(request.GET)
        found = matching(filters).select_related("integration", "event__check_ref", "recipient").defer("body")
        page = KeysetPage.of(found, order=["-created_at", "-id"], cursor=request.GET.get("page"))
        return self.page(
            {
                "filters": filters,
                "page": page,
                "rows": [(one, what_of(one.event)) for one in page.rows],
                "states": Delivery.State.choices,
                "origins": Event.Origin.choices,
                "periods": PERIODS.items(),
                "integrations": Integration.objects.all(),
                "checks": _titles(),
            }
        )


class DeliveryPage(ConsoleView):
    template = "console/deliveries/delivery.html"
    section = SECTION

    def get(self, request: HttpRequest, delivery_id: Any) -> HttpResponse:
        delivery = get_object_or_404(
            Delivery.objects.select_related("integration", "event__check_ref", "event__run", "recipient"),
            id=delivery_id,
        )
        attempts = list(delivery.log.order_by("-number")[: ATTEMPTS_SHOWN + 1])
        context = {
            "title": what_of(delivery.event),
            "subtitle": f"To {delivery.integration.name}",
            "crumbs": [("Deliveries", reverse(SECTION))],
            "delivery": delivery,
            "event": delivery.event,
            "check_title": what_of(delivery.event),
            "attempts": attempts[:ATTEMPTS_SHOWN],
            "more_attempts": len(attempts) > ATTEMPTS_SHOWN,
            "sent": request_of(delivery),
            "replayable": _can_replay(delivery),
            "open": delivery.state in Delivery.OPEN,
        }
        if self.is_htmx:
            return self.fragment("console/deliveries/state.html", context)
        return self.page(context)


class Replay(ConsoleView):
    """One delivery again: the same id, the same bytes."""

    write_role = Role.OPERATOR

    def post(self, request: HttpRequest, delivery_id: Any) -> HttpResponse:
        delivery = get_object_or_404(Delivery.objects.select_related("integration"), id=delivery_id)
        url = reverse("console:delivery", args=[delivery.id])
        try:
            replay(delivery, by=request.user)
        except ReplayRefused as refusal:
            return self.done(str(refusal), url, "error")
        return self.done("Replayed: the same id and the same bytes are on their way.", url)


class ReplayMatching(ConsoleView):
    """All that match the filters again: the dialog with the count, then the replay."""

    role = Role.OPERATOR
    write_role = Role.OPERATOR

    def get(self, request: HttpRequest) -> HttpResponse:
        filters = Filters.read(request.GET)
        found = replayable(filters)
        targets = list(
            Integration.objects.filter(id__in=found.values("integration_id")).values_list("name", flat=True)
        )
        context = {
            "count": found.count(),
            "targets": targets,
            "said": self._said(filters),
            "kept": _kept(filters),
        }
        return self.fragment("console/deliveries/replay.html", context)

    def post(self, request: HttpRequest) -> HttpResponse:
        filters = Filters.read(request.POST)
        count = replay_matching(replayable(filters), by=request.user)
        url = f"{reverse(SECTION)}?{Filters(**{**_kept(filters), 'state': ''}).query()}"
        if not count:
            return self.done("Nothing matched any more, so nothing was replayed.", url, "info")
        text = (
            "1 delivery is on its way again."
            if count == 1
            else f"{count:,} deliveries are on their way again."
        )
        return self.done(text, url)

    @staticmethod
    def _said(filters: Filters) -> list[str]:
        """The filters in words."""
        said = [str(Delivery.State(filters.state or Delivery.State.DEAD).label)]
        if filters.target:
            target = Integration.objects.filter(id=int(filters.target)).first()
            said.append(f"to {target.name}" if target else "to a target that is gone")
        if filters.check:
            said.append(f"of {title_of(filters.check)}")
        if filters.origin:
            said.append(str(Event.Origin(filters.origin).label).lower())
        if filters.period:
            said.append(PERIODS[filters.period].lower())
        if filters.run:
            said.append("of one run")
        return said


def _can_replay(delivery: Delivery) -> bool:
    settled = delivery.state not in Delivery.OPEN and delivery.body is not None
    return settled and delivery.integration.state != Integration.State.DISABLED


def _kept(filters: Filters) -> dict[str, str]:
    return {name: getattr(filters, name) for name in Filters.__dataclass_fields__}


def _titles() -> list[tuple[str, str]]:
    slugs = Check.objects.values_list("slug", flat=True)
    return sorted(((slug, title_of(slug)) for slug in slugs), key=lambda pair: pair[1])


def what_of(event: Event) -> str:
    """What an event is about, for a person."""
    if event.origin == Event.Origin.PEOPLE:
        return "Message to a person"
    if event.check_ref is None:
        return "Webhook connectivity test"
    return title_of(event.check_ref.slug)


urlpatterns = [
    path("deliveries/", DeliveriesPage.as_view(), name="deliveries"),
    path("deliveries/replay", ReplayMatching.as_view(), name="deliveries-replay"),
    path("deliveries/<uuid:delivery_id>/", DeliveryPage.as_view(), name="delivery"),
    path("deliveries/<uuid:delivery_id>/replay", Replay.as_view(), name="delivery-replay"),
]
