"""Steps that every benchmark starts with: an installed database, users in it, tidy tables."""

from datetime import UTC, datetime
from io import StringIO

from django.core.management import call_command
from django.db import connection, transaction
from django.db.backends.utils import CursorWrapper
from django.db.models import Model

from checks.models import Account, Check, Forward, Source, User
from checks.services import import_accounts
from cii_project.tools.benchmark import data, floor_rules
from cii_project.tools.benchmark.measuring import measured
from cii_project.tools.benchmark.steps import step
from integrations.services import JsonObject

# Columns that must differ from one copy of a row to the next, as "column || a suffix".
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
def install() -> JsonObject:
    call_command("setup", verbosity=0, stdout=StringIO())
    # The floors are compared finding by finding: a check that they do not know is left out.
    Check.objects.exclude(slug__in=floor_rules.RULES).update(enabled=False)
    for slug, name, provider, kind in data.DATA_SOURCES:
        Source.objects.create(slug=slug, name=name, provider=provider, kind=kind)
    return {}


@step
def load(users: int, seed: int, now: str, version: int = 0, every: int = 1) -> JsonObject:
    """Import the sources' records as the product does."""
    with measured() as result:
        for slug, *_ in data.DATA_SOURCES:
            given = data.account_records(
                slug, users, seed=seed, now=datetime.fromisoformat(now), version=version, every=every
            )
            import_accounts(enumerate(given, start=1), source=Source.objects.get(slug=slug))
    return {**result, "users": User.objects.count(), "accounts": Account.objects.count()}


@step
def multiply(users: int) -> JsonObject:
    """Copy the users, their accounts and forwards until there are ``users``: an import of all would take
    minutes.

    The copies have their original's manager and owner.
    """
    with connection.cursor() as cursor:
        while (have := User.objects.count()) < users:
            shifts = {"user_id": _last(cursor, "checks_user"), "account_id": _last(cursor, "checks_account")}
            some = f"<= {users - have}" if users < 2 * have else "IS NOT NULL"
            own = f"account_id IN (SELECT id FROM checks_account WHERE user_id {some})"  # noqa: S608
            with transaction.atomic():
                _copy(cursor, Forward, shifts, own)
                _copy(cursor, Account, shifts, f"user_id {some}")
                _copy(cursor, User, shifts, f"id {some}")
        if connection.vendor == "postgresql":
            for table in ("checks_user", "checks_account", "checks_forward"):
                sequence = f"SELECT setval(pg_get_serial_sequence('{table}', 'id'), MAX(id)) FROM {table}"  # noqa: S608
                cursor.execute(sequence)
    return {"users": User.objects.count(), "accounts": Account.objects.count()}


def _last(cursor: CursorWrapper, table: str) -> int:
    cursor.execute(f"SELECT COALESCE(MAX(id), 0) FROM {table}")  # noqa: S608
    return int(cursor.fetchone()[0])


def _copy(cursor: CursorWrapper, model: type[Model], shifts: dict[str, int], where: str) -> None:
    columns = [str(field.column) for field in model._meta.concrete_fields]
    table = model._meta.db_table
    own = _last(cursor, table)

    def value(column: str) -> str:
        if column == "id":
            return f"id + {own}"
        if column in shifts:
            return f"{column} + {shifts[column]}"
        if column in _SUFFIXED:
            return f"CASE WHEN {column} = '' THEN '' ELSE {column} || '.{shifts['user_id']}' END"
        return f'"{column}"'

    quoted = ", ".join(f'"{column}"' for column in columns)
    values = ", ".join(value(column) for column in columns)
    cursor.execute(f"INSERT INTO {table} ({quoted}) SELECT {values} FROM {table} WHERE {where}")  # noqa: S608


@step
def tidy() -> JsonObject:
    """Vacuum and analyze now, so that autovacuum does not run during a measurement."""
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute("VACUUM (ANALYZE)")
            cursor.execute("CHECKPOINT")
        else:
            cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return {}


def utc_now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
