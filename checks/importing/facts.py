"""Derive the facts of users from their accounts, set-based.

:func:`refresh` aggregates the accounts of the users in a temporary table by one statement (fact_statements.py) and writes
the users that differ.
"""

# ruff: noqa: S608  what is put into SQL are our own names of tables and columns

from collections.abc import Iterable

from django.db import connection, transaction
from django.db.backends.utils import CursorWrapper
from django.db.models import Field

from checks import dialect
from checks.importing.fact_statements import FACTS, PROFILE, aggregate_accounts
from checks.models import User

TOUCHED = "touched_users"
TOUCHED_DEFINITION = "(user_id bigint PRIMARY KEY)"


def refresh_users(user_ids: Iterable[int]) -> None:
    """Derive the facts of these users, and of the users whose manager or owner they are."""
    with transaction.atomic(), connection.cursor() as cursor:
        dialect.lock_accounts(cursor)
        with dialect.temporary(cursor, TOUCHED, TOUCHED_DEFINITION):
            dialect.fill_ids(cursor, TOUCHED, user_ids)
            refresh(TOUCHED)


def refresh(touched: str) -> None:
    """Derive the facts of the users in the temporary table ``touched`` (``user_id``).

    Adds to the table the users whose manager or owner one of them is. An id without a user, which joining has reserved,
    becomes a user.
    """
    with connection.cursor() as cursor:
        if not dialect.has_rows(cursor, touched):
            return
        dialect.analyze(cursor, touched)
        _add_dependants(cursor, touched)
        dialect.analyze(cursor, touched)
        with dialect.temporary(cursor, "named_users", "(name varchar(320) PRIMARY KEY, user_id bigint)"):
            _resolve_names(cursor, touched)
            with dialect.temporary(cursor, "user_facts", f"AS {aggregate_accounts(touched)}"):
                schema = "" if dialect.is_postgres() else "temp."
                cursor.execute(f"CREATE UNIQUE INDEX {schema}user_facts_id ON user_facts (user_id)")
                dialect.analyze(cursor, "user_facts", "user_id")
                _write(cursor)
        _count_shared_devices(cursor, touched)


def _add_dependants(cursor: CursorWrapper, touched: str) -> None:
    cursor.execute(f"SELECT COUNT(*) FROM {touched}")
    (count,) = cursor.fetchone()
    cursor.execute("SELECT COUNT(*) FROM checks_user")
    (users,) = cursor.fetchone()
    if 2 * count >= users:
        cursor.execute(f"INSERT INTO {touched} SELECT id FROM checks_user WHERE true ON CONFLICT DO NOTHING")
        return
    with dialect.temporary(cursor, "touched_names", "(name varchar(320) PRIMARY KEY)"):
        for key in ("login_key", "email_key", "employee_key"):
            cursor.execute(
                f"INSERT INTO touched_names SELECT a.{key} FROM {touched} t "
                f"JOIN checks_account a ON a.user_id = t.user_id WHERE {dialect.given(f'a.{key}')} ON CONFLICT DO NOTHING"
            )
        dialect.analyze(cursor, "touched_names")
        for role in ("manager", "owner"):
            cursor.execute(
                f"INSERT INTO {touched} "
                f"SELECT a.user_id FROM touched_names n JOIN checks_account a ON a.{role}_key = n.name "
                f"WHERE a.user_id IS NOT NULL AND {dialect.given(f'a.{role}_key')} "
                f"UNION SELECT u.id FROM {touched} t JOIN checks_user u ON u.{role}_id = t.user_id "
                f"ON CONFLICT DO NOTHING"
            )


def _resolve_names(cursor: CursorWrapper, touched: str) -> None:
    """Fill ``named_users``: who the managers and owners of the touched users are, by login, e-mail, then employee id."""
    with dialect.temporary(cursor, "given_names", "(name varchar(320) PRIMARY KEY)"):
        for role in ("manager", "owner"):
            cursor.execute(
                f"INSERT INTO given_names SELECT DISTINCT a.{role}_key FROM {touched} t "
                f"JOIN checks_account a ON a.user_id = t.user_id WHERE {dialect.given(f'a.{role}_key')} ON CONFLICT DO NOTHING"
            )
        dialect.analyze(cursor, "given_names")
        # Deleted managers are found too, after the managers who are not deleted.
        for gone in ("<>", "="):
            for key in ("login_key", "email_key", "employee_key"):
                cursor.execute(
                    f"INSERT INTO named_users SELECT n.name, MIN(b.user_id) FROM given_names n "
                    f"JOIN checks_account b ON b.{key} = n.name AND {dialect.given(f'b.{key}')} "
                    f"WHERE COALESCE(b.status, '') {gone} 'deleted' AND b.user_id IS NOT NULL "
                    f"GROUP BY n.name ON CONFLICT DO NOTHING"
                )
    dialect.analyze(cursor, "named_users")


def _write(cursor: CursorWrapper) -> None:
    """Update the users that differ and insert the new ones. A user without accounts keeps the profile."""
    name = "COALESCE(NULLIF(f.email, ''), f.login)"
    at = dialect.position(name, "'@'")
    values = {
        column: f"COALESCE(f.{column}, u.{column})" if column in PROFILE else f"f.{column}"
        for column in FACTS
    }
    values["name"] = f"COALESCE({name}, u.name)"
    values["domain"] = (
        f"CASE WHEN {name} IS NULL THEN u.domain WHEN {at} > 0 "
        f"THEN lower(substr(substr({name}, {at} + 1), 1, 255)) ELSE '' END"
    )
    # The manager may be written by the same statement.
    values["manager_enabled"] = "CASE WHEN mf.user_id IS NOT NULL THEN mf.enabled ELSE mu.enabled END"
    facts = (
        "user_facts f LEFT JOIN user_facts mf ON mf.user_id = f.manager_id "
        "LEFT JOIN checks_user mu ON mu.id = f.manager_id"
    )
    _store(cursor, values, facts, "u.id = f.user_id", made=True)


def _default(field: "Field[object, object]") -> str:
    """The default of a column that is no fact, as SQL."""
    value = field.get_default()
    if isinstance(value, bool):
        return "TRUE" if value else "FALSE"
    if isinstance(value, int):
        return str(value)
    raise TypeError(f"The default of User.{field.name} is {value!r}. Use a boolean, a number or NULL.")


def _store(
    cursor: CursorWrapper, values: dict[str, str], source: str, join: str, *, made: bool = False
) -> None:
    """Write the ``values`` (column → SQL) of the users that differ; with ``made``, insert the users of ``source`` (f) that
    have no row. A temporary table is between, because a statement must not change the users that it reads."""
    differing = " OR ".join(f"u.{column} {dialect.differs()} {value}" for column, value in values.items())
    inner = ", ".join(f"{value} AS {column}" for column, value in values.items())
    chosen = (
        f"f.user_id, u.id IS NULL AS made, {inner} FROM {source} LEFT JOIN checks_user u ON {join} "
        f"WHERE u.id IS NULL OR {differing}"
        if made
        else f"u.id AS user_id, {inner} FROM {source} JOIN checks_user u ON {join} WHERE {differing}"
    )
    with dialect.temporary(cursor, "user_changes", f"AS SELECT {chosen}"):
        dialect.analyze(cursor, "user_changes", "user_id")
        sets = ", ".join(f"{column} = c.{column}" for column in values)
        cursor.execute(f"UPDATE checks_user SET {sets} FROM user_changes c WHERE checks_user.id = c.user_id")
        if made:
            _insert_made(cursor, list(values))


def _insert_made(cursor: CursorWrapper, given: list[str]) -> None:
    defaults = {
        str(field.column): _default(field)
        for field in User._meta.concrete_fields
        if not field.primary_key and not field.null and field.column not in given
    }
    cursor.execute(
        f"INSERT INTO checks_user (id, {', '.join([*given, *defaults])}) "
        f"SELECT user_id, {', '.join([*given, *defaults.values()])} FROM user_changes WHERE made"
    )


def _count_shared_devices(cursor: CursorWrapper, touched: str) -> None:
    """Set ``shared_with`` of the touched users, of the users with one of their devices, and of all that have it set: a
    touched user may have given up the shared device."""
    with (
        dialect.temporary(cursor, "affected_devices", "(device_key varchar(255) PRIMARY KEY)"),
        dialect.temporary(cursor, "device_holders", "(device_key varchar(255), user_id bigint)"),
        dialect.temporary(cursor, "shared_counts", "(user_id bigint PRIMARY KEY, users integer)"),
    ):
        cursor.execute(
            f"INSERT INTO affected_devices SELECT DISTINCT d.device_key FROM ("
            f"SELECT user_id FROM {touched} UNION SELECT id FROM checks_user WHERE shared_with > 0) t "
            f"JOIN checks_account a ON a.user_id = t.user_id JOIN checks_authenticator d ON d.account_id = a.id"
        )
        dialect.analyze(cursor, "affected_devices")
        cursor.execute(
            "INSERT INTO device_holders SELECT DISTINCT k.device_key, a.user_id FROM affected_devices k "
            "JOIN checks_authenticator d ON d.device_key = k.device_key "
            "JOIN checks_account a ON a.id = d.account_id "
            "JOIN checks_source s ON s.id = a.source_id AND s.kind = 'identity' "
            "WHERE COALESCE(a.status, '') <> 'deleted' AND a.user_id IS NOT NULL"
        )
        dialect.analyze(cursor, "device_holders")
        cursor.execute(
            "INSERT INTO shared_counts SELECT user_id, MAX(users) FROM (SELECT user_id, "
            "COUNT(*) OVER (PARTITION BY device_key) AS users FROM device_holders) h "
            "WHERE users > 1 GROUP BY user_id"
        )
        _store(
            cursor,
            {"shared_with": "COALESCE(c.users, 0)"},
            f"(SELECT user_id FROM {touched} UNION SELECT user_id FROM shared_counts "
            "UNION SELECT id FROM checks_user WHERE shared_with > 0) t "
            "LEFT JOIN shared_counts c ON c.user_id = t.user_id",
            "u.id = t.user_id",
        )
