from tests.checks.case_values import FAILS, PASSES, UNKNOWN, Case

CASES: list[Case] = [
    ({"status_inconsistent": True}, {}, FAILS),
    ({"status_inconsistent": False}, {}, PASSES),
    ({"status_inconsistent": None}, {}, UNKNOWN),
]
