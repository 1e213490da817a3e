"""Quiet hours: when nobody is written to in person, pure."""

from datetime import UTC, datetime, time, timedelta
from typing import Protocol
from zoneinfo import ZoneInfo


class Hours(Protocol):
    """The installation's settings: from and until in the zone of the daily run; None: no quiet hours."""

    quiet_from: time | None
    quiet_until: time | None
    run_zone: str


def awake_at(now: datetime, hours: Hours) -> datetime:
    """``now``, or the end of the quiet hours that it falls into; they may span midnight."""
    start, end = hours.quiet_from, hours.quiet_until
    if start is None or end is None or start == end:
        return now
    local = now.astimezone(ZoneInfo(hours.run_zone))
    clock = local.time()
    within = start <= clock < end if start < end else clock >= start or clock < end
    if not within:
        return now
    day = local.date() + timedelta(days=1) if clock >= end else local.date()
    return datetime.combine(day, end, tzinfo=local.tzinfo).astimezone(UTC)
