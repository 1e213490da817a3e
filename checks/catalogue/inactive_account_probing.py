"""Somebody tries the door of an account that nobody uses."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from django import forms
from django.db.models import Q

from checks.catalogue.base import CatalogueCheck, Settings, days_before, has_identity_account, is_identity
from checks.catalogue.fields import days
from checks.models import Account, User


class InactiveAccountProbing(CatalogueCheck):
    slug = "inactive-account-probing"
    title = "Inactive Account Probing"
    severity = "high"
    topics = ("Threat", "Inactivity")
    description = (
        "These users have not signed in for more than {{idle_days}} days, yet {{attempts}} or more sign-ins have "
        "failed since. Somebody may be guessing the password of an account whose owner does not look.",
    )
    recommended_actions = (
        "Disable the account if it is not needed.",
        "Otherwise look where the attempts come from, reset the password and require a phishing-resistant factor.",
    )
    frameworks = ("NIST-800-53:AC-7", "NIST-800-53:AC-2(12)", "NIST-800-53:SI-4", "ISO-27001:A.8.16")
    fields = {
        "idle_days": days(30, "Idle days", "Days since the last successful sign-in.", least=1),
        "attempts": forms.IntegerField(
            initial=2,
            min_value=1,
            max_value=1_000_000,
            label="Failed attempts",
            help_text="This many failed sign-ins since the last successful one, or more, fail.",
        ),
    }

    def fails(self, s: Settings, now: datetime) -> Q:
        return Q(last_sign_in_at__lt=days_before(now, s.idle_days), failed_sign_ins__gte=s.attempts)

    def unknown(self, s: Settings, now: datetime) -> Q:
        idle_for_all_we_know = Q(last_sign_in_at__lt=days_before(now, s.idle_days)) | (
            Q(last_sign_in_known=False) & has_identity_account()
        )
        enough_for_all_we_know = Q(failed_sign_ins__gte=s.attempts) | Q(failed_sign_ins__isnull=True)
        return enough_for_all_we_know & idle_for_all_we_know

    def failing_account(self, account: Account, s: Settings, now: datetime) -> bool:
        return is_identity(account) and bool(account.failed_sign_ins)

    def explain(self, user: User, accounts: Sequence[Account], s: Settings, now: datetime) -> dict[str, Any]:
        return {"lastSignIn": user.last_sign_in_at, "failedSignIns": user.failed_sign_ins}


check = InactiveAccountProbing()
