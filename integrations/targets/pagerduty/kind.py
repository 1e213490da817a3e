"""PagerDuty: an alert a check by the Events API v2, resolved when cured (docs/targets/pagerduty.md).

https://developer.pagerduty.com/docs/events-api-v2/trigger-events/
"""

from typing import ClassVar

from django.conf import settings as django_settings

from integrations.json_types import JsonObject
from integrations.target_data import AttemptRequest, Event, RenderedBody, Target
from integrations.targets.shared.call import Call
from integrations.targets.shared.json_answers import (
    compact,
    parse_object,
    refusal_reason,
    text_at,
    texts_at,
)
from integrations.targets.shared.setting_fields import TIMES, Field
from integrations.targets.shared.summary import EventSummary, fit_into, truncate
from integrations.targets.shared.target_kind import Inert, TargetKind
from integrations.transport import http
from integrations.transport.results import AttemptOutcome, Result

API = "https://events.pagerduty.com"
SEVERITY_NAMES = {"critical": "critical", "high": "error", "medium": "warning", "low": "info"}
MAX_SUMMARY = 1024


class PagerDuty(TargetKind):
    slug: ClassVar[str] = "pagerduty"
    label: ClassVar[str] = "PagerDuty"
    summary: ClassVar[str] = "An alert for each check, resolved when nobody fails it any more."
    position: ClassVar[int] = 80
    # The API takes 512 KB.
    max_bytes: ClassVar[int] = 500_000
    per_second: ClassVar[float | None] = 2.0
    concurrency: ClassVar[int] = 2
    inert: ClassVar[Inert] = Inert.PLAIN
    form_fields: ClassVar[tuple[Field, ...]] = (
        Field(
            path="routing_key",
            label="Integration key",
            help="Of the service's integration “Events API V2”.",
            secret=True,
            pattern=r"[A-Za-z0-9]{32}",
            hint="Write the 32 letters and digits of the integration key.",
        ),
        Field(
            path="api_url",
            label="API address",
            help="In the EU service region: https://events.eu.pagerduty.com",
            widget="url",
            required=False,
            default=API,
        ),
        *TIMES,
    )

    def render(self, event: Event, target: Target) -> RenderedBody:
        return RenderedBody(
            fit_into(event, target.frame, lambda summary: compact(_event(summary, event)), self.max_bytes)
        )

    def attempt(self, request: AttemptRequest, target: Target, call: Call) -> AttemptOutcome:
        if request.body.startswith(b'{"event_action":"none"'):
            return call.outcome_without_answer(
                Result.DELIVERED, "Nothing sent: others still fail the check, so its alert stays open."
            )
        answer = self._enqueue(request.body, target, call)
        if answer.status == 202 and b'"group":"connectivity"' in request.body:
            # A test must not page anyone: its alert is resolved at once.
            resolve = request.body.replace(b'"event_action":"trigger"', b'"event_action":"resolve"', 1)
            answer = self._enqueue(resolve, target, call)
        body = parse_object(answer.body)
        if answer.is_success and answer.status != 202:
            # The API answers 202 alone.
            return call.unlike_vendor(answer, "What answered is not PagerDuty's API: it answers 202.")
        if answer.status == 400:
            words = "; ".join(texts_at(body, "errors")[:5]) or text_at(body, "message")
            return call.outcome(answer, reason=refusal_reason(answer, "PagerDuty refused the event.", words))
        return call.outcome(answer)

    def _enqueue(self, event: bytes, target: Target, call: Call) -> http.HttpAnswer:
        url = f"{target.settings['api_url'].rstrip('/')}/v2/enqueue"
        key = compact({"routing_key": target.secrets["routing_key"]})
        return call.request("POST", url, body=key[:-1] + b"," + event[1:])


def _action(summary: EventSummary) -> str:
    if summary.subject != "resolved":
        return "trigger"
    return "none" if summary.still_failing else "resolve"


def _event(summary: EventSummary, event: Event) -> JsonObject:
    """The event without its ``routing_key``, a secret that :meth:`PagerDuty.attempt` adds."""
    tenant = str(event["source"]).partition("__")[0]
    test = summary.subject == "test"
    details = {
        "description": list(summary.paragraphs),
        "recommended actions": list(summary.actions),
        "users": [] if summary.names_users else [person.line for person in summary.people],
        "more": "" if summary.names_users else summary.and_more,
        "tags": list(summary.tags),
        "part": summary.part,
    }
    made: JsonObject = {
        "event_action": _action(summary),
        # One alert a check: what newly fails while it is open joins it.
        "dedup_key": f"{tenant}/{'connectivity' if test else summary.check_id}"[:255],
        "client": django_settings.PRODUCT,
        "payload": {
            "summary": truncate(summary.headline, MAX_SUMMARY),
            "source": tenant,
            "severity": SEVERITY_NAMES.get(summary.severity, "info"),
            "timestamp": summary.published,
            "component": summary.check_id,
            "group": "connectivity" if test else "identity",
            "class": "identity check",
            "custom_details": {name: value for name, value in details.items() if value},
        },
    }
    links = [(summary.link_label, summary.link)] if summary.link else []
    if summary.link:
        made["client_url"] = summary.link
    if links := links + summary.links:
        made["links"] = [{"href": url, "text": text} for text, url in links]
    return made
