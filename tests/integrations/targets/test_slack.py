"""Slack, against a workspace on loopback that enforces what Slack documents."""

import json

import pytest

from integrations.target_data import InvalidDocument
from integrations.targets.slack.kind import Slack, escape_markup
from integrations.transport.results import Result
from tests.doubles.slack import TOKEN, Workspace
from tests.integrations.targets import events
from tests.receiver import Behaviour, Receiver

KIND = Slack()


@pytest.fixture
def workspace(receiver: Receiver) -> Workspace:
    return Workspace(receiver)


def bot(receiver: Receiver, **more: str):
    document = {"mode": "bot", "token": TOKEN, "channel": "#identity", "api_url": receiver.url("/api")} | more
    return events.target(KIND, document)


def hook(receiver: Receiver, path: str = "/services/T0/B0/secret"):
    return events.target(KIND, {"url": receiver.url(path)})


def test_a_webhook_posts_to_its_channel(receiver, workspace):
    outcome = events.send(KIND, events.failed(), hook(receiver))
    assert outcome.result is Result.DELIVERED
    assert "user00001@example.com" in json.dumps(workspace.posted)


@pytest.mark.parametrize("channel", ["#identity", "identity", "C0123456789"])
def test_a_bot_posts_to_the_channel_by_name_or_id(receiver, workspace, channel):
    workspace.channels[channel] = {}
    assert events.send(KIND, events.failed(), bot(receiver, channel=channel)).result is Result.DELIVERED
    assert workspace.posted[0]["channel"] == channel


def test_a_channel_that_slack_does_not_find_is_a_refusal_with_what_to_do(receiver, workspace):
    outcome = events.send(KIND, events.failed(), bot(receiver, channel="#nowhere"))
    assert (outcome.result, "/invite" in outcome.reason) == (Result.PERMANENT, True)


def test_a_person_is_found_by_e_mail_and_written_to(receiver, workspace):
    workspace.members["ann+ops@example.com"] = "U0ANN"
    outcome = events.send(KIND, events.direct("ann+ops@example.com", message="Hello"), bot(receiver))
    assert outcome.result is Result.DELIVERED
    assert [message["channel"] for message in workspace.posted] == ["U0ANN"]
    assert "recipient_email" not in workspace.posted[0]


def test_a_bot_without_a_channel_is_tested_by_its_token_alone(receiver, workspace):
    assert events.send(KIND, events.connectivity(), bot(receiver, channel="")).result is Result.DELIVERED
    assert workspace.posted == []
    outcome = events.send(KIND, events.connectivity(), bot(receiver, channel="", token="xoxb-another-token"))
    assert "does not know this token" in outcome.reason
    outcome = events.send(KIND, events.failed(), bot(receiver, channel=""))
    assert (outcome.result, "Set its channel" in outcome.reason) == (Result.PERMANENT, True)


def test_a_person_unknown_to_slack_is_a_refusal_with_its_reason(receiver, workspace):
    outcome = events.send(KIND, events.direct(message="Hello"), bot(receiver))
    assert outcome.result is Result.PERMANENT
    assert "no member with this e-mail address" in outcome.reason
    assert workspace.posted == []


def test_a_person_without_e_mail_costs_no_request(receiver, workspace):
    outcome = events.send(KIND, events.direct("", message="Hello"), bot(receiver))
    assert (outcome.result, receiver.requests) == (Result.PERMANENT, [])


def test_ratelimited_is_retried_no_sooner_than_slack_says(receiver, workspace):
    workspace.limited = 1
    outcome = events.send(KIND, events.failed(), bot(receiver))
    assert (outcome.result, outcome.retry_after, outcome.status) == (Result.RETRYABLE, 30, 429)


@pytest.mark.parametrize(
    ("error", "result"),
    [
        ("channel_not_found", Result.PERMANENT),
        ("invalid_auth", Result.PERMANENT),
        ("not_in_channel", Result.PERMANENT),
        ("missing_scope", Result.PERMANENT),
        ("a_new_error", Result.PERMANENT),
        ("internal_error", Result.RETRYABLE),
        ("service_unavailable", Result.RETRYABLE),
        ("token_revoked", Result.GONE),
        ("account_inactive", Result.GONE),
    ],
)
def test_an_error_in_a_200_is_no_delivery(receiver, workspace, error, result):
    workspace.failing = error
    outcome = events.send(KIND, events.failed(), bot(receiver))
    assert outcome.result is result
    assert error in outcome.reason


@pytest.mark.parametrize("mode", ["bot", "webhook"])
@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ({}, "names no error. The answer was 200: "),
        ({"error": None}, "names no error. The answer was 200: "),
        ({"error": ""}, "names no error. The answer was 200: "),
        ({"error": "invalid-blocks"}, "the error invalid-blocks."),
        ({"error": "Something went wrong"}, "the error Something went wrong."),
        ({"error": {"code": "no_text"}}, 'the error {"code":"no_text"}.'),
        ({"error": 7}, "the error 7."),
        ({"error": float("nan")}, "the error NaN."),
    ],
)
def test_ok_false_is_no_delivery_whatever_the_error(receiver, mode, answer, reason):
    receiver.script_the_rest(Behaviour(body=json.dumps({"ok": False, **answer}).encode()))
    to = bot(receiver) if mode == "bot" else hook(receiver)
    outcome = events.send(KIND, events.failed(), to)
    assert outcome.result is Result.PERMANENT
    assert reason in outcome.reason


@pytest.mark.parametrize(
    ("path", "event"), [("users.lookupByEmail", events.direct()), ("auth.test", events.connectivity())]
)
def test_ok_false_is_a_refusal_also_where_nothing_is_sent(receiver, path, event):
    receiver.script(f"/api/{path}", Behaviour(body=b'{"ok":false,"error":null}'))
    assert events.send(KIND, event, bot(receiver, channel="")).result is Result.PERMANENT
    assert receiver.of("/api/chat.postMessage") == []


def test_an_unnamed_error_with_a_status_that_may_pass_is_retried(receiver):
    receiver.script("/api/chat.postMessage", Behaviour(status=503, body=b'{"ok":false,"error":null}'))
    assert events.send(KIND, events.failed(), bot(receiver)).result is Result.RETRYABLE


@pytest.mark.parametrize("body", [b'{"ok":true}', b"{}", b"", b"<html>Sign in</html>"])
def test_without_a_member_nothing_was_sent_and_the_search_is_repeated(receiver, body):
    receiver.script("/api/users.lookupByEmail", Behaviour(body=body))
    outcome = events.send(KIND, events.direct(), bot(receiver))
    assert outcome.result is Result.RETRYABLE
    assert receiver.of("/api/chat.postMessage") == []


def test_a_200_that_is_not_slacks_api_is_no_delivery(receiver):
    receiver.script("/api/chat.postMessage", Behaviour(body=b"<html>Sign in to the guest network</html>"))
    assert events.send(KIND, events.failed(), bot(receiver)).result is Result.RETRYABLE


@pytest.mark.parametrize(
    ("status", "body", "result"),
    [
        (400, b"invalid_payload", Result.PERMANENT),
        (403, b"invalid_token", Result.PERMANENT),
        (404, b"no_service", Result.GONE),
        (404, b"channel_not_found", Result.PERMANENT),
        (410, b"channel_is_archived", Result.PERMANENT),
        (429, b"", Result.RETRYABLE),
        (500, b"rollup_error", Result.RETRYABLE),
        (503, b"<html>upstream</html>", Result.RETRYABLE),
    ],
)
def test_what_an_incoming_webhook_answers(receiver, status, body, result):
    receiver.script("/hook", Behaviour(status=status, body=body))
    assert events.send(KIND, events.failed(), hook(receiver, "/hook")).result is result


def test_names_are_text_and_nothing_else(receiver, workspace):
    event = events.failed(
        [events.user(login) for login in events.HOSTILE], message="<!channel> *b* <http://x|y>"
    )
    assert events.send(KIND, event, hook(receiver)).result is Result.DELIVERED
    (message,) = workspace.posted
    kinds = {element["type"] for element in _elements(message["blocks"])}
    # No mention, no link, no broadcast, no emoji, no mrkdwn; the one button is ours.
    assert kinds == {
        "header", "plain_text", "rich_text", "rich_text_section", "rich_text_list", "text", "context",
        "actions", "button",
    }  # fmt: skip
    assert not set("<>") & set(message["text"])
    assert "\u202e" not in json.dumps(message, ensure_ascii=False)


def test_the_fallback_text_is_escaped():
    assert escape_markup("<!everyone> & co") == "&lt;!everyone&gt; &amp; co"


@pytest.mark.parametrize(
    ("document", "path"),
    [
        ({}, "url"),
        ({"url": "http://hooks.slack.com/services/x"}, "url"),
        ({"mode": "bot"}, "token"),
        ({"mode": "bot", "token": "xoxp-user-token"}, "token"),
        ({"mode": "bot", "token": TOKEN, "channel": "<!here>"}, "channel"),
        ({"url": "https://hooks.slack.com/services/x", "token": TOKEN}, "token"),
        ({"url": "https://hooks.slack.com/services/x", "colour": "red"}, "colour"),
        ({"url": "https://hooks.slack.com/services/x", "timeouts": {"answer": 31}}, "timeouts.answer"),
    ],
)
def test_a_bad_document_names_the_key_that_is_wrong(document, path):
    with pytest.raises(InvalidDocument) as caught:
        KIND.clean(document)
    assert list(caught.value.errors) == [path]


def test_the_urls_and_tokens_are_secrets(receiver):
    secret = "https://hooks.slack.com/services/T0/B0/verysecret"
    cleaned = KIND.clean({"url": secret})
    assert KIND.sealed_urls == {"url": "Webhook URL"}
    assert "verysecret" not in f"{cleaned}{KIND.describe(cleaned.settings)}"


def _elements(value):
    if isinstance(value, list):
        for item in value:
            yield from _elements(item)
    elif isinstance(value, dict):
        if "type" in value:
            yield value
        for item in value.values():
            yield from _elements(item)


def test_a_note_that_one_is_cured_goes_to_the_person(receiver, workspace):
    workspace.members["ann@example.com"] = "U0ANN"
    assert events.send(KIND, events.note(), bot(receiver)).result is Result.DELIVERED
    assert workspace.posted[0]["channel"] == "U0ANN"
