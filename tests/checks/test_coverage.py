"""Fields that a file does not have, has in some records only, or has empty: kept, unknown, or as the source says."""

from typing import Any

import pytest

from checks.importing.accounts import ImportRefused
from checks.importing.coverage import known, unknown_columns
from checks.importing.records import FIELDS
from checks.models import Account, Authenticator, Forward, Import, SourceFreshness, User
from tests.checks.imports import Row, load

pytestmark = pytest.mark.django_db

FULL: Row = {
    "source_key": "k1",
    "source_anchor": "0a1b2c3d-4e5f-6071-8293-a4b5c6d7e8f9",
    "email": "kim@x.example",
    "display_name": "Kim",
    "first_name": "K",
    "last_name": "Lee",
    "employee_id": "100",
    "department": "Sales",
    "title": "Clerk",
    "company": "X",
    "phone": "+1",
    "locale": "en",
    "manager": "boss",
    "owner": "boss",
    "status": "active",
    "user_type": "internal",
    "created_at": "2020-01-01",
    "status_changed_at": "2021-01-01",
    "password_changed_at": "2022-01-01",
    "last_sign_in_at": "2023-01-01",
    "last_sign_in_country": "DE",
    "last_sign_in_ip": "192.0.2.1",
    "failed_sign_ins": "3",
    "mfa_enabled": "true",
    "mfa_bypass": "false",
    "password_never_expires": "false",
    "credentials_exposed": "false",
    "mfa_factors": "sms:+15550100|fido2",
    "admin_roles": "Owner",
    "groups": "Staff",
    "forwarding": "a@b.example",
    "applications": "Jira=2026-01-02",
}
OTHERS = sorted(set(FIELDS) - {"login"})


def record(login: str = "kim", **more: Any) -> Row:
    own = {"source_key": login, "employee_id": login, "email": f"{login}@x.example"}
    return {"login": login, **FULL, **own, **more}


def values(login: str = "kim") -> dict[str, Any]:
    found = Account.objects.values().get(login=login)
    found.pop("fingerprint")
    return found


def without(row: Row, *fields: str) -> Row:
    return {name: value for name, value in row.items() if name not in fields}


def test_every_field_has_a_value_in_the_record_of_these_tests() -> None:
    load([record()])
    assert [field for field in OTHERS if not Account.objects.filter(known(field)).exists()] == []


def test_a_field_that_no_record_has_keeps_its_value_and_is_reported() -> None:
    load([record(), record("lee")])
    before, devices = values(), list(Authenticator.objects.values_list("kind", "device_key"))
    for field in OTHERS:
        done = load([without(record(), field), without(record("lee"), field)])
        assert done.unread_fields == [field]
        assert values() == before, field
    assert list(Authenticator.objects.values_list("kind", "device_key")) == devices
    assert Forward.objects.count() == 2


@pytest.mark.parametrize("given", [{}, {"status_changed_at": ""}])
def test_the_time_at_which_an_import_deleted_an_account_is_no_value_of_the_source(given: Row) -> None:
    rows = [{"login": f"u{number}", "status": "active", **given} for number in range(6)]
    load(rows)
    load(rows[1:], full=True)
    assert Account.objects.get(login="u0").status_changed_at
    done = load(rows[1:])
    assert (done.unread_fields, done.warnings) == ([], [])


def test_a_file_of_logins_alone_changes_nothing() -> None:
    load([record()])
    before = values()
    done = load([{"login": "kim"}])
    assert values() == before
    assert done.unread_fields == OTHERS
    assert load([{"login": "kim"}]).unchanged == 1


def test_a_field_that_one_record_lacks_is_unknown_there() -> None:
    for field in OTHERS:
        load([record(), record("lee")])
        done = load([without(record(), field), record("lee")])
        assert done.unread_fields == []
        expected = dict.fromkeys(unknown_columns(field))
        # An immutable id stays with its account.
        assert (values()[field] in (None, "")) == (field != "source_key"), field
        assert set(expected) <= set(values())
        assert values("lee")[field] not in (None, ""), field
    assert User.objects.get(login="kim").has_mfa


def test_an_unchanged_record_becomes_unknown_where_another_record_now_has_the_field() -> None:
    load([record(), record("lee")])
    short = [
        without(record(), "department", "mfa_factors", "mfa_enabled"),
        without(record("lee"), "department"),
    ]
    load(short)
    assert values()["department"] == "Sales"
    load([short[0], record("lee")])
    assert (values()["department"], values()["department_key"], values()["mfa_factors"]) == ("", "", None)
    assert values()["mfa"] is None
    assert User.objects.get(login="kim").mfa_unknown_since is not None


def test_replace_makes_what_the_file_lacks_unknown() -> None:
    load([record()])
    done = load([{"login": "kim"}], replace=True)
    assert done.unread_fields == []
    kept = [field for field in OTHERS if Account.objects.filter(known(field)).exists()]
    assert kept == ["source_key"]
    assert not Authenticator.objects.exists()


@pytest.mark.parametrize("empty", ["", None, "  "])
def test_a_field_that_is_empty_in_every_record_is_not_read_if_the_source_had_values(
    empty: str | None,
) -> None:
    load([record(), record("lee")])
    for field in OTHERS:
        before = values()
        done = load([record(**{field: empty}), record("lee", **{field: empty})])
        texts = {
            each["field"]: each["text"] for each in done.warnings if "matches no user" not in each["text"]
        }
        assert list(texts) == [field]
        assert "empty in every record, though the source had values before" in texts[field]
        assert values() == before, field
        load([record(), record("lee")])


def test_a_new_account_of_a_field_that_is_empty_everywhere_is_unknown_there() -> None:
    load([record()])
    empty = {
        "mfa_factors": "",
        "mfa_enabled": "",
        "last_sign_in_at": "",
        "admin_roles": "",
        "applications": "",
    }
    load([record(**empty), record("lee", **empty)])
    found = values("lee")
    assert (found["mfa"], found["last_sign_in_known"], found["is_admin"], found["applications"]) == (
        None,
        False,
        None,
        None,
    )


def test_a_field_that_is_empty_everywhere_is_read_with_replace_or_without_values_before() -> None:
    load([record(forwarding="", groups="")])
    assert values()["groups"] == []
    load([record(forwarding="", groups="", admin_roles="")], replace=True)
    assert (values()["admin_roles"], values()["is_admin"]) == ([], False)


def test_an_empty_field_is_read_once_another_record_has_a_value() -> None:
    load([record(), record("lee")])
    row = record(admin_roles="")
    load([row, record("lee", admin_roles="")])
    assert values()["admin_roles"] == ["Owner"]
    load([row, record("lee")])
    assert values()["admin_roles"] == []


@pytest.mark.parametrize(
    ("stored", "later", "mfa", "assurance"),
    [
        ({"mfa_factors": "fido2"}, {"mfa_enabled": "true"}, True, 3),
        ({"mfa_factors": "fido2"}, {"mfa_enabled": "false"}, False, None),
        ({"mfa_enabled": "true"}, {"mfa_factors": "sms"}, True, 1),
        ({"mfa_enabled": "false"}, {"mfa_factors": "sms"}, False, None),
        ({"mfa_factors": "retina"}, {"mfa_enabled": "true"}, True, None),
    ],
)
def test_a_field_that_is_read_alone_is_combined_with_the_one_that_is_kept(
    stored: Row, later: Row, mfa: bool, assurance: int | None
) -> None:
    load([{"login": "kim", **stored}])
    load([{"login": "kim", **later}])
    assert (values()["mfa"], values()["assurance"]) == (mfa, assurance)


def test_the_age_of_what_was_not_read_stays() -> None:
    load([record()])
    before = SourceFreshness.objects.get(group="factors").as_of
    load([without(record(), "mfa_factors", "mfa_enabled", "mfa_bypass")])
    load([record(mfa_factors="", mfa_enabled="", mfa_bypass="")])
    assert SourceFreshness.objects.get(group="factors").as_of == before
    assert SourceFreshness.objects.get(group="profile").as_of > before


def test_a_first_import_of_no_records_fails_with_a_hint() -> None:
    with pytest.raises(ImportRefused, match=r"the file holds no records.*permissions of the export"):
        load([])
    load([record()])
    assert load([]).state == Import.State.SUCCEEDED
