"""Which fields the records of an import have, and what happens to the others.

A field that no record has was not read this time: stored accounts keep their last value. A field that is absent from one
record only is unknown there. A field that is empty in every record, where the source had values before, was most likely
lost by the export: it is treated as not read. Everything happens in the database, within the import's transaction.
"""

# ruff: noqa: S608  what is put into SQL are our own names of tables and columns

from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime

from django.db.backends.utils import CursorWrapper
from django.db.models import Q

from checks import dialect
from checks.freshness import GROUP_OF_FIELD
from checks.importing import facts
from checks.importing.records import DERIVED, FIELDS, LISTS, derive, devices_of
from checks.importing.reports import ReadingWarning
from checks.importing.values import REFERENCES, TEXTS, Value
from checks.models import Account, Authenticator, FieldGroup, Source

PARTIAL = "partial_records"
PARTIAL_DEFINITION = "(login_key varchar(320) PRIMARY KEY, absent bigint)"
BIT = {field: 1 << place for place, field in enumerate(FIELDS)}
ALL = (1 << len(FIELDS)) - 1
EMPTY_EVERYWHERE = (
    "empty in every record, though the source had values before. It is treated as not read, and the last values stay; "
    "check the permissions and columns of the export"
)
# Fields whose columns follow from each other: where only one of them was read, the columns are derived again.
_COUPLED: tuple[frozenset[str], ...] = (
    frozenset(("mfa_enabled", "mfa_factors")),
    frozenset(("created_at", "applications")),
)
_MFA = {"mfa": "NULL", "assurance": "NULL", "factors_known": "FALSE", "phishing_resistant": "NULL"}
# Field → the columns that follow from it, and their value where the field is unknown.
_FOLLOWING: Mapping[str, Mapping[str, str]] = {
    "source_key": {"key_anchor": "''"},
    "email": {"email_key": "''"},
    "employee_id": {"employee_key": "''"},
    "manager": {"manager_key": "''"},
    "owner": {"owner_key": "''"},
    "department": {"department_key": "''"},
    "title": {"title_key": "''"},
    "display_name": {"name_key": "''"},
    "last_sign_in_at": {"last_sign_in_known": "FALSE"},
    "mfa_enabled": _MFA,
    "mfa_factors": _MFA,
    "admin_roles": {"is_admin": "NULL"},
    "applications": {"app_unused_since": "NULL", "applications_known": "FALSE"},
}
TEXTUAL = frozenset((*TEXTS, "last_sign_in_country", "last_sign_in_ip"))


def unknown_columns(field: str) -> dict[str, str]:
    """Column → SQL of its value where the field is unknown."""
    return {field: "''" if field in TEXTUAL else "NULL", **_FOLLOWING.get(field, {})}


def known(field: str) -> Q:
    """An account for which the field has a value."""
    if field in TEXTUAL:
        return ~Q(**{field: ""})
    condition = Q(**{f"{field}__isnull": False})
    if field in LISTS:
        return condition & ~Q(**{field: []})
    if field == "status_changed_at":
        # A full import wrote the time of a deletion itself.
        return condition & ~Q(status="deleted")
    return condition & ~Q(**{field: ""}) if field in REFERENCES or field == "user_type" else condition


class FieldCoverage:
    """Counts for each field while records are read. Masks hold a bit for each field (``BIT``)."""

    def __init__(self) -> None:
        self.present, self.first_absent = 0, -1
        # The keys of a record → the mask of the fields that it lacks, and those of its fields that had no value yet.
        self._shapes: dict[tuple[str, ...], tuple[int, set[str]]] = {}
        self._never_filled = set(FIELDS)

    def add(self, raw: Mapping[str, object]) -> int:
        """Take note of a record; the mask of the fields that it lacks."""
        keys = tuple(raw)
        shape = self._shapes.get(keys)
        if shape is None:
            fields = BIT.keys() & set(keys)
            shape = ALL & ~sum(BIT[field] for field in fields), fields & self._never_filled
            if len(self._shapes) < 10_000:
                self._shapes[keys] = shape
            self.present |= ALL & ~shape[0]
        absent, empty = shape
        if self.first_absent < 0:
            self.first_absent = absent
        if empty:
            filled = [field for field in empty if not _is_blank(raw[field])]
            empty.difference_update(filled)
            self._never_filled.difference_update(filled)
        return absent

    @property
    def read(self) -> frozenset[str]:
        """The fields that some record has."""
        return frozenset(field for field in FIELDS if BIT[field] & self.present)

    @property
    def blank(self) -> frozenset[str]:
        """The fields that records have and that are empty in all of them."""
        return self.read & self._never_filled


def _is_blank(value: object) -> bool:
    return value is None or value == "" or value == [] or (value.__class__ is str and not value.strip())


class Reading:
    """Which fields of a source were read, once all records are staged.

    ``read``: fields whose staged values are written. ``kept``: fields that were not read and of which some account has
    a value. ``warnings``: fields that were empty everywhere. ``is_group``: the records hold a group of fields alone, as
    a provider's API says them: what is empty there is empty.
    """

    def __init__(
        self, source: Source, coverage: FieldCoverage, *, replace: bool, is_group: bool = False
    ) -> None:
        self.coverage, self.is_group = coverage, is_group
        self.warnings: list[ReadingWarning] = []
        self.read: frozenset[str] = frozenset(FIELDS)
        self.kept: list[str] = []
        self.blank: frozenset[str] = frozenset()
        # Field → accounts of which :meth:`clear_absent` made it unknown.
        self.cleared: Counter[str] = Counter()
        if is_group:
            self.read = coverage.read
            return
        if replace or not source.pk:
            return
        had = _known_fields(source, (set(FIELDS) - coverage.read) | coverage.blank)
        self.blank = coverage.blank & had
        self.warnings = [ReadingWarning(field, f"{EMPTY_EVERYWHERE}.") for field in sorted(self.blank)]
        self.read = coverage.read - self.blank
        self.kept = sorted(had - coverage.read)

    @property
    def groups(self) -> set[FieldGroup]:
        """The groups of fields that were read."""
        read = (self.coverage.read - self.blank) & GROUP_OF_FIELD.keys()
        return {FieldGroup.PROFILE, *(GROUP_OF_FIELD[field] for field in read)}

    def assignments(self, columns: Iterable[str]) -> str:
        """The SET of an update of changed accounts from ``staged_accounts`` (s): what was not read keeps its value."""
        kept = {
            column
            for field in FIELDS
            if field not in self.read
            for column in (field, *_FOLLOWING.get(field, ()))
        }
        if self.blank or self.is_group:
            # The fingerprint of a group's record does not cover the profile.
            kept.add("fingerprint")
        kept -= {column for field in self.read for column in (field, *_FOLLOWING.get(field, ()))}
        sets = [
            f"{column} = s.{column}"
            for column in columns
            if column not in kept and column not in ("source_key", "key_anchor")
        ]
        if "source_key" not in kept:
            sets += [
                f"{column} = CASE WHEN s.source_key = '' THEN checks_account.{column} ELSE s.{column} END"
                for column in ("source_key", "key_anchor")
            ]
        if "display_name" in kept:
            sets.append(
                "display_name = CASE WHEN checks_account.display_name = '' THEN s.display_name "
                "ELSE checks_account.display_name END"
            )
            sets.append(
                "name_key = CASE WHEN checks_account.display_name = '' THEN s.name_key "
                "ELSE checks_account.name_key END"
            )
        if "mfa_bypass" in kept and "status" in self.read:
            sets.append("mfa_bypass = COALESCE(s.mfa_bypass, checks_account.mfa_bypass)")
        if not {"status", "status_changed_at"} <= self.read:
            # An account that is in the records again is not deleted, even if its record has no status.
            sets += [
                f"{column} = CASE WHEN checks_account.status = 'deleted' THEN s.{column} ELSE checks_account.{column} END"
                for column in ("status", "status_changed_at")
                if column in kept
            ]
        if self.blank:
            # The same record means something else once another record has a value there: it has to be read again.
            sets.append(f"fingerprint = {_no_fingerprint()}")
        return ", ".join(sets)

    def clear_blank(self, cursor: CursorWrapper) -> None:
        """Make the fields that were empty everywhere unknown in the new accounts."""
        for field in sorted(self.blank):
            sets = ", ".join(f"{column} = {value}" for column, value in unknown_columns(field).items())
            cursor.execute(f"UPDATE staged_accounts SET {sets} WHERE account_id IS NULL")
            if field == "mfa_factors":
                cursor.execute(
                    "UPDATE staged_accounts SET mfa = mfa_enabled, factors_known = (mfa_enabled = FALSE), "
                    "phishing_resistant = CASE WHEN mfa_enabled = FALSE THEN FALSE END "
                    "WHERE account_id IS NULL AND mfa_enabled IS NOT NULL"
                )

    def clear_absent(self, cursor: CursorWrapper, source: Source) -> list[int]:
        """Make fields unknown where the record lacks them and another one has them; the accounts that change."""
        changed: set[int] = set()
        for field in sorted(self.read & self.coverage.read):
            # An immutable id stays with its account.
            if field in ("login", "source_key"):
                continue
            bit = BIT[field]
            lacking = f"SELECT login_key FROM {PARTIAL} WHERE absent & {bit} <> 0"
            if self.coverage.first_absent & bit:
                lacking = (
                    f"SELECT login_key FROM seen_records WHERE line <> -1 AND login_key NOT IN "
                    f"(SELECT login_key FROM {PARTIAL} WHERE absent & {bit} = 0)"
                )
            columns = unknown_columns(field)
            is_known = f"{field} <> ''" if field in TEXTUAL else f"{field} IS NOT NULL"
            if field == "last_sign_in_at":
                is_known = "last_sign_in_known"
            cursor.execute(
                f"SELECT id FROM checks_account WHERE source_id = %s AND {is_known} AND login_key IN ({lacking})",
                [source.pk],
            )
            ids = [pk for (pk,) in cursor.fetchall()]
            if ids:
                sets = ", ".join(f"{column} = {value}" for column, value in columns.items())
                cursor.execute(
                    f"UPDATE checks_account SET {sets} WHERE source_id = %s AND {is_known} AND login_key IN ({lacking})",
                    [source.pk],
                )
                changed.update(ids)
                self.cleared[field] = len(ids)
        return sorted(changed)

    def split_accounts(self, cursor: CursorWrapper) -> list[int]:
        """The changed accounts of which one field of two that belong together was read, and the other is stored."""
        found: set[int] = set()
        for fields in _COUPLED:
            if not 0 < len(fields & self.read) < len(fields):
                continue
            (unread,) = fields - self.read
            cursor.execute(
                f"SELECT a.id FROM staged_accounts s JOIN checks_account a ON a.id = s.account_id "
                f"WHERE a.{unread} IS NOT NULL"
            )
            found.update(pk for (pk,) in cursor.fetchall())
        return sorted(found)


def _no_fingerprint() -> str:
    return "''::bytea" if dialect.is_postgres() else "x''"


def _known_fields(source: Source, fields: set[str]) -> set[str]:
    """Those of the fields of which some account of the source has a value."""
    accounts = Account.objects.filter(source=source)
    return {field for field in fields if accounts.filter(known(field)).exists()}


def derive_again(ids: Iterable[int]) -> None:
    """Fill the columns that follow from the stored fields of these accounts, and their devices."""
    wanted = sorted(ids)
    for start in range(0, len(wanted), 500):
        accounts = list(Account.objects.filter(pk__in=wanted[start : start + 500]))
        devices = []
        for account in accounts:
            found = stored_fields(account)
            active = derive(found)
            for column in _DERIVED:
                value = found[column]
                if column == "app_unused_since" and value is not None:
                    value = datetime.fromisoformat(value).replace(tzinfo=UTC)
                setattr(account, column, value)
            devices += [
                Authenticator(account=account, kind=kind, device_key=key) for kind, key in devices_of(active)
            ]
        Account.objects.bulk_update(accounts, _DERIVED)
        Authenticator.objects.filter(account__in=accounts).delete()
        Authenticator.objects.bulk_create(devices)


# The key of the login is written with the login alone.
_DERIVED = tuple(column for column in DERIVED if column != "login_key")


def stored_fields(account: Account) -> dict[str, Value]:
    """The fields of a stored account in the form that ``records.derive`` takes: times as text, lists as lists."""
    found = {field: getattr(account, field) for field in FIELDS}
    for field, value in found.items():
        if isinstance(value, datetime):
            found[field] = value.astimezone(UTC).replace(tzinfo=None).isoformat(" ")
    return found


def touch(cursor: CursorWrapper, ids: Iterable[int]) -> None:
    """Have the facts of these accounts' users derived."""
    wanted = sorted(ids)
    for start in range(0, len(wanted), 500):
        part = wanted[start : start + 500]
        marks = ", ".join(["%s"] * len(part))
        cursor.execute(
            f"INSERT INTO {facts.TOUCHED} SELECT DISTINCT user_id FROM checks_account "
            f"WHERE id IN ({marks}) AND user_id IS NOT NULL ON CONFLICT DO NOTHING",
            part,
        )
