"""Fair shares, smooth rates, a breaker that pauses for longer and longer."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from notifications import sharing
from notifications.sharing import Wish, share_out

NOW = datetime(2026, 1, 31, 6, tzinfo=UTC)

wishes = st.dictionaries(
    st.integers(1, 40),
    st.builds(
        Wish,
        held=st.integers(0, 20),
        room=st.integers(0, 500),
        healthy=st.booleans(),
        proven=st.integers(0, 500),
    ),
    max_size=30,
)


@given(wishes, st.integers(1, 256))
def test_nobody_gets_more_than_asked_and_the_pool_is_never_overfull(asked, in_flight):
    given_out = share_out(asked, in_flight)
    assert all(0 <= given_out.get(target, 0) <= wish.room for target, wish in asked.items())
    held = sum(wish.held for wish in asked.values())
    assert sum(given_out.values()) <= max(0, in_flight - held)


@given(wishes.filter(bool), st.integers(64, 256))
def test_every_target_that_holds_nothing_gets_its_part_while_there_is_room(asked, in_flight):
    given_out = share_out(asked, in_flight)
    free = in_flight - sum(wish.held for wish in asked.values())
    part = max(1, min(in_flight // len(asked), in_flight // 4))
    if free >= part * len(asked):
        for target, wish in asked.items():
            mine = part if wish.healthy or wish.proven else max(1, min(part, in_flight // 32))
            assert given_out.get(target, 0) + wish.held >= min(mine, wish.room)


def test_a_target_grows_beyond_its_part_only_by_what_it_has_proven():
    assert share_out({1: Wish(0, 1000, True), 2: Wish(0, 1, True)}, 128) == {1: 64, 2: 1}
    assert share_out({1: Wish(0, 1000, True, proven=20), 2: Wish(0, 1, True)}, 128) == {1: 84, 2: 1}


def test_a_single_target_fills_the_pool_but_for_what_newcomers_need():
    assert share_out({1: Wish(0, 1000, True)}, 128) == {1: 120}
    assert share_out({1: Wish(120, 1000, True), 2: Wish(0, 1000, True)}, 128) == {1: 0, 2: 8}


def test_a_failing_target_keeps_to_its_part():
    given_out = share_out({1: Wish(0, 1000, False, 99), 2: Wish(0, 1000, True, 99)}, 128)
    assert given_out == {1: 32, 2: 88}


def test_a_failing_target_that_does_not_answer_gets_few_threads():
    assert share_out({1: Wish(0, 1000, False), 2: Wish(0, 1000, True, 99)}, 128) == {1: 4, 2: 116}
    assert share_out({1: Wish(64, 1000, False), 2: Wish(0, 1000, True, 99)}, 128) == {1: 0, 2: 64}


@given(
    st.floats(0.1, 200),
    st.lists(st.tuples(st.floats(0, 2), st.integers(0, 100)), min_size=1, max_size=200),
)
def test_over_any_time_no_more_is_sent_than_the_rate_and_one_burst_allow(per_second, steps):
    now, cursor, sent = NOW, None, 0
    for wait, wanted in steps:
        now += timedelta(seconds=wait)
        sends = min(wanted, sharing.allowance(cursor, now, per_second))
        if sends:
            cursor = sharing.spend(cursor, now, per_second, sends)
        sent += sends
    elapsed = (now - NOW).total_seconds()
    assert sent <= per_second * elapsed + max(1, per_second * 0.1) + 1e-3


@given(st.floats(0.1, 200), st.integers(1, 20))
def test_what_is_spent_is_allowed_again_when_told(per_second, sends):
    cursor = sharing.spend(None, NOW, per_second, sends)
    at = sharing.next_allowed(cursor, NOW, per_second)
    assert sharing.allowance(cursor, at + timedelta(microseconds=2), per_second) >= 1


def test_the_breaker_pauses_longer_after_each_failed_probe_up_to_a_quarter_of_an_hour():
    pauses = [sharing.pause(failures, 20).total_seconds() for failures in range(20, 28)]
    assert pauses == [30, 60, 120, 240, 480, 900, 900, 900]
