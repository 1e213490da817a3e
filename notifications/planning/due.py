"""Which subscriptions have something to send outside a run, and which findings it is about.

Digests, messages to people and reminders are planned after a run; the run itself plans the rest. A plan
covers the runs that have ended since the subscription's last one. Its cursors move by a compare-and-swap in
the transaction that inserts the deliveries. So a second plan of the same runs finds nothing, the next sweep
repeats a plan that failed, and after a downtime one plan catches up. Only runs that have ended count, so no
run writes findings behind a cursor.
"""

import logging
from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from django.db.models import Exists, Max, OuterRef, Q, QuerySet

from checks.models import CheckResult, Finding, Run
from notifications.errors import NotificationsError
from notifications.models import (
    Audience,
    Cadence,
    Configuration,
    PostponedFinding,
    Subscription,
    Weekday,
)
from notifications.planning import check_events, schedule

log = logging.getLogger(__name__)

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# Longest wait of a digest for the daily run at its time.
LONGEST_WAIT = timedelta(hours=1)


class PlanOutdated(NotificationsError):
    """The findings changed during the plan: roll it back and plan again."""


@dataclass(frozen=True, slots=True)
class DueSubscription:
    """The work of one subscription now.

    ``opened_until``, ``resolved_until`` and ``scheduled_at`` are the new values of the subscription's cursors.
    ``sends_opened``: new findings are sent here and not by the run itself. ``sends_reminders``: the daily
    time has passed. ``results``: how many results of the check newer runs had stored when this was read.
    """

    subscription: Subscription
    opened_until: datetime
    resolved_until: datetime
    scheduled_at: datetime
    sends_reminders: bool = False
    sends_opened: bool = True
    results: int = 0

    # --- Which findings ---

    def opened(self) -> Q:
        """Opened since the last plan and open now, or suspended at an earlier plan and reopened since."""
        found = self._is_postponed()
        if self.sends_opened:
            found |= Q(opened_run__in=_runs(self.subscription.opened_until, self.opened_until))
        return self._open() & found

    def sent_before(self) -> Q:
        """Sent by an earlier plan and open now."""
        return self._open() & self._covered()

    def resolved(self) -> Q:
        """Sent by an earlier plan and resolved since the last one; not of users who fail again."""
        check = self.subscription.check_ref_id
        since = _runs(self.subscription.resolved_until, self.resolved_until, notify=False)
        failing = Finding.objects.filter(check_ref=check, user=OuterRef("user"), resolved_at__isnull=True)
        ended = Q(check_ref=check, resolved_at__isnull=False, resolved_run__in=since)
        return ended & self._covered() & Q(~Exists(failing))

    def _open(self) -> Q:
        return Q(check_ref=self.subscription.check_ref_id, resolved_at__isnull=True)

    def _covered(self) -> Q:
        runs = _runs(self.subscription.starts_after, self.subscription.opened_until)
        return Q(opened_run__in=runs) & ~self._is_postponed()

    def _is_postponed(self) -> Q:
        kept = PostponedFinding.objects.filter(subscription=self.subscription)
        return Q(pk__in=kept.values("finding"))

    # --- In the transaction of the deliveries ---

    def claim(self) -> bool:
        """Move the cursors; False if another process has moved them."""
        one = self.subscription
        unclaimed = Subscription.objects.filter(
            pk=one.pk,
            opened_until=one.opened_until,
            resolved_until=one.resolved_until,
            last_scheduled_at=one.last_scheduled_at,
        )
        return bool(
            unclaimed.update(
                opened_until=self.opened_until,
                resolved_until=self.resolved_until,
                last_scheduled_at=self.scheduled_at,
            )
        )

    def finish(self) -> None:
        """Keep the suspended findings that this plan covers, for the plan after their reopening.

        Raises :class:`PlanOutdated` if a run has changed the check's findings since this was read: a finding that was
        suspended or reopened in between could otherwise be sent twice or never.
        """
        one = self.subscription
        kept = PostponedFinding.objects.filter(subscription=one)
        kept.exclude(finding__resolution=Finding.Resolution.UNKNOWN).delete()
        if self.sends_opened:
            suspended = Finding.objects.filter(
                check_ref=one.check_ref_id,
                resolution=Finding.Resolution.UNKNOWN,
                opened_run__in=_runs(one.opened_until, self.opened_until),
            )
            PostponedFinding.objects.bulk_create(
                (
                    PostponedFinding(subscription=one, finding_id=pk)
                    for pk in suspended.values_list("pk", flat=True)
                ),
                batch_size=1000,
                ignore_conflicts=True,
            )
        results = _results_after(self.resolved_until, [one.check_ref_id])
        if results.get(one.check_ref_id, 0) != self.results:
            raise PlanOutdated(f"A run changed findings while {one} was planned.")


def _runs(after: datetime, until: datetime, *, notify: bool = True) -> QuerySet[Run]:
    """The ended runs that started in (after, until]; with ``notify`` only those that may notify."""
    found = Run.objects.exclude(state__in=Run.LIVE).filter(started_at__gt=after, started_at__lte=until)
    return (found.filter(notify=True) if notify else found).order_by()


def _results_after(start: datetime, checks: Collection[int]) -> dict[int, int]:
    """check id → how many results runs that started after ``start`` have stored, each with its findings."""
    newer = CheckResult.objects.filter(check_ref__in=checks, run__started_at__gt=start)
    return Counter(newer.values_list("check_ref_id", flat=True))


def last_ended() -> datetime | None:
    """When the last of the runs that have ended started."""
    found: datetime | None = Run.objects.exclude(state__in=Run.LIVE).aggregate(last=Max("started_at"))["last"]
    return found


def due_subscriptions(now: datetime) -> list[DueSubscription]:
    """The subscriptions that have something to send or, for a digest or reminder, whose time has come."""
    postponed = set(PostponedFinding.objects.values_list("subscription", flat=True).distinct())
    found = Subscription.objects.select_related("check_ref", "integration").order_by("id")
    planned = [one for one in found if one.pk in postponed or _is_planned_after_runs(one)]
    if not planned:
        return []
    ended = last_ended() or EPOCH
    oldest = min(min(one.opened_until, one.resolved_until) for one in planned)
    starts = [
        run.started_at for run in _runs(oldest, ended, notify=False).only("started_at") if run.started_at
    ]
    results = _results_after(ended, {one.check_ref_id for one in planned})
    times = _ScheduledTimes(now)
    due = (_due(one, now, ended, times, results.get(one.check_ref_id, 0)) for one in planned)
    return [one for one in due if one and _has_work(one, starts)]


def backlog(subscription: Subscription, now: datetime) -> DueSubscription | None:
    """All that the next digest would send; None before the first run has ended."""
    ended = last_ended()
    if ended is None:
        return None
    check = subscription.check_ref_id
    return DueSubscription(
        subscription,
        opened_until=max(subscription.opened_until, ended),
        resolved_until=max(subscription.resolved_until, ended),
        scheduled_at=now,
        results=_results_after(ended, [check]).get(check, 0),
    )


def _is_planned_after_runs(subscription: Subscription) -> bool:
    is_direct = subscription.audience != Audience.LIST
    return not check_events.is_sent_in_run(subscription) or (
        is_direct and (subscription.resolved or subscription.remind_days > 0)
    )


def _due(
    one: Subscription, now: datetime, ended: datetime, times: "_ScheduledTimes", results: int
) -> DueSubscription | None:
    is_digest = one.cadence != Cadence.IMMEDIATELY
    scheduled_at = times.due(one) if is_digest or one.remind_days else None
    if is_digest and scheduled_at is None:
        return None
    return DueSubscription(
        one,
        opened_until=max(one.opened_until, min(ended, now - timedelta(days=one.after_days))),
        resolved_until=max(one.resolved_until, ended),
        scheduled_at=scheduled_at or one.last_scheduled_at,
        sends_reminders=scheduled_at is not None and one.remind_days > 0,
        sends_opened=not check_events.is_sent_in_run(one),
        results=results,
    )


def _has_work(due: DueSubscription, starts: Iterable[datetime]) -> bool:
    one = due.subscription
    if due.scheduled_at != one.last_scheduled_at:
        return True
    return any(
        one.opened_until < start <= due.opened_until or one.resolved_until < start <= due.resolved_until
        for start in starts
    )


class _ScheduledTimes:
    """The latest daily and weekly times, and whether the run of that time is over."""

    def __init__(self, now: datetime) -> None:
        self.now = now
        self.configuration = Configuration.load()
        self.has_live_run: bool | None = None

    def due(self, subscription: Subscription) -> datetime | None:
        """The subscription's latest time, if it has not been handled."""
        latest = self._latest(subscription.cadence)
        if latest <= subscription.last_scheduled_at:
            return None
        if self.now - latest < LONGEST_WAIT and self._awaits_run(latest):
            log.info("Digest waits for the daily run", extra={"subscription": subscription.pk})
            return None
        return latest

    def _latest(self, cadence: str) -> datetime:
        day = Weekday.values.index(self.configuration.weekly_on)
        at, zone = self.configuration.run_time, self.configuration.run_zone
        latest = schedule.latest_daily_time(at, zone, self.now)
        if cadence == Cadence.WEEKLY:
            while latest.astimezone(ZoneInfo(zone)).weekday() != day:
                latest = schedule.latest_daily_time(at, zone, latest - timedelta(seconds=1))
        return latest

    def _awaits_run(self, time: datetime) -> bool:
        """The daily run of that time has not been started, or a run is live."""
        started = self.configuration.daily_slot
        if started is not None and started < time:
            return True
        if self.has_live_run is None:
            self.has_live_run = Run.objects.filter(state__in=Run.LIVE).exists()
        return self.has_live_run
