"""Quiet hours: when no direct messages are sent. Pure."""

from datetime import UTC, datetime, time, timedelta
from typing import Protocol
from zoneinfo import ZoneInfo


class QuietHours(Protocol):
    """The installation's settings: the quiet hours in the zone of the daily run; None: none."""

    quiet_from: time | None
    quiet_until: time | None
    run_zone: str


def end_of_quiet_hours(now: datetime, hours: QuietHours) -> datetime:
    """The end of the quiet hours that ``now`` falls into, which may span midnight; else ``now``."""
    start, end = hours.quiet_from, hours.quiet_until
    if start is None or end is None or start == end:
        return now
    local = now.astimezone(ZoneInfo(hours.run_zone))
    clock = local.time()
    is_quiet = start <= clock < end if start < end else clock >= start or clock < end
    if not is_quiet:
        return now
    day = local.date() + timedelta(days=1) if clock >= end else local.date()
    return datetime.combine(day, end, tzinfo=local.tzinfo).astimezone(UTC)
