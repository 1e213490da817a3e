"""The state of an integration, active, paused or disabled, and its deletion."""

import logging
from collections.abc import Sequence

from django.db import transaction

from cii_project.audit import services as audit
from integrations.models import Integration
from integrations.store.audit_values import audit_values, log_fields

log = logging.getLogger(__name__)

TEXTS = {
    Integration.State.ACTIVE: "Resumed.",
    Integration.State.PAUSED: "Paused.",
    Integration.State.DISABLED: "Disabled.",
}
LOG_TEXTS = {
    Integration.State.ACTIVE: "Target resumed",
    Integration.State.PAUSED: "Target paused",
    Integration.State.DISABLED: "Target disabled",
}


def pause(integration: Integration, reason: str = "") -> None:
    """Keep its deliveries waiting; none is lost."""
    _set_state(integration, Integration.State.PAUSED, reason)


def disable(integration: Integration, reason: str = "") -> None:
    """Send nothing more to it, until it is resumed."""
    _set_state(integration, Integration.State.DISABLED, reason)


def resume(integration: Integration, reason: str = "") -> None:
    """Make it active again; the breaker and the count of failures are reset."""
    integration.breaker_until = None
    integration.consecutive_failures = 0
    integration.failing_since = None
    integration.warned_at = None
    reset = ["breaker_until", "consecutive_failures", "failing_since", "warned_at"]
    _set_state(integration, Integration.State.ACTIVE, reason, reset)


def end_failing(integration: Integration, why: str) -> bool:
    """Forget the failures of a target that works again, and close its breaker; the state stays. Whether there were any."""
    failing = Integration.objects.filter(pk=integration.pk).exclude(
        failing_since=None, consecutive_failures=0, breaker_until=None
    )
    with transaction.atomic():
        changed = failing.update(
            breaker_until=None, consecutive_failures=0, failing_since=None, warned_at=None
        )
        if changed:
            audit.record(audit.Action.CHANGE, integration, f"No longer failing: {why}.")
    integration.refresh_from_db()
    return bool(changed)


def _set_state(
    integration: Integration, state: Integration.State, reason: str, fields: Sequence[str] = ()
) -> None:
    before = integration.state
    integration.state = state
    integration.state_reason = reason[:500]
    with transaction.atomic():
        integration.save(update_fields=["state", "state_reason", "updated_at", *fields])
        values = {"state": state, "reason": integration.state_reason}
        audit.record(audit.Action.CHANGE, integration, TEXTS[state], before={"state": before}, after=values)
    level = logging.INFO if state == Integration.State.ACTIVE else logging.WARNING
    log.log(level, LOG_TEXTS[state], extra=log_fields(integration) | {"reason": integration.state_reason})


def delete_integration(integration: Integration) -> None:
    """Delete it with its secrets, its token and the rows of other apps that refer to it."""
    with transaction.atomic():
        audit.record(audit.Action.DELETE, integration, "Deleted.", before=audit_values(integration))
        fields = log_fields(integration)
        integration.delete()
    log.warning("Target deleted", extra=fields)
