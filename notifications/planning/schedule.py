"""The times of the daily run, in the installation's zone, and the schedules of django-q2.

A ``Schedule`` row only triggers a task. Whether the daily run is due is decided here, by the latest daily time and
``Configuration.daily_slot``, the last one that was started. So a trigger that is lost, comes twice, or comes an hour
early or late around a change of the clocks (django-q2 computes in UTC) neither skips a run nor repeats it.
"""

import logging
from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

from django.conf import settings
from django.db import transaction
from django.db.models import Q
from django.utils import timezone
from django_q.models import Schedule

from checks.models import Run
from checks.services import request_run
from notifications.models import Configuration, ReportPeriod

log = logging.getLogger(__name__)

DAILY = "Daily run of the checks"
SWEEP = "Sweep"
RETENTION = "Retention"
SYNCS = "Syncs of the data sources"
REPORT = "Report by e-mail"


def _slot(day: datetime, at: time, zone: ZoneInfo) -> datetime:
    """The daily time on that day. A time that the clocks skip comes an hour later; of two equal times the first counts."""
    return datetime.combine(day.date(), at, tzinfo=zone).astimezone(UTC)


def daily_times(at: time, zone: str, after: datetime, count: int) -> list[datetime]:
    """The next ``count`` daily times strictly after ``after``, in UTC."""
    local = ZoneInfo(zone)
    day = after.astimezone(local) - timedelta(days=1)
    found: list[datetime] = []
    while len(found) < count:
        slot = _slot(day, at, local)
        if slot > after:
            found.append(slot)
        day += timedelta(days=1)
    return found


def latest_daily_time(at: time, zone: str, now: datetime) -> datetime:
    """The latest daily time that is not after ``now``."""
    local = ZoneInfo(zone)
    today = now.astimezone(local)
    days = (today - timedelta(days=back) for back in (0, 1, 2))
    return max(slot for day in days if (slot := _slot(day, at, local)) <= now)


def next_daily_times(count: int = 3, *, now: datetime | None = None) -> list[datetime]:
    """When the checks run next, in UTC."""
    configuration = Configuration.load()
    return daily_times(configuration.run_time, configuration.run_zone, now or timezone.now(), count)


def latest_report_time(configuration: Configuration, now: datetime) -> datetime | None:
    """The latest time for the report that is not after ``now``: an hour after the daily run, on the day of weekly digests or
    the first of the month. None: no report is sent."""
    if not configuration.report_every or not configuration.report_recipients:
        return None
    zone = ZoneInfo(configuration.run_zone)
    today = now.astimezone(zone)
    for back in range(33):
        day = today - timedelta(days=back)
        is_weekly = configuration.report_every == ReportPeriod.WEEKLY
        is_day = f"{day:%A}".lower() == configuration.weekly_on if is_weekly else day.day == 1
        moment = _slot(day, configuration.run_time, zone) + timedelta(hours=1)
        if is_day and moment <= now:
            return moment
    return None


def start_due_run(now: datetime | None = None) -> Run | None:
    """Queue the daily run if its time has come and it was not started yet; None: it is not due.

    Raises ``RunRefused`` while another run is live; the daily one stays due then.
    """
    now = now or timezone.now()
    configuration = Configuration.load()
    slot = latest_daily_time(configuration.run_time, configuration.run_zone, now)
    with transaction.atomic():
        unstarted = Configuration.objects.filter(Q(daily_slot=None) | Q(daily_slot__lt=slot), id=1)
        if not unstarted.update(daily_slot=slot):
            return None
        run = request_run(trigger=Run.Trigger.SCHEDULE)
    log.info("Daily run is due", extra={"run_id": str(run.pk), "slot": slot.isoformat()})
    return run


def align(now: datetime | None = None) -> None:
    """Set the daily schedule to the next daily time, unless its time has come."""
    now = now or timezone.now()
    (upcoming,) = next_daily_times(1, now=now)
    rows = Schedule.objects.filter(name=DAILY, next_run__gt=now)
    rows.exclude(next_run=upcoming).update(next_run=upcoming)


def create_schedules(now: datetime | None = None) -> None:
    """Create or repair the five schedules. Idempotent; a new installation starts with the next daily time."""
    now = now or timezone.now()
    configuration = Configuration.load()
    slot = latest_daily_time(configuration.run_time, configuration.run_zone, now)
    unset = Q(daily_slot=None) | Q(daily_slot__gt=now)  # the latter after the clock was set back
    Configuration.objects.filter(unset, id=1).update(daily_slot=slot)
    (upcoming,) = next_daily_times(1, now=now)
    _create(DAILY, "notifications.tasks.daily_fan_out", Schedule.DAILY, next_run=upcoming)
    align()
    _create(SWEEP, "notifications.tasks.sweep", Schedule.MINUTES, minutes=1, next_run=now)
    _create(SYNCS, settings.SYNC_SWEEP_TASK, Schedule.MINUTES, minutes=1, next_run=now)
    _create(REPORT, settings.REPORT_TASK, Schedule.HOURLY, next_run=now + timedelta(minutes=5))
    _create(RETENTION, "notifications.tasks.retention", Schedule.DAILY, next_run=now + timedelta(hours=1))


def _create(name: str, task: str, kind: str, *, next_run: datetime, minutes: int | None = None) -> None:
    wanted = {"func": task, "schedule_type": kind, "minutes": minutes, "repeats": -1}
    row, is_new = Schedule.objects.get_or_create(name=name, defaults={**wanted, "next_run": next_run})
    # After the clock was set back the row waits for a time that is too far ahead.
    latest = next_run + (timedelta(minutes=minutes) if minutes else timedelta(days=1))
    Schedule.objects.filter(pk=row.pk, next_run__gt=latest).update(next_run=next_run)
    if not is_new and any(getattr(row, field) != value for field, value in wanted.items()):
        Schedule.objects.filter(pk=row.pk).update(**wanted)


def reset(now: datetime) -> None:
    """After a change of the time or zone: wait for the next daily time, and skip one that has passed today."""
    configuration = Configuration.load()
    slot = latest_daily_time(configuration.run_time, configuration.run_zone, now)
    Configuration.objects.filter(id=1).update(daily_slot=slot)
    align(now)
