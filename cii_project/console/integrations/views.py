"""Integrations: the list, the gallery, the form, one integration's own page, and what can be done to it."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from urllib.parse import urlsplit

from django.db.models import Count, Model, Prefetch, Q, QuerySet
from django.db.models.functions import TruncDate
from django.http import Http404, HttpRequest, HttpResponse, QueryDict
from django.shortcuts import get_object_or_404
from django.urls import path
from django.utils import timezone

from checks.models import Check, severity_rank
from cii_project.console.core import setting_widgets, unsaved_secrets
from cii_project.console.core.audiences import AUDIENCE_LABELS, audiences_of
from cii_project.console.core.console_view import (
    ConsoleView,
    Role,
    closing_dialog,
    guide_url,
    page_url,
    with_toast,
)
from cii_project.console.core.csv_export import time_cell
from cii_project.console.core.list_query import Column, Filter, ListQuery, choices_of
from cii_project.console.core.list_view import Listing, ListView
from cii_project.console.core.source_rows import source_rows
from cii_project.console.core.titles import check_title, event_title
from cii_project.console.core.unstorable_values import parse_id
from cii_project.console.integrations import labels
from cii_project.console.integrations.health_chart import health_chart
from cii_project.console.integrations.target_forms import FieldsForm, IntegrationForm, RotateForm
from cii_project.console.integrations.webhook_form import WEBHOOK_CARDS, WebhookForm, secret_inputs
from cii_project.documentation.pages import guide_of_target
from integrations import services
from integrations.models import Integration
from integrations.services import KINDS, InvalidDocument, TemplateError
from notifications import services as notification_services
from notifications.models import Attempt, Audience, Delivery, Event, Subscription

# The session's key under which a secret that was just made waits, sealed, for the one page that shows it.
SHOWN_ONCE = "signing_secret"
# The session's key for the target that its own page tests when it is shown next ("Save and test").
TESTED_ON_ARRIVAL = "test_target"
HEALTH_DAYS = 14
ANSWERS_SHOWN = 5
# Number of the newest failed attempts that are put together by their answer.
ATTEMPTS_LOOKED_AT = 100
# Number of the newest undelivered deliveries among which the last answers are sought.
FAILED_LOOKED_AT = 50
CHECKS_IN_ROW = 1


_SUBSCRIPTIONS = Prefetch(
    "subscriptions", queryset=Subscription.objects.select_related("check_ref").order_by("check_ref__slug")
)


def _all() -> QuerySet[Integration]:
    return Integration.objects.prefetch_related(_SUBSCRIPTIONS)


def _row(integration: Integration) -> dict[str, object]:
    checks = {s.check_ref_id: s.check_ref for s in integration.subscriptions.all()}
    return {
        "integration": integration,
        "menu_id": f"menu-{integration.pk}",
        "deliveries_url": f"{page_url('deliveries')}?target={integration.pk}",
        "state": labels.state_badge(integration),
        "kind": labels.kind_label(integration),
        "warnings": labels.setting_warnings(integration),
        "logo": labels.kind_logo(integration),
        "checks": [(check_title(check.slug), page_url("check", check.slug)) for check in checks.values()],
        "more": max(len(checks) - CHECKS_IN_ROW, 0),
    }


class IntegrationView(ConsoleView):
    section = "console:integrations"
    guide = "targets"

    def one(self, pk: int) -> Integration:
        return get_object_or_404(_all(), pk=pk)

    def crumbs(self, integration: Integration | None = None) -> list[tuple[str, str]]:
        found = [("Integrations", page_url("integrations"))]
        return [*found, (integration.name, page_url("integration", integration.pk))] if integration else found


class IntegrationsPage(ListView, IntegrationView):
    title = "Integrations"
    template = "console/integrations/list.html"
    list_name = "integrations"
    nouns = ("target", "targets")
    search_label = "Name or description"
    default_sort = "name"
    columns = (
        Column(
            "name",
            "Name",
            lambda row: row["integration"].name,
            ("name", "id"),
            is_indexed=True,
            is_fixed=True,
        ),
        Column("description", "Description", lambda row: row["integration"].description, is_csv_only=True),
        Column("kind", "Kind", lambda row: row["kind"], ("kind", "name", "id")),
        Column("state", "State", lambda row: row["state"].text, ("state", "name", "id")),
        Column(
            "owner",
            "Owner",
            lambda row: row["integration"].owner_email,
            ("owner_email", "name", "id"),
            is_extra=True,
        ),
        Column(
            "last_delivery",
            "Last delivery",
            lambda row: time_cell(row["integration"].last_success_at),
            ("last_success_at", "name", "id"),
            starts_descending=True,
        ),
        Column("checks", "Enabled on", lambda row: ", ".join(title for title, _ in row["checks"])),
    )

    def filters(self) -> Sequence[Filter]:
        return (
            Filter("kind", "Kind", [(slug, kind.label) for slug, kind in KINDS.items()]),
            Filter("state", "State", [*choices_of(Integration.State), ("failing", "Failing")]),
        )

    def matching(self, asked: ListQuery) -> list[QuerySet[Model]]:
        found = Integration.objects.all()
        if kind := asked.filters.get("kind"):
            found = found.filter(kind=kind)
        state = asked.filters.get("state")
        if state == "failing":
            found = found.filter(failing_since__isnull=False, state=Integration.State.ACTIVE)
        elif state:
            found = found.filter(state=state)
        for word in asked.search.split():
            found = found.filter(Q(name__icontains=word) | Q(description__icontains=word))
        return [found]

    def related(self, found: QuerySet[Model]) -> QuerySet[Model]:
        return found.prefetch_related(_SUBSCRIPTIONS)

    def rows(self, found: Sequence[Integration]) -> Sequence[dict[str, object]]:
        return [_row(integration) for integration in found]

    def more_context(self, listing: Listing) -> Mapping[str, object]:
        return {"subtitle": "Where messages go, and where users come from.", "sources": source_rows()}


class GalleryPage(IntegrationView):
    title = "Add an integration"
    template = "console/integrations/gallery.html"
    role = write_role = Role.ENGINEER

    def get(self, request: HttpRequest) -> HttpResponse:
        others = [kind for kind in KINDS.values() if kind.form_fields]
        return self.page({"cards": [*WEBHOOK_CARDS, *others], "crumbs": self.crumbs()})


def _secret_inputs(slug: str, data: QueryDict) -> dict[str, str]:
    """The inputs of secrets of a kind's form, as ``unsaved_secrets`` wants them."""
    kind = KINDS.get(slug)
    return (
        setting_widgets.secret_inputs(kind.form_fields) if kind and kind.form_fields else secret_inputs(data)
    )


def _form(
    slug: str, integration: Integration | None = None, data: QueryDict | None = None
) -> tuple[str, IntegrationForm]:
    """The kind and its form; ``slug`` names a kind or a preset of the webhook."""
    kind = KINDS.get(slug)
    if kind and kind.form_fields:
        return slug, FieldsForm(kind.form_fields, data, integration=integration)
    if slug in {preset.slug for preset in WEBHOOK_CARDS}:
        return "webhook", WebhookForm(data, integration=integration, preset=slug)
    raise Http404(f"There is no kind “{slug}”.")


class IntegrationFormPage(IntegrationView):
    template = "console/integrations/form.html"
    role = write_role = Role.ENGINEER

    def answer(self, kind: str, form: IntegrationForm, integration: Integration | None) -> HttpResponse:
        title = f"Edit {integration.name}" if integration else f"Add {form.label or KINDS[kind].label}"
        # A preset of the webhook has a separate guide.
        guide = guide_url(guide_of_target(self.kwargs.get("slug", kind)))
        context = {"form": form, "integration": integration, "title": title, "guide_url": guide}
        return self.page({**context, "crumbs": self.crumbs(integration)})

    def refuse(
        self, slug: str, kind: str, form: IntegrationForm, integration: Integration | None
    ) -> HttpResponse:
        """The form again with its errors; the secrets that were entered stay on the server for the next attempt."""
        form.mark_kept(unsaved_secrets.keep(self.request, form, _secret_inputs(slug, self.request.POST)))
        return self.answer(kind, form, integration)

    def save(self, request: HttpRequest, slug: str, integration: Integration | None) -> HttpResponse:
        data = unsaved_secrets.restore(request, _secret_inputs(slug, request.POST))
        kind, form = _form(slug, integration, data)
        if not form.is_valid():
            return self.refuse(slug, kind, form, integration)
        try:
            saved = services.save_integration(
                name=form.cleaned_data["name"].strip(),
                kind=kind,
                document=form.document(),
                description=form.cleaned_data["description"],
                owner_email=form.cleaned_data["owner_email"],
                limits=form.limits(),
                integration=integration,
            )
        except InvalidDocument as error:
            form.place_errors(error.errors)
            return self.refuse(slug, kind, form, integration)
        made = saved.integration
        unsaved_secrets.discard(request, data.get(unsaved_secrets.FIELD, ""))
        if "test" in request.POST:
            request.session[TESTED_ON_ARRIVAL] = made.pk
        if saved.signing_secret:
            request.session[SHOWN_ONCE] = {str(made.pk): services.seal(saved.signing_secret)}
        url = page_url("integration", made.pk)
        if integration is None:
            return self.done(f"“{made.name}” is added. Test its connectivity, then enable it on checks.", url)
        return self.done("The integration is saved." if saved.changed else "Nothing was changed.", url)


class AddIntegration(IntegrationFormPage):
    def get(self, request: HttpRequest, slug: str) -> HttpResponse:
        return self.answer(*_form(slug), None)

    def post(self, request: HttpRequest, slug: str) -> HttpResponse:
        return self.save(request, slug, None)


class EditIntegration(IntegrationFormPage):
    def get(self, request: HttpRequest, pk: int) -> HttpResponse:
        integration = self.one(pk)
        return self.answer(*_form(integration.kind, integration), integration)

    def post(self, request: HttpRequest, pk: int) -> HttpResponse:
        integration = self.one(pk)
        return self.save(request, integration.kind, integration)


@dataclass(slots=True)
class FailedAnswer:
    """One answer of a failing target, and how often it came among the newest attempts. ``newest``: its last attempt."""

    newest: Attempt
    event: str
    url: str
    count: int = 1


def _failed_answers(attempts: Iterable[Attempt]) -> list[FailedAnswer]:
    """The different answers of ``attempts``, which are newest first: at most ``ANSWERS_SHOWN``."""
    answers: dict[tuple[int | None, str], FailedAnswer] = {}
    for each in attempts:
        key = (each.status_code, each.reason)
        if key in answers:
            answers[key].count += 1
        else:
            title = event_title(each.delivery.event)
            answers[key] = FailedAnswer(each, title, page_url("delivery", each.delivery_id))
    return list(answers.values())[:ANSWERS_SHOWN]


def _bad_day(integration: Integration) -> dict[str, object]:
    """The recent failures of a target, and what to do; empty for a target that works. Two queries."""
    is_failing = integration.failing_since or integration.state == Integration.State.DISABLED
    if not is_failing:
        return {}
    open_states = (Delivery.State.DUE, Delivery.State.SENDING, Delivery.State.DEAD)
    recent = (
        Delivery.objects.filter(integration=integration, state__in=open_states)
        .order_by("-created_at", "-id")
        .values("id")[:FAILED_LOOKED_AT]
    )
    attempts = (
        Attempt.objects.filter(delivery__in=[row["id"] for row in recent])
        .exclude(outcome="delivered")
        .select_related("delivery__event__check_ref")
        .defer("delivery__body", "response_headers")
        .order_by("-started_at", "-id")[:ATTEMPTS_LOOKED_AT]
    )
    answers = _failed_answers(attempts)
    newest = answers[0].newest if answers else None
    advice = labels.attempt_advice(newest.status_code, newest.reason) if newest else ""
    return {"failed_answers": answers, "advice": advice, "is_failing": True}


class IntegrationPage(IntegrationView):
    template = "console/integrations/detail.html"

    def get(self, request: HttpRequest, pk: int) -> HttpResponse:
        integration = self.one(pk)
        today = timezone.localtime().replace(hour=0, minute=0, second=0, microsecond=0)
        since = today - timedelta(days=HEALTH_DAYS - 1)
        days = (
            Delivery.objects.filter(integration=integration, created_at__gte=since)
            .exclude(event__origin__in=Event.TESTS)
            .order_by()
            .annotate(day=TruncDate("created_at"))
            .values_list("day", "state")
            .annotate(number=Count("id"))
        )
        recent = integration.deliveries.select_related("event__check_ref").order_by("-created_at", "-id")[:8]
        kind = KINDS.get(integration.kind)
        row = _row(integration)
        return self.page(
            {
                **row,
                **_bad_day(integration),
                "title": integration.name,
                "guide_url": guide_url(guide_of_target(integration.kind)),
                "subtitle": integration.description,
                "crumbs": self.crumbs(),
                "described": kind.describe(integration.settings) if kind else [],
                "deliveries": [(d, event_title(d.event), page_url("delivery", d.pk)) for d in recent],
                "chart": health_chart(days, HEALTH_DAYS, today.date()),
                "signing_secret": self._shown_once(request, integration),
                "is_test_due": request.session.pop(TESTED_ON_ARRIVAL, None) == integration.pk,
                "live_secrets": services.live_signing_secrets(integration),
                "is_lost": bool(services.with_lost_secrets([integration])),
                "has_sealed_urls": services.has_sealed_urls(integration),
                "unsent": notification_services.unsent(integration),
            }
        )

    def _shown_once(self, request: HttpRequest, integration: Integration) -> str:
        sealed = request.session.get(SHOWN_ONCE, {}).get(str(integration.pk))
        if not sealed:
            return ""
        del request.session[SHOWN_ONCE]
        try:
            return str(services.unseal(sealed))
        except services.UnsealError:
            # FIELD_KEYS changed since: another can be made by a rotation.
            return ""


class TestConnectivity(IntegrationView):
    """Test connectivity, in place or in a dialog."""

    def post(self, request: HttpRequest, pk: int) -> HttpResponse:
        integration = self.one(pk)
        was_failing = bool(integration.failing_since)
        in_dialog = request.GET.get("in") == "dialog"
        try:
            delivery = notification_services.test_connectivity(integration, by=request.user)
        except TemplateError as error:
            return self.fragment(
                "console/integrations/test_refused.html", {"error": error, "in_dialog": in_dialog}
            )
        attempt = delivery.log.order_by("-number").first()
        context = {
            "integration": integration,
            "delivery": delivery,
            "attempt": attempt,
            "is_cured": was_failing and not integration.failing_since,
            "state": labels.state_badge(integration),
            "answer": attempt.response_body.encode()[:1024].decode(errors="ignore") if attempt else "",
            "advice": labels.delivery_advice(delivery, attempt),
            # The target's own page shows this above, for any result of the test.
            "on_no_check": in_dialog and not integration.subscriptions.all(),
            "delivery_url": page_url("delivery", delivery.pk),
            # After a success this is the place to send what waits.
            "unsent": notification_services.unsent(integration),
            "deliveries_url": f"{page_url('deliveries')}?target={integration.pk}",
        }
        part = "test_dialog" if in_dialog else "test_result"
        return self.fragment(f"console/integrations/{part}.html", context)


class EnableOnChecks(IntegrationView):
    """The checks that notify this target: a checkbox per check and audience."""

    role = Role.OPERATOR

    def get(self, request: HttpRequest, pk: int) -> HttpResponse:
        integration = self.one(pk)
        on, audiences = _on(integration), audiences_of(integration.kind)
        checks = sorted(
            (
                (
                    check,
                    check_title(check.slug),
                    [(a, AUDIENCE_LABELS[Audience(a)], (check.pk, a) in on) for a in audiences],
                )
                for check in Check.objects.all()
            ),
            key=lambda row: (severity_rank(row[0].severity), row[1]),
        )
        heads = [(a, AUDIENCE_HEADS[Audience(a)], AUDIENCE_LABELS[Audience(a)]) for a in audiences]
        context = {"integration": integration, "checks": checks, "heads": heads, "drawn": _drawn(on)}
        return self.fragment("console/integrations/checks_dialog.html", context)

    def post(self, request: HttpRequest, pk: int) -> HttpResponse:
        integration = self.one(pk)
        on, audiences = _on(integration), audiences_of(integration.kind)
        checked = {(parse_id(value), a) for a in audiences for value in request.POST.getlist(a)}
        # Only what the member changed is applied, so that an old dialog undoes nothing of another member's.
        drawn = _parse_drawn(request.POST["drawn"]) if "drawn" in request.POST else on
        toggled = {(check, audience) for check, audience in checked if check} ^ drawn
        wanted = (on | toggled) - (toggled & drawn)
        checks = Check.objects.in_bulk({check for check, _ in wanted ^ on})
        for check, audience in sorted(wanted ^ on):
            if check not in checks:
                continue
            if (check, audience) in wanted:
                notification_services.subscribe(
                    checks[check], integration, audience=audience, by=request.user
                )
            else:
                notification_services.unsubscribe(checks[check], integration, audience=audience)
        number = len({check for check, _ in wanted})
        said = f"“{integration.name}” is enabled on {number} check{'' if number == 1 else 's'}."
        if urlsplit(request.headers.get("HX-Current-URL", "")).path != page_url("integration", pk):
            return self.refreshed(said)
        # On its own page only what changed is replaced: a signing secret that is shown once stays.
        changed = self.fragment("console/integrations/checks_changed.html", _row(self.one(pk)))
        changed["HX-Reswap"] = "none"
        return closing_dialog(with_toast(changed, said))


def _on(integration: Integration) -> set[tuple[int, str]]:
    """Check and audience of each subscription."""
    return {(one.check_ref_id, one.audience) for one in integration.subscriptions.all()}


def _drawn(on: set[tuple[int, str]]) -> str:
    """The subscriptions that a dialog was rendered with, for its hidden field: ``12:list 12:user``."""
    return " ".join(f"{check}:{audience}" for check, audience in sorted(on))


def _parse_drawn(text: str) -> set[tuple[int, str]]:
    pairs = (part.partition(":") for part in text.split())
    return {(parse_id(check), audience) for check, _, audience in pairs}


AUDIENCE_HEADS = {Audience.LIST: "List", Audience.USER: "Users", Audience.MANAGER: "Managers"}


class PauseIntegration(IntegrationView):
    def post(self, request: HttpRequest, pk: int) -> HttpResponse:
        integration = self.one(pk)
        services.pause(integration, f"Paused by {request.user.get_username()}.")
        return self.refreshed(f"“{integration.name}” is paused. Its messages wait; none is lost.")


class ResumeIntegration(IntegrationView):
    def post(self, request: HttpRequest, pk: int) -> HttpResponse:
        integration = self.one(pk)
        services.resume(integration)
        return self.refreshed(f"“{integration.name}” is active again. Waiting messages are sent now.")


class SendUnsent(IntegrationView):
    """All that waits for the target, and its dead letters, now."""

    write_role = Role.OPERATOR
    http_method_names = ("post",)

    def post(self, request: HttpRequest, pk: int) -> HttpResponse:
        sent = notification_services.send_unsent(self.one(pk))
        if not sent:
            return self.refreshed("Nothing waits any more.", "info")
        return self.refreshed(f"On the way: {sent.waiting:,} that waited, {sent.dead:,} dead letters.")


class RevealUrls(IntegrationView):
    """The complete URLs of an integration, for an Engineer; recorded in the audit trail."""

    write_role = Role.ENGINEER
    http_method_names = ("post",)

    def post(self, request: HttpRequest, pk: int) -> HttpResponse:
        integration = self.one(pk)
        try:
            context: dict[str, object] = {"urls": services.reveal_urls(integration)}
        except services.UnsealError:
            context = {"is_lost": True}
        answer = self.fragment("console/integrations/revealed.html", context)
        answer["Cache-Control"] = "no-store"
        return answer


class RotateSigningSecret(IntegrationView):
    role = write_role = Role.ENGINEER
    template = "console/integrations/rotate_dialog.html"

    def get(self, request: HttpRequest, pk: int) -> HttpResponse:
        return self.fragment(self.template, {"integration": self.one(pk), "form": RotateForm()})

    def post(self, request: HttpRequest, pk: int) -> HttpResponse:
        integration = self.one(pk)
        form = RotateForm(request.POST)
        if not form.is_valid():
            return self.fragment(self.template, {"integration": integration, "form": form})
        hours = form.cleaned_data["hours"]
        secret = services.rotate_signing_secret(integration, overlap_hours=hours)
        context = {"integration": integration, "hours": hours, "secret": secret}
        return self.fragment(self.template, context)


class DeleteIntegration(IntegrationView):
    role = write_role = Role.ENGINEER

    def get(self, request: HttpRequest, pk: int) -> HttpResponse:
        integration = self.one(pk)
        waiting = integration.deliveries.filter(state__in=Delivery.PENDING).count()
        context = {**_row(integration), "waiting": waiting, "total": integration.deliveries.count()}
        return self.fragment("console/integrations/delete_dialog.html", context)

    def post(self, request: HttpRequest, pk: int) -> HttpResponse:
        integration = self.one(pk)
        services.delete_integration(integration)
        return self.done(f"“{integration.name}” is deleted.", page_url("integrations"))


class BodyPreview(ConsoleView):
    """A sample event rendered with the template in the form; stores nothing."""

    role = Role.ENGINEER
    write_role = Role.ENGINEER

    def post(self, request: HttpRequest) -> HttpResponse:
        template = request.POST.get("template", "").strip()
        try:
            shown = services.preview_body(template) if template else ""
        except TemplateError as error:
            return self.fragment("console/integrations/body_shown.html", {"error": str(error)})
        return self.fragment("console/integrations/body_shown.html", {"shown": shown})


urlpatterns = [
    path("integrations/body-preview/", BodyPreview.as_view(), name="integration-body-preview"),
    path("integrations/", IntegrationsPage.as_view(), name="integrations"),
    path("integrations/add/", GalleryPage.as_view(), name="integration-add"),
    path("integrations/add/<slug:slug>/", AddIntegration.as_view(), name="integration-new"),
    path("integrations/<int:pk>/", IntegrationPage.as_view(), name="integration"),
    path("integrations/<int:pk>/edit/", EditIntegration.as_view(), name="integration-edit"),
    path("integrations/<int:pk>/test/", TestConnectivity.as_view(), name="integration-test"),
    path("integrations/<int:pk>/checks/", EnableOnChecks.as_view(), name="integration-checks"),
    path("integrations/<int:pk>/pause/", PauseIntegration.as_view(), name="integration-pause"),
    path("integrations/<int:pk>/resume/", ResumeIntegration.as_view(), name="integration-resume"),
    path("integrations/<int:pk>/send/", SendUnsent.as_view(), name="integration-send"),
    path("integrations/<int:pk>/reveal/", RevealUrls.as_view(), name="integration-reveal"),
    path("integrations/<int:pk>/rotate/", RotateSigningSecret.as_view(), name="integration-rotate"),
    path("integrations/<int:pk>/delete/", DeleteIntegration.as_view(), name="integration-delete"),
]
