"""Somebody who was locked out of one source and not of another."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from django.db.models import Q

from checks.catalogue.base import CatalogueCheck, Settings
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
    frameworks = ("NIST-800-53:AC-2", "NIST-800-53:PS-4", "CIS-V8:6.2", "ISO-27001:A.5.18")

    def fails(self, s: Settings, now: datetime) -> Q:
        return Q(status_inconsistent=True)

    def unknown(self, s: Settings, now: datetime) -> Q:
        return Q(status_inconsistent__isnull=True)

    def failing_account(self, account: Account, s: Settings, now: datetime) -> bool:
        return account.status == Status.ACTIVE

    def explain(self, user: User, accounts: Sequence[Account], s: Settings, now: datetime) -> dict[str, Any]:
        return {
            "statuses": {a.source.name: a.status for a in accounts if a.status},
            "lastSignIn": user.last_sign_in_at,
        }


check = StatusInconsistent()
