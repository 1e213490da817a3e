"""AWS IAM Identity Center: users and groups of its identity store, from the documented answers to accounts."""

import pytest

from checks.models import Account
from checks.services import add_source
from cii_project.tools.scripted_sources.server import ScriptedServer
from integrations.models import Sync
from integrations.services import probe_connection, save_connection
from tests.doubles.aws_iam import KEY_ID, SECRET
from tests.doubles.aws_identity_store import REGION, STORE, ScriptedIdentityStore, store_error, store_user
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
        "addresses": {"identitystore": server.url, "sts": server.url},
    }
    return save_connection(slug="center", kind="identitycenter", document=settings | document)[0]


def operations(server):
    return [each.headers["X-Amz-Target"].rpartition(".")[2] for each in server.asked]


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
        60,
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
