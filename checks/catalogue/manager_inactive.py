"""A manager who is no longer there."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from django.db.models import Q

from checks.catalogue.base import CatalogueCheck, Settings, maybe
from checks.models import Account, User


class ManagerInactive(CatalogueCheck):
    slug = "manager-inactive"
    title = "Manager Inactive or Unknown"
    severity = "low"
    topics = ("Data quality", "Lifecycle")
    description = (
        "The manager of these users is disabled, or is no user that any source knows. Approvals and reviews of "
        "access go nowhere.",
    )
    recommended_actions = (
        "Assign the manager's successor.",
        "Reassign reports as a step of offboarding a manager.",
    )
    frameworks = ("NIST-800-53:AC-2", "ISO-27001:A.5.18")
    audience = maybe("manager_given")

    def fails(self, s: Settings, now: datetime) -> Q:
        return Q(manager_given=True) & (Q(manager__isnull=True) | Q(manager_enabled=False))

    def unknown(self, s: Settings, now: datetime) -> Q:
        return Q(manager_enabled__isnull=True)

    def failing_account(self, account: Account, s: Settings, now: datetime) -> bool:
        return bool(account.manager)

    def explain(self, user: User, accounts: Sequence[Account], s: Settings, now: datetime) -> dict[str, Any]:
        return {
            "manager": next((account.manager for account in accounts if account.manager), None),
            "managerState": "unknown" if user.manager_id is None else "disabled",
        }


check = ManagerInactive()
