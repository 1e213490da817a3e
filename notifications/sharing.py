"""Who may send how much now: fair shares, rates and the circuit breaker, pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

# The breaker's first pause and its longest; each failed probe doubles it.
FIRST_PAUSE = timedelta(seconds=30)
LONGEST_PAUSE = timedelta(minutes=15)
# A target may catch up on so much unused allowance at once: keeps a rate smooth within a second.
BURST = timedelta(milliseconds=100)


@dataclass(frozen=True, slots=True)
class Wish:
    """A target with due deliveries.

    ``held``: its sends that this worker has under way; ``room``: how many more its limits allow;
    ``proven``: how many came back promptly of late, which is what it may have beyond its part.
    """

    held: int
    room: int
    healthy: bool
    proven: int = 0


def share_out(wishes: Mapping[int, Wish], in_flight: int, ahead: int = 0) -> dict[int, int]:
    """How many more deliveries each target gets; the sum never takes the pool over ``in_flight`` and ``ahead``.

    Every target is entitled to an equal part of the pool. What others do not want goes to those that have
    proven to answer (so a hanging one never grows beyond its part), but for a sixteenth that stays free:
    a target which becomes due while others are busy finds room at once. A target that is failing gets its
    equal part at most, and no more than a quarter of the pool; a thirty-second where it does not even answer
    promptly, since each of its sends holds a thread until it times out. ``ahead`` is what waits for a thread of
    the pool, so that none waits for work: only those that answer promptly may wait there.
    """
    given = dict.fromkeys(wishes, 0)
    free = in_flight + ahead - sum(wish.held for wish in wishes.values())
    spare = in_flight // 16
    part = max(1, min(in_flight // max(1, len(wishes)), in_flight - spare))

    def entitled(wish: Wish) -> int:
        if wish.healthy:
            return part
        return max(1, min(part, in_flight // (4 if wish.proven else 32)))

    def grant(target: int, ceiling: int, keep: int) -> None:
        nonlocal free
        wish = wishes[target]
        so_far = given[target]
        more = max(0, min(ceiling - wish.held - so_far, wish.room - so_far, free - keep))
        given[target] += more
        free -= more

    for target, wish in wishes.items():
        grant(target, entitled(wish), keep=0)
    for target in sorted(wishes, key=lambda target: wishes[target].held):
        if wishes[target].healthy:
            grant(target, part + wishes[target].proven, keep=spare)
    return given


def allowance(cursor: datetime | None, now: datetime, per_second: float) -> int:
    """How many sends the rate allows now. ``cursor`` is the time up to which it is spent (GCRA)."""
    step = timedelta(seconds=1 / per_second)
    start = max(cursor, now - max(step, BURST)) if cursor else now - max(step, BURST)
    return max(0, int((now - start) / step))


def spend(cursor: datetime | None, now: datetime, per_second: float, sends: int) -> datetime:
    """The cursor after ``sends`` more."""
    step = timedelta(seconds=1 / per_second)
    start = max(cursor, now - max(step, BURST)) if cursor else now - max(step, BURST)
    return start + sends * step


def next_allowed(cursor: datetime | None, now: datetime, per_second: float) -> datetime:
    """When the rate allows one more send."""
    return max(now, cursor + timedelta(seconds=1 / per_second)) if cursor else now


def pause(failures: int, threshold: int) -> timedelta:
    """How long the breaker stays open after so many consecutive failures."""
    doublings = max(0, min(failures - threshold, 10))
    return min(LONGEST_PAUSE, FIRST_PAUSE * 2**doublings)
