from tests.checks.case_values import FAILS, PASSES, UNKNOWN, Case

CASES: list[Case] = [
    ({"last_sign_in_country": "KP"}, {}, FAILS),
    ({"last_sign_in_country": "DE"}, {}, PASSES),
    ({"last_sign_in_country": "DE"}, {"countries": ["DE"]}, FAILS),
    ({"last_sign_in_country": "KP"}, {"countries": ["DE"]}, PASSES),
    ({"last_sign_in_country": ""}, {}, UNKNOWN),
    ({"last_sign_in_country": "", "last_sign_in_at": None}, {}, PASSES),
]
