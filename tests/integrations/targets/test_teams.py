"""Microsoft Teams, against a workflow on loopback that takes what the template's trigger takes."""

import json

import pytest

from integrations.formatted_text import MessageText
from integrations.target_data import InvalidDocument
from integrations.targets.teams.kind import Teams
from integrations.templating.markdown import parse_markdown
from integrations.transport.results import Result
from tests.doubles import adaptive_card
from tests.integrations.targets import events
from tests.receiver import Behaviour, Receiver, Recorded

KIND = Teams()
PATH = "/workflows/9f/triggers/manual/paths/invoke"
URL = f"https://prod-01.westeurope.logic.azure.com:443{PATH}?api-version=2016-06-01&sig=verysecret"


def workflow(request: Recorded) -> Behaviour:
    message = json.loads(request.body)
    if len(request.body) > 28 * 1024:
        return Behaviour(status=413)
    known = message["type"] == "message" and not set(message) - {"type", "attachments", "recipient"}
    if request.query.get("sig") != "verysecret" or not known:
        return Behaviour(status=401, body=b'{"error":{"code":"DirectApiAuthorizationRequired"}}')
    if any(adaptive_card.errors(attachment) for attachment in message["attachments"]):
        return Behaviour(status=400, body=b'{"error":{"code":"TriggerInputSchemaMismatch"}}')
    return Behaviour(status=202)


@pytest.fixture
def to(receiver: Receiver):
    receiver.script(PATH, workflow)
    return events.target(KIND, {"url": receiver.url(f"{PATH}?sig=verysecret")})


@pytest.mark.parametrize(
    "event",
    [
        events.failed(),
        events.failed([events.user(login) for login in events.HOSTILE]),
        events.direct(message="Hello Ann,\n\nkim@example.com has no second factor."),
        events.connectivity(),
    ],
)
def test_a_card_is_valid_by_its_schema(event):
    body = KIND.render(event, events.target(KIND, {"url": URL})).body
    assert adaptive_card.errors(json.loads(body)["attachments"][0]) == []


@pytest.mark.parametrize(
    "change",
    [
        {"body": [{"type": "RichTextBlock"}]},
        {"body": [{"type": "Nothing"}]},
        {"actions": [{"url": "x"}]},
        {"x": 1},
    ],
)
def test_the_published_schema_knows_a_wrong_card(change):
    card = json.loads(KIND.render(events.failed(), events.target(KIND, {"url": URL})).body)["attachments"][0][
        "content"
    ]
    assert list(adaptive_card.PUBLISHED.iter_errors(card)) == []
    assert list(adaptive_card.PUBLISHED.iter_errors(card | change))


@pytest.mark.parametrize("count", [0, 1, 50, 10_000])
def test_the_workflow_takes_a_card_for_any_number_of_users(to, count):
    assert events.send(KIND, events.failed(events.users(count)), to).result is Result.DELIVERED


def test_the_longest_names_and_reasons_still_fit(to):
    people = [events.user("名" * 10_000, reason="理" * 500, other="由" * 500) for _ in range(1000)]
    outcome = events.send(KIND, events.failed(people, message="文" * 60_000), to)
    assert outcome.result is Result.DELIVERED


def test_a_direct_message_names_its_recipient_for_the_workflow(to, receiver):
    assert events.send(KIND, events.direct(message="Hello"), to).result is Result.DELIVERED
    sent = json.loads(receiver.requests[0].body)
    assert sent["recipient"] == {"email": "ann@example.com", "displayName": "Ann Lee"}


def test_hostile_names_are_runs_of_text(to, receiver):
    event = events.failed(
        [events.user(login) for login in events.HOSTILE], message="**b** [l](http://x) <at>a</at>"
    )
    assert events.send(KIND, event, to).result is Result.DELIVERED
    assert b"entities" not in receiver.requests[0].body  # without it Teams makes no mention of <at>


@pytest.mark.parametrize(
    ("status", "result", "word"),
    [
        (401, Result.PERMANENT, "signature"),
        (404, Result.PERMANENT, "turned off"),
        (429, Result.RETRYABLE, "429"),
        (502, Result.RETRYABLE, "502"),
    ],
)
def test_what_a_workflow_answers(receiver, status, result, word):
    receiver.script(
        "/hook", Behaviour(status=status, body=b'{"error":{"code":"X"}}', headers=[("Retry-After", "9")])
    )
    outcome = events.send(KIND, events.failed(), events.target(KIND, {"url": receiver.url("/hook")}))
    assert (outcome.result, outcome.retry_after) == (result, 9)
    assert word in outcome.reason


def test_the_url_is_a_secret():
    cleaned = KIND.clean({"url": URL})
    assert KIND.sealed_urls == {"url": "Workflow URL"}
    assert "verysecret" not in f"{cleaned}{KIND.describe(cleaned.settings)}"


@pytest.mark.parametrize("url", ["http://prod.logic.azure.com/x", "teams", ""])
def test_a_bad_url_is_refused(url):
    with pytest.raises(InvalidDocument) as caught:
        KIND.clean({"url": url})
    assert list(caught.value.errors) == ["url"]


def test_a_note_that_one_is_cured_names_the_person(to, receiver):
    assert events.send(KIND, events.note(), to).result is Result.DELIVERED
    assert json.loads(receiver.requests[0].body)["recipient"]["email"] == "ann@example.com"


def body_of(event):
    return json.loads(KIND.render(event, events.target(KIND, {"url": URL})).body)["attachments"][0][
        "content"
    ]["body"]


def text_and_spacing(element):
    texts = [element["text"]] if "text" in element else [run["text"] for run in element["inlines"]]
    return "".join(texts), element.get("spacing", "")


def test_lines_stand_apart_where_the_author_left_a_blank_line():
    message = MessageText(parse_markdown("Hello Kim,\n\nOne.\nTwo.\n\nTo do:\n- a\n- b\n\n1. c"))
    shown = list(map(text_and_spacing, body_of(events.direct(message=message))))[1:]
    assert shown == [
        ("Hello Kim,", ""), ("One.", ""), ("Two.", "None"), ("To do:", ""), ("• a", "None"), ("• b", "None"), ("1. c", ""),
    ]  # fmt: skip


def test_a_person_reads_no_severity_and_no_tags():
    for event in (events.direct(message="Please act."), events.note()):
        assert "Severity" not in json.dumps(body_of(event))
    assert "Severity: critical" in json.dumps(body_of(events.failed()))


def test_users_stand_apart_from_the_text_above_and_from_each_other():
    assert [
        spacing for text, spacing in map(text_and_spacing, body_of(events.failed())) if "user0" in text
    ] == [
        "Small",
        "Small",
    ]
