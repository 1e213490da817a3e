"""Many rows at once: COPY on PostgreSQL, executemany elsewhere."""

import json
from collections.abc import Callable, Iterable, Sequence
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
    fields = [model._meta.get_field(name) for name in names]
    columns = ", ".join(connection.ops.quote_name(str(field.column)) for field in fields)  # type: ignore[union-attr]
    table = connection.ops.quote_name(model._meta.db_table)
    jsons = [index for index, field in enumerate(fields) if isinstance(field, models.JSONField)]
    count = 0

    def prepared(convert: Callable[[Any], Any]) -> Iterable[list[Any]]:
        nonlocal count
        for row in rows:
            values = [convert(value) for value in row]
            for index in jsons:
                values[index] = _as_json(row[index])
            count += 1
            yield values

    with connection.cursor() as cursor:
        if is_postgres():
            with cursor.copy(f"COPY {table} ({columns}) FROM STDIN") as copy:
                for values in prepared(lambda value: value):
                    copy.write_row(values)
        else:
            marks = ", ".join(["%s"] * len(fields))
            # The driver streams the generator, whatever the annotation says.
            adapted = cast("Any", prepared(adapt))
            cursor.executemany(f"INSERT INTO {table} ({columns}) VALUES ({marks})", adapted)  # noqa: S608
    return count
