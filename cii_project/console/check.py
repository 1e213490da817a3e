"""A check: who fails and why, its history, the CSV; settings, exclusions and targets beside it."""

import json
from datetime import timedelta

from django.http import HttpRequest, HttpResponse, HttpResponseBase, StreamingHttpResponse
from django.urls import path
from django.utils import timezone

from checks.explanations import description, recommended_actions
from checks.models import CheckResult
from checks.searching import called
from cii_project.console import check_exclusions, check_options, check_settings, check_targets
from cii_project.console.check_failing import (
    AGES,
    GROUPS,
    SORTS,
    Filters,
    explained,
    export_lines,
    failing_page,
)
from cii_project.console.check_head import CheckView

HISTORY_DAYS = 90
_AXIS = {
    "ticks": {"color": "#7c8595", "maxRotation": 0, "autoSkip": True, "maxTicksLimit": 7},
    "border": {"display": False},
}
CHART_OPTIONS = {
    "animation": False,
    "maintainAspectRatio": False,
    "interaction": {"mode": "index", "intersect": False},
    "plugins": {"legend": {"display": False}},
    "scales": {
        "x": {**_AXIS, "grid": {"display": False}},
        "y": {**_AXIS, "beginAtZero": True, "grid": {"color": "#8883"}},
    },
}


class CheckPage(CheckView):
    template = "console/checks/check.html"
    tab = "failing"

    def get(self, request: HttpRequest, slug: str) -> HttpResponse:
        check = self.check(slug)
        filters = Filters.read(request.GET)
        search = called(filters.search)
        page = failing_page(check, filters, search, request.GET.get("page", ""))
        return self.page(
            self.head(check)
            | {
                "description": description(check),
                "actions_recommended": recommended_actions(check),
                "filters": filters,
                "search": search,
                "groups": [(name, label) for name, (label, _) in GROUPS.items()],
                "ages": AGES.items(),
                "sorts": [(name, label) for name, (label, _) in SORTS.items()],
                "page": page,
                "rows": explained(check, page.rows),
            }
        )


class CheckExport(CheckView):
    """All failing users who match the filters as CSV, streamed."""

    def get(self, request: HttpRequest, slug: str) -> HttpResponseBase:
        check = self.check(slug)
        lines = export_lines(check, Filters.read(request.GET))
        response = StreamingHttpResponse(
            (line.encode() for line in lines), content_type="text/csv; charset=utf-8"
        )
        name = f"{slug}-failing-{timezone.now():%Y-%m-%d}.csv"
        response["Content-Disposition"] = f'attachment; filename="{name}"'
        return response


class CheckHistory(CheckView):
    """How many failed in each day's last run, and what each run found."""

    template = "console/checks/history.html"
    tab = "history"

    def get(self, request: HttpRequest, slug: str) -> HttpResponse:
        check = self.check(slug)
        since = timezone.now() - timedelta(days=HISTORY_DAYS)
        results = list(
            CheckResult.objects.filter(check_ref=check, finished_at__gte=since)
            .select_related("run")
            .order_by("-id")[:500]
        )
        by_day: dict[str, CheckResult] = {}
        for result in results:  # newest first: the first of a day is its last
            if not result.error and result.finished_at:
                by_day.setdefault(result.finished_at.date().isoformat(), result)
        days = sorted(by_day)
        return self.page(
            self.head(check)
            | {
                "results": results[:50],
                "days": days,
                "chart": json.dumps(_chart(days, by_day)),
                "options": json.dumps(CHART_OPTIONS),
            }
        )


def _chart(days: list[str], by_day: dict[str, CheckResult]) -> dict[str, object]:
    """What Chart.js takes: failing and new users a day."""
    lines = (("Failing", "failing", "var(--color-primary-500)"), ("New that day", "new", "#f97316"))
    return {
        "labels": days,
        "datasets": [
            {
                "label": label,
                "data": [getattr(by_day[day], name) for day in days],
                "borderColor": colour,
                "backgroundColor": colour,
                "borderWidth": 2,
                "pointRadius": 0 if len(days) > 1 else 3,
                "pointHitRadius": 12,
                "tension": 0.25,
            }
            for label, name, colour in lines
        ],
    }


urlpatterns = [
    path("checks/<slug:slug>/", CheckPage.as_view(), name="check"),
    path("checks/<slug:slug>/failing.csv", CheckExport.as_view(), name="check-export"),
    path("checks/<slug:slug>/history", CheckHistory.as_view(), name="check-history"),
    *check_settings.urlpatterns,
    *check_exclusions.urlpatterns,
    *check_targets.urlpatterns,
    *check_options.urlpatterns,
]
