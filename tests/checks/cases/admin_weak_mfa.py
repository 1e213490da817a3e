from tests.checks.case_values import FAILS, OUTSIDE, PASSES, UNKNOWN, Case, exactly, over

CASES: list[Case] = [
    ({"admin": True, "not_resistant_since": exactly(0)}, {}, PASSES),
    ({"admin": True, "not_resistant_since": over(0)}, {}, FAILS),
    ({"admin": True, "not_resistant_since": over(0)}, {"grace_days": 1}, PASSES),
    ({"admin": True, "resistant_unknown_since": over(0)}, {}, UNKNOWN),
    ({"admin": None, "not_resistant_since": over(0)}, {}, UNKNOWN),
    ({"admin": None}, {}, PASSES),
    ({"admin": False, "not_resistant_since": over(0)}, {}, OUTSIDE),
]
