"""Users whose password never expires."""

from collections.abc import Sequence
from datetime import datetime

from django.db.models import Q

from checks.catalogue.audience_texts import AudienceTexts, ListText, ManagerText, UserText
from checks.catalogue.definition import CatalogueCheck, Details, Settings, is_enabled, source_names
from checks.models import Account, User


class PasswordNeverExpires(CatalogueCheck):
    slug = "password-never-expires"
    title = "Password Never Expires"
    severity = "low"
    topics = ("Password",)
    description = (
        "These users have an enabled account whose password is set never to expire: an exemption from the policy "
        "that holds for everybody else.",
    )
    recommended_actions = (
        "Remove the exemption, or write down why it stands and exclude the user here.",
        "If passwords of your organisation need not expire as a rule, turn this check off.",
    )
    texts = AudienceTexts(
        subject="password that never expires",
        user=UserText(
            found="The password of your account is set never to expire, unlike those of your colleagues.",
            why="Such an exception often outlives its reason.",
            actions=(
                "Tell us whether you know why the exception is there and whether you still need it.",
                "If not, set a new password that you use nowhere else. We will remove the exception.",
            ),
            due_days=30,
            shows=("sourcesWithExemption", "passwordChangedAt"),
        ),
        manager=ManagerText(
            found="The password of this account is set never to expire, unlike those of other colleagues.",
            actions=("Tell us whether there is still a reason for the exception.",),
            shows=("sourcesWithExemption",),
        ),
        list=ListText(found="The passwords of these users are set never to expire."),
    )
    frameworks = ("NIST-800-53:IA-5", "ISO-27001:A.5.17")

    def fails(self, s: Settings, now: datetime) -> Q:
        return Q(password_never_expires=True)

    def unknown(self, s: Settings, now: datetime) -> Q:
        return Q(password_never_expires__isnull=True)

    def failing_account(self, account: Account, s: Settings, now: datetime) -> bool:
        return is_enabled(account) and account.password_never_expires is True

    def explain(self, user: User, accounts: Sequence[Account], s: Settings, now: datetime) -> Details:
        failing = [account for account in accounts if self.failing_account(account, s, now)]
        return {
            "passwordChangedAt": user.password_changed_at,
            "sourcesWithExemption": source_names(failing),
        }


check = PasswordNeverExpires()
