"""Which findings a message of many speaks of."""

from hypothesis import given, strategies as st

from notifications.planning import finding_ranges

IDS = st.sets(st.integers(1, 60))


@given(IDS)
def test_those_and_no_others_are_among_them(ids):
    made = finding_ranges.from_ids(ids)
    assert {one for one in range(70) if finding_ranges.contains(made, one)} == ids


@given(IDS.filter(bool))
def test_first_and_last_enclose_them(ids):
    made = finding_ranges.from_ids(ids)
    assert (made["first"], made["last"]) == (min(ids), max(ids))


def test_ids_that_follow_each_other_are_one_range():
    assert finding_ranges.from_ids([9, 3, 4, 5]) == {"first": 3, "last": 9, "ranges": [[3, 5], [9, 9]]}
    assert finding_ranges.from_ids(range(1, 500_001))["ranges"] == [[1, 500_000]]
    assert finding_ranges.from_ids([]) is None
