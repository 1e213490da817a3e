"""When the checks run each day: the times in the installation's own zone, and django-q2's schedules.

A ``Schedule`` row only rings. Whether the daily run is due is decided here, by the latest daily time and
``Configuration.daily_slot``, the last one that was started: so a bell that is lost, rings twice, or (as
django-q2 computes in UTC) rings an hour off around a change of the clocks neither skips a run nor
doubles it.
"""

from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

from django.db import transaction
from django.db.models import Q
from django.utils import timezone
from django_q.models import Schedule

from checks.models import Run
from checks.services import request_run
from notifications.models import Configuration

DAILY = "Daily run of the checks"
SWEEP = "Sweep"
RETENTION = "Retention"


def _slot(day: datetime, at: time, zone: ZoneInfo) -> datetime:
    """The daily time on that day. One that the clocks skip falls an hour later; of two, the first."""
    return datetime.combine(day.date(), at, tzinfo=zone).astimezone(UTC)


def slots(at: time, zone: str, after: datetime, count: int) -> list[datetime]:
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


def latest_slot(at: time, zone: str, now: datetime) -> datetime:
    """The latest daily time that is not after ``now``."""
    local = ZoneInfo(zone)
    today = now.astimezone(local)
    return max(s for back in (0, 1, 2) if (s := _slot(today - timedelta(days=back), at, local)) <= now)


def next_runs(count: int = 3, *, now: datetime | None = None) -> list[datetime]:
    """When the checks run next, in UTC."""
    configuration = Configuration.load()
    return slots(configuration.run_time, configuration.run_zone, now or timezone.now(), count)


def start_due_run(now: datetime | None = None) -> Run | None:
    """Queue the daily run if its time has come and nobody has started it. Raises ``RunRefused`` while
    another run is live; the daily one stays due then."""
    now = now or timezone.now()
    configuration = Configuration.load()
    slot = latest_slot(configuration.run_time, configuration.run_zone, now)
    with transaction.atomic():
        unstarted = Configuration.objects.filter(Q(daily_slot=None) | Q(daily_slot__lt=slot), id=1)
        if not unstarted.update(daily_slot=slot):
            return None
        return request_run(trigger=Run.Trigger.SCHEDULE)


def align(now: datetime | None = None) -> None:
    """Set the daily schedule to the next daily time, unless it is about to ring anyway."""
    now = now or timezone.now()
    (upcoming,) = next_runs(1, now=now)
    rows = Schedule.objects.filter(name=DAILY, next_run__gt=now)
    rows.exclude(next_run=upcoming).update(next_run=upcoming)


def install_schedules(now: datetime | None = None) -> None:
    """Make or mend the three schedules. Idempotent; a new installation starts with the next daily time."""
    now = now or timezone.now()
    configuration = Configuration.load()
    if configuration.daily_slot is None:
        slot = latest_slot(configuration.run_time, configuration.run_zone, now)
        Configuration.objects.filter(id=1, daily_slot=None).update(daily_slot=slot)
    (upcoming,) = next_runs(1, now=now)
    _install(DAILY, "notifications.tasks.daily_fan_out", Schedule.DAILY, next_run=upcoming)
    _install(SWEEP, "notifications.tasks.sweep", Schedule.MINUTES, minutes=1, next_run=now)
    _install(RETENTION, "notifications.tasks.retention", Schedule.DAILY, next_run=now + timedelta(hours=1))


def _install(name: str, task: str, kind: str, *, next_run: datetime, minutes: int | None = None) -> None:
    wanted = {"func": task, "schedule_type": kind, "minutes": minutes, "repeats": -1}
    row, made = Schedule.objects.get_or_create(name=name, defaults={**wanted, "next_run": next_run})
    if not made and any(getattr(row, field) != value for field, value in wanted.items()):
        Schedule.objects.filter(pk=row.pk).update(**wanted)
    if name == DAILY:
        align()


def reset(now: datetime) -> None:
    """After the time or zone was changed: the next daily time counts, not one that has passed today."""
    configuration = Configuration.load()
    slot = latest_slot(configuration.run_time, configuration.run_zone, now)
    Configuration.objects.filter(id=1).update(daily_slot=slot)
    align(now)
