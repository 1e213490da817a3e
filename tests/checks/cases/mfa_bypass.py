from tests.checks.case_values import FAILS, PASSES, UNKNOWN, Case

CASES: list[Case] = [
    ({"mfa_bypass": True}, {}, FAILS),
    ({"mfa_bypass": False}, {}, PASSES),
    ({"mfa_bypass": None}, {}, UNKNOWN),
]
