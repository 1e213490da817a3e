"""Guests and external users with an administrator role."""

from collections.abc import Sequence
from datetime import datetime

from django.db.models import Q

from checks.catalogue.audience_texts import AudienceTexts, ListText, ManagerText, UserText
from checks.catalogue.definition import CatalogueCheck, Details, Settings, admin_roles
from checks.models import Account, User


class GuestAdmin(CatalogueCheck):
    slug = "guest-admin"
    title = "Guest With Administrator Role"
    severity = "critical"
    topics = ("Privilege", "Guests")
    description = (
        "These guests and external users hold an administrator role. Their devices, their factors and their leaving "
        "are in the hands of another organisation.",
    )
    recommended_actions = (
        "Remove the role. If the work needs it, grant it for a limited time, with approval.",
        "Give long-term partners an internal account under your own policies.",
        "Look at what was changed with the role.",
    )
    texts = AudienceTexts(
        subject="guest account with administrator rights",
        user=UserText(
            found="Your guest account has administrator rights in our systems.",
            why="We give such rights to guests only for a limited time, since we do not know when somebody changes jobs at your company.",
            actions=(
                "Tell us what you need the rights for and until when.",
                "If you no longer need them, tell us and we will remove them.",
            ),
            due_days=7,
            contact="the person at our company who invited you",
            shows=("adminRoles", "lastSignIn"),
        ),
        manager=ManagerText(
            found="This guest has administrator rights in our systems.",
            actions=(
                "Tell us whether they need the rights, what for and until when.",
                "If not, we will remove them.",
            ),
            shows=("adminRoles", "lastSignIn"),
        ),
        list=ListText(found="These guests have an administrator role."),
    )
    frameworks = ("NIST-800-53:AC-6(5)", "NIST-800-53:AC-6(7)", "CIS-V8:5.4", "ISO-27001:A.8.2")
    audience = Q(guest=True)

    def fails(self, s: Settings, now: datetime) -> Q:
        return Q(admin=True)

    def unknown(self, s: Settings, now: datetime) -> Q:
        return Q(admin__isnull=True)

    def failing_account(self, account: Account, s: Settings, now: datetime) -> bool:
        return account.is_admin is True

    def explain(self, user: User, accounts: Sequence[Account], s: Settings, now: datetime) -> Details:
        return {
            "adminRoles": admin_roles(accounts),
            "userType": user.user_type or None,
            "lastSignIn": user.last_sign_in_at,
        }


check = GuestAdmin()
