"""The receiver's HTTP server: one thread a connection, bounded bodies, one log line a request.

A request is logged before it is answered: every request that a sender counts as delivered is in the log.
"""

import json
import os
import ssl
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, cast

from cii_project.tools.receiver import issued_tokens
from cii_project.tools.receiver.verification import ExpectedCredentials, VerificationResult, verify_request

LARGEST_BODY = 1 << 20
RECEIVER_IDLE_SECONDS = 60


@dataclass(frozen=True, slots=True)
class Misbehaviour:
    """A deliberate fault of the receiver, for its first ``times`` events (0: for all)."""

    status: int | None = None
    delay: float = 0.0
    drip: float = 0.0
    close: bool = False
    times: int = 0

    def applies(self, number: int) -> bool:
        wrong = self.status is not None or self.delay > 0 or self.drip > 0 or self.close
        return wrong and (self.times == 0 or number <= self.times)


@dataclass(slots=True)
class RequestCounts:
    events: int = 0
    verified: int = 0
    rejected: int = 0
    repeats: int = 0


@dataclass(slots=True)
class Receiver:
    """The state that all connections share. ``say`` gets one line per event."""

    expected: ExpectedCredentials
    misbehaviour: Misbehaviour = Misbehaviour()
    endpoint: issued_tokens.TokenEndpoint | None = None
    log: Path | None = None
    say: Callable[[str], None] = print
    counts: RequestCounts = field(default_factory=RequestCounts)
    _seen: set[str] = field(default_factory=set)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        """End a line that an earlier receiver was killed over, or the next request would be lost in it."""
        if self.log is None or not self.log.exists():
            return
        with self.log.open("rb+") as stream:
            if not stream.seek(0, os.SEEK_END):
                return
            stream.seek(-1, os.SEEK_END)
            if stream.read() != b"\n":
                stream.write(b"\n")

    def next_number(self) -> int:
        with self._lock:
            self.counts.events += 1
            return self.counts.events

    def record(self, entry: dict[str, object], result: VerificationResult | None, line: str) -> None:
        """Note a repeat, append the request to the log, say the line: one at a time."""
        with self._lock:
            if result is not None:
                result.repeat = bool(result.id) and result.id in self._seen
                if result.ok:
                    self._seen.add(result.id)
                self.counts.verified += result.ok
                self.counts.rejected += not result.ok
                self.counts.repeats += result.repeat
                entry["verification"] = result.as_dict()
                line += " · repeat" if result.repeat else ""
            if self.log is not None:
                _append(self.log, entry)
            self.say(line)


def _append(path: Path, entry: dict[str, object]) -> None:
    # Requests are kept as they came, credentials included: for the owner's eyes only.
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    with os.fdopen(descriptor, "a", encoding="utf-8") as stream:
        stream.write(json.dumps(entry, ensure_ascii=False) + "\n")


def event_summary(event: object) -> str:
    """An event in a few words: ``FAILED_CHECK no-mfa, 12 users (1/1)``."""
    if not isinstance(event, dict):
        return "no event"
    detail = event.get("detail")
    detail = detail if isinstance(detail, dict) else {}
    words = [
        str(event.get("detail-type", "no event")),
        str(detail.get("checkId") or detail.get("title") or ""),
    ]
    text = " ".join(word for word in words if word)
    if isinstance(detail.get("usersFailing"), list):
        batch = detail.get("batch")
        place = f" ({batch.get('index')}/{batch.get('count')})" if isinstance(batch, dict) else ""
        text += f", {len(detail['usersFailing'])} users{place}"
    return text


def _line(method: str, path: str, event: object, result: VerificationResult) -> str:
    moment = datetime.now(UTC).strftime("%H:%M:%S")
    checked = f"authorization {result.authorization} · signature {result.signature} · schema {result.schema}"
    return f"{moment} {result.status} {method} {path} {event_summary(event)} · {checked} · {result.id or 'no id'}"


class ReceiverHandler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version = "receiver"
    sys_version = ""
    timeout = RECEIVER_IDLE_SECONDS
    disable_nagle_algorithm = True

    @property
    def receiver(self) -> Receiver:
        return cast("ReceiverServer", self.server).receiver

    def log_message(self, format: str, *args: object) -> None:
        """The receiver says its own line."""

    def do_GET(self) -> None:
        if self.path.split("?")[0] == issued_tokens.PATH:
            self._token()
        else:
            text = "This is a receiver of webhooks. Send it a POST."
            self._answer(200 if self.path == "/" else 405, {"receiver": text})

    def do_POST(self) -> None:
        if self.path.split("?")[0] == issued_tokens.PATH:
            self._token()
        else:
            self._event()

    do_PUT = do_POST
    do_PATCH = do_POST

    def _body(self) -> bytes | None:
        """The body, or None when the request was answered with what is wrong with it."""
        length = self.headers.get("content-length", "" if self.command != "GET" else "0")
        if not (length.isascii() and length.isdigit()):
            self._refuse(411, "Send a Content-Length.")
            return None
        if int(length) > LARGEST_BODY:
            self._refuse(413, f"The body is larger than {LARGEST_BODY} bytes.")
            return None
        return self.rfile.read(int(length))

    def _refuse(self, status: int, reason: str) -> None:
        self.close_connection = True
        self._answer(status, {"error": reason})

    def _entry(self, body: bytes) -> dict[str, object]:
        return {
            "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "method": self.command,
            "path": self.path,
            "headers": dict(self.headers.items()),
            "body": body.decode("utf-8", "replace"),
        }

    def _lower_headers(self) -> dict[str, str]:
        return {name.lower(): value for name, value in self.headers.items()}

    def _token(self) -> None:
        body = self._body()
        if body is None:
            return
        if self.receiver.endpoint is None:
            self._answer(
                404, {"error": "This receiver was started without --bearer, so it issues no tokens."}
            )
            return
        answer = self.receiver.endpoint.answer(self.command, self.path, self._lower_headers(), body)
        outcome = "issued" if answer.status == 200 else answer.document["error"]
        entry = self._entry(body)
        entry["verification"] = {
            "ok": answer.status == 200,
            "token": outcome,
            "parameters": answer.parameters,
        }
        asked = "".join(f" {name}={value}" for name, value in sorted(answer.parameters.items()))
        moment = datetime.now(UTC).strftime("%H:%M:%S")
        self.receiver.record(entry, None, f"{moment} {answer.status} {self.command} token {outcome}{asked}")
        self._answer(answer.status, answer.document, answer.headers)

    def _event(self) -> None:
        body = self._body()
        if body is None:
            return
        receiver = self.receiver
        wrong = (
            receiver.misbehaviour if receiver.misbehaviour.applies(receiver.next_number()) else Misbehaviour()
        )
        result, event = verify_request(self.path, self._lower_headers(), body, receiver.expected, time.time())
        if wrong.status is not None and wrong.status < 300:
            result.status = wrong.status
        elif wrong.status is not None:
            result.reject(wrong.status, f"Asked to answer {wrong.status}.")
        if wrong.close:
            result.reject(0, "Asked to close the connection without an answer.")
        receiver.record(self._entry(body), result, _line(self.command, self.path, event, result))
        time.sleep(wrong.delay)
        if wrong.close:
            self.close_connection = True
            return
        document = {"ok": True, "id": result.id} if result.ok else {"ok": False, "problems": result.problems}
        challenge = {"WWW-Authenticate": "Basic, Bearer"} if result.status == 401 else {}
        self._answer(result.status, document, challenge, drip=wrong.drip)

    def _answer(
        self,
        status: int,
        document: dict[str, object],
        headers: dict[str, str] | None = None,
        drip: float = 0.0,
    ) -> None:
        body = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        if self.close_connection:
            self.send_header("Connection", "close")
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()
        if not drip:
            self.wfile.write(body)
            return
        for byte in body:
            self.wfile.write(bytes([byte]))
            self.wfile.flush()
            time.sleep(drip)


class ReceiverServer(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256

    def __init__(self, host: str, port: int, receiver: Receiver, tls: ssl.SSLContext | None = None) -> None:
        self.receiver = receiver
        self._tls = tls
        super().__init__((host, port), ReceiverHandler)

    def finish_request(self, request: Any, client_address: object) -> None:
        # The handshake runs in the connection's own thread: a slow one holds up nobody else.
        if self._tls is not None:
            request.settimeout(RECEIVER_IDLE_SECONDS)
            request = self._tls.wrap_socket(request, server_side=True)
        super().finish_request(request, client_address)

    def handle_error(self, request: object, client_address: object) -> None:
        """A sender that hangs up, drips or refuses our certificate is what this receiver is for."""

    @property
    def url(self) -> str:
        host, port = self.server_address[:2]
        return f"{'https' if self._tls else 'http'}://{host!s}:{port}"
