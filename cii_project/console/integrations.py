"""Integrations: the list, the gallery, the form, one integration's own page, and what can be done to it."""

from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

from django.db.models import Count, Prefetch, QuerySet
from django.db.models.functions import TruncDate
from django.http import Http404, HttpRequest, HttpResponse, QueryDict
from django.shortcuts import get_object_or_404
from django.urls import path
from django.utils import timezone

from checks.models import Check
from cii_project.console import integrations_shown as shown
from cii_project.console.base import (
    ADDITION,
    DELETION,
    ConsoleView,
    Role,
    closing_dialog,
    link,
    record,
    with_toast,
)
from cii_project.console.check_targets import AUDIENCE_LABELS, audiences_of
from cii_project.console.checks_rows import SEVERITIES
from cii_project.console.integrations_charts import health_chart
from cii_project.console.integrations_forms import FieldsForm, IntegrationForm, RotateForm
from cii_project.console.sources import source_rows
from cii_project.console.titles import title_of
from cii_project.console.webhook_form import CARDS, WebhookForm
from integrations import sealing, services
from integrations.liquid import TemplateError
from integrations.models import Integration
from integrations.targets import KINDS, bodies
from integrations.targets.base import InvalidDocument
from notifications import services as notices
from notifications.models import Audience, Delivery, Subscription

# The session's key under which a secret that was just made waits, sealed, for the one page that shows it.
SHOWN_ONCE = "signing_secret"
HEALTH_DAYS = 14
CHECKS_IN_ROW = 1


def _all() -> QuerySet[Integration]:
    subscriptions = Subscription.objects.select_related("check_ref").order_by("check_ref__slug")
    return Integration.objects.prefetch_related(Prefetch("subscriptions", queryset=subscriptions))


def _row(integration: Integration) -> dict[str, Any]:
    checks = {s.check_ref_id: s.check_ref for s in integration.subscriptions.all()}
    return {
        "integration": integration,
        "menu_id": f"menu-{integration.pk}",
        "deliveries_url": f"{link('deliveries')}?target={integration.pk}",
        "state": shown.state_of(integration),
        "kind": shown.kind_label(integration),
        "logo": shown.logo(integration.kind),
        "checks": [(title_of(check), link("check", check.slug)) for check in checks.values()],
        "more": max(len(checks) - CHECKS_IN_ROW, 0),
    }


class Page(ConsoleView):
    section = "console:integrations"

    def one(self, pk: int) -> Integration:
        return get_object_or_404(_all(), pk=pk)

    def crumbs(self, integration: Integration | None = None) -> list[tuple[str, str]]:
        found = [("Integrations", link("integrations"))]
        return [*found, (integration.name, link("integration", integration.pk))] if integration else found


class Integrations(Page):
    title = "Integrations"
    template = "console/integrations/list.html"

    def get(self, request: HttpRequest) -> HttpResponse:
        return self.page(
            {
                "subtitle": "Where messages go, and where users come from.",
                "rows": [_row(integration) for integration in _all()],
                "sources": source_rows(),
            }
        )


class Gallery(Page):
    title = "Add an integration"
    template = "console/integrations/gallery.html"
    role = write_role = Role.ENGINEER

    def get(self, request: HttpRequest) -> HttpResponse:
        others = [kind for kind in KINDS.values() if hasattr(kind, "form_fields")]
        cards = [*((p, shown.logo(p.slug)) for p in CARDS), *((k, shown.logo(k.slug)) for k in others)]
        return self.page({"cards": cards, "crumbs": self.crumbs()})


def _form(
    slug: str, integration: Integration | None = None, data: QueryDict | None = None
) -> tuple[str, IntegrationForm]:
    """The kind and its form; ``slug`` names a kind or a preset of the webhook."""
    kind = KINDS.get(slug)
    if declared := getattr(kind, "form_fields", None):
        return slug, FieldsForm(declared, data, integration=integration)
    if slug in {preset.slug for preset in CARDS}:
        return "webhook", WebhookForm(data, integration=integration, preset=slug)
    raise Http404(f"There is no kind “{slug}”.")


class Form(Page):
    template = "console/integrations/form.html"
    role = write_role = Role.ENGINEER

    def answer(self, kind: str, form: IntegrationForm, integration: Integration | None) -> HttpResponse:
        title = f"Edit {integration.name}" if integration else f"Add {form.label or KINDS[kind].label}"
        context = {"form": form, "integration": integration, "title": title}
        return self.page({**context, "crumbs": self.crumbs(integration)})

    def save(self, request: HttpRequest, slug: str, integration: Integration | None) -> HttpResponse:
        kind, form = _form(slug, integration, request.POST)
        if not form.is_valid():
            return self.answer(kind, form, integration)
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
            return self.answer(kind, form, integration)
        made = saved.integration
        if saved.signing_secret:
            request.session[SHOWN_ONCE] = {str(made.pk): sealing.seal(saved.signing_secret)}
        url = link("integration", made.pk)
        if integration is None:
            record(request, made, "Added.", ADDITION)
            return self.done(f"“{made.name}” is added. Test its connectivity, then enable it on checks.", url)
        if saved.changed:
            names = [name for name in form.changed_data if name in form.fields]
            record(request, made, f"Changed {', '.join(names) or 'parameters'}.")
        return self.done("The integration is saved." if saved.changed else "Nothing was changed.", url)


class Add(Form):
    def get(self, request: HttpRequest, slug: str) -> HttpResponse:
        return self.answer(*_form(slug), None)

    def post(self, request: HttpRequest, slug: str) -> HttpResponse:
        return self.save(request, slug, None)


class Edit(Form):
    def get(self, request: HttpRequest, pk: int) -> HttpResponse:
        integration = self.one(pk)
        return self.answer(*_form(integration.kind, integration), integration)

    def post(self, request: HttpRequest, pk: int) -> HttpResponse:
        integration = self.one(pk)
        return self.save(request, integration.kind, integration)


class Detail(Page):
    template = "console/integrations/detail.html"

    def get(self, request: HttpRequest, pk: int) -> HttpResponse:
        integration = self.one(pk)
        today = timezone.now().replace(hour=0, minute=0, second=0, microsecond=0)
        since = today - timedelta(days=HEALTH_DAYS - 1)
        days = (
            Delivery.objects.filter(integration=integration, created_at__gte=since)
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
                "title": integration.name,
                "subtitle": integration.description,
                "crumbs": self.crumbs(),
                "described": kind.describe(integration.settings) if kind else [],
                "deliveries": [(d, title_of(d.event.check_ref), link("delivery", d.pk)) for d in recent],
                "chart": health_chart(days, HEALTH_DAYS, timezone.now().date()),
                "signing_secret": self._shown_once(request, integration),
                "live_secrets": _live_secrets(integration),
            }
        )

    def _shown_once(self, request: HttpRequest, integration: Integration) -> str:
        sealed = request.session.get(SHOWN_ONCE, {}).get(str(integration.pk))
        if not sealed:
            return ""
        del request.session[SHOWN_ONCE]
        return str(sealing.unseal(sealed))


def _live_secrets(integration: Integration) -> list[Any]:
    now = timezone.now()
    return [s for s in integration.signing_secrets.all() if not s.expires_at or s.expires_at > now]


class Test(Page):
    """Test Connectivity, in place or in a dialog."""

    def post(self, request: HttpRequest, pk: int) -> HttpResponse:
        integration = self.one(pk)
        delivery = notices.test_connectivity(integration, by=request.user)
        attempt = delivery.log.order_by("-number").first()
        in_dialog = request.GET.get("in") == "dialog"
        context = {
            "integration": integration,
            "delivery": delivery,
            "attempt": attempt,
            "answer": attempt.response_body.encode()[:1024].decode(errors="ignore") if attempt else "",
            "advice": shown.advice(delivery, attempt),
            # The target's own page says so above, whatever the test.
            "on_no_check": in_dialog and not integration.subscriptions.all(),
            "delivery_url": link("delivery", delivery.pk),
        }
        part = "test_dialog" if in_dialog else "test_result"
        return self.fragment(f"console/integrations/{part}.html", context)


class EnableOnChecks(Page):
    """Which checks tell this target: a tick a check and audience."""

    role = Role.OPERATOR

    def get(self, request: HttpRequest, pk: int) -> HttpResponse:
        integration = self.one(pk)
        on, audiences = _on(integration), audiences_of(integration.kind)
        checks = sorted(
            (
                (
                    check,
                    title_of(check),
                    [(a, AUDIENCE_LABELS[Audience(a)], (check.pk, a) in on) for a in audiences],
                )
                for check in Check.objects.all()
            ),
            key=lambda row: (SEVERITIES.index(row[0].severity), row[1]),
        )
        heads = [(a, AUDIENCE_HEADS[Audience(a)], AUDIENCE_LABELS[Audience(a)]) for a in audiences]
        context = {"integration": integration, "checks": checks, "heads": heads}
        return self.fragment("console/integrations/checks_dialog.html", context)

    def post(self, request: HttpRequest, pk: int) -> HttpResponse:
        integration = self.one(pk)
        on, audiences = _on(integration), audiences_of(integration.kind)
        ticked = {(value, a) for a in audiences for value in request.POST.getlist(a) if value.isdecimal()}
        wanted = {(int(value), audience) for value, audience in ticked}
        checks = Check.objects.in_bulk({check for check, _ in wanted ^ on})
        for check, audience in sorted(wanted ^ on):
            if check in checks:
                change = notices.subscribe if (check, audience) in wanted else notices.unsubscribe
                change(checks[check], integration, audience=audience, by=request.user)
        number = len({check for check, _ in wanted})
        said = f"“{integration.name}” is enabled on {number} check{'' if number == 1 else 's'}."
        if urlsplit(request.headers.get("HX-Current-URL", "")).path != link("integration", pk):
            return self.refreshed(said)
        # On its own page only what changed is drawn anew: a signing secret that is shown once stays.
        changed = self.fragment("console/integrations/checks_changed.html", _row(self.one(pk)))
        changed["HX-Reswap"] = "none"
        return closing_dialog(with_toast(changed, said))


def _on(integration: Integration) -> set[tuple[int, str]]:
    """Check and audience of each subscription."""
    return {(one.check_ref_id, one.audience) for one in integration.subscriptions.all()}


AUDIENCE_HEADS = {Audience.LIST: "List", Audience.USER: "Users", Audience.MANAGER: "Managers"}


class Pause(Page):
    def post(self, request: HttpRequest, pk: int) -> HttpResponse:
        integration = self.one(pk)
        services.pause(integration, f"Paused by {request.user.get_username()}.")
        record(request, integration, "Paused.")
        return self.refreshed(f"“{integration.name}” is paused: its messages wait, none is lost.")


class Resume(Page):
    def post(self, request: HttpRequest, pk: int) -> HttpResponse:
        integration = self.one(pk)
        services.resume(integration)
        record(request, integration, "Resumed.")
        return self.refreshed(f"“{integration.name}” is active again: what waited is sent now.")


class Rotate(Page):
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
        record(request, integration, f"Rotated the signing secret, the old one valid for {hours} more hours.")
        context = {"integration": integration, "hours": hours, "secret": secret}
        return self.fragment(self.template, context)


class Delete(Page):
    role = write_role = Role.ENGINEER

    def get(self, request: HttpRequest, pk: int) -> HttpResponse:
        integration = self.one(pk)
        waiting = integration.deliveries.filter(state__in=Delivery.OPEN).count()
        context = {**_row(integration), "waiting": waiting, "total": integration.deliveries.count()}
        return self.fragment("console/integrations/delete_dialog.html", context)

    def post(self, request: HttpRequest, pk: int) -> HttpResponse:
        integration = self.one(pk)
        record(request, integration, "Deleted.", DELETION)
        services.delete_integration(integration)
        return self.done(f"“{integration.name}” is deleted.", link("integrations"))


class BodyPreview(ConsoleView):
    """What a webhook's template, as it stands in the form, makes of a sample event; stores nothing."""

    role = Role.ENGINEER
    write_role = Role.ENGINEER

    def post(self, request: HttpRequest) -> HttpResponse:
        template = request.POST.get("template", "").strip()
        try:
            shown = bodies.preview(template) if template else ""
        except TemplateError as error:
            return self.fragment("console/integrations/body_shown.html", {"error": str(error)})
        return self.fragment("console/integrations/body_shown.html", {"shown": shown})


urlpatterns = [
    path("integrations/body-preview/", BodyPreview.as_view(), name="integration-body-preview"),
    path("integrations/", Integrations.as_view(), name="integrations"),
    path("integrations/add/", Gallery.as_view(), name="integration-add"),
    path("integrations/add/<slug:slug>/", Add.as_view(), name="integration-new"),
    path("integrations/<int:pk>/", Detail.as_view(), name="integration"),
    path("integrations/<int:pk>/edit/", Edit.as_view(), name="integration-edit"),
    path("integrations/<int:pk>/test/", Test.as_view(), name="integration-test"),
    path("integrations/<int:pk>/checks/", EnableOnChecks.as_view(), name="integration-checks"),
    path("integrations/<int:pk>/pause/", Pause.as_view(), name="integration-pause"),
    path("integrations/<int:pk>/resume/", Resume.as_view(), name="integration-resume"),
    path("integrations/<int:pk>/rotate/", Rotate.as_view(), name="integration-rotate"),
    path("integrations/<int:pk>/delete/", Delete.as_view(), name="integration-delete"),
]
