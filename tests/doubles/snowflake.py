"""Snowflake on loopback, by fakesnow: its SQL API, and the protocol of the official connector over TLS.

Both verify the key-pair token as documented and run the statements that they get. Without an engine (where fakesnow is not
installed) the SQL API only answers what a test gives it.
"""

import asyncio
import base64
import gzip
import hashlib
import json
import sys
import threading
import types
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from tests.receiver import Behaviour, Receiver, Recorded

BODY = {"statement", "timeout", "database", "schema", "warehouse", "role", "bindings", "parameters"}
USER = "ROBOT"
ACCOUNT = "MYORG-ACCOUNT1"
TABLE = "SECURITY.PUBLIC.IDENTITY_CHECKS"
LOGIN = "/session/v1/login-request"
QUERY = "/queries/v1/query-request"


def fakesnow() -> Any:
    """The module. 0.12 still imports two modules that the connector has dropped in its version 5, and needs neither here."""
    import snowflake.connector

    for name, part in (("converter", "SnowflakeConverter"), ("file_util", "SnowflakeFileUtil")):
        module = types.ModuleType(f"snowflake.connector.{name}")
        setattr(module, part, type(part, (), {}))
        sys.modules.setdefault(module.__name__, module)
        setattr(snowflake.connector, name, sys.modules[module.__name__])
    import fakesnow.instance
    import fakesnow.server

    return fakesnow


class Engine:
    """A database of fakesnow's, with the statements that it ran."""

    def __init__(self) -> None:
        self.snow = fakesnow().instance.FakeSnow()
        self.statements: list[str] = []
        self.connection = self.snow.connect("SECURITY", "PUBLIC", paramstyle="qmark")

    def run(self, statement: str, values: list[str]) -> None:
        self.statements.append(statement)
        self.connection.cursor().execute(statement, values or None)

    def rows(self, table: str = TABLE) -> list[dict[str, Any]]:
        from snowflake.connector import DictCursor

        return self.connection.cursor(DictCursor).execute(f"SELECT * FROM {table} ORDER BY LOGIN").fetchall()


class SqlApi:
    """https://docs.snowflake.com/en/developer-guide/sql-api/reference; ``answers`` go first."""

    def __init__(self, receiver: Receiver, key: rsa.RSAPublicKey, engine: Engine | None = None) -> None:
        self.key, self.engine = key, engine
        self.answers: list[Behaviour] = []
        receiver.script("/api/v2/statements", self._execute)

    def _execute(self, request: Recorded) -> Behaviour:
        token = (request.header("Authorization") or "").removeprefix("Bearer ")
        known = request.header("X-Snowflake-Authorization-Token-Type") == "KEYPAIR_JWT"
        if not known or not request.header("User-Agent") or not is_signed(token, self.key):
            return _refused(401, "390144", "JWT token is invalid.")
        asked = json.loads(request.body)
        if set(asked) - BODY or asked.get("warehouse") != "COMPUTE_WH" or asked.get("database") != "SECURITY":
            return _refused(422, "000606", "No active warehouse selected in the current session.")
        if self.answers or self.engine is None:
            return self.answers.pop(0)
        from snowflake.connector.errors import ProgrammingError

        values = [asked["bindings"][str(n)]["value"] for n in range(1, len(asked.get("bindings", {})) + 1)]
        try:
            self.engine.run(asked["statement"], values)
        except ProgrammingError as error:
            return _refused(422, f"{error.errno:06d}", error.msg)
        return Behaviour(body=b'{"code":"090001","message":"Statement executed successfully."}')


class Server:
    """What the official connector speaks with: fakesnow's server over TLS, that now asks for a token too.

    ``answers`` maps a path to the status and the JSON that come in place of fakesnow's; ``hang`` lets a path never answer.
    """

    def __init__(self, key: rsa.RSAPublicKey, engine: Engine) -> None:
        self.key, self.engine, self.port = key, engine, 0
        self.answers: dict[str, tuple[int, dict[str, Any]]] = {}
        self.logins: list[dict[str, Any]] = []
        self.ended = threading.Event()
        self.hang = ""
        self.app = fakesnow().server.app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        message, body = {"more_body": True}, b""
        while message.get("more_body"):
            message = await receive()
            body += message.get("body", b"")
        asked = json.loads(gzip.decompress(body) if body[:2] == b"\x1f\x8b" else body or b"{}")
        while scope["path"] == self.hang and not self.ended.is_set():
            await asyncio.sleep(0.05)
        answer = self._own(scope["path"], asked)
        await _json(send, *(answer or await self._fakesnow(scope, message | {"body": body})))

    def _own(self, path: str, asked: dict[str, Any]) -> tuple[int, dict[str, Any]] | None:
        """What does not come from fakesnow: the answers of a test, and the refusal of a token."""
        if path in self.answers:
            return self.answers[path]
        if path == QUERY:
            self.engine.statements.append(asked["sqlText"])
        if path == LOGIN:
            data = asked["data"]
            self.logins.append(data)
            if data["AUTHENTICATOR"] != "SNOWFLAKE_JWT" or not is_signed(data.get("TOKEN", ""), self.key):
                return 200, {
                    "success": False,
                    "code": "390144",
                    "message": "JWT token is invalid.",
                    "data": {},
                }
        return None

    async def _fakesnow(self, scope: Any, message: Any) -> tuple[int, Any]:
        status, body = 0, b""

        async def receive() -> Any:
            return message

        async def send(part: Any) -> None:
            nonlocal status, body
            status = part.get("status", status)
            body += part.get("body", b"")

        await self.app(scope, receive, send)
        answer = json.loads(body)
        if scope["path"] == LOGIN:
            # Which fakesnow 0.12 leaves out, and the connector has asked for since its version 5.
            seconds = {"validityInSeconds": 3600, "masterValidityInSeconds": 3600}
            answer["data"] |= {"masterToken": "master", "sessionId": 1, **seconds}
        return status, answer


@contextmanager
def server(key: rsa.RSAPublicKey, engine: Engine, certificate: Path) -> Iterator[Server]:
    """Speaks TLS with ``certificate`` (PEM, with its key)."""
    import uvicorn

    double = Server(key, engine)
    fakesnow().server.shared_fs = engine.snow
    config = uvicorn.Config(
        double, host="127.0.0.1", port=0, log_level="critical", ssl_certfile=str(certificate)
    )
    running = uvicorn.Server(config)
    thread = threading.Thread(target=running.run, daemon=True)
    thread.start()
    while thread.is_alive() and not running.started:
        thread.join(0.02)
    double.port = running.servers[0].sockets[0].getsockname()[1]
    try:
        yield double
    finally:
        double.ended.set()
        running.should_exit = True
        thread.join(10)


async def _json(send: Any, status: int, content: Any) -> None:
    body = json.dumps(content).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def is_signed(token: str, key: rsa.RSAPublicKey) -> bool:
    """Whether the token is the account's and user's, of that key, and lasts an hour at most."""
    signed, _, signature = token.encode().rpartition(b".")
    public = key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    fingerprint = base64.b64encode(hashlib.sha256(public).digest()).decode()
    subject = f"{ACCOUNT}.{USER}"
    try:
        claims = json.loads(_decoded(signed.partition(b".")[2]))
        key.verify(_decoded(signature), signed, padding.PKCS1v15(), hashes.SHA256())
    except (ValueError, InvalidSignature):
        return False
    return (
        claims["iss"] == f"{subject}.SHA256:{fingerprint}"
        and claims["sub"] == subject
        and 0 < claims["exp"] - claims["iat"] <= 3600
    )


def _decoded(text: bytes) -> bytes:
    return base64.urlsafe_b64decode(text + b"=" * (-len(text) % 4))


def _refused(status: int, code: str, message: str) -> Behaviour:
    return Behaviour(status=status, body=json.dumps({"code": code, "message": message}).encode())
