"""AWS IAM Identity Center: users and groups of its identity store and administrators by its permission sets, from the
documented answers to accounts."""

import json
from typing import Any

import pytest

from checks.models import Account
from checks.services import add_source
from cii_project.tools.scripted_sources.server import Answer, ScriptedServer
from integrations.models import Sync
from integrations.services import probe_connection, save_connection
from tests.doubles.aws_iam import KEY_ID, SECRET
from tests.doubles.aws_identity_store import REGION, ScriptedIdentityStore, store_error, store_user
from tests.doubles.aws_permission_sets import STORE, PermissionSet, ScriptedPermissionSets
from tests.sync.worlds import account, sync

pytestmark = pytest.mark.django_db(transaction=True)


def small_store(**values):
    """Ann is in two groups, Bob is disabled and in one, Cem has no e-mail and is in none."""
    ann, bob, cem = (
        store_user(
            1,
            "ann",
            Title="Controller",
            UserType="Employee",
            PhoneNumbers=[{"Value": "+15550100", "Type": "work"}],
        ),
        store_user(2, "bob", UserStatus="DISABLED"),
        store_user(3, "cem", Emails=[]),
    )
    groups = {"Admins": [ann["UserId"]], "Staff": [ann["UserId"], bob["UserId"]]}
    return ScriptedIdentityStore(**{"users": [ann, bob, cem], "groups": groups} | values)


def connect(server, **document):
    add_source(slug="center", name="Center", kind="identity", provider="AWS_IDENTITY_CENTER")
    settings = {
        "region": REGION,
        "identity_store_id": STORE,
        "access_key_id": KEY_ID,
        "secret_access_key": SECRET,
        "passes": {"groups": True, "roles": False},
        "addresses": {"identitystore": server.url, "sso": server.url, "sts": server.url},
    }
    return save_connection(slug="center", kind="identitycenter", document=settings | document)[0]


def operation_of(asked):
    return asked.headers["X-Amz-Target"].rpartition(".")[2]


def operations(server):
    return [operation_of(each) for each in server.asked]


def test_users_and_groups_are_read_and_what_the_api_lacks_is_unknown():
    with ScriptedServer(small_store()) as server:
        connection = connect(server)
        done = sync(connection)
        again = sync(connection)

    assert (done.state, done.error) == (Sync.State.SUCCEEDED, "")
    assert operations(server)[:4] == ["ListUsers", "ListGroups", *["ListGroupMemberships"] * 2]
    ann, bob, cem = (account(name) for name in ("ann", "bob", "cem"))
    assert (ann.source_key, ann.email, ann.title, ann.phone, ann.user_type) == (
        "9067e0a1-0000-0000-0000-000000000001",
        "ann@example.com",
        "Controller",
        "+15550100",
        "internal",
    )
    assert (ann.groups, bob.groups, cem.groups) == (["Admins", "Staff"], ["Staff"], [])
    assert [each.status for each in (ann, bob, cem)] == ["active", "disabled", "active"]
    assert (cem.email, ann.created_at.year) == ("", 2024)
    assert (ann.mfa, ann.last_sign_in_known, ann.admin_roles) == (None, False, None)
    assert [(each.created, each.changed, each.deleted) for each in again.passes.all()] == [(0, 0, 0)] * 2


def test_a_renamed_user_keeps_the_account_and_a_deleted_one_goes():
    store = small_store(users=[store_user(n, f"user{n:02}") for n in range(40)], groups={}, page=15)
    with ScriptedServer(store) as server:
        connection = connect(server)
        sync(connection)
        before = account("user05").pk
        store.users[5]["UserName"] = "renamed"
        del store.users[39]
        sync(connection)

    assert account("renamed").pk == before
    assert account("user39").status == "deleted"


def test_a_group_that_is_deleted_meanwhile_is_skipped():
    store = small_store()
    with ScriptedServer(store) as server:

        def delete(asked):
            if asked.number == 3:
                store.groups.pop("Admins")

        server.disturb = delete
        done = sync(connect(server))

    assert (done.state, account("ann").groups) == (Sync.State.SUCCEEDED, ["Staff"])


def test_a_token_that_aws_forgot_starts_the_list_again_and_a_limit_is_waited_for():
    faults = [
        store_error("ValidationException", "The token is not valid."),
        store_error("ThrottlingException", "Slow"),
    ]
    with ScriptedServer(small_store(page=2)) as server:
        once = iter(faults)
        server.disturb = lambda asked: next(once, None) if b"NextToken" in asked.body else None
        done = sync(connect(server))

    assert (done.state, done.passes.get(slug="users").restarts, done.waited_seconds) == (
        Sync.State.SUCCEEDED,
        1,
        2,
    )
    assert Account.objects.count() == 3


def test_connectivity_names_the_action_that_is_denied():
    with ScriptedServer(small_store(forbidden=("ListGroupMemberships",))) as server:
        connection = connect(server)
        users, groups = probe_connection(connection).permissions
        done = sync(connection)

    assert (str(users.state), str(groups.state), done.state) == ("granted", "missing", Sync.State.PARTIAL)
    assert "AccessDeniedException to identitystore:ListGroupMemberships" in groups.detail


@pytest.mark.parametrize(
    ("document", "text"),
    [
        ({"secret_access_key": "wrong0123456789wrong0123456789"}, "InvalidSignatureException"),
        ({"access_key_id": "AKIAANOTHER012345678"}, "UnrecognizedClientException"),
        (
            {"identity_store_id": "d-0000000000"},
            "ResourceNotFoundException: The identity store was not found",
        ),
    ],
)
def test_a_wrong_key_or_store_ends_the_sync_without_a_change(document, text):
    with ScriptedServer(small_store()) as server:
        done = sync(connect(server, **document))

    assert (done.state, Account.objects.count()) == (Sync.State.FAILED, 0)
    assert text in done.error


# --- Administrators -----------------------------------------------------------------------------------

EVERYTHING = '{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}'
READING = EVERYTHING.replace('"*", "Resource"', '"s3:Get*", "Resource"')
ANN, BOB, CEM = (f"9067e0a1-0000-0000-0000-{number:012}" for number in (1, 2, 3))
ONE, TWO = "111111111111", "222222222222"
PASSES = {"groups": False, "roles": True}


def with_sets(*sets: PermissionSet, page: int = 100, **values: Any) -> ScriptedIdentityStore:
    return small_store(permissions=ScriptedPermissionSets(list(sets), page=page), **values)


def some_sets():
    """Ann administers two accounts through a group and one by herself, Bob one by an inline policy, Cem none."""
    return (
        PermissionSet(
            "Admin", ("ReadOnlyAccess", "AdministratorAccess"), "", {TWO: ["g-Admins"], ONE: ["g-Admins"]}
        ),
        PermissionSet("Reader", ("ReadOnlyAccess",), READING, {ONE: [CEM, "g-Staff"]}),
        PermissionSet("Own", (), EVERYTHING, {ONE: [ANN, BOB]}),
        PermissionSet("Unused", ("AdministratorAccess",)),
    )


def roles():
    return [account(name).admin_roles for name in ("ann", "bob", "cem")]


@pytest.mark.parametrize("page", [1, 100])
def test_users_with_an_administrative_permission_set_are_administrators(page):
    with ScriptedServer(with_sets(*some_sets(), page=page)) as server:
        connection = connect(server, passes=PASSES)
        done = sync(connection)
        again = sync(connection)

    assert (done.state, done.error) == (Sync.State.SUCCEEDED, "")
    admin = [f"Admin in {ONE}", f"Admin in {TWO}"]
    assert [sorted(each) for each in roles()] == [[*admin, f"Own in {ONE}"], [f"Own in {ONE}"], []]
    # Only permission sets that make an administrator are followed to their accounts.
    asked = [json.loads(each.body) for each in server.asked if operation_of(each) == "ListAccountAssignments"]
    reader = server.provider.permissions.arn("Reader")
    assert asked
    assert reader not in [each["PermissionSetArn"] for each in asked]
    assert (again.passes.get(slug="roles").changed, again.state) == (0, Sync.State.SUCCEEDED)


def test_a_permission_set_in_many_accounts_is_one_role_with_their_number():
    accounts = {f"{number:012}": [ANN, *([BOB] if number < 10 else [])] for number in range(25)}
    with ScriptedServer(with_sets(PermissionSet("Admin", ("IAMFullAccess",), "", accounts))) as server:
        sync(connect(server, passes=PASSES))

    assert roles() == [["Admin in 25 accounts"], [f"Admin in {number:012}" for number in range(10)], []]


def test_an_assignment_that_ends_takes_the_role_away_and_without_the_pass_roles_are_unknown():
    own = PermissionSet("Own", ("AdministratorAccess",), "", {ONE: [ANN]})
    with ScriptedServer(with_sets(own)) as server:
        connection = connect(server, passes={"groups": False, "roles": False})
        sync(connection)
        before = roles()
        document = connection.settings | {"passes": PASSES}
        save_connection(slug="center", kind="identitycenter", document=document, connection=connection)
        sync(connection)
        given = roles()
        own.accounts[ONE] = []
        sync(connection)

    assert (before, given, roles()) == ([None] * 3, [[f"Own in {ONE}"], [], []], [[], [], []])


@pytest.mark.parametrize(
    "operation", ["ListManagedPoliciesInPermissionSet", "DescribePermissionSet", "ListGroupMemberships"]
)
def test_what_is_deleted_while_it_is_read_is_skipped(operation):
    first, *others = some_sets()
    store = with_sets(first, *others)
    with ScriptedServer(store) as server:

        def delete(asked):
            if operation_of(asked) == operation and first in store.permissions.sets:
                store.permissions.sets.remove(first)
                store.groups.pop("Admins")

        server.disturb = delete
        done = sync(connect(server, passes=PASSES))

    assert (done.state, roles()) == (Sync.State.SUCCEEDED, [[f"Own in {ONE}"], [f"Own in {ONE}"], []])


def test_an_account_that_leaves_the_organization_is_skipped():
    with ScriptedServer(with_sets(*some_sets())) as server:
        gone = store_error("ResourceNotFoundException", "The account was not found.")
        server.disturb = lambda asked: gone if json.loads(asked.body).get("AccountId") == TWO else None
        done = sync(connect(server, passes=PASSES))

    assert (done.state, sorted(roles()[0])) == (Sync.State.SUCCEEDED, [f"Admin in {ONE}", f"Own in {ONE}"])


@pytest.mark.parametrize("body", [b"", b"{}", b'{"message":"Rate exceeded"}'])
def test_a_limit_that_only_a_header_names_is_waited_for(body):
    named = {"x-amzn-ErrorType": "ThrottlingException:http://internal.amazon.com/coral/"}
    once = iter([Answer(400, body, named)])
    with ScriptedServer(small_store()) as server:
        server.disturb = lambda asked: next(once, None)
        done = sync(connect(server))

    assert (done.state, done.waited_seconds) == (Sync.State.SUCCEEDED, 2)


def test_a_throttled_permission_set_is_asked_for_again_and_a_lost_token_starts_the_pass_again():
    faults = {
        "ListPermissionSets": store_error("ValidationException", "The token is not valid."),
        "ListAccountAssignments": store_error("ThrottlingException", "Rate exceeded"),
    }
    with ScriptedServer(with_sets(*some_sets(), page=1)) as server:

        def disturb(asked):
            if operation_of(asked) == "ListPermissionSets" and b"NextToken" not in asked.body:
                return None
            return faults.pop(operation_of(asked), None)

        server.disturb = disturb
        done = sync(connect(server, passes=PASSES))

    assert (faults, done.passes.get(slug="roles").restarts) == ({}, 1)
    assert (done.state, len(roles()[0]), done.waited_seconds) == (Sync.State.SUCCEEDED, 3, 2)


def test_an_organization_without_permission_sets_has_no_administrators():
    with ScriptedServer(with_sets()) as server:
        done = sync(connect(server, passes=PASSES))

    assert (done.state, roles()) == (Sync.State.SUCCEEDED, [[], [], []])


@pytest.mark.parametrize(
    "action",
    [
        "sso:ListInstances",
        "sso:ListPermissionSets",
        "sso:DescribePermissionSet",
        "sso:ListManagedPoliciesInPermissionSet",
        "sso:GetInlinePolicyForPermissionSet",
        "sso:ListAccountsForProvisionedPermissionSet",
        "sso:ListAccountAssignments",
        "identitystore:ListGroupMemberships",
    ],
)
def test_connectivity_names_each_action_that_administrators_need(action):
    with ScriptedServer(with_sets(*some_sets(), forbidden=(action.partition(":")[2],))) as server:
        connection = connect(server, passes=PASSES)
        _, administrators = probe_connection(connection).permissions
        done = sync(connection)

    assert str(administrators.state) == "missing"
    assert f"AccessDeniedException to {action}" in administrators.detail
    assert (done.state, roles()) == (Sync.State.PARTIAL, [None] * 3)


def test_connectivity_grants_administrators_and_says_when_no_instance_has_the_store():
    with ScriptedServer(with_sets(*some_sets())) as server:
        connection = connect(server, passes=PASSES)
        granted = probe_connection(connection).permissions[1]
        server.provider.permissions.stores = ("d-9999999999",)
        missing = probe_connection(connection).permissions[1]
        done = sync(connection)

    assert (str(granted.state), str(missing.state)) == ("granted", "unclear")
    assert f"has the identity store {STORE}" in missing.detail
    assert done.state == Sync.State.PARTIAL
