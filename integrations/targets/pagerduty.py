"""PagerDuty: an alert a check by the Events API v2, resolved when cured (docs/targets/pagerduty.md).

https://developer.pagerduty.com/docs/events-api-v2/trigger-events/
"""

from typing import Any, ClassVar

from django.conf import settings as django_settings

from integrations import http
from integrations.outcomes import Outcome, Result
from integrations.targets.base import Event, Outgoing, Rendered, Target
from integrations.targets.calls import Call, FieldsKind, compact, parsed, texts
from integrations.targets.fields import TIMES, Field
from integrations.targets.text import Summary, fitted, shortened

API = "https://events.pagerduty.com"
SEVERITIES = {"critical": "critical", "high": "error", "medium": "warning", "low": "info"}
MAX_SUMMARY = 1024


class PagerDuty(FieldsKind):
    slug: ClassVar[str] = "pagerduty"
    label: ClassVar[str] = "PagerDuty"
    summary: ClassVar[str] = "An alert for each check, resolved when nobody fails it any more."
    # The API takes 512 KB.
    max_bytes: ClassVar[int] = 500_000
    per_second: ClassVar[float | None] = 2.0
    concurrency: ClassVar[int] = 2
    audiences: ClassVar[frozenset[str]] = frozenset({"list"})
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

    def render(self, event: Event, target: Target) -> Rendered:
        return Rendered(fitted(event, lambda said: compact(_event(said, event)), self.max_bytes))

    def attempt(self, outgoing: Outgoing, target: Target, call: Call) -> Outcome:
        if outgoing.body.startswith(b'{"event_action":"none"'):
            return call.stopped(
                Result.DELIVERED, "Nothing sent: others still fail the check, so its alert stays open."
            )
        answer = self._enqueue(outgoing.body, target, call)
        if answer.status == 202 and b'"group":"connectivity"' in outgoing.body:
            # Nobody is to be woken by a test: what it opened is closed at once.
            resolve = outgoing.body.replace(b'"event_action":"trigger"', b'"event_action":"resolve"', 1)
            answer = self._enqueue(resolve, target, call)
        body = parsed(answer.body)
        if answer.status == 200:
            # The API answers 202 alone; a 200 comes from something else on the way.
            return call.outcome(
                answer, Result.RETRYABLE, "What answered is not PagerDuty's API: it answers 202."
            )
        if answer.status == 400:
            errors = "; ".join(texts(body, "errors")[:5])
            return call.outcome(
                answer, reason=f"PagerDuty refused the event: {errors or body.get('message', '')}."
            )
        return call.outcome(answer)

    def _enqueue(self, event: bytes, target: Target, call: Call) -> http.Answer:
        url = f"{target.settings['api_url'].rstrip('/')}/v2/enqueue"
        key = compact({"routing_key": target.secrets["routing_key"]})
        return call.request("POST", url, body=key[:-1] + b"," + event[1:])


def _action(said: Summary) -> str:
    if said.subject != "resolved":
        return "trigger"
    return "none" if said.still_failing else "resolve"


def _event(said: Summary, event: Event) -> dict[str, Any]:
    """The event but for its ``routing_key``, which is a secret and joins it when it is sent."""
    tenant = str(event["source"]).partition("__")[0]
    test = said.subject == "test"
    details = {
        "description": list(said.paragraphs),
        "recommended actions": list(said.actions),
        "users": [person.line for person in said.people],
        "more": said.and_more,
        "tags": list(said.tags),
        "part": said.part,
    }
    made: dict[str, Any] = {
        "event_action": _action(said),
        # One alert a check: what newly fails while it is open joins it.
        "dedup_key": f"{tenant}/{'connectivity' if test else said.check_id}"[:255],
        "client": django_settings.PRODUCT,
        "payload": {
            "summary": shortened(said.headline, MAX_SUMMARY),
            "source": tenant,
            "severity": SEVERITIES.get(said.severity, "info"),
            "timestamp": said.published,
            "component": said.check_id,
            "group": "connectivity" if test else "identity",
            "class": "identity check",
            "custom_details": {name: value for name, value in details.items() if value},
        },
    }
    if said.link:
        made |= {"client_url": said.link, "links": [{"href": said.link, "text": "Open the check"}]}
    return made
