"""The receiver: its verification of real requests over a real socket."""

import base64
import json
import stat
import threading
import time
import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import requests
from django.core.management import CommandError, call_command
from standardwebhooks.webhooks import Webhook

from cii_project.tools.receiver.certificates import wrong_context
from cii_project.tools.receiver.issued_tokens import TokenEndpoint
from cii_project.tools.receiver.server import LARGEST_BODY, Misbehaviour, Receiver, ReceiverServer
from cii_project.tools.receiver.verification import ExpectedCredentials

SECRET = "whsec_" + base64.b64encode(b"a secret of the receiver, tested").decode()


class Running:
    """A receiver on a free port of loopback; ``lines`` are what it said."""

    def __init__(self, log=None, misbehaviour=None, endpoint=None, tls=None, **expected):
        self.lines: list[str] = []
        self.log = log
        self.receiver = Receiver(
            ExpectedCredentials(**expected),
            misbehaviour or Misbehaviour(),
            endpoint,
            log,
            self.lines.append,
        )
        self.server = ReceiverServer("127.0.0.1", 0, self.receiver, tls)
        self.url = self.server.url
        threading.Thread(
            target=self.server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True
        ).start()

    def entries(self):
        return [json.loads(line) for line in self.log.read_text().splitlines()]

    def close(self):
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def start(tmp_path):
    running = []

    def begin(**options):
        running.append(Running(log=tmp_path / "log.jsonl", **options))
        return running[-1]

    yield begin
    for each in running:
        each.close()


def event(**changes):
    return {
        "id": str(uuid.uuid4()),
        "detail-type": "FAILED_CHECK",
        "detail": {"usersFailing": ["a"]},
        **changes,
    }


def signed(document, secret=SECRET, at=None):
    at = at or datetime.now(UTC)
    body = json.dumps(document)
    headers = {
        "webhook-id": document["id"],
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": Webhook(secret).sign(document["id"], at, body),
    }
    return {"data": body, "headers": headers}


class TestAuthorization:
    def test_basic_credentials_pass_and_others_are_refused(self, start):
        receiver = start(basic="cii:secret")
        assert requests.post(receiver.url, json=event(), auth=("cii", "secret")).status_code == 200
        refused = requests.post(receiver.url, json=event(), auth=("cii", "wrong"))
        assert refused.status_code == 401
        assert "basic" in refused.json()["problems"][0]

    def test_an_api_key_passes_whatever_the_case_of_its_header(self, start):
        receiver = start(api_key=("x-api-client-token", "k1"))
        assert requests.post(receiver.url, json=event(), headers={"X-API-Client-Token": "k1"}).ok
        assert (
            requests.post(receiver.url, json=event(), headers={"X-API-Client-Token": "k2"}).status_code == 401
        )

    def test_each_path_takes_only_its_own_type(self, start):
        receiver = start(basic="cii:secret", api_key=("x-key", "k1"))
        assert (
            requests.post(f"{receiver.url}/api-key", json=event(), auth=("cii", "secret")).status_code == 401
        )
        assert requests.post(f"{receiver.url}/basic", json=event(), auth=("cii", "secret")).ok
        assert requests.post(f"{receiver.url}/any", json=event(), headers={"x-key": "k1"}).ok
        assert requests.post(f"{receiver.url}/oauth", json=event()).status_code == 404

    @pytest.mark.parametrize("method", ["post", "put", "get"])
    @pytest.mark.parametrize("in_body", [True, False])
    def test_a_token_of_its_own_endpoint_passes(self, start, method, in_body):
        endpoint = TokenEndpoint("id", "s e+cret")
        receiver = start(endpoint=endpoint, knows_token=endpoint.knows)
        fields = {"grant_type": "client_credentials", "audience": "siem", "scope": "events.write"}
        if in_body:
            fields |= {"client_id": "id", "client_secret": "s e+cret"}
        answer = requests.request(
            method,
            f"{receiver.url}/oauth/token",
            auth=None if in_body else ("id", "s+e%2Bcret"),
            **({"params": fields} if method == "get" else {"data": fields}),
        ).json()
        assert answer["scope"] == "events.write"
        bearer = {"Authorization": f"Bearer {answer['access_token']}"}
        assert requests.post(f"{receiver.url}/oauth", json=event(), headers=bearer).ok
        assert (
            requests.post(
                f"{receiver.url}/oauth", json=event(), headers={"Authorization": "Bearer x"}
            ).status_code
            == 401
        )
        assert receiver.entries()[0]["verification"]["parameters"] == {
            "audience": "siem",
            "scope": "events.write",
        }

    @pytest.mark.parametrize(
        ("fields", "auth", "status", "code"),
        [
            (
                {"grant_type": "client_credentials", "client_id": "id", "client_secret": "no"},
                None,
                401,
                "invalid_client",
            ),
            ({"grant_type": "password"}, ("id", "secret"), 400, "unsupported_grant_type"),
            ({"client_secret": "secret", "client_id": "id"}, ("id", "secret"), 400, "invalid_request"),
        ],
    )
    def test_a_wrong_token_request_gets_the_error_of_the_rfc(self, start, fields, auth, status, code):
        endpoint = TokenEndpoint("id", "secret")
        receiver = start(endpoint=endpoint, knows_token=endpoint.knows)
        answer = requests.post(f"{receiver.url}/oauth/token", data=fields, auth=auth)
        assert (answer.status_code, answer.json()["error"]) == (status, code)

    def test_a_token_expires(self):
        now = [0.0]
        endpoint = TokenEndpoint("id", "secret", lifetime=60, clock=lambda: now[0])
        fields = b"grant_type=client_credentials&client_id=id&client_secret=secret"
        headers = {"content-type": "application/x-www-form-urlencoded"}
        token = endpoint.answer("POST", "/oauth/token", headers, fields).document["access_token"]
        assert endpoint.knows(token)
        now[0] = 60.0
        assert not endpoint.knows(token)


class TestSignature:
    def test_a_signature_of_any_known_secret_is_valid(self, start):
        other = "whsec_" + base64.b64encode(b"another secret of others").decode()
        receiver = start(signing_secrets=[other, SECRET])
        assert requests.post(receiver.url, **signed(event())).ok
        assert receiver.entries()[0]["verification"]["signature"] == "valid"

    def test_a_changed_body_is_refused(self, start):
        receiver = start(signing_secrets=[SECRET])
        request = signed(event())
        request["data"] += " "
        answer = requests.post(receiver.url, **request)
        assert answer.status_code == 401
        assert "none of the secrets" in answer.json()["problems"][0]

    @pytest.mark.parametrize("minutes", [-6, 6])
    def test_an_old_or_future_timestamp_is_refused(self, start, minutes):
        receiver = start(signing_secrets=[SECRET])
        request = signed(event(), at=datetime.now(UTC) + timedelta(minutes=minutes))
        answer = requests.post(receiver.url, **request)
        assert answer.status_code == 401
        assert "300 seconds" in answer.json()["problems"][0]

    @pytest.mark.parametrize("name", ["webhook-id", "webhook-timestamp", "webhook-signature"])
    def test_a_missing_header_is_named(self, start, name):
        receiver = start(signing_secrets=[SECRET])
        request = signed(event())
        del request["headers"][name]
        assert name in requests.post(receiver.url, **request).json()["problems"][0]


class TestBody:
    def test_what_is_no_json_is_a_bad_request(self, start):
        assert requests.post(start().url, data="<xml/>").status_code == 400

    def test_what_the_schema_refuses_is_unprocessable_and_says_where(self, start):
        receiver = start(schema_problems=lambda event: ["detail.severity: is missing"])
        answer = requests.post(receiver.url, json=event())
        assert (answer.status_code, answer.json()["problems"]) == (422, ["detail.severity: is missing"])

    def test_a_large_body_is_not_read(self, start):
        request = requests.Request("POST", start().url, data=b"x").prepare()
        request.headers["Content-Length"] = str(LARGEST_BODY + 1)
        assert requests.Session().send(request).status_code == 413

    def test_a_repeat_is_taken_and_counted(self, start):
        receiver = start()
        document = event()
        for _ in range(2):
            assert requests.post(receiver.url, json=document).ok
        assert receiver.receiver.counts.repeats == 1
        assert receiver.lines[1].endswith("repeat")
        assert [entry["verification"]["repeat"] for entry in receiver.entries()] == [False, True]


class TestLog:
    def test_each_request_is_kept_as_it_came_for_the_owner_only(self, start):
        receiver = start(basic="cii:secret")
        document = event()
        requests.put(f"{receiver.url}/basic/1?a=b", json=document, auth=("cii", "secret"))
        (entry,) = receiver.entries()
        assert (entry["method"], entry["path"]) == ("PUT", "/basic/1?a=b")
        assert json.loads(entry["body"]) == document
        assert entry["headers"]["Authorization"].startswith("Basic ")
        assert entry["verification"]["ok"]
        assert datetime.fromisoformat(entry["time"]).tzinfo
        assert stat.S_IMODE(receiver.log.stat().st_mode) == 0o600

    def test_one_line_is_said_for_each_event(self, start):
        receiver = start()
        detail = {"checkId": "no-mfa", "usersFailing": ["a", "b"], "batch": {"index": 1, "count": 1}}
        requests.post(receiver.url, json=event(detail=detail))
        (line,) = receiver.lines
        assert "FAILED_CHECK no-mfa, 2 users (1/1)" in line


class TestMisbehaviour:
    def test_a_status_for_the_first_events_only(self, start):
        receiver = start(misbehaviour=Misbehaviour(status=503, times=2))
        assert [requests.post(receiver.url, json=event()).status_code for _ in range(3)] == [503, 503, 200]

    def test_a_delay(self, start):
        receiver = start(misbehaviour=Misbehaviour(delay=0.2))
        begun = time.monotonic()
        requests.post(receiver.url, json=event())
        assert time.monotonic() - begun >= 0.2

    def test_a_dripped_answer(self, start):
        receiver = start(misbehaviour=Misbehaviour(drip=0.01))
        begun = time.monotonic()
        assert requests.post(receiver.url, json=event()).json()["ok"]
        assert time.monotonic() - begun >= 0.3

    def test_hanging_up(self, start):
        receiver = start(misbehaviour=Misbehaviour(close=True))
        with pytest.raises(requests.ConnectionError):
            requests.post(receiver.url, json=event())
        assert not receiver.entries()[0]["verification"]["ok"]

    def test_a_certificate_that_no_client_accepts(self, start):
        receiver = start(tls=wrong_context())
        assert receiver.url.startswith("https://")
        with pytest.raises(requests.exceptions.SSLError):
            requests.post(receiver.url, json=event())


class TestCommand:
    @pytest.mark.parametrize(
        ("options", "said"),
        [
            ({"basic": "user"}, "USER:PASSWORD"),
            ({"api_key": "x"}, "HEADER=VALUE"),
            ({"bearer": "id"}, "CLIENT_ID:CLIENT_SECRET"),
            ({"status": 99}, "between 200 and 599"),
            ({"host": "example.com"}, "IPv4 address"),
            ({"port": 70000}, r"[^.]\. Choose another --port"),
            ({"signing_secret": ["whsec_short"]}, "--signing-secret: .*24 to 64 bytes"),
            ({"log": Path("/nowhere/log.jsonl")}, "--log /nowhere/log.jsonl cannot be written: No such file"),
            ({"delay": -1.0}, "--delay must not be negative"),
            ({"times": -1}, "--times must not be negative"),
        ],
    )
    def test_a_wrong_option_says_what_to_write(self, options, said):
        with pytest.raises(CommandError, match=said):
            call_command("receiver", **{"port": 0, **options})


@pytest.mark.parametrize(
    ("there", "then"), [(b"", b""), (b'{"a": 1}\n', b'{"a": 1}\n'), (b'{"a": 1}\n{"ti', b'{"a": 1}\n{"ti\n')]
)
def test_a_line_that_a_killed_receiver_began_does_not_swallow_the_next(tmp_path, there, then):
    path = tmp_path / "log.jsonl"
    path.write_bytes(there)
    Receiver(ExpectedCredentials(), log=path)
    assert path.read_bytes() == then
