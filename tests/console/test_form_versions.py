"""The second of two tabs: what was changed since a form was drawn is never overwritten silently."""

import html
import re
from datetime import time
from urllib.parse import urlencode

import pytest

from checks.models import Check
from checks.services import update_check
from cii_project.console.core.form_versions import changed_since, fingerprints, shown_value
from integrations.models import Integration
from integrations.services import save_integration
from notifications.models import Configuration, MessageTemplate, Subscription
from notifications.services import (
    change_subscription,
    reset_message,
    save_message,
    subscribe,
    update_configuration,
    update_schedule,
)
from tests.console.checks_world import HTMX, check_of, client_of, text, webhook
from tests.console.test_settings import VALID

pytestmark = pytest.mark.django_db


def version_of(page: str) -> str:
    (found,) = re.findall(r'<input type="hidden" name="version" value="([^"]*)"', page)
    return html.unescape(found)


def submit_twice(client, address, data, save_elsewhere, stored):
    """Draw the form, let another tab save, send the form; ``stored`` reads the value that both tabs change.

    Returns the first answer, and the value after each of two submissions."""
    version = version_of(text(client.get(address, headers=HTMX)))
    save_elsewhere()
    answer = text(client.post(address, {**data, "version": version}, headers=HTMX))
    after_first = stored()
    client.post(address, {**data, "version": version_of(answer)}, headers=HTMX)
    return answer, after_first, stored()


def test_the_settings_of_a_check():
    check = check_of()
    answer, first, second = submit_twice(
        client_of("Engineer"),
        "/checks/no-mfa/settings",
        {"severity": "low", "set-grace_days": "14"},
        lambda: update_check(check, severity="medium"),
        lambda: Check.objects.get(slug="no-mfa").severity,
    )
    assert "changed this while you were editing. Save again to use your values instead." in answer
    assert "Now stored: medium" in answer
    assert "Now stored: 14" not in answer, "a field that nobody changed carries no note"
    assert (first, second) == ("medium", "low")


def test_the_options_of_a_target():
    subscription = subscribe(check_of(), webhook())
    answer, first, second = submit_twice(
        client_of("Operator"),
        f"/checks/no-mfa/targets/{subscription.integration_id}/list/options",
        {"cadence": "weekly", "after_days": "0", "departments": "Sales"},
        lambda: change_subscription(subscription, cadence="daily", filter={"departments": ["Legal"]}),
        lambda: Subscription.objects.get().cadence,
    )
    assert "Now stored: daily" in answer
    assert "Now stored: Legal" in answer
    assert (first, second) == ("daily", "weekly")


@pytest.mark.parametrize("name", ["soar", "renamed"])
def test_an_integration_never_shows_a_secret_of_the_other_tab(name):
    target = webhook()
    document = {"url": "http://127.0.0.1:9/other"}
    login = {"type": "basic", "username": "someone", "password": "another-s3cret"}
    answer, first, second = submit_twice(
        client_of("Engineer"),
        f"/integrations/{target.pk}/edit/",
        {
            "name": name,
            "url": "http://127.0.0.1:9/other",
            "authorization": "basic",
            "username": "cii",
            "signing_enabled": "on",
        },
        lambda: save_integration(
            name="soar", kind="webhook", document={**document, "authorization": login}, integration=target
        ),
        lambda: Integration.objects.get().settings["authorization"]["username"],
    )
    assert "changed this while you were editing" in answer
    assert "Now stored: someone" in answer
    assert "another-s3cret" not in answer
    assert (first, second) == ("someone", "cii")


def test_the_settings_of_the_installation():
    data = {**VALID, "contact": "the old help desk", "run_time": "07:30"}

    def save_elsewhere():
        update_configuration({"contact": "the new help desk"})
        update_schedule(time(5), "UTC")

    answer, first, second = submit_twice(
        client_of("Engineer"),
        "/settings/",
        data,
        save_elsewhere,
        lambda: (Configuration.load().contact, f"{Configuration.load().run_time:%H:%M}"),
    )
    assert "changed this while you were editing. Save again to use your values instead." in answer
    assert "Now stored: the new help desk" in answer
    assert "Now stored: 05:00" in answer
    assert answer.count("Now stored: ") == 2, "a field that nobody changed carries no note"
    assert first == ("the new help desk", "05:00")
    assert second == ("the old help desk", "07:30")


def test_the_report_by_e_mail():
    update_configuration({"report_every": "weekly", "report_recipients": "ann@example.com"})
    answer, first, second = submit_twice(
        client_of("Engineer"),
        "/report/mail",
        {"report_every": "weekly", "report_recipients": "ann@example.com, bo@example.com"},
        lambda: update_configuration({"report_recipients": "cy@example.com"}),
        lambda: Configuration.load().report_recipients,
    )
    assert "changed this while you were editing" in answer
    assert "Now stored: cy@example.com" in answer
    assert (first, second) == ("cy@example.com", "ann@example.com, bo@example.com")


MESSAGE = {"kind": "slack", "audience": "user"}
EDITOR = "/checks/no-mfa/messages?kind=slack&audience=user"


@pytest.mark.parametrize("before", [None, "The first text."])
def test_a_message_that_another_tab_saved(before):
    check = check_of()
    if before:
        save_message(check, text=before, **MESSAGE)
    answer, first, second = submit_twice(
        client_of("Engineer"),
        EDITOR,
        {**MESSAGE, "text": "My text."},
        lambda: save_message(check, text="The text of the other tab.", **MESSAGE),
        lambda: MessageTemplate.objects.get().text,
    )
    assert "changed this while you were editing. Save again to use your text instead." in answer
    assert "The text of the other tab.</pre>" in answer
    assert ">My text.</textarea>" in answer, "what was written is kept"
    assert (first, second) == ("The text of the other tab.", "My text.")


def test_a_message_that_another_tab_reset():
    check = check_of()
    save_message(check, text="The first text.", **MESSAGE)
    answer, first, second = submit_twice(
        client_of("Engineer"),
        EDITOR,
        {**MESSAGE, "text": "My text."},
        lambda: reset_message(check, **MESSAGE),
        lambda: list(MessageTemplate.objects.values_list("text", flat=True)),
    )
    assert "The default is restored." in answer
    assert (first, second) == ([], ["My text."])


def test_a_reset_does_not_delete_the_text_of_another_tab_unasked():
    check, client = check_of(), client_of("Engineer")
    save_message(check, text="The first text.", **MESSAGE)
    version = version_of(text(client.get(EDITOR)))
    address = f"{EDITOR}&{urlencode({'reset': 1, 'version': version})}"
    assert "while you were editing" not in text(client.get(address, headers=HTMX))
    save_message(check, text="The text of the other tab.", **MESSAGE)
    asked = text(client.get(address, headers=HTMX))
    assert "changed this while you were editing. That text is deleted, too." in asked
    reset = {"reset": "1", "version": version}
    answer = text(client.post(EDITOR, reset, headers=HTMX))
    assert MessageTemplate.objects.get().text == "The text of the other tab."
    client.post(EDITOR, {**reset, "version": version_of(answer)}, headers=HTMX)
    assert not MessageTemplate.objects.exists()


def test_a_form_that_nobody_else_changed_is_saved_at_once():
    check_of()
    client = client_of("Engineer")
    version = version_of(text(client.get("/checks/no-mfa/settings")))
    data = {"severity": "low", "set-grace_days": "14", "version": version}
    assert client.post("/checks/no-mfa/settings", data).status_code == 302
    assert Check.objects.get(slug="no-mfa").severity == "low"


STORED = {"severity": "low", "tags": ["a"], "days": 14}


@pytest.mark.parametrize(
    ("version", "changed"),
    [
        (fingerprints(STORED), []),
        (fingerprints(STORED | {"days": 15}), ["days"]),
        (fingerprints({"severity": "low", "tags": ["a"]}), ["days"]),
        ("{}", ["severity", "tags", "days"]),
        ("", []),
        ("[1]", []),
        ("{" * 5000, []),
    ],
)
def test_a_version_says_which_values_differ_and_one_that_cannot_be_read_nothing(version, changed):
    assert changed_since(version, STORED) == changed


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, "none"),
        ([], "none"),
        (True, "on"),
        (0, "0"),
        (["a", "b"], "a, b"),
        ("x" * 300, "x" * 200 + "…"),
    ],
)
def test_a_stored_value_in_words(value, shown):
    assert shown_value(value) == shown
