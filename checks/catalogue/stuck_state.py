"""Users with an account in a temporary state for too long."""

from collections.abc import Sequence
from datetime import datetime

from django.db.models import Q

from checks.catalogue.audience_texts import AudienceTexts, ListText, ManagerText, UserText
from checks.catalogue.definition import CatalogueCheck, Details, Settings, days_before, is_identity
from checks.catalogue.setting_fields import days
from checks.models import TEMPORARY_STATUSES, Account, User


class StuckState(CatalogueCheck):
    slug = "stuck-state"
    title = "Stuck in a Temporary State"
    severity = "low"
    topics = ("Lifecycle",)
    description = (
        "These users have had an account for more than {{stuck_days}} days in a state that should pass: staged, "
        "provisioned, recovery, password expired, locked out or transient. Nobody finished what was begun, and an "
        "open recovery is a way in.",
    )
    recommended_actions = (
        "Finish it: activate the account, or let the user set a password.",
        "Disable the account if nobody waits for it.",
    )
    texts = AudienceTexts(
        subject="account waiting for a last step",
        user=UserText(
            found="Your account has been waiting for a last step for more than {{stuck_days}} days, such as a first sign-in or a new password.",
            why="A half-finished step can be completed by somebody else.",
            actions=(
                "Sign in and complete the step that you are shown.",
                "If this does not work, call us and we will do it together.",
                "If you do not need the account, tell us and we will close it.",
            ),
            due_days=14,
            shows=("statuses", "statusChangedAt"),
        ),
        manager=ManagerText(
            found="This account has been waiting for a last step for more than {{stuck_days}} days, such as a first sign-in or a new password.",
            actions=(
                "Ask whether they need help to sign in.",
                "Tell us if the account is not needed.",
            ),
            shows=("statuses", "statusChangedAt"),
        ),
        list=ListText(
            found="Accounts of these users have been in a temporary state for more than {{stuck_days}} days."
        ),
    )
    frameworks = ("NIST-800-53:AC-2", "ISO-27001:A.5.16")
    fields = {
        "stuck_days": days(14, "Days in the state", "Accounts in such a state for longer fail."),
    }

    def fails(self, s: Settings, now: datetime) -> Q:
        return Q(stuck_since__lt=days_before(now, s.stuck_days))

    def unknown(self, s: Settings, now: datetime) -> Q:
        return Q(stuck_unknown=True)

    def failing_account(self, account: Account, s: Settings, now: datetime) -> bool:
        changed = account.status_changed_at
        stuck = is_identity(account) and account.status in TEMPORARY_STATUSES
        return stuck and changed is not None and changed < days_before(now, s.stuck_days)

    def explain(self, user: User, accounts: Sequence[Account], s: Settings, now: datetime) -> Details:
        failing = [account for account in accounts if self.failing_account(account, s, now)]
        return {
            "statusChangedAt": user.stuck_since,
            "statuses": {account.source.name: account.status for account in failing},
        }


check = StuckState()
