"""Splunk: an event for each user through the HTTP Event Collector (docs/targets/splunk.md).

https://docs.splunk.com/Documentation/Splunk/latest/Data/FormateventsforHTTPEventCollector
"""

import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import ClassVar

from integrations.json_types import JsonMapping, JsonObject
from integrations.target_data import AttemptRequest, Event, RenderedBody, Target
from integrations.targets.shared.call import Call
from integrations.targets.shared.documents import DocumentReader
from integrations.targets.shared.event_users import users_of
from integrations.targets.shared.json_answers import compact, parse_object, refusal_reason, text_at
from integrations.targets.shared.setting_fields import TIMES, Field
from integrations.targets.shared.target_kind import Inert, TargetKind
from integrations.transport.results import AttemptOutcome

PATH = "/services/collector/event"
# props.conf, TRUNCATE: Splunk cuts an event at 10,000 bytes and answers 200.
MAX_EVENT = 9_999
# This number of events of that size stays below a megabyte, the least that a collector takes (limits.conf,
# max_content_length).
USERS = 100
MAX_DETAILS, MAX_LOGIN, MAX_TITLE = 4_000, 300, 200
TEXTS = ("description", "recommendedActions", "message")
# Fields that name an event and its user; kept when the others do not fit.
NAMES = (
    "id",
    "checkId",
    "title",
    "severity",
    "published",
    "runId",
    "usersFailing",
    "usersResolved",
    "batch",
    "test",
)
ADVICE = {
    400: "Splunk refused the events.",
    401: "Splunk does not know this token. Copy it again.",
    403: "Splunk does not know this token, or it is disabled.",
    404: "There is no HTTP Event Collector at this address. Its port is 8088 by default.",
}
# https://docs.splunk.com/Documentation/Splunk/latest/Data/TroubleshootHTTPEventCollector
ADVICE_BY_CODE = {
    1: "The token is disabled: enable it, and “All Tokens” in the global settings.",
    4: "Splunk does not know this token. Copy it again.",
    7: "The token may not write to this index.",
    10: "The token asks for acknowledgements. Turn “indexer acknowledgement” off for it.",
}


class Splunk(TargetKind):
    slug: ClassVar[str] = "splunk"
    label: ClassVar[str] = "Splunk"
    summary: ClassVar[str] = "An event for each user, through the HTTP Event Collector."
    position: ClassVar[int] = 85
    one_message: ClassVar[bool] = False
    max_bytes: ClassVar[int] = USERS * (MAX_EVENT + 1)
    per_second: ClassVar[float | None] = None
    concurrency: ClassVar[int] = 8
    inert: ClassVar[Inert] = Inert.DATA
    form_fields: ClassVar[tuple[Field, ...]] = (
        Field(
            path="url",
            label="Collector",
            help="https://splunk.example.com:8088, in Splunk Cloud https://http-inputs-STACK.splunkcloud.com",
            widget="url",
        ),
        Field(path="token", label="Token", help="Of the HTTP Event Collector.", secret=True, pattern=r"[ -~]+", hint="Write the token."),
        Field(path="index", label="Index", help="Empty: the token's own.", required=False, most=80, pattern=r"[a-z0-9_-]+", hint="Write an index's name: small letters, digits, _ and -."),
        Field(path="host", label="Host", help="The field host of each event.", default="identity-checks", most=255),
        Field(path="source", label="Source", default="identity-checks", most=255),
        Field(path="sourcetype", label="Source type", default="_json", most=255),
        *TIMES,
    )  # fmt: skip

    def check(self, reader: DocumentReader, settings: JsonObject, secrets: JsonObject) -> None:
        if settings.get("url"):
            settings["url"] = re.sub(r"(/services/collector(/[\w.]+)*)?/*$", "", settings["url"])

    def users_per_request(self, target: Target) -> int | None:
        return USERS

    def render(self, event: Event, target: Target) -> RenderedBody:
        settings = target.settings
        frame: JsonObject = {"time": _epoch(event)}
        frame |= {
            key: settings[key] for key in ("host", "source", "sourcetype", "index") if settings.get(key)
        }
        # Objects one after the other, as the collector takes them; a JSON list is not among its formats.
        return RenderedBody(b"\n".join(_bounded(frame, one) for one in _events(event)))

    def attempt(self, request: AttemptRequest, target: Target, call: Call) -> AttemptOutcome:
        token = str(target.secrets["token"])
        value = token if token.lower().startswith("splunk ") else f"Splunk {token}"
        answer = call.request(
            "POST", target.settings["url"] + PATH, body=request.body, headers={"Authorization": value}
        )
        body = parse_object(answer.body)
        code = body.get("code")
        if answer.is_success and answer.body.strip() and code is None:
            return call.unlike_vendor(answer, "What answered is not Splunk's collector: no “code” in it.")
        if answer.status not in ADVICE:
            return call.outcome(answer)
        known = ADVICE_BY_CODE.get(code) if isinstance(code, int) else None
        text = text_at(body, "text")
        words = f"({text})" if text else ""
        return call.outcome(answer, reason=refusal_reason(answer, known or ADVICE[answer.status], words))


def _epoch(event: Event) -> float:
    """Seconds since 1970, with milliseconds."""
    published = str(event["detail"].get("published") or event["time"])
    return round(datetime.fromisoformat(published).timestamp(), 3)


def _events(event: Event) -> Iterator[JsonObject]:
    """The contract's event once for each of its users; itself if it has none."""
    detail = event["detail"]
    key = "usersResolved" if "usersResolved" in detail else "usersFailing"
    users = users_of(detail) if detail.get(key) else []
    rest = {
        name: value
        for name, value in detail.items()
        if name not in ("usersFailing", "usersResolved", "loginDetails")
    }
    for login, item in users:
        yield {**event, "detail": {**rest, key: [login], "loginDetails": [item] if item else []}}
    if not users:
        yield dict(event)


def _bounded(frame: JsonMapping, event: JsonObject) -> bytes:
    """The event in its frame, below 10,000 bytes: without its texts, with fewer details, at last with its names alone.

    ``detail.truncated`` marks an event that lost something.
    """
    body = compact({**frame, "event": event})
    for shorten in (_without_texts, _with_fewer_details, _names_alone):
        if len(body) <= MAX_EVENT:
            return body
        event = {**event, "detail": {**shorten(event["detail"]), "truncated": True}}
        body = compact({**frame, "event": event})
    return body


def _without_texts(detail: JsonMapping) -> JsonObject:
    return {key: value for key, value in detail.items() if key not in TEXTS}


def _with_fewer_details(detail: JsonMapping) -> JsonObject:
    """The shortest details of the user, as many as fit."""
    kept = []
    for item in detail.get("loginDetails", ()):
        room, pairs = MAX_DETAILS, []
        for pair in sorted(item.get("details", ()), key=lambda pair: len(compact(pair))):
            room -= len(compact(pair))
            if room >= 0:
                pairs.append(pair)
        kept.append({**item, "details": pairs})
    return {**detail, "loginDetails": kept}


def _names_alone(detail: JsonMapping) -> JsonObject:
    return {key: _short(detail[key]) for key in NAMES if key in detail}


def _short(value: object) -> object:
    if isinstance(value, str):
        return value[:MAX_TITLE]
    if isinstance(value, list):
        return [str(login)[:MAX_LOGIN] for login in value]
    return dict(value) if isinstance(value, Mapping) else value
