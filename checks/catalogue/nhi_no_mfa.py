"""A non-human identity that has no second factor anywhere."""

from collections.abc import Sequence
from datetime import datetime

from django.db.models import Q

from checks.catalogue.audience_texts import AudienceTexts, ListText, ManagerText, UserText
from checks.catalogue.definition import (
    CatalogueCheck,
    Details,
    Settings,
    days_before,
    is_enabled,
    source_names,
)
from checks.catalogue.setting_fields import days
from checks.models import Account, User


class NhiNoMfa(CatalogueCheck):
    slug = "nhi-no-mfa"
    title = "Non-Human Identity Without MFA"
    severity = "high"
    topics = ("MFA", "Non-human identity")
    description = (
        "These service accounts and shared mailboxes can be signed in to with a password alone: none of their "
        "enabled accounts has an active factor.",
        "An identity whose youngest account is not older than {{grace_days}} days passes.",
    )
    recommended_actions = (
        "Replace the password by a certificate, a workload identity or a managed secret.",
        "Where people sign in with it, give each of them an account of their own, or enrol a factor.",
        "Restrict where the account may sign in from, and block interactive sign-in.",
    )
    texts = AudienceTexts(
        subject="service account protected by a password alone",
        user=UserText(
            found="This service account or shared mailbox can be opened with a password alone.",
            why="Anyone who learns the password can use it, and nobody would notice.",
            actions=(
                "Tell us which program or people use it.",
                "If people sign in with it, ask us for access from their own accounts instead.",
                "If nobody needs it any more, tell us and we will close it.",
            ),
            due_days=14,
            shows=("sourcesWithoutMfa", "lastSignIn"),
        ),
        manager=ManagerText(
            found="This service account or shared mailbox can be opened with a password alone.",
            actions=(
                "Tell us which program or people use it, so that we can protect it in another way.",
                "Tell us if it is no longer needed.",
            ),
            shows=("sourcesWithoutMfa", "lastSignIn"),
        ),
        list=ListText(
            found="These service accounts and shared mailboxes can be opened with a password alone."
        ),
    )
    frameworks = ("NIST-800-53:IA-2(2)", "NIST-800-53:IA-9", "ISO-27001:A.8.5")
    fields = {
        "grace_days": days(1, "Grace period in days", "Identities with an account younger than this pass."),
    }
    audience = Q(nhi=True)

    def fails(self, s: Settings, now: datetime) -> Q:
        return Q(has_mfa=False, no_mfa_latest__lt=days_before(now, s.grace_days))

    def unknown(self, s: Settings, now: datetime) -> Q:
        # The check fails only if all accounts lack MFA: one within its grace period means that the user
        # passes.
        young = Q(no_mfa_latest__gte=days_before(now, s.grace_days))
        return Q(has_mfa=False, mfa_unknown_since__isnull=False) & ~young

    def failing_account(self, account: Account, s: Settings, now: datetime) -> bool:
        return is_enabled(account) and account.mfa is False

    def explain(self, user: User, accounts: Sequence[Account], s: Settings, now: datetime) -> Details:
        failing = [account for account in accounts if self.failing_account(account, s, now)]
        return {
            "createdAt": user.created_at,
            "lastSignIn": user.last_sign_in_at,
            "sourcesWithoutMfa": source_names(failing),
        }


check = NhiNoMfa()
