"""Salesforce: users, verification methods, administrators, groups and logins, from the documented answers to accounts."""

from datetime import UTC, datetime, timedelta

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from checks.models import Account
from checks.services import add_source
from cii_project.tools.scripted_sources.salesforce import (
    ScriptedSalesforce,
    assignment,
    login,
    salesforce_error,
    salesforce_user,
)
from cii_project.tools.scripted_sources.server import ScriptedServer
from integrations.models import Sync
from integrations.services import probe_connection, save_connection
from integrations.sources.salesforce.kind import methods_of, user_of
from tests.sync.worlds import account, sync

pytestmark = pytest.mark.django_db(transaction=True)

KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
PEM = KEY.private_bytes(
    serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
).decode()
ANN, BOB, CEM, DEE, API = (f"005xx000001X{n}AAA" for n in range(5))
QUERY = "/services/data/v66.0/query"
ALL = {"roles": True, "factors": True, "groups": True, "sign_ins": True}


def ago(hours):
    return (datetime.now(UTC) - timedelta(hours=hours)).strftime("%Y-%m-%dT%H:%M:%S.000+0000")


def methods(key, *columns):
    names = (
        *("HasTotp", "HasSalesforceAuthenticator", "HasSecurityKey", "HasU2F", "HasBuiltInAuthenticator"),
        "HasTempCode",
    )
    return {"UserId": key, **{name: name in columns for name in names}}


def organization(**values):
    """Ann administers, with a security key; Bob is frozen and exempt from MFA; Cem never signed in; Dee is inactive; and a user of
    an integration."""
    return ScriptedSalesforce(
        **{
            "users": [
                salesforce_user(
                    ANN,
                    "ann@example.com.prod",
                    Email="ann@example.com",
                    FirstName="Ann",
                    LastName="Ames",
                    Name="Ann Ames",
                    Department="Finance",
                    EmployeeNumber="1001",
                    MobilePhone="+15550100",
                    FederationIdentifier="ann-at-idp",
                    Manager={"Username": "cem@example.com"},
                ),
                salesforce_user(BOB, "bob@example.com", UserType="PowerPartner"),
                salesforce_user(CEM, "cem@example.com", LastLoginDate=None, LastPasswordChangeDate=None),
                salesforce_user(DEE, "dee@example.com", IsActive=False),
                salesforce_user(
                    API, "api@example.com", Profile={"UserLicense": {"Name": "Salesforce Integration"}}
                ),
            ],
            "logins": [
                {"UserId": BOB, "IsFrozen": True, "IsPasswordLocked": False},
                {"UserId": CEM, "IsFrozen": False, "IsPasswordLocked": True},
                {"UserId": DEE, "IsFrozen": True, "IsPasswordLocked": False},
            ],
            "methods": [
                methods(ANN, "HasSecurityKey", "HasU2F", "HasTotp"),
                methods(BOB, "HasSalesforceAuthenticator"),
                methods(CEM, "HasTempCode"),
            ],
            "assignments": [
                assignment(ANN, "X00ex", "ModifyAllData", "ManageUsers", profile="System Administrator"),
                assignment(ANN, "Export", "ViewAllData"),
                assignment(BOB, "User managers", "ManageUsers", "PasswordNeverExpires"),
                assignment(BOB, "Waiver", "BypassMFAForUiLogins"),
                assignment(API, "Forever", "PasswordNeverExpires"),
                assignment(
                    CEM, "Over", "ModifyAllData", active=False, ExpirationDate="2025-01-01T00:00:00.000+0000"
                ),
            ],
            "members": [
                {"UserOrGroupId": ANN, "Group": {"Name": "Payroll"}},
                {"UserOrGroupId": "00Gxx000001X0AAA", "Group": {"Name": "Payroll"}},
                {"UserOrGroupId": ANN, "Group": {"Name": "Approvers"}},
            ],
            "history": [
                login(ANN, ago(30), "Invalid Password"),
                login(ANN, ago(20), "Success", "FR", "192.0.2.1"),
                login(ANN, ago(10), "Invalid Password"),
                login(BOB, ago(5), "Password Lockout"),
                login(DEE, ago(24 * 9), "Invalid Password"),
            ],
            "public_key": KEY.public_key(),
        }
        | values
    )


def connect(server, **document):
    add_source(slug="salesforce", name="Salesforce", kind="identity", provider="SALESFORCE")
    settings = {
        "url": server.url,
        "client_id": server.provider.client_id,
        "client_secret": server.provider.client_secret,
        "frozen": True,
        "passes": ALL,
    }
    return save_connection(slug="salesforce", kind="salesforce", document=settings | document)[0]


def test_a_sync_brings_users_methods_administrators_groups_and_logins():
    with ScriptedServer(organization()) as server:
        done = sync(connect(server))

    assert (done.state, done.error) == (Sync.State.SUCCEEDED, "")
    ann, bob, cem, dee, api = (Account.objects.get(source_key=key) for key in (ANN, BOB, CEM, DEE, API))
    assert (
        ann.login,
        ann.email,
        ann.first_name,
        ann.last_name,
        ann.employee_id,
        ann.department,
        ann.phone,
    ) == (
        "ann@example.com.prod",
        "ann@example.com",
        "Ann",
        "Ames",
        "1001",
        "Finance",
        "+15550100",
    )
    assert [each.status for each in (ann, bob, cem, dee)] == ["active", "suspended", "locked_out", "disabled"]
    assert [each.user_type for each in (ann, bob, api)] == ["internal", "external", "service_account"]
    assert ann.manager == "cem@example.com"
    assert (ann.created_at.year, ann.password_changed_at.month, ann.last_sign_in_at.year) == (2024, 6, 2025)
    assert (cem.last_sign_in_at, cem.last_sign_in_known, cem.password_changed_at) == (None, True, None)
    assert [each["kind"] for each in ann.mfa_factors] == ["totp", "fido2"]
    assert (ann.mfa, bob.mfa, cem.mfa, dee.mfa) == (True, True, False, False)
    assert [each.mfa_bypass for each in (ann, bob, cem, dee)] == [False, True, True, False]
    assert [each.admin_roles for each in (ann, bob, cem, api)] == [
        ["System Administrator"],
        ["User managers"],
        [],
        [],
    ]
    assert [each.password_never_expires for each in (ann, bob, cem, api)] == [False, True, False, True]
    assert (ann.groups, bob.groups) == (["Payroll", "Approvers"], [])
    assert (ann.last_sign_in_country, ann.last_sign_in_ip, ann.failed_sign_ins) == ("FR", "192.0.2.1", 1)
    assert (bob.failed_sign_ins, dee.failed_sign_ins) == (1, None)


def test_a_second_sync_of_the_same_changes_nothing():
    with ScriptedServer(organization(page=2)) as server:
        connection = connect(server)
        sync(connection)
        again = sync(connection)

    assert [(each.slug, each.created, each.changed, each.deleted) for each in again.passes.all()] == [
        (slug, 0, 0, 0) for slug in ("users", "roles", "factors", "groups", "sign_ins")
    ]


def connect_users(server, **document):
    """Users alone, without the frozen ones."""
    none = dict.fromkeys(ALL, False)
    return connect(server, **{"frozen": False, "passes": none} | document)


def test_the_newest_version_that_both_sides_know_is_used():
    with ScriptedServer(organization(versions=("30.0", "64.0", "67.0", "70.0"))) as server:
        sync(connect_users(server))

    assert server.paths() == ["/services/oauth2/token", "/services/data", "/services/data/v64.0/query"]


def test_a_key_signs_in_the_integration_user():
    with ScriptedServer(organization()) as server:
        document = {"authorization": "jwt_bearer", "username": server.provider.username, "private_key": PEM}
        done = sync(connect_users(server, client_secret=None, **document))

    assert (done.state, Account.objects.count()) == (Sync.State.SUCCEEDED, 5)


def test_a_custom_column_may_hold_the_employee_id():
    users = [salesforce_user(ANN, "ann@example.com", Badge__c="77", FederationIdentifier="ann-at-idp")]
    with ScriptedServer(organization(users=users)) as server:
        attributes = ["employee_id=Badge__c", "display_name=FederationIdentifier"]
        sync(connect_users(server, attributes=attributes))

    ann = account("ann@example.com")
    assert (ann.employee_id, ann.display_name) == ("77", "ann-at-idp")


# --- Pages ----------------------------------------------------------------------------------------------


def test_more_verification_methods_than_one_query_shows_are_read():
    keys = [f"005xx00000{n:04}XAAA" for n in range(2_700)]
    users = [salesforce_user(key, f"{key}@example.com") for key in keys]
    found = [methods(key, "HasTotp") for key in keys]
    with ScriptedServer(organization(users=users, methods=found, assignments=[])) as server:
        done = sync(connect_users(server, passes={**dict.fromkeys(ALL, False), "factors": True}))

    assert done.state == Sync.State.SUCCEEDED
    assert Account.objects.filter(mfa=True).count() == 2_700
    # Two pages of users, six of 500 methods and an empty one, and the exempt users.
    assert len([path for path in server.paths() if "/query" in path]) == 2 + 6 + 1 + 1


def test_a_renamed_user_keeps_the_account_and_one_who_left_the_list_goes():
    users = [salesforce_user(f"005xx000001X{n:02}AAA", f"user{n}@example.com") for n in range(30)]
    salesforce = organization(users=users, page=7)
    with ScriptedServer(salesforce) as server:
        connection = connect_users(server)
        sync(connection)
        before = account("user5@example.com").pk
        users[5]["Username"] = "renamed@example.com"
        del users[29]
        sync(connection)

    assert account("renamed@example.com").pk == before
    assert account("user29@example.com").status == "deleted"


def test_a_place_in_a_result_that_has_ended_starts_the_list_again():
    salesforce = organization(page=2)
    with ScriptedServer(salesforce) as server:
        once = iter([True])

        def forget(asked):
            if asked.path.endswith("-2") and next(once, False):
                salesforce.results.clear()

        server.disturb = forget
        done = sync(connect_users(server))

    assert (done.state, done.passes.get(slug="users").restarts, Account.objects.count()) == (
        Sync.State.SUCCEEDED,
        1,
        5,
    )


def test_a_column_that_may_not_be_seen_is_left_out_and_stays_unknown():
    with ScriptedServer(organization(hidden=("EmployeeNumber", "LastPasswordChangeDate"))) as server:
        done = sync(connect_users(server))

    ann = account("ann@example.com.prod")
    assert (done.state, ann.employee_id, ann.password_changed_at) == (Sync.State.SUCCEEDED, "", None)
    assert (ann.department, ann.last_sign_in_known) == ("Finance", True)


# --- Permissions, limits, outages -----------------------------------------------------------------------


def test_connectivity_is_tested_for_each_permission():
    forbidden = ("TwoFactorMethodsInfo", "UserLogin", "LoginHistory")
    with ScriptedServer(organization(forbidden=forbidden)) as server:
        found = probe_connection(connect(server))

    assert {each.name: str(each.state) for each in found.permissions} == {
        "Users": "granted",
        "Frozen and locked users": "missing",
        "Administrators": "granted",
        "Verification methods": "missing",
        "Public groups": "granted",
        "Login history": "missing",
    }
    details = {each.name: each.detail for each in found.permissions}
    assert details["Verification methods"].endswith(
        "INVALID_TYPE: sObject type 'TwoFactorMethodsInfo' is not supported. It needs Manage MFA in API."
    )
    assert details["Frozen and locked users"].endswith("It needs Manage Users.")
    assert (found.users, found.rates["api-usage"].limit) == (5, 5_000_000)


def test_the_test_names_what_an_integration_user_lacks_that_sees_itself_alone():
    with ScriptedServer(organization(users=[salesforce_user(API, "api@example.com")])) as server:
        found = probe_connection(connect(server))

    assert str(found.permissions[0].state) == "missing"
    assert "View All Users" in found.permissions[0].detail


def test_an_edition_without_the_api_is_not_licensed():
    with ScriptedServer(organization()) as server:
        server.disturb = lambda asked: (
            salesforce_error(403, "API_DISABLED_FOR_ORG", "The REST API is not enabled.")
            if asked.path == QUERY
            else None
        )
        found = probe_connection(connect(server))

    assert [str(each.state) for each in found.permissions] == ["unlicensed"]


@pytest.mark.parametrize("values", [{"forbidden": ("TwoFactorMethodsInfo",)}, {"methods": []}])
def test_methods_that_may_not_be_read_stay_unknown(values):
    with ScriptedServer(organization(**values)) as server:
        done = sync(connect(server))

    ann = account("ann@example.com.prod")
    assert (done.state, ann.mfa_factors, ann.mfa_bypass) == (Sync.State.PARTIAL, None, None)
    assert ann.admin_roles == ["System Administrator"]


def test_frozen_users_that_may_not_be_read_are_not_called_active():
    salesforce = organization()
    with ScriptedServer(salesforce) as server:
        connection = connect(server)
        sync(connection)
        salesforce.forbidden = ("UserLogin",)
        done = sync(connection)

    assert (done.state, account("bob@example.com").status) == (Sync.State.FAILED, "suspended")


@pytest.mark.parametrize(
    ("document", "values", "text"),
    [
        ({"client_secret": "wrong"}, {}, "400: invalid_client: invalid client credentials"),
        (
            {},
            {"instance": "https://other.my.salesforce.com"},
            "at https://other.my.salesforce.com: enter that",
        ),
    ],
)
def test_a_wrong_secret_or_address_ends_the_sync_without_a_change(document, values, text):
    with ScriptedServer(organization(**values)) as server:
        done = sync(connect_users(server, **document))

    assert (done.state, Account.objects.count()) == (Sync.State.FAILED, 0)
    assert text in done.error


def test_an_expired_session_is_opened_again():
    salesforce = organization(page=2)
    with ScriptedServer(salesforce) as server:

        def expire(asked):
            if asked.number == 4:
                salesforce.tokens.clear()

        server.disturb = expire
        done = sync(connect_users(server))

    assert (done.state, Account.objects.count()) == (Sync.State.SUCCEEDED, 5)
    assert server.paths().count("/services/oauth2/token") == 2


@pytest.mark.parametrize(
    ("headers", "waited"), [({}, 60), ({"Sforce-Limit-Info": "api-usage=15000/15000"}, 3_600)]
)
def test_a_limit_of_the_day_is_waited_for(headers, waited):
    with ScriptedServer(organization()) as server:
        once = iter([True])
        server.disturb = lambda asked: (
            salesforce_error(403, headers=headers) if asked.path == QUERY and next(once, False) else None
        )
        done = sync(connect_users(server))

    assert (done.state, done.waited_seconds) == (Sync.State.SUCCEEDED, waited)


def test_the_last_calls_of_the_day_are_left_to_others():
    with ScriptedServer(organization(used=4_100, calls=5_000)) as server:
        connection = connect_users(server)
        sync(connection)
        bucket = connection.rate_buckets.get(name="queries")

    assert bucket.paused_until > datetime.now(UTC).timestamp() + 3_000


def test_an_outage_in_the_middle_of_the_list_deletes_nobody():
    with ScriptedServer(organization(page=2)) as server:
        connection = connect_users(server)
        sync(connection)
        before = list(Account.objects.order_by("pk").values())
        server.disturb = lambda asked: salesforce_error(500) if asked.path.endswith("-4") else None
        done = sync(connection)

    assert done.state == Sync.State.FAILED
    assert list(Account.objects.order_by("pk").values()) == before


# --- Words ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "user_type"),
    [
        ({"UserType": "Standard"}, "Standard"),
        ({"UserType": "Guest"}, "Guest"),
        ({"UserType": "OfTheFuture"}, "OfTheFuture"),
        ({"Profile": {"UserLicense": {"Name": "Salesforce Integration"}}}, "service_account"),
        ({"UserType": "CsnOnly", "Profile": {"UserLicense": {"Name": "Chatter External"}}}, "external"),
    ],
)
def test_the_licence_tells_a_type_that_the_user_type_does_not(values, user_type):
    assert user_of(salesforce_user(ANN, "ann@example.com", **values))["user_type"] == user_type


def test_a_verified_number_or_address_is_no_second_factor():
    row = {"UserId": ANN, "HasUserVerifiedMobileNumber": True, "HasUserVerifiedEmailAddress": True}
    assert methods_of(row) == {"source_key": ANN, "mfa_factors": [], "mfa_bypass": False}
