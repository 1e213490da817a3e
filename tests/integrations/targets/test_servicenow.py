"""ServiceNow, against a double of the Table API that enforces the incident's fields."""

import pytest

from integrations.outcomes import Result
from integrations.targets.base import Outgoing
from integrations.targets.servicenow import ServiceNow, inert
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
    return KIND.send(Outgoing(event["id"], rendered.body, rendered.content_type, 0), to)


@pytest.mark.parametrize(
    ("name", "event"),
    [
        ("list", events.failed()),
        ("hostile", events.failed([events.user(login) for login in events.HOSTILE])),
        ("resolved", events.resolved()),
        ("test", events.connectivity()),
    ],
)
def test_plans_look_as_their_golden_files(name, event):
    document = {
        "url": "https://x.service-now.com",
        "username": "r",
        "password": "p",
        "assignment_group": "IAM",
    }
    events.matches_golden(
        "servicenow", f"{name}.json", KIND.render(event, events.target(KIND, document)).body
    )


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


def test_the_same_delivery_twice_leaves_one_incident_and_one_note(receiver, instance):
    to = target(receiver)
    for id in ("a", "a", "b", "b"):
        assert send(another(events.failed(), id), to).result is Result.DELIVERED
    assert [len(incident["notes"]) for incident in instance.incidents.values()] == [1]


def test_an_instance_that_hibernates_is_no_delivery(receiver, instance):
    instance.answer = Behaviour(body=b"<html>Your instance is hibernating</html>")
    assert send(events.failed(), target(receiver)).result is Result.RETRYABLE


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
    assert "[code]" not in incident["notes"][0].lower()
    assert "(code)<script>" in incident["notes"][0]
    assert inert("[/Code]") == "(/Code)"


@pytest.mark.parametrize("status", [429, 500, 503])
def test_what_passes_is_retried(receiver, instance, status):
    instance.answer = Behaviour(status=status)
    assert send(events.failed(), target(receiver)).result is Result.RETRYABLE
