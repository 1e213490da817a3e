from tests.checks.case_values import FAILS, PASSES, Case

CASES: list[Case] = [
    ({"shared_with": 0}, {}, PASSES),
    ({"shared_with": 2}, {}, FAILS),
    ({"shared_with": 2}, {"users": 3}, PASSES),
]
