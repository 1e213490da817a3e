"""From pushed users to accounts: what changed is imported, without a listing that could delete.

The marks of pushed changes are in the database and are taken after the import: what a killed worker had read is read
again. Nothing is concluded from silence.
"""

import logging
from collections.abc import Sequence
from datetime import timedelta

from django.db.models import Q
from django.utils import timezone

from checks.models import Account, FieldGroup, Source
from checks.services import AllRecordsBad, ApiReading, ImportRefused, import_accounts
from integrations.models import ScimResource, SourceConnection
from integrations.services import mark_imported, pending_resources, pending_sources, records_of
from notifications.services import request_task

log = logging.getLogger(__name__)

TASK = "cii_project.scim.importing.import_pushes"
BATCH = 2_000
# Longer than a batch takes: after a worker was killed the next one waits as long.
CLAIM = timedelta(minutes=5)
# What a system pushes when it changes holds until then. Of the rest a value is evidence for these days.
LASTING = frozenset((FieldGroup.PROFILE, FieldGroup.GROUPS))
MAX_AGE_DAYS = 14


def request_imports() -> int:
    """Queue the import of each source of which something waits; the number of sources."""
    waiting = pending_sources()
    for pk in waiting:
        request_task(TASK, str(pk))
    return len(waiting)


def import_pushes(connection_id: str) -> str:
    """The queue's task: import what waits of one source. It may be lost or run twice."""
    pk = int(connection_id)
    if not _claim(pk):
        return "another worker imports"
    connection = SourceConnection.objects.get(pk=pk)
    try:
        return f"{import_waiting(connection)} users"
    except ImportRefused as refusal:
        log.info("Pushed users wait", extra={"source": connection.source_slug, "reason": str(refusal)})
        return "waits"
    finally:
        SourceConnection.objects.filter(pk=pk).update(push_claimed_until=None)


def _claim(pk: int) -> bool:
    now = timezone.now()
    free = SourceConnection.objects.filter(Q(push_claimed_until=None) | Q(push_claimed_until__lt=now), pk=pk)
    return bool(free.update(push_claimed_until=now + CLAIM))


def import_waiting(connection: SourceConnection) -> int:
    """Import what waits, first the deleted users, whose logins others may have taken; the number of users. Raises
    ``ImportRefused`` where an import has to wait."""
    source = Source.objects.filter(slug=connection.source_slug, deleted_at__isnull=True).first()
    if source is None or connection.state == SourceConnection.State.PAUSED:
        return 0
    done = 0
    for is_deleted in (True, False):
        after = 0
        while batch := pending_resources(connection, is_deleted=is_deleted, after=after, most=BATCH):
            after = batch[-1].pk
            _import(source, _with_account(source, batch) if is_deleted else batch)
            mark_imported(batch)
            done += len(batch)
            SourceConnection.objects.filter(pk=connection.pk).update(
                push_claimed_until=timezone.now() + CLAIM
            )
    return done


def _with_account(source: Source, deleted: Sequence[ScimResource]) -> list[ScimResource]:
    """Those that were imported before they were deleted."""
    known: set[str] = set()
    ids = [each.scim_id for each in deleted]
    for start in range(0, len(ids), 500):
        accounts = Account.objects.filter(source=source, source_key__in=ids[start : start + 500])
        known.update(accounts.values_list("source_key", flat=True))
    return [each for each in deleted if each.scim_id in known]


def _import(source: Source, resources: Sequence[ScimResource]) -> None:
    if not resources:
        return
    now = timezone.now()
    try:
        import_accounts(
            enumerate(records_of(resources, now), 1),
            source=source,
            # Each record is whole: what it lacks is unknown.
            replace=True,
            file_name="Push",
            api_reading=ApiReading(now, complete=False, max_age_days=MAX_AGE_DAYS, lasting=LASTING),
        )
    except AllRecordsBad:
        # Kept with the import, as its page shows; the next push of these users is read again.
        log.warning("Pushed users were rejected", extra={"source": source.slug, "users": len(resources)})
