"""Google Workspace: users, security keys, administrator roles and groups, from the documented answers to accounts."""

import json
from datetime import date

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from checks.models import Account
from checks.services import add_source
from cii_project.tools.scripted_sources.google import (
    GROUPS_SCOPE,
    REPORTS_SCOPE,
    ROLES_SCOPE,
    USERS_SCOPE,
    ScriptedGoogle,
    google_error,
    google_user,
)
from cii_project.tools.scripted_sources.server import ScriptedServer
from integrations.models import Sync
from integrations.services import InvalidDocument, probe_connection, save_connection
from integrations.source_data import SourceFault, SourceSettings
from integrations.sources import API_SOURCES
from integrations.sources.google import kind as google
from tests.sync.worlds import account, sync

pytestmark = pytest.mark.django_db(transaction=True)

KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
PEM = KEY.private_bytes(
    serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
).decode()
ALL_PASSES = {"roles": True, "keys": True, "groups": True}


def key_file(**values):
    """The JSON file of the service account's key."""
    return json.dumps(
        {
            "type": "service_account",
            "project_id": "scripted",
            "private_key_id": "key-1",
            "private_key": PEM,
            "client_email": ScriptedGoogle.email,
            "client_id": "123456789012345678901",
            **values,
        }
    )


def customer(**values):
    """Ann has a security key and is a super administrator; Bob has 2-Step Verification and a role by a group; Cem never
    signed in; Dee is suspended; Eve is archived."""
    users = (
        google_user(
            "101",
            "ann.ames@example.com",
            isAdmin=True,
            isEnrolledIn2Sv=True,
            externalIds=[{"type": "account", "value": "x"}, {"type": "organization", "value": "1001"}],
            organizations=[
                {"department": "Old", "primary": False},
                {"department": "Finance", "title": "Director", "name": "Example", "primary": True},
            ],
            relations=[{"type": "manager", "value": "bob.bell@example.com"}],
            phones=[{"type": "work", "value": "+15550100"}, {"type": "mobile", "value": "+15550101"}],
            languages=[{"languageCode": "en"}, {"languageCode": "de", "preference": "preferred"}],
            customSchemas={"Work": {"badge": "B-7", "sites": [{"value": "Bern"}, {"value": "Ulm"}]}},
        ),
        google_user("102", "bob.bell@example.com", isDelegatedAdmin=True, isEnrolledIn2Sv=True),
        google_user("103", "cem.cole@example.com", lastLoginTime="1970-01-01T00:00:00.000Z"),
        google_user(
            "104", "dee.dorn@example.com", suspended=True, suspensionReason="ADMIN", suspensionTime="2026-10-02T09:00:00.000Z"
        ),
        google_user("105", "eve.egan@example.com", archived=True, isGuestUser=True),
    )  # fmt: skip
    return ScriptedGoogle(
        public_key=KEY.public_key(),
        users={each["id"]: each for each in users},
        keys={"101": (2, 1)},
        roles={"_SEED_ADMIN_ROLE": ["101"], "Help desk": ["g-desk"]},
        groups={"g-desk": ("Desk", ["102", "g-more"]), "g-more": ("More", ["103"])},
        **values,
    )


def connect(server, **document):
    add_source(slug="google", name="Google", kind="identity", provider="GOOGLE")
    settings = {
        "service_account": key_file(),
        "admin": server.provider.admin,
        "addresses": {"token": f"{server.url}/token", "api": server.url},
        "passes": ALL_PASSES,
    }
    return save_connection(slug="google", kind="google", document=settings | document)[0]


@pytest.mark.parametrize(
    ("state", "status"),
    [
        ({}, "active"),
        ({"archived": True}, "disabled"),
        ({"archived": True, "suspended": True, "suspensionReason": "ADMIN"}, "suspended"),
        ({"suspended": True, "suspensionReason": "WEB_LOGIN_REQUIRED"}, "staged"),
    ],
)
def test_the_status_of_a_user(state, status):
    assert google.user_of(google_user("1", "ann@example.com", **state), {})["status"] == status


def test_a_sync_brings_profiles_factors_roles_and_groups():
    with ScriptedServer(customer()) as server:
        done = sync(connect(server))

    assert (done.state, done.error) == (Sync.State.SUCCEEDED, "")
    ann, bob, cem, dee, eve = Account.objects.order_by("login")
    assert (ann.source_key, ann.employee_id, ann.department, ann.title, ann.company) == (
        "101",
        "1001",
        "Finance",
        "Director",
        "Example",
    )
    assert (ann.manager, bob.manager, ann.phone, ann.locale) == (
        "bob.bell@example.com",
        "",
        "+15550101",
        "de",
    )
    assert (ann.mfa, ann.phishing_resistant, ann.mfa_factors) == (
        True,
        True,
        [{"kind": "fido2"}, {"kind": "passkey"}],
    )
    assert (bob.mfa, bob.assurance, bob.mfa_factors) == (True, None, None)
    assert (cem.mfa, cem.last_sign_in_at, cem.last_sign_in_known) == (False, None, True)
    assert (dee.status, dee.status_changed_at.month, eve.status, eve.user_type) == (
        "suspended",
        10,
        "disabled",
        "guest",
    )
    assert (ann.admin_roles, bob.admin_roles, cem.admin_roles) == (["Super Admin"], ["Help desk"], [])
    assert (bob.groups, cem.groups, dee.groups) == (["Desk"], ["More"], [])


def test_a_second_sync_of_the_same_changes_nothing():
    with ScriptedServer(customer(page=2)) as server:
        connection = connect(server)
        sync(connection)
        again = sync(connection)

    assert [(each.slug, each.created, each.changed, each.deleted) for each in again.passes.all()] == [
        (slug, 0, 0, 0) for slug in ("users", "roles", "keys", "groups")
    ]


def test_a_removed_security_key_leaves_the_kinds_of_factors_unknown():
    scripted = customer()
    with ScriptedServer(scripted) as server:
        connection = connect(server)
        sync(connection)
        scripted.keys.clear()
        sync(connection)

    ann = account("ann.ames@example.com")
    assert (ann.mfa, ann.phishing_resistant, ann.mfa_factors) == (True, None, None)


def test_without_the_pass_of_roles_the_list_of_users_says_who_is_an_administrator():
    with ScriptedServer(customer(scopes=(USERS_SCOPE,))) as server:
        done = sync(connect(server, passes={"roles": False, "keys": False}))

    assert done.state == Sync.State.SUCCEEDED
    roles = dict(Account.objects.values_list("source_key", "admin_roles"))
    assert (roles["101"], roles["102"], roles["103"]) == (["Super Admin"], ["Delegated administrator"], [])
    assert len(server.asked) == 2


def test_fields_are_mapped_from_custom_schemas():
    lines = ["employee_id=customSchemas.Work.badge", "company=customSchemas.Work.sites", "title=orgUnitPath"]
    with ScriptedServer(customer()) as server:
        sync(connect(server, attributes=lines))

    ann = account("ann.ames@example.com")
    assert (ann.employee_id, ann.company, ann.title) == ("B-7", "Bern, Ulm", "/")


# --- Permissions ----------------------------------------------------------------------------------------


def test_a_scope_that_is_not_delegated_is_missing_and_the_others_are_read():
    with ScriptedServer(customer(scopes=(USERS_SCOPE, GROUPS_SCOPE))) as server:
        connection = connect(server)
        found = {each.name: each for each in probe_connection(connection).permissions}
        done = sync(connection)

    assert {name: str(each.state) for name, each in found.items()} == {
        "Users": "granted",
        "Administrator roles": "missing",
        "Security keys and passkeys": "missing",
        "Groups": "granted",
    }
    assert "It needs https://www.googleapis.com/auth/admin.reports.usage.readonly." in (
        found["Security keys and passkeys"].detail
    )
    assert done.state == Sync.State.PARTIAL
    assert {each.admin_roles for each in Account.objects.all()} == {None}
    assert account("bob.bell@example.com").groups == ["Desk"]


def test_a_group_with_a_role_that_cannot_be_expanded_leaves_the_roles_unknown():
    with ScriptedServer(customer(scopes=(USERS_SCOPE, ROLES_SCOPE, REPORTS_SCOPE))) as server:
        done = sync(connect(server, passes={"roles": True}))

    assert "insufficient authentication scopes" in done.passes.get(slug="roles").error
    assert account("ann.ames@example.com").admin_roles is None


@pytest.mark.parametrize(
    ("document", "text"),
    [
        ({"admin": "nobody@example.com"}, "invalid_grant: Invalid email or User ID"),
        ({"service_account": key_file(client_email="other@scripted.iam.gserviceaccount.com")}, "Invalid JWT Signature"),
    ],
)  # fmt: skip
def test_a_wrong_administrator_or_key_is_said_and_changes_nothing(document, text):
    with ScriptedServer(customer()) as server:
        connection = connect(server, **document)
        tested = probe_connection(connection).permissions[0]
        done = sync(connection)

    assert (done.state, str(tested.state)) == (Sync.State.FAILED, "missing")
    assert text in done.error
    assert text in tested.detail
    assert "PRIVATE KEY" not in done.error + tested.detail


def test_a_delegation_of_nothing_says_so():
    with ScriptedServer(customer(scopes=())) as server:
        done = sync(connect(server))

    assert "not authorized for any of the scopes requested" in done.error


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("{", "Paste the whole JSON file"),
        (PEM, "Paste the whole JSON file"),
        (key_file(type="authorized_user"), "Paste the whole JSON file"),
        (key_file(client_email=""), "lacks client_email"),
        (key_file(private_key="-----BEGIN PRIVATE KEY-----"), "Paste an RSA private key"),
    ],
    ids=["no JSON", "only the key", "of a user", "without an address", "cut"],
)
def test_a_key_file_that_cannot_be_used_is_refused_in_the_form(text, problem):
    with pytest.raises(InvalidDocument) as refused:
        API_SOURCES["google"].clean({"service_account": text, "admin": "a@example.com"})
    assert problem in refused.value.errors["service_account"]


def test_a_token_that_was_revoked_is_fetched_again_once():
    with ScriptedServer(customer()) as server:
        connection = connect(server)
        sync(connection)
        server.provider.access_tokens.clear()
        done = sync(connection)

    assert done.state == Sync.State.SUCCEEDED
    assert server.paths().count("/token") == 2


# --- Limits, outages, places ----------------------------------------------------------------------------


@pytest.mark.parametrize("reason", ["userRateLimitExceeded", "rateLimitExceeded", "quotaExceeded"])
def test_a_limit_that_comes_with_403_is_waited_for(reason):
    with ScriptedServer(customer()) as server:
        connection = connect(server)
        times = iter([True, True])
        server.disturb = lambda asked: (
            google_error(403, reason) if asked.path.endswith("/groups") and next(times, False) else None
        )
        done = sync(connection)  # fmt: skip

    assert done.state == Sync.State.SUCCEEDED
    assert done.waited_seconds == 120


@pytest.mark.parametrize("status", [429, 503])
def test_a_fault_of_some_calls_does_not_end_the_sync(status):
    with ScriptedServer(customer(page=2)) as server:
        connection = connect(server)
        headers = {"Retry-After": "3"} if status == 429 else {}
        failing = {3, 4, 7}
        server.disturb = lambda asked: (
            google_error(status, headers=headers) if asked.number in failing else None
        )
        done = sync(connection)

    assert (done.state, Account.objects.count()) == (Sync.State.SUCCEEDED, 5)


def test_an_outage_in_the_middle_of_the_listing_deletes_nobody():
    with ScriptedServer(customer(page=2)) as server:
        connection = connect(server)
        sync(connection)
        before = list(Account.objects.order_by("pk").values())
        server.disturb = lambda asked: google_error(503) if "pageToken" in asked.query else None
        done = sync(connection)

    assert done.state == Sync.State.FAILED
    assert list(Account.objects.order_by("pk").values()) == before


def test_a_place_that_is_no_longer_valid_starts_the_list_again():
    with ScriptedServer(customer(page=2)) as server:
        connection = connect(server)
        once = iter([True])
        server.disturb = lambda asked: (
            google_error(400, "invalid", "Invalid Input: pageToken")
            if "pageToken" in asked.query and next(once, False)
            else None
        )
        done = sync(connection)

    assert (done.state, done.passes.get(slug="users").restarts) == (Sync.State.SUCCEEDED, 1)


def test_a_renamed_user_keeps_the_account_and_a_deleted_one_goes():
    scripted = customer()
    scripted.users |= {str(key): google_user(str(key), f"user{key}@example.com") for key in range(200, 230)}
    with ScriptedServer(scripted) as server:
        connection = connect(server)
        sync(connection)
        before = account("bob.bell@example.com").pk
        scripted.users["102"]["primaryEmail"] = "rob.bell@example.com"
        del scripted.users["200"]
        sync(connection)

    assert account("rob.bell@example.com").pk == before
    assert account("user200@example.com").status == "deleted"


# --- The report of keys ---------------------------------------------------------------------------------


def reading(server, today):
    """The days that were asked for, and the records."""
    source = API_SOURCES["google"]
    call = source.call(google_settings(server), source.auth(google_settings(server), token_of(server)))
    cursor, records = None, []
    while True:
        page = google._keys(call, cursor, today)
        records += page.records
        if page.next_cursor is None:
            return [path.rpartition("/")[2] for path in server.paths() if "/dates/" in path], records
        cursor = page.next_cursor


def google_settings(server):
    document = {
        "service_account": key_file(),
        "admin": server.provider.admin,
        "addresses": {"token": f"{server.url}/token", "api": server.url},
        "passes": ALL_PASSES,
    }
    cleaned = API_SOURCES["google"].clean(document)
    return SourceSettings(1, "google", "google", cleaned.settings, cleaned.secrets)


def token_of(server):
    return API_SOURCES["google"].fetch_token(google_settings(server))


def test_the_newest_report_that_there_is_is_read():
    with ScriptedServer(customer(report_days={"2026-11-24"}, page=3)) as server:
        days, records = reading(server, date(2026, 11, 28))

    assert days == ["2026-11-26", "2026-11-25", "2026-11-24", "2026-11-24"]
    assert {each["source_key"] for each in records} == {"101", "102", "103", "104", "105"}


def test_no_report_for_a_week_ends_the_pass():
    with (
        ScriptedServer(customer(report_days={"2026-11-01"})) as server,
        pytest.raises(SourceFault, match="not yet available"),
    ):
        reading(server, date(2026, 11, 28))
