"""Which accounts a pass that takes one call each asks for, and in which order."""

from collections.abc import Set
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import ceil

from django.db.models import Case, DateTimeField, Exists, F, OuterRef, Q, QuerySet, Subquery, Value, When
from django.db.models.functions import Coalesce
from django.utils import timezone

from checks.models import Account, AccountFreshness, FieldGroup, Finding, Source, SourceFreshness, Status
from checks.services import checks_reading
from integrations.models import SourceConnection
from integrations.services import SyncPassKind

# Days within which every account is read once, for any number of accounts.
ROTATION = timedelta(days=7)
# If this time is enough for all accounts, all are read each time, unless a log says who has changed.
ALL_WITHIN = timedelta(hours=1)
# Their factors do not matter: nobody can sign in to these accounts.
NOT_ASKED = (Status.DELETED, Status.DEPROVISIONED)
FIELDS_OF_GROUP = {"factors": "mfa_factors", "roles": "admin_roles", "groups": "groups"}


@dataclass(frozen=True, slots=True)
class Plan:
    """The immutable ids of the accounts to ask for, in this order. ``changed``: never read, or changed since; ``watched``:
    administrators, and users who fail a check of these fields, so that a repair shows; ``oldest``: of the others, those that
    were read longest ago. ``is_all``: nobody else could be asked for."""

    changed: list[str]
    watched: list[str]
    oldest: list[str]
    is_all: bool

    @property
    def keys(self) -> list[str]:
        return [*self.changed, *self.watched, *self.oldest]

    @property
    def counts(self) -> dict[str, int]:
        return {"changed": len(self.changed), "watched": len(self.watched), "oldest": len(self.oldest)}

    @property
    def note(self) -> str:
        """A sentence for the history; "" where all are read."""
        if self.is_all:
            return ""
        return (
            f"New or changed users: {len(self.changed):,}. Administrators and users with a finding: "
            f"{len(self.watched):,}. Read longest ago: {len(self.oldest):,}."
        )


def eligible_accounts(source: Source) -> QuerySet[Account]:
    """The accounts that can be asked for one by one."""
    return Account.objects.filter(source=source).exclude(status__in=NOT_ASKED).exclude(source_key="")


def planned_accounts(
    connection: SourceConnection,
    source: Source,
    kind: SyncPassKind,
    calls_a_minute: float,
    named: Set[str] | None = None,
) -> Plan:
    """The accounts to ask for. ``named``: those that the provider's log names as changed; None: there is no log.

    The changed and the watched are always read. Of the others, a part that reads each of them within the rotation. Without
    a log as many as an hour allows, so that a change shows soon.
    """
    changed: list[str] = []
    watched: list[str] = []
    others: list[str] = []
    for key, has_changed, is_watched in _marked_accounts(source, kind).iterator():
        is_changed = has_changed or (named is not None and key in named)
        (changed if is_changed else watched if is_watched else others).append(key)
    most = ceil(len(others) * min(timedelta(hours=connection.period_hours) / ROTATION, 1))
    if named is None:
        in_time = int(calls_a_minute * ALL_WITHIN.total_seconds() / 60)
        most = max(most, in_time - len(changed) - len(watched))
    return Plan(changed, watched, others[:most], most >= len(others))


def _marked_accounts(source: Source, kind: SyncPassKind) -> QuerySet[Account, tuple[str, bool, bool]]:
    """Immutable id, whether the account was never read or its status changed since, and whether it is watched; those that
    were read longest ago first."""
    group = FieldGroup(kind.groups[0])
    own_age = AccountFreshness.objects.filter(account=OuterRef("pk"), group=group).values("as_of")[:1]
    # An account without its own age was read with all others, before the partial readings.
    age_of_all: datetime | None = (
        SourceFreshness.objects.filter(source=source, group=group).values_list("as_of", flat=True).first()
    )
    checks = checks_reading([group], timezone.now())
    findings = Finding.objects.filter(
        user=OuterRef("user"), resolved_at__isnull=True, check_ref__in=[check.pk for check in checks]
    )
    accounts = eligible_accounts(source).annotate(
        as_of=Coalesce(Subquery(own_age), Value(age_of_all, output_field=DateTimeField()))
    )
    never_read = Q(**{f"{FIELDS_OF_GROUP[group]}__isnull": True})
    return (
        accounts.annotate(
            has_changed=Case(
                When(never_read | Q(status_changed_at__gt=F("as_of")), then=True), default=False
            ),
            is_watched=Case(When(Q(is_admin=True) | Exists(findings), then=True), default=False),
        )
        .order_by(F("as_of").asc(nulls_first=True), "pk")
        .values_list("source_key", "has_changed", "is_watched")
    )
