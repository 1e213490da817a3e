"""Users whose credentials were found exposed."""

from collections.abc import Sequence
from datetime import datetime

from django.db.models import Q

from checks.catalogue.audience_texts import AudienceTexts, ListText, ManagerText, UserText
from checks.catalogue.definition import CatalogueCheck, Details, Settings, is_identity, source_names
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
    texts = AudienceTexts(
        subject="password found in a data leak",
        user=UserText(
            found="The password of your account has appeared in a data leak.",
            why="Other people may know it and try it here and elsewhere.",
            actions=(
                "Set a new password now, one that you use nowhere else.",
                "Change it wherever else you used the same one.",
                "Set up a second sign-in step, such as an app or a security key.",
                "If you see anything that you did not do, tell us.",
            ),
            due_days=1,
            contact="your security team",
            shows=("reportedBy", "passwordChangedAt"),
        ),
        manager=ManagerText(
            found="The password of this account has appeared in a data leak.",
            actions=(
                "Ask them to set a new password today.",
                "Tell us if they are away, so that we can protect the account meanwhile.",
            ),
            shows=("reportedBy",),
        ),
        list=ListText(found="The passwords of these users have been found exposed."),
    )
    frameworks = ("NIST-800-53:IA-5(1)", "NIST-800-53:AC-2(13)", "NIST-800-63B:5.1.1.2", "ISO-27001:A.5.17")

    def fails(self, s: Settings, now: datetime) -> Q:
        return Q(credentials_exposed=True)

    def unknown(self, s: Settings, now: datetime) -> Q:
        return Q(credentials_exposed__isnull=True)

    def failing_account(self, account: Account, s: Settings, now: datetime) -> bool:
        return is_identity(account) and account.credentials_exposed is True

    def explain(self, user: User, accounts: Sequence[Account], s: Settings, now: datetime) -> Details:
        failing = [account for account in accounts if self.failing_account(account, s, now)]
        return {
            "passwordChangedAt": user.password_changed_at,
            "lastSignIn": user.last_sign_in_at,
            "reportedBy": source_names(failing),
        }


check = LeakedCredentials()
