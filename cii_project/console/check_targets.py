"""The dropdown of targets on a check's page: ticked is saved; and “send current” for one target."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.urls import path

from checks.models import Check, Finding
from cii_project.console.base import ConsoleView, Role
from cii_project.console.runs_progress import title_of
from integrations import targets as kinds
from integrations.models import Integration
from notifications import choosing
from notifications.models import Audience, Cadence, Subscription
from notifications.services import send_current, subscribe, telling_of, unsubscribe

AUDIENCE_LABELS = {
    Audience.LIST: "the list of users",
    Audience.USER: "each user",
    Audience.MANAGER: "each manager",
}


@dataclass(frozen=True, slots=True)
class Option:
    """One checkbox: one audience of one target. ``said``: what narrows it, in words."""

    audience: str
    label: str
    ticked: bool
    said: str = ""


@dataclass(frozen=True, slots=True)
class TargetChoice:
    integration: Integration
    kind_label: str
    options: Sequence[Option]

    @property
    def ticked(self) -> bool:
        return any(option.ticked for option in self.options)


def audiences_of(kind: str) -> list[str]:
    """The audiences that a kind offers, the list first; none for a kind that this version lacks."""
    offered = kinds.KINDS[kind].audiences if kind in kinds.KINDS else frozenset()
    return [audience for audience in Audience.values if audience in offered]


def label_of_kind(kind: str) -> str:
    return kinds.KINDS[kind].label if kind in kinds.KINDS else kind


def target_choices(check: Check) -> list[TargetChoice]:
    """Every target with its checkboxes. Two queries."""
    ticked = {(one.integration_id, one.audience): one for one in Subscription.objects.filter(check_ref=check)}
    return [
        TargetChoice(
            one,
            label_of_kind(one.kind),
            [_option(audience, ticked.get((one.id, audience))) for audience in audiences_of(one.kind)],
        )
        for one in Integration.objects.all()
    ]


def _option(audience: str, subscription: Subscription | None) -> Option:
    said = options_said(subscription) if subscription else ""
    return Option(audience, AUDIENCE_LABELS[Audience(audience)], subscription is not None, said)


def options_said(subscription: Subscription) -> str:
    """What differs from “all, after each run”, in words."""
    parts = [choosing.said(subscription.filter)]
    if subscription.cadence != Cadence.IMMEDIATELY:
        parts.append(str(Cadence(subscription.cadence).label).lower())
    if subscription.after_days:
        parts.append(f"still failing after {subscription.after_days} d")
    if subscription.remind_days:
        parts.append(f"reminded every {subscription.remind_days} d")
    if subscription.resolved:
        parts.append("also when it is over")
    text = "; ".join(part for part in parts if part)
    return text[:1].upper() + text[1:]


class TargetToggle(ConsoleView):
    """One checkbox: saved at once, answered with the dropdown and a toast that can undo it."""

    write_role = Role.OPERATOR

    def post(self, request: HttpRequest, slug: str, integration_id: int, audience: str) -> HttpResponse:
        check = get_object_or_404(Check, slug=slug)
        integration = get_object_or_404(Integration, id=integration_id)
        if audience not in audiences_of(integration.kind):
            text = f"{integration.name} cannot reach “{audience}”."
            return self.toast(text, "error")
        ticked = request.POST.get("ticked") == "on"
        if ticked:
            subscribe(check, integration, audience=audience, by=request.user)
        else:
            unsubscribe(check, integration, audience=audience, by=request.user)
        choices = target_choices(check)
        return self.fragment(
            "console/checks/targets_saved.html",
            {
                "check": check,
                "choices": choices,
                "count": sum(choice.ticked for choice in choices),
                "changed": integration,
                "audience": audience,
                "ticked": ticked,
                "text": f"{integration.name} {'is told' if ticked else 'is no longer told'} of this check.",
            },
        )


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
            return self.toast("Nobody fails this check now, so nothing was sent.", "info", close_dialog=True)
        whom = (
            "The user who fails now is"
            if context["count"] == 1
            else f"The {context['count']:,} users who fail now are"
        )
        text = f"{whom} on the way to {integration.name} ({context['audience_label']}). See Deliveries."
        return self.toast(text, close_dialog=True)

    @staticmethod
    def _context(slug: str, integration_id: int, audience: str) -> dict[str, Any]:
        check = get_object_or_404(Check, slug=slug)
        integration = get_object_or_404(Integration, id=integration_id)
        if audience not in audiences_of(integration.kind):
            raise Http404(f"{integration.name} cannot reach “{audience}”.")
        failing = Finding.objects.filter(check_ref=check, resolved_at__isnull=True)
        chosen = telling_of(check, integration, audience).filter
        return {
            "check": check,
            "check_title": title_of(slug),
            "integration": integration,
            "audience": audience,
            "audience_label": AUDIENCE_LABELS[Audience(audience)],
            "only": choosing.said(chosen),
            "count": choosing.narrow(failing, chosen, check).count(),
        }


urlpatterns = [
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
