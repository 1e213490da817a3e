"""The dashboard: its score, its lines, what it calls attention to, and the first steps."""

from datetime import UTC, date, datetime, timedelta

import pytest
from django.utils import timezone

from checks.models import Check, CheckResult, Import, Run, Source
from cii_project.console.dashboard_figures import Result, got_worse, latest, per_day, score, since_first
from integrations.services import disable
from notifications.models import Configuration, Delivery
from notifications.services import subscribe
from tests.console.checks_world import check_of, client_of, delivered, judged, text, webhook

NOON = datetime(2026, 3, 10, 12, tzinfo=UTC)


def result(check=1, severity="critical", evaluated=100, failing=0, days_ago=0.0, error=""):
    return Result(check, severity, evaluated, failing, NOON - timedelta(days=days_ago), error)


# --- The score -----------------------------------------------------------------------------------------
def test_the_score_is_the_share_passing_weighted_by_severity():
    # (8 * 0.5 + 1 * 1.0) / 9 = 0.555
    assert score([result(1, "critical", 100, 50), result(2, "low", 10, 0)]) == 55


def test_a_perfect_score_means_that_nobody_fails_anything():
    assert score([result(failing=0)]) == 100
    assert score([result(evaluated=1_000_000, failing=1)]) == 99


def test_a_check_that_judged_nobody_does_not_count():
    assert score([result(evaluated=0), result(2, failing=25)]) == 75


def test_there_is_no_score_before_the_first_run():
    assert score([]) is None
    assert score([result(evaluated=0)]) is None


def test_a_check_in_error_keeps_its_last_good_result():
    good, bad = result(failing=5, days_ago=1), result(failing=0, error="no such column")
    assert latest([good, bad]) == {1: good}


def test_the_lines_carry_a_figure_over_days_without_a_run_and_start_with_the_first():
    results = [
        result(failing=4, days_ago=3),
        result(2, "low", failing=7, days_ago=1),
        result(failing=6, days_ago=0),
    ]
    days, lines = per_day(results, 5, date(2026, 3, 10))
    assert days[0] == date(2026, 3, 6)
    assert lines["critical"] == [None, 4, 4, 4, 6]
    assert lines["low"] == [None, 0, 0, 7, 7]


def test_the_line_begins_with_the_first_run():
    days, lines = since_first(*per_day([result(1, failing=4, days_ago=1)], 5, date(2026, 3, 10)))
    assert (days, lines["critical"]) == ([date(2026, 3, 9), date(2026, 3, 10)], [4, 4])
    assert since_first(*per_day([], 5, date(2026, 3, 10)))[0] == []


def test_the_first_day_is_drawn_as_points_and_compared_with_nothing():
    assert "No run in the last 30 days" in text(client_of("Viewer").get("/"))
    judged("ann@example.com")
    page = text(client_of("Operator").get("/"))
    assert "&quot;pointRadius&quot;: 4" in page
    assert "One day so far" in page
    assert "Nothing to compare yet" in page


def test_what_got_worse_is_ordered_by_weight_and_leaves_out_what_did_not():
    results = [
        result(1, "low", failing=1, days_ago=8),
        result(2, "critical", failing=1, days_ago=8),
        result(3, "high", failing=9, days_ago=8),
        result(1, "low", failing=11),
        result(2, "critical", failing=4),
        result(3, "high", failing=9),
        result(4, "high", failing=50),
    ]
    found = got_worse(results, NOON - timedelta(days=7))
    assert [(worse.check, worse.before, worse.now, worse.more) for worse in found] == [
        (2, 1, 4, 3),
        (1, 1, 11, 10),
    ]


# --- The page ------------------------------------------------------------------------------------------
pytestmark = pytest.mark.django_db


def page():
    return " ".join(text(client_of("Viewer").get("/")).split())


def test_an_empty_installation_shows_the_way_to_the_first_message():
    shown = page()
    for step in (
        "Import your users",
        "Add an integration",
        "Enable it on checks",
        "See the first message delivered",
    ):
        assert step in shown
    assert "No run in the last 30 days" in shown


def test_a_step_that_was_taken_is_marked():
    source = Source.objects.create(slug="okta", name="Okta")
    Import.objects.create(source=source, state="succeeded", started_at=timezone.now())
    shown = page()
    assert shown.count("(done)") == 1
    assert 'Import your users</strong><span class="sr-only"> (done)</span>' in shown


def test_the_first_steps_go_once_a_run_was_delivered():
    run = judged("ann@example.com")
    one = delivered(webhook())
    one.event.origin, one.event.run = "run", run
    one.event.save()
    assert "First steps" not in page()


def test_the_score_and_the_formula_are_shown():
    judged("ann@example.com", "bob@example.com")
    shown = page()
    assert '0<span class="c-stat-of"> / 100' in shown
    assert "critical 8, high 4, medium 2, low 1" in shown
    assert "over the 1 enabled check that judged somebody" in shown


def test_a_check_that_is_off_does_not_count():
    judged("ann@example.com")
    Check.objects.filter(slug="no-mfa").update(enabled=False)
    assert "over the 0 enabled checks" in page()


def test_deliveries_of_the_last_day_are_counted_by_what_became_of_them():
    target = webhook()
    old = timezone.now() - timedelta(days=2)
    for state in ("delivered", "delivered", "due", "sending", "dead"):
        delivered(target, state=state)
    delivered(target, created_at=old)
    delivered(target, state="dead", created_at=old)
    delivered(target, state="dead", origin="connectivity")
    shown = page()
    assert '2<span class="c-stat-of"> delivered' in shown
    assert "2 waiting" in shown
    assert "1 dead" in shown
    assert "2 messages could not be delivered and wait in the dead letters." in shown
    assert Delivery.objects.count() == 8


def test_what_needs_attention_is_named_with_its_reason():
    run = judged("ann@example.com")
    CheckResult.objects.filter(run=run).update(error="no such column: foo")
    failing, disabled = webhook("siem"), webhook("old")
    failing.failing_since, failing.last_reason = (
        timezone.now(),
        "The receiver answered 503 Service Unavailable.",
    )
    failing.save()
    disable(disabled, "The receiver answered 410 Gone.")
    shown = page()
    for sentence in (
        "The check “No MFA Configured” could not be evaluated in the last run.",
        "“siem” has been failing since",
        "The receiver answered 503 Service Unavailable.",
        "“old” is disabled. The receiver answered 410 Gone.",
        "Nothing was imported into “Okta” yet: the checks judge old data.",
    ):
        assert sentence in shown


def test_a_run_that_died_and_a_daily_run_that_is_late_are_told():
    check_of()
    Run.objects.create(state="died", trigger="schedule", error="Its process is gone.")
    Run.objects.update(created_at=timezone.now() - timedelta(days=2))
    shown = page()
    assert "The last run died. Its process is gone." in shown
    assert "the daily run is late" in shown


def test_the_next_run_is_told_in_the_zone_of_the_installation():
    Configuration.load()
    Configuration.objects.update(run_time="23:45", run_zone="Asia/Tokyo")
    shown = page()
    assert '23:45<span class="c-stat-of">' in shown
    assert "Asia/Tokyo" in shown


def test_a_healthy_installation_needs_no_attention():
    judged("ann@example.com")
    Source.objects.update(last_import_at=timezone.now())
    subscribe(Check.objects.get(slug="no-mfa"), webhook())
    assert "Needs attention" not in page()
