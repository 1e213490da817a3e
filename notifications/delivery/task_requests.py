"""Ask the queue to run a task. The database holds the work: a request that is lost costs a minute, until the next sweep."""

import logging
from functools import partial

from django.conf import settings
from django.db import transaction
from django.utils import timezone
from django_q.status import Stat
from django_q.tasks import async_task

from notifications.delivery.leases import DUE
from notifications.models import Delivery

log = logging.getLogger(__name__)

DISPATCH = "notifications.tasks.dispatch_due"
# The number of due deliveries that is worth one more worker.
WORTH_A_WORKER = 500


def request_dispatch(times: int = 1) -> None:
    """Request this number of dispatch tasks once the transaction has committed. Never raises."""
    for _ in range(times):
        request_task(DISPATCH)


def request_task(task: str, *args: str) -> None:
    """Enqueue ``task``, a dotted name, with ids once the transaction has committed. Never raises."""
    transaction.on_commit(partial(_enqueue, task, *args), robust=True)


def _enqueue(task: str, *args: str) -> None:
    try:
        async_task(task, *args)
    except Exception as error:  # noqa: BLE001  any error of the broker: the sweep finds the work
        log.warning(
            "The queue cannot be reached: the task waits for the sweep",
            extra={"task": task, "error": type(error).__name__},
        )


def dispatch_workers() -> int:
    """The number of workers that may send at once, over all hosts; one of each cluster stays free for runs and sweeps.

    Redis knows which clusters are alive. Where the database is the queue, only this process's settings count.
    """
    try:
        workers = [len(cluster.workers) for cluster in Stat.get_all()]
    except Exception as error:  # noqa: BLE001  whatever the broker raises
        log.warning(
            "The queue cannot be reached: its clusters are unknown", extra={"error": type(error).__name__}
        )
        workers = []
    return sum(max(1, count - 1) for count in workers or [settings.Q_CLUSTER["workers"]])


def request_workers(*, busy: int = 0) -> int:
    """Request a number of dispatch tasks that fits the due deliveries, minus the ``busy`` workers, each of
    which requests its successor; returns how many."""
    most = max(0, dispatch_workers() - busy)
    due = Delivery.objects.filter(state=DUE, due_at__lte=timezone.now())
    count = due[: WORTH_A_WORKER * most].count()
    workers = min(most, 1 + count // WORTH_A_WORKER) if count else 0
    request_dispatch(workers)
    if workers:
        log.info("Workers are requested", extra={"workers": workers, "busy": busy})
    return workers
