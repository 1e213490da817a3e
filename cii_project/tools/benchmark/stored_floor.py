"""The floor that needs no reading and no thinking: the rows that an import or a plan left, put into the same tables."""

# ruff: noqa: S608  what is put into SQL are our own names of tables

from pathlib import Path

from django.db import connection, transaction
from django.db.backends.utils import CursorWrapper

from checks.models import Account, Authenticator, Forward, Import, Source, User
from cii_project.tools.benchmark.common_steps import tidy
from cii_project.tools.benchmark.measuring import measured
from cii_project.tools.benchmark.steps import step
from integrations.services import JsonObject
from notifications.models import Delivery

TABLES = [model._meta.db_table for model in (Source, Import, User, Account, Authenticator, Forward)]


@step
def export_stored(folder: str) -> JsonObject:
    """The place where the next step finds the rows: PostgreSQL's own files in ``folder``; SQLite's is the
    database."""
    if connection.vendor != "postgresql":
        tidy()
        return {"given": str(connection.settings_dict["NAME"])}
    with connection.cursor() as cursor:
        for table in TABLES:
            _copy_out(cursor, table, "id", Path(folder) / table)
    return {"given": folder}


@step
def import_stored(given: str) -> JsonObject:
    """``COPY`` (SQLite: ``INSERT … SELECT`` from the other file) into the product's own empty tables, with
    their indexes and foreign keys, in one transaction."""
    Source.objects.all().delete()
    tidy()
    with measured() as result, connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            with transaction.atomic():
                for table in TABLES:
                    _copy(cursor, table, Path(given) / table)
        else:
            cursor.execute("ATTACH DATABASE %s AS stored", [given])
            with transaction.atomic():
                for table in TABLES:
                    cursor.execute(f"INSERT INTO {table} SELECT * FROM stored.{table} ORDER BY id")
            cursor.execute("DETACH DATABASE stored")
    return {**result, "accounts": Account.objects.count()}


@step
def plan_stored(folder: str) -> JsonObject:
    """The deliveries that a run has planned, put into their emptied table again, with its indexes and foreign
    keys, in one transaction: by ``COPY`` (SQLite: ``INSERT … SELECT``)."""
    table = Delivery._meta.db_table
    path = Path(folder) / table
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            _copy_out(cursor, table, "event_id, batch", path)
            cursor.execute(f"TRUNCATE {table} CASCADE")
        else:
            cursor.execute(f"CREATE TEMPORARY TABLE planned AS SELECT * FROM {table}")
            cursor.execute(f"DELETE FROM {table}")
        tidy()
        with measured() as result, transaction.atomic():
            if connection.vendor == "postgresql":
                _copy(cursor, table, path)
            else:
                cursor.execute(f"INSERT INTO {table} SELECT * FROM planned")
    return result


def _copy_out(cursor: CursorWrapper, table: str, order: str, path: Path) -> None:
    statement = f"COPY (SELECT * FROM {table} ORDER BY {order}) TO STDOUT (FORMAT binary)"
    with path.open("wb") as file, cursor.copy(statement) as copy:
        for block in copy:
            file.write(block)


def _copy(cursor: CursorWrapper, table: str, path: Path) -> None:
    with path.open("rb") as file, cursor.copy(f"COPY {table} FROM STDIN (FORMAT binary)") as copy:
        while block := file.read(1 << 16):
            copy.write(block)
