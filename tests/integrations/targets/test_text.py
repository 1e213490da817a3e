"""The summary that every chat, mail and ticket is made from."""

import unicodedata

import pytest
from hypothesis import example, given, strategies as st

from integrations.target_data import NO_FRAME
from integrations.targets.shared import summary
from tests.examples import examples
from tests.integrations.targets import events


def test_a_list_says_how_many_who_first_and_how_many_more():
    said = summary.summarize(events.failed(events.users(50)), people=20)
    assert said.headline == "50 users newly failing: No MFA Configured"
    assert (len(said.people), said.more, said.total, said.part) == (20, 30, 50, "")
    assert said.people[0].line == "user00000@example.com — Last sign-in: 1 January 2026, 30 days ago"
    assert said.and_more == "… and 30 more; the page shows all of them."


def test_a_part_of_a_list_counts_its_own_rest():
    part = events.payloads.BatchPosition(2, 3, 120)
    said = summary.summarize(events.failed(events.users(50), part=part), people=20)
    assert (said.more, said.total, said.part) == (30, 120, "2 of 3")


def test_one_message_may_speak_of_more_users_than_the_event_holds():
    part = events.payloads.BatchPosition(1, 1, 1_000_000)
    said = summary.summarize(events.failed(events.users(50), part=part), people=20)
    assert (said.more, said.part) == (999_980, "")


def test_a_customised_message_stands_for_description_and_actions():
    said = summary.summarize(events.failed(message="One.\n\nTwo\nlines."))
    assert (said.paragraphs, said.actions) == (("One.", "Two\nlines."), ())


def test_reasons_are_in_words_and_providers_are_not_among_them():
    person = events.user(
        "kim@example.com", lastSignIn=None, factors=["sms", "voice"], isAdmin=True, statuses={"okta": None}
    )
    (said,) = summary.summarize(events.failed([person])).people
    assert said.reasons == (("Second steps", "text message, phone call"), ("Is admin", "yes"))


def test_a_value_that_is_no_json_is_shown_as_it_is():
    person = {"login": "kim", "details": [{"key": "x", "value": "plain <text>"}]}
    (said,) = summary.summarize(events.failed([person])).people
    assert said.reasons == (("X", "plain <text>"),)


@pytest.mark.parametrize(
    ("still", "headline"),
    [(0, "Resolved: No MFA Configured"), (3, "1 user no longer failing, 3 still do: No MFA Configured")],
)
def test_a_resolved_check_says_whether_others_still_fail(still, headline):
    said = summary.summarize(events.resolved(still_failing=still))
    assert (said.headline, said.paragraphs, said.actions) == (headline, (), ())
    assert [person.login for person in said.people] == ["kim@example.com"]


def test_a_note_to_one_person_knows_its_recipient():
    said = summary.summarize(events.note())
    assert (said.personal, said.recipient_email, said.headline) == (
        True,
        "ann@example.com",
        "Resolved: No MFA Configured",
    )
    assert not summary.summarize(events.resolved()).personal


def test_a_reminder_says_so():
    event = events.direct(message="Hello")
    event["detail"]["reminder"] = True
    assert summary.summarize(event).headline == "Reminder: No MFA Configured: kim@example.com"


def test_a_test_message_says_so():
    assert summary.summarize(events.failed(test=True)).headline.startswith("Test message: 2 users")


@pytest.mark.parametrize("link", ["javascript:alert(1)", "https://a b", 'https://x/"onclick=', "", None, 5])
def test_only_a_web_address_becomes_a_link(link):
    event = events.failed()
    event["detail"]["referenceUrl"] = link
    assert summary.summarize(event).link == ""


def test_text_from_right_to_left_turns_nothing_around_it():
    assert summary.visible_line("משתמש@example.com") == "\u2068משתמש@example.com\u2069"
    assert summary.visible_line("\u202egnp.exe") == "gnp.exe"
    assert summary.visible_block("a\nמש\nb") == "a\n\u2068מש\u2069\nb"


@given(st.text(), st.integers(1, 300))
@examples(200)
def test_a_line_is_one_visible_line_within_its_length(given_text, most):
    found = summary.visible_line(given_text, most)
    assert len(found) <= most + 2  # the two marks of an isolate
    hidden = {c for c in found if unicodedata.category(c) in ("Cc", "Zl", "Zp")}
    assert hidden == set()
    assert not set("\u202a\u202b\u202d\u202e\u2066\u2067\u200b\ufeff") & set(found)


def test_the_fullest_summary_that_fits_is_taken():
    event = events.failed([events.user("名" * 300) for _ in range(50)])
    body = summary.fit_into(event, NO_FRAME, lambda said: said.plain().encode(), 8000)
    assert 2000 < len(body) <= 8000
    assert b"more" in body


@given(st.lists(st.text("ab", max_size=60), max_size=8), st.integers(100, 300))
@example(["aaaa"] * 4 + ["a" * 12, "a" * 36, "a" * 37], 100)
@example(["a"] * 40 + ["a" * 50, "b" * 50], 100)
@example(["a" * 60] * 8, 100)
def test_paragraphs_that_do_not_fit_are_shortened_alike_and_none_is_lost(paragraphs, characters):
    event = events.direct(message="\n\n".join(paragraphs))
    written = [paragraph for paragraph in paragraphs if paragraph]
    said = summary.summarize(event, characters=characters).paragraphs
    if not written:
        return
    # The last ones are left out, and counted, only where twenty characters of each longer one are too many.
    if sum(min(len(paragraph), 20) for paragraph in written) <= characters:
        assert len(said) == len(written)
    assert len(said) >= min(len(written), characters // 20)
    assert sum(map(len, said)) <= characters
    if len(said) < len(written) or said[-1].startswith("… and"):
        *said, count = said
        assert count == f"… and {len(written) - len(said)} more."
    shortened = [len(short) for short, whole in zip(said, written, strict=False) if short != whole]
    assert all(len(short) <= min(shortened) for short in said if shortened)


def test_actions_and_paragraphs_that_are_left_out_are_counted_and_the_link_stays():
    event = events.failed(message="\n\n".join(f"Paragraph {number:03}" for number in range(300)))
    said = summary.summarize(event)
    assert said.paragraphs[-1] == f"… and {300 - len(said.paragraphs) + 1} more."
    assert (said.link, said.link_label) == (events.LINK, "Open the check")
    event = events.failed()
    event["detail"]["recommendedActions"] = [f"Do number {number:03} of them" for number in range(30)]
    said = summary.summarize(event, characters=200)
    assert said.actions[-1] == f"… and {30 - len(said.actions) + 1} more."
