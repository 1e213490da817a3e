"""A password that is no longer a secret."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from django.db.models import Q

from checks.catalogue.base import CatalogueCheck, Settings, is_identity, source_names
from checks.models import Account, User


class LeakedCredentials(CatalogueCheck):
    slug = "leaked-credentials"
    title = "Leaked Credentials"
    severity = "critical"
    topics = ("Threat", "Password")
    description = (
        "A source reports that the credentials of these users have been found exposed: in a leak of another site, in "
        "malware's loot or for sale.",
    )
    recommended_actions = (
        "Reset the password now, end open sessions and revoke tokens.",
        "Look at the sign-ins since the exposure, and at factors, forwarding and applications that were added.",
        "Require a phishing-resistant factor, which makes a leaked password worthless.",
    )
    frameworks = ("NIST-800-53:IA-5(1)", "NIST-800-53:AC-2(13)", "NIST-800-63B:5.1.1.2", "ISO-27001:A.5.17")

    def fails(self, s: Settings, now: datetime) -> Q:
        return Q(credentials_exposed=True)

    def unknown(self, s: Settings, now: datetime) -> Q:
        return Q(credentials_exposed__isnull=True)

    def failing_account(self, account: Account, s: Settings, now: datetime) -> bool:
        return is_identity(account) and account.credentials_exposed is True

    def explain(self, user: User, accounts: Sequence[Account], s: Settings, now: datetime) -> dict[str, Any]:
        failing = [account for account in accounts if self.failing_account(account, s, now)]
        return {
            "passwordChangedAt": user.password_changed_at,
            "lastSignIn": user.last_sign_in_at,
            "reportedBy": source_names(failing),
        }


check = LeakedCredentials()
