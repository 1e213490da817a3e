"""Which messages were about one user."""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from functools import reduce
from operator import or_
from uuid import UUID

from django.db.models import Max, Q

from checks.models import Finding, User
from notifications.models import Audience, Delivery, Event, Subscription
from notifications.planning import finding_ranges
from notifications.planning.finding_ranges import FindingRanges

# The latest time of a digest after the subscription's waiting time: a week, and a day in which it may be late.
LATEST_DIGEST = timedelta(days=8)
# The newest messages to the manager that are searched.
MOST_SEARCHED = 200

# The time and the id of a delivery: sorted, the newest is the last.
DeliveryKey = tuple[datetime, UUID]


def last_deliveries(user: User, findings: Sequence[Finding], most: int) -> list[Delivery]:
    """The last ``most`` deliveries about ``user``, the newest first, without their bodies: messages to the user, and
    messages to the manager or in a list about one of the newest ``most`` of the user's ``findings``.

    Combined messages to a former manager are missing.
    """
    newest = sorted(findings, key=lambda finding: finding.opened_at, reverse=True)[:most]
    # Each condition by its own index, and sorted here: an OR, or an order with a limit, would read all deliveries.
    keys = _keys(Q(recipient=user)) | _keys(Q(finding__in=newest))
    if newest:
        keys |= _list_keys(newest) | _manager_keys(user, newest)
    last = [pk for _, pk in sorted(keys, reverse=True)[:most]]
    found = Delivery.objects.filter(pk__in=last).select_related(
        "event__check_ref", "integration", "recipient"
    )
    return list(found.defer("body").order_by("-created_at", "-id"))


def findings_of(delivery: Delivery, findings: Iterable[Finding]) -> list[Finding]:
    """Those of ``findings`` that the delivery is about."""
    return [
        finding
        for finding in findings
        if delivery.finding_id == finding.pk or finding_ranges.contains(delivery.finding_ranges, finding.pk)
    ]


def _keys(condition: Q) -> set[DeliveryKey]:
    return set(Delivery.objects.filter(condition).values_list("created_at", "pk"))


def _list_keys(findings: Sequence[Finding]) -> set[DeliveryKey]:
    checks = {finding.check_ref_id for finding in findings}
    days = Subscription.objects.filter(check_ref__in=checks).aggregate(most=Max("after_days"))["most"] or 0
    window = LATEST_DIGEST + timedelta(days=days)
    conditions = reduce(or_, (_may_mention(finding, window) for finding in findings))
    events = list(Event.objects.filter(conditions).order_by().only("pk", "check_ref_id"))
    if not events:
        return set()
    by_check: dict[int | None, list[UUID]] = {}
    for event in events:
        by_check.setdefault(event.check_ref_id, []).append(event.pk)
    batches = [
        Q(event__in=by_check[finding.check_ref_id]) & finding_ranges.may_contain(finding.pk)
        for finding in findings
        if finding.check_ref_id in by_check
    ]
    found = Delivery.objects.filter(reduce(or_, batches), audience=Audience.LIST)
    return _mentioning(found.values_list("created_at", "pk", "finding_ranges"), findings)


def _may_mention(finding: Finding, window: timedelta) -> Q:
    """A condition: the events whose lists may mention the finding."""
    opened = finding.opened_at
    events = Q(origin=Event.Origin.RUN, run=finding.opened_run_id)
    if finding.resolved_at is None:
        # After its reopening a digest may have sent it at any later time.
        events |= Q(origin__in=(Event.Origin.DIGEST, Event.Origin.CURRENT), created_at__gte=opened)
    else:
        end = finding.resolved_at
        events |= Q(origin=Event.Origin.DIGEST, created_at__range=(opened, end + window))
        events |= Q(origin=Event.Origin.CURRENT, created_at__range=(opened, end))
        events |= Q(origin=Event.Origin.RESOLVED, run=finding.resolved_run_id)
        events |= Q(origin=Event.Origin.RESOLVED, run=None, created_at__range=(end, end + window))
    return Q(check_ref=finding.check_ref_id) & events


def _manager_keys(user: User, findings: Sequence[Finding]) -> set[DeliveryKey]:
    """Combined messages to the manager."""
    if user.manager_id is None:
        return set()
    since = min(finding.opened_at for finding in findings)
    combined = Delivery.objects.filter(
        recipient=user.manager_id, finding_ranges__isnull=False, created_at__gte=since
    )
    newest = combined.order_by("-created_at").values_list("created_at", "pk", "finding_ranges")
    return _mentioning(newest[:MOST_SEARCHED], findings)


def _mentioning(
    deliveries: Iterable[tuple[datetime, UUID, FindingRanges | None]], findings: Sequence[Finding]
) -> set[DeliveryKey]:
    return {
        (created_at, pk)
        for created_at, pk, ranges in deliveries
        if any(finding_ranges.contains(ranges, finding.pk) for finding in findings)
    }
