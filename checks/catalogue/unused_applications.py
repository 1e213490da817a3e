"""Access to applications that nobody makes use of."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from django.db.models import Q

from checks.catalogue.base import ALWAYS, CatalogueCheck, Settings, days_before, is_identity
from checks.catalogue.fields import days
from checks.models import Account, User


class UnusedApplications(CatalogueCheck):
    slug = "unused-applications"
    title = "Unused Applications"
    severity = "low"
    topics = ("Inactivity", "Privilege")
    description = (
        "These users have an application assigned that they have not used for more than {{unused_days}} days, or "
        "never since their account was made. Access that is not needed is a risk, and often a licence that is paid.",
    )
    recommended_actions = (
        "Remove the assignment; the user can ask for it again.",
        "Assign applications through groups that are reviewed regularly.",
    )
    frameworks = ("NIST-800-53:AC-6(7)", "CIS-V8:6.8", "ISO-27001:A.5.18")
    fields = {
        "unused_days": days(30, "Unused days", "Applications not used for longer fail.", least=1),
    }

    def fails(self, s: Settings, now: datetime) -> Q:
        return Q(app_unused_since__lt=days_before(now, s.unused_days))

    def unknown(self, s: Settings, now: datetime) -> Q:
        return Q(applications_unknown=True)

    def failing_account(self, account: Account, s: Settings, now: datetime) -> bool:
        since = account.app_unused_since
        return is_identity(account) and since is not None and since < days_before(now, s.unused_days)

    def explain(self, user: User, accounts: Sequence[Account], s: Settings, now: datetime) -> dict[str, Any]:
        failing = [account for account in accounts if self.failing_account(account, s, now)]
        cut = days_before(now, s.unused_days)
        return {"applications": [each for account in failing for each in unused(account, cut)]}


def unused(account: Account, cut: datetime) -> list[dict[str, Any]]:
    """The account's applications whose last use lies before ``cut``; never used counts from its creation."""
    found = []
    for application in account.applications or []:
        if "last_used_at" not in application:
            continue
        text = application["last_used_at"]
        used = in_utc(text) if text else None
        if (used or account.created_at or ALWAYS) < cut:
            found.append({"name": application.get("name"), "lastUsed": used or "never"})
    return found


def in_utc(text: str) -> datetime:
    """A stored time; one without a zone is UTC."""
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


check = UnusedApplications()
