"""Users with applications that they do not use."""

from collections.abc import Sequence
from datetime import UTC, datetime

from django.db.models import Q

from checks.catalogue.audience_texts import AudienceTexts, ListText, ManagerText, UserText
from checks.catalogue.definition import ALWAYS, CatalogueCheck, Details, Settings, days_before, is_identity
from checks.catalogue.setting_fields import days
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
    texts = AudienceTexts(
        subject="applications that are not used",
        user=UserText(
            found="You have access to applications that you have not used for more than {{unused_days}} days.",
            why="Access that nobody uses can be misused, and a licence may be missing somewhere else.",
            actions=(
                "Tell us which of these applications you still need.",
                "We remove the others. You can ask for them again at any time.",
            ),
            due_days=30,
            shows=("applications",),
        ),
        manager=ManagerText(
            found="This person has access to applications that they have not used for more than {{unused_days}} days.",
            actions=("Tell us which of them they need for their work.",),
            shows=("applications",),
        ),
        list=ListText(
            found="These users have applications that they have not used for more than {{unused_days}} days."
        ),
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

    def explain(self, user: User, accounts: Sequence[Account], s: Settings, now: datetime) -> Details:
        failing = [account for account in accounts if self.failing_account(account, s, now)]
        cut = days_before(now, s.unused_days)
        return {"applications": [each for account in failing for each in unused(account, cut)]}


def unused(account: Account, cut: datetime) -> list[dict[str, object]]:
    """The account's applications last used before ``cut``; for one never used, the account's creation
    counts."""
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
