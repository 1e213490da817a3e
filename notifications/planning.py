"""From a run's findings to events and deliveries: the outbox.

All of it happens inside the caller's transaction, together with the findings: either a user is newly
failing and somebody will be told, or neither. Users are read once, in chunks, into a spool; the batches
of every target are cut from it, so that memory stays flat whatever the number of users.
"""

import json
import logging
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import islice
from tempfile import SpooledTemporaryFile
from typing import Any
from uuid import uuid4

from django.db.models import QuerySet
from django.utils import timezone

from checks import dialect, explanations, light
from checks.models import Check, CheckResult, Finding, Run, User
from integrations.models import Integration
from notifications import bulk, choosing, composing, lists, payloads, rows
from notifications.composing import Occasion
from notifications.models import Audience, Cadence, Delivery, Event, Subscription
from notifications.moulds import DirectMould, Item
from notifications.rows import Row

log = logging.getLogger(__name__)

CHUNK = 1000
SPOOL_BYTES = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Telling:
    """One target and audience that an event is for, and whom it leaves out."""

    integration: Integration
    audience: str
    filter: choosing.Filter = field(default_factory=dict)

    @classmethod
    def of(cls, subscription: Subscription) -> "Telling":
        return cls(subscription.integration, subscription.audience, subscription.filter)


def told_in_run(subscription: Subscription) -> bool:
    """Whether the run itself tells; else rounds.py does, when the run has ended or later.

    Chats and mails to people wait for the end of the run: a person gets one message of all checks. The
    contract's DIRECT_MESSAGE speaks of one check, so a webhook need not wait.
    """
    if subscription.cadence != Cadence.IMMEDIATELY or subscription.after_days:
        return False
    return subscription.audience == Audience.LIST or not lists.one_message(subscription.integration)


def plan(run: Run, check: Check, result: CheckResult | None = None) -> int:
    """One event for the users newly failing ``check`` in ``run``, one for those who no longer do;
    returns their deliveries.

    Called inside the transaction that wrote the findings. Without a finding or without anybody to
    tell there is no event. The second plan of a run and check inserts nothing.
    """
    subscriptions = [
        subscription
        for subscription in Subscription.objects.filter(check_ref=check)
        .select_related("integration")
        .order_by("id")
        if told_in_run(subscription)
    ]
    curious = [one for one in subscriptions if one.resolved and one.audience == Audience.LIST]
    opened = Finding.objects.filter(opened_run=run, check_ref=check)
    count = _plan(Event.Origin.RUN, run, check, subscriptions, opened)
    if curious:
        resolved = Finding.objects.filter(resolved_run=run, check_ref=check, resolved_at__isnull=False)
        count += _plan(Event.Origin.RESOLVED, run, check, curious, resolved)
    return count


def _plan(
    origin: str, run: Run, check: Check, subscriptions: Sequence[Subscription], findings: QuerySet[Finding]
) -> int:
    if not subscriptions or not findings.exists():
        return 0
    event, created = Event.objects.get_or_create(
        origin=origin, run=run, check_ref=check, defaults={"created_at": timezone.now()}
    )
    if not created:
        return 0
    tellings = [Telling.of(subscription) for subscription in subscriptions]
    return fill(event, check, tellings, findings, now=run.started_at or event.created_at)


def fill(
    event: Event, check: Check, tellings: Sequence[Telling], findings: QuerySet[Finding], *, now: datetime
) -> int:
    """The deliveries of an event: for each target and audience, about each finding's user whom its
    filter lets through. Targets with the same filter share one reading of the users."""
    on = composing.occasion(event, check)
    total = findings.count()
    event.users = total
    event.save(update_fields=["users"])
    count = 0
    for group in _by_filter(tellings):
        chosen = choosing.narrow(findings, group[0].filter, check)
        told = total if not group[0].filter else chosen.count()
        if told < total:
            left_out = [_left_out(on, telling, check, total - told) for telling in group]
            count += bulk.insert(Delivery, rows.COLUMNS, left_out)
        if told:
            count += _fill_group(_with_rest(on, check, group[0].filter), check, group, chosen, told, now)
    return count


def _by_filter(tellings: Sequence[Telling]) -> list[list[Telling]]:
    groups: dict[str, list[Telling]] = {}
    for telling in tellings:
        groups.setdefault(json.dumps(telling.filter, sort_keys=True), []).append(telling)
    return list(groups.values())


def _with_rest(on: Occasion, check: Check, chosen: choosing.Filter) -> Occasion:
    """A resolved event says how many, among those it is about, fail yet."""
    if not on.resolved:
        return on
    still = Finding.objects.filter(check_ref=check, resolved_at=None)
    return replace(on, still_failing=choosing.narrow(still, chosen, check).count())


def _left_out(on: Occasion, telling: Telling, check: Check, users: int) -> Row:
    """On record: whom this target is not told of, by its own filter. Batch 0 is nobody's."""
    reason = left_out_reason(telling.filter, check)
    values = {"batch": 0, "batches": 0, "users": users, "state": "skipped", "reason": reason}
    return rows.row(on, telling.integration, telling.audience, **values)


def left_out_reason(chosen: choosing.Filter, check: Check) -> str:
    why = choosing.refusal(chosen, check) or f"Only {choosing.said(chosen)}."
    return f"Left out by the filter. {why}"[:500]


def _fill_group(
    on: Occasion,
    check: Check,
    group: Sequence[Telling],
    findings: QuerySet[Finding],
    total: int,
    now: datetime,
) -> int:
    ready, count = [], 0
    for telling in group:
        try:
            ready.append(composing.destination(telling.integration, telling.audience, check))
        except Exception as error:  # one broken target must not keep the others from being told
            log.exception("target %s cannot be written to", telling.integration.pk)
            reason = f"The message could not be made: {type(error).__name__}."
            dead = rows.row(
                on, telling.integration, telling.audience, state="dead", reason=reason, users=total
            )
            count += bulk.insert(Delivery, rows.COLUMNS, [dead])
    direct = [DirectMould(on, to) for to in ready if to.audience != Audience.LIST]
    managers = any(mould.to.audience == Audience.MANAGER for mould in direct)
    with SpooledTemporaryFile(max_size=SPOOL_BYTES) as file:
        spool = lists.Spool(file)
        for chunk in _chunks(findings, managers=managers):
            items = [Item.of(detail) for detail in details_of(on, check, chunk, now)]
            first = len(spool.sizes) + 1
            spool.add(items, [finding.id for finding in chunk])
            if direct:
                made = list(_direct_rows(direct, chunk, items, first, total))
                count += bulk.insert(Delivery, rows.COLUMNS, made)
        for to in ready:
            if to.audience == Audience.LIST:
                count += lists.insert(on, to, spool)
    return count


def details_of(
    on: Occasion, check: Check, findings: Sequence[Finding], now: datetime
) -> Sequence[payloads.LoginDetail]:
    """loginDetails of the findings' users: why each fails or, when resolved, why each no longer does."""
    if on.resolved:
        return [payloads.resolution(finding.user.name, finding.resolution) for finding in findings]
    users = [finding.user for finding in findings]
    return explanations.login_details(check, users, now=now, tenant_id=on.tenant.id)


_FINDING = ("id", "user_id", "resolution")
_MANAGER = ("id", "name", "email", "display_name")
_USER = (*explanations.USER_COLUMNS, "email", "display_name")


def _chunks(findings: QuerySet[Finding], *, managers: bool) -> Iterator[list[Finding]]:
    """The findings with their users and, where asked for, the users' managers; by one statement."""
    columns = [*_FINDING, *(f"user__{name}" for name in _USER)]
    if managers:
        columns += [f"user__manager__{name}" for name in _MANAGER]
    found = findings.order_by("id").values_list(*columns).iterator(CHUNK)
    while chunk := [_finding(values) for values in islice(found, CHUNK)]:
        yield chunk


def _finding(values: Sequence[Any]) -> Finding:
    user_at, manager_at = len(_FINDING), len(_FINDING) + len(_USER)
    finding = light.instance(Finding, _FINDING, values[:user_at])
    user = light.instance(User, _USER, values[user_at:manager_at])
    light.relate(finding, "user", user)
    if manager := values[manager_at:]:
        light.relate(user, "manager", light.instance(User, _MANAGER, manager) if manager[0] else None)
    return finding


# --- Direct messages --------------------------------------------------------------------------------
def trust_levels(findings: Sequence[Finding]) -> dict[int, str]:
    """user id → userTrustLevel, by all open findings so far."""
    severity_of = dict(Check.objects.values_list("id", "severity"))
    severities = defaultdict(set)
    users = {finding.user_id for finding in findings}
    open_ones = Finding.objects.filter(user__in=dialect.among(users), resolved_at=None)
    for user, check in open_ones.values_list("user_id", "check_ref_id"):
        severities[user].add(severity_of[check])
    return {user: payloads.trust_level(severities[user]) for user in users}


def _direct_rows(
    moulds: Sequence[DirectMould],
    findings: Sequence[Finding],
    items: Sequence[Item],
    first: int,
    total: int,
) -> Iterator[Row]:
    trust = trust_levels(findings)
    for mould in moulds:
        on, to = mould.on, mould.to
        for index, (finding, item) in enumerate(zip(findings, items, strict=True), start=first):
            recipient = composing.recipient_of(finding.user, to.audience)
            values: dict[str, Any] = {"id": uuid4(), "batch": index, "batches": total, "finding": finding.id}
            if recipient is None:
                reason = f"The manager of {finding.user.name} is unknown."[:500]
                yield rows.row(on, to.integration, to.audience, **values, state="skipped", reason=reason)
                continue
            user = finding.user
            values["recipient"] = user.id if to.audience == Audience.USER else user.manager_id
            try:
                made = mould.make(values["id"], user, item, trust[user.id], recipient)
            except Exception as error:  # noqa: BLE001  a kind's bug is that message's end, not the run's
                yield rows.failed(on, to, error, values)
                continue
            yield rows.made_row(on, to, made, values)
