"""The scheduler as a state machine: whatever happens in whatever order, nothing is lost and nothing is result twice at once.

Claims, sends, every kind of answer, workers that die or stall, leases that run out, replays, pauses, breakers and
clocks that move in any order; the database is real, the clock is ours, the network is the rules' answers.
"""

from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from random import Random
from unittest import mock
from uuid import UUID

import pytest
from django.test import override_settings
from hypothesis import settings, strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from checks.models import Check
from checks.services import sync_catalogue
from integrations import services as integrations
from integrations.models import Integration
from integrations.transport.results import AttemptOutcome, Result
from notifications import services
from notifications.delivery import breaker, dispatcher, leases, recorder
from notifications.delivery.leases import ClaimedDelivery
from notifications.delivery.recorder import AttemptResult
from notifications.models import Attempt, Delivery, Event
from tests.examples import examples

START = datetime(2026, 3, 1, 6, tzinfo=UTC)
MOST_ATTEMPTS, AT_A_TIME, PER_SECOND = 4, 3, 2
OUTCOMES = {
    "delivered": AttemptOutcome(Result.DELIVERED, "Delivered.", 200),
    "busy": AttemptOutcome(Result.RETRYABLE, "Answered 429.", 429, retry_after=30),
    "failed": AttemptOutcome(Result.RETRYABLE, "Timed out."),
    "refused": AttemptOutcome(Result.PERMANENT, "Answered 404.", 404),
    "gone": AttemptOutcome(Result.GONE, "Answered 410.", 410),
    "ours": AttemptOutcome(Result.OURS, "An error of our own."),
}
# Most sends go well or may pass: else every target is soon at an end.
SOME = [*["delivered", "failed"] * 4, "busy", "busy", "refused", "ours", "gone"]
ANSWERS = st.sampled_from(SOME)
FATES = st.lists(
    st.sampled_from([*SOME, *["fly"] * 5, "wait", "wait", "die", "give back"]), min_size=8, max_size=8
)


@dataclass
class Held:
    """A delivery in a worker's hands. ``begun``: the request is on its way."""

    claimed: ClaimedDelivery
    lease_until: datetime
    begun: datetime | None = None


class Scheduler(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.waiting: list[Held] = []
        self.flying: list[Held] = []

    @initialize()
    def world(self) -> None:
        Delivery.objects.all().delete()
        Event.objects.all().delete()
        Integration.objects.all().delete()
        self.now = START
        self.patches = ExitStack()
        self.patches.enter_context(mock.patch("django.utils.timezone.now", side_effect=lambda: self.now))
        self.patches.enter_context(override_settings(BREAKER_FAILURES=2))
        # The same steps must meet the same jitter and ids, or no failure could be shrunk.
        self.patches.enter_context(mock.patch.object(recorder.random, "random", Random(1).random))
        self.ids = Random(2)
        self.bodies: dict[UUID, bytes] = {}
        self.recorded: Counter[UUID] = Counter()
        document = {
            "url": "https://example.com/hook",
            "authorization": {"type": "basic", "username": "u", "password": "p"},
        }
        limits = {"max_attempts": MOST_ATTEMPTS, "concurrency": AT_A_TIME}
        for name, more in (("quick", {}), ("limited", {"per_second": PER_SECOND})):
            integrations.save_integration(name=name, kind="webhook", document=document, limits=limits | more)
        self.targets = list(Integration.objects.order_by("id").values_list("id", flat=True))
        self.plan(0, 2)
        self.plan(1, 2)

    def teardown(self) -> None:
        if hasattr(self, "patches"):
            with self.patches:
                self._all_settles()

    # --- Work is planned and done ---
    @rule(target_number=st.integers(0, 1), count=st.integers(1, 4))
    def plan(self, target_number: int, count: int) -> None:
        if len(self.bodies) > 12:
            return
        check = Check.objects.get(slug="no-mfa")
        event = Event.objects.create(origin="current", check_ref=check, created_at=self.now)
        for number in range(1, count + 1):
            body = f'{{"event":"{event.id}","batch":{number}}}'.encode()
            delivery = Delivery.objects.create(
                id=UUID(int=self.ids.getrandbits(128)),
                event=event,
                integration_id=self.targets[target_number],
                batch=number,
                batches=count,
                body=body,
                created_at=self.now,
                due_at=self.now,
            )
            self.bodies[delivery.id] = body

    @rule(in_flight=st.integers(2, 8), fates=FATES)
    def work(self, in_flight: int, fates: list[str]) -> None:
        """A worker claims, and each of its sends meets a fate."""
        for claimed, fate in zip(self._claim(in_flight), fates, strict=False):
            hand = Held(claimed, claimed.lease_until)
            if fate == "wait":
                self.waiting.append(hand)
            elif fate == "give back":
                self._give_back(hand)
            elif fate != "die":
                self._begin(hand)
                if fate != "fly":
                    self._end(hand, fate)

    @rule(in_flight=st.integers(2, 8))
    def work_slowly(self, in_flight: int) -> None:
        self.work(in_flight, ["fly"] * in_flight)

    def _claim(self, in_flight: int) -> list[ClaimedDelivery]:
        before = {row["id"]: row for row in Integration.objects.values()}
        claimed = leases.claim(leases.queues(), in_flight, self.now)
        assert len(claimed) <= in_flight
        for target, count in Counter(delivery.integration_id for delivery in claimed).items():
            row = before[target]
            assert row["state"] == "active"
            assert row["breaker_until"] is None or (row["breaker_until"] <= self.now and count == 1)
            assert Delivery.objects.filter(integration=target, state="sending").count() <= AT_A_TIME
        assert all(delivery.body == self.bodies[delivery.id] for delivery in claimed)
        return claimed

    def _give_back(self, hand: Held) -> None:
        before = Delivery.objects.get(id=hand.claimed.id)
        leases.return_unsent([hand.claimed])
        after = Delivery.objects.get(id=hand.claimed.id)
        assert after.attempts == before.attempts

    def _begin(self, hand: Held) -> None:
        same = [other for other in self.flying if other.claimed.id == hand.claimed.id]
        assert all(other.lease_until < self.now for other in same), "two sends under way within a lease"
        hand.begun = self.now
        self.flying.append(hand)

    def _end(self, hand: Held, answer: str) -> None:
        """Also where the lease was lost meanwhile: then it is logged, and nothing moves."""
        self.flying.remove(hand)
        before = Delivery.objects.filter(id=hand.claimed.id).values().get()
        mine = before["state"] == "sending" and before["lease"] == hand.claimed.lease
        result = AttemptResult(hand.claimed, OUTCOMES[answer], hand.begun or self.now, self.now)
        target = Integration.objects.get(id=hand.claimed.integration_id)
        recorder.record_results(
            [result], {target.id: recorder.retry_limits(target.max_attempts, target.max_age_hours)}
        )
        breaker.update_health([result])
        self.recorded[hand.claimed.id] += 1
        after = Delivery.objects.filter(id=hand.claimed.id).values().get()
        if not mine:
            assert after == before
            return
        assert after["attempts"] == before["attempts"] + 1
        if answer == "delivered":
            assert after["state"] == "delivered"
        elif answer in ("refused", "gone"):
            assert after["state"] == "dead"
        elif after["state"] == "due" and answer == "busy":
            assert after["due_at"] >= self.now + timedelta(seconds=30)

    @precondition(lambda self: self.flying)
    @rule(data=st.data(), answer=ANSWERS)
    def an_answer_comes(self, data: st.DataObject, answer: str) -> None:
        self._end(self.flying[data.draw(st.integers(0, len(self.flying) - 1))], answer)

    @precondition(lambda self: self.waiting)
    @rule()
    def a_thread_begins(self) -> None:
        """A lease that is half over is given back unsent."""
        hand = self.waiting.pop(0)
        if hand.lease_until - self.now < leases.lease_time() / 2:
            self._give_back(hand)
        else:
            self._begin(hand)

    @precondition(lambda self: self.flying)
    @rule()
    def renew(self) -> None:
        leases.renew([hand.claimed for hand in self.flying], self.now)
        for hand in self.flying:
            row = Delivery.objects.get(id=hand.claimed.id)
            if row.lease == hand.claimed.lease:
                hand.lease_until = row.lease_until or hand.lease_until

    # --- Workers end ---
    @precondition(lambda self: self.flying)
    @rule()
    def die_while_sending(self) -> None:
        self.flying.pop()

    @rule()
    def sweep(self) -> None:
        lost = list(
            Delivery.objects.filter(state="sending", lease_until__lt=self.now).values_list("id", flat=True)
        )
        assert dispatcher.return_expired() == len(lost)
        self.recorded.update(lost)
        leases.close_deliveries_of_disabled(self.now)
        assert not Delivery.objects.filter(state="due", integration__state="disabled").exists()

    @precondition(lambda self: self.flying)
    @rule(then=st.sampled_from([0, 45]))
    def stall_beyond_the_lease(self, then: int) -> None:
        """The worker sleeps, its deliveries are given to others; its answers may still come."""
        self.now = max(self.now, *(hand.lease_until + timedelta(seconds=1) for hand in self.flying))
        self.sweep()
        self.now += timedelta(seconds=then)

    # --- Clocks ---
    @rule(seconds=st.sampled_from([0.05, 1, 31, 59, 61, 121, 900, 3700, 90_000]))
    def time_passes(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)

    @rule(data=st.data(), seconds=st.integers(-3600, 3600))
    def the_next_attempt_is_moved(self, data: st.DataObject, seconds: int) -> None:
        if due := sorted(Delivery.objects.filter(state="due").values_list("id", flat=True)):
            chosen = data.draw(st.sampled_from(due))
            Delivery.objects.filter(id=chosen).update(due_at=self.now + timedelta(seconds=seconds))

    # --- People ---
    @rule(data=st.data())
    def replay(self, data: st.DataObject) -> None:
        delivery = Delivery.objects.get(id=data.draw(st.sampled_from(sorted(self.bodies))))
        state, lease = delivery.state, delivery.lease
        disabled = delivery.integration.state == Integration.State.DISABLED
        try:
            services.replay(delivery)
        except services.ReplayRefused:
            delivery.refresh_from_db()
            assert (delivery.state, delivery.lease) == (state, lease)
            assert state in Delivery.OPEN or disabled
        else:
            assert state not in Delivery.OPEN
            assert (delivery.state, delivery.attempts) == ("due", 0)

    @rule(number=st.integers(0, 1), change=st.sampled_from(["pause", "disable", "resume", "resume"]))
    def change_a_target(self, number: int, change: str) -> None:
        integration = Integration.objects.get(id=self.targets[number])
        {"pause": integrations.pause, "disable": integrations.disable, "resume": integrations.resume}[change](
            integration
        )

    # --- What always holds ---
    @invariant()
    def nothing_is_lost_and_no_byte_changes(self) -> None:
        if not hasattr(self, "bodies"):
            return
        rows = {row["id"]: row for row in Delivery.objects.values()}
        assert rows.keys() == self.bodies.keys()
        for id, row in rows.items():
            assert bytes(row["body"]) == self.bodies[id]
            assert row["attempts"] <= MOST_ATTEMPTS
            assert (row["state"] == "due") == (row["due_at"] is not None and row["state"] != "sending")
            assert (row["state"] == "sending") == bool(row["lease"])
            assert (row["state"] == "sending") == (row["lease_until"] is not None)
            assert (row["state"] in ("delivered", "dead")) == (row["finished_at"] is not None)
            assert row["state"] != "dead" or row["reason"]

    @invariant()
    def every_attempt_is_on_record_once(self) -> None:
        if not hasattr(self, "bodies"):
            return
        logged = Counter(Attempt.objects.values_list("delivery_id", flat=True))
        assert logged == +self.recorded

    def _all_settles(self) -> None:
        """Whatever has happened: once receivers answer and targets are active, all is settled."""
        for integration in Integration.objects.all():
            integrations.resume(integration)
        for _ in range(200):
            if not Delivery.objects.filter(state__in=Delivery.OPEN).exists():
                return
            self.now += timedelta(hours=2)
            dispatcher.return_expired()
            for claimed in leases.claim(leases.queues(), 8, self.now):
                result = AttemptResult(claimed, OUTCOMES["delivered"], self.now, self.now)
                recorder.record_results(
                    [result], {target: recorder.retry_limits(None, None) for target in self.targets}
                )
                breaker.update_health([result])
        stuck = list(
            Delivery.objects.filter(state__in=Delivery.OPEN).values("state", "due_at", "lease_until")
        )
        raise AssertionError(f"not settled: {stuck}")


@pytest.mark.hypothesis
@pytest.mark.many_examples
@pytest.mark.django_db
def test_in_whatever_order_nothing_is_lost_and_nothing_is_sent_twice_at_once(
    queued_tasks: list[tuple[str, ...]],
) -> None:
    sync_catalogue()
    run_state_machine_as_test(
        Scheduler,
        settings=settings(examples(80), stateful_step_count=50),
    )
