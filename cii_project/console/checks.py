"""Checks: the table, the enabled switch, and several at once."""

from collections.abc import Callable
from urllib.parse import urlencode

from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.urls import path, reverse
from django.utils.http import url_has_allowed_host_and_scheme

from checks.models import Check
from checks.services import update_check
from cii_project.console.base import ConsoleView, Role, record, with_toast
from cii_project.console.check_targets import AUDIENCE_LABELS, audiences_of
from cii_project.console.checks_rows import SEVERITIES, Filters, all_rows, shown_rows
from cii_project.console.runs_progress import live_run, progress_of, title_of
from integrations.models import Integration
from notifications.models import Audience
from notifications.services import subscribe, unsubscribe

SECTION = "console:checks"


class ChecksPage(ConsoleView):
    title = "Checks"
    template = "console/checks/list.html"
    section = SECTION

    def get(self, request: HttpRequest) -> HttpResponse:
        filters = Filters.read(request.GET)
        rows = all_rows()
        context = {
            "rows": shown_rows(rows, filters),
            "total": len(rows),
            "filters": filters,
            "query": query_of(filters),
        }
        if self.is_htmx:
            return self.fragment("console/checks/table.html", context)
        run = live_run()
        return self.page(
            {
                **context,
                "severities": SEVERITIES,
                "topics": sorted({topic for row in rows for topic in row.topics}),
                "tags": sorted({tag for row in rows for tag in row.check.tags}),
                "targets": _targets(),
                "progress": progress_of(run) if run else None,
                "run": run,
            }
        )


def query_of(filters: Filters) -> str:
    """The filters as a query string without the sort, for the links of the table's head."""
    names = ("search", "severity", "topic", "tag", "enabled", "failing")
    return urlencode({name: getattr(filters, name) for name in names if getattr(filters, name)})


class CheckEnabled(ConsoleView):
    """The switch of a row: saved at once, answers with itself and a toast."""

    write_role = Role.ENGINEER

    def post(self, request: HttpRequest, slug: str) -> HttpResponse:
        check = get_object_or_404(Check, slug=slug)
        enabled = request.POST.get("enabled") == "on"
        if update_check(check, enabled=enabled):
            record(request, check, f"{'Enabled' if enabled else 'Disabled'} the check")
        check.refresh_from_db()
        response = self.fragment("console/checks/switch.html", {"check": check, "title": title_of(slug)})
        return with_toast(response, f"{title_of(slug)} is {'on' if check.enabled else 'off'}.")


class ChecksBulk(ConsoleView):
    """One change to several checks: on, off, a tag, a target."""

    write_role = Role.OPERATOR

    def post(self, request: HttpRequest) -> HttpResponse:
        action = request.POST.get("action", "")
        checks = list(Check.objects.filter(slug__in=request.POST.getlist("slug")))
        back = self._back(request)
        if action not in ACTIONS or not checks:
            return self.done("Select at least one check and what to do with it.", back, "error")
        needed, act = ACTIONS[action]
        if not self.context()["can_engineer"] and needed is Role.ENGINEER:
            return self.forbidden(needed)
        try:
            text = act(request, checks)
        except ValidationError as error:
            return self.done(" ".join(error.messages), back, "error")
        return self.done(text, back)

    @staticmethod
    def _back(request: HttpRequest) -> str:
        wanted = request.POST.get("back", "")
        page = reverse(SECTION)
        allowed = url_has_allowed_host_and_scheme(wanted, allowed_hosts=None) and wanted.startswith(page)
        return wanted if allowed else page


def _counted(count: int) -> str:
    return "1 check" if count == 1 else f"{count} checks"


def _switch(request: HttpRequest, checks: list[Check], *, on: bool) -> str:
    changed = [check for check in checks if update_check(check, enabled=on)]
    for check in changed:
        record(request, check, f"{'Enabled' if on else 'Disabled'} the check")
    return f"{_counted(len(changed))} switched {'on' if on else 'off'}."


def _tag(request: HttpRequest, checks: list[Check], *, add: bool) -> str:
    tag = request.POST.get("tag", "").strip()
    if not tag:
        raise ValidationError("Write the tag.")
    changed = 0
    for check in checks:
        tags = {*check.tags, tag} if add else {*check.tags} - {tag}
        if update_check(check, tags=sorted(tags)):
            record(request, check, f"{'Added' if add else 'Removed'} the tag {tag}")
            changed += 1
    return f"Tag {tag} {'added to' if add else 'removed from'} {_counted(changed)}."


def _target(request: HttpRequest, checks: list[Check], *, add: bool) -> str:
    wanted, _, audience = request.POST.get("target", "").partition(" ")
    integration = Integration.objects.filter(id=wanted).first() if wanted.isdecimal() else None
    if integration is None or audience not in audiences_of(integration.kind):
        raise ValidationError("Choose the target.")
    change = subscribe if add else unsubscribe
    for check in checks:
        change(check, integration, audience=audience, by=request.user)
    name = _target_name(integration, audience)
    return f"{name} {'ticked on' if add else 'unticked on'} {_counted(len(checks))}."


def _targets() -> list[tuple[str, str]]:
    """Each audience of each target: its value in the form, its words."""
    return [
        (f"{one.pk} {audience}", _target_name(one, audience))
        for one in Integration.objects.all()
        for audience in audiences_of(one.kind)
    ]


def _target_name(integration: Integration, audience: str) -> str:
    only_list = audience == Audience.LIST
    return integration.name if only_list else f"{integration.name} ({AUDIENCE_LABELS[Audience(audience)]})"


ACTIONS: dict[str, tuple[Role, Callable[[HttpRequest, list[Check]], str]]] = {
    "enable": (Role.ENGINEER, lambda request, checks: _switch(request, checks, on=True)),
    "disable": (Role.ENGINEER, lambda request, checks: _switch(request, checks, on=False)),
    "add_tag": (Role.ENGINEER, lambda request, checks: _tag(request, checks, add=True)),
    "remove_tag": (Role.ENGINEER, lambda request, checks: _tag(request, checks, add=False)),
    "add_target": (Role.OPERATOR, lambda request, checks: _target(request, checks, add=True)),
    "remove_target": (Role.OPERATOR, lambda request, checks: _target(request, checks, add=False)),
}

urlpatterns = [
    path("checks/", ChecksPage.as_view(), name="checks"),
    path("checks/bulk", ChecksBulk.as_view(), name="checks-bulk"),
    path("checks/<slug:slug>/enabled", CheckEnabled.as_view(), name="check-enabled"),
]
