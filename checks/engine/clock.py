"""The clock was set back: runs and findings with times in the future are moved to the present."""

from datetime import datetime, timedelta

from checks.models import Finding, Run


def moved_start(number: int, count: int, now: datetime) -> datetime:
    """The new start of the run with this number, from 1 to ``count``: the last starts ``now``, each a microsecond later."""
    return now - (count - number) * timedelta(microseconds=1)


def move_future_runs(now: datetime) -> list[datetime]:
    """Move the runs that started after ``now`` to :func:`moved_start`, and the times of runs and findings that lie in
    the future to ``now``; returns the runs' old starts, in order."""
    future = list(Run.objects.filter(started_at__gt=now).order_by("started_at", "created_at"))
    starts = [run.started_at for run in future if run.started_at]
    for number, run in enumerate(future, start=1):
        Run.objects.filter(pk=run.pk).update(started_at=moved_start(number, len(future), now))
    for name in ("created_at", "heartbeat_at", "finished_at"):
        Run.objects.filter(**{f"{name}__gt": now}).update(**{name: now})
    for name in ("opened_at", "resolved_at"):
        Finding.objects.filter(**{f"{name}__gt": now}).update(**{name: now})
    return starts
