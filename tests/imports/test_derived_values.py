"""What a vendor's export says by several of its columns together: the status, the last sign-in, the login, MFA."""

import csv
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
from django.core.management import call_command

from checks.models import Account, Import

pytestmark = pytest.mark.django_db
OLD, MIDDLE, NEW = "2023-05-05T00:00:00Z", "2023-06-05T00:00:00Z", "2026-10-01T00:00:00Z"
SENTINEL = "0001-01-01T00:00:00Z"
NEVER, UNKNOWN = "never", "unknown"


def import_json(tmp_path: Path, records: Sequence[object], *options: str) -> None:
    path = tmp_path / "users.json"
    path.write_text(json.dumps({"value": list(records)}))
    call_command(
        "import_users", str(path), "--source", "s", *options, stdout=io.StringIO(), stderr=io.StringIO()
    )


def import_csv(tmp_path: Path, records: Sequence[Mapping[str, object]], *options: str) -> None:
    path = tmp_path / "users.csv"
    with path.open("w", newline="") as stream:
        writer = csv.DictWriter(stream, list(dict.fromkeys(name for each in records for name in each)))
        writer.writeheader()
        writer.writerows(records)
    call_command(
        "import_users", str(path), "--source", "s", *options, stdout=io.StringIO(), stderr=io.StringIO()
    )


def last_sign_in(**account: str) -> str:
    found = Account.objects.get(**account)
    if not found.last_sign_in_known:
        return UNKNOWN
    return found.last_sign_in_at.strftime("%Y-%m-%dT%H:%M:%SZ") if found.last_sign_in_at else NEVER


# Last success, last interactive and last other attempt (None: no such column), and what is read.
GRAPH_SIGN_INS: list[tuple[str | None, str | None, str | None, str]] = [
    ("", OLD, MIDDLE, MIDDLE),
    ("", MIDDLE, OLD, MIDDLE),
    (OLD, NEW, NEW, OLD),
    (SENTINEL, OLD, "", OLD),
    (SENTINEL, SENTINEL, SENTINEL, NEVER),
    ("", "", "", NEVER),
    (None, OLD, NEW, NEW),
    (None, NEW, None, NEW),
    (None, None, OLD, OLD),
    (NEW, None, None, NEW),
    ("", OLD, None, OLD),
]


@pytest.mark.parametrize(("success", "interactive", "other", "expected"), GRAPH_SIGN_INS)
@pytest.mark.parametrize("form", ["json", "nested json", "csv"])
def test_without_a_success_the_last_sign_in_of_entra_is_the_later_attempt(
    tmp_path: Path, form: str, success: str | None, interactive: str | None, other: str | None, expected: str
) -> None:
    names = ("lastSuccessfulSignInDateTime", "lastSignInDateTime", "lastNonInteractiveSignInDateTime")
    times = {
        name: value
        for name, value in zip(names, (success, interactive, other), strict=True)
        if value is not None
    }
    user = {"id": "1", "userPrincipalName": "kim", "userType": "Member", "createdDateTime": "2019-01-01"}
    if form == "csv":
        import_csv(tmp_path, [user | times])
    else:
        given = {name: value or None for name, value in times.items()}
        import_json(tmp_path, [user | ({"signInActivity": given} if form == "nested json" else given)])
    assert last_sign_in(login="kim") == expected


@pytest.mark.parametrize("created", ["2019-01-01T00:00:00Z", "2021-01-01T00:00:00Z"])
@pytest.mark.parametrize("activity", [{}, {"signInActivity": None}])
def test_an_account_of_entra_without_activity_is_never_only_where_it_is_young(
    tmp_path: Path, created: str, activity: dict[str, object]
) -> None:
    user = {"id": "1", "userPrincipalName": "kim", "userType": "Member", "createdDateTime": created}
    other = {**user, "id": "2", "userPrincipalName": "lee", "signInActivity": {"lastSignInDateTime": OLD}}
    import_json(tmp_path, [user | activity, other])
    assert last_sign_in(login="kim") == (NEVER if created > "2020-05" else UNKNOWN)
    assert last_sign_in(login="lee") == OLD


@pytest.mark.parametrize(
    ("times", "expected"),
    [
        ({"LastLogonDate": OLD, "lastLogon": "134194752000000000"}, "2026-04-01T00:00:00Z"),
        ({"LastLogonDate": NEW, "lastLogon": "0"}, NEW),
        ({"LastLogonDate": "", "lastLogon": "0"}, NEVER),
        ({"lastLogonTimestamp": "0", "lastLogon": "134194752000000000"}, "2026-04-01T00:00:00Z"),
        ({"LastLogonDate": OLD, "lastLogonTimestamp": "134194752000000000"}, "2026-04-01T00:00:00Z"),
        # One controller's record alone says nothing of the others.
        ({"lastLogon": "0"}, UNKNOWN),
    ],
)
def test_the_last_sign_in_of_active_directory_is_the_later_of_its_columns(
    tmp_path: Path, times: dict[str, str], expected: str
) -> None:
    import_csv(tmp_path, [{"SamAccountName": "kim", "ObjectGUID": "1", "Enabled": "True", **times}])
    assert last_sign_in(login="kim") == expected


@pytest.mark.parametrize(
    ("times", "order", "expected"),
    [
        (("5/5/2023 1:00:00 AM", "10/1/2026 1:00:00 AM"), "mdy", "2026-10-01T01:00:00Z"),
        (("Never", "10/1/2026 1:00:00 AM"), "mdy", "2026-10-01T01:00:00Z"),
    ],
)
def test_sign_ins_are_compared_by_the_order_of_dates_of_the_source(
    tmp_path: Path, times: tuple[str, str], order: str, expected: str
) -> None:
    names = ("lastSignInDateTime", "lastNonInteractiveSignInDateTime")
    user = {"id": "1", "userPrincipalName": "kim", "userType": "Member"} | dict(
        zip(names, times, strict=True)
    )
    with pytest.raises(Exception, match="1 records are bad"):
        import_csv(tmp_path, [user])
    import_csv(tmp_path, [user], "--dates", order)
    assert last_sign_in(login="kim") == expected


# What stands in deletedDateTime, and the status of the user, who is else active.
DELETION_TIMES = [
    ("2026-10-01T00:00:00Z", "deleted"),
    ("/Date(1764000000000)/", "deleted"),
    ("9/30/2026 1:00:00 AM", "deleted"),
    ("30.09.2026 01:00:00", "deleted"),
    ("2030-01-01T00:00:00Z", "deleted"),
    ("1764000000", "deleted"),
    ("", "active"),
    ("0", "active"),
    ("never", "active"),
    ("n/a", "active"),
    ("0001-01-01T00:00:00Z", "active"),
    ("01/01/0001 00:00:00", "active"),
    ("1/1/0001 12:00:00 AM", "active"),
    ("01.01.0001", "active"),
    ("00/00/0000", "active"),
    ("1601-01-01T00:00:00Z", "active"),
    ("1970-01-01T00:00:00Z", "active"),
    ("9999-12-31T23:59:59Z", "active"),
    ("12/31/9999", "active"),
]


@pytest.mark.parametrize(("value", "status"), DELETION_TIMES)
@pytest.mark.parametrize("order", ["", "mdy", "dmy", "ymd"])
def test_a_user_of_entra_with_the_time_of_a_deletion_is_deleted(
    tmp_path: Path, value: str, status: str, order: str
) -> None:
    options = ["--dates", order] if order else []
    import_csv(tmp_path, [ENTRA_GUEST | {"deletedDateTime": value}], *options)
    assert Account.objects.get().status == status


ENTRA_GUEST = {"id": "1", "userPrincipalName": "kim", "userType": "Guest", "accountEnabled": "True"}
GOOGLE_USER = {"id": "1", "primaryEmail": "kim@x.example", "lastLoginTime": OLD, "suspended": "False"}
ONELOGIN_USER = {"id": "1", "username": "kim", "email": "kim@x.example", "invalid_login_attempts": "0"}
M365_USER = {"User principal name": "kim", "Object Id": "1", "Block credential": "False"}
MSOL_USER = {"UserPrincipalName": "kim", "ObjectId": "1", "BlockCredential": "False"}
GOOGLE_LISTED = {"id": "1", "primaryEmail": "kim@x.example", "lastLoginTime": OLD}
STATUSES: list[tuple[dict[str, str], dict[str, str], str | None]] = [
    (ENTRA_GUEST, {"externalUserState": "PendingAcceptance"}, "staged"),
    (ENTRA_GUEST, {"invitationState": "PendingAcceptance"}, "staged"),
    (ENTRA_GUEST, {"externalUserState": "Accepted"}, "active"),
    (ENTRA_GUEST, {"externalUserState": ""}, "active"),
    (ENTRA_GUEST, {"externalUserState": "PendingAcceptance", "accountEnabled": "False"}, "disabled"),
    (ENTRA_GUEST, {"isSoftDeleted": "True"}, "deleted"),
    (ENTRA_GUEST, {"isSoftDeleted": "False", "deletedDateTime": ""}, "active"),
    (ENTRA_GUEST, {"deletedDateTime": "2026-10-01T00:00:00Z"}, "deleted"),
    (ENTRA_GUEST, {"deletedDateTime": SENTINEL}, "active"),
    (ENTRA_GUEST, {"UserState": "PendingAcceptance"}, "staged"),
    (ENTRA_GUEST, {"DeletionTimestamp": "2026-10-01T00:00:00Z"}, "deleted"),
    (M365_USER, {}, "active"),
    (M365_USER, {"Block credential": "True"}, "disabled"),
    (M365_USER, {"Soft deletion time stamp": "2026-10-02 03:04:05Z"}, "deleted"),
    (M365_USER, {"Soft deletion time stamp": ""}, "active"),
    (M365_USER, {"Block credential": "True", "Soft deletion time stamp": "2026-10-02 03:04:05Z"}, "deleted"),
    (MSOL_USER, {}, "active"),
    (MSOL_USER, {"BlockCredential": "True"}, "disabled"),
    (MSOL_USER, {"SoftDeletionTimestamp": "2026-10-02 03:04:05Z"}, "deleted"),
    (MSOL_USER, {"UserState": "PendingAcceptance"}, "staged"),
    (MSOL_USER, {"UserState": "PendingAcceptance", "BlockCredential": "True"}, "disabled"),
    (GOOGLE_USER, {"archived": "True"}, "disabled"),
    (GOOGLE_USER, {"archived": "False"}, "active"),
    (GOOGLE_USER, {"archived": "True", "suspended": "True"}, "suspended"),
    (GOOGLE_USER, {"suspended": "True", "suspensionReason": "ADMIN"}, "suspended"),
    (GOOGLE_USER, {"suspended": "True", "suspensionReason": "WEB_LOGIN_REQUIRED"}, "staged"),
    (GOOGLE_LISTED, {"archived": "True"}, "disabled"),
    (GOOGLE_LISTED, {"archived": "True", "status": "Active"}, "disabled"),
    (GOOGLE_LISTED, {"archived": "True", "status": "Suspended"}, "suspended"),
    (GOOGLE_LISTED, {"archived": "False", "status": "Suspended"}, "suspended"),
    (GOOGLE_LISTED, {"archived": "False"}, None),
    (ONELOGIN_USER, {"status": "0"}, "staged"),
    (ONELOGIN_USER, {"status": "1"}, "active"),
    (ONELOGIN_USER, {"status": "2"}, "suspended"),
    (ONELOGIN_USER, {"status": "3"}, "locked_out"),
    (ONELOGIN_USER, {"status": "4"}, "password_expired"),
    (ONELOGIN_USER, {"status": "5"}, "recovery"),
    (ONELOGIN_USER, {"status": "7"}, "provisioned"),
    (ONELOGIN_USER, {"status": "8"}, "provisioned"),
    # In an unknown layout a number stays as it is.
    ({"login": "kim"}, {"status": "0"}, "disabled"),
]


def typed(value: str) -> object:
    """A value as an API writes it."""
    if value in ("True", "False"):
        return value == "True"
    return int(value) if value.isdigit() and len(value) == 1 else value or None


@pytest.mark.parametrize(("user", "state", "expected"), STATUSES)
@pytest.mark.parametrize("form", ["csv", "json"])
def test_the_status_of_a_vendors_several_columns(
    tmp_path: Path, form: str, user: dict[str, str], state: dict[str, str], expected: str | None
) -> None:
    if form == "csv":
        import_csv(tmp_path, [user | state])
    else:
        import_json(tmp_path, [{name: typed(value) for name, value in (user | state).items()}])
    assert Account.objects.get().status == expected


# Words for yes and no, as spreadsheets, consoles and APIs write them.
YES_AND_NO = [
    ("true", "false"),
    ("Yes", "No"),
    ("y", "n"),
    ("1", "0"),
    ("WAHR", "FALSCH"),
    ("VRAI", "FAUX"),
    ("Oui", "Non"),
    ("Sí", "No"),
]
GITHUB_USER = {"login": "kim", "dormant?": "false"}
AWS_ACCOUNT = {"user": "kim", "arn": "arn:aws:iam::111111111111:user/kim", "mfa_active": "false"}
AWS_KEYS = {"access_key_1_active": "false", "access_key_2_active": "false"}
# A record without the column, the column, the field that it decides, and its values for yes and for no.
FLAG_COLUMNS: list[tuple[dict[str, str], str, str, object, object]] = [
    (GOOGLE_USER, "suspended", "status", "suspended", "active"),
    (GOOGLE_USER, "archived", "status", "disabled", "active"),
    (GITHUB_USER, "suspended", "status", "suspended", "active"),
    (GITHUB_USER, "suspended?", "status", "suspended", "active"),
    (ENTRA_GUEST, "isSoftDeleted", "status", "deleted", "active"),
    (ENTRA_GUEST | {"externalUserState": "PendingAcceptance"}, "accountEnabled", "status", "staged", "disabled"),
    ({"SamAccountName": "kim", "ObjectGUID": "1"}, "Enabled", "status", "active", "disabled"),
    ({"Worker ID": "1", "Worker Type": "Employee"}, "Active Status", "status", "active", "disabled"),
    (AWS_ACCOUNT, "password_enabled", "user_type", None, "service_account"),
    (AWS_ACCOUNT, "password_enabled", "mfa", False, None),
    (AWS_ACCOUNT | AWS_KEYS, "password_enabled", "status", "active", "disabled"),
]  # fmt: skip


@pytest.mark.parametrize(("yes", "no"), YES_AND_NO)
@pytest.mark.parametrize(("user", "column", "field", "if_yes", "if_no"), FLAG_COLUMNS)
def test_a_column_of_yes_and_no_is_read_in_each_spelling(
    tmp_path: Path, user: dict[str, str], column: str, field: str, if_yes: object, if_no: object, yes: str, no: str
) -> None:  # fmt: skip
    for word, expected in ((yes, if_yes), (no, if_no)):
        import_csv(tmp_path, [user | {column: word}])
        assert getattr(Account.objects.get(), field) == expected, word


# Columns that name the opposite of active, and the status where they say yes.
OPPOSITES = [
    ("suspended", "suspended"),
    ("blocked", "suspended"),
    ("isFrozen", "suspended"),
    ("Block credential", "disabled"),
    ("Sign-in blocked", "disabled"),
    ("nsAccountLock", "disabled"),
    ("Terminated", "disabled"),
    ("archived", "disabled"),
    ("disabled", "disabled"),
    ("inactive", "disabled"),
    ("locked", "locked_out"),
    ("LockedOut", "locked_out"),
    ("isSoftDeleted", "deleted"),
    ("deleted", "deleted"),
]


@pytest.mark.parametrize(("column", "status"), OPPOSITES)
def test_a_status_column_named_after_the_opposite_of_active_is_inverted(
    tmp_path: Path, column: str, status: str
) -> None:
    for word, expected in (("True", status), ("False", "active"), ("1", status), ("NEIN", "active")):
        import_csv(
            tmp_path, [{"uid": "kim", column: word}], "--map", "login=uid", "--map", f"status={column}"
        )
        assert Account.objects.get().status == expected, word


def test_a_meaning_of_the_source_wins_over_the_inverted_column(tmp_path: Path) -> None:
    options = ["--map", "status=locked", "--map-value", "status:true=suspended"]
    import_csv(tmp_path, [{"login": "kim", "locked": "TRUE"}], *options)
    assert Account.objects.get().status == "suspended"


@pytest.mark.parametrize(("value", "status"), [(1, "suspended"), (0, "active"), ("yes", "suspended")])
def test_a_flag_of_json_may_be_a_number_or_a_word(tmp_path: Path, value: object, status: str) -> None:
    import_json(tmp_path, [GOOGLE_USER | {"suspended": value}])
    assert Account.objects.get().status == status


def test_a_word_for_suspended_that_is_not_understood_is_unknown_and_counted(tmp_path: Path) -> None:
    import_csv(tmp_path, [GOOGLE_USER | {"suspended": "perhaps"}])
    assert Account.objects.get().status is None
    assert [word["word"] for word in Import.objects.get().unknown_words] == ["perhaps"]


def test_a_word_of_the_source_wins_over_the_vendors_in_any_case(tmp_path: Path) -> None:
    import_csv(tmp_path, [GOOGLE_USER | {"suspended": "TRUE"}], "--map-value", "status:True=disabled")
    assert Account.objects.get().status == "disabled"


def test_a_user_of_onelogin_without_a_user_name_signs_in_by_e_mail(tmp_path: Path) -> None:
    import_json(tmp_path, [ONELOGIN_USER | {"username": None, "status": 1}])
    account = Account.objects.get()
    assert (account.login, account.email) == ("kim@x.example", "kim@x.example")


AWS_USER = {"user": "kim", "arn": "arn:aws:iam::111111111111:user/kim", "user_creation_time": "2022-01-01"}


@pytest.mark.parametrize("upper", [False, True])
@pytest.mark.parametrize(
    ("password", "key", "mfa", "status", "has_mfa", "user_type"),
    [
        ("true", "false", "false", "active", False, None),
        ("true", "false", "true", "active", True, None),
        ("not_supported", "false", "false", "active", False, None),
        ("false", "true", "false", "active", None, "service_account"),
        ("false", "true", "true", "active", True, "service_account"),
        ("false", "false", "false", "disabled", None, "service_account"),
    ],
)
def test_aws_needs_mfa_of_users_with_a_password_alone(
    tmp_path: Path,
    upper: bool,
    password: str,
    key: str,
    mfa: str,
    status: str,
    has_mfa: bool | None,
    user_type: str | None,
) -> None:
    flags = {
        "password_enabled": password,
        "mfa_active": mfa,
        "access_key_1_active": key,
        "access_key_2_active": "false",
    }
    # A spreadsheet writes FALSE.
    shown = {
        name: value.upper() if upper and value != "not_supported" else value for name, value in flags.items()
    }
    import_csv(tmp_path, [AWS_USER | shown])
    account = Account.objects.get()
    assert (account.status, account.mfa, account.user_type) == (status, has_mfa, user_type)


AWS_DISABLED = AWS_ACCOUNT | AWS_KEYS | {"password_enabled": "false"}
AWS_SHORT = {name: AWS_ACCOUNT[name] for name in ("user", "arn", "mfa_active")}
# Records of the same account in files that follow each other, and the last status.
LATER_FILES: list[tuple[list[dict[str, str]], str]] = [
    ([GITHUB_USER | {"suspended?": "true"}, {"login": "kim", "tfa_enabled": "true"}], "suspended"),
    ([GITHUB_USER | {"suspended?": "false"}, {"login": "kim", "tfa_enabled": "true"}], "active"),
    ([{"login": "kim", "tfa_enabled": "true"}], "active"),
    ([GITHUB_USER | {"suspended?": "true"}, GITHUB_USER | {"suspended?": "false"}], "active"),
    ([AWS_DISABLED, AWS_SHORT], "disabled"),
    ([AWS_DISABLED, AWS_SHORT | {"user": "renamed"}], "disabled"),
    ([AWS_DISABLED, AWS_SHORT | {"password_enabled": "false"}], "disabled"),
    ([AWS_DISABLED, AWS_SHORT | {"password_enabled": "true"}], "active"),
    ([AWS_DISABLED, AWS_DISABLED | {"access_key_1_active": "true"}, AWS_SHORT], "active"),
    ([AWS_SHORT], "active"),
]


@pytest.mark.parametrize(("records", "status"), LATER_FILES)
def test_a_file_without_the_columns_that_decide_the_status_leaves_it(
    tmp_path: Path, records: list[dict[str, str]], status: str
) -> None:
    for record in records:
        import_csv(tmp_path, [record])
    assert Account.objects.get().status == status


def test_a_deleted_user_who_is_listed_again_is_active(tmp_path: Path) -> None:
    import_csv(tmp_path, [AWS_SHORT])
    Account.objects.update(status="deleted", fingerprint=b"")
    import_csv(tmp_path, [AWS_SHORT])
    assert Account.objects.get().status == "active"


@pytest.mark.parametrize(("created", "expected"), [("2012-01-01", UNKNOWN), ("2022-01-01", NEVER)])
def test_aws_knows_no_sign_in_before_2014(tmp_path: Path, created: str, expected: str) -> None:
    user = AWS_USER | {"user_creation_time": created, "password_enabled": "true", "mfa_active": "true"}
    import_csv(
        tmp_path, [user | {"password_last_used": "no_information", "access_key_1_last_used_date": "N/A"}]
    )
    assert last_sign_in(login="kim") == expected


def test_the_root_users_of_two_accounts_are_two_users(tmp_path: Path) -> None:
    for number in ("111111111111", "222222222222"):
        root = AWS_USER | {
            "user": "<root_account>",
            "arn": f"arn:aws:iam::{number}:root",
            "mfa_active": "true",
        }
        path = tmp_path / number
        path.mkdir()
        import_csv(path, [root], "--source", f"aws{number[0]}")
    accounts = list(Account.objects.order_by("login"))
    assert [each.login for each in accounts] == ["root@111111111111", "root@222222222222"]
    assert accounts[0].user_id != accounts[1].user_id


def test_a_root_user_that_is_stored_by_its_old_login_keeps_its_account(tmp_path: Path) -> None:
    root = AWS_USER | {
        "user": "<root_account>",
        "arn": "arn:aws:iam::111111111111:root",
        "mfa_active": "true",
    }
    import_csv(tmp_path, [root])
    stored = Account.objects.get()
    Account.objects.update(login="<root_account>", login_key="<root_account>", fingerprint=b"")
    import_csv(tmp_path, [root])
    account = Account.objects.get()
    assert (account.pk, account.user_id, account.login) == (stored.pk, stored.user_id, "root@111111111111")
