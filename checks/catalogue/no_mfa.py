"""A human who can sign in somewhere without a second factor."""

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
from checks.models import Account, User


class NoMfa(CatalogueCheck):
    slug = "no-mfa"
    title = "No MFA Configured"
    severity = "critical"
    topics = ("MFA",)
    description = (
        "These users can sign in to at least one source without a second factor: none is active there. A "
        "stolen or guessed password is then all that an attacker needs.",
        "Accounts younger than {{grace_days}} days pass, so that new colleagues have time to enrol. Non-human "
        "identities have a check of their own.",
    )
    recommended_actions = (
        "Ask the user to enrol a factor, a phishing-resistant one (passkey, security key) where you can.",
        "Make the sign-in policy require MFA, so that an account without a factor cannot skip it.",
        "If the account is no longer needed, disable it.",
    )
    texts = AudienceTexts(
        subject="no second sign-in step",
        user=UserText(
            found="Your account has no second sign-in step, such as an app or a security key.",
            why="A password can be guessed or stolen. With a second step, your password alone is not enough to get in.",
            actions=(
                "Set up a second step: a security key or passkey if you have one, otherwise an authenticator app.",
                "Sign out and in again to see that it works.",
                "If you no longer use the account, tell us and we will close it.",
            ),
            due_days=7,
            shows=("sourcesWithoutMfa",),
        ),
        manager=ManagerText(
            found="This account has no second sign-in step, such as an app or a security key.",
            actions=(
                "Remind them to set one up; it takes a few minutes.",
                "Tell us if the account is no longer needed.",
            ),
            shows=("sourcesWithoutMfa",),
        ),
        list=ListText(found="These users can sign in with a password alone, without a second step."),
    )
    frameworks = (
        "NIST-800-53:IA-2(1)",
        "NIST-800-53:IA-2(2)",
        "NIST-800-63B:4.2",
        "CIS-V8:6.3",
        "ISO-27001:A.8.5",
    )
    fields = {
        "grace_days": days(14, "Grace period in days", "Accounts younger than this pass."),
    }
    audience = Q(nhi=False)

    def fails(self, s: Settings, now: datetime) -> Q:
        return Q(no_mfa_since__lt=days_before(now, s.grace_days))

    def unknown(self, s: Settings, now: datetime) -> Q:
        return Q(mfa_unknown_since__lt=days_before(now, s.grace_days))

    def failing_account(self, account: Account, s: Settings, now: datetime) -> bool:
        cut = days_before(now, s.grace_days)
        return is_enabled(account) and account.mfa is False and created_before(account, cut)

    def explain(self, user: User, accounts: Sequence[Account], s: Settings, now: datetime) -> Details:
        failing = [account for account in accounts if self.failing_account(account, s, now)]
        return {
            "createdAt": user.created_at,
            "lastSignIn": user.last_sign_in_at,
            "factors": factor_kinds(accounts),
            "sourcesWithoutMfa": source_names(failing),
        }


check = NoMfa()
