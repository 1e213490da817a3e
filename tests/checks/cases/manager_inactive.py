from tests.checks.case_values import FAILS, OUTSIDE, PASSES, UNKNOWN, Case

CASES: list[Case] = [
    ({"manager_enabled": False}, {}, FAILS),
    ({"manager": None, "manager_enabled": None}, {}, UNKNOWN),
    ({}, {}, PASSES),
    ({"manager_enabled": None}, {}, UNKNOWN),
    ({"manager_given": None, "manager": None, "manager_enabled": None}, {}, UNKNOWN),
    ({"manager_given": False}, {}, OUTSIDE),
]
