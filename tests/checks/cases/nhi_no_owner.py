from tests.checks.case_values import FAILS, NHI, OUTSIDE, PASSES, UNKNOWN, Case

CASES: list[Case] = [
    ({"owner_given": False, **NHI}, {}, FAILS),
    ({"owner_given": True, **NHI}, {}, PASSES),
    ({"owner_given": None, **NHI}, {}, UNKNOWN),
    ({"owner_given": False}, {}, OUTSIDE),
]
