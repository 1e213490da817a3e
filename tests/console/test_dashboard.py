"""The dashboard: its score, its lines, what it calls attention to, and the first steps."""

import json
import re
from datetime import UTC, date, datetime, timedelta

import pytest
from django.utils import timezone

from checks.models import Check, CheckResult, Import, Run, Source
from checks.services import run_checks
from cii_project.console.core.charts import Chart, Series
from cii_project.console.dashboard.notices import worker_notices
from cii_project.reporting.figures import (
    CheckFigures,
    got_worse,
    latest,
    per_day,
    score,
    score_shares,
    since_first,
)
from integrations.services import disable, pause
from notifications.models import Configuration, Delivery, Event
from notifications.services import subscribe
from tests.checks.imports import load
from tests.console.checks_world import (
    check_of,
    client_of,
    delivered,
    fail,
    failing_run,
    queries,
    text,
    webhook,
)

NOON = datetime(2026, 3, 10, 12, tzinfo=UTC)


def result(check=1, severity="critical", evaluated=100, failing=0, days_ago=0.0, error="", unknown=0):
    return CheckFigures(check, severity, evaluated, failing, NOON - timedelta(days=days_ago), error, unknown)


# --- The score -----------------------------------------------------------------------------------------
def test_the_score_is_the_share_passing_weighted_by_severity():
    # (8 * 0.5 + 1 * 1.0) / 9 = 0.555
    assert score([result(1, "critical", 100, 50), result(2, "low", 10, 0)]) == 55


def test_a_perfect_score_means_that_nobody_fails_anything():
    assert score([result(failing=0)]) == 100
    assert score([result(evaluated=1_000_000, failing=1)]) == 99


def test_a_check_that_evaluated_nobody_does_not_count():
    assert score([result(evaluated=0), result(2, failing=25)]) == 75


def test_users_who_could_not_be_evaluated_do_not_count_as_passing():
    assert score([result(evaluated=100, failing=10, unknown=80)]) == 50
    assert score([result(evaluated=100, failing=0, unknown=100)]) is None
    assert score([result(evaluated=100, unknown=100, failing=0), result(2, failing=25)]) == 75


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


# The minutes since the last sweep and since the heartbeat of a live run (None: there is none), and the time that is shown.
SILENCE = [
    (None, None, ""),
    (2, None, ""),
    (48, None, "11:12 UTC"),
    (48, 2, ""),
    (48, 30, "11:30 UTC"),
    (26 * 60, None, "9 Mar 2026, 10:00 UTC"),
]


@pytest.mark.parametrize(("swept", "heartbeat", "since"), SILENCE)
def test_a_worker_that_is_silent_for_five_minutes_is_reported_with_the_time(swept, heartbeat, since):
    def ago(minutes):
        return None if minutes is None else NOON - timedelta(minutes=minutes)

    run = None if heartbeat is None else Run(state="running", heartbeat_at=ago(heartbeat))
    found = worker_notices(Configuration(swept_at=ago(swept)), run, NOON)
    assert [notice.text for notice in found] == (
        [f"No worker since {since}: nothing is evaluated, synced or sent. Start manage.py qcluster."]
        if since
        else []
    )


def test_a_dead_worker_shows_on_the_dashboard_in_the_time_of_the_member():
    Configuration.load()
    Configuration.objects.update(swept_at=timezone.now() - timedelta(hours=2))
    client = client_of("Viewer")
    client.cookies["zone"] = "Asia/Tokyo"
    page = text(client.get("/"))
    assert re.search(r"No worker since [^:]*\d\d:\d\d JST: nothing is evaluated", page)


@pytest.mark.parametrize(
    ("waiting", "words"), [(0, "nothing waits"), (1, "1 message waits"), (3, "3 messages wait")]
)
def test_a_paused_target_says_what_waits_there(waiting, words):
    soar = webhook("soar")
    other = delivered(webhook("siem"), state="due")
    for number in range(waiting):
        delivered(soar, event=other.event, state="due", batch=number + 1, batches=waiting)
    pause(soar, "Maintenance")
    page = text(client_of("Viewer").get("/"))
    assert f"“soar” is paused; {words}." in page
    assert (f'href="/deliveries/?target={soar.pk}&amp;state=due"' in page) == bool(waiting)


def test_failing_users_are_users_and_agree_with_their_list():
    failing_run(
        "ann@example.com",
        "bob@example.com",
        slugs=("no-mfa", "no-manager"),
        manager_given=False,
        internal=True,
    )
    fail("passes@example.com", no_mfa_since=None, manager_given=True)
    run_checks(trigger=Run.Trigger.COMMAND, slugs=("no-mfa", "no-manager"))
    client = client_of("Viewer")
    page = " ".join(text(client.get("/")).split())
    assert '<p class="c-stat-value">2<span class="c-stat-of"> of 3</span></p>' in page
    assert "with 4 <a" in page
    listed = text(client.get("/users/?check=any"))
    assert "ann@example.com" in listed
    assert "bob@example.com" in listed
    assert "passes@example.com" not in listed


def test_each_card_of_figures_is_a_link_and_the_page_takes_few_queries():
    run = failing_run("ann@example.com")
    soar = webhook("soar")
    sent = Event.objects.create(origin="run", run=run, check_ref=check_of(), created_at=timezone.now())
    delivered(soar, event=sent)  # the first steps are done
    pause(soar, "Maintenance")
    client = client_of("Viewer")
    links = re.findall(r'class="c-stat-link" href="([^"]*)"', text(client.get("/")))
    assert links == ["/score/", "/users/?check=any", "/deliveries/?period=24", "/runs/"]
    assert all(client.get(link).status_code == 200 for link in links)
    assert queries(client, "/") <= 20


def test_the_first_day_is_drawn_as_points_and_compared_with_nothing():
    assert "No run in the last 30 days" in text(client_of("Viewer").get("/"))
    failing_run("ann@example.com")
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
    run = failing_run("ann@example.com")
    one = delivered(webhook())
    one.event.origin, one.event.run = "run", run
    one.event.save()
    assert "First steps" not in page()


def test_the_score_is_shown_and_leads_to_its_explanation():
    failing_run("ann@example.com", "bob@example.com")
    shown = page()
    assert '0<span class="c-stat-of"> / 100' in shown
    assert 'href="/score/">How it comes about' in shown
    assert "critical 8, high 4, medium 2, low 1" in text(client_of("Operator").get("/score/"))


def test_a_check_that_is_off_does_not_count():
    failing_run("ann@example.com")
    Check.objects.filter(slug="no-mfa").update(enabled=False)
    assert "No score yet" in text(client_of("Operator").get("/score/"))


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
    run = failing_run("ann@example.com")
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
        "Nothing was imported into “Okta” yet: the checks evaluate old data.",
    ):
        assert sentence in shown


def test_a_run_that_died_and_a_daily_run_that_is_late_are_reported():
    check_of()
    Run.objects.create(state="died", trigger="schedule", error="Its process is gone.")
    Run.objects.update(created_at=timezone.now() - timedelta(days=2))
    shown = page()
    assert "The last run died. Its process is gone." in shown
    assert "the daily run is late" in shown


def test_the_next_run_is_shown_in_the_zone_of_the_installation():
    Configuration.load()
    Configuration.objects.update(run_time="23:45", run_zone="Asia/Tokyo")
    shown = page()
    assert '23:45<span class="c-stat-of">' in shown
    assert "Asia/Tokyo" in shown


def test_a_healthy_installation_needs_no_attention():
    failing_run("ann@example.com")
    Source.objects.update(last_import_at=timezone.now())
    subscribe(Check.objects.get(slug="no-mfa"), webhook())
    assert "Needs attention" not in page()


def test_the_checks_that_could_not_evaluate_users_are_listed_with_the_reason():
    check_of()
    load([{"login": "ann", "status": "active"}], "okta")
    run_checks(trigger=Run.Trigger.COMMAND, slugs=["no-mfa", "password-age", "stuck-state"])
    shown = page()
    listed = shown[shown.index('id="unknown"') :]
    assert listed.index("No MFA Configured") < listed.index("Old Password")
    assert "okta does not say whether there is MFA" in listed
    assert '1</strong><br><span class="text-subtle">of 1</span>' in listed
    assert "Stuck" not in listed
    assert "Nothing could be evaluated" not in shown  # stuck-state could


def test_where_everybody_could_be_evaluated_nothing_is_listed():
    failing_run("ann@example.com")
    assert 'id="unknown"' not in page()


def test_no_score_is_shown_where_nothing_could_be_evaluated():
    check_of()
    load([{"login": "ann", "status": "active"}], "okta")
    run_checks(trigger=Run.Trigger.COMMAND, slugs=["no-mfa"])
    assert "Nothing could be evaluated" in page()


def test_fields_that_an_import_made_unknown_are_named_until_a_later_one_gives_them():
    good = [{"login": f"u{n}", "status": "active", "mfa_enabled": "true"} for n in range(4)]
    load(good, "okta")
    load([{**row, "mfa_enabled": "unknown"} for row in good], "okta")
    text_of_notice = "Unknown at “okta” since an import: MFA enabled (4 of 4 accounts)."
    viewer = client_of("Viewer")
    assert text_of_notice in text(viewer.get("/"))
    load(good, "okta")
    assert text_of_notice not in text(viewer.get("/"))


# --- The score, explained ---------------------------------------------------------------------------------
def test_the_points_of_the_checks_add_up_to_the_score_and_say_what_moved_it():
    now = timezone.now()
    week_ago = [CheckFigures(1, "critical", 10, 0, now), CheckFigures(2, "low", 100, 50, now)]
    results = [CheckFigures(1, "critical", 10, 6, now), CheckFigures(2, "low", 100, 50, now)]
    worst, other = score_shares(results, week_ago)
    assert (worst.result.check, round(worst.most, 1), round(worst.lost, 1)) == (1, 88.9, 53.3)
    assert worst.change is not None
    assert round(worst.change, 1) == -53.3
    assert other.change == 0
    assert int(worst.points + other.points) == score(results) == 41


def test_a_check_that_could_evaluate_nobody_has_no_points():
    assert score_shares([CheckFigures(1, "high", 5, 0, timezone.now(), unknown=5)]) == []


def test_the_page_of_the_score_shows_each_check_with_the_installations_numbers():
    failing_run("ann@example.com", "bo@example.com")
    fail("cid@example.com", no_mfa_since=None, has_mfa=True)
    run_checks(trigger="command", slugs=("no-mfa",))
    page = " ".join(text(client_of("Viewer").get("/score/")).split())
    assert "33 of 100" in page
    assert "2 of 3" in page
    assert "33.3 of 100.0" in page
    assert "\u221266.7" in page
    assert 'href="/score/"' in text(client_of("Operator").get("/"))


def test_without_a_run_there_is_no_score_to_explain():
    assert "No score yet" in text(client_of("Viewer").get("/score/"))


# --- Charts -----------------------------------------------------------------------------------------------
def test_a_chart_has_a_unit_marks_that_differ_and_all_its_values_as_a_table():
    days = [date(2026, 3, 1), date(2026, 3, 2)]
    chart = Chart(
        "line", "users", days, [Series("Failing", "a", "#fff", [3, 5]), Series("New", "b", "#fff", [None, 2])]
    )
    options, data = json.loads(chart.options), json.loads(chart.data)
    assert options["scales"]["y"]["title"]["text"] == "users"
    assert options["interaction"] == {"mode": "index", "intersect": False}
    assert data["labels"] == ["1 Mar 2026", "2 Mar 2026"]
    first, second = data["datasets"]
    assert (first["borderDash"], first["pointStyle"]) != (second["borderDash"], second["pointStyle"])
    assert chart.rows == [(days[1], [5, 2]), (days[0], [3, None])]
    assert chart.label == "Users over 2 days: Failing from 3 to 5; New from 2 to 2"


def test_a_chart_of_one_day_shows_its_point_and_one_of_none_is_empty():
    one = Chart("line", "users", [date(2026, 3, 1)], [Series("Failing", "a", "#fff", [3])])
    assert json.loads(one.data)["datasets"][0]["pointRadius"] > 0
    assert (one.has_one_point, one.is_empty) == (True, False)
    assert Chart("line", "users", [], []).is_empty
    assert Chart("bar", "deliveries", one.days, [Series("Dead", "dead", "#fff", [0])]).is_empty
