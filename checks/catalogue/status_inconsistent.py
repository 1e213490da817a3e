"""Users who are active in one source and blocked in another."""

from collections.abc import Sequence
from datetime import datetime

from django.db.models import Q

from checks.catalogue.audience_texts import AudienceTexts, ListText, ManagerText, UserText
from checks.catalogue.definition import CatalogueCheck, Details, Settings
from checks.models import Account, Status, User


class StatusInconsistent(CatalogueCheck):
    slug = "status-inconsistent"
    title = "Status Inconsistent"
    severity = "high"
    topics = ("Data quality", "Lifecycle")
    description = (
        "These users are active in one source and disabled, suspended or deprovisioned in another. An offboarding "
        "that stopped half-way looks just like this.",
    )
    recommended_actions = (
        "Find out whether the person is meant to have access, and make the sources agree.",
        "Let one source lead and provision the others from it.",
    )
    texts = AudienceTexts(
        subject="account open in one system and closed in another",
        user=UserText(
            found="Your account is open in one of our systems and closed in another.",
            why="This happens when a change was not completed everywhere. You may miss access that you need, or keep some that should be gone.",
            actions=(
                "Tell us whether you still work with us and which systems you need.",
                "We will make all systems agree.",
            ),
            due_days=7,
            shows=("statuses",),
        ),
        manager=ManagerText(
            found="This account is open in one of our systems and closed in another.",
            actions=(
                "Tell us whether they still work with you and need access.",
                "If they have left, tell us the last day.",
            ),
            shows=("statuses", "lastSignIn"),
        ),
        list=ListText(found="These users are active in one source and disabled in another."),
    )
    frameworks = ("NIST-800-53:AC-2", "NIST-800-53:PS-4", "CIS-V8:6.2", "ISO-27001:A.5.18")

    def fails(self, s: Settings, now: datetime) -> Q:
        return Q(status_inconsistent=True)

    def unknown(self, s: Settings, now: datetime) -> Q:
        return Q(status_inconsistent__isnull=True)

    def failing_account(self, account: Account, s: Settings, now: datetime) -> bool:
        return account.status == Status.ACTIVE

    def explain(self, user: User, accounts: Sequence[Account], s: Settings, now: datetime) -> Details:
        return {
            "statuses": {a.source.name: a.status for a in accounts if a.status},
            "lastSignIn": user.last_sign_in_at,
        }


check = StatusInconsistent()
