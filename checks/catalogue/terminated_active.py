"""Users who have left according to HR and can still sign in."""

from collections.abc import Sequence
from datetime import datetime

from django.db.models import Q

from checks.catalogue.audience_texts import AudienceTexts, ListText, ManagerText, UserText
from checks.catalogue.definition import (
    ALWAYS,
    CatalogueCheck,
    Details,
    Settings,
    days_before,
    is_enabled,
    maybe,
    source_names,
)
from checks.catalogue.setting_fields import days
from checks.models import Account, SourceKind, User


class TerminatedActive(CatalogueCheck):
    slug = "terminated-active"
    title = "Terminated but Still Active"
    severity = "critical"
    topics = ("Lifecycle", "HR")
    description = (
        "HR knows these users and no longer has them as active, yet they can still sign in to an identity provider.",
        "They pass until {{grace_days}} days after HR's change; where HR gives no date, they fail at once.",
    )
    recommended_actions = (
        "Disable the accounts now, end open sessions and revoke tokens.",
        "Look at what was done with them since the person left.",
        "Let HR's record start the offboarding, instead of a ticket.",
    )
    texts = AudienceTexts(
        subject="account still open after leaving",
        user=UserText(
            found="According to our records you no longer work with us, but your account is still open.",
            why="We close accounts when somebody leaves, for your protection as well as ours.",
            actions=(
                "If you have left, there is nothing to do: we will close the account.",
                "If you still work with us, tell us today, so that we do not close it by mistake.",
            ),
            due_days=3,
            contact="the HR department or your manager",
            shows=("terminatedAt", "sourcesStillActive"),
        ),
        manager=ManagerText(
            found="According to HR this person no longer works with us, but the account is still open.",
            actions=(
                "Tell us today if they have left and the account should be closed.",
                "If they are still with you, ask HR to correct the record.",
            ),
            shows=("terminatedAt", "sourcesStillActive"),
        ),
        list=ListText(found="HR no longer has these users as active, but they can still sign in."),
    )
    frameworks = ("NIST-800-53:PS-4", "NIST-800-53:AC-2(3)", "CIS-V8:6.2", "ISO-27001:A.6.5")
    fields = {
        "grace_days": days(0, "Grace period in days", "Users with a more recent change in HR pass."),
    }
    audience = (Q(in_hr=True) | Q(hr_unknown=True)) & maybe("enabled")

    def fails(self, s: Settings, now: datetime) -> Q:
        return Q(enabled=True, terminated_since__lt=days_before(now, s.grace_days))

    def unknown(self, s: Settings, now: datetime) -> Q:
        return (
            Q(hr_status_unknown=True)
            | Q(hr_unknown=True)
            | Q(terminated_since__lt=days_before(now, s.grace_days))
        )

    def failing_account(self, account: Account, s: Settings, now: datetime) -> bool:
        return is_enabled(account)

    def explain(self, user: User, accounts: Sequence[Account], s: Settings, now: datetime) -> Details:
        since = user.terminated_since
        return {
            "terminatedAt": None if since == ALWAYS else since,
            "hrStatus": next(
                (a.status for a in accounts if a.source.kind == SourceKind.HR and a.status), "deleted"
            ),
            "lastSignIn": user.last_sign_in_at,
            "sourcesStillActive": source_names([a for a in accounts if is_enabled(a)]),
        }


check = TerminatedActive()
