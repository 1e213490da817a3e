"""The dashboard: posture, failing users over time, deliveries and notices; on an empty installation the first steps."""

from datetime import datetime, timedelta
from typing import TypedDict

from django.db.models import Count, Q
from django.http import HttpRequest, HttpResponse
from django.urls import path
from django.utils import timezone

from checks.models import Check, CheckResult, Run, Source, severity_rank
from cii_project.console.core.charts import Chart, Series
from cii_project.console.core.check_results import UnknownUsers, last_results, unknown_users
from cii_project.console.core.console_view import ConsoleView, page_url
from cii_project.console.core.daily_runs import local_run_times
from cii_project.console.core.titles import check_title
from cii_project.console.dashboard import notices
from cii_project.reporting.figures import (
    SEVERITY_WEIGHTS,
    CheckFigures,
    got_worse,
    latest,
    per_day,
    score,
    score_shares,
    since_first,
)
from integrations.models import Integration
from notifications.models import Configuration, Delivery, Event, Hold

DAYS = 30
# Counting stops here: an exact figure above it is not worth its cost.
MOST_COUNTED = 1000
HOLDS_SHOWN = 5
UNKNOWN_SHOWN = 5
SEVERITY_COLOURS = {"critical": "#dc2626", "high": "#f97316", "medium": "#eab308", "low": "#3b82f6"}


class DashboardPage(ConsoleView):
    title = "Dashboard"
    template = "console/dashboard/page.html"
    section = "console:dashboard"

    def get(self, request: HttpRequest) -> HttpResponse:
        now = timezone.now()
        checks = {check.pk: check for check in Check.objects.all()}
        results = _results(now - timedelta(days=DAYS), checks)
        current = latest(results)
        counted = [result for pk, result in current.items() if pk in checks and checks[pk].enabled]
        week_ago = latest(results, now - timedelta(days=7))
        run = Run.objects.first()
        integrations = list(Integration.objects.prefetch_related("signing_secrets"))
        deliveries = _deliveries(now)
        unknown = _not_evaluated(checks)
        configuration = Configuration.load()
        context = {
            "score": score(counted),
            "score_before": score(week_ago.values()),
            "findings": sum(result.failing for result in counted),
            "last_counted": _last_counted(run),
            "chart": _chart(results, now),
            "worse": [
                (
                    checks[worse.check],
                    check_title(checks[worse.check].slug),
                    page_url("check", checks[worse.check].slug),
                    worse,
                )
                for worse in got_worse(results, now - timedelta(days=7))
                if worse.check in checks
            ],
            "unknown": unknown[:UNKNOWN_SHOWN],
            "unknown_checks": len(unknown),
            "deliveries": deliveries,
            "run": run,
            "next_runs": local_run_times(configuration, now, 1),
            "notices": [
                *notices.worker_notices(configuration, run, now),
                *notices.run_notices(run, checks, now),
                *notices.secret_notices(integrations),
                *notices.integration_notices(integrations, now),
                *notices.paused_notices(integrations),
                *notices.hold_notices(Hold.objects.filter(state=Hold.State.OPEN)[:HOLDS_SHOWN]),
                *notices.dead_letter_notices(deliveries["all_dead"], deliveries["all_dead_text"]),
                *notices.source_notices(list(Source.objects.filter(deleted_at=None)), now),
            ],
            "steps": notices.first_steps(run, integrations),
        }
        return self.page(context)


def _last_counted(run: Run | None) -> Run | None:
    """The last run that came to its end: ``run``, unless it is under way."""
    if run is None or run.failing_users is not None:
        return run
    return Run.objects.filter(failing_users__isnull=False).first()


def _results(since: datetime, checks: dict[int, Check]) -> list[CheckFigures]:
    """The results since then, their times in the viewer's zone, oldest first."""
    rows = (
        CheckResult.objects.filter(run__created_at__gte=since, finished_at__isnull=False)
        .order_by("finished_at")
        .values_list("check_ref_id", "severity", "evaluated", "failing", "finished_at", "error", "unknown")
    )
    return [
        CheckFigures(*row[:4], timezone.localtime(row[4]), row[5], row[6])
        for row in rows
        if row[0] in checks and row[4]
    ]


def _not_evaluated(checks: dict[int, Check]) -> list[tuple[Check, str, UnknownUsers]]:
    """The enabled checks that could not evaluate some users, with their titles: the most severe first, then those with
    the largest share."""
    found = []
    for pk, result in last_results().items():
        unknown = unknown_users(result)
        if unknown and pk in checks and checks[pk].enabled:
            found.append((checks[pk], check_title(checks[pk].slug), unknown))
    return sorted(
        found,
        key=lambda each: (severity_rank(each[0].severity), -each[2].count / each[2].evaluated, each[1]),
    )


class _DeliveryNumbers(TypedDict):
    """Deliveries of the last day by state, and all dead letters of any age, counted up to ``MOST_COUNTED``."""

    delivered: int
    waiting: int
    held: int
    dead: int
    all_dead: int
    all_dead_text: str


def _deliveries(now: datetime) -> _DeliveryNumbers:
    real = ~Q(event__origin__in=Event.TESTS)
    day = dict(
        Delivery.objects.filter(real, created_at__gte=now - timedelta(days=1))
        .order_by()
        .values_list("state")
        .annotate(number=Count("id"))
    )
    dead = Delivery.objects.filter(real, state=Delivery.State.DEAD).order_by()[:MOST_COUNTED].count()
    return {
        "delivered": day.get(Delivery.State.DELIVERED, 0),
        "waiting": day.get(Delivery.State.DUE, 0) + day.get(Delivery.State.SENDING, 0),
        "held": day.get(Delivery.State.HELD, 0),
        "dead": day.get(Delivery.State.DEAD, 0),
        "all_dead": dead,
        "all_dead_text": f"{dead}{'+' if dead == MOST_COUNTED else ''}",
    }


def _chart(results: list[CheckFigures], now: datetime) -> Chart:
    days, lines = since_first(*per_day(results, DAYS, timezone.localdate(now)))
    return Chart(
        "line",
        "open findings",
        days,
        [
            Series(severity.capitalize(), severity, SEVERITY_COLOURS[severity], values)
            for severity, values in lines.items()
        ],
    )


class ScorePage(ConsoleView):
    """The explanation of the posture score: what each check contributes, with the installation's own
    numbers."""

    title = "Posture score"
    guide = "console#posture-score"
    template = "console/dashboard/score.html"
    section = "console:dashboard"

    def get(self, request: HttpRequest) -> HttpResponse:
        now = timezone.now()
        checks = {check.pk: check for check in Check.objects.all()}
        results = _results(now - timedelta(days=DAYS), checks)
        counted = [result for pk, result in latest(results).items() if pk in checks and checks[pk].enabled]
        before = list(latest(results, now - timedelta(days=7)).values())
        shares = score_shares(counted, before)
        uncounted = [checks[result.check] for result in counted if result.known <= 0]
        return self.page(
            {
                "crumbs": [("Dashboard", page_url("dashboard"))],
                "score": score(counted),
                "exact": sum(share.points for share in shares),
                "score_before": score(before),
                "weights": SEVERITY_WEIGHTS.items(),
                "total_weight": sum(share.weight for share in shares),
                "rows": [
                    (share, check_title(checks[share.result.check].slug), checks[share.result.check].slug)
                    for share in shares
                ],
                "uncounted": sorted(check_title(check.slug) for check in uncounted),
            }
        )


urlpatterns = [
    path("", DashboardPage.as_view(), name="dashboard"),
    path("score/", ScorePage.as_view(), name="score"),
]
