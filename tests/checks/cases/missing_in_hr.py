from tests.checks.case_values import FAILS, GUEST, OUTSIDE, PASSES, UNKNOWN, Case, exactly, over

CASES: list[Case] = [
    ({"in_hr": False, "created_at": exactly(7)}, {}, PASSES),
    ({"in_hr": False, "created_at": over(7)}, {}, FAILS),
    ({"in_hr": False, "created_at": over(7)}, {"grace_days": 8}, PASSES),
    ({"in_hr": False, "created_at": None}, {}, FAILS),
    ({"in_hr": True}, {}, PASSES),
    ({"in_hr": False, "internal": None}, {}, UNKNOWN),
    ({"in_hr": True, "internal": None}, {}, PASSES),
    ({"in_hr": False, **GUEST}, {}, OUTSIDE),
    ({"in_hr": False, "nhi": True}, {}, OUTSIDE),
]
