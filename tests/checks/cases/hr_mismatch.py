from tests.checks.case_values import FAILS, OUTSIDE, PASSES, UNKNOWN, Case

CASES: list[Case] = [
    ({"hr_manager_differs": True}, {}, FAILS),
    ({"hr_department_differs": True}, {}, FAILS),
    ({"hr_title_differs": True}, {}, FAILS),
    ({"hr_title_differs": True}, {"fields": ["manager"]}, PASSES),
    ({"hr_manager_differs": None}, {}, PASSES),
    ({"hr_manager_differs": None}, {"fields": ["manager"]}, UNKNOWN),
    ({"hr_manager_differs": None, "hr_title_differs": None, "hr_department_differs": None}, {}, UNKNOWN),
    ({"in_hr": False}, {}, OUTSIDE),
]
