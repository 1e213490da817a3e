"""Jira, against a double that enforces the documented requests of the REST API v3."""

import pytest

from integrations.target_data import AttemptRequest
from integrations.targets.jira.kind import Jira
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
