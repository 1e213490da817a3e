"""Users whose mail is forwarded outside the organisation."""

from collections.abc import Sequence
from datetime import datetime

from django.db.models import Exists, OuterRef, Q, Value
from django.db.models.functions import Concat

from checks.catalogue.audience_texts import AudienceTexts, ListText, ManagerText, UserText
from checks.catalogue.definition import CatalogueCheck, Details, Settings, has_identity_account, is_identity
from checks.catalogue.setting_fields import DomainListField
from checks.dialect import IsInDomains
from checks.domains import spellings
from checks.models import Account, Forward, SourceKind, Status, User


class EmailForwarding(CatalogueCheck):
    slug = "email-forwarding"
    title = "Mail Forwarded to the Outside"
    severity = "medium"
    topics = ("Threat", "Data loss")
    description = (
        "Mail of these users is forwarded to an address in a domain that is neither their own nor listed as "
        "internal. It is how a taken-over mailbox keeps talking after the password was changed, and how data leaves "
        "without anybody sending it.",
    )
    recommended_actions = (
        "Ask the user whether the forwarding is theirs; if not, treat the account as taken over.",
        "Remove the forwarding and forbid forwarding to other domains in the mail policy.",
        "Add your own other domains to the setting, so that only strangers are listed here.",
    )
    texts = AudienceTexts(
        subject="e-mail forwarded outside the company",
        user=UserText(
            found="Your e-mail is forwarded to an address outside the company.",
            why="Sometimes an attacker sets this up to read along. Even if you did it yourself, confidential mail leaves the company this way.",
            actions=(
                "If you did not set it up, tell us today.",
                "If you did, switch the forwarding off in the settings of your mailbox.",
                "If you need your mail elsewhere, ask us for a safe way.",
            ),
            due_days=7,
            contact="your security team",
            shows=("forwardedTo",),
        ),
        manager=ManagerText(
            found="The e-mail of this account is forwarded to an address outside the company.",
            actions=(
                "Ask whether they set it up and what they need it for.",
                "If they do not know about it, tell us today.",
            ),
        ),
        list=ListText(found="The mail of these users is forwarded to an outside address."),
    )
    frameworks = ("NIST-800-53:AC-4", "ISO-27001:A.5.14", "ISO-27001:A.8.12")
    fields = {
        "internal_domains": DomainListField(
            required=False,
            initial=[],
            label="Internal domains",
            help_text="Forwarding to these and to their subdomains passes, as to the user's own domains.",
        ),
    }

    def fails(self, s: Settings, now: datetime) -> Q:
        own = Account.objects.filter(user=OuterRef("account__user"))
        at_domain = Concat(Value("@"), OuterRef("domain"))
        own = own.filter(Q(email_key__endswith=at_domain) | Q(login_key__endswith=at_domain))
        outside = (
            Forward.objects.filter(account__user=OuterRef("pk"), account__source__kind=SourceKind.IDENTITY)
            .exclude(account__status=Status.DELETED)
            .exclude(domain=OuterRef("domain"))
            .exclude(Exists(own))
        )
        if s.internal_domains:
            outside = outside.exclude(IsInDomains("domain", spellings(s.internal_domains)))
        return Q(forwards=True) & Q(Exists(outside))

    def unknown(self, s: Settings, now: datetime) -> Q:
        # One source says that mail stays inside; another cannot say.
        silent = Q(forwards=True) & has_identity_account(forwarding__isnull=True)
        return Q(forwards__isnull=True) | silent

    def failing_account(self, account: Account, s: Settings, now: datetime) -> bool:
        return is_identity(account) and bool(account.forwarding)

    def explain(self, user: User, accounts: Sequence[Account], s: Settings, now: datetime) -> Details:
        addresses = [
            address for account in accounts if is_identity(account) for address in account.forwarding or []
        ]
        return {"forwardedTo": list(dict.fromkeys(addresses))}


check = EmailForwarding()
