"""Import the records of a source into its accounts.

*Staging* happens outside any lock: each batch is validated, compared with the stored fingerprints and
only what is new or changed goes to temporary tables. *Applying* is one short transaction: accounts,
what hangs on them, users, facts and the record of the import change together or not at all. Memory
holds one batch.
"""

# ruff: noqa: S608  what is put into SQL are our own names of tables and columns

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

import orjson
from django.db import connection, transaction
from django.db.backends.utils import CursorWrapper
from django.utils import timezone

from checks import dialect, freshness
from checks.errors import ChecksError
from checks.importing import facts, lost_fields, suggestions, users
from checks.importing.coverage import Reading, derive_again, touch
from checks.importing.joining import join, nodes
from checks.importing.mappings import rules_of
from checks.importing.records import RecordParser
from checks.importing.references import (
    resolve_distinguished_names,
    resolve_padded_numbers,
    unmatched_references,
)
from checks.importing.rejected_rows import RejectedRows
from checks.importing.reports import as_json, reported_warnings
from checks.importing.rules import ReadingRules
from checks.importing.staging import STAGED, ImportCounts, OnReject, Staging, one_go, staging_tables
from checks.importing.values import printable
from checks.models import FieldGroup, Import, JoinSuggestion, Source, SourceKind

BATCH = 2_000
# Bytes of JSON: a batch of the largest records that a reader yields must not fill the memory. In memory a byte of JSON
# takes up to 24.
BATCH_SIZE = 4_000_000
KEYS = ("login_key", "email_key", "employee_key", "manager_key", "owner_key")
# A full import may delete this share of the source's live accounts without being forced.
DELETABLE_SHARE = 0.20


class ImportRefused(ChecksError):
    """Nothing was changed; the message says why and what to do."""


class StrictRefused(ImportRefused):
    """A strict import met bad records."""


class AllRecordsBad(ImportRefused):
    """Every record of an import is bad."""


class TooManyDeleted(ImportRefused):
    """A full import would delete over :data:`DELETABLE_SHARE` of a source's accounts, and was not forced."""


@dataclass(frozen=True, slots=True)
class ImportPreview:
    """The effect that an import would have now. ``live``: accounts of the source that are not deleted;
    ``missing``: those of them that the records lack. ``done`` is the import as it would be recorded; no such
    row exists."""

    done: Import
    live: int
    missing: int
    doubtful_joins: int

    @property
    def deletes_too_many(self) -> bool:
        """Whether a full import has to be forced."""
        return self.missing > self.live * DELETABLE_SHARE


@dataclass(frozen=True, slots=True)
class ApiReading:
    """The part of a source that a sync has read.

    ``groups``: the records hold only fields of these groups and what identifies an account: accounts are
    neither created nor deleted, and all other fields stay. None: they hold the accounts themselves.
    ``as_of``: when reading started. ``complete``: every account was read, not only those of the records.
    ``max_age_days``: an older value neither opens nor resolves a finding; in groups that are ``lasting`` a value
    holds until the source sends another one.
    """

    as_of: datetime
    groups: frozenset[FieldGroup] | None = None
    complete: bool = True
    max_age_days: int | None = None
    lasting: frozenset[FieldGroup] = frozenset()


class _PreviewEnd(ChecksError):
    """Undoes an import that was a preview."""

    def __init__(self, preview: ImportPreview) -> None:
        super().__init__()
        self.preview = preview


Records = Iterable[tuple[int, object]]
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
    rules: ReadingRules | None = None,
    column_names: Mapping[str, str] | None = None,
    replace: bool = False,
    dry_run: bool = False,
    decided: Collection[int] = (),
    api_reading: ApiReading | None = None,
) -> Import:
    """Bring a source's accounts in step with its records: (line, raw record) each, see records.py.

    ``source`` may be unsaved: it is stored with its accounts, or not at all.

    ``full``: what the records lack is marked deleted, unless that is over ``DELETABLE_SHARE`` of the
    source's live accounts and not ``force``. ``strict``: one bad record and nothing changes; nor does
    anything where every record is bad.
    A field that no record has, or that is empty in all of them where the source had values before, was not read: its
    last values stay. ``replace``: it becomes unknown, or empty.
    ``rules``: how values are read; by default those that are stored with the source.
    ``column_names``: field → the file's name for it, for the rejected rows that are stored with the import.
    ``dry_run``: see :func:`preview_import`, which alone sets it.
    ``decided``: ids of accounts whose record a member accepted although only the immutable id agrees.
    ``api_reading``: the records come from a sync, not from a file.
    ``progress(read)`` is called after each batch, ``on_reject`` for each bad record.

    Raises :class:`ImportRefused` where nothing was changed on purpose; that and any other error leave an
    :class:`Import` that failed, where the source is not new.
    """
    started = timezone.now()
    file_name = printable(file_name)[:255]
    new = not source.pk
    if not new:
        source.refresh_from_db()
    rejected = RejectedRows(column_names or {}, on_reject)
    try:
        with connection.cursor() as cursor, staging_tables(cursor):
            parser = RecordParser(rules or rules_of(source), started)
            staging = Staging(cursor, source, parser, rejected.add, decided)
            staging.reads_all = replace
            for batch in _batches(records):
                with one_go(cursor):
                    staging.add(batch)
                if progress:
                    progress(staging.counts.read)
            _refuse_no_records(staging.counts, source)
            if not dry_run:
                _refuse_bad_records(staging.counts, strict=strict)
            with transaction.atomic():
                live, missing = _live_and_missing(cursor, source) if dry_run else (0, 0)
                done = _apply(
                    cursor,
                    source,
                    staging,
                    started,
                    full=full,
                    force=force,
                    replace=replace,
                    file_name=file_name,
                    api_reading=api_reading or ApiReading(started),
                )
                if dry_run:
                    joins = JoinSuggestion.objects.filter(found_by=done).count()
                    raise _PreviewEnd(ImportPreview(done, live, missing, joins))
                rejected.store(done)
                return done
    except _PreviewEnd:
        raise
    except BaseException as error:
        if new:
            source.pk, source._state.adding = None, True
            raise
        if not dry_run:
            _record_failure(source, started, rejected, full=full, file_name=file_name, error=error)
        raise
    finally:
        rejected.close()


def preview_import(
    records: Records,
    *,
    source: Source,
    progress: Progress | None = None,
    on_reject: OnReject | None = None,
    rules: ReadingRules | None = None,
    replace: bool = False,
) -> ImportPreview:
    """The effect that :func:`import_accounts` would have with these records. Nothing is changed or recorded.

    It is an import whose transaction is rolled back, so its counts are exact. Raises :class:`ImportRefused`.
    """
    try:
        import_accounts(
            records,
            source=source,
            progress=progress,
            on_reject=on_reject,
            rules=rules,
            replace=replace,
            dry_run=True,
        )
    except _PreviewEnd as end:
        return end.preview
    raise AssertionError("a dry run came to no end")


def _refuse_bad_records(counts: ImportCounts, *, strict: bool) -> None:
    if counts.rejected and counts.rejected == counts.read:
        raise AllRecordsBad(f"all {counts.read:,} records are bad; nothing was changed")
    if strict and counts.rejected:
        raise StrictRefused(
            f"{counts.rejected:,} of {counts.read:,} records are bad; "
            "nothing was changed, since the import is strict"
        )


def _batches(records: Records) -> Iterator[list[tuple[int, object]]]:
    """The records, at most :data:`BATCH` together and at most :data:`BATCH_SIZE` large, except the last of them."""
    batch: list[tuple[int, object]] = []
    size = 0
    for numbered in records:
        batch.append(numbered)
        size += _size(numbered[1])
        if len(batch) >= BATCH or size > BATCH_SIZE:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _size(record: object) -> int:
    """The bytes of a record as JSON."""
    try:
        return len(orjson.dumps(record, default=str))
    except TypeError:
        # Half a surrogate pair, or a number of more than 64 bits.
        return len(repr(record))


def _record_failure(
    source: Source,
    started: datetime,
    rejected: RejectedRows,
    *,
    full: bool,
    file_name: str,
    error: BaseException,
) -> None:
    text = str(error) if isinstance(error, ImportRefused | ValueError) else type(error).__name__
    if connection.in_atomic_block and connection.needs_rollback:
        return
    with transaction.atomic():
        failed = Import.objects.create(
            source=source,
            state=Import.State.FAILED,
            file_name=file_name,
            full=full,
            started_at=started,
            finished_at=timezone.now(),
            error=printable(text),
            rejected=rejected.count,
        )
        rejected.store(failed)


def _apply(
    cursor: CursorWrapper,
    source: Source,
    staging: Staging,
    started: datetime,
    *,
    full: bool,
    force: bool,
    replace: bool,
    file_name: str,
    api_reading: ApiReading,
) -> Import:
    counts = staging.counts
    dialect.lock_accounts(cursor)
    is_group = api_reading.groups is not None
    reading = Reading(source, staging.coverage, replace=replace, is_group=is_group)
    _take_source(source)
    if is_group:
        counts.unchanged += _drop_same_fields(cursor, reading.read)
    dialect.analyze(cursor, "staged_accounts", "account_id", "login_key")
    for table in ("seen_records", "staged_devices", "staged_forwards"):
        dialect.analyze(cursor, table)
    if full:
        _refuse_to_delete_many(cursor, source, force=force)
    done = Import.objects.create(
        source=source,
        state=Import.State.PARTIAL if counts.rejected else Import.State.SUCCEEDED,
        file_name=file_name,
        full=full,
        started_at=started,
        read=counts.read,
        unchanged=counts.unchanged,
        rejected=counts.rejected,
        unknown_words=as_json(staging.report.unknown_words()),
        unread_fields=reading.kept,
        warnings=as_json([*reading.warnings, *staging.report.warnings()]),
    )
    reading.clear_blank(cursor)
    live = lost_fields.count_live(cursor, source)
    losses = lost_fields.count_losses(cursor, reading) if live else Counter()
    with (
        dialect.temporary(cursor, facts.TOUCHED, facts.TOUCHED_DEFINITION),
        nodes.joining_tables(cursor),
    ):
        _note_changing_keys(cursor, source, reading, full=full)
        done.deleted = _mark_deleted(cursor, source, done.started_at) if full else 0
        done.changed = _update_changed(cursor, reading)
        incomplete = reading.clear_absent(cursor, source)
        derive_again({*incomplete, *reading.split_accounts(cursor)})
        nodes.add_accounts(cursor, incomplete)
        done.created, joined = _join_and_insert(cursor, source, reading, started)
        moved = users.settle(cursor, started)
        joined.separated = moved.separated
        joined.suggestions = suggestions.store(cursor, done)
        resolved = [*resolve_distinguished_names(source), *resolve_padded_numbers(cursor, source)]
        touch(cursor, [*incomplete, *resolved])
        facts.refresh(facts.TOUCHED)
        joined.dropped_exclusions = users.remove_empty(cursor, moved)
    held = suggestions.hold(cursor, done)
    done.warnings = as_json(
        [
            *lost_fields.settle(cursor, source, done, losses + reading.cleared, live),
            *reported_warnings(done.warnings),
        ]
    )
    done.warnings += as_json(unmatched_references(cursor, source))
    done.warnings += as_json(suggestions.warnings(joined, held))
    done.finished_at = source.last_import_at = timezone.now()
    done.save()
    # An import into a deleted source restores the source.
    source.deleted_at = None
    source.save(update_fields=["last_import_at", "deleted_at", "lost_fields"])
    _record_freshness(cursor, source, reading, api_reading)
    return done


def _record_freshness(
    cursor: CursorWrapper, source: Source, reading: Reading, api_reading: ApiReading
) -> None:
    groups = set(reading.groups if api_reading.groups is None else api_reading.groups)
    for part, age in (
        (groups - api_reading.lasting, api_reading.max_age_days),
        (groups & api_reading.lasting, None),
    ):
        if api_reading.complete:
            freshness.record_reading(source, part, api_reading.as_of, age)
        else:
            freshness.record_partial_reading(cursor, source, part, api_reading.as_of, age)


def _drop_same_fields(cursor: CursorWrapper, read: Collection[str]) -> int:
    """Drop the staged records of a group of fields that change nothing, or whose account does not exist; the number
    of the former."""
    cursor.execute("DELETE FROM staged_accounts WHERE account_id IS NULL")
    same = "IS NOT DISTINCT FROM" if dialect.is_postgres() else "IS"
    fields = sorted(set(read) - {"login", "source_key"})
    if "last_sign_in_at" in fields:
        fields.append("last_sign_in_known")
    equal = " AND ".join(f"a.{field} {same} staged_accounts.{field}" for field in fields)
    cursor.execute(
        "DELETE FROM staged_accounts WHERE EXISTS (SELECT 1 FROM checks_account a "
        f"WHERE a.id = staged_accounts.account_id{f' AND {equal}' if equal else ''})"
    )
    return int(cursor.rowcount)


def _refuse_no_records(counts: ImportCounts, source: Source) -> None:
    if not counts.read and not (source.pk and source.accounts.exists()):
        raise ImportRefused(
            "the file holds no records; nothing was changed: check the filter and the permissions of the export, "
            "and that this is the right file"
        )


def _take_source(source: Source) -> None:
    """The batches were compared with the accounts as they were; another import since then makes that stale.
    A new source is stored here."""
    current = Source.objects.select_for_update().filter(slug=source.slug).first()
    if current is None and not source.pk:
        source.save()
    elif current and current.deleted_at != source.deleted_at:
        raise ImportRefused(f"{source.slug} was deleted while this import was reading; nothing was changed")
    elif current != source or current.last_import_at != source.last_import_at:
        raise ImportRefused(
            f"another import into {source.slug} finished while this one was reading; "
            "nothing was changed: start it again"
        )


_GONE = "NOT EXISTS (SELECT 1 FROM seen_records s WHERE s.account_id = checks_account.id)"
_LIVE = "checks_account.source_id = %s AND COALESCE(checks_account.status, '') <> 'deleted'"


def _refuse_to_delete_many(cursor: CursorWrapper, source: Source, *, force: bool) -> None:
    live, missing = _live_and_missing(cursor, source)
    if missing > live * DELETABLE_SHARE and not force:
        raise TooManyDeleted(
            f"a full import would mark {missing:,} of the {live:,} accounts of {source.slug} as deleted, over "
            f"{DELETABLE_SHARE:.0%}; nothing was changed: see that the file is complete, or force the import"
        )


def _live_and_missing(cursor: CursorWrapper, source: Source) -> tuple[int, int]:
    """The number of the source's accounts that are not deleted, and of those that the records lack."""
    cursor.execute(f"SELECT COUNT(*) FROM checks_account WHERE {_LIVE}", [source.pk])
    (live,) = cursor.fetchone()
    cursor.execute(f"SELECT COUNT(*) FROM checks_account WHERE {_LIVE} AND {_GONE}", [source.pk])
    (missing,) = cursor.fetchone()
    return int(live), int(missing)


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


def _update_changed(cursor: CursorWrapper, reading: Reading) -> int:
    cursor.execute(
        f"UPDATE checks_account SET {reading.assignments(STAGED)} FROM staged_accounts s "
        f"WHERE checks_account.id = s.account_id"
    )
    return int(cursor.rowcount)


def _note_changing_keys(cursor: CursorWrapper, source: Source, reading: Reading, *, full: bool) -> None:
    """Collect the stored accounts whose joining keys are about to change, before they change."""
    differs = "IS DISTINCT FROM" if dialect.is_postgres() else "IS NOT"
    changes = [
        f"a.{column} {differs} s.{column}"
        for column, fields in nodes.DECIDING.items()
        if not reading.read.isdisjoint(fields)
    ]
    gone = f"COALESCE({{0}}.status, '') IN {nodes.GONE}"
    changes += [
        "COALESCE(a.status, '') = 'deleted'",
        f"({gone.format('a')}) <> ({gone.format('s')})",
        "COALESCE(s.status, '') = 'deleted'",
    ]
    pairs = "staged_accounts s JOIN checks_account a ON a.id = s.account_id"
    if "employee_id" in reading.read:
        nodes.remember_employee_ids(cursor, pairs)
    changing = [
        f"SELECT a.id FROM {pairs} WHERE {' OR '.join(changes)}",
        "SELECT id FROM checks_account WHERE user_id IS NULL",
    ]
    parameters = []
    if full:
        changing.append(f"SELECT id FROM checks_account WHERE {_LIVE} AND {_GONE}")
        parameters.append(source.pk)
    with dialect.temporary(cursor, "changing_accounts", "(account_id bigint PRIMARY KEY)"):
        cursor.execute(f"INSERT INTO changing_accounts {' UNION '.join(changing)}", parameters)
        if not cursor.rowcount:
            return
        dialect.analyze(cursor, "changing_accounts")
        nodes.remember_keys(
            cursor, "changing_accounts c JOIN checks_account a ON a.id = c.account_id WHERE true"
        )
        # The ids alone: the rest is read after the change.
        cursor.execute("INSERT INTO join_nodes (account_id) SELECT account_id FROM changing_accounts")


def _join_and_insert(
    cursor: CursorWrapper, source: Source, reading: Reading, moment: datetime
) -> tuple[int, nodes.JoinReport]:
    """Work out the user of each account that may change it, and write the new accounts with theirs."""
    with dialect.temporary(cursor, "changed_again", "(account_id bigint PRIMARY KEY)"):
        cursor.execute(f"INSERT INTO changed_again SELECT account_id FROM {nodes.NODES}")
        changing = cursor.rowcount
        cursor.execute(f"DELETE FROM {nodes.NODES}")
        if changing:
            cursor.execute(
                f"{nodes.INSERT_NODES}{nodes.stored_nodes(0)} FROM changed_again c "
                f"JOIN checks_account a ON a.id = c.account_id JOIN checks_source s ON s.id = a.source_id"
            )
    created = _number_new(cursor, source)
    report = nodes.JoinReport()
    if created or changing:
        nodes.collect(cursor)
        report = join.join_accounts(cursor)
    if created:
        _insert_new(cursor, source, moment)
    dialect.analyze_grown(cursor, "checks_account", created, "source_id", "user_id", "status", *KEYS)
    _replace_hanging(cursor, reading)
    cursor.execute(
        f"INSERT INTO {facts.TOUCHED} SELECT user_id FROM {nodes.NODES} WHERE place IS NOT NULL "
        f"UNION SELECT a.user_id FROM staged_accounts s JOIN checks_account a ON a.id = s.account_id "
        f"WHERE a.user_id IS NOT NULL ON CONFLICT DO NOTHING"
    )
    return created, report


def _number_new(cursor: CursorWrapper, source: Source) -> int:
    """In the order of the logins, so that ids, and what follows from them, do not depend on the file's."""
    newest = dialect.newest_id(cursor, "checks_account")
    columns = nodes.node_columns(
        "s",
        str(int(source.pk)),
        old_user="NULL",
        pinned="FALSE",
        reason="''",
        kind="TRUE" if source.kind == SourceKind.HR else "FALSE",
    )
    cursor.execute(
        f"{nodes.INSERT_NODES}SELECT s.id, s.id, s.place, 0, {columns} FROM ("
        f"SELECT n.*, {newest} + row_number() OVER (ORDER BY n.login_key {dialect.bytewise()}, "
        f"n.source_key {dialect.bytewise()}) AS id FROM staged_accounts n WHERE n.account_id IS NULL) s"
    )
    created = int(cursor.rowcount)
    if created:
        dialect.reserve_ids(cursor, "checks_account", newest + created)
    return created


def _insert_new(cursor: CursorWrapper, source: Source, moment: datetime) -> None:
    names = ", ".join(STAGED)
    cursor.execute(
        f"INSERT INTO checks_account (id, source_id, user_id, join_reason, joined_at, employee_id_shared, {names}) "
        f"SELECT n.account_id, %s, n.user_id, {nodes.reason_of('n')}, %s, n.id_shared, {', '.join(f's.{name}' for name in STAGED)} "
        f"FROM {nodes.NODES} n JOIN staged_accounts s ON s.place = n.place ORDER BY n.account_id",
        [source.pk, moment],
    )


def _replace_hanging(cursor: CursorWrapper, reading: Reading) -> None:
    """Devices and forwards of the new and of the changed accounts."""
    for field, table, staged, columns in (
        ("mfa_factors", "checks_authenticator", "staged_devices", "kind, device_key"),
        ("forwarding", "checks_forward", "staged_forwards", "address, domain"),
    ):
        if field not in reading.read:
            continue
        cursor.execute(
            f"DELETE FROM {table} WHERE account_id IN "
            f"(SELECT account_id FROM staged_accounts WHERE account_id IS NOT NULL)"
        )
        cursor.execute(
            f"INSERT INTO {table} (account_id, {columns}) "
            f"SELECT n.account_id, {columns} FROM {staged} d JOIN {nodes.NODES} n ON n.place = d.place "
            f"UNION ALL SELECT s.account_id, {columns} FROM {staged} d JOIN staged_accounts s "
            f"ON s.place = d.place WHERE s.account_id IS NOT NULL"
        )
        dialect.analyze_grown(cursor, table, cursor.rowcount)
