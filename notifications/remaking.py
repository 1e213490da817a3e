"""Deliveries whose kind could not write them when they were planned, as with a body template that fails on some event.

They are dead letters that hold the contract's event. A replay writes the event anew: it needs no more than the target.
"""

import json

from django.db.models import QuerySet

from integrations import targets
from integrations.liquid import TemplateError
from integrations.services import target_of
from integrations.targets.base import TargetKind
from notifications.models import Delivery

# The content type of a body that is the event as plain data.
UNRENDERED = "application/x-unrendered+json"


def reason_of(error: Exception) -> str:
    said = str(error) if isinstance(error, TemplateError) else f"{type(error).__name__}."
    return f"The message could not be made: {said}"[:500]


def too_large(body: bytes, kind: TargetKind) -> str:
    """Why a body is not sent; empty where it has the right size."""
    if len(body) <= kind.max_bytes:
        return ""
    return f"One user's message has {len(body):,} bytes, over the {kind.max_bytes:,} that this kind of target takes."


def remake(delivery: Delivery) -> str:
    """Write the event of a dead letter, as its target is now. Why that fails yet; empty: it can be sent.

    Its bytes are then the same on every attempt and replay, as any delivery's.
    """
    if delivery.content_type != UNRENDERED or delivery.body is None:
        return ""
    try:
        kind = targets.get(delivery.integration.kind)
        rendered = kind.render(json.loads(bytes(delivery.body)), target_of(delivery.integration))
    except Exception as error:  # noqa: BLE001  whatever it is, the operator is told
        return reason_of(error)
    if reason := too_large(rendered.body, kind):
        return reason
    mine = Delivery.objects.filter(id=delivery.id, state=Delivery.State.DEAD, content_type=UNRENDERED)
    mine.update(body=rendered.body, content_type=rendered.content_type)
    return ""


def remake_all(deliveries: "QuerySet[Delivery]") -> None:
    for delivery in deliveries.filter(content_type=UNRENDERED).select_related("integration").iterator(100):
        remake(delivery)
