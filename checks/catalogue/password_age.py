"""Users with an old password."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import ClassVar

from django import forms
from django.db.models import Q

from checks.catalogue.audience_texts import AudienceTexts, ListText, ManagerText, UserText
from checks.catalogue.definition import (
    CatalogueCheck,
    Details,
    Settings,
    days_before,
    is_enabled,
    source_names,
)
from checks.catalogue.setting_fields import days
from checks.models import Account, User


class PasswordAge(CatalogueCheck):
    """Also the base of the check for non-human identities: another audience, another age."""

    slug = "password-age"
    title = "Old Password"
    severity: ClassVar[str] = "low"
    topics: ClassVar[Sequence[str]] = ("Password",)
    description: ClassVar[Sequence[str]] = (
        "These users have an enabled account whose password is more than {{max_age_days}} days old. It may have "
        "leaked since, from here or from another site where it was used too.",
    )
    recommended_actions: ClassVar[Sequence[str]] = (
        "Let the user set a new password, unlike any other that the user has.",
        "Better: replace the password by a passkey.",
        "Compare passwords with lists of leaked ones, instead of changing them by the calendar.",
    )
    texts: ClassVar[AudienceTexts] = AudienceTexts(
        subject="old password",
        user=UserText(
            found="The password of your account is more than {{max_age_days}} days old.",
            why="The longer a password is in use, the more likely somebody else has come across it, here or on another site.",
            actions=(
                "Set a new password that you use nowhere else; a password manager can make one for you.",
                "If you can, set up a passkey. Then you hardly need the password any more.",
            ),
            due_days=30,
            shows=("passwordChangedAt", "sourcesWithOldPassword"),
        ),
        manager=ManagerText(
            found="The password of this account is more than {{max_age_days}} days old.",
            actions=("Ask them to set a new password, or to set up a passkey.",),
            shows=("passwordChangedAt", "sourcesWithOldPassword"),
        ),
        list=ListText(found="The passwords of these users are more than {{max_age_days}} days old."),
    )
    frameworks: ClassVar[Sequence[str]] = ("NIST-800-53:IA-5", "ISO-27001:A.5.17")
    fields: ClassVar[Mapping[str, forms.Field]] = {
        "max_age_days": days(365, "Oldest age in days", "Passwords older than this fail.", least=1),
    }
    audience = Q(nhi=False)

    def fails(self, s: Settings, now: datetime) -> Q:
        return Q(password_changed_at__lt=days_before(now, s.max_age_days))

    def unknown(self, s: Settings, now: datetime) -> Q:
        return Q(password_unknown=True)

    def failing_account(self, account: Account, s: Settings, now: datetime) -> bool:
        changed = account.password_changed_at
        return is_enabled(account) and changed is not None and changed < days_before(now, s.max_age_days)

    def explain(self, user: User, accounts: Sequence[Account], s: Settings, now: datetime) -> Details:
        failing = [account for account in accounts if self.failing_account(account, s, now)]
        changed = user.password_changed_at
        return {
            "passwordChangedAt": changed,
            "passwordAgeDays": (now - changed).days if changed else None,
            "sourcesWithOldPassword": source_names(failing),
        }


check = PasswordAge()
