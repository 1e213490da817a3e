"""The summary that every chat, mail and ticket is made from."""

import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from integrations.targets import text
from tests.integrations.targets import events


def test_a_list_says_how_many_who_first_and_how_many_more():
    said = text.summary(events.failed(events.users(50)), people=20)
    assert said.headline == "50 users newly failing: No MFA Configured"
    assert (len(said.people), said.more, said.total, said.part) == (20, 30, 50, "")
    assert said.people[0].line == "user00000@example.com (last sign in: 2026-01-01T00:00:00Z)"
    assert said.and_more == "… and 30 more; the page shows all of them."


def test_a_part_of_a_list_counts_its_own_rest():
    batch = events.payloads.Batch(2, 3, 120)
    said = text.summary(events.failed(events.users(50), batch=batch), people=20)
    assert (said.more, said.total, said.part) == (30, 120, "2 of 3")


def test_one_message_may_speak_of_more_users_than_the_event_holds():
    batch = events.payloads.Batch(1, 1, 1_000_000)
    said = text.summary(events.failed(events.users(50), batch=batch), people=20)
    assert (said.more, said.part) == (999_980, "")


def test_a_customised_message_stands_for_description_and_actions():
    said = text.summary(events.failed(message="One.\n\nTwo\nlines."))
    assert (said.paragraphs, said.actions, said.customised) == (("One.", "Two\nlines."), (), True)


def test_reasons_are_in_words_and_providers_are_not_among_them():
    person = events.user(
        "kim@example.com", lastSignIn=None, factors=["sms", "voice"], isAdmin=True, deep={"a": 1}
    )
    (said,) = text.summary(events.failed([person])).people
    assert said.reasons == (("factors", "sms, voice"), ("is admin", "yes"))


def test_a_value_that_is_no_json_is_shown_as_it_is():
    person = {"login": "kim", "details": [{"key": "x", "value": "plain <text>"}]}
    (said,) = text.summary(events.failed([person])).people
    assert said.reasons == (("x", "plain <text>"),)


@pytest.mark.parametrize(
    ("still", "headline"),
    [(0, "Resolved: No MFA Configured"), (3, "1 user no longer failing, 3 still do: No MFA Configured")],
)
def test_a_resolved_check_says_whether_others_still_fail(still, headline):
    said = text.summary(events.resolved(still_failing=still))
    assert (said.headline, said.paragraphs, said.actions) == (headline, (), ())
    assert [person.login for person in said.people] == ["kim@example.com"]


def test_a_note_to_one_person_knows_its_recipient():
    said = text.summary(events.note())
    assert (said.personal, said.recipient_email, said.headline) == (
        True,
        "ann@example.com",
        "Resolved: No MFA Configured",
    )
    assert not text.summary(events.resolved()).personal


def test_a_reminder_says_so():
    event = events.direct(message="Hello")
    event["detail"]["reminder"] = True
    assert text.summary(event).headline == "Reminder: No MFA Configured: kim@example.com"


def test_a_test_message_says_so():
    assert text.summary(events.failed(test=True)).headline.startswith("Test message: 2 users")


@pytest.mark.parametrize("link", ["javascript:alert(1)", "https://a b", 'https://x/"onclick=', "", None, 5])
def test_only_a_web_address_becomes_a_link(link):
    event = events.failed()
    event["detail"]["referenceUrl"] = link
    assert text.summary(event).link == ""


def test_text_from_right_to_left_turns_nothing_around_it():
    assert text.line("משתמש@example.com") == "\u2068משתמש@example.com\u2069"
    assert text.line("\u202egnp.exe") == "gnp.exe"
    assert text.block("a\nמש\nb") == "a\n\u2068מש\u2069\nb"


@given(st.text(), st.integers(1, 300))
@settings(max_examples=200, deadline=None)
def test_a_line_is_one_visible_line_within_its_length(given_text, most):
    found = text.line(given_text, most)
    assert len(found) <= most + 2  # the two marks of an isolate
    hidden = {c for c in found if unicodedata.category(c) in ("Cc", "Zl", "Zp")}
    assert hidden == set()
    assert not set("\u202a\u202b\u202d\u202e\u2066\u2067\u200b\ufeff") & set(found)


def test_the_fullest_summary_that_fits_is_taken():
    event = events.failed([events.user("名" * 300) for _ in range(50)])
    body = text.fitted(event, lambda said: said.plain().encode(), 8000)
    assert 2000 < len(body) <= 8000
    assert b"more" in body
