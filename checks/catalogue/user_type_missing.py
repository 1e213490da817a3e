"""Users whose user type is empty in a source."""

from collections.abc import Sequence
from datetime import datetime

from django.db.models import Q

from checks.catalogue.audience_texts import AudienceTexts, ListText, ManagerText, UserText
from checks.catalogue.definition import CatalogueCheck, Details, Settings, source_names
from checks.models import Account, User


class UserTypeMissing(CatalogueCheck):
    slug = "user-type-missing"
    title = "User Type Missing"
    severity = "low"
    topics = ("Data quality",)
    description = (
        "At least one source that has a field for the user type leaves it empty for these users. Rules that "
        "distinguish employees, guests and service accounts do not reach them.",
    )
    recommended_actions = (
        "Fill in the user type at the source.",
        "Make it a required field where accounts are created.",
    )
    texts = AudienceTexts(
        subject="kind of account not recorded",
        user=UserText(
            found="Our records do not say whether your account belongs to an employee, a guest or a program.",
            why="What an account may do depends on this. Without it you may miss access that you need, or keep some that you do not need.",
            actions=(
                "Tell us whether you are an employee, work for a partner, or share this account with others.",
            ),
            due_days=30,
        ),
        manager=ManagerText(
            found="Our records do not say whether this account belongs to an employee, a guest or a program.",
            actions=("Tell us which of these it is.",),
        ),
        list=ListText(found="The user type of these users is missing in at least one source."),
    )
    frameworks = ("NIST-800-53:AC-2", "ISO-27001:A.5.16")

    def fails(self, s: Settings, now: datetime) -> Q:
        return Q(type_missing=True)

    def unknown(self, s: Settings, now: datetime) -> Q:
        return Q(type_missing__isnull=True)

    def failing_account(self, account: Account, s: Settings, now: datetime) -> bool:
        return account.user_type == ""

    def explain(self, user: User, accounts: Sequence[Account], s: Settings, now: datetime) -> Details:
        failing = [account for account in accounts if self.failing_account(account, s, now)]
        return {"userType": user.user_type or None, "sourcesWithoutType": source_names(failing)}


check = UserTypeMissing()
