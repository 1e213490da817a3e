"""Accounts that belong to nobody yet join a user: by employee id, then e-mail, then login, case-folded.

Set-based, and the same whatever the order of the rows: each step takes the oldest fitting user, and
new users are made in the order of their keys. Accounts with different employee ids never join by
e-mail or login. An account without e-mail whose login is an address counts with that address
(``email_key``). Who joined stays, until a person links or unlinks.
"""

# ruff: noqa: S608  what is put into SQL are our own names of tables and columns

from typing import Any

from django.db import connection
from django.db.backends.utils import CursorWrapper
from django.db.models import Field

from checks import dialect
from checks.models import User

_ORPHANS = "checks_account WHERE user_id IS NULL"


def join_accounts() -> int:
    """Give every account without a user one; the number of users made. Run inside a transaction."""
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT COUNT(*) FROM {_ORPHANS}")
        if not cursor.fetchone()[0]:
            return 0
        _join_known_employees(cursor)
        _join_employees_by(cursor, "email_key")
        _join_employees_by(cursor, "login_key")
        made = _make_users(cursor, "employee_key")
        # Only accounts without an employee id are left: they join whoever has their address or login.
        _join_others_by(cursor, "email_key")
        _join_others_by(cursor, "login_key")
        made += _make_users(cursor, "email_key")
        _join_others_by(cursor, "login_key")
        return made + _make_users(cursor, "login_key")


def _join_known_employees(cursor: CursorWrapper) -> None:
    _assign(
        cursor,
        "employee_key",
        f"SELECT n.employee_key AS name, MIN(k.user_id) AS user_id FROM {_pairs_by('employee_key')} "
        "AND k.user_id IS NOT NULL GROUP BY n.employee_key",
    )


def _join_employees_by(cursor: CursorWrapper, key: str) -> None:
    """Employees new to us take a user who has no employee id yet: of several claims the first id's."""
    _assign(
        cursor,
        "employee_key",
        f"SELECT MIN(name {dialect.bytewise()}) AS name, user_id FROM ("
        f"SELECT n.employee_key AS name, MIN(k.user_id) AS user_id FROM {_pairs_by(key)} "
        f"AND {dialect.given('n.employee_key')} AND k.user_id IS NOT NULL AND NOT EXISTS "
        f"(SELECT 1 FROM checks_account e WHERE e.user_id = k.user_id AND {dialect.given('e.employee_key')}) "
        f"GROUP BY n.employee_key) claims GROUP BY user_id",
    )


def _join_others_by(cursor: CursorWrapper, key: str) -> None:
    _assign(
        cursor,
        key,
        f"SELECT n.{key} AS name, MIN(k.user_id) AS user_id FROM {_pairs_by(key)} "
        f"AND k.user_id IS NOT NULL GROUP BY n.{key}",
    )


def _pairs_by(key: str) -> str:
    """What follows FROM: accounts without a user (n), each with all accounts of its key (k)."""
    return (
        f"checks_account n JOIN checks_account k ON k.{key} = n.{key} AND {dialect.given(f'k.{key}')} "
        f"WHERE n.user_id IS NULL AND {dialect.given(f'n.{key}')}"
    )


def _make_users(cursor: CursorWrapper, key: str) -> int:
    """One new user for each distinct key among the accounts that are left."""
    cursor.execute("SELECT COALESCE(MAX(id), 0) FROM checks_user")
    (newest,) = cursor.fetchone()
    columns = {
        str(field.column): _default(field)
        for field in User._meta.concrete_fields
        if not field.primary_key and not field.null and field.column != "name"
    }
    cursor.execute(
        f"INSERT INTO checks_user (name, {', '.join(columns)}) SELECT name, {', '.join(columns.values())} "
        f"FROM (SELECT DISTINCT {key} AS name FROM {_ORPHANS} AND {dialect.given(key)}) n "
        f"ORDER BY name {dialect.bytewise()}"
    )
    made = cursor.rowcount
    if made:
        # Until facts.py names the users, each bears the key that it was made for.
        _assign(cursor, key, f"SELECT name, id AS user_id FROM checks_user WHERE id > {int(newest)}")
    return made


def _default(field: "Field[Any, Any]") -> str:
    """The default of a column that is filled in later, as SQL."""
    value = field.get_default()
    if isinstance(value, bool):
        return "TRUE" if value else "FALSE"
    if isinstance(value, int):
        return str(value)
    if value in ("", None):
        return "''"
    raise TypeError(f"User.{field.name} needs a default that SQL can write")


def _assign(cursor: CursorWrapper, key: str, pairs: str) -> None:
    """``pairs``: a query of (name, user_id), each name once."""
    with dialect.temporary(cursor, "joined_names", "(name varchar(320) PRIMARY KEY, user_id bigint)"):
        cursor.execute(f"INSERT INTO joined_names {pairs}")
        if not cursor.rowcount:
            return
        dialect.analyze(cursor, "joined_names")
        cursor.execute(
            f"UPDATE checks_account SET user_id = j.user_id FROM joined_names j "
            f"WHERE checks_account.user_id IS NULL AND checks_account.{key} = j.name "
            f"AND {dialect.given(f'checks_account.{key}')}"
        )
