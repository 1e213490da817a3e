"""A clock that was hours ahead is set back: nothing waits for the future, nothing is sent twice, nothing is lost."""

import json
from datetime import timedelta

import pytest
from django.utils import timezone
from django_q.models import Schedule

from integrations.models import Integration
from notifications import services, tasks
from notifications.models import Configuration, Delivery, Event, Subscription
from notifications.planning import schedule

pytestmark = pytest.mark.django_db(transaction=True)

AHEAD = timedelta(hours=5)
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)


@pytest.fixture
def clock(monkeypatch):
    class Clock:
        def __init__(self):
            # Noon: the hours and minutes below lead over no daily time of their own.
            self.now = timezone.now().replace(hour=12, minute=0)
            monkeypatch.setattr(timezone, "now", lambda: self.now)

        def set_back(self):
            self.now -= AHEAD

    return Clock()


@pytest.fixture
def run(clock, failing_user):
    def run(*names):
        clock.now += MINUTE
        for name in names:
            failing_user(name)
        services.run_and_notify(trigger="command", slugs=("no-mfa",))
        clock.now += MINUTE

    return run


def sent():
    """The users of each message, in order of their first letter: repaired times may be equal."""
    found = Delivery.objects.filter(body__isnull=False)
    return sorted(json.loads(bytes(one.body))["detail"]["usersFailing"] for one in found)


def test_a_digest_sends_what_it_would_have_sent_and_nothing_twice(clock, no_mfa, webhook, queued_tasks, run):
    services.subscribe(no_mfa, webhook(), cadence="daily")
    clock.now += HOUR
    run("a before")
    clock.now += DAY
    tasks.sweep()
    assert sent() == [["a before"]]
    run("b digested")
    Subscription.objects.update(last_scheduled_at=clock.now - 2 * DAY)
    tasks.sweep()
    assert sent() == [["a before"], ["b digested"]]
    run("c collected")
    tasks.sweep()
    clock.set_back()
    run("d afterwards")
    tasks.sweep()
    clock.now += DAY + HOUR
    tasks.sweep()
    assert sent() == [["a before"], ["b digested"], ["c collected", "d afterwards"]]
    clock.now += DAY
    tasks.sweep()
    assert len(sent()) == 3


def test_what_waits_is_sent_and_a_target_is_tried_again(clock, webhook, deliveries, queued_tasks, receiver):
    target = webhook()
    retried, _, leased, *_ = deliveries(target, 4)
    later = clock.now + 15 * MINUTE
    Delivery.objects.filter(pk=retried.pk).update(due_at=later, attempts=3, first_attempt_at=clock.now)
    Delivery.objects.filter(pk=leased.pk).update(
        state="sending", lease="worker", lease_until=clock.now + MINUTE, due_at=None
    )
    Integration.objects.update(breaker_until=later, rate_cursor=clock.now, failing_since=clock.now)
    Configuration.load()
    Configuration.objects.update(swept_at=clock.now)
    clock.set_back()
    tasks.sweep()
    assert not Delivery.objects.filter(due_at__gt=clock.now).exists()
    assert Delivery.objects.get(pk=retried.pk).first_attempt_at == clock.now
    # The worker may be alive: its lease is as long as one that begins now.
    assert clock.now < Delivery.objects.get(pk=leased.pk).lease_until <= clock.now + 2 * MINUTE
    target.refresh_from_db()
    assert target.breaker_until == target.rate_cursor == target.failing_since == clock.now


def test_messages_to_people_that_were_planned_ahead_are_released(
    clock, no_mfa, mail, queued_tasks, failing_user, run
):
    services.subscribe(no_mfa, mail, "user")
    run("kim@example.com")
    Delivery.objects.update(state="held", due_at=None)  # as a process that died before the count leaves them
    Configuration.objects.update(swept_at=clock.now)
    clock.set_back()
    tasks.sweep()
    assert list(Delivery.objects.values_list("state", flat=True)) == ["due"]
    assert Event.objects.get().created_at <= clock.now


def test_quiet_hours_hold_after_the_repair(clock, no_mfa, webhook, deliveries, queued_tasks):
    Configuration.load()
    quiet = {
        "quiet_from": (clock.now - AHEAD - HOUR).time(),
        "quiet_until": (clock.now - AHEAD + HOUR).time(),
    }
    deliveries(webhook(), 1, audience="user", due_at=clock.now + HOUR)
    Configuration.objects.update(swept_at=clock.now, **quiet)
    clock.set_back()
    tasks.sweep()
    assert Delivery.objects.get().due_at == clock.now + HOUR


def test_setup_repairs_the_schedules_that_wait_for_the_future(clock, queued_tasks):
    services.install_schedules()
    tasks.sweep()
    Schedule.objects.filter(name=schedule.SWEEP).update(next_run=clock.now + MINUTE)
    Configuration.objects.update(daily_slot=clock.now)
    clock.set_back()
    services.install_schedules()
    assert Schedule.objects.get(name=schedule.SWEEP).next_run <= clock.now + MINUTE
    configuration = Configuration.load()
    assert configuration.daily_slot <= clock.now
    assert configuration.swept_at == clock.now


def test_clocks_that_differ_by_seconds_repair_nothing(clock, webhook, deliveries, queued_tasks):
    (one,) = deliveries(webhook(), 1, due_at=clock.now + HOUR)
    Configuration.load()
    Configuration.objects.update(swept_at=clock.now + MINUTE)
    tasks.sweep()
    assert Delivery.objects.get(pk=one.pk).due_at == clock.now + HOUR
