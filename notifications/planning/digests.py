"""Plan what runs do not send themselves: digests, direct messages, reminders, resolved findings.

When, and about which findings, is decided in due.py. Here the deliveries are inserted, in one transaction with the
cursors.
"""

import logging
from collections.abc import Callable, Sequence
from datetime import datetime
from functools import partial
from itertools import groupby

from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from checks.models import Finding
from notifications.models import Audience, Event, Subscription
from notifications.planning import check_events, direct_messages, holds
from notifications.planning.check_events import EventTarget
from notifications.planning.due import DueSubscription, PlanOutdated, backlog, due_subscriptions
from notifications.planning.list_messages import is_combined

log = logging.getLogger(__name__)


def plan_due(now: datetime | None = None) -> int:
    """Plan what is due of every subscription, then send or hold the messages to people; returns the number of
    deliveries. Cheap when nothing is due."""
    now = now or timezone.now()
    due = due_subscriptions(now)
    lists = [one for one in due if one.subscription.audience == Audience.LIST]
    direct = [one for one in due if one.subscription.audience != Audience.LIST]
    count = 0
    for one in lists:
        count += _logging_errors(partial(plan_list, one), one.subscription)
    for _, group in groupby(sorted(direct, key=_message_group), _message_group):
        together = list(group)
        count += _logging_errors(partial(plan_direct_messages, together, now), together[0].subscription)
    if due:
        log.info("Due subscriptions planned", extra={"subscriptions": len(due), "deliveries": count})
    holds.hold_or_release(now)
    holds.announce()
    return count


def _message_group(one: DueSubscription) -> tuple[int, str]:
    """Group subscriptions that are planned together: a chat or mail sends a person one message, as a user and
    as a manager."""
    subscription = one.subscription
    audience = "" if is_combined(subscription.integration) else subscription.audience
    return subscription.integration_id, audience


def _logging_errors(plan: Callable[[], int], subscription: Subscription) -> int:
    try:
        return plan()
    except PlanOutdated as error:
        log.info("Plan outdated: the next sweep repeats it", extra={"reason": str(error)})
        return 0
    except Exception:  # an error in one target must not stop the others
        log.exception("Plan failed: the next sweep repeats it", extra={"subscription": subscription.pk})
        return 0


# --- Lists ------------------------------------------------------------------------------------------
def plan_list(one: DueSubscription) -> int:
    """Plan a digest: one event for the users who newly fail and, if the subscription asks for it, one for the
    users who no longer fail."""
    subscription = one.subscription
    with transaction.atomic():
        if not one.claim():
            return 0
        count = _event(Event.Origin.DIGEST, one, Finding.objects.filter(one.opened()))
        if subscription.resolved and one.sends_opened:
            count += _event(Event.Origin.RESOLVED, one, Finding.objects.filter(one.resolved()))
        one.finish()
    return count


def _event(origin: str, one: DueSubscription, findings: QuerySet[Finding]) -> int:
    if not findings.exists():
        return 0
    subscription = one.subscription
    check = subscription.check_ref
    event = Event.objects.create(origin=origin, check_ref=check, created_at=timezone.now())
    return check_events.insert_deliveries(
        event, check, [EventTarget.of(subscription)], findings, now=one.resolved_until
    )


# --- People -----------------------------------------------------------------------------------------
def plan_direct_messages(together: Sequence[DueSubscription], now: datetime) -> int:
    """The messages of subscriptions that are planned together: of one target, and for a webhook of one audience."""
    # The draft is read and rendered before anything is locked.
    with direct_messages.drafted(together, now) as draft, transaction.atomic():
        if not all(one.claim() for one in together):
            transaction.set_rollback(True)
            return 0
        count = draft.insert()
        for one in together:
            one.finish()
        return count


def plan_backlog(subscription: Subscription) -> int:
    """Plan at once what the next digest would have sent: from now on the runs themselves notify."""
    now = timezone.now()
    one = backlog(subscription, now)
    if one is None:
        return 0
    try:
        return _plan(one, now)
    except PlanOutdated:  # a run stores the results of a check once
        return _plan(backlog(subscription, now) or one, now)


def _plan(one: DueSubscription, now: datetime) -> int:
    if one.subscription.audience == Audience.LIST:
        return plan_list(one)
    return plan_direct_messages([one], now)
