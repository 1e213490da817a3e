"""Fair shares, smooth rates, a breaker that pauses for longer and longer."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, strategies as st

from notifications.delivery import fairness
from notifications.delivery.fairness import Demand, share_out

NOW = datetime(2026, 1, 31, 6, tzinfo=UTC)

wishes = st.dictionaries(
    st.integers(1, 40),
    st.builds(
        Demand,
        in_flight=st.integers(0, 20),
        room=st.integers(0, 500),
        is_healthy=st.booleans(),
        recently_fast=st.integers(0, 500),
    ),
    max_size=30,
)


@given(wishes, st.integers(1, 256))
def test_no_target_gets_more_than_it_demands_and_the_pool_is_never_exceeded(asked, in_flight):
    given_out = share_out(asked, in_flight)
    assert all(0 <= given_out.get(target, 0) <= wish.room for target, wish in asked.items())
    held = sum(wish.in_flight for wish in asked.values())
    assert sum(given_out.values()) <= max(0, in_flight - held)


@given(wishes.filter(bool), st.integers(64, 256))
def test_every_target_that_holds_nothing_gets_its_part_while_there_is_room(asked, in_flight):
    given_out = share_out(asked, in_flight)
    free = in_flight - sum(wish.in_flight for wish in asked.values())
    part = max(1, min(in_flight // len(asked), in_flight // 4))
    if free >= part * len(asked):
        for target, wish in asked.items():
            mine = part if wish.is_healthy or wish.recently_fast else max(1, min(part, in_flight // 32))
            assert given_out.get(target, 0) + wish.in_flight >= min(mine, wish.room)


def test_a_target_grows_beyond_its_part_only_by_what_it_has_proven():
    assert share_out({1: Demand(0, 1000, True), 2: Demand(0, 1, True)}, 128) == {1: 64, 2: 1}
    assert share_out({1: Demand(0, 1000, True, recently_fast=20), 2: Demand(0, 1, True)}, 128) == {
        1: 84,
        2: 1,
    }


def test_a_single_target_fills_the_pool_but_for_what_newcomers_need():
    assert share_out({1: Demand(0, 1000, True)}, 128) == {1: 120}
    assert share_out({1: Demand(120, 1000, True), 2: Demand(0, 1000, True)}, 128) == {1: 0, 2: 8}


def test_a_failing_target_keeps_to_its_part():
    given_out = share_out({1: Demand(0, 1000, False, 99), 2: Demand(0, 1000, True, 99)}, 128)
    assert given_out == {1: 32, 2: 88}


def test_a_failing_target_that_does_not_answer_gets_few_threads():
    assert share_out({1: Demand(0, 1000, False), 2: Demand(0, 1000, True, 99)}, 128) == {1: 4, 2: 116}
    assert share_out({1: Demand(64, 1000, False), 2: Demand(0, 1000, True, 99)}, 128) == {1: 0, 2: 64}


@pytest.mark.parametrize(
    ("asked", "in_flight", "ahead", "granted"),
    [
        # What waits ahead of the threads goes to those that answer promptly.
        ({1: Demand(0, 1000, True, recently_fast=1000)}, 128, 64, {1: 184}),
        ({1: Demand(0, 1000, True), 2: Demand(0, 1000, False, 9)}, 128, 64, {1: 64, 2: 32}),
        # A pool smaller than the number of targets still gives the first ones a send.
        ({1: Demand(0, 9, True), 2: Demand(0, 9, True), 3: Demand(0, 9, True)}, 2, 0, {1: 1, 2: 1, 3: 0}),
        ({1: Demand(0, 9, False)}, 16, 0, {1: 1}),
        # Parts are whole sends.
        ({1: Demand(0, 9, True, recently_fast=9)}, 8, 0, {1: 8}),
        ({1: Demand(0, 9, True), 2: Demand(0, 9, True)}, 7, 0, {1: 3, 2: 3}),
        ({1: Demand(0, 9, False, recently_fast=9)}, 6, 0, {1: 1}),
        # Of what is left, the target that holds least has first choice.
        (
            {1: Demand(40, 1000, True, recently_fast=100), 2: Demand(0, 1000, True, recently_fast=100), 3: Demand(0, 0, True)},
            128, 0, {1: 2, 2: 78, 3: 0},
        ),
    ],
)  # fmt: skip
def test_shares_in_small(asked, in_flight, ahead, granted):
    assert share_out(asked, in_flight, ahead) == granted
    assert all(isinstance(sends, int) for sends in share_out(asked, in_flight, ahead).values())


SECOND = timedelta(seconds=1)


@pytest.mark.parametrize(
    ("cursor", "per_second", "sends"),
    [(None, 1, 1), (None, 100, 10), (NOW, 2, 0), (NOW - SECOND / 2, 2, 1), (NOW - 100 * SECOND, 2, 1)],
)
def test_the_allowance_is_one_send_or_a_tenth_of_a_second(cursor, per_second, sends):
    assert fairness.allowance(cursor, NOW, per_second) == sends


@pytest.mark.parametrize(
    ("cursor", "sends", "spent_until"),
    [
        (None, 3, NOW + SECOND),
        (NOW, 1, NOW + SECOND / 2),
        (NOW + SECOND, 1, NOW + 1.5 * SECOND),
        (NOW - 100 * SECOND, 1, NOW),
    ],
)
def test_each_send_moves_the_cursor_by_its_share_of_a_second(cursor, sends, spent_until):
    assert fairness.spend(cursor, NOW, 2, sends) == spent_until


@pytest.mark.parametrize(
    ("cursor", "at"),
    [(None, NOW), (NOW, NOW + SECOND / 2), (NOW - SECOND, NOW), (NOW + SECOND, NOW + 1.5 * SECOND)],
)
def test_the_next_send_waits_for_its_share_of_a_second(cursor, at):
    assert fairness.next_allowed(cursor, NOW, 2) == at


@given(
    st.floats(0.1, 200),
    st.lists(st.tuples(st.floats(0, 2), st.integers(0, 100)), min_size=1, max_size=200),
)
def test_over_any_time_no_more_is_sent_than_the_rate_and_one_burst_allow(per_second, steps):
    now, cursor, sent = NOW, None, 0
    for wait, wanted in steps:
        now += timedelta(seconds=wait)
        sends = min(wanted, fairness.allowance(cursor, now, per_second))
        if sends:
            cursor = fairness.spend(cursor, now, per_second, sends)
        sent += sends
    elapsed = (now - NOW).total_seconds()
    assert sent <= per_second * elapsed + max(1, per_second * 0.1) + 1e-3


@given(st.floats(0.1, 200), st.integers(1, 20))
def test_what_is_spent_is_allowed_again_at_the_promised_time(per_second, sends):
    cursor = fairness.spend(None, NOW, per_second, sends)
    at = fairness.next_allowed(cursor, NOW, per_second)
    assert fairness.allowance(cursor, at + timedelta(microseconds=2), per_second) >= 1


def test_the_breaker_pauses_longer_after_each_failed_probe_up_to_a_quarter_of_an_hour():
    pauses = [fairness.breaker_pause(failures, 20).total_seconds() for failures in range(20, 28)]
    assert pauses == [30, 60, 120, 240, 480, 900, 900, 900]
