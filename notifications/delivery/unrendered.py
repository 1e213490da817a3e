"""Dead letters that keep the contract's event, because their kind could not write it when they were planned.

A body template that fails on some event leaves one. A replay renders the event for the target as it is configured now.
"""

import json

from django.db.models import QuerySet

from integrations.services import kind_of, target_without_secrets
from notifications.delivery.presentations import presentation_of
from notifications.models import Configuration, Delivery
from notifications.rendering.batch import Destination, StoredEvent
from notifications.rendering.render import UNRENDERED, NotRendered, reason_of, render, too_large


def render_stored(delivery: Delivery) -> str:
    """Render the event of a dead letter and store the bytes. Returns why that fails; empty: it can be sent.

    The bytes are then the same on every attempt and replay, as any delivery's.
    """
    if delivery.content_type != UNRENDERED or delivery.body is None:
        return ""
    try:
        kind, target = kind_of(delivery.integration.kind), target_without_secrets(delivery.integration)
        presentation = presentation_of(Configuration.load(), delivery.event.check_ref)
        stored = StoredEvent(delivery.id, json.loads(bytes(delivery.body)), presentation)
        rendered = render(Destination(kind, target, delivery.audience, None, ""), stored).rendered
    except NotRendered as error:
        return error.reason
    except Exception as error:  # noqa: BLE001  an unknown kind, a damaged row: the operator sees the reason
        return reason_of(error)
    if reason := too_large(rendered.body, kind):
        return reason
    same = Delivery.objects.filter(id=delivery.id, state=Delivery.State.DEAD, content_type=UNRENDERED)
    same.update(body=rendered.body, content_type=rendered.content_type)
    return ""


def render_all(deliveries: "QuerySet[Delivery]") -> None:
    """Render every unrendered dead letter among ``deliveries`` that can be."""
    for delivery in deliveries.filter(content_type=UNRENDERED).select_related("integration").iterator(100):
        render_stored(delivery)
