"""Which findings a message of many speaks of."""

from hypothesis import given
from hypothesis import strategies as st

from notifications import mentions

IDS = st.sets(st.integers(1, 60))


@given(IDS)
def test_those_and_no_others_are_among_them(ids):
    made = mentions.of(ids)
    assert {one for one in range(70) if mentions.among(made, one)} == ids


@given(IDS.filter(bool))
def test_first_and_last_enclose_them(ids):
    made = mentions.of(ids)
    assert (made["first"], made["last"]) == (min(ids), max(ids))


def test_ids_that_follow_each_other_are_one_range():
    assert mentions.of([9, 3, 4, 5]) == {"first": 3, "last": 9, "ranges": [[3, 5], [9, 9]]}
    assert mentions.of(range(1, 500_001))["ranges"] == [[1, 500_000]]
    assert mentions.of([]) is None
