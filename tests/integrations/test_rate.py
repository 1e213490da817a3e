"""The rate budget of a source, by tables: times are seconds."""

import pytest

from integrations.source_data import RateSeen
from integrations.sources.shared.rate import RateBudget

NOW = 1_800_000_000.0
HALF = RateBudget(limit=600, window=60, share=0.5)


@pytest.mark.parametrize(
    ("limit", "share", "spacing"), [(600, 0.5, 0.2), (600, 1.0, 0.1), (50, 0.5, 2.4), (1_000, 0.25, 0.24)]
)
def test_calls_are_spaced_evenly_over_the_share_of_the_limit(limit, share, spacing):
    assert RateBudget(limit=limit, window=60, share=share).spacing == pytest.approx(spacing)


def test_half_the_limit_is_used_and_never_more():
    budget, now, calls = HALF, NOW, 0
    while now < NOW + 600:
        if wait := budget.wait(now):
            now += wait
            continue
        budget, calls = budget.after_calls(now), calls + 1
        now += 0.05
    # 300 a minute, and the six seconds that a worker may catch up.
    assert 3_000 - 5 <= calls <= 3_000 + 30


@pytest.mark.parametrize(
    ("share", "window", "seconds"),
    [(0.5, 60, 6), (0.75, 60, 3), (1.0, 60, 2), (0.5, 10, 2), (0.5, 3_600, 30)],
)
def test_a_worker_that_was_busy_catches_up_for_some_seconds(share, window, seconds):
    budget = RateBudget(limit=600, window=window, share=share, next_at=NOW - 7_200).after_calls(NOW)
    assert budget.next_at == pytest.approx(NOW - seconds + budget.spacing)


@pytest.mark.parametrize("share", [0.1, 0.25, 0.5, 0.75, 0.8])
def test_catching_up_is_not_taken_for_the_calls_of_others(share):
    budget, now, own = RateBudget(600, 60, share, next_at=NOW - 3_600), NOW, 0
    while now < NOW + 60:
        if wait := budget.wait(now):
            now += wait
            continue
        budget, own = budget.after_calls(now), own + 1
    assert budget.after_answer(RateSeen(600, 600 - own, 40), now).paused_until == 0


@pytest.mark.parametrize(
    ("seen", "paused"),
    [
        (RateSeen(600, 590, 40), 0.0),
        (RateSeen(600, 250, 40), 0.0),
        (RateSeen(600, 239, 40), 40.0),
        (RateSeen(600, 0, 40), 40.0),
        (RateSeen(0, 0, 40), 1.0),
    ],
    ids=["plenty", "our half", "others took their part", "nothing left", "concurrent limit"],
)
def test_a_source_pauses_until_the_reset_once_others_need_the_rest(seen, paused):
    assert max(HALF.after_answer(seen, NOW).paused_until - NOW, 0.0) == paused


def test_the_limit_that_an_answer_names_replaces_the_expected_one():
    assert HALF.after_answer(RateSeen(50, 49, 30), NOW).limit == 50


def test_a_pause_is_never_shortened_nor_longer_than_a_day():
    paused = HALF.paused_for(100, NOW)
    assert paused.paused_for(5, NOW).wait(NOW) == 100
    assert paused.paused_for(1e9, NOW).wait(NOW) == 24 * 3_600
