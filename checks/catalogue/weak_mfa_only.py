"""Users with an account whose factors are all weak."""

from collections.abc import Sequence
from datetime import datetime

from django.db.models import Q

from checks.catalogue.audience_texts import AudienceTexts, ListText, ManagerText, UserText
from checks.catalogue.definition import (
    CatalogueCheck,
    Details,
    Settings,
    created_before,
    days_before,
    factor_kinds,
    is_enabled,
    source_names,
)
from checks.catalogue.setting_fields import days
from checks.models import Account, Assurance, User


class WeakMfaOnly(CatalogueCheck):
    slug = "weak-mfa-only"
    title = "Only Weak MFA Factors"
    severity = "high"
    topics = ("MFA",)
    description = (
        "These users have an account whose every active factor is of low assurance: text message, voice call, "
        "e-mail, security question. Such factors fall to SIM swapping, to a taken-over mailbox or to a phone call.",
        "Accounts younger than {{grace_days}} days pass.",
    )
    recommended_actions = (
        "Enrol a passkey or a security key, or at least an authenticator app.",
        "Then remove the weak factors: as long as they stay, they remain the way in.",
        "Take text message, voice, e-mail and security question out of the enrolment policy.",
    )
    texts = AudienceTexts(
        subject="second sign-in step that is easy to get around",
        user=UserText(
            found="Your account uses a second sign-in step that is easy to get around, such as a text message, a phone call or a question.",
            why="Phone numbers and mailboxes can be taken over, and answers can be guessed. An app or a security key is much safer.",
            actions=(
                "Set up a passkey, a security key or an authenticator app.",
                "Sign in with it once to see that it works.",
                "Then remove the text message, phone call, e-mail or question from your sign-in settings.",
            ),
            due_days=14,
            shows=("factors", "sourcesWithWeakMfa"),
        ),
        manager=ManagerText(
            found="This account uses a second sign-in step that is easy to get around, such as a text message or a phone call.",
            actions=(
                "Ask them to switch to an app, a passkey or a security key.",
                "Tell us if they need a security key.",
            ),
            shows=("factors", "sourcesWithWeakMfa"),
        ),
        list=ListText(
            found="The second step of these users is weak: a text message, a call, an e-mail or a question."
        ),
    )
    frameworks = ("NIST-800-63B:5.2.10", "NIST-800-53:IA-2(2)", "ISO-27001:A.8.5")
    fields = {
        "grace_days": days(14, "Grace period in days", "Accounts younger than this pass."),
    }

    def fails(self, s: Settings, now: datetime) -> Q:
        return Q(weak_mfa_since__lt=days_before(now, s.grace_days))

    def unknown(self, s: Settings, now: datetime) -> Q:
        return Q(weak_unknown_since__lt=days_before(now, s.grace_days))

    def failing_account(self, account: Account, s: Settings, now: datetime) -> bool:
        cut = days_before(now, s.grace_days)
        weak = (
            account.factors_known and account.assurance == Assurance.LOW and account.mfa_enabled is not False
        )
        return is_enabled(account) and weak and created_before(account, cut)

    def explain(self, user: User, accounts: Sequence[Account], s: Settings, now: datetime) -> Details:
        failing = [account for account in accounts if self.failing_account(account, s, now)]
        return {
            "createdAt": user.created_at,
            "factors": factor_kinds(failing),
            "sourcesWithWeakMfa": source_names(failing),
        }


check = WeakMfaOnly()
