"""Customize Messages: the text of one check for one kind of target and one audience, with its preview and tests."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.urls import path, reverse
from django.utils.http import urlencode

from checks.catalogue import CATALOGUE
from checks.models import Check, Finding, User
from cii_project.console.base import ConsoleView, Role
from cii_project.console.check_head import CheckView
from cii_project.console.check_targets import AUDIENCE_LABELS, audiences_of, label_of_kind
from integrations import targets as kinds
from integrations.models import Integration
from notifications import messages as liquid
from notifications.models import Audience, MessageTemplate
from notifications.services import preview_message, reset_message, save_message, send_test_message

USERS_OFFERED = 20


@dataclass(frozen=True, slots=True)
class Slot:
    """Which message is edited: one of this check's, by kind and audience."""

    check: Check
    kind: str
    audience: str

    @classmethod
    def read(cls, check: Check, request: HttpRequest, integrations: Sequence[Integration]) -> "Slot":
        """What the address names; where it names nothing that exists, the first kind in use and its list."""
        asked = {**request.GET.dict(), **request.POST.dict()}
        used = [one.kind for one in integrations if one.kind in kinds.KINDS]
        kind = asked.get("kind", "")
        if kind not in kinds.KINDS:
            kind = (used or list(kinds.KINDS))[0]
        offered = audiences_of(kind)
        audience = asked.get("audience", "")
        return cls(check, kind, audience if audience in offered else offered[0])

    @property
    def url(self) -> str:
        query = urlencode({"kind": self.kind, "audience": self.audience})
        return f"{reverse('console:messages', args=[self.check.slug])}?{query}"

    @property
    def label(self) -> str:
        return f"{label_of_kind(self.kind)}: {AUDIENCE_LABELS[Audience(self.audience)]}"

    @property
    def default(self) -> str:
        return liquid.DEFAULTS[self.audience]

    def stored(self) -> MessageTemplate | None:
        return MessageTemplate.objects.filter(
            check_ref=self.check, kind=self.kind, audience=self.audience
        ).first()


class MessagesPage(CheckView):
    """The editor; a POST saves or, with ``reset``, goes back to the default. A GET with ``reset`` asks first."""

    template = "console/messages/page.html"
    reset_dialog = "console/messages/reset_dialog.html"
    write_role = Role.ENGINEER

    def get(self, request: HttpRequest, slug: str) -> HttpResponse:
        slot, integrations = self._slot(request, slug)
        if self.is_htmx and "reset" in request.GET:
            return self.fragment(self.reset_dialog, {"slot": slot})
        stored = slot.stored()
        return self._show(slot, integrations, stored, stored.text if stored else slot.default)

    def post(self, request: HttpRequest, slug: str) -> HttpResponse:
        slot, integrations = self._slot(request, slug)
        if "reset" in request.POST:
            reset_message(slot.check, slot.kind, audience=slot.audience, by=request.user)
            return self.done("The default message is back.", slot.url)
        text = request.POST.get("text", "").replace("\r\n", "\n")
        try:
            save_message(slot.check, slot.kind, text, audience=slot.audience, by=request.user)
        except liquid.MessageError as error:
            return self._show(slot, integrations, slot.stored(), text, error)
        return self.done("Saved. The next message reads like this.", slot.url)

    def _slot(self, request: HttpRequest, slug: str) -> tuple[Slot, list[Integration]]:
        integrations = list(Integration.objects.all())
        return Slot.read(self.check(slug), request, integrations), integrations

    def _show(
        self,
        slot: Slot,
        integrations: Sequence[Integration],
        stored: MessageTemplate | None,
        text: str,
        error: liquid.MessageError | None = None,
    ) -> HttpResponse:
        customised = set(MessageTemplate.objects.filter(check_ref=slot.check).values_list("kind", "audience"))
        context = {
            "title": f"Messages of {CATALOGUE[slot.check.slug].title}",
            "crumbs": [
                ("Checks", reverse("console:checks")),
                (CATALOGUE[slot.check.slug].title, reverse("console:check", args=[slot.check.slug])),
            ],
            "check": slot.check,
            "slot": slot,
            "choices": _choices(slot, integrations, customised),
            "text": text,
            "stored": stored,
            "save_error": error,
            "variables": [
                {"variable": one, "insert": _insertable(one)}
                for one in liquid.VARIABLES
                if slot.audience in one.audiences
            ],
            "people": _failing_people(slot.check),
            "targets": [one for one in integrations if one.kind == slot.kind],
            "longest": liquid.MAX_SOURCE,
        }
        return self.page(context)


def _choices(
    slot: Slot, integrations: Sequence[Integration], customised: set[tuple[str, str]]
) -> list[dict[str, Any]]:
    """The messages that can be edited: the kinds in use (all, where none is), each with its audiences."""
    used = {one.kind for one in integrations} | {slot.kind}
    shown = [kind for kind in kinds.KINDS if kind in used]
    slots = [Slot(slot.check, kind, audience) for kind in shown for audience in audiences_of(kind)]
    return [
        {
            "url": each.url,
            "label": each.label,
            "current": each == slot,
            "customised": (each.kind, each.audience) in customised,
        }
        for each in slots
    ]


def _insertable(variable: liquid.Variable) -> str:
    """What a click inserts: a loop for a list, the variable in braces otherwise."""
    if variable.name == "users":
        return "{% for user in users %}{{ user.login }}\n{% endfor %}"
    if variable.type.startswith("list"):
        return f'{{{{ {variable.name} | join: ", " }}}}'
    return f"{{{{ {variable.name} }}}}"


def _failing_people(check: Check) -> list[User]:
    """The latest who fail the check, to preview with."""
    found = Finding.objects.filter(check_ref=check, resolved_at__isnull=True).select_related("user")
    return [one.user for one in found.order_by("-id")[:USERS_OFFERED]]


class MessagePreview(CheckView):
    """The text in the editor, rendered with a real failing user of this check. Writes nothing."""

    role = Role.VIEWER
    write_role = Role.VIEWER

    def post(self, request: HttpRequest, slug: str) -> HttpResponse:
        slot = Slot.read(self.check(slug), request, [])
        wanted = request.POST.get("person", "")
        person = User.objects.filter(id=int(wanted)).first() if wanted.isdecimal() else None
        text = request.POST.get("text", "").replace("\r\n", "\n")
        preview = preview_message(slot.check, text, audience=slot.audience, user=person)
        return self.fragment("console/messages/preview.html", {"preview": preview})


class MessageTest(ConsoleView):
    """A marked test message with the text in the editor, to one target; shows what came back in place."""

    write_role = Role.OPERATOR

    def post(self, request: HttpRequest, slug: str, integration_id: int) -> HttpResponse:
        check = get_object_or_404(Check, slug=slug)
        integration = get_object_or_404(Integration, id=integration_id)
        slot = Slot.read(check, request, [integration])
        text = request.POST.get("text", "").replace("\r\n", "\n")
        customised = text != slot.default
        context: dict[str, Any] = {"integration": integration, "error": None, "delivery": None}
        try:
            context["delivery"] = send_test_message(
                check,
                integration,
                audience=slot.audience,
                template_text=text if customised else None,
                by=request.user,
            )
        except liquid.MessageError as error:
            context["error"] = error
        else:
            context["attempt"] = context["delivery"].log.order_by("-number").first()
        return self.fragment("console/messages/tested.html", context)


urlpatterns = [
    path("checks/<slug:slug>/messages", MessagesPage.as_view(), name="messages"),
    path("checks/<slug:slug>/messages/preview", MessagePreview.as_view(), name="message-preview"),
    path("checks/<slug:slug>/messages/test/<int:integration_id>", MessageTest.as_view(), name="message-test"),
]
