from tests.checks.case_values import FAILS, PASSES, UNKNOWN, Case, exactly, over

CASES: list[Case] = [
    ({"last_sign_in_at": exactly(30), "failed_sign_ins": 2}, {}, PASSES),
    ({"last_sign_in_at": over(30), "failed_sign_ins": 2}, {}, FAILS),
    ({"last_sign_in_at": over(30), "failed_sign_ins": 1}, {}, PASSES),
    ({"last_sign_in_at": over(30), "failed_sign_ins": 2}, {"attempts": 3}, PASSES),
    ({"last_sign_in_at": over(30), "failed_sign_ins": 2}, {"idle_days": 31}, PASSES),
    ({"last_sign_in_at": over(30), "failed_sign_ins": None}, {}, UNKNOWN),
    ({"last_sign_in_at": None, "failed_sign_ins": 5}, {}, PASSES),
]
