"""A non-human identity with power over the others."""

from collections.abc import Sequence
from datetime import datetime

from django.db.models import Q

from checks.catalogue.audience_texts import AudienceTexts, ListText, ManagerText, UserText
from checks.catalogue.definition import CatalogueCheck, Details, Settings, admin_roles
from checks.models import Account, User


class NhiAdmin(CatalogueCheck):
    slug = "nhi-admin"
    title = "Non-Human Identity With Administrator Role"
    severity = "high"
    topics = ("Privilege", "Non-human identity")
    description = (
        "These service accounts and shared mailboxes hold an administrator role. Whoever can read their secret, from a "
        "script or a configuration file, is an administrator too.",
    )
    recommended_actions = (
        "Replace the role by the few permissions that the work needs.",
        "Move the secret to a secrets manager and restrict where the identity may sign in from.",
        "Exclude with a reason what has to stay, and review it again by an end date.",
    )
    texts = AudienceTexts(
        subject="service account with administrator rights",
        user=UserText(
            found="This service account or shared mailbox has administrator rights.",
            why="Anyone who can read its password, for example in a script, has the same rights.",
            actions=(
                "Tell us what it is used for.",
                "Together we will give it only the rights that the work needs.",
            ),
            due_days=14,
            shows=("adminRoles", "lastSignIn"),
        ),
        manager=ManagerText(
            found="This service account or shared mailbox has administrator rights.",
            actions=(
                "Tell us what it is used for, so that we can give it only the rights that it needs.",
                "Tell us if it is no longer needed.",
            ),
            shows=("adminRoles", "lastSignIn"),
        ),
        list=ListText(found="These service accounts and shared mailboxes have an administrator role."),
    )
    frameworks = ("NIST-800-53:AC-6(5)", "NIST-800-53:AC-6(7)", "CIS-V8:5.4", "ISO-27001:A.8.2")
    audience = Q(nhi=True)

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


check = NhiAdmin()
