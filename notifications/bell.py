"""The bell: tells the cluster that something is due. The database holds what; a bell that is lost or
cannot ring costs a minute, until the next sweep."""

import logging
from functools import partial

from django.conf import settings
from django.db import transaction
from django_q.status import Stat
from django_q.tasks import async_task

log = logging.getLogger(__name__)

DISPATCH = "notifications.tasks.dispatch_due"


def ring(times: int = 1) -> None:
    """Ask for so many dispatch tasks once the transaction has committed. Never fails."""
    for _ in range(times):
        transaction.on_commit(partial(_enqueue, DISPATCH), robust=True)


def request(task: str, *args: str) -> None:
    """Enqueue ``task`` (dotted name) with ids once the transaction has committed. Never fails."""
    transaction.on_commit(partial(_enqueue, task, *args), robust=True)


def _enqueue(task: str, *args: str) -> None:
    try:
        async_task(task, *args)
    except Exception as error:  # noqa: BLE001  whatever the broker raises, the sweep makes up for it
        log.warning("the queue cannot be reached (%s): %s waits for the sweep", type(error).__name__, task)


def dispatchers() -> int:
    """How many workers may send at once, over all hosts: one of each cluster stays free for runs and sweeps.

    Redis knows which clusters are alive. Where the database is the bell only this process's own settings tell.
    """
    try:
        workers = [len(cluster.workers) for cluster in Stat.get_all()]
    except Exception as error:  # noqa: BLE001  whatever the broker raises
        log.warning("the queue cannot be reached (%s): its clusters are not known", type(error).__name__)
        workers = []
    return sum(max(1, count - 1) for count in workers or [settings.Q_CLUSTER["workers"]])
