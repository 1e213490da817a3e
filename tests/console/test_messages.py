"""Customize messages: the editor, its preview with a real user, saving, resetting, testing."""

import json

import pytest

from checks.models import User
from integrations.transport import http
from notifications.models import Delivery, MessageTemplate
from notifications.services import save_message
from tests.console.checks_world import HTMX, check_of, client_of, failing_run, queries, said, text, webhook
from tests.receiver import Behaviour, Receiver

pytestmark = pytest.mark.django_db
URL = "/checks/no-mfa/messages"
SLOT = {"kind": "webhook", "audience": "list"}


@pytest.fixture
def receiver():
    with Receiver() as running:
        yield running
        http.close_idle()


def test_the_editor_starts_with_the_default_and_lists_what_a_message_may_say():
    check_of()
    client = client_of("Engineer")
    page = text(client.get(URL))
    assert "></textarea>" in page, "the event of a list has no message"
    slack = text(client.get(URL, {"kind": "slack", "audience": "list"}))
    assert ">{{ text.found }}" in slack
    for name in ("check.title", "users", "batch.count"):
        assert f"<code>{name}</code>" in page
    assert "<code>recipient.login</code>" not in page
    assert "recipient.login" in text(client_of("Viewer").get(URL, {**SLOT, "audience": "manager"}))


def test_a_message_is_saved_for_its_kind_and_audience_alone():
    check_of()
    client = client_of("Engineer")
    answer = client.post(URL, {**SLOT, "text": "{{ total }} people\r\nfail"}, follow=True)
    assert "Saved." in text(answer)
    saved = MessageTemplate.objects.get()
    assert (saved.kind, saved.audience, saved.text) == ("webhook", "list", "{{ total }} people\nfail")
    assert saved.updated_by.username == "engineer"
    assert "{{ total }} people" in text(client.get(URL, SLOT))
    assert "{{ total }} people" not in text(client.get(URL, {**SLOT, "audience": "user"}))
    assert said() == ["Message for webhook (list) changed."]


@pytest.mark.parametrize(
    ("message", "place"),
    [
        ("Hello\n{{ nobody.name }}", "Line 2, column 4"),
        ("a\n{% for user users %}b{% endfor %}", "Line 2"),
        ("{{ check.nonsense }}", "has no “nonsense”"),
        ("{{ recipient.login }}", "no variable “recipient”"),
        ("x" * 16_385, "longer than 16,384 characters"),
    ],
)
def test_a_message_that_cannot_render_is_not_saved_and_says_where(message, place):
    check_of()
    answer = client_of("Engineer").post(URL, {**SLOT, "text": message})
    page = text(answer)
    assert answer.status_code == 200
    assert "Not saved." in page
    assert place in page
    assert message[:30].split("\n")[0] in page  # what was written is not lost
    assert not MessageTemplate.objects.exists()


def test_a_message_is_reset_to_the_default():
    save_message(check_of(), "webhook", "mine")
    client = client_of("Engineer")
    assert "mine</textarea>" in text(client.get(URL))
    dialog = text(client.get(URL, {**SLOT, "reset": "1"}, headers=HTMX))
    assert "Back to the default message?" in dialog
    assert MessageTemplate.objects.get().text == "mine", "it has only been asked"
    answer = client.post(URL, {**SLOT, "reset": "1"}, follow=True)
    assert "The default message is restored." in text(answer)
    assert not MessageTemplate.objects.exists()


def test_the_preview_speaks_of_a_user_who_really_fails():
    failing_run("kim@example.com", "lee@example.com")
    lee, client = User.objects.get(name="lee@example.com"), client_of("Engineer")
    url = f"{URL}/preview"
    data = {**SLOT, "text": "{% for user in users %}{{ user.login }};{% endfor %}"}
    assert "kim@example.com;lee@example.com;" in text(client.post(url, {**data, "users": "20"}, headers=HTMX))
    shown = text(client.post(url, {**data, "person": lee.id}, headers=HTMX))
    assert "message&quot;: &quot;lee@example.com;&quot;" in shown
    assert "the user is made up" not in shown.lower()
    direct = {"kind": "webhook", "audience": "manager", "text": "{{ user.login }} {{ recipient.kind }}"}
    assert "lee@example.com manager" in text(client.post(url, {**direct, "person": lee.id}, headers=HTMX))
    for person in ("0", "x", "99999999999999999999999"):
        assert client.post(url, {**data, "person": person}, headers=HTMX).status_code == 200
    assert not MessageTemplate.objects.exists()


def test_the_preview_shows_an_error_with_its_place_and_markup_as_text():
    check_of()
    client = client_of("Engineer")
    wrong = text(client.post(f"{URL}/preview", {**SLOT, "text": "a\n{{ nobody }}"}, headers=HTMX))
    assert "Line 2, column 4:" in wrong
    inert = text(client.post(f"{URL}/preview", {**SLOT, "text": "<script>1</script>"}, headers=HTMX))
    assert "&lt;script&gt;" in inert
    slack = {"kind": "slack", "audience": "list", "text": "<script>1</script>"}
    assert "&amp;lt;script&amp;gt;1" in text(client.post(f"{URL}/preview", slack, headers=HTMX))


def test_the_preview_with_nobody_failing_says_that_it_is_an_example():
    check_of()
    assert "nobody fails this check now" in text(client_of("Engineer").get(URL))


def test_a_test_sends_the_unsaved_text_marked_as_a_test_and_shows_the_outcome(receiver):
    failing_run("kim@example.com")
    target, client = webhook("soar", receiver.url("/hook")), client_of("Engineer")
    assert 'aria-label="Test soar"' in text(client.get(URL))
    answer = client.post(f"{URL}/test/{target.id}", {**SLOT, "text": "Mind {{ total }}!"}, headers=HTMX)
    event = json.loads(receiver.requests[0].body)
    assert (event["detail"]["message"], event["detail"]["test"]) == ("Mind 1!", True)
    assert event["detail"]["usersFailing"] == ["kim@example.com"]
    assert "<strong>Delivered</strong>, 200" in text(answer)
    assert f"/deliveries/{Delivery.objects.get().id}/" in text(answer)
    assert said() == ["Test message to “soar” (list)."]


def test_a_test_with_the_default_sends_what_a_run_would(receiver):
    failing_run("kim@example.com")
    target = webhook("soar", receiver.url("/hook"))
    client_of("Engineer").post(f"{URL}/test/{target.id}", {**SLOT, "text": ""}, headers=HTMX)
    assert "message" not in json.loads(receiver.requests[0].body)["detail"]


def test_a_test_that_fails_shows_why(receiver):
    failing_run("kim@example.com")
    receiver.script("/hook", [Behaviour(status=404, body=b"gone fishing")])
    target, client = webhook("soar", receiver.url("/hook")), client_of("Engineer")
    answer = text(client.post(f"{URL}/test/{target.id}", {**SLOT, "text": "Hi"}, headers=HTMX))
    assert "c-note-danger" in answer
    assert "404 Not Found" in answer
    broken = text(client.post(f"{URL}/test/{target.id}", {**SLOT, "text": "{{ nobody }}"}, headers=HTMX))
    assert "Not sent. Line 1, column 4" in broken
    assert len(receiver.requests) == 1


@pytest.mark.parametrize("role", ["Viewer", "Operator"])
def test_who_may_not_save_a_message_neither_previews_nor_tests_one(role):
    check_of()
    target, client = webhook(), client_of(role)
    page = text(client.get(URL))
    assert "needs the role Engineer" in page
    for shown in (">Save</button>", 'aria-label="Test ', "message-preview"):
        assert shown not in page
    for url in (URL, f"{URL}/preview", f"{URL}/test/{target.id}"):
        assert client.post(url, {**SLOT, "text": "mine"}, headers=HTMX).status_code == 403
    assert not MessageTemplate.objects.exists()
    assert not Delivery.objects.exists()


def test_a_kind_or_audience_that_does_not_exist_falls_back():
    check_of()
    page = client_of("Engineer").get(URL, {"kind": "pigeon", "audience": "everybody"})
    assert page.status_code == 200


def test_the_page_takes_few_queries():
    failing_run("kim@example.com")
    webhook("a")
    webhook("b")
    assert queries(client_of("Engineer"), URL) <= 12
