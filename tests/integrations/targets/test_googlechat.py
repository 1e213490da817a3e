"""Google Chat, against a space on loopback that takes what the references of messages and cards allow."""

import pytest

from integrations.targets.googlechat.kind import GoogleChat
from integrations.transport.results import Result
from tests.doubles.googlechat import PATH, Space, error
from tests.integrations.targets import events
from tests.receiver import Behaviour, Receiver

KIND = GoogleChat()


@pytest.fixture
def space(receiver: Receiver) -> Space:
    return Space(receiver)


def target(url: str):
    return events.target(KIND, {"url": url})


@pytest.mark.parametrize(
    "event",
    [
        events.failed(),
        events.failed(events.users(10_000)),
        events.failed([events.user(login) for login in events.HOSTILE]),
        events.failed(message="\n\n".join(["a"] * 300)),
        events.failed(message=events.formatted("<b>kim</b>")),
        events.resolved(still_failing=3),
        events.connectivity(),
    ],
)
def test_a_message_is_taken(space, event):
    outcome = events.send(KIND, event, target(space.url))
    assert outcome.result is Result.DELIVERED, outcome.reason


def test_a_check_has_one_thread(space):
    to = target(space.url)
    for event in (events.failed(), events.resolved(), events.connectivity()):
        events.send(KIND, event, to)
    assert {key: len(messages) for key, messages in space.threads.items()} == {
        "identity-checks-no-mfa-1c2d3e4f": 2,
        "identity-checks-connectivity-1c2d3e4f": 1,
    }


def test_emphasis_lists_and_links_are_the_authors_and_names_are_text(space):
    events.send(KIND, events.failed(message=events.formatted("<b>kim</b>")), target(space.url))
    ((message,),) = space.threads.values()
    widgets = message["cardsV2"][0]["card"]["sections"][0]["widgets"]
    kim = "&lt;b&gt;kim&lt;/b&gt;"
    assert widgets[0]["textParagraph"]["text"] == (
        f"Hello <b>{kim}</b>, <i>{kim}</i><br>as <b><i>agreed</i></b><br><br>"
        f'What to do:<br>• <a href="https://author.example/?user=%3Cb%3Ekim%3C/b%3E">Set it up for {kim}</a> soon'
        f"<br>• Tell {kim}<br><br>"
        f'1. Read <a href="https://author.example/%3Cb%3Ekim%3C/b%3E">https://author.example/{kim}</a>'
        '<br>2. Write to <a href="mailto:help@author.example">help@author.example</a>'
    )
    assert widgets[-1]["buttonList"]["buttons"][0]["onClick"]["openLink"]["url"] == events.LINK


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (("the-key", "another-key"), "API key not valid"),
        (("the-token", "another-token"), "Copy the webhook's URL again"),
    ],
)
def test_a_wrong_url_is_a_refusal_without_its_secrets(space, change, reason):
    outcome = events.send(KIND, events.failed(), target(space.url.replace(*change)))
    assert outcome.result is Result.PERMANENT
    assert reason in outcome.reason
    assert "of-the-webhook" not in repr(outcome)


@pytest.mark.parametrize(
    ("answer", "result"),
    [
        (error(429, "RESOURCE_EXHAUSTED", "Quota exceeded"), Result.RETRYABLE),
        (error(503, "UNAVAILABLE", ""), Result.RETRYABLE),
        (Behaviour(body=b"<html>Sign in</html>"), Result.RETRYABLE),
        (error(403, "PERMISSION_DENIED", "Webhooks are turned off"), Result.PERMANENT),
        (error(404, "NOT_FOUND", "Space not found"), Result.PERMANENT),
    ],
)
def test_answers(space, answer, result):
    space.answer = answer
    assert events.send(KIND, events.failed(), target(space.url)).result is result


def test_the_space_of_the_url_is_not_shown():
    settings = KIND.clean({"url": f"https://chat.googleapis.com{PATH}?key=k&token=secret-token"}).settings
    assert "secret-token" not in str(KIND.describe(settings))
    assert "chat.googleapis.com" in str(KIND.describe(settings))
