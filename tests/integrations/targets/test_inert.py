"""Whatever a name or a message holds, it stays text at every destination.

For every kind and every hostile text: the message has the same structure as one with letters in its place (so the text
made no element, key, header, line or recipient), holds nothing that the destination would obey, and turns the direction of
nothing beside it.
"""

import json
import re
from collections.abc import Callable
from email import message_from_bytes, policy
from email.message import EmailMessage
from html.parser import HTMLParser
from itertools import product
from typing import Any

import pytest

from integrations.targets import KINDS
from integrations.targets.base import Target
from tests.integrations.targets import events
from tests.integrations.targets.test_every_kind import SAMPLES, document

WEBHOOK = {
    "url": "https://x.example.com/",
    "authorization": {"type": "api_key", "name": "x-key", "value": "secret"},
}
CASES = [(slug, sample) for slug, samples in (SAMPLES | {"webhook": [WEBHOOK]}).items() for sample in samples]
# These hand the event on as data, letter by letter; the others write a message for people.
DATA = {"webhook", "file", "sentinel", "snowflake"}
FOR_PEOPLE = [case for case in CASES if case[0] not in DATA]


def kinds(cases: list[tuple[str, dict[str, Any]]]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize(("slug", "sample"), cases, ids=[slug for slug, _ in cases])


# ServiceNow shows as HTML what stands within [code].
HOSTILE = [*events.HOSTILE, "[code]<b>x</b>[/code]"]
TURNS = set("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u200e\u200f\u061c")


def failed(text: str) -> dict[str, Any]:
    """The text wherever others than an administrator can write: login, reason, and the message that quotes them."""
    return events.failed(
        [events.user(text, jobTitle=text), events.user("kim@example.com")], message=f"Hi {text}!"
    )


def direct(text: str) -> dict[str, Any]:
    event = events.direct("ann@example.com", text, message=f"Hi {text}!")
    event["detail"]["recipient"]["displayName"] = text
    return event


def makes(slug: str) -> list[Callable[[str], dict[str, Any]]]:
    return [failed, direct] if "user" in KINDS[slug].audiences else [failed]


def harmless(text: str) -> str:
    """As long, with the same line breaks, of letters alone."""
    return re.sub(r"[^\r\n]", "x", text)


def rendered(slug: str, sample: dict[str, Any], event: dict[str, Any]) -> bytes:
    kind = KINDS[slug]
    target: Target = events.target(kind, document(sample))
    body = kind.render(event, target).body
    assert len(body) <= kind.max_bytes
    return body


def mail_of(body: bytes) -> EmailMessage:
    mail = message_from_bytes(body, policy=policy.default)
    assert isinstance(mail, EmailMessage)
    return mail


class Elements(HTMLParser):
    """The elements of a page with their attributes' names, and its text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.found: list[Any] = []
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, [name for name, _ in attrs]))

    def handle_endtag(self, tag):
        self.found.append(tag)

    def handle_data(self, data):
        self.text += data


def skeleton(slug: str, body: bytes) -> Any:
    """The structure without its texts."""
    if slug != "email":
        return _bones(json.loads(body))
    mail = mail_of(body)
    html = mail.get_body(("html",)).get_content()
    return [
        mail.keys(),
        [address.addr_spec for name in ("To", "From") for address in mail[name].addresses],
        [part.get_content_type() for part in mail.walk()],
        Elements(html).found,
    ]


def _bones(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _bones(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_bones(item) for item in value]
    return "" if isinstance(value, str) else value


def leaves(value: Any) -> list[str]:
    if isinstance(value, dict):
        return [text for item in value.values() for text in leaves(item)]
    if isinstance(value, list):
        return [text for item in value for text in leaves(item)]
    return [value] if isinstance(value, str) else []


def texts(slug: str, body: bytes) -> list[str]:
    """All that the destination shows."""
    if slug != "email":
        return leaves(json.loads(body))
    mail = mail_of(body)
    page = Elements(mail.get_body(("html",)).get_content())
    return [*map(str, mail.values()), mail.get_body(("plain",)).get_content(), page.text]


def markup(slug: str, body: bytes) -> list[str]:
    """What in a message the destination would obey. TextRun and the Atlassian Document Format hold no markup; nor
    do Slack's rich text elements, Webex's ``text``, PagerDuty's fields and plain mail. The page of a mail is compared by structure."""
    if slug == "email":
        return []
    made = json.loads(body)
    match slug:
        case "slack":
            emphasis = "" if made["mrkdwn"] is False else "|[*_~`]"
            read = [
                made["text"],
                *(item["text"] for item in objects(made["blocks"]) if item.get("type") == "mrkdwn"),
            ]
            return [found for text in read for found in re.findall(f"<{emphasis}", text)]
        case "webex":
            return (
                leaves([made.get("markdown", ""), made.get("html", "")])
                if {"markdown", "html"} & set(made)
                else []
            )
        case "teams":
            return [item["text"] for item in objects(made) if item.get("type") == "TextBlock"]
        case "servicenow":
            return re.findall(r"\[/?code\]", body.decode(), re.IGNORECASE)
        case _:
            return []


def objects(value: Any) -> list[dict[str, Any]]:
    if isinstance(value, list):
        return [found for item in value for found in objects(item)]
    return [value, *objects(list(value.values()))] if isinstance(value, dict) else []


@kinds(CASES)
def test_it_makes_no_structure(slug, sample):
    for make, hostile in product(makes(slug), HOSTILE):
        bones = skeleton(slug, rendered(slug, sample, make(hostile)))
        assert bones == skeleton(slug, rendered(slug, sample, make(harmless(hostile)))), hostile


@kinds(FOR_PEOPLE)
def test_it_is_no_markup_and_turns_nothing(slug, sample):
    for make, hostile in product(makes(slug), HOSTILE):
        body = rendered(slug, sample, make(hostile))
        assert markup(slug, body) == [], hostile
        for text in texts(slug, body):
            assert not TURNS & set(text), hostile
            assert text.count("\u2068") == text.count("\u2069"), hostile


@kinds([case for case in CASES if case[0] in DATA])
def test_data_is_handed_on_to_the_letter(slug, sample):
    for hostile in HOSTILE:
        assert hostile in leaves(json.loads(rendered(slug, sample, failed(hostile)))), hostile


@kinds(FOR_PEOPLE)
def test_a_name_of_ten_thousand_letters_leaves_room_for_the_others(slug, sample):
    shown = texts(slug, rendered(slug, sample, events.failed([events.user("n" * 10_000), *events.users(1)])))
    assert any("user00000@example.com" in text for text in shown)
    assert not any("n" * 201 in text for text in shown)


def test_every_kind_is_among_these():
    assert {slug for slug, _ in CASES} == set(KINDS)
