"""What is not told within a run: digests of lists, messages to people, reminders, notes that it is over.

When and of which findings is decided in rounds.py; here the deliveries are made, in one transaction with
the cursors that say so.
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
from notifications import people, planning
from notifications.lists import one_message
from notifications.models import Audience, Event, Subscription
from notifications.planning import Telling
from notifications.rounds import Round, due, last_ended

log = logging.getLogger(__name__)


def plan_due(now: datetime | None = None) -> int:
    """Plan every round that is due; returns its deliveries. Cheap when nothing is."""
    now = now or timezone.now()
    rounds = due(now)
    lists = [each for each in rounds if each.subscription.audience == Audience.LIST]
    people = [each for each in rounds if each.subscription.audience != Audience.LIST]
    count = 0
    for each in lists:
        count += _guarded(partial(tell_list, each), each.subscription)
    for _, group in groupby(sorted(people, key=_channel), _channel):
        together = list(group)
        count += _guarded(partial(tell_people, together, now), together[0].subscription)
    return count


def _channel(each: Round) -> tuple[int, str]:
    """What goes together: a chat or mail tells a person all at once, as a user and as a manager."""
    one = each.subscription
    return one.integration_id, "" if one_message(one.integration) else one.audience


def _guarded(tell: Callable[[], int], subscription: Subscription) -> int:
    try:
        return tell()
    except Exception:  # one target's trouble must not keep the others from being told
        log.exception("the round of %s failed; it is tried again", subscription)
        return 0


# --- Lists ------------------------------------------------------------------------------------------
def tell_list(each: Round) -> int:
    """A digest: one event of those who began to fail and, where asked for, one of those who ceased to."""
    one = each.subscription
    with transaction.atomic():
        if not each.claim():
            return 0
        count = _event(Event.Origin.DIGEST, one, Finding.objects.filter(each.opened()), each)
        if one.resolved:
            count += _event(Event.Origin.RESOLVED, one, Finding.objects.filter(each.over()), each)
    return count


def _event(origin: str, one: Subscription, findings: QuerySet[Finding], each: Round) -> int:
    if not findings.exists():
        return 0
    event = Event.objects.create(origin=origin, check_ref=one.check_ref, created_at=timezone.now())
    return planning.fill(event, one.check_ref, [Telling.of(one)], findings, now=each.ended)


# --- People -----------------------------------------------------------------------------------------
def tell_people(together: Sequence[Round], now: datetime) -> int:
    """The messages of all rounds that go together: of one target, and of a webhook of one audience."""
    # The draft is read and rendered before anything is locked.
    with people.drafted(together, now) as draft, transaction.atomic():
        if not all(each.claim() for each in together):
            transaction.set_rollback(True)
            return 0
        return draft.insert()


def tell_rest(subscription: Subscription) -> int:
    """At once what the next round would have told: the subscription is told within the runs from now on."""
    now = timezone.now()
    ended = last_ended()
    if ended is None:
        return 0
    told = max(subscription.told_until, ended)
    each = Round(subscription, told, max(subscription.resolved_until, ended), now, remind=False)
    if subscription.audience == Audience.LIST:
        return tell_list(each)
    return tell_people([each], now)
