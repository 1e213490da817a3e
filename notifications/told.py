"""Which messages spoke of one user."""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from functools import reduce
from operator import or_
from typing import Any
from uuid import UUID

from django.db.models import Max, Q

from checks.models import Finding, User
from notifications import mentions
from notifications.models import Audience, Delivery, Event, Subscription

# A digest tells of a finding within a week of the time that its subscription waits.
DIGEST = timedelta(days=8)
LETTERS = 200

Key = tuple[datetime, UUID]


def last_about(user: User, findings: Sequence[Finding], most: int) -> list[Delivery]:
    """The last ``most`` deliveries that spoke of ``user``, the newest first, without their bodies: to the
    user, or to the manager or in a list about one of the newest ``most`` of the user's ``findings``.

    Letters to a former manager about several are not among them.
    """
    newest = sorted(findings, key=lambda finding: finding.opened_at, reverse=True)[:most]
    # Each by its own index, and sorted here: an OR, or an order with a limit, would read all deliveries.
    keys = _keys(Q(recipient=user)) | _keys(Q(finding__in=newest))
    if newest:
        keys |= _lists(newest) | _letters(user, newest)
    last = [pk for _, pk in sorted(keys, reverse=True)[:most]]
    found = Delivery.objects.filter(pk__in=last).select_related(
        "event__check_ref", "integration", "recipient"
    )
    return list(found.defer("body", "about").order_by("-created_at", "-id"))


def _keys(those: Q) -> set[Key]:
    return set(Delivery.objects.filter(those).values_list("created_at", "pk"))


def _lists(findings: Sequence[Finding]) -> set[Key]:
    checks = {finding.check_ref_id for finding in findings}
    waited = Subscription.objects.filter(check_ref__in=checks).aggregate(most=Max("after_days"))["most"] or 0
    patience = DIGEST + timedelta(days=waited)
    told = reduce(or_, (_events(finding, patience) for finding in findings))
    events = list(Event.objects.filter(told).order_by().only("pk", "check_ref_id"))
    if not events:
        return set()
    by_check: dict[int | None, list[UUID]] = {}
    for event in events:
        by_check.setdefault(event.check_ref_id, []).append(event.pk)
    batches = [
        Q(event__in=by_check[finding.check_ref_id]) & mentions.perhaps(finding.pk)
        for finding in findings
        if finding.check_ref_id in by_check
    ]
    found = Delivery.objects.filter(reduce(or_, batches), audience=Audience.LIST)
    return _speaking(found.values_list("created_at", "pk", "about"), findings)


def _events(finding: Finding, patience: timedelta) -> Q:
    """A condition: the events whose lists may have told of it."""
    first = finding.opened_at
    told = Q(origin=Event.Origin.RUN, run=finding.opened_run_id)
    told |= Q(origin=Event.Origin.DIGEST, created_at__range=(first, first + patience))
    if finding.resolved_at is None:
        told |= Q(origin=Event.Origin.CURRENT, created_at__gte=first)
    else:
        end = finding.resolved_at
        told |= Q(origin=Event.Origin.CURRENT, created_at__range=(first, end))
        told |= Q(origin=Event.Origin.RESOLVED, run=finding.resolved_run_id)
        told |= Q(origin=Event.Origin.RESOLVED, run=None, created_at__range=(end, end + patience))
    return Q(check_ref=finding.check_ref_id) & told


def _letters(user: User, findings: Sequence[Finding]) -> set[Key]:
    """To the manager, about several."""
    if user.manager_id is None:
        return set()
    since = min(finding.opened_at for finding in findings)
    mine = Delivery.objects.filter(recipient=user.manager_id, about__isnull=False, created_at__gte=since)
    letters = mine.order_by("-created_at").values_list("created_at", "pk", "about")[:LETTERS]
    return _speaking(letters, findings)


def _speaking(deliveries: Iterable[tuple[datetime, UUID, Any]], findings: Sequence[Finding]) -> set[Key]:
    return {
        (created_at, pk)
        for created_at, pk, about in deliveries
        if any(mentions.among(about, finding.pk) for finding in findings)
    }
