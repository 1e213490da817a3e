from tests.checks.case_values import PASSES, UNKNOWN, Case

CASES: list[Case] = [
    ({"forwards": False}, {}, PASSES),
    ({"forwards": None}, {}, UNKNOWN),
]
