"""Duo: users with factors, bypass and groups, and the log of authentications, from the documented answers to accounts."""

import base64
import time
from email.utils import formatdate

import pytest

from checks.models import Account
from checks.services import add_source
from cii_project.tools.scripted_sources.duo import ScriptedDuo, duo_error, duo_event, duo_phone, duo_user
from cii_project.tools.scripted_sources.server import ScriptedServer
from integrations.models import Sync
from integrations.services import probe_connection, save_connection
from integrations.sources.duo.kind import SignedAuth, factors_of, user_of
from tests.sync.worlds import account, sync

pytestmark = pytest.mark.django_db(transaction=True)

GROUP = {"group_id": "DG1", "name": "Finance", "status": "Active"}
BYPASSING = {"group_id": "DG2", "name": "Pilots", "status": "Bypass"}


def customer(**values):
    """Ann has push and a security key; Bob is in bypass; Cem by a group; Dee is locked out and never signed in."""
    return ScriptedDuo(
        **{
            "users": [
                duo_user(
                    "DU1",
                    "ann",
                    email="ann.ames@example.com",
                    realname="Ann Ames",
                    aliases={"alias1": "1001"},
                    groups=[GROUP],
                    phones=[duo_phone("DP1", "+15550100", "push", "sms", "phone", "mobile_otp")],
                    webauthncredentials=[
                        {"webauthnkey": "WA1", "label": "Touch ID", "credential_name": "Mac"}
                    ],
                ),
                duo_user("DU2", "bob", status="bypass"),
                duo_user("DU3", "cem", groups=[GROUP, BYPASSING], tokens=[{"token_id": "DH1", "type": "h6"}]),
                duo_user("DU4", "dee", status="locked out", last_login=None),
            ]
        }
        | values
    )


def connect(server, **document):
    add_source(slug="duo", name="Duo", kind="identity", provider="DUO")
    settings = {
        "url": server.url,
        "integration_key": server.provider.integration_key,
        "secret_key": server.provider.secret_key,
    }
    return save_connection(slug="duo", kind="duo", document=settings | document)[0]


def test_one_list_brings_users_with_factors_bypass_and_groups():
    with ScriptedServer(customer()) as server:
        done = sync(connect(server))

    assert (done.state, done.error, len(server.asked)) == (Sync.State.SUCCEEDED, "", 1)
    ann, bob, cem, dee = (account(name) for name in ("ann", "bob", "cem", "dee"))
    assert (ann.source_key, ann.email, ann.display_name, ann.groups) == (
        "DU1",
        "ann.ames@example.com",
        "Ann Ames",
        ["Finance"],
    )
    assert [each["kind"] for each in ann.mfa_factors] == ["push", "sms", "voice", "totp", "webauthn"]
    assert (ann.mfa, ann.phishing_resistant, bob.mfa, cem.mfa, cem.assurance) == (True, True, False, True, 2)
    assert [each.mfa_bypass for each in (ann, bob, cem, dee)] == [False, True, True, False]
    assert [each.status for each in (ann, bob, dee)] == ["active", "active", "locked_out"]
    assert (ann.created_at.year, ann.last_sign_in_at.year) == (2024, 2025)
    assert (dee.last_sign_in_at, dee.last_sign_in_known) == (None, True)


def test_a_second_sync_of_the_same_changes_nothing():
    events = [duo_event("DU1", int(time.time()) - 7_200, "success", "United States", "192.0.2.1")]
    with ScriptedServer(customer(page=3, events=events)) as server:
        connection = connect(server, passes={"sign_ins": True})
        sync(connection)
        again = sync(connection)

    assert [(each.slug, each.created, each.changed, each.deleted) for each in again.passes.all()] == [
        (slug, 0, 0, 0) for slug in ("users", "sign_ins")
    ]


def test_the_log_brings_country_and_address_of_the_last_success_and_failures_since():
    now = int(time.time())
    events = [
        duo_event("DU1", now - 9_000, "denied"),
        duo_event("DU1", now - 8_000, "success", "France", "192.0.2.1"),
        duo_event("DU1", now - 7_000, "success", "United States", "192.0.2.2"),
        duo_event("DU1", now - 6_000, "denied"),
        duo_event("DU1", now - 5_000, "fraud"),
        duo_event("DU2", now - 4_000, "success", "Atlantis", "192.0.2.3"),
        duo_event("DU3", now - 9 * 86_400, "denied"),
    ]
    with ScriptedServer(customer(events=events, page=4)) as server:
        done = sync(connect(server, passes={"sign_ins": True}))

    assert (done.state, done.passes.get(slug="sign_ins").pages) == (Sync.State.SUCCEEDED, 2)
    ann, bob, cem = (account(name) for name in ("ann", "bob", "cem"))
    assert (ann.last_sign_in_country, ann.last_sign_in_ip, ann.failed_sign_ins) == ("US", "192.0.2.2", 2)
    assert (bob.last_sign_in_country, bob.failed_sign_ins, cem.failed_sign_ins) == ("", 0, None)
    assert ann.last_sign_in_at.year == 2025


def test_an_alias_may_hold_the_employee_id():
    with ScriptedServer(customer()) as server:
        sync(connect(server, attributes=["employee_id=aliases.alias1"]))

    assert (account("ann").employee_id, account("bob").employee_id) == ("1001", "")


# --- Pages ----------------------------------------------------------------------------------------------


def many(count=12, **values):
    return customer(users=[duo_user(f"DU{n:02}", f"user{n:02}") for n in range(count)], page=4, **values)


def test_the_list_is_read_again_when_somebody_was_deleted_meanwhile():
    duo = many()
    with ScriptedServer(duo) as server:

        def delete_one(asked):
            if asked.number == 2:
                del duo.users[0]

        server.disturb = delete_one
        done = sync(connect(server))

    assert (done.state, done.passes.get(slug="users").restarts) == (Sync.State.SUCCEEDED, 1)
    assert Account.objects.count() == 11


def test_a_user_who_was_added_meanwhile_does_not_start_the_list_again():
    duo = many()
    with ScriptedServer(duo) as server:

        def add_one(asked):
            if asked.number == 2:
                duo.users.append(duo_user("DU99", "new"))

        server.disturb = add_one
        done = sync(connect(server))

    assert (done.passes.get(slug="users").restarts, Account.objects.count()) == (0, 13)


def test_a_renamed_user_keeps_the_account_and_a_deleted_one_goes():
    duo = many(40)
    with ScriptedServer(duo) as server:
        connection = connect(server)
        sync(connection)
        before = account("user05").pk
        duo.users[5]["username"] = "renamed"
        del duo.users[39]
        sync(connection)

    assert account("renamed").pk == before
    assert account("user39").status == "deleted"


def test_a_user_who_is_to_be_deleted_is_deleted():
    duo = many()
    with ScriptedServer(duo) as server:
        connection = connect(server)
        sync(connection)
        duo.users[3]["status"] = "pending deletion"
        sync(connection)

    assert account("user03").status == "deleted"


# --- Permissions, limits, outages -----------------------------------------------------------------------


def test_a_log_that_may_not_be_read_is_said_and_leaves_its_fields_unknown():
    with ScriptedServer(customer(forbidden=("/admin/v2/logs",))) as server:
        connection = connect(server, passes={"sign_ins": True})
        found = {each.name: each for each in probe_connection(connection).permissions}
        done = sync(connection)

    assert {name: str(each.state) for name, each in found.items()} == {
        "Users": "granted",
        "Log of authentications": "missing",
    }
    assert found["Log of authentications"].detail.endswith(
        "403: 40301: Access forbidden. It needs Grant read log."
    )
    assert (done.state, account("ann").failed_sign_ins) == (Sync.State.PARTIAL, None)


@pytest.mark.parametrize(
    ("document", "text"),
    [
        ({"secret_key": "wrong0123456789wrong0123456789wrong01234"}, "40103: Invalid signature"),
        ({"integration_key": "DIANOTHER0123456789X"}, "40102: Invalid integration key"),
    ],
)
def test_a_wrong_key_ends_the_sync_without_a_change(document, text):
    with ScriptedServer(customer()) as server:
        done = sync(connect(server, **document))

    assert (done.state, Account.objects.count()) == (Sync.State.FAILED, 0)
    assert text in done.error


def test_a_limit_is_waited_for():
    with ScriptedServer(customer()) as server:
        once = iter([True])
        server.disturb = lambda asked: duo_error(429) if next(once, False) else None
        done = sync(connect(server))

    assert (done.state, done.waited_seconds) == (Sync.State.SUCCEEDED, 60)


def test_an_outage_in_the_middle_of_the_list_deletes_nobody():
    with ScriptedServer(many()) as server:
        connection = connect(server)
        sync(connection)
        before = list(Account.objects.order_by("pk").values())
        server.disturb = lambda asked: duo_error(500) if asked.query.get("offset") == "8" else None
        done = sync(connection)

    assert done.state == Sync.State.FAILED
    assert list(Account.objects.order_by("pk").values()) == before


# --- Words and signatures -------------------------------------------------------------------------------


def test_a_phone_without_the_activated_app_gets_calls_and_messages_alone():
    phone = duo_phone("DP1", "+15550100", "push", "mobile_otp", "sms", "phone", activated=False)
    assert factors_of({"phones": [phone]}) == [
        {"kind": "sms", "device": "+15550100"},
        {"kind": "voice", "device": "+15550100"},
    ]


def test_a_word_that_duo_may_add_is_passed_on_for_the_import_to_count():
    assert user_of(duo_user("DU1", "ann", status="on parole"), {})["status"] == "on parole"


def test_a_signature_is_that_of_duo_s_own_client():
    # Made with duo_client 5.7.0, signature version 5.
    url = "https://api-XXXXXXXX.duosecurity.com/admin/v1/users?limit=300&offset=0&b+~x=%C3%A4%2F%C3%A9%26%3D%2B+%2A"
    auth = SignedAuth("DIWJ8X6AEYOR5OMC6TQ1", "Zh5eGmUq9zpfQnyUIu5OL9iWoMMv5ZNmk3zLJ4Ep")
    signed = auth.signature("GET", url, "Tue, 21 Aug 2012 17:29:18 -0000")
    assert base64.b64decode(signed.removeprefix("Basic ")).decode() == (
        "DIWJ8X6AEYOR5OMC6TQ1:ca2f1c2e35fa6f25dcaa30615c5a900207efbde3a5a02a0ccfbdbac9cd1a1fd"
        "901cc92d6a0cfd3cdd9f6afa57a69d32e1e56c1008a9de9e904774c2f47a2e9c8"
    )


def test_a_request_carries_the_date_that_it_signs():
    with ScriptedServer(customer()) as server:
        sync(connect(server))
    assert server.asked[0].headers["Date"].endswith("-0000")
    assert len(server.asked[0].headers["Date"]) == len(formatdate())
