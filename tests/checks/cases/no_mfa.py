from tests.checks.case_values import ALWAYS, FAILS, NHI, OUTSIDE, PASSES, UNKNOWN, Case, exactly, over

CASES: list[Case] = [
    ({}, {}, PASSES),
    ({"no_mfa_since": exactly(14)}, {}, PASSES),
    ({"no_mfa_since": over(14)}, {}, FAILS),
    ({"no_mfa_since": ALWAYS}, {}, FAILS),
    ({"no_mfa_since": over(14)}, {"grace_days": 15}, PASSES),
    ({"mfa_unknown_since": exactly(14)}, {}, PASSES),
    ({"mfa_unknown_since": over(14)}, {}, UNKNOWN),
    ({"mfa_unknown_since": over(14), "no_mfa_since": over(14)}, {}, FAILS),
    ({"no_mfa_since": over(14), **NHI}, {}, OUTSIDE),
    ({"no_mfa_since": over(14), "protected": False}, {}, OUTSIDE),
]
