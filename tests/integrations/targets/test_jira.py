"""Jira, against a double that enforces the documented requests of the REST API v3."""

import base64
import json

import pytest

from integrations.outcomes import Result
from integrations.targets.base import Outgoing
from integrations.targets.jira import Jira
from tests.integrations.targets import events
from tests.receiver import Behaviour, Receiver, Recorded

KIND = Jira()
AUTH = "Basic " + base64.b64encode(b"robot@example.com:the-api-token").decode()
NODES = {"doc", "paragraph", "text", "bulletList", "listItem"}


def refused(status: int, *messages: str, **fields: str) -> Behaviour:
    return Behaviour(status=status, body=json.dumps({"errorMessages": messages, "errors": fields}).encode())


def answered(body: object, status: int = 200) -> Behaviour:
    return Behaviour(status=status, body=json.dumps(body).encode())


def bad_document(node: dict) -> bool:
    if node["type"] not in NODES or set(node) - {"type", "version", "content", "text", "marks"}:
        return True
    if any(
        mark["type"] != "link" or not mark["attrs"]["href"].startswith("https://")
        for mark in node.get("marks", ())
    ):
        return True
    return (node["type"] == "text" and not node["text"]) or any(map(bad_document, node.get("content", ())))


class Site:
    """One project, SEC, whose issues are To Do or Done."""

    def __init__(self, receiver: Receiver) -> None:
        self.receiver = receiver
        self.issues: dict[str, dict] = {}
        self.permissions = {"CREATE_ISSUES", "ADD_COMMENTS", "BROWSE_PROJECTS"}
        self.answers: dict[str, Behaviour] = {}
        for path, handler in (
            ("mypermissions", self._permissions),
            ("search/jql", self._search),
            ("issue", self._create),
        ):
            receiver.script(f"/rest/api/3/{path}", self._guarded(handler))

    def _guarded(self, handler):
        def guarded(request: Recorded) -> Behaviour:
            if request.header("Authorization") != AUTH:
                return refused(401, "Client must be authenticated to access this resource.")
            return self.answers.get(request.path.rpartition("/")[2]) or handler(request)

        return guarded

    def _permissions(self, request: Recorded) -> Behaviour:
        if request.query.get("projectKey") != "SEC":
            return refused(404, "No project could be found with key.")
        names = request.query["permissions"].split(",")
        return answered({"permissions": {n: {"havePermission": n in self.permissions} for n in names}})

    def _search(self, request: Recorded) -> Behaviour:
        asked = json.loads(request.body)
        if set(asked) - {"jql", "maxResults", "fields", "properties", "nextPageToken", "expand"}:
            return refused(400, "Invalid request payload.")
        label = asked["jql"].partition('labels = "')[2].partition('"')[0]
        found = [
            {"key": key, "properties": issue["properties"]}
            for key, issue in self.issues.items()
            if label in issue["fields"]["labels"] and issue["status"] != "done"
        ]
        return answered({"issues": found[: asked["maxResults"]], "isLast": True})

    def _create(self, request: Recorded) -> Behaviour:
        asked = json.loads(request.body)
        fields = asked["fields"]
        if fields["project"] != {"key": "SEC"} or fields["issuetype"]["name"] != "Task":
            return refused(400, project="valid project is required")
        if (
            not 0 < len(fields["summary"]) <= 255
            or "\n" in fields["summary"]
            or bad_document(fields["description"])
        ):
            return refused(400, description="Operation value must be an Atlassian Document")
        if any(" " in label for label in fields["labels"]):
            return refused(400, labels="The label contains spaces which is invalid.")
        key = f"SEC-{len(self.issues) + 1}"
        properties = {item["key"]: item["value"] for item in asked.get("properties", ())}
        self.issues[key] = {"fields": fields, "properties": properties, "comments": [], "status": "new"}
        script = self.receiver.script
        script(f"/rest/api/3/issue/{key}/comment", self._guarded(lambda r: self._comment(key, r)))
        script(
            f"/rest/api/3/issue/{key}/properties/identity-checks",
            self._guarded(lambda r: self._remember(key, r)),
        )
        script(f"/rest/api/3/issue/{key}/transitions", self._guarded(lambda r: self._move(key, r)))
        return answered({"id": "1", "key": key}, 201)

    def _comment(self, key: str, request: Recorded) -> Behaviour:
        body = json.loads(request.body)["body"]
        if bad_document(body):
            return refused(400, comment="Comment body is not valid!")
        self.issues[key]["comments"].append(body)
        return answered({"id": "2"}, 201)

    def _remember(self, key: str, request: Recorded) -> Behaviour:
        self.issues[key]["properties"]["identity-checks"] = json.loads(request.body)
        return Behaviour(status=200)

    def _move(self, key: str, request: Recorded) -> Behaviour:
        if request.method == "GET":
            steps = [("11", "indeterminate"), ("31", "done")]
            return answered(
                {"transitions": [{"id": i, "to": {"statusCategory": {"key": k}}} for i, k in steps]}
            )
        if json.loads(request.body) != {"transition": {"id": "31"}}:
            return refused(400, "wrong transition")
        self.issues[key]["status"] = "done"
        return Behaviour(status=204)


@pytest.fixture
def site(receiver: Receiver) -> Site:
    return Site(receiver)


def target(receiver: Receiver, **more):
    document = {
        "url": receiver.url(""),
        "email": "robot@example.com",
        "api_token": "the-api-token",
        "project": "SEC",
    }
    return events.target(KIND, document | more)


def another(event: dict, id: str) -> dict:
    return event | {"id": id}


def send(event: dict, to):
    rendered = KIND.render(event, to)
    return KIND.send(Outgoing(event["id"], rendered.body, rendered.content_type, 0), to)


@pytest.mark.parametrize(
    ("name", "event"),
    [
        ("list", events.failed()),
        ("hostile", events.failed([events.user(login) for login in events.HOSTILE])),
        ("resolved", events.resolved()),
    ],
)
def test_plans_look_as_their_golden_files(name, event):
    document = {
        "url": "https://x.atlassian.net",
        "email": "r@example.com",
        "api_token": "t",
        "project": "SEC",
        "priority": True,
    }
    events.matches_golden("jira", f"{name}.json", KIND.render(event, events.target(KIND, document)).body)


def test_a_check_has_one_issue_that_is_commented_while_open_and_closed_when_cured(receiver, site):
    to = target(receiver, labels=["identity"])
    assert "SEC-1" in send(another(events.failed(), "a"), to).reason
    assert send(another(events.failed(events.users(10_000)), "b"), to).result is Result.DELIVERED
    assert list(site.issues) == ["SEC-1"]
    assert len(site.issues["SEC-1"]["comments"]) == 1
    assert send(another(events.resolved(), "c"), to).reason == "Closed SEC-1."
    assert site.issues["SEC-1"]["status"] == "done"
    send(another(events.failed(), "d"), to)
    assert list(site.issues) == ["SEC-1", "SEC-2"]


def test_while_others_fail_the_issue_is_commented_and_stays_open(receiver, site):
    send(another(events.failed(), "a"), target(receiver))
    assert send(another(events.resolved(still_failing=3), "b"), target(receiver)).reason == "Added to SEC-1."
    assert site.issues["SEC-1"]["status"] == "new"


def test_the_same_delivery_twice_leaves_one_issue_and_one_comment(receiver, site):
    to = target(receiver)
    for id in ("a", "a", "b", "b"):
        assert send(another(events.failed(), id), to).result is Result.DELIVERED
    assert [len(issue["comments"]) for issue in site.issues.values()] == [1]


def test_nothing_is_made_to_say_that_nothing_fails(receiver, site):
    assert send(events.resolved(), target(receiver)).result is Result.DELIVERED
    assert site.issues == {}


def test_an_issue_that_cannot_be_closed_says_so(receiver, site):
    send(another(events.failed(), "a"), target(receiver))
    site.answers["transitions"] = answered(
        {"transitions": [{"id": "1", "to": {"statusCategory": {"key": "new"}}}]}
    )
    outcome = send(another(events.resolved(), "b"), target(receiver))
    assert (outcome.result, "no transition" in outcome.reason) == (Result.PERMANENT, True)


def test_a_page_instead_of_the_api_is_no_delivery(receiver, site):
    site.answers["jql"] = Behaviour(body=b"<html>Sign in</html>")
    assert send(events.failed(), target(receiver)).result is Result.RETRYABLE


def test_test_connectivity_asks_for_permissions_and_makes_nothing(receiver, site):
    assert send(events.connectivity(), target(receiver)).result is Result.DELIVERED
    site.permissions.discard("ADD_COMMENTS")
    outcome = send(events.connectivity(), target(receiver))
    assert outcome.result is Result.PERMANENT
    assert "ADD_COMMENTS" in outcome.reason
    assert site.issues == {}


def test_names_are_text_nodes(receiver, site):
    event = events.failed([events.user(login) for login in events.HOSTILE])
    assert send(event, target(receiver)).result is Result.DELIVERED


@pytest.mark.parametrize(
    ("more", "word"),
    [({"api_token": "another-token"}, "authenticated"), ({"issue_type": "Bug"}, "valid project is required")],
)
def test_a_refusal_says_what_jira_said(receiver, site, more, word):
    outcome = send(events.failed(), target(receiver, **more))
    assert outcome.result is Result.PERMANENT
    assert word in outcome.reason
    assert "another-token" not in repr(outcome)


@pytest.mark.parametrize("status", [429, 500, 503])
@pytest.mark.parametrize("step", ["jql", "issue"])
def test_what_passes_is_retried_at_each_step(receiver, site, step, status):
    site.answers[step] = Behaviour(status=status, headers=[("Retry-After", "5")])
    outcome = send(events.failed(), target(receiver))
    assert (outcome.result, outcome.retry_after) == (Result.RETRYABLE, 5)
