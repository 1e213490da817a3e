"""Send at once what waits for a target, when a member says that it can be reached again."""

from dataclasses import dataclass

from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from cii_project.audit import services as audit
from integrations.models import Integration
from notifications.delivery import task_requests
from notifications.errors import NotificationsError
from notifications.models import Delivery
from notifications.replay import replay_matching, replayable_together

# A page counts no further.
MOST_COUNTED = 10_000


class SendRefused(NotificationsError):
    """A delivery cannot be sent now; the text says why."""


@dataclass(frozen=True, slots=True)
class Unsent:
    """Numbers of deliveries that a target did not get: those that wait for their next attempt, and dead
    letters that can be sent again."""

    waiting: int = 0
    dead: int = 0

    def __bool__(self) -> bool:
        return bool(self.waiting or self.dead)


def unsent(integration: Integration) -> Unsent:
    """Counted up to 10,000 each. Nothing for a target that is not active: resume it first."""
    if integration.state != Integration.State.ACTIVE:
        return Unsent()
    return Unsent(_waiting(integration)[:MOST_COUNTED].count(), _dead(integration)[:MOST_COUNTED].count())


def send_unsent(integration: Integration) -> Unsent:
    """Make all that waits due now and replay the dead letters; returns how many. An open breaker is closed."""
    if integration.state != Integration.State.ACTIVE:
        return Unsent()
    with transaction.atomic():
        waiting = _make_due(_waiting(integration), integration)
        dead = replay_matching(_dead(integration))
        text = f"Sent now: {waiting} waiting, {dead} dead letters."
        audit.record(audit.Action.ACT, integration, text)
    task_requests.request_workers()
    return Unsent(waiting, dead)


def send_now(delivery: Delivery) -> None:
    """Make a delivery due now that waits for its next attempt. Raises :class:`SendRefused`."""
    target = delivery.integration
    if target.state != Integration.State.ACTIVE:
        raise SendRefused(
            f"The target “{target.name}” is {target.get_state_display().lower()}: resume it first."
        )
    with transaction.atomic():
        if not _make_due(Delivery.objects.filter(id=delivery.id, state=Delivery.State.DUE), target):
            raise SendRefused("This delivery does not wait any more.")
        audit.record(audit.Action.ACT, delivery, f"Sent now to “{target.name}”.")
        task_requests.request_dispatch()


def _waiting(integration: Integration) -> QuerySet[Delivery]:
    """A delivery that is already due is being sent, unless the breaker is open."""
    due = Delivery.objects.filter(integration=integration, state=Delivery.State.DUE)
    return due if integration.breaker_until else due.filter(due_at__gt=timezone.now())


def _dead(integration: Integration) -> QuerySet[Delivery]:
    return replayable_together(Delivery.objects.filter(integration=integration, state=Delivery.State.DEAD))


def _make_due(deliveries: QuerySet[Delivery], integration: Integration) -> int:
    """Those that are due already keep their place in the queue."""
    now = timezone.now()
    # The target's row first, as a claim locks it.
    Integration.objects.filter(id=integration.id, breaker_until__isnull=False).update(breaker_until=None)
    count = deliveries.count()
    deliveries.filter(due_at__gt=now).update(due_at=now)
    return count
