"""Settings in the browser: the daily run with its next times, identity and limits, and which users the checks evaluate."""

from datetime import UTC, datetime, time

import pytest

from checks.models import User
from cii_project.console.core.daily_runs import local_run_times
from cii_project.console.settings.views import population
from notifications.models import Configuration
from tests.console.checks_world import beside, client_of, said, text

pytestmark = pytest.mark.django_db
VALID = {
    "run_time": "07:30",
    "run_zone": "Europe/Berlin",
    "weekly_on": "friday",
    "max_people_per_run": "300",
    "max_people_percent": "0",
    "max_users_per_event": "500",
    "attempt_retention_days": "30",
    "payload_retention_days": "14",
    "tenant_name": "Acme",
    "base_url": "https://checks.example.com",
    "account": "123456789012",
    "region": "self-hosted",
}


def test_the_next_three_times_are_shown_in_the_zone_of_the_installation():
    configuration = Configuration(run_time=time(6), run_zone="Europe/Berlin")
    found = local_run_times(configuration, datetime(2026, 3, 28, 4, 30, tzinfo=UTC))
    assert [f"{moment:%d %H:%M %z}" for moment in found] == [
        "28 06:00 +0100",
        "29 06:00 +0200",
        "30 06:00 +0200",
    ]


def test_an_engineer_changes_the_settings_and_it_is_on_record():
    answer = client_of("Engineer").post("/settings/", VALID, follow=True)
    stored = Configuration.load()
    assert (stored.run_time, stored.run_zone, stored.max_users_per_event) == (
        time(7, 30),
        "Europe/Berlin",
        500,
    )
    assert stored.weekly_on == "friday"
    assert (stored.max_people_per_run, stored.max_people_percent) == (300, 0)
    assert (stored.tenant_name, stored.account) == ("Acme", "123456789012")
    assert "The settings are saved." in text(answer)
    assert "07:30" in text(answer)
    assert said() == [
        "Changed account, base url, max people per run, max people percent, max users per event, tenant name, "
        "weekly on.",
        "The checks run at 07:30 Europe/Berlin.",
    ]


def test_what_people_read_is_set_and_shown():
    page = {
        "instructions_url": "https://intranet.example.com/mfa",
        "contact": "the help desk, phone 4357",
        "due_days": "10",
        "signature": "Your IT team\r\nAcme",
        "logo_url": "https://www.example.com/logo.png",
        "accent_colour": "#7a1fa2",
    }
    client = client_of("Engineer")
    client.post("/settings/", {**VALID, **page})
    stored = Configuration.load()
    assert {name: getattr(stored, name) for name in page} == {
        **page,
        "due_days": 10,
        "signature": "Your IT team\r\nAcme",
    }
    assert "https://intranet.example.com/mfa" in client.get("/settings/").content.decode()


def test_saving_what_stands_there_changes_nothing():
    client = client_of("Engineer")
    client.post("/settings/", VALID)
    before = said()
    client.post("/settings/", VALID)
    assert said() == before


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"run_time": "25:00"}, "Enter a valid time."),
        ({"run_zone": "Mars/Olympus"}, "Select a valid choice."),
        ({"account": "12"}, "Write 12 digits."),
        ({"max_users_per_event": "0"}, "greater than or equal to 1"),
        ({"base_url": "not a url"}, "Enter a valid URL."),
        ({"instructions_url": "http://intranet.example.com"}, "starts with https://"),
        ({"logo_url": "javascript:alert(1)"}, "starts with https://"),
        ({"accent_colour": "#ffd700"}, "Choose a darker colour"),
        ({"due_days": "0"}, "greater than or equal to 1"),
    ],
)
def test_a_mistake_stands_beside_its_field_and_nothing_is_saved(change, problem):
    answer = client_of("Engineer").post("/settings/", {**VALID, **change})
    assert answer.status_code == 200
    assert problem in beside(text(answer), next(iter(change)))
    assert Configuration.load().tenant_name == ""


def test_the_next_times_follow_the_form_before_it_is_saved():
    client = client_of("Viewer")
    page = text(client.get("/settings/next-runs/", {"run_time": "23:45", "run_zone": "Asia/Tokyo"}))
    assert page.count("23:45") == 3
    assert "Asia/Tokyo" in page
    assert "Write a time" in text(client.get("/settings/next-runs/", {"run_time": "x", "run_zone": "UTC"}))


def test_only_an_engineer_may_save():
    for role in ("Viewer", "Operator"):
        client = client_of(role)
        page = text(client.get("/settings/"))
        assert "Changing these needs the role Engineer." in page
        assert "Save settings" not in page
        assert client.post("/settings/", VALID).status_code == 403


def test_the_protected_population_adds_up():
    User.objects.create(name="admin", protected=True, admin=True)
    User.objects.create(name="robot", protected=True, nhi=True)
    User.objects.create(name="guest", protected=True, guest=True)
    User.objects.create(name="gone")
    User.objects.create(name="room", user_type="conference_room")
    assert population() == {
        "total": 5,
        "evaluated": 3,
        "rooms": 1,
        "gone": 1,
        "nhi": 1,
        "guests": 1,
        "admins": 1,
    }
