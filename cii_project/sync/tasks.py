"""The tasks of the queue. Each may be lost or run twice: it reads from the database what is to be done."""

import logging

from django.conf import settings
from django.utils import timezone

from cii_project.scim.importing import request_imports
from cii_project.sync.driver import advance
from cii_project.sync.requests import TASK, start_due_syncs, waiting_syncs
from integrations.models import Sync
from notifications.services import request_task

log = logging.getLogger(__name__)


def advance_sync(sync_id: str) -> str:
    """Work on a sync for some seconds and queue the next task of its chain."""
    if advance(int(sync_id)):
        request_task(TASK, sync_id)
        return "goes on"
    return str(Sync.objects.filter(pk=int(sync_id)).values_list("state", flat=True).first() or "gone")


def sweep_syncs() -> str:
    """Each minute: start the syncs that are due, continue those that waited or lost their worker, and import what was
    pushed.

    Half of a cluster's workers at most work on syncs, so that deliveries and runs find one.
    """
    now = timezone.now()
    start_due_syncs(now)
    request_imports()
    busy = Sync.objects.filter(state=Sync.State.RUNNING, claimed_until__gte=now).count()
    free = max(settings.Q_CLUSTER["workers"] // 2, 1) - busy
    waiting = waiting_syncs(now)[: max(free, 0)]
    for pk in waiting:
        request_task(TASK, str(pk))
    return f"{len(waiting)} syncs continue"
