"""Jira, against a double that enforces the documented requests of the REST API v3."""

import json

import pytest

from integrations.target_data import AttemptRequest
from integrations.targets.jira.kind import COMMENT_LIMITS, Jira
from integrations.transport.results import Result
from tests.doubles.jira import Site, answered
from tests.integrations.targets import events
from tests.receiver import Behaviour, Receiver

KIND = Jira()


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
    return KIND.send(AttemptRequest(event["id"], rendered.body, rendered.content_type, 0), to)


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


@pytest.mark.parametrize("still_failing", [0, 3])
def test_a_resolved_event_never_makes_a_ticket(receiver, site, still_failing):
    """Its users need nothing any more; whoever still fails was sent before."""
    outcome = send(events.resolved(still_failing), target(receiver))
    assert (outcome.result, "Nothing to" in outcome.reason) == (Result.DELIVERED, True)
    assert site.issues == {}


def test_the_same_delivery_twice_leaves_one_issue_and_one_comment(receiver, site):
    to = target(receiver)
    for id in ("a", "a", "b", "b"):
        assert send(another(events.failed(), id), to).result is Result.DELIVERED
    assert [len(issue["comments"]) for issue in site.issues.values()] == [1]


NO_ANSWER = Behaviour(close="after")
UNAVAILABLE = Behaviour(status=503)
PAGE = Behaviour(body=b"<html>Sign in</html>")


@pytest.mark.parametrize("answer", [NO_ANSWER, UNAVAILABLE, PAGE], ids=["none", "503", "page"])
@pytest.mark.parametrize("step", ["POST issue", "POST comment"])
def test_a_retry_after_a_lost_answer_adds_nothing_twice(receiver, site, step, answer):
    """Jira made the issue or the comment, but its answer did not arrive."""
    to = target(receiver)
    if step == "POST comment":
        send(another(events.failed(), "first"), to)
    site.lost[step] = answer
    assert send(another(events.failed(), "a"), to).result is Result.RETRYABLE
    assert send(another(events.failed(), "a"), to).reason == "SEC-1 holds this event already."
    assert list(site.issues) == ["SEC-1"]
    assert len(site.issues["SEC-1"]["comments"]) == (step == "POST comment")


@pytest.mark.parametrize("later", [1, 49])
def test_a_retry_finds_its_comment_among_later_ones(receiver, site, later):
    to = target(receiver)
    send(another(events.failed(), "first"), to)
    site.lost["POST comment"] = NO_ANSWER
    send(another(events.failed(), "a"), to)
    comments = site.issues["SEC-1"]["comments"]
    comments += [{"body": {"type": "doc", "version": 1, "content": []}}] * later
    assert send(another(events.failed(), "a"), to).reason == "SEC-1 holds this event already."
    assert len(comments) == later + 1


def test_long_comments_are_searched_whole(receiver, site):
    to = target(receiver)
    for id in ["first", *(f"comment {number}" for number in range(50))]:
        send(another(events.failed(events.users(10_000)), id), to)
    assert send(another(events.failed(), "comment 0"), to).reason == "SEC-1 holds this event already."


def test_an_event_is_added_also_if_the_comments_are_too_long_to_be_searched(receiver, site):
    send(another(events.failed(), "first"), target(receiver))
    site.answers["GET comment"] = answered({"comments": [{"body": "x" * COMMENT_LIMITS.body}]})
    assert send(another(events.failed(), "a"), target(receiver)).reason == "Added to SEC-1."


def test_the_deliveries_that_an_earlier_version_noted_are_known(receiver, site):
    """Up to version 0.3.0 the property of the issue held those of its comments."""
    to = target(receiver)
    send(another(events.failed(), "first"), to)
    site.issues["SEC-1"]["properties"]["identity-checks"] = {"deliveries": ["first", "a"]}
    assert send(another(events.failed(), "a"), to).reason == "SEC-1 holds this event already."


@pytest.mark.parametrize(
    "comments",
    [[{}], [{"properties": 5}], [{"properties": [{"key": "identity-checks", "value": "a"}]}], ["a"]],
)
def test_comments_of_others_hold_no_delivery(receiver, site, comments):
    send(another(events.failed(), "first"), target(receiver))
    site.answers["GET comment"] = answered({"comments": comments})
    assert send(another(events.failed(), "a"), target(receiver)).reason == "Added to SEC-1."


@pytest.mark.parametrize(
    ("step", "answer", "result"),
    [
        ("GET comment", UNAVAILABLE, Result.RETRYABLE),
        ("GET comment", NO_ANSWER, Result.RETRYABLE),
        ("POST comment", UNAVAILABLE, Result.RETRYABLE),
        ("GET transitions", UNAVAILABLE, Result.RETRYABLE),
        ("GET transitions", answered({}), Result.RETRYABLE),
        ("GET transitions", answered({"transitions": []}), Result.PERMANENT),
        ("POST transitions", UNAVAILABLE, Result.RETRYABLE),
        ("POST transitions", NO_ANSWER, Result.RETRYABLE),
        ("POST transitions", Behaviour(status=400), Result.PERMANENT),
    ],
)
def test_a_retry_does_what_is_left_to_close_an_issue(receiver, site, step, answer, result):
    """Also the replay of a dead letter, after somebody corrected the workflow or the permissions."""
    to = target(receiver)
    send(another(events.failed(), "a"), to)
    site.answers[step] = answer
    for _ in range(2):
        assert send(another(events.resolved(), "b"), to).result is result
    del site.answers[step]
    assert send(another(events.resolved(), "b"), to).reason == "Closed SEC-1."
    issue = site.issues["SEC-1"]
    assert (issue["status"], len(issue["comments"])) == ("done", 1)


@pytest.mark.parametrize("status", [200, 202])
def test_a_comment_with_an_unusual_success_is_followed_by_closing(receiver, site, status):
    send(another(events.failed(), "a"), target(receiver))
    site.lost["POST comment"] = Behaviour(status=status)
    assert send(another(events.resolved(), "b"), target(receiver)).reason == "Closed SEC-1."


def test_a_late_retry_does_not_close_an_issue_for_users_who_fail_again(receiver, site):
    to = target(receiver)
    send(another(events.failed(), "a"), to)
    site.answers["GET transitions"] = UNAVAILABLE
    send(another(events.resolved(), "b"), to)
    del site.answers["GET transitions"]
    send(another(events.failed(), "c"), to)
    outcome = send(another(events.resolved(), "b"), to)
    assert (outcome.result, "it stays open" in outcome.reason) == (Result.DELIVERED, True)
    assert site.issues["SEC-1"]["status"] == "new"


@pytest.mark.parametrize("is_index_late", [False, True])
def test_a_retry_finds_that_its_issue_is_closed(receiver, site, is_index_late):
    """The transition had its effect, but no answer; the search may show the issue as open for some seconds."""
    to = target(receiver)
    send(another(events.failed(), "a"), to)
    site.lost["POST transitions"] = NO_ANSWER
    assert send(another(events.resolved(), "b"), to).result is Result.RETRYABLE
    site.is_index_late = is_index_late
    outcome = send(another(events.resolved(), "b"), to)
    said = "SEC-1 is closed already." if is_index_late else "the check has no open issue"
    assert (outcome.result, said in outcome.reason) == (Result.DELIVERED, True)
    assert len(site.issues["SEC-1"]["comments"]) == 1


def test_no_step_needs_the_permission_to_edit_issues(receiver, site):
    to = target(receiver)
    for id, event in (("a", events.failed()), ("b", events.failed()), ("c", events.resolved())):
        assert send(another(event, id), to).result is Result.DELIVERED
    assert {request.method for request in receiver.requests} == {"GET", "POST"}


def test_an_attempt_keeps_no_comment_of_others(receiver, site):
    """The console shows the start of an attempt's answer."""
    send(another(events.failed(), "a"), target(receiver))
    site.answers["GET comment"] = answered({"comments": [{"body": "A colleague's remark"}]})
    assert "colleague" not in send(another(events.failed(), "a"), target(receiver)).body


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


@pytest.mark.parametrize(
    "answer",
    [
        Behaviour(status=202),
        Behaviour(status=202, body=b"{}"),
        Behaviour(status=202, body=b'{"issues":[]}'),
        Behaviour(status=204),
        Behaviour(body=b""),
        Behaviour(body=b"{}"),
        Behaviour(body=b"ok"),
    ],
)
def test_a_search_that_finds_no_list_is_no_delivery(receiver, site, answer):
    site.answers["jql"] = answer
    for event in (events.failed(), events.resolved()):
        outcome = send(event, target(receiver))
        assert (outcome.result, "issues" in outcome.reason) == (Result.RETRYABLE, True)
    assert site.issues == {}


def test_permissions_that_were_not_answered_are_no_success(receiver, site):
    receiver.script("/rest/api/3/mypermissions", Behaviour(status=202))
    assert send(events.connectivity(), target(receiver)).result is Result.RETRYABLE


def test_test_connectivity_asks_for_permissions_and_makes_nothing(receiver, site):
    assert send(events.connectivity(), target(receiver)).result is Result.DELIVERED
    assert site.issues == {}


@pytest.mark.parametrize(
    "permission", ["BROWSE_PROJECTS", "CREATE_ISSUES", "ADD_COMMENTS", "TRANSITION_ISSUES"]
)
def test_test_connectivity_names_a_missing_permission(receiver, site, permission):
    site.permissions.discard(permission)
    outcome = send(events.connectivity(), target(receiver))
    assert (outcome.result, permission in outcome.reason) == (Result.PERMANENT, True)


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


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"errorMessages": ["No permission.", None, ""]}, "Jira answered 400: No permission."),
        ({"errorMessages": [], "errors": {"summary": "Too long."}}, "Jira answered 400: summary: Too long."),
        ({"errorMessages": None, "errors": {"summary": None}}, "Jira answered 400: summary"),
        ({"errorMessages": [None], "errors": None}, "The receiver answered 400 Bad Request."),
        (None, "The receiver answered 400 Bad Request."),
    ],
)
def test_a_refusal_with_null_messages_is_a_sentence(receiver, site, body, said):
    site.answers["jql"] = Behaviour(status=400, body=json.dumps(body).encode())
    assert send(events.failed(), target(receiver)).reason == said


@pytest.mark.parametrize("status", [429, 500, 503])
@pytest.mark.parametrize("step", ["jql", "issue"])
def test_what_passes_is_retried_at_each_step(receiver, site, step, status):
    site.answers[step] = Behaviour(status=status, headers=[("Retry-After", "5")])
    outcome = send(events.failed(), target(receiver))
    assert (outcome.result, outcome.retry_after) == (Result.RETRYABLE, 5)
