"""Plain http to a public host: refused when it is saved and when it is sent, or allowed by the target's own switch."""

import json
import os
import subprocess
import sys

import pytest

from integrations import services
from integrations.auth import tokens
from integrations.target_data import AttemptRequest, InvalidDocument
from integrations.targets import KINDS, kind_of
from integrations.transport import network_rules, streams
from integrations.transport.results import Result
from tests.receiver import Behaviour

pytestmark = pytest.mark.django_db
WEBHOOK = kind_of("webhook")
BASIC = {"type": "basic", "username": "cii", "password": "pass-word-1"}
PLAIN, SECURE = "http://hook.example.com/in", "https://hook.example.com/in"


def oauth(endpoint):
    return {"type": "oauth", "endpoint": endpoint, "client_id": "abc", "client_secret": "client-secret-1"}


def errors_of(document, stored=None) -> dict[str, str]:
    try:
        WEBHOOK.clean(document, stored)
    except InvalidDocument as error:
        return error.errors
    return {}


@pytest.fixture
def public(monkeypatch):
    """The receiver on loopback counts as a public host."""
    monkeypatch.setattr(network_rules.Rules, "opens", lambda self, ip, port: False)
    monkeypatch.setattr(streams, "address_refusal", lambda *a: None)


def target(url, authorization=BASIC, **more):
    document = {"url": url, "authorization": authorization, "allow_plain_http": True, **more}
    return services.target_of(
        services.save_integration(name="t", kind="webhook", document=document).integration
    )


def without_switch(made):
    settings = {name: value for name, value in made.settings.items() if name != "allow_plain_http"}
    return type(made)(made.id, made.name, made.short_id, made.kind, settings, made.secrets)


def send(made):
    return WEBHOOK.send(
        AttemptRequest("0b8e6c1e-6a8e-4f0e-9b1d-0d0a54c9a001", b"{}", "application/json", 1_772_344_805), made
    )


# --- saving ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("document", "path"),
    [
        ({"url": PLAIN, "authorization": BASIC}, "url"),
        ({"url": SECURE, "authorization": oauth("http://id.example.com/token")}, "authorization.endpoint"),
    ],
)
def test_plain_http_is_refused_until_the_target_allows_it(settings, document, path):
    settings.ALLOWED_NETWORKS = []
    (problem,) = errors_of(document).items()
    assert problem[0] == path
    assert "could be read on the way. Write https://, or allow plain http for this target." in problem[1]
    assert errors_of(document | {"allow_plain_http": True}) == {}


def test_the_switch_is_true_or_false():
    wrong = {"url": SECURE, "authorization": BASIC, "allow_plain_http": "yes"}
    assert errors_of(wrong) == {"allow_plain_http": "Write true or false."}


def test_a_switch_that_is_off_leaves_no_trace():
    cleaned = WEBHOOK.clean({"url": SECURE, "authorization": BASIC, "allow_plain_http": False})
    assert cleaned == WEBHOOK.clean({"url": SECURE, "authorization": BASIC})


@pytest.mark.parametrize("slug", [slug for slug, kind in KINDS.items() if kind.form_fields])
def test_no_other_kind_takes_plain_http_to_another_machine(slug):
    urls = [field.path for field in KINDS[slug].form_fields if field.widget == "url"]
    for path in urls:
        first, _, rest = path.partition(".")
        document = {first: {rest: PLAIN}} if rest else {first: PLAIN}
        for field in KINDS[slug].form_fields:
            if field.path == path and field.when:
                document[field.when[0]] = field.when[1][0]
        with pytest.raises(InvalidDocument) as caught:
            KINDS[slug].clean(document)
        assert "https://" in caught.value.errors[path], caught.value.errors


@pytest.mark.parametrize(
    ("authorization", "missing"),
    [(BASIC, "password"), ({"type": "api_key", "name": "x-key", "value": "token-value"}, "value")],
)
def test_from_https_to_http_the_secrets_are_asked_for_again(authorization, missing):
    stored = WEBHOOK.clean(
        {
            "url": SECURE,
            "authorization": authorization,
            "parameters": {"header": {"X-More": {"value": "hush", "secret": True}}},
        }
    )
    kept = {name: value for name, value in authorization.items() if name != missing}
    document = {
        "url": PLAIN,
        "authorization": kept,
        "parameters": {"header": {"X-More": {"secret": True}}},
        "allow_plain_http": True,
    }
    assert set(errors_of(document, stored)) == {f"authorization.{missing}", "parameters.header.X-More"}
    assert errors_of(document | {"url": SECURE}, stored) == {}


def test_from_https_to_http_the_client_secret_is_asked_for_again():
    stored = WEBHOOK.clean({"url": SECURE, "authorization": oauth("https://id.example.com/token")})
    kept = oauth("http://id.example.com/token") | {"client_secret": None}
    document = {"url": SECURE, "authorization": kept, "allow_plain_http": True}
    assert set(errors_of(document, stored)) == {"authorization.client_secret"}


# --- sending --------------------------------------------------------------------------------------------


def test_a_public_host_gets_nothing_by_plain_http(receiver, public):
    outcome = send(without_switch(target(receiver.url())))
    assert outcome.result is Result.PERMANENT
    assert "must not be called by http://" in outcome.reason
    assert "allow plain http for this target" in outcome.reason
    assert receiver.connections == 0


def test_the_switch_lets_it_pass(receiver, public):
    assert send(target(receiver.url())).result is Result.DELIVERED
    assert receiver.requests[0].header("Authorization").startswith("Basic ")


def test_the_token_endpoint_passes_the_same_rule(receiver, public):
    receiver.script(
        "/token", Behaviour(body=json.dumps({"access_token": "tok-1", "token_type": "Bearer"}).encode())
    )
    made = target(receiver.url(), oauth(receiver.url("/token")))
    refused = send(without_switch(made))
    assert refused.result is Result.PERMANENT
    assert refused.reason.startswith(
        "No token, nothing sent. Token endpoint: 127.0.0.1 must not be called by http://"
    )
    assert receiver.connections == 0
    tokens.forget_tokens()
    assert send(made).result is Result.DELIVERED
    assert receiver.requests[-1].header("Authorization") == "Bearer tok-1"


def test_a_token_is_placed_without_a_setting_for_the_whole_process():
    """OAUTHLIB_INSECURE_TRANSPORT switches the check off for every use of the library, in every thread."""
    assert "OAUTHLIB_INSECURE_TRANSPORT" not in os.environ
    code = (
        "import os, django; django.setup(); import integrations.auth.authorization; print(sorted(os.environ))"
    )
    said = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert "SECRET_KEY" in said.stdout
    assert "OAUTHLIB" not in said.stdout


# --- what is shown --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "authorization", "allowed", "said"),
    [
        (PLAIN, BASIC, True, ["The URL is called by plain http"]),
        (SECURE, oauth("http://id.example.com/token"), True, ["The token endpoint is called by plain http"]),
        (PLAIN, oauth("http://id.example.com/token"), True, ["The URL", "The token endpoint"]),
        (SECURE, BASIC, True, []),
        (PLAIN, BASIC, False, []),
    ],
)
def test_what_is_called_by_plain_http_is_a_standing_warning(url, authorization, allowed, said):
    cleaned = WEBHOOK.clean({"url": url, "authorization": authorization, "allow_plain_http": allowed})
    warnings = WEBHOOK.warnings(cleaned.settings)
    assert len(warnings) == len(said)
    for warning, beginning in zip(warnings, said, strict=True):
        assert warning.startswith(beginning)


def test_mail_without_encryption_is_a_standing_warning():
    document = {"host": "mail.example.com", "port": 25, "sender": "a@example.com", "to": ["b@example.com"]}
    for security, number in (("none", 1), ("starttls", 0), ("tls", 0)):
        cleaned = KINDS["email"].clean(document | {"security": security})
        assert len(KINDS["email"].warnings(cleaned.settings)) == number
