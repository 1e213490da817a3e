"""Steps of ``import``: the file, the command that imports it, the same rows by hand."""

import csv
import json
from collections.abc import Iterable, Iterator
from datetime import datetime
from io import StringIO
from itertools import islice
from pathlib import Path
from typing import TextIO

from django.core.management import call_command
from django.db import connection, transaction

from checks.models import Import, User
from cii_project.tools.benchmark import data
from cii_project.tools.benchmark.common_steps import tidy
from cii_project.tools.benchmark.measuring import measured
from cii_project.tools.benchmark.steps import step
from integrations.services import Json, JsonObject

BATCH = 5_000


@step
def write_file(path: str, users: int, seed: int, now: str, by_email: bool = False) -> JsonObject:
    """The accounts of one source as CSV or JSON Lines, by the name's end. ``by_email``: of a source that
    knows the same people by other logins and no employee ids."""
    records = data.account_records("okta", users, seed=seed, now=datetime.fromisoformat(now))
    if by_email:
        records = ({**one, "login": one["login"].partition("@")[0], "employee_id": ""} for one in records)
    with Path(path).open("w", encoding="utf-8", newline="") as stream:
        if path.endswith(".jsonl"):
            stream.writelines(json.dumps(record) + "\n" for record in records)
        else:
            _write_csv(stream, records)
    return {"bytes": Path(path).stat().st_size}


def _write_csv(stream: TextIO, records: Iterable[data.AccountRecord]) -> None:
    writer = None
    for record in records:
        row = {name: _cell(value) for name, value in record.items()}
        if writer is None:
            writer = csv.DictWriter(stream, row)
            writer.writeheader()
        writer.writerow(row)


def _cell(value: object) -> str:
    """A value as docs/importing.md has it in CSV."""
    if isinstance(value, list):
        return "|".join(_item(item) for item in value)
    if isinstance(value, bool):
        return str(value).lower()
    return "" if value is None else str(value)


def _item(item: object) -> str:
    if not isinstance(item, dict):
        return str(item)
    return f"{item['kind']}:{item['device']}" if "kind" in item else f"{item['name']}={item['last_used_at']}"


@step
def import_product(path: str, source: str = "file") -> JsonObject:
    tidy()
    with measured() as result:
        call_command("import_users", path, source=source, stdout=StringIO())
    done = Import.objects.filter(source__slug=source).latest("id")
    return {
        **result,
        "read": done.read,
        "created": done.created,
        "unchanged": done.unchanged,
        "users": User.objects.count(),
    }


@step
def import_floor(path: str) -> JsonObject:
    """Read the file, ``COPY`` (SQLite: ``executemany``) to a staging table, upsert: text for text."""
    tidy()
    with measured() as result, Path(path).open(encoding="utf-8", newline="") as stream:
        rows = _json_rows(stream) if path.endswith(".jsonl") else _csv_rows(stream)
        names = next(rows)
        _upsert(names, rows)
    return result


def _csv_rows(stream: Iterable[str]) -> Iterator[list[str]]:
    return csv.reader(stream)


def _json_rows(stream: Iterable[str]) -> Iterator[list[Json]]:
    names: list[str] = []
    for line in stream:
        record = json.loads(line)
        if not names:
            names = list(record)
            yield names
        yield [json.dumps(value) if isinstance(value, list) else value for value in record.values()]


def _upsert(names: list[str], rows: Iterator[list[str]] | Iterator[list[Json]]) -> None:
    quoted = [connection.ops.quote_name(name) for name in names]
    columns = ", ".join(quoted)
    changes = ", ".join(f"{name} = excluded.{name}" for name in quoted if name != '"login"')
    upsert = f"ON CONFLICT (login) DO UPDATE SET {changes}"
    with transaction.atomic(), connection.cursor() as cursor:
        key = "bigint GENERATED ALWAYS AS IDENTITY" if connection.vendor == "postgresql" else "integer"
        texts = ", ".join(f"{name} text" for name in quoted)
        cursor.execute(f"CREATE TABLE IF NOT EXISTS floor_account (id {key} PRIMARY KEY, {texts})")
        for indexed in ("login", "email", "employee_id"):
            kind = "UNIQUE INDEX" if indexed == "login" else "INDEX"
            cursor.execute(f"CREATE {kind} IF NOT EXISTS floor_{indexed} ON floor_account ({indexed})")
        if connection.vendor == "postgresql":
            cursor.execute(f"CREATE TEMPORARY TABLE floor_staged ({texts})")
            with cursor.copy(f"COPY floor_staged ({columns}) FROM STDIN") as copy:
                for row in rows:
                    copy.write_row(row)
            cursor.execute(
                f"INSERT INTO floor_account ({columns}) SELECT {columns} FROM floor_staged {upsert}"  # noqa: S608
            )
            return
        marks = ", ".join(["%s"] * len(names))
        while batch := list(islice(rows, BATCH)):
            cursor.executemany(
                f"INSERT INTO floor_account ({columns}) VALUES ({marks}) {upsert}",  # noqa: S608
                batch,
            )
