"""From a run's findings to events and deliveries: the outbox.

All of it happens inside the caller's transaction, together with the findings: either a user is newly
failing and somebody will be told, or neither. Users are read once, in chunks, into a spool; the batches
of every target are cut from it, so that memory stays flat whatever the number of users.
"""

import json
import logging
from array import array
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from tempfile import SpooledTemporaryFile
from typing import Any
from uuid import uuid4

from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from checks import explanations
from checks.models import Check, CheckResult, Finding, Run
from integrations import targets as kinds
from integrations.liquid import TemplateError
from integrations.models import Integration
from notifications import bulk, choosing, composing, payloads
from notifications.composing import Destination, Occasion
from notifications.models import Audience, Cadence, Delivery, Event, Subscription

log = logging.getLogger(__name__)

CHUNK = 1000
SPOOL_BYTES = 16 * 1024 * 1024
COLUMNS = (
    "id",
    "event",
    "integration",
    "audience",
    "batch",
    "batches",
    "users",
    "recipient",
    "finding",
    "body",
    "content_type",
    "state",
    "created_at",
    "due_at",
    "finished_at",
    "attempts",
    "reason",
    "message_error",
    "replays",
    "lease",
)
Row = list[Any]


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
    return subscription.audience == Audience.LIST or not one_message(subscription.integration)


def one_message(integration: Integration) -> bool:
    """Whether one message of this target speaks of many: chats and mails do, the contract does not."""
    return bool(getattr(kinds.KINDS.get(integration.kind), "one_message", False))


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
            rows = [_left_out(on, telling, check, total - told) for telling in group]
            count += bulk.insert(Delivery, COLUMNS, rows)
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
    return row(on, telling.integration, telling.audience, **values)


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
            dead = row(on, telling.integration, telling.audience, state="dead", reason=reason, users=total)
            count += bulk.insert(Delivery, COLUMNS, [dead])
    with SpooledTemporaryFile(max_size=SPOOL_BYTES) as file:
        spool = Spool(file)
        direct = [to for to in ready if to.audience != Audience.LIST]
        for chunk in _chunks(findings):
            details = details_of(on, check, chunk, now)
            first = len(spool.sizes) + 1
            spool.add(details)
            if direct:
                rows = list(_direct_rows(on, direct, chunk, details, first, total))
                count += bulk.insert(Delivery, COLUMNS, rows)
        for to in ready:
            if to.audience == Audience.LIST:
                count += _insert_list(on, to, spool)
    return count


def details_of(
    on: Occasion, check: Check, findings: Sequence[Finding], now: datetime
) -> Sequence[payloads.LoginDetail]:
    """loginDetails of the findings' users: why each fails or, when resolved, why each no longer does."""
    if on.resolved:
        return [payloads.resolution(finding.user.name, finding.resolution) for finding in findings]
    users = [finding.user for finding in findings]
    return explanations.login_details(check, users, now=now, tenant_id=on.tenant.id)


def _chunks(findings: QuerySet[Finding]) -> Iterator[list[Finding]]:
    last = 0
    ordered = findings.select_related("user__manager").order_by("id")
    while chunk := list(ordered.filter(id__gt=last)[:CHUNK]):
        yield chunk
        last = chunk[-1].id


def row(on: Occasion, integration: Integration, audience: str, **values: Any) -> Row:
    """One delivery in the order of COLUMNS. A disabled target's is a dead letter: seen, and replayable.
    Nobody is written to in person during quiet hours."""
    now = on.event.created_at
    if integration.state == Integration.State.DISABLED and "state" not in values:
        values["state"] = "dead"
        values["reason"] = f"The target is disabled. {integration.state_reason}".strip()[:500]
    made = {
        "id": uuid4(),
        "event": on.event.id,
        "integration": integration.id,
        "audience": audience,
        "batch": 1,
        "batches": 1,
        "users": 1,
        "recipient": None,
        "finding": None,
        "body": None,
        "content_type": "",
        "state": "due",
        "created_at": now,
        "due_at": now if audience == Audience.LIST else on.awake_at,
        "finished_at": None,
        "attempts": 0,
        "reason": "",
        "message_error": "",
        "replays": 0,
        "lease": "",
        **values,
    }
    if made["state"] != "due":
        made.update(due_at=None, finished_at=now)
    return [made[name] for name in COLUMNS]


# --- Lists ------------------------------------------------------------------------------------------
class Spool:
    """loginDetails items on their way from the database to the batches of several targets."""

    def __init__(self, file: "SpooledTemporaryFile[bytes]") -> None:
        self.file = file
        self.sizes = array("L")  # what each user adds to a body of the contract
        self.offsets = array("Q")
        self.end = 0

    def add(self, details: Sequence[payloads.LoginDetail]) -> None:
        for item in details:
            line = json.dumps(item, ensure_ascii=False, separators=(",", ":")).encode()
            login = json.dumps(item["login"], ensure_ascii=False).encode()
            self.sizes.append(len(line) + len(login) + 2)  # with a comma each
            self.offsets.append(self.end)
            self.file.write(line + b"\n")
            self.end += len(line) + 1

    def read(self, users: range) -> list[payloads.LoginDetail]:
        self.file.seek(self.offsets[users.start])
        lines = [self.file.readline() for _ in users]
        self.file.seek(self.end)
        return [json.loads(line) for line in lines]


class _TooLarge(Exception):
    def __init__(self, users: range) -> None:
        super().__init__(users)
        self.users = users


def _insert_list(on: Occasion, to: Destination, spool: Spool) -> int:
    """The batches of one target. They are made as large as allowed; where the rendered bytes of one
    exceed what the kind takes, all are cut anew, since each says how many there are."""
    total = len(spool.sizes)
    most = min(on.max_users, to.users_per_request or on.max_users)
    ranges = payloads.partition([0] * total, 0, most, 1)
    by_bytes = False
    while True:
        try:
            with transaction.atomic():
                return bulk.insert(Delivery, COLUMNS, _list_rows(on, to, spool, ranges))
        except _TooLarge as problem:
            if by_bytes:
                middle = problem.users.start + len(problem.users) // 2
                at = ranges.index(problem.users)
                halves = [range(problem.users.start, middle), range(middle, problem.users.stop)]
                ranges[at : at + 1] = halves
                continue
            by_bytes = True
            batch = payloads.Batch(total, total, total)
            base = len(composing.list_body(on, to, uuid4(), [], batch).rendered.body)
            ranges = payloads.partition(spool.sizes, base, most, to.kind.max_bytes)


def _list_rows(on: Occasion, to: Destination, spool: Spool, ranges: Sequence[range]) -> Iterator[Row]:
    for index, users in enumerate(ranges, start=1):
        common: dict[str, Any] = {"id": uuid4(), "batch": index, "batches": len(ranges), "users": len(users)}
        batch = payloads.Batch(index, len(ranges), len(spool.sizes))
        try:
            made = composing.list_body(on, to, common["id"], spool.read(users), batch)
        except Exception as error:  # noqa: BLE001  a kind's bug is that message's end, not the run's
            yield failed(on, to, error, common)
            continue
        if len(made.rendered.body) > to.kind.max_bytes and len(users) > 1:
            raise _TooLarge(users)
        yield made_row(on, to, made, common)


def failed(on: Occasion, to: Destination, error: Exception, values: dict[str, Any]) -> Row:
    log.error("a message to target %s could not be made", to.integration.pk, exc_info=error)
    said = str(error) if isinstance(error, TemplateError) else f"{type(error).__name__}."
    reason = f"The message could not be made: {said}"[:500]
    return row(on, to.integration, to.audience, **values, state="dead", reason=reason)


def made_row(on: Occasion, to: Destination, made: composing.Made, values: dict[str, Any]) -> Row:
    values = {
        **values,
        "body": made.rendered.body,
        "content_type": made.rendered.content_type,
        "message_error": made.message_error,
    }
    if len(made.rendered.body) > to.kind.max_bytes:
        reason = (
            f"One user's message has {len(made.rendered.body):,} bytes, "
            f"over the {to.kind.max_bytes:,} that this kind of target takes."
        )
        values = {**values, "state": "dead", "reason": reason}
    return row(on, to.integration, to.audience, **values)


# --- Direct messages --------------------------------------------------------------------------------
def trust_levels(findings: Sequence[Finding]) -> dict[int, str]:
    """user id → userTrustLevel, by all open findings so far."""
    severities = defaultdict(set)
    users = {finding.user_id for finding in findings}
    for user, severity in Finding.objects.filter(user__in=users, resolved_at=None).values_list(
        "user_id", "check_ref__severity"
    ):
        severities[user].add(severity)
    return {user: payloads.trust_level(severities[user]) for user in users}


def _direct_rows(
    on: Occasion,
    destinations: Sequence[Destination],
    findings: Sequence[Finding],
    details: Sequence[payloads.LoginDetail],
    first: int,
    total: int,
) -> Iterator[Row]:
    trust = trust_levels(findings)
    for to in destinations:
        for index, (finding, detail) in enumerate(zip(findings, details, strict=True), start=first):
            recipient = composing.recipient_of(finding.user, to.audience)
            values: dict[str, Any] = {"id": uuid4(), "batch": index, "batches": total, "finding": finding.id}
            if recipient is None:
                reason = f"The manager of {finding.user.name} is unknown."[:500]
                yield row(on, to.integration, to.audience, **values, state="skipped", reason=reason)
                continue
            user = finding.user
            values["recipient"] = user.id if to.audience == Audience.USER else user.manager_id
            try:
                made = composing.direct_body(on, to, values["id"], user, detail, trust[user.id], recipient)
            except Exception as error:  # noqa: BLE001  as above
                yield failed(on, to, error, values)
                continue
            yield made_row(on, to, made, values)
