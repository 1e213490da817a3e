from tests.checks.case_values import FAILS, PASSES, UNKNOWN, Case, exactly, over

CASES: list[Case] = [
    ({"stuck_since": exactly(14)}, {}, PASSES),
    ({"stuck_since": over(14)}, {}, FAILS),
    ({"stuck_since": over(14)}, {"stuck_days": 15}, PASSES),
    ({"stuck_unknown": True}, {}, UNKNOWN),
    ({"stuck_since": over(14), "stuck_unknown": True}, {}, FAILS),
]
