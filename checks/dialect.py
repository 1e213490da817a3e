"""The few places where SQLite and PostgreSQL speak differently in the set-based statements.

Names that are put into SQL come from models and constants, never from a user.
"""

# ruff: noqa: S608  what is put into SQL are our own names of tables and columns

import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from django.db import connection
from django.db.backends.utils import CursorWrapper
from django.db.models.expressions import RawSQL

# Any constant will do: the key of the lock under which accounts and users change.
_LOCK = 7_330_114


def is_postgres() -> bool:
    return connection.vendor == "postgresql"


def differs() -> str:
    """The operator "is not the same, NULL being a value"."""
    return "IS DISTINCT FROM" if is_postgres() else "IS NOT"


def bytewise() -> str:
    """What makes a text compare by its bytes, as SQLite's does."""
    return 'COLLATE "C"' if is_postgres() else ""


def given(column: str) -> str:
    """The text column is not empty, in the very words of the partial indexes' conditions: SQLite uses such an
    index only where a statement says the same (sqlite.org/partialindex.html, section 3)."""
    return f"NOT ({column} = '')"


def position(text: str, part: str) -> str:
    return f"{'strpos' if is_postgres() else 'instr'}({text}, {part})"


def sortable(moment: str) -> str:
    """A time as text that sorts as the time does."""
    if is_postgres():
        return f"to_char({moment} AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS.US')"
    return moment


def among(ids: Iterable[int]) -> RawSQL:
    """The right side of ``…__in``: one parameter, where Django makes one of each id, which the driver has to parse."""
    if is_postgres():
        return RawSQL("SELECT unnest(%s::bigint[])", [list(ids)])
    return RawSQL("SELECT value FROM json_each(%s)", [json.dumps(list(ids))])


def time_constant(text: str) -> str:
    return f"TIMESTAMPTZ '{text}+00'" if is_postgres() else f"'{text}'"


def lock_accounts(cursor: CursorWrapper) -> None:
    """Wait for whoever changes accounts, until this transaction ends.

    SQLite has one writer anyway: its transactions take the write lock when they begin.
    """
    if is_postgres():
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [_LOCK])


def analyze(cursor: CursorWrapper, table: str, *columns: str) -> None:
    """Tell PostgreSQL's planner what a table holds that was filled just now.

    ``columns``: those that a statement joins or filters by. All of sixty cost as much as the statement.
    """
    if is_postgres():
        cursor.execute(f"ANALYZE {table} ({', '.join(columns)})" if columns else f"ANALYZE {table}")


def newest_id(cursor: CursorWrapper, table: str) -> int:
    """The largest id that the table has ever given. Under :func:`lock_accounts` nobody else takes the next."""
    if is_postgres():
        cursor.execute(f"SELECT last_value - (NOT is_called)::int FROM {_sequence(cursor, table)}")
        return int(cursor.fetchone()[0])
    cursor.execute("SELECT COALESCE(MAX(seq), 0) FROM sqlite_sequence WHERE name = %s", [table])
    return int(cursor.fetchone()[0])


def reserve_ids(cursor: CursorWrapper, table: str, newest: int) -> None:
    """The table gives ids above ``newest`` from now on. SQLite sees to that when the rows are inserted,
    but until then must know of them too."""
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
    """A temporary table for the block. ``definition`` is what follows its name in CREATE."""
    cursor.execute(f"DROP TABLE IF EXISTS {name}")
    cursor.execute(f"CREATE TEMPORARY TABLE {name} {definition}")
    try:
        yield name
    except BaseException:
        # Within a failed transaction PostgreSQL takes no statement; the next user drops it first.
        raise
    else:
        cursor.execute(f"DROP TABLE {name}")


def fill_ids(cursor: CursorWrapper, table: str, ids: Iterable[int]) -> None:
    cursor.executemany(f"INSERT INTO {table} VALUES (%s) ON CONFLICT DO NOTHING", [(i,) for i in ids])
