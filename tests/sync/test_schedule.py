"""When syncs start, who goes on with them, and what warns of a source that is not read."""

from datetime import UTC, datetime, timedelta

import pytest
from django.utils import timezone

from checks.models import Source
from cii_project.console.dashboard.notices import source_notices
from cii_project.sync import requests, tasks
from cii_project.sync.driver import advance
from cii_project.sync.requests import next_sync_time, start_due_syncs, start_sync, waiting_syncs
from integrations.models import SourceConnection, Sync
from tests.sync.worlds import connect, serving, small_okta, sync

pytestmark = pytest.mark.django_db(transaction=True)

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)


@pytest.fixture
def connection():
    with serving(small_okta()) as server:
        yield connect(server)


@pytest.mark.parametrize(
    ("period", "now", "expected"),
    [
        (24, NOON, datetime(2026, 11, 21, 4, tzinfo=UTC)),
        (24, datetime(2026, 11, 20, 2, tzinfo=UTC), datetime(2026, 11, 20, 4, tzinfo=UTC)),
        (24, datetime(2026, 11, 20, 3, 30, tzinfo=UTC), datetime(2026, 11, 21, 4, tzinfo=UTC)),
        (48, NOON, datetime(2026, 11, 22, 4, tzinfo=UTC)),
        (6, NOON, NOON + timedelta(hours=6)),
    ],
)
def test_a_sync_by_whole_days_starts_two_hours_before_the_daily_run(connection, period, now, expected):
    connection.period_hours = period
    assert next_sync_time(connection, now) == expected


def test_a_new_source_is_due_at_once_and_then_by_its_period(connection):
    now = timezone.now()
    assert [each.connection for each in start_due_syncs(now)] == [connection]
    assert start_due_syncs(now) == []
    connection.refresh_from_db()
    assert connection.next_sync_at > now


def test_the_sweep_goes_on_with_a_sync_whose_worker_is_gone(connection, monkeypatch):
    asked = []
    monkeypatch.setattr(tasks, "request_task", lambda task, *ids: asked.append(ids))
    started = start_sync(connection, Sync.Trigger.MEMBER)
    now = timezone.now()
    Sync.objects.filter(pk=started.pk).update(claim="x", claimed_until=now + timedelta(minutes=2))
    assert waiting_syncs(now) == []
    Sync.objects.filter(pk=started.pk).update(claimed_until=now - timedelta(seconds=1))
    assert tasks.sweep_syncs() == "1 syncs continue"
    assert asked == [(str(started.pk),)]


def test_the_history_keeps_the_newest_syncs_and_those_that_are_held(connection, monkeypatch):
    monkeypatch.setattr(requests, "KEPT_SYNCS", 2)
    ended = {"connection": connection, "trigger": "schedule", "due_at": timezone.now()}
    held, *old = (
        Sync.objects.create(state=state, **ended) for state in ("held", "succeeded", "failed", "succeeded")
    )
    started = start_sync(connection, Sync.Trigger.MEMBER)
    assert set(Sync.objects.values_list("pk", flat=True)) == {held.pk, old[-1].pk, started.pk}


def test_only_one_worker_at_a_time_works_on_a_sync(connection):
    started = start_sync(connection, Sync.Trigger.MEMBER)
    Sync.objects.filter(pk=started.pk).update(claim="x", claimed_until=timezone.now() + timedelta(minutes=2))
    assert advance(started.pk) is False
    started.refresh_from_db()
    assert (started.claim, started.calls) == ("x", 0)


def notices():
    return [each.text for each in source_notices(list(Source.objects.all()), timezone.now())]


def test_the_dashboard_warns_of_a_source_that_was_not_listed_for_three_periods(connection):
    sync(connection)
    assert notices() == []
    SourceConnection.objects.update(last_success_at=timezone.now() - timedelta(hours=73))
    assert "The users of “Okta” were not listed since" in notices()[0]


def test_the_dashboard_warns_of_a_secret_that_ends_within_a_month(connection):
    sync(connection)
    SourceConnection.objects.update(secret_expires_on=timezone.now().date() + timedelta(days=31))
    assert notices() == []
    SourceConnection.objects.update(secret_expires_on=timezone.now().date() + timedelta(days=30))
    assert "The secret of “Okta” ends on" in notices()[0]


def test_metrics_say_when_each_source_was_listed_and_how_its_last_sync_ended(connection, admin_client):
    sync(connection)
    text = admin_client.get("/metrics").content.decode()
    assert 'cii_source_syncs{source="okta",state="succeeded"} 1' in text
    assert 'cii_source_listed_timestamp_seconds{kind="okta",source="okta"} ' in text
