"""Send deliveries again that have ended: the same ids, the same bytes."""

from django.db import transaction
from django.db.models import F, QuerySet
from django.utils import timezone

from cii_project.audit import services as audit
from integrations.models import Integration
from integrations.services import PROCESS_SECONDS, killable_templates, template_time_limit
from notifications.delivery import task_requests, unrendered
from notifications.errors import NotificationsError
from notifications.models import Delivery, Event
from notifications.rendering.render import UNRENDERED


class ReplayRefused(NotificationsError):
    """A delivery cannot be sent again; the text says why."""


# --- The rule -----------------------------------------------------------------------------------------
def replayable(deliveries: QuerySet[Delivery]) -> QuerySet[Delivery]:
    """Those that can be sent again: they have ended and were no tests, their body is kept, and their target is not
    disabled."""
    ended = deliveries.filter(state__in=Delivery.ENDED, body__isnull=False).exclude(
        event__origin__in=Event.TESTS
    )
    return ended.exclude(integration__state=Integration.State.DISABLED)


def replayable_together(deliveries: QuerySet[Delivery]) -> QuerySet[Delivery]:
    """Those that :func:`replay_matching` sends. It leaves out what a member dropped with a hold: one statement would send
    what the member decided not to send."""
    return replayable(deliveries.exclude(Delivery.DROPPED))


def is_replayable(delivery: Delivery) -> bool:
    """Whether :func:`replay` would accept the delivery now."""
    return replayable(Delivery.objects.filter(pk=delivery.pk)).exists()


def _refusal(delivery: Delivery) -> str:
    if delivery.state == Delivery.State.HELD:
        return "This delivery is held: release or drop the messages that are held with it."
    if delivery.event.origin in Event.TESTS:
        return "A test is not sent again. Send another one from the page of the target or of the message."
    if delivery.state in Delivery.OPEN:
        return "This delivery is still open: it is sent anyway."
    if delivery.body is None:
        if delivery.state == Delivery.State.SKIPPED:
            return f"There is nothing to send: {delivery.reason}"
        return "The body is no longer kept or was never made, so it cannot be sent again."
    return f"The target “{delivery.integration.name}” is disabled: resume it first."


# --- The change ---------------------------------------------------------------------------------------
def replay(delivery: Delivery) -> None:
    """Send a delivery again that has ended: the same id, the same bytes. Raises :class:`ReplayRefused`.

    A delivery that could not be rendered when it was planned is rendered now. One statement decides and changes, so a
    delivery that a worker holds is never changed.
    """
    with transaction.atomic():
        with killable_templates():
            problem = unrendered.render_stored(delivery)
        if problem:
            raise ReplayRefused(problem)
        if not _make_due(Delivery.objects.filter(id=delivery.id)):
            delivery.refresh_from_db()
            raise ReplayRefused(_refusal(delivery))
        audit.record(audit.Action.ACT, delivery, f"Replayed to “{delivery.integration.name}”.")
        task_requests.request_dispatch()
    delivery.refresh_from_db()


def replay_matching(deliveries: QuerySet[Delivery]) -> int:
    """Replay all of ``deliveries`` that :func:`replayable_together` admits; returns how many."""
    with transaction.atomic():
        chosen = replayable_together(Delivery.objects.filter(id__in=deliveries.order_by().values("id")))
        with killable_templates(), template_time_limit(PROCESS_SECONDS):
            unrendered.render_all(chosen)
        count = _make_due(chosen.exclude(content_type=UNRENDERED))
        if count:
            audit.record(audit.Action.ACT, None, f"Replayed {count} deliveries.")
    if count:
        task_requests.request_workers()
    return count


def _make_due(deliveries: QuerySet[Delivery]) -> int:
    chosen = Delivery.objects.filter(id__in=replayable(deliveries).values("id"), state__in=Delivery.ENDED)
    return chosen.update(
        state=Delivery.State.DUE,
        due_at=timezone.now(),
        attempts=0,
        first_attempt_at=None,
        delivered_at=None,
        finished_at=None,
        reason="",
        lease="",
        lease_until=None,
        replays=F("replays") + 1,
    )
