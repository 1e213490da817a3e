"""A user without a real second factor never passes no-mfa, whatever a broken export writes into its cells."""

from typing import Any

import pytest
from hypothesis import given, strategies as st

from checks.models import Account
from checks.services import preview_run, sync_catalogue
from tests.checks.imports import Row, load, undone
from tests.checks.test_real_exports import LEFTOVERS, NOTHING
from tests.examples import examples

pytestmark = pytest.mark.django_db

ABSENT = object()
NO_FACTOR = [
    *(*NOTHING, *LEFTOVERS, "", " ", "unknown", "?", "password", "retina", "Yes", "enabled", "tac"),
    *(
        "recovery code",
        "qrCode",
        "true",
        "password|none",
        "retina;System.Object[]",
        ABSENT,
        None,
        [],
        [None],
        False,
    ),
    *(["None"], [{"kind": "none"}], [{"kind": "sms", "status": "NOT_SETUP"}], [{"kind": "retina"}]),
]
NOT_ENABLED = [
    None,
    "",
    "false",
    "no",
    "Disabled",
    "Enabled",
    "unknown",
    "n/a",
    "#REF!",
    "maybe",
    False,
    ABSENT,
]
# A user with one of these may be signed in with.
MAY_SIGN_IN = [
    *(
        "active",
        "ACTIVE",
        "locked_out",
        "PASSWORD_EXPIRED",
        "recovery",
        "true",
        "512",
        "",
        " ",
        "unknown",
        "Zzyzx",
    ),
    *("n/a", "-", "none", "#REF!", "System.Object[]", None, ABSENT),
]


def rows() -> st.SearchStrategy[list[Row]]:
    cells = st.fixed_dictionaries(
        {
            "mfa_factors": st.sampled_from(NO_FACTOR),
            "mfa_enabled": st.sampled_from(NOT_ENABLED),
            "status": st.sampled_from(MAY_SIGN_IN),
        }
    )
    return st.lists(cells, min_size=1, max_size=12)


@examples(15)
@given(rows())
def test_nobody_without_a_factor_passes(given_rows: list[dict[str, Any]]) -> None:
    with undone():
        sync_catalogue()
        records = [
            {"login": f"u{number}", "created_at": "2020-01-01"}
            | {name: value for name, value in row.items() if value is not ABSENT}
            for number, row in enumerate(given_rows)
        ]
        # One record that is read for certain: a file of which every record is rejected is refused.
        load(
            [
                *records,
                {"login": "sure", "status": "active", "mfa_enabled": "false", "created_at": "2020-01-01"},
            ]
        )
        (found,) = preview_run(["no-mfa"])
        assert found.evaluated == Account.objects.count()
        assert found.failing + found.unknown == found.evaluated
