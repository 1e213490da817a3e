from tests.checks.case_values import FAILS, PASSES, UNKNOWN, Case

CASES: list[Case] = [
    ({"credentials_exposed": True}, {}, FAILS),
    ({"credentials_exposed": False}, {}, PASSES),
    ({"credentials_exposed": None}, {}, UNKNOWN),
]
