"""Amazon EventBridge: the contract's event on an event bus, by PutEvents (docs/targets/eventbridge.md).

https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_PutEvents.html, …/API_PutEventsRequestEntry.html,
https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-putevents.html (sizes)

EventBridge writes the envelope: its id, account and region. So the id of our event is in ``detail`` as ``eventId``.
"""

import json
from datetime import UTC, datetime
from typing import ClassVar

from integrations.auth.signature_v4 import Credentials, CredentialScope, SignatureV4
from integrations.json_types import Json
from integrations.target_data import AttemptRequest, Event, RenderedBody, Target
from integrations.targets.shared.aws_errors import json_error_code
from integrations.targets.shared.call import Call
from integrations.targets.shared.json_answers import (
    code_and_message,
    compact,
    objects_at,
    parse_object,
    refusal_reason,
    text_at,
)
from integrations.targets.shared.setting_fields import TIMES, Field
from integrations.targets.shared.target_kind import ALL_AUDIENCES, Inert, TargetKind
from integrations.transport import http
from integrations.transport.results import AttemptOutcome, Result

SERVICE = "events"
# Codes of a request or an entry that may succeed later.
RETRYABLE = frozenset({
    "InternalException", "InternalFailure", "RequestLimitExceeded", "ServiceUnavailable", "ThrottlingException",
    "Throttling",
})  # fmt: skip
ADVICE = {
    "AccessDeniedException": "The user may not put events there: allow events:PutEvents on the event bus.",
    "InvalidSignatureException": "AWS refused the signature: check the secret access key, and this machine's clock.",
    "NotAuthorizedForSourceException": "The policy of the event bus does not allow this source.",
    "NotAuthorizedForDetailTypeException": "The policy of the event bus does not allow this detail type.",
    "ResourceNotFoundException": "There is no such event bus in this region.",
    "UnrecognizedClientException": "AWS does not know this access key. Was it deleted or deactivated?",
}


class EventBridge(TargetKind):
    slug: ClassVar[str] = "eventbridge"
    label: ClassVar[str] = "Amazon EventBridge"
    summary: ClassVar[str] = "The event of a webhook on an event bus, for rules and their targets."
    position: ClassVar[int] = 95
    one_message: ClassVar[bool] = False
    # Limit of an entry: time, source, detail type and detail. One entry a request, so that none of it fails
    # alone.
    max_bytes: ClassVar[int] = 256_000  # AWS: less than 256 KB
    # Regions take from 400 requests a second on.
    per_second: ClassVar[float | None] = 50.0
    concurrency: ClassVar[int] = 8
    audiences: ClassVar[frozenset[str]] = ALL_AUDIENCES
    inert: ClassVar[Inert] = Inert.DATA
    form_fields: ClassVar[tuple[Field, ...]] = (
        Field(
            path="region",
            label="Region",
            help="Of the event bus, such as eu-central-1.",
            pattern=r"[a-z]{2,4}(-[a-z]+)+-\d{1,2}",
            hint="Write a region such as eu-central-1.",
            most=40,
        ),
        Field(
            path="event_bus",
            label="Event bus",
            help="Its name or ARN.",
            default="default",
            pattern=r"(arn:aws[\w-]*:events:[a-z]+-[a-z]+-[\w-]+:[0-9]{12}:event-bus/)?[.\-_A-Za-z0-9]{1,256}",
            hint="Write the name of the event bus, or its ARN: arn:aws:events:…:event-bus/name.",
        ),
        Field(
            path="access_key_id",
            label="Access key id",
            help="Of a user who may events:PutEvents on the event bus, and nothing else.",
            pattern=r"[A-Z0-9]{16,128}",
            hint="Write the id, such as AKIA….",
        ),
        Field(path="secret_access_key", label="Secret access key", secret=True, pattern=r"[\x21-\x7e]{16,256}"),
        Field(
            path="endpoint",
            label="API address",
            help="Only for a VPC endpoint or a FIPS endpoint: https://vpce-….events.eu-central-1.vpce.amazonaws.com",
            widget="url",
            required=False,
        ),
        *TIMES,
    )  # fmt: skip

    def render(self, event: Event, target: Target) -> RenderedBody:
        """The entry as far as AWS counts its size, with its ``Detail`` not yet made a string."""
        return RenderedBody(
            compact(
                {
                    "Time": int(datetime.fromisoformat(event["time"]).astimezone(UTC).timestamp()),
                    "Source": event["source"],
                    "DetailType": event["detail-type"],
                    "Detail": {"eventId": event["id"], **event["detail"]},
                }
            )
        )

    def attempt(self, request: AttemptRequest, target: Target, call: Call) -> AttemptOutcome:
        entry = json.loads(request.body)
        entry["Detail"] = compact(entry["Detail"]).decode()
        entry["EventBusName"] = target.settings["event_bus"]
        answer = call.request(
            "POST",
            f"{_endpoint(target)}/",
            body=compact({"Entries": [entry]}),
            headers={"Content-Type": "application/x-amz-json-1.1", "X-Amz-Target": "AWSEvents.PutEvents"},
            auth=SignatureV4(_credentials(target), _scope(request, target)),
        )
        return _outcome(call, answer)


def _endpoint(target: Target) -> str:
    region = target.settings["region"]
    suffix = "amazonaws.com.cn" if region.startswith("cn-") else "amazonaws.com"
    return str(target.settings.get("endpoint") or f"https://{SERVICE}.{region}.{suffix}").rstrip("/")


def _credentials(target: Target) -> Credentials:
    return Credentials(target.settings["access_key_id"], target.secrets["secret_access_key"])


def _scope(request: AttemptRequest, target: Target) -> CredentialScope:
    return CredentialScope(datetime.fromtimestamp(request.timestamp, UTC), target.settings["region"], SERVICE)


def _outcome(call: Call, answer: http.HttpAnswer) -> AttemptOutcome:
    body = parse_object(answer.body)
    if not answer.is_success:
        message = text_at(body, "message") or text_at(body, "Message")
        return _refused(call, answer, json_error_code(answer.headers, body), message)
    entries, failed = objects_at(body, "Entries"), body.get("FailedEntryCount")
    entry = entries[0] if entries else {}
    if code := text_at(entry, "ErrorCode"):
        return _refused(call, answer, code, text_at(entry, "ErrorMessage"))
    if _is_count(failed) and failed:
        words = text_at(entry, "ErrorMessage") or "It does not say why."
        return call.outcome(answer, Result.RETRYABLE, f"EventBridge did not take the event. {words}")
    if not entries or not _is_count(failed):
        reason = "What answered is not EventBridge: no “Entries” in it."
        return call.unlike_vendor(answer, reason)
    event_id = text_at(entry, "EventId")
    return call.outcome(answer, reason=f"EventBridge took the event{f' as {event_id}' if event_id else ''}.")


def _is_count(value: Json) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _refused(call: Call, answer: http.HttpAnswer, code: str, message: str) -> AttemptOutcome:
    """A refused request, or an entry that failed in a request that was taken (status 200)."""
    advice = ADVICE.get(code, "EventBridge did not take the event.")
    result: Result | None = None
    if code in RETRYABLE:
        result = Result.RETRYABLE
    elif answer.is_success:
        result = Result.PERMANENT
    return call.outcome(answer, result, refusal_reason(answer, advice, code_and_message(code, message)))
