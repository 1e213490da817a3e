"""What the queue calls: each task may be lost or come twice, and the sweep makes up for it."""

from datetime import UTC, datetime, time, timedelta

import pytest
from django.contrib.sessions.models import Session
from django.core import mail
from django.utils import timezone
from django_q.models import Schedule
from hypothesis import given, strategies as st

from checks.models import GroupResult, Run
from checks.services import request_run
from integrations import services as integrations
from notifications import services, tasks
from notifications.delivery import breaker, pruning, task_requests
from notifications.models import Attempt, Configuration, Delivery
from notifications.planning import schedule
from tests.receiver import Behaviour

RUN = "notifications.tasks.run_requested"
DISPATCH = "notifications.tasks.dispatch_due"


# --- The times --------------------------------------------------------------------------------------
def utc(*parts):
    return datetime(*parts, tzinfo=UTC)


def test_the_daily_time_keeps_to_the_clocks_of_its_zone():
    found = schedule.daily_times(time(6), "Europe/Berlin", utc(2026, 3, 27, 12), 3)
    assert found == [utc(2026, 3, 28, 5), utc(2026, 3, 29, 4), utc(2026, 3, 30, 4)]


def test_a_time_that_the_clocks_skip_comes_an_hour_later_and_one_that_comes_twice_is_the_first():
    spring = schedule.daily_times(time(2, 30), "Europe/Berlin", utc(2026, 3, 28, 12), 1)
    autumn = schedule.daily_times(time(2, 30), "Europe/Berlin", utc(2026, 10, 24, 12), 2)
    assert spring == [utc(2026, 3, 29, 1, 30)]
    assert autumn == [utc(2026, 10, 25, 0, 30), utc(2026, 10, 26, 1, 30)]


ZONES = st.sampled_from(["UTC", "Europe/Berlin", "America/St_Johns", "Pacific/Apia", "Australia/Lord_Howe"])


@given(
    st.times().map(lambda t: t.replace(second=0, microsecond=0)),
    ZONES,
    st.datetimes(datetime(2012, 1, 5), datetime(2035, 1, 1), timezones=st.just(UTC)),
)
def test_the_latest_time_and_the_next_one_enclose_any_moment_about_a_day_apart(at, zone, now):
    latest = schedule.latest_daily_time(at, zone, now)
    upcoming, following = schedule.daily_times(at, zone, now, 2)
    assert latest <= now < upcoming < following
    assert timedelta(hours=22) <= upcoming - latest <= timedelta(hours=26)


# --- The daily run ----------------------------------------------------------------------------------
@pytest.fixture
def daily(no_mfa, queued_tasks):
    Configuration.objects.update_or_create(
        id=1, defaults={"run_time": (timezone.now() - timedelta(minutes=5)).time(), "daily_slot": None}
    )


@pytest.mark.django_db
def test_the_daily_run_happens_once_however_often_it_is_requested(daily):
    assert tasks.daily_fan_out() == "succeeded"
    assert tasks.daily_fan_out() == "not due"
    assert Run.objects.get().trigger == "schedule"


@pytest.mark.django_db
def test_a_daily_run_whose_task_was_lost_is_started_by_the_sweep(daily, queued_tasks):
    tasks.start_daily_run(timezone.now())
    assert not Run.objects.exists()  # no schedule was installed yet: no task can have been lost
    Configuration.objects.update(daily_slot=timezone.now() - timedelta(days=1))
    tasks.start_daily_run(timezone.now())
    run = Run.objects.get()
    assert (run.state, run.trigger) == ("queued", "schedule")


@pytest.mark.django_db
def test_the_daily_run_waits_for_a_run_that_is_live_and_stays_due(daily):
    live = request_run(trigger="person")
    assert tasks.daily_fan_out() == "refused"
    Run.objects.filter(id=live.id).update(state="succeeded")
    assert tasks.daily_fan_out() == "succeeded"


@pytest.mark.django_db
def test_a_new_time_of_day_does_not_start_a_run_for_the_time_that_has_passed(daily):
    tasks.daily_fan_out()
    services.update_schedule((timezone.now() - timedelta(minutes=1)).time(), "UTC")
    assert tasks.daily_fan_out() == "not due"


@pytest.mark.django_db
def test_schedules_are_installed_once_and_repaired():
    schedule.create_schedules()
    schedule.create_schedules()
    assert Schedule.objects.count() == 5
    assert {row.func for row in Schedule.objects.all()} == {
        "cii_project.reporting.tasks.send_due_report",
        "notifications.tasks.daily_fan_out",
        "notifications.tasks.sweep",
        "notifications.tasks.retention",
        "cii_project.sync.tasks.sweep_syncs",
    }
    daily = Schedule.objects.get(name=schedule.DAILY)
    assert daily.next_run == schedule.next_daily_times(1)[0]
    Schedule.objects.update(func="os.system")
    schedule.create_schedules()
    assert not Schedule.objects.filter(func="os.system").exists()
    assert schedule.start_due_run() is None  # a new installation waits for its first daily time


@pytest.mark.django_db
def test_the_daily_schedule_is_corrected_after_a_change_of_the_clocks():
    schedule.create_schedules()
    Schedule.objects.filter(name=schedule.DAILY).update(
        next_run=schedule.next_daily_times(1)[0] + timedelta(hours=1)
    )
    schedule.align()
    assert Schedule.objects.get(name=schedule.DAILY).next_run == schedule.next_daily_times(1)[0]


# --- Runs -------------------------------------------------------------------------------------------
@pytest.mark.django_db
def test_a_requested_run_is_carried_out_once(no_mfa, queued_tasks):
    run = request_run(trigger="person", slugs=("no-mfa",))
    assert tasks.run_requested(str(run.id)) == "succeeded"
    assert tasks.run_requested(str(run.id)) == "nothing to do"


@pytest.mark.django_db(transaction=True)
def test_a_queued_run_whose_task_was_lost_is_requested_again(no_mfa, queued_tasks):
    run = request_run(trigger="person")
    tasks.sweep()
    assert (RUN, str(run.id)) not in queued_tasks
    Run.objects.update(created_at=timezone.now() - timedelta(minutes=2))
    tasks.sweep()
    assert (RUN, str(run.id)) in queued_tasks


def died(**values):
    return Run.objects.create(state="died", **{"trigger": "person", **values})


@pytest.mark.django_db(transaction=True)
def test_a_run_that_died_is_queued_again(no_mfa, queued_tasks):
    died(slugs=["no-mfa"], notify=False)
    again = tasks.restart_died_run(timezone.now())
    assert (again.state, again.slugs, again.notify) == ("queued", ["no-mfa"], False)
    assert (RUN, str(again.id)) in queued_tasks
    assert tasks.restart_died_run(timezone.now()) is None


@pytest.mark.django_db
def test_a_run_of_a_command_that_died_is_left_to_its_person(no_mfa, queued_tasks):
    died(trigger="command")
    assert tasks.restart_died_run(timezone.now()) is None


@pytest.mark.django_db
def test_a_run_that_always_dies_is_started_three_times_at_most(no_mfa, queued_tasks):
    died()
    for _ in range(3):
        assert tasks.restart_died_run(timezone.now())
        Run.objects.filter(state="queued").update(state="died")
    assert tasks.restart_died_run(timezone.now()) is None


@pytest.mark.django_db(transaction=True)
def test_departments_and_sources_are_counted_once_a_minute_after_a_run(no_mfa, failing_user, queued_tasks):
    failing_user("kim@example.com")
    run = services.run_and_notify(trigger="command", slugs=("no-mfa",))
    wanted = (tasks.GROUP_RESULTS, str(run.pk))
    tasks.sweep()
    assert not GroupResult.objects.exists()
    assert wanted not in queued_tasks  # its messages come first
    Run.objects.update(finished_at=run.finished_at - timedelta(minutes=2))
    tasks.sweep()
    assert queued_tasks.count(wanted) == 1
    assert tasks.count_groups(str(run.pk)) == f"{GroupResult.objects.filter(run=run).count()} groups"
    assert GroupResult.objects.get(dimension="department").failing_users == 1
    assert tasks.count_groups(str(run.pk)) == "nothing to do"
    tasks.sweep()
    assert queued_tasks.count(wanted) == 1


@pytest.mark.django_db(transaction=True)
def test_a_run_of_another_day_is_counted_no_more(no_mfa, failing_user, queued_tasks):
    failing_user("kim@example.com")
    run = services.run_and_notify(trigger="command", slugs=("no-mfa",))
    Run.objects.update(finished_at=run.finished_at - tasks.LATEST_GROUPS)
    tasks.sweep()
    assert (tasks.GROUP_RESULTS, str(run.pk)) not in queued_tasks
    assert tasks.count_groups("00000000-0000-4000-8000-000000000000") == "nothing to do"


# --- Requests for the workers ----------------------------------------------------------------------
@pytest.mark.django_db(transaction=True)
def test_a_queue_that_is_away_fails_nothing_and_the_sweep_requests_again(
    no_mfa, failing_user, webhook, receiver, monkeypatch, caplog
):
    def broken(*args):
        raise ConnectionError("redis is down")

    monkeypatch.setattr(task_requests, "async_task", broken)
    monkeypatch.setattr(task_requests.Stat, "get_all", broken)
    services.subscribe(no_mfa, webhook())
    failing_user("kim@example.com")
    run = services.run_and_notify(trigger="command", slugs=("no-mfa",))
    assert run.state == "succeeded"
    assert "waits for the sweep" in caplog.text
    rung = []
    monkeypatch.setattr(task_requests, "async_task", lambda *args: rung.append(args))
    tasks.sweep()
    assert rung == [(DISPATCH,)]
    assert tasks.dispatch_due() == "1 delivered"
    assert len(receiver.requests) == 1


@pytest.mark.django_db(transaction=True)
def test_more_work_requests_more_workers_but_never_all(webhook, deliveries, queued_tasks, settings):
    deliveries(webhook(), 1200)
    settings.Q_CLUSTER = {**settings.Q_CLUSTER, "workers": 3}
    services.request_workers()
    assert queued_tasks == [(DISPATCH,)] * 2


@pytest.mark.django_db(transaction=True)
def test_the_sweep_requests_only_workers_that_are_not_busy(webhook, deliveries, queued_tasks, settings):
    settings.Q_CLUSTER = {**settings.Q_CLUSTER, "workers": 4}
    (sent, *_) = deliveries(webhook(), 1200)
    for number, worker in enumerate(("one:7", "two:7", "two:7")):
        Attempt.objects.create(delivery=sent, number=number, started_at=timezone.now(), worker=worker)
    tasks.sweep()
    assert queued_tasks == [(DISPATCH,)]
    long_ago = timezone.now() - timedelta(minutes=1)
    Attempt.objects.update(started_at=long_ago)
    queued_tasks.clear()
    tasks.sweep()
    assert queued_tasks == [(DISPATCH,)] * 3


@pytest.mark.django_db(transaction=True)
def test_a_step_of_the_sweep_that_fails_stops_no_other(webhook, deliveries, queued_tasks, monkeypatch):
    deliveries(webhook())

    def broken(now):
        raise RuntimeError("a bug")

    monkeypatch.setattr(breaker, "warn_and_disable", broken)
    assert tasks.sweep() == "1 steps failed"
    assert (DISPATCH,) in queued_tasks


@pytest.mark.django_db(transaction=True)
def test_an_expired_lease_is_returned_by_the_sweep(webhook, deliveries, queued_tasks):
    (delivery,) = deliveries(webhook())
    past = timezone.now() - timedelta(seconds=1)
    Delivery.objects.update(state="sending", lease="gone", lease_until=past, due_at=None)
    tasks.sweep()
    delivery.refresh_from_db()
    assert (delivery.state, delivery.lease, delivery.attempts) == ("due", "", 1)
    assert delivery.due_at is not None


# --- Days of failure --------------------------------------------------------------------------------
@pytest.mark.django_db
def test_a_target_is_warned_of_once_and_disabled_after_five_days_of_nothing_but_failure(
    webhook, queued_tasks
):
    target = webhook(owner_email="owner@example.com")
    now = timezone.now()

    def fails_for(days):
        type(target).objects.update(failing_since=now - timedelta(days=days), last_attempt_at=now)

    fails_for(2)
    breaker.warn_and_disable(now)
    assert not mail.outbox
    fails_for(3.1)
    breaker.warn_and_disable(now)
    breaker.warn_and_disable(now)
    assert [message.subject for message in mail.outbox] == ["Failing: soar"]
    fails_for(5.1)
    breaker.warn_and_disable(now + timedelta(days=2))
    target.refresh_from_db()
    assert target.state == "disabled"
    assert mail.outbox[-1].subject == "Disabled: soar"


@pytest.mark.django_db
def test_a_target_that_failed_once_and_was_sent_nothing_since_is_left_alone(webhook):
    target = webhook(owner_email="owner@example.com")
    long_ago = timezone.now() - timedelta(days=30)
    type(target).objects.update(failing_since=long_ago, last_attempt_at=long_ago)
    breaker.warn_and_disable()
    target.refresh_from_db()
    assert target.state == "active"
    assert not mail.outbox


@pytest.mark.django_db
def test_an_owner_who_cannot_be_written_to_does_not_stop_the_end(webhook, monkeypatch):
    monkeypatch.setattr(breaker, "send_mail", lambda *args: 1 / 0)
    target = webhook(owner_email="owner@example.com")
    breaker.disable_target(target.id, "Because.")
    target.refresh_from_db()
    assert target.state == "disabled"


# --- Retention --------------------------------------------------------------------------------------
@pytest.mark.django_db(transaction=True)
def test_retention_removes_old_attempts_and_settled_bodies_never_of_open_deliveries(
    webhook, receiver, deliveries, queued_tasks
):
    receiver.script("/hook", Behaviour(status=404))
    target = webhook()
    deliveries(target, 2)
    tasks.dispatch_due()
    integrations.pause(target)
    (open_one,) = deliveries(target, 1)
    old = timezone.now() - timedelta(days=15)
    Delivery.objects.filter(state="dead", batch=1).update(finished_at=old)
    Delivery.objects.filter(id=open_one.id).update(created_at=old, due_at=old)
    assert tasks.retention() == "0 attempts, 1 bodies and 0 sessions removed"
    assert list(Delivery.objects.filter(body=None).values_list("state", "batch")) == [("dead", 1)]
    Attempt.objects.filter(delivery__batch=2).update(started_at=timezone.now() - timedelta(days=31))
    assert tasks.retention() == "1 attempts, 0 bodies and 0 sessions removed"
    assert Attempt.objects.count() == 1


def test_retention_deletes_the_sessions_that_have_expired_and_no_other(db, monkeypatch):
    monkeypatch.setattr(pruning, "CHUNK", 2)
    now = timezone.now()
    for number in range(5):
        Session.objects.create(session_key=f"old{number}", expire_date=now - timedelta(days=1))
    Session.objects.create(session_key="live", expire_date=now + timedelta(hours=1))
    assert tasks.retention() == "0 attempts, 0 bodies and 5 sessions removed"
    assert [session.session_key for session in Session.objects.all()] == ["live"]
