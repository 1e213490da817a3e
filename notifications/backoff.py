"""When a delivery is tried again, or why it is not: pure, no clock and no dice of its own."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from integrations.outcomes import Outcome, Result


@dataclass(frozen=True, slots=True)
class Limits:
    """Of one target. EventBridge's own: https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-rule-retry-policy.html

    ``base`` is the longest wait after the first failure, which each further one doubles, up to ``cap``.
    """

    max_attempts: int = 185
    max_age: timedelta = timedelta(hours=24)
    base: timedelta = timedelta(seconds=5)
    cap: timedelta = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Decision:
    """``due_at`` is set when, and only when, ``state`` is due. ``gone``: the target is to be disabled."""

    state: Literal["delivered", "due", "dead"]
    due_at: datetime | None = None
    reason: str = ""
    gone: bool = False


def ceiling(attempts: int, limits: Limits = Limits()) -> timedelta:
    """The longest wait after so many failed attempts: 5 s, 10 s, 20 s … 1 h."""
    doublings = min(attempts - 1, 30)  # beyond any cap long before; keeps the power small
    return min(limits.cap, limits.base * 2**doublings)


def decide(
    attempts: int,
    first_attempt_at: datetime,
    now: datetime,
    outcome: Outcome,
    limits: Limits,
    random: Callable[[], float],
) -> Decision:
    """What follows from an attempt.

    ``attempts`` counts this one; ``first_attempt_at`` is since the plan or the last replay; ``random``
    gives 0 ≤ x < 1. Full jitter: the wait is drawn between nothing and the ceiling
    (https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/). ``Retry-After`` is a
    lower bound of the wait. Neither goes beyond the deadline: the last try falls on it at the latest,
    so that a receiver which asks for a week still gets a try at the end of the day.
    """
    if outcome.result is Result.DELIVERED:
        return Decision("delivered")
    if outcome.result is Result.GONE:
        return Decision("dead", reason=outcome.reason, gone=True)
    if outcome.result is Result.PERMANENT:
        return Decision("dead", reason=outcome.reason)
    if attempts >= limits.max_attempts:
        given_up = f"Given up after {attempts} attempts. The last one: " if attempts > 1 else ""
        return Decision("dead", reason=given_up + outcome.reason)
    deadline = first_attempt_at + limits.max_age
    if now >= deadline:
        hours = limits.max_age / timedelta(hours=1)
        return Decision("dead", reason=f"Given up after {hours:g} hours. The last attempt: {outcome.reason}")
    wait = ceiling(attempts, limits) * random()
    if outcome.retry_after:
        wait = max(wait, timedelta(seconds=min(outcome.retry_after, limits.max_age.total_seconds())))
    return Decision("due", due_at=min(now + wait, deadline), reason=outcome.reason)
