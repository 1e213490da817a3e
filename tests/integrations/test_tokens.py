"""OAuth client credentials: one token for all workers, and every bad answer of the endpoint named."""

import base64
import json
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from django.utils import timezone

from integrations import services
from integrations.auth import tokens
from integrations.models import OAuthToken
from integrations.transport.results import Result
from tests.integrations import oauth_server, sending
from tests.receiver import Behaviour

ROOT = Path(__file__).resolve().parents[2]


def granted(text="token-1", lifetime=3600, **more) -> Behaviour:
    body = {"access_token": text, "token_type": "Bearer", "expires_in": lifetime, **more}
    return Behaviour(body=json.dumps(body).encode(), headers=[("Content-Type", "application/json")])


def numbered():
    """A script whose every token differs."""
    count = iter(range(1, 10_000))
    return lambda request: granted(f"token-{next(count)}")


def oauth(url, **changes):
    return {
        "type": "oauth",
        "endpoint": url,
        "client_id": "client-abc",
        "client_secret": "client-secret-1",
        **changes,
    }


def saved(receiver, **changes):
    document = {"url": receiver.url("/hook"), "authorization": oauth(receiver.url("/token"), **changes)}
    return services.save_integration(name="siem", kind="webhook", document=document).integration


def target(receiver, **changes):
    return services.target_of(saved(receiver, **changes))


# --- the token request ----------------------------------------------------------------------------------


@pytest.mark.django_db
@pytest.mark.parametrize("method", ["POST", "PUT"])
def test_the_client_stands_in_the_form_by_default(receiver, method):
    receiver.script("/token", granted())
    tokens.token_of(target(receiver, method=method))
    (request,) = receiver.of("/token")
    assert request.method == method
    assert request.header("Content-Type") == "application/x-www-form-urlencoded"
    assert request.header("Authorization") is None
    assert request.form == {
        "grant_type": "client_credentials",
        "client_id": "client-abc",
        "client_secret": "client-secret-1",
    }


@pytest.mark.django_db
def test_with_get_the_form_goes_in_the_query_string(receiver):
    receiver.script("/token", granted())
    tokens.token_of(target(receiver, method="GET", parameters={"body": {"scope": "a b"}, "query": {"v": 2}}))
    (request,) = receiver.of("/token")
    assert (request.method, request.body) == ("GET", b"")
    assert request.query == {
        "v": "2",
        "grant_type": "client_credentials",
        "client_id": "client-abc",
        "client_secret": "client-secret-1",
        "scope": "a b",
    }


@pytest.mark.django_db
def test_with_basic_the_client_is_encoded_before_it_is_joined(receiver):
    receiver.script("/token", granted())
    tokens.token_of(target(receiver, client_authentication="basic", client_id="a:b c", client_secret="p%ü&:"))
    (request,) = receiver.of("/token")
    assert (
        request.header("Authorization") == "Basic " + base64.b64encode(b"a%3Ab+c:p%25%C3%BC%26%3A").decode()
    )
    assert request.form == {"grant_type": "client_credentials"}


@pytest.mark.django_db
def test_the_oauth_parameters_go_with_the_token_request_and_nowhere_else(receiver):
    receiver.script("/token", granted())
    integration = saved(
        receiver,
        parameters={
            "header": {"X-Realm": "prod", "X-Key": {"value": "header-secret", "secret": True}},
            "query": {"tenant": "acme", "verbose": True},
            "body": {"audience": "siem", "code": {"value": "body-secret", "secret": True}},
        },
    )
    sending.probe(integration, {"id": "1", "detail": {}})
    (request,) = receiver.of("/token")
    assert (request.header("X-Realm"), request.header("X-Key")) == ("prod", "header-secret")
    assert request.query == {"tenant": "acme", "verbose": "true"}
    assert request.form["audience"] == "siem"
    assert request.form["code"] == "body-secret"
    (sent,) = receiver.of("/hook")
    assert sent.header("Authorization") == "Bearer token-1"
    assert sent.header("X-Realm") is None
    assert sent.query == {}
    assert json.loads(sent.body) == {"id": "1", "detail": {}}


@pytest.mark.django_db
def test_a_grant_type_of_the_owner_s_own_is_sent(receiver):
    """As people write it for API destinations elsewhere."""
    receiver.script("/token", granted())
    tokens.token_of(target(receiver, parameters={"body": {"grant_type": "client_credentials", "scope": "x"}}))
    assert receiver.of("/token")[0].body.count(b"grant_type") == 1


# --- a real authorization server, not ours ----------------------------------------------------------------


@pytest.fixture(scope="module")
def authorization_server():
    with oauth_server.running() as server:
        yield server


@pytest.mark.django_db
@pytest.mark.parametrize("client_authentication", ["body", "basic"])
def test_a_server_that_is_not_ours_issues_the_token(receiver, authorization_server, client_authentication):
    document = {
        "url": receiver.url(),
        "authorization": oauth(
            authorization_server.token_url,
            client_authentication=client_authentication,
            client_id=oauth_server.CLIENT_ID,
            client_secret=oauth_server.CLIENT_SECRET,
            parameters={"body": {"scope": "events.write"}},
        ),
    }
    integration = services.save_integration(name="real", kind="webhook", document=document).integration
    outcome = sending.probe(integration, {"id": "1", "detail": {}})
    assert outcome.result == Result.DELIVERED
    assert "valid for 600 s" in outcome.token_step
    token, scope = authorization_server.issued()[-1]
    assert receiver.requests[-1].header("Authorization") == f"Bearer {token}"
    assert scope == "events.write"


@pytest.mark.django_db
def test_a_server_that_is_not_ours_refuses_a_wrong_secret(receiver, authorization_server):
    document = {"url": receiver.url(), "authorization": oauth(authorization_server.token_url)}
    integration = services.save_integration(name="real", kind="webhook", document=document).integration
    outcome = sending.probe(integration, {"id": "1", "detail": {}})
    assert outcome.result == Result.RETRYABLE
    assert "it answered 401: invalid_client" in outcome.reason
    assert not receiver.requests, "no token, no send"


# --- bad answers --------------------------------------------------------------------------------------------

JSON = [("Content-Type", "application/json")]


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("behaviour", "said"),
    [
        (Behaviour(body=b"{}", headers=JSON), "it answered 200 without access_token."),
        (Behaviour(body=b'{"token":"x"}', headers=JSON), "it answered 200 without access_token."),
        (Behaviour(body=b"<html>Sign in</html>", headers=[("Content-Type", "text/html")]), "200 with HTML instead of a token."),
        (Behaviour(body=b"\n<!doctype html>"), "200 with HTML instead of a token."),
        (Behaviour(body=b"", headers=JSON), "200 with application/json, not a JSON object."),
        (Behaviour(body=b"[]", headers=JSON), "not a JSON object."),
        (Behaviour(body=b'"token"', headers=[("Content-Type", "text/plain")]), "200 with text/plain, not a JSON object."),
        (Behaviour(body=b'{"access_token": ', headers=JSON), "JSON that cannot be read"),
        (Behaviour(body=b'{"access_token":5,"token_type":"Bearer"}'), "its access_token is a number, not a text."),
        (Behaviour(body=b'{"access_token":null}'), "its access_token is null."),
        (Behaviour(body=b'{"access_token":""}'), "its access_token is empty."),
        (Behaviour(body=b'{"access_token":"Bearer "}'), "the word “Bearer” without a token."),
        (Behaviour(body=b'{"errors":[{"message":"client-secret-1 is wrong"}]}'), "without access_token: ••• is wrong."),
        (Behaviour(body=b'{"access_token":"' + b"a" * 70_000 + b'"}', headers=JSON), "it answered 200 with more than 65,536 bytes, too many for a token."),
        (Behaviour(status=400, body=b'{"error":null,"message":"client-secret-1 is wrong"}'), "it answered 400: ••• is wrong."),
        (Behaviour(body=b'{"access_token":"a\\r\\nX: y"}'), "its access_token contains characters that a header must not contain."),
        (Behaviour(body=b'{"access_token":"a","token_type":"mac"}'), "its token_type is “mac”; only Bearer can be sent."),
        (Behaviour(body=b'{"access_token":"a","token_type":7}'), "its token_type is “7”"),
        (
            Behaviour(body=b'{"error":"invalid_scope","error_description":"no such scope"}', headers=JSON),
            "it answered 200 with the error invalid_scope: no such scope.",
        ),
        (Behaviour(body=b'{"error":{"code":5}}', headers=JSON), "it answered 200 with the error"),
        (
            Behaviour(status=401, body=b'{"error":"invalid_client","error_description":"client-secret-1 is wrong"}'),
            "it answered 401: invalid_client (••• is wrong).",
        ),
        (Behaviour(body=b'{"a":' * 9000, headers=JSON), "JSON that cannot be read"),
        (Behaviour(status=400, body=b"nope"), "it answered 400."),
        (Behaviour(status=400, body=b'{"a":' * 9000), "it answered 400."),
        (Behaviour(status=500), "it answered 500."),
        (Behaviour(status=302, headers=[("Location", "/elsewhere")]), "it answered 302; redirects are not followed."),
        (Behaviour(delay=3), "No whole answer within 0.3 s."),
        (Behaviour(drip_head=0.1), "No whole answer within 0.3 s."),
        (Behaviour(close="after"), "closed the connection without an answer."),
    ],
)  # fmt: skip
def test_a_bad_answer_of_the_endpoint_is_named_and_nothing_is_sent(receiver, behaviour, said):
    receiver.script("/token", behaviour)
    document = {
        "url": receiver.url("/hook"),
        "authorization": oauth(receiver.url("/token")),
        "timeouts": {"answer": 0.3},
    }
    integration = services.save_integration(name="siem", kind="webhook", document=document).integration
    outcome = sending.probe(integration, {"id": "1", "detail": {}})
    assert outcome.result == Result.RETRYABLE
    assert outcome.reason.startswith("No token, nothing sent. Token endpoint: ")
    assert said in outcome.reason
    assert said in outcome.token_step
    assert outcome.status == (behaviour.status if behaviour.status >= 300 else None)
    assert "client-secret-1" not in repr(outcome)
    assert not receiver.of("/hook")
    assert not OAuthToken.objects.get().sealed


@pytest.mark.django_db
def test_a_busy_endpoint_s_retry_after_is_passed_on(receiver):
    receiver.script("/token", Behaviour(status=429, headers=[("Retry-After", "17")]))
    outcome = sending.probe(saved(receiver), {"id": "1", "detail": {}})
    assert (outcome.result, outcome.retry_after) == (Result.RETRYABLE, 17)


@pytest.mark.django_db
@pytest.mark.parametrize("head", [b"", b"Content-Length: 500\r\n"])
def test_a_whole_token_counts_although_the_answer_does_not_end(receiver, head):
    raw = b"HTTP/1.1 200 OK\r\n" + head + b'\r\n{"access_token":"token-1","expires_in":300}'
    receiver.script("/token", Behaviour(raw=raw))
    assert tokens.token_of(target(receiver))[0].text == "token-1"


@pytest.mark.django_db
@pytest.mark.parametrize("length", [b"5, 4", b"500"])
@pytest.mark.parametrize("status", [302, 400, 401, 429, 503])
def test_a_broken_refusal_of_the_endpoint_counts_by_its_status(receiver, status, length):
    head = b"HTTP/1.1 %d X\r\nRetry-After: 600\r\nContent-Length: " % status
    receiver.script("/token", Behaviour(raw=head + length + b"\r\n\r\n{"))
    outcome = sending.probe(saved(receiver), {"id": "1", "detail": {}})
    assert (outcome.result, outcome.status, outcome.retry_after) == (Result.RETRYABLE, status, 600)
    assert f"Token endpoint: it answered {status}" in outcome.reason
    assert "but " in outcome.reason, "what was missing"
    assert not receiver.of("/hook")


@pytest.mark.django_db
def test_the_endpoint_passes_the_same_address_rule(settings, receiver):
    settings.ALLOWED_NETWORKS = ["127.0.0.1/32"]
    document = {
        "url": receiver.url("/hook"),
        "authorization": oauth(f"http://127.0.0.2:{receiver.port}/token"),
        "allow_plain_http": True,
    }
    integration = services.save_integration(name="siem", kind="webhook", document=document).integration
    outcome = sending.probe(integration, {"id": "1", "detail": {}})
    assert outcome.result == Result.PERMANENT
    assert "Token endpoint: 127.0.0.2 must not be called" in outcome.reason


@pytest.mark.django_db
def test_a_form_encoded_answer_of_an_old_server_is_understood(receiver):
    receiver.script("/token", Behaviour(body=b"access_token=old-style&token_type=bearer&expires_in=60"))
    assert tokens.token_of(target(receiver))[0].text == "old-style"


# --- one token for all ----------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_a_token_is_fetched_once_and_kept_sealed(receiver):
    receiver.script("/token", numbered())
    integration = saved(receiver)
    for _ in range(3):
        sending.probe(integration, {"id": "1", "detail": {}})
    tokens.forget_tokens()
    sending.probe(integration, {"id": "1", "detail": {}})
    assert len(receiver.of("/token")) == 1
    assert "token-1" not in OAuthToken.objects.get().sealed


@pytest.mark.django_db
def test_a_token_is_renewed_before_it_expires(receiver, monkeypatch):
    receiver.script("/token", numbered())
    aim = target(receiver)
    first = tokens.token_of(aim)[0]
    assert first.renew_at == first.expires_at - timedelta(seconds=60)
    at = timezone.now() + timedelta(seconds=3550)
    monkeypatch.setattr(tokens.timezone, "now", lambda: at)
    second = tokens.token_of(aim)[0]
    assert (second.text, second.generation) == ("token-2", first.generation + 1)


@pytest.mark.django_db
def test_a_renewal_that_fails_leaves_the_old_token_in_use_while_it_holds(receiver, monkeypatch):
    receiver.script("/token", [granted("old-token"), Behaviour(status=503)])
    aim = target(receiver)
    tokens.token_of(aim)
    now = timezone.now()
    monkeypatch.setattr(tokens.timezone, "now", lambda: now + timedelta(seconds=3550))
    token, step = tokens.token_of(aim)
    assert token.text == "old-token"
    assert "Renewal failed, the old token still holds: Token endpoint: it answered 503." in step
    monkeypatch.setattr(tokens.timezone, "now", lambda: now + timedelta(seconds=3601))
    with pytest.raises(tokens.TokenError):
        tokens.token_of(aim)


@pytest.mark.django_db
def test_a_renewal_that_fails_never_offers_the_token_that_was_refused(receiver):
    """Its lifetime has not ended, but the receiver does not take it."""
    receiver.script("/token", [granted("refused"), Behaviour(status=503)])
    aim = target(receiver)
    refused = tokens.token_of(aim)[0]
    assert refused.expires_at > timezone.now()
    with pytest.raises(tokens.TokenError, match="it answered 503"):
        tokens.token_of(aim, refused=refused)


@pytest.mark.django_db
def test_a_renewal_that_fails_offers_the_token_that_another_worker_fetched_after_the_refused_one(
    receiver, monkeypatch
):
    """Two workers: one holds a refused token of the first generation, the other has renewed it, long ago."""
    receiver.script("/token", [granted("first"), granted("second"), Behaviour(status=503)])
    aim = target(receiver)
    refused = tokens.token_of(aim)[0]
    tokens.token_of(aim, refused=refused)
    tokens.forget_tokens()
    later = timezone.now() + timedelta(seconds=3550)
    monkeypatch.setattr(tokens.timezone, "now", lambda: later)
    assert tokens.token_of(aim, refused=refused)[0].text == "second"


@pytest.mark.django_db
def test_changed_credentials_ask_for_a_new_token(receiver):
    receiver.script("/token", numbered())
    integration = saved(receiver)
    tokens.token_of(services.target_of(integration))
    document = {
        "url": receiver.url("/hook"),
        "authorization": oauth(receiver.url("/token"), client_secret="another"),
    }
    services.save_integration(name="siem", kind="webhook", document=document, integration=integration)
    assert tokens.token_of(services.target_of(integration))[0].text == "token-2"


@pytest.mark.django_db
def test_a_claim_whose_holder_died_is_taken_over(receiver):
    receiver.script("/token", granted())
    aim = target(receiver)
    gone = timezone.now() - timedelta(seconds=1)
    OAuthToken.objects.create(integration_id=aim.id, claim="a dead worker's", claimed_until=gone)
    assert tokens.token_of(aim)[0].text == "token-1"


@pytest.mark.django_db
def test_a_worker_waits_for_the_one_that_asks_and_takes_its_token(receiver, monkeypatch):
    aim = target(receiver)
    receiver.script("/token", granted("from-another"))
    tokens.token_of(aim)
    tokens.forget_tokens()
    fetched = OAuthToken.objects.values().get()
    claimed = {"claim": "another's", "claimed_until": timezone.now() + timedelta(seconds=10), "sealed": ""}
    OAuthToken.objects.update(**claimed, expires_at=None, generation=0)
    monkeypatch.setattr(tokens.time, "sleep", lambda _: OAuthToken.objects.update(**fetched))
    assert tokens.token_of(aim)[0].text == "from-another"
    assert len(receiver.requests) == 1


@pytest.mark.django_db
def test_a_worker_that_waits_in_vain_holds_it_against_nobody(receiver, monkeypatch):
    aim = target(receiver)
    until = timezone.now() + timedelta(hours=1)
    OAuthToken.objects.create(integration_id=aim.id, claim="another's", claimed_until=until)
    clock = iter(range(0, 10_000, 20))
    monkeypatch.setattr(tokens.time, "monotonic", lambda: next(clock))
    monkeypatch.setattr(tokens.time, "sleep", lambda _: None)
    with pytest.raises(tokens.TokenError, match="Another worker is still asking") as caught:
        tokens.token_of(aim)
    assert caught.value.result == Result.OURS


@pytest.mark.django_db
def test_an_error_of_our_own_frees_the_claim(receiver, monkeypatch):
    def broken(_: object) -> None:
        raise RuntimeError("a bug")

    aim = target(receiver)
    monkeypatch.setattr(tokens, "fetch_token", broken)
    with pytest.raises(RuntimeError):
        tokens.token_of(aim)
    assert OAuthToken.objects.get().claimed_until is None


@pytest.mark.django_db(transaction=True)
def test_twenty_threads_fetch_one_token(receiver):
    receiver.script("/token", lambda request: Behaviour(**{**granted().__dict__, "delay": 0.3}))
    aim = target(receiver)
    with ThreadPoolExecutor(20) as pool:
        assert {token.text for token, _ in pool.map(lambda _: tokens.token_of(aim), range(20))} == {"token-1"}
    assert len(receiver.of("/token")) == 1


@pytest.mark.django_db(transaction=True)
def test_twenty_threads_share_one_failure(receiver):
    receiver.script("/token", Behaviour(status=500, delay=0.3))
    aim = target(receiver)
    barrier = threading.Barrier(20)

    def ask(_: int) -> str:
        barrier.wait()
        with pytest.raises(tokens.TokenError) as caught:
            tokens.token_of(aim)
        return str(caught.value)

    with ThreadPoolExecutor(20) as pool:
        assert set(pool.map(ask, range(20))) == {"Token endpoint: it answered 500."}
    assert len(receiver.of("/token")) == 1


WORKER = """
import django, sys, threading
django.setup()
from django.db import connection
from integrations import services
from integrations.auth import tokens
from integrations.models import Integration
target = services.target_of(Integration.objects.get())
print("ready", flush=True)
sys.stdin.readline()

def ask():
    text = tokens.token_of(target)[0].text
    print(text, "open" if connection.connection else "closed", flush=True)

thread = threading.Thread(target=ask)
thread.start()
thread.join()
"""


@pytest.mark.django_db(transaction=True)
def test_two_processes_fetch_one_token_and_their_threads_leave_no_connection_open(
    receiver, tmp_path, monkeypatch
):
    """On a database of their own, since an in-memory one belongs to one process."""
    receiver.script("/token", lambda request: Behaviour(**{**granted().__dict__, "delay": 0.5}))
    environment = {**_environment(), "DATABASE_URL": f"sqlite:///{tmp_path / 'shared.sqlite3'}"}
    environment.pop("TEST_DATABASE_URL", None)
    setup = (
        "import django; django.setup()\n"
        "from django.core.management import call_command; [call_command('migrate', app, verbosity=0) for app in ('audit', 'integrations')]\n"
        "from integrations import services\n"
        f"services.save_integration(name='siem', kind='webhook', document={{'url': {receiver.url()!r}, "
        f"'authorization': {oauth(receiver.url('/token'))!r}}})"
    )
    subprocess.run([sys.executable, "-c", setup], env=environment, cwd=ROOT, check=True)
    workers = [
        subprocess.Popen(
            [sys.executable, "-c", WORKER], env=environment, cwd=ROOT, text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        )
        for _ in range(2)
    ]  # fmt: skip
    try:
        for worker in workers:
            assert worker.stdout.readline() == "ready\n"
        for worker in workers:
            worker.stdin.write("go\n")
            worker.stdin.flush()
        assert [worker.stdout.readline() for worker in workers] == ["token-1 closed\n"] * 2
    finally:
        for worker in workers:
            worker.kill()
            worker.communicate()
    assert len(receiver.of("/token")) == 1


def _environment():
    import os

    return {**os.environ, "DJANGO_SETTINGS_MODULE": "tests.settings"}


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("changes", "answer", "is_hinted"),
    [
        ({"client_secret": "p+ss/w0rd="}, Behaviour(status=401, body=b'{"error":"invalid_client"}'), True),
        ({"client_id": "my app"}, Behaviour(status=400, body=b'{"error":"invalid_client"}'), True),
        ({"client_secret": "p+ss/w0rd="}, Behaviour(status=401), True),
        ({"client_secret": "p+ss/w0rd="}, Behaviour(status=400, body=b'{"error":"invalid_scope"}'), False),
        ({}, Behaviour(status=401, body=b'{"error":"invalid_client"}'), False),
        (
            {"client_secret": "p+ss/w0rd=", "client_authentication": "body"},
            Behaviour(status=401, body=b'{"error":"invalid_client"}'),
            False,
        ),
    ],
)
def test_a_refused_client_whose_secret_basic_encodes_is_hinted_to_the_form(
    receiver, changes, answer, is_hinted
):
    """RFC 6749 §2.3.1 encodes id and secret; many servers do not decode them."""
    receiver.script("/token", answer)
    integration = saved(receiver, **{"client_authentication": "basic", **changes})
    outcome = sending.probe(integration, {"id": "1", "detail": {}})
    assert ("send the client in the form body" in outcome.reason) == is_hinted
    assert outcome.status == answer.status


@pytest.mark.django_db
def test_a_lifetime_that_cannot_be_read_is_said(receiver):
    receiver.script("/token", granted(lifetime="soon"))
    step = tokens.token_of(target(receiver))[1]
    assert "without a usable expires_in; it is renewed after 3600 s" in step


# --- 401, 403 and 407 ------------------------------------------------------------------------------------------------


@pytest.mark.django_db
@pytest.mark.parametrize("status", [401, 403, 407])
@pytest.mark.parametrize("refusal", [Behaviour(), Behaviour(body=b"expired", length=40, hang_up=True)])
def test_a_refused_token_is_renewed_and_the_event_tried_again_at_once(receiver, status, refusal):
    receiver.script("/token", numbered())
    receiver.script("/hook", [Behaviour(), replace(refusal, status=status), Behaviour(body=b"fine")])
    integration = saved(receiver)
    sending.probe(integration, {"id": "1", "detail": {}})
    outcome = sending.probe(integration, {"id": "2", "detail": {}})
    assert (outcome.result, outcome.body) == (Result.DELIVERED, "fine")
    assert f"The receiver answered {status}; New token" in outcome.token_step
    _, second, third = receiver.of("/hook")
    assert second.body == third.body
    assert second.header("webhook-id") == third.header("webhook-id")
    assert [second.header("Authorization"), third.header("Authorization")] == [
        "Bearer token-1",
        "Bearer token-2",
    ]


@pytest.mark.django_db
def test_a_token_refused_twice_is_a_dead_letter_after_one_renewal(receiver):
    receiver.script("/token", numbered())
    receiver.script("/hook", Behaviour(status=401, body=b"who are you with token-2?"))
    outcome = sending.probe(saved(receiver), {"id": "1", "detail": {}})
    assert (outcome.result, outcome.status) == (Result.PERMANENT, 401)
    assert outcome.body == "who are you with •••?"
    assert (len(receiver.of("/token")), len(receiver.of("/hook"))) == (2, 2)


@pytest.mark.django_db
def test_a_new_token_that_meets_403_lacks_a_permission_and_is_not_renewed(receiver):
    receiver.script("/token", numbered())
    receiver.script("/hook", Behaviour(status=403))
    outcome = sending.probe(saved(receiver), {"id": "1", "detail": {}})
    assert (outcome.result, outcome.status) == (Result.PERMANENT, 403)
    assert (len(receiver.of("/token")), len(receiver.of("/hook"))) == (1, 1)


@pytest.mark.django_db
def test_a_missing_permission_does_not_cost_a_token_for_each_event(receiver):
    receiver.script("/token", numbered())
    integration = saved(receiver)
    sending.probe(integration, {"id": "0", "detail": {}})
    receiver.script("/hook", Behaviour(status=403))
    for number in range(1, 6):
        sending.probe(integration, {"id": str(number), "detail": {}})
    assert len(receiver.of("/token")) == 2, "the first and one renewal"
    assert len(receiver.of("/hook")) == 1 + 2 + 4


@pytest.mark.django_db
def test_no_event_is_lost_when_a_token_is_revoked(receiver):
    """Sixty events, and the receiver forgets the token twice."""
    receiver.script("/token", numbered())
    valid = {"Bearer token-1"}

    def hook(request):
        return Behaviour(status=200 if request.header("Authorization") in valid else 403)

    receiver.script("/hook", hook)
    integration = saved(receiver)
    outcomes = []
    for number in range(60):
        if number in (20, 40):
            valid.clear()
            valid.add(f"Bearer token-{2 if number == 20 else 3}")
        outcomes.append(sending.probe(integration, {"id": str(number), "detail": {}}).result)
    assert set(outcomes) == {Result.DELIVERED}
    assert len(receiver.of("/token")) == 3


@pytest.mark.django_db
def test_a_token_that_another_worker_has_renewed_is_used_without_asking(receiver):
    receiver.script("/token", numbered())
    aim = target(receiver)
    tokens.token_of(aim)
    first = OAuthToken.objects.values().get()
    refused = tokens.token_of(aim)[0]
    second = tokens.token_of(aim, refused=refused)[0]
    renewed = OAuthToken.objects.values().get()
    # This process holds the first token; the row is what another one has made of it.
    tokens.forget_tokens()
    OAuthToken.objects.update(**first)
    assert tokens.token_of(aim)[0] == refused
    OAuthToken.objects.update(**renewed)
    assert tokens.token_of(aim, refused=refused)[0] == second
    assert len(receiver.of("/token")) == 2


@pytest.mark.django_db
def test_a_401_without_oauth_is_tried_once(receiver):
    receiver.script("/hook", Behaviour(status=401))
    document = {
        "url": receiver.url(),
        "authorization": {"type": "basic", "username": "u", "password": "p"},
    }
    integration = services.save_integration(name="b", kind="webhook", document=document).integration
    assert sending.probe(integration, {"id": "1", "detail": {}}).result == Result.PERMANENT
    assert len(receiver.requests) == 1


def test_a_token_shows_nowhere():
    now = timezone.now()
    assert "abc123" not in repr(tokens.Token("abc123", now, now, 1))
