"""The receiver as a process of its own: it misbehaves by a seed and writes down every request before it answers.

    python -m tests.faults.receiver plan.json

The log has two lines a request: ``in`` when the whole request has been read (what will be answered stands in it
already), ``out`` with the last moment at which the sender cannot have gone on: before the answer leaves, or when the
connection was last seen open. It is only ever appended to, and is the witness of the suite.
"""

import base64
import hashlib
import hmac
import json
import os
import random
import secrets
import select
import socket
import struct
import sys
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote_plus, urlsplit

HUGE = b"x" * (3 << 20)
# Answers that end a delivery well.
WELL = ("200", "202", "204", "late", "huge")
# With those whose status is 2xx and whose body breaks off. Every other one must lead to a repeat or to a dead letter.
ACCEPTED = (*WELL, "drip", "half")
FAULTS = (
    "500",
    "502",
    "503",
    "429",
    "429-date",
    "408",
    "425",
    "hang",
    "reset",
    "close",
    "drip",
    "half",
    "garbage",
)
REFUSALS = ("302", "400", "404", "422")
TOKEN_FAULTS = ("500", "503", "hang", "reset", "html", "empty", "error", "no-bearer", "half")
TOKEN_SECONDS = 8


@dataclass
class Plan:
    """``share`` of the requests that meet a fault; ``targets``: path → what is expected and done there."""

    seed: int
    port: int
    log: str
    share: float
    token_share: float
    secrets: dict[str, list[str]]
    basic: str
    key: str
    client: tuple[str, str]
    slow: tuple[str, ...] = ("/slow",)
    strict: tuple[str, ...] = ("/strict",)


@dataclass
class Shared:
    plan: Plan
    dice: random.Random
    lock: threading.Lock = field(default_factory=threading.Lock)
    number: int = 0
    tokens: dict[str, float] = field(default_factory=dict)
    down_until: float = 0.0
    gone: bool = False
    descriptor: int = -1

    def next_number(self) -> int:
        with self.lock:
            self.number += 1
            return self.number

    def write(self, **entry: Any) -> None:
        os.write(self.descriptor, json.dumps(entry, separators=(",", ":")).encode() + b"\n")

    def choose(self, path: str) -> str:
        with self.lock:
            dice = self.dice.random()
            if path == "/gone" and self.gone:
                return "410"
            if path == "/outage" and time.time() < self.down_until:
                return self.dice.choice(("reset", "close", "503"))
            if path in self.plan.strict and dice < 0.02:
                return self.dice.choice(REFUSALS)
            if dice < self.plan.share:
                return self.dice.choice(FAULTS)
            if path in self.plan.slow:
                return "late"
            return self.dice.choices(WELL, (80, 10, 8, 1, 1))[0]

    def choose_token(self) -> str:
        with self.lock:
            return self.dice.choice(TOKEN_FAULTS) if self.dice.random() < self.plan.token_share else "token"


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    shared: Shared
    timeout = 60

    def log_message(self, *args: Any) -> None:
        pass

    def do_POST(self) -> None:
        path = urlsplit(self.path).path
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if path.startswith("/control/"):
            self._control(path.removeprefix("/control/"))
        elif path == "/token":
            self._token(body)
        else:
            self._event(path, body)

    do_PUT = do_PATCH = do_POST

    # --- Events ---
    def _event(self, path: str, body: bytes) -> None:
        shared = self.shared
        number = shared.next_number()
        credentials = self._credentials(path)
        answer = shared.choose(path) if credentials == "ok" else "401"
        shared.write(
            kind="in",
            number=number,
            at=time.time(),
            path=path,
            id=self.headers.get("webhook-id", ""),
            sha=hashlib.sha256(body).hexdigest(),
            named=_named(body),
            credentials=credentials,
            signature=self._signature(path, body),
            answer=answer,
            peer=self.client_address[1],
        )
        # A thread may have to wait for its turn to write the log; the sender goes on meanwhile.
        self.held_until = time.time()
        try:
            self._answer(answer)
        finally:
            shared.write(kind="out", number=number, at=self.held_until)

    def _credentials(self, path: str) -> str:
        given = self.headers.get("Authorization", "")
        if path.startswith("/oauth"):
            token = given.removeprefix("Bearer ")
            with self.shared.lock:
                return "ok" if self.shared.tokens.get(token, 0) > time.time() else "token"
        if path == "/key":
            return "ok" if self.headers.get("x-token") == self.shared.plan.key else "bad"
        expected = "Basic " + base64.b64encode(self.shared.plan.basic.encode()).decode()
        return "ok" if hmac.compare_digest(given, expected) else "bad"

    def _signature(self, path: str, body: bytes) -> str:
        """Standard Webhooks: https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md"""
        moment = self.headers.get("webhook-timestamp", "")
        signed = f"{self.headers.get('webhook-id', '')}.{moment}.".encode() + body
        given = set(self.headers.get("webhook-signature", "").split())
        for secret in self.shared.plan.secrets[path]:
            key = base64.b64decode(secret.removeprefix("whsec_"))
            made = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
            if f"v1,{made}" in given:
                return "ok" if abs(time.time() - float(moment)) < 300 else "old"
        return "bad"

    def _answer(self, answer: str) -> None:
        match answer:
            case "late":
                if not self._closes_within(self._uniform(0.2, 0.9)):
                    self._plain(200)
            case "huge":
                self._plain(200, HUGE)
            case "429":
                self._plain(429, b"slow down", {"Retry-After": "1"})
            case "429-date":
                at = datetime.now(UTC) + timedelta(seconds=2)
                self._plain(429, b"slow down", {"Retry-After": format_datetime(at, usegmt=True)})
            case "302":
                self._plain(302, headers={"Location": "/elsewhere"})
            case "401":
                self._plain(401, headers={"WWW-Authenticate": "Bearer"})
            case status if status.isdigit():
                self._plain(int(status))
            case _:
                self._misbehave(answer)

    def _misbehave(self, answer: str) -> None:
        self.close_connection = True
        if answer == "hang":
            self._closes_within(20)
        elif answer == "reset":
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        elif answer == "drip":
            for byte in b"HTTP/1.1 200 OK\r\nContent-Length: 400\r\n\r\n" + b"y" * 400:
                with suppress(OSError):
                    self.connection.sendall(bytes([byte]))
                if self._closes_within(0.1):
                    return
        elif answer == "half":
            self._raw(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n" + b"z" * 500)
        elif answer == "garbage":
            self._raw(b"\x16\x03\x01\x02 this is not HTTP\r\n\r\n")

    def _closes_within(self, seconds: float) -> bool:
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            now = time.time()
            if select.select([self.connection], [], [], min(left, 0.05))[0]:
                return True
            self.held_until = now
        return False

    def _raw(self, content: bytes) -> None:
        self.held_until = time.time()
        with suppress(OSError):
            self.connection.sendall(content)

    def _plain(self, status: int, body: bytes = b"", headers: dict[str, str] | None = None) -> None:
        lines = [
            f"HTTP/1.1 {status} Answer",
            *(f"{name}: {value}" for name, value in (headers or {}).items()),
        ]
        if status != 204:
            lines.append(f"Content-Length: {len(body)}")
        self._raw("\r\n".join([*lines, "", ""]).encode() + body)

    def _uniform(self, low: float, high: float) -> float:
        with self.shared.lock:
            return self.shared.dice.uniform(low, high)

    # --- The token endpoint ---
    def _token(self, body: bytes) -> None:
        form = {name: values[0] for name, values in parse_qs(body.decode()).items()}
        given = (form.get("client_id", ""), form.get("client_secret", ""))
        if (header := self.headers.get("Authorization", "")).startswith("Basic "):
            name, _, secret = base64.b64decode(header.removeprefix("Basic ")).decode().partition(":")
            given = (unquote_plus(name), unquote_plus(secret))
        right = given == self.shared.plan.client and form.get("grant_type") == "client_credentials"
        answer = self.shared.choose_token() if right else "401"
        number = self.shared.next_number()
        self.shared.write(kind="token", number=number, at=time.time(), answer=answer)
        as_json = {"Content-Type": "application/json", "Cache-Control": "no-store"}
        match answer:
            case "token":
                token = secrets.token_urlsafe(24)
                with self.shared.lock:
                    self.shared.tokens[token] = time.time() + TOKEN_SECONDS
                found = {"access_token": token, "token_type": "Bearer", "expires_in": TOKEN_SECONDS}
                self._plain(200, json.dumps(found).encode(), as_json)
            case "html":
                self._plain(200, b"<html>Sign in</html>", {"Content-Type": "text/html"})
            case "empty":
                self._plain(200, b"{}", as_json)
            case "error":
                self._plain(200, b'{"error":"temporarily_unavailable"}', as_json)
            case "no-bearer":
                self._plain(200, b'{"access_token":"abc","token_type":"mac"}', as_json)
            case "503":
                self._plain(503, headers={"Retry-After": "1"})
            case _:
                self._answer(answer)

    # --- What the suite asks for ---
    def _control(self, what: str) -> None:
        shared = self.shared
        with shared.lock:
            if what == "revoke":
                shared.tokens.clear()
            elif what == "outage":
                shared.down_until = time.time() + 4
            elif what in ("gone", "back"):
                shared.gone = what == "gone"
            elif what == "calm":
                shared.plan.share = shared.plan.token_share = 0.0
        self._plain(200)


def _named(body: bytes) -> str:
    """The event's own id: it must be the one of the header."""
    try:
        return str(json.loads(body)["id"])
    except (ValueError, KeyError, TypeError):
        return ""


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 512

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A worker that was killed in the middle of a request is what this suite is about."""


def main() -> None:
    given = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    given["client"] = tuple(given["client"])
    plan = Plan(**given)
    log = os.open(plan.log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    Handler.shared = Shared(plan, random.Random(plan.seed), descriptor=log)
    server = Server(("127.0.0.1", plan.port), Handler)
    print(f"listening on {plan.port}", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
