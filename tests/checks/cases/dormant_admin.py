from tests.checks.case_values import FAILS, OUTSIDE, PASSES, UNKNOWN, Case, exactly, over

CASES: list[Case] = [
    ({"admin": True, "last_sign_in_at": exactly(30)}, {}, PASSES),
    ({"admin": True, "last_sign_in_at": over(30)}, {}, FAILS),
    ({"admin": True, "last_sign_in_at": over(30)}, {"idle_days": 31}, PASSES),
    ({"admin": True, "last_sign_in_at": None}, {}, PASSES),
    ({"admin": True, "last_sign_in_at": None, "last_sign_in_known": False}, {}, UNKNOWN),
    ({"admin": None, "last_sign_in_at": over(30)}, {}, UNKNOWN),
    ({"admin": None, "last_sign_in_at": exactly(30)}, {}, PASSES),
    ({"last_sign_in_at": over(30)}, {}, OUTSIDE),
    ({"admin": True, "last_sign_in_at": over(30), "enabled": False}, {}, OUTSIDE),
]
