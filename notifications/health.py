"""How each target fares: its circuit breaker, its warnings, its end. Written after the attempts are.

The breaker is about whether a receiver can answer at all: only what is retried (5xx, timeouts, no
connection) counts against it, any answer closes it. A refusal (4xx) is an answer; it counts for
``failing_since``. Our own faults count for nothing.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.core.mail import send_mail
from django.db import transaction
from django.db.models import F, Q
from django.utils import timezone

from integrations.models import Integration
from integrations.outcomes import Result
from integrations.services import disable
from notifications import sharing
from notifications.recording import Sent

log = logging.getLogger(__name__)

WARN_AFTER = timedelta(days=3)
DISABLE_AFTER = timedelta(days=5)
# A healthy target's last success need not be exact to the second: spares a write per batch.
QUIET = timedelta(seconds=5)


def threshold() -> int:
    """Consecutive failures that open a target's breaker."""
    return int(settings.BREAKER_FAILURES)


@dataclass(frozen=True, slots=True)
class Health:
    """The health columns of one target."""

    consecutive_failures: int = 0
    failing_since: datetime | None = None
    last_success_at: datetime | None = None
    last_attempt_at: datetime | None = None
    last_reason: str = ""
    warned_at: datetime | None = None
    breaker_until: datetime | None = None


COLUMNS = tuple(Health.__dataclass_fields__)


def after(health: Health, sent: Sent, limit: int) -> Health:
    """The health after one more attempt: pure."""
    outcome, now = sent.outcome, sent.ended_at
    changes: dict[str, Any] = {name: getattr(health, name) for name in COLUMNS}
    if outcome.result is Result.OURS:
        if sent.claimed.probe:  # told nothing of the target: let the next one try soon
            changes["breaker_until"] = now + sharing.FIRST_PAUSE
        return Health(**changes)
    changes["last_attempt_at"] = now
    if outcome.result is Result.DELIVERED:
        return Health(last_success_at=now, last_attempt_at=now)
    changes["failing_since"] = health.failing_since or now
    changes["last_reason"] = outcome.reason[:500]
    if outcome.result is not Result.RETRYABLE:
        changes.update(consecutive_failures=0, breaker_until=None)
    elif health.breaker_until is None or sent.claimed.probe:
        failures = health.consecutive_failures + 1
        changes["consecutive_failures"] = failures
        if failures >= limit:
            changes["breaker_until"] = now + sharing.pause(failures, limit)
    return Health(**changes)


def note(results: Sequence[Sent]) -> None:
    """Bring the health of the attempts' targets up to date, and disable those that are gone."""
    by_target: dict[int, list[Sent]] = {}
    for sent in results:
        by_target.setdefault(sent.claimed.integration_id, []).append(sent)
    rows = {row["id"]: row for row in Integration.objects.filter(id__in=by_target).values("id", *COLUMNS)}
    for target, row in sorted(rows.items()):
        _note(target, Health(**{name: row[name] for name in COLUMNS}), by_target[target])


def _note(target: int, health: Health, results: Sequence[Sent]) -> None:
    results = sorted(results, key=lambda sent: sent.ended_at)
    delivered = [sent for sent in results if sent.outcome.result is Result.DELIVERED]
    well = health.failing_since is None and health.consecutive_failures == 0 and health.breaker_until is None
    if well and len(delivered) == len(results):
        now = results[-1].ended_at
        if health.last_success_at is None or now - health.last_success_at > QUIET:
            Integration.objects.filter(id=target).update(last_success_at=now, last_attempt_at=now)
        return
    with transaction.atomic():
        row = Integration.objects.select_for_update(no_key=True).filter(id=target).values(*COLUMNS).first()
        if row is None:
            return
        before = after_all = Health(**row)
        for sent in results:
            after_all = after(after_all, sent, threshold())
        if after_all != before:
            Integration.objects.filter(id=target).update(
                **{name: getattr(after_all, name) for name in COLUMNS}
            )
    gone = [sent.outcome.reason for sent in results if sent.outcome.result is Result.GONE]
    if gone:
        end(target, f"The receiver says that it is gone for good (410). {gone[0]}")


def end(target: int, reason: str) -> None:
    """Disable a target, once, and tell its owner."""
    integration = Integration.objects.filter(id=target).first()
    if integration is None or integration.state == Integration.State.DISABLED:
        return
    disable(integration, reason[:500])
    tell_owner(
        integration,
        f"Disabled: {integration.name}",
        f"The target “{integration.name}” was disabled and is sent nothing any more.\n\n{reason}\n\n"
        "What was not delivered stands in its dead letters and can be sent again once the target is "
        "mended and resumed.",
    )


def watch(now: datetime | None = None) -> None:
    """Warn, and later disable, the targets that have known nothing but failure for days.

    It is attempts that count: a target that failed once and was sent nothing since is left alone.
    """
    now = now or timezone.now()
    failing = Integration.objects.filter(~Q(state=Integration.State.DISABLED), failing_since__isnull=False)
    for integration in failing.filter(warned_at=None, last_attempt_at__gte=F("failing_since") + WARN_AFTER):
        if Integration.objects.filter(id=integration.id, warned_at=None).update(warned_at=now):
            tell_owner(
                integration,
                f"Failing: {integration.name}",
                f"Every delivery to “{integration.name}” has failed since {integration.failing_since:%Y-%m-%d %H:%M} "
                f"UTC. The last reason: {integration.last_reason}\n\nUnless one arrives, the target will be "
                f"disabled {DISABLE_AFTER.days} days after the first failure. Nothing is lost: what is not "
                "delivered is kept.",
            )
    doomed = failing.filter(
        warned_at__lte=now - timedelta(days=1), last_attempt_at__gte=F("failing_since") + DISABLE_AFTER
    )
    for integration in doomed:
        end(integration.id, f"Nothing but failure for {DISABLE_AFTER.days} days. {integration.last_reason}")


def tell_owner(integration: Integration, subject: str, text: str) -> None:
    """By e-mail; where that fails, the log says so and the dashboard still does."""
    log.warning("%s", subject)
    if not integration.owner_email:
        return
    try:
        send_mail(subject.replace("\n", " "), text, None, [integration.owner_email])
    except Exception:
        log.exception("the owner of target %s could not be told", integration.id)
