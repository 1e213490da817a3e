"""A source that does not say what a user is."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from django.db.models import Q

from checks.catalogue.base import CatalogueCheck, Settings, source_names
from checks.models import Account, User


class UserTypeMissing(CatalogueCheck):
    slug = "user-type-missing"
    title = "User Type Missing"
    severity = "low"
    topics = ("Data quality",)
    description = (
        "At least one source that has a field for the user type leaves it empty for these users. Rules that tell "
        "employees, guests and service accounts apart pass them by.",
    )
    recommended_actions = (
        "Fill in the user type at the source.",
        "Make it a required field where accounts are created.",
    )
    frameworks = ("NIST-800-53:AC-2", "ISO-27001:A.5.16")

    def fails(self, s: Settings, now: datetime) -> Q:
        return Q(type_missing=True)

    def unknown(self, s: Settings, now: datetime) -> Q:
        return Q(type_missing__isnull=True)

    def failing_account(self, account: Account, s: Settings, now: datetime) -> bool:
        return account.user_type == ""

    def explain(self, user: User, accounts: Sequence[Account], s: Settings, now: datetime) -> dict[str, Any]:
        failing = [account for account in accounts if self.failing_account(account, s, now)]
        return {"userType": user.user_type or None, "sourcesWithoutType": source_names(failing)}


check = UserTypeMissing()
