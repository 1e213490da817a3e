"""import_users reads a file's columns as kept with the source, else as the vendor's export is known to name them."""

import io
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command

from checks.models import Account, Import, RejectedRow, Source
from checks.services import save_mapping

pytestmark = pytest.mark.django_db
SAMPLES = Path(__file__).parents[1] / "samples"


def run(path: Path, *options: str) -> str:
    out = io.StringIO()
    call_command("import_users", str(path), *options, stdout=out, stderr=out)
    return out.getvalue()


def test_an_export_of_a_vendor_needs_no_option() -> None:
    run(SAMPLES / "aws-credential-report.csv", "--source", "aws")
    kinds = dict(Account.objects.values_list("login", "user_type"))
    assert kinds["ci-bot"] == "service_account"
    assert Account.objects.get(login="kim").source_key == "arn:aws:iam::111122223333:user/kim"
    run(SAMPLES / "ad-powershell.csv", "--source", "ad", "--dates", "mdy")
    assert Account.objects.get(login="eholm").status == "disabled"


def test_who_the_export_of_aws_lists_is_active_unless_nothing_signs_them_in(tmp_path: Path) -> None:
    header = "user,arn,user_creation_time,password_enabled,mfa_active,access_key_1_active,access_key_2_active"
    rows = {
        "<root_account>": ("not_supported,true,false,false", "active"),
        "kim": ("true,false,false,false", "active"),
        "bot": ("false,false,false,true", "active"),
        "left": ("false,false,false,false", "disabled"),
    }
    lines = [
        f"{name},arn:aws:iam::1:user/{name},2022-01-01T00:00:00+00:00,{rest}"
        for name, (rest, _) in rows.items()
    ]
    path = tmp_path / "aws.csv"
    path.write_text("\n".join([header, *lines, ""]))
    run(path, "--source", "aws")
    statuses = {name: status for name, (_, status) in rows.items()}
    statuses["root@1"] = statuses.pop("<root_account>")
    assert dict(Account.objects.values_list("login", "status")) == statuses
    assert Account.objects.get(login="kim").mfa is False


def test_the_last_sign_in_of_aws_is_the_latest_use_of_password_and_keys(tmp_path: Path) -> None:
    header = (
        "user,arn,password_enabled,mfa_active,password_last_used,access_key_1_last_used_date,"
        "access_key_2_last_used_date"
    )
    old, new = "2025-10-01T10:00:00+00:00", "2026-10-01T10:00:00+00:00"
    rows = {
        "password": (f"{new},{old},N/A", new),
        "first-key": (f"no_information,{new},{old}", new),
        "second-key": (f"{old},N/A,{new}", new),
        "neither": ("no_information,N/A,N/A", None),
    }
    lines = [f"{name},arn:aws:iam::1:user/{name},true,false,{uses}" for name, (uses, _) in rows.items()]
    path = tmp_path / "aws.csv"
    path.write_text("\n".join([header, *lines, ""]))
    run(path, "--source", "aws")
    found = {a.login: a.last_sign_in_at and a.last_sign_in_at.isoformat() for a in Account.objects.all()}
    assert found == {name: moment for name, (_, moment) in rows.items()}


def test_who_the_export_of_github_lists_is_active(tmp_path: Path) -> None:
    path = tmp_path / "github.csv"
    path.write_text("login,id,two_factor_enabled,type\nkim,1,false,User\nci,2,false,Bot\n")
    run(path, "--source", "github")
    found = Account.objects.order_by("login").values_list("login", "status", "user_type")
    assert list(found) == [("ci", "active", "service_account"), ("kim", "active", "internal")]


def file_of(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "people.csv"
    path.write_text(text)
    return path


def kept(**columns: str) -> Source:
    source = Source.objects.create(slug="hr", name="HR")
    save_mapping(source, columns=columns)
    return source


def test_columns_are_read_as_kept_with_the_source(tmp_path: Path) -> None:
    kept(Konto="login", Mail="email", title="")
    run(file_of(tmp_path, "Konto,Mail,title\nann,ann@example.com,CEO\n"), "--source", "hr")
    account: Any = Account.objects.get()
    assert (account.login, account.email, account.title) == ("ann", "ann@example.com", "")


def test_an_hr_export_in_an_identity_source_is_pointed_out(tmp_path: Path) -> None:
    file = file_of(tmp_path, "Employee ID,Worker Type,Work Email\n1,Employee,ann@example.com\n")
    assert "Workday is an HR system, but people is of kind identity" in run(file, "--source", "people")
    assert "HR system" not in run(file, "--source", "workday", "--kind", "hr")


def test_an_option_wins_over_what_is_kept(tmp_path: Path) -> None:
    kept(Konto="login", Mail="email")
    file = file_of(tmp_path, "Konto,Mail\nann,ann@example.com\n")
    run(file, "--source", "hr", "--map", "login=Mail")
    assert Account.objects.get().login == "ann@example.com"


# Header and row of a vendor's export, an option that maps one of its columns, and what is read of the rest.
SIGNATURE_COLUMNS = [
    ("SamAccountName,Enabled,LastLogonDate,mail,ObjectGUID", "kim,False,2026-10-01,kim@x.example,1",
     "login=SamAccountName", {"login": "kim", "status": "disabled", "email": "kim@x.example", "source_key": "1"}),
    ("SamAccountName,Enabled,mail,EmailAddress", "kim,False,kim@x.example,kim@y.example",
     "login=mail", {"login": "kim@x.example", "status": "disabled", "email": "kim@y.example"}),
    ("userPrincipalName,id,accountEnabled,mail", "kim,1,False,kim@x.example",
     "login=userPrincipalName", {"status": "disabled", "email": "kim@x.example", "source_key": "1"}),
    ("user,arn,mfa_active,user_creation_time", "kim,a,false,2020-01-01",
     "login=user", {"source_key": "a", "mfa_enabled": False, "status": "active"}),
    ("user,arn,mfa_active,user_creation_time", "kim,a,false,2020-01-01",
     "mfa_enabled=mfa_active", {"login": "kim", "source_key": "a", "mfa_enabled": False}),
    ("primaryEmail,suspended,lastLoginTime", "kim@x.example,True,Never",
     "login=primaryEmail", {"status": "suspended", "last_sign_in_known": True}),
    ("Email Address,Status,Last Sign In", "kim@x.example,Suspended,Never",
     "email=Email Address", {"login": "kim@x.example", "email": "kim@x.example", "status": "suspended"}),
    ("id,login,status,lastLogin,passwordChanged", "00u1,kim,SUSPENDED,,",
     "login=login", {"status": "suspended", "source_key": "00u1"}),
    ("Employee ID,Worker Status,Work Email", "100,Terminated,kim@x.example",
     "employee_id=Employee ID", {"login": "kim@x.example", "status": "disabled", "employee_id": "100"}),
    ("Employee #,Work Email,Status", "100,kim@x.example,Inactive",
     "employee_id=Employee #", {"login": "kim@x.example", "status": "disabled", "employee_id": "100"}),
    ("login,two_factor_enabled,node_id", "kim,false,1",
     "login=login", {"mfa_enabled": False, "source_key": "1", "status": "active"}),
    ("username,user_id,realname,status", "kim,DU1,Kim,disabled",
     "login=username", {"source_key": "DU1", "display_name": "Kim", "status": "disabled"}),
    ("id,username,email,status,invalid_login_attempts", "1,kim,kim@x.example,3,2",
     "login=username", {"source_key": "1", "status": "locked_out", "failed_sign_ins": 2}),
]  # fmt: skip


def test_a_column_called_login_stays_the_login_beside_a_mapped_address(tmp_path: Path) -> None:
    file = file_of(tmp_path, "Email Address,Status,Last Sign In,login\nkim@x.example,Active,Never,kim\n")
    run(file, "--source", "s", "--map", "email=Email Address")
    account = Account.objects.get()
    assert (account.login, account.email, account.status) == ("kim", "kim@x.example", "active")


@pytest.mark.parametrize(("header", "row", "option", "expected"), SIGNATURE_COLUMNS)
def test_an_option_wins_for_its_field_and_the_layout_completes_the_rest(
    tmp_path: Path, header: str, row: str, option: str, expected: dict[str, object]
) -> None:
    run(file_of(tmp_path, f"{header}\n{row}\n"), "--source", "s", "--map", option)
    account = Account.objects.get()
    assert {name: getattr(account, name) for name in expected} == expected


def test_rejected_rows_are_stored_by_the_files_own_names(tmp_path: Path) -> None:
    kept(Konto="login", Since="created_at")
    with pytest.raises(SystemExit):
        run(
            file_of(tmp_path, "Konto,Since\nann,2024-01-01\nbob,yesterday\n"),
            "--source",
            "hr",
            "--rejects",
            str(tmp_path / "r.csv"),
        )
    row = RejectedRow.objects.get(of_import=Import.objects.get())
    assert (row.line, row.record) == (3, {"Konto": "bob", "Since": "yesterday"})


@pytest.mark.parametrize(
    ("header", "options"),
    [
        ("UserPrincipalName,ObjectId,AccountEnabled,UserType,Methods", []),
        ("userPrincipalName,id,displayName,accountEnabled,Methods", []),
        ("userPrincipalName,id,userType,accountEnabled,Methods", ["--map", "login=userPrincipalName"]),
        ("userPrincipalName,id,createdDateTime,mail,Methods", ["--map", "login=mail"]),
    ],
)
def test_a_file_in_a_layout_of_entra_has_its_methods_read_as_entras(
    tmp_path: Path, header: str, options: list[str]
) -> None:
    """Also where the column of the methods, or the one of the login, is mapped by hand."""
    row = {name.casefold(): "1" for name in header.split(",")} | {
        "userprincipalname": "kim@x.example",
        "mail": "kim@x.example",
        "accountenabled": "True",
        "usertype": "Member",
        "createddatetime": "2020-01-01",
    }
    for number, (methods, has_mfa) in enumerate(
        [("email", False), ("Security question", False), ("email|sms", True)]
    ):
        cells = [row[name.casefold()] for name in header.split(",")[:-1]]
        path = file_of(tmp_path, f"{header}\n{','.join(cells)},{methods}\n")
        run(path, "--source", f"s{number}", "--map", "mfa_factors=Methods", *options)
        assert Account.objects.get(source__slug=f"s{number}").mfa is has_mfa


def test_a_source_whose_kept_columns_are_entras_reads_each_file_as_entras(tmp_path: Path) -> None:
    source = kept(userPrincipalName="login", accountEnabled="status", Methods="mfa_factors")
    run(file_of(tmp_path, "userPrincipalName,Methods\nkim,email\n"), "--source", source.slug)
    assert Account.objects.get().mfa is False


@pytest.mark.parametrize(
    ("header", "row"),
    [
        ("user,arn,mfa_active,password_last_used,access_key_1_active,access_key_1_last_used_date,other",
         "kim,a,true,N/A,false,N/A,x"),
        ("primaryEmail,lastLoginTime,archived,other", "kim@x.example,,False,x"),
        ("userPrincipalName,id,userType,lastSignInDateTime,lastSuccessfulSignInDateTime,accountEnabled,"
         "externalUserState,other", "kim,1,Member,,,True,,x"),
        ("primaryEmail,suspended,archived,suspensionReason,other", "kim@x.example,False,False,,x"),
        ("SamAccountName,ObjectGUID,LastLogonDate,lastLogon,other", "kim,1,,0,x"),
    ],
)  # fmt: skip
def test_columns_that_a_layout_combines_are_not_reported_as_ignored(
    tmp_path: Path, header: str, row: str
) -> None:
    said = run(file_of(tmp_path, f"{header}\n{row}\n"), "--source", "s")
    assert "Ignored, since they are no fields: other. " in said


@pytest.mark.parametrize(
    ("header", "row", "ignored"),
    [
        # One domain controller's record alone says nothing of the others.
        ("SamAccountName,ObjectGUID,Enabled,lastLogon", "kim,1,True,134080000000000000", "lastLogon"),
        ("user,arn,mfa_active,access_key_1_last_used_date", "kim,a,true,N/A", "access_key_1_last_used_date"),
        ("userPrincipalName,id,displayName,externalUserState", "kim,1,Kim,Accepted", "externalUserState"),
        ("primaryEmail,lastLoginTime,suspensionReason", "kim@x.example,,ADMIN", "suspensionReason"),
    ],
)
def test_a_column_without_the_one_that_it_completes_is_reported_as_ignored(
    tmp_path: Path, header: str, row: str, ignored: str
) -> None:
    said = run(file_of(tmp_path, f"{header}\n{row}\n"), "--source", "s")
    assert f"Ignored, since they are no fields: {ignored.casefold()}" in said


def test_a_sign_in_of_one_controller_is_read_where_it_is_mapped(tmp_path: Path) -> None:
    file = file_of(tmp_path, "SamAccountName,ObjectGUID,Enabled,lastLogon\nkim,1,True,134080000000000000\n")
    run(file, "--source", "s", "--map", "last_sign_in_at=lastLogon")
    assert Account.objects.get().last_sign_in_at is not None
