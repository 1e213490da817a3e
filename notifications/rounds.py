"""Rounds: when a subscription that is not told within the run itself is told, and of which findings.

A *round* of a subscription covers the runs that have ended since its last one. Its cursors move by a
compare-and-swap in the transaction that inserts the deliveries: a second round of the same finds nothing,
one that dies is made up for by the next, and however long the cluster was down, one round catches up.
Only runs that have ended count, so nothing can still be written behind a cursor.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from django.db.models import Exists, Max, OuterRef, Q, QuerySet

from checks.models import Finding, Run
from notifications import planning, schedule
from notifications.models import Audience, Cadence, Configuration, Subscription, Weekday

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# A digest waits for the daily run of its time, but not for ever.
PATIENCE = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Round:
    """What one subscription has to tell now.

    ``told`` is the new ``told_until``: findings of runs that started after the old one, up to it, are told.
    ``ended`` is the new ``resolved_until``, ``slot`` the new slot. ``remind``: the daily time has come. ``opens``: new
    findings are told here, not by the run itself.
    """

    subscription: Subscription
    told: datetime
    ended: datetime
    slot: datetime
    remind: bool
    opens: bool = True

    # --- Which findings ---

    def opened(self) -> Q:
        """Found since the last round, and still failing."""
        return self._open() & Q(opened_run__in=_runs(self.subscription.told_until, self.told))

    def earlier(self) -> Q:
        """Told before, and still failing."""
        return self._open() & Q(opened_run__in=self._told_before())

    def over(self) -> Q:
        """Told before, and no longer failing since the last round; but for who has relapsed."""
        check = self.subscription.check_ref_id
        since = _runs(self.subscription.resolved_until, self.ended, notify=False)
        failing = Finding.objects.filter(check_ref=check, user=OuterRef("user"), resolved_at__isnull=True)
        mine = Q(check_ref=check, resolved_at__isnull=False, resolved_run__in=since)
        return mine & Q(opened_run__in=self._told_before()) & Q(~Exists(failing))

    def _open(self) -> Q:
        return Q(check_ref=self.subscription.check_ref_id, resolved_at__isnull=True)

    def _told_before(self) -> QuerySet[Run]:
        return _runs(self.subscription.since, self.subscription.told_until)

    def claim(self) -> bool:
        """Move the cursors; False: another process was quicker. In the transaction of the deliveries."""
        one = self.subscription
        mine = Subscription.objects.filter(
            pk=one.pk, told_until=one.told_until, resolved_until=one.resolved_until, slot=one.slot
        )
        return bool(mine.update(told_until=self.told, resolved_until=self.ended, slot=self.slot))


def _runs(after: datetime, until: datetime, *, notify: bool = True) -> QuerySet[Run]:
    """The ended runs that started in (after, until]; with ``notify`` those that are to be told of."""
    found = Run.objects.exclude(state__in=Run.LIVE).filter(started_at__gt=after, started_at__lte=until)
    return (found.filter(notify=True) if notify else found).order_by()


def last_ended() -> datetime | None:
    """When the last of the runs that have ended started."""
    found: datetime | None = Run.objects.exclude(state__in=Run.LIVE).aggregate(last=Max("started_at"))["last"]
    return found


def due(now: datetime) -> list[Round]:
    """The rounds that have something to do or, for a digest or reminder, whose time has come."""
    found = Subscription.objects.select_related("check_ref", "integration").order_by("id")
    taking_part = [each for each in found if _takes_part(each)]
    if not taking_part:
        return []
    ended = last_ended() or EPOCH
    oldest = min(min(each.told_until, each.resolved_until) for each in taking_part)
    starts = [run.started_at for run in _runs(oldest, ended, notify=False).only("started_at")]
    clock = _Clock(now)
    rounds = []
    for each in taking_part:
        made = _round(each, now, ended, clock)
        if made and _has_work(made, starts):
            rounds.append(made)
    return rounds


def _takes_part(subscription: Subscription) -> bool:
    direct = subscription.audience != Audience.LIST
    return not planning.told_in_run(subscription) or (
        direct and (subscription.resolved or subscription.remind_days > 0)
    )


def _round(each: Subscription, now: datetime, ended: datetime, clock: "_Clock") -> Round | None:
    told = max(each.told_until, min(ended, now - timedelta(days=each.after_days)))
    until = max(each.resolved_until, ended)
    opens = not planning.told_in_run(each)
    if each.cadence != Cadence.IMMEDIATELY:
        slot = clock.due(each)
        return Round(each, told, until, slot, each.remind_days > 0, opens) if slot else None
    slot = clock.due(each) if each.remind_days else None
    return Round(each, told, until, slot or each.slot, bool(slot), opens)


def _has_work(made: Round, starts: Iterable[datetime | None]) -> bool:
    one = made.subscription
    if made.slot != one.slot:
        return True
    return any(
        start and (one.told_until < start <= made.told or one.resolved_until < start <= made.ended)
        for start in starts
    )


class _Clock:
    """The latest daily and weekly times, and whether what was to run then is over."""

    def __init__(self, now: datetime) -> None:
        self.now = now
        self.configuration = Configuration.objects.filter(id=1).first() or Configuration.load()
        self.busy: bool | None = None

    def due(self, each: Subscription) -> datetime | None:
        """The subscription's time that has come and was not handled yet."""
        slot = self._latest(each.cadence)
        if slot <= each.slot or (self.now - slot < PATIENCE and self._is_busy(slot)):
            return None
        return slot

    def _latest(self, cadence: str) -> datetime:
        day = Weekday.values.index(self.configuration.weekly_on)
        at, zone = self.configuration.run_time, self.configuration.run_zone
        moment = self.now
        slot = schedule.latest_slot(at, zone, moment)
        if cadence == Cadence.WEEKLY:
            while slot.astimezone(ZoneInfo(zone)).weekday() != day:
                slot = schedule.latest_slot(at, zone, slot - timedelta(seconds=1))
        return slot

    def _is_busy(self, slot: datetime) -> bool:
        """The daily run of that time has not been started, or a run is live."""
        started = self.configuration.daily_slot
        if started is not None and started < slot:
            return True
        if self.busy is None:
            self.busy = Run.objects.filter(state__in=Run.LIVE).exists()
        return self.busy
