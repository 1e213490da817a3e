"""Jira Cloud: an issue a check, commented while it is open, closed when cured (docs/targets/jira.md).

https://developer.atlassian.com/cloud/jira/platform/rest/v3/ and …/apis/document/structure/ (the text nodes of the
Atlassian Document Format hold no markup).
"""

import json
from collections.abc import Sequence
from typing import ClassVar
from urllib.parse import urlencode

from integrations.formatted_text import Block, Line, Paragraph, TextSpan
from integrations.json_types import Json, JsonMapping, JsonObject
from integrations.target_data import AttemptRequest, Event, RenderedBody, Target
from integrations.targets.jira.preview import issue_page
from integrations.targets.shared.call import Call
from integrations.targets.shared.json_answers import (
    compact,
    object_at,
    objects_at,
    parse_object,
    text_at,
    texts_at,
)
from integrations.targets.shared.preview import MessagePreview, source_of
from integrations.targets.shared.setting_fields import TIMES, Field
from integrations.targets.shared.summary import EventSummary, fit_into, truncate
from integrations.targets.shared.target_kind import Inert, TargetKind
from integrations.transport import http
from integrations.transport.results import AttemptOutcome, Result

MAX_SUMMARY = 255
# The property of an issue or a comment with the delivery that made it. Jira stores it in the request that makes the
# issue or comment, so no second request can fail between the two, and none needs the permission Edit issues.
PROPERTY = "identity-checks"
# Comments that are searched for a delivery, the newest first. One of 30,000 bytes comes back somewhat longer.
SEARCHED_COMMENTS = 50
COMMENT_LIMITS = http.AnswerLimits(body=4 * 1024 * 1024, received=5 * 1024 * 1024)
PERMISSIONS = ("CREATE_ISSUES", "ADD_COMMENTS", "BROWSE_PROJECTS", "TRANSITION_ISSUES")
PRIORITIES = {"critical": "Highest", "high": "High", "medium": "Medium", "low": "Low"}


class Jira(TargetKind):
    slug: ClassVar[str] = "jira"
    label: ClassVar[str] = "Jira"
    summary: ClassVar[str] = "An issue for each check, closed when nobody fails it any more."
    position: ClassVar[int] = 60
    # A description or comment takes 32,767 characters.
    max_bytes: ClassVar[int] = 30_000
    per_second: ClassVar[float | None] = 2.0
    # Two at the same time could both find no issue and create one each.
    concurrency: ClassVar[int] = 1
    inert: ClassVar[Inert] = Inert.PLAIN
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
            example="SEC",
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

    def render(self, event: Event, target: Target) -> RenderedBody:
        return RenderedBody(
            fit_into(event, target.frame, lambda summary: compact(_plan(summary, target)), self.max_bytes)
        )

    def preview(self, body: bytes, target: Target) -> MessagePreview:
        return MessagePreview(source_of(body), issue_page(json.loads(body)))

    def attempt(self, request: AttemptRequest, target: Target, call: Call) -> AttemptOutcome:
        plan = json.loads(request.body)
        jira = _Site(target, call)
        if plan["do"] == "test":
            return jira.test()
        answer = jira.open_issue(plan["label"])
        issues = objects_at(parse_object(answer.body), "issues")
        if answer.status != 200 or issues is None:
            return jira.unexpected(answer, "issues")
        if not issues:
            if plan["do"] != "fail":
                return call.outcome(answer, reason="Nothing to add or to close: the check has no open issue.")
            return jira.create(plan["fields"], request.id)
        return jira.add(answer, issues[0], plan, request.id)


class _Site:
    def __init__(self, target: Target, call: Call) -> None:
        self.target, self.call = target, call
        settings = target.settings
        self.auth = http.HTTPBasicAuth(settings["email"].encode(), target.secrets["api_token"].encode())

    def ask(
        self, method: str, path: str, body: Json = None, limits: http.AnswerLimits | None = None
    ) -> http.HttpAnswer:
        url = f"{self.target.settings['url'].rstrip('/')}/rest/api/3/{path}"
        sent = compact(body) if body is not None else b""
        return self.call.request(method, url, body=sent, auth=self.auth, limits=limits)

    def test(self) -> AttemptOutcome:
        """Read the permissions in the project; nothing is created."""
        query = {"projectKey": self.target.settings["project"], "permissions": ",".join(PERMISSIONS)}
        answer = self.ask("GET", f"mypermissions?{urlencode(query)}")
        given = object_at(parse_object(answer.body), "permissions")
        if answer.is_success and (answer.status != 200 or not given):
            return self.unexpected(answer, "permissions")
        if answer.status == 200:
            missing = [name for name in PERMISSIONS if not object_at(given, name).get("havePermission")]
            if missing:
                reason = f"The account lacks permissions in the project: {', '.join(missing)}."
                return self.call.outcome(answer, Result.PERMANENT, reason)
        return self.outcome(answer, "The account may create, comment and move issues in the project.")

    def open_issue(self, label: str) -> http.HttpAnswer:
        jql = f'project = "{self.target.settings["project"]}" AND labels = "{label}" AND statusCategory != Done ORDER BY created DESC'
        asked = {"jql": jql, "maxResults": 1, "fields": ["status"], "properties": [PROPERTY]}
        return self.ask("POST", "search/jql", asked)

    def create(self, fields: JsonMapping, id: str) -> AttemptOutcome:
        properties = [{"key": PROPERTY, "value": {"deliveries": [id]}}]
        answer = self.ask("POST", "issue", {"fields": fields, "properties": properties})
        return self.outcome(answer, f"Made {text_at(parse_object(answer.body), 'key') or 'an issue'}.")

    def add(self, search: http.HttpAnswer, issue: JsonMapping, plan: JsonMapping, id: str) -> AttemptOutcome:
        """Comment on the open issue that ``search`` found and, for ``resolve``, close it. A retry does what is left."""
        key = text_at(issue, "key")
        answer = self.comments(key)
        # Of comments beyond the limit none is read: one that is repeated is better than one that is missing.
        comments = [] if answer.cut else objects_at(parse_object(answer.body), "comments")
        if answer.status != 200 or comments is None:
            return self.unexpected(answer, "comments")
        commented = [delivery for comment in comments if (delivery := _delivery(comment))]
        if id not in (*commented, *_deliveries(issue)):
            answer = self.comment(key, plan["text"], id)
            if not answer.is_success or plan["do"] != "resolve":
                return self.outcome(answer, f"Added to {key}.")
        elif plan["do"] != "resolve":
            return self.call.outcome(search, reason=f"{key} holds this event already.")
        elif commented and commented[0] != id:
            # Users failed the check again after this event, so the issue is needed.
            reason = f"{key} holds this event already, and a later one: it stays open."
            return self.call.outcome(search, reason=reason)
        return self.close(key)

    def comments(self, key: str) -> http.HttpAnswer:
        # The reference of this request does not list the expansion, but Atlassian's own GitHub for Jira uses it.
        query = {"orderBy": "-created", "maxResults": SEARCHED_COMMENTS, "expand": "properties"}
        return self.ask("GET", f"issue/{key}/comment?{urlencode(query)}", limits=COMMENT_LIMITS)

    def comment(self, key: str, text: Json, id: str) -> http.HttpAnswer:
        properties = [{"key": PROPERTY, "value": {"delivery": id}}]
        return self.ask("POST", f"issue/{key}/comment", {"body": text, "properties": properties})

    def close(self, key: str) -> AttemptOutcome:
        answer = self.ask("GET", f"issue/{key}/transitions")
        transitions = objects_at(parse_object(answer.body), "transitions")
        if answer.status != 200 or transitions is None:
            return self.unexpected(answer, "transitions")
        for transition in transitions:
            if object_at(transition, "to", "statusCategory").get("key") == "done":
                move = {"transition": {"id": transition.get("id")}}
                moved = self.ask("POST", f"issue/{key}/transitions", move)
                return self.outcome(moved, f"Closed {key}.")
        return self.without_transition(key)

    def without_transition(self, key: str) -> AttemptOutcome:
        """The outcome if no transition to Done exists: the issue is closed already, or the account may not close it."""
        answer = self.ask("GET", f"issue/{key}?fields=status")
        status = object_at(parse_object(answer.body), "fields", "status")
        if answer.status != 200 or not status:
            return self.unexpected(answer, "fields")
        if text_at(status, "statusCategory", "key") == "done":
            # Jira's search shows a closed issue as open for some seconds, such as to a retry whose transition had no answer.
            return self.call.outcome(answer, reason=f"{key} is closed already.")
        reason = f"{key} has no transition to a status of the category Done that this account may use."
        return self.call.outcome(answer, Result.PERMANENT, reason)

    def unexpected(self, answer: http.HttpAnswer, key: str) -> AttemptOutcome:
        """The outcome of a request that reads, answered without the ``key`` of its documented answer."""
        if answer.is_success:
            reason = f"What answered {answer.status} is not Jira's API: it answers 200 with “{key}”."
            return self.call.outcome(answer, Result.RETRYABLE, reason)
        return self.outcome(answer)

    def outcome(self, answer: http.HttpAnswer, done: str | None = None) -> AttemptOutcome:
        if answer.is_success:
            return self.call.outcome(answer, reason=done)
        body = parse_object(answer.body)
        errors = texts_at(body, "errorMessages")
        fields = object_at(body, "errors")
        errors += [f"{name}: {text}" if (text := text_at(fields, name)) else name for name in fields]
        reason = f"Jira answered {answer.status}: {'; '.join(errors)}" if errors else None
        return self.call.outcome(answer, reason=reason)


def _deliveries(issue: JsonMapping) -> list[str]:
    """The deliveries in an issue's property: the one that made it; up to version 0.3.0 also those of its comments."""
    return texts_at(object_at(issue, "properties", PROPERTY), "deliveries")


def _delivery(comment: JsonMapping) -> str:
    """The delivery that made a comment; empty for a comment of others."""
    for item in objects_at(comment, "properties") or ():
        if item.get("key") == PROPERTY:
            return text_at(item, "value", "delivery")
    return ""


def _plan(summary: EventSummary, target: Target) -> JsonObject:
    """The plan for a ticket, with or without an open issue at the time: create it from ``fields``, or add the
    comment ``text``.

    ``do``: fail, note or resolve; only the first creates an issue.
    """
    if summary.subject == "test":
        return {"do": "test"}
    settings = target.settings
    label = f"identity-checks-{summary.check_id}-{target.short_id}"
    text = _document(summary)
    fields: JsonObject = {
        "project": {"key": settings["project"]},
        "issuetype": {"name": settings["issue_type"]},
        "summary": truncate(summary.headline, MAX_SUMMARY),
        "description": text,
        "labels": [label, *settings.get("labels", ())],
    }
    if settings["priority"] and summary.severity:
        fields["priority"] = {"name": PRIORITIES[summary.severity]}
    if summary.subject == "resolved":
        # It never makes an issue: there is nothing to do about these users.
        return {"do": "note" if summary.still_failing else "resolve", "label": label, "text": text}
    # The text once: a comment says the same as the description.
    return {"do": "fail", "label": label, "fields": fields, "text": text}


def _document(summary: EventSummary) -> JsonObject:
    content = [_paragraph(summary.headline), *map(_block, summary.blocks)]
    if summary.people and not summary.names_users:
        content.append(_list([person.spans for person in summary.people]))
        if summary.more:
            content.append(_paragraph(summary.and_more))
    if summary.actions:
        content += [
            _paragraph(summary.translate("What to do:")),
            _list([(TextSpan(action),) for action in summary.actions]),
        ]
    if summary.link:
        content.append(
            {"type": "paragraph", "content": [_text(TextSpan(summary.link_label, url=summary.link))]}
        )
    return {"type": "doc", "version": 1, "content": content}


def _block(block: Block) -> JsonObject:
    if isinstance(block, Paragraph):
        return {"type": "paragraph", "content": _inlines(block.lines)}
    items = [
        {"type": "listItem", "content": [{"type": "paragraph", "content": _inlines(item)}]}
        for item in block.items
    ]
    if block.start is None:
        return {"type": "bulletList", "content": items}
    return {"type": "orderedList", "attrs": {"order": block.start}, "content": items}


def _inlines(lines: Sequence[Line]) -> list[JsonObject]:
    """Text nodes, and between the lines hard breaks: a line break in a text node is shown as a space."""
    made: list[JsonObject] = []
    for index, line in enumerate(lines):
        if index:
            made.append({"type": "hardBreak"})
        made += [_text(span) for span in line if span.text]
    return made


def _text(span: TextSpan) -> JsonObject:
    """A text node; its styles and its link are marks."""
    marks: list[JsonObject] = []
    if span.bold:
        marks.append({"type": "strong"})
    if span.italic:
        marks.append({"type": "em"})
    if span.url:
        marks.append({"type": "link", "attrs": {"href": span.url}})
    return {"type": "text", "text": span.text, **({"marks": marks} if marks else {})}


def _paragraph(text: str) -> JsonObject:
    return {"type": "paragraph", "content": [{"type": "text", "text": text}]}


def _list(lines: Sequence[Line]) -> JsonObject:
    items = [
        {"type": "listItem", "content": [{"type": "paragraph", "content": _inlines((line,))}]}
        for line in lines
    ]
    return {"type": "bulletList", "content": items}
