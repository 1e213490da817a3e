"""What the users, managers and lists of each check read, by the default messages."""

import json
from datetime import UTC, datetime

import pytest
from django.utils import timezone

from checks.catalogue import CATALOGUE
from checks.models import Account, Check
from checks.services import audience_texts, recommended_actions, sync_catalogue
from integrations.targets.shared.formatting import LABELS
from notifications import services
from notifications.models import Delivery
from notifications.rendering.schema import validator
from notifications.rendering.templates import DEFAULTS
from tests.checks.test_audience_texts import JARGON

pytestmark = pytest.mark.django_db


@pytest.fixture
def check_of(db):
    sync_catalogue()
    return lambda slug: Check.objects.get(slug=slug)


@pytest.mark.parametrize("slug", CATALOGUE)
def test_no_administrators_text_reaches_an_employee(check_of, slug, failing_user):
    check = check_of(slug)
    kim = failing_user("kim@example.com", manager=failing_user("boss@example.com"))
    for audience in ("user", "manager"):
        message = services.preview_message(check, DEFAULTS[audience], audience=audience, user=kim)
        assert not message.error
        text = audience_texts(check)[audience]
        assert text.found in message.text
        assert all(action in message.text for action in text.actions)
        assert "kim@example.com" in message.text
        assert not [action for action in recommended_actions(check) if action in message.text]
        assert "exclude" not in message.text.lower()
        assert check.slug not in message.text


@pytest.fixture(autouse=True)
def today(monkeypatch):
    monkeypatch.setattr(timezone, "now", lambda: datetime(2026, 11, 28, 9, tzinfo=UTC))


def test_a_user_reads_what_was_found_why_what_to_do_by_when_and_who_to_ask(check_of, failing_user):
    shown = services.preview_message(
        check_of("no-mfa"), DEFAULTS["user"], audience="user", user=failing_user("kim@example.com")
    )
    assert shown.text == (
        "Hello Kim,\n\n"
        "Your account has no second sign-in step, such as an app or a security key.\n"
        "Account: kim@example.com\n"
        "No second step at: Okta\n\n"
        "Why it matters: A password can be guessed or stolen. With a second step, your password alone is not enough to "
        "get in.\n\n"
        "What to do:\n"
        "- Set up a second step: a security key or passkey if you have one, otherwise an authenticator app.\n"
        "- Sign out and in again to see that it works.\n"
        "- If you no longer use the account, tell us and we will close it.\n\n"
        "Please do this by Saturday, 5 December 2026. If you have questions, ask your IT help desk."
    )


def test_a_manager_reads_who_of_the_team_and_what_a_manager_can_do(check_of, failing_user):
    kim = failing_user("kim@example.com", manager=failing_user("boss@example.com"))
    shown = services.preview_message(check_of("no-mfa"), DEFAULTS["manager"], audience="manager", user=kim)
    assert shown.text == (
        "Hello Boss,\n\n"
        "This is about Kim in your team (account kim@example.com). This account has no second sign-in step, such as an "
        "app or a security key.\n"
        "No second step at: Okta\n\n"
        "What you can do:\n"
        "- Remind them to set one up; it takes a few minutes.\n"
        "- Tell us if the account is no longer needed.\n\n"
        "If you have questions, ask your IT help desk."
    )


def message_about_applications(failing_user, check_of, applications, audience="user", **facts):
    """The message of unused-applications about Kim, who has these applications by name and last use."""
    kim = failing_user("kim@example.com", manager=failing_user("boss@example.com"), **facts)
    Account.objects.filter(user=kim).update(
        app_unused_since=datetime(2026, 1, 1, tzinfo=UTC),
        applications=[{"name": name, "last_used_at": used} for name, used in applications],
    )
    check = check_of("unused-applications")
    return services.preview_message(check, DEFAULTS[audience], audience=audience, user=kim).text


@pytest.mark.parametrize("audience", ["user", "manager"])
def test_user_and_manager_read_which_applications_are_not_used_and_since_when(
    check_of, failing_user, audience
):
    applications = [
        ("Jira", "2026-08-05T09:00:00+00:00"),
        ("Figma", None),
        ("Slack", "2026-11-27T09:00:00+00:00"),
    ]
    text = message_about_applications(failing_user, check_of, applications, audience)
    assert "Unused applications: Jira (5 August 2026, 115 days ago), Figma (never)\n" in text
    assert "Slack" not in text


def test_of_many_applications_the_first_ten_are_named_and_the_others_counted(check_of, failing_user):
    applications = [(f"App {number}", None) for number in range(1, 26)]
    text = message_about_applications(failing_user, check_of, applications)
    assert "App 10 (never) and 15 more\n" in text
    assert "App 11" not in text


def test_what_an_application_is_called_makes_no_link_and_no_line_of_its_own(check_of, failing_user):
    hostile = "[Sign in](https://evil.test)\n\n**Act now**"
    text = message_about_applications(failing_user, check_of, [(hostile, None)])
    [line] = [line for line in text.splitlines() if line.startswith("Unused applications")]
    assert line == "Unused applications: [Sign in](https://evil.test) **Act now** (never)"


def test_a_user_reads_the_facts_in_their_own_language(check_of, failing_user):
    text = message_about_applications(
        failing_user, check_of, [("Jira", "2026-08-05T09:00:00+00:00")], locale="de-AT"
    )
    assert "Jira (5. August 2026, vor 115 Tagen)" in text


@pytest.mark.parametrize("slug", CATALOGUE)
def test_people_read_no_jargon_in_the_names_of_facts(slug):
    texts = CATALOGUE[slug].texts
    for key in {*texts.user.shows, *texts.manager.shows}:
        assert key in LABELS
        assert not JARGON.search(LABELS[key])


def test_a_list_reads_what_how_many_and_what_to_do(check_of, failing_user):
    shown = services.preview_message(
        check_of("no-mfa"), DEFAULTS["list"], user=failing_user("kim@example.com")
    )
    assert shown.text == (
        "These users can sign in with a password alone, without a second step.\n\n"
        "What to do:\n"
        "- Ask the user to enrol a factor, a phishing-resistant one (passkey, security key) where you can.\n"
        "- Make the sign-in policy require MFA, so that an account without a factor cannot skip it.\n"
        "- If the account is no longer needed, disable it.\n\n"
        "Failing users:"
    )


def test_only_the_message_of_the_contracts_event_is_the_users_text(world, subscribe, webhook, failing_user):
    subscribe(webhook(), slugs=["no-mfa"])
    world.run(failing_user("kim@example.com").created_at, [("no-mfa", failing_user("lee@example.com"))])
    event = json.loads(bytes(Delivery.objects.get().body))
    validator("DIRECT_MESSAGE").validate(event)
    assert event["detail"]["recommendedActions"] == recommended_actions(Check.objects.get(slug="no-mfa"))
    assert event["detail"]["message"].startswith("Hello Lee,\n\nYour account has no second sign-in step")
