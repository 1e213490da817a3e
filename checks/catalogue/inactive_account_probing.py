"""Inactive users with failed sign-ins."""

from collections.abc import Sequence
from datetime import datetime

from django import forms
from django.db.models import Q

from checks.catalogue.audience_texts import AudienceTexts, ListText, ManagerText, UserText
from checks.catalogue.definition import (
    CatalogueCheck,
    Details,
    Settings,
    days_before,
    has_identity_account,
    is_identity,
)
from checks.catalogue.setting_fields import days
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
    texts = AudienceTexts(
        subject="unsuccessful sign-ins to an unused account",
        user=UserText(
            found="Somebody tried to sign in to your account {{attempts}} times or more without success, and you have not used it for more than {{idle_days}} days.",
            why="It may be somebody who guesses your password.",
            actions=(
                "If you need the account, sign in, set a new password and set up a second sign-in step.",
                "If you do not need it any more, tell us and we will close it.",
            ),
            due_days=7,
            contact="your security team",
            shows=("lastSignIn",),
        ),
        manager=ManagerText(
            found="Somebody tried to sign in to this account without success, and it has not been used for more than {{idle_days}} days.",
            actions=(
                "Tell us whether the account is still needed.",
                "If it is, ask them to set a new password and a second sign-in step.",
            ),
            shows=("lastSignIn",),
        ),
        list=ListText(
            found="Sign-ins to these unused accounts have been tried without success {{attempts}} times or more."
        ),
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

    def explain(self, user: User, accounts: Sequence[Account], s: Settings, now: datetime) -> Details:
        return {"lastSignIn": user.last_sign_in_at, "failedSignIns": user.failed_sign_ins}


check = InactiveAccountProbing()
