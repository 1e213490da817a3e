"""An account that was made and never used."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from django.db.models import Q

from checks.catalogue.base import CatalogueCheck, Settings, days_before, has_identity_account, past_grace
from checks.catalogue.fields import days
from checks.models import Account, User


class NeverLoggedIn(CatalogueCheck):
    slug = "never-logged-in"
    title = "Never Logged In"
    severity = "medium"
    topics = ("Inactivity", "Lifecycle")
    description = (
        "These users have never signed in, though their oldest account is more than {{grace_days}} days old. Often "
        "the first password is still the one that was handed out.",
    )
    recommended_actions = (
        "Ask the manager whether the person has started, or will.",
        "Disable the account until it is needed, and reset its password then.",
    )
    frameworks = ("NIST-800-53:AC-2(3)", "CIS-V8:5.3", "ISO-27001:A.5.16")
    fields = {
        "grace_days": days(7, "Grace period in days", "Users created more recently than this pass."),
    }

    def fails(self, s: Settings, now: datetime) -> Q:
        never = Q(last_sign_in_known=True, last_sign_in_at__isnull=True)
        return never & past_grace("created_at", days_before(now, s.grace_days))

    def unknown(self, s: Settings, now: datetime) -> Q:
        past = past_grace("created_at", days_before(now, s.grace_days))
        return Q(last_sign_in_known=False) & past & has_identity_account()

    def explain(self, user: User, accounts: Sequence[Account], s: Settings, now: datetime) -> dict[str, Any]:
        return {"createdAt": user.created_at, "lastSignIn": "never"}


check = NeverLoggedIn()
