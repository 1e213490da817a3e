"""Searches for the starts of words in a user's name, display name, login and employee id.

A full-text index answers: on PostgreSQL one over an expression (made by a migration), on SQLite a table of FTS5
(sqlite.org/fts5.html) that triggers keep in step. Django's migrations on SQLite may replace the table of users, and its
triggers go with it: :func:`keep_sqlite_index` looks after each migration.
"""

import re
from collections.abc import Sequence

from django.db import connection, connections

COLUMNS = ("name", "display_name", "login", "employee_id")
# At least one word must have this length: fewer letters match too many words.
SHORTEST = 3
# No column is longer, and PostgreSQL refuses a word of 2 KiB.
LONGEST = 320
MOST_WORDS = 20
TABLE = "checks_user_words"

# As the index of the migration has it. ASCII's punctuation separates words; PostgreSQL's own parser keeps addresses whole.
_VECTOR = (
    "to_tsvector('simple', regexp_replace(lower(name || ' ' || display_name || ' ' || login || ' ' || employee_id), "
    r"'[\u0001-\u002F\u003A-\u0040\u005B-\u0060\u007B-\u007E]+', ' ', 'g'))"
)
_BETWEEN_WORDS = re.compile(r"[\x00-/:-@\[-`{-~\s]+")


def users_with_words(text: str, limit: int) -> list[int]:
    """Ids of at most ``limit`` users who have, for each word of ``text``, a word that starts with it, in any
    case. None if all words are shorter than :data:`SHORTEST`.
    """
    words = [word for word in _BETWEEN_WORDS.split(text.lower()) if word][:MOST_WORDS]
    if not any(len(word) >= SHORTEST for word in words) or max(map(len, words)) > LONGEST:
        return []
    if connection.vendor == "postgresql":
        query = " & ".join(f"'{word}':*" for word in words)
        return _column(f"SELECT id FROM checks_user WHERE {_VECTOR} @@ %s::tsquery LIMIT %s", [query, limit])  # noqa: S608  our own names
    phrases = " ".join(f'"{word}"*' for word in words)
    return _column(f"SELECT rowid FROM {TABLE} WHERE {TABLE} MATCH %s LIMIT %s", [phrases, limit])  # noqa: S608


def _column(sql: str, parameters: Sequence[str | int]) -> list[int]:
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)
        return [value for (value,) in cursor.fetchall()]


# --- SQLite's index ---------------------------------------------------------------------------------

_CREATE = f"""
    CREATE VIRTUAL TABLE IF NOT EXISTS {TABLE} USING fts5({", ".join(COLUMNS)}, content='checks_user',
    content_rowid='id', tokenize='unicode61 remove_diacritics 0', prefix='3 4', detail='full')
"""
_NEW, _OLD = (", ".join(f"{row}.{column}" for column in COLUMNS) for row in ("new", "old"))
_ADD = f"INSERT INTO {TABLE} (rowid, {', '.join(COLUMNS)}) VALUES (new.id, {_NEW});"  # noqa: S608  our own names
_REMOVE = f"INSERT INTO {TABLE} ({TABLE}, rowid, {', '.join(COLUMNS)}) VALUES ('delete', old.id, {_OLD});"  # noqa: S608
_DIFFERS = " OR ".join(f"new.{column} IS NOT old.{column}" for column in ("id", *COLUMNS))
_TRIGGERS = {
    f"{TABLE}_added": f"AFTER INSERT ON checks_user BEGIN {_ADD} END",
    f"{TABLE}_removed": f"AFTER DELETE ON checks_user BEGIN {_REMOVE} END",
    f"{TABLE}_changed": f"AFTER UPDATE ON checks_user WHEN {_DIFFERS} BEGIN {_REMOVE} {_ADD} END",
}
_REBUILD = f"INSERT INTO {TABLE} ({TABLE}) VALUES ('rebuild')"  # noqa: S608


def keep_sqlite_index(*, using: str, **signal: object) -> None:
    """After a migration: make SQLite's index and its triggers where they are missing, and fill it again."""
    if connections[using].vendor != "sqlite":
        return
    with connections[using].cursor() as cursor:
        cursor.execute("SELECT name FROM sqlite_master WHERE type IN ('table', 'trigger')")
        present = {name for (name,) in cursor.fetchall()}
        if "checks_user" not in present or {TABLE, *_TRIGGERS} <= present:
            return
        cursor.execute(_CREATE)
        for name, definition in _TRIGGERS.items():
            cursor.execute(f"DROP TRIGGER IF EXISTS {name}")
            cursor.execute(f"CREATE TRIGGER {name} {definition}")
        cursor.execute(_REBUILD)
