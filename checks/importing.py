"""Records of a source, streamed into its accounts.

*Staging* happens outside any lock: each batch is validated, compared with the stored fingerprints and
only what is new or changed goes to temporary tables. *Applying* is one short transaction: accounts,
what hangs on them, users, facts and the record of the import change together or not at all. Memory
holds one batch.
"""

# ruff: noqa: S608  what is put into SQL are our own names of tables and columns

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime
from itertools import islice
from typing import Any, NamedTuple, Protocol

from django.db import connection, transaction
from django.db.backends.utils import CursorWrapper
from django.utils import timezone

from checks import dialect, facts, joining
from checks.models import Import, Source
from checks.records import COLUMNS, Problem, Record, login_of, parse, shorten

BATCH = 4_000
# A full import may delete this share of the source's live accounts without being forced.
DELETABLE_SHARE = 0.20

# What stands for the line of a login that only bad records had.
NO_LINE = -1

_STAGED = (*COLUMNS, "fingerprint")


class Unreadable(Protocol):
    """What a reader yields in place of a record that it could not read; ``original``: the record's text."""

    @property
    def problem(self) -> tuple[str, str, str]:
        """Column, value, expected."""

    @property
    def original(self) -> Any: ...


class Rejected(NamedTuple):
    """A record that was left out: where it stood, what it was, and all that is wrong with it."""

    line: int
    original: Any
    problems: list[Problem]


class Good(NamedTuple):
    line: int
    raw: dict[str, Any]
    record: Record


class ImportRefused(Exception):
    """Nothing was changed; the message says why and what to do."""


class StrictRefused(ImportRefused):
    """A strict import met bad records."""


Records = Iterable[tuple[int, Any]]
OnReject = Callable[[Rejected], None]
Progress = Callable[[int], None]


class Counts:
    """What an import has met so far."""

    def __init__(self) -> None:
        self.read = self.rejected = self.unchanged = 0


class Staging:
    """The temporary tables of one import: ``staged_accounts`` (new and changed ones), their devices and
    forwards, and ``seen_logins``, which finds duplicates and, for a full import, what is missing."""

    def __init__(self, cursor: CursorWrapper, source: Source, on_reject: OnReject) -> None:
        self.cursor, self.source, self.on_reject = cursor, source, on_reject
        self.counts = Counts()

    def add(self, batch: list[tuple[int, Any]]) -> None:
        """Validate a batch and stage what differs from what is stored."""
        self.counts.read += len(batch)
        good: dict[str, Good] = {}
        again: list[Good] = []
        bad: list[Rejected] = []
        for line, raw in batch:
            record = parse(raw) if isinstance(raw, dict) else [Problem(*raw.problem)]
            if isinstance(record, list):
                bad.append(Rejected(line, raw if isinstance(raw, dict) else raw.original, record))
            elif good.setdefault(record.login_key, Good(line, raw, record)).line != line:
                again.append(Good(line, raw, record))
        bad += self._duplicates(good, again)
        # A bad record still says that its account exists: a full import must not delete it.
        present = {login_of(r.original) for r in bad if isinstance(r.original, dict)} - {""}
        self._remember([(key, NO_LINE) for key in present if key not in good])
        for rejected in sorted(bad, key=lambda r: r.line):
            self.counts.rejected += 1
            self.on_reject(rejected)
        self._stage(good)

    def _duplicates(self, good: dict[str, Good], again: list[Good]) -> list[Rejected]:
        """Remember the batch's logins; take those that came before out of ``good`` and reject them."""
        lines = {key: row.line for key, row in good.items()}
        first = dict(lines)
        if self._remember(list(lines.items())) < len(lines):
            rows = self._select("SELECT login_key, line FROM seen_logins WHERE login_key", list(lines))
            first |= {key: line for key, line in rows if line != NO_LINE}
            # A login that so far only bad records had is good from here on.
            self.cursor.executemany(
                "UPDATE seen_logins SET line = %s WHERE login_key = %s",
                [(lines[key], key) for key, line in rows if line == NO_LINE],
            )
        again += [good.pop(key) for key, line in lines.items() if first[key] != line]
        return [
            Rejected(
                row.line,
                row.raw,
                [
                    Problem(
                        "login",
                        shorten(row.raw.get("login")),
                        f"a login of its own: line {first[row.record.login_key]} has it already",
                    )
                ],
            )
            for row in again
        ]

    def _stage(self, good: dict[str, Good]) -> None:
        known = self._fingerprints(list(good))
        differing = [
            (known[key][0] if key in known else None, row.record)
            for key, row in good.items()
            if key not in known or known[key][1] != row.record.fingerprint
        ]
        self.counts.unchanged += len(good) - len(differing)
        if differing:
            self._store(differing)

    def _remember(self, rows: list[tuple[str, int]]) -> int:
        if not rows:
            return 0
        if dialect.is_postgres():
            self.cursor.execute(
                "INSERT INTO seen_logins SELECT * FROM unnest(%s::text[], %s::integer[]) ON CONFLICT DO NOTHING",
                [[key for key, _ in rows], [line for _, line in rows]],
            )
        else:
            self.cursor.executemany("INSERT INTO seen_logins VALUES (%s, %s) ON CONFLICT DO NOTHING", rows)
        return self.cursor.rowcount

    def _fingerprints(self, keys: list[str]) -> dict[str, tuple[int, bytes]]:
        rows = self._select(
            f"SELECT login_key, id, fingerprint FROM checks_account "
            f"WHERE source_id = {int(self.source.pk)} AND login_key",
            keys,
        )
        return {key: (pk, bytes(fingerprint)) for key, pk, fingerprint in rows}

    def _select(self, statement: str, keys: list[str]) -> list[tuple[Any, ...]]:
        if not keys:
            return []
        if dialect.is_postgres():
            self.cursor.execute(f"{statement} = ANY(%s)", [keys])
        else:
            self.cursor.execute(f"{statement} IN ({', '.join(['%s'] * len(keys))})", keys)
        return self.cursor.fetchall()

    def _store(self, differing: list[tuple[int | None, Record]]) -> None:
        self._copy(
            "staged_accounts",
            ("account_id", *_STAGED),
            [(pk, *record.values, record.fingerprint) for pk, record in differing],
        )
        for table, columns, rows in (
            ("staged_devices", ("login_key", "kind", "device_key"), _hanging(differing, "devices")),
            ("staged_forwards", ("login_key", "address", "domain"), _hanging(differing, "forwards")),
        ):
            if rows:
                self._copy(table, columns, rows)

    def _copy(self, table: str, columns: tuple[str, ...], rows: list[tuple[Any, ...]]) -> None:
        if dialect.is_postgres():
            with self.cursor.copy(f"COPY {table} ({', '.join(columns)}) FROM STDIN") as copy:
                write = copy.write_row
                for row in rows:
                    write(row)
        else:
            marks = ", ".join(["%s"] * len(columns))
            statement = f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({marks})"
            self.cursor.executemany(statement, rows)


def _hanging(differing: list[tuple[int | None, Record]], kind: str) -> list[tuple[Any, ...]]:
    return [(record.login_key, *row) for _, record in differing for row in getattr(record, kind)]


@contextmanager
def _staging_tables(cursor: CursorWrapper) -> Iterator[None]:
    with (
        _temporary_files(cursor),
        dialect.temporary(cursor, "seen_logins", "(login_key varchar(320) PRIMARY KEY, line integer)"),
        dialect.temporary(
            cursor,
            "staged_accounts",
            f"AS SELECT id AS account_id, {', '.join(_STAGED)} FROM checks_account WHERE false",
        ),
        dialect.temporary(
            cursor, "staged_devices", "(login_key varchar(320), kind varchar(64), device_key varchar(255))"
        ),
        dialect.temporary(
            cursor, "staged_forwards", "(login_key varchar(320), address varchar(320), domain varchar(255))"
        ),
    ):
        yield


@contextmanager
def _temporary_files(cursor: CursorWrapper) -> Iterator[None]:
    """SQLite keeps temporary tables in memory here; an import of a million rows would fill it."""
    switch = connection.vendor == "sqlite" and not connection.in_atomic_block
    if not switch:
        yield
        return
    cursor.execute("PRAGMA temp_store = FILE")
    try:
        yield
    finally:
        cursor.execute("PRAGMA temp_store = MEMORY")


@contextmanager
def _one_go(cursor: CursorWrapper) -> Iterator[None]:
    """SQLite writes a batch to its temporary tables at once. A savepoint, unlike BEGIN IMMEDIATE, leaves
    the database's write lock alone."""
    if dialect.is_postgres():
        yield
        return
    cursor.execute("SAVEPOINT staging_batch")
    try:
        yield
    finally:
        cursor.execute("RELEASE staging_batch")


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

    ``full``: what the records lack is marked deleted, unless that is over ``DELETABLE_SHARE`` of the
    source's live accounts and not ``force``. ``strict``: one bad record and nothing changes.
    ``progress(read)`` is called after each batch, ``on_reject`` for each bad record.

    Raises :class:`ImportRefused` where nothing was changed on purpose; that and any other error leave an
    :class:`Import` that failed.
    """
    started = timezone.now()
    source.refresh_from_db()
    try:
        with connection.cursor() as cursor, _staging_tables(cursor):
            staging = Staging(cursor, source, on_reject or (lambda _: None))
            remaining = iter(records)
            while batch := list(islice(remaining, BATCH)):
                with _one_go(cursor):
                    staging.add(batch)
                if progress:
                    progress(staging.counts.read)
            if strict and staging.counts.rejected:
                raise StrictRefused(
                    f"{staging.counts.rejected:,} of {staging.counts.read:,} records are bad; "
                    "nothing was changed, since the import is strict"
                )
            with transaction.atomic():
                return _apply(
                    cursor, source, staging.counts, started, full=full, force=force, file_name=file_name
                )
    except BaseException as error:
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
    _refuse_if_overtaken(source)
    for table in ("staged_accounts", "seen_logins", "staged_devices", "staged_forwards"):
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
        done.deleted = _mark_deleted(cursor, source, done) if full else 0
        done.changed = _update_changed(cursor, done)
        done.created = _insert_new(cursor, source, done)
        _replace_hanging(cursor, source, changed=bool(done.changed))
        if done.created or done.changed or done.deleted:
            _join_and_derive(cursor, source)
    done.finished_at = source.last_import_at = timezone.now()
    done.save()
    source.save(update_fields=["last_import_at"])
    return done


def _refuse_if_overtaken(source: Source) -> None:
    """The batches were compared with what stood there before: another import since makes that stale."""
    current = Source.objects.select_for_update().get(pk=source.pk)
    if current.last_import_at != source.last_import_at:
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


def _mark_deleted(cursor: CursorWrapper, source: Source, done: Import) -> int:
    """Mark what the records lack. The empty fingerprint lets any record revive the account."""
    cursor.execute(
        f"INSERT INTO {facts.TOUCHED} SELECT DISTINCT user_id FROM checks_account "
        f"WHERE {_LIVE} AND {_GONE} AND user_id IS NOT NULL",
        [source.pk],
    )
    cursor.execute(
        f"UPDATE checks_account SET status = 'deleted', status_changed_at = %s, fingerprint = %s, "
        f"last_import_id = %s WHERE {_LIVE} AND {_GONE}",
        [done.started_at, b"", done.pk, source.pk],
    )
    return int(cursor.rowcount)


def _update_changed(cursor: CursorWrapper, done: Import) -> int:
    sets = ", ".join(f"{column} = s.{column}" for column in _STAGED)
    cursor.execute(
        f"UPDATE checks_account SET {sets}, last_import_id = %s FROM staged_accounts s "
        f"WHERE checks_account.id = s.account_id",
        [done.pk],
    )
    return int(cursor.rowcount)


def _insert_new(cursor: CursorWrapper, source: Source, done: Import) -> int:
    """In the order of the logins, so that ids, and what follows from them, do not depend on the file's."""
    names = ", ".join(_STAGED)
    cursor.execute(
        f"INSERT INTO checks_account (source_id, last_import_id, linked_by_hand, {names}) "
        f"SELECT %s, %s, FALSE, {names} FROM staged_accounts WHERE account_id IS NULL "
        f"ORDER BY login_key {dialect.bytewise()}",
        [source.pk, done.pk],
    )
    created = int(cursor.rowcount)
    if created >= BATCH:
        dialect.analyze(cursor, "checks_account")
    return created


def _replace_hanging(cursor: CursorWrapper, source: Source, *, changed: bool) -> None:
    for table, staged, columns in (
        ("checks_authenticator", "staged_devices", "kind, device_key"),
        ("checks_forward", "staged_forwards", "address, domain"),
    ):
        if changed:
            cursor.execute(
                f"DELETE FROM {table} WHERE account_id IN "
                f"(SELECT account_id FROM staged_accounts WHERE account_id IS NOT NULL)"
            )
        cursor.execute(
            f"INSERT INTO {table} (account_id, {columns}) SELECT a.id, {columns} FROM {staged} d "
            f"JOIN checks_account a ON a.login_key = d.login_key AND a.source_id = %s",
            [source.pk],
        )
        if cursor.rowcount >= BATCH:
            dialect.analyze(cursor, table)


def _join_and_derive(cursor: CursorWrapper, source: Source) -> None:
    joining.join_accounts()
    cursor.execute(
        f"INSERT INTO {facts.TOUCHED} SELECT DISTINCT a.user_id FROM staged_accounts s "
        f"JOIN checks_account a ON a.login_key = s.login_key AND a.source_id = %s "
        f"WHERE a.user_id IS NOT NULL ON CONFLICT DO NOTHING",
        [source.pk],
    )
    facts.refresh(facts.TOUCHED)
