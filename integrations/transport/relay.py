"""A proxy for a library that opens connections itself: each is opened by the transport, leads to one host, and ends in time.

It listens on loopback during one attempt and requires a password. It relays the TLS between the library and the host;
http.py resolves, checks and dials the address.
"""

import base64
import secrets
import selectors
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from hmac import compare_digest
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from time import monotonic

from integrations.transport import http, streams

USER = "attempt"
_LOOK_AGAIN = 0.1


class Relay(ThreadingHTTPServer):
    """The proxy's server. ``problem`` is the error of the transport, if it opened no connection."""

    daemon_threads = True
    problem: http.TransportError | None = None

    def __init__(self, host: str, port: int, connect: float, seconds: float) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.host, self.port, self.connect = host, port, connect
        self.deadline = monotonic() + seconds
        self.password = secrets.token_urlsafe(32)
        self.ended = threading.Event()

    @property
    def is_late(self) -> bool:
        return monotonic() >= self.deadline

    def is_authorized(self, given: str | None) -> bool:
        wanted = "Basic " + base64.b64encode(f"{USER}:{self.password}".encode()).decode()
        return compare_digest((given or "").encode(), wanted.encode())


@contextmanager
def relay(host: str, port: int, *, connect: float, seconds: float) -> Iterator[Relay]:
    """A proxy on 127.0.0.1 at ``server_port`` that leads only to ``host:port``, for ``seconds`` at most."""
    server = Relay(host, port, connect, seconds)
    thread = threading.Thread(target=server.serve_forever, args=(_LOOK_AGAIN,), daemon=True, name="relay")
    thread.start()
    try:
        yield server
    finally:
        server.ended.set()
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 5
    server: Relay

    def do_CONNECT(self) -> None:
        self.close_connection = True
        with suppress(OSError):  # the library hung up
            self._connect(self.server)

    def _connect(self, relay: Relay) -> None:
        if not relay.is_authorized(self.headers.get("Proxy-Authorization")):
            return self.send_error(407)
        if self.path != f"{relay.host}:{relay.port}":
            return self.send_error(403, "Another host than that of this attempt")
        try:
            peer = http.open_tunnel(relay.host, relay.port, relay.connect)
        except http.TransportError as error:
            relay.problem = error
            return self.send_error(502)
        with peer:
            peer.deadline = relay.deadline
            self.send_response(200)
            self.end_headers()
            self._pass(peer)

    def _pass(self, peer: streams.PlainSocket) -> None:
        other = {self.connection: peer, peer: self.connection}
        with selectors.DefaultSelector() as ready:
            for sock in other:
                ready.register(sock, selectors.EVENT_READ)
            while not (self.server.ended.is_set() or self.server.is_late):
                for key, _ in ready.select(_LOOK_AGAIN):
                    data = key.fileobj.recv(64 * 1024)  # type: ignore[union-attr]
                    if not data:
                        return
                    other[key.fileobj].sendall(data)

    def log_message(self, format: str, *args: object) -> None:
        """Log nothing: the attempt records the error."""
