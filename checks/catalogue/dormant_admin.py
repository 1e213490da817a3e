"""Administrators without a recent sign-in."""

from collections.abc import Sequence
from datetime import datetime

from django.db.models import Q

from checks.catalogue.audience_texts import AudienceTexts, ListText, ManagerText, UserText
from checks.catalogue.definition import CatalogueCheck, Details, Settings, admin_roles, days_before, maybe
from checks.catalogue.setting_fields import days
from checks.models import Account, User


class DormantAdmin(CatalogueCheck):
    slug = "dormant-admin"
    title = "Dormant Administrator"
    severity = "high"
    topics = ("Inactivity", "Privilege")
    description = (
        "These users hold an administrator role and can sign in, yet have not done so for more than {{idle_days}} "
        "days. Powerful accounts that nobody watches are what attackers look for first.",
    )
    recommended_actions = (
        "Remove the administrator roles; grant them again when they are needed, for as long as they are needed.",
        "Disable the account if it served administration only.",
        "If it is an emergency account, exclude it here with that reason, and watch its sign-ins.",
    )
    texts = AudienceTexts(
        subject="administrator rights that nobody uses",
        user=UserText(
            found="Your account has administrator rights, and you have not signed in for more than {{idle_days}} days.",
            why="Accounts with many rights are what attackers look for first, most of all if nobody watches them.",
            actions=(
                "Tell us whether you still need the administrator rights.",
                "If you need them now and then, we can give them to you for the time of the work.",
            ),
            due_days=7,
            shows=("adminRoles", "lastSignIn"),
        ),
        manager=ManagerText(
            found="This account has administrator rights and has not been used for more than {{idle_days}} days.",
            actions=(
                "Tell us whether they still need the administrator rights.",
                "If not, we will remove them; they can be given again at any time.",
            ),
            shows=("adminRoles", "lastSignIn"),
        ),
        list=ListText(found="These administrators have not signed in for more than {{idle_days}} days."),
    )
    frameworks = ("NIST-800-53:AC-2(3)", "NIST-800-53:AC-6(7)", "CIS-V8:5.3", "CIS-V8:5.4", "ISO-27001:A.8.2")
    fields = {
        "idle_days": days(30, "Idle days", "Days since the last successful sign-in.", least=1),
    }
    audience = maybe("admin") & maybe("enabled")

    def fails(self, s: Settings, now: datetime) -> Q:
        return Q(admin=True, enabled=True, last_sign_in_at__lt=days_before(now, s.idle_days))

    def unknown(self, s: Settings, now: datetime) -> Q:
        return Q(last_sign_in_known=False) | Q(last_sign_in_at__lt=days_before(now, s.idle_days))

    def explain(self, user: User, accounts: Sequence[Account], s: Settings, now: datetime) -> Details:
        return {
            "lastSignIn": user.last_sign_in_at,
            "createdAt": user.created_at,
            "adminRoles": admin_roles(accounts),
        }


check = DormantAdmin()
