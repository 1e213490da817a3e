"""The tasks of the queue. Each may be lost or run twice: it reads from the database what is to be done."""

import logging
from collections.abc import Callable
from datetime import datetime, timedelta

from django.conf import settings
from django.utils import timezone
from structlog.contextvars import bound_contextvars

from checks.models import GroupResult, Run
from checks.services import (
    RunRefused,
    UnknownChecks,
    reap_dead_runs,
    remove_old_rejected_rows,
    remove_old_uploads,
    request_run,
    store_group_results,
)
from notifications import run_pipeline
from notifications.delivery import breaker, dispatcher, leases, pruning, recorder, task_requests
from notifications.models import Configuration
from notifications.planning import clock_repair, digests, schedule

log = logging.getLogger(__name__)

# Wait of a queued run for its task until the task is requested again.
LONGEST_QUEUED = timedelta(minutes=1)
# After this number of runs in a row that died, another start would not help.
MAX_RESTARTS = 3
# A worker that sends stores a result at least this often, unless all its sends hang.
BUSY_WITHIN = timedelta(seconds=5)
GROUP_RESULTS = "notifications.tasks.count_groups"
# Longest time after a run for counting its departments and sources: later it would be another day's count.
LATEST_GROUPS = timedelta(days=1)
RESTARTED_TRIGGERS = (Run.Trigger.SCHEDULE, Run.Trigger.PERSON)


def daily_fan_out() -> str:
    """The daily run, once a day: evaluates all checks and sends what is new."""
    try:
        run = schedule.start_due_run()
    except RunRefused as refusal:
        log.warning("The daily run waits", extra={"reason": str(refusal)})
        return "refused"
    schedule.align()
    return run_requested(str(run.id)) if run else "not due"


def run_requested(run_id: str) -> str:
    """Carry out a queued run."""
    run = Run.objects.filter(id=run_id).first()
    if run is None or run.state != Run.State.QUEUED:
        log.info("Nothing to do: the run is not queued", extra={"run_id": run_id})
        return "nothing to do"
    try:
        with bound_contextvars(run_id=run_id):
            run = run_pipeline.run_and_notify(
                trigger=run.trigger, notify=run.notify, requested_by=run.requested_by, run=run
            )
    except RunRefused:  # the task came twice, and the other one was faster
        return "nothing to do"
    return str(run.state)


def dispatch_due() -> str:
    """Send what is due."""
    summary = dispatcher.dispatch()
    return ", ".join(f"{count} {result}" for result, count in summary.attempts.items()) or "nothing due"


def sweep() -> str:
    """Each minute: find the work that a lost task, a killed worker or a dead run has left."""
    now = timezone.now()
    steps: tuple[Callable[[], object], ...] = (
        lambda: clock_repair.store_sweep(now),
        dispatcher.return_expired,
        lambda: leases.close_deliveries_of_disabled(now),
        lambda: breaker.warn_and_disable(now),
        reap_dead_runs,
        lambda: restart_died_run(now),
        lambda: start_daily_run(now),
        lambda: request_queued_runs(now),
        lambda: schedule.align(now),
        lambda: digests.plan_due(now),
        request_workers_if_due,
        lambda: request_group_results(now),
    )
    failed = 0
    for step in steps:
        try:
            step()
        except Exception:
            failed += 1
            log.exception("A step of the sweep failed; the others continue")
    return f"{failed} steps failed" if failed else "swept"


def restart_died_run(now: datetime) -> Run | None:
    """Queue the last run again, if it died and no later run has replaced it."""
    recent = list(Run.objects.filter(created_at__gt=now - timedelta(days=1))[: MAX_RESTARTS + 1])
    if not recent or recent[0].state != Run.State.DIED or recent[0].trigger not in RESTARTED_TRIGGERS:
        return None
    died = recent[0]
    if len(recent) > MAX_RESTARTS and all(run.state == Run.State.DIED for run in recent):
        log.error("The last runs died: they are not started again", extra={"runs": len(recent)})
        return None
    try:
        run = request_run(
            trigger=died.trigger,
            slugs=tuple(died.slugs),
            notify=died.notify,
            requested_by=died.requested_by,
        )
    except (RunRefused, UnknownChecks):  # another run is queued, or the check was disabled since
        return None
    log.warning("A run died: another is started", extra={"died_run_id": str(died.pk), "run_id": str(run.pk)})
    task_requests.request_task(settings.RUN_TASK, str(run.id))
    return run


def start_daily_run(now: datetime) -> None:
    """Start the daily run whose schedule was lost. An installation without schedules has none to lose."""
    if Configuration.load().daily_slot is None:
        return
    try:
        run = schedule.start_due_run(now)
    except RunRefused:
        return
    if run:
        task_requests.request_task(settings.RUN_TASK, str(run.id))


def request_queued_runs(now: datetime) -> None:
    """Request the runs again whose task was lost."""
    for run in Run.objects.filter(state=Run.State.QUEUED, created_at__lt=now - LONGEST_QUEUED):
        log.warning("A queued run is requested again", extra={"run_id": str(run.pk)})
        task_requests.request_task(settings.RUN_TASK, str(run.id))


def request_workers_if_due() -> None:
    if dispatcher.is_work_due(within=timedelta(minutes=1)):
        task_requests.request_workers(busy=recorder.workers_since(timezone.now() - BUSY_WITHIN))


def request_group_results(now: datetime) -> None:
    """Request the count of departments and sources after the last run. A minute later, since the run's messages come first."""
    last = Run.objects.filter(failing_users__isnull=False, users__gt=0).order_by("-created_at", "-id").first()
    if last is None or last.finished_at is None or GroupResult.objects.filter(run=last).exists():
        return
    if LONGEST_QUEUED < now - last.finished_at < LATEST_GROUPS:
        task_requests.request_task(GROUP_RESULTS, str(last.pk))


def count_groups(run_id: str) -> str:
    """Count the open findings by department and source, for the report, and store them with a run.

    Not part of the run: of a million users it takes longer than a run that finds nothing new.
    """
    run = Run.objects.filter(pk=run_id).first()
    if run is None or GroupResult.objects.filter(run=run).exists():
        return "nothing to do"
    return f"{len(store_group_results(run))} groups"


def retention() -> str:
    """Each day: remove old attempts, old bodies of deliveries that have ended, expired sessions, uploaded files that
    nobody imported, and old rejected rows."""
    attempts, bodies = pruning.remove_old()
    sessions = pruning.remove_expired_sessions()
    extra = {
        "attempts": attempts,
        "bodies": bodies,
        "sessions": sessions,
        "uploads": remove_old_uploads(),
        "rejected_rows": remove_old_rejected_rows(),
    }
    log.info("Retention removed old data", extra=extra)
    return f"{attempts} attempts, {bodies} bodies and {sessions} sessions removed"
