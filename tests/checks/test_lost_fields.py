"""Fields that an import makes unknown for over 20 % of its source's accounts: warned of, and kept until they are back."""

from typing import Any

import pytest

from checks.importing.lost_fields import LOST_SHARE
from checks.importing.records import FIELDS
from checks.models import Import, Source
from checks.services import delete_source, reported_lost_fields
from tests.checks.imports import Row, load
from tests.checks.test_coverage import record

pytestmark = pytest.mark.django_db
ABSENT = object()
PEOPLE = 10


def rows(**more: Any) -> list[Row]:
    """Ten complete records; ``more``: field → value or ABSENT in the first four of them."""
    found = []
    for number in range(PEOPLE):
        row = record(f"u{number + 1}")
        if number < 4:
            row.update({name: value for name, value in more.items() if value is not ABSENT})
            for name in (name for name, value in more.items() if value is ABSENT):
                del row[name]
        found.append(row)
    return found


def lost() -> dict[str, tuple[int, int]]:
    """Field → accounts of which it is unknown, and all."""
    return {each.field: (each.accounts, each.of) for each in reported_lost_fields(Source.objects.get())}


def warned(done: Import) -> dict[str, str]:
    return {each["field"]: each["text"] for each in done.warnings if "unknown now" in each["text"]}


# What makes each field unknown. An absent key does it for every field.
UNKNOWN: dict[str, Any] = {
    "status": "Zzyzx",
    "user_type": "Zzyzx",
    "mfa_factors": "retina",
    "mfa_enabled": "maybe",
    "mfa_bypass": "n/a",
    "password_never_expires": "?",
    "credentials_exposed": "unknown",
    "admin_roles": "unknown",
    "groups": "unknown",
    "forwarding": "unknown",
    "applications": "unknown",
    "created_at": "",
    "status_changed_at": "never",
    "password_changed_at": "1601-01-01",
    "last_sign_in_at": "N/A",
    "last_sign_in_country": "-",
    "last_sign_in_ip": "none",
    "failed_sign_ins": "n/a",
    "email": "none",
    "employee_id": "TBD",
    "department": "System.Object[]",
    "title": "-",
    "manager": "unknown",
    "owner": "unknown",
}


@pytest.mark.parametrize("field", sorted(set(FIELDS) - {"login", "source_key", "display_name", "first_name"}))
def test_a_field_that_many_records_lack_is_lost(field: str) -> None:
    load(rows())
    done = load(rows(**{field: ABSENT}))
    assert warned(done)[field].startswith("unknown now for 4 of 10 accounts (40%)")
    assert lost()[field] == (4, 10)


@pytest.mark.parametrize(("field", "value"), UNKNOWN.items())
def test_a_field_with_values_that_say_nothing_is_lost(field: str, value: Any) -> None:
    # Without mfa_enabled, which would still say that there is MFA.
    other = {"mfa_enabled": ABSENT} if field == "mfa_factors" else {}
    load(rows(**other))
    done = load(rows(**other, **{field: value}))
    assert set(warned(done)) == {field}
    assert lost()[field] == (4, 10)


def test_a_later_import_that_gives_the_field_mends_it() -> None:
    load(rows())
    load(rows(status="Zzyzx"))
    assert "status" in lost()
    load([{"login": f"u{n + 1}", "source_key": f"u{n + 1}", "title": "Chief"} for n in range(PEOPLE)])
    assert lost() == {"status": (4, 10)}  # a file without the field says nothing of it
    done = load(rows())
    assert (lost(), warned(done)) == ({}, {})


def test_a_loss_that_is_mended_in_part_is_counted_again() -> None:
    load(rows())
    load(rows(status="Zzyzx"))
    load(rows()[:1] + rows(status="Zzyzx")[1:])
    assert lost() == {"status": (3, 10)}
    load(rows()[:2] + rows(status="Zzyzx")[2:])
    assert lost() == {}


def test_a_field_of_a_few_accounts_and_one_that_was_never_known_are_not_lost() -> None:
    few = int(PEOPLE * LOST_SHARE)
    load(rows(title=""))
    done = load([*rows(status="Zzyzx", title="")[:few], *rows(title="")[few:]])
    assert (lost(), warned(done)) == ({}, {})


def test_what_was_unknown_before_is_no_reason_to_keep_the_warning() -> None:
    load([*rows(status="unknown")[:3], *rows()[3:]])
    broken = [row | {"status": "Zzyzx"} if n >= 6 else row for n, row in enumerate(rows())]
    broken[:3] = rows(status="unknown")[:3]
    assert set(warned(load(broken))) == {"status"}
    assert lost() == {"status": (7, 10)}
    load([*rows(status="unknown")[:3], *rows()[3:]])
    assert lost() == {}


def test_columns_that_are_gone_are_lost_only_where_the_import_replaces() -> None:
    load(rows())
    bare = [{"login": f"u{n + 1}", "source_key": f"u{n + 1}"} for n in range(PEOPLE)]
    assert warned(load(bare)) == {}
    assert lost() == {}
    done = load(bare, replace=True)
    assert {"mfa_factors", "status", "last_sign_in_at"} <= set(warned(done))
    assert lost()["mfa_factors"] == (10, 10)


def test_a_first_import_and_deleted_accounts_lose_nothing() -> None:
    assert warned(load(rows(status="Zzyzx"))) == {}
    load(rows()[4:], full=True, force=True)
    done = load(rows(status="Zzyzx", department=""))
    assert (lost(), warned(done)) == ({}, {})


def test_a_deleted_source_has_lost_nothing() -> None:
    load(rows())
    load(rows(status="Zzyzx"))
    delete_source(Source.objects.get())
    assert lost() == {}
