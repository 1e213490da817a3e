"""Which accounts a pass that takes one call each asks for, and in which order."""

from datetime import timedelta

from django.db.models import Exists, F, OuterRef, Q, QuerySet

from checks.models import Account, AccountFreshness, FieldGroup, Finding, Source, Status
from integrations.models import SourceConnection
from integrations.services import SyncPassKind

# Days within which every account is read once, for any number of accounts.
ROTATION = timedelta(days=7)
# If this time is enough for all accounts, all are read each time.
ALL_WITHIN = timedelta(hours=1)
# Their factors do not matter: nobody can sign in to these accounts.
NOT_ASKED = (Status.DELETED, Status.DEPROVISIONED)
FIELDS_OF_GROUP = {"factors": "mfa_factors", "roles": "admin_roles", "groups": "groups"}


def eligible_accounts(source: Source) -> QuerySet[Account]:
    """The accounts that can be asked for one by one."""
    return Account.objects.filter(source=source).exclude(status__in=NOT_ASKED).exclude(source_key="")


def planned_accounts(
    connection: SourceConnection, source: Source, kind: SyncPassKind, calls_a_minute: float
) -> tuple[list[str], bool]:
    """The immutable ids of the accounts to ask for, and whether these are all.

    First the accounts that were never read, administrators, and users with an open finding, so that a repair shows the
    next day; then those that were read longest ago, as many as the rotation and the time allow.
    """
    accounts = eligible_accounts(source)
    group = str(FieldGroup(kind.groups[0]))
    field = FIELDS_OF_GROUP[group]
    urgent = Q(**{f"{field}__isnull": True}) | Q(is_admin=True) | Q(has_finding=True)
    open_findings = Finding.objects.filter(user=OuterRef("user"), resolved_at__isnull=True)
    freshness = AccountFreshness.objects.filter(account=OuterRef("pk"), group=group)
    marked = accounts.annotate(has_finding=Exists(open_findings))
    first = list(marked.filter(urgent).order_by("pk").values_list("source_key", flat=True))
    number = accounts.count()
    share = connection.period_hours / (ROTATION.total_seconds() / 3600)
    most = max(int(calls_a_minute * ALL_WITHIN.total_seconds() / 60), round(number * share))
    if number <= max(most, len(first)):
        most = number
    later = marked.exclude(urgent).annotate(as_of=freshness.values("as_of")[:1])
    # An account without its own age was read with all others, before the partial readings.
    oldest = later.order_by(F("as_of").asc(nulls_first=True), "pk").values_list("source_key", flat=True)
    keys = [*first, *oldest[: max(most - len(first), 0)]]
    return keys, len(keys) == number
