"""One run with its notifications, and the workers that send what is due."""

import logging
from collections.abc import Callable, Sequence

from django.utils import timezone

from checks.models import Check, CheckResult, Run
from checks.services import run_checks
from notifications.delivery import task_requests
from notifications.members import Actor, stored_member
from notifications.planning import check_events, clock_repair, digests

log = logging.getLogger(__name__)


def run_and_notify(
    *,
    trigger: str,
    slugs: Sequence[str] = (),
    notify: bool = True,
    requested_by: Actor = None,
    run: Run | None = None,
    progress: Callable[[int, int, str], None] | None = None,
) -> Run:
    """Run the checks and send what is new. The deliveries commit with the findings; then workers are requested.

    Raises ``RunRefused`` and ``UnknownChecks`` as :func:`checks.services.run_checks` does.
    """
    has_requested = False

    def plan(run: Run, check: Check, result: CheckResult) -> None:
        nonlocal has_requested
        if check_events.plan(run, check) and not has_requested:
            task_requests.request_dispatch()  # the first check's events need not wait for the last check
            has_requested = True

    # The sweep may come a minute later: a run that starts before the cursors are repaired would count as sent.
    clock_repair.repair_if_set_back(timezone.now())
    finished: Run = run_checks(
        trigger=trigger,
        slugs=slugs,
        notify=notify,
        requested_by=stored_member(requested_by),
        run=run,
        on_findings=plan if notify else None,
        progress=progress,
    )
    if notify:
        try:
            digests.plan_due()
        except Exception:
            log.exception("Digests wait for the sweep", extra={"run_id": str(finished.pk)})
        task_requests.request_workers()
    return finished
