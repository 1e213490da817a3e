"""One delivery as a row of plain values, for sql.insert_rows."""

import logging
from uuid import uuid4

from integrations.models import Integration
from notifications.models import Audience
from notifications.planning.loading import EventContext, TargetDestination
from notifications.rendering.batch import Batch
from notifications.rendering.render import UNRENDERED, Message, NotRendered, reason_of, render, too_large

log = logging.getLogger(__name__)

COLUMNS = (
    "id",
    "event",
    "integration",
    "audience",
    "batch",
    "batches",
    "users",
    "recipient",
    "finding",
    "finding_ranges",
    "body",
    "content_type",
    "state",
    "created_at",
    "due_at",
    "finished_at",
    "attempts",
    "reason",
    "message_error",
    "replays",
    "lease",
)
DeliveryRow = list[object]


def row(context: EventContext, integration: Integration, audience: str, **values: object) -> DeliveryRow:
    """One delivery in the order of COLUMNS.

    One to a disabled target is a dead letter, so that it is visible and can be replayed. A direct message waits for
    the end of the quiet hours, and until the recipients of the whole run are counted.
    """
    now = context.event.created_at
    if integration.state == Integration.State.DISABLED and "state" not in values:
        values["state"] = "dead"
        values["reason"] = f"The target is disabled. {integration.state_reason}".strip()[:500]
    columns = {
        "id": uuid4(),
        "event": context.event.id,
        "integration": integration.id,
        "audience": audience,
        "batch": 1,
        "batches": 1,
        "users": 1,
        "recipient": None,
        "finding": None,
        "finding_ranges": None,
        "body": None,
        "content_type": "",
        "state": "held" if context.holds_direct and audience != Audience.LIST else "due",
        "created_at": now,
        "due_at": now if audience == Audience.LIST else context.direct_due_at,
        "finished_at": None,
        "attempts": 0,
        "reason": "",
        "message_error": "",
        "replays": 0,
        "lease": "",
        **values,
    }
    if columns["state"] != "due":
        columns.update(due_at=None, finished_at=None if columns["state"] == "held" else now)
    return [columns[name] for name in COLUMNS]


def rendered_row(
    context: EventContext, destination: TargetDestination, batch: Batch, /, **values: object
) -> DeliveryRow:
    """The delivery of a batch; a dead letter with the reason where it cannot be rendered or is too large."""
    try:
        message = render(destination, batch)
    except Exception as error:  # noqa: BLE001  a fault of one kind or template ends this message, not the run
        return failed_row(context, destination, batch, error, **values)
    return message_row(context, destination, batch, message, **values)


def message_row(
    context: EventContext, destination: TargetDestination, batch: Batch, message: Message, /, **values: object
) -> DeliveryRow:
    """The delivery of a batch that is rendered; a dead letter where it is too large."""
    values |= {
        "id": batch.id,
        "body": message.rendered.body,
        "content_type": message.rendered.content_type,
        "message_error": message.message_error,
    }
    if reason := too_large(message.rendered.body, destination.kind):
        values |= {"state": "dead", "reason": reason}
    return row(context, destination.integration, destination.audience, **values)


def failed_row(
    context: EventContext, destination: TargetDestination, batch: Batch, error: Exception, /, **values: object
) -> DeliveryRow:
    """A dead letter. It keeps its event, so that a replay can render it when the cause is corrected."""
    log.error(
        "Message could not be rendered", exc_info=error, extra={"integration_id": destination.integration.pk}
    )
    reason = reason_of(error)
    if isinstance(error, NotRendered):
        reason = error.reason
        values |= {"body": error.event, "content_type": UNRENDERED}
    return row(
        context,
        destination.integration,
        destination.audience,
        id=batch.id,
        state="dead",
        reason=reason,
        **values,
    )
