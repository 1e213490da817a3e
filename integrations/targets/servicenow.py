"""ServiceNow: an incident a check by the Table API, noted while it is open, resolved when cured (docs/targets/servicenow.md).

https://www.servicenow.com/docs/ → Table API, and the incident table's fields.
"""

import json
import re
from typing import Any, ClassVar
from urllib.parse import quote, urlencode

from integrations import http
from integrations.outcomes import Outcome, Result
from integrations.targets.base import Event, Outgoing, Rendered, Target
from integrations.targets.calls import Call, FieldsKind, compact, objects, parsed, part
from integrations.targets.fields import TIMES, Field
from integrations.targets.text import Summary, fitted, shortened

MAX_SHORT = 160
RESOLVED = "6"
URGENCIES = {"critical": "1", "high": "1", "medium": "2", "low": "3"}
ADVICE = {
    401: "ServiceNow refused the user name or password.",
    403: "The user may not write incidents: give it the role itil, or sn_incident_write.",
    404: "There is no incident table at this address.",
}


class ServiceNow(FieldsKind):
    slug: ClassVar[str] = "servicenow"
    label: ClassVar[str] = "ServiceNow"
    summary: ClassVar[str] = "An incident for each check, resolved when nobody fails it any more."
    # A description takes 4,000 characters, a work note far more.
    max_bytes: ClassVar[int] = 12_000
    per_second: ClassVar[float | None] = 2.0
    # Two at a time could both find no incident and make one each.
    concurrency: ClassVar[int] = 1
    audiences: ClassVar[frozenset[str]] = frozenset({"list"})
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

    def render(self, event: Event, target: Target) -> Rendered:
        return Rendered(fitted(event, lambda said: compact(_plan(said, target)), self.max_bytes))

    def attempt(self, outgoing: Outgoing, target: Target, call: Call) -> Outcome:
        plan = json.loads(outgoing.body)
        table = _Incidents(target, call)
        answer = table.open(plan["correlation_id"])
        found = objects(parsed(answer.body), "result")
        if answer.status == 200 and found is None:
            # An instance that hibernates answers 200 with a page of HTML.
            reason = "What answered is not ServiceNow's Table API: no “result” in it."
            return call.outcome(answer, Result.RETRYABLE, reason)
        if answer.status != 200 or found is None:
            return table.outcome(answer)
        if plan["do"] == "test":
            return table.outcome(answer, "The user may read incidents.")
        if not found:
            if plan["do"] == "resolve":
                return call.outcome(answer, reason="Nothing to resolve: the check has no open incident.")
            made = {
                **plan["incident"],
                "correlation_id": plan["correlation_id"],
                "correlation_display": outgoing.id,
            }
            answer = table.ask("POST", "", made)
            return table.outcome(answer, f"Made {_number(answer)}.")
        incident = found[0]
        if incident.get("correlation_display") == outgoing.id:
            return call.outcome(answer, reason=f"{incident.get('number')} holds this event already.")
        change = {**plan["change"], "correlation_display": outgoing.id}
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

    def ask(self, method: str, path: str, body: Any = None) -> http.Answer:
        url = f"{self.target.settings['url'].rstrip('/')}/api/now/table/incident{path}"
        return self.call.request(method, url, body=compact(body) if body is not None else b"", auth=self.auth)

    def open(self, correlation: str) -> http.Answer:
        query = {
            "sysparm_query": f"correlation_id={correlation}^active=true^stateNOT IN6,7,8^ORDERBYDESCsys_created_on",
            "sysparm_fields": "sys_id,number,correlation_display",
            "sysparm_limit": "1",
        }
        return self.ask("GET", f"?{urlencode(query)}")

    def outcome(self, answer: http.Answer, done: str | None = None) -> Outcome:
        if 200 <= answer.status < 300:
            return self.call.outcome(answer, reason=done)
        said = f" {part(parsed(answer.body), 'error').get('message', '')}"[:200]
        advice = ADVICE.get(answer.status, f"ServiceNow answered {answer.status}.")
        return self.call.outcome(answer, reason=f"{advice}{said}".strip())


def _number(answer: http.Answer) -> str:
    return str(part(parsed(answer.body), "result").get("number", "the incident"))


def _plan(said: Summary, target: Target) -> dict[str, Any]:
    """What is to be done, whichever incident there is by then: make it from ``incident``, or apply ``change``."""
    correlation = f"identity-checks-{said.check_id}-{target.short_id}"[:100]
    if said.subject == "test":
        return {"do": "test", "correlation_id": correlation}
    text = inert(said.plain())
    if said.subject == "resolved" and not said.still_failing:
        closed = {"state": RESOLVED, "close_code": target.settings["close_code"], "close_notes": text[:4000]}
        return {"do": "resolve", "correlation_id": correlation, "change": closed}
    urgency = URGENCIES.get(said.severity, "3")
    incident = {
        "short_description": shortened(said.headline, MAX_SHORT),
        "description": text[:4000],
        "urgency": urgency,
        "impact": urgency,
    }
    if group := target.settings.get("assignment_group"):
        incident["assignment_group"] = group
    return {"do": "fail", "correlation_id": correlation, "incident": incident, "change": {"work_notes": text}}


def inert(text: str) -> str:
    """Work notes show what stands within [code] as HTML: no name may open it."""
    return re.sub(r"\[(\s*/?\s*code\s*)\]", r"(\1)", text, flags=re.IGNORECASE)
