"""Administrators without a phishing-resistant factor."""

from collections.abc import Sequence
from datetime import datetime

from django.db.models import Q

from checks.catalogue.audience_texts import AudienceTexts, ListText, ManagerText, UserText
from checks.catalogue.definition import (
    CatalogueCheck,
    Details,
    Settings,
    admin_roles,
    created_before,
    days_before,
    factor_kinds,
    is_enabled,
    maybe,
    source_names,
)
from checks.catalogue.setting_fields import days
from checks.models import Account, User


class AdminWeakMfa(CatalogueCheck):
    slug = "admin-weak-mfa"
    title = "Administrator Without Phishing-Resistant MFA"
    severity = "critical"
    topics = ("MFA", "Privilege")
    description = (
        "These administrators have an enabled account without a phishing-resistant factor: FIDO2, WebAuthn, "
        "passkey, Windows Hello or a certificate. A look-alike page can relay everything else in real time.",
        "Accounts younger than {{grace_days}} days pass.",
    )
    recommended_actions = (
        "Give each administrator two security keys, or a passkey and a key, and enrol them.",
        "Require a phishing-resistant factor in the sign-in policy of the administrator roles.",
        "Use a separate account for administration, and remove the roles from everyday accounts.",
    )
    texts = AudienceTexts(
        subject="administrator rights need a safer second sign-in step",
        user=UserText(
            found="Your account has administrator rights, and a fake sign-in page could get around its second sign-in step.",
            why="Fake pages can pass on codes and approvals within seconds. Security keys and passkeys recognise them and do not answer.",
            actions=(
                "Set up two security keys, or a passkey and a security key.",
                "Use them whenever you sign in for administration.",
                "If you no longer need the administrator rights, tell us.",
            ),
            due_days=7,
            shows=("sourcesWithoutResistantMfa", "adminRoles"),
        ),
        manager=ManagerText(
            found="This account has administrator rights, and a fake sign-in page could get around its second sign-in step.",
            actions=(
                "See that they have two security keys, or a passkey and a key.",
                "Tell us if they no longer need the administrator rights.",
            ),
            shows=("sourcesWithoutResistantMfa", "adminRoles"),
        ),
        list=ListText(found="These administrators have no second step that withstands a fake sign-in page."),
    )
    frameworks = (
        "NIST-800-53:IA-2(1)",
        "NIST-800-53:IA-2(8)",
        "NIST-800-63B:4.3",
        "CIS-V8:6.5",
        "ISO-27001:A.8.2",
    )
    fields = {
        "grace_days": days(0, "Grace period in days", "Accounts younger than this pass."),
    }
    audience = maybe("admin")

    def fails(self, s: Settings, now: datetime) -> Q:
        return Q(admin=True, not_resistant_since__lt=days_before(now, s.grace_days))

    def unknown(self, s: Settings, now: datetime) -> Q:
        cut = days_before(now, s.grace_days)
        return Q(not_resistant_since__lt=cut) | Q(resistant_unknown_since__lt=cut)

    def failing_account(self, account: Account, s: Settings, now: datetime) -> bool:
        cut = days_before(now, s.grace_days)
        return is_enabled(account) and account.phishing_resistant is False and created_before(account, cut)

    def explain(self, user: User, accounts: Sequence[Account], s: Settings, now: datetime) -> Details:
        failing = [account for account in accounts if self.failing_account(account, s, now)]
        return {
            "adminRoles": admin_roles(accounts),
            "createdAt": user.created_at,
            "factors": factor_kinds(failing),
            "sourcesWithoutResistantMfa": source_names(failing),
        }


check = AdminWeakMfa()
