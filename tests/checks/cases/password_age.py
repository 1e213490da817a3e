from tests.checks.case_values import FAILS, NHI, OUTSIDE, PASSES, UNKNOWN, Case, exactly, over

CASES: list[Case] = [
    ({"password_changed_at": exactly(365)}, {}, PASSES),
    ({"password_changed_at": over(365)}, {}, FAILS),
    ({"password_changed_at": over(365)}, {"max_age_days": 366}, PASSES),
    ({"password_changed_at": None, "password_unknown": True}, {}, UNKNOWN),
    ({"password_changed_at": over(365), "password_unknown": True}, {}, FAILS),
    ({"password_changed_at": over(365), **NHI}, {}, OUTSIDE),
]
