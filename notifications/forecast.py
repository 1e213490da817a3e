"""Who would be told what if a run took place now. Writes nothing."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db.models import Exists, OuterRef
from django.utils import timezone

from checks.models import Check, Finding, User
from checks.rules import build_rule, failing_users
from notifications import choosing, composing, lists, planning, quiet
from notifications.models import Audience, Cadence, Configuration, Subscription


@dataclass(frozen=True, slots=True)
class Expected:
    """One event (of a list, in as many batches as it takes) or one person's message.

    ``audiences`` has ``list``, or in which roles a person is told: ``user``, ``manager`` or both.
    ``recipient`` is empty for a list. ``skipped`` says why nobody would be written to; ``left_out`` counts
    the users outside the filter.
    """

    target: str
    audiences: tuple[str, ...]
    recipient: str
    checks: tuple[str, ...]
    users: tuple[str, ...]
    when: str
    skipped: str = ""
    left_out: int = 0


def forecast(slugs: Sequence[str] = (), *, now: datetime | None = None) -> list[Expected]:
    """By target; people by name. Digests: what this run would add to them."""
    now = now or timezone.now()
    found = Subscription.objects.filter(check_ref__enabled=True).select_related("check_ref", "integration")
    if slugs:
        found = found.filter(check_ref__slug__in=slugs)
    hours = Configuration.load()
    expected: list[Expected] = []
    for one in found.order_by("integration__name", "audience", "check_ref__slug"):
        expected += _of(one, now, hours)
    return _together(expected, {one.integration.name for one in found if lists.one_message(one.integration)})


def newly_failing(check: Check, now: datetime) -> Iterable[User]:
    """Who fails and has no open finding, by name; as a query set."""
    known = Finding.objects.filter(check_ref=check, user=OuterRef("pk"), resolved_at__isnull=True)
    failing = failing_users(build_rule(check, now))
    return failing.exclude(Exists(known)).select_related("manager").order_by("name", "id")


def _of(one: Subscription, now: datetime, hours: Configuration) -> list[Expected]:
    check = one.check_ref
    new = list(newly_failing(check, now))
    told = [user for user in new if choosing.admits(one.filter, check, user)]
    when = _when(one, now, hours)
    common = (one.integration.name, (one.audience,))
    if one.audience == Audience.LIST:
        names, left_out = tuple(user.name for user in told), len(new) - len(told)
        reason = planning.left_out_reason(one.filter, check) if left_out and not told else ""
        return [Expected(*common, "", (check.slug,), names, when, reason, left_out)] if new else []
    return [_person(one, user, when) for user in told]


def _person(one: Subscription, user: User, when: str) -> Expected:
    recipient = composing.recipient_of(user, one.audience)
    skipped = ""
    if recipient is None:
        skipped = f"The manager of {user.name} is unknown."
    elif lists.one_message(one.integration) and not recipient.email:
        skipped = f"{recipient.login} has no e-mail address to be found by."
    login = recipient.login if recipient else ""
    return Expected(
        one.integration.name, (one.audience,), login, (one.check_ref.slug,), (user.name,), when, skipped
    )


def _when(one: Subscription, now: datetime, hours: Configuration) -> str:
    said = "after the run" if one.cadence == Cadence.IMMEDIATELY else f"{one.cadence} digest"
    if one.after_days:
        said += f", if still failing after {one.after_days} days"
    if one.audience != Audience.LIST and one.cadence == Cadence.IMMEDIATELY and not one.after_days:
        awake = quiet.awake_at(now, hours)
        if awake != now:
            said += f", not before {awake:%Y-%m-%d %H:%M} UTC"
    return said


def _together(expected: Sequence[Expected], many: set[str]) -> list[Expected]:
    """One row a person and target where one message speaks of many."""
    made: dict[tuple[str, ...], Expected] = {}
    for number, each in enumerate(expected):
        joined = each.recipient and not each.skipped and each.target in many
        key = (each.target, each.recipient, each.when) if joined else (str(number),)
        before = made.get(key)
        if before is None:
            made[key] = each
            continue
        made[key] = Expected(
            each.target,
            tuple(sorted({*before.audiences, *each.audiences}, reverse=True)),
            each.recipient,
            tuple(dict.fromkeys((*before.checks, *each.checks))),
            tuple(dict.fromkeys((*before.users, *each.users))),
            each.when,
        )
    return list(made.values())
