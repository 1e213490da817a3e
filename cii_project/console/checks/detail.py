"""A check's pages: failing users with reasons, history and CSV export."""

from collections.abc import Mapping
from datetime import date, timedelta

from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.urls import path
from django.utils import timezone
from django.utils.functional import cached_property

from checks.models import Check, CheckResult
from checks.services import check_description, recommended_actions
from cii_project.console.checks import exclusions, settings_tab, subscription_options, targets_menu
from cii_project.console.checks.failing_users import FailingList
from cii_project.console.checks.head import CheckView
from cii_project.console.core.charts import Chart, Series
from cii_project.console.core.list_view import Listing

HISTORY_DAYS = 90


class CheckPage(FailingList, CheckView):
    template = "console/checks/check.html"
    tab = "failing"

    @cached_property
    def _check(self) -> Check:
        return self.check(str(self.kwargs["slug"]))

    def shown_check(self) -> Check:
        return self._check

    def more_context(self, listing: Listing) -> Mapping[str, object]:
        check = self.shown_check()
        return self.head(check) | {
            "description": check_description(check),
            "actions_recommended": recommended_actions(check),
            "search": self.search,
        }


class CheckExport(CheckPage):
    """All failing users who match the filters as CSV."""

    def get(self, request: HttpRequest, *args: object, **kwargs: object) -> HttpResponseBase:
        return self.export(self.asked(request.GET))


class CheckHistory(CheckView):
    """Failing users in the last run of each day, and the results of the last runs."""

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
        by_day: dict[date, CheckResult] = {}
        for result in results:  # newest first: the first of a day is its last
            if not result.error and result.finished_at:
                by_day.setdefault(timezone.localdate(result.finished_at), result)
        return self.page(
            self.head(check)
            | {
                "results": results[:50],
                "chart": _chart(by_day),
            }
        )


def _chart(by_day: dict[date, CheckResult]) -> Chart:
    """Failing and new users a day, in the last run of each."""
    days = sorted(by_day)
    return Chart(
        "line",
        "users",
        days,
        [
            Series("Failing", "failing", "#3b82f6", [by_day[day].failing for day in days]),
            Series("New that day", "new", "#f97316", [by_day[day].new for day in days]),
        ],
    )


urlpatterns = [
    path("checks/<slug:slug>/", CheckPage.as_view(), name="check"),
    path("checks/<slug:slug>/failing.csv", CheckExport.as_view(), name="check-export"),
    path("checks/<slug:slug>/history", CheckHistory.as_view(), name="check-history"),
    *settings_tab.urlpatterns,
    *exclusions.urlpatterns,
    *targets_menu.urlpatterns,
    *subscription_options.urlpatterns,
]
