"""ServiceNow: an incident a check by the Table API, noted while it is open, resolved when cured (docs/targets/servicenow.md).

https://www.servicenow.com/docs/ → Table API, and the incident table's fields.
"""

import json
import re
from html import escape
from typing import ClassVar
from urllib.parse import quote, urlencode

from integrations.json_types import Json, JsonMapping, JsonObject
from integrations.target_data import AttemptRequest, Event, RenderedBody, Target
from integrations.targets.shared.call import Call
from integrations.targets.shared.json_answers import compact, objects_at, parse_object, text_at
from integrations.targets.shared.preview import MessagePreview, page_of, source_of
from integrations.targets.shared.setting_fields import TIMES, Field
from integrations.targets.shared.summary import EventSummary, fit_into, truncate
from integrations.targets.shared.target_kind import Inert, TargetKind
from integrations.transport import http
from integrations.transport.results import AttemptOutcome, Result

# Max length in sys_dictionary as delivered. ServiceNow truncates longer values silently (KB0685779).
MAX_SHORT, MAX_TEXT = 160, 4_000
RESOLVED = "6"
# correlation_display takes 100 characters: the ends of the last seven ids of deliveries, 48 random bits each.
REMEMBERED, ID_END = 7, 12
# The end of an answer that reports an error, whatever its status (KB1297438). Within a text of JSON these quotes are escaped.
FAILURE = re.compile(rb'"status"\s*:\s*"failure"')
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
        if answer.status != 200 or found is None or _is_failure(answer):
            return table.unread(answer)
        if plan["do"] == "test":
            return table.outcome(answer, "The user may read incidents.")
        if found:
            return table.update(answer, found[0], plan, request.id)
        if plan["do"] == "fail":
            return table.create(plan, request.id)
        reason = "Nothing to note or to resolve: the check has no open incident."
        return call.outcome(answer, reason=reason)


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

    def create(self, plan: JsonMapping, id: str) -> AttemptOutcome:
        incident = {
            **plan["incident"],
            "correlation_id": plan["correlation_id"],
            "correlation_display": id[-ID_END:],
        }
        answer = self.ask("POST", "", incident)
        return self.outcome(answer, f"Made {_number(answer)}.")

    def update(
        self, search: http.HttpAnswer, incident: JsonMapping, plan: JsonMapping, id: str
    ) -> AttemptOutcome:
        """Apply the plan's change to the incident that ``search`` found, unless the incident holds the delivery."""
        noted = _noted(incident)
        if id[-ID_END:] in noted:
            number = text_at(incident, "number") or "The incident"
            return self.call.outcome(search, reason=f"{number} holds this event already.")
        change = {**plan["change"], "correlation_display": " ".join([*noted, id[-ID_END:]][-REMEMBERED:])}
        answer = self.ask("PATCH", f"/{quote(text_at(incident, 'sys_id'), safe='')}", change)
        done = "Resolved" if plan["do"] == "resolve" else "Noted in"
        return self.outcome(answer, f"{done} {_number(answer)}.")

    def unread(self, answer: http.HttpAnswer) -> AttemptOutcome:
        """The outcome of a search that was not answered with a list."""
        if answer.is_success and not _is_failure(answer):
            reason = (
                f"What answered {answer.status} is not ServiceNow's Table API: it answers 200 with “result”."
            )
            return self.call.outcome(answer, Result.RETRYABLE, reason)
        return self.outcome(answer)

    def outcome(self, answer: http.HttpAnswer, done: str | None = None) -> AttemptOutcome:
        error = _error(answer)
        if answer.is_success and _is_failure(answer):
            # The change may be stored or not. If it is, the next attempt finds the delivery in the incident.
            reason = f"ServiceNow answered {answer.status}, but reports a failure"
            return self.call.outcome(
                answer, Result.RETRYABLE, f"{reason}: {error}" if error else f"{reason}."
            )
        if answer.is_success:
            return self.call.outcome(answer, reason=done)
        if answer.status in ADVICE:
            return self.call.outcome(answer, reason=f"{ADVICE[answer.status]} {error}".strip())
        reason = f"ServiceNow answered {answer.status}"
        return self.call.outcome(
            answer, reason=f"{reason}: {error}" if error else f"{reason} without a reason."
        )


def _is_failure(answer: http.HttpAnswer) -> bool:
    """Whether an answer reports an error in its body, as a cancelled transaction does with status 200.

    The error follows what was written before the transaction was cancelled, so the body may be malformed
    (https://support.servicenow.com/kb?id=kb_article_view&sysparm_article=KB1297438).
    """
    return bool(parse_object(answer.body).get("error")) or FAILURE.search(answer.body) is not None


def _error(answer: http.HttpAnswer) -> str:
    """The message and the detail of an error; empty if there is neither."""
    body = parse_object(answer.body)
    message, detail = text_at(body, "error", "message"), text_at(body, "error", "detail")
    if detail.startswith(message):
        return detail
    return f"{message}: {detail}" if detail else message


def _number(answer: http.HttpAnswer) -> str:
    return text_at(parse_object(answer.body), "result", "number") or "the incident"


def _noted(incident: JsonMapping) -> list[str]:
    """The ends of the ids of the deliveries that an incident holds; versions up to 0.3.0 stored one whole id."""
    return [id[-ID_END:] for id in text_at(incident, "correlation_display").split()]


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
