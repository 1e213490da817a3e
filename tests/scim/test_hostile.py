"""Requests that mean harm, or are broken: refused in a few words, nothing stored, nothing revealed."""

import json
import re

import pytest
from django.test import Client

from cii_project.scim.bodies import MAX_VALUES
from cii_project.web.bodies import MAX_PUSH_BYTES
from integrations.models import PushToken, ScimResource
from tests.scim.worlds import CHECKS, ENTERPRISE, Sender, connect, error

pytestmark = pytest.mark.django_db
MIB = 1024 * 1024


def refused(sender, body, kind="invalidSyntax", path="Users"):
    answer = sender.send("POST", path, body)
    assert error(answer)[:2] == (400, kind)
    assert not ScimResource.objects.exists()
    return error(answer)[2]


@pytest.mark.parametrize(
    "authorization",
    ["", "Bearer", "Bearer ", "Bearer guess", "Basic cHVzaDp4", "Bearer \xff\xfe", "x" * 5_000],
)
@pytest.mark.parametrize(
    "path", ["push/Users", "push/ServiceProviderConfig", "push/none", "nobody/Users", "p" * 300 + "/Users"]
)
def test_without_a_valid_token_every_request_is_answered_alike(sender, authorization, path):
    answer = Client().get(f"/scim/v2/{path}", headers={"Authorization": authorization})
    assert answer["WWW-Authenticate"] == "Bearer"
    assert error(answer) == (401, "", "The request is not authorized.")


def test_the_token_of_another_source_is_not_accepted(sender):
    other = Sender(*connect("other"))
    sender.create()
    sender.token, other.token = other.token, sender.token
    assert error(sender.get("Users"))[0] == 401
    assert error(other.get("Users"))[0] == 401


def test_a_user_of_another_source_is_not_there(sender):
    made = sender.create()
    other = Sender(*connect("other"))
    assert error(other.get(f"Users/{made['id']}"))[0] == 404
    assert error(other.send("DELETE", f"Users/{made['id']}"))[0] == 404
    assert other.get('Users?filter=userName eq "ann@example.com"').json()["totalResults"] == 0


def test_a_session_does_not_help(sender, admin_client):
    assert admin_client.get("/scim/v2/push/Users").status_code == 401


def test_only_a_digest_of_the_token_is_stored(sender):
    assert sender.token not in str(PushToken.objects.values().get())
    assert re.fullmatch(r"[0-9a-f]{64}", PushToken.objects.get().digest)


@pytest.mark.parametrize("opening", ["[", '{"a":'])
@pytest.mark.parametrize("depth", [40, 5_000, 200_000])
def test_deep_json(sender, opening, depth):
    refused(sender, (opening * depth).encode())
    closing = "]" if opening == "[" else "}"
    refused(sender, (f'{{"userName":"a","x":{opening * depth}0{closing * depth}}}').encode())


def test_an_object_with_a_name_twice(sender):
    assert "twice" in refused(sender, b'{"userName":"a","userName":"b"}')
    assert "twice" in refused(sender, b'{"userName":"a","name":{"givenName":"a","givenName":"b"}}')


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"\xff\xfe\x00",
        b'{"userName":"a"} x',
        b'{"userName":NaN}',
        b'{"userName":' + b"9" * 5_000 + b"}",
        b"userName=a",
    ],
)
def test_what_is_no_json(sender, body):
    refused(sender, body)


@pytest.mark.parametrize("body", [b"[]", b'"x"', b"5", b"null"])
def test_json_that_is_no_object(sender, body):
    refused(sender, body, "invalidValue")


def test_more_values_than_a_body_may_hold(sender):
    refused(sender, b"[" + b"[]," * MAX_VALUES + b"[]]")
    refused(sender, b'{"x":[' + b"1," * MAX_VALUES + b"1]}")


@pytest.mark.parametrize(
    "content_type",
    ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "", "text/html"],
)
def test_another_media_type(sender, content_type):
    answer = sender.send("POST", "Users", b'{"userName":"a"}', content_type=content_type)
    assert error(answer)[0] == 415


@pytest.mark.parametrize("bad", ["a\0b", "a\ud800b", "\udfff"])
@pytest.mark.parametrize(
    "body",
    [
        lambda bad: {"userName": bad},
        lambda bad: {"userName": "a", "name": {"givenName": bad}},
        lambda bad: {"userName": "a", "emails": [{"value": bad}]},
        lambda bad: {"userName": "a", ENTERPRISE: {"department": bad}},
        lambda bad: {"userName": "a", CHECKS: {"adminRoles": [bad]}},
        lambda bad: {"userName": "a", "externalId": bad},
    ],
)
def test_text_that_no_database_stores(sender, body, bad):
    refused(sender, json.dumps(body(bad)).encode(), "invalidValue")


@pytest.mark.parametrize("bad", ["\0", "\ud800"])
def test_unstorable_text_in_filters_paths_and_ids(sender, bad):
    made = sender.create()
    escaped = json.dumps(bad)
    for text in (
        f"userName eq {escaped}",
        f"externalId eq {escaped}",
        f"id eq {escaped}",
        f"title co {escaped}",
    ):
        found = sender.send("POST", "Users/.search", {"filter": text})
        assert (found.status_code, found.json()["totalResults"]) == (200, 0)
    assert error(sender.get("Users/a%00b"))[0] == 404
    assert error(sender.get('Users?filter=userName eq "%00"x'))[0] == 400
    assert (
        sender.patch(f"Users/{made['id']}", {"op": "add", "path": f"x{bad}", "value": "y"}).status_code == 200
    )
    answer = sender.patch(f"Users/{made['id']}", {"op": "add", "path": "title", "value": bad})
    assert error(answer)[:2] == (400, "invalidValue")
    answer = sender.send("POST", "Groups", {"displayName": "G", "members": [{"value": bad}]})
    assert error(answer)[:2] == (400, "invalidValue")
    assert sender.get(f"Users/{made['id']}", **{"If-None-Match": "\xff"}).status_code == 200


@pytest.mark.parametrize(
    "body",
    [
        {"userName": "a" * 321},
        {"userName": "a", "externalId": "x" * 256},
        {"userName": "a", "title": "x" * 5_000},
        {"userName": "a", "emails": [{"value": f"{number}@example.com"} for number in range(1_001)]},
        {"userName": "a", "active": 7},
        {"userName": "a", "active": "maybe"},
        {"userName": "a", "name": ["Ann", "Ames"]},
        {"userName": ["a", "b"]},
        {"userName": {"a": 1}},
        {"userName": "a", ENTERPRISE: "Finance"},
        {"userName": "a", CHECKS: {"failedSignIns": "many"}},
        {"userName": "a", CHECKS: {"failedSignIns": 1e300}},
        {"userName": "a", CHECKS: {"lastSignInAt": "yesterday"}},
        {"userName": "a", CHECKS: {"lastSignInAt": "20261101101112Z"}},
        {"userName": " "},
        {"userName": "unknown"},
    ],
)
def test_values_that_are_refused(sender, body):
    refused(sender, body, "invalidValue")


def test_a_large_body_is_taken_with_a_token_and_refused_without(sender):
    body = json.dumps({"userName": "ann@example.com", "x": "x" * 7 * MIB}).encode()
    assert sender.send("POST", "Users", body).status_code == 201
    too_large = b" " * (9 * MIB)
    assert error(sender.send("POST", "Users", too_large))[0] == 413
    sender.token = "guess"
    assert error(sender.send("POST", "Users", too_large))[0] == 401
    assert MAX_PUSH_BYTES == 8 * MIB


def test_a_body_of_unknown_length(sender):
    answer = sender.send("POST", "Users", b'{"userName":"a"}', **{"Transfer-Encoding": "chunked"})
    assert error(answer)[0] == 411


def test_a_request_of_another_origin_needs_no_csrf_token_and_gets_no_session(sender):
    answer = sender.send("POST", "Users", {"userName": "ann@example.com"}, Origin="https://evil.example")
    assert answer.status_code == 201
    assert not answer.cookies


def test_no_secret_is_logged(sender, caplog):
    with caplog.at_level("DEBUG"):
        sender.create(displayName="Ann Ames", password="s3cret-of-ann")
    lines = " ".join(f"{record.getMessage()} {vars(record)}" for record in caplog.records)
    assert "Pushed" in lines
    for secret in (sender.token, "s3cret-of-ann", "Ann Ames"):
        assert secret not in lines
