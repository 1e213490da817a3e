"""How the outcomes of many checks are packed into integers."""

from checks.engine.outcomes import CHECKS_PER_WORD, Outcome, Place, tally


def word(outcomes: dict[int, Outcome]) -> int:
    """The word of checks by position."""
    return sum(outcome << Place.of(position).shift for position, outcome in outcomes.items())


def test_each_check_has_a_place_of_its_own_in_words_of_63_bits() -> None:
    places = [Place.of(index) for index in range(3 * CHECKS_PER_WORD)]
    assert len(set(places)) == len(places)
    assert {place.word for place in places} == {0, 1, 2}
    full = word(dict.fromkeys(range(CHECKS_PER_WORD), max(Outcome)))
    assert 0 < full < 1 << 63


def test_a_tally_counts_the_users_by_check_and_outcome() -> None:
    first = word({0: Outcome.FAIL, 1: Outcome.UNKNOWN, CHECKS_PER_WORD - 1: Outcome.STALE})
    second = word({0: Outcome.PASS, 1: Outcome.UNKNOWN})
    tallies = tally([(first, 5, 0b0110), (second, 70, 0b0011)])
    counts = [each.by_outcome for each in tallies]
    assert len(counts) == CHECKS_PER_WORD
    assert (counts[0][Outcome.FAIL], counts[0][Outcome.PASS], counts[0][Outcome.OUT_OF_SCOPE]) == (5, 70, 0)
    assert counts[1][Outcome.UNKNOWN] == 75
    assert (counts[-1][Outcome.STALE], counts[-1][Outcome.OUT_OF_SCOPE]) == (5, 70)
    assert counts[2] == [75, 0, 0, 0, 0]


def test_a_tally_has_the_fingerprint_of_the_users_who_fail() -> None:
    one, both, other = (
        word({0: Outcome.FAIL}),
        word({0: Outcome.FAIL, 1: Outcome.FAIL}),
        word({1: Outcome.FAIL, 2: Outcome.PASS}),
    )
    tallies = tally([(one, 1, 0b0110), (both, 1, 0b0011), (other, 1, -8)])
    assert [each.failing for each in tallies[:3]] == [0b0101, 0b0011 ^ -8, 0]


def test_without_fingerprints_only_a_check_that_nobody_fails_has_one() -> None:
    tallies = tally([(word({0: Outcome.FAIL}), 1, None), (word({0: Outcome.FAIL, 1: Outcome.PASS}), 1, None)])
    assert [each.failing for each in tallies[:3]] == [None, 0, 0]
