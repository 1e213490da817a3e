"""From a run to the receiver: who is notified, about what, and how often."""

import json

import pytest

from checks.models import Run
from notifications import services
from notifications.delivery import dispatcher
from notifications.models import Attempt, Delivery, Event
from notifications.rendering.schema import validator

pytestmark = pytest.mark.django_db(transaction=True)


def run(**options) -> Run:
    return services.run_and_notify(trigger="command", slugs=("no-mfa",), **options)


def bodies(receiver, path="/hook"):
    return [json.loads(request.body) for request in receiver.of(path)]


def test_a_newly_failing_user_reaches_the_receiver_once(
    no_mfa, failing_user, webhook, receiver, queued_tasks
):
    target = webhook()
    services.subscribe(no_mfa, target)
    failing_user("kim@example.com")
    first = run()
    dispatcher.dispatch(seconds=5)
    run()
    dispatcher.dispatch(seconds=5)
    (event,) = bodies(receiver)
    validator("FAILED_CHECK").validate(event)
    assert event["detail"]["usersFailing"] == ["kim@example.com"]
    assert event["detail"]["runId"] == str(first.id)
    assert event["source"].endswith(f"__{target.short_id}")
    (delivery,) = Delivery.objects.all()
    assert delivery.state == "delivered"
    assert event["id"] == str(delivery.id)
    assert event["detail"]["id"] == str(delivery.event_id)
    (attempt,) = Attempt.objects.all()
    assert (attempt.number, attempt.outcome, attempt.status_code) == (1, "delivered", 200)
    assert bytes(delivery.body) == receiver.requests[0].body


def test_without_a_subscription_there_is_no_event(no_mfa, failing_user, queued_tasks):
    failing_user("kim@example.com")
    run()
    assert not Event.objects.exists()
    assert not queued_tasks


def test_a_run_that_is_not_to_notify_plans_nothing(no_mfa, failing_user, webhook, queued_tasks):
    services.subscribe(no_mfa, webhook())
    failing_user("kim@example.com")
    run(notify=False)
    assert not Event.objects.exists()


def test_enabling_a_target_sends_nothing_old_until_a_person_asks(
    no_mfa, failing_user, webhook, receiver, queued_tasks
):
    failing_user("kim@example.com")
    run()
    target = webhook()
    services.subscribe(no_mfa, target)
    failing_user("lee@example.com")
    run()
    dispatcher.dispatch(seconds=5)
    assert [event["detail"]["usersFailing"] for event in bodies(receiver)] == [["lee@example.com"]]
    services.send_current(no_mfa, target)
    dispatcher.dispatch(seconds=5)
    event = bodies(receiver)[-1]
    assert event["detail"]["usersFailing"] == ["kim@example.com", "lee@example.com"]
    assert "runId" not in event["detail"]
