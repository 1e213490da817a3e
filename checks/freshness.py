"""The age of an account's values, by groups of fields that a source reads together.

A source's :class:`SourceFreshness` holds for all of its accounts, an :class:`AccountFreshness` instead of it for one. Where
a maximum age is set, a user with an older value in a group is *stale* for the checks that read the group: their
findings neither open nor resolve.
"""

# ruff: noqa: S608  what is put into SQL are names and numbers of ours

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta

from django.db import connection
from django.db.backends.utils import CursorWrapper
from django.db.models import Q
from django.db.models.expressions import RawSQL

from checks import dialect
from checks.models import AccountFreshness, FieldGroup, Source, SourceFreshness, SourceKind

# The fields of a record that do not belong to the profile.
GROUP_OF_FIELD = {
    "password_changed_at": FieldGroup.PASSWORD,
    "password_never_expires": FieldGroup.PASSWORD,
    "last_sign_in_at": FieldGroup.SIGN_IN,
    "last_sign_in_country": FieldGroup.SIGN_IN,
    "last_sign_in_ip": FieldGroup.SIGN_IN,
    "failed_sign_ins": FieldGroup.SIGN_IN,
    "mfa_enabled": FieldGroup.FACTORS,
    "mfa_bypass": FieldGroup.FACTORS,
    "mfa_factors": FieldGroup.FACTORS,
    "admin_roles": FieldGroup.ROLES,
    "groups": FieldGroup.GROUPS,
    "applications": FieldGroup.APPLICATIONS,
    "forwarding": FieldGroup.FORWARDING,
    "credentials_exposed": FieldGroup.RISK,
}
# The facts of a user that do not follow from the profiles at identity providers alone. All values of an HR
# source are one group.
GROUP_OF_FACT = {
    "admin": FieldGroup.ROLES,
    "app_unused_since": FieldGroup.APPLICATIONS,
    "applications_unknown": FieldGroup.APPLICATIONS,
    "credentials_exposed": FieldGroup.RISK,
    "failed_sign_ins": FieldGroup.SIGN_IN,
    "forwards": FieldGroup.FORWARDING,
    "has_mfa": FieldGroup.FACTORS,
    "hr_department_differs": FieldGroup.HR,
    "hr_manager_differs": FieldGroup.HR,
    "hr_status_unknown": FieldGroup.HR,
    "hr_title_differs": FieldGroup.HR,
    "hr_unknown": FieldGroup.HR,
    "in_hr": FieldGroup.HR,
    "last_sign_in_at": FieldGroup.SIGN_IN,
    "last_sign_in_country": FieldGroup.SIGN_IN,
    "last_sign_in_known": FieldGroup.SIGN_IN,
    "manager": FieldGroup.HR,
    "manager_enabled": FieldGroup.HR,
    "manager_given": FieldGroup.HR,
    "mfa_bypass": FieldGroup.FACTORS,
    "mfa_unknown_since": FieldGroup.FACTORS,
    "no_mfa_latest": FieldGroup.FACTORS,
    "no_mfa_since": FieldGroup.FACTORS,
    "not_resistant_since": FieldGroup.FACTORS,
    "owner_given": FieldGroup.HR,
    "password_changed_at": FieldGroup.PASSWORD,
    "password_never_expires": FieldGroup.PASSWORD,
    "password_unknown": FieldGroup.PASSWORD,
    "resistant_unknown_since": FieldGroup.FACTORS,
    "shared_with": FieldGroup.FACTORS,
    "status_inconsistent": FieldGroup.HR,
    "terminated_since": FieldGroup.HR,
    "type_inconsistent": FieldGroup.HR,
    "type_missing": FieldGroup.HR,
    "weak_mfa_since": FieldGroup.FACTORS,
    "weak_unknown_since": FieldGroup.FACTORS,
}
# From this age on the console warns, where no maximum age is set.
WARN_AFTER = timedelta(days=14)
STALE_TABLE = "checks_stale"
_BIT = {group: 1 << index for index, group in enumerate(FieldGroup)}


def groups_read(*conditions: Q) -> frozenset[FieldGroup]:
    """The groups that conditions on a user's facts depend on; the profile always, since it decides the scope."""
    facts = facts_read(*conditions)
    return frozenset({FieldGroup.PROFILE, *(GROUP_OF_FACT[name] for name in facts & GROUP_OF_FACT.keys())})


def facts_read(*conditions: Q | None) -> frozenset[str]:
    """The facts of a user that conditions depend on."""
    return frozenset(name for condition in conditions if condition for name in _facts(condition))


def _facts(condition: Q) -> Iterator[str]:
    for child in condition.children:
        if isinstance(child, Q):
            yield from _facts(child)
        elif isinstance(child, tuple):
            yield child[0].partition("__")[0]


def bits_of(groups: Iterable[FieldGroup]) -> int:
    return sum(_BIT[group] for group in groups)


def record_reading(
    source: Source, groups: Iterable[FieldGroup], as_of: datetime, max_age_days: int | None = None
) -> None:
    """These groups of fields of all of the source's accounts were read at ``as_of``. ``max_age_days``: None leaves the
    maximum age as it is."""
    age = {} if max_age_days is None else {"max_age_days": max_age_days}
    for group in sorted(groups):
        SourceFreshness.objects.update_or_create(source=source, group=group, defaults={"as_of": as_of, **age})
    AccountFreshness.objects.filter(account__source=source, group__in=list(groups)).delete()


def record_partial_reading(
    cursor: CursorWrapper,
    source: Source,
    groups: Iterable[FieldGroup],
    as_of: datetime,
    max_age_days: int | None = None,
) -> None:
    """These groups of fields were read at ``as_of`` of the accounts in ``seen_records``, the new ones among them; the others
    keep their age."""
    for group in sorted(groups):
        SourceFreshness.objects.get_or_create(
            source=source, group=group, defaults={"as_of": as_of, "max_age_days": max_age_days}
        )
        cursor.execute(
            'INSERT INTO checks_accountfreshness (account_id, "group", as_of) '
            "SELECT id, %s, %s FROM checks_account WHERE source_id = %s AND (id IN "
            "(SELECT account_id FROM seen_records WHERE account_id IS NOT NULL) OR login_key IN "
            "(SELECT login_key FROM seen_records WHERE account_id IS NULL)) "
            'ON CONFLICT (account_id, "group") DO UPDATE SET as_of = excluded.as_of',
            [str(group.value), _db(as_of), source.pk],
        )


def outdated_groups(now: datetime) -> dict[int, list[SourceFreshness]]:
    """source → its groups of fields that were last read too long ago, the oldest first."""
    found: dict[int, list[SourceFreshness]] = {}
    for each in SourceFreshness.objects.filter(as_of__lt=now).order_by("as_of", "group"):
        limit = WARN_AFTER if each.max_age_days is None else timedelta(days=each.max_age_days)
        if each.as_of < now - limit:
            found.setdefault(each.source_id, []).append(each)
    return found


def fill_stale(cursor: CursorWrapper, now: datetime) -> bool:
    """Create the temporary table ``checks_stale``: the users with a value that is too old at ``now``, with the bits
    (:func:`bits_of`) of its groups. Returns whether there are any."""
    stale = _stale(FieldGroup, now)
    if stale is None:
        return False
    select, parameters = stale
    cursor.execute(f"CREATE TEMPORARY TABLE {STALE_TABLE} (user_id {dialect.key()}, field_groups bigint)")
    cursor.execute(
        f"INSERT INTO {STALE_TABLE} SELECT user_id, {dialect.bit_or('bit')} FROM ({select}) found GROUP BY user_id",
        parameters,
    )
    return bool(cursor.rowcount)


def outdated_sources(groups: Iterable[FieldGroup], now: datetime) -> list[tuple[FieldGroup, str]]:
    """Group of fields and name of the source, where a value of one of these groups is too old at ``now``."""
    wanted = set(groups)
    found = []
    for each in SourceFreshness.objects.filter(max_age_days__isnull=False).select_related("source"):
        stale = _stale(wanted, now, only=each)
        if stale is not None:
            select, parameters = stale
            with connection.cursor() as cursor:
                cursor.execute(f"{select} LIMIT 1", parameters)
                if cursor.fetchone():
                    found.append((FieldGroup(each.group), each.source.name))
    return sorted(found)


def stale_groups(user_id: int, now: datetime) -> frozenset[FieldGroup]:
    """The groups of which the user has a value that is too old at ``now``."""
    stale = _stale(FieldGroup, now)
    if stale is None:
        return frozenset()
    select, parameters = stale
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT bit FROM ({select}) found WHERE user_id = %s", [*parameters, user_id])
        bits = {bit for (bit,) in cursor.fetchall()}
    return frozenset(group for group in FieldGroup if _BIT[group] in bits)


def stale_users(groups: Iterable[FieldGroup], now: datetime) -> RawSQL | list[int]:
    """The right side of ``pk__in``: the users with a value of one of these groups that is too old at ``now``."""
    stale = _stale(groups, now)
    if stale is None:
        return []
    select, parameters = stale
    # Made of constants of this module; every value is a parameter.
    return RawSQL(f"SELECT user_id FROM ({select}) found", parameters)  # noqa: S611  # nosec B611


def _stale(
    groups: Iterable[FieldGroup], now: datetime, only: SourceFreshness | None = None
) -> tuple[str, list[dialect.SqlValue]] | None:
    """A select of users (``user_id``) with a value that is too old, and its group (``bit``); None: no group has a
    maximum age. ``only``: of this group and source."""
    wanted = set(groups)
    selects: list[str] = []
    parameters: list[dialect.SqlValue] = []
    limited = SourceFreshness.objects.filter(max_age_days__isnull=False).select_related("source")
    for each in [only] if only else limited:
        group = FieldGroup.HR if each.source.kind == SourceKind.HR else FieldGroup(each.group)
        if group in wanted:
            selects.append(_STALE.format(bit=_BIT[group]))
            limit = now - timedelta(days=each.max_age_days or 0)
            parameters += [each.group, each.source_id, _db(each.as_of), _db(limit)]
    return (" UNION ".join(selects), parameters) if selects else None


_STALE = """
    SELECT a.user_id, {bit} AS bit
    FROM checks_account a
    LEFT JOIN checks_accountfreshness f ON f.account_id = a.id AND f."group" = %s
    WHERE a.source_id = %s AND a.user_id IS NOT NULL AND COALESCE(a.status, '') <> 'deleted'
        AND COALESCE(f.as_of, %s) < %s
"""


def _db(moment: datetime) -> str | datetime:
    stored: str | datetime = AccountFreshness._meta.get_field("as_of").get_db_prep_value(moment, connection)
    return stored
