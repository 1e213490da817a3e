"""Retention: attempts by age, bodies by the time since their delivery ended, sessions after they expired."""

from datetime import timedelta

from django.contrib.sessions.models import Session
from django.db import transaction
from django.utils import timezone

from notifications.models import Attempt, Configuration, Delivery

# Rows of one statement: no lock is held for long.
CHUNK = 5000


def remove_expired_sessions() -> int:
    """Delete the sessions that have expired; returns how many."""
    now, removed = timezone.now(), 0
    while keys := list(Session.objects.filter(expire_date__lt=now).values_list("pk", flat=True)[:CHUNK]):
        removed += Session.objects.filter(pk__in=keys).delete()[0]
    return removed


def remove_old() -> tuple[int, int]:
    """Remove old attempts and bodies, except of deliveries that are held or open; returns how many of each."""
    configuration = Configuration.load()
    now = timezone.now()
    old = now - timedelta(days=configuration.attempt_retention_days)
    attempts = 0
    while ids := list(
        Attempt.objects.filter(started_at__lt=old)
        .exclude(delivery__state__in=Delivery.PENDING)
        .order_by("started_at")
        .values_list("id", flat=True)[:CHUNK]
    ):
        with transaction.atomic():
            attempts += Attempt.objects.filter(id__in=ids).delete()[0]
    old = now - timedelta(days=configuration.payload_retention_days)
    bodies = 0
    while keys := list(
        Delivery.objects.filter(body__isnull=False, finished_at__lt=old)
        .exclude(state__in=Delivery.PENDING)
        .order_by("finished_at")
        .values_list("id", flat=True)[:CHUNK]
    ):
        with transaction.atomic():
            # One of them may have been replayed since.
            ended = Delivery.objects.filter(id__in=keys).exclude(state__in=Delivery.PENDING)
            removed = ended.update(body=None)
        if not removed:
            break
        bodies += removed
    return attempts, bodies
