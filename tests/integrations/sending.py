"""One attempt of an integration, as the dispatcher makes it."""

import time
from typing import Any

from integrations.models import Integration
from integrations.services import AttemptOutcome, AttemptRequest, kind_of, target_of


def probe(integration: Integration, event: dict[str, Any]) -> AttemptOutcome:
    """Render ``event``, whose ``id`` is the idempotency key, and send it once as a connectivity test."""
    kind, target = kind_of(integration.kind), target_of(integration)
    message = kind.render(event, target)
    return kind.probe(
        AttemptRequest(event["id"], message.body, message.content_type, int(time.time())), target
    )
