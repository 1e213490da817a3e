"""What the queue calls: each task may be lost or come twice, and the sweep makes up for it."""

from datetime import UTC, datetime, time, timedelta

import pytest
from django.core import mail
from django.utils import timezone
from django_q.models import Schedule
from hypothesis import given
from hypothesis import strategies as st

from checks.models import Run
from checks.services import request_run
from integrations import services as integrations
from notifications import bell, health, schedule, services, tasks
from notifications.models import Attempt, Configuration, Delivery
from tests.receiver import Behaviour

RUN = "notifications.tasks.run_requested"
DISPATCH = "notifications.tasks.dispatch_due"


# --- The times --------------------------------------------------------------------------------------
def utc(*parts):
    return datetime(*parts, tzinfo=UTC)


def test_the_daily_time_keeps_to_the_clocks_of_its_zone():
    found = schedule.slots(time(6), "Europe/Berlin", utc(2026, 3, 27, 12), 3)
    assert found == [utc(2026, 3, 28, 5), utc(2026, 3, 29, 4), utc(2026, 3, 30, 4)]


def test_a_time_that_the_clocks_skip_comes_an_hour_later_and_one_that_comes_twice_is_the_first():
    spring = schedule.slots(time(2, 30), "Europe/Berlin", utc(2026, 3, 28, 12), 1)
    autumn = schedule.slots(time(2, 30), "Europe/Berlin", utc(2026, 10, 24, 12), 2)
    assert spring == [utc(2026, 3, 29, 1, 30)]
    assert autumn == [utc(2026, 10, 25, 0, 30), utc(2026, 10, 26, 1, 30)]


ZONES = st.sampled_from(["UTC", "Europe/Berlin", "America/St_Johns", "Pacific/Apia", "Australia/Lord_Howe"])


@given(
    st.times().map(lambda t: t.replace(second=0, microsecond=0)),
    ZONES,
    st.datetimes(datetime(2012, 1, 5), datetime(2035, 1, 1), timezones=st.just(UTC)),
)
def test_the_latest_time_and_the_next_one_enclose_any_moment_about_a_day_apart(at, zone, now):
    latest = schedule.latest_slot(at, zone, now)
    upcoming, following = schedule.slots(at, zone, now, 2)
    assert latest <= now < upcoming < following
    assert timedelta(hours=22) <= upcoming - latest <= timedelta(hours=26)


# --- The daily run ----------------------------------------------------------------------------------
@pytest.fixture
def daily(no_mfa, bells):
    Configuration.objects.update_or_create(
        id=1, defaults={"run_time": (timezone.now() - timedelta(minutes=5)).time(), "daily_slot": None}
    )


@pytest.mark.django_db
def test_the_daily_run_happens_once_however_often_the_bell_rings(daily):
    assert tasks.daily_fan_out() == "succeeded"
    assert tasks.daily_fan_out() == "not due"
    assert Run.objects.get().trigger == "schedule"


@pytest.mark.django_db
def test_a_daily_run_whose_bell_was_lost_is_started_by_the_sweep(daily, bells):
    tasks.start_daily_run(timezone.now())
    assert not Run.objects.exists()  # no schedule was installed yet: no bell can have been lost
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
def test_schedules_are_installed_once_and_mended():
    schedule.install_schedules()
    schedule.install_schedules()
    assert Schedule.objects.count() == 3
    assert {row.func for row in Schedule.objects.all()} == {
        "notifications.tasks.daily_fan_out",
        "notifications.tasks.sweep",
        "notifications.tasks.retention",
    }
    daily = Schedule.objects.get(name=schedule.DAILY)
    assert daily.next_run == schedule.next_runs(1)[0]
    Schedule.objects.update(func="os.system")
    schedule.install_schedules()
    assert not Schedule.objects.filter(func="os.system").exists()
    assert schedule.start_due_run() is None  # a new installation waits for its first daily time


@pytest.mark.django_db
def test_the_daily_bell_is_set_right_after_a_change_of_the_clocks():
    schedule.install_schedules()
    Schedule.objects.filter(name=schedule.DAILY).update(
        next_run=schedule.next_runs(1)[0] + timedelta(hours=1)
    )
    schedule.align()
    assert Schedule.objects.get(name=schedule.DAILY).next_run == schedule.next_runs(1)[0]


# --- Runs -------------------------------------------------------------------------------------------
@pytest.mark.django_db
def test_a_requested_run_is_carried_out_once(no_mfa, bells):
    run = request_run(trigger="person", slugs=("no-mfa",))
    assert tasks.run_requested(str(run.id)) == "succeeded"
    assert tasks.run_requested(str(run.id)) == "nothing to do"


@pytest.mark.django_db(transaction=True)
def test_a_queued_run_whose_bell_was_lost_is_rung_for_again(no_mfa, bells):
    run = request_run(trigger="person")
    tasks.sweep()
    assert (RUN, str(run.id)) not in bells
    Run.objects.update(created_at=timezone.now() - timedelta(minutes=2))
    tasks.sweep()
    assert (RUN, str(run.id)) in bells


def died(**values):
    return Run.objects.create(state="died", **{"trigger": "person", **values})


@pytest.mark.django_db(transaction=True)
def test_a_run_that_died_is_queued_anew(no_mfa, bells):
    died(slugs=["no-mfa"], notify=False)
    again = tasks.restart_died_run(timezone.now())
    assert (again.state, again.slugs, again.notify) == ("queued", ["no-mfa"], False)
    assert (RUN, str(again.id)) in bells
    assert tasks.restart_died_run(timezone.now()) is None


@pytest.mark.django_db
def test_a_run_of_a_command_that_died_is_left_to_its_person(no_mfa, bells):
    died(trigger="command")
    assert tasks.restart_died_run(timezone.now()) is None


@pytest.mark.django_db
def test_a_run_that_always_dies_is_not_started_for_ever(no_mfa, bells):
    died()
    for _ in range(3):
        assert tasks.restart_died_run(timezone.now())
        Run.objects.filter(state="queued").update(state="died")
    assert tasks.restart_died_run(timezone.now()) is None


# --- The bell ---------------------------------------------------------------------------------------
@pytest.mark.django_db(transaction=True)
def test_a_bell_that_cannot_ring_fails_nothing_and_the_sweep_rings_again(
    no_mfa, failing_user, webhook, receiver, monkeypatch, caplog
):
    def broken(*args):
        raise ConnectionError("redis is down")

    monkeypatch.setattr(bell, "async_task", broken)
    monkeypatch.setattr(bell.Stat, "get_all", broken)
    services.subscribe(no_mfa, webhook())
    failing_user("kim@example.com")
    run = services.run_and_notify(trigger="command", slugs=("no-mfa",))
    assert run.state == "succeeded"
    assert "waits for the sweep" in caplog.text
    rung = []
    monkeypatch.setattr(bell, "async_task", lambda *args: rung.append(args))
    tasks.sweep()
    assert rung == [(DISPATCH,)]
    assert tasks.dispatch_due() == "1 delivered"
    assert len(receiver.requests) == 1


@pytest.mark.django_db(transaction=True)
def test_more_work_rings_for_more_workers_but_never_for_all(webhook, deliveries, bells, settings):
    deliveries(webhook(), 1200)
    settings.Q_CLUSTER = {**settings.Q_CLUSTER, "workers": 3}
    services.ring()
    assert bells == [(DISPATCH,)] * 2


@pytest.mark.django_db(transaction=True)
def test_the_sweep_rings_only_for_workers_that_are_not_at_work(webhook, deliveries, bells, settings):
    settings.Q_CLUSTER = {**settings.Q_CLUSTER, "workers": 4}
    (sent, *_) = deliveries(webhook(), 1200)
    for number, worker in enumerate(("one:7", "two:7", "two:7")):
        Attempt.objects.create(delivery=sent, number=number, started_at=timezone.now(), worker=worker)
    tasks.sweep()
    assert bells == [(DISPATCH,)]
    long_ago = timezone.now() - timedelta(minutes=1)
    Attempt.objects.update(started_at=long_ago)
    bells.clear()
    tasks.sweep()
    assert bells == [(DISPATCH,)] * 3


@pytest.mark.django_db(transaction=True)
def test_a_step_of_the_sweep_that_fails_stops_no_other(webhook, deliveries, bells, monkeypatch):
    deliveries(webhook())

    def broken(now):
        raise RuntimeError("a bug")

    monkeypatch.setattr(health, "watch", broken)
    assert tasks.sweep() == "1 steps failed"
    assert (DISPATCH,) in bells


@pytest.mark.django_db(transaction=True)
def test_an_expired_lease_is_returned_by_the_sweep(webhook, deliveries, bells):
    (delivery,) = deliveries(webhook())
    past = timezone.now() - timedelta(seconds=1)
    Delivery.objects.update(state="sending", lease="gone", lease_until=past, due_at=None)
    tasks.sweep()
    delivery.refresh_from_db()
    assert (delivery.state, delivery.lease, delivery.attempts) == ("due", "", 1)
    assert delivery.due_at is not None


# --- Days of failure --------------------------------------------------------------------------------
@pytest.mark.django_db
def test_a_target_is_warned_of_once_and_disabled_after_five_days_of_nothing_but_failure(webhook, bells):
    target = webhook(owner_email="owner@example.com")
    now = timezone.now()

    def fails_for(days):
        type(target).objects.update(failing_since=now - timedelta(days=days), last_attempt_at=now)

    fails_for(2)
    health.watch(now)
    assert not mail.outbox
    fails_for(3.1)
    health.watch(now)
    health.watch(now)
    assert [message.subject for message in mail.outbox] == ["Failing: soar"]
    fails_for(5.1)
    health.watch(now + timedelta(days=2))
    target.refresh_from_db()
    assert target.state == "disabled"
    assert mail.outbox[-1].subject == "Disabled: soar"


@pytest.mark.django_db
def test_a_target_that_failed_once_and_was_sent_nothing_since_is_left_alone(webhook):
    target = webhook(owner_email="owner@example.com")
    long_ago = timezone.now() - timedelta(days=30)
    type(target).objects.update(failing_since=long_ago, last_attempt_at=long_ago)
    health.watch()
    target.refresh_from_db()
    assert target.state == "active"
    assert not mail.outbox


@pytest.mark.django_db
def test_an_owner_who_cannot_be_written_to_does_not_stop_the_end(webhook, monkeypatch):
    monkeypatch.setattr(health, "send_mail", lambda *args: 1 / 0)
    target = webhook(owner_email="owner@example.com")
    health.end(target.id, "Because.")
    target.refresh_from_db()
    assert target.state == "disabled"


# --- Retention --------------------------------------------------------------------------------------
@pytest.mark.django_db(transaction=True)
def test_retention_removes_old_attempts_and_settled_bodies_never_of_open_deliveries(
    webhook, receiver, deliveries, bells
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
    assert tasks.retention() == "0 attempts and 1 bodies removed"
    assert list(Delivery.objects.filter(body=None).values_list("state", "batch")) == [("dead", 1)]
    Attempt.objects.filter(delivery__batch=2).update(started_at=timezone.now() - timedelta(days=31))
    assert tasks.retention() == "1 attempts and 0 bodies removed"
    assert Attempt.objects.count() == 1
