"""ServiceNow, against a double of the Table API that enforces the incident's fields."""

import pytest

from integrations.target_data import AttemptRequest
from integrations.targets.servicenow.kind import ServiceNow, defuse_code_tags
from integrations.transport.results import Result
from tests.doubles.servicenow import Instance
from tests.integrations.targets import events
from tests.integrations.targets.test_jira import another
from tests.receiver import Behaviour, Receiver

KIND = ServiceNow()


@pytest.fixture
def instance(receiver: Receiver) -> Instance:
    return Instance(receiver)


def target(receiver: Receiver, **more):
    return events.target(
        KIND, {"url": receiver.url(""), "username": "robot", "password": "the-password"} | more
    )


def send(event: dict, to):
    rendered = KIND.render(event, to)
    return KIND.send(AttemptRequest(event["id"], rendered.body, rendered.content_type, 0), to)


def test_a_check_has_one_incident_that_is_noted_while_open_and_resolved_when_cured(receiver, instance):
    to = target(receiver)
    assert send(another(events.failed(), "a"), to).reason == "Made INC0000000."
    assert send(another(events.failed(events.users(10_000)), "b"), to).reason == "Noted in INC0000000."
    assert send(another(events.resolved(), "c"), to).reason == "Resolved INC0000000."
    (incident,) = instance.incidents.values()
    assert (incident["state"], incident["urgency"], len(incident["notes"])) == ("6", "1", 1)
    send(another(events.failed(), "d"), to)
    assert len(instance.incidents) == 2


def test_while_others_fail_the_incident_is_noted_and_stays_open(receiver, instance):
    send(another(events.failed(), "a"), target(receiver))
    assert (
        send(another(events.resolved(still_failing=3), "b"), target(receiver)).reason
        == "Noted in INC0000000."
    )


@pytest.mark.parametrize("still_failing", [0, 3])
def test_a_resolved_event_never_makes_a_ticket(receiver, instance, still_failing):
    """Its users need nothing any more; whoever still fails was sent before."""
    outcome = send(events.resolved(still_failing), target(receiver))
    assert (outcome.result, "Nothing to" in outcome.reason) == (Result.DELIVERED, True)
    assert instance.incidents == {}


def test_the_same_delivery_twice_leaves_one_incident_and_one_note(receiver, instance):
    to = target(receiver)
    for id in ("a", "a", "b", "b"):
        assert send(another(events.failed(), id), to).result is Result.DELIVERED
    assert [len(incident["notes"]) for incident in instance.incidents.values()] == [1]


def test_an_instance_that_hibernates_is_no_delivery(receiver, instance):
    instance.answer = Behaviour(body=b"<html>Your instance is hibernating</html>")
    assert send(events.failed(), target(receiver)).result is Result.RETRYABLE


@pytest.mark.parametrize(
    "answer",
    [
        Behaviour(status=202),
        Behaviour(status=202, body=b"{}"),
        Behaviour(status=202, body=b'{"result":[]}'),
        Behaviour(status=204),
        Behaviour(body=b""),
        Behaviour(body=b"ok"),
        Behaviour(body=b'{"result":{}}'),
    ],
)
def test_a_search_that_finds_no_list_is_no_delivery(receiver, instance, answer):
    instance.answer = answer
    for event in (events.failed(), events.resolved(), events.connectivity()):
        outcome = send(event, target(receiver))
        assert (outcome.result, "result" in outcome.reason) == (Result.RETRYABLE, True)
    assert instance.incidents == {}


def test_test_connectivity_reads_and_makes_nothing(receiver, instance):
    assert send(events.connectivity(), target(receiver)).result is Result.DELIVERED
    assert [request.method for request in receiver.requests] == ["GET"]


def test_a_wrong_password_is_a_refusal_without_the_password(receiver, instance):
    outcome = send(events.failed(), target(receiver, password="another-password"))
    assert outcome.result is Result.PERMANENT
    assert "user name or password" in outcome.reason
    assert "another-password" not in repr(outcome)


def test_no_name_opens_html_in_a_work_note(receiver, instance):
    to = target(receiver)
    hostile = [events.user("[code]<script>alert(1)</script>[/code]"), events.user("[ CODE ]<b>")]
    send(another(events.failed(), "a"), to)
    send(another(events.failed(hostile), "b"), to)
    (incident,) = instance.incidents.values()
    text, link = incident["notes"][0].rsplit("\n\n", 1)
    assert "[code]" not in text.lower()
    assert "(code)<script>" in text
    assert link == f'[code]<a href="{events.LINK}" target="_blank">Open the check</a>[/code]'
    assert defuse_code_tags("[/Code]") == "(/Code)"


@pytest.mark.parametrize("status", [429, 500, 503])
def test_what_passes_is_retried(receiver, instance, status):
    instance.answer = Behaviour(status=status)
    assert send(events.failed(), target(receiver)).result is Result.RETRYABLE
