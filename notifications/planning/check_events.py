"""From the findings of a run to events and deliveries: the outbox.

All of it happens in the caller's transaction, together with the findings: either a finding is stored and its targets are
notified, or neither. Users are read once, in chunks, into a temporary file. The batches of every target are cut from it,
so memory stays flat for any number of users.
"""

import json
import logging
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from tempfile import SpooledTemporaryFile
from uuid import uuid4

from django.db.models import QuerySet
from django.utils import timezone

from checks import services as check_services
from checks.models import Check, Finding, Run
from integrations.models import Integration
from integrations.services import template_time_limit
from notifications import sql
from notifications.models import Audience, Cadence, Delivery, Event, Subscription
from notifications.planning import delivery_rows, filters, list_messages, loading
from notifications.planning.delivery_rows import DeliveryRow
from notifications.planning.loading import EventContext, TargetDestination
from notifications.rendering import payloads
from notifications.rendering.batch import DirectMessage, ItemFile
from notifications.rendering.payloads import Item
from notifications.rendering.render import reason_of

log = logging.getLogger(__name__)

CHUNK = 1000
# The time that one template may take in an event: many times the usual, and too little to stop the run.
TEMPLATE_SECONDS = 10.0
TEMPLATE_SECONDS_PER_USER = 0.001
MEMORY_BYTES = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class EventTarget:
    """One target and audience that an event is sent to, with the filter of its subscription."""

    integration: Integration
    audience: str
    filter: filters.Filter = field(default_factory=dict)

    @classmethod
    def of(cls, subscription: Subscription) -> "EventTarget":
        return cls(subscription.integration, subscription.audience, subscription.filter)


def is_sent_in_run(subscription: Subscription) -> bool:
    """Whether the run itself sends new findings; else due.py plans them when the run has ended, or later.

    Chats and mails to people wait for the end of the run: a person gets one message about all checks. The contract's
    DIRECT_MESSAGE is about one check, so a webhook need not wait.
    """
    if subscription.cadence != Cadence.IMMEDIATELY or subscription.after_days:
        return False
    return subscription.audience == Audience.LIST or not list_messages.is_combined(subscription.integration)


def plan(run: Run, check: Check) -> int:
    """Plan one event for the users newly failing ``check`` in ``run`` and one for the users who no longer
    fail; returns the number of deliveries.

    Called in the transaction that stores the findings. Without a finding or a subscription there is no event. A second
    plan of the same run and check inserts nothing.
    """
    found = Subscription.objects.filter(check_ref=check).select_related("integration").order_by("id")
    subscriptions = [one for one in found if is_sent_in_run(one)]
    with_resolved = [one for one in subscriptions if one.resolved and one.audience == Audience.LIST]
    opened = Finding.objects.filter(opened_run=run, check_ref=check)
    count = _plan_event(Event.Origin.RUN, run, check, subscriptions, opened)
    if with_resolved:
        resolved = Finding.objects.filter(resolved_run=run, check_ref=check, resolved_at__isnull=False)
        count += _plan_event(Event.Origin.RESOLVED, run, check, with_resolved, resolved)
    return count


def _plan_event(
    origin: str, run: Run, check: Check, subscriptions: Sequence[Subscription], findings: QuerySet[Finding]
) -> int:
    if not subscriptions or not findings.exists():
        return 0
    event, is_new = Event.objects.get_or_create(
        origin=origin, run=run, check_ref=check, defaults={"created_at": timezone.now()}
    )
    if not is_new:
        return 0
    targets = [EventTarget.of(subscription) for subscription in subscriptions]
    count = insert_deliveries(event, check, targets, findings, now=run.started_at or event.created_at)
    log.info(
        "Event planned",
        extra={"run_id": str(run.pk), "check": check.slug, "origin": str(origin), "deliveries": count},
    )
    return count


def insert_deliveries(
    event: Event, check: Check, targets: Sequence[EventTarget], findings: QuerySet[Finding], *, now: datetime
) -> int:
    """Insert the deliveries of an event to each target, about the findings that its filter matches; returns how many.

    Targets with the same filter share one reading of the users.
    """
    context = loading.event_context(event, check)
    total = findings.count()
    event.users = total
    event.save(update_fields=["users"])
    count = 0
    for group in _by_filter(targets):
        matching = filters.apply_filter(findings, group[0].filter, check)
        users = total if not group[0].filter else matching.count()
        if users < total:
            excluded = [_excluded_row(context, target, check, total - users) for target in group]
            count += sql.insert_rows(Delivery, delivery_rows.COLUMNS, excluded)
        if users:
            complete = _with_still_failing(context, check, group[0].filter)
            with template_time_limit(TEMPLATE_SECONDS + TEMPLATE_SECONDS_PER_USER * users):
                count += _insert_group(complete, check, group, matching, users, now)
    return count


def _by_filter(targets: Sequence[EventTarget]) -> list[list[EventTarget]]:
    groups: dict[str, list[EventTarget]] = {}
    for target in targets:
        groups.setdefault(json.dumps(target.filter, sort_keys=True), []).append(target)
    return list(groups.values())


def _with_still_failing(context: EventContext, check: Check, chosen: filters.Filter) -> EventContext:
    """A resolved event has the number of users who still fail, of those that the filter matches."""
    if not context.content.is_resolved:
        return context
    failing = Finding.objects.filter(check_ref=check, resolved_at=None)
    count = filters.apply_filter(failing, chosen, check).count()
    return replace(context, content=replace(context.content, still_failing=count))


def _excluded_row(context: EventContext, target: EventTarget, check: Check, users: int) -> DeliveryRow:
    """A skipped delivery that counts the users that the target's filter excludes. Its batch is 0."""
    reason = filter_reason(target.filter, check)
    values = {"batch": 0, "batches": 0, "users": users, "state": "skipped", "reason": reason}
    return delivery_rows.row(context, target.integration, target.audience, **values)


def filter_reason(chosen: filters.Filter, check: Check) -> str:
    """Why users are excluded by a filter."""
    why = filters.check_refusal(chosen, check) or f"Only {filters.describe_filter(chosen)}."
    return f"Excluded by the filter. {why}"[:500]


def _insert_group(
    context: EventContext,
    check: Check,
    group: Sequence[EventTarget],
    findings: QuerySet[Finding],
    total: int,
    now: datetime,
) -> int:
    destinations, dead = _destinations(context, check, group, total)
    count = sql.insert_rows(Delivery, delivery_rows.COLUMNS, dead) if dead else 0
    direct = [one for one in destinations if one.audience != Audience.LIST]
    lists = [one for one in destinations if one.audience == Audience.LIST]
    with_managers = any(one.audience == Audience.MANAGER for one in direct)
    first = 1
    with SpooledTemporaryFile(max_size=MEMORY_BYTES) as file:
        users = ItemFile(file)
        for chunk in check_services.findings_in_chunks(findings, size=CHUNK, with_managers=with_managers):
            items = items_of(context, check, chunk, now)
            if direct:
                rows = list(_direct_rows(context, direct, chunk, items, first, total))
                count += sql.insert_rows(Delivery, delivery_rows.COLUMNS, rows)
            if lists:
                users.add(items, [finding.id for finding in chunk])
            first += len(chunk)
        for destination in lists:
            count += list_messages.insert_list(context, destination, users)
    return count


def _destinations(
    context: EventContext, check: Check, group: Sequence[EventTarget], users: int
) -> tuple[list[TargetDestination], list[DeliveryRow]]:
    """The targets ready to render for, and dead letters for those that cannot be read."""
    found, dead = [], []
    for target in group:
        try:
            found.append(loading.destination(target.integration, target.audience, check))
        except Exception as error:  # an error in one target must not stop the others
            log.exception("Target cannot be read", extra={"integration_id": target.integration.pk})
            values = {"state": "dead", "reason": reason_of(error), "users": users}
            dead.append(delivery_rows.row(context, target.integration, target.audience, **values))
    return found, dead


def items_of(context: EventContext, check: Check, findings: Sequence[Finding], now: datetime) -> list[Item]:
    """The loginDetails of the findings' users: why each fails or, when resolved, why each no longer does."""
    if context.content.is_resolved:
        return [
            Item.resolved(finding.user.name, finding.resolution, finding.user.display_name, finding.user_id)
            for finding in findings
        ]
    users = [finding.user for finding in findings]
    details = check_services.login_details(check, users, now=now, tenant_id=context.content.tenant.id)
    return [Item.of(detail, user.display_name, user.pk) for detail, user in zip(details, users, strict=True)]


# --- Direct messages --------------------------------------------------------------------------------
def trust_levels(findings: Sequence[Finding]) -> dict[int, str]:
    """user id → userTrustLevel, by all open findings so far."""
    severity_of = dict(Check.objects.values_list("id", "severity"))
    severities = defaultdict(set)
    users = {finding.user_id for finding in findings}
    open_findings = Finding.objects.filter(user__in=check_services.among(users), resolved_at=None)
    for user, check in open_findings.values_list("user_id", "check_ref_id"):
        severities[user].add(severity_of[check])
    return {user: payloads.trust_level(severities[user]) for user in users}


def _direct_rows(
    context: EventContext,
    destinations: Sequence[TargetDestination],
    findings: Sequence[Finding],
    items: Sequence[Item],
    first: int,
    total: int,
) -> Iterator[DeliveryRow]:
    trust = trust_levels(findings)
    for destination in destinations:
        for index, (finding, item) in enumerate(zip(findings, items, strict=True), start=first):
            user = finding.user
            recipient = loading.recipient_of(user, destination.audience)
            values: dict[str, object] = {"batch": index, "batches": total, "finding": finding.id}
            if recipient is None:
                values |= {"state": "skipped", "reason": loading.unknown_manager_reason(user)}
                yield delivery_rows.row(context, destination.integration, destination.audience, **values)
                continue
            values["recipient"] = user.id if destination.audience == Audience.USER else user.manager_id
            message = DirectMessage(
                uuid4(), context.content, item, user.display_name, trust[user.id], recipient
            )
            yield delivery_rows.rendered_row(context, destination, message, **values)
