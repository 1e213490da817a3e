"""The worker that sends: claim, commit, send from many threads, record, commit.

The caller's thread uses the database; the others only send. So no transaction is open during network I/O, and
a batch of any size takes a handful of statements.
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

from integrations.models import Integration
from integrations.services import AttemptOutcome, AttemptRequest, Result, Target, kind_of, target_of
from notifications.delivery import breaker, leases, recorder, task_requests
from notifications.delivery.backoff import RetryLimits
from notifications.delivery.leases import ClaimedDelivery, TargetQueue
from notifications.delivery.recorder import AttemptResult
from notifications.delivery.sender import FastSends, Job, SenderPool, internal_error
from notifications.models import Delivery, Event

log = logging.getLogger(__name__)

# A worker waits for what becomes due within this time; the sweep finds the rest.
LINGER = timedelta(seconds=10)
# Seconds between records, and the number of results that are recorded at once.
RECORD_EVERY = 0.2
RECORD_AT = 256
# Seconds between claims while threads lack work, and while deliveries wait for threads.
CLAIM_SOON, CLAIM_EVERY = 0.02, 0.1
LONGEST_CLAIM_INTERVAL = 0.5
# Seconds for which an unsealed target is kept.
TARGET_LIFETIME = 5.0
DATABASE_AWAY = (OperationalError, InterfaceError)


@dataclass(slots=True)
class Summary:
    """The result of one dispatch task: attempts by result, and deliveries that it returned unsent."""

    attempts: Counter[str] = field(default_factory=Counter)
    unsent: int = 0

    @property
    def delivered(self) -> int:
        return self.attempts[Result.DELIVERED]


# --- The worker -------------------------------------------------------------------------------------
class Dispatcher:
    """One dispatch task: works while anything is due or soon will be, for ``seconds`` at most."""

    def __init__(self, *, seconds: float, threads: int, stop: threading.Event | None = None) -> None:
        self.until = time.monotonic() + seconds
        self.threads = threads
        # Deliveries claimed beyond those that are being sent, so that no thread waits for the next claim.
        self.ahead = threads
        self.stop = stop or threading.Event()
        self.pool = SenderPool(threads)
        self.claimed: dict[UUID, ClaimedDelivery] = {}
        self.claimed_by_target: Counter[int] = Counter()
        self.fast_sends = FastSends()
        self.results: list[AttemptResult] = []
        self.unsent: list[ClaimedDelivery] = []
        # Target → the clock when it was unsealed, the version of its row, and itself.
        self.targets: dict[int, tuple[float, datetime, Target]] = {}
        self.limits: dict[int, RetryLimits] = {}
        self.next_ready: datetime | None = None
        self.recorded_at = self.renewed_at = time.monotonic()
        self.claimed_at = -inf
        self.claim_interval = CLAIM_SOON
        self.summary = Summary()

    def run(self) -> Summary:
        try:
            self._with_retries(return_expired)
            while True:
                if self._may_claim():
                    self._with_retries(self._claim)
                self._collect(self._wait_time())
                self._with_retries(self._record)
                if not self.claimed and not self.results and self._is_done():
                    return self.summary
                if self.claimed and time.monotonic() > self.until + settings.LEASE_SECONDS:
                    log.error(
                        "Sends did not return: their leases will run out",
                        extra={"deliveries": len(self.claimed)},
                    )
                    return self.summary
        finally:
            self.pool.close()

    def _with_retries(self, action: Callable[[], object]) -> None:
        """Repeat ``action`` while the database restarts: what was sent must be recorded."""
        for pause in (0.5, 1, 2, 4, 8, 8, 8, None):
            try:
                action()
                return
            except DATABASE_AWAY as error:
                if pause is None:
                    raise
                log.warning(
                    "The database is not reachable: trying again",
                    extra={"error": str(error), "seconds": pause},
                )
                close_old_connections()
                time.sleep(pause)

    @property
    def _is_ending(self) -> bool:
        return self.stop.is_set() or time.monotonic() >= self.until

    def _is_done(self) -> bool:
        if self._is_ending:
            return True
        return self.next_ready is None or self.next_ready > timezone.now() + LINGER

    def _may_claim(self) -> bool:
        waiting = len(self.claimed) - self.threads
        if self._is_ending or waiting >= self.ahead:
            return False
        interval = CLAIM_EVERY if waiting > self.ahead // 2 else self.claim_interval
        return time.monotonic() - self.claimed_at >= interval

    def _claim(self) -> None:
        now = timezone.now()
        waiting = leases.queues()
        unrecorded = Counter(result.claimed.integration_id for result in self.results)
        load = leases.WorkerLoad(self.claimed_by_target, unrecorded, self.fast_sends.counts())
        claimed = leases.claim(waiting, self.threads, now, load, self.ahead)
        ready = [at for queue in waiting if (at := queue.ready_at(now))]
        self.next_ready = min(ready, default=None)
        self.claimed_at = time.monotonic()
        # After an empty claim look again soon, then less often, until a result has come back.
        self.claim_interval = CLAIM_SOON if claimed else min(self.claim_interval * 2, LONGEST_CLAIM_INTERVAL)
        by_target: dict[int, list[ClaimedDelivery]] = {}
        for delivery in claimed:
            by_target.setdefault(delivery.integration_id, []).append(delivery)
        for queue in waiting:
            if queue.id in by_target:
                self._hand_out(by_target[queue.id], queue)

    def _hand_out(self, claimed: Sequence[ClaimedDelivery], queue: TargetQueue) -> None:
        self.limits[queue.id] = recorder.retry_limits(queue.max_attempts, queue.max_age_hours)
        try:
            kind, target = kind_of(queue.kind), self._target(queue)
        except Exception as error:  # noqa: BLE001  settings that cannot be opened are an internal error, and retried
            now = timezone.now()
            self.results += [AttemptResult(delivery, internal_error(error), now, now) for delivery in claimed]
            return
        for delivery in claimed:
            self.claimed[delivery.id] = delivery
            self.pool.put(Job(delivery, kind, target))
        self.claimed_by_target[queue.id] += len(claimed)

    def _target(self, queue: TargetQueue) -> Target:
        now = time.monotonic()
        if stored := self.targets.get(queue.id):
            unsealed_at, updated_at, target = stored
            if updated_at == queue.updated_at and now - unsealed_at < TARGET_LIFETIME:
                return target
        target = target_of(Integration.objects.get(id=queue.id))
        self.targets[queue.id] = (now, queue.updated_at, target)
        return target

    def _wait_time(self) -> float:
        """Seconds to wait for results until there is something else to do."""
        if self.results:
            return 0.005 if self.claimed else 0
        if self.claimed:
            return CLAIM_SOON if len(self.claimed) < self.threads else CLAIM_EVERY
        return 0 if self._is_ending or self._is_done() else self.claim_interval

    def _collect(self, timeout: float) -> None:
        if not self.claimed:
            if timeout:
                self.stop.wait(timeout)
            return
        results = self.pool.take(timeout)
        if results:
            self.claim_interval = CLAIM_SOON
        for result in results:
            claimed = result.claimed if isinstance(result, AttemptResult) else result
            self.claimed.pop(claimed.id, None)
            self.claimed_by_target[claimed.integration_id] -= 1
            if not self.claimed_by_target[claimed.integration_id]:
                del self.claimed_by_target[claimed.integration_id]
            if isinstance(result, AttemptResult):
                self.results.append(result)
                self.fast_sends.add(result)
            else:
                self.unsent.append(result)

    def _expect(self, due_at: datetime | None) -> None:
        """Deliveries that return to the queue can be due sooner than all that the last claim saw."""
        if due_at and (self.next_ready is None or due_at < self.next_ready):
            self.next_ready = due_at

    def _record(self) -> None:
        now = time.monotonic()
        if self.unsent:
            leases.return_unsent(self.unsent)
            self.summary.unsent += len(self.unsent)
            self.unsent = []
            self._expect(timezone.now())
        is_late = now - self.recorded_at >= RECORD_EVERY
        if self.results and (is_late or len(self.results) >= RECORD_AT or not self.claimed):
            for _, decision in recorder.record_results(self.results, self.limits):
                self._expect(decision.due_at)
            recorded, self.results = self.results, []
            self.recorded_at = now
            self.summary.attempts.update(str(result.outcome.result) for result in recorded)
            breaker.update_health(recorded)
        if self.claimed and now - self.renewed_at > settings.LEASE_SECONDS / 3:
            leases.renew(list(self.claimed.values()), timezone.now())
            self.renewed_at = now


def return_expired() -> int:
    """Return deliveries whose worker is gone to the queue; returns how many.

    The lost attempt is stored and counts, which ends a delivery that kills its worker each time. A message that a member
    sent from a Test button is not retried.
    """
    count = 0
    while expired := leases.take_over_expired(timezone.now()):
        limits = {
            row["id"]: recorder.retry_limits(row["max_attempts"], row["max_age_hours"])
            for row in Integration.objects.filter(
                id__in={claimed.integration_id for claimed, _ in expired}
            ).values("id", "max_attempts", "max_age_hours")
        }
        _record_lost([claimed for claimed, origin in expired if origin not in Event.TESTS], limits)
        tests = [claimed for claimed, origin in expired if origin in Event.TESTS]
        _record_lost(tests, dict.fromkeys(limits, RetryLimits(1)), are_tests=True)
        count += len(expired)
    return count


def _record_lost(
    claimed: Sequence[ClaimedDelivery], limits: dict[int, RetryLimits], *, are_tests: bool = False
) -> None:
    now = timezone.now()
    if claimed:
        results = [AttemptResult(one, leases.LOST, now, now) for one in claimed]
        recorder.record_results(results, limits, are_tests=are_tests)


def send_once(delivery: Delivery, send: Callable[[AttemptRequest], AttemptOutcome]) -> AttemptOutcome:
    """Make one attempt of a test that the caller holds (state sending, a lease), now; it is not retried."""
    started = timezone.now()
    request = AttemptRequest(
        str(delivery.id), bytes(delivery.body or b""), delivery.content_type, int(started.timestamp())
    )
    try:
        outcome = send(request)
    except Exception as error:  # noqa: BLE001  shown to the member who pressed the button
        outcome = internal_error(error)
    claimed = ClaimedDelivery(
        delivery.id,
        delivery.integration_id,
        request.body,
        delivery.content_type,
        delivery.attempts,
        delivery.first_attempt_at,
        delivery.replays,
        delivery.lease,
        delivery.lease_until or started,
    )
    result = AttemptResult(claimed, outcome, started, timezone.now())
    recorder.record_results([result], {delivery.integration_id: RetryLimits(max_attempts=1)}, are_tests=True)
    return outcome


@contextmanager
def stop_on_sigterm(stop: threading.Event) -> Iterator[None]:
    """On SIGTERM the worker finishes what is in flight and returns the rest."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    previous = signal.signal(signal.SIGTERM, lambda *_: stop.set())
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous)


def dispatch(*, seconds: float | None = None, threads: int | None = None) -> Summary:
    """Send what is due. Requests another dispatch task if work is left at the end."""
    stop = threading.Event()
    with stop_on_sigterm(stop):
        dispatcher = Dispatcher(
            seconds=settings.DISPATCH_SECONDS if seconds is None else seconds,
            threads=threads or settings.DISPATCH_IN_FLIGHT,
            stop=stop,
        )
        summary = dispatcher.run()
    if summary.attempts or summary.unsent:
        log.info("Dispatch finished", extra={**summary.attempts, "unsent": summary.unsent})
    else:
        log.debug("Dispatch finished: nothing was due")
    if is_work_due():
        task_requests.request_dispatch()
    return summary


def is_work_due(within: timedelta = timedelta(0)) -> bool:
    """Whether something can be sent to a target now, or within this time."""
    now = timezone.now()
    return any((at := queue.ready_at(now)) is not None and at <= now + within for queue in leases.queues())
