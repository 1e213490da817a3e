"""The viewer's zone: chosen by the member, else the browser's, else UTC; the same on every page and form."""

import re
from datetime import UTC, datetime
from pathlib import Path

import pytest
from django.conf import settings

from checks.models import Run, User
from cii_project.audit.models import AuditEntry
from cii_project.models import MemberPreference
from integrations.models import Integration
from tests.console.checks_world import attempted, client_of, delivered, failing_run, text, webhook

pytestmark = pytest.mark.django_db
SINCE = datetime(2026, 3, 2, 6, tzinfo=UTC)
ROOT = Path(settings.BASE_DIR)
# Beside the formats of viewer_zone.py: for machines, and the large figures of cards and the times of the daily run.
OTHER_FORMATS = {"c", "Y-m-d", "H:i", "D, j M", "j M T", "D j M, H:i"}
# The account table, which keeps UTC; fields of forms; the names of files.
OWN_FORMATS = {
    "users/account_tables.py",
    "checks/exclusion_forms.py",
    "settings/views.py",
    "sources/connection_forms.py",
    "core/list_view.py",
}


@pytest.fixture
def failing():
    target = webhook("soar")
    Integration.objects.update(failing_since=SINCE, last_reason="Answered 404.")
    return f"/integrations/{target.pk}/"


def test_times_are_in_utc_until_a_zone_is_known(failing):
    assert "Failing since 2 Mar 2026, 06:00 UTC" in text(client_of("Viewer").get(failing))


def test_times_are_in_the_zone_of_the_browser(failing):
    client = client_of("Viewer")
    client.cookies["zone"] = "Europe/Berlin"
    assert "Failing since 2 Mar 2026, 07:00 CET" in text(client.get(failing))
    client.cookies["zone"] = "../../etc/passwd"
    assert "06:00 UTC" in text(client.get(failing))


def test_the_zone_that_a_member_chose_counts_before_that_of_the_browser(failing):
    client = client_of("Viewer")
    client.cookies["zone"] = "Europe/Berlin"
    page = text(client.post("/preferences/", {"zone": "Asia/Kolkata"}, follow=True))
    assert 'value="Asia/Kolkata" selected' in page
    assert "IST" in page
    assert "Failing since 2 Mar 2026, 11:30 IST" in text(client.get(failing))
    entry = AuditEntry.objects.first()
    assert (entry.text, entry.after) == ("Changed time zone.", {"zone": "Asia/Kolkata"})
    # In a new session as well, without another query a page.
    member = MemberPreference.objects.get().member
    client.logout()
    client.force_login(member)
    assert "11:30 IST" in text(client.get(failing))
    client.post("/preferences/", {"zone": ""})
    client.cookies["zone"] = "Europe/Berlin"
    assert "07:00 CET" in text(client.get(failing))


def test_an_unknown_zone_is_refused():
    answer = client_of("Viewer").post("/preferences/", {"zone": "Mars/Olympus"})
    assert "Mars/Olympus is not one of the available choices" in text(answer)
    assert not MemberPreference.objects.exists()


def test_a_relative_time_has_the_exact_one_behind_it():
    target = webhook("soar")
    delivery = delivered(target, created_at=SINCE)
    attempted(delivery, started_at=SINCE)
    client = client_of("Viewer")
    client.cookies["zone"] = "America/New_York"
    assert 'title="2 Mar 2026, 01:00:00 EST"' in text(client.get("/deliveries/"))
    assert "2 Mar 2026, 01:00:00 EST" in text(client.get(f"/deliveries/{delivery.pk}/"))


def test_the_accounts_of_a_user_stay_in_exact_utc():
    failing_run("ann@example.com")
    client = client_of("Viewer")
    client.cookies["zone"] = "America/New_York"
    page = text(client.get(f"/users/{User.objects.get().pk}/"))
    assert "2020-01-01 00:00" in page


def test_the_run_of_a_filter_is_named_in_the_zone_of_the_viewer():
    run = failing_run("ann@example.com")
    Run.objects.filter(pk=run.pk).update(created_at=SINCE)
    client = client_of("Viewer")
    client.cookies["zone"] = "Europe/Berlin"
    for address in (f"/deliveries/?run={run.pk}", f"/runs/{run.pk}/", "/runs/"):
        assert "2 Mar 2026, 07:00 CET" in text(client.get(address))


def test_templates_and_views_write_times_in_one_format():
    filters = re.compile(r"""\|(?:date|time):["']([^"']+)["']""")
    templates = [file.read_text() for file in (ROOT / "templates" / "console").rglob("*.html")]
    assert {used for text_of in templates for used in filters.findall(text_of)} <= OTHER_FORMATS
    console = ROOT / "cii_project" / "console"
    own = {
        file for file in console.rglob("*.py") if re.search(r"[:\"]%-?[YmdbHM]|strftime", file.read_text())
    }
    assert {str(file.relative_to(console)) for file in own} == OWN_FORMATS
