from tests.checks.case_values import FAILS, PASSES, UNKNOWN, Case, exactly, over

CASES: list[Case] = [
    ({"app_unused_since": exactly(30)}, {}, PASSES),
    ({"app_unused_since": over(30)}, {}, FAILS),
    ({"app_unused_since": over(30)}, {"unused_days": 31}, PASSES),
    ({"applications_unknown": True}, {}, UNKNOWN),
]
