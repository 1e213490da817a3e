"""How long things are kept: attempts by age, bodies by the time since their delivery was settled."""

from datetime import timedelta

from django.db import transaction
from django.utils import timezone

from notifications.models import Attempt, Configuration, Delivery

CHUNK = 5000


def remove_old() -> tuple[int, int]:
    """Returns the attempts and the bodies removed. In chunks, so that no lock is held for long; never of
    a delivery that is still open."""
    configuration = Configuration.load()
    now = timezone.now()
    old = now - timedelta(days=configuration.attempt_retention_days)
    attempts = 0
    while ids := list(
        Attempt.objects.filter(started_at__lt=old)
        .exclude(delivery__state__in=Delivery.OPEN)
        .order_by("started_at")
        .values_list("id", flat=True)[:CHUNK]
    ):
        with transaction.atomic():
            attempts += Attempt.objects.filter(id__in=ids).delete()[0]
    settled = now - timedelta(days=configuration.payload_retention_days)
    bodies = 0
    while keys := list(
        Delivery.objects.filter(body__isnull=False, finished_at__lt=settled)
        .exclude(state__in=Delivery.OPEN)
        .order_by("finished_at")
        .values_list("id", flat=True)[:CHUNK]
    ):
        with transaction.atomic():
            removed = Delivery.objects.filter(id__in=keys).exclude(state__in=Delivery.OPEN).update(body=None)
        if not removed:
            break
        bodies += removed
    return attempts, bodies
