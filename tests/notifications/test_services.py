"""What a person may ask: subscribe, test, replay, write messages; and what is on record of it."""

import json
from datetime import time, timedelta

import pytest
from django.core.exceptions import ValidationError
from django.utils import timezone

from checks.models import Finding, Run
from cii_project.audit.models import AuditEntry
from cii_project.audit.services import Actor, ActorKind, acting
from integrations import services as integrations
from notifications import services
from notifications.delivery import dispatcher
from notifications.models import Attempt, Configuration, Delivery, MessageTemplate, Subscription
from notifications.rendering import templates
from notifications.rendering.schema import validator
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
    """The texts of the audit trail, without those of the fixtures' integrations."""
    entries = AuditEntry.objects.exclude(object_kind="integrations.integration", action__in=("add", "change"))
    return list(entries.order_by("id").values_list("text", flat=True))


# --- Subscriptions ----------------------------------------------------------------------------------
def test_a_target_is_enabled_once_and_what_a_person_did_is_on_record(no_mfa, webhook, administrator):
    target = webhook()
    services.subscribe(no_mfa, target, by=administrator)
    services.subscribe(no_mfa, target, by=administrator)
    assert Subscription.objects.get().created_by == administrator
    assert services.unsubscribe(no_mfa, target) is True
    assert services.unsubscribe(no_mfa, target) is False
    assert recorded() == ["Target “soar” enabled (list).", "Target “soar” disabled (list)."]


def test_the_record_names_who_acted_and_the_system_where_nobody_did(no_mfa, webhook):
    target = webhook()
    services.subscribe(no_mfa, target)
    with acting(Actor(ActorKind.COMMAND, "ann", "host-1")):
        services.unsubscribe(no_mfa, target)
    newest = AuditEntry.objects.order_by("-id").values_list("actor_kind", "actor", "address", "action")[:2]
    assert list(newest) == [("command", "ann", "host-1", "delete"), ("system", "", "", "add")]


def test_a_kind_is_not_subscribed_to_an_audience_that_it_does_not_support(no_mfa, webhook, monkeypatch):
    monkeypatch.setattr("integrations.targets.webhook.kind.Webhook.audiences", frozenset({"list"}))
    with pytest.raises(ValidationError, match="does not support the audience"):
        services.subscribe(no_mfa, webhook(), "manager")


def test_sending_the_current_ones_where_nobody_fails_sends_nothing(no_mfa, webhook, queued_tasks):
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
    assert (delivery.state, delivery.status_code, delivery.attempts) == ("test_failed", 503, 1)
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
    with pytest.raises(templates.MessageError):
        services.send_test_message(no_mfa, webhook("other"), template_text="{{ nope }}")
    assert len(receiver.requests) == 1


# --- Replay -----------------------------------------------------------------------------------------
def test_a_replay_resets_the_count_and_keeps_the_id_and_bytes(
    deliveries, webhook, queued_tasks, administrator
):
    (delivery,) = deliveries(
        webhook(),
        state="dead",
        attempts=185,
        first_attempt_at=timezone.now() - timedelta(days=2),
        reason="Gone.",
    )
    body = bytes(delivery.body)
    services.replay(delivery)
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


def test_all_that_match_are_replayed_except_those_that_cannot_be(
    deliveries, webhook, queued_tasks, administrator
):
    target, ended = webhook(), webhook("ended", "/ended")
    deliveries(target, 3, state="dead")
    deliveries(target, 2, state="delivered")
    deliveries(target, 1)
    deliveries(ended, 2, state="dead")
    integrations.disable(ended)
    count = services.replay_matching(Delivery.objects.filter(state="dead"))
    assert count == 3
    assert Delivery.objects.filter(replays=1, integration=target, state="due").count() == 3
    assert recorded() == ["Replayed 3 deliveries."]


# --- Messages ---------------------------------------------------------------------------------------
def test_a_message_that_cannot_render_is_not_saved(no_mfa, failing_now):
    with pytest.raises(templates.MessageError) as caught:
        services.save_message(no_mfa, "webhook", "Hello\n{{ userz }}")
    assert (caught.value.line, caught.value.column) == (2, 4)
    assert not MessageTemplate.objects.exists()


def test_a_message_is_tried_on_a_user_who_fails_now(no_mfa, failing_now):
    failing_now("kim@example.com")
    preview = services.preview_message(no_mfa, "{{ users[0].login }} {{ users[0].details.createdAt }}")
    assert (preview.text, preview.user, preview.is_sample) == (
        "kim@example.com 2020-01-01T00:00:00.000Z",
        "kim@example.com",
        False,
    )
    assert services.preview_message(no_mfa, "{{ total }}", audience="user").error is not None
    assert not Delivery.objects.exists()


def test_a_preview_without_anybody_failing_uses_a_sample(no_mfa):
    preview = services.preview_message(no_mfa, "{{ user.login }}", audience="user")
    assert (preview.text, preview.is_sample) == ("kim@example.com", True)


def test_a_message_goes_back_to_the_default(no_mfa, administrator):
    services.save_message(no_mfa, "webhook", "Mine", by=administrator)
    assert services.current_text(no_mfa, "webhook") == "Mine"
    assert services.reset_message(no_mfa, "webhook")
    assert services.current_text(no_mfa, "webhook") == ""
    assert services.current_text(no_mfa, "slack") == templates.DEFAULTS["list"]
    assert not services.reset_message(no_mfa, "webhook")


# --- Schedule ---------------------------------------------------------------------------------------
def test_the_schedule_changes_with_its_zone(db, administrator):
    services.update_schedule(time(7, 30), "Europe/Berlin")
    configuration = Configuration.load()
    assert (configuration.run_time, configuration.run_zone) == (time(7, 30), "Europe/Berlin")
    entry = AuditEntry.objects.latest("id")
    assert entry.before == {"run time": "06:00:00", "run zone": "UTC"}
    assert entry.after == {"run time": "07:30:00", "run zone": "Europe/Berlin"}
    with pytest.raises(ValidationError, match="Unknown time zone"):
        services.update_schedule(time(7, 30), "Mars/Olympus")


def test_attempts_of_a_test_are_numbered_like_any_other(webhook, receiver):
    delivery = services.test_connectivity(webhook())
    assert Attempt.objects.get(delivery=delivery).number == 1
    assert dispatcher.is_work_due() is False
