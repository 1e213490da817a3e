"""The differences between SQLite and PostgreSQL in the set-based statements.

Names that are put into SQL come from models and constants, never from a user.
"""

# ruff: noqa: S608  what is put into SQL are our own names of tables and columns

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime

from django.db import connection
from django.db.backends.utils import CursorWrapper
from django.db.models import BooleanField, Func
from django.db.models.expressions import RawSQL
from django.db.models.sql.compiler import SQLCompiler

# The key of the lock under which accounts and users change: any constant.
_LOCK = 7_330_114

# A parameter of a statement.
SqlValue = str | int | float | bytes | datetime | list[int] | list[str] | None


def is_postgres() -> bool:
    return connection.vendor == "postgresql"


def differs() -> str:
    """The operator for "is not the same", where NULL is a value."""
    return "IS DISTINCT FROM" if is_postgres() else "IS NOT"


def bytewise() -> str:
    """The collation that compares text by its bytes, which SQLite does by default."""
    return 'COLLATE "C"' if is_postgres() else ""


def given(column: str) -> str:
    """The condition that a text column is not empty, written as in the partial indexes: SQLite uses such an index only
    where a statement has the same condition (sqlite.org/partialindex.html, section 3)."""
    return f"NOT ({column} = '')"


def position(text: str, part: str) -> str:
    return f"{'strpos' if is_postgres() else 'instr'}({text}, {part})"


def sortable(moment: str) -> str:
    """A time as text that sorts by time."""
    if is_postgres():
        return f"to_char({moment} AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS.US')"
    return moment


def words(values: Iterable[str]) -> str:
    """The right side of IN for words of ours, in a fixed order: ``('active', 'on_leave')``."""
    quoted = [f"'{value}'" for value in sorted(map(str, values))]
    return f"({', '.join(quoted)})"


def padded(number: str) -> str:
    """A number as text of 18 digits, which sorts as the number does."""
    return (
        f"lpad({number}::text, 18, '0')"
        if is_postgres()
        else f"substr('000000000000000000' || {number}, -18)"
    )


def last_two(text: str) -> str:
    """The last two characters of a text."""
    return f"right({text}, 2)" if is_postgres() else f"substr({text}, -2)"


def fence() -> str:
    """The end of a subquery whose columns are computed once. Without it PostgreSQL merges the subquery into the outer
    query and computes a column for each aggregate that reads it."""
    return "OFFSET 0" if is_postgres() else ""


def among(items: Iterable[int] | Iterable[str]) -> RawSQL:
    """The right side of ``…__in`` as one parameter. Django makes a parameter of each item: the driver has to parse them,
    and SQLite takes at most 32,766 in a statement."""
    given: list[int | str] = list(items)
    kind = "text" if given and isinstance(given[0], str) else "bigint"
    source, parameter = _listed(given, kind)
    return RawSQL(f"SELECT value FROM {source}", [parameter])  # noqa: S611  the source is one of two constants  # nosec B611


def _listed(items: Sequence[int | str], kind: str) -> tuple[str, object]:
    """A table expression with the items in its column ``value``, and its one parameter."""
    if is_postgres():
        return f"unnest(%s::{kind}[]) AS listed(value)", items
    return "json_each(%s)", json.dumps(items)


class IsInDomains(Func):
    """Whether the domain is one of ``domains`` or a subdomain of one. One term for any number of domains: SQLite limits
    expressions to a depth of 1,000."""

    output_field = BooleanField()

    def __init__(self, domain: str, domains: Sequence[str]) -> None:
        super().__init__(domain)
        self.domains = domains

    def as_sql(  # type: ignore[override]
        self, compiler: SQLCompiler, connection: object, **context: object
    ) -> tuple[str, list[object]]:
        domain, parameters = compiler.compile(self.get_source_expressions()[0])
        source, listed = _listed(list(self.domains), "text")
        end = "right({0}, {1})" if is_postgres() else "substr({0}, -({1}))"
        tail = end.format(f"'.' || {domain}", "length(value) + 1")
        return f"EXISTS (SELECT 1 FROM {source} WHERE {tail} = '.' || value)", [listed, *parameters]


def key() -> str:
    """The type of the user id in a temporary table. SQLite stores the rows by it; PostgreSQL joins by hashing, so an index
    would only cost time."""
    return "bigint" if is_postgres() else "INTEGER PRIMARY KEY"


def bit_or(column: str) -> str:
    """The bits of all rows of a group. SQLite has no such aggregate: there, each bit must occur once in a group."""
    return f"bit_or({column})" if is_postgres() else f"SUM({column})"


def fingerprint(column: str, seed: int) -> str:
    """An aggregate: a 64-bit number for the set of ids of a group. The numbers of two groups that share no id are combined
    by exclusive or. Two different sets have one number by a chance of 1 in 2^64, other sets with each ``seed``.

    NULL on SQLite, which has no such function.
    """
    return f"bit_xor(hashint8extended({column}, {seed:d}))" if is_postgres() else "NULL"


def index(cursor: CursorWrapper, table: str, *columns: str) -> None:
    """Index a temporary table and collect its statistics."""
    schema = "" if is_postgres() else "temp."
    cursor.execute(f"CREATE INDEX {schema}{table}_{columns[0]} ON {table} ({', '.join(columns)})")
    analyze(cursor, table)


def unique_where_given(cursor: CursorWrapper, table: str, column: str) -> None:
    """Let the values of a temporary table's column that are not NULL occur once each."""
    schema = "" if is_postgres() else "temp."
    cursor.execute(
        f"CREATE UNIQUE INDEX {schema}{table}_{column} ON {table} ({column}) WHERE {column} IS NOT NULL"
    )


def index_for_loops(cursor: CursorWrapper, table: str, *columns: str) -> None:
    """Index a column each of a temporary table on SQLite, which joins by nested loops and would scan the table for each
    row of the other. PostgreSQL joins by hashing, so an index would only cost time."""
    if not is_postgres():
        for column in columns:
            cursor.execute(f"CREATE INDEX temp.{table}_{column} ON {table} ({column})")


def set_for_pass(cursor: CursorWrapper) -> None:
    """Set PostgreSQL's session for the pass. Its JIT spends seconds on compiling all rules that run in tenths of a
    second; with more memory the findings of a million users are joined without files."""
    if is_postgres():
        cursor.execute("SET jit = off")
        cursor.execute("SET work_mem = '64MB'")


def reset_after_pass(cursor: CursorWrapper) -> None:
    if is_postgres():
        cursor.execute("RESET jit")
        cursor.execute("RESET work_mem")


def time_constant(text: str) -> str:
    return f"TIMESTAMPTZ '{text}+00'" if is_postgres() else f"'{text}'"


def lock_accounts(cursor: CursorWrapper) -> None:
    """Take the lock for changes of accounts until the transaction ends; waits for other holders.

    SQLite has one writer: its transactions take the write lock when they start.
    """
    if is_postgres():
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [_LOCK])


def has_rows(cursor: CursorWrapper, source: str) -> bool:
    """Whether a table has a row. ``source``: what follows FROM, with its condition."""
    cursor.execute(f"SELECT 1 FROM {source} LIMIT 1")
    return cursor.fetchone() is not None


def analyze(cursor: CursorWrapper, table: str, *columns: str) -> None:
    """Collect PostgreSQL's statistics of a table that was just filled.

    ``columns``: those that a statement joins or filters by. All of sixty columns cost as much as the statement.
    """
    if is_postgres():
        cursor.execute(f"ANALYZE {table} ({', '.join(columns)})" if columns else f"ANALYZE {table}")


def analyze_grown(cursor: CursorWrapper, table: str, added: int, *columns: str) -> None:
    """:func:`analyze` the table if ``added`` rows are more than 50 and a tenth of those that its statistics know.

    This is PostgreSQL's own threshold (``autovacuum_analyze_threshold`` and ``…_scale_factor``). It would act up to a minute
    after the transaction, and statements of the transaction need the statistics already: on a table without any,
    two thousand accounts are joined with their devices by a nested loop.
    """
    if not is_postgres() or added <= 50:
        return
    cursor.execute("SELECT reltuples FROM pg_class WHERE oid = %s::regclass", [table])
    if added > 50 + max(cursor.fetchone()[0], 0) / 10:
        analyze(cursor, table, *columns)


def newest_id(cursor: CursorWrapper, table: str) -> int:
    """The largest id that the table has ever given. Call it under :func:`lock_accounts`, so that no other takes the next."""
    if is_postgres():
        cursor.execute(f"SELECT last_value - (NOT is_called)::int FROM {_sequence(cursor, table)}")
        return int(cursor.fetchone()[0])
    cursor.execute("SELECT COALESCE(MAX(seq), 0) FROM sqlite_sequence WHERE name = %s", [table])
    return int(cursor.fetchone()[0])


def reserve_ids(cursor: CursorWrapper, table: str, newest: int) -> None:
    """Make the table give ids above ``newest`` from now on, also before the rows with the reserved ids are inserted."""
    if is_postgres():
        cursor.execute("SELECT setval(%s, %s)", [_sequence(cursor, table), newest])
        return
    cursor.execute("UPDATE sqlite_sequence SET seq = %s WHERE name = %s", [newest, table])
    if not cursor.rowcount:
        cursor.execute("INSERT INTO sqlite_sequence (name, seq) VALUES (%s, %s)", [table, newest])


def _sequence(cursor: CursorWrapper, table: str) -> str:
    cursor.execute("SELECT pg_get_serial_sequence(%s, 'id')", [table])
    return str(cursor.fetchone()[0])


@contextmanager
def temporary(cursor: CursorWrapper, name: str, definition: str) -> Iterator[str]:
    """Create a temporary table for the block. ``definition``: what follows its name in CREATE."""
    cursor.execute(f"DROP TABLE IF EXISTS {name}")
    cursor.execute(f"CREATE TEMPORARY TABLE {name} {definition}")
    try:
        yield name
    except BaseException:
        # Within a failed transaction PostgreSQL accepts no statement; the next use drops the table first.
        raise
    else:
        cursor.execute(f"DROP TABLE {name}")


def create_filled(
    cursor: CursorWrapper, table: str, columns: Mapping[str, str], select: str, parameters: Sequence[SqlValue]
) -> int:
    """Create a temporary table out of a select, replacing an earlier one; returns the number of its rows.

    ``columns``: name → type. PostgreSQL takes the types of the select: an eighth faster than an INSERT;
    SQLite takes a primary key only in a definition.
    """
    cursor.execute(f"DROP TABLE IF EXISTS {table}")
    if is_postgres():
        cursor.execute(f"CREATE TEMPORARY TABLE {table} ({', '.join(columns)}) AS {select}", parameters)
    else:
        definition = ", ".join(f"{name} {kind}" for name, kind in columns.items())
        cursor.execute(f"CREATE TEMPORARY TABLE {table} ({definition})")
        cursor.execute(f"INSERT INTO {table} {select}", parameters)
    return int(cursor.rowcount)


def fill_ids(cursor: CursorWrapper, table: str, ids: Iterable[int]) -> None:
    cursor.executemany(f"INSERT INTO {table} VALUES (%s) ON CONFLICT DO NOTHING", [(i,) for i in ids])
