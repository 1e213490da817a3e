from tests.checks.case_values import FAILS, PASSES, UNKNOWN, Case

CASES: list[Case] = [
    ({"type_inconsistent": True}, {}, FAILS),
    ({"type_inconsistent": False}, {}, PASSES),
    ({"type_inconsistent": None}, {}, UNKNOWN),
]
