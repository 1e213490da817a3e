"""The contract's events, built from plain values: pure, and in the field order of docs/contract.md."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal
from uuid import UUID

Envelope = dict[str, Any]
LoginDetail = Mapping[str, Any]

# The worst open finding decides. Nobody without one is the subject of a message.
TRUST_LEVELS = {"critical": "UNTRUSTED", "high": "QUESTIONABLE", "medium": "NEUTRAL", "low": "FAVORABLE"}
# JSON as the contract writes it: compact, in any script.
encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode
CONNECTIVITY_TITLE = "Webhook connectivity test"
CONNECTIVITY_DESCRIPTION = ("This event was sent by Test Connectivity. It speaks of no user.",)


@dataclass(frozen=True, slots=True)
class Tenant:
    """The installation, as the envelope names it."""

    id: str
    account: str = "000000000000"
    region: str = "self-hosted"


@dataclass(frozen=True, slots=True)
class CheckText:
    """What an event says of its check: texts with their placeholders filled in."""

    slug: str
    title: str
    severity: str
    description: Sequence[str]
    recommended_actions: Sequence[str]
    tags: Sequence[str] = ()
    topics: Sequence[str] = ()
    frameworks: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Batch:
    index: int
    count: int
    total_users: int


@dataclass(frozen=True, slots=True)
class Recipient:
    kind: Literal["user", "manager"]
    login: str
    email: str
    display_name: str


def seconds(moment: datetime) -> str:
    """``2024-09-19T08:15:30Z``"""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def milliseconds(moment: datetime) -> str:
    """``2024-09-19T08:15:30.123Z``"""
    utc = moment.astimezone(UTC)
    return f"{utc:%Y-%m-%dT%H:%M:%S}.{utc.microsecond // 1000:03d}Z"


def trust_level(severities: Iterable[str]) -> str:
    """A user's ``userTrustLevel`` by the severities of the open findings; UNKNOWN without any.

    CII computes its level from behaviour that this project does not see. The worst open finding stands
    in for it: critical UNTRUSTED, high QUESTIONABLE, medium NEUTRAL, low FAVORABLE. TRUSTED is never
    said of a user who fails a check, and UNKNOWN where no finding is open.
    """
    found = set(severities)
    for severity, level in TRUST_LEVELS.items():
        if severity in found:
            return level
    return "UNKNOWN"


def envelope(
    tenant: Tenant, *, id: UUID, detail_type: str, short_id: str, time: datetime, detail: dict[str, Any]
) -> Envelope:
    return {
        "version": "0",
        "id": str(id),
        "detail-type": detail_type,
        "source": f"{tenant.id}__{short_id}",
        "account": tenant.account,
        "time": seconds(time),
        "region": tenant.region,
        "resources": [],
        "detail": detail,
    }


def failed_check(
    tenant: Tenant,
    check: CheckText,
    *,
    delivery_id: UUID,
    event_id: UUID,
    short_id: str,
    published: datetime,
    users: Sequence[LoginDetail],
    batch: Batch,
    message: str | None = None,
    run_id: UUID | None = None,
    reference_url: str = "",
    test: bool = False,
) -> Envelope:
    """``users`` are the contract's loginDetails items; ``usersFailing`` takes its order from them."""
    detail: dict[str, Any] = {
        "id": str(event_id),
        "checkId": check.slug,
        "title": check.title,
        "severity": check.severity,
        "description": list(check.description),
        "recommendedActions": list(check.recommended_actions),
        "published": milliseconds(published),
        "usersFailing": [user["login"] for user in users],
        "loginDetails": list(users),
        "checkTags": sorted(check.tags),
        "checkTopics": list(check.topics),
        "checkScope": "USER",
        "frameworks": list(check.frameworks),
    }
    if message is not None:
        detail["message"] = message
    if run_id:
        detail["runId"] = str(run_id)
    if reference_url:
        detail["referenceUrl"] = reference_url
    detail["batch"] = {"index": batch.index, "count": batch.count, "totalUsers": batch.total_users}
    if test:
        detail["test"] = True
    return envelope(
        tenant, id=delivery_id, detail_type="FAILED_CHECK", short_id=short_id, time=published, detail=detail
    )


def check_resolved(
    tenant: Tenant,
    check: CheckText,
    *,
    delivery_id: UUID,
    event_id: UUID,
    short_id: str,
    published: datetime,
    users: Sequence[LoginDetail],
    batch: Batch,
    still_failing: int,
    run_id: UUID | None = None,
    reference_url: str = "",
    recipient: Recipient | None = None,
) -> Envelope:
    """``users`` are items of :func:`resolution`. It has no ``usersFailing``: who reads nothing but that
    finds nobody. ``recipient``: the note is for one person."""
    detail: dict[str, Any] = {
        "id": str(event_id),
        "checkId": check.slug,
        "title": check.title,
        "severity": check.severity,
        "description": list(check.description),
        "published": milliseconds(published),
        "usersResolved": [user["login"] for user in users],
        "loginDetails": list(users),
        "stillFailing": still_failing,
        "checkTags": sorted(check.tags),
        "checkTopics": list(check.topics),
        "checkScope": "USER",
        "frameworks": list(check.frameworks),
    }
    if recipient:
        detail["recipient"] = _as_json(recipient)
    if run_id:
        detail["runId"] = str(run_id)
    if reference_url:
        detail["referenceUrl"] = reference_url
    detail["batch"] = {"index": batch.index, "count": batch.count, "totalUsers": batch.total_users}
    return envelope(
        tenant, id=delivery_id, detail_type="CHECK_RESOLVED", short_id=short_id, time=published, detail=detail
    )


def resolution(login: str, reason: str) -> LoginDetail:
    """The loginDetails item of one who no longer fails: ``cured``, ``unknown`` or ``out_of_scope``."""
    return {"login": login, "details": [{"key": "resolution", "value": json.dumps(reason)}]}


def _as_json(recipient: Recipient) -> dict[str, str]:
    return {
        "kind": recipient.kind,
        "login": recipient.login,
        "email": recipient.email,
        "displayName": recipient.display_name,
    }


def direct_message(
    tenant: Tenant,
    check: CheckText,
    *,
    delivery_id: UUID,
    event_id: UUID,
    short_id: str,
    published: datetime,
    user: LoginDetail,
    user_trust_level: str,
    recipient: Recipient,
    message: str | None = None,
    reminder: bool = False,
    test: bool = False,
) -> Envelope:
    """``user`` is the failing user's loginDetails item. ``reminder``: the recipient was told before."""
    detail: dict[str, Any] = {
        "id": str(event_id),
        "checkId": check.slug,
        "title": check.title,
        "severity": check.severity,
        "description": list(check.description),
        "recommendedActions": list(check.recommended_actions),
        "published": milliseconds(published),
        "checkTags": sorted(check.tags),
        "login": user["login"],
        "userTrustLevel": user_trust_level,
        "recipient": _as_json(recipient),
    }
    if reminder:
        detail["reminder"] = True
    if message is not None:
        detail["message"] = message
    detail["loginDetails"] = [user]
    if test:
        detail["test"] = True
    return envelope(
        tenant, id=delivery_id, detail_type="DIRECT_MESSAGE", short_id=short_id, time=published, detail=detail
    )


def webhook_test(
    tenant: Tenant, *, delivery_id: UUID, event_id: UUID, short_id: str, published: datetime
) -> Envelope:
    detail = {
        "id": str(event_id),
        "title": CONNECTIVITY_TITLE,
        "description": list(CONNECTIVITY_DESCRIPTION),
        "published": milliseconds(published),
        "test": True,
    }
    return envelope(
        tenant, id=delivery_id, detail_type="WebhookTest", short_id=short_id, time=published, detail=detail
    )


def partition(sizes: Sequence[int], base: int, max_users: int, max_bytes: int) -> list[range]:
    """Consecutive batches of users, each within both limits, as few as going in order allows.

    ``sizes[i]`` is what user i adds to a body, ``base`` what a body weighs without users. Nobody is left
    out: a user who exceeds the limit alone makes a batch of one, for the caller to judge by its real
    bytes.
    """
    batches: list[range] = []
    start, weight = 0, base
    for index, size in enumerate(sizes):
        if index > start and (index - start >= max_users or weight + size > max_bytes):
            batches.append(range(start, index))
            start, weight = index, base
        weight += size
    if sizes:
        batches.append(range(start, len(sizes)))
    return batches
