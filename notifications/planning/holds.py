"""Direct messages that would reach too many people wait for a member's decision.

All direct messages that a run or a digest plans are inserted as *held*, which no worker claims. After all of them are
planned, their recipients are counted: within the limits the messages become due, beyond them they stay held under a
:class:`Hold`. So a process that dies in between leaves held messages and nothing else, and the next sweep decides.
"""

import logging
from collections.abc import Iterable
from datetime import datetime, timedelta
from functools import reduce
from itertools import islice
from operator import or_

from django.db import transaction
from django.db.models import Count, Q, QuerySet
from django.db.models.expressions import RawSQL
from django.utils import timezone

from checks.models import Finding, Run, User
from cii_project.audit import services as audit
from notifications import quiet_hours
from notifications.delivery import breaker, task_requests
from notifications.errors import NotificationsError
from notifications.members import Actor, stored_member
from notifications.models import Configuration, Delivery, Event, Hold
from notifications.planning import finding_ranges, loading

log = logging.getLogger(__name__)

# Runs that follow each other within this time count together; two daily runs do not.
WINDOW = timedelta(hours=12)
# Up to this number of people the percentage does not apply: one user in five is 20 %.
FEWEST = 20
# Ranges of findings in one statement.
RANGES = 200

# A literal, not a parameter: SQLite uses a partial index only where it can read the condition.
HELD = RawSQL("'held'", [])


class HoldDecided(NotificationsError):
    """A member has released or dropped the hold before; the text says who."""


# --- The rule -----------------------------------------------------------------------------------------
def exceeded_limits(people: int, users: int, max_people: int, max_percent: int) -> list[str]:
    """The limits that messages to this number of people exceed, in words; a limit of 0 does not apply."""
    found = []
    if 0 < max_people < people:
        found.append(_people(max_people))
    if max_percent and people > FEWEST and people * 100 > users * max_percent:
        found.append(f"{max_percent} % of {users:,} users")
    return found


def hold_reason(hold: Hold) -> str:
    """Why these messages are held, in one or two sentences."""
    limits = exceeded_limits(hold.counted, hold.users, hold.max_people, hold.max_percent)
    text = f"{_people(hold.people)} would get direct messages"
    if hold.counted > hold.people:
        text += (
            f"; with other held messages and those of the last {WINDOW.total_seconds() / 3600:.0f} hours, "
            f"{_people(hold.counted)}"
        )
    return f"{text}. The limit is {' and '.join(limits)}."


def held_messages(hold: Hold) -> str:
    """The number of held messages in words: “3 direct messages held”."""
    return f"{hold.messages:,} direct message{'' if hold.messages == 1 else 's'} held"


def hold_document(hold: Hold) -> dict[str, object]:
    """A hold as JSON has it; ``id`` is null for a forecast."""
    return {
        "id": hold.pk,
        "people": hold.people,
        "messages": hold.messages,
        "counted": hold.counted,
        "users": hold.users,
        "max_people_per_run": hold.max_people,
        "max_people_percent": hold.max_percent,
        "reason": hold_reason(hold),
    }


def _people(number: int) -> str:
    return "1 person" if number == 1 else f"{number:,} people"


# --- Counting -----------------------------------------------------------------------------------------
def evaluated_users() -> int:
    return User.objects.filter(protected=True).count()


def counted_before(now: datetime) -> "list[QuerySet[Delivery]]":
    """The direct messages that count in addition to new ones: those of open holds, and those that were sent
    in the last hours without a member's decision."""
    return [
        Delivery.objects.filter(hold__state=Hold.State.OPEN, state=HELD),
        Delivery.objects.filter(
            created_at__gt=now - WINDOW,
            recipient__isnull=False,
            hold=None,
            state__in=(*Delivery.OPEN, Delivery.State.DELIVERED),
        ).exclude(event__origin__in=Event.BY_MEMBER),
    ]


def _recipients(*parts: "QuerySet[Delivery]") -> int:
    """The number of different recipients over all parts."""
    first, *others = (
        part.filter(recipient__isnull=False).order_by().values_list("recipient", flat=True) for part in parts
    )
    return first.union(*others).count() if others else first.distinct().count()


# --- Hold or release ----------------------------------------------------------------------------------
def undecided(now: datetime) -> "QuerySet[Delivery]":
    """The held messages of runs and digests that were completely planned by ``now``."""
    waiting = Delivery.objects.filter(state=HELD, hold=None, event__created_at__lte=now)
    unfinished = Q(event__run__state__in=Run.LIVE) | Q(event__run__finished_at__gt=now)
    return waiting.filter(Q(event__run=None) | ~unfinished)


def hold_or_release(now: datetime) -> Hold | None:
    """Make the undecided messages due or, if they exceed a limit, hold them; returns the hold.

    Call it after everything that was due at ``now`` is planned.
    """
    if not undecided(now).exists():
        return None
    with transaction.atomic():
        # Without the lock two processes would each count without the other's messages.
        configuration = Configuration.objects.select_for_update().get(id=1)
        hold = Hold.objects.create(created_at=now)
        # Fix the set, then count it.
        keys = undecided(now).values("id")
        count = Delivery.objects.filter(id__in=keys, state=Delivery.State.HELD).update(hold=hold)
        if count and _exceeds(hold, count, configuration, now):
            log.warning(
                "Direct messages are held",
                extra={"hold": hold.pk, "messages": count, "recipients": hold.people},
            )
            return hold
        due_at = quiet_hours.end_of_quiet_hours(timezone.now(), configuration)
        held = Delivery.objects.filter(hold=hold)
        held.update(state=Delivery.State.DUE, due_at=due_at, hold=None)
        hold.delete()
    log.info(
        "Direct messages are due", extra={"messages": count, "due_at": due_at.isoformat(timespec="seconds")}
    )
    return None


def _exceeds(hold: Hold, count: int, configuration: Configuration, now: datetime) -> bool:
    """Whether the messages exceed a limit; then the hold is saved with its numbers."""
    messages = Delivery.objects.filter(hold=hold, state=HELD)
    hold.max_people, hold.max_percent = configuration.max_people_per_run, configuration.max_people_percent
    hold.counted, hold.users = _recipients(messages, *counted_before(now)), evaluated_users()
    if not exceeded_limits(hold.counted, hold.users, hold.max_people, hold.max_percent):
        return False
    hold.messages, hold.people = count, _recipients(messages)
    hold.run = Run.objects.exclude(state__in=Run.LIVE).order_by("-started_at").first()
    hold.checks = _findings_by_check(messages)
    hold.save()
    audit.record(
        audit.Action.ACT, hold, f"{held_messages(hold)}. {hold_reason(hold)}", after=hold_document(hold)
    )
    return True


def _findings_by_check(deliveries: "QuerySet[Delivery]") -> dict[str, int]:
    mentioned = finding_ranges.from_ids(_finding_ids(deliveries))
    found: dict[str, int] = {}
    ranges = iter(mentioned["ranges"] if mentioned else ())
    while some := list(islice(ranges, RANGES)):
        within = reduce(or_, (Q(id__range=(first, last)) for first, last in some))
        counts = Finding.objects.filter(within).order_by().values_list("check_ref__slug")
        for slug, number in counts.annotate(number=Count("id")):
            found[slug] = found.get(slug, 0) + number
    return dict(sorted(found.items()))


def _finding_ids(deliveries: "QuerySet[Delivery]") -> Iterable[int]:
    for finding, mentioned in deliveries.order_by().values_list("finding", "finding_ranges").iterator():
        if mentioned:
            for first, last in mentioned["ranges"]:
                yield from range(first, last + 1)
        elif finding:
            yield finding


# --- A member decides ---------------------------------------------------------------------------------
def release_hold(hold: Hold, by: Actor = None) -> int:
    """Make the held messages due, with the bytes that were planned; returns how many. Raises :class:`HoldDecided`."""
    due_at = quiet_hours.end_of_quiet_hours(timezone.now(), Configuration.load())
    with transaction.atomic():
        _set_decision(hold, Hold.State.RELEASED, by)
        count = hold.deliveries.filter(state=HELD).update(state=Delivery.State.DUE, due_at=due_at)
        _record(hold, f"Released {count:,} held messages to {_people(hold.people)}.", count)
        task_requests.request_workers()
    return count


def drop_hold(hold: Hold, by: Actor = None) -> int:
    """Never send the held messages; returns how many. Raises :class:`HoldDecided`."""
    name = by.get_username() if by else "a command"
    with transaction.atomic():
        _set_decision(hold, Hold.State.DROPPED, by)
        count = hold.deliveries.filter(state=HELD).update(
            state=Delivery.State.SKIPPED,
            finished_at=hold.decided_at,
            reason=f"Held, because too many people would get messages, and dropped by {name}."[:500],
        )
        _record(hold, f"Dropped {count:,} held messages to {_people(hold.people)}.", count)
    return count


def _record(hold: Hold, text: str, messages: int) -> None:
    before = {"state": Hold.State.OPEN.value}
    after = {"state": hold.state, "messages": messages, "people": hold.people}
    audit.record(audit.Action.CHANGE, hold, text, before=before, after=after)


def _set_decision(hold: Hold, state: str, by: Actor) -> None:
    """Store the decision. Of two members who decide at the same time, the second gets :class:`HoldDecided`."""
    now = timezone.now()
    undecided = Hold.objects.filter(pk=hold.pk, state=Hold.State.OPEN)
    is_first = undecided.update(state=state, decided_at=now, decided_by=stored_member(by))
    hold.refresh_from_db()
    if not is_first:
        who = f" by {hold.decided_by}" if hold.decided_by else ""
        raise HoldDecided(
            f"These messages were {hold.get_state_display().lower()} already{who}, "
            f"{hold.decided_at:%Y-%m-%d %H:%M} UTC. Nothing was changed."
        )


# --- E-mail to the owners -----------------------------------------------------------------------------
def announce() -> None:
    """Send the e-mails about new holds, each once: to the owners of the targets that the messages are for."""
    for hold in Hold.objects.filter(state=Hold.State.OPEN, announced_at=None):
        if not Hold.objects.filter(pk=hold.pk, announced_at=None).update(announced_at=timezone.now()):
            continue
        targets = list(
            hold.deliveries.order_by().values_list("integration__name", "integration__owner_email").distinct()
        )
        names = ", ".join(sorted({f"“{name}”" for name, _ in targets}))
        subject = f"Held: direct messages to {_people(hold.people)}"
        text = (
            f"{hold_reason(hold)}\n\n{held_messages(hold)} for {names}. Nothing is sent to these people "
            f"until a member releases or drops the messages: {hold_location(hold)}\n\nLists to teams are sent as usual."
        )
        breaker.send_to_owners({email for _, email in targets if email}, subject, text)


def hold_location(hold: Hold) -> str:
    """The place where a member decides: the address of the page if it is known, else its name."""
    base = loading.console_address(Configuration.load())
    return f"{base}/deliveries/held/{hold.pk}/" if base else "the page “Held messages” of the Deliveries."
