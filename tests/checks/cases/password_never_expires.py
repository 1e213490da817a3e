from tests.checks.case_values import FAILS, PASSES, UNKNOWN, Case

CASES: list[Case] = [
    ({"password_never_expires": True}, {}, FAILS),
    ({"password_never_expires": False}, {}, PASSES),
    ({"password_never_expires": None}, {}, UNKNOWN),
]
