"""Imports the pages of a sync into accounts: the listing with its guard, then groups of fields.

Only a complete listing deletes accounts. A listing that would delete over 20 % of a source is held for a
member's decision; over 5 %, two complete listings in a row must agree.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from django.utils import timezone

from checks.models import Account, FieldGroup, Import, Source, Status
from checks.services import ApiReading, ImportRefused, ReadingRules, TooManyDeleted, import_accounts
from cii_project.errors import ProjectError
from cii_project.imports.connected_files import map_file
from cii_project.sync import spool
from integrations.models import SourceConnection, SyncPass
from integrations.services import JsonObject, Read, SyncPassKind, api_source

HELD_SHARE, CONFIRMED_SHARE = 0.20, 0.05
HELD_SHOWN = 500
MAX_AGE_DAYS = 14
READ_AT_ONCE = 2_000

Progress = Callable[[int], None]


class ListingHeld(ProjectError):
    """A listing would delete too many accounts. ``held``: as :attr:`~integrations.models.Sync.held` keeps it."""

    def __init__(self, held: JsonObject) -> None:
        super().__init__(
            f"This listing lacks {held['missing']:,} of the {held['live']:,} accounts of the source. "
            "Nothing was changed: release or drop it."
        )
        self.held = held


class ListingEmpty(ProjectError):
    """A listing brought no account."""


@dataclass(frozen=True, slots=True)
class Missing:
    """The live accounts of a source, and those of them that a listing lacks, as ids."""

    live: int
    accounts: list[int]

    @property
    def share(self) -> float:
        return len(self.accounts) / self.live if self.live else 0.0


@dataclass(frozen=True, slots=True)
class CompleteListing:
    """A complete listing: ``records()`` gives each record by field with its number, again at each call.

    ``rules``, ``column_names``: of a file; None and empty where the provider's API gives the fields.
    """

    records: Callable[[], Iterator[Read]]
    rules: ReadingRules | None = None
    column_names: Mapping[str, str] = field(default_factory=dict)
    max_age_days: int | None = MAX_AGE_DAYS


def listing_of(
    connection: SourceConnection, source: Source, records: Callable[[], Iterator[JsonObject]]
) -> CompleteListing:
    """The listing whose records, as the kind gave them, ``records()`` gives. Raises ``MappingError``."""
    if not api_source(connection).reads_file:
        return CompleteListing(lambda: enumerate(records(), 1))
    mapping = map_file(source, connection.settings, records())
    return CompleteListing(
        lambda: mapping.records(records()),
        mapping.rules,
        mapping.column_names,
        # A file is as new as its last sync, which reads it or finds it unchanged.
        max_age_days=None,
    )


def import_listing(
    connection: SourceConnection,
    source: Source,
    reading: SyncPass,
    *,
    is_forced: bool = False,
    progress: Progress | None = None,
) -> Import:
    """Import a complete listing. Raises :class:`ListingHeld`, :class:`ListingEmpty`, ``ImportRefused`` and
    ``MappingError``."""
    if not reading.records:
        raise ListingEmpty(
            "The provider lists no user. Nothing was changed: check the permissions under Test Connectivity."
        )
    listing = listing_of(connection, source, lambda: spool.records_of(reading))
    missing = missing_accounts(source, listing)
    if missing.share > HELD_SHARE and not is_forced:
        raise ListingHeld(_held(missing))
    deletes = is_forced or _is_confirmed(missing, connection.unconfirmed)
    try:
        done = import_accounts(
            listing.records(),
            source=source,
            full=deletes,
            force=is_forced,
            file_name=f"Sync: {reading.slug}",
            progress=progress,
            rules=listing.rules,
            column_names=listing.column_names,
            api_reading=ApiReading(reading.started_at or timezone.now(), max_age_days=listing.max_age_days),
        )
    except TooManyDeleted as error:
        raise ListingHeld(_held(missing)) from error
    connection.unconfirmed = [] if deletes else missing.accounts
    connection.last_success_at = timezone.now()
    connection.save(update_fields=["unconfirmed", "last_success_at"])
    return done


def _held(missing: Missing) -> JsonObject:
    return {
        "live": missing.live,
        "missing": len(missing.accounts),
        "accounts": missing.accounts[:HELD_SHOWN],
    }


def _is_confirmed(missing: Missing, unconfirmed: list[int]) -> bool:
    """Whether few enough are missing that the listing before had."""
    if missing.share <= CONFIRMED_SHARE:
        return True
    new = set(missing.accounts) - set(unconfirmed)
    return len(new) <= missing.live * CONFIRMED_SHARE


def missing_accounts(source: Source, listing: CompleteListing) -> Missing:
    """The live accounts that a listing lacks, by immutable id, else by login. A record that cannot be read names none."""
    keys: set[str] = set()
    logins: set[str] = set()
    for _, record in listing.records():
        if not isinstance(record, dict):
            continue
        keys.add(str(record.get("source_key") or ""))
        logins.add(str(record.get("login") or "").strip().casefold())
    found: list[int] = []
    live = 0
    for pk, key, login in live_accounts(source):
        live += 1
        if key not in keys if key else login.strip().casefold() not in logins:
            found.append(pk)
    return Missing(live, found)


def live_accounts(source: Source) -> Iterator[tuple[int, str, str]]:
    """Id, immutable id and login of each account that is not deleted, by id."""
    if not source.pk:
        return
    after = 0
    accounts = Account.objects.filter(source=source).exclude(status=Status.DELETED).order_by("pk")
    while rows := list(accounts.filter(pk__gt=after).values_list("pk", "source_key", "login")[:READ_AT_ONCE]):
        yield from rows
        after = rows[-1][0]


def import_group(
    source: Source,
    kind: SyncPassKind,
    reading: SyncPass,
    *,
    is_complete: bool,
    progress: Progress | None = None,
) -> Import | None:
    """Import the records of a pass for accounts that exist; None if there are none. Raises
    ``ImportRefused``."""
    absent = kind.absent if is_complete else {}
    if not reading.records and not absent:
        return None
    try:
        return import_accounts(
            enumerate(_group_records(source, kind, reading, dict(absent)), 1),
            source=source,
            file_name=f"Sync: {kind.slug}",
            progress=progress,
            api_reading=ApiReading(
                reading.started_at or timezone.now(),
                frozenset(FieldGroup(group) for group in kind.groups),
                complete=is_complete,
                max_age_days=MAX_AGE_DAYS,
            ),
        )
    except ImportRefused:
        if not any(True for _ in live_accounts(source)):
            return None
        raise


def _group_records(
    source: Source, kind: SyncPassKind, reading: SyncPass, absent: JsonObject
) -> Iterator[JsonObject]:
    if kind.per_account and not absent:
        yield from _account_records(source, reading)
        return
    for found in spool.joined_records(reading):
        for _, key, login in live_accounts(source):
            record = found.records.get(key) if key else None
            if record is not None:
                yield {**record, "source_key": key, "login": login}
            elif absent and key and found.holds(key):
                yield {**absent, "source_key": key, "login": login}


def _account_records(source: Source, reading: SyncPass) -> Iterator[JsonObject]:
    """The records of a pass that asks account by account, some thousand at a time, for the accounts that exist."""
    accounts = Account.objects.filter(source=source).exclude(status=Status.DELETED)
    for records in spool.account_records(reading, READ_AT_ONCE):
        for key, login in accounts.filter(source_key__in=list(records)).values_list("source_key", "login"):
            yield {**records[key], "source_key": key, "login": login}
