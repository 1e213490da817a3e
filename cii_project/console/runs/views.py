"""Runs: the list, one run, its progress, and "Run checks now"."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from django.conf import settings
from django.db.models import Model, Q, QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.urls import path, reverse

from checks.models import Check, Run, severity_rank
from checks.services import RunRefused, UnknownChecks, cancel_run, request_run
from cii_project.audit.services import Action, record
from cii_project.console.core.console_view import ConsoleView, Role, page_url
from cii_project.console.core.csv_export import time_cell
from cii_project.console.core.list_query import Column, Filter, ListQuery, choices_of
from cii_project.console.core.list_view import Listing, ListView
from cii_project.console.core.run_progress import (
    delivery_counts,
    duration_text,
    live_run,
    run_totals,
    summarize_run,
)
from cii_project.console.core.titles import check_title
from cii_project.console.core.viewer_zone import shown_time
from notifications.models import Subscription
from notifications.services import estimate_run, request_task

SECTION = "console:runs"


@dataclass(frozen=True, slots=True)
class RunRow:
    """A run of the list. ``sums``: over its checks, see :func:`run_totals`; ``made``: its deliveries."""

    run: Run
    sums: Mapping[str, object]
    made: int
    took: str

    @property
    def starter(self) -> str:
        return str(self.run.requested_by or self.run.get_trigger_display())


class RunsPage(ListView):
    title = "Runs"
    template = "console/runs/list.html"
    body = "console/runs/table.html"
    refresh_seconds = 5
    section = SECTION
    guide = "architecture#checks-and-runs"
    list_name = "runs"
    nouns = ("run", "runs")
    search_label = "Started by or error"
    default_sort = "-started"
    columns = (
        Column(
            "started",
            "Run",
            lambda row: time_cell(row.run.created_at),
            ("created_at", "id"),
            is_indexed=True,
            is_fixed=True,
            starts_descending=True,
        ),
        Column("id", "Id", lambda row: row.run.pk, is_csv_only=True),
        Column("state", "State", lambda row: row.run.state, ("state", "created_at", "id")),
        Column("starter", "Started by", lambda row: row.starter),
        Column("checks", "Checks", lambda row: row.sums.get("checks", 0), is_number=True),
        Column(
            "errors", "Checks that could not run", lambda row: row.sums.get("errors", 0), is_csv_only=True
        ),
        Column("users", "Users", lambda row: row.run.users, ("users", "created_at", "id"), is_number=True),
        Column(
            "failing_users",
            "Failing users",
            lambda row: row.run.failing_users,
            ("failing_users", "created_at", "id"),
            is_number=True,
            is_extra=True,
        ),
        Column("new", "New", lambda row: row.sums.get("new") or 0, is_number=True),
        Column("resolved", "Resolved", lambda row: row.sums.get("resolved") or 0, is_number=True),
        Column("deliveries", "Deliveries", lambda row: row.made, is_number=True),
        Column("took", "Took", lambda row: row.took, is_number=True),
    )

    def filters(self) -> Sequence[Filter]:
        return (
            Filter("state", "State", choices_of(Run.State)),
            Filter("trigger", "Started", choices_of(Run.Trigger)),
        )

    def matching(self, asked: ListQuery) -> list[QuerySet[Model]]:
        runs = Run.objects.filter(**asked.filters)
        for word in asked.search.split():
            labels = [
                value for value, label in Run.Trigger.choices if word.casefold() in str(label).casefold()
            ]
            runs = runs.filter(
                Q(requested_by__username__icontains=word)
                | Q(error__icontains=word)
                | Q(requested_by=None, trigger__in=labels)
            )
        return [runs]

    def related(self, found: QuerySet[Model]) -> QuerySet[Model]:
        return found.select_related("requested_by")

    def rows(self, found: Sequence[Run]) -> Sequence[RunRow]:
        sums, made = run_totals(found), delivery_counts(found)
        return [RunRow(run, sums.get(run.id, {}), made.get(run.id, 0), duration_text(run)) for run in found]

    def more_context(self, listing: Listing) -> Mapping[str, object]:
        live = live_run()
        return {"run": live, "progress": summarize_run(live) if live else None}


class RunPage(ConsoleView):
    template = "console/runs/run.html"
    section = SECTION
    guide = "architecture#checks-and-runs"

    def get(self, request: HttpRequest, run_id: UUID) -> HttpResponse:
        run = get_object_or_404(Run.objects.select_related("requested_by"), id=run_id)
        return self.page(
            {
                "title": f"Run of {shown_time(run.created_at)}",
                "crumbs": [("Runs", reverse(SECTION))],
                "progress": summarize_run(run),
                "run": run,
                "took": duration_text(run),
            }
        )


class RunProgress(ConsoleView):
    """The fragment that the dialog and the pages poll during a run; after it, the summary."""

    def get(self, request: HttpRequest, run_id: UUID) -> HttpResponse:
        run = Run.objects.select_related("requested_by").filter(id=run_id).first()
        if run is None:
            if not self.is_htmx:
                raise Http404("There is no such run.")
            # It was cancelled while it waited; a 404 would be an error of the page that asks.
            return self.fragment("console/runs/cancelled.html", {"compact": "compact" in request.GET})
        progress = summarize_run(run)
        context = {"progress": progress, "run": run, "compact": "compact" in request.GET}
        response = self.fragment("console/runs/progress.html", context)
        if not progress.live:
            response["HX-Trigger"] = "run-finished"
        return response


class CancelRun(ConsoleView):
    """Remove a run that waits for a worker."""

    write_role = Role.OPERATOR

    def post(self, request: HttpRequest, run_id: UUID) -> HttpResponse:
        run = get_object_or_404(Run, id=run_id)
        url = reverse(SECTION)
        if cancel_run(run):
            return self.done("The run is cancelled. It evaluated nothing and sent nothing.", url)
        return self.done("The run has started already: it runs to its end.", page_url("run", run_id), "info")


class RunEstimated(ConsoleView):
    """The part of the dialog that says how many users would be notified where: it evaluates all users."""

    role = Role.OPERATOR

    def get(self, request: HttpRequest) -> HttpResponse:
        slugs = existing_slugs(request.GET.getlist("slug"))
        try:
            estimate = estimate_run(slugs)
        except UnknownChecks as error:
            return self.fragment("console/runs/estimate.html", {"error": str(error)})
        failed = [check_title(slug) for slug in estimate.failed]
        return self.fragment("console/runs/estimate.html", {"estimate": estimate, "failed": failed})


class RunNow(ConsoleView):
    """The dialog of Run checks now: what will be sent where; then the start."""

    role = Role.OPERATOR
    write_role = Role.OPERATOR

    def get(self, request: HttpRequest) -> HttpResponse:
        if run := live_run():
            return self._progress(run, "A run is already going. It must end before the next one starts.")
        slugs = existing_slugs(request.GET.getlist("slug"))
        return self.fragment("console/runs/confirm.html", {"lines": planned_messages(slugs), "slugs": slugs})

    def post(self, request: HttpRequest) -> HttpResponse:
        slugs = existing_slugs(request.POST.getlist("slug"))
        notify = request.POST.get("notify") == "on"
        try:
            run = request_run(
                trigger=Run.Trigger.PERSON, slugs=slugs, notify=notify, requested_by=request.user
            )
        except RunRefused as refusal:
            if run_going := live_run():
                return self._progress(run_going, str(refusal))
            return self.fragment("console/runs/refused.html", {"error": str(refusal)})
        except UnknownChecks as error:
            return self.fragment("console/runs/refused.html", {"error": str(error)})
        request_task(settings.RUN_TASK, str(run.id))
        what = f"{len(slugs)} checks" if slugs else "all enabled checks"
        record(Action.ACT, run, f"Run checks now: {what}, {'with' if notify else 'without'} messages")
        return self._progress(Run.objects.select_related("requested_by").get(id=run.id))

    def _progress(self, run: Run, refusal: str = "") -> HttpResponse:
        return self.fragment(
            "console/runs/started.html", {"progress": summarize_run(run), "run": run, "refusal": refusal}
        )


def existing_slugs(wanted: list[str]) -> list[str]:
    return list(Check.objects.filter(slug__in=wanted).values_list("slug", flat=True)) if wanted else []


@dataclass(frozen=True, slots=True)
class PlannedMessages:
    """What a run of one check would send."""

    check: Check
    title: str
    subscriptions: list[Subscription]


def planned_messages(slugs: list[str]) -> list[PlannedMessages]:
    """The checks of a run with what each would send. Two queries."""
    checks = Check.objects.filter(slug__in=slugs) if slugs else Check.objects.filter(enabled=True)
    by_check: dict[int, list[Subscription]] = {}
    for one in Subscription.objects.select_related("integration").order_by("integration__name", "audience"):
        by_check.setdefault(one.check_ref_id, []).append(one)
    lines = [PlannedMessages(check, check_title(check.slug), by_check.get(check.id, [])) for check in checks]
    return sorted(
        lines,
        key=lambda line: (not line.subscriptions, severity_rank(line.check.severity), line.title),
    )


urlpatterns = [
    path("runs/", RunsPage.as_view(), name="runs"),
    path("runs/now", RunNow.as_view(), name="run-now"),
    path("runs/now/estimate", RunEstimated.as_view(), name="run-estimate"),
    path("runs/<uuid:run_id>/cancel", CancelRun.as_view(), name="run-cancel"),
    path("runs/<uuid:run_id>/", RunPage.as_view(), name="run"),
    path("runs/<uuid:run_id>/progress", RunProgress.as_view(), name="run-progress"),
]
