"""When a delivery is retried, or why it is not. Pure: the clock and the random numbers are arguments."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from integrations.services import AttemptOutcome, Result


@dataclass(frozen=True, slots=True)
class RetryLimits:
    """The retries of one target. The defaults are EventBridge's:
    https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-rule-retry-policy.html

    ``first_wait`` is the longest wait after the first failure. Each further failure doubles it, up to ``longest_wait``.
    """

    max_attempts: int = 185
    max_age: timedelta = timedelta(hours=24)
    first_wait: timedelta = timedelta(seconds=5)
    longest_wait: timedelta = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Decision:
    """The next state of a delivery. ``due_at`` is set if and only if ``state`` is due."""

    state: Literal["delivered", "due", "dead", "test_failed"]
    due_at: datetime | None = None
    reason: str = ""


def max_wait(attempts: int, limits: RetryLimits = RetryLimits()) -> timedelta:
    """The longest wait after this number of failed attempts: 5 s, 10 s, 20 s … 1 h."""
    doublings = min(attempts - 1, 30)  # far beyond longest_wait; keeps the power small
    factor: int = 2**doublings
    return min(limits.longest_wait, limits.first_wait * factor)


def decide(
    attempts: int,
    first_attempt_at: datetime,
    now: datetime,
    outcome: AttemptOutcome,
    limits: RetryLimits,
    random: Callable[[], float],
) -> Decision:
    """Decide the next state of a delivery after an attempt. ``attempts`` includes this one.
    ``first_attempt_at`` is the first since the plan or the last replay. ``random`` returns 0 ≤ x < 1. Full
    jitter: the wait is random between zero and :func:`max_wait`
    (https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/). ``Retry-After`` is a lower
    bound of the wait. The last attempt is made at the deadline at the latest, even if ``Retry-After`` asks
    for a week.
    """
    if outcome.result is Result.DELIVERED:
        return Decision("delivered")
    if outcome.result in (Result.GONE, Result.PERMANENT):
        return Decision("dead", reason=outcome.reason)
    if attempts >= limits.max_attempts:
        prefix = f"Given up after {attempts} attempts. The last one: " if attempts > 1 else ""
        return Decision("dead", reason=prefix + outcome.reason)
    deadline = first_attempt_at + limits.max_age
    if now >= deadline:
        hours = limits.max_age / timedelta(hours=1)
        return Decision("dead", reason=f"Given up after {hours:g} hours. The last attempt: {outcome.reason}")
    wait = max_wait(attempts, limits) * random()
    if outcome.retry_after:
        wait = max(wait, timedelta(seconds=min(outcome.retry_after, limits.max_age.total_seconds())))
    return Decision("due", due_at=min(now + wait, deadline), reason=outcome.reason)
