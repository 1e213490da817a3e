from tests.checks.case_values import FAILS, PASSES, UNKNOWN, Case

CASES: list[Case] = [
    ({"type_missing": True}, {}, FAILS),
    ({"type_missing": False}, {}, PASSES),
    ({"type_missing": None}, {}, UNKNOWN),
]
