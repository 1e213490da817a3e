"""A person whom nobody answers for."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from django.db.models import Q

from checks.catalogue.base import CatalogueCheck, Settings
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
    frameworks = ("NIST-800-53:AC-2", "ISO-27001:A.5.18")
    audience = Q(nhi=False)

    def fails(self, s: Settings, now: datetime) -> Q:
        return Q(manager_given=False)

    def unknown(self, s: Settings, now: datetime) -> Q:
        return Q(manager_given__isnull=True)

    def failing_account(self, account: Account, s: Settings, now: datetime) -> bool:
        return account.manager == ""

    def explain(self, user: User, accounts: Sequence[Account], s: Settings, now: datetime) -> dict[str, Any]:
        return {"department": user.department or None, "title": user.title or None}


check = NoManager()
