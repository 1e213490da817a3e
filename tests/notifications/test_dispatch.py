"""The worker against a real, misbehaving receiver: what is sent, kept, retried, ended and recorded."""

import json
import threading
import time
from collections import Counter
from dataclasses import replace
from datetime import timedelta
from uuid import uuid4

import pytest
from django.core import mail
from django.db import connection, connections
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from checks.models import Check
from integrations import services as integrations
from integrations.models import Integration
from integrations.targets.webhook.kind import Webhook
from integrations.transport.results import AttemptOutcome, Result
from notifications import services
from notifications.delivery import breaker, dispatcher, fairness, leases, recorder, sender
from notifications.models import Attempt, Delivery, Event
from tests.doubles.mail import mail_server
from tests.receiver import Behaviour
from tests.waiting import until

pytestmark = pytest.mark.django_db(transaction=True)


def work(seconds=3.0, threads=16):
    return dispatcher.dispatch(seconds=seconds, threads=threads)


def ids(receiver, path="/hook"):
    return [request.header("webhook-id") for request in receiver.of(path)]


def states():
    return Counter(Delivery.objects.values_list("state", flat=True))


# --- The contract's table of answers ----------------------------------------------------------------
@pytest.mark.parametrize("status", [200, 201, 202, 204])
def test_2xx_is_delivered(status, webhook, receiver, deliveries, queued_tasks):
    receiver.script("/hook", Behaviour(status=status))
    (delivery,) = deliveries(webhook())
    work()
    delivery.refresh_from_db()
    assert (delivery.state, delivery.status_code, delivery.attempts) == ("delivered", status, 1)
    assert delivery.delivered_at == delivery.finished_at
    assert delivery.due_at is None


@pytest.mark.parametrize(
    "answer",
    [Behaviour(status=status) for status in (408, 425, 429, 500, 503)]
    + [Behaviour(close="reset"), Behaviour(close="after")],
    ids=["408", "425", "429", "500", "503", "reset", "hang-up"],
)
def test_what_may_pass_is_tried_again_with_the_same_id_and_bytes(
    answer, webhook, receiver, deliveries, queued_tasks, monkeypatch
):
    monkeypatch.setattr("notifications.delivery.recorder.random.random", lambda: 0.01)
    receiver.script("/hook", [answer, Behaviour(status=200)])
    (delivery,) = deliveries(webhook())
    work()
    delivery.refresh_from_db()
    assert (delivery.state, delivery.attempts) == ("delivered", 2)
    first, second = receiver.of("/hook")
    assert first.body == second.body == bytes(delivery.body)
    assert first.header("webhook-id") == second.header("webhook-id") == str(delivery.id)
    assert list(delivery.log.order_by("number").values_list("number", "outcome")) == [
        (1, "retryable"),
        (2, "delivered"),
    ]


@pytest.mark.parametrize("status", [301, 302, 400, 401, 403, 404, 422])
def test_a_refusal_is_a_dead_letter_at_once(status, webhook, receiver, deliveries, queued_tasks):
    receiver.script("/hook", Behaviour(status=status))
    (delivery,) = deliveries(webhook())
    work()
    delivery.refresh_from_db()
    assert (delivery.state, delivery.attempts, delivery.status_code) == ("dead", 1, status)
    assert str(status) in delivery.reason
    assert len(receiver.requests) == 1


def test_410_disables_the_target_notifies_its_owner_and_keeps_the_rest(
    webhook, receiver, deliveries, queued_tasks
):
    receiver.script("/hook", Behaviour(status=410))
    target = webhook(owner_email="owner@example.com")
    deliveries(target, 3, due_at=timezone.now() + timedelta(hours=1))
    first = Delivery.objects.first()
    Delivery.objects.filter(id=first.id).update(due_at=timezone.now())
    work()
    target.refresh_from_db()
    assert target.state == "disabled"
    assert "410" in target.state_reason
    assert [message.to for message in mail.outbox] == [["owner@example.com"]]
    leases.close_deliveries_of_disabled(timezone.now())
    assert states() == {"dead": 3}
    assert len(receiver.requests) == 1


def test_retry_after_is_honoured(webhook, receiver, deliveries, queued_tasks):
    receiver.script("/hook", Behaviour(status=429, headers=[("Retry-After", "600")]))
    (delivery,) = deliveries(webhook())
    work()
    delivery.refresh_from_db()
    wait = delivery.due_at - timezone.now()
    assert timedelta(seconds=590) < wait < timedelta(seconds=601)


def test_exhausted_retries_are_a_dead_letter_that_can_be_replayed(
    webhook, receiver, deliveries, queued_tasks
):
    receiver.script("/hook", [Behaviour(status=500), Behaviour(status=200)])
    (delivery,) = deliveries(webhook(limits={"max_attempts": 1}))
    work()
    delivery.refresh_from_db()
    assert delivery.state == "dead"
    services.replay(delivery)
    work()
    delivery.refresh_from_db()
    assert (delivery.state, delivery.replays, delivery.attempts) == ("delivered", 1, 1)
    assert ids(receiver) == [str(delivery.id)] * 2
    assert receiver.requests[0].body == receiver.requests[1].body
    assert list(delivery.log.order_by("number").values_list("number", flat=True)) == [1, 2]


def test_an_error_of_our_own_is_retried_and_not_held_against_the_target(
    webhook, receiver, deliveries, queued_tasks, monkeypatch
):
    def broken(self, outgoing, target):
        raise ValueError(f"secret {target.secrets}")

    monkeypatch.setattr(Webhook, "send", broken)
    target = webhook()
    (delivery,) = deliveries(target)
    work(seconds=0.5)
    attempt = Attempt.objects.order_by("number").first()
    assert attempt.outcome == "ours"
    assert attempt.reason.startswith("An internal error: ValueError at test_dispatch.py")
    assert "sesame" not in attempt.reason
    delivery.refresh_from_db()
    assert delivery.state == "due"
    target.refresh_from_db()
    assert (target.consecutive_failures, target.failing_since) == (0, None)


# --- Waiting ----------------------------------------------------------------------------------------
def test_a_paused_targets_deliveries_wait_and_go_when_it_resumes(webhook, receiver, deliveries, queued_tasks):
    target = webhook()
    integrations.pause(target)
    deliveries(target, 3)
    work(seconds=1)
    assert states() == {"due": 3}
    assert not receiver.requests
    integrations.resume(target)
    work()
    assert states() == {"delivered": 3}


def test_a_hanging_target_delays_no_other(webhook, receiver, deliveries, queued_tasks):
    receiver.script("/slow", Behaviour(delay=2.5))
    slow, quick = webhook("slow", "/slow"), webhook("quick", "/quick")
    deliveries(slow, 40)
    deliveries(quick, 40)
    work(seconds=2.0, threads=8)
    last_quick = max(request.at for request in receiver.of("/quick"))
    assert len(receiver.of("/quick")) == 40
    assert len([request for request in receiver.of("/slow") if request.at <= last_quick]) == 4
    assert last_quick - receiver.requests[0].at < 2


def test_what_waits_for_a_target_that_begins_to_hang_makes_room_for_others(
    webhook, receiver, deliveries, queued_tasks
):
    """Eight threads meet the hang. What stood behind them goes back, and one at a time finds out more."""
    receiver.script("/slow", lambda request: Behaviour(delay=0 if len(receiver.of("/slow")) <= 40 else 9))
    deliveries(webhook("slow", "/slow", document={"timeouts": {"answer": 1.5}}), 100)
    summary = work(seconds=2.5, threads=8)
    assert summary.unsent
    assert len(receiver.of("/slow")) <= 40 + 8 + 4


def test_a_retry_that_is_due_soon_is_waited_for_however_late_the_answer_came(
    webhook, receiver, deliveries, queued_tasks, monkeypatch
):
    monkeypatch.setattr("notifications.delivery.recorder.random.random", lambda: 0.01)
    receiver.script("/hook", [Behaviour(status=503, delay=0.5), Behaviour()])
    deliveries(webhook())
    work()
    assert states() == {"delivered": 1}


def test_a_delivery_that_becomes_due_soon_is_waited_for(webhook, receiver, deliveries, queued_tasks):
    deliveries(webhook(), due_at=timezone.now() + timedelta(seconds=1))
    work(seconds=5)
    assert states() == {"delivered": 1}


def test_what_is_due_later_is_left_to_the_sweep(webhook, receiver, deliveries, queued_tasks):
    deliveries(webhook(), due_at=timezone.now() + timedelta(seconds=40))
    began = time.monotonic()
    work(seconds=5)
    assert time.monotonic() - began < 2
    assert states() == {"due": 1}


def test_work_that_is_left_requests_another_worker(webhook, receiver, deliveries, queued_tasks):
    receiver.script("/hook", Behaviour(delay=0.3))
    deliveries(webhook(), 20)
    work(seconds=0.2, threads=2)
    assert 0 < states()["due"] < 20
    assert ("notifications.tasks.dispatch_due",) in queued_tasks


# --- Limits -----------------------------------------------------------------------------------------
def test_a_rate_spreads_the_sends(webhook, receiver, deliveries, queued_tasks):
    deliveries(webhook(limits={"per_second": 20}), 11)
    work(seconds=5)
    times = sorted(request.at for request in receiver.requests)
    assert len(times) == 11
    assert times[-1] - times[0] > 0.35


def test_concurrency_bounds_the_sends_under_way(webhook, receiver, deliveries, queued_tasks):
    under_way, most, lock, three = [0], [0], threading.Lock(), threading.Barrier(3)

    def answer(request):
        with lock:
            under_way[0] += 1
            most[0] = max(most[0], under_way[0])
        three.wait(timeout=30)
        with lock:
            under_way[0] -= 1
        return Behaviour()

    receiver.script("/hook", answer)
    deliveries(webhook(limits={"concurrency": 3}), 12)
    work(seconds=5)
    assert states() == {"delivered": 12}
    assert most[0] == 3


def test_unusable_addresses_never_count_against_a_mail_target(no_mfa, deliveries, queued_tasks):
    """Two of them, days apart, disabled the whole target."""
    with mail_server("none") as box:
        box.says["RCPT"] = "550 5.1.1 No such user"
        document = {"host": "127.0.0.1", "port": box.port, "security": "none", "sender": "checks@example.com"}
        target = integrations.save_integration(name="mail", kind="email", document=document).integration
        body = b"To: gone@example.com\r\nSubject: x\r\n\r\nHello\r\n"
        deliveries(target, 3)
        Delivery.objects.update(body=body, content_type="message/rfc822")
        work()
    target.refresh_from_db()
    assert states() == {"dead": 3}
    assert (target.failing_since, target.consecutive_failures, target.last_reason) == (None, 0, "")


def test_a_refused_recipient_neither_heals_nor_harms_a_target_that_fails():
    now = timezone.now()
    refused = AttemptOutcome(Result.PERMANENT, "550 5.1.1 No such user", concerns_recipient=True)
    claimed = leases.ClaimedDelivery(uuid4(), 1, b"", "", 0, None, 0, "", now, is_probe=True)
    failing = breaker.TargetHealth(
        consecutive_failures=20, failing_since=now, last_attempt_at=now, breaker_until=now, last_reason="503"
    )
    result = recorder.AttemptResult(claimed, refused, now, now + timedelta(days=4))
    assert breaker.health_after(failing, result, 20) == replace(
        failing, consecutive_failures=0, breaker_until=None
    )
    assert breaker.health_after(breaker.TargetHealth(), result, 20) == breaker.TargetHealth()


def test_the_breaker_opens_probes_with_one_and_closes_without_losing_any(
    webhook, receiver, deliveries, queued_tasks, settings, monkeypatch
):
    settings.BREAKER_FAILURES = 3
    monkeypatch.setattr("notifications.delivery.recorder.random.random", lambda: 0.0)
    receiver.script("/hook", [Behaviour(status=503)] * 4 + [Behaviour()])
    target = webhook(limits={"concurrency": 1})
    deliveries(target, 5)

    def work_until(attempts):
        """Dispatch as often as a slow machine needs for so many attempts in all; returns the pause after the last."""

        def is_done():
            work()
            return Attempt.objects.count() >= attempts

        until(is_done, f"attempt {attempts}")
        target.refresh_from_db()
        return target.breaker_until and target.breaker_until - target.last_attempt_at

    def pause_is_over():
        Integration.objects.update(breaker_until=timezone.now())

    # The pauses count from the attempt, whenever it was: a busy machine takes seconds between it and this line.
    assert work_until(3) == timedelta(seconds=30)
    assert len(receiver.requests) == 3
    assert states() == {"due": 5}
    pause_is_over()
    assert work_until(4) == timedelta(seconds=60)
    assert len(receiver.requests) == 4  # the probe, alone
    assert sum(Delivery.objects.values_list("attempts", flat=True)) == 4  # waiting uses up none
    pause_is_over()
    assert work_until(9) is None
    assert states() == {"delivered": 5}
    assert len(receiver.requests) == 9


def test_a_burst_that_fails_at_once_opens_the_breaker_for_its_first_pause_only(
    webhook, receiver, deliveries, queued_tasks, settings
):
    """What was under way when the breaker opened says nothing new: only a probe makes the pause longer."""
    settings.BREAKER_FAILURES = 3
    at_once = threading.Barrier(8)

    def refuse_together(request):
        at_once.wait(timeout=30)
        return Behaviour(status=503)

    receiver.script("/hook", refuse_together)
    target = webhook(limits={"concurrency": 8})
    deliveries(target, 8)
    work()
    target.refresh_from_db()
    assert len(receiver.requests) == 8
    assert target.consecutive_failures == settings.BREAKER_FAILURES
    assert target.breaker_until - timezone.now() <= fairness.FIRST_PAUSE


# --- Leases -----------------------------------------------------------------------------------------
def test_a_lost_lease_is_on_record_and_the_delivery_goes_again_with_the_same_id(
    webhook, receiver, deliveries, queued_tasks, monkeypatch
):
    monkeypatch.setattr("notifications.delivery.recorder.random.random", lambda: 0.0)
    (delivery,) = deliveries(webhook())
    past = timezone.now() - timedelta(seconds=1)
    Delivery.objects.update(state="sending", lease="of-a-killed-worker", lease_until=past, due_at=None)
    work()
    delivery.refresh_from_db()
    assert (delivery.state, delivery.attempts) == ("delivered", 2)
    assert list(delivery.log.order_by("number").values_list("outcome", flat=True)) == ["ours", "delivered"]
    assert ids(receiver) == [str(delivery.id)]


def test_a_live_lease_keeps_everybody_else_away(webhook, receiver, deliveries, queued_tasks):
    deliveries(webhook())
    soon = timezone.now() + timedelta(minutes=1)
    Delivery.objects.update(state="sending", lease="of-another", lease_until=soon)
    work(seconds=0.5)
    assert not receiver.requests


def test_a_result_that_comes_after_the_lease_was_lost_changes_nothing(
    webhook, receiver, deliveries, queued_tasks
):
    (delivery,) = deliveries(webhook())

    def answer(request):
        # Meanwhile the lease runs out and another worker takes over.
        with connection.cursor() as cursor:
            cursor.execute("UPDATE notifications_delivery SET lease = 'of-another'")
        connection.close()
        return Behaviour()

    receiver.script("/hook", answer)
    work(seconds=0.5)
    delivery.refresh_from_db()
    assert (delivery.state, delivery.lease) == ("sending", "of-another")
    assert delivery.log.get().outcome == "delivered"


def test_a_lease_that_is_half_over_starts_no_send(webhook, receiver, deliveries, queued_tasks, settings):
    target = webhook()
    (delivery,) = deliveries(target)
    (claimed,) = leases.claim(leases.queues(), 8, timezone.now())
    settings.LEASE_SECONDS = 10_000
    job = sender.Job(claimed, Webhook(), integrations.target_of(target))
    assert sender.send(job) is claimed
    leases.return_unsent([claimed])
    delivery.refresh_from_db()
    assert (delivery.state, delivery.attempts, delivery.lease) == ("due", 0, "")
    assert not receiver.requests


def test_a_test_message_whose_sender_died_is_not_sent_behind_peoples_backs(
    webhook, receiver, deliveries, queued_tasks
):
    (delivery,) = deliveries(webhook())
    delivery.event.origin = "test"
    delivery.event.save()
    past = timezone.now() - timedelta(seconds=1)
    Delivery.objects.update(state="sending", lease="gone", lease_until=past)
    work(seconds=0.5)
    delivery.refresh_from_db()
    assert delivery.state == "test_failed"
    assert not receiver.requests


# --- Several workers --------------------------------------------------------------------------------
def _work_and_close(seconds, threads):
    try:
        work(seconds, threads)
    finally:
        connections.close_all()


def _two_workers(receiver, webhook, deliveries):
    receiver.script("/hook", Behaviour(delay=0.01))
    targets = [webhook(f"target-{number}", f"/hook/{number}") for number in range(4)]
    for target in targets:
        deliveries(target, 100)
    workers = [threading.Thread(target=_work_and_close, args=(20.0, 16)) for _ in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert states() == {"delivered": 400}
    counted = Counter(request.header("webhook-id") for request in receiver.requests)
    assert set(counted.values()) == {1}
    assert len(counted) == 400
    assert Attempt.objects.count() == 400


@pytest.mark.postgres
def test_two_workers_at_once_send_each_delivery_once(webhook, receiver, deliveries, queued_tasks):
    _two_workers(receiver, webhook, deliveries)


def test_every_attempt_is_logged_with_what_came_back(webhook, receiver, deliveries, queued_tasks):
    receiver.script(
        "/hook", Behaviour(status=400, body=b"no such \x00 thing", headers=[("X-Why", "because")])
    )
    deliveries(webhook())
    work()
    attempt = Attempt.objects.get()
    assert attempt.status_code == 400
    assert attempt.response_body.startswith("no such")
    assert {name.lower(): value for name, value in attempt.response_headers.items()}["x-why"] == "because"
    assert attempt.worker
    assert "sesame" not in json.dumps(attempt.response_headers)


def test_a_healthy_target_says_when_it_last_succeeded_and_a_failing_one_since_when(
    webhook, receiver, deliveries, queued_tasks
):
    target = webhook()
    deliveries(target)
    work()
    target.refresh_from_db()
    assert target.last_success_at
    assert target.failing_since is None
    receiver.script("/hook", Behaviour(status=404))
    deliveries(target)
    work()
    target.refresh_from_db()
    assert target.failing_since
    assert "404" in target.last_reason


def test_the_queries_for_due_and_leased_deliveries_use_the_partial_indexes(webhook, deliveries, queued_tasks):
    target = webhook()
    deliveries(target, 5)
    due = Delivery.objects.filter(integration_id=target.id, state=leases.DUE, due_at__lte=timezone.now())
    if connection.vendor == "sqlite":
        assert "delivery_due" in due.order_by("due_at").explain()
        with CaptureQueriesContext(connection) as asked:
            assert leases.queues()
        with connection.cursor() as cursor:
            cursor.execute(f"EXPLAIN QUERY PLAN {asked[0]['sql']}")
            assert "delivery_due" in str(cursor.fetchall())
    else:
        deliveries(webhook("other", "/other"), 3000, state="delivered", due_at=None)
        with connection.cursor() as cursor:
            cursor.execute("ANALYZE notifications_delivery")
        assert "delivery_due" in due.order_by("due_at").explain()


# --- Order ------------------------------------------------------------------------------------------
def age(delivery, *, origin="current", hours=0):
    """Make the delivery's event of that origin and that much older."""
    created_at = timezone.now() - timedelta(hours=hours)
    Event.objects.filter(id=delivery.event_id).update(origin=origin, created_at=created_at)


def test_that_users_no_longer_fail_is_sent_after_the_messages_that_they_do(
    webhook, receiver, deliveries, queued_tasks
):
    """An alert that is opened after it was resolved would stay open."""
    target = webhook()
    (failed,), (resolved,) = deliveries(target), deliveries(target)
    age(failed, origin="run", hours=5)
    age(resolved, origin="resolved")
    # The first one was tried before and waits for its next attempt.
    Delivery.objects.filter(id=failed.id).update(due_at=timezone.now() + timedelta(seconds=1))
    work(seconds=8)
    assert ids(receiver) == [str(failed.id), str(resolved.id)]
    assert states() == {"delivered": 2}
    assert not resolved.log.exclude(outcome="delivered").exists()


@pytest.mark.parametrize(
    "other",
    [
        "another target",
        "another check",
        "to a person",
        "later",
        "ended",
        "held",
        "of a run before the last weeks",
    ],
)
def test_that_users_no_longer_fail_waits_for_nothing_else(other, webhook, receiver, deliveries, queued_tasks):
    target = webhook()
    second = webhook(name="second", path="/second") if other == "another target" else target
    (failed,), (resolved,) = deliveries(second), deliveries(target)
    age(failed, origin="run", hours={"later": -1, "of a run before the last weeks": 24 * 20}.get(other, 5))
    age(resolved, origin="resolved")
    Delivery.objects.filter(id=failed.id).update(due_at=timezone.now() + timedelta(hours=1))
    if other == "another check":
        Event.objects.filter(id=failed.event_id).update(check_ref=Check.objects.get(slug="password-age"))
    elif other == "to a person":
        Delivery.objects.filter(id=failed.id).update(audience="user")
    elif other in ("ended", "held"):
        Delivery.objects.filter(id=failed.id).update(state="dead" if other == "ended" else "held")
    work()
    assert ids(receiver) == [str(resolved.id)]
