"""Which deliveries a run now would lead to. Writes nothing."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from django.utils import timezone

from checks.models import User
from checks.services import newly_failing_users
from notifications import quiet_hours
from notifications.models import Audience, Cadence, Configuration, Hold, Subscription
from notifications.planning import check_events, filters, holds, list_messages, loading

_AFTER_RUN = "after the run"
_IF_STILL_FAILING = ", if still failing after "


@dataclass(frozen=True, slots=True)
class ForecastDelivery:
    """One event to a list, in as many batches as it takes, or one message to a person.

    ``audiences`` has ``list``, or the audiences for which a person gets the message: ``user``, ``manager`` or both.
    ``recipient`` is empty for a list. ``skipped`` says why nothing would be sent; ``left_out`` counts the users that the
    filter excludes.
    """

    target: str
    audiences: tuple[str, ...]
    recipient: str
    checks: tuple[str, ...]
    users: tuple[str, ...]
    when: str
    skipped: str = ""
    left_out: int = 0

    @property
    def is_of_this_run(self) -> bool:
        """:func:`is_of_this_run` of its time."""
        return is_of_this_run(self.when)


def forecast(
    slugs: Sequence[str] = (), *, now: datetime | None = None, people_only: bool = False
) -> list[ForecastDelivery]:
    """The deliveries by target and, to people, by name. A digest has what this run would add to it.

    ``people_only``: without lists.
    """
    now = now or timezone.now()
    found = Subscription.objects.filter(check_ref__enabled=True).select_related("check_ref", "integration")
    if slugs:
        found = found.filter(check_ref__slug__in=slugs)
    if people_only:
        found = found.exclude(audience=Audience.LIST)
    configuration = Configuration.load()
    deliveries: list[ForecastDelivery] = []
    combined: set[str] = set()
    for subscription in found.order_by("integration__name", "audience", "check_ref__slug"):
        deliveries += _of(subscription, now, configuration)
        if list_messages.is_combined(subscription.integration):
            combined.add(subscription.integration.name)
    return _combine(deliveries, combined)


def forecast_hold(deliveries: Iterable[ForecastDelivery], *, now: datetime | None = None) -> Hold | None:
    """The hold, unsaved, in which a run now would leave its direct messages; None: they would be sent."""
    now = now or timezone.now()
    direct = [one for one in deliveries if one.recipient and not one.skipped and one.is_of_this_run]
    if not direct:
        return None
    recipients = {one.recipient for one in direct}
    counted = recipients.union(
        *(part.values_list("recipient__name", flat=True) for part in holds.counted_before(now))
    )
    configuration = Configuration.load()
    hold = Hold(
        created_at=now,
        messages=len(direct),
        people=len(recipients),
        counted=len(counted),
        users=holds.evaluated_users(),
        max_people=configuration.max_people_per_run,
        max_percent=configuration.max_people_percent,
    )
    exceeds = holds.exceeded_limits(hold.counted, hold.users, hold.max_people, hold.max_percent)
    return hold if exceeds else None


def is_of_this_run(when: str) -> bool:
    """Whether the run itself sends it, and not a digest or a later run."""
    return when.startswith(_AFTER_RUN) and _IF_STILL_FAILING not in when


def _of(subscription: Subscription, now: datetime, configuration: Configuration) -> list[ForecastDelivery]:
    check, chosen = subscription.check_ref, subscription.filter
    failing = list(newly_failing_users(check, now).select_related("manager").order_by("name", "id"))
    users = filters.filter_users(failing, chosen, check)
    when = when_text(subscription, now, configuration)
    if subscription.audience != Audience.LIST:
        return [_direct(subscription, user, when) for user in users]
    if not failing:
        return []
    excluded = len(failing) - len(users)
    return [
        ForecastDelivery(
            subscription.integration.name,
            (subscription.audience,),
            "",
            (check.slug,),
            tuple(user.name for user in users),
            when,
            check_events.filter_reason(chosen, check) if excluded and not users else "",
            excluded,
        )
    ]


def _direct(subscription: Subscription, user: User, when: str) -> ForecastDelivery:
    recipient = loading.recipient_of(user, subscription.audience)
    skipped = ""
    if recipient is None:
        skipped = loading.unknown_manager_reason(user)
    elif list_messages.is_combined(subscription.integration) and not recipient.email:
        skipped = loading.no_address_reason(recipient)
    return ForecastDelivery(
        subscription.integration.name,
        (subscription.audience,),
        recipient.login if recipient else "",
        (subscription.check_ref.slug,),
        (user.name,),
        when,
        skipped,
    )


def when_text(subscription: Subscription, now: datetime, configuration: Configuration) -> str:
    """When what the subscription covers is sent, such as ``after the run`` or ``daily digest``."""
    is_immediate = subscription.cadence == Cadence.IMMEDIATELY
    text = _AFTER_RUN if is_immediate else f"{subscription.cadence} digest"
    if subscription.after_days:
        return f"{text}{_IF_STILL_FAILING}{subscription.after_days} days"
    if subscription.audience != Audience.LIST and is_immediate:
        due_at = quiet_hours.end_of_quiet_hours(now, configuration)
        if due_at != now:
            text += f", not before {due_at:%Y-%m-%d %H:%M} UTC"
    return text


def _combine(deliveries: Sequence[ForecastDelivery], combined: set[str]) -> list[ForecastDelivery]:
    """One delivery for each person of a target in ``combined``, whose messages are about several findings."""
    groups: dict[tuple[str, ...], list[ForecastDelivery]] = {}
    for number, one in enumerate(deliveries):
        joins = one.recipient and not one.skipped and one.target in combined
        key = (one.target, one.recipient, one.when) if joins else (str(number),)
        groups.setdefault(key, []).append(one)
    return [_combine_group(group) for group in groups.values()]


def _combine_group(group: Sequence[ForecastDelivery]) -> ForecastDelivery:
    first, *others = group
    if not others:
        return first
    return replace(
        first,
        audiences=tuple(sorted({audience for one in group for audience in one.audiences}, reverse=True)),
        checks=tuple(dict.fromkeys(check for one in group for check in one.checks)),
        users=tuple(dict.fromkeys(user for one in group for user in one.users)),
    )
