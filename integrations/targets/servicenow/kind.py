"""ServiceNow: an incident a check by the Table API, noted while it is open, resolved when cured (docs/targets/servicenow.md).

https://www.servicenow.com/docs/ → Table API, and the incident table's fields.
"""

import json
import re
from html import escape
from typing import ClassVar
from urllib.parse import quote, urlencode

from integrations.json_types import Json, JsonObject
from integrations.target_data import AttemptRequest, Event, RenderedBody, Target
from integrations.targets.shared.call import Call
from integrations.targets.shared.json_answers import compact, object_at, objects_at, parse_object
from integrations.targets.shared.preview import MessagePreview, page_of, source_of
from integrations.targets.shared.setting_fields import TIMES, Field
from integrations.targets.shared.summary import EventSummary, fit_into, truncate
from integrations.targets.shared.target_kind import Inert, TargetKind
from integrations.transport import http
from integrations.transport.results import AttemptOutcome, Result

# Max length in sys_dictionary as delivered. ServiceNow truncates longer values silently (KB0685779).
MAX_SHORT, MAX_TEXT = 160, 4_000
RESOLVED = "6"
URGENCIES = {"critical": "1", "high": "1", "medium": "2", "low": "3"}
ADVICE = {
    401: "ServiceNow refused the user name or password.",
    403: "The user may not write incidents: give it the role itil, or sn_incident_write.",
    404: "There is no incident table at this address.",
}


class ServiceNow(TargetKind):
    slug: ClassVar[str] = "servicenow"
    label: ClassVar[str] = "ServiceNow"
    summary: ClassVar[str] = "An incident for each check, resolved when nobody fails it any more."
    position: ClassVar[int] = 70
    # A description takes 4,000 characters, a work note far more.
    max_bytes: ClassVar[int] = 12_000
    per_second: ClassVar[float | None] = 2.0
    # Two at the same time could both find no incident and create one each.
    concurrency: ClassVar[int] = 1
    inert: ClassVar[Inert] = Inert.ESCAPED
    form_fields: ClassVar[tuple[Field, ...]] = (
        Field(path="url", label="Instance", help="https://example.service-now.com", widget="url"),
        Field(path="username", label="User name", pattern=r"[^:]+", hint="A user name holds no colon."),
        Field(path="password", label="Password", secret=True),
        Field(
            path="assignment_group",
            label="Assignment group",
            help="Its name or sys_id.",
            required=False,
            most=100,
        ),
        Field(
            path="close_code",
            label="Resolution code",
            help="As the instance spells it.",
            default="Solution provided",
            most=60,
        ),
        *TIMES,
    )

    def render(self, event: Event, target: Target) -> RenderedBody:
        return RenderedBody(
            fit_into(event, target.frame, lambda summary: compact(_plan(summary, target)), self.max_bytes)
        )

    def preview(self, body: bytes, target: Target) -> MessagePreview:
        incident = json.loads(body).get("incident", {})
        title, text = (escape(incident.get(key, "")) for key in ("short_description", "description"))
        page = page_of(f'<h1>{title}</h1><p style="white-space:pre-wrap">{text}</p>')
        return MessagePreview(source_of(body), page)

    def attempt(self, request: AttemptRequest, target: Target, call: Call) -> AttemptOutcome:
        plan = json.loads(request.body)
        table = _Incidents(target, call)
        answer = table.open(plan["correlation_id"])
        found = objects_at(parse_object(answer.body), "result")
        if answer.is_success and (answer.status != 200 or found is None):
            reason = (
                f"What answered {answer.status} is not ServiceNow's Table API: it answers 200 with “result”."
            )
            return call.outcome(answer, Result.RETRYABLE, reason)
        if answer.status != 200 or found is None:
            return table.outcome(answer)
        if plan["do"] == "test":
            return table.outcome(answer, "The user may read incidents.")
        if not found:
            if plan["do"] != "fail":
                reason = "Nothing to note or to resolve: the check has no open incident."
                return call.outcome(answer, reason=reason)
            made = {
                **plan["incident"],
                "correlation_id": plan["correlation_id"],
                "correlation_display": request.id,
            }
            answer = table.ask("POST", "", made)
            return table.outcome(answer, f"Made {_number(answer)}.")
        incident = found[0]
        if incident.get("correlation_display") == request.id:
            return call.outcome(answer, reason=f"{incident.get('number')} holds this event already.")
        change = {**plan["change"], "correlation_display": request.id}
        answer = table.ask("PATCH", f"/{quote(str(incident.get('sys_id')), safe='')}", change)
        return table.outcome(
            answer, f"{'Resolved' if plan['do'] == 'resolve' else 'Noted in'} {_number(answer)}."
        )


class _Incidents:
    def __init__(self, target: Target, call: Call) -> None:
        self.target, self.call = target, call
        self.auth = http.HTTPBasicAuth(
            target.settings["username"].encode(), target.secrets["password"].encode()
        )

    def ask(self, method: str, path: str, body: Json = None) -> http.HttpAnswer:
        url = f"{self.target.settings['url'].rstrip('/')}/api/now/table/incident{path}"
        return self.call.request(method, url, body=compact(body) if body is not None else b"", auth=self.auth)

    def open(self, correlation: str) -> http.HttpAnswer:
        query = {
            "sysparm_query": f"correlation_id={correlation}^active=true^stateNOT IN6,7,8^ORDERBYDESCsys_created_on",
            "sysparm_fields": "sys_id,number,correlation_display",
            "sysparm_limit": "1",
        }
        return self.ask("GET", f"?{urlencode(query)}")

    def outcome(self, answer: http.HttpAnswer, done: str | None = None) -> AttemptOutcome:
        if answer.is_success:
            return self.call.outcome(answer, reason=done)
        answer_text = f" {object_at(parse_object(answer.body), 'error').get('message', '')}"
        advice = ADVICE.get(answer.status, f"ServiceNow answered {answer.status}.")
        return self.call.outcome(answer, reason=f"{advice}{answer_text}".strip())


def _number(answer: http.HttpAnswer) -> str:
    return str(object_at(parse_object(answer.body), "result").get("number", "the incident"))


def _plan(summary: EventSummary, target: Target) -> JsonObject:
    """The plan for a ticket, with or without an open incident at the time: create ``incident``, or apply
    ``change``.

    ``do``: fail, note or resolve; only the first creates an incident.
    """
    correlation = f"identity-checks-{summary.check_id}-{target.short_id}"[:100]
    if summary.subject == "test":
        return {"do": "test", "correlation_id": correlation}
    text = defuse_code_tags(summary.plain())
    if summary.subject == "resolved" and summary.still_failing:
        # It never makes an incident: there is nothing to do about these users.
        return {"do": "note", "correlation_id": correlation, "change": {"work_notes": text}}
    if summary.subject == "resolved":
        closed = {
            "state": RESOLVED,
            "close_code": target.settings["close_code"],
            "close_notes": truncate(text, MAX_TEXT),
        }
        return {"do": "resolve", "correlation_id": correlation, "change": closed}
    urgency = URGENCIES.get(summary.severity, "3")
    incident = {
        "short_description": truncate(summary.headline, MAX_SHORT),
        "description": truncate(text, MAX_TEXT),
        "urgency": urgency,
        "impact": urgency,
    }
    if group := target.settings.get("assignment_group"):
        incident["assignment_group"] = group
    links = _link_notes(summary)
    if links:
        incident["work_notes"] = links
    change = {"work_notes": "\n\n".join([text, links] if links else [text])}
    return {"do": "fail", "correlation_id": correlation, "incident": incident, "change": change}


def _link_notes(summary: EventSummary) -> str:
    """The links of a message for work notes: only there, within [code], does ServiceNow show HTML, so that one can click them."""
    links = summary.links + ([(summary.link_label, summary.link)] if summary.link else [])
    if not summary.names_users:
        links += [(person.who, person.url) for person in summary.people if person.url]
    return "\n".join(
        f'[code]<a href="{escape(url)}" target="_blank">{escape(defuse_code_tags(text))}</a>[/code]'
        for text, url in links
    )


def defuse_code_tags(text: str) -> str:
    """The text with ``[code]`` in other brackets: work notes show the text between these tags as HTML."""
    return re.sub(r"\[(\s*/?\s*code\s*)\]", r"(\1)", text, flags=re.IGNORECASE)
