"""What a person may ask: subscribe, test, replay, write messages; and what is on record of it."""

import json
from datetime import time, timedelta

import pytest
from django.contrib.admin.models import LogEntry
from django.core.exceptions import ValidationError
from django.utils import timezone

from checks.models import Finding, Run
from integrations import services as integrations
from notifications import dispatch, messages, services
from notifications.models import Attempt, Configuration, Delivery, MessageTemplate, Subscription
from notifications.schema import validator
from tests.receiver import Behaviour

pytestmark = pytest.mark.django_db


@pytest.fixture
def failing_now(no_mfa, failing_user):
    """Makes users with an open finding."""

    def make(*names):
        run = Run.objects.create(state="succeeded", trigger="command", started_at=timezone.now())
        users = [failing_user(name) for name in names]
        for user in users:
            Finding.objects.create(check_ref=no_mfa, user=user, opened_at=timezone.now(), opened_run=run)
        return users

    return make


def recorded():
    return list(LogEntry.objects.order_by("id").values_list("change_message", flat=True))


# --- Subscriptions ----------------------------------------------------------------------------------
def test_a_target_is_enabled_once_and_what_a_person_did_is_on_record(no_mfa, webhook, administrator):
    target = webhook()
    services.subscribe(no_mfa, target, by=administrator)
    services.subscribe(no_mfa, target, by=administrator)
    assert Subscription.objects.get().created_by == administrator
    assert services.unsubscribe(no_mfa, target, by=administrator) is True
    assert services.unsubscribe(no_mfa, target, by=administrator) is False
    assert recorded() == ["Target “soar” enabled (list).", "Target “soar” disabled (list)."]


def test_what_a_command_did_needs_no_person(no_mfa, webhook):
    services.subscribe(no_mfa, webhook())
    assert recorded() == []


def test_a_kind_is_not_subscribed_to_an_audience_that_it_cannot_write_to(no_mfa, webhook, monkeypatch):
    monkeypatch.setattr("integrations.targets.webhook.Webhook.audiences", frozenset({"list"}))
    with pytest.raises(ValidationError, match="cannot write to"):
        services.subscribe(no_mfa, webhook(), "manager")


def test_sending_the_current_ones_where_nobody_fails_sends_nothing(no_mfa, webhook, bells):
    assert services.send_current(no_mfa, webhook()) is None
    assert not Delivery.objects.exists()


# --- Tests ------------------------------------------------------------------------------------------
def test_test_connectivity_sends_the_contracts_event_once_and_keeps_what_came_back(
    webhook, receiver, administrator
):
    receiver.script("/hook", Behaviour(status=503, body=b"come back later"))
    target = webhook()
    delivery = services.test_connectivity(target, by=administrator)
    (request,) = receiver.requests
    event = json.loads(request.body)
    validator("WebhookTest").validate(event)
    assert event["id"] == request.header("webhook-id") == str(delivery.id)
    assert (delivery.state, delivery.status_code, delivery.attempts) == ("dead", 503, 1)
    assert "Given up" not in delivery.reason
    attempt = delivery.log.get()
    assert attempt.response_body == "come back later"
    target.refresh_from_db()
    assert target.failing_since is None  # a try by hand counts for nothing
    assert recorded() == ["Test Connectivity."]


def test_a_test_message_speaks_of_real_users_and_is_marked(no_mfa, failing_now, webhook, receiver):
    failing_now(*(f"user{number}@example.com" for number in range(7)))
    delivery = services.send_test_message(no_mfa, webhook())
    event = json.loads(receiver.requests[0].body)
    validator("FAILED_CHECK").validate(event)
    assert event["detail"]["test"] is True
    assert event["detail"]["usersFailing"] == [f"user{number}@example.com" for number in range(5)]
    assert (delivery.state, delivery.users, delivery.event.users) == ("delivered", 5, 5)


@pytest.mark.parametrize("audience", ["list", "user", "manager"])
def test_a_test_message_goes_out_even_where_nobody_fails(no_mfa, webhook, receiver, audience):
    services.send_test_message(no_mfa, webhook(), audience=audience)
    event = json.loads(receiver.requests[0].body)
    validator(event["detail-type"]).validate(event)
    assert event["detail"]["test"] is True


def test_a_message_that_is_not_saved_yet_can_be_tested(no_mfa, webhook, receiver):
    services.send_test_message(no_mfa, webhook(), template_text="Draft of {{ check.slug }}")
    assert json.loads(receiver.requests[0].body)["detail"]["message"] == "Draft of no-mfa"
    assert not MessageTemplate.objects.exists()
    with pytest.raises(messages.MessageError):
        services.send_test_message(no_mfa, webhook("other"), template_text="{{ nope }}")
    assert len(receiver.requests) == 1


# --- Replay -----------------------------------------------------------------------------------------
def test_a_replay_starts_the_count_anew_with_the_same_id_and_bytes(deliveries, webhook, bells, administrator):
    (delivery,) = deliveries(
        webhook(),
        state="dead",
        attempts=185,
        first_attempt_at=timezone.now() - timedelta(days=2),
        reason="Gone.",
    )
    body = bytes(delivery.body)
    services.replay(delivery, by=administrator)
    assert (delivery.state, delivery.attempts, delivery.first_attempt_at) == ("due", 0, None)
    assert (delivery.replays, delivery.reason, bytes(delivery.body)) == (1, "", body)
    assert recorded() == ["Replayed to “soar”."]


@pytest.mark.parametrize("state", ["due", "sending"])
def test_what_a_worker_may_hold_is_not_replayed(deliveries, webhook, state):
    (delivery,) = deliveries(webhook(), state=state, lease="a-workers")
    with pytest.raises(services.ReplayRefused, match="still open"):
        services.replay(delivery)
    delivery.refresh_from_db()
    assert (delivery.state, delivery.lease, delivery.replays) == (state, "a-workers", 0)


def test_what_retention_removed_is_not_replayed_and_says_so(deliveries, webhook):
    (delivery,) = deliveries(webhook(), state="delivered")
    Delivery.objects.update(body=None)
    with pytest.raises(services.ReplayRefused, match="no longer kept"):
        services.replay(delivery)


def test_all_that_match_are_replayed_but_for_what_cannot_be(deliveries, webhook, bells, administrator):
    target, ended = webhook(), webhook("ended", "/ended")
    deliveries(target, 3, state="dead")
    deliveries(target, 2, state="delivered")
    deliveries(target, 1)
    deliveries(ended, 2, state="dead")
    integrations.disable(ended)
    count = services.replay_matching(Delivery.objects.filter(state="dead"), by=administrator)
    assert count == 3
    assert Delivery.objects.filter(replays=1, integration=target, state="due").count() == 3
    assert recorded() == ["Replayed 3 deliveries."]


# --- Messages ---------------------------------------------------------------------------------------
def test_a_message_that_cannot_render_is_not_saved(no_mfa, failing_now):
    with pytest.raises(messages.MessageError) as caught:
        services.save_message(no_mfa, "webhook", "Hello\n{{ userz }}")
    assert (caught.value.line, caught.value.column) == (2, 4)
    assert not MessageTemplate.objects.exists()


def test_a_message_is_tried_on_a_user_who_fails_now(no_mfa, failing_now):
    failing_now("kim@example.com")
    preview = services.preview_message(no_mfa, "{{ users[0].login }} {{ users[0].details.createdAt }}")
    assert (preview.text, preview.user, preview.sample) == (
        "kim@example.com 2020-01-01T00:00:00.000Z",
        "kim@example.com",
        False,
    )
    assert services.preview_message(no_mfa, "{{ total }}", audience="user").error is not None
    assert not Delivery.objects.exists()


def test_a_preview_without_anybody_failing_uses_a_sample(no_mfa):
    preview = services.preview_message(no_mfa, "{{ user.login }}", audience="user")
    assert (preview.text, preview.sample) == ("kim@example.com", True)


def test_a_message_goes_back_to_the_default(no_mfa, administrator):
    services.save_message(no_mfa, "webhook", "Mine", by=administrator)
    assert services.message_text(no_mfa, "webhook") == "Mine"
    assert services.reset_message(no_mfa, "webhook", by=administrator)
    assert services.message_text(no_mfa, "webhook") == messages.DEFAULTS["list"]
    assert not services.reset_message(no_mfa, "webhook")


# --- Schedule ---------------------------------------------------------------------------------------
def test_the_schedule_changes_with_its_zone(db, administrator):
    services.update_schedule(time(7, 30), "Europe/Berlin", by=administrator)
    configuration = Configuration.load()
    assert (configuration.run_time, configuration.run_zone) == (time(7, 30), "Europe/Berlin")
    with pytest.raises(ValidationError, match="no time zone"):
        services.update_schedule(time(7, 30), "Mars/Olympus")


def test_attempts_of_a_test_are_numbered_like_any_other(webhook, receiver):
    delivery = services.test_connectivity(webhook())
    assert Attempt.objects.get(delivery=delivery).number == 1
    assert dispatch.work_is_due() is False
