"""The health of each target: its circuit breaker, its warnings, and when it is disabled. Updated after attempts are stored.

The breaker is about whether a receiver can answer at all. Only what is retried (5xx, timeouts, no connection) counts
against it, and any answer closes it. A refusal (4xx) is an answer; it counts for ``failing_since``. Internal errors do
not count, nor does a refusal that concerns one recipient.
"""

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields, replace
from datetime import datetime, timedelta

from django.conf import settings
from django.core.mail import send_mail
from django.db import transaction
from django.db.models import F, Q
from django.utils import timezone

from integrations.models import Integration
from integrations.services import Result, disable
from notifications.delivery import fairness
from notifications.delivery.recorder import AttemptResult

log = logging.getLogger(__name__)

WARN_AFTER = timedelta(days=3)
DISABLE_AFTER = timedelta(days=5)
# Precision of a healthy target's last success: saves a write per batch.
SUCCESS_INTERVAL = timedelta(seconds=5)


def threshold() -> int:
    """The number of consecutive failures that opens a target's breaker."""
    return int(settings.BREAKER_FAILURES)


@dataclass(frozen=True, slots=True)
class TargetHealth:
    """The health columns of one target."""

    consecutive_failures: int = 0
    failing_since: datetime | None = None
    last_success_at: datetime | None = None
    last_attempt_at: datetime | None = None
    last_reason: str = ""
    warned_at: datetime | None = None
    breaker_until: datetime | None = None

    @property
    def is_good(self) -> bool:
        return self.failing_since is None and not self.consecutive_failures and self.breaker_until is None


COLUMNS = tuple(field.name for field in fields(TargetHealth))


def health_after(health: TargetHealth, result: AttemptResult, limit: int) -> TargetHealth:
    """The health after one more attempt. Pure."""
    outcome, now = result.outcome, result.ended_at
    if outcome.result is Result.OURS:
        # A probe that shows nothing about the target: the next one follows soon.
        return (
            replace(health, breaker_until=now + fairness.FIRST_PAUSE) if result.claimed.is_probe else health
        )
    if outcome.result is Result.DELIVERED:
        return TargetHealth(last_success_at=now, last_attempt_at=now)
    if outcome.concerns_recipient:
        # The target answers, so its breaker closes. The refusal counts neither as a success nor as a failure.
        return replace(health, consecutive_failures=0, breaker_until=None)
    health = replace(
        health,
        last_attempt_at=now,
        failing_since=health.failing_since or now,
        last_reason=outcome.reason[:500],
    )
    if outcome.result is not Result.RETRYABLE:
        return replace(health, consecutive_failures=0, breaker_until=None)
    if health.breaker_until is not None and not result.claimed.is_probe:
        return health
    failures = health.consecutive_failures + 1
    until = now + fairness.breaker_pause(failures, limit) if failures >= limit else health.breaker_until
    return replace(health, consecutive_failures=failures, breaker_until=until)


def update_health(results: Sequence[AttemptResult]) -> None:
    """Update the health of the attempts' targets, and disable those whose receiver is gone."""
    by_target: dict[int, list[AttemptResult]] = {}
    for result in results:
        by_target.setdefault(result.claimed.integration_id, []).append(result)
    rows = {row["id"]: row for row in Integration.objects.filter(id__in=by_target).values("id", *COLUMNS)}
    for target, row in sorted(rows.items()):
        health = TargetHealth(**{name: row[name] for name in COLUMNS})
        _update_target(target, health, sorted(by_target[target], key=lambda result: result.ended_at))


def _update_target(target: int, health: TargetHealth, results: Sequence[AttemptResult]) -> None:
    if health.is_good and all(result.outcome.result is Result.DELIVERED for result in results):
        now = results[-1].ended_at
        if health.last_success_at is None or now - health.last_success_at > SUCCESS_INTERVAL:
            Integration.objects.filter(id=target).update(last_success_at=now, last_attempt_at=now)
        return
    with transaction.atomic():
        row = Integration.objects.select_for_update(no_key=True).filter(id=target).values(*COLUMNS).first()
        if row is None:
            return
        before = after = TargetHealth(**row)
        for result in results:
            after = health_after(after, result, threshold())
        if after != before:
            Integration.objects.filter(id=target).update(**{name: getattr(after, name) for name in COLUMNS})
    _log_breaker(target, before, after)
    reasons = [result.outcome.reason for result in results if result.outcome.result is Result.GONE]
    if reasons:
        disable_target(target, f"The receiver says that it is gone permanently (410). {reasons[0]}")


def _log_breaker(target: int, before: TargetHealth, after: TargetHealth) -> None:
    extra: dict[str, object] = {"integration_id": target}
    if after.breaker_until is None and before.breaker_until is not None:
        log.info("Breaker closed: the target answers", extra=extra)
    elif after.breaker_until is not None and after.breaker_until != before.breaker_until:
        log.warning(
            "Breaker opened" if before.breaker_until is None else "Breaker stays open",
            extra=extra
            | {
                "failures": after.consecutive_failures,
                "until": after.breaker_until.isoformat(timespec="seconds"),
                "reason": after.last_reason,
            },
        )


def disable_target(target: int, reason: str) -> None:
    """Disable a target, once, and send its owner an e-mail."""
    integration = Integration.objects.filter(id=target).first()
    if integration is None or integration.state == Integration.State.DISABLED:
        return
    disable(integration, reason[:500])
    notify_owner(
        integration,
        f"Disabled: {integration.name}",
        f"The target “{integration.name}” was disabled. Nothing is sent to it any more.\n\n{reason}\n\n"
        "What was not delivered is in its dead letters. Repair and resume the target, then replay them.",
    )


def warn_and_disable(now: datetime | None = None) -> None:
    """Warn the owners of targets whose attempts have all failed for days; later disable these targets.

    Attempts count, not time: a target that failed once and was sent nothing since is left alone.
    """
    now = now or timezone.now()
    failing = Integration.objects.filter(~Q(state=Integration.State.DISABLED), failing_since__isnull=False)
    for integration in failing.filter(warned_at=None, last_attempt_at__gte=F("failing_since") + WARN_AFTER):
        if Integration.objects.filter(id=integration.id, warned_at=None).update(warned_at=now):
            log.warning("Target fails for days", extra={"integration_id": integration.id})
            notify_owner(
                integration,
                f"Failing: {integration.name}",
                f"Every delivery to “{integration.name}” has failed since {integration.failing_since:%Y-%m-%d %H:%M} "
                f"UTC. The last reason: {integration.last_reason}\n\nThe target will be disabled "
                f"{DISABLE_AFTER.days} days after the first failure unless a delivery succeeds. What is not delivered "
                "is kept.",
            )
    expired = failing.filter(
        warned_at__lte=now - timedelta(days=1), last_attempt_at__gte=F("failing_since") + DISABLE_AFTER
    )
    for integration in expired:
        reason = f"All deliveries failed for {DISABLE_AFTER.days} days. {integration.last_reason}"
        disable_target(integration.id, reason)


def notify_owner(integration: Integration, subject: str, text: str) -> None:
    """Send the owner an e-mail. Where that fails, the log and the dashboard say so."""
    send_to_owners({integration.owner_email} - {""}, subject, text)


def send_to_owners(addresses: Iterable[str], subject: str, text: str) -> None:
    """Send each owner a separate e-mail, without the addresses of the others."""
    for address in sorted(addresses):
        try:
            send_mail(subject.replace("\n", " "), text, None, [address])
        except Exception:
            log.exception("An e-mail to an owner could not be sent", extra={"subject": subject})
