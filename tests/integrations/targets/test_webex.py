"""Webex, against a double that enforces the documented fields of POST /messages."""

import json

import pytest

from integrations.targets.webex.kind import Webex
from integrations.transport.results import Result
from tests.doubles import adaptive_card
from tests.integrations.targets import events
from tests.receiver import Behaviour, Receiver, Recorded

KIND = Webex()
ROOM = "Y2lzY29zcGFyazovL3VzL1JPT00vYmJj"
PEOPLE = {"ann@example.com"}


def refused(status: int, message: str) -> Behaviour:
    return Behaviour(status=status, body=json.dumps({"message": message, "trackingId": "T"}).encode())


def webex(request: Recorded) -> Behaviour:
    if request.header("Authorization") != "Bearer the-bots-token":
        return refused(
            401, "The request requires a valid access token set in the Authorization request header."
        )
    message = json.loads(request.body)
    if set(message) - {"roomId", "toPersonEmail", "text", "attachments"}:
        return refused(400, "Unknown field")
    if ("roomId" in message) == ("toPersonEmail" in message) or len(message["text"].encode()) > 7439:
        return refused(400, "Exactly one destination, and at most 7439 bytes.")
    if any(adaptive_card.errors(attachment) for attachment in message["attachments"]):
        return refused(400, "Unable to retrieve content")
    if message.get("roomId", ROOM) != ROOM or message.get("toPersonEmail", "ann@example.com") not in PEOPLE:
        return refused(404, "The requested resource could not be found.")
    return Behaviour(body=b'{"id":"M"}')


def bot(receiver: Receiver, token: str = "the-bots-token", room: str = ROOM):
    receiver.script("/v1/messages", webex)
    return events.target(KIND, {"token": token, "room_id": room, "api_url": receiver.url("/v1")})


def test_a_bot_writes_to_its_space(receiver):
    assert events.send(KIND, events.failed(events.users(10_000)), bot(receiver)).result is Result.DELIVERED


def test_a_bot_writes_to_a_person_by_e_mail(receiver):
    to = bot(receiver, room="")
    assert events.send(KIND, events.direct(message="Hello"), to).result is Result.DELIVERED
    assert json.loads(receiver.requests[0].body)["toPersonEmail"] == "ann@example.com"


def test_without_a_space_a_list_is_refused_with_what_to_do(receiver):
    outcome = events.send(KIND, events.failed(), bot(receiver, room=""))
    assert outcome.result is Result.PERMANENT
    assert "Set its space id" in outcome.reason
    assert receiver.requests == []


def test_a_bot_without_a_space_is_tested_by_its_token_alone(receiver):
    to = bot(receiver, room="")
    receiver.script("/v1/people/me", [Behaviour(body=b'{"id":"P"}'), refused(401, "no valid access token")])
    assert events.send(KIND, events.connectivity(), to).result is Result.DELIVERED
    assert events.send(KIND, events.connectivity(), to).result is Result.PERMANENT
    assert receiver.of("/v1/messages") == []


@pytest.mark.parametrize(
    ("email", "word"), [("", "no e-mail address"), ("nobody@example.com", "no such space or person")]
)
def test_a_person_who_cannot_be_found_is_a_refusal(receiver, email, word):
    outcome = events.send(KIND, events.direct(email, message="Hello"), bot(receiver))
    assert outcome.result is Result.PERMANENT
    assert word in outcome.reason


def test_a_wrong_token_is_a_refusal_that_says_so(receiver):
    outcome = events.send(KIND, events.failed(), bot(receiver, token="another-token"))
    assert outcome.result is Result.PERMANENT
    assert "token" in outcome.reason
    assert "another-token" not in repr(outcome)


@pytest.mark.parametrize(
    ("status", "result"), [(429, Result.RETRYABLE), (423, Result.RETRYABLE), (500, Result.RETRYABLE)]
)
def test_what_passes_is_retried(receiver, status, result):
    to = bot(receiver)
    receiver.script("/v1/messages", Behaviour(status=status, headers=[("Retry-After", "7")]))
    outcome = events.send(KIND, events.failed(), to)
    assert (outcome.result, outcome.retry_after) == (result, 7)


def test_a_page_instead_of_the_api_is_no_delivery(receiver):
    to = bot(receiver)
    receiver.script("/v1/messages", Behaviour(body=b"<html>Sign in</html>"))
    assert events.send(KIND, events.failed(), to).result is Result.RETRYABLE


def test_a_note_that_one_is_cured_goes_to_the_person(receiver):
    assert events.send(KIND, events.note(), bot(receiver)).result is Result.DELIVERED
    assert json.loads(receiver.requests[0].body)["toPersonEmail"] == "ann@example.com"
