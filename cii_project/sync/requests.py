"""Starting syncs, and the decisions of members about them."""

import logging
from datetime import datetime, timedelta

from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import Q
from django.utils import timezone

from cii_project.audit.services import Action, record
from cii_project.errors import ProjectError
from cii_project.sync import spool
from integrations.models import SourceConnection, Sync, SyncPass
from integrations.services import api_source, is_push_kind
from notifications.models import Configuration
from notifications.services import daily_times, request_task

log = logging.getLogger(__name__)

TASK = "cii_project.sync.tasks.advance_sync"
# The shortest time between a sync and the next daily one.
SHORTEST_GAP = timedelta(hours=1)
DAY = 24
# Number of syncs in the history of a source.
KEPT_SYNCS = 200


class SyncRefused(ProjectError):
    """No sync was started or changed; the text says why."""


def start_sync(connection: SourceConnection, trigger: Sync.Trigger, now: datetime | None = None) -> Sync:
    """Start a sync and queue its first task. Raises :class:`SyncRefused`."""
    now = now or timezone.now()
    if is_push_kind(connection.kind):
        raise SyncRefused(f"{connection.source_slug} is not synced: it pushes its users.")
    if connection.state == SourceConnection.State.PAUSED:
        raise SyncRefused(f"{connection.source_slug} is paused: resume it first.")
    kind = api_source(connection)
    try:
        with transaction.atomic():
            sync = Sync.objects.create(connection=connection, trigger=trigger, due_at=now)
            for position, each in enumerate(kind.passes_of(connection.settings)):
                SyncPass.objects.create(sync=sync, slug=each.slug, position=position)
            connection.next_sync_at = next_sync_time(connection, now)
            SourceConnection.objects.filter(pk=connection.pk).update(next_sync_at=connection.next_sync_at)
            _remove_old(connection)
            if trigger != Sync.Trigger.SCHEDULE:
                record(Action.ACT, connection, "Started a sync.")
    except IntegrityError:
        raise SyncRefused(f"A sync of {connection.source_slug} is running already.") from None
    log.info("A sync has started", extra={"source": connection.source_slug, "sync": sync.pk})
    request_task(TASK, str(sync.pk))
    return sync


def _remove_old(connection: SourceConnection) -> None:
    """Remove the oldest syncs beyond :data:`KEPT_SYNCS`, except a held one."""
    kept = connection.syncs.order_by("-id").values_list("pk", flat=True)[:KEPT_SYNCS]
    connection.syncs.exclude(pk__in=list(kept)).exclude(state=Sync.State.HELD).delete()


def next_sync_time(connection: SourceConnection, now: datetime) -> datetime:
    """When the next sync starts: by whole days it ends up before a daily run, ``SYNC_LEAD_MINUTES`` ahead of it."""
    period = timedelta(hours=connection.period_hours)
    if connection.period_hours % DAY:
        return now + period
    lead = timedelta(minutes=settings.SYNC_LEAD_MINUTES)
    configuration = Configuration.load()
    earliest = now + period - timedelta(hours=DAY) + SHORTEST_GAP
    (slot,) = daily_times(configuration.run_time, configuration.run_zone, earliest + lead, 1)
    return slot - lead


def start_due_syncs(now: datetime) -> list[Sync]:
    """Start the syncs whose time has come."""
    due = SourceConnection.objects.filter(state=SourceConnection.State.ACTIVE, next_sync_at__lte=now)
    started = []
    for connection in due:
        try:
            started.append(start_sync(connection, Sync.Trigger.SCHEDULE, now))
        except SyncRefused as refusal:
            SourceConnection.objects.filter(pk=connection.pk).update(
                next_sync_at=next_sync_time(connection, now)
            )
            log.info("A sync was not started", extra={"reason": str(refusal)})
    return started


def waiting_syncs(now: datetime) -> list[int]:
    """The syncs that could be worked on and that no worker has."""
    free = Q(claimed_until=None) | Q(claimed_until__lt=now)
    active = Sync.objects.filter(
        free,
        state=Sync.State.RUNNING,
        due_at__lte=now,
        connection__state=SourceConnection.State.ACTIVE,
    )
    return list(active.order_by("due_at").values_list("pk", flat=True))


def release_held(sync: Sync, by: str) -> None:
    """Import a held listing although it deletes many accounts, and read the other passes. ``by``: who decides.

    Raises :class:`SyncRefused`.
    """
    now = timezone.now()
    try:
        with transaction.atomic():
            values = {
                "state": Sync.State.RUNNING,
                "is_forced": True,
                "error": "",
                "due_at": now,
                "decision": f"Released by {by}."[:200],
            }
            _decide(sync, values)
            record(
                Action.CHANGE, sync.connection, f"Released a listing that lacks {_missing(sync)} accounts."
            )
    except IntegrityError:
        raise SyncRefused("Another sync of this source is running: wait for its end.") from None
    request_task(TASK, str(sync.pk))


def drop_held(sync: Sync, by: str) -> None:
    """Forget a held listing; the accounts stay. Raises :class:`SyncRefused`."""
    with transaction.atomic():
        decision = f"Dropped by {by}."[:200]
        _decide(sync, {"state": Sync.State.DROPPED, "finished_at": timezone.now(), "decision": decision})
        spool.drop(sync.passes.all())
        record(Action.CHANGE, sync.connection, f"Dropped a listing that lacks {_missing(sync)} accounts.")


def _decide(sync: Sync, values: dict[str, object]) -> None:
    if not Sync.objects.filter(pk=sync.pk, state=Sync.State.HELD).update(**values):
        raise SyncRefused("This listing was decided already.")
    sync.refresh_from_db()


def _missing(sync: Sync) -> int:
    return int((sync.held or {}).get("missing", 0))
