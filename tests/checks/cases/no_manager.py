from tests.checks.case_values import FAILS, NHI, OUTSIDE, PASSES, UNKNOWN, Case

CASES: list[Case] = [
    ({"manager_given": False}, {}, FAILS),
    ({"manager_given": True}, {}, PASSES),
    ({"manager_given": None}, {}, UNKNOWN),
    ({"manager_given": False, **NHI}, {}, OUTSIDE),
]
