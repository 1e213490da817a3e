"""The threads that send: each makes one attempt at a time, and has no database."""

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

from integrations.outcomes import Outcome, Result
from integrations.targets.base import Outgoing, Target, TargetKind
from notifications import leasing
from notifications.leasing import Claimed
from notifications.recording import Sent

log = logging.getLogger(__name__)

# A target whose sends take longer than this, in seconds, gets its equal part of the pool and no more.
PROMPT = 1.0
# So many results are taken together, and those that come back within so many seconds: the senders need the
# interpreter meanwhile.
TAKE_AT_MOST, GATHER = 256, 0.01


@dataclass(frozen=True, slots=True)
class Job:
    claimed: Claimed
    kind: TargetKind
    target: Target


def attempt(job: Job) -> Sent | Claimed:
    """Send once. The claimed delivery itself comes back where its lease is too old to begin."""
    claimed = job.claimed
    started = timezone.now()
    if claimed.lease_until - started < leasing.lease_time() / 2:
        return claimed
    outgoing = Outgoing(str(claimed.id), claimed.body, claimed.content_type, int(started.timestamp()))
    clock = time.monotonic()
    try:
        outcome = job.kind.send(outgoing, job.target)
    except Exception as error:  # noqa: BLE001  a kind's bug is ours, and never the end of the worker
        outcome = ours(error, int((time.monotonic() - clock) * 1000))
    finally:
        for connection in connections.all(initialized_only=True):
            connection.close()  # a kind may have read its token; threads keep no connection
    return Sent(claimed, outcome, started, timezone.now())


def ours(error: Exception, latency_ms: int = 0) -> Outcome:
    """The error's text may hold a secret (an address does): only its type and place are told."""
    frame = traceback.extract_tb(error.__traceback__)[-1]
    place = f"{frame.filename.rsplit('/', 1)[-1]}:{frame.lineno}"
    log.error("sending failed by our own fault: %s at %s", type(error).__name__, place)
    return Outcome(
        Result.OURS, f"An error of our own: {type(error).__name__} at {place}.", latency_ms=latency_ms
    )


class Senders:
    """Threads that send what is put in and put out what became of it; started as they are needed."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.inbox: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self.outbox: queue.SimpleQueue[Sent | Claimed] = queue.SimpleQueue()
        self.threads: list[threading.Thread] = []
        self.busy = 0
        # Target → when a send to it timed out last.
        self.timed_out: dict[int, datetime] = {}

    def put(self, job: Job) -> None:
        self.busy += 1
        if self.busy > len(self.threads) and len(self.threads) < self.most:
            # Daemons: a send that never returns must not keep a process from ending.
            thread = threading.Thread(target=self._work, name="sender", daemon=True)
            self.threads.append(thread)
            thread.start()
        self.inbox.put(job)

    def _work(self) -> None:
        while (job := self.inbox.get()) is not None:
            result = job.claimed if self._would_hang(job.claimed) else attempt(job)
            if (
                isinstance(result, Sent)
                and result.outcome.result is Result.RETRYABLE
                and not is_prompt(result)
            ):
                self.timed_out[job.claimed.integration_id] = result.ended_at
            self.outbox.put(result)

    def _would_hang(self, claimed: Claimed) -> bool:
        """It was claimed while its target still answered. A probe finds out whether it does again."""
        since = self.timed_out.get(claimed.integration_id)
        return since is not None and not claimed.probe and claimed.lease_until - leasing.lease_time() < since

    def take(self, timeout: float) -> list[Sent | Claimed]:
        """What has come back; waits up to ``timeout`` seconds for the first, and a moment for more."""
        taken: list[Sent | Claimed] = []
        try:
            taken.append(self.outbox.get(timeout=timeout) if timeout > 0 else self.outbox.get_nowait())
            if len(taken) < self.busy:
                time.sleep(GATHER)
            while len(taken) < TAKE_AT_MOST:
                taken.append(self.outbox.get_nowait())
        except queue.Empty:
            pass
        self.busy -= len(taken)
        return taken

    def close(self) -> None:
        for _ in self.threads:
            self.inbox.put(None)
        for thread in self.threads:
            thread.join(timeout=0.1 if self.busy else 5)


def is_prompt(sent: Sent) -> bool:
    return (sent.ended_at - sent.started_at).total_seconds() < PROMPT


class Prompt:
    """How many sends of each target came back promptly within the last second or two."""

    def __init__(self) -> None:
        self.before: Counter[int] = Counter()
        self.now: Counter[int] = Counter()
        self.since = time.monotonic()

    def note(self, sent: Sent) -> None:
        if is_prompt(sent):
            self.now[sent.claimed.integration_id] += 1

    def counts(self) -> Counter[int]:
        if time.monotonic() - self.since > 1:
            self.before, self.now, self.since = self.now, Counter(), time.monotonic()
        return self.before + self.now
