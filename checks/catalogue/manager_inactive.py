"""Users whose manager is not enabled or unknown."""

from collections.abc import Sequence
from datetime import datetime

from django.db.models import Q

from checks.catalogue.audience_texts import AudienceTexts, ListText, ManagerText, UserText
from checks.catalogue.definition import CatalogueCheck, Details, Settings, maybe
from checks.models import Account, User


class ManagerInactive(CatalogueCheck):
    slug = "manager-inactive"
    title = "Manager Inactive"
    severity = "low"
    topics = ("Data quality", "Lifecycle")
    description = (
        "The manager of these users is disabled or deleted. Approvals and reviews of access go nowhere. A manager that "
        "matches no user of any source cannot be evaluated; the report of the import lists such values.",
    )
    recommended_actions = (
        "Assign the manager's successor.",
        "Reassign reports as a step of offboarding a manager.",
    )
    texts = AudienceTexts(
        subject="manager no longer active",
        user=UserText(
            found="The manager in our records for you is no longer active here.",
            why="Your manager approves the access that you ask for. Until this is corrected your requests may get stuck.",
            actions=("Tell us who your manager is now.",),
            due_days=30,
            contact="the HR department",
            shows=("manager",),
        ),
        manager=ManagerText(
            found="The manager in our records for this person is no longer active here.",
            actions=("Tell us who the manager is now.",),
            shows=("manager",),
        ),
        list=ListText(found="The manager of these users is disabled or unknown."),
    )
    frameworks = ("NIST-800-53:AC-2", "ISO-27001:A.5.18")
    audience = maybe("manager_given")

    def fails(self, s: Settings, now: datetime) -> Q:
        return Q(manager_given=True, manager_enabled=False)

    def unknown(self, s: Settings, now: datetime) -> Q:
        return Q(manager_enabled__isnull=True)

    def failing_account(self, account: Account, s: Settings, now: datetime) -> bool:
        return bool(account.manager)

    def explain(self, user: User, accounts: Sequence[Account], s: Settings, now: datetime) -> Details:
        return {
            "manager": next((account.manager for account in accounts if account.manager), None),
            "managerState": "disabled",
        }


check = ManagerInactive()
