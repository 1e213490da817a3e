"""Customize messages: the text of one check for one kind of target and one audience, with its preview and tests."""

from collections.abc import Collection
from dataclasses import dataclass

from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.urls import path, reverse
from django.utils.http import urlencode

from checks.models import Check, Finding, User
from checks.services import CATALOGUE
from cii_project.console.checks.head import CheckView
from cii_project.console.core.audiences import AUDIENCE_LABELS, audiences_of, label_of_kind
from cii_project.console.core.console_view import ConsoleView, Role
from cii_project.console.core.form_versions import FIELD as VERSION, changed_since, fingerprints, last_change
from cii_project.console.core.unstorable_values import parse_id
from integrations.models import Integration
from integrations.services import KINDS, MAX_SOURCE
from notifications.models import Audience, MessageTemplate
from notifications.services import (
    MESSAGE_VARIABLES,
    MessageError,
    MessageVariable,
    default_message,
    preview_delivery,
    reset_message,
    save_message,
    send_test_message,
)

USERS_OFFERED = 20
# Targets that the list “Test” shows; the others are found by their names.
TARGETS_SHOWN = 20
# Numbers of users that a preview of a list offers.
SIZES = (1, 20, 2_000)


@dataclass(frozen=True, slots=True)
class MessageSlot:
    """Which message is edited: one of this check's, by kind and audience."""

    check: Check
    kind: str
    audience: str

    @classmethod
    def read(cls, check: Check, request: HttpRequest, kinds: Collection[str]) -> "MessageSlot":
        """The kind and audience that the address names, else the first of the ``kinds`` in use and its
        list."""
        asked = {**request.GET.dict(), **request.POST.dict()}
        used = [kind for kind in KINDS if kind in kinds]
        kind = asked.get("kind", "")
        if kind not in KINDS:
            kind = (used or list(KINDS))[0]
        offered = audiences_of(kind)
        audience = asked.get("audience", "")
        return cls(check, kind, audience if audience in offered else offered[0])

    @property
    def url(self) -> str:
        query = urlencode({"kind": self.kind, "audience": self.audience})
        return f"{reverse('console:messages', args=[self.check.slug])}?{query}"

    @property
    def kind_label(self) -> str:
        return label_of_kind(self.kind)

    @property
    def label(self) -> str:
        return f"{label_of_kind(self.kind)}: {AUDIENCE_LABELS[Audience(self.audience)]}"

    @property
    def default(self) -> str:
        return default_message(self.kind, self.audience)

    def stored(self) -> MessageTemplate | None:
        return MessageTemplate.objects.filter(
            check_ref=self.check, kind=self.kind, audience=self.audience
        ).first()

    @property
    def version(self) -> str:
        """The fingerprint of the text that is stored now."""
        return fingerprints(self._stored_text)

    def conflict(self, version: str) -> str:
        """A sentence about who changed the text since a page with this version was rendered; empty if nobody
        did."""
        if not changed_since(version, self._stored_text):
            return ""
        return last_change(self.check, f"Message for {self.kind} ({self.audience}) ")

    @property
    def _stored_text(self) -> dict[str, object]:
        stored = self.stored()
        return {"text": stored.text if stored else None}


class MessagesPage(CheckView):
    """The editor; a POST saves or, with ``reset``, goes back to the default. A GET with ``reset`` asks first."""

    template = "console/messages/page.html"
    guide = "notifications#the-editor"
    reset_dialog = "console/messages/reset_dialog.html"
    write_role = Role.ENGINEER

    def get(self, request: HttpRequest, slug: str) -> HttpResponse:
        slot, kinds = self._slot(request, slug)
        if self.is_htmx and "reset" in request.GET:
            return self._reset_dialog(slot, request.GET.get(VERSION, ""))
        stored = slot.stored()
        return self._show(slot, kinds, stored, stored.text if stored else slot.default)

    def post(self, request: HttpRequest, slug: str) -> HttpResponse:
        slot, kinds = self._slot(request, slug)
        version = request.POST.get(VERSION, "")
        conflict = slot.conflict(version)
        if "reset" in request.POST:
            if conflict:
                return self._reset_dialog(slot, version)
            reset_message(slot.check, slot.kind, audience=slot.audience)
            return self.done("The default message is restored.", slot.url)
        text = request.POST.get("text", "").replace("\r\n", "\n")
        if conflict:
            return self._show(slot, kinds, slot.stored(), text, conflict=conflict)
        try:
            save_message(slot.check, slot.kind, text, audience=slot.audience, by=request.user)
        except MessageError as error:
            return self._show(slot, kinds, slot.stored(), text, error)
        return self.done("Saved. The next message uses this text.", slot.url)

    def _reset_dialog(self, slot: MessageSlot, version: str) -> HttpResponse:
        """Asks before the text is deleted; says if it is no longer the one on the page with this version."""
        context = {"slot": slot, "version": slot.version, "conflict": slot.conflict(version)}
        return self.fragment(self.reset_dialog, context)

    def _slot(self, request: HttpRequest, slug: str) -> tuple[MessageSlot, set[str]]:
        kinds = set(Integration.objects.order_by().values_list("kind", flat=True).distinct())
        return MessageSlot.read(self.check(slug), request, kinds), kinds

    def _show(
        self,
        slot: MessageSlot,
        kinds: Collection[str],
        stored: MessageTemplate | None,
        text: str,
        error: MessageError | None = None,
        conflict: str = "",
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
            "choices": _choices(slot, kinds, customised),
            "text": text,
            "stored": stored,
            "save_error": error,
            "conflict": conflict,
            "version": slot.version,
            "variables": [
                {"variable": one, "insert": _insertable(one)}
                for one in MESSAGE_VARIABLES
                if slot.audience in one.audiences
            ],
            "people": _failing_people(slot.check),
            **_targets(slot.kind),
            "sizes": SIZES if slot.audience == Audience.LIST else (),
            "longest": MAX_SOURCE,
        }
        return self.page(context)


def _choices(
    slot: MessageSlot, kinds: Collection[str], customised: set[tuple[str, str]]
) -> list[dict[str, object]]:
    """The messages that can be edited: the kinds in use (all, where none is), each with its audiences."""
    used = {*kinds, slot.kind}
    shown = [kind for kind in KINDS if kind in used]
    slots = [MessageSlot(slot.check, kind, audience) for kind in shown for audience in audiences_of(kind)]
    return [
        {
            "url": each.url,
            "label": each.label,
            "current": each == slot,
            "customised": (each.kind, each.audience) in customised,
        }
        for each in slots
    ]


def _targets(kind: str, search: str = "") -> dict[str, object]:
    """The targets of a kind whose name has each word, at most ``TARGETS_SHOWN``, and how many more there are."""
    found = Integration.objects.filter(kind=kind)
    for word in search.replace("\0", "").split():
        found = found.filter(name__icontains=word)
    shown = list(found.order_by("name")[:TARGETS_SHOWN])
    more = found.count() - len(shown) if len(shown) == TARGETS_SHOWN else 0
    return {"targets": shown, "more_targets": more, "is_search": bool(search)}


class MessageTargets(CheckView):
    """The targets of the list “Test” that a search in it finds."""

    role = write_role = Role.ENGINEER

    def get(self, request: HttpRequest, slug: str) -> HttpResponse:
        slot = MessageSlot.read(self.check(slug), request, [])
        found = _targets(slot.kind, request.GET.get("q", ""))
        return self.fragment("console/messages/targets.html", {"check": slot.check, **found})


def _insertable(variable: MessageVariable) -> str:
    """The text that a click inserts: a loop for a list, else the variable in braces."""
    if variable.name == "users":
        return "{% for user in users %}{{ user.login }}\n{% endfor %}"
    if variable.type.startswith("list"):
        return f'{{{{ {variable.name} | join: ", " }}}}'
    return f"{{{{ {variable.name} }}}}"


def _failing_people(check: Check) -> list[User]:
    """The latest who fail the check, to preview with."""
    found = Finding.objects.filter(check_ref=check, resolved_at__isnull=True).select_related("user")
    return [one.user for one in found.order_by("-id")[:USERS_OFFERED]]


class MessagePreviewView(CheckView):
    """The text in the editor as a target of the kind gets it, about users who fail this check now. Writes nothing.

    Only a member who can save a template can render one: the author decides how much work rendering is.
    """

    role = write_role = Role.ENGINEER

    def post(self, request: HttpRequest, slug: str) -> HttpResponse:
        slot = MessageSlot.read(self.check(slug), request, [])
        wanted = request.POST.get("person", "")
        person = User.objects.filter(id=parse_id(wanted)).first()
        text = request.POST.get("text", "").replace("\r\n", "\n")
        users = parse_id(request.POST.get("users", ""))
        preview = preview_delivery(
            slot.check,
            slot.kind,
            text,
            audience=slot.audience,
            user=person,
            users=users if users in SIZES else SIZES[0],
        )
        return self.fragment("console/messages/preview.html", {"preview": preview, "slot": slot})


class MessageTest(ConsoleView):
    """A marked test message with the text in the editor, to one target; shows what came back in place."""

    write_role = Role.ENGINEER

    def post(self, request: HttpRequest, slug: str, integration_id: int) -> HttpResponse:
        check = get_object_or_404(Check, slug=slug)
        integration = get_object_or_404(Integration, id=integration_id)
        slot = MessageSlot.read(check, request, [integration.kind])
        text = request.POST.get("text", "").replace("\r\n", "\n")
        customised = text != slot.default
        context: dict[str, object] = {"integration": integration, "error": None, "delivery": None}
        try:
            delivery = send_test_message(
                check,
                integration,
                audience=slot.audience,
                template_text=text if customised else None,
                by=request.user,
            )
        except MessageError as error:
            context["error"] = error
        else:
            context |= {"delivery": delivery, "attempt": delivery.log.order_by("-number").first()}
        return self.fragment("console/messages/tested.html", context)


urlpatterns = [
    path("checks/<slug:slug>/messages", MessagesPage.as_view(), name="messages"),
    path("checks/<slug:slug>/messages/targets", MessageTargets.as_view(), name="message-targets"),
    path("checks/<slug:slug>/messages/preview", MessagePreviewView.as_view(), name="message-preview"),
    path("checks/<slug:slug>/messages/test/<int:integration_id>", MessageTest.as_view(), name="message-test"),
]
