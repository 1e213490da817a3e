"""Which deliveries a worker may send now: claimed under a lease, in one short transaction.

On PostgreSQL rows are locked with SKIP LOCKED; on SQLite the transaction is IMMEDIATE, so that nobody
else claims meanwhile. The target's own row is locked first: its rate, its concurrency over all workers
and its breaker are judged by one worker at a time.
"""

import secrets
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import chain
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import connection, transaction
from django.db.models import Count, Min, OuterRef, QuerySet, Subquery
from django.db.models.expressions import RawSQL

from integrations import targets
from integrations.models import Integration
from integrations.outcomes import Outcome, Result
from notifications import sharing
from notifications.models import Delivery, Event
from notifications.sharing import Wish

# Literals, not parameters: SQLite uses a partial index only where it can read the condition.
DUE = RawSQL("'due'", [])
SENDING = RawSQL("'sending'", [])


# Sent by a person and watched: never tried again behind their back.
ONE_SHOT = (Event.Origin.TEST, Event.Origin.CONNECTIVITY)


def lease_time() -> timedelta:
    return timedelta(seconds=settings.LEASE_SECONDS)


@dataclass(frozen=True, slots=True)
class Claimed:
    """A delivery in this worker's hands until ``lease_until``. ``probe``: it tries an open breaker."""

    id: UUID
    integration_id: int
    body: bytes
    content_type: str
    attempts: int
    first_attempt_at: datetime | None
    replays: int
    lease: str
    lease_until: datetime
    probe: bool = False


@dataclass(frozen=True, slots=True)
class Queue:
    """An active target and what bounds its sends."""

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
        """When its next delivery may go, as far as known; None: nothing waits."""
        if self.next_due is None:
            return None
        times = [self.next_due]
        if self.breaker_until:
            times.append(self.breaker_until)
        if rate := self.rate():
            times.append(sharing.next_allowed(self.rate_cursor, now, rate))
        return max(times)

    def rate(self) -> float | None:
        if self.per_second:
            return self.per_second
        kind = targets.KINDS.get(self.kind)
        return kind.per_second if kind else None

    def at_a_time(self) -> int:
        if self.concurrency:
            return self.concurrency
        kind = targets.KINDS.get(self.kind)
        return kind.concurrency if kind else 1


@dataclass(frozen=True, slots=True)
class Own:
    """What one worker knows of its own sends, by target: under way; back but not recorded yet; back
    promptly of late."""

    held: Mapping[int, int] = field(default_factory=dict)
    back: Mapping[int, int] = field(default_factory=dict)
    proven: Mapping[int, int] = field(default_factory=dict)


NOTHING = Own()
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


def queues(*, only: QuerySet[Integration] | None = None) -> list[Queue]:
    """The active targets with something due, now or later."""
    rows = (Integration.objects.all() if only is None else only).filter(state=Integration.State.ACTIVE)
    found = rows.annotate(next_due=_first_due()).order_by("id").values(*COLUMNS, "next_due")
    return [queue for row in found if (queue := Queue(**row)).next_due is not None]


def wishes(
    waiting: Sequence[Queue],
    sending: Mapping[int, int],
    own: Own,
    now: datetime,
) -> dict[int, Wish]:
    """What each target asks of this worker's pool.

    ``sending``: deliveries under way over all workers. An open breaker lets one probe through once its
    pause is over.
    """
    asked = {}
    for queue in waiting:
        room = queue.at_a_time() - sending.get(queue.id, 0) + own.back.get(queue.id, 0)
        if rate := queue.rate():
            room = min(room, sharing.allowance(queue.rate_cursor, now, rate))
        if queue.breaker_until:
            room = min(room, 1 if queue.breaker_until <= now else 0)
        if queue.next_due is None or queue.next_due > now:
            room = 0
        healthy = queue.consecutive_failures == 0 and queue.breaker_until is None
        asked[queue.id] = Wish(own.held.get(queue.id, 0), max(0, room), healthy, own.proven.get(queue.id, 0))
    for target, count in own.held.items():
        asked.setdefault(target, Wish(count, 0, healthy=True))
    return asked


def claim(
    waiting: Sequence[Queue], in_flight: int, now: datetime, own: Own = NOTHING, ahead: int = 0
) -> list[Claimed]:
    """Take due deliveries of the ``waiting`` targets, fairly, within every limit (see sharing.share_out)."""
    ids = [queue.id for queue in waiting if queue.next_due and queue.next_due <= now]
    if not ids:
        return []
    lease, until = secrets.token_hex(16), now + lease_time()
    with transaction.atomic():
        rows = Integration.objects.select_for_update(skip_locked=True, no_key=True).filter(
            id__in=ids, state=Integration.State.ACTIVE
        )
        next_due = {queue.id: queue.next_due for queue in waiting}
        locked = [Queue(**row, next_due=next_due[row["id"]]) for row in rows.order_by("id").values(*COLUMNS)]
        under_way = Delivery.objects.filter(state=SENDING, integration_id__in=[queue.id for queue in locked])
        sending = dict(under_way.values_list("integration_id").annotate(Count("id")).order_by())
        shares = sharing.share_out(wishes(locked, sending, own, now), in_flight, ahead)
        claimed = _take({queue.id: queue for queue in locked}, shares, lease, until, now)
        Delivery.objects.filter(id__in=[delivery.id for delivery in claimed]).update(
            state=Delivery.State.SENDING, lease=lease, lease_until=until
        )
        _spend(locked, Counter(delivery.integration_id for delivery in claimed), until, now)
    return claimed


# SQLite takes five hundred parts; a worker's pool is rarely larger.
PARTS = 400
_PART = (
    "SELECT * FROM (SELECT id, integration_id, body, content_type, attempts, first_attempt_at, replays "
    "FROM {table} WHERE integration_id = %s AND state = 'due' AND due_at <= %s "
    "ORDER BY due_at LIMIT %s{lock}) AS part"
)


def _take(
    queues: Mapping[int, Queue], shares: Mapping[int, int], lease: str, until: datetime, now: datetime
) -> list[Claimed]:
    """The oldest due deliveries, of each target its share, locked, by one statement for all targets."""
    table = connection.ops.quote_name(Delivery._meta.db_table)
    lock = " FOR UPDATE SKIP LOCKED" if connection.features.has_select_for_update_skip_locked else ""
    part = _PART.format(table=table, lock=lock)
    at = connection.ops.adapt_datetimefield_value(now)
    asked = [(target, at, share) for target, share in shares.items() if share and target in queues]
    taken: list[Claimed] = []
    for start in range(0, len(asked), PARTS):
        parts = asked[start : start + PARTS]
        rows = Delivery.objects.raw(" UNION ALL ".join([part] * len(parts)), list(chain(*parts)))
        taken += [
            Claimed(
                row.id,
                row.integration_id,
                bytes(row.body or b""),
                row.content_type,
                row.attempts,
                row.first_attempt_at,
                row.replays,
                lease,
                until,
                probe=queues[row.integration_id].breaker_until is not None,
            )
            for row in rows
        ]
    return taken


def _spend(queues: Sequence[Queue], taken: Mapping[int, int], until: datetime, now: datetime) -> None:
    """What was taken counts against the rate; where it tries an open breaker, the others wait for its result."""
    for queue in queues:
        changes: dict[str, Any] = {}
        if taken.get(queue.id):
            if rate := queue.rate():
                changes["rate_cursor"] = sharing.spend(queue.rate_cursor, now, rate, taken[queue.id])
            if queue.breaker_until is not None:
                changes["breaker_until"] = until
        if changes:
            Integration.objects.filter(id=queue.id).update(**changes)


def renew(held: Sequence[Claimed], now: datetime) -> None:
    """Prolong the leases of sends that are still under way."""
    leases = {delivery.lease for delivery in held}
    Delivery.objects.filter(
        id__in=[delivery.id for delivery in held], lease__in=leases, state=Delivery.State.SENDING
    ).update(lease_until=now + lease_time())


def give_back(unsent: Sequence[Claimed]) -> None:
    """Return what was claimed but never sent: no attempt was made, none is counted."""
    leases = {delivery.lease for delivery in unsent}
    Delivery.objects.filter(
        id__in=[delivery.id for delivery in unsent], lease__in=leases, state=Delivery.State.SENDING
    ).update(state=Delivery.State.DUE, lease="", lease_until=None)


LOST = Outcome(
    Result.OURS,
    "The worker died or lost its lease during this attempt; whether the event arrived is not known.",
)


def expired(now: datetime, limit: int = 500) -> list[tuple[Claimed, str]]:
    """Deliveries whose lease has run out, taken over under a fresh lease, with their event's origin."""
    lease, until = secrets.token_hex(16), now + lease_time()
    with transaction.atomic():
        rows = list(
            Delivery.objects.select_for_update(skip_locked=True, of=("self",))
            .filter(state=SENDING, lease_until__lt=now)
            .order_by("lease_until")[:limit]
            .values_list("id", "integration_id", "attempts", "first_attempt_at", "replays", "event__origin")
        )
        Delivery.objects.filter(id__in=[row[0] for row in rows]).update(lease=lease, lease_until=until)
    return [
        (Claimed(id, integration, b"", "", attempts, first, replays, lease, until), origin)
        for id, integration, attempts, first, replays, origin in rows
    ]


def next_due() -> datetime | None:
    """The earliest time at which some active target has something to send."""
    found: datetime | None = Delivery.objects.filter(
        state=DUE, integration__state=Integration.State.ACTIVE
    ).aggregate(at=Min("due_at"))["at"]
    return found


def bury_disabled(now: datetime) -> int:
    """What waits for a disabled target becomes a dead letter: seen, replayable, not waiting for ever."""
    waiting = Delivery.objects.filter(state=DUE, integration__state=Integration.State.DISABLED)
    return waiting.update(
        state=Delivery.State.DEAD, due_at=None, finished_at=now, reason="The target is disabled."
    )
