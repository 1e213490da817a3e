"""A refusal that concerns one person is that delivery's failure; one that concerns the target is the target's."""

import json

import pytest

from integrations.targets import KINDS
from integrations.transport.results import Result
from tests.doubles.mail import mail_server
from tests.doubles.slack import TOKEN
from tests.integrations.targets import events
from tests.receiver import Behaviour

DIRECT = events.direct("ann@example.com", message="Hello")


def mail(box, event, to=("soc@example.com",)):
    document = {
        "host": "127.0.0.1",
        "port": box.port,
        "security": "none",
        "sender": "checks@example.com",
        "to": list(to),
    }
    return events.send(KINDS["email"], event, events.target(KINDS["email"], document))  # fmt: skip


@pytest.mark.parametrize(
    ("reply", "concerns_recipient"),
    [
        ("550 5.1.1 No such user", True),
        ("550 5.2.1 Mailbox disabled", True),
        ("551 User not local", True),
        ("552 5.2.2 Over quota", True),
        ("553 Mailbox name not allowed", True),
        ("550 Requested action not taken: mailbox unavailable", True),
        ("450 4.2.1 Mailbox busy", True),
        ("451 4.7.1 Greylisted, try again later", True),
        ("550 5.1.10 Recipient address has null MX", True),
        ("550 #5.1.0 Address rejected.", True),
        ("550 sorry, no mailbox here by that name (#5.1.1)", True),
        # Exchange Online, for a mailbox that does not exist.
        ("550 5.4.1 Recipient address rejected: Access denied. AS(201806281)", True),
        ("550 5.4.1 [ann@example.com]: Recipient address rejected: Access denied", True),
        ("550 5.4.1 All recipient addresses rejected : Access denied", True),
        # About this client, its sender or its right to relay: the same for each recipient.
        ("550 5.7.1 Unable to relay", False),
        ("550 Relaying denied", False),
        ("553 Sorry, that domain isn't allowed to be relayed through this MTA", False),
        ("553 sorry, that domain isn't in my list of allowed rcpthosts", False),
        ("553 sorry, that domain isn't in my list of allowed rcpthosts (#5.7.1)", False),
        ("553 sorry, your envelope domain is in my list (#5.7.1)", False),
        ("450 4.1.8 <checks@example.com>: Domain not found", False),
        ("553 5.1.7 The address of the envelope is malformed", False),
        ("550 5.4.1 No answer from host", False),
        ("550 5.7.1 <ann@example.com>: Recipient address rejected: Access denied", False),
        ("550 Access denied - Invalid HELO name", False),
        ("550 Client host rejected: Access denied", False),
        ("550 5.7.26 Unauthenticated sender", False),
        ("554 5.7.1 Client host blocked", False),
        ("530 5.7.0 Authentication required", False),
        ("421 4.3.2 Going down", False),
    ],
)
def test_a_mail_server_refuses_a_mailbox_or_this_client(reply, concerns_recipient):
    with mail_server("none") as box:
        box.says["RCPT"] = reply
        outcome = mail(box, DIRECT)
        assert outcome.concerns_recipient == concerns_recipient
        assert outcome.result is (Result.PERMANENT if reply[0] == "5" else Result.RETRYABLE)
        # The recipients of the list are the target's own setting.
        assert not mail(box, events.failed()).concerns_recipient


@pytest.mark.parametrize("command", ["MAIL", "DATA"])
def test_a_refusal_of_the_sender_or_of_the_mail_is_the_target_s(command):
    with mail_server("none") as box:
        box.says[command] = "550 5.1.1 No"
        assert not mail(box, DIRECT).concerns_recipient


def test_a_person_without_a_usable_address_is_not_the_target_s_fault():
    with mail_server("none") as box:
        assert mail(box, events.direct("not an address", message="Hello")).concerns_recipient
    for kind, document in (
        ("slack", {"mode": "bot", "token": TOKEN, "api_url": "https://slack.example.com/api"}),
        ("webex", {"token": "t", "api_url": "https://webex.example.com/v1"}),
    ):
        outcome = events.send(
            KINDS[kind], events.direct("", message="Hello"), events.target(KINDS[kind], document)
        )
        assert (outcome.result, outcome.concerns_recipient) == (Result.PERMANENT, True)


def slack(error):
    return Behaviour(body=json.dumps({"ok": False, "error": error}).encode())


def teams(status, code):
    return Behaviour(status=status, body=json.dumps({"error": {"code": code, "message": "…"}}).encode())


def webex(status, message="The requested resource could not be found."):
    return Behaviour(status=status, body=json.dumps({"message": message}).encode())


@pytest.mark.parametrize(
    ("kind", "answer", "concerns_recipient"),
    [
        ("slack", slack("users_not_found"), True),
        ("slack", slack("user_disabled"), True),
        ("slack", slack("invalid_auth"), False),
        ("slack", slack("missing_scope"), False),
        ("slack", Behaviour(status=500), False),
        ("webex", webex(404), True),
        ("webex", webex(400, "toPersonEmail is not a valid email"), True),
        ("webex", webex(400, "Unable to retrieve content"), False),
        ("webex", webex(401), False),
        ("webex", webex(403), False),
        ("teams", teams(404, "UserNotFound"), True),
        ("teams", teams(400, "Request_ResourceNotFound"), True),
        ("teams", teams(404, "WorkflowNotFound"), False),
        ("teams", teams(401, "DirectApiAuthorizationRequired"), False),
    ],
)
def test_a_chat_finds_no_such_person_or_refuses_the_target(receiver, kind, answer, concerns_recipient):
    receiver.script_the_rest(answer)
    document = {
        "slack": {"mode": "bot", "token": TOKEN, "channel": "#identity", "api_url": receiver.url("/api")},
        "webex": {"token": "t", "room_id": "ROOM", "api_url": receiver.url("/v1")},
        "teams": {"url": receiver.url("/hook")},
    }[kind]
    to = events.target(KINDS[kind], document)
    assert events.send(KINDS[kind], DIRECT, to).concerns_recipient == concerns_recipient
    # The same answer about a channel or space is about the target.
    assert not events.send(KINDS[kind], events.failed(), to).concerns_recipient
