from tests.checks.case_values import FAILS, GUEST, OUTSIDE, PASSES, UNKNOWN, Case, exactly, over

CASES: list[Case] = [
    ({"last_sign_in_at": exactly(30), **GUEST}, {}, PASSES),
    ({"last_sign_in_at": over(30), **GUEST}, {}, FAILS),
    ({"last_sign_in_at": over(30), **GUEST}, {"idle_days": 31}, PASSES),
    ({"last_sign_in_at": None, "last_sign_in_known": False, **GUEST}, {}, UNKNOWN),
    ({"last_sign_in_at": over(30)}, {}, OUTSIDE),
    ({"last_sign_in_at": over(30), "enabled": False, **GUEST}, {}, OUTSIDE),
]
