"""ServiceNow, against a double of the Table API that enforces the incident's fields."""

import json

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


CANCELLED = "Transaction cancelled: maximum execution time exceeded"
ERROR = f'"error":{{"message":"{CANCELLED}","detail":"{CANCELLED} Check logs"}},"status": "failure"'
# KB1297438: the error stands at the end of what was written before, which may be no JSON then.
FAILURES = {
    "empty result": f'{{"result":[],{ERROR}}}',
    "no result": f"{{{ERROR}}}",
    "half a record": f'{{"result":[{{"sys_id":"0",{ERROR}}}',
    "half a text": f'{{"result":[{{"sys_id":"0"\n{ERROR}}}',
    "error alone": '{"result":[],"error":{"message":"Transaction cancelled"}}',
    "status alone": '{"result":[],"status":"failure"}',
    "null messages": '{"result":[],"error":{"message":null,"detail":null},"status":"failure"}',
}
every_failure = pytest.mark.parametrize("body", FAILURES.values(), ids=FAILURES)
NO_ANSWER = Behaviour(close="after")


@every_failure
def test_a_search_that_was_cancelled_is_repeated(receiver, instance, body):
    """Else a second incident would be made, or none be resolved."""
    to = target(receiver)
    send(another(events.failed(), "a"), to)
    instance.answers["GET"] = Behaviour(body=body.encode())
    for event in (another(events.failed(), "b"), another(events.resolved(), "c"), events.connectivity()):
        outcome = send(event, to)
        assert (outcome.result, "reports a failure" in outcome.reason) == (Result.RETRYABLE, True)
        assert "None" not in outcome.reason
    assert [incident["number"] for incident in instance.incidents.values()] == ["INC0000000"]


@every_failure
@pytest.mark.parametrize("status", [200, 201])
@pytest.mark.parametrize("has_effect", [False, True])
@pytest.mark.parametrize("method", ["POST", "PATCH"])
def test_a_change_that_was_cancelled_is_repeated_once(receiver, instance, method, has_effect, status, body):
    """The transaction may have been cancelled after the change was stored."""
    to = target(receiver)
    if method == "PATCH":
        send(another(events.failed(), "first"), to)
    (instance.lost if has_effect else instance.answers)[method] = Behaviour(status=status, body=body.encode())
    outcome = send(another(events.failed(), "a"), to)
    assert (outcome.result, "reports a failure" in outcome.reason) == (Result.RETRYABLE, True)
    instance.answers.clear()
    assert send(another(events.failed(), "a"), to).result is Result.DELIVERED
    assert [len(incident["notes"]) for incident in instance.incidents.values()] == [int(method == "PATCH")]


def test_a_record_that_quotes_an_error_is_no_failure(receiver, instance):
    quoted = json.dumps({"result": {"number": "INC1", "description": FAILURES["no result"]}})
    instance.lost["POST"] = Behaviour(status=201, body=quoted.encode())
    outcome = send(events.failed(), target(receiver))
    assert (outcome.result, outcome.reason) == (Result.DELIVERED, "Made INC1.")


IDS = [f"{number:08x}-0000-4000-8000-{number:012x}" for number in range(9)]


@pytest.mark.parametrize(
    ("later", "notes"),
    [(0, 1), (1, 2), (6, 7), (7, 9)],
    ids=["at once", "after another", "after six", "after seven it is forgotten"],
)
def test_a_retry_adds_nothing_twice_after_up_to_six_later_notes(receiver, instance, later, notes):
    to = target(receiver)
    send(another(events.failed(), "first"), to)
    instance.lost["PATCH"] = NO_ANSWER
    assert send(another(events.failed(), IDS[0]), to).result is Result.RETRYABLE
    for id in IDS[1 : later + 1]:
        send(another(events.failed(), id), to)
    assert send(another(events.failed(), IDS[0]), to).result is Result.DELIVERED
    (incident,) = instance.incidents.values()
    assert len(incident["notes"]) == notes
    assert len(incident["correlation_display"]) <= 100


def test_a_retry_of_the_delivery_that_made_the_incident_adds_nothing_after_later_notes(receiver, instance):
    to = target(receiver)
    instance.lost["POST"] = NO_ANSWER
    for id in (IDS[0], IDS[1], IDS[2], IDS[0]):
        send(another(events.failed(), id), to)
    assert [len(incident["notes"]) for incident in instance.incidents.values()] == [2]


def test_the_delivery_that_an_earlier_version_noted_is_known(receiver, instance):
    """Up to version 0.3.0 the field held one whole id."""
    to = target(receiver)
    send(another(events.failed(), "first"), to)
    (incident,) = instance.incidents.values()
    incident["correlation_display"] = IDS[0]
    assert send(another(events.failed(), IDS[0]), to).reason == "INC0000000 holds this event already."
    send(another(events.failed(), IDS[1]), to)
    assert incident["correlation_display"] == "000000000000 000000000001"


@pytest.mark.parametrize("step", ["GET", "PATCH"])
def test_a_retry_resolves_what_is_still_open(receiver, instance, step):
    to = target(receiver)
    send(another(events.failed(), "a"), to)
    instance.answers[step] = Behaviour(status=503)
    assert send(another(events.resolved(), "b"), to).result is Result.RETRYABLE
    instance.answers.clear()
    assert send(another(events.resolved(), "b"), to).reason == "Resolved INC0000000."


def test_a_retry_finds_that_its_incident_is_resolved(receiver, instance):
    to = target(receiver)
    send(another(events.failed(), "a"), to)
    instance.lost["PATCH"] = NO_ANSWER
    assert send(another(events.resolved(), "b"), to).result is Result.RETRYABLE
    outcome = send(another(events.resolved(), "b"), to)
    assert (outcome.result, "Nothing to" in outcome.reason) == (Result.DELIVERED, True)


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


@pytest.mark.parametrize(
    ("status", "error", "said"),
    [
        (400, {"message": "Bad field", "detail": "No such column"}, "ServiceNow answered 400: Bad field: No such column"),
        (400, {"message": "Bad field", "detail": None}, "ServiceNow answered 400: Bad field"),
        (400, {"message": None, "detail": "No such column"}, "ServiceNow answered 400: No such column"),
        (400, {"message": None, "detail": None}, "ServiceNow answered 400 without a reason."),
        (400, {"message": "", "detail": 5}, "ServiceNow answered 400 without a reason."),
        (400, None, "ServiceNow answered 400 without a reason."),
        (500, "None", "ServiceNow answered 500 without a reason."),
        (404, {"message": None}, "There is no incident table at this address."),
        (404, {"message": "Invalid table"}, "There is no incident table at this address. Invalid table"),
    ],
)  # fmt: skip
def test_a_refusal_with_null_messages_is_a_sentence(receiver, instance, status, error, said):
    body = {"error": error, "status": "failure"}
    instance.answer = Behaviour(status=status, body=json.dumps(body).encode())
    assert send(events.failed(), target(receiver)).reason == said


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
