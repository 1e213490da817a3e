"""Store the results of attempts: many at once, in one short transaction."""

import logging
import os
import platform
import random
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from uuid import UUID
from zlib import crc32

from django.conf import settings
from django.db import transaction
from django.db.models import Max

from integrations.models import Integration
from integrations.services import AttemptOutcome
from notifications import sql
from notifications.delivery.backoff import Decision, RetryLimits, decide
from notifications.delivery.leases import ClaimedDelivery
from notifications.models import Attempt, AttemptTotal

log = logging.getLogger(__name__)

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
class AttemptResult:
    """One attempt that was made, from ``started_at`` until its outcome was known at ``ended_at``."""

    claimed: ClaimedDelivery
    outcome: AttemptOutcome
    started_at: datetime
    ended_at: datetime


def retry_limits(max_attempts: int | None, max_age_hours: int | None) -> RetryLimits:
    """The limits of a target; None: the default."""
    default = RetryLimits()
    return RetryLimits(
        max_attempts or default.max_attempts,
        timedelta(hours=max_age_hours) if max_age_hours else default.max_age,
        timedelta(seconds=settings.BACKOFF_BASE),
        timedelta(seconds=settings.BACKOFF_CAP),
    )


def record_results(
    results: Sequence[AttemptResult],
    limits: Mapping[int, RetryLimits],
    *,
    worker: str = "",
    are_tests: bool = False,
) -> list[tuple[AttemptResult, Decision]]:
    """Store each attempt and update its delivery, if this worker's lease still holds.

    ``limits``: target id → its limits. ``are_tests``: a member sent them and sees the result, so none becomes a dead
    letter. A result that comes after the lease was lost is stored as an attempt and changes
    nothing else: another worker holds the delivery.
    """
    decided = [(result, _decide(result, limits[result.claimed.integration_id])) for result in results]
    if are_tests:
        decided = [(result, _of_test(decision)) for result, decision in decided]
    worker = worker or worker_name()
    with transaction.atomic():
        numbers = _attempt_numbers(results)
        sql.insert_rows(
            Attempt,
            COLUMNS,
            [_attempt_row(one, decision, numbers[one.claimed.id], worker) for one, decision in decided],
        )
        sql.update_sent_deliveries([_changes(result, decision) for result, decision in decided])
        if not are_tests:
            sql.add_attempt_totals(_totals(results, worker))
    for result, decision in decided:
        _log(result, decision)
    return decided


def workers_since(time: datetime) -> int:
    """The number of workers, over all hosts, that have made an attempt since ``time``."""
    recent = Attempt.objects.filter(started_at__gt=time).order_by()
    return recent.values("worker").distinct().count()


def worker_name() -> str:
    return f"{platform.node()}:{os.getpid()}"


def _decide(result: AttemptResult, limits: RetryLimits) -> Decision:
    claimed = result.claimed
    first = claimed.first_attempt_at or result.started_at
    return decide(claimed.attempts + 1, first, result.ended_at, result.outcome, limits, random.random)


def _of_test(decision: Decision) -> Decision:
    return replace(decision, state="test_failed") if decision.state == "dead" else decision


def _log(result: AttemptResult, decision: Decision) -> None:
    level = {"delivered": logging.DEBUG, "dead": logging.WARNING}.get(decision.state, logging.INFO)
    if not log.isEnabledFor(level):
        return
    fields = {
        "delivery_id": str(result.claimed.id),
        "integration_id": result.claimed.integration_id,
        "attempt": result.claimed.attempts + 1,
    }
    if decision.state == "delivered":
        log.debug("Delivered", extra=fields | {"latency_ms": result.outcome.latency_ms})
    elif decision.state == "test_failed":
        log.info("Test failed", extra=fields | {"reason": decision.reason})
    elif decision.due_at:
        due_at = decision.due_at.isoformat(timespec="milliseconds")
        log.info("Delivery is retried", extra=fields | {"due_at": due_at, "reason": decision.reason})
    else:
        log.warning("Dead letter", extra=fields | {"reason": decision.reason})


def _attempt_numbers(results: Sequence[AttemptResult]) -> dict[UUID, int]:
    """delivery id → this attempt's number, over all replays; retention may have removed the first ones."""
    retried = [one.claimed.id for one in results if one.claimed.attempts or one.claimed.replays]
    stored: dict[UUID, int] = {}
    if retried:
        found = Attempt.objects.filter(delivery__in=retried).values_list("delivery")
        stored = dict(found.annotate(Max("number")).order_by())
    return {one.claimed.id: max(one.claimed.attempts, stored.get(one.claimed.id, 0)) + 1 for one in results}


def _attempt_row(result: AttemptResult, decision: Decision, number: int, worker: str) -> list[object]:
    outcome = result.outcome  # its texts are storable, but not of the columns' length
    return [
        result.claimed.id,
        number,
        result.started_at,
        min(max(outcome.latency_ms, 0), 2**31 - 1),
        str(outcome.result),
        outcome.status,
        outcome.reason[:500],
        outcome.token_step[:500],
        {name[:256]: value[:1024] for name, value in outcome.headers.items()},
        outcome.body[:MAX_BODY],
        decision.due_at,
        worker[:128],
    ]


def _totals(results: Sequence[AttemptResult], worker: str) -> list[tuple[int, str, str, int, int, int]]:
    """The rows that these attempts add to ``AttemptTotal``: shard, kind, outcome, bucket, attempts, milliseconds."""
    targets = Integration.objects.filter(id__in={one.claimed.integration_id for one in results})
    kinds = dict(targets.values_list("id", "kind"))
    shard = crc32(worker.encode()) % AttemptTotal.SHARDS
    attempts: Counter[tuple[str, str, int]] = Counter()
    milliseconds: Counter[tuple[str, str, int]] = Counter()
    for one in results:
        if kind := kinds.get(one.claimed.integration_id):
            spent = max(one.outcome.latency_ms, 0)
            bucket = next((most for most in AttemptTotal.BUCKETS_MS if spent <= most), AttemptTotal.SLOWER)
            attempts[kind, str(one.outcome.result), bucket] += 1
            milliseconds[kind, str(one.outcome.result), bucket] += spent
    return [(shard, *key, count, milliseconds[key]) for key, count in attempts.items()]


def _changes(result: AttemptResult, decision: Decision) -> sql.SentDelivery:
    claimed = result.claimed
    return sql.SentDelivery(
        state=decision.state,
        due_at=decision.due_at,
        attempts=claimed.attempts + 1,
        first_attempt_at=claimed.first_attempt_at or result.started_at,
        delivered_at=result.ended_at if decision.state == "delivered" else None,
        finished_at=None if decision.state == "due" else result.ended_at,
        reason=decision.reason[:500],
        status_code=result.outcome.status,
        id=claimed.id,
        lease=claimed.lease,
    )
