"""What the queue calls. Each task may be lost or run twice: it reads from the database what is to be done."""

import logging
from collections.abc import Callable
from datetime import datetime, timedelta

from django.conf import settings
from django.utils import timezone

from checks.models import Run
from checks.services import RunRefused, UnknownChecks, reap_dead_runs, request_run
from notifications import bell, digests, dispatch, health, leasing, recording, retaining, schedule, services
from notifications.models import Configuration

log = logging.getLogger(__name__)

QUEUED_TOO_LONG = timedelta(minutes=1)
# A run that dies so often in a row dies of something that another start does not mend.
RESTARTS = 3
# Whoever sends has something to record so often, unless all that it holds hangs.
AT_WORK = timedelta(seconds=5)
RESTARTED = (Run.Trigger.SCHEDULE, Run.Trigger.PERSON)


def daily_fan_out() -> str:
    """The daily run, once a day: evaluates all checks and sends what is new."""
    try:
        run = schedule.start_due_run()
    except RunRefused as refusal:
        log.warning("the daily run waits: %s", refusal)
        return "refused"
    schedule.align()
    return run_requested(str(run.id)) if run else "not due"


def run_requested(run_id: str) -> str:
    """Carry out a queued run."""
    run = Run.objects.filter(id=run_id).first()
    if run is None or run.state != Run.State.QUEUED:
        return "nothing to do"
    try:
        run = services.run_and_notify(
            trigger=run.trigger, notify=run.notify, requested_by=run.requested_by, run=run
        )
    except RunRefused:  # the task came twice, and the other one was quicker
        return "nothing to do"
    return str(run.state)


def dispatch_due() -> str:
    """Send what is due."""
    summary = dispatch.dispatch()
    return ", ".join(f"{count} {result}" for result, count in summary.attempts.items()) or "nothing due"


def sweep() -> str:
    """Each minute: mend what a lost task, a killed worker or a dead run has left."""
    now = timezone.now()
    steps: tuple[Callable[[], object], ...] = (
        dispatch.return_expired,
        lambda: leasing.bury_disabled(now),
        lambda: health.watch(now),
        reap_dead_runs,
        lambda: restart_died_run(now),
        lambda: start_daily_run(now),
        lambda: ring_for_queued_runs(now),
        lambda: schedule.align(now),
        lambda: digests.plan_due(now),
        ring_if_due,
    )
    failed = 0
    for step in steps:
        try:
            step()
        except Exception:
            failed += 1
            log.exception("a step of the sweep failed; the others go on")
    return f"{failed} steps failed" if failed else "swept"


def restart_died_run(now: datetime) -> Run | None:
    """Queue anew the last run, if it died and nothing has made up for it."""
    recent = list(Run.objects.filter(created_at__gt=now - timedelta(days=1))[: RESTARTS + 1])
    if not recent or recent[0].state != Run.State.DIED or recent[0].trigger not in RESTARTED:
        return None
    died = recent[0]
    if len(recent) > RESTARTS and all(run.state == Run.State.DIED for run in recent):
        log.error("the last %d runs died; not started again", len(recent))
        return None
    try:
        run = request_run(
            trigger=died.trigger,
            slugs=tuple(died.slugs),
            notify=died.notify,
            requested_by=died.requested_by,
        )
    except (RunRefused, UnknownChecks):  # somebody was quicker, or the check was disabled since
        return None
    bell.request(settings.RUN_TASK, str(run.id))
    return run


def start_daily_run(now: datetime) -> None:
    """Make up for a daily bell that was lost; an installation without schedules has none to lose."""
    if Configuration.load().daily_slot is None:
        return
    try:
        run = schedule.start_due_run(now)
    except RunRefused:
        return
    if run:
        bell.request(settings.RUN_TASK, str(run.id))


def ring_for_queued_runs(now: datetime) -> None:
    for run in Run.objects.filter(state=Run.State.QUEUED, created_at__lt=now - QUEUED_TOO_LONG):
        bell.request(settings.RUN_TASK, str(run.id))


def ring_if_due() -> None:
    if dispatch.work_is_due(within=timedelta(minutes=1)):
        services.ring(at_work=recording.workers_since(timezone.now() - AT_WORK))


def retention() -> str:
    """Each day: remove old attempts, and bodies whose delivery has long been settled."""
    attempts, bodies = retaining.remove_old()
    return f"{attempts} attempts and {bodies} bodies removed"
