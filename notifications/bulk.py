"""Many rows at once: COPY on PostgreSQL, executemany elsewhere."""

import json
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, cast
from uuid import UUID

from django.db import connection, models


def is_postgres() -> bool:
    return connection.vendor == "postgresql"


def adapt(value: Any) -> Any:
    """A plain value as the SQLite driver takes it, in the form in which the ORM stores it."""
    if isinstance(value, datetime):
        return connection.ops.adapt_datetimefield_value(value)
    if isinstance(value, UUID):
        return value.hex
    return value


def _as_json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def insert(model: type[models.Model], names: Sequence[str], rows: Iterable[Sequence[Any]]) -> int:
    """Insert ``rows`` of values in the order of the fields ``names``; returns how many.

    Values are plain Python ones. Fields that are not named have no default here: name all that are
    required. ``rows`` may be a generator, which must not use the database while it runs.
    """
    fields: list[models.Field[Any, Any]] = [model._meta.get_field(name) for name in names]  # type: ignore[misc]
    columns = ", ".join(connection.ops.quote_name(str(field.column)) for field in fields)
    table = connection.ops.quote_name(model._meta.db_table)
    write = _copy if is_postgres() else _execute_many
    return write(f"{table} ({columns})", fields, rows)


def _copy(into: str, fields: Sequence["models.Field[Any, Any]"], rows: Iterable[Sequence[Any]]) -> int:
    """In binary: as text, PostgreSQL takes a body in hexadecimal digits."""
    count = 0
    types = [str(field.db_type(connection)).partition("(")[0] for field in fields]
    with connection.cursor() as cursor, cursor.copy(f"COPY {into} FROM STDIN (FORMAT BINARY)") as copy:
        copy.set_types(types)
        for row in rows:
            copy.write_row(row)
            count += 1
    return count


def _execute_many(
    into: str, fields: Sequence["models.Field[Any, Any]"], rows: Iterable[Sequence[Any]]
) -> int:
    count = 0
    jsons = [index for index, field in enumerate(fields) if isinstance(field, models.JSONField)]
    marks = ", ".join(["%s"] * len(fields))

    def adapted() -> Iterable[list[Any]]:
        nonlocal count
        for row in rows:
            values = [adapt(value) for value in row]
            for index in jsons:
                values[index] = None if row[index] is None else _as_json(row[index])
            count += 1
            yield values

    with connection.cursor() as cursor:
        # The driver streams the generator, whatever the annotation says.
        cursor.executemany(f"INSERT INTO {into} VALUES ({marks})", cast("Any", adapted()))  # noqa: S608
    return count
