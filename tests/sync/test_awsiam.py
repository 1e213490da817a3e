"""AWS IAM: users by the credential report and the account's details, administrator policies, MFA devices."""

from contextlib import closing
from dataclasses import replace

import pytest

from checks.models import Account
from checks.services import add_source
from cii_project.tools.scripted_sources.server import ScriptedServer
from integrations.models import Sync
from integrations.services import probe_connection, save_connection, source_settings
from integrations.sources import API_SOURCES
from tests.doubles.aws_iam import (
    ACCOUNT,
    KEY_ID,
    ROLE_KEY_ID,
    ROLE_SECRET,
    ROLE_TOKEN,
    SECRET,
    ScriptedIam,
    attached,
    denied,
    iam_error,
    iam_user,
    policy,
    result_of,
    row,
    tags,
)
from tests.sync.worlds import account, sync

pytestmark = pytest.mark.django_db(transaction=True)

ROOT_ARN = f"arn:aws:iam::{ACCOUNT}:root"
OWN_ADMIN = f"arn:aws:iam::{ACCOUNT}:policy/OwnAdmin"
USED = "2026-11-27T10:00:00+00:00"


def own_policy(name, *versions):
    """``versions``: documents, the default one first."""
    listed = [
        {"Document": each, "VersionId": f"v{number}", "IsDefaultVersion": number == 1}
        for number, each in enumerate(versions, 1)
    ]
    return {
        "PolicyName": name,
        "Arn": f"arn:aws:iam::{ACCOUNT}:policy/{name}",
        "PolicyVersionList": listed,
    }


def small_account(**values):
    """Ann: console with MFA, administrator by a group. Bob: console without MFA. Deploy: a key alone, administrator by the
    account's own policy. Eve: neither password nor key."""
    return ScriptedIam(
        **{
            "users": [
                iam_user(1, "ann", GroupList=["Admins", "Staff"], Tags=tags(email="ann.ames@example.com")),
                iam_user(2, "bob", GroupList=["Staff"]),
                iam_user(
                    3,
                    "deploy",
                    AttachedManagedPolicies=[attached("OwnAdmin", OWN_ADMIN)],
                    Tags=tags(Owner="bob", CostCenter="4711"),
                ),
                iam_user(4, "eve", AttachedManagedPolicies=[attached("ReadOnlyAccess")]),
            ],
            "report": [
                row(
                    "<root_account>",
                    password_enabled="not_supported",
                    password_last_used="no_information",
                    password_last_changed="not_supported",
                    mfa_active="true",
                ),
                row("ann", mfa_active="true"),
                row("bob", password_last_used="no_information"),
                row(
                    "deploy",
                    password_enabled="false",
                    password_last_used="N/A",
                    password_last_changed="N/A",
                    access_key_1_active="true",
                    access_key_1_last_used_date=USED,
                ),
                row("eve", password_enabled="false", password_last_used="N/A", password_last_changed="N/A"),
            ],
            "groups": [
                {
                    "GroupName": "Admins",
                    "GroupPolicyList": [],
                    "AttachedManagedPolicies": [attached("AdministratorAccess")],
                },
                {"GroupName": "Staff", "GroupPolicyList": [], "AttachedManagedPolicies": []},
            ],
            "policies": [own_policy("OwnAdmin", policy("*")), own_policy("Old", policy("s3:*"), policy("*"))],
            "devices": {
                "ann": [f"arn:aws:iam::{ACCOUNT}:mfa/ann", f"arn:aws:iam::{ACCOUNT}:u2f/user/ann/key-ABC"]
            },
            "virtual": [
                (f"arn:aws:iam::{ACCOUNT}:mfa/ann", f"arn:aws:iam::{ACCOUNT}:user/ann"),
                (f"arn:aws:iam::{ACCOUNT}:mfa/root-account-mfa-device", ROOT_ARN),
            ],
        }
        | values
    )


def connect(server, **document):
    add_source(slug="aws", name="AWS", kind="identity", provider="AWS")
    settings = {
        "access_key_id": KEY_ID,
        "secret_access_key": SECRET,
        "addresses": {"iam": server.url, "sts": server.url},
    }
    return save_connection(slug="aws", kind="awsiam", document=settings | document)[0]


def actions(server):
    return [each.form["Action"] for each in server.asked]


def test_a_sync_brings_users_with_credentials_groups_administrators_and_devices_in_few_calls():
    with ScriptedServer(small_account()) as server:
        done = sync(connect(server))

    assert (done.state, done.error) == (Sync.State.SUCCEEDED, "")
    assert actions(server) == [
        *("GenerateCredentialReport", "GetCredentialReport"),
        *["GetAccountAuthorizationDetails"] * 3,
        *("GenerateCredentialReport", "GetCredentialReport"),
        *("ListVirtualMFADevices", "ListUsers", "ListMFADevices"),
    ]
    ann, bob, deploy, eve = (account(name) for name in ("ann", "bob", "deploy", "eve"))
    assert (ann.source_key, ann.email, ann.groups, ann.admin_roles) == (
        "AIDAEXAMPLE000000001",
        "ann.ames@example.com",
        ["Admins", "Staff"],
        ["AdministratorAccess"],
    )
    assert [each["kind"] for each in ann.mfa_factors] == ["totp", "fido2"]
    assert (ann.mfa, ann.phishing_resistant, bob.mfa, bob.mfa_factors) == (True, True, False, [])
    assert (deploy.user_type, deploy.owner, deploy.admin_roles) == ("service_account", "bob", ["OwnAdmin"])
    assert [each.status for each in (ann, bob, deploy, eve)] == ["active", "active", "active", "disabled"]
    assert (bob.admin_roles, eve.admin_roles) == ([], [])
    assert (ann.last_sign_in_at.day, deploy.last_sign_in_at.day) == (20, 27)
    assert (bob.last_sign_in_at, bob.last_sign_in_known) == (None, True)
    assert (ann.password_changed_at.month, deploy.password_changed_at) == (5, None)


def test_the_root_user_is_an_administrator_with_the_kind_of_its_device():
    with ScriptedServer(small_account()) as server:
        sync(connect(server))

    root = account(f"root@{ACCOUNT}")
    assert (root.source_key, root.admin_roles, root.status) == (ROOT_ARN, ["Root user"], "active")
    assert [each["kind"] for each in root.mfa_factors] == ["totp"]
    assert (root.mfa, root.password_changed_at, root.last_sign_in_known) == (True, None, True)


def test_a_root_user_without_a_virtual_device_has_mfa_of_unknown_kind():
    with ScriptedServer(small_account(virtual=[])) as server:
        sync(connect(server))

    root = account(f"root@{ACCOUNT}")
    assert (root.mfa, root.assurance, root.phishing_resistant) == (True, None, None)


def test_a_second_sync_of_the_same_changes_nothing():
    with ScriptedServer(small_account(page=3)) as server:
        connection = connect(server)
        sync(connection)
        again = sync(connection)

    assert [(each.slug, each.created, each.changed, each.deleted) for each in again.passes.all()] == [
        (slug, 0, 0, 0) for slug in ("users", "factors")
    ]


def test_without_the_pass_of_devices_mfa_is_known_and_its_kinds_are_not():
    with ScriptedServer(small_account()) as server:
        sync(connect(server, passes={"factors": False}))

    assert "ListMFADevices" not in actions(server)
    ann, bob = account("ann"), account("bob")
    assert (ann.mfa, ann.assurance, bob.mfa) == (True, None, False)


def test_a_tag_may_hold_a_field_of_the_record():
    with ScriptedServer(small_account()) as server:
        sync(connect(server, attributes=["department=CostCenter"]))

    assert (account("deploy").department, account("ann").department) == ("4711", "")


def test_a_renamed_user_keeps_the_account_and_a_deleted_one_goes():
    users = [iam_user(number, f"user{number:02}") for number in range(40)]
    iam = small_account(users=users, report=[row(each["UserName"]) for each in users], page=15)
    with ScriptedServer(iam) as server:
        connection = connect(server)
        sync(connection)
        before = account("user05").pk
        iam.users[5] = iam_user(5, "renamed")
        iam.report[5] = row("renamed")
        del iam.users[39]
        sync(connection)

    assert account("renamed").pk == before
    assert account("user39").status == "deleted"


def test_a_user_made_after_the_report_has_no_status_until_the_next_one():
    iam = small_account()
    iam.users.append(iam_user(9, "new"))
    with ScriptedServer(iam) as server:
        done = sync(connect(server))

    new = account("new")
    assert (done.state, new.status, new.mfa, new.last_sign_in_known) == (
        Sync.State.SUCCEEDED,
        None,
        None,
        False,
    )


# --- Pages and the report -------------------------------------------------------------------------------


def test_a_report_that_takes_time_is_asked_for_until_it_is_made():
    with ScriptedServer(small_account(polls=3)) as server:
        done = sync(connect(server))

    assert done.state == Sync.State.SUCCEEDED
    assert actions(server)[:5] == ["GenerateCredentialReport"] * 4 + ["GetCredentialReport"]


def test_a_report_that_expired_meanwhile_is_made_again():
    with ScriptedServer(small_account()) as server:
        expired = iam_error("ReportExpired", "Credential report has expired.", 410)
        once = iter([expired])
        server.disturb = lambda asked: (
            next(once, None) if asked.form["Action"] == "GetCredentialReport" else None
        )
        done = sync(connect(server))

    assert (done.state, done.passes.get(slug="users").restarts) == (Sync.State.SUCCEEDED, 1)


def test_a_marker_that_aws_forgot_starts_the_list_again():
    with ScriptedServer(small_account(page=2)) as server:
        once = iter([iam_error("ValidationError", "Invalid Marker.")])
        server.disturb = lambda asked: next(once, None) if "Marker" in asked.form else None
        done = sync(connect(server))

    assert (done.state, Account.objects.count()) == (Sync.State.SUCCEEDED, 5)
    assert done.passes.get(slug="users").restarts == 1


def test_an_empty_page_of_users_with_a_marker_is_not_the_end():
    empty = {"UserDetailList": [], "IsTruncated": True, "Marker": "place-0"}
    with ScriptedServer(small_account()) as server:
        once = iter([result_of("GetAccountAuthorizationDetails", empty)])

        def disturb(asked):
            return next(once, None) if asked.form.get("Filter.member.1") == "User" else None

        server.disturb = disturb
        done = sync(connect(server))

    assert (done.state, Account.objects.count()) == (Sync.State.SUCCEEDED, 5)


def test_a_list_that_goes_on_nowhere_is_no_complete_listing():
    with ScriptedServer(small_account()) as server:
        broken = result_of("GetAccountAuthorizationDetails", {"UserDetailList": [], "IsTruncated": True})
        server.disturb = lambda asked: broken if asked.form.get("Filter.member.1") == "User" else None
        done = sync(connect(server))

    assert (done.state, Account.objects.count()) == (Sync.State.FAILED, 0)


def test_the_same_marker_again_and_again_ends_the_sync_without_a_change():
    endless = {"UserDetailList": [], "IsTruncated": True, "Marker": "place-0"}
    with ScriptedServer(small_account()) as server:
        answer = result_of("GetAccountAuthorizationDetails", endless)
        server.disturb = lambda asked: answer if asked.form.get("Filter.member.1") == "User" else None
        done = sync(connect(server))

    assert (done.state, Account.objects.count()) == (Sync.State.FAILED, 0)
    assert "the same page twice" in done.error


def test_a_user_deleted_before_their_devices_are_read_is_skipped():
    iam = small_account()
    with ScriptedServer(iam) as server:

        def delete(asked):
            if asked.form["Action"] == "ListMFADevices":
                iam.users = [each for each in iam.users if each["UserName"] != "ann"]

        server.disturb = delete
        done = sync(connect(server))

    assert done.state == Sync.State.SUCCEEDED
    assert (account("ann").mfa, account("ann").assurance) == (True, None)


def test_an_outage_in_the_middle_of_the_list_deletes_nobody():
    iam = small_account(page=2)
    with ScriptedServer(iam) as server:
        connection = connect(server)
        sync(connection)
        before = list(Account.objects.order_by("pk").values())
        down = iam_error("ServiceFailure", "", 500)
        server.disturb = lambda asked: down if asked.form.get("Marker") else None
        done = sync(connection)

    assert done.state == Sync.State.FAILED
    assert list(Account.objects.order_by("pk").values()) == before


# --- Permissions, limits, credentials -------------------------------------------------------------------


def test_connectivity_names_the_action_that_is_denied():
    with ScriptedServer(small_account(forbidden=("iam:ListMFADevices",))) as server:
        connection = connect(server)
        found = {each.name: each for each in probe_connection(connection).permissions}
        done = sync(connection)

    assert {name: str(each.state) for name, each in found.items()} == {
        "Users": "granted",
        "MFA devices": "missing",
    }
    assert "403: AccessDenied to iam:ListMFADevices" in found["MFA devices"].detail
    assert found["MFA devices"].detail.endswith(
        "It needs iam:ListUsers, iam:ListMFADevices and iam:ListVirtualMFADevices."
    )
    assert (done.state, account("ann").mfa, account("ann").assurance) == (Sync.State.PARTIAL, True, None)


@pytest.mark.parametrize(
    "action", ["GenerateCredentialReport", "GetCredentialReport", "GetAccountAuthorizationDetails"]
)
def test_each_action_of_the_listing_is_tried(action):
    with ScriptedServer(small_account(forbidden=(f"iam:{action}",))) as server:
        connection = connect(server)
        (users,) = probe_connection(connection).permissions
        done = sync(connection)

    assert str(users.state) == "missing"
    assert f"AccessDenied to iam:{action}" in users.detail
    assert (done.state, Account.objects.count()) == (Sync.State.FAILED, 0)


def test_connectivity_does_not_wait_for_a_report():
    with ScriptedServer(small_account(polls=50)) as server:
        found = probe_connection(connect(server))

    assert ([str(each.state) for each in found.permissions], found.users) == (["granted", "granted"], 4)


@pytest.mark.parametrize("code", ["Throttling", "RequestLimitExceeded", "TooManyRequestsException"])
def test_a_limit_is_waited_for_whatever_its_status(code):
    with ScriptedServer(small_account()) as server:
        once = iter([iam_error(code, "Rate exceeded", 400)])
        server.disturb = lambda asked: next(once, None)
        done = sync(connect(server))

    assert (done.state, done.waited_seconds, done.throttles) == (Sync.State.SUCCEEDED, 2, 0)


@pytest.mark.parametrize(
    ("refusals", "waited"), [(1, 2), (3, 2 + 4 + 8), (7, 2 + 4 + 8 + 16 + 32 + 60 + 60), (40, 62 + 35 * 60)]
)
def test_a_limit_that_is_met_again_is_waited_for_longer_up_to_a_minute(refusals, waited):
    with ScriptedServer(small_account()) as server:
        few = iter([iam_error("Throttling", "Rate exceeded", 400)] * refusals)
        server.disturb = lambda asked: next(few, None)
        done = sync(connect(server))

    assert (done.state, done.waited_seconds) == (Sync.State.SUCCEEDED, waited)


def test_after_an_answer_the_wait_for_a_limit_is_short_again():
    with ScriptedServer(small_account()) as server:
        # The first, second and fourth request: an answer lies between them.
        hit = iter([True, True, False, True])
        server.disturb = lambda asked: iam_error("Throttling") if next(hit, False) else None
        done = sync(connect(server))

    assert (done.state, done.waited_seconds) == (Sync.State.SUCCEEDED, 2 + 4 + 2)


def test_a_time_that_aws_states_is_waited_for():
    with ScriptedServer(small_account()) as server:
        refusal = iam_error("Throttling")
        once = iter([replace(refusal, headers={**refusal.headers, "Retry-After": "7"})])
        server.disturb = lambda asked: next(once, None)
        done = sync(connect(server))

    assert (done.state, done.waited_seconds) == (Sync.State.SUCCEEDED, 7)


@pytest.mark.parametrize(
    ("document", "text"),
    [
        ({"secret_access_key": "wrong0123456789wrong0123456789"}, "403: SignatureDoesNotMatch"),
        ({"access_key_id": "AKIAANOTHER012345678"}, "403: InvalidClientTokenId"),
        (
            {"access_key_id": ROLE_KEY_ID, "secret_access_key": ROLE_SECRET, "session_token": "old"},
            "403: InvalidClientTokenId",
        ),
    ],
)
def test_a_wrong_key_ends_the_sync_without_a_change(document, text):
    with ScriptedServer(small_account()) as server:
        done = sync(connect(server, **document))

    assert (done.state, Account.objects.count()) == (Sync.State.FAILED, 0)
    assert text in done.error


def test_temporary_credentials_send_their_token():
    with ScriptedServer(small_account()) as server:
        keys = {
            "access_key_id": ROLE_KEY_ID,
            "secret_access_key": ROLE_SECRET,
            "session_token": ROLE_TOKEN,
        }
        done = sync(connect(server, **keys))

    assert done.state == Sync.State.SUCCEEDED


def test_an_expired_token_ends_the_sync():
    expired = iam_error("ExpiredToken", "The security token included in the request is expired", 403)
    with ScriptedServer(small_account()) as server:
        server.disturb = lambda asked: expired
        done = sync(connect(server))

    assert (done.state, len(server.asked)) == (Sync.State.FAILED, 1)
    assert "ExpiredToken: The security token included in the request is expired" in done.error


# --- Roles ----------------------------------------------------------------------------------------------

ROLE = {"role_arn": f"arn:aws:iam::{ACCOUNT}:role/identity-checks", "external_id": "ext-1"}


def role_account(**values):
    return small_account(role=ROLE["role_arn"], external_id="ext-1", **values)


def test_a_role_is_assumed_once_and_signs_all_requests():
    with ScriptedServer(role_account()) as server:
        done = sync(connect(server, **ROLE))

    assert done.state == Sync.State.SUCCEEDED
    assert actions(server).count("AssumeRole") == 1
    assert all(f"Credential={ROLE_KEY_ID}/" in each.headers["Authorization"] for each in server.asked[1:])


def test_a_role_whose_credentials_ended_is_assumed_again():
    expired = iam_error("ExpiredToken", "The security token included in the request is expired", 403)
    with ScriptedServer(role_account()) as server:
        once = iter([expired])
        server.disturb = lambda asked: next(once, None) if asked.number == 4 else None
        done = sync(connect(server, **ROLE))

    assert (done.state, actions(server).count("AssumeRole")) == (Sync.State.SUCCEEDED, 2)


def test_a_wrong_external_id_is_said():
    with ScriptedServer(role_account()) as server:
        connection = connect(server, **ROLE | {"external_id": "ext-2"})
        (users,) = probe_connection(connection).permissions

    assert users.detail.startswith(
        "The role cannot be assumed. The provider answered 403: AccessDenied to sts:AssumeRole"
    )


def test_neither_secrets_nor_those_of_the_role_are_in_an_error():
    with ScriptedServer(role_account()) as server:
        connection = connect(server, **ROLE)
        kind, settings = API_SOURCES["awsiam"], source_settings(connection)
        text = f"{SECRET} {ROLE_SECRET} {ROLE_TOKEN}"
        server.disturb = lambda asked: (
            iam_error("AccessDenied", text, 403) if asked.form["Action"] != "AssumeRole" else None
        )
        with closing(kind.call(settings, kind.auth(settings, kind.fetch_token(settings)))) as call:
            result = kind.probe(settings, call, None)

    assert "AccessDenied" in result.permissions[0].detail
    assert not [each for each in text.split() if each in result.permissions[0].detail]


def test_a_denial_is_not_taken_for_a_wrong_key():
    with ScriptedServer(small_account()) as server:
        server.disturb = lambda asked: denied("iam:GenerateCredentialReport")
        done = sync(connect(server))
    assert "not accept the credential" not in done.error
