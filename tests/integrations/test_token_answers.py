"""Answers of token endpoints as servers were seen to write them."""

import json
from datetime import UTC, datetime

import pytest
from hypothesis import given, strategies as st

from integrations.auth.token_answers import AnswerError, TokenAnswer, parse_token_answer

NOW = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)
JSON = "application/json"


def read(body, status=200, content_type=JSON):
    return parse_token_answer(
        status, content_type, body if isinstance(body, bytes) else json.dumps(body).encode(), NOW
    )


@pytest.mark.parametrize(
    "kind",
    ["Bearer", "bearer", "BEARER", "Bearer ", "BearerToken", "bearertoken", "bearer_token", "Bearer Token", "", " ", "null", None],
)  # fmt: skip
def test_these_token_types_mean_bearer(kind):
    """https://github.com/DuendeArchive/Support/issues/1413, https://github.com/spring-attic/spring-security-oauth/issues/676"""
    answer = {"access_token": "t", "token_type": kind, "expires_in": 60}
    assert read(answer) == TokenAnswer("t", 60)


def test_a_missing_token_type_means_bearer():
    assert read({"access_token": "t", "expires_in": 60}) == TokenAnswer("t", 60)


@pytest.mark.parametrize("kind", ["mac", "DPoP", "N_A", 7, False, [], ["Bearer"], {"a": 1}, "Bearer, mac"])
def test_other_token_types_cannot_be_sent(kind):
    with pytest.raises(AnswerError, match=r"its token_type is “.+”; only Bearer can be sent\."):
        read({"access_token": "t", "token_type": kind})


@pytest.mark.parametrize(
    "error",
    [
        None,
        "",
        " ",
        "null",
        "None",
        "0",
        False,
        0,
        [],
        {},
        [None],
        {"code": 0, "message": ""},
        {"error": None},
    ],
)
def test_an_empty_error_beside_a_token_is_none(error):
    """https://github.com/CZ-NIC/pyoidc/issues/879"""
    answer = {"access_token": "t", "error": error, "error_description": error, "expires_in": 300}
    assert read(answer) == TokenAnswer("t", 300)


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ({"error": "invalid_scope", "error_description": "no such scope"}, "the error invalid_scope: no such scope."),
        ({"access_token": "t", "error": "invalid_scope", "error_description": None}, "the error invalid_scope."),
        ({"error": {"code": 5}}, 'the error {"code": 5}.'),
        ({"error": "", "error_description": "no client"}, "it answered 200 without access_token: no client."),
        ({"error": None, "error_description": "locked"}, "it answered 200 without access_token: locked."),
        ({"fault": {"faultstring": "Invalid ApiKey", "detail": {"errorcode": "x"}}}, "without access_token: Invalid ApiKey."),
        ({"errors": [{"message": "no such client", "code": 17}]}, "without access_token: no such client."),
        ({"errors": ["one", "two"]}, "without access_token: one; two."),
        ({"message": "Forbidden by policy."}, "without access_token: Forbidden by policy."),
        ({"errorSummary": "no"}, "without access_token: no."),
        ({"Message": "no"}, "without access_token: no."),
        ({"data": {"access_token": "hidden"}}, "it answered 200 without access_token."),
        ({"error": None}, "it answered 200 without access_token."),
        ({"access_token": None, "error": None}, "its access_token is null"),
        ({"access_token": None, "message": "locked"}, "its access_token is null: locked."),
        ({"access_token": ""}, "its access_token is empty."),
        ({"access_token": " ", "error_description": "locked"}, "its access_token is empty: locked."),
        ({"access_token": "Bearer "}, "its access_token is the word “Bearer” without a token."),
        ({"access_token": "bearer"}, "its access_token is the word “bearer” without a token."),
        ({"access_token": 5}, "its access_token is a number, not a text."),
        ({"access_token": True}, "its access_token is true or false, not a text."),
        ({"access_token": {"token": "hidden"}}, "its access_token is an object, not a text."),
        ({"access_token": ["hidden"]}, "its access_token is a list, not a text."),
        ({"access_token": "t", "error": {"code": 0, "message": "no"}}, '"message": "no"'),
        ({"access_token": "a b"}, "characters that a header must not contain"),
    ],
)  # fmt: skip
def test_an_answer_without_a_token_says_why(answer, said):
    with pytest.raises(AnswerError) as caught:
        read(answer)
    assert said in str(caught.value)
    assert "hidden" not in str(caught.value)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (120, 120), (59.9, 59), ("120", 120), (" 120 ", 120), ("3599.0", 3599), ("3599.9", 3599), ("3600s", 3600),
        ("Sun, 01 Mar 2026 13:00:00 GMT", 3600), ("2026-03-01T12:10:00Z", 600), ("2026-03-01T14:10:00+02:00", 600),
        (10**12, 2592000), ("9" * 300, 2592000), ("9" * 600, 2592000), (10**400, 2592000), (float("inf"), 2592000),
        ("Fri, 31 Dec 9999 23:59:59 GMT", 2592000), ("1 hour", 3600), ("60 minutes", 3600),
        # Unix times, as expires_on elsewhere.
        (int(NOW.timestamp()) + 600, 600), (str(int(NOW.timestamp()) + 600), 600), (int(NOW.timestamp()) * 1000 + 600_000, 600),
    ],
)  # fmt: skip
def test_the_lifetime_is_a_number_in_any_form_or_a_date(value, seconds):
    assert read({"access_token": "t", "expires_in": value}) == TokenAnswer("t", seconds)


@pytest.mark.parametrize(
    "value",
    [
        None,
        "",
        " ",
        0,
        -1,
        "-1",
        -(10**400),
        "0",
        "soon",
        [1],
        {},
        True,
        float("nan"),
        "2020-01-01T00:00:00Z",
        int(NOW.timestamp()) - 60,
    ],
)
def test_without_a_usable_lifetime_an_hour_is_assumed(value):
    assert read({"access_token": "t", "expires_in": value}) == TokenAnswer("t", 3600, is_assumed=True)


@pytest.mark.parametrize(
    ("digits", "answer"),
    [
        ("9" * 4300, TokenAnswer("t", 2592000)),
        ("9" * 5000, TokenAnswer("t", 2592000)),
        ("-" + "9" * 5000, TokenAnswer("t", 3600, is_assumed=True)),
    ],
)
def test_a_number_of_thousands_of_digits_does_not_spoil_the_answer(digits, answer):
    """Python reads no int of more than 4,300 digits."""
    assert read(b'{"access_token":"t","expires_in":%s}' % digits.encode()) == answer


def test_a_refusal_with_such_a_number_says_its_error():
    with pytest.raises(AnswerError, match="it answered 400: invalid_client"):
        read(b'{"error":"invalid_client","trace":%s}' % (b"9" * 5000), status=400)


def test_an_error_beside_a_token_counts_whatever_its_word():
    """RFC 6749 §5.2: the key names an error; no server is known that means success by it."""
    with pytest.raises(AnswerError, match="with the error success"):
        read({"access_token": "t", "error": "success"})


@pytest.mark.parametrize("content_type", ["text/html", "text/html; charset=utf-8", "text/plain", "", JSON])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le"])
def test_json_counts_whatever_announces_it(content_type, encoding):
    body = '\r\n {"access_token": "t", "token_type": "Bearer", "expires_in": 60}\n'.encode(encoding)
    assert read(body, content_type=content_type) == TokenAnswer("t", 60)


def test_two_byte_order_marks_are_skipped():
    assert read(b'\xef\xbb\xbf\xef\xbb\xbf{"access_token":"t"}').token == "t"


@pytest.mark.parametrize(
    ("body", "content_type", "said"),
    [
        (b"<html>Sign in</html>", "text/html", "with HTML instead of a token."),
        (b"\xef\xbb\xbf<!doctype html>", JSON, "with HTML instead of a token."),
        (b"Sign in, please: access_token=", "text/html", "with HTML instead of a token."),
        (b"", JSON, "with application/json, not a JSON object."),
        (b"[]", "", "with no content type, not a JSON object."),
        (b'{"access_token": ', JSON, "with JSON that cannot be read."),
        (b"error=invalid_client&error_description=no", "text/plain", "with the error invalid_client: no."),
    ],
)
def test_what_is_no_token_is_named(body, content_type, said):
    with pytest.raises(AnswerError) as caught:
        read(body, content_type=content_type)
    assert f"it answered 200 {said}" in str(caught.value)


def test_control_characters_in_a_text_and_behind_the_object_do_no_harm():
    assert read(b'{"access_token":"t","description":"one\ttwo\nthree"}\r\n\0').token == "t"


def test_the_scheme_before_a_token_is_not_sent_twice():
    assert read({"access_token": "Bearer abc"}).token == "abc"


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"error": "invalid_client", "error_description": "no"}, "it answered 401: invalid_client (no)."),
        ({"error": {"message": "no such client"}}, "no such client"),
        ({"error": None, "error_description": "no such client"}, "it answered 401: no such client."),
        ({"error": "", "error_description": ""}, "it answered 401."),
        ({"error": None, "message": "locked account"}, "it answered 401: locked account."),
        ({"fault": {"faultstring": "Invalid ApiKey"}}, "it answered 401: Invalid ApiKey."),
        ({"errors": [{"message": "no such client"}]}, "it answered 401: no such client."),
        ({"errors": "no"}, "it answered 401: no."),
        (
            {"errorCode": "E0000011", "errorSummary": "Invalid token provided"},
            "it answered 401: Invalid token provided.",
        ),
        ({"access_token": "hidden", "errors": [{"access_token": "hidden"}]}, "it answered 401."),
    ],
)
def test_a_refusal_says_its_error_also_a_nested_one(body, said):
    with pytest.raises(AnswerError) as caught:
        read(body, status=401)
    assert said in str(caught.value)


@pytest.mark.parametrize("content_type", ["text/html", "text/plain", "application/x-www-form-urlencoded"])
def test_a_form_counts_whatever_announces_it(content_type):
    assert read(
        b"token_type=bearer&access_token=a%2Bb&expires_in=60", content_type=content_type
    ) == TokenAnswer("a+b", 60)


def test_a_form_is_read_like_json():
    assert read(
        b"access_token=old&token_type=bearer&expires_in=60", content_type="text/plain"
    ) == TokenAnswer("old", 60)


@given(st.binary(max_size=60) | st.recursive(st.none() | st.floats() | st.text(), st.lists))
def test_any_answer_is_read_or_named(value):
    lifetime = b'{"access_token":"t","expires_in":%s}' % json.dumps(value, default=str).encode()
    assert 1 <= read(lifetime).lifetime <= 2592000
    if isinstance(value, bytes):
        with pytest.raises(AnswerError, match="it answered 200"):
            read(value)
