"""Records of a source, streamed into its accounts.

*Staging* happens outside any lock: each batch is validated, compared with the stored fingerprints and
only what is new or changed goes to temporary tables. *Applying* is one short transaction: accounts,
what hangs on them, users, facts and the record of the import change together or not at all. Memory
holds one batch.
"""

# ruff: noqa: S608  what is put into SQL are our own names of tables and columns

from collections.abc import Callable, Iterable
from datetime import datetime
from itertools import islice
from typing import Any

from django.db import connection, transaction
from django.db.backends.utils import CursorWrapper
from django.utils import timezone

from checks import dialect, facts, joining
from checks.models import Import, Source
from checks.staging import STAGED, Counts, OnReject, Staging, one_go, staging_tables

BATCH = 2_000
KEYS = ("login_key", "email_key", "employee_key", "manager_key", "owner_key")
# A full import may delete this share of the source's live accounts without being forced.
DELETABLE_SHARE = 0.20


class ImportRefused(Exception):
    """Nothing was changed; the message says why and what to do."""


class StrictRefused(ImportRefused):
    """A strict import met bad records."""


Records = Iterable[tuple[int, Any]]
Progress = Callable[[int], None]


def import_accounts(
    records: Records,
    *,
    source: Source,
    full: bool = False,
    force: bool = False,
    strict: bool = False,
    progress: Progress | None = None,
    on_reject: OnReject | None = None,
    file_name: str = "",
) -> Import:
    """Bring a source's accounts in step with its records: (line, raw record) each, see records.py.

    ``source`` may be unsaved: it is stored with its accounts, or not at all.

    ``full``: what the records lack is marked deleted, unless that is over ``DELETABLE_SHARE`` of the
    source's live accounts and not ``force``. ``strict``: one bad record and nothing changes; nor does
    anything where every record is bad.
    ``progress(read)`` is called after each batch, ``on_reject`` for each bad record.

    Raises :class:`ImportRefused` where nothing was changed on purpose; that and any other error leave an
    :class:`Import` that failed, where the source is not new.
    """
    started = timezone.now()
    new = not source.pk
    if not new:
        source.refresh_from_db()
    try:
        with connection.cursor() as cursor, staging_tables(cursor):
            staging = Staging(cursor, source, on_reject or (lambda _: None))
            remaining = iter(records)
            while batch := list(islice(remaining, BATCH)):
                with one_go(cursor):
                    staging.add(batch)
                if progress:
                    progress(staging.counts.read)
            counts = staging.counts
            if counts.rejected and counts.rejected == counts.read:
                raise ImportRefused(f"all {counts.read:,} records are bad; nothing was changed")
            if strict and counts.rejected:
                raise StrictRefused(
                    f"{counts.rejected:,} of {counts.read:,} records are bad; "
                    "nothing was changed, since the import is strict"
                )
            with transaction.atomic():
                return _apply(
                    cursor, source, staging.counts, started, full=full, force=force, file_name=file_name
                )
    except BaseException as error:
        if new:
            source.pk, source._state.adding = None, True
            raise
        _record_failure(source, started, full=full, file_name=file_name, error=error)
        raise


def _record_failure(
    source: Source, started: datetime, *, full: bool, file_name: str, error: BaseException
) -> None:
    text = str(error) if isinstance(error, ImportRefused | ValueError) else type(error).__name__
    if connection.in_atomic_block and connection.needs_rollback:
        return
    Import.objects.create(
        source=source,
        state=Import.State.FAILED,
        file_name=file_name[:255],
        full=full,
        started_at=started,
        finished_at=timezone.now(),
        error=text,
    )


def _apply(
    cursor: CursorWrapper,
    source: Source,
    counts: Counts,
    started: datetime,
    *,
    full: bool,
    force: bool,
    file_name: str,
) -> Import:
    dialect.lock_accounts(cursor)
    _take_source(source)
    dialect.analyze(cursor, "staged_accounts", "account_id", "login_key")
    for table in ("seen_logins", "staged_devices", "staged_forwards"):
        dialect.analyze(cursor, table)
    if full:
        _refuse_to_delete_many(cursor, source, force=force)
    done = Import.objects.create(
        source=source,
        state=Import.State.PARTIAL if counts.rejected else Import.State.SUCCEEDED,
        file_name=file_name[:255],
        full=full,
        started_at=started,
        read=counts.read,
        unchanged=counts.unchanged,
        rejected=counts.rejected,
    )
    with dialect.temporary(cursor, facts.TOUCHED, facts.TOUCHED_DEFINITION):
        done.deleted = _mark_deleted(cursor, source, done.started_at) if full else 0
        done.changed = _update_changed(cursor)
        done.created = _join_and_insert(cursor, source)
        facts.refresh(facts.TOUCHED)
    done.finished_at = source.last_import_at = timezone.now()
    done.save()
    source.save(update_fields=["last_import_at"])
    return done


def _take_source(source: Source) -> None:
    """The batches were compared with what stood there before: another import since makes that stale.
    A new source is stored here."""
    current = Source.objects.select_for_update().filter(slug=source.slug).first()
    if current is None and not source.pk:
        source.save()
    elif current != source or current.last_import_at != source.last_import_at:
        raise ImportRefused(
            f"another import into {source.slug} finished while this one was reading; "
            "nothing was changed: start it again"
        )


_GONE = "NOT EXISTS (SELECT 1 FROM seen_logins s WHERE s.login_key = checks_account.login_key)"
_LIVE = "checks_account.source_id = %s AND COALESCE(checks_account.status, '') <> 'deleted'"


def _refuse_to_delete_many(cursor: CursorWrapper, source: Source, *, force: bool) -> None:
    cursor.execute(f"SELECT COUNT(*) FROM checks_account WHERE {_LIVE}", [source.pk])
    (live,) = cursor.fetchone()
    cursor.execute(f"SELECT COUNT(*) FROM checks_account WHERE {_LIVE} AND {_GONE}", [source.pk])
    (gone,) = cursor.fetchone()
    if gone > live * DELETABLE_SHARE and not force:
        raise ImportRefused(
            f"a full import would mark {gone:,} of the {live:,} accounts of {source.slug} as deleted, over "
            f"{DELETABLE_SHARE:.0%}; nothing was changed: see that the file is complete, or use --force"
        )


def _mark_deleted(cursor: CursorWrapper, source: Source, moment: datetime) -> int:
    """Mark what the records lack. The empty fingerprint lets any record revive the account."""
    cursor.execute(
        f"INSERT INTO {facts.TOUCHED} SELECT DISTINCT user_id FROM checks_account "
        f"WHERE {_LIVE} AND {_GONE} AND user_id IS NOT NULL",
        [source.pk],
    )
    cursor.execute(
        f"UPDATE checks_account SET status = 'deleted', status_changed_at = %s, fingerprint = %s "
        f"WHERE {_LIVE} AND {_GONE}",
        [moment, b"", source.pk],
    )
    return int(cursor.rowcount)


def _update_changed(cursor: CursorWrapper) -> int:
    sets = ", ".join(f"{column} = s.{column}" for column in STAGED)
    cursor.execute(
        f"UPDATE checks_account SET {sets} FROM staged_accounts s WHERE checks_account.id = s.account_id"
    )
    return int(cursor.rowcount)


def _join_and_insert(cursor: CursorWrapper, source: Source) -> int:
    """Give a user to each account that has none, and write the new accounts with theirs."""
    with dialect.temporary(cursor, joining.UNJOINED, joining.UNJOINED_DEFINITION):
        created = _number_new(cursor)
        cursor.execute(
            f"INSERT INTO {joining.UNJOINED} SELECT id, NULL, login_key, email_key, employee_key, NULL "
            f"FROM checks_account WHERE user_id IS NULL"
        )
        orphans = cursor.rowcount
        if created or orphans:
            dialect.analyze(cursor, joining.UNJOINED)
            joining.join_accounts(cursor)
        if created:
            _insert_new(cursor, source)
        if orphans:
            cursor.execute(
                f"UPDATE checks_account SET user_id = n.user_id FROM {joining.UNJOINED} n "
                f"WHERE checks_account.id = n.account_id AND n.place IS NULL"
            )
        if created >= BATCH:
            dialect.analyze(cursor, "checks_account", "source_id", "user_id", "status", *KEYS)
        _replace_hanging(cursor)
        cursor.execute(
            f"INSERT INTO {facts.TOUCHED} SELECT user_id FROM {joining.UNJOINED} WHERE user_id IS NOT NULL "
            f"UNION SELECT a.user_id FROM staged_accounts s JOIN checks_account a ON a.id = s.account_id "
            f"WHERE a.user_id IS NOT NULL ON CONFLICT DO NOTHING"
        )
    return created


def _number_new(cursor: CursorWrapper) -> int:
    """In the order of the logins, so that ids, and what follows from them, do not depend on the file's."""
    newest = dialect.newest_id(cursor, "checks_account")
    cursor.execute(
        f"INSERT INTO {joining.UNJOINED} SELECT {newest} + row_number() OVER (ORDER BY login_key "
        f"{dialect.bytewise()}), place, login_key, email_key, employee_key, NULL "
        f"FROM staged_accounts WHERE account_id IS NULL"
    )
    created = int(cursor.rowcount)
    if created:
        dialect.reserve_ids(cursor, "checks_account", newest + created)
    return created


def _insert_new(cursor: CursorWrapper, source: Source) -> None:
    names = ", ".join(STAGED)
    cursor.execute(
        f"INSERT INTO checks_account (id, source_id, user_id, linked_by_hand, {names}) "
        f"SELECT n.account_id, %s, n.user_id, FALSE, {', '.join(f's.{name}' for name in STAGED)} "
        f"FROM {joining.UNJOINED} n JOIN staged_accounts s ON s.place = n.place ORDER BY n.account_id",
        [source.pk],
    )


def _replace_hanging(cursor: CursorWrapper) -> None:
    """Devices and forwards of the new and of the changed accounts."""
    for table, staged, columns in (
        ("checks_authenticator", "staged_devices", "kind, device_key"),
        ("checks_forward", "staged_forwards", "address, domain"),
    ):
        cursor.execute(
            f"DELETE FROM {table} WHERE account_id IN "
            f"(SELECT account_id FROM staged_accounts WHERE account_id IS NOT NULL)"
        )
        cursor.execute(
            f"INSERT INTO {table} (account_id, {columns}) "
            f"SELECT n.account_id, {columns} FROM {staged} d JOIN {joining.UNJOINED} n ON n.place = d.place "
            f"UNION ALL SELECT s.account_id, {columns} FROM {staged} d JOIN staged_accounts s "
            f"ON s.place = d.place WHERE s.account_id IS NOT NULL"
        )
        if cursor.rowcount >= BATCH:
            dialect.analyze(cursor, table)
