"""The threads that send. Each makes one attempt at a time and uses no database."""

import logging
import queue
import threading
import time
import traceback
from collections import Counter
from dataclasses import dataclass
from datetime import datetime

from django.db import connections
from django.utils import timezone
from structlog.contextvars import bound_contextvars

from integrations.services import AttemptOutcome, AttemptRequest, Result, Target, TargetKind, UnsealError
from notifications.delivery import leases
from notifications.delivery.leases import ClaimedDelivery
from notifications.delivery.recorder import AttemptResult

log = logging.getLogger(__name__)

# Seconds. A target whose sends take longer gets its equal part of the pool and no more.
FAST_SECONDS = 1.0
# Number of results that are taken together, and the seconds for which they are collected: during this time
# the sending threads have the interpreter lock.
MOST_RESULTS, COLLECT_SECONDS = 256, 0.01


@dataclass(frozen=True, slots=True)
class Job:
    """A claimed delivery with its target, unsealed."""

    claimed: ClaimedDelivery
    kind: TargetKind
    target: Target


def send(job: Job) -> AttemptResult | ClaimedDelivery:
    """Send once. Returns the claimed delivery itself if less than half of its lease is left."""
    claimed = job.claimed
    started = timezone.now()
    if claimed.lease_until - started < leases.lease_time() / 2:
        return claimed
    request = AttemptRequest(str(claimed.id), claimed.body, claimed.content_type, int(started.timestamp()))
    clock = time.monotonic()
    try:
        with bound_contextvars(delivery_id=request.id):
            outcome = job.kind.send(request, job.target)
    except Exception as error:  # noqa: BLE001  a bug of a kind must not end the worker
        outcome = internal_error(error, int((time.monotonic() - clock) * 1000))
    finally:
        for connection in connections.all(initialized_only=True):
            connection.close()  # a kind may have read its token; threads keep no connection
    return AttemptResult(claimed, outcome, started, timezone.now())


def internal_error(error: Exception, latency_ms: int = 0) -> AttemptOutcome:
    """The outcome for an error of this program. Its text may hold a secret, such as an address: only its type and place
    are stored and logged, unless this program wrote the text."""
    if isinstance(error, UnsealError):
        log.error("Nothing was sent: secrets cannot be opened", extra={"reason": str(error)})
        return AttemptOutcome(Result.OURS, f"Nothing was sent. {error}", latency_ms=latency_ms)
    frame = traceback.extract_tb(error.__traceback__)[-1]
    place = f"{frame.filename.rsplit('/', 1)[-1]}:{frame.lineno}"
    log.error("Sending failed by an internal error", extra={"error": type(error).__name__, "place": place})
    text = f"An internal error: {type(error).__name__} at {place}."
    return AttemptOutcome(Result.OURS, text, latency_ms=latency_ms)


class SenderPool:
    """Threads that send the jobs put in; started as they are needed."""

    def __init__(self, threads: int) -> None:
        self.max_threads = threads
        self.inbox: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self.outbox: queue.SimpleQueue[AttemptResult | ClaimedDelivery] = queue.SimpleQueue()
        self.threads: list[threading.Thread] = []
        self.jobs = 0
        # Target → when a send to it timed out last.
        self.timed_out: dict[int, datetime] = {}

    def put(self, job: Job) -> None:
        self.jobs += 1
        if self.jobs > len(self.threads) and len(self.threads) < self.max_threads:
            # Daemons: a send that never returns must not keep a process from ending.
            thread = threading.Thread(target=self._work, name="sender", daemon=True)
            self.threads.append(thread)
            thread.start()
        self.inbox.put(job)

    def _work(self) -> None:
        while (job := self.inbox.get()) is not None:
            result = job.claimed if self._is_hopeless(job.claimed) else send(job)
            if isinstance(result, AttemptResult) and _has_timed_out(result):
                self.timed_out[job.claimed.integration_id] = result.ended_at
            self.outbox.put(result)

    def _is_hopeless(self, claimed: ClaimedDelivery) -> bool:
        """Its target has timed out since it was claimed. A probe finds out whether the target answers again."""
        last = self.timed_out.get(claimed.integration_id)
        claimed_at = claimed.lease_until - leases.lease_time()
        return last is not None and not claimed.is_probe and claimed_at < last

    def take(self, timeout: float) -> list[AttemptResult | ClaimedDelivery]:
        """The results so far; waits up to ``timeout`` seconds for the first, and a moment for more."""
        results: list[AttemptResult | ClaimedDelivery] = []
        try:
            results.append(self.outbox.get(timeout=timeout) if timeout > 0 else self.outbox.get_nowait())
            if len(results) < self.jobs:
                time.sleep(COLLECT_SECONDS)
            while len(results) < MOST_RESULTS:
                results.append(self.outbox.get_nowait())
        except queue.Empty:
            pass
        self.jobs -= len(results)
        return results

    def close(self) -> None:
        for _ in self.threads:
            self.inbox.put(None)
        for thread in self.threads:
            thread.join(timeout=0.1 if self.jobs else 5)


def _has_timed_out(result: AttemptResult) -> bool:
    return result.outcome.result is Result.RETRYABLE and not is_fast(result)


def is_fast(result: AttemptResult) -> bool:
    return (result.ended_at - result.started_at).total_seconds() < FAST_SECONDS


class FastSends:
    """Target → number of its sends that returned quickly within the last second or two."""

    def __init__(self) -> None:
        self.previous: Counter[int] = Counter()
        self.current: Counter[int] = Counter()
        self.current_since = time.monotonic()

    def add(self, result: AttemptResult) -> None:
        if is_fast(result):
            self.current[result.claimed.integration_id] += 1

    def counts(self) -> Counter[int]:
        if time.monotonic() - self.current_since > 1:
            self.previous, self.current, self.current_since = self.current, Counter(), time.monotonic()
        return self.previous + self.current
