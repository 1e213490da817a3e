"""What a check of the catalogue is: one class in one file, found by its slug.

A rule is an expression over one row of ``User`` (or an EXISTS over its accounts): the engine judges
all users by all rules in one statement. A check never sees a user to judge it; it sees the newly
failing ones, to explain them.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar, Literal

from django import forms
from django.db.models import Q

from checks.models import Account, User

Severity = Literal["critical", "high", "medium", "low"]
# What "since" columns hold where the source does not know: no grace.
ALWAYS = datetime(1970, 1, 1, tzinfo=UTC)


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
        return account.source.kind == "identity"

    def explain(
        self, user: User, accounts: Sequence[Account], s: Settings, now: datetime
    ) -> dict[str, Any]:
        """Why this user fails: camelCase key → plain value (text, number, time, list, dict).

        ``accounts`` are the user's accounts that are not deleted, identity accounts first.
        """
        return {}


def days_before(now: datetime, days: int) -> datetime:
    """The moment that a value must lie before to be strictly more than ``days`` days old."""
    return now - timedelta(days=days)
