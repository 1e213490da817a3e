"""Users who may sign in without MFA."""

from collections.abc import Sequence
from datetime import datetime

from django.db.models import Q

from checks.catalogue.audience_texts import AudienceTexts, ListText, ManagerText, UserText
from checks.catalogue.definition import (
    CatalogueCheck,
    Details,
    Settings,
    factor_kinds,
    is_enabled,
    source_names,
)
from checks.models import Account, User


class MfaBypass(CatalogueCheck):
    slug = "mfa-bypass"
    title = "MFA Bypass Allowed"
    severity = "high"
    topics = ("MFA",)
    description = (
        "These users may sign in without the second factor: a bypass status, an exemption or a bypass code is set "
        "on one of their enabled accounts. Whatever factors they have enrolled do not protect them.",
    )
    recommended_actions = (
        "Remove the bypass. If a lost device was the reason, enrol a new one and let the user verify in person.",
        "Limit how long a bypass may last, and let it end by itself.",
        "Look at the user's sign-ins since the bypass was set.",
    )
    texts = AudienceTexts(
        subject="second sign-in step switched off",
        user=UserText(
            found="Your account can at present be used without its second sign-in step.",
            why="This is meant as a short help, for example after a lost phone. While it lasts, your password alone opens the account.",
            actions=(
                "If you have lost or replaced a device, set up the new one as your second step.",
                "Tell us when it works, so that we can switch the second step on again.",
                "If you did not ask for this, tell us today.",
            ),
            due_days=3,
            shows=("sourcesWithBypass",),
        ),
        manager=ManagerText(
            found="This account can at present be used without its second sign-in step.",
            actions=(
                "Ask whether they still wait for a new device or phone, and help them to get one.",
                "Tell us if nobody knows why the second step is off.",
            ),
            shows=("sourcesWithBypass",),
        ),
        list=ListText(found="These users may sign in without their second step."),
    )
    frameworks = ("NIST-800-53:IA-2(1)", "NIST-800-53:IA-2(2)", "CIS-V8:6.3", "ISO-27001:A.8.5")

    def fails(self, s: Settings, now: datetime) -> Q:
        return Q(mfa_bypass=True)

    def unknown(self, s: Settings, now: datetime) -> Q:
        return Q(mfa_bypass__isnull=True)

    def failing_account(self, account: Account, s: Settings, now: datetime) -> bool:
        return is_enabled(account) and account.mfa_bypass is True

    def explain(self, user: User, accounts: Sequence[Account], s: Settings, now: datetime) -> Details:
        failing = [account for account in accounts if self.failing_account(account, s, now)]
        return {
            "lastSignIn": user.last_sign_in_at,
            "factors": factor_kinds(accounts),
            "sourcesWithBypass": source_names(failing),
        }


check = MfaBypass()
