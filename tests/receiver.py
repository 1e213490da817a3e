"""A scripted, misbehaving HTTP(S) server for tests: real sockets on loopback, every request recorded raw.

    with Receiver() as receiver:
        receiver.script("/hook", [Behaviour(status=500), Behaviour(status=200)])   # one after the other, the last stays
        receiver.script("/echo", lambda request: Behaviour(body=request.body))
        … receiver.url("/hook") …; receiver.requests

A path without a script answers 200 with an empty body.
"""

import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, urlsplit


@dataclass(frozen=True)
class Recorded:
    """``headers`` keeps order, case and repetition; ``raw`` is the whole request as it came."""

    method: str
    target: str
    headers: list[tuple[str, str]]
    body: bytes
    raw: bytes
    at: float
    connection: int
    peer: str

    @property
    def path(self) -> str:
        return urlsplit(self.target).path

    @property
    def query(self) -> dict[str, str]:
        return dict(parse_qsl(urlsplit(self.target).query, keep_blank_values=True))

    @property
    def form(self) -> dict[str, str]:
        return dict(parse_qsl(self.body.decode(), keep_blank_values=True))

    def header(self, name: str) -> str | None:
        return next((value for key, value in self.headers if key.lower() == name.lower()), None)


@dataclass(frozen=True)
class Behaviour:
    """What one request meets. Times in seconds.

    ``delay`` before the answer; ``drip_head`` and ``drip_body`` between single bytes of it; ``length`` announces
    another length than ``body`` has; ``close`` is "before" (accept, then hang up), "after" (read the request, no
    answer), "half" (half of the answer) or "reset" (the same with RST); ``raw`` replaces the whole answer;
    ``hang_up`` closes the connection after a proper answer without saying so.
    """

    status: int = 200
    headers: Sequence[tuple[str, str]] = ()
    body: bytes = b""
    delay: float = 0
    drip_head: float = 0
    drip_body: float = 0
    length: int | None = None
    chunked: bool = False
    close: str = ""
    raw: bytes | None = None
    hang_up: bool = False


Script = Sequence[Behaviour] | Callable[[Recorded], Behaviour]


@dataclass
class _Scripted:
    steps: Script
    done: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def next(self, request: Recorded) -> Behaviour:
        if callable(self.steps):
            return self.steps(request)
        with self.lock:
            step = self.steps[min(self.done, len(self.steps) - 1)]
            self.done += 1
            return step


class Receiver:
    """``tls`` is a server-side SSLContext. ``host`` names it in URLs; it listens on ``address``."""

    def __init__(
        self, tls: ssl.SSLContext | None = None, host: str = "127.0.0.1", address: str = "127.0.0.1"
    ) -> None:
        self.tls, self.host = tls, host
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        self._listener = socket.socket(family, socket.SOCK_STREAM)
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._listener.bind((address, 0))
        self.port = self._listener.getsockname()[1]
        self.requests: list[Recorded] = []
        self.connections = self.closed = 0
        self.tls_errors: list[str] = []
        self._scripts: dict[str, _Scripted] = {}
        self._rest = _Scripted([Behaviour()])
        self._stop = threading.Event()
        self._open: set[socket.socket] = set()

    def script(self, path: str, steps: Script | Behaviour) -> None:
        self._scripts[path] = _Scripted([steps] if isinstance(steps, Behaviour) else steps)

    def script_the_rest(self, steps: Script | Behaviour) -> None:
        """Answer the paths that have no script of their own."""
        self._rest = _Scripted([steps] if isinstance(steps, Behaviour) else steps)

    def url(self, path: str = "/hook") -> str:
        return f"{'https' if self.tls else 'http'}://{self.host}:{self.port}{path}"

    def of(self, path: str) -> list[Recorded]:
        return [request for request in self.requests if request.path == path]

    def __enter__(self) -> "Receiver":
        self._listener.listen(512)
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(5)
        for connection in list(self._open):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def _accept(self) -> None:
        while not self._stop.is_set():
            try:
                raw, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self._serve, args=(raw, self.connections), daemon=True).start()

    def _serve(self, connection: socket.socket, number: int) -> None:
        self._open.add(connection)
        try:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self.tls:
                self._open.discard(connection)
                connection = self.tls.wrap_socket(connection, server_side=True)
                self._open.add(connection)
            while self._one(connection, number):
                pass
        except ssl.SSLError as error:
            self.tls_errors.append(str(error))
        except OSError:
            pass
        finally:
            self._open.discard(connection)
            connection.close()
            self.closed += 1

    def _one(self, connection: socket.socket, number: int) -> bool:
        head = b""
        while b"\r\n\r\n" not in head:
            piece = connection.recv(65536)
            if not piece:
                return False
            head += piece
        head, _, body = head.partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        method, target, _ = first.split(" ", 2)
        headers = [(name, value.strip()) for name, _, value in (line.partition(":") for line in lines)]
        length = int(next((value for name, value in headers if name.lower() == "content-length"), "0"))
        early = self._scripts.get(urlsplit(target).path, self._rest)
        if not callable(early.steps) and early.steps[min(early.done, len(early.steps) - 1)].close == "before":
            early.done += 1
            return False
        while len(body) < length:
            piece = connection.recv(65536)
            if not piece:
                return False
            body += piece
        whole, peer = head + b"\r\n\r\n" + body, connection.getpeername()[0]
        request = Recorded(method, target, headers, body, whole, time.time(), number, peer)
        self.requests.append(request)
        script = self._scripts.get(request.path, self._rest)
        return self._answer(connection, script.next(request))

    def _answer(self, connection: socket.socket, behaviour: Behaviour) -> bool:
        if behaviour.delay and self._stop.wait(behaviour.delay):
            return False
        if behaviour.close == "after":
            return False
        if behaviour.close == "reset":
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            return False
        head, body = self._bytes(behaviour)
        if behaviour.close == "half":
            connection.sendall(head + body[: len(body) // 2])
            return False
        self._drip(connection, head, behaviour.drip_head)
        self._drip(connection, body, behaviour.drip_body)
        return behaviour.raw is None and not behaviour.hang_up

    @staticmethod
    def _bytes(behaviour: Behaviour) -> tuple[bytes, bytes]:
        if behaviour.raw is not None:
            return behaviour.raw, b""
        body = behaviour.body
        lines = [
            f"HTTP/1.1 {behaviour.status} Scripted",
            *(f"{name}: {value}" for name, value in behaviour.headers),
        ]
        if behaviour.chunked:
            lines.append("Transfer-Encoding: chunked")
            body = b"".join(b"1\r\n%c\r\n" % byte for byte in body) + b"0\r\n\r\n"
        elif behaviour.status != 204:
            lines.append(f"Content-Length: {len(body) if behaviour.length is None else behaviour.length}")
        return "\r\n".join([*lines, "", ""]).encode("latin-1"), body

    def _drip(self, connection: socket.socket, content: bytes, pause: float) -> None:
        if not pause:
            connection.sendall(content)
            return
        for byte in content:
            connection.sendall(bytes([byte]))
            if self._stop.wait(pause):
                return
