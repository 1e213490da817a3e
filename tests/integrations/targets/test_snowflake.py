"""Snowflake: what both ways do, on fakesnow; what the SQL API answers; what only the connector brings."""

import copy
import json
import logging
import socket
from base64 import b64encode
from collections.abc import Callable, Iterator

import pytest
import trustme
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from integrations.target_data import InvalidDocument, Target
from integrations.targets.snowflake import connector
from integrations.targets.snowflake.kind import Snowflake, api_address
from integrations.transport.relay import USER, relay
from integrations.transport.results import Result
from tests.doubles.snowflake import LOGIN, QUERY, TABLE, Engine, Server, SqlApi, server
from tests.integrations.targets import events
from tests.integrations.test_http import Tunnel
from tests.receiver import Behaviour, Receiver

KIND = Snowflake()
KEY = rsa.generate_private_key(65537, 2048)
OTHER_KEY = rsa.generate_private_key(65537, 2048)
# Of fakesnow, uvicorn and the connector, about each other.
theirs = pytest.mark.filterwarnings("ignore")


def pem(key) -> str:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()


def document(**more):
    return {
        "account": "myorg-account1", "user": "robot", "private_key": pem(KEY), "warehouse": "compute_wh",
        "database": "security", "create_table": True, **more,
    }  # fmt: skip


@pytest.fixture
def engine() -> Engine:
    return Engine()


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def connected(engine, authority, tmp_path) -> Iterator[Server]:
    path = tmp_path / "server.pem"
    authority.issue_cert("localhost").private_key_and_cert_chain_pem.write_to_path(str(path))
    with server(KEY.public_key(), engine, path) as double:
        yield double


def by_connector(double: Server, authority: trustme.CA, **more) -> Target:
    url = f"https://localhost:{double.port}"
    given = {"transport": "connector", "url": url, "tls": {"ca": authority.cert_pem.bytes().decode()}}
    return events.target(KIND, document(**given | more))


@pytest.fixture(params=["api", "connector"])
def to(request, receiver, engine, authority) -> Callable[..., Target]:
    """The target, by either way, with what a test changes in its document."""
    if request.param == "connector":
        double = request.getfixturevalue("connected")
        return lambda **more: by_connector(double, authority, **more)
    SqlApi(receiver, KEY.public_key(), engine)
    return lambda **more: events.target(KIND, document(url=receiver.url(""), **more))


@theirs
@pytest.mark.snowflake
class TestByEitherWay:
    def test_the_table_is_made_and_each_user_becomes_a_row(self, engine, to):
        outcome = events.send(KIND, events.failed(), to())
        assert outcome.result is Result.DELIVERED, outcome
        rows = engine.rows()
        assert [row["LOGIN"] for row in rows] == ["user00000@example.com", "user00001@example.com"]
        assert rows[0]["CHECK_ID"] == "no-mfa"
        assert rows[0]["TIME_GENERATED"] == events.PUBLISHED
        assert rows[0]["TEST"] is False
        assert '"lastSignIn":"2026-01-01T00:00:00Z"' in rows[0]["DETAILS"]
        assert [statement.split()[0] for statement in engine.statements] == ["MERGE", "CREATE", "MERGE"]

    def test_the_same_event_twice_leaves_its_rows_once(self, engine, to):
        for _ in range(2):
            assert events.send(KIND, events.failed(events.users(500)), to()).result is Result.DELIVERED
        assert len(engine.rows()) == 500
        events.send(KIND, events.failed() | {"id": "another"}, to())
        assert len(engine.rows()) == 502

    def test_the_table_of_the_documentation_is_merged_into(self, engine, to, documented_table):
        engine.run(documented_table, [])
        engine.statements.clear()
        events.send(KIND, events.failed(), to(create_table=False))
        assert len(engine.rows()) == 2
        assert [statement.split()[0] for statement in engine.statements] == ["MERGE"]

    def test_unless_asked_no_table_is_made(self, engine, to):
        outcome = events.send(KIND, events.failed(), to(create_table=False))
        assert outcome.result is Result.PERMANENT
        assert "does not exist" in outcome.reason
        assert [statement.split()[0] for statement in engine.statements] == ["MERGE"]

    def test_a_name_is_a_value_and_never_sql(self, engine, to):
        hostile = [*events.HOSTILE, f"'); DROP TABLE {TABLE}; --", "?", ":x", "%s", '"']
        outcome = events.send(KIND, events.failed([events.user(login) for login in hostile]), to())
        assert outcome.result is Result.DELIVERED, outcome
        assert sorted(row["LOGIN"] for row in engine.rows()) == sorted(hostile)

    def test_test_connectivity_writes_one_row(self, engine, to):
        assert events.send(KIND, events.connectivity(), to()).result is Result.DELIVERED
        assert [(row["EVENT_TYPE"], row["TEST"]) for row in engine.rows()] == [("WebhookTest", True)]

    def test_a_key_that_snowflake_does_not_know_is_a_refusal(self, engine, to):
        outcome = events.send(KIND, events.failed(), to(private_key=pem(OTHER_KEY)))
        assert outcome.result is Result.PERMANENT
        assert "RSA_PUBLIC_KEY" in outcome.reason
        assert engine.statements == []


@pytest.fixture
def documented_table() -> str:
    page = (events.GOLDEN.parents[2] / "docs/targets/snowflake.md").read_text()
    return (
        "CREATE TABLE"
        + page.partition("CREATE TABLE SECURITY.PUBLIC")[2].join([" SECURITY.PUBLIC", ""]).partition(";")[0]
    )


def by_api(receiver: Receiver, **more) -> Target:
    return events.target(KIND, document(url=receiver.url(""), **more))


def test_the_token_of_another_key_is_shown_nowhere(receiver):
    SqlApi(receiver, KEY.public_key())
    outcome = events.send(KIND, events.failed(), by_api(receiver, private_key=pem(OTHER_KEY)))
    assert (outcome.result, outcome.status) == (Result.PERMANENT, 401)
    assert "RSA_PUBLIC_KEY" in outcome.reason
    token = receiver.requests[0].header("Authorization").removeprefix("Bearer ")
    assert token not in repr(outcome)


@pytest.mark.parametrize(
    ("status", "result"),
    [
        (202, Result.RETRYABLE),
        (408, Result.RETRYABLE),
        (429, Result.RETRYABLE),
        (503, Result.RETRYABLE),
        (403, Result.PERMANENT),
    ],
)
def test_what_the_sql_api_answers(receiver, status, result):
    api = SqlApi(receiver, KEY.public_key())
    api.answers = [Behaviour(status=status, body=b'{"code":"x","message":"y"}')]
    assert events.send(KIND, events.failed(), by_api(receiver)).result is result


@pytest.mark.parametrize(
    ("code", "result"),
    [
        ("000604", Result.RETRYABLE),  # cancelled
        ("000630", Result.RETRYABLE),  # ended by its time limit
        ("000606", Result.PERMANENT),  # no warehouse
        ("001003", Result.PERMANENT),
        (None, Result.PERMANENT),
    ],
)
def test_a_statement_that_ran_out_of_time_is_retried(receiver, code, result):
    """The connector's way has the same codes (TestByTheConnector)."""
    body = json.dumps({"code": code, "message": "Statement ended"}).encode()
    SqlApi(receiver, KEY.public_key()).answers = [Behaviour(status=422, body=body)]
    outcome = events.send(KIND, events.failed(), by_api(receiver))
    assert (outcome.result, outcome.reason) == (result, "Snowflake refused the statement. Statement ended")


def test_a_table_that_may_not_be_made_is_a_refusal(receiver):
    no_such = Behaviour(status=422, body=b'{"code":"002003","message":"does not exist"}')
    not_allowed = Behaviour(status=422, body=b'{"code":"003001","message":"Insufficient privileges"}')
    SqlApi(receiver, KEY.public_key()).answers = [no_such, not_allowed]
    outcome = events.send(KIND, events.failed(), by_api(receiver))
    assert (outcome.result, "Insufficient privileges" in outcome.reason) == (Result.PERMANENT, True)


def refused(code: str, state: str, message: str) -> tuple[int, dict]:
    data = {"errorCode": code, "sqlState": state}
    return 200, {"success": False, "code": code, "message": message, "data": data}


@theirs
@pytest.mark.snowflake
class TestByTheConnector:
    @pytest.mark.parametrize(
        ("path", "answer", "result"),
        [
            (LOGIN, (503, {}), Result.RETRYABLE),
            (LOGIN, (429, {}), Result.RETRYABLE),
            (LOGIN, refused("390422", "08001", "IP 1.2.3.4 is not allowed"), Result.PERMANENT),
            (QUERY, (503, {}), Result.RETRYABLE),
            (QUERY, refused("000606", "57P03", "No active warehouse"), Result.PERMANENT),
            (QUERY, refused("003001", "42501", "Insufficient privileges"), Result.PERMANENT),
            (QUERY, refused("000630", "57014", "Statement reached its timeout"), Result.RETRYABLE),
        ],
    )
    def test_what_snowflake_answers(self, connected, authority, path, answer, result):
        connected.answers[path] = answer
        outcome = events.send(KIND, events.failed(), by_connector(connected, authority))
        assert (outcome.result, bool(outcome.reason)) == (result, True)
        assert str(answer[1].get("message", "")) in outcome.reason

    @pytest.mark.parametrize("path", [LOGIN, QUERY])
    def test_it_ends_at_the_deadline_whoever_hangs(self, connected, authority, path):
        connected.hang = path
        to = by_connector(connected, authority, timeouts={"connect": 1, "answer": 0.5})
        outcome = events.send(KIND, events.failed(), to)
        assert (outcome.result, outcome.reason) == (
            Result.RETRYABLE,
            "Snowflake was not reached, or did not answer. No whole answer within 1.5 s.",
        )
        assert 1400 < outcome.latency_ms < 5000

    def test_it_goes_through_the_transport_which_checks_the_address(self, connected, authority, settings):
        settings.ALLOWED_NETWORKS = []
        outcome = events.send(KIND, events.failed(), by_connector(connected, authority))
        assert outcome.result is Result.PERMANENT
        assert "localhost must not be called" in outcome.reason
        assert connected.logins == []

    def test_a_proxy_of_the_environment_is_not_asked(self, connected, authority, receiver, monkeypatch):
        for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "HTTP_PROXY"):
            monkeypatch.setenv(name, receiver.url(""))
        outcome = events.send(KIND, events.failed(), by_connector(connected, authority))
        assert (outcome.result, receiver.requests) == (Result.DELIVERED, [])

    def test_the_proxy_of_the_setting_gets_the_checked_address(self, connected, authority, settings):
        tunnel = Tunnel()
        settings.OUTGOING_PROXY = f"http://user:pass@127.0.0.1:{tunnel.port}"
        try:
            outcome = events.send(KIND, events.failed(), by_connector(connected, authority))
        finally:
            tunnel.close()
        assert outcome.result is Result.DELIVERED, outcome
        assert tunnel.asked[0].split()[1] in (f"127.0.0.1:{connected.port}", f"[::1]:{connected.port}")

    def test_a_key_of_the_older_form_is_taken_too(self, connected, authority):
        older = KEY.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.TraditionalOpenSSL,
            serialization.NoEncryption(),
        ).decode()
        outcome = events.send(KIND, events.failed(), by_connector(connected, authority, private_key=older))
        assert outcome.result is Result.DELIVERED, outcome

    def test_a_certificate_of_an_unknown_authority_is_refused(self, connected):
        to = by_connector(connected, trustme.CA())
        outcome = events.send(KIND, events.failed(), to)
        assert (outcome.result, "certificate" in outcome.reason) == (Result.RETRYABLE, True)
        assert connected.logins == []

    def test_the_key_is_shown_nowhere(self, connected, authority, caplog):
        caplog.set_level(logging.DEBUG)
        outcomes = [events.send(KIND, events.failed(), by_connector(connected, authority))]
        connected.answers[QUERY] = (503, {})
        outcomes.append(events.send(KIND, events.failed(), by_connector(connected, authority)))
        shown = repr(outcomes) + caplog.text
        body = pem(KEY).splitlines()[1]
        assert [
            text for text in (body, connected.logins[0]["TOKEN"], "user00000@example.com") if text in shown
        ] == []

    def test_a_session_ends_with_its_attempt(self, connected, authority):
        from fakesnow.server import sessions

        before = len(sessions)
        events.send(KIND, events.failed(), by_connector(connected, authority))
        assert (len(connected.logins), len(sessions)) == (1, before)


def test_without_the_connector_the_form_says_how_to_install_it(monkeypatch):
    monkeypatch.setattr(connector, "is_installed", lambda: False)
    with pytest.raises(InvalidDocument) as caught:
        KIND.clean(document(transport="connector"))
    assert "pip install -e '.[snowflake]'" in caught.value.errors["transport"]


def test_a_worker_without_the_connector_says_so_and_tries_again(monkeypatch):
    monkeypatch.setattr(connector, "is_installed", lambda: True)
    to = events.target(KIND, document(transport="connector"))
    monkeypatch.setattr(connector, "is_installed", lambda: False)
    outcome = events.send(KIND, events.failed(), to)
    assert (outcome.result, "pip install" in outcome.reason) == (Result.OURS, True)


def test_the_connector_never_speaks_in_the_clear(monkeypatch):
    monkeypatch.setattr(connector, "is_installed", lambda: True)
    with pytest.raises(InvalidDocument) as caught:
        KIND.clean(document(transport="connector", url="http://127.0.0.1:8080"))
    assert list(caught.value.errors) == ["url"]


def test_what_was_saved_before_there_was_a_choice_goes_by_the_sql_api(receiver):
    SqlApi(receiver, KEY.public_key()).answers = [Behaviour(body=b'{"code":"090001"}')]
    to = by_api(receiver)
    before = copy.deepcopy(dict(to.settings))
    del before["transport"]
    older = Target(to.id, to.name, to.short_id, to.kind, before, to.secrets)
    assert events.send(KIND, events.failed(), older).result is Result.DELIVERED


class TestTheRelay:
    """Who is on this machine cannot use it: it asks for a password, leads to one host, and ends with the attempt."""

    def ask(self, port: int, line: str, password: str = "") -> bytes:
        basic = b64encode(f"{USER}:{password}".encode()).decode()
        with socket.create_connection(("127.0.0.1", port), timeout=5) as sock:
            sock.sendall(f"{line} HTTP/1.1\r\nProxy-Authorization: Basic {basic}\r\n\r\n".encode())
            return sock.recv(4096).partition(b"\r\n")[0]

    def test_it_leads_to_its_host_alone_and_asks_for_the_password(self, receiver):
        with relay("127.0.0.1", receiver.port, connect=1, seconds=5) as proxy:
            here = f"CONNECT 127.0.0.1:{receiver.port}"
            assert b" 200 " in self.ask(proxy.server_port, here, proxy.password)
            assert b" 407 " in self.ask(proxy.server_port, here, "guess")
            assert b" 403 " in self.ask(proxy.server_port, "CONNECT 127.0.0.1:1", proxy.password)
            assert b" 501 " in self.ask(proxy.server_port, f"GET {receiver.url('/')}", proxy.password)
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", proxy.server_port), timeout=1)

    def test_what_passes_is_untouched(self, receiver):
        receiver.script("/x", lambda request: Behaviour(body=request.body[::-1]))
        body = bytes(range(256)) * 4000
        with (
            relay("127.0.0.1", receiver.port, connect=1, seconds=10) as proxy,
            socket.create_connection(("127.0.0.1", proxy.server_port), timeout=5) as sock,
        ):
            basic = b64encode(f"{USER}:{proxy.password}".encode()).decode()
            head = f"CONNECT 127.0.0.1:{receiver.port} HTTP/1.1\r\nProxy-Authorization: Basic {basic}\r\n\r\n"
            sock.sendall(head.encode())
            assert b" 200 " in sock.recv(4096)
            sock.sendall(
                f"POST /x HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body
            )
            got = b""
            while not got.endswith(body[::-1]):
                got += sock.recv(65536) or pytest.fail("the relay broke off")
        assert got.startswith(b"HTTP/1.1 200")

    def test_a_host_that_may_not_be_called_is_not(self, receiver, settings):
        settings.ALLOWED_NETWORKS = []
        with relay("127.0.0.1", receiver.port, connect=1, seconds=5) as proxy:
            assert b" 502 " in self.ask(
                proxy.server_port, f"CONNECT 127.0.0.1:{receiver.port}", proxy.password
            )
            assert "must not be called" in str(proxy.problem)
        assert receiver.requests == []


def test_the_address_is_that_of_the_account():
    assert (
        api_address(events.target(KIND, document(account="MY_ORG-ACC")))
        == "https://my-org-acc.snowflakecomputing.com"
    )


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"table": "x; DROP TABLE y"}, "table"),
        ({"database": 'a"b'}, "database"),
        ({"account": "https://x.snowflakecomputing.com"}, "account"),
        ({"private_key": "nonsense"}, "private_key"),
        ({"private_key": pem(rsa.generate_private_key(65537, 1024))}, "private_key"),
        ({"private_key": pem(ec.generate_private_key(ec.SECP256R1()))}, "private_key"),
    ],
)
def test_a_bad_document_names_the_key_that_is_wrong(change, path):
    with pytest.raises(InvalidDocument) as caught:
        KIND.clean(document() | change)
    assert list(caught.value.errors) == [path]
