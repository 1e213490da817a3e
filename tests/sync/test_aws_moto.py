"""The sources at AWS against moto, a server of AWS's APIs by others."""

import pytest

from checks.services import add_source
from integrations.models import Sync
from integrations.services import probe_connection, save_connection
from integrations.source_data import SourceSettings
from integrations.sources import API_SOURCES
from tests.doubles import moto
from tests.sync.worlds import account, sync

pytestmark = [pytest.mark.moto, pytest.mark.django_db(transaction=True)]


@pytest.fixture(scope="module")
def server():
    with moto.running() as url:
        yield url


def test_the_users_of_an_account_with_groups_administrators_keys_and_devices(server):
    def ask(action, **parameters):
        return moto.ask_iam(server, action, **parameters)

    for name in ("ann", "bob", "deploy"):
        ask(
            "CreateUser",
            UserName=name,
            **{"Tags.member.1.Key": "email", "Tags.member.1.Value": f"{name}@example.com"},
        )
    for name in ("ann", "bob"):
        ask("CreateLoginProfile", UserName=name, Password="correct-horse-1-Battery")
    ask("CreateGroup", GroupName="Admins")
    ask("AttachGroupPolicy", GroupName="Admins", PolicyArn="arn:aws:iam::aws:policy/AdministratorAccess")
    ask("AddUserToGroup", GroupName="Admins", UserName="ann")
    made = ask("CreateVirtualMFADevice", VirtualMFADeviceName="ann")
    serial = made["CreateVirtualMFADeviceResponse"]["CreateVirtualMFADeviceResult"]["VirtualMFADevice"][
        "SerialNumber"
    ]
    ask(
        "EnableMFADevice",
        UserName="ann",
        SerialNumber=serial,
        AuthenticationCode1="123456",
        AuthenticationCode2="654321",
    )
    ask("CreateAccessKey", UserName="deploy")
    document = '{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}'
    ask("PutUserPolicy", UserName="deploy", PolicyName="everything", PolicyDocument=document)

    add_source(slug="aws", name="AWS", kind="identity", provider="AWS")
    addresses = {"iam": server, "sts": server}
    role = {"role_arn": "arn:aws:iam::123456789012:role/identity-checks", "external_id": "ext-1"}
    connection, _ = save_connection(
        slug="aws", kind="awsiam", document={**moto.KEYS, **role, "addresses": addresses}
    )
    states = [str(each.state) for each in probe_connection(connection).permissions]
    done = sync(connection)

    assert (states, done.state, done.error) == (["granted", "granted"], Sync.State.SUCCEEDED, "")
    ann, bob, deploy = (account(name) for name in ("ann", "bob", "deploy"))
    assert (ann.email, ann.groups, ann.admin_roles) == (
        "ann@example.com",
        ["Admins"],
        ["AdministratorAccess"],
    )
    assert [(each["kind"], each["device"]) for each in ann.mfa_factors] == [("totp", serial)]
    assert (ann.mfa, bob.mfa, bob.admin_roles) == (True, False, [])
    assert (deploy.user_type, deploy.status, deploy.admin_roles) == (
        "service_account",
        "active",
        ["everything"],
    )
    assert (bob.last_sign_in_at, bob.last_sign_in_known) == (None, True)


def test_the_users_and_groups_of_an_identity_store(server):
    call = moto.call_of(server, "identitystore")

    def ask(operation, **body):
        body = {"IdentityStoreId": "d-1234567890", **body}
        return call.json_target(f"AWSIdentityStore.{operation}", body, limit="identitystore")[0]

    keys = []
    for n in range(120):
        name = {"GivenName": "User", "FamilyName": f"{n:03}"}
        emails = [{"Value": f"user{n:03}@example.com", "Primary": True}]
        made = ask("CreateUser", UserName=f"user{n:03}", DisplayName=f"User {n:03}", Name=name, Emails=emails)
        keys.append(made["UserId"])
    group = ask("CreateGroup", DisplayName="Staff")["GroupId"]
    for key in keys[:3]:
        ask("CreateGroupMembership", GroupId=group, MemberId={"UserId": key})

    add_source(slug="center", name="Center", kind="identity", provider="AWS_IDENTITY_CENTER")
    document = {
        "region": moto.REGION,
        "identity_store_id": "d-1234567890",
        "passes": {"groups": True, "roles": False},
        "addresses": {"identitystore": server, "sts": server},
    }
    connection, _ = save_connection(slug="center", kind="identitycenter", document={**moto.KEYS, **document})
    done = sync(connection)

    assert (done.state, done.error, done.passes.get(slug="users").pages) == (Sync.State.SUCCEEDED, "", 2)
    assert account("user119").email == "user119@example.com"
    assert [account(f"user{n:03}").groups for n in (0, 2, 3)] == [["Staff"], ["Staff"], []]
    assert (account("user000").source_key, account("user000").mfa) == (keys[0], None)


def test_the_administrators_by_permission_sets(server):
    permissions, store = moto.call_of(server, "sso"), moto.call_of(server, "identitystore")

    def ask(operation, **body):
        return permissions.json_target(f"SWBExternalService.{operation}", body, limit="identitystore")[0]

    def fill(operation, **body):
        return store.json_target(f"AWSIdentityStore.{operation}", body, limit="identitystore")[0]

    instance = ask("ListInstances")["Instances"][0]
    arn, identity = {"InstanceArn": instance["InstanceArn"]}, {"IdentityStoreId": instance["IdentityStoreId"]}
    ann, bob, cem = (
        fill(
            "CreateUser",
            UserName=name,
            DisplayName=name,
            Name={"GivenName": name, "FamilyName": "X"},
            **identity,
        )["UserId"]
        for name in ("ann", "bob", "cem")
    )
    group = fill("CreateGroup", DisplayName="Admins", **identity)["GroupId"]
    fill("CreateGroupMembership", GroupId=group, MemberId={"UserId": ann}, **identity)
    document = (
        '{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "iam:*", "Resource": "*"}]}'
    )
    for name, holder, kind in (("Admin", group, "GROUP"), ("Own", bob, "USER"), ("Reader", cem, "USER")):
        made = ask("CreatePermissionSet", Name=name, **arn)["PermissionSet"]["PermissionSetArn"]
        of_set = {"PermissionSetArn": made, **arn}
        policy = "AdministratorAccess" if name == "Admin" else "ReadOnlyAccess"
        ask(
            "AttachManagedPolicyToPermissionSet",
            ManagedPolicyArn=f"arn:aws:iam::aws:policy/{policy}",
            **of_set,
        )
        if name == "Own":
            ask("PutInlinePolicyToPermissionSet", InlinePolicy=document, **of_set)
        target = {"TargetId": moto.ACCOUNT, "TargetType": "AWS_ACCOUNT"}
        ask("CreateAccountAssignment", PrincipalType=kind, PrincipalId=holder, **target, **of_set)
        ask("ProvisionPermissionSet", **target, **of_set)

    # moto's ids of identity stores do not have AWS's form, which the form asks for: so nothing is stored here.
    kind = API_SOURCES["identitycenter"]
    settings = {
        "region": moto.REGION,
        "identity_store_id": instance["IdentityStoreId"],
        "access_key_id": moto.KEYS["access_key_id"],
        "passes": {"groups": True, "roles": True},
        "addresses": {"identitystore": server, "sso": server, "sts": server},
    }
    secrets = {"secret_access_key": moto.KEYS["secret_access_key"]}
    source = SourceSettings(1, "center", "identitycenter", settings, secrets)
    call = kind.call(source, kind.auth(source, None))
    states = [str(each.state) for each in kind.probe(source, call, None).permissions]
    page = kind.fetch(kind.pass_of("roles"), call, None)
    records = [*page.records]
    while page.next_cursor:
        page = kind.fetch(kind.pass_of("roles"), call, page.next_cursor)
        records += page.records

    assert states == ["granted"] * 3
    assert {each["source_key"]: each["admin_roles"] for each in records} == {
        ann: [f"Admin in {moto.ACCOUNT}"],
        bob: [f"Own in {moto.ACCOUNT}"],
    }
