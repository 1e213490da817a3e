"""Which immutable ids mean one account wherever they are written (docs/importing.md, "Which accounts are one user")."""

from base64 import b64encode
from uuid import UUID

import pytest

from checks.importing.anchors import anchor_of

GUID = "0a1b2c3d-4e5f-6071-8293-a4b5c6d7e8f9"
STORED = b64encode(UUID(GUID).bytes_le).decode()


@pytest.mark.parametrize(
    "written",
    [
        GUID,
        GUID.upper(),
        f"{{{GUID.upper()}}}",
        f"urn:uuid:{GUID}",
        STORED,
        f"X'{UUID(GUID).bytes_le.hex()}'",
    ],
)
def test_a_guid_is_one_in_every_form(written: str) -> None:
    assert anchor_of(written) == GUID


def test_the_bytes_of_a_guid_are_in_the_order_of_windows() -> None:
    assert STORED == "PSwbCl9OcWCCk6S1xtfo+Q=="


@pytest.mark.parametrize("written", ["00u1ab2cd3EFGHiJ4k5l", "103547991597142817347"])
def test_ids_of_okta_and_google_are_compared_letter_by_letter(written: str) -> None:
    assert anchor_of(written) == written


@pytest.mark.parametrize(
    "written",
    [
        *("", "-", "n/a", "1", "701984", "000000000000000701984", "k1"),
        *(
            "ana",
            "ana.ruiz",
            "ana.ruiz@example.com",
            "maximilian.mustermann2",
            "CN=Ana Ruiz,OU=Staff,DC=example",
        ),
        *("00000000-0000-0000-0000-000000000000", "FFFFFFFF-FFFF-FFFF-FFFF-FFFFFFFFFFFF"),
        b64encode(bytes(16)).decode(),
        b64encode(b"\xff" * 16).decode(),
        # Fifteen and seventeen bytes, and letters that base64 of sixteen bytes does not end in.
        *("AAECAwQFBgcICQoLDA0O", "AAECAwQFBgcICQoLDA0ODxA=", "PSwbCl9OcWCCk6S1xtfo+R=="),
        *(f"{GUID} ", f"{GUID}0", "00g1ab2cd3EFGHiJ4k5l", "00U1ab2cd3EFGHiJ4k5l"),
        "arn:aws:iam::123456789012:user/ana",
    ],
)
def test_what_may_be_an_id_of_others_elsewhere_is_none(written: str) -> None:
    assert anchor_of(written) == ""
