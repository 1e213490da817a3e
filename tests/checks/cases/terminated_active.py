from tests.checks.case_values import ALWAYS, FAILS, OUTSIDE, PASSES, UNKNOWN, Case, exactly, over

CASES: list[Case] = [
    ({"terminated_since": exactly(0)}, {}, PASSES),
    ({"terminated_since": over(0)}, {}, FAILS),
    ({"terminated_since": ALWAYS}, {}, FAILS),
    ({"terminated_since": over(0)}, {"grace_days": 1}, PASSES),
    ({"hr_status_unknown": True}, {}, UNKNOWN),
    ({"terminated_since": over(0), "enabled": None}, {}, UNKNOWN),
    ({"terminated_since": over(0), "enabled": False}, {}, OUTSIDE),
    ({"in_hr": False}, {}, OUTSIDE),
]
