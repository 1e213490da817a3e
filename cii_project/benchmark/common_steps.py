"""Steps that every benchmark begins with: an installed database, users in it, tidy tables."""

from datetime import UTC, datetime
from io import StringIO
from typing import Any

from django.core.management import call_command
from django.db import connection, transaction

from checks.accounts import import_accounts
from checks.models import Account, Source, User
from cii_project.benchmark import data
from cii_project.benchmark.measuring import measured
from cii_project.benchmark.steps import step

# What must differ from one copy of a row to the next, as "column || a suffix".
_SUFFIXED = {
    "name",
    "login",
    "email",
    "display_name",
    "login_key",
    "email_key",
    "employee_id",
    "employee_key",
}


@step
def install() -> dict[str, Any]:
    call_command("setup", verbosity=0, stdout=StringIO())
    for slug, name, provider, kind in data.SOURCES:
        Source.objects.create(slug=slug, name=name, provider=provider, kind=kind)
    return {}


@step
def load(users: int, seed: int, now: str, version: int = 0, every: int = 1) -> dict[str, Any]:
    """Import the sources' records as the product does."""
    with measured() as result:
        for slug, *_ in data.SOURCES:
            given = data.records(
                slug, users, seed=seed, now=datetime.fromisoformat(now), version=version, every=every
            )
            import_accounts(enumerate(given, start=1), source=Source.objects.get(slug=slug))
    return {**result, "users": User.objects.count(), "accounts": Account.objects.count()}


@step
def multiply(users: int) -> dict[str, Any]:
    """Copy the users and their accounts until there are so many: an import of all would take minutes.

    The copies have their original's manager and owner.
    """
    with connection.cursor() as cursor:
        while (have := User.objects.count()) < users:
            _, span = _ends(cursor, "checks_user")
            _, accounts = _ends(cursor, "checks_account")
            with transaction.atomic():
                limit = f"WHERE id <= {users - have}" if users < 2 * have else "WHERE true"
                _copy(cursor, User, span, span, limit)
                _copy(cursor, Account, accounts, span, limit.replace("id <=", "user_id <="))
        if connection.vendor == "postgresql":
            for table in ("checks_user", "checks_account"):
                sequence = f"SELECT setval(pg_get_serial_sequence('{table}', 'id'), MAX(id)) FROM {table}"  # noqa: S608
                cursor.execute(sequence)
    return {"users": User.objects.count(), "accounts": Account.objects.count()}


def _ends(cursor: Any, table: str) -> tuple[int, int]:
    cursor.execute(f"SELECT MIN(id), MAX(id) FROM {table}")  # noqa: S608
    first, last = cursor.fetchone()
    return int(first), int(last)


def _copy(cursor: Any, model: Any, shift: int, users: int, where: str) -> None:
    columns = [field.column for field in model._meta.concrete_fields]

    def value(column: str) -> str:
        if column == "id":
            return f"id + {shift}"
        if column == "user_id":
            return f"user_id + {users}"
        if column in _SUFFIXED:
            return f"CASE WHEN {column} = '' THEN '' ELSE {column} || '.{users}' END"
        return f'"{column}"'

    quoted = ", ".join(f'"{column}"' for column in columns)
    values = ", ".join(value(column) for column in columns)
    table = model._meta.db_table
    cursor.execute(f"INSERT INTO {table} ({quoted}) SELECT {values} FROM {table} {where}")  # noqa: S608


@step
def tidy() -> dict[str, Any]:
    """What autovacuum would do at a time of its own: so that it does not fall into a measurement."""
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute("VACUUM (ANALYZE)")
            cursor.execute("CHECKPOINT")
        else:
            cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return {}


def utc_now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
