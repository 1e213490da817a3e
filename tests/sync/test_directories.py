"""Active Directory and other directories, from a directory's answers over LDAP to accounts."""

import random

import pytest

from checks.models import Account, Finding, Run
from checks.services import add_source, run_checks, sync_catalogue
from cii_project.sync.driver import MAX_RESTARTS, advance
from cii_project.sync.preview import preview_sync
from integrations.models import Sync
from integrations.services import probe_connection, save_connection
from integrations.sources import API_SOURCES
from integrations.target_data import InvalidDocument
from tests.doubles.directory import (
    BUILTIN_SID,
    DOMAIN,
    ScriptedDirectory,
    domain_group,
    domain_user,
    small_domain,
    small_organization,
)
from tests.sync.test_faults import kill_next_commit, sync_through_a_kill
from tests.sync.worlds import account, start_sync, sync, work

pytestmark = pytest.mark.django_db(transaction=True)


def connect(directory, kind="activedirectory", **values):
    source = add_source(slug="corp", name="Corp", kind="identity", provider=API_SOURCES[kind].provider)
    return save_connection(slug="corp", kind=kind, document=directory.settings(**values))[0], source


def company():
    """Ann reports to Bob, who is an administrator through Tier 0; Cem is disabled; a managed service account."""
    tier0 = f"CN=Tier 0,CN=Users,{DOMAIN}"
    admins = f"CN=Domain Admins,CN=Users,{DOMAIN}"
    operators = f"CN=Sicherungs-Operatoren,CN=Users,{DOMAIN}"
    return ScriptedDirectory(
        [
            *small_domain().entries[:2],
            domain_group(1200, "Tier 0", memberOf=[admins]),
            domain_group(551, "Sicherungs-Operatoren", BUILTIN_SID),
            domain_group(1201, "Payroll\\, all", memberOf=[]),
            domain_user(
                1,
                "ann",
                mail="ann@corp.example",
                employeeID="1001",
                department="Finance",
                manager=f"CN=bob, CN=Users, {DOMAIN}",
                memberOf=[f"CN=Payroll\\, all,CN=Users,{DOMAIN}", operators],
            ),
            domain_user(2, "cem", userAccountControl="514", userPrincipalName=None),
            domain_user(3, "bob", memberOf=[tier0], userAccountControl="66048"),
            domain_user(4, "svc-backup", "OU=Services,OU=Tier 1"),
            domain_user(
                5,
                "gmsa$",
                objectClass=["top", "user", "computer", "msDS-GroupManagedServiceAccount"],
                objectCategory="msDS-Group-Managed-Service-Account",
                primaryGroupID="512",
            ),
        ],
        page=2,
    )


def test_a_sync_brings_profiles_state_managers_groups_and_administrators():
    with company() as directory:
        connection, _ = connect(directory, service_accounts=["svc-*"])
        done = sync(connection)

    assert (done.state, done.error) == (Sync.State.SUCCEEDED, "")
    assert Account.objects.count() == 5
    ann, bob, cem = (account(f"{name}@corp.example") for name in ("ann", "bob", "cem"))
    assert ann.source_key == "00000000-0000-0000-0000-000000000001"
    assert (ann.email, ann.employee_id, ann.department) == ("ann@corp.example", "1001", "Finance")
    # Bob is on a later page, and Active Directory wrote his name otherwise.
    assert (ann.manager, bob.manager) == ("bob@corp.example", "")
    assert ann.groups == ["Payroll, all", "Sicherungs-Operatoren"]
    assert ann.admin_roles == ["Sicherungs-Operatoren"]
    assert (bob.admin_roles, bob.password_never_expires) == (["Domain Admins"], True)
    assert (cem.status, cem.admin_roles) == ("disabled", [])
    assert ann.last_sign_in_at.isoformat() == "2025-11-20T08:30:00+00:00"
    assert account("gmsa$@corp.example").admin_roles == ["Domain Admins"]
    assert {account(f"{name}@corp.example").user_type for name in ("svc-backup", "gmsa$")} == {
        "service_account"
    }


def test_the_members_of_named_groups_are_administrators_wherever_the_groups_are():
    with small_organization() as directory:
        connection, _ = connect(
            directory, "ldap", base_dn="ou=people,dc=corp,dc=example", admin_groups=["admins"]
        )
        done = sync(connection)
    assert done.state == Sync.State.SUCCEEDED
    assert {each.login: each.admin_roles for each in Account.objects.all()} == {
        "user0": ["Admins"],
        **{f"user{number}": [] for number in range(1, 5)},
    }


def test_without_named_groups_administrators_are_unknown():
    with small_organization() as directory:
        sync(connect(directory, "ldap")[0])
    assert {each.admin_roles for each in Account.objects.all()} == {None}


def test_test_connectivity_says_what_the_account_may_read():
    with company() as directory:
        found = probe_connection(connect(directory)[0])
    assert [(each.name, str(each.state)) for each in found.permissions] == [
        ("Users", "granted"),
        ("Account state and passwords", "granted"),
        ("Last sign-in", "granted"),
        ("Administrators", "granted"),
    ]
    assert (found.users, found.more_users) == (2, True)


def test_test_connectivity_names_attributes_that_are_hidden_and_groups_that_are_missing():
    hidden = dict.fromkeys(
        ("userAccountControl", "lastLogonTimestamp", "lastLogon", "logonCount", "badPwdCount")
    )
    with small_domain(domain_user(1, "ann", **hidden)) as directory:
        found = probe_connection(connect(directory)[0])
    assert [str(each.state) for each in found.permissions] == ["granted", "missing", "missing", "granted"]
    assert "Read logon information" in found.permissions[2].detail

    with small_organization() as directory:
        source = save_connection(
            slug="other", kind="ldap", document=directory.settings(admin_groups=["Admins", "Root"])
        )[0]
        roles = probe_connection(source).permissions[-1]
    assert (str(roles.state), roles.detail) == (
        "missing",
        "Not found, or not visible to the account: Root.",
    )


def test_an_account_that_sees_nobody_is_no_empty_directory():
    with small_organization() as directory:
        connection, _ = connect(directory, "ldap", filter="(uid=nobody)")
        assert "no user is visible" in probe_connection(connection).permissions[0].detail
        done = sync(connection)
    assert (done.state, "lists no user" in done.error) == (Sync.State.FAILED, True)


def test_another_server_does_not_get_the_stored_password():
    with small_domain() as directory:
        connection, _ = connect(directory)
        document = directory.settings(host="127.0.0.1")
        del document["password"]
        with pytest.raises(InvalidDocument) as raised:
            save_connection(slug="corp", kind="activedirectory", document=document, connection=connection)
    assert "password" in raised.value.errors


def test_a_list_whose_connection_ends_is_read_again_and_nobody_is_deleted():
    with small_domain() as directory:
        connection, _ = connect(directory)
        sync(connection)
        before = list(Account.objects.order_by("pk").values("pk", "login", "status"))
        lost = iter([True])

        def lose_once(asked):
            return b"" if asked.asks_page and asked.first == 2 and next(lost, False) else None

        directory.disturb = lose_once
        done = sync(connection)

    reading = done.passes.get(position=0)
    assert (done.state, reading.restarts, reading.records) == (Sync.State.SUCCEEDED, 1, 5)
    assert list(Account.objects.order_by("pk").values("pk", "login", "status")) == before


def test_a_directory_that_always_loses_the_list_fails_the_sync_and_changes_nothing():
    with small_domain() as directory:
        connection, _ = connect(directory)
        sync(connection)
        before = list(Account.objects.order_by("pk").values())
        directory.disturb = lambda asked: b"" if asked.first == 2 else None
        done = sync(connection)

    assert done.state == Sync.State.FAILED
    assert f"It was started {MAX_RESTARTS + 1} times." in done.error
    assert list(Account.objects.order_by("pk").values()) == before


def test_another_worker_begins_a_list_again(monkeypatch):
    with small_domain() as directory:
        connection, _ = connect(directory)
        started = start_sync(connection, Sync.Trigger.MEMBER)
        # The first worker gives up after each page.
        monkeypatch.setattr("cii_project.sync.driver.SESSION_SECONDS", 0)
        for _ in range(3):
            advance(started.pk, seconds=0, sleep=lambda seconds: None)
            connection.rate_buckets.update(next_at=0)
        monkeypatch.undo()
        done = work(started)
    assert (done.state, done.passes.get(position=0).created) == (Sync.State.SUCCEEDED, 5)
    assert done.passes.get(position=0).restarts >= 1


def test_a_dry_run_counts_what_a_sync_would_bring():
    with small_domain() as directory:
        connection, source = connect(directory)
        found = preview_sync(connection, source, sleep=lambda seconds: None)
    assert found.done.created == 5
    assert not Account.objects.exists()


FAULTS = {"lost": b"", "half a message": b"\x30\x84\x00\x00\x01\x00\x02", "busy": 51, "killed worker": None}


@pytest.mark.parametrize("seed", range(6))
def test_a_sync_that_fails_at_any_search_changes_nothing_that_the_directory_does_not_say(seed, monkeypatch):
    chance = random.Random(seed)
    sync_catalogue()
    with company() as directory:
        connection, _ = connect(directory, service_accounts=["svc-*"])
        sync(connection)
        run_checks(trigger=Run.Trigger.COMMAND)
        before = state()
        asked = len(directory.asked)
        at, fault = asked + chance.randrange(1, asked + 1), chance.choice(list(FAULTS))

        def disturb(search):
            if search.number != at:
                return None
            if FAULTS[fault] is None:
                kill_next_commit(monkeypatch)
            return FAULTS[fault]

        directory.disturb = disturb
        done = sync_through_a_kill(connection)
        run_checks(trigger=Run.Trigger.COMMAND)

    # The search that failed was asked again.
    assert len(directory.asked) > 2 * asked, (at, fault)
    assert (done.state, done.error) == (Sync.State.SUCCEEDED, ""), (at, fault)
    assert state() == before, (at, fault)


def state():
    """What the accounts and their findings are."""
    fields = ("pk", "login", "status", "manager", "admin_roles", "groups", "last_sign_in_at")
    findings = Finding.objects.order_by("pk").values_list("pk", "check_ref__slug", "resolved_at")
    return list(Account.objects.order_by("pk").values(*fields)), list(findings)
