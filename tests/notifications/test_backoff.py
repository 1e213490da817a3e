"""CONTRACT's table of answers, row by row, and what holds for any answer."""

import random
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, strategies as st

from integrations.transport.results import AttemptOutcome, Result
from notifications.delivery.backoff import RetryLimits, decide, max_wait
from notifications.delivery.recorder import retry_limits

NOW = datetime(2026, 1, 31, 6, tzinfo=UTC)
STANDARD = RetryLimits()
FAILED = AttemptOutcome(Result.RETRYABLE, "Answered 500.", 500)


def after(outcome, attempts=1, first=NOW, now=NOW, limits=STANDARD, draw=0.5):
    return decide(attempts, first, now, outcome, limits, lambda: draw)


def test_2xx_is_delivered():
    assert after(AttemptOutcome(Result.DELIVERED, "", 204)).state == "delivered"


def test_410_is_a_dead_letter_and_ends_the_target():
    decision = after(AttemptOutcome(Result.GONE, "Gone.", 410))
    assert (decision.state, decision.reason) == ("dead", "Gone.")


def test_a_refusal_is_a_dead_letter_at_once_with_the_reason():
    decision = after(AttemptOutcome(Result.PERMANENT, "Answered 404.", 404))
    assert (decision.state, decision.reason) == ("dead", "Answered 404.")


@pytest.mark.parametrize("result", [Result.RETRYABLE, Result.OURS])
def test_what_may_pass_is_tried_again_with_full_jitter(result):
    outcome = AttemptOutcome(result, "Timed out.")
    assert (after(outcome, draw=0).due_at, after(outcome).reason) == (NOW, "Timed out.")
    assert after(outcome, draw=0.5).due_at == NOW + timedelta(seconds=2.5)


def test_ceilings_double_from_five_seconds_to_an_hour():
    assert [max_wait(n).total_seconds() for n in (1, 2, 3, 10, 11, 185)] == [5, 10, 20, 2560, 3600, 3600]


def test_an_installation_may_wait_shorter_or_longer(settings):
    settings.BACKOFF_BASE, settings.BACKOFF_CAP = 0.5, 3
    limits = retry_limits(None, None)
    assert [max_wait(n, limits).total_seconds() for n in (1, 2, 3, 4, 185)] == [0.5, 1, 2, 3, 3]
    assert after(FAILED, attempts=9, limits=limits, draw=0.5).due_at == NOW + timedelta(seconds=1.5)


def test_retry_after_is_a_lower_bound():
    outcome = AttemptOutcome(Result.RETRYABLE, "Busy.", 429, retry_after=120)
    assert after(outcome, draw=0).due_at == NOW + timedelta(seconds=120)
    shorter = AttemptOutcome(Result.RETRYABLE, "Busy.", 429, retry_after=1)
    assert after(shorter, draw=0.999).due_at > NOW + timedelta(seconds=4)


@pytest.mark.parametrize("week", [7 * 86_400, 1e300])
def test_retry_after_is_clamped_to_one_last_try_at_the_deadline(week):
    outcome = AttemptOutcome(Result.RETRYABLE, "Busy.", 503, retry_after=week)
    assert after(outcome).due_at == NOW + timedelta(hours=24)


def test_the_185th_failure_is_the_last():
    assert after(FAILED, attempts=184).state == "due"
    decision = after(FAILED, attempts=185)
    assert decision.state == "dead"
    assert decision.reason == "Given up after 185 attempts. The last one: Answered 500."


def test_a_target_without_retries_gives_the_reason_alone():
    assert after(FAILED, limits=RetryLimits(max_attempts=1)).reason == "Answered 500."
    two = after(FAILED, attempts=2, limits=RetryLimits(max_attempts=2))
    assert two.reason == "Given up after 2 attempts. The last one: Answered 500."


def test_a_day_after_the_first_attempt_it_ends():
    day = NOW + timedelta(hours=24)
    assert after(FAILED, attempts=30, now=day - timedelta(seconds=1)).due_at == day
    decision = after(FAILED, attempts=30, now=day)
    assert (decision.state, decision.reason) == (
        "dead",
        "Given up after 24 hours. The last attempt: Answered 500.",
    )


results = st.builds(
    AttemptOutcome,
    result=st.sampled_from(Result),
    reason=st.text(max_size=20),
    retry_after=st.none() | st.floats(0, 1e12),
)


@given(
    outcome=results,
    attempts=st.integers(1, 400),
    elapsed=st.timedeltas(timedelta(0), timedelta(days=10)),
    limits=st.builds(
        RetryLimits, st.integers(1, 300), st.timedeltas(timedelta(minutes=1), timedelta(days=7))
    ),
    seed=st.integers(),
)
def test_every_outcome_is_delivered_due_within_the_limits_or_dead_with_reason(
    outcome, attempts, elapsed, limits, seed
):
    now = NOW + elapsed
    decision = decide(attempts, NOW, now, outcome, limits, random.Random(seed).random)
    assert (decision.due_at is not None) == (decision.state == "due")
    assert (decision.state == "delivered") == (outcome.result is Result.DELIVERED)
    if decision.due_at is not None:
        assert now <= decision.due_at <= NOW + limits.max_age
        assert attempts < limits.max_attempts
        bound = now + timedelta(seconds=min(outcome.retry_after or 0, 1e7))
        assert decision.due_at >= min(bound, NOW + limits.max_age)
        most = max(max_wait(attempts), timedelta(seconds=min(outcome.retry_after or 0, 1e7)))
        assert decision.due_at <= now + most


@given(st.integers(0, 2**32), st.integers(1, 200))
def test_a_receiver_that_always_fails_is_given_up_within_a_day_and_the_attempts(seed, most):
    draw, limits = random.Random(seed).random, RetryLimits(max_attempts=most)
    now, attempts = NOW, 0
    while True:
        attempts += 1
        decision = decide(attempts, NOW, now, FAILED, limits, draw)
        if decision.due_at is None:
            break
        now = decision.due_at
    assert attempts <= most
    assert now <= NOW + limits.max_age
