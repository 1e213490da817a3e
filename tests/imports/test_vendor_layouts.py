"""The columns of each vendor's export, as the vendor documents them, and the fields that they are taken for."""

import csv
from pathlib import Path

import pytest

from cii_project.imports.vendor_layouts import (
    LAYOUTS,
    field_of_columns,
    fold_column,
    layout_of,
    words_of_layout,
)

SAMPLES = Path(__file__).parents[1] / "samples"
# Layout, columns of an export, and which of them hold which field.
EXPORTS = [
    (
        "okta",
        "id|status|created|activated|statusChanged|lastLogin|passwordChanged|profile.login|profile.email|profile.firstName",
        {"id": "source_key", "profile.login": "login", "passwordChanged": "password_changed_at"},
    ),
    (
        "okta",
        "User|Login|Status|Activation date|Authentication Source|Last Login|Last Password Change",
        {"User": "display_name", "Login": "login", "Last Login": "last_sign_in_at"},
    ),
    (
        "entra",
        "userPrincipalName|displayName|surname|mail|givenName|objectId|userType|jobTitle|department|accountEnabled|mobile",
        {"userPrincipalName": "login", "objectId": "source_key", "accountEnabled": "status"},
    ),
    (
        "entra",
        "id|userPrincipalName|userDisplayName|isMfaRegistered|isMfaCapable|methodsRegistered|isAdmin|userType",
        {
            "methodsRegistered": "mfa_factors",
            "isMfaRegistered": "mfa_enabled",
            "userDisplayName": "display_name",
        },
    ),
    (
        "entra",
        "id|userPrincipalName|accountEnabled|signInActivity.lastSignInDateTime|signInActivity.lastSuccessfulSignInDateTime",
        {"signInActivity.lastSuccessfulSignInDateTime": "last_sign_in_at"},
    ),
    (
        "entra",
        "Block credential|City|Country/Region|Department|DirSyncEnabled|Display name|First name|Last name"
        "|Last password change time stamp|Licenses|Mobile Phone|Object Id|Password never expires|Phone number"
        "|Preferred language|Proxy addresses|Soft deletion time stamp|Title|User principal name|When created",
        {
            "User principal name": "login",
            "Object Id": "source_key",
            "Block credential": "status",
            "When created": "created_at",
            "Last password change time stamp": "password_changed_at",
            "Password never expires": "password_never_expires",
            "First name": "first_name",
            "Title": "title",
            "Mobile Phone": "phone",
        },
    ),
    (
        "entra",
        "UserPrincipalName|ObjectId|BlockCredential|WhenCreated|LastPasswordChangeTimestamp|PasswordNeverExpires"
        "|SoftDeletionTimestamp|StrongAuthenticationMethods",
        {
            "BlockCredential": "status",
            "WhenCreated": "created_at",
            "LastPasswordChangeTimestamp": "password_changed_at",
        },
    ),
    (
        "entra",
        "ObjectId|UserPrincipalName|AccountEnabled|UserType|UserState|DeletionTimestamp|DisplayName|Mail",
        {"AccountEnabled": "status", "UserType": "user_type", "Mail": "email"},
    ),
    (
        "google",
        "First Name [Required]|Last Name [Required]|Email Address [Required]|Org Unit Path [Required]|Status [READ ONLY]"
        "|Last Sign In [READ ONLY]|Recovery Phone|Employee ID|Employee Title|Manager Email|Department|2sv Enrolled [READ ONLY]",
        {
            "Email Address [Required]": "login",
            "Last Sign In [READ ONLY]": "last_sign_in_at",
            "2sv Enrolled [READ ONLY]": "mfa_enabled",
        },
    ),
    (
        "google",
        "id|primaryEmail|name.givenName|name.familyName|suspended|isEnrolledIn2Sv|lastLoginTime|creationTime",
        {"primaryEmail": "login", "id": "source_key", "suspended": "status"},
    ),
    (
        "ad",
        "SamAccountName|UserPrincipalName|ObjectGUID|EmailAddress|Enabled|PasswordLastSet|LastLogonDate|whenCreated|Manager",
        {"SamAccountName": "login", "ObjectGUID": "source_key", "Enabled": "status", "Manager": "manager"},
    ),
    (
        "aws",
        "user|arn|user_creation_time|password_enabled|password_last_used|password_last_changed|mfa_active|access_key_1_active",
        {"user": "login", "arn": "source_key", "mfa_active": "mfa_enabled", "password_enabled": "user_type"},
    ),
    (
        "workday",
        "Employee ID|Worker|Email - Work|Worker Type|Worker Status|Business Title|Supervisory Organization|Hire Date"
        "|Termination Date|Manager ID",
        {
            "Employee ID": "employee_id",
            "Email - Work": "login",
            "Worker Status": "status",
            "Termination Date": "status_changed_at",
            "Manager ID": "manager",
        },
    ),
    (
        "workday",
        "Worker_ID|Worker_Type|Worker_Status|Business_Title",
        {"Worker_ID": "login", "Worker_Status": "status"},
    ),
    (
        "bamboohr",
        "Employee #|First Name|Last Name|Work Email|Job Title|Department|Reporting to|Supervisor EID|Hire Date"
        "|Termination Date|Status",
        {"Employee #": "employee_id", "Work Email": "login", "Supervisor EID": "manager", "Status": "status"},
    ),
    (
        "github",
        "login|id|node_id|name|email|two_factor_enabled|role|last_active|created_at",
        {"login": "login", "node_id": "source_key", "two_factor_enabled": "mfa_enabled"},
    ),
    (
        "github",
        "github_com_login|github_com_name|license_type|github_com_user|enterprise_server_user|github_com_profile"
        "|github_com_verified_domain_emails|github_com_saml_name_id|github_com_two_factor_auth",
        {
            "github_com_login": "login",
            "github_com_two_factor_auth": "mfa_enabled",
            "github_com_verified_domain_emails": "email",
        },
    ),
    (
        "onelogin",
        "id|username|email|firstname|lastname|status|state|invalid_login_attempts|last_login|created_at|external_id",
        {"username": "login", "id": "source_key", "status": "status", "last_login": "last_sign_in_at"},
    ),
    (
        "duo",
        "user_id|username|realname|email|status|is_enrolled|last_login|created|groups",
        {"username": "login", "user_id": "source_key", "realname": "display_name"},
    ),
]


@pytest.mark.parametrize(("slug", "columns", "expected"), EXPORTS)
def test_the_columns_of_an_export_are_recognised(slug: str, columns: str, expected: dict[str, str]) -> None:
    names = columns.split("|")
    layout = layout_of(names)
    assert layout is not None
    assert layout.slug == slug
    found = field_of_columns(names, {})
    assert {column: found.get(column) for column in expected} == expected
    assert "login" in found.values()
    assert len(set(found.values())) == len(found)


def test_every_vendor_has_an_export_here() -> None:
    assert {slug for slug, _, _ in EXPORTS} == set(LAYOUTS)


@pytest.mark.parametrize("file", sorted(SAMPLES.glob("*.csv")), ids=lambda file: str(file.name))
def test_each_sample_has_a_layout(file: Path) -> None:
    lines = [line for line in file.read_text().splitlines() if not line.startswith("#")]
    assert layout_of(next(csv.reader(lines)))


@pytest.mark.parametrize(
    "columns", ["id|login|email", "id|name|status", "arn|mail", "id|username|email|phone"]
)
def test_a_column_that_happens_to_be_called_id_is_no_immutable_id(columns: str) -> None:
    assert "source_key" not in field_of_columns(columns.split("|"), {}).values()


def test_what_is_kept_with_the_source_comes_before_the_vendors_layout() -> None:
    columns = ["SamAccountName", "UserPrincipalName", "ObjectGUID", "Enabled", "title"]
    kept = {"UserPrincipalName": "login", "SamAccountName": "", "title": ""}
    found = field_of_columns(columns, kept)
    assert found == {"UserPrincipalName": "login", "ObjectGUID": "source_key", "Enabled": "status"}


def test_the_words_of_a_layout_hold_only_for_its_own_column() -> None:
    columns = {
        "user": "login",
        "arn": "source_key",
        "mfa_active": "mfa_enabled",
        "password_enabled": "user_type",
    }
    assert ("user_type", "false", "service_account") in words_of_layout(columns)
    assert words_of_layout({**columns, "password_enabled": "title"}) == []


def test_names_are_compared_without_case_blanks_and_marks() -> None:
    assert {fold_column(name) for name in ("Last Sign In [READ ONLY]", "last_sign_in", "LastSignIn")} == {
        "lastsignin"
    }
