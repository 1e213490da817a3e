"""An account whose factors are all easy to intercept or to talk a person out of."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from django.db.models import Q

from checks.catalogue.base import (
    CatalogueCheck,
    Settings,
    created_before,
    days_before,
    factor_kinds,
    is_enabled,
    source_names,
)
from checks.catalogue.fields import days
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

    def explain(self, user: User, accounts: Sequence[Account], s: Settings, now: datetime) -> dict[str, Any]:
        failing = [account for account in accounts if self.failing_account(account, s, now)]
        return {
            "createdAt": user.created_at,
            "factors": factor_kinds(failing),
            "sourcesWithWeakMfa": source_names(failing),
        }


check = WeakMfaOnly()
