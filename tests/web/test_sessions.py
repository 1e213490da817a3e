"""When a session ends: 30 minutes after the last request, 12 hours after the sign-in."""

from datetime import timedelta
from time import time

import pytest
from django.contrib.sessions.models import Session
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from cii_project.web import sessions
from tests.console.checks_world import client_of

pytestmark = pytest.mark.django_db
MINUTE, HOUR = 60, 3600
SIGN_IN = "/admin/login/?next=/users/"


@pytest.fixture
def client():
    return client_of("Viewer")


@pytest.fixture
def later(monkeypatch):
    """Moves the clock of the limits."""

    def move(seconds):
        monkeypatch.setattr(sessions, "time", lambda: time() + seconds)

    return move


def left() -> float:
    return (Session.objects.get().expire_date - timezone.now()).total_seconds()


def test_a_session_ends_half_an_hour_after_the_last_request(client):
    assert left() == pytest.approx(30 * MINUTE, abs=10)
    Session.objects.update(expire_date=timezone.now() - timedelta(seconds=1))
    assert client.get("/users/")["Location"] == SIGN_IN


def test_a_request_extends_the_session_and_its_cookie(client, later):
    Session.objects.update(expire_date=timezone.now() + timedelta(minutes=1))
    later(29 * MINUTE)
    answer = client.get("/users/")
    assert answer.status_code == 200
    assert left() == pytest.approx(30 * MINUTE, abs=10)
    assert answer.cookies["sessionid"]["max-age"] == 30 * MINUTE


def test_at_most_one_request_a_minute_writes_the_session(client, later):
    client.get("/users/")
    for seconds, writes in ((59, False), (61, True)):
        later(seconds)
        with CaptureQueriesContext(connection) as taken:
            client.get("/users/")
        assert any("UPDATE" in one["sql"] and "session" in one["sql"] for one in taken) is writes


def test_a_part_of_a_page_that_refreshes_itself_keeps_no_session_alive(client, later):
    later(10 * MINUTE)
    Session.objects.update(expire_date=timezone.now() + timedelta(minutes=20))
    assert client.get("/users/", headers={"X-Refresh": "1"}).status_code == 200
    assert left() == pytest.approx(20 * MINUTE, abs=10)


def test_a_session_ends_twelve_hours_after_the_sign_in_however_busy(client, later):
    later(12 * HOUR - 10 * MINUTE)
    assert client.get("/users/").status_code == 200
    assert left() == pytest.approx(10 * MINUTE, abs=10)
    later(12 * HOUR)
    assert client.get("/users/")["Location"] == SIGN_IN
    assert not Session.objects.exists()


def test_both_limits_are_settings(settings, later):
    settings.SESSION_IDLE_SECONDS, settings.SESSION_ABSOLUTE_SECONDS = 5 * MINUTE, HOUR
    client = client_of("Viewer")
    assert left() == pytest.approx(5 * MINUTE, abs=10)
    later(HOUR)
    assert client.get("/users/").status_code == 302


def test_a_session_from_before_the_limits_has_them_from_its_next_request(client, later):
    session = client.session
    del session["signed_in_at"], session["seen_at"]
    session.set_expiry(14 * 24 * HOUR)
    session.save()
    assert client.get("/users/").status_code == 200
    assert left() == pytest.approx(30 * MINUTE, abs=10)
    later(12 * HOUR)
    assert client.get("/users/").status_code == 302


def test_every_part_that_refreshes_itself_says_so():
    """In each template, ``every`` stands beside the header that the limit reads."""
    from pathlib import Path

    from django.conf import settings

    found = [
        path
        for path in Path(settings.BASE_DIR, "templates").rglob("*.html")
        if 'hx-trigger="every' in path.read_text()
    ]
    assert len(found) >= 2
    for path in found:
        text = path.read_text()
        assert text.count('hx-trigger="every') == text.count("""hx-headers='{"X-Refresh": "1"}'"""), path


def test_a_session_of_before_the_clock_was_set_back_ends(client, later):
    later(-4 * MINUTE)
    assert client.get("/users/").status_code == 200
    later(-6 * MINUTE)
    assert client.get("/users/")["Location"] == SIGN_IN
