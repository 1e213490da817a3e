"""Deletion of uploaded files after their time."""

from datetime import timedelta

from django.db.models import Q
from django.utils import timezone

from checks.models import Upload

KEPT = timedelta(hours=24)
# A worker that reads a file gives signs of life, but not while a large one is applied.
SILENCE = timedelta(minutes=10)


def remove_old_uploads() -> int:
    """Delete the uploads that are older than :data:`KEPT`, except those that a worker reads now; how many."""
    now = timezone.now()
    busy = Q(state=Upload.State.RUNNING, heartbeat_at__gt=now - SILENCE)
    old = list(Upload.objects.filter(created_at__lt=now - KEPT).exclude(busy))
    for upload in old:
        upload.delete()
    return len(old)
