"""The two parts of a mail: what they say, and that nothing in them is markup, loaded or a link that is not ours."""

import re
from dataclasses import replace
from email import message_from_bytes, policy
from html.parser import HTMLParser
from itertools import product

import pytest

from integrations.target_data import MessageFrame
from integrations.targets.email.kind import Email
from integrations.targets.shared.mail.parts import LAYOUT
from tests.integrations.targets import events

KIND = Email()
PAGE = "https://intranet.example.com/mfa?a=1&b=2"
FRAME = MessageFrame(
    subject="Your account: no second sign-in step",
    footer="You get this message because an automatic check found something on your account.",
    organization="Acme",
    instructions_url=PAGE,
    logo_url="https://www.example.com/logo.png",
    accent="#7a1fa2",
)
MESSAGE = (
    "Hello Kim,\n\nYour account has no second sign-in step.\nAccount: kim@example.com\n\n"
    f"What to do:\n- Set one up.\n- Try it.\n\nHow to do it: {PAGE}\n\nIf you have questions, ask Ann."
)
TARGET = {"host": "127.0.0.1", "security": "none", "sender": "checks@example.com", "to": ["soc@example.com"]}
TEXT_ELEMENTS = {"td", "th", "p", "li", "ul", "h1", "a", "img"}


class Elements(HTMLParser):
    """The elements of a page with their attributes, its text by element, and its style sheets."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.sheets: list[str] = []
        self._last = ""
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self._last = tag
        self.found.append((tag, dict(attrs)))

    def handle_data(self, data):
        (self.sheets if self._last == "style" else self.texts).append(data.strip())

    def of(self, tag):
        return [attributes for found, attributes in self.found if found == tag]

    @property
    def text(self):
        return " ".join(text for text in self.texts if text)


def mail(event, frame=FRAME):
    body = KIND.render(event, replace(events.target(KIND, TARGET), frame=frame)).body
    return message_from_bytes(body, policy=policy.default)


def parts(event, frame=FRAME):
    found = mail(event, frame)
    html = found.get_body(("html",)).get_content()
    return found.get_body(("plain",)).get_content().replace("\r\n", "\n"), Elements(html), html


def test_the_parts_say_the_same_in_the_same_order():
    text, page, _ = parts(events.direct(message=MESSAGE))
    said = [
        "Your account: no second sign-in step", "Hello Kim,", "Your account has no second sign-in step.", "Set one up.",
        "How to do it", "If you have questions, ask Ann.", FRAME.footer,
    ]  # fmt: skip
    for shown in (text, page.text[page.text.rindex(FRAME.subject) :]):
        places = [shown.index(sentence) for sentence in said]
        assert places == sorted(places)
    assert f"How to do it: {PAGE}\n" in text


def test_the_instructions_are_a_button_in_the_installations_colour():
    _, page, html = parts(events.direct(message=MESSAGE))
    (link,) = page.of("a")
    assert link["href"] == PAGE
    assert 'bgcolor="#7a1fa2"' in html
    assert page.texts[page.texts.index("How to do it")]
    assert PAGE not in page.text


def test_a_message_that_does_not_name_the_instructions_gets_them_at_its_end():
    text, page, _ = parts(events.direct(message="Please act."))
    assert f"Please act.\n\nHow to do it: {PAGE}" in text
    assert [link["href"] for link in page.of("a")] == [PAGE]


def test_a_mailbox_shows_the_finding_beside_the_subject():
    _, _, html = parts(events.direct(message=MESSAGE))
    hidden = re.search(r'<div style="display:none[^"]*">([^<]*)</div>', html)
    assert hidden[1] == "Your account has no second sign-in step."


def test_styles_stand_in_the_elements_and_the_sheet_only_adapts_them():
    for event in (events.direct(message=MESSAGE), events.failed(events.users(3))):
        _, page, _ = parts(event)
        bare = [tag for tag, attributes in page.found if tag in TEXT_ELEMENTS and "style" not in attributes]
        # One row around the card, and the rows of layout tables, carry no text of their own.
        assert bare == []
        (sheet,) = filter(None, page.sheets)
        assert (
            re.sub(r"@media \([^)]*\)\{(?:[^{}]*\{[^}]*\})*\}", "", sheet).strip()
            == ":root{color-scheme:light dark}"
        )
        assert "prefers-color-scheme:dark" in sheet


def test_a_list_with_reasons_is_a_table():
    people = [
        events.user("kim@example.com", lastSignIn="2025-10-09T00:00:00Z", sourcesWithoutMfa=["okta"]),
        events.user("lee@example.com"),
    ]
    text, page, _ = parts(events.failed(people), replace(FRAME, subject="", names=["Kim Doe"]))
    assert (
        "User Why Kim Doe kim@example.com Last sign-in: 9 October 2025, 114 days ago No second step at: Okta"
        in page.text
    )
    assert (
        "- Kim Doe (kim@example.com) — Last sign-in: 9 October 2025, 114 days ago; No second step at: Okta\n"
        "- lee@example.com\n"
    ) in text


def test_nothing_is_loaded_but_the_logo_and_every_link_is_https():
    for frame in (FRAME, MessageFrame()):
        for event in (events.direct(message=MESSAGE), events.failed(), events.connectivity()):
            _, page, html = parts(event, frame)
            assert [image["src"] for image in page.of("img")] == ([FRAME.logo_url] if frame.logo_url else [])
            assert not re.search(r"url\(|@import|<link|<script|<iframe", html)
            assert all(link["href"].startswith("https://") for link in page.of("a"))


@pytest.mark.parametrize("url", ["http://example.com/", "javascript:alert(1)"])
def test_an_address_that_is_not_https_is_no_link_and_no_image(url):
    frame = replace(FRAME, instructions_url=url, logo_url=url)
    event = events.failed(link=url)
    for made in (event, events.direct(message=f"How to do it: {url}")):
        _, page, _ = parts(made, frame)
        assert page.of("a") == page.of("img") == []


def test_text_from_outside_is_text_wherever_it_stands():
    markup = '<img src=x onerror=alert(1)>"\'{{ 7|add:7 }}{% now "Y" %}'
    frame = replace(
        FRAME,
        subject=markup,
        footer=markup,
        organization=markup,
        names=[f"{markup} Doe"],
        logo_url="",
    )
    person = events.user(markup, lastSignIn=markup)
    for event in (
        events.direct("ann@example.com", markup, message=markup),
        events.failed([person], message=markup),
    ):
        text, page, html = parts(event, frame)
        assert page.of("img") == []
        assert "onerror=alert(1)&gt;" in html
        assert markup in text
        assert markup in page.text


def test_a_mail_has_the_headers_that_filters_miss_otherwise():
    found = mail(events.direct(message=MESSAGE))
    for name in (
        "From",
        "To",
        "Subject",
        "Date",
        "Message-ID",
        "MIME-Version",
        "Auto-Submitted",
        "Content-Language",
    ):
        assert found[name], name
    assert [part.get_content_type() for part in found.iter_parts()] == ["text/plain", "text/html"]


def test_the_layout_is_short_enough_for_mailboxes_that_cut():
    """Gmail shows 102 KB of a mail."""
    _, _, html = parts(
        events.failed(
            [events.user(f"user{n:05d}@example.com", lastSignIn="2026-01-01T00:00:00Z") for n in range(200)]
        )
    )
    assert len(html.encode()) < 102_000
    assert len(LAYOUT.read_bytes()) < 10_000


@pytest.mark.browser
def test_a_mail_fits_a_phone_and_a_window_in_both_themes(tmp_path, chromium):
    people = [events.user(f"user{n}@example.com", lastSignIn="2026-01-01T00:00:00Z") for n in range(3)]
    long = "https://intranet.example.com/" + "x" * 300
    made = [
        events.direct(message=MESSAGE),
        events.failed(people),
        events.direct(message=f"Read {long} today."),
    ]
    for number, event in enumerate(made):
        page_file = tmp_path / f"{number}.html"
        page_file.write_text(parts(event, replace(FRAME, logo_url=""))[2], encoding="utf-8")
        for width, scheme in product((390, 800), ("light", "dark")):
            page = chromium.new_page(viewport={"width": width, "height": 844}, color_scheme=scheme)
            page.goto(page_file.as_uri())
            assert page.evaluate("document.documentElement.scrollWidth") <= width
            text, ground = page.evaluate(
                "[getComputedStyle(document.querySelector('h1')).color, "
                "getComputedStyle(document.querySelector('.card')).backgroundColor]"
            )
            assert (_lightness(text) > _lightness(ground)) == (scheme == "dark")
            page.close()


def _lightness(colour):
    return sum(map(int, re.findall(r"\d+", colour)[:3]))
