"""One delivery as a row of plain values, on its way to bulk.insert."""

import logging
from typing import Any
from uuid import uuid4

from integrations.models import Integration
from notifications import remaking
from notifications.composing import Destination, Made, NotRendered, Occasion
from notifications.models import Audience
from notifications.payloads import encode
from notifications.remaking import UNRENDERED

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
    "about",
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
Row = list[Any]


def row(on: Occasion, integration: Integration, audience: str, **values: Any) -> Row:
    """One delivery in the order of COLUMNS. A disabled target's is a dead letter: seen, and replayable.
    Nobody is written to in person during quiet hours."""
    now = on.event.created_at
    if integration.state == Integration.State.DISABLED and "state" not in values:
        values["state"] = "dead"
        values["reason"] = f"The target is disabled. {integration.state_reason}".strip()[:500]
    made = {
        "id": uuid4(),
        "event": on.event.id,
        "integration": integration.id,
        "audience": audience,
        "batch": 1,
        "batches": 1,
        "users": 1,
        "recipient": None,
        "finding": None,
        "about": None,
        "body": None,
        "content_type": "",
        "state": "due",
        "created_at": now,
        "due_at": now if audience == Audience.LIST else on.awake_at,
        "finished_at": None,
        "attempts": 0,
        "reason": "",
        "message_error": "",
        "replays": 0,
        "lease": "",
        **values,
    }
    if made["state"] != "due":
        made.update(due_at=None, finished_at=now)
    return [made[name] for name in COLUMNS]


def failed(on: Occasion, to: Destination, error: Exception, values: dict[str, Any]) -> Row:
    """A dead letter. It keeps its event, so that a replay can write it when what was wrong is mended."""
    log.error("a message to target %s could not be made", to.integration.pk, exc_info=error)
    if isinstance(error, NotRendered):
        values = {**values, "body": encode(error.event).encode(), "content_type": UNRENDERED}
        error = error.why
    return row(on, to.integration, to.audience, **values, state="dead", reason=remaking.reason_of(error))


def made_row(on: Occasion, to: Destination, made: Made, values: dict[str, Any]) -> Row:
    values = {
        **values,
        "body": made.rendered.body,
        "content_type": made.rendered.content_type,
        "message_error": made.message_error,
    }
    if reason := remaking.too_large(made.rendered.body, to.kind):
        values = {**values, "state": "dead", "reason": reason}
    return row(on, to.integration, to.audience, **values)
