"""Nothing is lost, whatever dies: the suite itself, and the proof that it can fail.

The scenarios take minutes and start servers of their own; FAULT_EVENTS says how large they are, FAULT_SEED which
one is played (docs/faults.md).
"""

import hashlib
import json
import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone

from checks.models import Check, Run
from integrations.models import Integration
from notifications.delivery.leases import LOST
from notifications.models import Attempt, Delivery, Event
from tests.checks.factories import check_of, make_user
from tests.faults import comparison, run

EVENTS = os.environ.get("FAULT_EVENTS", "")
SEED = int(os.environ.get("FAULT_SEED") or random.SystemRandom().randrange(1000))


@pytest.mark.faults
@pytest.mark.skipif(
    not EVENTS, reason="Takes minutes: set FAULT_EVENTS to the number of events, such as 400."
)
@pytest.mark.parametrize("database", ["postgres", "sqlite"])
def test_every_event_arrives_or_is_a_dead_letter_while_everything_dies(database: str) -> None:
    if database == "postgres" and not shutil.which("redis-server"):
        pytest.skip("redis-server is not installed.")
    result = run.play(SEED, database, int(EVENTS))
    assert not result["problems"], f"FAULT_SEED={SEED}: {json.dumps(result, indent=2)}"
    assert result["to send"] >= int(EVENTS)
    assert result["distinct ids"] <= result["to send"]


# --- The suite can fail -----------------------------------------------------------------------------
BODY = b'{"id":"x"}'


@pytest.fixture
def delivered(db: None, tmp_path: Path) -> tuple[Delivery, Path, Callable[..., None]]:
    """One delivered delivery, and a way to write the receiver's log."""
    from integrations.services import save_integration

    target = save_integration(
        name="t",
        kind="webhook",
        document={
            "url": "https://example.com/x",
            "authorization": {"type": "basic", "username": "u", "password": "p"},
        },
    ).integration
    now = timezone.now()
    event = Event.objects.create(origin="current", check_ref=check_of("no-mfa"), created_at=now)
    delivery = Delivery.objects.create(
        event=event,
        integration=target,
        body=BODY,
        state="delivered",
        created_at=now,
        finished_at=now,
        attempts=1,
    )
    Attempt.objects.create(delivery=delivery, number=1, started_at=now, outcome="delivered")
    log = tmp_path / "receiver.jsonl"
    log.touch()

    def received(number: int = 1, **changes: Any) -> None:
        entry = {
            "kind": "in",
            "number": number,
            "at": number,
            "path": "/t",
            "id": str(delivery.id),
            "sha": hashlib.sha256(BODY).hexdigest(),
            "named": str(delivery.id),
            "credentials": "ok",
            "signature": "ok",
            "answer": "200",
            **changes,
        }
        out = {"kind": "out", "number": number, "at": changes.get("at", number) + 0.5}
        with log.open("a", encoding="utf-8") as stream:
            stream.write(f"{json.dumps(entry)}\n{json.dumps(out)}\n")

    return delivery, log, received


def problems(log: Path) -> str:
    return "\n".join(comparison.compare(log).problems)


def test_a_world_that_agrees_has_no_problems(delivered: Any) -> None:
    _, log, received = delivered
    received()
    assert problems(log) == ""


def test_a_delivery_that_never_arrived_is_found(delivered: Any) -> None:
    _, log, _ = delivered
    assert "never received with a 2xx" in problems(log)


def test_a_delivery_that_only_met_faults_is_found(delivered: Any) -> None:
    _, log, received = delivered
    received(answer="garbage")
    assert "never received with a 2xx" in problems(log)


def test_other_bytes_on_a_repeat_are_found(delivered: Any) -> None:
    _, log, received = delivered
    received()
    received(2, sha="0" * 64)
    assert "other bytes" in problems(log)


def test_a_request_without_an_attempt_is_found(delivered: Any) -> None:
    _, log, received = delivered
    received()
    received(2)
    assert "more requests than attempts" in problems(log)


def test_two_sends_at_once_without_a_lost_lease_are_found(delivered: Any) -> None:
    delivery, log, received = delivered
    Attempt.objects.create(delivery=delivery, number=2, started_at=timezone.now(), outcome="delivered")
    received(1, at=1.0)
    received(2, at=1.2)
    assert "without a lost lease" in problems(log)


def test_a_third_send_at_once_takes_a_second_lost_lease(delivered: Any) -> None:
    delivery, log, received = delivered
    for number in (1, 2, 3):
        received(number, at=1 + number / 10)
    lost = {"delivery": delivery, "started_at": timezone.now(), "outcome": "ours", "reason": LOST.reason}
    Attempt.objects.create(number=2, **lost)
    assert "3 at once, 1 leases lost" in problems(log)
    Attempt.objects.create(number=3, **lost)
    assert problems(log) == ""


def test_more_requests_than_the_rate_allows_are_found(delivered: Any, settings: Any) -> None:
    settings.LEASE_SECONDS = 2
    delivery, log, received = delivered
    Integration.objects.update(per_second=10)
    for number in range(1, 41):
        received(number, at=number / 10)
        Attempt.objects.create(
            delivery=delivery, number=number + 1, started_at=timezone.now(), outcome="delivered"
        )
    assert "beyond 10 a second" not in problems(log)
    for number in range(41, 61):
        received(number, at=2 + number / 1000)
    assert "t: 21 requests beyond 10 a second, 12 allowed" in problems(log)


def test_what_is_not_settled_is_found(delivered: Any) -> None:
    delivery, log, received = delivered
    received()
    Delivery.objects.filter(id=delivery.id).update(state="due")
    assert "not settled" in problems(log)


def test_a_dead_letter_for_no_reason_of_the_receiver_is_found(delivered: Any) -> None:
    delivery, log, received = delivered
    received(answer="503")
    Delivery.objects.filter(id=delivery.id).update(state="dead", reason="The receiver answered 503.")
    assert "does not bear out" in problems(log)


def test_a_stranger_in_the_log_is_found(delivered: Any) -> None:
    _, log, received = delivered
    received()
    received(2, id="other", named="other")
    assert "unknown to the database" in problems(log)


def test_a_finding_that_nobody_was_notified_of_is_found(delivered: Any) -> None:
    from notifications.services import subscribe

    delivery, log, received = delivered
    received()
    check = Check.objects.get(slug="no-mfa")
    subscribe(check, delivery.integration, "user")
    now = timezone.now()
    done = Run.objects.create(trigger="command", state="succeeded", started_at=now, finished_at=now)
    check.findings.create(user=make_user(), opened_run=done, opened_at=now)
    assert "nobody was notified of" in problems(log)
    assert "findings without an event" in problems(log)
