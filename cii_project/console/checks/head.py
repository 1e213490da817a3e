"""The head that the pages of one check share: tabs, switch and the menu of targets."""

from typing import Any, ClassVar

from django.db.models import QuerySet
from django.http import Http404
from django.urls import reverse
from django.utils import timezone

from checks.models import Check, CheckResult, Exclusion
from checks.services import CATALOGUE, CatalogueCheck
from cii_project.console.checks.targets_menu import targets_menu
from cii_project.console.core.check_results import unknown_users
from cii_project.console.core.console_view import ConsoleView

TABS = (
    ("failing", "Failing users", "console:check"),
    ("settings", "Settings", "console:check-settings"),
    ("exclusions", "Exclusions", "console:check-exclusions"),
    ("history", "History", "console:check-history"),
)


def finished_results(check: Check) -> QuerySet[CheckResult]:
    """The latest first."""
    return check.results.filter(finished_at__isnull=False).order_by("-id")


def last_result(check: Check) -> CheckResult | None:
    """The result of the last run that could evaluate the check."""
    return finished_results(check).filter(error="").first()


class CheckView(ConsoleView):
    """A page of one check."""

    section = "console:checks"
    guide = "checks"
    tab: ClassVar[str] = ""

    @staticmethod
    def check(slug: str) -> Check:
        check = Check.objects.filter(slug=slug).first()
        if check is None or slug not in CATALOGUE:
            raise Http404(f"There is no check {slug}.")
        return check

    def head(self, check: Check) -> dict[str, Any]:
        """The context of the head. Four queries; one more with many targets, and after an error."""
        catalogue: CatalogueCheck = CATALOGUE[check.slug]
        excluded = Exclusion.objects.active_at(timezone.now()).filter(check_ref=check).count()
        counts = {"exclusions": excluded}
        latest = finished_results(check).first()
        result = last_result(check) if latest and latest.error else latest
        return {
            "title": catalogue.title,
            "crumbs": [("Checks", reverse("console:checks"))],
            "check": check,
            "catalogue": catalogue,
            "menu": targets_menu(check),
            "result": result,
            "unknown": unknown_users(result),
            "broken": latest if latest and latest.error else None,
            "tabs": [
                (label, reverse(name, args=[check.slug]), key == self.tab, counts.get(key))
                for key, label, name in TABS
            ],
        }
