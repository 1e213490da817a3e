"""Auth0: users, authentication methods and roles, from the documented answers to accounts."""

import time
from datetime import UTC, datetime, timedelta

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from checks.models import Account
from checks.services import add_source
from cii_project.tools.scripted_sources.auth0 import (
    ScriptedAuth0,
    auth0_error,
    auth0_event,
    auth0_method,
    auth0_user,
)
from cii_project.tools.scripted_sources.server import ScriptedServer
from integrations.models import Sync
from integrations.services import InvalidDocument, probe_connection, save_connection
from integrations.sources.auth0.kind import factors_of, user_of
from tests.sync.worlds import account, sync

pytestmark = pytest.mark.django_db(transaction=True)


def moment(n):
    """Times a minute apart, as Auth0 writes them."""
    return f"2025-01-{n // 1440 + 1:02}T{n // 60 % 24:02}:{n % 60:02}:00.000Z"


def tenant(**values):
    """Ann has a security key and administers; Bob is blocked, with an unverified address; Cem never signed in; Dee is of Google."""
    return ScriptedAuth0(
        **{
            "users": [
                auth0_user(
                    "auth0|ann",
                    moment(1),
                    given_name="Ann",
                    family_name="Ames",
                    name="Ann Ames",
                    phone_number="+15550100",
                    last_password_reset="2025-06-01T00:00:00.000Z",
                    user_metadata={"badge": "1001", "team": {"name": "Finance"}},
                ),
                auth0_user("auth0|bob", moment(2), email_verified=False, blocked=True),
                auth0_user("auth0|cem", moment(3), last_login=None, last_ip=None, logins_count=None),
                auth0_user("google-oauth2|dee", moment(4), email="dee@example.com"),
            ],
            "methods": {
                "auth0|ann": [
                    auth0_method("password"),
                    auth0_method("webauthn-roaming", key_id="key-of-ann"),
                    auth0_method("recovery-code"),
                ],
                "auth0|bob": [auth0_method("totp", confirmed=False)],
                "google-oauth2|dee": [
                    auth0_method("phone", phone_number="+15550101", preferred_authentication_method="sms")
                ],
            },
            "roles": {
                "rol_1": ("Support", ["auth0|ann", "auth0|bob"]),
                "rol_2": ("Tenant admin", ["auth0|ann"]),
                "rol_3": ("Unused", []),
            },
        }
        | values
    )


def connect(server, **document):
    add_source(slug="auth0", name="Auth0", kind="identity", provider="AUTH0")
    settings = {
        "url": server.url,
        "client_id": server.provider.client_id,
        "client_secret": server.provider.client_secret,
        "admin_roles": ["tenant admin"],
        "passes": {"groups": True, "factors": True},
    }
    return save_connection(slug="auth0", kind="auth0", document=settings | document)[0]


def test_a_sync_brings_users_methods_administrators_and_roles():
    with ScriptedServer(tenant()) as server:
        done = sync(connect(server))

    assert (done.state, done.error) == (Sync.State.SUCCEEDED, "")
    names = ("auth0|ann", "auth0|bob", "auth0|cem", "google-oauth2|dee")
    ann, bob, cem, dee = (account(name) for name in names)
    assert (ann.source_key, ann.email, ann.first_name, ann.last_name, ann.display_name, ann.phone) == (
        "auth0|ann",
        "ann@example.com",
        "Ann",
        "Ames",
        "Ann Ames",
        "+15550100",
    )
    assert [each.status for each in (ann, bob, cem, dee)] == ["active", "suspended", "active", "active"]
    assert (ann.last_sign_in_at.year, ann.last_sign_in_ip, ann.password_changed_at.month) == (
        2025,
        "192.0.2.1",
        6,
    )
    assert (cem.last_sign_in_at, cem.last_sign_in_known, cem.password_changed_at) == (None, True, None)
    assert [each["kind"] for each in ann.mfa_factors] == ["webauthn"]
    assert (ann.mfa, ann.phishing_resistant) == (True, True)
    assert (bob.mfa, cem.mfa, cem.mfa_factors, dee.mfa) == (False, False, [], True)
    assert (ann.admin_roles, bob.admin_roles) == (["Tenant admin"], [])
    assert (ann.groups, bob.groups, cem.groups) == (["Support", "Tenant admin"], ["Support"], [])


def test_a_second_sync_of_the_same_changes_nothing():
    with ScriptedServer(tenant(page=2)) as server:
        connection = connect(server)
        sync(connection)
        again = sync(connection)

    assert [(each.slug, each.created, each.changed, each.deleted) for each in again.passes.all()] == [
        (slug, 0, 0, 0) for slug in ("users", "roles", "groups", "factors")
    ]


@pytest.mark.parametrize(("takes_unverified", "email"), [(False, ""), (True, "bob@example.com")])
def test_an_address_that_nobody_verified_counts_only_where_that_is_chosen(takes_unverified, email):
    with ScriptedServer(tenant()) as server:
        sync(connect_users(server, unverified_email=takes_unverified))

    assert account("auth0|bob").email == email
    assert account("auth0|ann").email == "ann@example.com"


def test_two_connections_may_have_the_same_address():
    users = [
        auth0_user("auth0|1", moment(1), email="ann@example.com"),
        auth0_user("waad|2", moment(2), email="ann@example.com"),
    ]
    with ScriptedServer(tenant(users=users, roles={}, methods={})) as server:
        done = sync(connect(server, admin_roles=[]))

    assert (done.passes.get(slug="users").created, done.passes.get(slug="users").rejected) == (2, 0)
    assert {each.login for each in Account.objects.filter(email="ann@example.com")} == {"auth0|1", "waad|2"}


@pytest.mark.parametrize(
    ("attributes", "values", "fields"),
    [
        ([], ("", ""), []),
        (
            ["employee_id=user_metadata.badge", "department=user_metadata.team.name"],
            ("1001", "Finance"),
            ["user_metadata"],
        ),
    ],
)
def test_metadata_is_asked_for_only_where_an_attribute_is_mapped_to_it(attributes, values, fields):
    with ScriptedServer(tenant()) as server:
        sync(connect_users(server, attributes=attributes))

    ann = account("auth0|ann")
    assert (ann.employee_id, ann.department) == values
    asked = server.asked[1].query["fields"].split(",")
    assert [each for each in asked if "metadata" in each] == fields


def test_without_named_roles_nobody_is_known_to_administer_and_no_role_is_read():
    with ScriptedServer(tenant()) as server:
        done = sync(connect(server, admin_roles=[], passes={"groups": False, "factors": False}))

    assert [each.slug for each in done.passes.all()] == ["users"]
    assert (account("auth0|ann").admin_roles, account("auth0|ann").mfa_factors) == (None, None)
    assert server.paths() == ["/oauth/token", "/api/v2/users"]


def ago(hours):
    return (datetime.now(UTC) - timedelta(hours=hours)).strftime("%Y-%m-%dT%H:%M:%S.000Z")


def test_the_log_brings_the_country_of_the_last_success_and_failures_since():
    events = [
        auth0_event("auth0|cem", ago(24 * 9), "fp"),
        auth0_event("auth0|dummy", ago(40), "sapi"),
        auth0_event("auth0|ann", ago(30), "fp"),
        auth0_event("auth0|ann", ago(20), "s", "FR"),
        auth0_event("auth0|ann", ago(10), "fp"),
        auth0_event("auth0|ann", ago(9), "seacft", "DE"),
        auth0_event("auth0|bob", ago(5), "f"),
        auth0_event("", ago(4), "fu"),
    ]
    with ScriptedServer(tenant(events=events, page=3)) as server:
        connection = connect(server, passes={"groups": False, "factors": False, "sign_ins": True})
        done = sync(connection)
        again = sync(connection)

    assert (done.state, done.error) == (Sync.State.SUCCEEDED, "")
    ann, bob, cem = (account(f"auth0|{name}") for name in ("ann", "bob", "cem"))
    assert (ann.last_sign_in_country, ann.failed_sign_ins, ann.last_sign_in_ip) == ("FR", 1, "192.0.2.1")
    assert (bob.failed_sign_ins, cem.failed_sign_ins) == (1, None)
    assert again.passes.get(slug="sign_ins").changed == 0


def test_a_log_without_events_is_read():
    with ScriptedServer(tenant()) as server:
        done = sync(connect(server, passes={"groups": False, "factors": False, "sign_ins": True}))

    assert (done.state, done.error) == (Sync.State.SUCCEEDED, "")


# --- Pages ----------------------------------------------------------------------------------------------


def many(count, **values):
    users = [auth0_user(f"auth0|u{n:04}", moment(n)) for n in range(count)]
    return tenant(users=users, roles={}, methods={}, **values)


def connect_users(server, **document):
    """Users alone."""
    return connect(server, admin_roles=[], passes={"groups": False, "factors": False}, **document)


def test_more_users_than_a_search_shows_are_listed():
    with ScriptedServer(many(1_250)) as server:
        done = sync(connect_users(server))

    assert (done.state, done.error, Account.objects.count()) == (Sync.State.SUCCEEDED, "", 1_250)
    # Each page but the first begins with the last user of the one before.
    assert len([path for path in server.paths() if path == "/api/v2/users"]) == 13


def test_a_user_who_is_deleted_while_the_list_is_read_hides_nobody_else():
    auth0 = many(12, page=4)
    with ScriptedServer(auth0) as server:
        connection = connect_users(server)
        sync(connection)
        start = len(server.asked)

        def delete_one(asked):
            if asked.number == start + 2:
                del auth0.users[0]

        server.disturb = delete_one
        done = sync(connection)

    assert (done.state, done.passes.get(slug="users").deleted) == (Sync.State.SUCCEEDED, 0)
    assert Account.objects.exclude(status="deleted").count() == 12


def test_users_who_were_created_at_one_time_are_read_by_pages_of_that_time():
    users = [auth0_user(f"auth0|u{n}", moment(7)) for n in range(9)] + [auth0_user("auth0|z", moment(8))]
    with ScriptedServer(tenant(users=users, roles={}, methods={}, page=4)) as server:
        done = sync(connect_users(server))

    assert (done.state, Account.objects.count()) == (Sync.State.SUCCEEDED, 10)
    assert done.passes.get(slug="users").rejected == 0


def test_too_many_users_of_one_time_end_the_listing_and_delete_nobody():
    auth0 = many(3)
    with ScriptedServer(auth0) as server:
        connection = connect_users(server)
        sync(connection)
        auth0.users = [auth0_user(f"auth0|u{n:04}", moment(7)) for n in range(1_101)]
        done = sync(connection)

    assert done.state == Sync.State.FAILED
    assert "More than 1,000 users were created at 2025-01-01T00:07:00.000Z" in done.error
    assert Account.objects.exclude(status="deleted").count() == 3


def test_a_renamed_user_keeps_the_account_and_a_deleted_one_goes():
    auth0 = many(40)
    with ScriptedServer(auth0) as server:
        connection = connect_users(server)
        sync(connection)
        before = account("auth0|u0005").pk
        auth0.users[5]["email"] = "renamed@example.com"
        del auth0.users[39]
        sync(connection)

    assert Account.objects.get(email="renamed@example.com").pk == before
    assert account("auth0|u0039").status == "deleted"


def test_members_of_a_role_page_by_checkpoint():
    users = [auth0_user(f"auth0|u{n}", moment(n)) for n in range(5)]
    roles = {"rol_1": ("Tenant admin", [each["user_id"] for each in users]), "rol_2": ("Other", ["auth0|u0"])}
    with ScriptedServer(tenant(users=users, roles=roles, methods={}, page=2)) as server:
        sync(connect(server, passes={"groups": False, "factors": False}))

    assert [each.admin_roles for each in Account.objects.all()] == [["Tenant admin"]] * 5
    # A role that is not named costs no call.
    assert [path for path in server.paths() if path.endswith("/users")].count(
        "/api/v2/roles/rol_2/users"
    ) == 0


# --- Permissions, limits, outages -----------------------------------------------------------------------


def test_connectivity_is_tested_for_each_permission():
    with ScriptedServer(tenant(scopes=("read:users", "read:roles"))) as server:
        passes = {"groups": True, "factors": True, "sign_ins": True}
        found = probe_connection(connect(server, passes=passes))

    assert {each.name: str(each.state) for each in found.permissions} == {
        "Users": "granted",
        "Administrator roles": "missing",
        "Roles as groups": "missing",
        "Authentication methods": "missing",
        "Log of the tenant": "missing",
    }
    texts = {each.name: each.detail for each in found.permissions}
    assert texts["Authentication methods"] == "read:authentication_methods is not granted."
    assert "Insufficient scope, expected any of: read:role_members" in texts["Roles as groups"]
    assert (found.users, found.more_users, found.rates["management"].limit) == (4, False, 5_000_000)


def test_connectivity_names_an_administrator_role_that_does_not_exist():
    with ScriptedServer(tenant()) as server:
        found = probe_connection(connect(server, admin_roles=["Tenant admin", "Tennant admin"]))

    states = {each.name: (str(each.state), each.detail) for each in found.permissions}
    assert states["Administrator roles"] == ("missing", "No role has this name: Tennant admin.")


def test_methods_that_may_not_be_read_stay_unknown():
    with ScriptedServer(tenant(scopes=("read:users", "read:roles", "read:role_members"))) as server:
        done = sync(connect(server))

    assert (done.state, account("auth0|ann").mfa_factors) == (Sync.State.PARTIAL, None)
    assert account("auth0|ann").admin_roles == ["Tenant admin"]


@pytest.mark.parametrize(
    ("document", "text"),
    [
        ({"client_secret": "wrong"}, "401: access_denied: Unauthorized"),
        (
            {"audience": "https://other.auth0.com/api/v2/"},
            "Service not found: https://other.auth0.com/api/v2/",
        ),
    ],
)
def test_a_wrong_credential_ends_the_sync_without_a_change(document, text):
    with ScriptedServer(tenant()) as server:
        done = sync(connect(server, **document))

    assert (done.state, Account.objects.count()) == (Sync.State.FAILED, 0)
    assert text in done.error


def test_an_expired_token_is_fetched_again():
    auth0 = many(8, page=3)
    with ScriptedServer(auth0) as server:

        def expire(asked):
            if asked.number == 3:
                auth0.tokens.clear()

        server.disturb = expire
        done = sync(connect_users(server))

    assert (done.state, Account.objects.count()) == (Sync.State.SUCCEEDED, 8)
    assert server.paths().count("/oauth/token") == 2


def used_up(seconds):
    return {
        "x-ratelimit-limit": "10",
        "x-ratelimit-remaining": "0",
        "x-ratelimit-reset": str(int(time.time()) + seconds),
    }


@pytest.mark.parametrize(
    ("headers", "waited"),
    [
        (lambda: {"Retry-After": "3"}, 3),
        (lambda: used_up(20), 20),
        (dict, 60),
    ],
)
def test_a_limit_is_waited_for(headers, waited):
    with ScriptedServer(tenant()) as server:
        once = iter([True])

        def limit(asked):
            return (
                auth0_error(429, "Global limit has been reached", headers())
                if asked.path == "/api/v2/users" and next(once, False)
                else None
            )

        server.disturb = limit
        done = sync(connect_users(server))

    assert (done.state, done.waited_seconds) == (Sync.State.SUCCEEDED, pytest.approx(waited, abs=2))


def test_a_search_that_takes_too_long_in_the_middle_deletes_nobody():
    with ScriptedServer(many(12, page=4)) as server:
        connection = connect_users(server)
        sync(connection)
        before = list(Account.objects.order_by("pk").values())
        server.disturb = lambda asked: auth0_error(503) if "q" in asked.query else None
        done = sync(connection)

    assert done.state == Sync.State.FAILED
    assert list(Account.objects.order_by("pk").values()) == before


def test_a_user_who_is_deleted_before_the_methods_are_read_is_skipped():
    auth0 = tenant(roles={})
    with ScriptedServer(auth0) as server:

        def delete_cem(asked):
            if asked.path.endswith("cem/authentication-methods"):
                auth0.users = [each for each in auth0.users if each["user_id"] != "auth0|cem"]

        server.disturb = delete_cem
        done = sync(connect(server, admin_roles=[], passes={"factors": True}))

    assert (done.state, done.passes.get(slug="factors").skipped) == (Sync.State.SUCCEEDED, 1)


# --- Words ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "kinds"),
    [
        (auth0_method("password"), []),
        (auth0_method("recovery-code"), []),
        (auth0_method("email-verification", email="ann@example.com"), []),
        (auth0_method("email", email="ann@example.com"), ["email"]),
        (auth0_method("passkey"), ["passkey"]),
        (auth0_method("webauthn-platform"), ["webauthn"]),
        (auth0_method("phone", preferred_authentication_method="voice"), ["voice"]),
        (auth0_method("phone"), ["phone"]),
        (
            auth0_method("guardian", authentication_methods=[{"type": "push"}, {"type": "totp"}]),
            ["push", "totp"],
        ),
        (auth0_method("push"), ["push"]),
        (auth0_method("brain-scan"), ["brain-scan"]),
    ],
)
def test_a_method_is_the_factor_that_it_is(method, kinds):
    assert [each["kind"] for each in factors_of([method])] == kinds


def test_a_user_without_a_name_or_an_address_is_read():
    record = user_of({"user_id": "sms|1"}, {})
    assert (record["login"], record["status"]) == ("sms|1", "active")
    assert "email" not in record
    assert "created_at" not in record


# --- With a private key -------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def key():
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def pem(key):
    form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    return key.private_bytes(*form).decode()


def connect_with_key(server, key, **document):
    settings = {
        "client_secret": "",
        "authorization": "private_key_jwt",
        "private_key": pem(key),
        "admin_roles": [],
        "passes": {"groups": False, "factors": False},
    }
    return connect(server, **settings | document)


@pytest.mark.parametrize("algorithm", ["RS256", "PS256"])
@pytest.mark.parametrize("key_id", ["", "kid-of-the-credential"])
def test_an_assertion_that_the_key_signs_gets_a_token_each_time(key, algorithm, key_id):
    with ScriptedServer(tenant(public_key=key.public_key(), algorithm=algorithm)) as server:
        connection = connect_with_key(server, key, algorithm=algorithm, key_id=key_id)
        done = sync(connection)
        server.provider.tokens.clear()
        renewed = sync(connection)
        forms = [each.form for each in server.asked if each.path == "/oauth/token"]

    assert (done.state, done.error, renewed.state) == (Sync.State.SUCCEEDED, "", Sync.State.SUCCEEDED)
    assert len(server.provider.used_ids) == len(forms) == 2
    assert not [form for form in forms if "client_secret" in form]


@pytest.mark.parametrize(
    ("document", "words"),
    [
        ({"private_key": "another"}, "Invalid client assertion"),
        ({"algorithm": "PS256"}, "Invalid client assertion"),
        ({"key_id": "kid-of-another"}, "no credential of this kid"),
        ({"client_id": "another0Client0Id"}, "another client"),
    ],
)
def test_an_assertion_that_auth0_refuses_fails_the_sync_with_its_words(key, document, words):
    if document.get("private_key"):
        document = {"private_key": pem(rsa.generate_private_key(public_exponent=65537, key_size=2048))}
    with ScriptedServer(tenant(public_key=key.public_key())) as server:
        connection = connect_with_key(server, key, **document)
        done = sync(connection)

    assert (done.state, Account.objects.count()) == (Sync.State.FAILED, 0)
    assert words in done.error
    assert "PRIVATE KEY" not in done.error


def test_a_secret_does_not_replace_the_key(key):
    with ScriptedServer(tenant(public_key=key.public_key())) as server:
        assert "Client authentication is required" in sync(connect(server)).error


def test_a_text_that_is_no_key_is_refused(key):
    with ScriptedServer(tenant()) as server, pytest.raises(InvalidDocument) as raised:
        connect_with_key(server, key, private_key="-----BEGIN PRIVATE KEY-----")
    assert set(raised.value.errors) == {"private_key"}
