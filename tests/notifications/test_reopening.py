"""A finding that was resolved as unknown and is reopened notifies nobody, in whatever way its targets are notified."""

from datetime import timedelta

import pytest
from django.utils import timezone

from checks.models import CheckResult, Finding, Run, Source, SourceFreshness, User
from integrations.services import save_integration
from notifications import services
from notifications.models import Delivery, PostponedFinding, Subscription
from notifications.planning import check_events, digests, forecast
from notifications.services import run_and_notify

pytestmark = pytest.mark.django_db


@pytest.fixture
def kim(failing_user, no_mfa, webhook, queued_tasks) -> User:
    """A list at once, a digest and a mail are to be about Kim."""
    document = {"host": "127.0.0.1", "port": 2525, "security": "none", "sender": "checks@example.com"}
    mail = save_integration(name="mail", kind="email", document=document).integration
    services.subscribe(no_mfa, webhook("soar"))
    services.subscribe(no_mfa, webhook("siem", "/siem"), cadence="daily")
    services.subscribe(no_mfa, mail, "user")
    return failing_user("kim@example.com")


def notified_by_a_run() -> list[str]:
    """The targets that a run and the digests after it tell."""
    known = set(Delivery.objects.values_list("pk", flat=True))
    run = run_and_notify(trigger="command", slugs=["no-mfa"])
    assert run.state == "succeeded"
    digests.plan_due(timezone.now() + timedelta(days=1))
    made = Delivery.objects.exclude(pk__in=known)
    return sorted(made.values_list("integration__name", flat=True))


def test_a_reopened_finding_is_not_sent_again(kim):
    since = kim.no_mfa_since
    assert notified_by_a_run() == ["mail", "siem", "soar"]

    User.objects.filter(pk=kim.pk).update(no_mfa_since=None, mfa_unknown_since=since)
    assert notified_by_a_run() == []
    assert Finding.objects.get().resolution == "unknown"

    User.objects.filter(pk=kim.pk).update(no_mfa_since=since)
    assert forecast.forecast(["no-mfa"]) == []
    assert notified_by_a_run() == []
    assert Finding.objects.get().resolved_at is None


def test_a_finding_after_a_cure_is_sent_again(kim):
    since = kim.no_mfa_since
    notified_by_a_run()
    User.objects.filter(pk=kim.pk).update(no_mfa_since=None, mfa_unknown_since=since)
    notified_by_a_run()
    User.objects.filter(pk=kim.pk).update(mfa_unknown_since=None)
    assert notified_by_a_run() == []

    User.objects.filter(pk=kim.pk).update(no_mfa_since=since)
    assert "soar" in notified_by_a_run()


def test_a_value_that_is_too_old_is_neither_forecast_nor_sent(kim):
    as_of = timezone.now() - timedelta(days=15)
    SourceFreshness.objects.create(source=Source.objects.get(), group="factors", as_of=as_of, max_age_days=14)
    assert forecast.forecast(["no-mfa"]) == []
    assert notified_by_a_run() == []


# --- A finding that is suspended when its digest is due -----------------------------------------------
SENT_LATER = [
    pytest.param({"cadence": "daily"}, "list", id="daily list"),
    pytest.param({"after_days": 1}, "list", id="list after a day"),
    pytest.param({"cadence": "daily"}, "user", id="daily messages to users"),
    pytest.param({"after_days": 1}, "manager", id="manager after a day"),
]


def run_no_mfa(monkeypatch, moment, user, **facts):
    """A real run at ``moment`` after the user's facts changed."""
    monkeypatch.setattr(timezone, "now", lambda: moment)
    User.objects.filter(pk=user.pk).update(**facts)
    assert run_and_notify(trigger="command", slugs=["no-mfa"]).state == "succeeded"


def plan_at(monkeypatch, moment):
    monkeypatch.setattr(timezone, "now", lambda: moment)
    return digests.plan_due(moment)


@pytest.fixture
def later(no_mfa, failing_user, webhook, queued_tasks, monkeypatch):
    """Kim begins to fail and is suspended before the digest of the next day, which finds nothing to send."""

    def make(audience, options):
        boss = User.objects.create(name="boss", email="boss@example.com")
        kim = failing_user("kim@example.com", manager=boss)
        # Noon: no run and no plan below comes close to the daily time.
        start = timezone.now().replace(hour=12, minute=0) - timedelta(days=9)
        monkeypatch.setattr(timezone, "now", lambda: start)
        services.subscribe(no_mfa, webhook(), audience, **options)
        known = kim.no_mfa_since
        run_no_mfa(monkeypatch, start + timedelta(hours=1), kim)
        run_no_mfa(monkeypatch, start + timedelta(hours=2), kim, no_mfa_since=None, mfa_unknown_since=known)
        assert Finding.objects.get().resolution == "unknown"
        plan_at(monkeypatch, start + timedelta(days=2))
        assert not Delivery.objects.exists()
        return kim, known, start + timedelta(days=2)

    return make


@pytest.mark.parametrize(("options", "audience"), SENT_LATER)
def test_a_finding_that_is_suspended_at_its_digest_is_sent_once_it_is_reopened(
    later, monkeypatch, options, audience
):
    kim, known, now = later(audience, options)
    run_no_mfa(monkeypatch, now + timedelta(hours=1), kim, no_mfa_since=known)
    plan_at(monkeypatch, now + timedelta(days=1))
    assert Delivery.objects.filter(body__isnull=False).count() == 1
    for day in range(2, 5):
        run_no_mfa(monkeypatch, now + timedelta(days=day), kim)
        plan_at(monkeypatch, now + timedelta(days=day, hours=12))
    assert Delivery.objects.count() == 1, "sent once"


@pytest.mark.parametrize("audience", ["list", "user"])
def test_a_finding_that_is_cured_before_it_was_sent_is_mentioned_by_nothing(later, monkeypatch, audience):
    kim, known, now = later(audience, {"cadence": "daily", "resolved": True})
    run_no_mfa(monkeypatch, now + timedelta(hours=1), kim, no_mfa_since=known)
    run_no_mfa(monkeypatch, now + timedelta(hours=2), kim, no_mfa_since=None, mfa_unknown_since=None)
    plan_at(monkeypatch, now + timedelta(days=1))
    plan_at(monkeypatch, now + timedelta(days=2))
    assert not Delivery.objects.exists()
    assert not PostponedFinding.objects.exists()


def test_a_postponed_finding_is_sent_though_the_runs_themselves_notify_by_then(later, monkeypatch):
    kim, known, now = later("list", {"cadence": "daily"})
    services.change_subscription(Subscription.objects.get(), cadence="immediately")
    run_no_mfa(monkeypatch, now + timedelta(hours=1), kim, no_mfa_since=known)
    run_no_mfa(monkeypatch, now + timedelta(hours=2), kim)
    assert Delivery.objects.count() == 1


def test_a_plan_during_which_a_run_changes_findings_is_repeated(later, monkeypatch):
    kim, known, now = later("list", {"cadence": "daily"})
    run_no_mfa(monkeypatch, now + timedelta(hours=1), kim, no_mfa_since=known)
    at = now + timedelta(days=1)
    monkeypatch.setattr(timezone, "now", lambda: at)
    fill, check = check_events.insert_deliveries, Finding.objects.get().check_ref
    live: list[Run] = []

    def fill_while_a_run_stores_a_result(*args, **kwargs):
        count = fill(*args, **kwargs)
        if not live:
            live.append(Run.objects.create(state="running", trigger="command", started_at=at))
            CheckResult.objects.create(run=live[0], check_ref=check, severity="high")
        return count

    monkeypatch.setattr(check_events, "insert_deliveries", fill_while_a_run_stores_a_result)
    assert digests.plan_due(at) == 0
    assert not Delivery.objects.exists()
    live.append(Run.objects.create(state="succeeded", trigger="command", started_at=at))
    assert digests.plan_due(at + timedelta(minutes=1)) == 1
    assert Delivery.objects.count() == 1
