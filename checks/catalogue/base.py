"""What a check of the catalogue is: one class in one file, found by its slug.

A rule is an expression over one row of ``User`` (or an EXISTS over its accounts): the engine judges
all users by all rules in one statement. A check never sees a user to judge it; it sees the newly
failing ones, to explain them.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar, Literal

from django import forms
from django.db.models import OuterRef, Q, Subquery
from django.db.models.lookups import IsNull

from checks.models import Account, SourceKind, Status, User

Severity = Literal["critical", "high", "medium", "low"]
# What "since" columns hold where the source does not know: no grace.
ALWAYS = datetime(1970, 1, 1, tzinfo=UTC)
ENABLED_STATUSES = frozenset({Status.ACTIVE, Status.PASSWORD_EXPIRED, Status.LOCKED_OUT, Status.RECOVERY})


class Settings(dict[str, Any]):
    """A check's settings by name, defaults filled in; attributes for brevity: ``s.grace_days``."""

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError as error:
            raise AttributeError(name) from error


class CatalogueCheck:
    """Base of every check. ``now`` is the run's time; all ages are exact.

    ``fields``: name → Django form field with ``initial``, bounds, label and help text; the page, the
    configuration file and the engine validate by the same one. A field named ``…_days`` is a number
    of days. ``description`` and ``recommended_actions`` are paragraphs with ``{{name}}`` for a setting.
    """

    slug: ClassVar[str]
    title: ClassVar[str]
    severity: ClassVar[Severity]
    topics: ClassVar[Sequence[str]]
    description: ClassVar[Sequence[str]]
    recommended_actions: ClassVar[Sequence[str]]
    frameworks: ClassVar[Sequence[str]] = ()
    fields: ClassVar[Mapping[str, forms.Field]] = {}
    # The users whom the check is about; the engine adds the protected population unless told otherwise.
    audience: ClassVar[Q] = Q()
    protected_only: ClassVar[bool] = True

    def fails(self, s: Settings, now: datetime) -> Q:
        """True for the users who fail. NULL counts as not failing."""
        raise NotImplementedError

    def unknown(self, s: Settings, now: datetime) -> Q | None:
        """True for the users, failing ones aside, who cannot be judged; None: everyone can."""
        return None

    def failing_account(self, account: Account, s: Settings, now: datetime) -> bool:
        """Whether this account is (part of) why its user fails; for ``providersFailingChecks``."""
        return is_identity(account)

    def explain(self, user: User, accounts: Sequence[Account], s: Settings, now: datetime) -> dict[str, Any]:
        """Why this user fails: camelCase key → plain value (text, number, time, list, dict).

        ``accounts`` are the user's accounts that are not deleted, identity accounts first. A value of
        None is left out of the message.
        """
        return {}


def days_before(now: datetime, days: int) -> datetime:
    """The moment that a value must lie before to be strictly more than ``days`` days old."""
    return now - timedelta(days=days)


def past_grace(column: str, cut: datetime) -> Q:
    """``column`` lies before ``cut`` or is unknown: an unknown creation is no grace."""
    return Q(**{f"{column}__lt": cut}) | Q(**{f"{column}__isnull": True})


def maybe(column: str) -> Q:
    """The nullable boolean ``column`` is true or unknown."""
    return Q(**{column: True}) | Q(**{f"{column}__isnull": True})


def has_identity_account(**that: Any) -> Q:
    """The user has an account (``that`` …) at an identity provider that is not deleted.

    A scalar subquery and not an EXISTS, which PostgreSQL would answer by hashing all accounts, though
    few users come this far.
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
