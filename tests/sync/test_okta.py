"""Okta: users, factors, roles, groups and applications, from the documented answers to accounts."""

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from checks.models import Account, FieldGroup, SourceFreshness
from checks.services import add_source
from cii_project.sync import driver, importing
from cii_project.tools.scripted_sources.okta import ScriptedOkta, okta_factor, okta_user
from integrations.models import SpooledPage, Sync
from integrations.services import save_connection
from integrations.sources.okta.kind import factor_of, user_of
from tests.sync.worlds import account, connect, serving, small_okta, sync

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_sync_brings_users_with_their_factors_roles_and_groups():
    with serving(small_okta()) as server:
        done = sync(connect(server))

    assert (done.state, done.error) == (Sync.State.SUCCEEDED, "")
    ann, bob, cem, dee = (account(name) for name in LOGINS)
    assert (ann.source_key, ann.department, ann.employee_id) == ("00u1", "Finance", "1001")
    assert ann.mfa_factors == [{"kind": "webauthn", "status": "ACTIVE", "device": "key-of-ann"}]
    assert (ann.admin_roles, ann.groups, ann.phishing_resistant) == (
        ["Super Administrator"],
        ["Payroll"],
        True,
    )
    assert (bob.mfa, bob.assurance, bob.admin_roles) == (True, 1, [])
    assert (cem.mfa, cem.mfa_factors, cem.groups) == (False, [], [])
    assert (dee.status, dee.mfa_factors) == ("deprovisioned", None)


LOGINS = ("ann.ames@example.com", "bob.bell@example.com", "cem.cole@example.com", "dee.dorn@example.com")


def test_a_user_who_never_signed_in_is_known_as_such():
    with serving(small_okta()) as server:
        sync(connect(server))

    cem = account("cem.cole@example.com")
    assert (cem.last_sign_in_at, cem.last_sign_in_known) == (None, True)


def test_nothing_of_what_was_read_stays_in_the_spool():
    with serving(small_okta()) as server:
        sync(connect(server))

    assert not SpooledPage.objects.exists()


def test_the_listing_is_followed_page_by_page_and_by_search_so_that_deprovisioned_users_come_too():
    with serving(small_okta(page=2)) as server:
        sync(connect(server))

    listing = [each for each in server.asked if each.path == "/api/v1/users"]
    assert len(listing) == 2
    assert listing[0].query["search"] == "status pr"
    assert Account.objects.count() == 4


def test_every_group_of_fields_has_its_age_and_a_highest_one():
    with serving(small_okta()) as server:
        sync(connect(server))

    ages = dict(SourceFreshness.objects.values_list("group", "max_age_days"))
    assert ages == dict.fromkeys(
        (
            FieldGroup.PROFILE,
            FieldGroup.SIGN_IN,
            FieldGroup.PASSWORD,
            FieldGroup.ROLES,
            FieldGroup.GROUPS,
            FieldGroup.FACTORS,
        ),
        14,
    )


def test_a_second_sync_of_the_same_changes_nothing():
    with serving(small_okta()) as server:
        connection = connect(server)
        sync(connection)
        again = sync(connection)

    assert [(each.slug, each.created, each.changed, each.deleted) for each in again.passes.all()] == [
        (slug, 0, 0, 0) for slug in ("users", "roles", "groups", "factors")
    ]


def test_a_changed_factor_changes_that_account_alone():
    okta = small_okta()
    with serving(okta) as server:
        connection = connect(server)
        sync(connection)
        okta.factors["00u3"] = [{"factorType": "push", "provider": "OKTA", "status": "ACTIVE", "profile": {}}]
        again = sync(connection)

    assert again.passes.get(slug="factors").changed == 1
    assert account("cem.cole@example.com").mfa is True
    assert account("cem.cole@example.com").status == "active"


def test_factors_of_more_users_than_are_imported_at_a_time_all_arrive(monkeypatch):
    monkeypatch.setattr(importing, "READ_AT_ONCE", 2)
    # A page of the spool holds the answers about so many users.
    monkeypatch.setattr(driver, "BATCH", 2)
    keys = [f"00u{number}" for number in range(9)]
    okta = ScriptedOkta(
        users={key: okta_user(key, f"{key}@example.com") for key in keys},
        factors={key: [okta_factor("push")] for key in keys[::2]},
    )
    with serving(okta) as server:
        sync(connect(server))

    found = dict(Account.objects.values_list("source_key", "mfa"))
    assert found == {key: number % 2 == 0 for number, key in enumerate(keys)}


def test_a_user_who_left_the_listing_is_deleted_and_one_who_was_renamed_keeps_the_account():
    okta = small_okta()
    for number in range(5, 30):
        okta.users[f"00u{number:02}"] = {**okta.users["00u2"], "id": f"00u{number:02}"}
        okta.users[f"00u{number:02}"]["profile"] = {
            **okta.users["00u2"]["profile"],
            "login": f"user{number}@example.com",
            "email": f"user{number}@example.com",
        }
    with serving(okta) as server:
        connection = connect(server)
        sync(connection)
        before = account("bob.bell@example.com").pk
        okta.users["00u2"]["profile"] |= {"login": "rob.bell@example.com", "email": "rob.bell@example.com"}
        del okta.users["00u05"]
        sync(connection)

    assert account("rob.bell@example.com").pk == before
    assert account("user5@example.com").status == "deleted"


def test_a_pass_without_permission_leaves_its_fields_unknown_and_the_sync_partial():
    with serving(small_okta(forbidden=("/api/v1/iam",))) as server:
        done = sync(connect(server))

    assert done.state == Sync.State.PARTIAL
    assert "E0000006" in done.passes.get(slug="roles").error
    assert {each.admin_roles for each in Account.objects.all()} == {None}
    assert account("ann.ames@example.com").mfa is True


def test_a_credential_that_is_refused_ends_the_sync_without_a_change():
    with serving(small_okta()) as server:
        done = sync(connect(server, api_token="00wrong-token"))

    assert done.state == Sync.State.FAILED
    assert done.error.startswith(
        "The provider does not accept the credential. The provider answered 401: E0000011"
    )
    assert not Account.objects.exists()


def test_a_listing_of_nobody_fails_and_deletes_nobody():
    okta = small_okta()
    with serving(okta) as server:
        connection = connect(server)
        sync(connection)
        okta.users.clear()
        done = sync(connection)

    assert done.state == Sync.State.FAILED
    assert "lists no user" in done.error
    assert not Account.objects.filter(status="deleted").exists()


def test_a_user_who_is_gone_between_the_listing_and_the_factors_is_skipped():
    okta = small_okta()
    with serving(okta) as server:
        connection = connect(server)

        def gone(asked):
            if asked.path.endswith("/factors"):
                okta.users.pop("00u3", None)

        server.disturb = gone
        done = sync(connection)

    assert done.state == Sync.State.SUCCEEDED
    assert done.passes.get(slug="factors").skipped == 1
    assert account("cem.cole@example.com").mfa_factors is None


@pytest.mark.parametrize("nonce", ["", "nonce-of-the-server"], ids=["bearer", "proof of possession"])
def test_a_service_app_is_synced_with_a_token_that_its_key_signs_for(nonce):
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    okta = small_okta(public_key=key.public_key(), nonce=nonce)
    with serving(okta) as server:
        document = {
            "url": server.url,
            "authorization": "service_app",
            "client_id": okta.client_id,
            "private_key": key.private_bytes(*form).decode(),
            "passes": {"groups": True},
        }
        add_source(slug="okta", name="Okta", kind="identity", provider="OKTA")
        connection, _ = save_connection(slug="okta", kind="okta", document=document)
        done = sync(connection)
        okta.access_tokens.clear()
        after_the_end_of_the_token = sync(connection)

    assert (done.state, after_the_end_of_the_token.state) == (Sync.State.SUCCEEDED, Sync.State.SUCCEEDED)
    # An app that requires proofs refuses one request without, and one without its nonce.
    assert server.paths().count("/oauth2/v1/token") == (6 if nonce else 2)


def test_an_application_is_read_where_it_is_chosen_without_the_time_of_its_last_use():
    okta = small_okta(apps={"0oa1": ("Payroll", ["00u1"])})
    with serving(okta) as server:
        sync(connect(server, passes={"groups": False, "applications": True}))

    assert account("ann.ames@example.com").applications == [{"name": "Payroll"}]
    assert account("bob.bell@example.com").applications == []
    assert account("ann.ames@example.com").groups is None


@pytest.mark.parametrize(
    ("factor", "expected"),
    [
        (
            okta_factor("sms", phoneNumber="+15550100"),
            {"kind": "sms", "status": "ACTIVE", "device": "+15550100"},
        ),
        (
            okta_factor("call", phoneNumber="+15550101"),
            {"kind": "voice", "status": "ACTIVE", "device": "+15550101"},
        ),
        (okta_factor("push", credentialId="ann@example.com"), {"kind": "push", "status": "ACTIVE"}),
        (okta_factor("u2f", credentialId="key-1"), {"kind": "fido2", "status": "ACTIVE", "device": "key-1"}),
        (okta_factor("signed_nonce"), {"kind": "fastpass", "status": "ACTIVE"}),
        (
            okta_factor("token", provider="RSA", credentialId="1"),
            {"kind": "hardware_otp_pin", "status": "ACTIVE", "device": "1"},
        ),
        (okta_factor("token", provider="SYMANTEC"), {"kind": "software_oath", "status": "ACTIVE"}),
        (okta_factor("web", provider="DUO"), {"kind": "external", "status": "ACTIVE"}),
        (okta_factor("question", status="NOT_SETUP"), {"kind": "security_question", "status": "NOT_SETUP"}),
        (okta_factor("retina_scan"), {"kind": "retina_scan", "status": "ACTIVE"}),
    ],
    ids=lambda value: value.get("factorType", ""),
)
def test_each_sort_of_factor(factor, expected):
    assert factor_of(factor) == expected


def test_attributes_of_the_organization_and_states_in_between():
    user = okta_user(
        "00u1", "ann@example.com", transitioningToStatus="ACTIVE", status="STAGED", lastLogin=None
    )
    user["profile"] |= {"staffNumber": 17, "costCenters": ["a", "b"], "manager": "Kim Doe"}
    found = user_of(user, {"employee_id": "staffNumber", "department": "costCenters"})
    assert (found["employee_id"], found["department"], found["status"]) == ("17", "a, b", "transient")
    assert found["last_sign_in_at"] is None
    assert "manager" not in found
