"""The base class of the checks of the catalogue, and what their rules have in common.

A rule is an expression over one row of ``User`` (or an EXISTS over its accounts): the engine evaluates all users by all
rules in one statement. A check sees single users only to explain why they fail.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar

from django import forms
from django.db.models import OuterRef, Q, Subquery
from django.db.models.lookups import IsNull

from checks.catalogue.audience_texts import AudienceTexts
from checks.models import ENABLED_STATUSES, Account, SourceKind, Status, User

# The value of "since" columns where the source gives no time: such an account has no grace period.
ALWAYS = datetime(1970, 1, 1, tzinfo=UTC)


# camelCase key → plain value: text, number, time, list, dictionary; messages omit None.
Details = dict[str, object]


class Settings(dict[str, Any]):
    """A check's settings by name, with defaults filled in; also readable as attributes: ``s.grace_days``."""

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError as error:
            raise AttributeError(name) from error


class CatalogueCheck:
    """Base of every check. ``now`` is the run's time; all ages are exact.

    ``fields``: name → Django form field with ``initial``, bounds, label and help text; the page, the configuration file
    and the engine validate with it. A field named ``…_days`` is a number of days.
    ``description``, ``recommended_actions``: paragraphs for administrators. ``texts``: what users, managers and lists
    read. In all of them ``{{name}}`` stands for a setting.
    ``audience``: the users that the check evaluates, among the protected ones.
    """

    slug: ClassVar[str]
    title: ClassVar[str]
    severity: ClassVar[str]
    topics: ClassVar[Sequence[str]]
    description: ClassVar[Sequence[str]]
    recommended_actions: ClassVar[Sequence[str]]
    texts: ClassVar[AudienceTexts]
    frameworks: ClassVar[Sequence[str]] = ()
    fields: ClassVar[Mapping[str, forms.Field]] = {}
    audience: ClassVar[Q] = Q()

    def fails(self, s: Settings, now: datetime) -> Q:
        """The condition of failing. NULL counts as not failing."""
        raise NotImplementedError

    def unknown(self, s: Settings, now: datetime) -> Q | None:
        """The condition of being unknown, for users who do not fail; None: no user is unknown."""
        return None

    def failing_account(self, account: Account, s: Settings, now: datetime) -> bool:
        """Whether this account makes its user fail, alone or with others; for ``providersFailingChecks``."""
        return is_identity(account)

    def explain(self, user: User, accounts: Sequence[Account], s: Settings, now: datetime) -> Details:
        """Explain why this user fails. ``accounts``: the user's accounts that are not deleted, identity accounts first."""
        return {}


def days_before(now: datetime, days: int) -> datetime:
    """The time ``days`` days before ``now``: an earlier value is strictly more than ``days`` days old."""
    return now - timedelta(days=days)


def past_grace(column: str, cut: datetime) -> Q:
    """``column`` is before ``cut`` or unknown: an unknown creation time gives no grace period."""
    return Q(**{f"{column}__lt": cut}) | Q(**{f"{column}__isnull": True})


def maybe(column: str) -> Q:
    """The nullable boolean ``column`` is true or unknown."""
    return Q(**{column: True}) | Q(**{f"{column}__isnull": True})


def has_identity_account(**that: object) -> Q:
    """The user has an identity account that is not deleted and matches the filters ``that``.

    A scalar subquery instead of EXISTS: PostgreSQL would answer EXISTS by hashing all accounts, and few users reach
    this condition.
    """
    accounts = Account.objects.filter(user=OuterRef("pk"), source__kind=SourceKind.IDENTITY, **that)
    first = Subquery(accounts.exclude(status=Status.DELETED).order_by().values("pk")[:1])
    return Q(IsNull(first, False))


def is_identity(account: Account) -> bool:
    return account.source.kind == SourceKind.IDENTITY


def is_enabled(account: Account) -> bool:
    """An identity account that can be signed in with."""
    return is_identity(account) and account.status in ENABLED_STATUSES


def created_before(account: Account, cut: datetime) -> bool:
    return (account.created_at or ALWAYS) < cut


def source_names(accounts: Sequence[Account]) -> list[str]:
    """The names of the accounts' sources, each once, in their order."""
    return list(dict.fromkeys(account.source.name for account in accounts))


def factor_kinds(accounts: Sequence[Account]) -> list[str] | None:
    """The kinds of the enabled accounts' factors, each once; None where no account gives a list."""
    known = [
        account.mfa_factors for account in accounts if is_enabled(account) and account.mfa_factors is not None
    ]
    if not known:
        return None
    return list(dict.fromkeys(str(factor.get("kind", "")) for factors in known for factor in factors))


def admin_roles(accounts: Sequence[Account]) -> list[str]:
    """The administrator roles of all the accounts, each once."""
    return list(dict.fromkeys(str(role) for account in accounts for role in account.admin_roles or []))
