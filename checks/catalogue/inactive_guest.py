"""Guests without a recent sign-in."""

from collections.abc import Sequence
from datetime import datetime

from django.db.models import Q

from checks.catalogue.audience_texts import AudienceTexts, ListText, ManagerText, UserText
from checks.catalogue.definition import CatalogueCheck, Details, Settings, days_before, maybe
from checks.catalogue.setting_fields import days
from checks.models import Account, User


class InactiveGuest(CatalogueCheck):
    slug = "inactive-guest"
    title = "Inactive Guest"
    severity = "medium"
    topics = ("Inactivity", "Guests")
    description = (
        "These guests and external users can sign in, yet have not done so for more than {{idle_days}} days. Their "
        "employer may have let them go long ago without telling you.",
    )
    recommended_actions = (
        "Ask whoever invited the guest whether the work goes on.",
        "Remove the guest, or its access to what it no longer needs.",
        "Give invitations an end date and review them regularly.",
    )
    texts = AudienceTexts(
        subject="guest access that is not used",
        user=UserText(
            found="You have guest access to our systems and have not used it for more than {{idle_days}} days.",
            why="We close access that nobody uses, so that nobody else can use it in your name.",
            actions=(
                "If you still work with us, sign in once.",
                "If not, there is nothing to do: we will close the access.",
            ),
            due_days=14,
            contact="the person at our company who invited you",
            shows=("lastSignIn",),
        ),
        manager=ManagerText(
            found="This guest has not used their access for more than {{idle_days}} days.",
            actions=(
                "Tell us whether you still work together.",
                "If not, we will close the access.",
            ),
            shows=("lastSignIn",),
        ),
        list=ListText(found="These guests have not signed in for more than {{idle_days}} days."),
    )
    frameworks = ("NIST-800-53:AC-2(3)", "CIS-V8:5.3", "ISO-27001:A.5.18")
    fields = {
        "idle_days": days(30, "Idle days", "Days since the last successful sign-in.", least=1),
    }
    audience = Q(guest=True) & maybe("enabled")

    def fails(self, s: Settings, now: datetime) -> Q:
        return Q(enabled=True, last_sign_in_at__lt=days_before(now, s.idle_days))

    def unknown(self, s: Settings, now: datetime) -> Q:
        return Q(last_sign_in_known=False) | Q(last_sign_in_at__lt=days_before(now, s.idle_days))

    def explain(self, user: User, accounts: Sequence[Account], s: Settings, now: datetime) -> Details:
        return {
            "lastSignIn": user.last_sign_in_at,
            "createdAt": user.created_at,
        }


check = InactiveGuest()
