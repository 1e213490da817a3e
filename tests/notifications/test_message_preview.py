"""The preview of a message is the message that a target of the kind gets."""

import json

import pytest
from django.utils import timezone

from checks.models import Finding, Run
from integrations.services import KINDS, save_integration, target_without_secrets
from notifications import services
from notifications.models import Delivery
from notifications.services import default_message, preview_delivery

pytestmark = pytest.mark.django_db
FOR_PEOPLE = [slug for slug, kind in KINDS.items() if not kind.is_for_programs]


def source(preview):
    """What is shown: of a mail its plain text, of the others what is sent."""
    return preview.looks.text or preview.looks.source


@pytest.fixture(autouse=True)
def finding(no_mfa, failing_user):
    user = failing_user("kim@example.com")
    now = timezone.now()
    run = Run.objects.create(state="succeeded", trigger="command", started_at=now, created_at=now)
    return Finding.objects.create(check_ref=no_mfa, user=user, opened_at=now, opened_run=run)


@pytest.mark.parametrize("kind", FOR_PEOPLE)
def test_a_changed_word_names_each_user_as_often_as_the_default_does(no_mfa, kind):
    text = default_message(kind, "list")
    default, changed = (
        source(preview_delivery(no_mfa, kind, one, users=20)) for one in (text, text + "\nPlease.")
    )
    assert default.count("kim@example.com") == changed.count("kim@example.com") > 0
    assert default.count("example0002@example.com") == changed.count("example0002@example.com")
    assert "Please." in changed


@pytest.mark.parametrize("kind", FOR_PEOPLE)
def test_a_text_that_names_its_users_is_not_followed_by_a_list_of_them(no_mfa, kind):
    text = "{% for user in users %}~{{ user.login }}~ {% endfor %}"
    shown = source(preview_delivery(no_mfa, kind, text, users=20))
    assert shown.count("example0002@example.com") == shown.count("~example0002@example.com~") > 0


@pytest.mark.parametrize(("kind", "document"), [
    ("slack", {"mode": "webhook", "url": "https://hooks.slack.com/services/T0/B0/secret"}),
    ("email", {"host": "mail.example.com", "sender": "a@example.com", "to": ["b@example.com"], "login": "none"}),
    ("teams", {"url": "https://prod.example.com/hook?sig=secret"}),
])  # fmt: skip
def test_the_default_is_what_is_sent(no_mfa, kind, document):
    target = save_integration(name="Target", kind=kind, document=document).integration
    services.send_current(no_mfa, target)
    delivery = Delivery.objects.get()
    sent = KINDS[kind].preview(bytes(delivery.body), target_without_secrets(target))
    shown = preview_delivery(no_mfa, kind, default_message(kind, "list"))
    assert (shown.target, shown.made_up) == ("Target", 0)
    assert shown.looks.page == sent.page
    assert "These users can sign in with a password alone" in shown.looks.page


def test_2000_users_are_counted_and_those_who_are_not_real_are_named_as_made_up(no_mfa):
    shown = preview_delivery(no_mfa, "slack", default_message("slack", "list"), users=2_000)
    assert (shown.users, shown.made_up, shown.deliveries) == (2_000, 1_999, 1)
    assert "… and 1,980 more" in shown.looks.page
    event = preview_delivery(no_mfa, "webhook", "", users=2_000)
    assert event.deliveries > 1
    assert (event.size < 256 * 1024, event.looks.page) == (True, "")


def test_a_webhook_shows_its_event_and_has_no_message_by_default(no_mfa):
    event = json.loads(preview_delivery(no_mfa, "webhook", "").looks.source)
    assert event["detail-type"] == "FAILED_CHECK"
    assert "message" not in event["detail"]
    assert "test" not in event["detail"]
    changed = json.loads(preview_delivery(no_mfa, "webhook", "**Look** at {{ total }}").looks.source)
    assert changed["detail"]["message"] == "Look at 1"


@pytest.mark.parametrize("kind", ["slack", "teams", "email", "webhook"])
def test_a_message_to_a_person_is_about_one_user(no_mfa, kind):
    shown = preview_delivery(no_mfa, kind, default_message(kind, "user"), audience="user")
    assert (shown.users, shown.made_up, shown.deliveries) == (1, 0, 1)
    assert "Your account has no second sign-in step" in source(shown)


def test_an_error_says_where(no_mfa):
    error = preview_delivery(no_mfa, "slack", "a\n{{ nobody }}").error
    assert (error.line, error.column) == (2, 4)


def test_nothing_is_written(no_mfa):
    preview_delivery(no_mfa, "slack", "x")
    assert not Delivery.objects.exists()
