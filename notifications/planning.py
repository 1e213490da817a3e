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
from datetime import datetime
from tempfile import SpooledTemporaryFile
from typing import Any
from uuid import uuid4

from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from checks import explanations
from checks.models import Check, CheckResult, Finding, Run
from integrations.models import Integration
from notifications import bulk, composing, payloads
from notifications.composing import Destination, Occasion
from notifications.models import Audience, Delivery, Event, Subscription

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


def plan(run: Run, check: Check, result: CheckResult | None = None) -> int:
    """One event for the users newly failing ``check`` in ``run``; returns its deliveries.

    Called inside the transaction that wrote the findings. Without a new finding or without anybody to
    tell there is no event. The second plan of a run and check inserts nothing.
    """
    subscriptions = list(
        Subscription.objects.filter(check_ref=check).select_related("integration").order_by("id")
    )
    findings = Finding.objects.filter(opened_run=run, check_ref=check)
    if not subscriptions or not findings.exists():
        return 0
    event, created = Event.objects.get_or_create(
        origin=Event.Origin.RUN, run=run, check_ref=check, defaults={"created_at": timezone.now()}
    )
    if not created:
        return 0
    pairs = [(subscription.integration, subscription.audience) for subscription in subscriptions]
    return fill(event, check, pairs, findings, now=run.started_at or event.created_at)


def fill(
    event: Event,
    check: Check,
    targets: Sequence[tuple[Integration, str]],
    findings: QuerySet[Finding],
    *,
    now: datetime,
) -> int:
    """The deliveries of an event: for each target and audience, about each finding's user."""
    on = composing.occasion(event, check)
    ready, count = [], 0
    for integration, audience in targets:
        try:
            ready.append(composing.destination(integration, audience, check))
        except Exception as error:  # one broken target must not keep the others from being told
            log.exception("target %s cannot be written to", integration.pk)
            reason = f"The message could not be made: {type(error).__name__}."
            row = _row(on, integration, audience, state="dead", reason=reason, users=findings.count())
            count += bulk.insert(Delivery, COLUMNS, [row])
    with SpooledTemporaryFile(max_size=SPOOL_BYTES) as file:
        spool = Spool(file)
        direct = [to for to in ready if to.audience != Audience.LIST]
        total = findings.count() if direct else 0
        for chunk in _chunks(findings):
            details = explanations.login_details(
                check, [finding.user for finding in chunk], now=now, tenant_id=on.tenant.id
            )
            first = len(spool.sizes) + 1
            spool.add(details)
            if direct:
                rows = list(_direct_rows(on, direct, chunk, details, first, total))
                count += bulk.insert(Delivery, COLUMNS, rows)
        event.users = len(spool.sizes)
        event.save(update_fields=["users"])
        for to in ready:
            if to.audience == Audience.LIST:
                count += _insert_list(on, to, spool)
    return count


def _chunks(findings: QuerySet[Finding]) -> Iterator[list[Finding]]:
    last = 0
    ordered = findings.select_related("user__manager").order_by("id")
    while chunk := list(ordered.filter(id__gt=last)[:CHUNK]):
        yield chunk
        last = chunk[-1].id


def _row(on: Occasion, integration: Integration, audience: str, **values: Any) -> Row:
    """One delivery in the order of COLUMNS. A disabled target's is a dead letter: seen, and replayable."""
    now = on.event.created_at
    if integration.state == Integration.State.DISABLED and "state" not in values:
        values["state"] = "dead"
        values["reason"] = f"The target is disabled. {integration.state_reason}".strip()[:500]
    row = {
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
        "due_at": now,
        "finished_at": None,
        "attempts": 0,
        "reason": "",
        "message_error": "",
        "replays": 0,
        "lease": "",
        **values,
    }
    if row["state"] != "due":
        row.update(due_at=None, finished_at=now)
    return [row[name] for name in COLUMNS]


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
    ranges = payloads.partition([0] * total, 0, on.max_users, 1)
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
            ranges = payloads.partition(spool.sizes, base, on.max_users, to.kind.max_bytes)


def _list_rows(on: Occasion, to: Destination, spool: Spool, ranges: Sequence[range]) -> Iterator[Row]:
    for index, users in enumerate(ranges, start=1):
        common: dict[str, Any] = {"id": uuid4(), "batch": index, "batches": len(ranges), "users": len(users)}
        batch = payloads.Batch(index, len(ranges), len(spool.sizes))
        try:
            made = composing.list_body(on, to, common["id"], spool.read(users), batch)
        except Exception as error:  # noqa: BLE001  a kind's bug is that message's end, not the run's
            yield _failed(on, to, error, common)
            continue
        if len(made.rendered.body) > to.kind.max_bytes and len(users) > 1:
            raise _TooLarge(users)
        yield _made(on, to, made, common)


def _failed(on: Occasion, to: Destination, error: Exception, values: dict[str, Any]) -> Row:
    log.error("a message to target %s could not be made", to.integration.pk, exc_info=error)
    reason = f"The message could not be made: {type(error).__name__}."
    return _row(on, to.integration, to.audience, **values, state="dead", reason=reason)


def _made(on: Occasion, to: Destination, made: composing.Made, values: dict[str, Any]) -> Row:
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
    return _row(on, to.integration, to.audience, **values)


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
                yield _row(on, to.integration, to.audience, **values, state="skipped", reason=reason)
                continue
            user = finding.user
            values["recipient"] = user.id if to.audience == Audience.USER else user.manager_id
            try:
                made = composing.direct_body(on, to, values["id"], user, detail, trust[user.id], recipient)
            except Exception as error:  # noqa: BLE001  as above
                yield _failed(on, to, error, values)
                continue
            yield _made(on, to, made, values)
