"""Users without a manager."""

from collections.abc import Sequence
from datetime import datetime

from django.db.models import Q

from checks.catalogue.audience_texts import AudienceTexts, ListText, ManagerText, UserText
from checks.catalogue.definition import CatalogueCheck, Details, Settings
from checks.models import Account, User


class NoManager(CatalogueCheck):
    slug = "no-manager"
    title = "No Manager"
    severity = "low"
    topics = ("Data quality", "Lifecycle")
    description = (
        "No source names a manager for these people. Nobody is asked to approve or review their access, and nobody "
        "says when they leave.",
    )
    recommended_actions = (
        "Fill in the manager in HR, or at the identity provider.",
        "Exclude those who have none with reason, such as the head of the organisation.",
    )
    texts = AudienceTexts(
        subject="no manager on record",
        user=UserText(
            found="Our records do not say who your manager is.",
            why="Your manager approves the access that you ask for. Without one your requests may get stuck.",
            actions=("Tell us who your manager is.",),
            due_days=30,
            contact="the HR department",
        ),
        manager=ManagerText(
            found="Our records do not say who the manager of this account is.",
            actions=("Tell us who the manager is.",),
        ),
        list=ListText(found="No source names a manager for these users."),
    )
    frameworks = ("NIST-800-53:AC-2", "ISO-27001:A.5.18")
    audience = Q(nhi=False)

    def fails(self, s: Settings, now: datetime) -> Q:
        return Q(manager_given=False)

    def unknown(self, s: Settings, now: datetime) -> Q:
        return Q(manager_given__isnull=True)

    def failing_account(self, account: Account, s: Settings, now: datetime) -> bool:
        return account.manager == ""

    def explain(self, user: User, accounts: Sequence[Account], s: Settings, now: datetime) -> Details:
        return {"department": user.department or None, "title": user.title or None}


check = NoManager()
