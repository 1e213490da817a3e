from tests.checks.case_values import ALWAYS, FAILS, NHI, OUTSIDE, PASSES, UNKNOWN, Case, exactly, over

CASES: list[Case] = [
    ({"has_mfa": False, "no_mfa_latest": exactly(1), **NHI}, {}, PASSES),
    ({"has_mfa": False, "no_mfa_latest": over(1), **NHI}, {}, FAILS),
    ({"has_mfa": True, "no_mfa_latest": over(1), **NHI}, {}, PASSES),
    ({"has_mfa": False, "no_mfa_latest": over(1), **NHI}, {"grace_days": 2}, PASSES),
    ({"has_mfa": False, "mfa_unknown_since": ALWAYS, **NHI}, {}, UNKNOWN),
    ({"has_mfa": True, "mfa_unknown_since": ALWAYS, **NHI}, {}, PASSES),
    ({"has_mfa": False, "no_mfa_latest": exactly(0), "mfa_unknown_since": ALWAYS, **NHI}, {}, PASSES),
    ({"has_mfa": False, "no_mfa_latest": over(1)}, {}, OUTSIDE),
]
