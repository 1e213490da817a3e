"""The webhook: the request to the letter of the contract, and every limit of its document."""

import base64
import copy
import hashlib
import json
import time
from pathlib import Path

import pytest
from standardwebhooks import Webhook

from integrations import services
from integrations.target_data import AttemptRequest, InvalidDocument
from integrations.targets import kind_of
from integrations.transport.results import Result
from tests.integrations import sending
from tests.receiver import Behaviour

EVENT = json.loads((Path(__file__).parent / "golden" / "event.json").read_text())
BASIC = {"type": "basic", "username": "cii", "password": "pass-word-1"}
KEY = {"type": "api_key", "name": "x-api-client-token", "value": "token-value-1"}
OAUTH = {
    "type": "oauth",
    "endpoint": "https://id.example.com/token",
    "client_id": "abc",
    "client_secret": "secret-1",
}
WEBHOOK = kind_of("webhook")


def document(**changes):
    return {"url": "https://hook.example.com/in", "authorization": BASIC, **changes}


def errors_of(**changes) -> dict[str, str]:
    try:
        WEBHOOK.clean(document(**changes))
    except InvalidDocument as error:
        return error.errors
    return {}


def deliver(receiver, at=None, **changes):
    changes.setdefault("url", receiver.url("/hook"))
    saved = services.save_integration(name="hook", kind="webhook", document=document(**changes))
    target = services.target_of(saved.integration)
    rendered = WEBHOOK.render(EVENT, target)
    outgoing = AttemptRequest(EVENT["id"], rendered.body, rendered.content_type, at or 1_772_344_805)
    outcome = WEBHOOK.send(outgoing, target)
    return outcome, saved, receiver.requests[-1] if receiver.requests else None


# --- the request ------------------------------------------------------------------------------------------


@pytest.mark.django_db
@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH"])
def test_an_event_goes_out_as_the_contract_says(receiver, method, settings):
    outcome, _, request = deliver(receiver, method=method)
    assert outcome.result == Result.DELIVERED
    assert request.method == method
    assert request.header("Content-Type") == "application/json; charset=utf-8"
    assert request.header("User-Agent") == f"{settings.PRODUCT}/{settings.VERSION}"
    assert request.header("webhook-id") == EVENT["id"]
    assert request.header("webhook-timestamp") == "1772344805"
    assert json.loads(request.body) == EVENT
    assert request.body == json.dumps(EVENT, ensure_ascii=False, separators=(",", ":")).encode()
    assert len({name.lower() for name, _ in request.headers}) == len(request.headers), "no header twice"


@pytest.mark.django_db
def test_the_signature_is_verified_by_the_reference_library(receiver):
    _, saved, request = deliver(receiver, at=int(time.time()))
    Webhook(saved.signing_secret).verify(request.body, dict(request.headers))
    new = services.rotate_signing_secret(saved.integration)
    sending.probe(saved.integration, EVENT)
    request = receiver.requests[-1]
    for secret in (saved.signing_secret, new):
        Webhook(secret).verify(request.body, dict(request.headers))


@pytest.mark.django_db
@pytest.mark.parametrize(
    "raw",
    [
        b"HTTP/1.1 200 OK\r\nX-Frame-Options : SAMEORIGIN\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nno header\r\nContent-Length: 2, 2\r\n\r\nok",
        b"HTTP/1.1 202 Accepted\r\nContent-Length: 9, 2\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\nok",
        b"HTTP/1.1 204 No Content\r\n" + b"X-A: b\r\n" * 120 + b"\r\n",
    ],
)
def test_what_was_answered_2xx_is_delivered_however_odd_the_answer(receiver, raw):
    receiver.script("/hook", Behaviour(raw=raw))
    outcome, _, _ = deliver(receiver)
    assert outcome.result == Result.DELIVERED
    assert 200 <= outcome.status < 300
    assert ("It is not sent again." in outcome.reason) == (b": 9, 2" in raw or b"500" in raw)


@pytest.mark.django_db
@pytest.mark.parametrize("status", [200, 202])
def test_a_receiver_may_answer_2xx_with_any_body(receiver, status):
    receiver.script("/hook", Behaviour(status=status, body=b"<html>Thank you</html>"))
    assert deliver(receiver)[0].result == Result.DELIVERED


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("status", "result"),
    [
        (302, Result.PERMANENT),
        (400, Result.PERMANENT),
        (404, Result.PERMANENT),
        (410, Result.GONE),
        (429, Result.RETRYABLE),
        (500, Result.RETRYABLE),
    ],
)
@pytest.mark.parametrize("length", [b"5, 4", b"500"])
def test_a_refusal_counts_by_its_status_however_odd_the_answer(receiver, status, result, length):
    head = b"HTTP/1.1 %d X\r\nRetry-After: 600\r\n" % status
    receiver.script("/hook", Behaviour(raw=head + b"Content-Length: " + length + b"\r\n\r\nbad!"))
    outcome, _, _ = deliver(receiver)
    assert (outcome.result, outcome.status, outcome.retry_after) == (result, status, 600)
    assert outcome.reason.startswith(f"The receiver answered {status}")
    assert ("It is not sent again." in outcome.reason) == (result is not Result.RETRYABLE)


@pytest.mark.django_db
def test_a_url_that_its_parameters_make_too_long_is_refused_when_saved():
    url = "https://hook.example.com/" + "a" * 2015
    assert not errors_of(url=url)
    assert not errors_of(url=url, parameters={"query": {"n": 1}})
    for value in ("acme-production", {"value": "acme-production", "secret": True}):
        errors = errors_of(url=url, parameters={"query": {"t": value}})
        assert "together they may have 2,048 characters" in errors["url"]
        assert "acme" not in str(errors)
    endpoint = "https://id.example.com/" + "a" * 2000
    long = {"query": {"audience": "x" * 30}}
    assert not errors_of(authorization=OAUTH | {"endpoint": endpoint})
    assert errors_of(authorization=OAUTH | {"endpoint": endpoint, "parameters": long}).keys() == {
        "authorization.endpoint"
    }
    # With GET the whole form goes in the query string.
    assert errors_of(authorization=OAUTH | {"endpoint": endpoint, "method": "GET"}).keys() == {
        "authorization.endpoint"
    }


@pytest.mark.django_db
def test_a_retry_has_the_same_id_and_bytes_and_a_signature_of_its_own_time(receiver):
    receiver.script("/hook", [Behaviour(status=500), Behaviour()])
    _, saved, first = deliver(receiver, at=1_000_000_000)
    target = services.target_of(saved.integration)
    WEBHOOK.send(
        AttemptRequest(EVENT["id"], first.body, "application/json; charset=utf-8", 1_000_000_060), target
    )
    second = receiver.requests[-1]
    assert hashlib.sha256(first.body).digest() == hashlib.sha256(second.body).digest()
    assert first.header("webhook-id") == second.header("webhook-id")
    assert first.header("webhook-signature") != second.header("webhook-signature")


@pytest.mark.django_db
def test_signing_can_be_off(receiver):
    _, saved, request = deliver(receiver, signing={"enabled": False})
    assert saved.signing_secret is None
    assert request.header("webhook-signature") is None
    assert request.header("webhook-id") == EVENT["id"]


@pytest.mark.django_db
def test_basic_is_sent_as_utf_8(receiver):
    _, _, request = deliver(
        receiver, authorization={"type": "basic", "username": "jürgen", "password": "pä:ss"}
    )
    assert request.header("Authorization") == "Basic " + base64.b64encode("jürgen:pä:ss".encode()).decode()


@pytest.mark.django_db
@pytest.mark.parametrize("name", ["x-api-client-token", "DD-API-KEY", "Authorization"])
def test_an_api_key_goes_in_the_header_of_the_owner_s_choice(receiver, name):
    _, _, request = deliver(receiver, authorization={"type": "api_key", "name": name, "value": "key value=1"})
    assert (name, "key value=1") in request.headers


@pytest.mark.django_db
def test_invocation_parameters_go_with_the_request_in_all_three_places(receiver):
    _, _, request = deliver(
        receiver,
        url=receiver.url("/hook?a=1"),
        parameters={
            "header": {
                "X-Text": "acme",
                "X-Number": 5,
                "X-Flag": True,
                "X-Secret": {"value": "s1", "secret": True},
            },
            "query": {"b": "x&y=ü", "n": 1.5, "s": {"value": "s2", "secret": True}},
            "body": {"team": "iam", "n": 5, "f": 1.5, "b": False, "s": {"value": "s3", "secret": True}},
        },
    )
    assert [request.header(f"X-{name}") for name in ("Text", "Number", "Flag", "Secret")] == [
        "acme",
        "5",
        "true",
        "s1",
    ]
    assert request.query == {"a": "1", "b": "x&y=ü", "n": "1.5", "s": "s2"}
    assert json.loads(request.body) == EVENT | {"team": "iam", "n": 5, "f": 1.5, "b": False, "s": "s3"}


@pytest.mark.django_db
def test_a_secret_of_the_body_is_sent_signed_but_neither_stored_nor_shown(receiver):
    secret = {"value": "body-secret-1", "secret": True}
    _, saved, request = deliver(receiver, at=int(time.time()), parameters={"body": {"routing": secret}})
    assert json.loads(request.body)["routing"] == "body-secret-1"
    Webhook(saved.signing_secret).verify(request.body, dict(request.headers))
    target = services.target_of(saved.integration)
    stored = WEBHOOK.render(EVENT, target).body
    assert b"routing" not in stored
    assert json.loads(WEBHOOK.show(stored, target))["routing"] == "•••"


@pytest.mark.django_db
def test_what_the_receiver_echoes_of_basic_is_blotted_out(receiver):
    receiver.script("/hook", lambda request: Behaviour(body=(request.header("Authorization") or "").encode()))
    outcome, _, _ = deliver(receiver)
    assert outcome.body == "Basic •••"


@pytest.mark.django_db
def test_an_address_that_is_not_allowed_is_permanent_and_says_what_to_set(receiver, settings):
    settings.ALLOWED_NETWORKS = []
    outcome, _, _ = deliver(receiver, allow_plain_http=True)
    assert outcome.result == Result.PERMANENT
    assert "ALLOWED_NETWORKS" in outcome.reason
    assert receiver.connections == 0


@pytest.mark.django_db
def test_a_mistake_in_the_setting_is_ours_and_not_held_against_the_target(receiver, settings):
    settings.ALLOWED_NETWORKS = ["everything"]
    outcome, _, _ = deliver(receiver)
    assert (outcome.result, "ALLOWED_NETWORKS" in outcome.reason) == (Result.OURS, True)


# --- the document -------------------------------------------------------------------------------------------


def test_defaults_are_filled_in():
    cleaned = WEBHOOK.clean(document())
    assert cleaned.settings["method"] == "POST"
    assert cleaned.settings["timeouts"] == {"connect": 5, "answer": 5}
    assert cleaned.settings["signing"] == {"enabled": True}
    oauth = WEBHOOK.clean(document(authorization=OAUTH)).settings["authorization"]
    assert (oauth["method"], oauth["client_authentication"]) == ("POST", "body")


def test_secrets_stand_apart_under_the_same_keys():
    cleaned = WEBHOOK.clean(
        document(authorization=OAUTH, parameters={"header": {"X-K": {"value": "v", "secret": True}}})
    )
    assert cleaned.secrets == {
        "authorization": {"client_secret": "secret-1"},
        "parameters": {"header": {"X-K": "v"}},
    }
    assert cleaned.settings["parameters"] == {"header": {"X-K": {"secret": True}}}


LONG = "x" * 513


@pytest.mark.parametrize(
    ("path", "changes"),
    [
        ("url", {"url": ""}),
        ("url", {"url": None}),
        ("url", {"url": "ftp://x.example"}),
        ("url", {"url": "https://u:p@x.example"}),
        ("url", {"url": "https://x.example/#top"}),
        ("url", {"url": "https://x.example/" + "a" * 2040}),
        ("method", {"method": "GET"}),
        ("method", {"method": ["POST"]}),
        ("authorization.type", {"authorization": {"type": "digest"}}),
        ("authorization.password", {"authorization": {"type": "none", "password": "x"}}),
        ("authorization", {"authorization": "basic"}),
        ("authorization.username", {"authorization": BASIC | {"username": ""}}),
        ("authorization.username", {"authorization": BASIC | {"username": "a:b"}}),
        ("authorization.username", {"authorization": BASIC | {"username": LONG}}),
        ("authorization.username", {"authorization": BASIC | {"username": "a\nb"}}),
        ("authorization.username", {"authorization": BASIC | {"username": 5}}),
        ("authorization.password", {"authorization": BASIC | {"password": ""}}),
        ("authorization.password", {"authorization": BASIC | {"password": LONG}}),
        ("authorization.password", {"authorization": BASIC | {"password": "a\x7f"}}),
        ("authorization.password", {"authorization": BASIC | {"password": "a\x85"}}),
        ("authorization.password", {"authorization": BASIC | {"password": "a\ud800"}}),
        ("authorization.more", {"authorization": BASIC | {"more": 1}}),
        ("authorization.name", {"authorization": KEY | {"name": "X Y"}}),
        ("authorization.name", {"authorization": KEY | {"name": "Host"}}),
        ("authorization.name", {"authorization": KEY | {"name": "webhook-id"}}),
        ("authorization.value", {"authorization": KEY | {"value": "日本"}}),
        ("authorization.endpoint", {"authorization": OAUTH | {"endpoint": "id.example.com"}}),
        ("authorization.method", {"authorization": OAUTH | {"method": "PATCH"}}),
        ("authorization.client_authentication", {"authorization": OAUTH | {"client_authentication": "jwt"}}),
        ("authorization.client_secret", {"authorization": OAUTH | {"client_secret": None}}),
        ("authorization.parameters.body.client_id", {"authorization": OAUTH | {"parameters": {"body": {"client_id": "x"}}}}),
        ("authorization.parameters.header.Host", {"authorization": OAUTH | {"parameters": {"header": {"Host": "x"}}}}),
        ("authorization.parameters.cookie", {"authorization": OAUTH | {"parameters": {"cookie": {}}}}),
        ("parameters", {"parameters": []}),
        ("parameters.header", {"parameters": {"header": {f"X-{n}": "v" for n in range(101)}}}),
        ("parameters.header.X-A", {"parameters": {"header": {"X-A": LONG}}}),
        ("parameters.header.X-A", {"parameters": {"header": {"X-A": "a\r\nb"}}}),
        ("parameters.header.X-A", {"parameters": {"header": {"X-A": " a"}}}),
        ("parameters.header.X-A", {"parameters": {"header": {"X-A": "日本"}}}),
        ("parameters.header.X-A", {"parameters": {"header": {"X-A": None}}}),
        ("parameters.header.X-A", {"parameters": {"header": {"X-A": ["a"]}}}),
        ("parameters.header.X-A", {"parameters": {"header": {"X-A": {"value": "a", "hidden": True}}}}),
        ("parameters.header.X-A", {"parameters": {"header": {"X-A": {"secret": True}}}}),
        ("parameters.header.x-a", {"parameters": {"header": {"X-A": "1", "x-a": "2"}}}),
        ("parameters.header.X:A", {"parameters": {"header": {"X:A": "1"}}}),
        ("parameters.header." + LONG, {"parameters": {"header": {LONG: "1"}}}),
        ("parameters.query.q", {"parameters": {"query": {"q": LONG}}}),
        ("parameters.query.q", {"parameters": {"query": {"q": "a\x00"}}}),
        ("parameters.query." + LONG, {"parameters": {"query": {LONG: "1"}}}),
        ("parameters.body.n", {"parameters": {"body": {"n": float("nan")}}}),
        ("parameters.body.n", {"parameters": {"body": {"n": {"value": "x", "secret": "yes"}}}}),
        ("parameters.body", {"parameters": {"body": {f"k{n}": {"value": "v" * 512, "secret": True} for n in range(20)}}}),
        ("parameters.body", {"parameters": {"body": {f"k{n}": "\x01" * 512 for n in range(40)}}}),
        ("signing.enabled", {"signing": {"enabled": "yes"}}),
        ("signing.secret", {"signing": {"secret": "hunter2"}}),
        ("timeouts.connect", {"timeouts": {"connect": 31}}),
        ("timeouts.answer", {"timeouts": {"answer": 0}}),
        ("timeouts.answer", {"timeouts": {"answer": True}}),
        ("timeouts.answer", {"timeouts": {"answer": float("nan")}}),
        ("timeouts.total", {"timeouts": {"total": 5}}),
        ("tls.ca", {"tls": {"ca": "no certificate"}}),
        ("tls.client_certificate", {"tls": {"client_key": "no key"}}),
        ("more", {"more": 1}),
    ],
)  # fmt: skip
def test_each_limit_is_an_error_at_its_place(path, changes):
    assert path in errors_of(**changes)


@pytest.mark.parametrize(
    "name",
    ["Host", "content-length", "Transfer-Encoding", "CONNECTION", "TE", "Trailer", "Upgrade", "Via", "Authorization",
     "authorization", "Webhook-Id", "webhook-timestamp", "webhook-signature", "User-Agent", "Content-Type", "Expect"],
)  # fmt: skip
def test_header_names_that_are_not_the_owner_s_to_set_are_refused_in_any_case(name):
    assert f"parameters.header.{name}" in errors_of(parameters={"header": {name: "x"}})


def test_authorization_may_be_a_parameter_where_the_type_does_not_set_it():
    assert not errors_of(authorization=KEY, parameters={"header": {"Authorization": "Splunk x"}})
    assert errors_of(authorization=KEY, parameters={"header": {"X-API-Client-Token": "x"}})


@pytest.mark.parametrize(
    "key", ["version", "id", "detail-type", "source", "account", "time", "region", "resources", "detail"]
)
def test_a_key_of_the_envelope_is_no_body_parameter(key):
    assert f"parameters.body.{key}" in errors_of(parameters={"body": {key: "x"}})


def test_what_is_just_within_the_limits_is_taken():
    full = "x" * 512
    assert not errors_of(url="https://hook.example.com/" + "a" * (2048 - 25))
    assert not errors_of(
        url="https://hook.example.com/" + "a" * (2048 - 25 - 2 * 513),
        authorization={"type": "basic", "username": full, "password": full},
        parameters={
            "header": {f"X-{n}": full for n in range(100)},
            "query": {full: full},
            "body": {"t": "a\nb"},
        },
        timeouts={"connect": 30, "answer": 0.1},
    )


def test_all_errors_come_at_once():
    assert set(errors_of(url="x", method="GET", authorization=BASIC | {"password": ""})) == {
        "url",
        "method",
        "authorization.password",
    }


def test_the_largest_event_with_the_largest_secrets_stays_under_the_contract_s_cap():
    secrets = {f"k{n}": {"value": "v" * 512, "secret": True} for n in range(15)}
    cleaned = WEBHOOK.clean(document(parameters={"body": secrets}))
    added = len(json.dumps(cleaned.secrets["parameters"]["body"], separators=(",", ":")))
    assert WEBHOOK.max_bytes + added <= 256 * 1024


def test_of_a_url_its_host_alone_is_described():
    described = dict(WEBHOOK.describe(WEBHOOK.clean(document(url="https://h.example/in?sig=abc")).settings))
    assert described["URL"] == "https://h.example/…"
    assert described["Password"] == "•••"


# --- stored secrets stay with the address and the authority they were given for ------------------------------------------------


def without_secrets(authorization):
    return {k: v for k, v in authorization.items() if k not in ("password", "value", "client_secret")}


@pytest.mark.parametrize("url", ["https://hook.example.com/in", "https://HOOK.example.com:443/in"])
def test_a_stored_secret_is_kept_while_the_url_stays(url):
    stored = WEBHOOK.clean(document())
    same = document(url=url, method="PUT", authorization=without_secrets(BASIC))
    assert WEBHOOK.clean(same, stored).secrets == stored.secrets


@pytest.mark.parametrize(
    "url",
    [
        "https://evil.example.org/in",
        "http://hook.example.com/in",
        "https://hook.example.com:8443/in",
        "https://hook.example.com/another",
        "https://hook.example.com/in?tenant=2",
    ],
)
@pytest.mark.parametrize(
    ("authorization", "path"),
    [
        (BASIC, "authorization.password"),
        (KEY, "authorization.value"),
        (OAUTH, "authorization.client_secret"),
    ],
)
def test_a_stored_secret_is_not_sent_to_another_address(url, authorization, path):
    hidden = {"header": {"X-Key": {"value": "hidden-1", "secret": True}}}
    stored = WEBHOOK.clean(document(authorization=authorization, parameters=hidden))
    blank = {"header": {"X-Key": {"secret": True}}}
    moved = document(url=url, authorization=without_secrets(authorization), parameters=blank)
    with pytest.raises(InvalidDocument) as caught:
        WEBHOOK.clean(moved, stored)
    assert set(caught.value.errors) == {path, "parameters.header.X-Key"}
    assert all("Enter it again" in text for text in caught.value.errors.values())


def test_a_client_secret_is_not_sent_to_another_token_endpoint():
    stored = WEBHOOK.clean(document(authorization=OAUTH))
    moved = {**without_secrets(OAUTH), "endpoint": "https://evil.example.org/token"}
    with pytest.raises(InvalidDocument) as caught:
        WEBHOOK.clean(document(authorization=moved), stored)
    assert set(caught.value.errors) == {"authorization.client_secret"}


@pytest.mark.parametrize("edited", ["url", "endpoint"])
def test_a_stored_secret_does_not_follow_an_edit_to_http(edited):
    """On the same host and port: only the scheme tells that the secret would travel in clear."""
    authorization = {
        "type": "oauth",
        "endpoint": "https://127.0.0.1:8443/token",
        "client_id": "a",
        "client_secret": "secret",
    }
    first = WEBHOOK.clean({"url": "https://127.0.0.1:8443/hook", "authorization": authorization})
    again = copy.deepcopy(first.settings)
    part = again if edited == "url" else again["authorization"]
    part[edited] = part[edited].replace("https:", "http:")
    with pytest.raises(InvalidDocument) as caught:
        WEBHOOK.clean(again, first)
    assert "Enter it again" in caught.value.errors["authorization.client_secret"]


@pytest.mark.django_db
def test_without_authorization_nothing_is_sent_but_the_signature(receiver, monkeypatch, tmp_path):
    """For receivers whose URL is the secret; a .netrc of the machine must not fill the gap."""
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login ann password hidden\n")
    monkeypatch.setenv("NETRC", str(netrc))
    outcome, saved, request = deliver(receiver, authorization={"type": "none"})
    assert outcome.result == Result.DELIVERED
    assert request.header("Authorization") is None
    assert request.header("webhook-signature")
    assert "/hook" not in str(saved.integration.settings), "the path is the secret, and sealed"
    described = dict(WEBHOOK.describe(saved.integration.settings))
    assert described["Authorization"] == "None"


def test_without_authorization_a_header_of_that_name_may_be_a_parameter():
    header = {"header": {"Authorization": {"value": "Splunk abc", "secret": True}}}
    assert not errors_of(authorization={"type": "none"}, parameters=header)
    assert errors_of(parameters=header).keys() == {"parameters.header.Authorization"}
