"""The dialog of one enabled target: for which users, how often, and about what; and the quiet hours in Settings."""

from datetime import time

import pytest

from checks.models import User
from cii_project.console.checks.targets_menu import describe_options
from notifications.models import Configuration, Delivery, Subscription
from notifications.services import run_and_notify, subscribe
from tests.console.checks_world import HTMX, check_of, client_of, fail, failing_run, said, text, webhook

pytestmark = pytest.mark.django_db

URL = "/checks/no-mfa/"
GIVEN = {
    "severity": "high",
    "tags": "pci\nsoc2",
    "departments": "Sales",
    "user_types": ["internal", "guest"],
    "cadence": "daily",
    "after_days": "3",
    "remind_days": "7",
    "resolved": "on",
}


def options_url(target, audience="list"):
    return f"{URL}targets/{target.id}/{audience}/options"


def test_only_an_enabled_target_offers_its_options():
    target, other = webhook("soar"), webhook("siem")
    subscribe(check_of(), target)
    page = text(client_of("Operator").get(URL))
    assert options_url(target) in page
    assert options_url(other) not in page
    assert options_url(target) not in text(client_of("Viewer").get(URL))


@pytest.mark.parametrize("audience", ["list", "user"])
def test_what_is_saved_is_stored_shown_and_on_record(audience):
    target, client = webhook("soar"), client_of("Operator")
    subscribe(check_of(), target, audience)
    answer = client.post(options_url(target, audience), GIVEN, headers=HTMX)
    assert answer.status_code == 204
    one = Subscription.objects.get()
    assert one.filter == {
        "severity": "high", "tags": ["pci", "soc2"], "departments": ["Sales"],
        "user_types": ["guest", "internal"],
    }  # fmt: skip
    assert (one.cadence, one.after_days, one.resolved) == ("daily", 3, True)
    assert one.remind_days == (0 if audience == "list" else 7), "a list is reminded of nothing"
    words = describe_options(one)
    assert words.startswith(
        "Severity high or worse, tagged pci or soc2, department Sales, guest or internal; "
    )
    page = text(client.get(URL))
    assert words in page
    assert said()[-1].startswith(f"Target “soar” ({audience}): changed after days, cadence, filter")
    dialog = text(client.get(options_url(target, audience)))
    assert "Sales</textarea>" in dialog
    assert 'value="3"' in dialog


@pytest.mark.parametrize(
    ("wrong", "problem"),
    [
        ({"after_days": "400"}, "less than or equal to 365"),
        ({"user_types": ["robot"]}, "Select a valid choice"),
        ({"departments": "x" * 300}, "at most 255 printable characters"),
        ({"tags": "y" * 70}, "Use 1 to 64"),
        ({"cadence": "hourly"}, "Select a valid choice"),
    ],
)
def test_a_mistake_stands_beside_its_field_and_nothing_is_saved(wrong, problem):
    target = webhook("soar")
    subscribe(check_of(), target)
    answer = client_of("Operator").post(options_url(target), GIVEN | wrong, headers=HTMX)
    assert answer.status_code == 200
    assert problem in text(answer)
    assert Subscription.objects.get().filter == {}


def test_a_viewer_changes_nothing_and_a_target_that_is_not_enabled_has_no_options():
    target = webhook("soar")
    assert client_of("Operator").get(options_url(target), headers=HTMX).status_code == 404
    subscribe(check_of(), target)
    assert client_of("Viewer").post(options_url(target), GIVEN, headers=HTMX).status_code == 403


def test_sending_the_current_ones_counts_users_that_the_filter_lets_through():
    failing_run("kim@example.com", department="Sales")
    failing_run("lee@example.com", department="Legal")
    target, client = webhook("soar"), client_of("Operator")
    subscribe(check_of(), target, filter={"departments": ["Sales"]})
    dialog = text(client.get(f"{URL}send-current/{target.id}/list", headers=HTMX))
    assert 'All <strong class="c-name">1 user</strong>' in dialog
    assert "Its filter holds: department Sales." in dialog
    client.post(f"{URL}send-current/{target.id}/list", headers=HTMX)
    assert Delivery.objects.get(state="due").users == 1


def test_a_departments_name_is_text_on_the_page():
    target = webhook("soar")
    subscribe(check_of(), target, filter={"departments": ["<img src=x onerror=alert(1)>"]})
    assert "<img src=x" not in text(client_of("Operator").get(URL))


def test_a_message_to_a_person_is_called_so_in_deliveries():
    from integrations.services import save_integration

    document = {"host": "127.0.0.1", "port": 2525, "security": "none", "sender": "checks@example.com"}
    mail = save_integration(name="mail", kind="email", document=document).integration
    subscribe(check_of(), mail, "user")
    fail("kim@example.com")
    run_and_notify(trigger="command", slugs=("no-mfa",))
    client, delivery = client_of("Viewer"), Delivery.objects.get()
    assert "Direct message" in text(client.get("/deliveries/"))
    page = text(client.get(f"/deliveries/{delivery.id}/"))
    assert "Direct message" in page
    assert "Account: kim@example.com" in page
    of_the_user = text(client.get(f"/users/{User.objects.get().id}/"))
    assert "Direct message" in of_the_user
    assert "Test connectivity" not in of_the_user


def test_quiet_hours_are_set_together_or_not_at_all():
    client = client_of("Engineer")
    page = text(client.get("/settings/"))
    assert 'name="quiet_from"' in page
    form = {
        "run_time": "06:00", "run_zone": "UTC", "weekly_on": "monday", "max_users_per_event": "1000",
        "max_people_per_run": "200", "max_people_percent": "20",
        "attempt_retention_days": "30", "payload_retention_days": "14", "account": "000000000000", "region": "self-hosted",
    }  # fmt: skip
    answer = client.post("/settings/", form | {"quiet_from": "22:00"})
    assert "Give both times of the quiet hours, or neither." in text(answer)
    client.post("/settings/", form | {"quiet_from": "22:00", "quiet_until": "07:00"})
    stored = Configuration.objects.get()
    assert (stored.quiet_from, stored.quiet_until) == (time(22), time(7))
    client.post("/settings/", form)
    assert Configuration.objects.get().quiet_from is None
