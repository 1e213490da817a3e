"""The numbers of users that a run now would notify, by target. :mod:`forecast` names each delivery instead.
Writes nothing."""

from collections.abc import Sequence
from dataclasses import dataclass

from django.db.models import Q
from django.utils import timezone

from checks.models import Check
from checks.services import count_new_users
from integrations.models import Integration
from notifications.models import Audience, Configuration, Subscription
from notifications.planning import filters, holds
from notifications.planning.forecast import is_of_this_run, when_text


@dataclass(frozen=True, slots=True)
class EstimatedTarget:
    """The estimate for one target, audience and time. ``users``: distinct users who newly fail its checks and
    match its filters; ``recipients``: the people of a direct message, 0 for a list."""

    integration: Integration
    audience: str
    when: str
    checks: int
    users: int
    recipients: int


@dataclass(frozen=True, slots=True)
class RunEstimate:
    """``new``: distinct users who would newly fail; ``exceeded``: the limits for which the direct messages would be held,
    in words; ``failed``: slugs of the checks that cannot be evaluated."""

    new: int
    targets: Sequence[EstimatedTarget]
    exceeded: Sequence[str]
    failed: Sequence[str]


def estimate_run(slugs: Sequence[str] = ()) -> RunEstimate:
    """Evaluate all users by the enabled checks ``slugs`` (none: all), and count. Raises ``UnknownChecks``.

    The counts are those of this moment; they leave out which people a chat cannot find.
    """
    now = timezone.now()
    configuration = Configuration.load()
    groups: dict[tuple[Integration, str, str], dict[str, Q]] = {}
    for subscription in _subscriptions(slugs):
        check: Check = subscription.check_ref
        if filters.check_refusal(subscription.filter, check):
            continue
        key = (subscription.integration, subscription.audience, when_text(subscription, now, configuration))
        condition = filters.user_condition(subscription.filter, prefix="")
        groups.setdefault(key, {})[check.slug] = condition
    found = count_new_users(slugs, list(groups.values()))
    targets = [
        EstimatedTarget(
            integration,
            audience,
            when,
            len(checks),
            users,
            {Audience.LIST: 0, Audience.USER: users}.get(Audience(audience), managers),
        )
        for ((integration, audience, when), checks), users, managers in zip(
            groups.items(), found.by_group, found.managers, strict=True
        )
    ]
    people = sum(one.recipients for one in targets if is_of_this_run(one.when))
    exceeded = holds.exceeded_limits(
        people, holds.evaluated_users(), configuration.max_people_per_run, configuration.max_people_percent
    )
    return RunEstimate(found.users, targets, exceeded, found.failed)


def _subscriptions(slugs: Sequence[str]) -> Sequence[Subscription]:
    found = Subscription.objects.filter(check_ref__enabled=True).select_related("check_ref", "integration")
    if slugs:
        found = found.filter(check_ref__slug__in=slugs)
    return list(found.order_by("integration__name", "audience", "check_ref__slug"))
