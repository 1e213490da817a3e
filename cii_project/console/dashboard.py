"""How the installation stands, and what needs somebody; on an empty one, the way to a first message."""

import json
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Count, Q
from django.http import HttpRequest, HttpResponse
from django.urls import path
from django.utils import timezone

from checks.models import Check, CheckResult, Run, Source
from cii_project.console import dashboard_notices as notices
from cii_project.console.base import ConsoleView, link
from cii_project.console.dashboard_figures import (
    WEIGHTS,
    Result,
    got_worse,
    latest,
    per_day,
    score,
    since_first,
)
from cii_project.console.settings_page import next_runs
from cii_project.console.titles import title_of
from integrations.models import Integration
from notifications.models import Configuration, Delivery

DAYS = 30
FEW_DAYS = 7  # up to here a line is drawn with its points
# Counting stops here: an exact figure above it would cost more than it tells.
MOST_COUNTED = 1000
COLOURS = {"critical": "#dc2626", "high": "#f97316", "medium": "#eab308", "low": "#3b82f6"}


class Dashboard(ConsoleView):
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
        integrations = list(Integration.objects.all())
        deliveries = _deliveries(now)
        context = {
            "score": score(counted),
            "score_before": score(week_ago.values()),
            "weights": WEIGHTS.items(),
            "checks_counted": len(counted),
            "failing": sum(result.failing for result in counted),
            "chart": _chart(results, now),
            "worse": [
                (
                    checks[worse.check],
                    title_of(checks[worse.check]),
                    link("check", checks[worse.check].slug),
                    worse,
                )
                for worse in got_worse(results, now - timedelta(days=7))
                if worse.check in checks
            ],
            "deliveries": deliveries,
            "run": run,
            "next_runs": next_runs(Configuration.load(), now, 1),
            "notices": [
                *notices.of_run(run, checks, now),
                *notices.of_integrations(integrations),
                *notices.of_dead_letters(deliveries["all_dead"], deliveries["all_dead_text"]),
                *notices.of_sources(list(Source.objects.all()), now),
            ],
            "steps": notices.first_steps(run, integrations),
        }
        return self.page(context)


def _results(since: datetime, checks: dict[int, Check]) -> list[Result]:
    rows = (
        CheckResult.objects.filter(run__created_at__gte=since, finished_at__isnull=False)
        .order_by("finished_at")
        .values_list("check_ref_id", "severity", "evaluated", "failing", "finished_at", "error")
    )
    return [Result(*row[:4], row[4], row[5]) for row in rows if row[0] in checks and row[4]]


def _deliveries(now: datetime) -> dict[str, Any]:
    """Of the last day by state, and all that wait or are dead, whatever their age."""
    real = ~Q(event__origin__in=notices.TRIALS)
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
        "dead": day.get(Delivery.State.DEAD, 0),
        "all_dead": dead,
        "all_dead_text": f"{dead}{'+' if dead == MOST_COUNTED else ''}",
    }


def _chart(results: list[Result], now: datetime) -> dict[str, Any]:
    days, lines = since_first(*per_day(results, DAYS, now.date()))
    few = len(days) <= FEW_DAYS
    data = {
        "labels": [f"{day:%-d %b}" for day in days],
        "datasets": [
            {
                "label": severity.capitalize(),
                "data": values,
                "borderColor": COLOURS[severity],
                "backgroundColor": COLOURS[severity],
                "borderWidth": 2,
                "pointRadius": 4 if few else 0,
                "pointHitRadius": 12,
                "tension": 0.25,
            }
            for severity, values in lines.items()
        ],
    }
    axis = {
        "ticks": {"color": "#7c8595", "maxRotation": 0, "autoSkip": True, "maxTicksLimit": 7},
        "border": {"display": False},
    }
    options = {
        "animation": False,
        "maintainAspectRatio": False,
        "interaction": {"mode": "index", "intersect": False},
        "plugins": {"legend": {"display": False}},
        "scales": {
            "x": {**axis, "grid": {"display": False}, "offset": few},
            "y": {**axis, "beginAtZero": True, "grid": {"color": "#8883"}},
        },
    }
    now_and_then = [
        (severity, (values or [0])[0] or 0, (values or [0])[-1] or 0) for severity, values in lines.items()
    ]
    return {
        "data": json.dumps(data),
        "options": json.dumps(options),
        "figures": now_and_then,
        "empty": not days,
        "days": len(days),
    }


urlpatterns = [path("", Dashboard.as_view(), name="dashboard")]
