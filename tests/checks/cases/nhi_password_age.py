from tests.checks.case_values import FAILS, NHI, OUTSIDE, PASSES, UNKNOWN, Case, exactly, over

CASES: list[Case] = [
    ({"password_changed_at": exactly(180), **NHI}, {}, PASSES),
    ({"password_changed_at": over(180), **NHI}, {}, FAILS),
    ({"password_changed_at": over(180), **NHI}, {"max_age_days": 181}, PASSES),
    ({"password_changed_at": None, "password_unknown": True, **NHI}, {}, UNKNOWN),
    ({"password_changed_at": over(180)}, {}, OUTSIDE),
]
