"""The SQL that the ORM cannot write, as whole statements, and the differences between PostgreSQL and SQLite."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple, cast
from uuid import UUID

from django.db import connection, models

from notifications.models import Delivery

Row = Sequence[object]


def _is_postgresql() -> bool:
    return connection.vendor == "postgresql"


def _adapt(value: object) -> Any:
    """A plain value for the SQLite driver, as the ORM stores it."""
    if isinstance(value, datetime):
        return connection.ops.adapt_datetimefield_value(value)
    if isinstance(value, UUID):
        return value.hex
    return value


# --- Many rows ----------------------------------------------------------------------------------------
def insert_rows(model: type[models.Model], names: Sequence[str], rows: Iterable[Row]) -> int:
    """Insert ``rows`` of plain Python values in the order of the fields ``names``; returns how many.

    COPY on PostgreSQL, executemany on SQLite. A field that is not named has no default here: name all that are required.
    ``rows`` may be a generator; it must not use the database.
    """
    # The stubs know no field by a name that is not a literal.
    fields: list[models.Field[object, object]] = [model._meta.get_field(name) for name in names]  # type: ignore[misc]
    columns = ", ".join(connection.ops.quote_name(str(field.column)) for field in fields)
    table = connection.ops.quote_name(model._meta.db_table)
    write = _copy if _is_postgresql() else _execute_many
    return write(f"{table} ({columns})", fields, rows)


def _copy(into: str, fields: Sequence["models.Field[object, object]"], rows: Iterable[Row]) -> int:
    """Binary: in text format PostgreSQL takes a body as hexadecimal digits, twice as many bytes."""
    count = 0
    types = [str(field.db_type(connection)).partition("(")[0] for field in fields]
    with connection.cursor() as cursor, cursor.copy(f"COPY {into} FROM STDIN (FORMAT BINARY)") as copy:
        copy.set_types(types)
        for row in rows:
            copy.write_row(row)
            count += 1
    return count


def _execute_many(into: str, fields: Sequence["models.Field[object, object]"], rows: Iterable[Row]) -> int:
    count = 0
    json_columns = [index for index, field in enumerate(fields) if isinstance(field, models.JSONField)]
    marks = ", ".join(["%s"] * len(fields))

    def adapted_rows() -> Iterator[list[object]]:
        nonlocal count
        for row in rows:
            values = [_adapt(value) for value in row]
            for index in json_columns:
                values[index] = None if row[index] is None else _json(row[index])
            count += 1
            yield values

    with connection.cursor() as cursor:
        # The driver streams the generator, though the stubs require a sequence.
        cursor.executemany(f"INSERT INTO {into} VALUES ({marks})", cast("Any", adapted_rows()))  # noqa: S608
    return count


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


# --- Deliveries ---------------------------------------------------------------------------------------
class SentDelivery(NamedTuple):
    """The changes of one delivery after an attempt, in the order of the parameters below."""

    state: str
    due_at: datetime | None
    attempts: int
    first_attempt_at: datetime
    delivered_at: datetime | None
    finished_at: datetime | None
    reason: str
    status_code: int | None
    id: UUID
    lease: str


# One look into the partial index for each target, and one round trip for all.
_LOCK_DUE_POSTGRES = """
    SELECT due.*
    FROM unnest(%s::bigint[], %s::int[]) AS share (integration_id, deliveries)
    CROSS JOIN LATERAL (
        SELECT id, integration_id, body, content_type, attempts, first_attempt_at, replays, event_id
        FROM notifications_delivery
        WHERE integration_id = share.integration_id AND state = 'due' AND due_at <= %s
        ORDER BY due_at
        LIMIT share.deliveries
        FOR UPDATE SKIP LOCKED
    ) AS due
"""
# For one target. The transaction is IMMEDIATE, which locks the database.
_LOCK_DUE_SQLITE = """
    SELECT id, integration_id, body, content_type, attempts, first_attempt_at, replays, event_id
    FROM notifications_delivery
    WHERE integration_id = %s AND state = 'due' AND due_at <= %s
    ORDER BY due_at
    LIMIT %s
"""


def lock_due_deliveries(shares: Mapping[int, int], now: datetime) -> list[Delivery]:
    """The oldest due deliveries of each target, ``shares`` of them by target id, locked for this transaction."""
    if not shares:
        return []
    if _is_postgresql():
        parameters = [list(shares), list(shares.values()), now]
        return list(Delivery.objects.raw(_LOCK_DUE_POSTGRES, parameters))
    return [
        delivery
        for target, share in shares.items()
        for delivery in Delivery.objects.raw(_LOCK_DUE_SQLITE, [target, _adapt(now), share])
    ]


_UPDATE_SENT_POSTGRES = """
    UPDATE notifications_delivery AS old
    SET state = new.state, due_at = new.due_at, attempts = new.attempts, first_attempt_at = new.first_attempt_at,
        delivered_at = new.delivered_at, finished_at = new.finished_at, reason = new.reason,
        status_code = new.status_code, lease = '', lease_until = NULL
    FROM unnest(
        %s::text[], %s::timestamptz[], %s::int[], %s::timestamptz[], %s::timestamptz[], %s::timestamptz[],
        %s::text[], %s::int[], %s::uuid[], %s::text[]
    ) AS new (
        state, due_at, attempts, first_attempt_at, delivered_at, finished_at,
        reason, status_code, id, lease
    )
    WHERE old.id = new.id AND old.lease = new.lease AND old.state = 'sending'
"""
_UPDATE_SENT_SQLITE = """
    UPDATE notifications_delivery
    SET state = %s, due_at = %s, attempts = %s, first_attempt_at = %s, delivered_at = %s, finished_at = %s,
        reason = %s, status_code = %s, lease = '', lease_until = NULL
    WHERE id = %s AND lease = %s AND state = 'sending'
"""


def update_sent_deliveries(changes: Sequence[SentDelivery]) -> None:
    """Store the changes of those deliveries that are still held under their lease."""
    with connection.cursor() as cursor:
        if _is_postgresql():
            columns = [list(column) for column in zip(*changes, strict=True)]
            cursor.execute(_UPDATE_SENT_POSTGRES, columns)
        else:
            cursor.executemany(_UPDATE_SENT_SQLITE, [[_adapt(value) for value in one] for one in changes])


# --- Totals -------------------------------------------------------------------------------------------
_ADD_ATTEMPT_TOTALS = """
    INSERT INTO notifications_attempttotal AS total (shard, kind, outcome, bucket_ms, attempts, milliseconds)
    VALUES (%s, %s, %s, %s, %s, %s)
    ON CONFLICT (shard, kind, outcome, bucket_ms) DO UPDATE
    SET attempts = total.attempts + excluded.attempts, milliseconds = total.milliseconds + excluded.milliseconds
"""


def add_attempt_totals(rows: Iterable[tuple[int, str, str, int, int, int]]) -> None:
    """Add attempts and milliseconds (the last two of each row) to the totals of shard, kind, outcome and bucket."""
    with connection.cursor() as cursor:
        # In one order everywhere: two workers of one shard then wait for each other and do not lock up.
        cursor.executemany(_ADD_ATTEMPT_TOTALS, sorted(rows))
