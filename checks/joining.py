"""Accounts that belong to nobody yet join a user: by employee id, then e-mail, then login, case-folded.

Set-based, and the same whatever the order of the rows: each step takes the oldest fitting user, and
new users are made in the order of their keys. Accounts with different employee ids never join by
e-mail or login. An account without e-mail whose login is an address counts with that address
(``email_key``). Who joined stays, until a person links or unlinks.

All of it happens in the temporary table ``UNJOINED``, so that an account is written once, with its user.
"""

# ruff: noqa: S608  what is put into SQL are our own names of tables and columns

from django.db.backends.utils import CursorWrapper

from checks import dialect

UNJOINED = "unjoined_accounts"
# ``place``: of a staged account that is not stored yet, else NULL. ``user_id``: what joining finds.
UNJOINED_DEFINITION = (
    "(account_id bigint PRIMARY KEY, place integer, login_key varchar(320), email_key varchar(320), "
    "employee_key varchar(128), user_id bigint)"
)


def join_accounts(cursor: CursorWrapper) -> None:
    """Give every account in ``UNJOINED`` a user's id: a stored user's, or a new one, whose row
    facts.py writes. Run inside a transaction that holds :func:`checks.dialect.lock_accounts`."""
    with dialect.temporary(cursor, "taken_users", "(user_id bigint PRIMARY KEY)"):
        _join_known_employees(cursor)
        _join_employees_by(cursor, "email_key")
        _join_employees_by(cursor, "login_key")
    _number_users(cursor, "employee_key")
    # Only accounts without an employee id are left: they join whoever has their address or login.
    _join_others_by(cursor, "email_key")
    _join_others_by(cursor, "login_key")
    _number_users(cursor, "email_key")
    _join_others_by(cursor, "login_key")
    _number_users(cursor, "login_key")


def _join_known_employees(cursor: CursorWrapper) -> None:
    _assign(
        cursor,
        "employee_key",
        f"SELECT n.employee_key, MIN(k.user_id) FROM {_stored_by('employee_key')} GROUP BY n.employee_key",
    )


def _join_employees_by(cursor: CursorWrapper, key: str) -> None:
    """Employees new to us take a user who has no employee id yet: of several claims the first id's."""
    _assign(
        cursor,
        "employee_key",
        f"SELECT MIN(name {dialect.bytewise()}), user_id FROM ("
        f"SELECT n.employee_key AS name, MIN(k.user_id) AS user_id FROM {_stored_by(key)} "
        f"AND {dialect.given('n.employee_key')} "
        f"AND NOT EXISTS (SELECT 1 FROM taken_users t WHERE t.user_id = k.user_id) AND NOT EXISTS "
        f"(SELECT 1 FROM checks_account e WHERE e.user_id = k.user_id AND {dialect.given('e.employee_key')}) "
        f"GROUP BY n.employee_key) claims GROUP BY user_id",
    )


def _stored_by(key: str) -> str:
    """What follows FROM: accounts without a user (n), each with the stored accounts of its key (k).

    CROSS JOIN makes SQLite go from n to k, by k's index (sqlite.org/optoverview.html, section 8.2).
    """
    return (
        f"{UNJOINED} n CROSS JOIN checks_account k WHERE k.{key} = n.{key} AND {dialect.given(f'k.{key}')} "
        f"AND n.user_id IS NULL AND {dialect.given(f'n.{key}')} AND k.user_id IS NOT NULL"
    )


def _join_others_by(cursor: CursorWrapper, key: str) -> None:
    """By a key of the stored accounts and of those that have just found their user."""
    with dialect.temporary(cursor, "wanted_names", "(name varchar(320) PRIMARY KEY)"):
        cursor.execute(
            f"INSERT INTO wanted_names SELECT DISTINCT {key} FROM {UNJOINED} "
            f"WHERE user_id IS NULL AND {dialect.given(key)}"
        )
        if not cursor.rowcount:
            return
        dialect.analyze(cursor, "wanted_names")
        _assign(
            cursor,
            key,
            f"SELECT name, MIN(user_id) FROM ("
            f"SELECT w.name, k.user_id FROM wanted_names w CROSS JOIN checks_account k WHERE k.{key} = w.name "
            f"AND {dialect.given(f'k.{key}')} AND k.user_id IS NOT NULL UNION ALL "
            f"SELECT w.name, o.user_id FROM {UNJOINED} o JOIN wanted_names w ON w.name = o.{key} "
            f"WHERE o.user_id IS NOT NULL) found GROUP BY name",
        )


def _number_users(cursor: CursorWrapper, key: str) -> None:
    """A new user's id for each distinct key among the accounts that are left."""
    newest = dialect.newest_id(cursor, "checks_user")
    cursor.execute(
        f"UPDATE {UNJOINED} SET user_id = {newest} + r.number FROM ("
        f"SELECT account_id, dense_rank() OVER (ORDER BY {key} {dialect.bytewise()}) AS number "
        f"FROM {UNJOINED} WHERE user_id IS NULL AND {dialect.given(key)}) r "
        f"WHERE r.account_id = {UNJOINED}.account_id"
    )
    if cursor.rowcount:
        cursor.execute(f"SELECT MAX(user_id) FROM {UNJOINED}")
        dialect.reserve_ids(cursor, "checks_user", max(newest, cursor.fetchone()[0]))


def _assign(cursor: CursorWrapper, key: str, pairs: str) -> None:
    """``pairs``: a query of (name, user_id), each name once."""
    with dialect.temporary(cursor, "joined_names", "(name varchar(320) PRIMARY KEY, user_id bigint)"):
        cursor.execute(f"INSERT INTO joined_names (name, user_id) {pairs}")
        if not cursor.rowcount:
            return
        dialect.analyze(cursor, "joined_names")
        cursor.execute(
            f"UPDATE {UNJOINED} SET user_id = j.user_id FROM joined_names j "
            f"WHERE {UNJOINED}.user_id IS NULL AND {UNJOINED}.{key} = j.name"
        )
        if key == "employee_key":
            cursor.execute(
                "INSERT INTO taken_users SELECT user_id FROM joined_names WHERE true ON CONFLICT DO NOTHING"
            )
