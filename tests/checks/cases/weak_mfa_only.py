from tests.checks.case_values import FAILS, NHI, PASSES, UNKNOWN, Case, exactly, over

CASES: list[Case] = [
    ({"weak_mfa_since": exactly(14)}, {}, PASSES),
    ({"weak_mfa_since": over(14)}, {}, FAILS),
    ({"weak_mfa_since": over(14)}, {"grace_days": 15}, PASSES),
    ({"weak_unknown_since": exactly(14)}, {}, PASSES),
    ({"weak_unknown_since": over(14)}, {}, UNKNOWN),
    ({"weak_mfa_since": over(14), **NHI}, {}, FAILS),
]
