"""Sessions of requests that send by integrations.transport, with the limits of sources."""

import gzip

import pytest
import requests
import responses
from oauthlib.oauth2 import BackendApplicationClient
from requests_oauthlib import OAuth2Session

from integrations.transport.http import AnswerLimits, ReceiverUnreachable, RequestRefused
from integrations.transport.session import (
    SessionSettings,
    TransportAdapter,
    transport_session,
    with_transport,
)
from tests.receiver import Behaviour

JSON = {"Content-Type": "application/json"}
SMALL = SessionSettings(limits=AnswerLimits(body=1_000, received=4_000))


def test_a_session_gets_the_answer_with_status_headers_and_json(receiver):
    receiver.script("/users", [Behaviour(status=200, body=b'[{"id": "00u1"}]', headers=[("X-Limit", "5")])])
    answer = transport_session().get(receiver.url("/users"), params={"limit": "200"})
    assert (answer.json(), answer.headers["x-limit"]) == ([{"id": "00u1"}], "5")
    assert receiver.requests[0].query == {"limit": "200"}


def test_an_answer_may_be_longer_than_one_to_a_message(receiver):
    receiver.script("/page", [Behaviour(body=b"x" * 300_000)])
    assert len(transport_session().get(receiver.url("/page")).content) == 300_000


def test_a_longer_answer_than_the_limit_is_refused_compressed_or_not(receiver):
    receiver.script("/plain", [Behaviour(body=b"x" * 1_001)])
    bomb = gzip.compress(b"x" * 100_000)
    receiver.script("/bomb", [Behaviour(body=bomb, headers=[("Content-Encoding", "gzip")])])
    for path in ("/plain", "/bomb"):
        with pytest.raises(ReceiverUnreachable, match="longer than 1,000 bytes"):
            transport_session(SMALL).get(receiver.url(path))


@pytest.mark.parametrize(
    "body", [gzip.compress(b"x" * 500, mtime=0)[:-12], b"not gzip at all"], ids=["half", "other"]
)
def test_half_a_compressed_answer_is_no_answer(receiver, body):
    receiver.script("/half", [Behaviour(body=body, headers=[("Content-Encoding", "gzip")])])
    with pytest.raises(ReceiverUnreachable):
        transport_session().get(receiver.url("/half"))


def test_a_compressed_answer_is_inflated(receiver):
    body = gzip.compress(b'{"value": []}')
    receiver.script("/users", [Behaviour(body=body, headers=[("Content-Encoding", "gzip")])])
    assert transport_session().get(receiver.url("/users")).json() == {"value": []}
    assert receiver.requests[0].header("Accept-Encoding") == "gzip"


def test_a_redirect_is_not_followed(receiver):
    receiver.script("/old", [Behaviour(status=302, headers=[("Location", receiver.url("/new"))])])
    with pytest.raises(requests.TooManyRedirects):
        transport_session().get(receiver.url("/old"))
    assert len(receiver.requests) == 1


def test_the_rules_for_addresses_hold(settings):
    settings.ALLOWED_NETWORKS = []
    with pytest.raises(RequestRefused, match="must not be called"):
        transport_session().get("https://127.0.0.1:9/")


def test_the_environment_sets_no_proxy_and_no_netrc_password(receiver, monkeypatch, tmp_path):
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login ann password hidden\n")
    monkeypatch.setenv("NETRC", str(netrc))
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    receiver.script("/users", [Behaviour(body=b"[]")])
    transport_session().get(receiver.url("/users"))
    assert receiver.requests[0].header("Authorization") is None


def test_a_session_of_requests_oauthlib_goes_through_the_transport_alone():
    session = with_transport(OAuth2Session(client=BackendApplicationClient("app")))
    assert {type(each) for each in session.adapters.values()} == {TransportAdapter}
    with responses.RequestsMock(target=f"{TransportAdapter.__module__}.TransportAdapter.send") as vendor:
        vendor.post(
            "https://login.microsoftonline.com/contoso/oauth2/v2.0/token",
            json={"access_token": "t0ken", "token_type": "Bearer", "expires_in": 3599},
        )
        vendor.get("https://graph.microsoft.com/v1.0/users", json={"value": []})
        session.fetch_token(
            "https://login.microsoftonline.com/contoso/oauth2/v2.0/token", client_secret="s3cret"
        )
        session.get("https://graph.microsoft.com/v1.0/users")
        assert vendor.calls[1].request.headers["Authorization"] == "Bearer t0ken"
