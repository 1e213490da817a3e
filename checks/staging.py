"""The temporary tables that an import fills outside any lock, batch by batch: see importing.py."""

# ruff: noqa: S608  what is put into SQL are our own names of tables and columns

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple, Protocol

from django.db import connection
from django.db.backends.utils import CursorWrapper

from checks import dialect
from checks.models import Account, Source
from checks.records import COLUMNS, Problem, Record, fingerprint, login_of, parse
from checks.values import shorten

# What stands for the line of a login that only bad records had.
NO_LINE = -1
STAGED = (*COLUMNS, "fingerprint")


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


class Known(NamedTuple):
    """An account as it stands: its id and the fingerprint of the record that it came from."""

    pk: int
    fingerprint: bytes


class Good(NamedTuple):
    """A record that can be taken; None where the account came from the very same one."""

    line: int
    raw: dict[str, Any]
    record: Record | None


OnReject = Callable[[Rejected], None]


class Counts:
    """What an import has met so far; ``staged``: the new and changed ones."""

    def __init__(self) -> None:
        self.read = self.rejected = self.unchanged = self.staged = 0


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
        keys = [login_of(raw) if isinstance(raw, dict) else "" for _, raw in batch]
        known = self._known([key for key in keys if key])
        for (line, raw), key in zip(batch, keys, strict=True):
            stored = known.get(key)
            if stored and stored.fingerprint == fingerprint(raw):
                row = Good(line, raw, None)
            else:
                record = parse(raw) if isinstance(raw, dict) else [Problem(*raw.problem)]
                if isinstance(record, list):
                    bad.append(Rejected(line, raw if isinstance(raw, dict) else raw.original, record))
                    continue
                row = Good(line, raw, record)
            if good.setdefault(key, row) is not row:
                again.append(row)
        bad += self._duplicates(good, again)
        # A bad record still says that its account exists: a full import must not delete it.
        present = {login_of(r.original) for r in bad if isinstance(r.original, dict)} - {""}
        self._remember([(key, NO_LINE) for key in present if key not in good])
        for rejected in sorted(bad, key=lambda r: r.line):
            self.counts.rejected += 1
            self.on_reject(rejected)
        self._stage(good, known)

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
                        f"a login of its own; the one at {first[login_of(row.raw)]} has it already",
                    )
                ],
            )
            for row in again
        ]

    def _stage(self, good: dict[str, Good], known: dict[str, Known]) -> None:
        differing = [(key, row.record) for key, row in good.items() if row.record]
        self.counts.unchanged += len(good) - len(differing)
        if not differing:
            return
        accounts: list[tuple[Any, ...]] = []
        devices: list[tuple[Any, ...]] = []
        forwards: list[tuple[Any, ...]] = []
        for key, record in differing:
            self.counts.staged += 1
            place = self.counts.staged
            stored = known.get(key)
            accounts.append((place, stored and stored.pk, *record.values, record.fingerprint))
            devices += [(place, *device) for device in record.devices]
            forwards += [(place, *forward) for forward in record.forwards]
        self._copy("staged_accounts", ("place", "account_id", *STAGED), accounts)
        self._copy("staged_devices", ("place", "kind", "device_key"), devices)
        self._copy("staged_forwards", ("place", "address", "domain"), forwards)

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

    def _known(self, keys: list[str]) -> dict[str, Known]:
        if not self.source.pk:
            return {}
        rows = self._select(
            f"SELECT login_key, id, fingerprint FROM checks_account "
            f"WHERE source_id = {int(self.source.pk)} AND login_key",
            keys,
        )
        return {key: Known(pk, bytes(stored)) for key, pk, stored in rows}

    def _select(self, statement: str, keys: list[str]) -> list[tuple[Any, ...]]:
        if not keys:
            return []
        if dialect.is_postgres():
            self.cursor.execute(f"{statement} = ANY(%s)", [keys])
        else:
            self.cursor.execute(f"{statement} IN ({', '.join(['%s'] * len(keys))})", keys)
        return self.cursor.fetchall()

    def _copy(self, table: str, columns: tuple[str, ...], rows: list[tuple[Any, ...]]) -> None:
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


def _typed_columns() -> str:
    fields = {field.column: field for field in Account._meta.concrete_fields}
    return ", ".join(f"{column} {fields[column].db_type(connection)}" for column in STAGED)


@contextmanager
def staging_tables(cursor: CursorWrapper) -> Iterator[None]:
    with (
        _temporary_files(cursor),
        dialect.temporary(cursor, "seen_logins", "(login_key varchar(320) PRIMARY KEY, line integer)"),
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
