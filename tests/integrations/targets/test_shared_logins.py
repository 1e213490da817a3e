"""Two users with the same login: each kind writes the details, name and page of each of them."""

import json
import re
from dataclasses import replace
from email import message_from_bytes, policy

import pytest

from integrations.target_data import MessageFrame
from integrations.targets import KINDS
from integrations.targets.shared.mail.mail_kind import MailKind
from integrations.targets.webhook.bodies import render_body
from tests.integrations.targets import events
from tests.integrations.targets.test_every_kind import SAMPLES, document

SHARED = "shared@example.com"
# In the order of the event, which is not that of the names.
USERS = [
    events.user(SHARED, department="South"),
    events.user("kim@example.com", department="West"),
    events.user(SHARED, department="North"),
]
PAGES = [f"https://identity.example.com/users/{number}/" for number in (2, 3, 1)]
FRAME = MessageFrame(names=["Bob Beta", "", "Ann Alpha"], user_urls=PAGES)
EVENTS = {"FAILED_CHECK": events.failed(USERS)}
EVENTS["CHECK_RESOLVED"] = {
    **EVENTS["FAILED_CHECK"],
    "detail-type": "CHECK_RESOLVED",
    "detail": {
        **{key: value for key, value in EVENTS["FAILED_CHECK"]["detail"].items() if key != "usersFailing"},
        "usersResolved": [user["login"] for user in USERS],
    },
}
each_event = pytest.mark.parametrize("event", EVENTS.values(), ids=EVENTS)
FOR_PEOPLE = [slug for slug in SAMPLES if not KINDS[slug].is_for_programs and "list" in KINDS[slug].audiences]
FOR_PROGRAMS = [slug for slug in SAMPLES if KINDS[slug].is_for_programs]


def shown_and_html(slug: str, event: dict) -> tuple[str, str]:
    """The body as text, and a mail's HTML part; the same text twice for a kind that sends no mail."""
    target = replace(events.target(KINDS[slug], document(SAMPLES[slug][0])), frame=FRAME)
    body = KINDS[slug].render(event, target).body
    shown = KINDS[slug].show(body, target)
    if not isinstance(KINDS[slug], MailKind):
        return shown, shown
    html = message_from_bytes(body, policy=policy.SMTPUTF8).get_body(("html",))
    return shown, html.get_content()


@each_event
@pytest.mark.parametrize("slug", FOR_PEOPLE)
def test_a_message_names_each_user_with_their_own_details_by_name(slug, event):
    text, _ = shown_and_html(slug, event)
    found = re.findall("Ann Alpha|Bob Beta|kim@example.com|North|South|West", text)
    expected = ["Ann Alpha", "North", "Bob Beta", "South", "kim@example.com", "West"]
    assert list(dict.fromkeys(found)) == expected
    assert text.count("Ann Alpha") == text.count("Bob Beta")


@pytest.mark.parametrize("slug", [slug for slug in FOR_PEOPLE if slug != "pagerduty"])
def test_each_name_leads_to_the_page_of_its_user(slug):
    _, html = shown_and_html(slug, EVENTS["FAILED_CHECK"])
    found = re.findall(r"/users/(\d)/", html)
    assert list(dict.fromkeys(found)) == ["1", "2", "3"]


@each_event
@pytest.mark.parametrize("slug", FOR_PROGRAMS)
def test_a_program_gets_the_details_of_each_user_in_the_events_order(slug, event):
    shown, _ = shown_and_html(slug, event)
    assert re.findall("North|South|West", shown) == ["South", "West", "North"]


@each_event
def test_a_body_template_has_the_details_of_each_user(event):
    text = '{"x": [{% for user in users %}{{ user.details.department | json }}{% unless forloop.last %},{% endunless %}{% endfor %}]}'
    assert render_body(text, event) == {"x": ["South", "West", "North"]}


def test_the_contracts_event_is_as_it_was():
    webhook = {
        "url": "https://x.example.com/",
        "authorization": {"type": "basic", "username": "a", "password": "b"},
    }
    target = replace(events.target(KINDS["webhook"], webhook), frame=FRAME)
    assert json.loads(KINDS["webhook"].render(EVENTS["FAILED_CHECK"], target).body) == EVENTS["FAILED_CHECK"]
