"""The number of deliveries that each target may send now: fair shares, rates and the circuit breaker.
Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

# The breaker's first pause and its longest one. Each failed probe doubles the pause.
FIRST_PAUSE = timedelta(seconds=30)
LONGEST_PAUSE = timedelta(minutes=15)
# The unused allowance that a target may catch up on at once: keeps a rate smooth within a second.
BURST = timedelta(milliseconds=100)


@dataclass(frozen=True, slots=True)
class Demand:
    """The limits of one target with due deliveries in a worker's pool.

    ``in_flight``: its deliveries that this worker holds. ``room``: how many more its limits allow.
    ``recently_fast``: how many of its sends have just returned quickly; it may have this many beyond its
    equal share.
    """

    in_flight: int
    room: int
    is_healthy: bool
    recently_fast: int = 0


def share_out(demands: Mapping[int, Demand], threads: int, ahead: int = 0) -> dict[int, int]:
    """target → how many more deliveries it gets; all targets together hold at most ``threads`` + ``ahead``.

    Each target may have an equal part of the pool. What the others do not need goes to targets whose sends return
    quickly, so a target that hangs never gets more than its part. A sixteenth stays free: a target that becomes due
    while others are busy finds a thread at once. A failing target gets at most its part and at most a quarter of the
    pool; a thirty-second if it does not even answer quickly, because each send holds a thread until it times out.
    ``ahead`` deliveries may wait for a thread, so that no thread waits for work: only those of fast targets.
    """
    shares = dict.fromkeys(demands, 0)
    free = threads + ahead - sum(demand.in_flight for demand in demands.values())
    reserve = threads // 16
    part = max(1, min(threads // max(1, len(demands)), threads - reserve))

    def grant(target: int, most: int, keep: int) -> None:
        nonlocal free
        demand, granted = demands[target], shares[target]
        more = max(0, min(most - demand.in_flight - granted, demand.room - granted, free - keep))
        shares[target] += more
        free -= more

    for target, demand in demands.items():
        grant(target, _part_of(demand, part, threads), keep=0)
    for target in sorted(demands, key=lambda target: demands[target].in_flight):
        if demands[target].is_healthy:
            grant(target, part + demands[target].recently_fast, keep=reserve)
    return shares


def _part_of(demand: Demand, part: int, threads: int) -> int:
    if demand.is_healthy:
        return part
    return max(1, min(part, threads // (4 if demand.recently_fast else 32)))


def allowance(cursor: datetime | None, now: datetime, per_second: float) -> int:
    """Number of sends that the rate allows now. ``cursor`` is the time up to which it is used (GCRA)."""
    return max(0, int((now - _start(cursor, now, per_second)) / _step(per_second)))


def spend(cursor: datetime | None, now: datetime, per_second: float, sends: int) -> datetime:
    """The cursor after this number of sends."""
    return _start(cursor, now, per_second) + sends * _step(per_second)


def next_allowed(cursor: datetime | None, now: datetime, per_second: float) -> datetime:
    """When the rate allows one more send."""
    return max(now, cursor + _step(per_second)) if cursor else now


def _step(per_second: float) -> timedelta:
    return timedelta(seconds=1 / per_second)


def _start(cursor: datetime | None, now: datetime, per_second: float) -> datetime:
    earliest = now - max(_step(per_second), BURST)
    return max(cursor, earliest) if cursor else earliest


def breaker_pause(failures: int, threshold: int) -> timedelta:
    """Time for which the breaker stays open after this number of consecutive failures."""
    doublings = max(0, min(failures - threshold, 10))
    factor: int = 2**doublings
    return min(LONGEST_PAUSE, FIRST_PAUSE * factor)
