"""What all pages of one check share: its head with the tabs, the switch and the dropdown of targets."""

from typing import Any, ClassVar

from django.db.models import Q, QuerySet
from django.http import Http404
from django.urls import reverse
from django.utils import timezone

from checks.catalogue import CATALOGUE
from checks.catalogue.base import CatalogueCheck
from checks.models import Check, CheckResult
from cii_project.console.base import ConsoleView
from cii_project.console.check_targets import target_choices

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
    """Of the last run that could judge the check."""
    return finished_results(check).filter(error="").first()


class CheckView(ConsoleView):
    """A page of one check."""

    section = "console:checks"
    tab: ClassVar[str] = ""

    @staticmethod
    def check(slug: str) -> Check:
        check = Check.objects.filter(slug=slug).first()
        if check is None or slug not in CATALOGUE:
            raise Http404(f"There is no check {slug}.")
        return check

    def head(self, check: Check) -> dict[str, Any]:
        """The context of the head. Six queries."""
        catalogue: CatalogueCheck = CATALOGUE[check.slug]
        choices = target_choices(check)
        excluded = check.exclusions.filter(Q(until__isnull=True) | Q(until__gt=timezone.now())).count()
        counts = {"exclusions": excluded}
        latest = finished_results(check).first()
        return {
            "title": catalogue.title,
            "crumbs": [("Checks", reverse("console:checks"))],
            "check": check,
            "catalogue": catalogue,
            "choices": choices,
            "ticked": sum(choice.ticked for choice in choices),
            "result": last_result(check),
            "broken": latest if latest and latest.error else None,
            "tabs": [
                (label, reverse(name, args=[check.slug]), key == self.tab, counts.get(key))
                for key, label, name in TABS
            ],
        }
