"""The menu of targets on a check's page: each checkbox is saved at once; and "send current" for one target."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypedDict

from django.db.models import Count, Exists, OuterRef, Q
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.urls import path

from checks.models import Check, Finding
from cii_project.console.core.audiences import AUDIENCE_LABELS, audiences_of, label_of_kind
from cii_project.console.core.console_view import ConsoleView, Role
from cii_project.console.core.titles import check_title
from integrations.models import Integration
from notifications.models import Audience, Cadence, Subscription
from notifications.services import (
    apply_filter,
    describe_filter,
    event_target,
    send_current,
    subscribe,
    unsubscribe,
)

# The menu shows this many targets and finds the rest by a search; up to FEW_TARGETS it has no search.
MOST_SHOWN = 30
FEW_TARGETS = 10


@dataclass(frozen=True, slots=True)
class AudienceOption:
    """One checkbox: one audience of one target. ``options``: filter and frequency in words."""

    audience: str
    label: str
    is_enabled: bool
    options: str = ""


@dataclass(frozen=True, slots=True)
class TargetChoice:
    integration: Integration
    kind_label: str
    options: Sequence[AudienceOption]

    @property
    def is_enabled(self) -> bool:
        return any(option.is_enabled for option in self.options)


@dataclass(frozen=True, slots=True)
class TargetsMenu:
    """A part of the targets with their checkboxes. ``enabled``: number of targets enabled on the check, of
    ``total``; ``hidden``: more targets match ``search`` than are shown."""

    search: str
    choices: Sequence[TargetChoice]
    enabled: int
    total: int
    hidden: int

    @property
    def has_search(self) -> bool:
        return self.total > FEW_TARGETS


def targets_menu(check: Check, search: str = "") -> TargetsMenu:
    """The targets whose name has each word of ``search``, the enabled ones first, at most ``MOST_SHOWN``. Two queries; four at most."""
    search = search.replace("\0", "").strip()[:100]
    enabled = Subscription.objects.filter(check_ref=check).order_by()
    found = Integration.objects.all()
    for word in search.split():
        found = found.filter(name__icontains=word)
    first = Exists(enabled.filter(integration=OuterRef("pk")))
    shown = list(found.annotate(is_enabled=first).order_by("-is_enabled", "name")[:MOST_SHOWN])
    stored = {(one.integration_id, one.audience): one for one in enabled.filter(integration__in=shown)}
    choices = [
        TargetChoice(
            one,
            label_of_kind(one.kind),
            [_option(audience, stored.get((one.id, audience))) for audience in audiences_of(one.kind)],
        )
        for one in shown
    ]
    if not search and len(shown) < MOST_SHOWN:
        return TargetsMenu(search, choices, sum(one.is_enabled for one in shown), len(shown), 0)
    counted = Integration.objects.annotate(is_enabled=first).aggregate(
        total=Count("pk"), enabled=Count("pk", filter=Q(is_enabled=True))
    )
    total, number = counted["total"], counted["enabled"]
    matching = found.count() if search else total
    return TargetsMenu(search, choices, number, total, matching - len(shown))


def _option(audience: str, subscription: Subscription | None) -> AudienceOption:
    options = describe_options(subscription) if subscription else ""
    return AudienceOption(audience, AUDIENCE_LABELS[Audience(audience)], subscription is not None, options)


def describe_options(subscription: Subscription) -> str:
    """The options that differ from “all, after each run”, in words."""
    parts = [describe_filter(subscription.filter)]
    if subscription.cadence != Cadence.IMMEDIATELY:
        parts.append(str(Cadence(subscription.cadence).label).lower())
    if subscription.after_days:
        parts.append(f"still failing after {subscription.after_days} d")
    if subscription.remind_days:
        parts.append(f"reminded every {subscription.remind_days} d")
    if subscription.resolved:
        parts.append("also when resolved")
    text = "; ".join(part for part in parts if part)
    return text[:1].upper() + text[1:]


class TargetsFound(ConsoleView):
    """The part of the menu that a search in it asks for."""

    def get(self, request: HttpRequest, slug: str) -> HttpResponse:
        check = get_object_or_404(Check, slug=slug)
        menu = targets_menu(check, request.GET.get("q", ""))
        return self.fragment("console/checks/targets_list.html", {"check": check, "menu": menu})


class TargetToggle(ConsoleView):
    """One checkbox: saved at once, answered with the dropdown and a toast that can undo it."""

    write_role = Role.OPERATOR

    def post(self, request: HttpRequest, slug: str, integration_id: int, audience: str) -> HttpResponse:
        check = get_object_or_404(Check, slug=slug)
        integration = get_object_or_404(Integration, id=integration_id)
        if audience not in audiences_of(integration.kind):
            text = f"{integration.name} cannot reach “{audience}”."
            return self.toast(text, "error")
        is_enabled = request.POST.get("enabled") == "on"
        if is_enabled:
            subscribe(check, integration, audience=audience, by=request.user)
        else:
            unsubscribe(check, integration, audience=audience)
        return self.fragment(
            "console/checks/targets_saved.html",
            {
                "check": check,
                "menu": targets_menu(check, request.POST.get("q", "")),
                "changed": integration,
                "audience": audience,
                "is_enabled": is_enabled,
                "text": f"{integration.name} {'is enabled on' if is_enabled else 'is disabled on'} this check.",
            },
        )


class SendNowContext(TypedDict):
    """The context of the dialog. ``count``: the users who fail now and pass the target's filter."""

    check: Check
    check_title: str
    integration: Integration
    audience: str
    audience_label: str
    only: str
    count: int


class SendCurrent(ConsoleView):
    """All who fail now, to one target: the dialog with the count, then the sending."""

    role = Role.OPERATOR
    write_role = Role.OPERATOR

    def get(self, request: HttpRequest, slug: str, integration_id: int, audience: str) -> HttpResponse:
        return self.fragment(
            "console/checks/send_current.html", self._context(slug, integration_id, audience)
        )

    def post(self, request: HttpRequest, slug: str, integration_id: int, audience: str) -> HttpResponse:
        context = self._context(slug, integration_id, audience)
        check, integration = context["check"], context["integration"]
        if send_current(check, integration, by=request.user, audience=audience) is None:
            return self.toast("No user fails this check now, so nothing was sent.", "info", close_dialog=True)
        users = (
            "The user who fails now is"
            if context["count"] == 1
            else f"The {context['count']:,} users who fail now are"
        )
        text = f"{users} on the way to {integration.name} ({context['audience_label']}). See Deliveries."
        return self.toast(text, close_dialog=True)

    @staticmethod
    def _context(slug: str, integration_id: int, audience: str) -> SendNowContext:
        check = get_object_or_404(Check, slug=slug)
        integration = get_object_or_404(Integration, id=integration_id)
        if audience not in audiences_of(integration.kind):
            raise Http404(f"{integration.name} cannot reach “{audience}”.")
        failing = Finding.objects.filter(check_ref=check, resolved_at__isnull=True)
        chosen = event_target(check, integration, audience).filter
        return {
            "check": check,
            "check_title": check_title(slug),
            "integration": integration,
            "audience": audience,
            "audience_label": AUDIENCE_LABELS[Audience(audience)],
            "only": describe_filter(chosen),
            "count": apply_filter(failing, chosen, check).count(),
        }


urlpatterns = [
    path("checks/<slug:slug>/targets", TargetsFound.as_view(), name="check-targets"),
    path(
        "checks/<slug:slug>/targets/<int:integration_id>/<slug:audience>",
        TargetToggle.as_view(),
        name="check-target",
    ),
    path(
        "checks/<slug:slug>/send-current/<int:integration_id>/<slug:audience>",
        SendCurrent.as_view(),
        name="check-send-current",
    ),
]
