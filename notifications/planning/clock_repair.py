"""The clock was set back: stored times that lie in the future would delay deliveries, digests and runs.

A sweep runs each minute and stores its time. If that time is in the future, the clock was set back since.
"""

import logging
from bisect import bisect_right
from collections.abc import Sequence
from datetime import datetime, timedelta

from django.db import models, transaction

from checks import services as checks
from integrations.models import Integration
from notifications import quiet_hours
from notifications.delivery.leases import lease_time
from notifications.models import Attempt, Audience, Configuration, Delivery, Event, Hold, Subscription
from notifications.planning import schedule

log = logging.getLogger(__name__)

# The clocks of several hosts differ by seconds. A shorter step back delays nothing noticeably.
TOLERANCE = timedelta(minutes=3)
# If one of these times is in the future, it is set to now. Waiting deliveries are sent now.
_PAST_TIMES: Sequence[tuple[type[models.Model], Sequence[str]]] = (
    (Event, ("created_at",)),
    (Hold, ("created_at",)),
    (Attempt, ("started_at",)),
    (Delivery, ("created_at", "due_at", "first_attempt_at")),
    (Subscription, ("last_scheduled_at",)),
    (
        Integration,
        ("breaker_until", "rate_cursor", "failing_since", "warned_at", "last_success_at", "last_attempt_at"),
    ),
)
_CURSORS = ("starts_after", "opened_until", "resolved_until")


def store_sweep(now: datetime) -> None:
    """Repair what a clock that was set back has left, and store the time of this sweep."""
    repair_if_set_back(now)
    Configuration.objects.filter(id=1).update(swept_at=now)


def repair_if_set_back(now: datetime) -> bool:
    """Bring the stored times that lie in the future to the present, if the last sweep is later than now."""
    swept_at = Configuration.load().swept_at
    if swept_at is None or swept_at <= now + TOLERANCE:
        return False
    log.warning(
        "The clock was set back: stored times are repaired",
        extra={"last_sweep": swept_at.isoformat(), "now": now.isoformat()},
    )
    with transaction.atomic():
        _repair(now)
        Configuration.objects.filter(id=1).update(swept_at=now)
    return True


def _repair(now: datetime) -> None:
    runs = checks.move_future_runs(now)
    _move_cursors(runs, now)
    for model, names in _PAST_TIMES:
        for name in names:
            model._default_manager.filter(**{f"{name}__gt": now}).update(**{name: now})
    # A worker may have claimed after the change: its lease is right, and longer ones become as long.
    until = now + lease_time()
    Delivery.objects.filter(lease_until__gt=until).update(lease_until=until)
    due_at = quiet_hours.end_of_quiet_hours(now, Configuration.load())
    direct = Delivery.objects.filter(state=Delivery.State.DUE, due_at=now).exclude(audience=Audience.LIST)
    direct.update(due_at=due_at)
    schedule.create_schedules(now)


def _move_cursors(runs: Sequence[datetime], now: datetime) -> None:
    """Keep each cursor between the same runs: what it covers stays sent, what it does not cover stays to be sent.

    ``runs``: the starts, in order, of the runs that were moved to the last microseconds up to ``now``.
    """
    for subscription in Subscription.objects.filter(
        models.Q(*((f"{name}__gt", now) for name in _CURSORS), _connector=models.Q.OR)
    ):
        moved = {
            name: checks.moved_start(bisect_right(runs, cursor), len(runs), now)
            for name in _CURSORS
            if (cursor := getattr(subscription, name)) > now
        }
        Subscription.objects.filter(pk=subscription.pk).update(**moved)
