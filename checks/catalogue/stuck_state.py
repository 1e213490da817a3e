"""An account that was on its way to somewhere and never arrived."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from django.db.models import Q

from checks.catalogue.base import CatalogueCheck, Settings, days_before, is_identity
from checks.catalogue.fields import days
from checks.models import Account, Status, User

STUCK = frozenset(
    {
        Status.STAGED,
        Status.PROVISIONED,
        Status.RECOVERY,
        Status.PASSWORD_EXPIRED,
        Status.LOCKED_OUT,
        Status.TRANSIENT,
    }
)


class StuckState(CatalogueCheck):
    slug = "stuck-state"
    title = "Stuck in a Temporary State"
    severity = "low"
    topics = ("Lifecycle",)
    description = (
        "These users have had an account for more than {{stuck_days}} days in a state that should pass: staged, "
        "provisioned, recovery, password expired, locked out or transient. Nobody finished what was begun, and an "
        "open recovery is a way in.",
    )
    recommended_actions = (
        "Finish it: activate the account, or let the user set a password.",
        "Disable the account if nobody waits for it.",
    )
    frameworks = ("NIST-800-53:AC-2", "ISO-27001:A.5.16")
    fields = {
        "stuck_days": days(14, "Days in the state", "Accounts in such a state for longer fail."),
    }

    def fails(self, s: Settings, now: datetime) -> Q:
        return Q(stuck_since__lt=days_before(now, s.stuck_days))

    def unknown(self, s: Settings, now: datetime) -> Q:
        return Q(stuck_unknown=True)

    def failing_account(self, account: Account, s: Settings, now: datetime) -> bool:
        changed = account.status_changed_at
        stuck = is_identity(account) and account.status in STUCK
        return stuck and changed is not None and changed < days_before(now, s.stuck_days)

    def explain(self, user: User, accounts: Sequence[Account], s: Settings, now: datetime) -> dict[str, Any]:
        failing = [account for account in accounts if self.failing_account(account, s, now)]
        return {
            "statusChangedAt": user.stuck_since,
            "statuses": {account.source.name: account.status for account in failing},
        }


check = StuckState()
