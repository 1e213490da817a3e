"""Messages that a member sends: tests, and all users who fail now."""

import secrets
from uuid import uuid4

from django.db import transaction
from django.utils import timezone

from checks.models import Check, Finding
from cii_project.audit import services as audit
from integrations.models import Integration
from integrations.services import end_failing, killable_templates, target_of
from notifications.delivery import leases, task_requests
from notifications.delivery.dispatcher import send_once
from notifications.members import Actor, stored_member
from notifications.models import Audience, Delivery, Event, Subscription
from notifications.planning import check_events, filters, loading
from notifications.planning.check_events import EventTarget
from notifications.planning.loading import TargetDestination
from notifications.rendering import templates
from notifications.rendering.batch import Batch, ConnectivityTest
from notifications.rendering.render import NotRendered, render
from notifications.sample_batches import sample_batch


def send_current(
    check: Check,
    integration: Integration,
    *,
    by: Actor = None,
    audience: str = Audience.LIST,
) -> Event | None:
    """Send all users who fail now, new or not, to one target, if its filter matches them; None: no user."""
    target = event_target(check, integration, audience)
    findings = Finding.objects.filter(check_ref=check, resolved_at=None)
    if not filters.apply_filter(findings, target.filter, check).exists():
        return None
    now = timezone.now()
    with transaction.atomic():
        event = Event.objects.create(
            origin=Event.Origin.CURRENT, check_ref=check, created_at=now, requested_by=stored_member(by)
        )
        check_events.insert_deliveries(event, check, [target], findings, now=now)
        audit.record(audit.Action.ACT, check, f"All who fail now sent to “{integration.name}” ({audience}).")
        task_requests.request_dispatch()
    return event


def event_target(check: Check, integration: Integration, audience: str = Audience.LIST) -> EventTarget:
    """The target with its filter on this check; without a filter if it is not enabled there."""
    found = Subscription.objects.filter(check_ref=check, integration=integration, audience=audience)
    return EventTarget(integration, audience, found.values_list("filter", flat=True).first() or {})


def test_connectivity(integration: Integration, *, by: Actor = None) -> Delivery:  # noqa: PT028  no test
    """Send the contract's WebhookTest once, now. Its attempt (``delivery.log``) has the result.

    A test that is delivered ends the failing state of the target.
    """
    destination = loading.destination(integration, Audience.LIST, None)
    event = Event(origin=Event.Origin.CONNECTIVITY, created_at=timezone.now(), requested_by=stored_member(by))
    audit.record(audit.Action.ACT, integration, "Test Connectivity.")
    test = ConnectivityTest(uuid4(), loading.connectivity_event(event))
    delivery = _send_now(event, destination, test, is_probe=True)
    if delivery.state == Delivery.State.DELIVERED:
        end_failing(integration, "a connectivity test was delivered")
    return delivery


def send_test_message(
    check: Check,
    integration: Integration,
    *,
    audience: str = Audience.LIST,
    template_text: str | None = None,
    by: Actor = None,
) -> Delivery:
    """Send one message marked as a test, about users who fail now if there are any; it is not retried.

    ``template_text``: a message that is not saved yet. Raises :class:`MessageError` if it is not valid.
    """
    if template_text is not None:
        templates.check(template_text, audience)
    destination = loading.destination(integration, audience, check, template_text=template_text)
    event = Event(
        origin=Event.Origin.TEST, check_ref=check, created_at=timezone.now(), requested_by=stored_member(by)
    )
    batch, _ = sample_batch(loading.event_context(event, check), check, audience)
    audit.record(audit.Action.ACT, check, f"Test message to “{integration.name}” ({audience}).")
    return _send_now(event, destination, batch)


def _send_now(
    event: Event, destination: TargetDestination, batch: Batch, *, is_probe: bool = False
) -> Delivery:
    """Store, commit, send once, record. A lease keeps workers from claiming the delivery."""
    now = timezone.now()
    delivery = Delivery(
        id=batch.id,
        event=event,
        integration=destination.integration,
        audience=destination.audience,
        created_at=now,
        state=Delivery.State.SENDING,
        lease=secrets.token_hex(16),
        lease_until=now + leases.lease_time(),
        users=batch.user_count,
    )
    try:
        with killable_templates():
            message = render(destination, batch)
    except NotRendered as error:
        raise error.__cause__ or error from None
    delivery.body, delivery.content_type = message.rendered.body, message.rendered.content_type
    delivery.message_error = message.message_error
    event.users = delivery.users
    with transaction.atomic():
        event.save(force_insert=True)
        delivery.save(force_insert=True)
    send = destination.kind.probe if is_probe else destination.kind.send
    send_once(delivery, lambda request: send(request, target_of(destination.integration)))
    delivery.refresh_from_db()
    return delivery
