"""Non-human identities without an owner."""

from collections.abc import Sequence
from datetime import datetime

from django.db.models import Q

from checks.catalogue.audience_texts import AudienceTexts, ListText, ManagerText, UserText
from checks.catalogue.definition import CatalogueCheck, Details, Settings
from checks.models import Account, User


class NhiNoOwner(CatalogueCheck):
    slug = "nhi-no-owner"
    title = "Non-Human Identity Without Owner"
    severity = "medium"
    topics = ("Non-human identity", "Data quality")
    description = (
        "No source names an owner for these service accounts and shared mailboxes. Nobody knows what would stop if "
        "one were disabled, so none ever is.",
    )
    recommended_actions = (
        "Find out who uses the identity, from its sign-ins and its applications, and make that person its owner.",
        "Disable it for a while if nobody claims it.",
        "Require an owner when such an identity is created.",
    )
    texts = AudienceTexts(
        subject="service account without an owner",
        user=UserText(
            found="Our records do not say who is responsible for this service account or shared mailbox.",
            why="If something is wrong with it, nobody knows who to ask or what would stop without it.",
            actions=(
                "Tell us who uses it and what for.",
                "Tell us who should be its owner.",
            ),
            due_days=30,
            shows=("createdAt", "lastSignIn"),
        ),
        manager=ManagerText(
            found="Our records do not say who is responsible for this service account or shared mailbox.",
            actions=("Tell us who uses it and who should be its owner.",),
            shows=("createdAt", "lastSignIn"),
        ),
        list=ListText(found="No source names an owner for these service accounts and shared mailboxes."),
    )
    frameworks = ("NIST-800-53:AC-2", "CIS-V8:5.5", "ISO-27001:A.5.16")
    audience = Q(nhi=True)

    def fails(self, s: Settings, now: datetime) -> Q:
        return Q(owner_given=False)

    def unknown(self, s: Settings, now: datetime) -> Q:
        return Q(owner_given__isnull=True)

    def failing_account(self, account: Account, s: Settings, now: datetime) -> bool:
        return account.owner == ""

    def explain(self, user: User, accounts: Sequence[Account], s: Settings, now: datetime) -> Details:
        return {
            "userType": user.user_type or None,
            "createdAt": user.created_at,
            "lastSignIn": user.last_sign_in_at,
        }


check = NhiNoOwner()
