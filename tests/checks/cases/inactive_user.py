from tests.checks.case_values import FAILS, GUEST, OUTSIDE, PASSES, UNKNOWN, Case, exactly, over

CASES: list[Case] = [
    ({"last_sign_in_at": exactly(30)}, {}, PASSES),
    ({"last_sign_in_at": over(30)}, {}, FAILS),
    ({"last_sign_in_at": over(30)}, {"idle_days": 31}, PASSES),
    ({"last_sign_in_at": None}, {}, PASSES),
    ({"last_sign_in_at": None, "last_sign_in_known": False}, {}, UNKNOWN),
    ({"last_sign_in_at": over(30), "enabled": None}, {}, UNKNOWN),
    ({"last_sign_in_at": exactly(1), "enabled": None}, {}, PASSES),
    ({"last_sign_in_at": over(30), "enabled": False}, {}, OUTSIDE),
    ({"last_sign_in_at": over(30), **GUEST}, {}, OUTSIDE),
]
