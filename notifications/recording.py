"""What became of attempts, written down: many at once, in one short transaction."""

import os
import platform
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from django.conf import settings
from django.db import connection, transaction
from django.db.models import Count, Max

from integrations.outcomes import Outcome
from notifications import bulk
from notifications.backoff import Decision, Limits, decide
from notifications.leasing import Claimed
from notifications.models import Attempt, Delivery

MAX_BODY = 8192
COLUMNS = (
    "delivery",
    "number",
    "started_at",
    "latency_ms",
    "outcome",
    "status_code",
    "reason",
    "token_step",
    "response_headers",
    "response_body",
    "next_attempt_at",
    "worker",
)


@dataclass(frozen=True, slots=True)
class Sent:
    """One attempt, made. ``started_at`` is when the send began, ``ended_at`` when its outcome was known."""

    claimed: Claimed
    outcome: Outcome
    started_at: datetime
    ended_at: datetime


def limits_of(max_attempts: int | None, max_age_hours: int | None) -> Limits:
    standard = Limits()
    return Limits(
        max_attempts or standard.max_attempts,
        timedelta(hours=max_age_hours) if max_age_hours else standard.max_age,
        timedelta(seconds=settings.BACKOFF_BASE),
        timedelta(seconds=settings.BACKOFF_CAP),
    )


def record(
    results: Sequence[Sent], limits: Mapping[int, Limits], *, worker: str = ""
) -> list[tuple[Sent, Decision]]:
    """Log each attempt and move its delivery on, where this worker's lease still holds.

    ``limits``: target id → its limits. A result that comes after the lease was lost is logged, and
    changes nothing: the delivery is in another worker's hands.
    """
    decided = [(sent, _decide(sent, limits[sent.claimed.integration_id])) for sent in results]
    worker = worker or this_worker()
    with transaction.atomic():
        numbers = _numbers(results)
        rows = [_attempt_row(sent, decision, numbers[sent.claimed.id], worker) for sent, decision in decided]
        bulk.insert(Attempt, COLUMNS, rows)
        _move_on(decided)
    return decided


def workers_since(then: datetime) -> int:
    """How many workers, over all hosts, have made an attempt since."""
    return Attempt.objects.filter(started_at__gt=then).aggregate(count=Count("worker", distinct=True))[
        "count"
    ]


def this_worker() -> str:
    return f"{platform.node()}:{os.getpid()}"


def _decide(sent: Sent, limits: Limits) -> Decision:
    claimed = sent.claimed
    first = claimed.first_attempt_at or sent.started_at
    return decide(claimed.attempts + 1, first, sent.ended_at, sent.outcome, limits, random.random)


def _numbers(results: Sequence[Sent]) -> dict[UUID, int]:
    """delivery id → this attempt's number, over all replays; retention may have removed early ones."""
    seasoned = [sent.claimed.id for sent in results if sent.claimed.attempts or sent.claimed.replays]
    logged = (
        dict(
            Attempt.objects.filter(delivery__in=seasoned)
            .values_list("delivery")
            .annotate(Max("number"))
            .order_by()
        )
        if seasoned
        else {}
    )
    return {
        sent.claimed.id: max(sent.claimed.attempts, logged.get(sent.claimed.id, 0)) + 1 for sent in results
    }


def _clean(text: str, limit: int) -> str:
    """PostgreSQL stores no NUL."""
    return text.replace("\x00", "\N{REPLACEMENT CHARACTER}")[:limit]


def _attempt_row(sent: Sent, decision: Decision, number: int, worker: str) -> list[object]:
    outcome = sent.outcome
    headers = {_clean(name, 256): _clean(value, 1024) for name, value in outcome.headers.items()}
    return [
        sent.claimed.id,
        number,
        sent.started_at,
        min(max(outcome.latency_ms, 0), 2**31 - 1),
        str(outcome.result),
        outcome.status,
        _clean(outcome.reason, 500),
        _clean(outcome.token_step, 500),
        headers,
        _clean(outcome.body, MAX_BODY),
        decision.due_at,
        worker[:128],
    ]


# Column → its type on PostgreSQL, in the order of both statements' parameters.
_SET = {
    "state": "text",
    "due_at": "timestamptz",
    "attempts": "int",
    "first_attempt_at": "timestamptz",
    "delivered_at": "timestamptz",
    "finished_at": "timestamptz",
    "reason": "text",
    "status_code": "int",
}


def _move_on(decided: Sequence[tuple[Sent, Decision]]) -> None:
    rows = [
        (
            decision.state,
            decision.due_at,
            sent.claimed.attempts + 1,
            sent.claimed.first_attempt_at or sent.started_at,
            sent.ended_at if decision.state == "delivered" else None,
            None if decision.state == "due" else sent.ended_at,
            _clean(decision.reason, 500),
            sent.outcome.status,
            sent.claimed.id,
            sent.claimed.lease,
        )
        for sent, decision in decided
    ]
    table = connection.ops.quote_name(Delivery._meta.db_table)
    with connection.cursor() as cursor:
        if bulk.is_postgres():
            types = [*_SET.values(), "uuid", "text"]
            columns = [list(column) for column in zip(*rows, strict=True)]
            arrays = ", ".join(f"%s::{kind}[]" for kind in types)
            names = ", ".join((*_SET, "id", "lease"))
            changes = ", ".join(f"{name} = new.{name}" for name in _SET)
            cursor.execute(
                f"UPDATE {table} AS old SET {changes}, lease = '', lease_until = NULL "  # noqa: S608
                f"FROM unnest({arrays}) AS new({names}) "
                "WHERE old.id = new.id AND old.lease = new.lease AND old.state = 'sending'",
                columns,
            )
        else:
            changes = ", ".join(f"{name} = %s" for name in _SET)
            cursor.executemany(
                f"UPDATE {table} SET {changes}, lease = '', lease_until = NULL "  # noqa: S608
                "WHERE id = %s AND lease = %s AND state = 'sending'",
                [[bulk.adapt(value) for value in row] for row in rows],
            )
