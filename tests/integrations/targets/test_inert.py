"""Whatever a name or a message holds, it stays text at every destination.

For every kind and every hostile text: the message has the same structure as one with letters in its place (so the text
made no element, key, header, line or recipient), holds nothing that the destination would obey, and turns the direction of
nothing beside it.

`DESTINATIONS` is this test's own knowledge of each vendor: in which fields text from outside may stand, and what the
vendor obeys there. A kind without an entry fails, and so does text in a field that is not listed.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from email import message_from_bytes, policy
from email.message import EmailMessage
from html import unescape
from html.parser import HTMLParser
from itertools import product
from typing import Any

import pytest
from markdown_it import MarkdownIt

from integrations.target_data import RenderedBody, Target
from integrations.targets import KINDS
from integrations.targets.shared import summary
from integrations.targets.shared.mail.mail_kind import MailKind
from integrations.targets.shared.target_kind import Inert
from tests.integrations.targets import events
from tests.integrations.targets.test_every_kind import SAMPLES, WEBHOOK, document

CASES = [(slug, sample) for slug in KINDS for sample in (SAMPLES | {"webhook": [WEBHOOK]}).get(slug, [{}])]
FOR_PEOPLE = [case for case in CASES if KINDS[case[0]].inert is not Inert.DATA]


def kinds(cases: list[tuple[str, dict[str, Any]]]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize(("slug", "sample"), cases, ids=[slug for slug, _ in cases])


# What a field obeys in a text; nothing in a field that shows text as it is.
Obeys = Callable[[str], list[str]]


def nothing(text: str) -> list[str]:
    return []


def mentions(text: str) -> list[str]:
    """Slack reads <!channel>, <@U0123> and <https://…|…> even where mrkdwn is off."""
    return re.findall("<", text)


def code(text: str) -> list[str]:
    """ServiceNow shows as HTML what stands within [code]: links alone, each of text."""
    rest = re.sub(
        r'\[code\]<a href="(?:https://|mailto:)[^"<>\[\]]*" target="_blank">[^<>]*</a>\[/code\]', "", text
    )
    return re.findall(r"\[/?code\]", rest, re.IGNORECASE)


def html(text: str) -> list[str]:
    """Widgets of Google Chat read simple HTML: the author's emphasis and links alone."""
    rest = re.sub(r'</?[bi]>|<br>|<a href="(?:https://author\.example/|mailto:)[^"<>]*">|</a>', "", text)
    return re.findall(r"[<>]|&(?!(?:lt|gt|amp|quot|#x27);)", rest)


def address(text: str) -> list[str]:
    """A link leads where its author wrote, and its address holds nothing that ends it in a text."""
    return [] if re.fullmatch(r"https://author\.example/[^\s<>\"'()\[\]|\\`{}*]*", text) else [text]


# The fields of a JSON body, each with the ``type`` of the objects on the way. No entry: the body is not JSON.
JSON_FIELDS: Mapping[str, Mapping[str, Obeys]] = {
    # https://docs.slack.dev/reference/block-kit/blocks/rich-text-block and …/composition-objects/text-object
    "slack": {
        "text": mentions,
        "blocks[]:header.text:plain_text.text": nothing,
        "blocks[]:rich_text.elements[]:rich_text_section.elements[]:text.text": nothing,
        "blocks[]:rich_text.elements[]:rich_text_list.elements[]:rich_text_section.elements[]:text.text": nothing,
        "blocks[]:rich_text.elements[]:rich_text_list.elements[]:rich_text_section.elements[]:link.text": nothing,
        "blocks[]:rich_text.elements[]:rich_text_list.elements[]:rich_text_section.elements[]:link.url": address,
    },
    # See card_lines()
    "teams": {
        "attachments[].content:AdaptiveCard.body[].line[].text": nothing,
        "attachments[].content:AdaptiveCard.body[].line[].url": address,
        "recipient.displayName": nothing,
    },
    # ``text`` is plain; ``markdown`` would be read: https://developer.webex.com/docs/api/v1/messages/create-a-message
    "webex": {
        "attachments[].content:AdaptiveCard.body[].line[].text": nothing,
        "attachments[].content:AdaptiveCard.body[].line[].url": address,
        "text": nothing,
    },
    # https://developer.atlassian.com/cloud/jira/platform/apis/document/nodes/text/
    "jira": {
        f"{place}:doc.content[]{node}:paragraph.content[]:text.{field}": obeys
        for place in ("fields.description", "text")
        for node in ("", *(f":{kind}List.content[]:listItem.content[]" for kind in ("bullet", "ordered")))
        for field, obeys in {"text": nothing, "marks[]:link.attrs.href": address}.items()
    },
    # https://www.servicenow.com/docs/: journal fields and the [code] tag
    "servicenow": {
        "change.work_notes": code,
        "change.close_notes": code,
        "incident.description": code,
        "incident.work_notes": code,
    },
    # https://developers.google.com/workspace/chat/format-messages#card-formatting
    "googlechat": {
        "cardsV2[].card.sections[].widgets[].textParagraph.text": html,
    },
    # https://developer.pagerduty.com/docs/events-api-v2/trigger-events/: custom details are shown as they are
    "pagerduty": {
        "payload.custom_details.description[]": nothing,
        "payload.custom_details.users[]": nothing,
        "links[].text": nothing,
        "links[].href": address,
    },
}
# Kinds whose stored body is a mail.
MAILS = frozenset(slug for slug, kind in KINDS.items() if isinstance(kind, MailKind))
# How each kind has to keep text inert.
DESTINATIONS = {
    "webhook": Inert.DATA,
    "file": Inert.DATA,
    "eventbridge": Inert.DATA,
    "splunk": Inert.DATA,
    "sentinel": Inert.DATA,
    "snowflake": Inert.DATA,
    "teams": Inert.PLAIN,
    "webex": Inert.PLAIN,
    "jira": Inert.PLAIN,
    "pagerduty": Inert.PLAIN,
    "slack": Inert.ESCAPED,
    "googlechat": Inert.ESCAPED,
    "servicenow": Inert.ESCAPED,
    "email": Inert.ESCAPED,
    "sendgrid": Inert.ESCAPED,
    "mailgun": Inert.ESCAPED,
    "msgraph": Inert.ESCAPED,
}


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


def resolved(text: str) -> dict[str, Any]:
    event = events.resolved()
    event["detail"] |= {"usersResolved": [text], "loginDetails": [events.user(text)]}
    return event


def formatted(text: str) -> dict[str, Any]:
    """Emphasis, lists and links of an author, among them the text."""
    # A text without visible characters leaves nothing of its run.
    shown = text if summary.visible_line(text) else "kim"
    return events.failed(message=events.formatted(shown))


def makes(slug: str) -> list[Callable[[str], dict[str, Any]]]:
    lists = [failed, formatted, resolved]
    return [*lists, direct] if "user" in KINDS[slug].audiences else lists


def harmless(text: str) -> str:
    """As long, with the same line breaks, of letters alone."""
    return re.sub(r"[^\r\n]", "x", text)


def rendered(slug: str, sample: dict[str, Any], event: dict[str, Any]) -> bytes:
    assert slug in DESTINATIONS, f"{slug}: add to DESTINATIONS how its destination reads text"
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


# Splunk cuts an event at 10,000 bytes, so that a longer name is shortened.
LONGEST, CUT = {"splunk": 300}, 10_000


def data_of(body: bytes) -> Any:
    """A JSON body, with the lines of its Adaptive Card as a client shows them. Splunk's has an object a line."""
    if b"\n" in body:
        return [json.loads(line) for line in body.split(b"\n")]
    data = json.loads(body)
    for attachment in data.get("attachments", []) if isinstance(data, dict) else []:
        content = attachment["content"]
        content["body"] = [{"line": card_line(element)} for element in content["body"]]
    return data


def card_line(element: dict[str, Any]) -> list[dict[str, Any]]:
    """The runs of one line of a card. A TextRun holds no markup (https://adaptivecards.io/explorer/TextRun.html); a
    TextBlock is read as Markdown, here with all that any client knows, and addresses become links."""
    if element["type"] == "RichTextBlock":
        return [_card_run(run) for run in element["inlines"]]
    runs: list[dict[str, Any]] = []
    style = {"bold": 0, "italic": 0}
    url = ""
    (block,) = [token for token in CLIENT.parse(element["text"]) if token.type == "inline"]
    for token in block.children:
        if token.type == "link_open":
            url = token.attrs["href"]
        elif token.type == "link_close":
            url = ""
        elif token.type in ("strong_open", "strong_close"):
            style["bold"] += token.nesting
        elif token.type in ("em_open", "em_close"):
            style["italic"] += token.nesting
        elif token.content:
            run = {
                "text": token.content,
                "bold": style["bold"] > 0,
                "italic": style["italic"] > 0,
                "url": url,
            }
            runs.append(run)
    return runs


CLIENT = MarkdownIt("js-default")


def _card_run(run: dict[str, Any]) -> dict[str, Any]:
    url = run.get("selectAction", {}).get("url", "")
    return {
        "text": run["text"],
        "bold": run.get("weight") == "Bolder",
        "italic": run.get("italic", False),
        "url": url,
    }


def skeleton(slug: str, body: bytes) -> Any:
    """The structure without its texts."""
    if slug not in MAILS:
        return _bones(data_of(body))
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


def fields(value: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """Each text of a document with its path: ``blocks[]:header.text:plain_text.text``."""
    if isinstance(value, dict):
        kind = f":{value['type']}" if path and isinstance(value.get("type"), str) else ""
        for key, item in value.items():
            yield from fields(item, f"{path}{kind}.{key}" if path else key)
    elif isinstance(value, list):
        for item in value:
            yield from fields(item, f"{path}[]")
    elif isinstance(value, str):
        yield path, value


def leaves(value: Any) -> list[str]:
    return [text for _, text in fields(value)]


def texts(slug: str, body: bytes) -> list[str]:
    """All that the destination shows."""
    if slug not in MAILS:
        return leaves(data_of(body))
    mail = mail_of(body)
    page = Elements(mail.get_body(("html",)).get_content())
    return [*map(str, mail.values()), mail.get_body(("plain",)).get_content(), page.text]


def obeyed(slug: str, hostile: bytes, harmless: bytes) -> list[str]:
    """What the destination obeys of the text by which both bodies differ; text in an unknown field counts as that."""
    if slug in MAILS:
        return []  # Compared by structure alone: the elements of its page, its headers and recipients.
    found = []
    for (path, text), (_, other) in zip(fields(data_of(hostile)), fields(data_of(harmless)), strict=True):
        if text != other:
            obeys = JSON_FIELDS[slug].get(path)
            found += [f"{path} is not a known field"] if obeys is None else obeys(text)
    return found


@kinds(CASES)
def test_it_makes_no_structure(slug, sample):
    for make, hostile in product(makes(slug), HOSTILE):
        bones = skeleton(slug, rendered(slug, sample, make(hostile)))
        assert bones == skeleton(slug, rendered(slug, sample, make(harmless(hostile)))), hostile


@kinds(FOR_PEOPLE)
def test_it_is_no_markup_and_turns_nothing(slug, sample):
    for make, hostile in product(makes(slug), HOSTILE):
        body = rendered(slug, sample, make(hostile))
        assert obeyed(slug, body, rendered(slug, sample, make(harmless(hostile)))) == [], hostile
        for text in texts(slug, body):
            assert not TURNS & set(text), hostile
            assert text.count("\u2068") == text.count("\u2069"), hostile


@kinds(FOR_PEOPLE)
def test_it_is_text_in_the_console_s_preview_too(slug, sample):
    kind = KINDS[slug]
    to = events.target(kind, document(sample))

    def page(text: str) -> Elements:
        return Elements(kind.preview(rendered(slug, sample, formatted(text)), to).page)

    for hostile in (text for text in HOSTILE if len(text) < 1000):
        shown = summary.visible_line(hostile) and hostile
        assert page(hostile).found == page(harmless(shown) or "kim").found, hostile


# --- Links ------------------------------------------------------------------------------------------
def links_in(slug: str, body: bytes) -> dict[str, str]:
    """Address → text of all that can be clicked."""
    if slug in MAILS:
        page = mail_of(body).get_body(("html",)).get_content()
        found = re.findall(r'<a href="([^"]*)"[^>]*>(.*?)</a>', page)
    elif slug == "servicenow":
        note = json.loads(body)["change"]["work_notes"]
        found = re.findall(r'\[code\]<a href="([^"]*)"[^>]*>(.*?)</a>\[/code\]', note)
    elif slug == "googlechat":
        found = list(_json_links(data_of(body)))
        for text in (text for path, text in fields(data_of(body)) if path.endswith("textParagraph.text")):
            found += re.findall(r'<a href="([^"]*)">(.*?)</a>', text)
    else:
        found = list(_json_links(data_of(body)))
    return {unescape(url): unescape(text) for url, text in found}


def _json_links(value: Any) -> Iterator[tuple[str, str]]:
    if isinstance(value, list):
        for item in value:
            yield from _json_links(item)
    elif isinstance(value, dict):
        hrefs = [mark["attrs"]["href"] for mark in value.get("marks", []) if "attrs" in mark]
        opened = value.get("onClick", {}).get("openLink", {}).get("url", "")
        url = value.get("url") or value.get("href") or "".join(hrefs) or opened
        text = value.get("text") or value.get("title")
        if url and text:
            yield url, text["text"] if isinstance(text, dict) else text
        for item in value.values():
            yield from _json_links(item)


@kinds(FOR_PEOPLE)
def test_the_links_of_its_author_and_of_the_product_can_be_clicked(slug, sample):
    assert links_in(slug, rendered(slug, sample, formatted("kim"))) == {
        "https://author.example/?user=kim": "Set it up for kim",
        "https://author.example/kim": "https://author.example/kim",
        "mailto:help@author.example": "help@author.example",
        events.LINK: "Open the check",
    }


@kinds(FOR_PEOPLE)
def test_no_text_makes_a_link_or_leads_one_elsewhere(slug, sample):
    for hostile in (text for text in HOSTILE if len(text) < 1000):
        urls = list(links_in(slug, rendered(slug, sample, formatted(hostile))))
        assert len(urls) == 4, hostile
        assert all(
            url.startswith(("https://author.example/", "mailto:help@", events.LINK)) for url in urls
        ), hostile


@kinds([case for case in CASES if case not in FOR_PEOPLE])
def test_data_is_handed_on_to_the_letter(slug, sample):
    for hostile in HOSTILE:
        text = hostile if len(hostile) < CUT else hostile[: LONGEST.get(slug)]
        assert text in leaves(data_of(rendered(slug, sample, failed(hostile)))), hostile


@kinds(FOR_PEOPLE)
def test_a_name_of_ten_thousand_letters_leaves_room_for_the_others(slug, sample):
    shown = texts(slug, rendered(slug, sample, events.failed([events.user("n" * 10_000), *events.users(1)])))
    assert any("user00000@example.com" in text for text in shown)
    assert not any("n" * 201 in text for text in shown)


def test_each_kind_declares_what_this_test_knows_of_its_destination():
    assert {slug: kind.inert for slug, kind in KINDS.items()} == DESTINATIONS
    assert {slug for slug, inert in DESTINATIONS.items() if inert is not Inert.DATA} == {
        *JSON_FIELDS,
        *MAILS,
    }


@pytest.mark.parametrize("declared", list(Inert))
@pytest.mark.parametrize("known_as", [None, *Inert])
def test_a_kind_that_sends_markup_fails_whatever_it_declares(monkeypatch, declared, known_as):
    """This module's tests, on a kind that puts names into a page as they are."""
    monkeypatch.setitem(KINDS, "careless", Careless(declared))
    if known_as:
        monkeypatch.setitem(DESTINATIONS, "careless", known_as)
    with pytest.raises((AssertionError, KeyError)):
        prove_inert("careless", WEBHOOK)


def prove_inert(slug: str, sample: dict[str, Any]) -> None:
    test_each_kind_declares_what_this_test_knows_of_its_destination()
    test_it_makes_no_structure(slug, sample)
    if KINDS[slug].inert is Inert.DATA:
        test_data_is_handed_on_to_the_letter(slug, sample)
    else:
        test_it_is_no_markup_and_turns_nothing(slug, sample)


class Careless:
    slug = "careless"
    audiences = frozenset({"list"})
    max_bytes = 1_000_000

    def __init__(self, inert: Inert) -> None:
        self.inert = inert

    def clean(self, document, stored=None):
        return KINDS["webhook"].clean(document, stored)

    def render(self, event, target):
        page = "".join(f"<li>{login}</li>" for login in event["detail"]["usersFailing"])
        return RenderedBody(json.dumps({"html": page}).encode())
