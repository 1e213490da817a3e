"""One provider on loopback: a handler of requests behind a threaded HTTP server.

``disturb`` sees each request before the provider and may answer in its place: an outage, a limit, half an answer.
"""

# ruff: noqa: TID251  it is what sources connect to

import socket
import struct
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Protocol
from urllib.parse import parse_qsl, urlsplit

import orjson

LOOPBACK = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class Asked:
    """One request. ``number`` counts from 1."""

    number: int
    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes

    @property
    def form(self) -> dict[str, str]:
        return dict(parse_qsl(self.body.decode(), keep_blank_values=True))


@dataclass(frozen=True, slots=True)
class Answer:
    """``breaks``: half of the body is sent, then the connection ends. ``resets``: the connection is reset instead."""

    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    breaks: bool = False
    resets: bool = False


def json_answer(value: object, status: int = 200, headers: Mapping[str, str] | None = None) -> Answer:
    return Answer(status, orjson.dumps(value), {"Content-Type": "application/json", **(headers or {})})


Disturb = Callable[[Asked], Answer | None]


class Provider(Protocol):
    """The answers of a scripted source. ``base``: its address, once it listens."""

    base: str

    def answer(self, asked: Asked) -> Answer: ...


class ScriptedServer:
    """Serves a provider while the block lasts. ``asked`` holds every request."""

    def __init__(self, provider: Provider, *, port: int = 0, disturb: Disturb | None = None) -> None:
        self.provider, self.disturb = provider, disturb
        self.asked: list[Asked] = []
        self._lock = threading.Lock()
        self._server = ThreadingHTTPServer((LOOPBACK, port), self._handler())
        self._server.daemon_threads = True
        provider.base = self.url

    @property
    def url(self) -> str:
        return f"http://{LOOPBACK}:{self._server.server_address[1]}"

    def __enter__(self) -> "ScriptedServer":
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def serve(self) -> None:
        """Until the process ends."""
        self._server.serve_forever()

    def paths(self) -> list[str]:
        return [each.path for each in self.asked]

    def answer(self, method: str, target: str, headers: Mapping[str, str], body: bytes) -> Answer:
        parts = urlsplit(target)
        query = dict(parse_qsl(parts.query, keep_blank_values=True))
        with self._lock:
            asked = Asked(len(self.asked) + 1, method, parts.path, query, headers, body)
            self.asked.append(asked)
        disturbed = self.disturb(asked) if self.disturb else None
        return disturbed or self.provider.answer(asked)

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        server = self

        class ProviderHandler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def handle_any(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                self._send(server.answer(self.command, self.path, dict(self.headers.items()), body))

            do_GET = do_POST = handle_any

            def _send(self, answer: Answer) -> None:
                if answer.resets:
                    # Closed with a linger time of zero, TCP sends a reset.
                    self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                    self.close_connection = True
                    return
                head = {
                    "Date": formatdate(usegmt=True),
                    **answer.headers,
                    "Content-Length": str(len(answer.body)),
                }
                lines = [
                    f"HTTP/1.1 {answer.status} Scripted",
                    *(f"{name}: {value}" for name, value in head.items()),
                ]
                body = answer.body[: len(answer.body) // 2] if answer.breaks else answer.body
                self.wfile.write("\r\n".join([*lines, "", ""]).encode() + body)
                self.close_connection = answer.breaks

            def log_message(self, format: str, *args: object) -> None:
                """Nothing: the caller reads ``asked``."""

        return ProviderHandler
