"""Runs: the list, one run, its progress, and Run Checks Now."""

from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.urls import path, reverse

from checks.models import Check, Run
from checks.services import RunRefused, UnknownChecks, request_run
from cii_project.console.base import ADDITION, ConsoleView, KeysetPage, Role, record
from cii_project.console.checks_rows import SEVERITIES
from cii_project.console.runs_progress import deliveries_of, live_run, progress_of, title_of, took, totals
from notifications import bell
from notifications.models import Subscription

SECTION = "console:runs"


class RunsPage(ConsoleView):
    title = "Runs"
    template = "console/runs/list.html"
    section = SECTION

    def get(self, request: HttpRequest) -> HttpResponse:
        state = request.GET.get("state", "")
        runs = Run.objects.select_related("requested_by")
        if state in Run.State.values:
            runs = runs.filter(state=state)
        page = KeysetPage.of(runs, order=["-created_at", "-id"], cursor=request.GET.get("page"), size=30)
        sums, made = totals(page.rows), deliveries_of(page.rows)
        rows = [(run, sums.get(run.id, {}), made.get(run.id, 0), took(run)) for run in page.rows]
        live = live_run()
        return self.page(
            {
                "rows": rows,
                "page": page,
                "states": Run.State.choices,
                "state": state,
                "run": live,
                "progress": progress_of(live) if live else None,
            }
        )


class RunPage(ConsoleView):
    template = "console/runs/run.html"
    section = SECTION

    def get(self, request: HttpRequest, run_id: Any) -> HttpResponse:
        run = get_object_or_404(Run.objects.select_related("requested_by"), id=run_id)
        return self.page(
            {
                "title": f"Run of {run.created_at:%d %b %Y, %H:%M}",
                "crumbs": [("Runs", reverse(SECTION))],
                "progress": progress_of(run),
                "run": run,
                "took": took(run),
            }
        )


class RunProgress(ConsoleView):
    """What the dialog and the pages poll while a run works; once it is over, its summary."""

    def get(self, request: HttpRequest, run_id: Any) -> HttpResponse:
        run = get_object_or_404(Run.objects.select_related("requested_by"), id=run_id)
        progress = progress_of(run)
        context = {"progress": progress, "run": run, "compact": "compact" in request.GET}
        response = self.fragment("console/runs/progress.html", context)
        if not progress.live:
            response["HX-Trigger"] = "run-finished"
        return response


class RunNow(ConsoleView):
    """The dialog of Run Checks Now: what will be sent where; then the start."""

    role = Role.OPERATOR
    write_role = Role.OPERATOR

    def get(self, request: HttpRequest) -> HttpResponse:
        if run := live_run():
            return self._progress(run, "A run is already going. It must end before the next one starts.")
        slugs = self._slugs(request.GET.getlist("slug"))
        return self.fragment("console/runs/confirm.html", {"lines": plan(slugs), "slugs": slugs})

    def post(self, request: HttpRequest) -> HttpResponse:
        slugs = self._slugs(request.POST.getlist("slug"))
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
        bell.request(settings.RUN_TASK, str(run.id))
        what = f"{len(slugs)} checks" if slugs else "all enabled checks"
        record(request, run, f"Run Checks Now: {what}, {'with' if notify else 'without'} messages", ADDITION)
        return self._progress(Run.objects.select_related("requested_by").get(id=run.id))

    def _progress(self, run: Run, refusal: str = "") -> HttpResponse:
        return self.fragment(
            "console/runs/started.html", {"progress": progress_of(run), "run": run, "refusal": refusal}
        )

    @staticmethod
    def _slugs(wanted: list[str]) -> list[str]:
        return list(Check.objects.filter(slug__in=wanted).values_list("slug", flat=True)) if wanted else []


def plan(slugs: list[str]) -> list[dict[str, Any]]:
    """What a run would tell whom: per check its title, severity and ticked targets. Two queries."""
    checks = Check.objects.filter(slug__in=slugs) if slugs else Check.objects.filter(enabled=True)
    ticked: dict[int, list[Subscription]] = {}
    for one in Subscription.objects.select_related("integration").order_by("integration__name", "audience"):
        ticked.setdefault(one.check_ref_id, []).append(one)
    lines = [
        {"check": check, "title": title_of(check.slug), "subscriptions": ticked.get(check.id, [])}
        for check in checks
    ]
    return sorted(
        lines,
        key=lambda line: (not line["subscriptions"], SEVERITIES.index(line["check"].severity), line["title"]),
    )


urlpatterns = [
    path("runs/", RunsPage.as_view(), name="runs"),
    path("runs/now", RunNow.as_view(), name="run-now"),
    path("runs/<uuid:run_id>/", RunPage.as_view(), name="run"),
    path("runs/<uuid:run_id>/progress", RunProgress.as_view(), name="run-progress"),
]
