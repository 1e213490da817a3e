from tests.checks.case_values import FAILS, OUTSIDE, PASSES, UNKNOWN, Case, exactly, over

CASES: list[Case] = [
    ({"last_sign_in_at": None, "created_at": exactly(7)}, {}, PASSES),
    ({"last_sign_in_at": None, "created_at": over(7)}, {}, FAILS),
    ({"last_sign_in_at": None, "created_at": over(7)}, {"grace_days": 8}, PASSES),
    ({"last_sign_in_at": None, "created_at": None}, {}, FAILS),
    ({"last_sign_in_at": exactly(100)}, {}, PASSES),
    ({"last_sign_in_at": None, "last_sign_in_known": False}, {}, UNKNOWN),
    ({"last_sign_in_at": None, "created_at": over(7), "enabled": None}, {}, FAILS),
    ({"last_sign_in_at": None, "created_at": over(7), "enabled": False}, {}, OUTSIDE),
]
