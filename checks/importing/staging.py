"""The temporary tables that an import fills outside any lock, batch by batch: see importing.py."""

# ruff: noqa: S608  what is put into SQL are our own names of tables and columns

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple, Protocol

import orjson
from django.db import connection
from django.db.backends.utils import CursorWrapper

from checks import dialect
from checks.importing.coverage import PARTIAL, PARTIAL_DEFINITION, FieldCoverage
from checks.importing.records import (
    COLUMNS,
    Problem,
    Record,
    RecordParser,
    login_of,
    source_key_of,
)
from checks.importing.reports import ReadingReport
from checks.importing.values import shorten
from checks.models import Account, Source

# The line of a login that only bad records had.
NO_LINE = -1
STAGED = (*COLUMNS, "fingerprint")
EMAIL_KEY, EMPLOYEE_KEY = COLUMNS.index("email_key"), COLUMNS.index("employee_key")


class ReaderProblem(Protocol):
    """A record that a reader could not read; ``original``: the record's text."""

    @property
    def problem(self) -> tuple[str, str, str]:
        """Column, value, expected."""

    @property
    def original(self) -> object: ...


class Rejected(NamedTuple):
    """A record that is not imported: its line, the record, and all its problems."""

    line: int
    original: Any
    problems: list[Problem]


class Known(NamedTuple):
    """A stored account: its id, its identifiers, and the fingerprint of the record that it came from."""

    pk: int
    login_key: str
    source_key: str
    email_key: str
    employee_key: str
    is_deleted: bool
    fingerprint: bytes


class Good(NamedTuple):
    """A record that can be taken, and the account that it is of; ``record``: None where the account came from the
    very same one."""

    line: int
    raw: dict[str, object]
    record: Record | None
    login_key: str
    source_key: str
    known: Known | None


OnReject = Callable[[Rejected], None]


class ImportCounts:
    """Counts of an import so far. ``staged``: new and changed records; ``held``: records that wait for a
    member."""

    def __init__(self) -> None:
        self.read = self.rejected = self.unchanged = self.staged = self.held = 0


class Staging:
    """The temporary tables of one import: ``staged_accounts`` (new and changed ones), their devices and
    forwards, ``held_records``, and ``seen_records``, which finds duplicates and, for a full import, what is missing.

    A record is of the account with its immutable id, else of the one with its login, unless both have an immutable
    id. ``decided``: accounts whose record is taken though nothing in it agrees with the account.
    """

    def __init__(
        self,
        cursor: CursorWrapper,
        source: Source,
        parser: RecordParser,
        on_reject: OnReject,
        decided: Collection[int] = (),
    ) -> None:
        self.cursor, self.source, self.parser, self.on_reject = cursor, source, parser, on_reject
        self.decided = decided
        self.report = ReadingReport()
        self.counts = ImportCounts()
        self.coverage = FieldCoverage()
        # Every record is read, not only those that differ from before.
        self.reads_all = False

    def add(self, batch: list[tuple[int, Any]]) -> None:
        """Validate a batch and stage what differs from what is stored."""
        self.counts.read += len(batch)
        good: list[Good] = []
        bad: list[Rejected] = []
        present: list[Seen] = []
        partial: dict[int, int] = {}
        names = [
            (login_of(raw), source_key_of(raw)) if isinstance(raw, dict) else ("", "") for _, raw in batch
        ]
        stored = _Stored(
            self._known([login for login, _ in names if login], [key for _, key in names if key])
        )
        for (line, raw), (login, key) in zip(batch, names, strict=True):
            absent = self.coverage.add(raw) if isinstance(raw, dict) else 0
            if absent != self.coverage.first_absent:
                partial[line] = absent
            known = stored.of(login, key)
            if (
                known
                and not self.reads_all
                and known.login_key == login
                and known.fingerprint == self.parser.fingerprint(raw)
            ):
                good.append(Good(line, raw, None, login, key, known))
                continue
            record = self.parser.parse(raw) if isinstance(raw, dict) else [Problem(*raw.problem)]
            if isinstance(record, list):
                bad.append(Rejected(line, raw if isinstance(raw, dict) else raw.original, record))
                # A bad record still means that its account exists: a full import must not delete the account.
                if login or known:
                    present.append(
                        Seen(login or f"\x01{known and known.pk}", NO_LINE, known and known.pk, "")
                    )
                continue
            self.report.add(record.notes)
            # A record with notes is parsed each time.
            is_same = known is not None and not self.reads_all and known.fingerprint == record.fingerprint
            good.append(Good(line, raw, None if is_same else record, login, key, known))
        good, duplicates = self._without_duplicates(good)
        self._remember(present)
        for rejected in sorted([*bad, *duplicates], key=lambda r: r.line):
            self.counts.rejected += 1
            self.on_reject(rejected)
        taken = [row for row in good if not self._hold(row)]
        self._stage(taken)
        if rows := [(row.login_key, partial[row.line]) for row in taken if row.line in partial]:
            self._copy(PARTIAL, ("login_key", "absent"), rows)

    def _without_duplicates(self, rows: list[Good]) -> tuple[list[Good], list[Rejected]]:
        """Remember the batch's accounts; reject those that came before. The first record of an account wins."""
        seen = _SeenLines()
        candidates = [(row, seen.add(row)) for row in rows]
        first = [row for row, earlier in candidates if earlier is None]
        if self._remember([_seen(row) for row in first]) < len(first):
            before = self._seen_before(first)
            # A login that only bad records had before now has a good record.
            self.cursor.executemany(
                "DELETE FROM seen_records WHERE login_key = %s",
                [(each.login_key,) for each in before if each.line == NO_LINE],
            )
            seen = _SeenLines(
                each for each in before if each.line not in {NO_LINE, *(row.line for row in first)}
            )
            candidates = [(row, seen.earlier(row) or earlier) for row, earlier in candidates]
            first = [row for row, earlier in candidates if earlier is None]
            self._remember([_seen(row) for row in first])
        rejected = [
            Rejected(row.line, row.raw, [_duplicate(row, earlier)])
            for row, earlier in candidates
            if earlier is not None
        ]
        return first, rejected

    def _hold(self, row: Good) -> bool:
        """Keep for a member what has the account's immutable id, and nothing else of it."""
        known, record = row.known, row.record
        if not known or not record or not row.source_key or known.source_key != row.source_key:
            return False
        email, employee = record.values[EMAIL_KEY], record.values[EMPLOYEE_KEY]
        differs = (
            known.login_key != row.login_key
            and (known.email_key != email or not email)
            and employee
            and known.employee_key
            and known.employee_key != employee
        )
        if not differs or known.pk in self.decided:
            return False
        self.counts.held += 1
        self._copy(
            "held_records",
            ("account_id", "record"),
            [(known.pk, orjson.dumps(row.raw, default=str).decode())],
        )
        return True

    def _stage(self, good: list[Good]) -> None:
        differing = [(row, row.record) for row in good if row.record]
        self.counts.unchanged += len(good) - len(differing)
        if not differing:
            return
        accounts: list[tuple[object, ...]] = []
        devices: list[tuple[object, ...]] = []
        forwards: list[tuple[object, ...]] = []
        for row, record in differing:
            self.counts.staged += 1
            place = self.counts.staged
            accounts.append((place, row.known and row.known.pk, *record.values, record.fingerprint))
            devices += [(place, *device) for device in record.devices]
            forwards += [(place, *forward) for forward in record.forwards]
        self._copy("staged_accounts", ("place", "account_id", *STAGED), accounts)
        self._copy("staged_devices", ("place", "kind", "device_key"), devices)
        self._copy("staged_forwards", ("place", "address", "domain"), forwards)

    def _remember(self, rows: list["Seen"]) -> int:
        if not rows:
            return 0
        if dialect.is_postgres():
            self.cursor.execute(
                "INSERT INTO seen_records SELECT * FROM unnest(%s::text[], %s::integer[], %s::bigint[], %s::text[]) "
                "ON CONFLICT DO NOTHING",
                [
                    [row.login_key for row in rows],
                    [row.line for row in rows],
                    [row.account_id for row in rows],
                    [row.source_key or None for row in rows],
                ],
            )
        else:
            self.cursor.executemany(
                "INSERT INTO seen_records VALUES (%s, %s, %s, %s) ON CONFLICT DO NOTHING",
                [(row.login_key, row.line, row.account_id, row.source_key or None) for row in rows],
            )
        return int(self.cursor.rowcount)

    def _seen_before(self, rows: list[Good]) -> set["Seen"]:
        columns = "SELECT login_key, line, account_id, COALESCE(source_key, '') FROM seen_records WHERE"
        found = self._select(f"{columns} login_key", [row.login_key for row in rows])
        found += self._select(f"{columns} account_id", [row.known.pk for row in rows if row.known])
        found += self._select(f"{columns} source_key", [row.source_key for row in rows if row.source_key])
        return {Seen(*row) for row in found}

    def _known(self, logins: list[str], keys: list[str]) -> list[Known]:
        if not self.source.pk:
            return []
        select = (
            f"SELECT id, login_key, source_key, email_key, employee_key, COALESCE(status, '') = 'deleted', fingerprint "
            f"FROM checks_account WHERE source_id = {int(self.source.pk)} AND "
        )
        rows = self._select(f"{select} login_key", logins)
        if keys:
            rows += self._select(f"{select} {dialect.given('source_key')} AND source_key", keys)
        return [
            Known(pk, login, key, email, employee, bool(is_deleted), bytes(stored))
            for pk, login, key, email, employee, is_deleted, stored in rows
        ]

    def _select(self, statement: str, keys: list[str] | list[int]) -> list[tuple[Any, ...]]:
        if not keys:
            return []
        if dialect.is_postgres():
            self.cursor.execute(f"{statement} = ANY(%s)", [keys])
        else:
            self.cursor.execute(f"{statement} IN ({', '.join(['%s'] * len(keys))})", keys)
        return list(self.cursor.fetchall())

    def _copy(self, table: str, columns: tuple[str, ...], rows: Sequence[tuple[Any, ...]]) -> None:
        if not rows:
            return
        if dialect.is_postgres():
            with self.cursor.copy(f"COPY {table} ({', '.join(columns)}) FROM STDIN") as copy:
                write = copy.write_row
                for row in rows:
                    write(row)
        else:
            marks = ", ".join(["%s"] * len(columns))
            statement = f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({marks})"
            self.cursor.executemany(statement, rows)


class Seen(NamedTuple):
    """A record of the file: what identifies it, and its line."""

    login_key: str
    line: int
    account_id: int | None
    source_key: str


def _seen(row: Good) -> Seen:
    return Seen(row.login_key, row.line, row.known and row.known.pk, row.source_key)


class _SeenLines:
    """The lines where a login, an account or an immutable id occurred first."""

    def __init__(self, seen: Iterable[Seen] = ()) -> None:
        self._lines: dict[tuple[str, object], int] = {}
        for each in seen:
            self._lines |= dict.fromkeys(self._names(each), each.line)

    @staticmethod
    def _names(seen: Seen) -> list[tuple[str, object]]:
        names: list[tuple[str, object]] = [("login", seen.login_key)]
        if seen.account_id is not None:
            names.append(("account", seen.account_id))
        if seen.source_key:
            names.append(("source_key", seen.source_key))
        return names

    def earlier(self, row: Good) -> tuple[str, int] | None:
        """Which identifier of the row occurred before, and in which line."""
        return next(
            ((name[0], self._lines[name]) for name in self._names(_seen(row)) if name in self._lines), None
        )

    def add(self, row: Good) -> tuple[str, int] | None:
        """:meth:`earlier`; a row without an earlier one is remembered."""
        found = self.earlier(row)
        if found is None:
            self._lines |= dict.fromkeys(self._names(_seen(row)), row.line)
        return found


def _duplicate(row: Good, earlier: tuple[str, int]) -> Problem:
    name, line = earlier
    if name == "source_key":
        value = shorten(row.raw.get("source_key"))
        return Problem("source_key", value, f"a unique immutable id; the record at {line} has it already")
    if name == "account":
        value = shorten(row.raw.get("login"))
        return Problem("login", value, f"a different account; the record at {line} is of the same account")
    value = shorten(row.raw.get("login"))
    return Problem("login", value, f"a unique login; the record at {line} has it already")


class _Stored:
    """The stored accounts of a batch, by immutable id and by login."""

    def __init__(self, accounts: Iterable[Known]) -> None:
        self._by_key: dict[str, Known] = {}
        self._by_login: dict[str, list[Known]] = {}
        for account in {each.pk: each for each in accounts}.values():
            if account.source_key:
                self._by_key[account.source_key] = account
            self._by_login.setdefault(account.login_key, []).append(account)

    def of(self, login: str, key: str) -> Known | None:
        """The account of a record with this login and immutable id ("": none)."""
        if key and key in self._by_key:
            return self._by_key[key]
        named = self._by_login.get(login, []) if login else []
        if key:
            return next((account for account in named if not account.source_key), None)
        return max(named, key=lambda account: (not account.is_deleted, account.pk), default=None)


def _typed_columns() -> str:
    fields = {field.column: field for field in Account._meta.concrete_fields}
    return ", ".join(f"{column} {fields[column].db_type(connection)}" for column in STAGED)


@contextmanager
def staging_tables(cursor: CursorWrapper) -> Iterator[None]:
    with (
        _temporary_files(cursor),
        dialect.temporary(cursor, PARTIAL, PARTIAL_DEFINITION),
        dialect.temporary(
            cursor,
            "seen_records",
            "(login_key varchar(320) PRIMARY KEY, line integer, account_id bigint, source_key varchar(255))",
        ),
        dialect.temporary(cursor, "held_records", "(account_id bigint, record text)"),
        dialect.temporary(
            cursor, "staged_accounts", f"(place integer PRIMARY KEY, account_id bigint, {_typed_columns()})"
        ),
        dialect.temporary(
            cursor, "staged_devices", "(place integer, kind varchar(64), device_key varchar(255))"
        ),
        dialect.temporary(
            cursor, "staged_forwards", "(place integer, address varchar(320), domain varchar(255))"
        ),
    ):
        # Most records have neither, and would be an entry in each index.
        for column in ("account_id", "source_key"):
            dialect.unique_where_given(cursor, "seen_records", column)
        yield


# Temporary tables in a file, a small page cache and no mapped file: an import of a million rows must not
# fill the memory, and walks the tables once.
_LEAN = {"temp_store": 1, "cache_size": -16_384, "mmap_size": 0}


@contextmanager
def _temporary_files(cursor: CursorWrapper) -> Iterator[None]:
    """SQLite: set ``_LEAN`` for the block, which also drops temporary tables that an error left."""
    if connection.vendor != "sqlite" or connection.in_atomic_block:
        yield
        return
    before = {}
    for name, value in _LEAN.items():
        cursor.execute(f"PRAGMA {name}")
        before[name] = cursor.fetchone()
        cursor.execute(f"PRAGMA {name} = {value}")
    try:
        yield
    finally:
        for name, row in before.items():
            # A database in memory has no mmap_size.
            if row:
                cursor.execute(f"PRAGMA {name} = {int(row[0])}")


@contextmanager
def one_go(cursor: CursorWrapper) -> Iterator[None]:
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
