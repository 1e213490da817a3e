"""Checks: the table, the enabled switch, and several at once."""

from collections.abc import Callable, Mapping, Sequence

from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import get_object_or_404
from django.urls import path, reverse
from django.utils.functional import cached_property
from django.utils.http import url_has_allowed_host_and_scheme

from checks.models import Check, Finding
from checks.services import update_check
from cii_project.console.checks.overview_rows import SORT_KEYS, CheckRow, all_rows, check_filters, keeps
from cii_project.console.core.audiences import AUDIENCE_LABELS, audiences_of
from cii_project.console.core.console_view import ConsoleView, Role, with_toast
from cii_project.console.core.csv_export import time_cell
from cii_project.console.core.list_query import Column, Filter, ListQuery
from cii_project.console.core.list_view import MOST_SELECTS, Listing, ShortListView
from cii_project.console.core.run_progress import live_run, summarize_run
from cii_project.console.core.titles import check_title
from cii_project.console.core.unstorable_values import parse_id
from integrations.models import Integration
from notifications.models import Audience
from notifications.services import subscribe, unsubscribe

SECTION = "console:checks"


def _result(row: CheckRow, name: str) -> object:
    return "" if row.result is None or row.result.error else getattr(row.result, name)


class ChecksPage(ShortListView):
    title = "Checks"
    template = "console/checks/list.html"
    section = SECTION
    guide = "checks"
    list_name = "checks"
    nouns = ("check", "checks")
    search_name = "search"
    search_label = "Name, topic or tag"
    default_sort = "severity"
    sort_keys = SORT_KEYS
    columns = (
        Column("title", "Check", lambda row: row.title, ("title",), is_indexed=True, is_fixed=True),
        Column("slug", "Id", lambda row: row.slug, is_csv_only=True),
        Column("severity", "Severity", lambda row: row.check.severity, ("severity",), is_indexed=True),
        Column(
            "failing",
            "Failing",
            lambda row: _result(row, "failing"),
            ("failing",),
            is_indexed=True,
            is_number=True,
            starts_descending=True,
        ),
        Column(
            "new",
            "New",
            lambda row: _result(row, "new"),
            ("new",),
            is_indexed=True,
            is_number=True,
            starts_descending=True,
        ),
        Column("evaluated", "Evaluated", lambda row: _result(row, "evaluated"), is_csv_only=True),
        Column(
            "unknown",
            "Could not evaluate",
            lambda row: row.unknown.count if row.unknown else 0,
            is_csv_only=True,
        ),
        Column("spark", "30 days", lambda row: row.spark.label()),
        Column("targets", "Targets", lambda row: row.targets.number),
        Column("topics", "Topics", lambda row: ", ".join(row.topics), is_csv_only=True),
        Column("tags", "Tags", lambda row: ", ".join(row.check.tags), is_csv_only=True),
        Column(
            "last_run",
            "Last run",
            lambda row: time_cell(row.last_run),
            ("last_run",),
            is_indexed=True,
            starts_descending=True,
        ),
        Column("enabled", "Enabled", lambda row: "yes" if row.check.enabled else "no"),
    )

    @cached_property
    def _rows(self) -> list[CheckRow]:
        return all_rows()

    def filters(self) -> Sequence[Filter]:
        return check_filters(self._rows)

    def chosen_rows(self, asked: ListQuery) -> list[CheckRow]:
        return sorted((row for row in self._rows if keeps(row, asked)), key=SORT_KEYS["title"])

    def page(
        self, context: Mapping[str, object] | None = None, *, template: str = "", status: int = 200
    ) -> HttpResponse:
        if self.is_htmx:
            return self.fragment("console/checks/table.html", context)
        return super().page(context, template=template, status=status)

    def more_context(self, listing: Listing) -> Mapping[str, object]:
        run = None if self.is_htmx else live_run()
        return {
            "all_checks": len(self._rows),
            "tags": sorted({tag for row in self._rows for tag in row.check.tags}),
            "targets": [] if self.is_htmx else _targets(),
            "progress": summarize_run(run) if run else None,
            "run": run,
        }


class CheckEnabled(ConsoleView):
    """The switch of a row: saved at once, answers with itself and a toast."""

    write_role = Role.ENGINEER

    def post(self, request: HttpRequest, slug: str) -> HttpResponse:
        check = get_object_or_404(Check, slug=slug)
        enabled = request.POST.get("enabled") == "on"
        update_check(check, enabled=enabled)
        check.refresh_from_db()
        response = self.fragment("console/checks/switch.html", {"check": check, "title": check_title(slug)})
        return with_toast(response, f"{check_title(slug)} is {'on' if check.enabled else 'off'}.")


class ChecksBulk(ConsoleView):
    """One change to several checks: on, off, a tag, a target. The dialog asks first."""

    role = Role.OPERATOR
    write_role = Role.OPERATOR

    def get(self, request: HttpRequest) -> HttpResponse:
        action = request.GET.get("action", "")
        checks = list(Check.objects.filter(slug__in=request.GET.getlist("slug")))
        context: dict[str, object] = {
            "titles": sorted(check_title(check.slug) for check in checks),
            "kept": [(name, value) for name in KEPT for value in request.GET.getlist(name) if value],
        }
        try:
            if action not in QUESTIONS or not checks:
                raise ValidationError("Select at least one check and what to do with it.")
            context |= QUESTIONS[action](request, checks)
        except ValidationError as error:
            context["error"] = " ".join(error.messages)
        return self.fragment("console/checks/bulk_dialog.html", context)

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
    return f"{_counted(len(changed))} switched {'on' if on else 'off'}."


def _tag(request: HttpRequest, checks: list[Check], *, add: bool) -> str:
    tag = request.POST.get("tag", "").strip()
    if not tag:
        raise ValidationError("Write the tag.")
    changed = 0
    for check in checks:
        tags = {*check.tags, tag} if add else {*check.tags} - {tag}
        if update_check(check, tags=sorted(tags)):
            changed += 1
    return f"Tag {tag} {'added to' if add else 'removed from'} {_counted(changed)}."


def _target(request: HttpRequest, checks: list[Check], *, add: bool) -> str:
    integration, audience = _chosen_target(request.POST)
    for check in checks:
        if add:
            subscribe(check, integration, audience=audience, by=request.user)
        else:
            unsubscribe(check, integration, audience=audience)
    name = _target_name(integration, audience)
    return f"{name} {'enabled on' if add else 'disabled on'} {_counted(len(checks))}."


def _chosen_target(given: QueryDict) -> tuple[Integration, str]:
    """The target and the audience that the form's select or, where there are many, its text names."""
    if name := given.get("target_name", "").replace("\0", "").strip():
        words, audience = name, str(Audience.LIST)
        for one, label in AUDIENCE_LABELS.items():
            if name.endswith(f" ({label})"):
                words, audience = name.removesuffix(f" ({label})"), str(one)
        integration = Integration.objects.filter(name=words).first()
        if integration is None:
            raise ValidationError(f"There is no target “{words}”. Write its whole name.")
    else:
        wanted, _, audience = given.get("target", "").partition(" ")
        integration = Integration.objects.filter(id=parse_id(wanted)).first()
    if integration is None or audience not in audiences_of(integration.kind):
        raise ValidationError("Choose the target.")
    return integration, audience


def _ask_switch(request: HttpRequest, checks: list[Check], *, on: bool) -> dict[str, object]:
    changed = [check for check in checks if check.enabled != on]
    findings = Finding.objects.filter(check_ref__in=changed, resolved_at__isnull=True).count()
    if not changed:
        text = f"All of them are {'enabled' if on else 'disabled'} already."
    elif on:
        text = "The next run evaluates all users by them, and notifies their targets of who newly fails."
    else:
        text = (
            f"They are no longer evaluated, and nobody is notified. {findings:,} open finding{_s(findings)} "
            f"stay{'s' if findings == 1 else ''} as now."
        )
    return {"verb": "Enable" if on else "Disable", "text": text, "danger": not on}


def _ask_tag(request: HttpRequest, checks: list[Check], *, add: bool) -> dict[str, object]:
    tag = request.GET.get("tag", "").strip()
    if not tag:
        raise ValidationError("Write the tag.")
    has = sum(tag in check.tags for check in checks)
    changed = len(checks) - has if add else has
    text = f"The tag {tag} is {'added to' if add else 'removed from'} {_counted(changed)}."
    return {"verb": "Add the tag to" if add else "Remove the tag from", "text": text, "danger": not add}


def _ask_target(request: HttpRequest, checks: list[Check], *, add: bool) -> dict[str, object]:
    integration, audience = _chosen_target(request.GET)
    name = _target_name(integration, audience)
    if add:
        text = f"{name} is notified of users who newly fail these checks, from the next run on."
    else:
        text = f"{name} is no longer notified about these checks. Its filters and schedules for them are deleted."
    verb = "Enable the target on" if add else "Disable the target on"
    return {"verb": verb, "text": text, "danger": not add}


def _s(number: int) -> str:
    return "" if number == 1 else "s"


def _targets() -> list[tuple[str, str]]:
    """Each audience of each target: its value in the form, its words; none where there are too many for a select."""
    integrations = list(Integration.objects.order_by("name")[: MOST_SELECTS + 1])
    return [
        (f"{one.pk} {audience}", _target_name(one, audience))
        for one in (integrations if len(integrations) <= MOST_SELECTS else [])
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
# The dialog's text before the same action.
QUESTIONS: dict[str, Callable[[HttpRequest, list[Check]], dict[str, object]]] = {
    "enable": lambda request, checks: _ask_switch(request, checks, on=True),
    "disable": lambda request, checks: _ask_switch(request, checks, on=False),
    "add_tag": lambda request, checks: _ask_tag(request, checks, add=True),
    "remove_tag": lambda request, checks: _ask_tag(request, checks, add=False),
    "add_target": lambda request, checks: _ask_target(request, checks, add=True),
    "remove_target": lambda request, checks: _ask_target(request, checks, add=False),
}
# Fields of the form that the dialog sends again.
KEPT = ("action", "slug", "tag", "target", "target_name", "back")

urlpatterns = [
    path("checks/", ChecksPage.as_view(), name="checks"),
    path("checks/bulk", ChecksBulk.as_view(), name="checks-bulk"),
    path("checks/<slug:slug>/enabled", CheckEnabled.as_view(), name="check-enabled"),
]
