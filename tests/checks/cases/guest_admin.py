from tests.checks.case_values import FAILS, GUEST, OUTSIDE, PASSES, UNKNOWN, Case

CASES: list[Case] = [
    ({"admin": True, **GUEST}, {}, FAILS),
    ({"admin": False, **GUEST}, {}, PASSES),
    ({"admin": None, **GUEST}, {}, UNKNOWN),
    ({"admin": True}, {}, OUTSIDE),
]
