"""Jira Cloud: an issue a check, commented while it is open, closed when cured (docs/targets/jira.md).

https://developer.atlassian.com/cloud/jira/platform/rest/v3/ and …/apis/document/structure/ (the text nodes of the
Atlassian Document Format hold no markup).
"""

import json
from collections.abc import Mapping
from typing import Any, ClassVar
from urllib.parse import urlencode

from integrations import http
from integrations.outcomes import Outcome, Result
from integrations.targets.base import Event, Outgoing, Rendered, Target
from integrations.targets.calls import Call, FieldsKind, compact, objects, parsed, part, texts
from integrations.targets.fields import TIMES, Field
from integrations.targets.text import Summary, fitted, shortened

MAX_SUMMARY = 255
# The issue property that remembers which deliveries an issue already holds.
PROPERTY = "identity-checks"
REMEMBERED = 50
PERMISSIONS = ("CREATE_ISSUES", "ADD_COMMENTS", "BROWSE_PROJECTS")
PRIORITIES = {"critical": "Highest", "high": "High", "medium": "Medium", "low": "Low"}


class Jira(FieldsKind):
    slug: ClassVar[str] = "jira"
    label: ClassVar[str] = "Jira"
    summary: ClassVar[str] = "An issue for each check, closed when nobody fails it any more."
    # A description or comment takes 32,767 characters.
    max_bytes: ClassVar[int] = 30_000
    per_second: ClassVar[float | None] = 2.0
    # Two at a time could both find no issue and make one each.
    concurrency: ClassVar[int] = 1
    audiences: ClassVar[frozenset[str]] = frozenset({"list"})
    form_fields: ClassVar[tuple[Field, ...]] = (
        Field(path="url", label="Site", help="https://example.atlassian.net", widget="url"),
        Field(
            path="email",
            label="E-mail of the account",
            pattern=r"[^\s:]+@[^\s:]+",
            hint="Write an e-mail address.",
        ),
        Field(
            path="api_token",
            label="API token",
            secret=True,
            most=1024,
            pattern=r"[\x21-\x7e]+",
            hint="Write the token.",
        ),
        Field(
            path="project",
            label="Project key",
            pattern=r"[A-Z][A-Z0-9_]{1,30}",
            hint="Write the project's key in capitals, such as SEC.",
        ),
        Field(path="issue_type", label="Issue type", default="Task", most=60),
        Field(
            path="priority",
            label="Set the priority by the severity",
            help="Off where the project's scheme has no Highest, High, Medium and Low.",
            widget="checkbox",
            default=False,
        ),
        Field(
            path="labels",
            label="Further labels",
            widget="lines",
            required=False,
            most=100,
            pattern=r"\S+",
            hint="A label has no spaces.",
        ),
        *TIMES,
    )

    def render(self, event: Event, target: Target) -> Rendered:
        return Rendered(fitted(event, lambda said: compact(_plan(said, target)), self.max_bytes))

    def attempt(self, outgoing: Outgoing, target: Target, call: Call) -> Outcome:
        plan = json.loads(outgoing.body)
        jira = _Site(target, call)
        if plan["do"] == "test":
            return jira.test()
        answer = jira.open_issue(plan["label"])
        issues = objects(parsed(answer.body), "issues")
        if answer.status != 200 or issues is None:
            return jira.unexpected(answer)
        if not issues:
            if plan["do"] == "resolve":
                return call.outcome(answer, reason="Nothing to close: the check has no open issue.")
            return jira.create(plan["fields"], outgoing.id)
        key, held = str(issues[0].get("key")), _held(issues[0])
        if outgoing.id in held:
            return call.outcome(answer, reason=f"{key} holds this event already.")
        commented = jira.comment(key, plan["text"], outgoing.id, held)
        if commented.status != 201 or plan["do"] != "resolve":
            return jira.outcome(commented, f"Added to {key}.")
        return jira.close(key)


class _Site:
    def __init__(self, target: Target, call: Call) -> None:
        self.target, self.call = target, call
        given = target.settings
        self.auth = http.HTTPBasicAuth(given["email"].encode(), target.secrets["api_token"].encode())

    def ask(self, method: str, path: str, body: Any = None) -> http.Answer:
        url = f"{self.target.settings['url'].rstrip('/')}/rest/api/3/{path}"
        return self.call.request(method, url, body=compact(body) if body is not None else b"", auth=self.auth)

    def test(self) -> Outcome:
        """Asks for the permissions in the project: nothing is made."""
        query = {"projectKey": self.target.settings["project"], "permissions": ",".join(PERMISSIONS)}
        answer = self.ask("GET", f"mypermissions?{urlencode(query)}")
        given = part(parsed(answer.body), "permissions")
        if answer.status == 200:
            missing = [name for name in PERMISSIONS if not part(given, name).get("havePermission")]
            if missing:
                reason = f"The account lacks permissions in the project: {', '.join(missing)}."
                return self.call.outcome(answer, Result.PERMANENT, reason)
        return self.outcome(answer, "The account may create issues and comments in the project.")

    def open_issue(self, label: str) -> http.Answer:
        jql = f'project = "{self.target.settings["project"]}" AND labels = "{label}" AND statusCategory != Done ORDER BY created DESC'
        asked = {"jql": jql, "maxResults": 1, "fields": ["status"], "properties": [PROPERTY]}
        return self.ask("POST", "search/jql", asked)

    def create(self, fields: Mapping[str, Any], id: str) -> Outcome:
        properties = [{"key": PROPERTY, "value": {"deliveries": [id]}}]
        answer = self.ask("POST", "issue", {"fields": fields, "properties": properties})
        return self.outcome(answer, f"Made the issue {parsed(answer.body).get('key', '')}.")

    def comment(self, key: str, text: Any, id: str, held: list[str]) -> http.Answer:
        answer = self.ask("POST", f"issue/{key}/comment", {"body": text})
        if answer.status == 201:
            # Whether this is remembered or not, the comment is made.
            kept = {"deliveries": [*held, id][-REMEMBERED:]}
            self.ask("PUT", f"issue/{key}/properties/{PROPERTY}", kept)
        return answer

    def close(self, key: str) -> Outcome:
        answer = self.ask("GET", f"issue/{key}/transitions")
        if answer.status != 200:
            return self.outcome(answer)
        for transition in objects(parsed(answer.body), "transitions") or ():
            if part(transition, "to", "statusCategory").get("key") == "done":
                move = {"transition": {"id": transition.get("id")}}
                moved = self.ask("POST", f"issue/{key}/transitions", move)
                return self.outcome(moved, f"Closed {key}.")
        reason = f"{key} has no transition to a status of the category Done that this account may use."
        return self.call.outcome(answer, Result.PERMANENT, reason)

    def unexpected(self, answer: http.Answer) -> Outcome:
        if answer.status == 200:
            return self.call.outcome(
                answer, Result.RETRYABLE, "What answered is not Jira's API: no “issues” in it."
            )
        return self.outcome(answer)

    def outcome(self, answer: http.Answer, done: str | None = None) -> Outcome:
        if 200 <= answer.status < 300:
            return self.call.outcome(answer, reason=done)
        body = parsed(answer.body)
        said = texts(body, "errorMessages")
        said += [f"{name}: {text}" for name, text in part(body, "errors").items()]
        reason = f"Jira answered {answer.status}: {'; '.join(said)[:300]}" if said else None
        return self.call.outcome(answer, reason=reason)


def _held(issue: Mapping[str, Any]) -> list[str]:
    return texts(part(issue, "properties", PROPERTY), "deliveries")


def _plan(said: Summary, target: Target) -> dict[str, Any]:
    """What is to be done, whichever issue there is by then: make it from ``fields``, or comment ``text``."""
    if said.subject == "test":
        return {"do": "test"}
    given = target.settings
    label = f"identity-checks-{said.check_id}-{target.short_id}"
    text = _document(said)
    fields: dict[str, Any] = {
        "project": {"key": given["project"]},
        "issuetype": {"name": given["issue_type"]},
        "summary": shortened(said.headline, MAX_SUMMARY),
        "description": text,
        "labels": [label, *given.get("labels", ())],
    }
    if given["priority"] and said.severity:
        fields["priority"] = {"name": PRIORITIES[said.severity]}
    if said.subject == "resolved" and not said.still_failing:
        return {"do": "resolve", "label": label, "text": text}
    # The text once: a comment says the same as the description.
    return {"do": "fail", "label": label, "fields": fields, "text": text}


def _document(said: Summary) -> dict[str, Any]:
    content = [_paragraph(said.headline), *(_paragraph(text) for text in said.paragraphs)]
    if said.people:
        content.append(_list([person.line for person in said.people]))
    if said.more:
        content.append(_paragraph(said.and_more))
    if said.actions:
        content += [_paragraph("Recommended:"), _list(said.actions)]
    if said.link:
        link = {
            "type": "text",
            "text": "Open the check",
            "marks": [{"type": "link", "attrs": {"href": said.link}}],
        }
        content.append({"type": "paragraph", "content": [link]})
    return {"type": "doc", "version": 1, "content": content}


def _paragraph(text: str) -> dict[str, Any]:
    return {"type": "paragraph", "content": [{"type": "text", "text": text}]}


def _list(texts: tuple[str, ...] | list[str]) -> dict[str, Any]:
    return {
        "type": "bulletList",
        "content": [{"type": "listItem", "content": [_paragraph(text)]} for text in texts],
    }
