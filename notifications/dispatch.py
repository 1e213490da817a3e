"""The worker that sends: claim, commit, send from many threads, record, commit.

One thread, the caller's, has the database; the others only send. So no transaction is ever open while a
socket is, and a batch costs a handful of statements whatever its size.
"""

import logging
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from math import inf
from uuid import UUID

from django.conf import settings
from django.db import InterfaceError, OperationalError, close_old_connections
from django.utils import timezone

from integrations import targets
from integrations.models import Integration
from integrations.outcomes import Outcome, Result
from integrations.services import target_of
from integrations.targets.base import Outgoing, Target, TargetKind
from notifications import bell, health, leasing, recording
from notifications.backoff import Limits
from notifications.leasing import ONE_SHOT, Claimed, Queue
from notifications.models import Delivery
from notifications.recording import Sent
from notifications.sending import Job, Prompt, Senders, ours

log = logging.getLogger(__name__)

# A worker stays for what becomes due within so many seconds; the sweep takes care of the rest.
LINGER = timedelta(seconds=10)
RECORD_EVERY = 0.2
RECORD_AT = 256
# While threads lack work a claim follows the last one so soon; while deliveries wait for threads it has time.
CLAIM_SOON, CLAIM_EVERY = 0.02, 0.1
TARGETS_KEPT = 5.0
DATABASE_GONE = (OperationalError, InterfaceError)


@dataclass(slots=True)
class Summary:
    """What one dispatch task did: attempts by result, and what it gave back unsent."""

    attempts: Counter[str] = field(default_factory=Counter)
    unsent: int = 0

    @property
    def delivered(self) -> int:
        return self.attempts[Result.DELIVERED]


# --- The worker -------------------------------------------------------------------------------------
class Dispatcher:
    """One dispatch task: works while anything is due or soon will be, for ``seconds`` at most."""

    def __init__(self, *, seconds: float, in_flight: int, stop: threading.Event | None = None) -> None:
        self.until = time.monotonic() + seconds
        self.in_flight = in_flight
        # Claimed beyond what is being sent, so that no thread waits for the next claim.
        self.ahead = in_flight
        self.stop = stop or threading.Event()
        self.senders = Senders(in_flight)
        self.held: dict[UUID, Claimed] = {}
        self.held_by: Counter[int] = Counter()
        self.prompt = Prompt()
        self.results: list[Sent] = []
        self.unsent: list[Claimed] = []
        self.targets: dict[int, tuple[float, datetime, TargetKind, Target]] = {}
        self.limits: dict[int, Limits] = {}
        self.next_ready: datetime | None = None
        self.recorded_at = self.renewed_at = time.monotonic()
        self.claimed_at = -inf
        self.idle = CLAIM_SOON
        self.summary = Summary()

    def run(self) -> Summary:
        try:
            self._again(return_expired)
            while True:
                if self._may_claim():
                    self._again(self._claim)
                self._collect(self._patience())
                self._again(self._write)
                if not self.held and not self.results and self._done():
                    return self.summary
                if self.held and time.monotonic() > self.until + settings.LEASE_SECONDS:
                    log.error("%d sends did not return; their leases will run out", len(self.held))
                    return self.summary
        finally:
            self.senders.close()

    def _again(self, action: Callable[[], object]) -> None:
        """Do it, also while the database restarts: what was sent must be recorded."""
        for pause in (0.5, 1, 2, 4, 8, 8, 8, None):
            try:
                action()
                return
            except DATABASE_GONE as error:
                if pause is None:
                    raise
                log.warning("the database is away (%s), trying again", error)
                close_old_connections()
                time.sleep(pause)

    @property
    def _ending(self) -> bool:
        return self.stop.is_set() or time.monotonic() >= self.until

    def _done(self) -> bool:
        if self._ending:
            return True
        return self.next_ready is None or self.next_ready > timezone.now() + LINGER

    def _may_claim(self) -> bool:
        waiting = len(self.held) - self.in_flight
        if self._ending or waiting >= self.ahead:
            return False
        wait = CLAIM_EVERY if waiting > self.ahead // 2 else self.idle
        return time.monotonic() - self.claimed_at >= wait

    def _claim(self) -> None:
        now = timezone.now()
        waiting = leasing.queues()
        back = Counter(sent.claimed.integration_id for sent in self.results)
        own = leasing.Own(self.held_by, back, self.prompt.counts())
        claimed = leasing.claim(waiting, self.in_flight, now, own, self.ahead)
        ready = [at for waits in waiting if (at := waits.ready_at(now))]
        self.next_ready = min(ready, default=None)
        self.claimed_at = time.monotonic()
        # Nothing to be had: look again soon, then less often, until something has come back.
        self.idle = CLAIM_SOON if claimed else min(self.idle * 2, 0.5)
        by_target: dict[int, list[Claimed]] = {}
        for delivery in claimed:
            by_target.setdefault(delivery.integration_id, []).append(delivery)
        for waits in waiting:
            if waits.id in by_target:
                self._hand_out(by_target[waits.id], waits)

    def _hand_out(self, claimed: Sequence[Claimed], waits: Queue) -> None:
        self.limits[waits.id] = recording.limits_of(waits.max_attempts, waits.max_age_hours)
        try:
            kind, target = self._target(waits)
        except Exception as error:  # noqa: BLE001  settings that cannot be opened are ours, and retried
            now = timezone.now()
            self.results += [Sent(delivery, ours(error), now, now) for delivery in claimed]
            return
        for delivery in claimed:
            self.held[delivery.id] = delivery
            self.senders.put(Job(delivery, kind, target))
        self.held_by[waits.id] += len(claimed)

    def _target(self, waits: Queue) -> tuple[TargetKind, Target]:
        kept = self.targets.get(waits.id)
        now = time.monotonic()
        if kept and kept[1] == waits.updated_at and now - kept[0] < TARGETS_KEPT:
            return kept[2], kept[3]
        kind = targets.get(waits.kind)
        target = target_of(Integration.objects.get(id=waits.id))
        self.targets[waits.id] = (now, waits.updated_at, kind, target)
        return kind, target

    def _patience(self) -> float:
        """How long to wait for results before there is something else to do."""
        if self.results:
            return 0.005 if self.held else 0
        if self.held:
            return CLAIM_SOON if len(self.held) < self.in_flight else CLAIM_EVERY
        return 0 if self._ending or self._done() else self.idle

    def _collect(self, timeout: float) -> None:
        if not self.held:
            if timeout:
                self.stop.wait(timeout)
            return
        back = self.senders.take(timeout)
        if back:
            self.idle = CLAIM_SOON
        for result in back:
            claimed = result.claimed if isinstance(result, Sent) else result
            self.held.pop(claimed.id, None)
            self.held_by[claimed.integration_id] -= 1
            if not self.held_by[claimed.integration_id]:
                del self.held_by[claimed.integration_id]
            if isinstance(result, Sent):
                self.results.append(result)
                self.prompt.note(result)
            else:
                self.unsent.append(result)

    def _expect(self, due_at: datetime | None) -> None:
        """What goes back to the queue may be due sooner than all that the last claim saw."""
        if due_at and (self.next_ready is None or due_at < self.next_ready):
            self.next_ready = due_at

    def _write(self) -> None:
        now = time.monotonic()
        if self.unsent:
            leasing.give_back(self.unsent)
            self.summary.unsent += len(self.unsent)
            self.unsent = []
            self._expect(timezone.now())
        late = now - self.recorded_at >= RECORD_EVERY
        if self.results and (late or len(self.results) >= RECORD_AT or not self.held):
            for _, decision in recording.record(self.results, self.limits):
                self._expect(decision.due_at)
            done, self.results = self.results, []
            self.recorded_at = now
            self.summary.attempts.update(str(sent.outcome.result) for sent in done)
            health.note(done)
        if self.held and now - self.renewed_at > settings.LEASE_SECONDS / 3:
            leasing.renew(list(self.held.values()), timezone.now())
            self.renewed_at = now


def return_expired() -> int:
    """Deliveries whose worker is gone wait for their next attempt; the lost one counts, and is on record.

    Counting it is what ends a delivery that kills its worker each time. A message that a person sent
    from a Test button is not tried again.
    """
    count = 0
    while taken := leasing.expired(timezone.now()):
        limits = {
            row["id"]: recording.limits_of(row["max_attempts"], row["max_age_hours"])
            for row in Integration.objects.filter(id__in={c.integration_id for c, _ in taken}).values(
                "id", "max_attempts", "max_age_hours"
            )
        }
        now = timezone.now()
        for group, allowed in (
            ([c for c, origin in taken if origin not in ONE_SHOT], limits),
            ([c for c, origin in taken if origin in ONE_SHOT], dict.fromkeys(limits, Limits(1))),
        ):
            if group:
                recording.record([Sent(c, leasing.LOST, now, now) for c in group], allowed)
        count += len(taken)
    return count


def send_once(delivery: Delivery, send: Callable[[Outgoing], Outcome]) -> Outcome:
    """One inline attempt of a delivery that is already ours (state sending, a lease); no retry follows."""
    started = timezone.now()
    outgoing = Outgoing(
        str(delivery.id), bytes(delivery.body or b""), delivery.content_type, int(started.timestamp())
    )
    try:
        outcome = send(outgoing)
    except Exception as error:  # noqa: BLE001  shown to the person who pressed the button
        outcome = ours(error)
    claimed = Claimed(
        delivery.id,
        delivery.integration_id,
        outgoing.body,
        delivery.content_type,
        delivery.attempts,
        delivery.first_attempt_at,
        delivery.replays,
        delivery.lease,
        delivery.lease_until or started,
    )
    sent = Sent(claimed, outcome, started, timezone.now())
    recording.record([sent], {delivery.integration_id: Limits(max_attempts=1)})
    return outcome


@contextmanager
def stopped_by_sigterm(stop: threading.Event) -> Iterator[None]:
    """A worker that is told to end finishes what is under way and gives back the rest."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, lambda *_: stop.set())
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def dispatch(*, seconds: float | None = None, in_flight: int | None = None) -> Summary:
    """Send what is due. Rings for a successor where work is left at the end."""
    stop = threading.Event()
    with stopped_by_sigterm(stop):
        dispatcher = Dispatcher(
            seconds=settings.DISPATCH_SECONDS if seconds is None else seconds,
            in_flight=in_flight or settings.DISPATCH_IN_FLIGHT,
            stop=stop,
        )
        summary = dispatcher.run()
    if work_is_due():
        bell.ring()
    return summary


def work_is_due(within: timedelta = timedelta(0)) -> bool:
    """Whether a target could be sent something now (or ``within`` so long)."""
    now = timezone.now()
    return any((at := waits.ready_at(now)) is not None and at <= now + within for waits in leasing.queues())
