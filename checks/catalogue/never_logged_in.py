"""Users who have never signed in."""

from collections.abc import Sequence
from datetime import datetime

from django.db.models import Q

from checks.catalogue.audience_texts import AudienceTexts, ListText, ManagerText, UserText
from checks.catalogue.definition import (
    CatalogueCheck,
    Details,
    Settings,
    days_before,
    has_identity_account,
    maybe,
    past_grace,
)
from checks.catalogue.setting_fields import days
from checks.models import Account, User


class NeverLoggedIn(CatalogueCheck):
    slug = "never-logged-in"
    title = "Never Logged In"
    severity = "medium"
    topics = ("Inactivity", "Lifecycle")
    description = (
        "These users can sign in and have never done so, though their oldest account is more than {{grace_days}} days old. Often "
        "the first password is still the one that was handed out.",
    )
    recommended_actions = (
        "Ask the manager whether the person has started, or will.",
        "Disable the account until it is needed, and reset its password then.",
    )
    texts = AudienceTexts(
        subject="account not used yet",
        user=UserText(
            found="Your account is more than {{grace_days}} days old and has not been used yet.",
            why="A new account often still has the first password, which other people may have seen.",
            actions=(
                "If you need the account, sign in and set a password of your own.",
                "If you cannot sign in, ask us for a new first password.",
                "If you do not need it, tell us and we will close it.",
            ),
            due_days=14,
            shows=("createdAt",),
        ),
        manager=ManagerText(
            found="This account is more than {{grace_days}} days old and has not been used yet.",
            actions=(
                "Tell us whether they have started, or when they will.",
                "If they need help with the first sign-in, send them to us.",
            ),
            shows=("createdAt",),
        ),
        list=ListText(
            found="These users have never signed in, though their accounts are more than {{grace_days}} days old."
        ),
    )
    frameworks = ("NIST-800-53:AC-2(3)", "CIS-V8:5.3", "ISO-27001:A.5.16")
    # Accounts that are staged or provisioned belong to stuck-state. A source that gives no status (AWS' credential
    # report) lists users who can sign in.
    audience = maybe("enabled")
    fields = {
        "grace_days": days(7, "Grace period in days", "Users created more recently than this pass."),
    }

    def fails(self, s: Settings, now: datetime) -> Q:
        never = Q(last_sign_in_known=True, last_sign_in_at__isnull=True)
        return never & past_grace("created_at", days_before(now, s.grace_days))

    def unknown(self, s: Settings, now: datetime) -> Q:
        past = past_grace("created_at", days_before(now, s.grace_days))
        return Q(last_sign_in_known=False) & past & has_identity_account()

    def explain(self, user: User, accounts: Sequence[Account], s: Settings, now: datetime) -> Details:
        return {"createdAt": user.created_at, "lastSignIn": "never"}


check = NeverLoggedIn()
