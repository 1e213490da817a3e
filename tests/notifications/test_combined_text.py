"""One message about several things: each check has its section, however little room there is."""

import json

import pytest
from hypothesis import given, strategies as st

from checks.models import Check
from checks.services import AudienceText, sync_catalogue
from integrations.services import KINDS, MessageText, Paragraph, parse_markdown
from integrations.targets.shared.mail.mail_kind import MailKind
from notifications.models import Event
from notifications.planning import loading
from notifications.rendering.batch import CombinedMessage, Destination
from notifications.rendering.combined_text import MOST_CHARACTERS, FindingText, combine
from notifications.rendering.payloads import CheckEvent, CheckText, Recipient, Tenant
from notifications.rendering.render import render
from tests.integrations.targets import events
from tests.integrations.targets.test_every_kind import SAMPLES, document

TEXTS = {
    "user": AudienceText("Found it.", ["Do this."], "It matters.", 1, "your help desk"),
    "manager": AudienceText("This account has it.", ["Remind them."], contact="your help desk"),
}
DUE = "Sunday, 1 February 2026"


def finding(
    title="No MFA", role="user", stage="new", login="kim@example.com", severity="high", custom="", **more
):
    return FindingText(role, stage, title, severity, login, TEXTS[role], custom, due_date=DUE, **more)


def test_a_user_reads_a_section_a_check_the_worst_first():
    found = combine(
        "Kim", [finding("B", severity="low"), finding("A", severity="critical", custom="Act today.")]
    )
    assert (found.title, found.severity) == ("Your account: 2 things to look at", "critical")
    assert found.body == (
        "Hello Kim,\n\n"
        "Please look at this on your account kim@example.com:\n\n"
        "A:\nAct today.\n\n"
        "Found it.\n- Do this.\nPlease do this by Sunday, 1 February 2026.\nIf you have questions, ask your help desk."
    )


def test_a_section_shows_what_helps_to_find_it_but_not_of_several_accounts():
    at_okta = ["No second step at: Okta <b>"]
    found = combine("Kim", [finding("A", facts=at_okta), finding("B", severity="low")])
    assert "Found it.\nNo second step at: Okta <b>\n- Do this." in found.body
    boss = combine(
        "Boss", [finding(role="manager", login="kim", facts=at_okta), finding("B", role="manager")]
    )
    assert "No second step at: Okta" in boss.body
    team = [finding(role="manager", login=login, facts=at_okta) for login in ("kim", "lee")]
    assert "Okta" not in combine("Boss", team).body


@pytest.mark.parametrize(
    ("kind", "sample"), [(kind, 0) for kind in ("teams", "slack", "webex", "googlechat", "email")]
)
@pytest.mark.parametrize("count", [2, 30])
@pytest.mark.parametrize("text", ["Please act today.\n\n" * 300, "- item one\n" * 500, "请立即处理。" * 1000])
def test_the_paragraphs_of_one_check_push_no_other_check_out(kind, sample, count, text):
    titles = [f"Check {number:02}" for number in range(count)]
    found = combine("Kim", [finding(title, custom=text) for title in titles])
    target = events.target(KINDS[kind], document(SAMPLES[kind][sample]))
    body = KINDS[kind].render(events.direct(message=found.body), target).body
    assert len(body) <= KINDS[kind].max_bytes
    shown = KINDS[kind].show(body, target)
    assert [title for title in titles if title not in shown] == []
    if kind == "webex":
        fallback = json.loads(body)["text"]
        assert [title for title in titles if title not in fallback] == []


def test_what_all_sections_share_stands_once_at_the_end():
    page = "https://intranet.example.com/mfa"
    found = combine(
        "Kim",
        [finding("A", instructions_url=page), finding("B", instructions_url=page)],
        signature="Your IT team",
    )
    assert found.body == (
        "Hello Kim,\n\n"
        "Please look at this on your account kim@example.com:\n\n"
        "Found it.\n- Do this.\n\n"
        "Found it.\n- Do this.\n\n"
        "How to do it: https://intranet.example.com/mfa\n\n"
        "Please do this by Sunday, 1 February 2026.\n\n"
        "If you have questions, ask your help desk.\n\n"
        "Your IT team"
    )


def test_what_was_found_stands_out_in_each_section():
    body = combine(
        "Kim", [finding("A", custom="Act today."), finding("B"), finding("C", "manager", login="**lee**")]
    ).body
    bold = [
        run.text
        for block in body.blocks
        if isinstance(block, Paragraph)
        for line in block.lines
        for run in line
        if run.bold
    ]
    assert bold == ["A:", "Found it.", "This account has it"]
    assert "This account has it: **lee**" in body


def test_a_manager_reads_which_accounts_each_section_is_about():
    found = combine("Boss", [
        finding("A", "manager", login="lee"), finding("A", "manager", login="kim", name="Kim Doe"),
        finding("B", "manager", login="kim", name="Kim Doe"),
    ])  # fmt: skip
    assert found.title == "Your team: 2 things to look at"
    assert found.body == (
        "Hello Boss,\n\n"
        "Please look at this for people in your team:\n\n"
        "This account has it: Kim Doe (kim), lee\n- Remind them.\n\n"
        "This account has it: Kim Doe (kim)\n- Remind them.\n\n"
        "If you have questions, ask your help desk."
    )


def test_the_subject_says_what_it_is_about_where_that_is_one_thing():
    assert combine("Kim", [finding("A", stage="reminder")]).title == "Reminder: Your account: A"
    one = finding("A", "manager", login="kim", name="Kim Doe")
    assert combine("Boss", [one]).title == "Kim Doe: A"
    assert combine("Boss", [one, finding("A", "manager", login="lee")]).title == "Your team: A"


def test_a_reminder_and_what_is_resolved_have_their_own_introduction():
    found = combine("Kim", [finding("A", stage="resolved"), finding("B", stage="reminder"), finding("C")])
    new, reminder, resolved = (
        found.body.index(part)
        for part in ("Please look", "This is still open on", "This is no longer open on")
    )
    assert new < reminder < resolved
    assert "account kim@example.com:\n\nA\n" in found.body
    assert combine("Kim", [finding("A", stage="resolved")]).title == "Resolved: Your account: A"


@given(
    st.lists(
        st.tuples(st.sampled_from(["user", "manager"]), st.text("ab \n", max_size=3000)),
        min_size=1,
        max_size=40,
    )
)
def test_every_check_is_named_and_all_of_it_is_bounded(drawn):
    findings = [
        finding(f"check-{number:02}", role, custom=f"x{custom}")
        for number, (role, custom) in enumerate(drawn)
    ]
    body = combine("Kim", findings).body
    assert all(f"check-{number:02}" in body for number in range(len(drawn)))
    assert len(body) <= MOST_CHARACTERS + 1000


CHATS = [slug for slug in SAMPLES if KINDS[slug].one_message and "user" in KINDS[slug].audiences]


@pytest.mark.parametrize("slug", CHATS)
@pytest.mark.parametrize(
    "word", ["Please act today. ", "请今天处理。", '\\" & <b> '], ids=["latin", "han", "markup"]
)
def test_a_message_that_does_not_fit_is_shortened_by_section(slug, word):
    kind = KINDS[slug]
    target = events.target(kind, document(SAMPLES[slug][-1]))
    findings = [finding(f"Check {number}", custom=word * 300) for number in range(4)]
    event = CheckEvent(events.EVENT, Tenant("t"), CheckText("a", "A", "high", (), ()), events.PUBLISHED)
    recipient = Recipient("user", "kim@example.com", "kim@example.com", "Kim")
    batch = CombinedMessage(
        events.DELIVERY, event, combine("Kim", findings), ["kim@example.com"], "UNKNOWN", recipient
    )
    body = render(Destination(kind, target, "user", None, ""), batch).rendered.body
    assert len(body) <= kind.max_bytes
    shown = kind.show(body, target)
    text = shown if isinstance(kind, MailKind) else json.dumps(json.loads(shown), ensure_ascii=False)
    assert all(f"Check {number}:" in text for number in range(4))
    assert "more" not in text


def rendered_to_person(slug, text):
    """The body of a combined message for the last sample of the kind, and the text that it shows."""
    kind = KINDS[slug]
    target = events.target(kind, document(SAMPLES[slug][-1]))
    body = kind.render(events.direct(message=text), target).body
    return body, kind.show(body, target)


STEPS = "\n".join(f"- step {number}" for number in range(10))
LONG_TEXTS = {
    "a list of ten short steps": STEPS,
    "very many short lines": "a\n" * 900,
    "very many short items": "- x\n" * 900,
    "numbered steps": "\n".join(f"{number}. x" for number in range(1, 900)),
    "paragraphs": "ab\n\n" * 900,
    "links": "\n".join(f"- [step {number}](https://example.com/{number})" for number in range(30)),
    "emphasis": "**a** b " * 500,
    "emoji": "😀🚀" * 900,
    "markup": "<&>'\"" * 500,
}


@pytest.mark.parametrize("slug", CHATS)
@pytest.mark.parametrize("custom", LONG_TEXTS.values(), ids=LONG_TEXTS)
def test_every_check_is_named_whole_whatever_its_text_is_made_of(slug, custom):
    titles = [f"Check {number:02} of the accounts' second step" for number in range(29)]
    message = MessageText(parse_markdown(custom))
    findings = [finding(title, custom=message) for title in titles]
    body, shown = rendered_to_person(slug, combine("Kim", findings, signature="Your IT team").body)
    assert len(body) <= KINDS[slug].max_bytes
    assert [title for title in titles if title not in shown] == []
    assert "more." not in shown
    assert "Your IT team" in shown


@pytest.mark.parametrize(
    ("slug", "count", "custom", "least"),
    [
        ("slack", 19, STEPS, 10_800),
        ("slack", 29, STEPS, 9_000),  # one more line of each section would be 3,000 bytes
        ("teams", 29, LONG_TEXTS["very many short lines"], 25_000),
        ("webex", 29, LONG_TEXTS["very many short lines"], 18_000),
    ],
)
def test_shortened_sections_use_the_room_that_there_is(slug, count, custom, least):
    message = MessageText(parse_markdown(custom))
    findings = [finding(f"Check {number:02}", custom=message) for number in range(count)]
    body, _ = rendered_to_person(slug, combine("Kim", findings).body)
    assert least <= len(body) <= KINDS[slug].max_bytes


@pytest.mark.parametrize("slug", [slug for slug in CHATS if not isinstance(KINDS[slug], MailKind)])
@pytest.mark.parametrize("count", [200, 400])
def test_sections_that_are_left_out_are_counted_before_the_end(slug, count):
    titles = [f"Check {number:03}" for number in range(count)]
    findings = [finding(title, custom="Act today. " * 20) for title in titles]
    _, shown = rendered_to_person(slug, combine("Kim", findings, signature="Your IT team").body)
    named = sum(title in shown for title in titles)
    assert f"… and {count - named} more." in shown
    assert shown.index("more.") < shown.index("Your IT team")
    assert 40 < named < count


@pytest.mark.django_db
def test_everything_at_once_names_all_checks_in_a_chat():
    sync_catalogue()
    findings = []
    for check in Check.objects.all():
        content = loading.event_context(Event(check_ref=check, created_at=events.PUBLISHED), check).content
        findings.append(
            FindingText("user", "new", content.check.title, check.severity, "kim", content.texts["user"])
        )
    text = combine("Kim", findings)
    event = CheckEvent(events.EVENT, Tenant("t"), CheckText("a", "A", "high", (), ()), events.PUBLISHED)
    kind = KINDS["teams"]
    batch = CombinedMessage(
        events.DELIVERY, event, text, ["kim"], "UNKNOWN", Recipient("user", "kim", "kim@example.com", "Kim")
    )
    to = Destination(kind, events.target(kind, document(SAMPLES["teams"][-1])), "user", None, "")
    shown = render(to, batch).rendered.body.decode()
    assert len(findings) == Check.objects.count()
    for item in findings:
        assert item.texts.found[:40] in shown
