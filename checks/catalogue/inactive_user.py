"""Users without a recent sign-in."""

from collections.abc import Sequence
from datetime import datetime

from django.db.models import Q

from checks.catalogue.audience_texts import AudienceTexts, ListText, ManagerText, UserText
from checks.catalogue.definition import CatalogueCheck, Details, Settings, days_before, maybe
from checks.catalogue.setting_fields import days
from checks.models import Account, User


class InactiveUser(CatalogueCheck):
    slug = "inactive-user"
    title = "Inactive User"
    severity = "medium"
    topics = ("Inactivity",)
    description = (
        "These users can sign in, yet have not done so anywhere for more than {{idle_days}} days. Nobody would notice "
        "if somebody else used such an account.",
        "Guests and external users have a check of their own; users who have never signed in are listed by “Never Logged In”.",
    )
    recommended_actions = (
        "Ask the user or the manager whether the account is still needed.",
        "Disable it if not; long leave is a reason to suspend it meanwhile.",
        "Let the identity provider suspend idle accounts by itself.",
    )
    texts = AudienceTexts(
        subject="account not used for a long time",
        user=UserText(
            found="You have not signed in to your account for more than {{idle_days}} days.",
            why="If somebody else used an account that its owner does not look at, nobody would notice.",
            actions=(
                "If you need the account, sign in once.",
                "If you do not need it any more, tell us and we will close it.",
            ),
            due_days=14,
            shows=("lastSignIn",),
        ),
        manager=ManagerText(
            found="Nobody has signed in to this account for more than {{idle_days}} days.",
            actions=(
                "Tell us whether they still need it, for example after a long leave.",
                "If they have left, tell us and we will close it.",
            ),
            shows=("lastSignIn",),
        ),
        list=ListText(found="These users have not signed in for more than {{idle_days}} days."),
    )
    frameworks = ("NIST-800-53:AC-2(3)", "CIS-V8:5.3", "ISO-27001:A.5.18")
    fields = {
        "idle_days": days(30, "Idle days", "Days since the last successful sign-in.", least=1),
    }
    audience = Q(guest=False) & maybe("enabled")

    def fails(self, s: Settings, now: datetime) -> Q:
        return Q(enabled=True, last_sign_in_at__lt=days_before(now, s.idle_days))

    def unknown(self, s: Settings, now: datetime) -> Q:
        return Q(last_sign_in_known=False) | Q(last_sign_in_at__lt=days_before(now, s.idle_days))

    def explain(self, user: User, accounts: Sequence[Account], s: Settings, now: datetime) -> Details:
        return {
            "lastSignIn": user.last_sign_in_at,
            "createdAt": user.created_at,
        }


check = InactiveUser()
