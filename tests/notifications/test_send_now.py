"""What waits for a target, or died, goes at once when a member says so; tests are neither counted nor sent again."""

from datetime import timedelta

import pytest
from django.utils import timezone

from integrations import services as integrations
from integrations.models import Integration
from notifications import services
from notifications.delivery import dispatcher
from notifications.models import Delivery, Event
from notifications.services import Unsent
from tests.receiver import Behaviour


@pytest.fixture
def soon():
    return timezone.now() + timedelta(minutes=30)


def test_what_waits_and_what_died_is_counted_and_sent(deliveries, webhook, receiver, queued_tasks, soon):
    target = webhook()
    deliveries(target, 3, due_at=soon, attempts=4)
    deliveries(target, 2, state="dead", attempts=185)
    deliveries(target, 1, state="delivered")
    deliveries(webhook("other", "/other"), 1, state="dead")
    assert services.unsent(target) == Unsent(waiting=3, dead=2)
    assert services.send_unsent(target) == Unsent(waiting=3, dead=2)
    dispatcher.dispatch(seconds=5, threads=2)
    assert len(receiver.of("/hook")) == 5
    assert not services.unsent(target)
    assert not receiver.of("/other")


def test_an_open_breaker_does_not_keep_what_a_member_sends(deliveries, webhook, receiver, queued_tasks, soon):
    target = webhook()
    deliveries(target, 4)
    Integration.objects.filter(id=target.id).update(breaker_until=soon, consecutive_failures=20)
    target.refresh_from_db()
    dispatcher.dispatch(seconds=1, threads=2)
    assert not receiver.requests
    assert services.send_unsent(target) == Unsent(waiting=4)
    dispatcher.dispatch(seconds=5, threads=2)
    assert len(receiver.requests) == 4


def test_what_is_due_at_once_is_on_its_way_and_needs_no_member(deliveries, webhook):
    target = webhook()
    deliveries(target, 4)
    assert not services.unsent(target)


@pytest.mark.parametrize("change", [integrations.pause, lambda one: integrations.disable(one, "Gone.")])
def test_a_target_that_is_not_active_is_resumed_first(deliveries, webhook, soon, change):
    target = webhook()
    (waiting,) = deliveries(target, 1, due_at=soon)
    change(target)
    assert not services.unsent(target)
    assert not services.send_unsent(target)
    with pytest.raises(services.SendRefused, match="resume it first"):
        services.send_now(waiting)
    waiting.refresh_from_db()
    assert waiting.due_at == soon


def test_a_failed_test_counts_nowhere_and_is_not_sent_again(no_mfa, webhook, receiver, queued_tasks):
    receiver.script("/hook", Behaviour(status=404))
    target = webhook()
    tests = [services.test_connectivity(target), services.send_test_message(no_mfa, target)]
    assert [one.state for one in tests] == ["test_failed", "test_failed"]
    assert not services.unsent(target)
    assert not services.send_unsent(target)
    assert services.replay_matching(Delivery.objects.all()) == 0
    for one in tests:
        with pytest.raises(services.ReplayRefused, match="A test is not sent again"):
            services.replay(one)
    assert len(receiver.requests) == 2


def test_a_delivered_test_is_not_sent_again(webhook, receiver):
    delivery = services.test_connectivity(webhook())
    assert delivery.state == "delivered"
    with pytest.raises(services.ReplayRefused, match="A test is not sent again"):
        services.replay(delivery)


def test_a_test_whose_worker_died_is_a_failed_test(no_mfa, webhook):
    now = timezone.now()
    event = Event.objects.create(origin="test", check_ref=no_mfa, created_at=now)
    Delivery.objects.create(
        event=event,
        integration=webhook(),
        body=b"{}",
        created_at=now,
        state="sending",
        lease="gone",
        lease_until=now - timedelta(seconds=1),
    )
    assert dispatcher.return_expired() == 1
    delivery = Delivery.objects.get()
    assert delivery.state == "test_failed"
    assert "The worker died" in delivery.reason
