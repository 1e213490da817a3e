"""No statement of joining compares each account with each other."""

from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic

import pytest
from django.db import connection, transaction

from checks.importing.joining.join import join_accounts
from checks.importing.joining.nodes import FORMER_IDS, NODES, joining_tables

pytestmark = pytest.mark.django_db(transaction=True)

ACCOUNTS = 30_000
# Comparing each account with each takes minutes; on a busy machine a statement takes a second.
SECONDS = 15
# Account n belongs to source n % 2. Columns that the others do not name: (kind of link) → SQL of n.
SHARED = "CAST(n / 2 AS text)"
OWN = "CAST(n AS text)"
LINKS = {
    "employee id": {"employee_key": SHARED},
    "e-mail": {"email_key": f"{SHARED} || '@example.com'"},
    "e-mail of several accounts of one source": {"email_key": "CAST(n / 6 AS text) || '@example.com'"},
    "login": {"login_key": SHARED},
    "login of those who have an employee id": {
        "login_key": SHARED,
        "employee_key": f"CASE n % 2 WHEN 0 THEN {OWN} ELSE '' END",
    },
    "users that exist": {"old_user": "n / 2 + 1", "login_key": SHARED},
    "a member's decision": {"old_user": "n / 2 + 1", "pinned": "n % 4 < 2", "employee_key": SHARED},
    "immutable ids of two sources": {
        "key_anchor": f"CASE n % 2 WHEN 0 THEN {SHARED} ELSE '' END",
        "source_anchor": f"CASE n % 2 WHEN 1 THEN {SHARED} ELSE '' END",
        "email_key": f"{SHARED} || '@example.com'",
    },
    "one e-mail of pairs and of employees": {
        "key_anchor": "CASE WHEN n % 4 < 2 THEN CAST(n / 4 AS text) ELSE '' END",
        "employee_key": f"CASE WHEN n % 4 < 2 THEN '' ELSE {OWN} END",
        "email_key": "'team@example.com'",
    },
    "immutable ids of members' users": {
        "old_user": "n / 4 + 1",
        "pinned": "n % 4 < 2",
        "source_anchor": "CASE n % 4 WHEN 3 THEN CAST(n / 4 AS text) ELSE '' END",
        "key_anchor": "CASE n % 4 WHEN 0 THEN CAST(n / 4 AS text) ELSE '' END",
    },
    "immutable ids that form a chain": {"key_anchor": OWN, "source_anchor": "CAST(n + 1 AS text)"},
    "one immutable id": {"source_anchor": "'g1'"},
    "recycled ids": {
        "source_key": OWN,
        "employee_key": "CAST(n / 4 AS text)",
        "present": "n % 4 < 2",
        "live": "n % 4 < 2",
    },
    "one employee id": {"employee_key": "'e1'"},
    "one e-mail": {"email_key": "'team@example.com'"},
    "one employee id of an owner": {"employee_key": "'e1'", "nhi": "n % 2 = 1"},
    "one employee id of accounts typed differently": {
        "employee_key": "'e1'",
        "login_key": SHARED,
        "nhi": "n % 2 = 1",
    },
    "employee ids without their zeros": {
        "employee_key": f"CASE n % 2 WHEN 0 THEN '00' ELSE '' END || {SHARED}",
        "email_key": f"{SHARED} || '@example.com'",
    },
    "employee ids without their zeros and one e-mail": {
        "employee_key": f"CASE n % 2 WHEN 0 THEN '00' ELSE '' END || {SHARED}",
        "email_key": "'team@example.com'",
    },
    "one employee id without its zeros": {
        "employee_key": "CASE n % 2 WHEN 0 THEN '007' ELSE '7' END",
        "email_key": "'team@example.com'",
    },
    "one e-mail of an owner": {
        "email_key": "'svc@example.com'",
        "name_key": "'svc'",
        "nhi": "TRUE",
        "live": "n % 3 = 1",
    },
    "e-mail of gone accounts": {
        "email_key": "CAST(n / 6 AS text) || '@example.com'",
        "name_key": "CASE WHEN n % 6 < 2 THEN CAST(n / 6 AS text) ELSE '' END",
        "live": "n % 6 > 1",
    },
    "employee ids that changed": {"old_user": "n / 2 + 1", "employee_key": SHARED},
    "names that contradict": {"employee_key": "CAST(n / 4 AS text)", "name_key": OWN},
}


@pytest.mark.parametrize("link", LINKS)
def test_thirty_thousand_accounts_join_within_seconds(link: str) -> None:
    columns = {
        "account_id": "n",
        "part": "n",
        "source_id": "n % 2",
        "source_key": "''",
        "login_key": OWN,
        "email_key": "''",
        "employee_key": "''",
        "name_key": "''",
        "nhi": "FALSE",
        "human": "TRUE",
        "live": "TRUE",
        "present": "TRUE",
        "hr": "n % 2 = 1",
        "old_user": "CAST(NULL AS bigint)",
        "pinned": "FALSE",
        "old_reason": "''",
    } | LINKS[link]
    with transaction.atomic(), connection.cursor() as cursor, joining_tables(cursor):
        cursor.execute(
            f"INSERT INTO {NODES} ({', '.join(columns)}) "
            f"WITH RECURSIVE number (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM number WHERE n < {ACCOUNTS}) "
            f"SELECT {', '.join(columns.values())} FROM number"
        )
        if link == "employee ids that changed":
            cursor.execute(
                f"INSERT INTO {FORMER_IDS} SELECT account_id, CAST(account_id / 2 + 1 AS text) FROM {NODES}"
            )
        with stopped_after(SECONDS):
            join_accounts(cursor)
        cursor.execute(f"SELECT COUNT(*) FROM {NODES} WHERE user_id IS NULL")
        assert cursor.fetchone() == (0,)


@contextmanager
def stopped_after(seconds: int) -> Iterator[None]:
    """Stop a statement that takes longer, with an error."""
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute(f"SET LOCAL statement_timeout = '{seconds}s'")
        yield
        return
    end = monotonic() + 3 * seconds
    connection.connection.set_progress_handler(lambda: monotonic() > end, 100_000)
    try:
        yield
    finally:
        connection.connection.set_progress_handler(None, 0)
