from tests.checks.case_values import FAILS, NHI, OUTSIDE, PASSES, UNKNOWN, Case

CASES: list[Case] = [
    ({"admin": True, **NHI}, {}, FAILS),
    ({"admin": False, **NHI}, {}, PASSES),
    ({"admin": None, **NHI}, {}, UNKNOWN),
    ({"admin": True}, {}, OUTSIDE),
]
