"""Users whose sources give different user types."""

from collections.abc import Sequence
from datetime import datetime

from django.db.models import Q

from checks.catalogue.audience_texts import AudienceTexts, ListText, ManagerText, UserText
from checks.catalogue.definition import CatalogueCheck, Details, Settings
from checks.models import Account, User


class UserTypeInconsistent(CatalogueCheck):
    slug = "user-type-inconsistent"
    title = "User Type Inconsistent"
    severity = "low"
    topics = ("Data quality",)
    description = (
        "Sources disagree on the type of these users: an employee in one is a guest or a service account in "
        "another. One of them grants the wrong access.",
    )
    recommended_actions = (
        "Find out which source is right and correct the other.",
        "If two different people or things were joined to one user, unlink the account that is not theirs.",
    )
    texts = AudienceTexts(
        subject="records disagree on the kind of account",
        user=UserText(
            found="Our records disagree on whether your account belongs to an employee, a guest or a program.",
            why="What an account may do depends on this, so one of our records gives you the wrong access.",
            actions=(
                "Tell us whether you are an employee, work for a partner, or share this account with others.",
            ),
            due_days=30,
            shows=("userTypes",),
        ),
        manager=ManagerText(
            found="Our records disagree on whether this account belongs to an employee, a guest or a program.",
            actions=("Tell us which of these it is.",),
            shows=("userTypes",),
        ),
        list=ListText(found="Sources disagree on the type of these users."),
    )
    frameworks = ("NIST-800-53:AC-2", "ISO-27001:A.5.16")

    def fails(self, s: Settings, now: datetime) -> Q:
        return Q(type_inconsistent=True)

    def unknown(self, s: Settings, now: datetime) -> Q:
        return Q(type_inconsistent__isnull=True)

    def failing_account(self, account: Account, s: Settings, now: datetime) -> bool:
        return bool(account.user_type)

    def explain(self, user: User, accounts: Sequence[Account], s: Settings, now: datetime) -> Details:
        return {"userTypes": {a.source.name: a.user_type for a in accounts if a.user_type}}


check = UserTypeInconsistent()
