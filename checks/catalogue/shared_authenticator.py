"""Users who share a device or number with other users."""

from collections.abc import Sequence
from datetime import datetime

from django import forms
from django.db.models import Q

from checks.catalogue.audience_texts import AudienceTexts, ListText, ManagerText, UserText
from checks.catalogue.definition import CatalogueCheck, Details, Settings, is_identity
from checks.models import Account, User


class SharedAuthenticator(CatalogueCheck):
    slug = "shared-authenticator"
    title = "Shared Authenticator"
    severity = "high"
    topics = ("MFA", "Threat")
    description = (
        "The same device or phone number is enrolled as a factor by {{users}} or more users. Either people share "
        "a device, or somebody has enrolled one device on accounts that are not theirs: a known way to keep a "
        "foothold.",
    )
    recommended_actions = (
        "Ask the users whether they know of the device; if one does not, treat the account as taken over.",
        "Remove the device from all but its owner's account and let the others enrol their own.",
        "For an account that several people use, prefer access that is delegated to their own accounts.",
    )
    texts = AudienceTexts(
        subject="device shared with other people",
        user=UserText(
            found="A phone or device that confirms your sign-ins also confirms those of other people.",
            why="Whoever holds the device can approve sign-ins to all of these accounts. Sometimes it is a device that does not belong to any of you.",
            actions=(
                "Look at the devices and phone numbers in your sign-in settings.",
                "Remove what is not yours, and set up your own phone, app or security key.",
                "If you do not know one of them, tell us today.",
            ),
            due_days=7,
            contact="your security team",
            shows=("authenticators",),
        ),
        manager=ManagerText(
            found="A phone or device that confirms sign-ins to this account also confirms those of other people.",
            actions=(
                "Ask whether they share a device, and help each person to set up their own.",
                "If several people work with one account, ask us for access from their own accounts.",
            ),
        ),
        list=ListText(found="The same device or phone number confirms the sign-ins of several users."),
    )
    frameworks = ("NIST-800-53:IA-5", "NIST-800-53:AC-2(9)", "ISO-27001:A.5.17")
    fields = {
        "users": forms.IntegerField(
            initial=2,
            min_value=2,
            max_value=1000,
            label="Users",
            help_text="How many users with the same authenticator are too many.",
        ),
    }

    def fails(self, s: Settings, now: datetime) -> Q:
        return Q(shared_with__gte=s.users)

    def failing_account(self, account: Account, s: Settings, now: datetime) -> bool:
        return is_identity(account) and bool(devices([account]))

    def explain(self, user: User, accounts: Sequence[Account], s: Settings, now: datetime) -> Details:
        return {"usersSharing": user.shared_with, "authenticators": devices(accounts)}


def devices(accounts: Sequence[Account]) -> list[dict[str, str]]:
    """Kind and last four characters of each factor that is bound to a device or number."""
    return [
        {"kind": str(factor.get("kind", "")), "device": f"…{str(factor['device'])[-4:]}"}
        for account in accounts
        if is_identity(account)
        for factor in account.mfa_factors or []
        if factor.get("device")
    ]


check = SharedAuthenticator()
