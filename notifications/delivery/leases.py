"""Which deliveries a worker may send now: it claims them under a lease, in one short transaction.

On PostgreSQL rows are locked with SKIP LOCKED. On SQLite the transaction is IMMEDIATE, so nobody else claims at the same
time. The target's own row is locked first: one worker at a time decides by its rate, its concurrency and its breaker.
"""

import logging
import secrets
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.db.models import Count, Min, OuterRef, QuerySet, Subquery
from django.db.models.expressions import RawSQL

from integrations.models import Integration
from integrations.services import KINDS, AttemptOutcome, Result
from notifications import sql
from notifications.delivery import fairness
from notifications.delivery.fairness import Demand
from notifications.models import Audience, Delivery, Event

log = logging.getLogger(__name__)

# Literals, not parameters: SQLite uses a partial index only if it can read the condition.
DUE = RawSQL("'due'", [])
SENDING = RawSQL("'sending'", [])


# An earlier message of a check that waits is at most this much older: attempts end after a day, and pauses are short.
LOOK_BACK = timedelta(days=14)
# So much later than the message for which it waits.
POSTPONED_BY = timedelta(seconds=2)


def lease_time() -> timedelta:
    return timedelta(seconds=settings.LEASE_SECONDS)


@dataclass(frozen=True, slots=True)
class ClaimedDelivery:
    """A delivery that this worker holds until ``lease_until``. ``is_probe``: it tests an open breaker."""

    id: UUID
    integration_id: int
    body: bytes
    content_type: str
    attempts: int
    first_attempt_at: datetime | None
    replays: int
    lease: str
    lease_until: datetime
    is_probe: bool = False


@dataclass(frozen=True, slots=True)
class TargetQueue:
    """An active target with the time of its next delivery and its limits."""

    id: int
    kind: str
    updated_at: datetime
    next_due: datetime | None
    consecutive_failures: int
    breaker_until: datetime | None
    rate_cursor: datetime | None
    per_second: float | None
    concurrency: int | None
    max_attempts: int | None
    max_age_hours: int | None

    def ready_at(self, now: datetime) -> datetime | None:
        """When its next delivery may be sent, as far as is known; None: nothing waits."""
        if self.next_due is None:
            return None
        times = [self.next_due]
        if self.breaker_until:
            times.append(self.breaker_until)
        if rate := self.rate_limit():
            times.append(fairness.next_allowed(self.rate_cursor, now, rate))
        return max(times)

    def rate_limit(self) -> float | None:
        """Sends per second; None: unlimited."""
        if self.per_second:
            return self.per_second
        kind = KINDS.get(self.kind)
        return kind.per_second if kind else None

    def concurrency_limit(self) -> int:
        if self.concurrency:
            return self.concurrency
        kind = KINDS.get(self.kind)
        return kind.concurrency if kind else 1


@dataclass(frozen=True, slots=True)
class WorkerLoad:
    """One worker's own sends by target: in flight, ended but not recorded yet, and recently fast."""

    in_flight: Mapping[int, int] = field(default_factory=dict)
    unrecorded: Mapping[int, int] = field(default_factory=dict)
    recently_fast: Mapping[int, int] = field(default_factory=dict)


NO_LOAD = WorkerLoad()
COLUMNS = (
    "id",
    "kind",
    "updated_at",
    "consecutive_failures",
    "breaker_until",
    "rate_cursor",
    "per_second",
    "concurrency",
    "max_attempts",
    "max_age_hours",
)


def _first_due() -> Subquery:
    due = Delivery.objects.filter(integration=OuterRef("pk"), state=DUE).order_by("due_at")
    return Subquery(due.values("due_at")[:1])


def queues() -> list[TargetQueue]:
    """The active targets with something due, now or later."""
    rows = Integration.objects.filter(state=Integration.State.ACTIVE)
    found = rows.annotate(next_due=_first_due()).order_by("id").values(*COLUMNS, "next_due")
    return [queue for row in found if (queue := TargetQueue(**row)).next_due is not None]


def demands(
    waiting: Sequence[TargetQueue], sending: Mapping[int, int], load: WorkerLoad, now: datetime
) -> dict[int, Demand]:
    """The limits of each target in this worker's pool.

    ``sending``: deliveries in flight over all workers. An open breaker lets one probe through after its pause.
    """
    found = {}
    for queue in waiting:
        room = queue.concurrency_limit() - sending.get(queue.id, 0) + load.unrecorded.get(queue.id, 0)
        if rate := queue.rate_limit():
            room = min(room, fairness.allowance(queue.rate_cursor, now, rate))
        if queue.breaker_until:
            room = min(room, 1 if queue.breaker_until <= now else 0)
        if queue.next_due is None or queue.next_due > now:
            room = 0
        is_healthy = queue.consecutive_failures == 0 and queue.breaker_until is None
        found[queue.id] = Demand(
            load.in_flight.get(queue.id, 0), max(0, room), is_healthy, load.recently_fast.get(queue.id, 0)
        )
    for target, count in load.in_flight.items():
        found.setdefault(target, Demand(count, 0, is_healthy=True))
    return found


def claim(
    waiting: Sequence[TargetQueue], threads: int, now: datetime, load: WorkerLoad = NO_LOAD, ahead: int = 0
) -> list[ClaimedDelivery]:
    """Take due deliveries of the ``waiting`` targets, within every limit; see :func:`fairness.share_out`."""
    ids = [queue.id for queue in waiting if queue.next_due and queue.next_due <= now]
    if not ids:
        return []
    lease, until = secrets.token_hex(16), now + lease_time()
    with transaction.atomic():
        rows = Integration.objects.select_for_update(skip_locked=True, no_key=True).filter(
            id__in=ids, state=Integration.State.ACTIVE
        )
        next_due = {queue.id: queue.next_due for queue in waiting}
        locked = [
            TargetQueue(**row, next_due=next_due[row["id"]]) for row in rows.order_by("id").values(*COLUMNS)
        ]
        in_flight = Delivery.objects.filter(state=SENDING, integration_id__in=[queue.id for queue in locked])
        sending = dict(in_flight.values_list("integration_id").annotate(Count("id")).order_by())
        shares = fairness.share_out(demands(locked, sending, load, now), threads, ahead)
        claimed = _select_due({queue.id: queue for queue in locked}, shares, lease, until, now)
        Delivery.objects.filter(id__in=[delivery.id for delivery in claimed]).update(
            state=Delivery.State.SENDING, lease=lease, lease_until=until
        )
        _use_rate(locked, Counter(delivery.integration_id for delivery in claimed), until, now)
    if claimed:
        log.debug(
            "Claimed deliveries",
            extra={"deliveries": len(claimed), "targets": len({one.integration_id for one in claimed})},
        )
    return claimed


def _select_due(
    queues: Mapping[int, TargetQueue], shares: Mapping[int, int], lease: str, until: datetime, now: datetime
) -> list[ClaimedDelivery]:
    """The oldest due deliveries, of each target its share, locked; without those that must wait for an earlier one."""
    wanted = {target: share for target, share in shares.items() if share and target in queues}
    rows = sql.lock_due_deliveries(wanted, now)
    early = _postpone_early(rows, now)
    return [
        ClaimedDelivery(
            row.id,
            row.integration_id,
            bytes(row.body or b""),
            row.content_type,
            row.attempts,
            row.first_attempt_at,
            row.replays,
            lease,
            until,
            is_probe=queues[row.integration_id].breaker_until is not None,
        )
        for row in rows
        if row.id not in early
    ]


def _postpone_early(rows: Sequence[Delivery], now: datetime) -> set[UUID]:
    """Postpone the messages that users no longer fail a check while an earlier message of the check waits for the same target:
    an alert that is opened after it was resolved would stay open. Returns their ids."""
    resolved = Event.objects.filter(origin=Event.Origin.RESOLVED, check_ref__isnull=False).in_bulk(
        {row.event_id for row in rows}
    )
    postponed = set()
    for row in rows:
        if (event := resolved.get(row.event_id)) is None:
            continue
        # Messages to single persons open no alert, and one mailbox may be unreachable for a day.
        waiting = Delivery.objects.filter(
            integration=row.integration_id,
            audience=Audience.LIST,
            state__in=Delivery.OPEN,
            event__check_ref=event.check_ref_id,
            event__created_at__lt=event.created_at,
            event__created_at__gte=event.created_at - LOOK_BACK,
        )
        if (first := waiting.aggregate(count=Count("id"), due=Min("due_at")))["count"]:
            due = max(first["due"] or now, now) + POSTPONED_BY
            Delivery.objects.filter(id=row.id).update(due_at=due)
            postponed.add(row.id)
            log.info(
                "Postponed behind an earlier message of the check",
                extra={"delivery": str(row.id), "integration_id": row.integration_id},
            )
    return postponed


def _use_rate(
    queues: Sequence[TargetQueue], claimed: Mapping[int, int], until: datetime, now: datetime
) -> None:
    """Count the claimed deliveries against the rate. While a probe is in flight its breaker stays open for others."""
    for queue in queues:
        changes: dict[str, datetime] = {}
        if claimed.get(queue.id):
            if rate := queue.rate_limit():
                changes["rate_cursor"] = fairness.spend(queue.rate_cursor, now, rate, claimed[queue.id])
            if queue.breaker_until is not None:
                changes["breaker_until"] = until
                log.info("Breaker: one probe is sent", extra={"integration_id": queue.id})
        if changes:
            Integration.objects.filter(id=queue.id).update(**changes)


def renew(claimed: Sequence[ClaimedDelivery], now: datetime) -> None:
    """Prolong the leases of sends that are still in flight."""
    _still_held(claimed).update(lease_until=now + lease_time())


def return_unsent(unsent: Sequence[ClaimedDelivery]) -> None:
    """Return what was claimed but not sent: no attempt was made, and none is counted."""
    _still_held(unsent).update(state=Delivery.State.DUE, lease="", lease_until=None)
    log.debug("Returned unsent deliveries", extra={"deliveries": len(unsent)})


def _still_held(claimed: Sequence[ClaimedDelivery]) -> QuerySet[Delivery]:
    return Delivery.objects.filter(
        id__in=[delivery.id for delivery in claimed],
        lease__in={delivery.lease for delivery in claimed},
        state=Delivery.State.SENDING,
    )


LOST = AttemptOutcome(
    Result.OURS,
    "The worker died or lost its lease during this attempt; whether the event arrived is not known.",
)


def take_over_expired(now: datetime, limit: int = 500) -> list[tuple[ClaimedDelivery, str]]:
    """Deliveries whose lease has run out, now under a fresh lease, with the origin of their event."""
    lease, until = secrets.token_hex(16), now + lease_time()
    with transaction.atomic():
        rows = list(
            Delivery.objects.select_for_update(skip_locked=True, of=("self",))
            .filter(state=SENDING, lease_until__lt=now)
            .order_by("lease_until")[:limit]
            .values_list("id", "integration_id", "attempts", "first_attempt_at", "replays", "event__origin")
        )
        Delivery.objects.filter(id__in=[row[0] for row in rows]).update(lease=lease, lease_until=until)
    if rows:
        log.warning("Leases ran out: their deliveries are taken over", extra={"deliveries": len(rows)})
    return [
        (ClaimedDelivery(id, integration, b"", "", attempts, first, replays, lease, until), origin)
        for id, integration, attempts, first, replays, origin in rows
    ]


def close_deliveries_of_disabled(now: datetime) -> int:
    """Make what waits for a disabled target a dead letter, which can be replayed; returns how many."""
    waiting = Delivery.objects.filter(state=DUE, integration__state=Integration.State.DISABLED)
    closed = waiting.update(
        state=Delivery.State.DEAD, due_at=None, finished_at=now, reason="The target is disabled."
    )
    if closed:
        log.warning("Deliveries of disabled targets became dead letters", extra={"deliveries": closed})
    return closed
