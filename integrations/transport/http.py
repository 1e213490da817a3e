"""HTTP requests. Only this module opens connections.

A host name is resolved once, each of its addresses is checked (network_rules.py), and a checked address is dialled, so
a second answer of the resolver changes nothing. TLS is verified against the name. Redirects are not followed, proxies
of the environment are not used, and answers are read up to a cap and not decompressed.

A request has two deadlines: ``connect`` (resolve, dial, TLS handshake) and ``answer`` (send, and receive the whole
answer). The socket keeps them: before each call it sets the remaining time as its timeout, so a peer that sends one byte
a second is cut off like one that sends nothing.

Authorization is an ``AuthBase`` of requests. Its Session is not used: redirects, cookies, hooks and environment
look-ups would have to be switched off one by one, and it halves the throughput.
"""

import base64
import errno
import http.client
import io
import logging
import os
import socket
import ssl
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http import HTTPStatus
from time import monotonic
from typing import Any, ClassVar, TypeVar
from urllib.parse import urlsplit

from django.conf import settings
from requests import PreparedRequest
from requests.auth import AuthBase, HTTPBasicAuth
from requests.structures import CaseInsensitiveDict
from urllib3 import HTTPHeaderDict
from urllib3.connection import HTTPConnection
from urllib3.util.wait import wait_for_read

from integrations.errors import IntegrationError
from integrations.transport import http_head, network_rules
from integrations.transport.addresses import Url, UrlError, parse_url
from integrations.transport.network_rules import Rules, address_refusal, entry_for, host_refusal, parse_rules
from integrations.transport.results import Result
from integrations.transport.tls import Tls, ssl_context

log = logging.getLogger(__name__)
T = TypeVar("T")

__all__ = [
    "AnswerLimits",
    "AuthBase",
    "HTTPBasicAuth",
    "HttpAnswer",
    "LocalFault",
    "OpenAnswer",
    "PreparedRequest",
    "ReceiverUnreachable",
    "RequestRefused",
    "TransportError",
    "open_answer",
    "request",
]

CONNECT_SECONDS = 5.0
ANSWER_SECONDS = 5.0
MAX_ANSWER = 64 * 1024
# Limit of one answer as received: interim answers, head, chunk sizes, trailers and body.
MAX_RECEIVED = 1024 * 1024
# The most bytes of a body that are received in one call.
PIECE = 64 * 1024
# Shorter than the keep-alive that common servers grant (5 s), so that a kept connection is rarely found closed.
IDLE_SECONDS = 4.0

# Seconds to wait for the rest of a TLS record whose start was received.
RECORD_SECONDS = 0.01

# urllib3 logs whole URLs, whose query may contain a secret.
logging.getLogger("urllib3").setLevel(logging.CRITICAL)

# Host and port, with flow and scope for IPv6, as the socket module passes them.
_SocketAddress = tuple[Any, ...]

_OUR_MACHINE = frozenset(
    {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM, errno.EADDRNOTAVAIL, errno.ENETUNREACH}
)


class TransportError(IntegrationError):
    """No answer was received that can be used. The message is a sentence without secrets; ``result`` is that of the attempt."""

    result: ClassVar[Result] = Result.RETRYABLE
    status: int | None = None


class RequestRefused(TransportError):
    """The request must not be sent: its URL, a header or an address of the host is not allowed. Permanent."""

    result: ClassVar[Result] = Result.PERMANENT


class ReceiverUnreachable(TransportError):
    """A fault of the receiver or the network that may pass: name, connection, TLS, timeout, half an answer.

    ``status`` is set if a caller that needs the whole answer received only its status.
    """

    def __init__(self, message: str, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status


class LocalFault(TransportError):
    """A fault of this machine or its settings: no file handles, no network, a malformed ALLOWED_NETWORKS."""

    result: ClassVar[Result] = Result.OURS


@dataclass(frozen=True, slots=True)
class AnswerLimits:
    """The highest number of bytes of an answer: of its body, and of all that is received for it."""

    body: int = MAX_ANSWER
    received: int = MAX_RECEIVED


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """An answer. ``body`` is as received, up to the limit; ``cut``: there was more. ``seconds``: from call to last byte.

    ``incomplete`` says what was missing after the status line; it is empty for a whole answer. The status counts
    nevertheless, and ``headers`` and ``body`` are what was received of them.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes
    cut: bool
    seconds: float
    incomplete: str = ""

    @property
    def is_success(self) -> bool:
        """Whether the status is 2xx."""
        return 200 <= self.status < 300

    @property
    def is_whole(self) -> bool:
        """Whether ``body`` is all that the receiver answered."""
        return not (self.cut or self.incomplete)


class TlsNotSpoken(IntegrationError, ssl.SSLError):
    """The peer took the connection and sent something that is not TLS."""


class TlsTimeout(IntegrationError, TimeoutError):
    """The peer took the connection and did not complete the TLS handshake in time."""


# OpenSSL's reasons for a first record that is not one of TLS.
_NOT_TLS = frozenset({"WRONG_VERSION_NUMBER", "HTTP_REQUEST", "HTTPS_PROXY_REQUEST", "UNKNOWN_PROTOCOL"})


class _Deadline:
    """A socket whose calls end by ``deadline`` (of ``time.monotonic``)."""

    deadline = 0.0
    recv: Callable[..., bytes]

    def left(self) -> float:
        """The remaining seconds. Raises TimeoutError if there are none."""
        left = self.deadline - monotonic()
        if left <= 0:
            raise TimeoutError
        return left

    def arrived(self) -> bytes:
        """The bytes that were received already. Waits for nothing but the rest of a TLS record."""
        if not (wait_for_read(self, 0) or self.pending()):  # type: ignore[arg-type]
            return b""
        deadline, self.deadline = self.deadline, min(self.deadline, monotonic() + RECORD_SECONDS)
        try:
            return self.recv(4096)
        except TimeoutError:
            # A record of TLS itself, such as a session ticket.
            return b""
        finally:
            self.deadline = deadline

    def pending(self) -> int:
        """The number of decrypted bytes that were not read."""
        return 0


def _within_deadline(method: Callable[..., T]) -> Callable[..., T]:
    def bounded(self: "DeadlineSocket", *args: object, **kwargs: object) -> T:
        self.settimeout(self.left())
        return method(self, *args, **kwargs)

    return bounded


class PlainSocket(_Deadline, socket.socket):
    pass


class TlsSocket(_Deadline, ssl.SSLSocket):
    pending = ssl.SSLSocket.pending
    read = _within_deadline(ssl.SSLSocket.read)
    write = _within_deadline(ssl.SSLSocket.write)


DeadlineSocket = PlainSocket | TlsSocket

# Every method that can wait: which of them is called depends on the library.
WAITING = (
    *("recv", "recv_into", "recvfrom", "recvfrom_into", "recvmsg", "recvmsg_into"),
    *("send", "sendall", "sendto", "sendmsg"),
)
for _class in (PlainSocket, TlsSocket):
    for _name in WAITING:
        setattr(_class, _name, _within_deadline(getattr(_class, _name)))


class _Incoming(io.RawIOBase):
    """The received bytes of one answer, at most ``most``. Nothing is read after ``ended`` is set."""

    def __init__(self, sock: socket.socket, most: int) -> None:
        # Keeps the socket open until the answer is read, as http.client expects.
        self._file = sock.makefile("rb", buffering=0)
        self._receive, self._most, self._left, self.ended = sock.recv_into, most, most, False

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        if self.ended:
            return None
        count: int = self._receive(buffer)
        self._left -= count
        if self._left < 0:
            raise ReceiverUnreachable(
                f"The receiver sent more than {self._most // 1024:,} KiB without ending its answer."
            )
        return count

    def close(self) -> None:
        self._file.close()
        super().close()


class _Reader(io.BufferedReader):
    """``surplus``, set on close: whether bytes were received that were not read."""

    surplus = False

    def close(self) -> None:
        if not self.closed:
            self.raw.ended = True  # type: ignore[attr-defined]
            self.surplus = bool(self.peek(1))
        super().close()


class _Source:
    """The only method of a socket that http.client calls on it."""

    def __init__(self, reader: _Reader) -> None:
        self.reader = reader

    def makefile(self, mode: str) -> _Reader:
        return self.reader


class _Response(http.client.HTTPResponse):
    """The final answer, after any number of interim ones (RFC 9110 §15.2); ``interim`` is set if there were any.

    ``answered`` is the status as soon as its line was received.
    """

    interim = False
    is_malformed = False
    answered: int | None = None

    def __init__(self, sock: socket.socket, debuglevel: int, method: str | None, *, most: int) -> None:
        self.reader = _Reader(_Incoming(sock, most))
        super().__init__(_Source(self.reader), debuglevel, method)  # type: ignore[arg-type]

    def _read_status(self) -> tuple[str, int, str]:
        self._skip_empty_lines()
        # http.client skips only 100, and does not report it.
        found = self._read_status_line()
        while found[1] < 200 and found[1] != HTTPStatus.SWITCHING_PROTOCOLS:
            self.interim = True
            http_head.skip_head(self.fp.readline)
            self._skip_empty_lines()
            found = self._read_status_line()
        return found

    def _read_status_line(self) -> tuple[str, int, str]:
        """Version, status and reason. ``answered`` is set before the reason, whose end may never come."""
        line = self.fp.readline(http_head.STATUS_BYTES)
        if not line:
            raise http.client.RemoteDisconnected("no answer")
        found = http_head.parse_status(line)
        if found and found[1] >= 200:
            self.status = self.code = self.answered = found[1]
        while not line.endswith(b"\n") and (piece := self.fp.readline(http_head.MAX_LINE)):
            line += piece
        found = http_head.parse_status(line, is_whole=True)
        if found is None:
            raise http.client.BadStatusLine("no status line")
        return found

    def _skip_empty_lines(self) -> None:
        """Skip what some servers send after the body of an earlier answer, or after an interim answer."""
        while self.reader.peek(1)[:1] in (b"\r", b"\n"):
            self.is_malformed = True
            if self.reader.readline(2).strip():
                raise http.client.BadStatusLine("a line that starts with CR")

    def begin(self) -> None:
        """Read the head. http.client ends it at the first malformed line and takes at most 100 lines."""
        version, self.status, reason = self._read_status()
        self.code = self.answered = self.status
        self.reason, self.version = reason, 10 if version == "1.0" else 11
        self.is_malformed |= not version.startswith("1.")
        self._read_fields()
        framing = http_head.framing(self.status, self.headers)
        self.chunked, self.length = framing.chunked, framing.length
        self.chunk_left = None
        closes = bool(self._check_close())  # type: ignore[attr-defined]
        self.will_close = closes or (not framing.chunked and framing.length is None)

    def _read_fields(self) -> None:
        """Set the headers. If the head breaks off, those before that point count, such as Retry-After."""
        fields: http_head.Fields = []
        try:
            self.is_malformed |= http_head.read_head(self.fp.readline, fields).is_malformed
        finally:
            self.headers = self.msg = http_head.message_of(fields)

    def read_piece(self, most: int) -> bytes:
        """The next bytes of the body as soon as any were received, at most ``most``; b"" after the last.

        ``read`` of http.client waits for all of them and drops what it has when the deadline is over.
        """
        piece = self.read1(most)
        if self.length == 0 and not self.isclosed():
            self._close_conn()  # type: ignore[attr-defined]  # read1 leaves it to the next call
        return piece

    def _read_next_chunk_size(self) -> int:
        return http_head.chunk_size(self.fp.readline(http_head.MAX_LINE))

    @property
    def has_certain_end(self) -> bool:
        """Whether no byte of this answer can be read as the start of the next one (RFC 9112 §6.3, §9.3)."""
        names = [name.lower() for name in self.headers.keys()]  # noqa: SIM118  a tenth of items()'s time
        lengths, codings = names.count("content-length"), names.count("transfer-encoding")
        length = self.headers["Content-Length"].strip() if lengths == 1 else ""
        if self.status in (HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED):
            framed = not codings and (not lengths or length == "0")
        elif codings:
            is_chunked = codings == 1 and self.headers["Transfer-Encoding"].strip().lower() == "chunked"
            framed = is_chunked and not lengths and self.version == 11
        else:
            framed = length.isascii() and length.isdigit()
        return (
            framed
            and self.status >= 200
            and self.isclosed()
            and not (self.interim or self.reader.surplus or self.is_malformed)
        )


class _Connection(HTTPConnection):
    """One connection to one target; ``sock`` is dialled, checked and wrapped here."""

    sock: DeadlineSocket | None
    # http.client must not dial by itself: it would resolve the name again.
    auto_open = 0

    def __init__(self, url: Url, tls: Tls, *, plain: bool) -> None:
        super().__init__(url.host, url.port)
        self.url, self.tls, self.plain, self.used = url, tls, plain, 0.0
        self.answer: _Response | None = None
        self.limits = AnswerLimits()
        self._gathered: list[bytes] | None = None

    def response_class(  # type: ignore[override]
        self, sock: socket.socket, debuglevel: int = 0, method: str | None = None
    ) -> _Response:
        self.answer = _Response(sock, debuglevel, method, most=self.limits.received)
        return self.answer

    def getresponse(self) -> _Response:  # type: ignore[override]
        """The answer without urllib3's wrapper, which decodes and costs a sixth of a request."""
        return super(HTTPConnection, self).getresponse()  # type: ignore[return-value]

    def is_reusable(self, message: PreparedRequest) -> bool:
        """Whether the next bytes on this connection belong to the next answer, not to this one."""
        if self.sock is None or self.answer is None or not self.answer.has_certain_end:
            return False
        # A server may refuse before it reads the body, and then parse the body as another request.
        refused_early = self.answer.status >= 400 and bool(message.body)
        return not refused_early and not self.sock.pending()

    def open(self, deadline: float) -> None:
        proxy = settings.OUTGOING_PROXY
        found = _checked(self.url, deadline, plain=self.plain or self.url.scheme == "https")
        if proxy:
            parts = urlsplit(proxy)
            port = parts.port or 3128
            # The proxy gets the checked address, not the name, which it would resolve again.
            self.set_tunnel(found[0][1][0], self.url.port, _proxy_headers(parts.username, parts.password))
            self.sock = _dial(_resolve(parts.hostname or "", port, deadline), deadline)
            self._tunnel()
            self._check_tunnel()
        else:
            self.sock = _dial(found, deadline)
        if self.url.scheme == "https":
            self.sock = wrap_tls(self.sock, self.url.host, ssl_context(self.tls))

    def _check_tunnel(self) -> None:
        """Raise if the proxy sent more than its answer: the rest would be read as the receiver's."""
        assert self.answer is not None  # noqa: S101  for the type checker
        self.answer.close()
        if self.answer.reader.surplus or not self.is_connected:
            raise http.client.HTTPException("the proxy sent more than its answer")

    def send_message(self, message: PreparedRequest, target: str) -> None:
        """Send head and body in one write: one packet if they fit."""
        self._gathered, self.answer = [], None
        self.request(message.method or "POST", target, body=message.body or None, headers=message.headers)
        whole, self._gathered = b"".join(self._gathered), None
        self.send(whole)

    def send(self, data: Any) -> None:
        if self._gathered is not None:
            self._gathered.append(data)
        else:
            super().send(data)

    def until(self, deadline: float) -> None:
        if self.sock is not None:
            self.sock.deadline = deadline

    def end(self) -> None:
        """Close the socket, wherever the answer was read to. http.client's ``close`` leaves it to an answer that was to be
        read to the end of the connection."""
        self.close()
        if self.answer is not None:
            self.answer.close()


def wrap_tls(raw: PlainSocket, host: str, ssl_context: ssl.SSLContext) -> TlsSocket:
    """``raw`` wrapped in TLS, with the certificate verified against ``host``, within its deadline.

    Raises :class:`TlsNotSpoken` if the peer answers unencrypted, and :class:`TlsTimeout`.
    """
    deadline = raw.deadline
    ssl_context.sslsocket_class = TlsSocket
    name = host.removesuffix(".")
    secured = ssl_context.wrap_socket(raw, server_hostname=name, do_handshake_on_connect=False)
    assert isinstance(secured, TlsSocket)  # noqa: S101  for the type checker
    try:
        secured.deadline = deadline
        secured.settimeout(secured.left())
        secured.do_handshake()
    except BaseException as error:
        secured.close()
        if isinstance(error, ssl.SSLError) and error.reason in _NOT_TLS:
            raise TlsNotSpoken(str(error)) from error
        if isinstance(error, TimeoutError):
            raise TlsTimeout from error
        raise
    return secured


def _checked(url: Url, deadline: float, *, plain: bool = True) -> list[tuple[int, _SocketAddress]]:
    """Family and socket address of every record of the host. Raises :class:`RequestRefused` if one is not allowed.

    ``plain``: without it, each address must be in ``ALLOWED_NETWORKS``, since the request is not encrypted.
    """
    given = _rules()
    if why := host_refusal(url.host, url.port, given):
        raise _refusal(url, why)
    found = _resolve(url.host, url.port, deadline)
    for _, address in found:
        if why := address_refusal(address[0], url.port, given):
            raise _refusal(url, why)
        if not plain and not given.opens(address[0], url.port):
            log.warning("Address refused: plain http", extra={"host": url.host, "port": url.port})
            entry = entry_for(address[0], url.port)
            raise RequestRefused(
                f"{url.host} must not be called by http://: the request and its credentials could be read on the way. "
                f"Write https://, add {entry} to the setting ALLOWED_NETWORKS, or allow plain http for this target."
            )
    return found


def _refusal(url: Url, why: str) -> RequestRefused:
    log.warning("Address refused", extra={"host": url.host, "port": url.port, "reason": why})
    return RequestRefused(f"{url.host} must not be called: {why}.")


def plain_http_problem(url: str) -> str | None:
    """Why a target must not have this ``http://`` URL, as a sentence; None if it may, or if it is malformed."""
    try:
        return network_rules.plain_url_problem(parse_url(url), _rules())
    except (UrlError, LocalFault):
        return None


def _rules() -> Rules:
    """The rules of the settings: the same object while these are the same."""
    try:
        return parse_rules(
            tuple(settings.ALLOWED_NETWORKS),
            tuple(settings.DENIED_NETWORKS),
            tuple(settings.OUTGOING_HOSTS),
        )
    except ValueError as error:
        raise LocalFault(str(error)) from error


def _resolve(host: str, port: int, deadline: float) -> list[tuple[int, _SocketAddress]]:
    """The addresses from the resolver, within the deadline: it has no timeout itself, so a thread calls it."""
    result: list[list[tuple[int, _SocketAddress]] | OSError | UnicodeError] = []

    def ask() -> None:
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            result.append([(family, address) for family, _, _, _, address in found])
        except (OSError, UnicodeError) as error:
            result.append(error)

    if host.replace(".", "").isdigit() or ":" in host:
        ask()
    else:
        thread = threading.Thread(target=ask, daemon=True, name="resolve")
        thread.start()
        thread.join(max(0.0, deadline - monotonic()))
    if not result:
        raise ReceiverUnreachable(f"The name {host} was not resolved in time.")
    if isinstance(result[0], Exception):
        raise ReceiverUnreachable(
            f"The name {host} cannot be resolved ({_system_text(result[0])})."
        ) from result[0]
    if not result[0]:
        raise ReceiverUnreachable(f"The name {host} has no address.")
    return result[0]


def _dial(addresses: list[tuple[int, _SocketAddress]], deadline: float) -> PlainSocket:
    """Connect to the first address that answers; the addresses still to try share the remaining time."""
    error: OSError = TimeoutError()
    for number, (family, address) in enumerate(addresses):
        sock = PlainSocket(family, socket.SOCK_STREAM)
        try:
            sock.deadline = deadline
            sock.settimeout(sock.left() / (len(addresses) - number))
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock.connect(address)
            return sock
        except OSError as problem:
            sock.close()
            error = problem
    raise error


def _proxy_headers(user: str | None, password: str | None) -> dict[str, str]:
    if user is None:
        return {}
    return {"Proxy-Authorization": "Basic " + base64.b64encode(f"{user}:{password or ''}".encode()).decode()}


class _Idle:
    """Open connections without a request, at most ``DISPATCH_IN_FLIGHT``; the longest unused is closed first."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: OrderedDict[_Connection, tuple[object, ...]] = OrderedDict()
        self._by_key: dict[tuple[object, ...], list[_Connection]] = {}

    def take(self, key: tuple[object, ...]) -> _Connection | None:
        with self._lock:
            while stack := self._by_key.get(key):
                connection = stack.pop()
                del self._kept[connection]
                if not stack:
                    del self._by_key[key]
                if monotonic() - connection.used < IDLE_SECONDS and connection.is_connected:
                    return connection
                connection.close()
        return None

    def keep(self, key: tuple[object, ...], connection: _Connection) -> None:
        connection.used = monotonic()
        with self._lock:
            self._by_key.setdefault(key, []).append(connection)
            self._kept[connection] = key
            if len(self._kept) > settings.DISPATCH_IN_FLIGHT:
                oldest, its_key = self._kept.popitem(last=False)
                self._by_key[its_key].remove(oldest)
                if not self._by_key[its_key]:
                    del self._by_key[its_key]
                oldest.close()

    def clear(self) -> None:
        """Close all of them."""
        with self._lock:
            for connection in self._kept:
                connection.close()
            self._kept.clear()
            self._by_key.clear()


_idle = _Idle()


def _after_fork() -> None:
    # A new lock too: the parent may hold the old one. Closing here leaves the parent's connections open, also with
    # TLS, since closing sends nothing.
    global _idle
    parents, _idle = _idle, _Idle()
    for connection in list(parents._kept):
        connection.close()


os.register_at_fork(after_in_child=_after_fork)


def close_idle() -> None:
    """Close the connections that wait for a next request."""
    _idle.clear()


def request(
    method: str,
    url: str | Url,
    *,
    headers: Mapping[str, str] | None = None,
    body: bytes = b"",
    auth: AuthBase | None = None,
    connect: float = CONNECT_SECONDS,
    answer: float = ANSWER_SECONDS,
    tls: Tls | None = None,
    plain: bool = False,
    limits: AnswerLimits | None = None,
) -> HttpAnswer:
    """Send one request and return the answer. ``connect`` and ``answer`` are seconds. Raises :class:`TransportError`.

    ``plain`` allows ``http://`` to any host; without it only into ``ALLOWED_NETWORKS``. ``limits``: by default those
    of the answers to messages.
    """
    limits = limits or AnswerLimits()
    start = monotonic()
    try:
        parsed = url if isinstance(url, Url) else parse_url(url)
    except UrlError as error:
        raise RequestRefused(str(error)) from error
    message = _prepared(method, parsed, headers or {}, body, auth)
    tls = tls or Tls()
    key = (
        parsed.scheme,
        parsed.host,
        parsed.port,
        tls,
        plain,
        _rules(),
        settings.OUTGOING_PROXY,
    )
    connection, sent = _idle.take(key), True
    try:
        if connection is not None:
            connection.limits = limits
            connection.until(monotonic() + answer)
            try:
                _send(connection, message, parsed)
            except OSError:
                # The peer closed it and cannot have received the whole request: send it on a new connection.
                connection.end()
                connection = None
        if connection is None:
            connection = _Connection(parsed, tls, plain=plain)
            connection.limits = limits
            _open(connection, monotonic() + connect, connect)
            connection.until(monotonic() + answer)
            try:
                _send(connection, message, parsed)
            except OSError:
                # The receiver may have answered before it stopped reading, for example with 413 or a TLS alert.
                sent = False
        result = _read(connection, start, answer)
    except BaseException:
        if connection is not None:
            connection.end()
        raise
    if sent and not (result.cut or result.incomplete) and connection.is_reusable(message):
        _idle.keep(key, connection)
    else:
        connection.end()
    return result


class OpenAnswer:
    """An answer whose head has arrived; its body is read piece by piece, within the deadline and the limits of the request.

    ``length``: the bytes of the body as the head states them; None where it does not.
    """

    def __init__(self, connection: _Connection, limits: AnswerLimits, seconds: float) -> None:
        self._connection, self._limits, self._seconds = connection, limits, seconds
        self._read = 0
        with _answer_errors(connection, seconds):
            self._response = connection.getresponse()
        self.status = self._response.status
        self.headers: Mapping[str, str] = CaseInsensitiveDict(HTTPHeaderDict(self._response.headers.items()))
        self.length = self._response.length

    def read(self, size: int) -> bytes:
        """The next bytes, at most ``size``; b"" after the last. Raises :class:`ReceiverUnreachable`, also where the
        body ends before its stated length."""
        with _answer_errors(self._connection, self._seconds):
            piece = self._response.read(size)
            if not piece and self._response.length:
                raise http.client.IncompleteRead(b"", self._response.length)
        self._read += len(piece)
        if self._read > self._limits.body:
            raise ReceiverUnreachable(f"The answer is longer than {self._limits.body:,} bytes.", self.status)
        return piece

    def close(self) -> None:
        """End the connection, wherever the body was read to."""
        self._connection.end()


def open_answer(
    method: str,
    url: str,
    *,
    headers: Mapping[str, str] | None = None,
    auth: AuthBase | None = None,
    connect: float = CONNECT_SECONDS,
    answer: float = ANSWER_SECONDS,
    tls: Tls | None = None,
    limits: AnswerLimits | None = None,
) -> OpenAnswer:
    """Send one request without a body and return its answer unread, for a body that memory must not hold.

    ``answer``: seconds up to the last byte. It uses a connection of its own. Raises :class:`TransportError`.
    """
    limits = limits or AnswerLimits()
    try:
        parsed = parse_url(url)
    except UrlError as error:
        raise RequestRefused(str(error)) from error
    message = _prepared(method, parsed, headers or {}, b"", auth)
    connection = _Connection(parsed, tls or Tls(), plain=False)
    connection.limits = limits
    try:
        _open(connection, monotonic() + connect, connect)
        connection.until(monotonic() + answer)
        with suppress(OSError):
            # The receiver may have answered before it stopped reading.
            _send(connection, message, parsed)
        return OpenAnswer(connection, limits, answer)
    except BaseException:
        connection.end()
        raise


def _prepared(
    method: str, url: Url, headers: Mapping[str, str], body: bytes, auth: AuthBase | None
) -> PreparedRequest:
    message = PreparedRequest()
    message.method, message.url, message.body = method, str(url), body
    # Identity: answers are not decompressed, so there is no decompression bomb.
    message.headers = CaseInsensitiveDict({"Host": url.netloc, "Accept-Encoding": "identity", **headers})
    return auth(message) if auth is not None else message


def open_stream(host: str, port: int, deadline: float) -> PlainSocket:
    """A connection for another protocol than HTTP (mail, LDAP), resolved, checked and dialled as for a request.

    Its ``deadline`` (of ``time.monotonic``) applies to all reads and writes. ``OUTGOING_PROXY`` is for HTTP only.
    Call it within :func:`connection_errors`.
    """
    return _dial(_checked(Url("https", host, port, "/"), deadline), deadline)


def open_async_stream(host: str, port: int, deadline: float) -> socket.socket:
    """As :func:`open_stream`, for asyncio: the socket never waits, and its user keeps the deadline."""
    raw = open_stream(host, port, deadline)
    # A socket of this module sets a timeout before each call, which asyncio refuses.
    plain = socket.socket(fileno=raw.detach())
    plain.setblocking(False)
    return plain


def open_tunnel(host: str, port: int, seconds: float) -> PlainSocket:
    """A connection for TLS of a client behind relay.py, opened as for a request, also by ``OUTGOING_PROXY``.

    Raises :class:`TransportError`.
    """
    connection = _Connection(Url("http", host, port, "/"), Tls(), plain=True)
    try:
        _open(connection, monotonic() + seconds, seconds)
    except BaseException:
        connection.end()
        raise
    assert isinstance(connection.sock, PlainSocket)  # noqa: S101  for the type checker
    return connection.sock


def _open(connection: _Connection, deadline: float, seconds: float) -> None:
    url = connection.url
    plain_advice = (
        f"{url.host} answers without TLS at port {url.port}, so it is no https address. Write the port that "
        "speaks TLS, or http:// where the receiver speaks plain http only."
    )
    with connection_errors(url.host, seconds, plain_advice, proxy=bool(settings.OUTGOING_PROXY)):
        connection.open(deadline)


@contextmanager
def connection_errors(host: str, seconds: float, plain_advice: str, *, proxy: bool = False) -> Iterator[None]:
    """Raise errors of the block, which opens a connection, as :class:`TransportError`.

    ``plain_advice`` is the sentence for a peer that answers without TLS where TLS is expected.
    """
    try:
        yield
    except TransportError:
        raise
    except TlsNotSpoken as error:
        log.warning("The peer speaks no TLS", extra={"host": host})
        raise ReceiverUnreachable(plain_advice) from error
    except ssl.SSLCertVerificationError as error:
        log.warning("Certificate refused", extra={"host": host, "reason": error.verify_message})
        raise ReceiverUnreachable(
            f"The certificate of {host} was refused: {error.verify_message}."
        ) from error
    except ssl.SSLError as error:
        log.warning("TLS failed", extra={"host": host, "reason": error.reason or "handshake failed"})
        raise ReceiverUnreachable(
            f"No TLS connection with {host} ({error.reason or 'handshake failed'})."
        ) from error
    except TlsTimeout as error:
        raise ReceiverUnreachable(
            f"{host} took the connection but did not start TLS within {seconds:g} s. Is its port one for TLS?"
        ) from error
    except TimeoutError as error:
        raise ReceiverUnreachable(f"No connection with {host} within {seconds:g} s.") from error
    except (OSError, http.client.HTTPException) as error:
        if getattr(error, "errno", None) in _OUR_MACHINE:
            raise LocalFault(f"This machine cannot connect to {host} ({_system_text(error)}).") from error
        if proxy:
            raise LocalFault(
                f"No connection with {host} through the proxy of OUTGOING_PROXY ({_system_text(error)})."
            ) from error
        raise ReceiverUnreachable(f"No connection with {host} ({_system_text(error)}).") from error


def _send(connection: _Connection, message: PreparedRequest, url: Url) -> None:
    try:
        connection.send_message(message, url.target)
    except TimeoutError as error:
        raise ReceiverUnreachable("The receiver did not take the request in time.") from error
    except ValueError:
        # http.client refuses a line break in a header; its message contains the header's value.
        raise RequestRefused("A header of this request contains characters that are not allowed.") from None


def _read(connection: _Connection, start: float, seconds: float) -> HttpAnswer:
    body = bytearray()
    try:
        _read_whole(connection, body, seconds)
        incomplete = ""
    except ReceiverUnreachable as error:
        if error.status is None:
            raise
        incomplete = str(error)
    response, most = connection.answer, connection.limits.body
    assert response is not None  # noqa: S101  for the type checker
    # None if the status line was not received to its end.
    headers = response.headers.items() if response.headers else ()
    return HttpAnswer(
        status=response.status,
        headers=CaseInsensitiveDict(HTTPHeaderDict(headers)),
        body=bytes(body[:most]),
        cut=len(body) > most,
        seconds=monotonic() - start,
        incomplete=incomplete,
    )


def _read_whole(connection: _Connection, body: bytearray, seconds: float) -> None:
    """Read the head and the body up to one byte more than its limit. Raises :class:`ReceiverUnreachable`."""
    with _answer_errors(connection, seconds):
        try:
            response = connection.getresponse()
            most = connection.limits.body
            while len(body) <= most and (piece := response.read_piece(min(most + 1 - len(body), PIECE))):
                body += piece
            if response.length and len(body) <= most:
                raise http.client.IncompleteRead(b"", response.length)
        except http.client.IncompleteRead as error:
            body += error.partial
            raise


@contextmanager
def _answer_errors(connection: _Connection, seconds: float) -> Iterator[None]:
    """Raise errors of the block, which receives an answer, as :class:`ReceiverUnreachable`."""

    def status() -> int | None:
        return connection.answer.answered if connection.answer else None

    try:
        yield
    except ReceiverUnreachable as error:
        error.status = status()
        raise
    except TimeoutError as error:
        what = (
            f"The receiver answered {status()}, but its answer was not complete"
            if status()
            else "No whole answer"
        )
        raise ReceiverUnreachable(f"{what} within {seconds:g} s.", status()) from error
    except ssl.SSLError as error:
        raise ReceiverUnreachable(
            f"The receiver ended the TLS connection ({error.reason or 'no reason'}).", status()
        ) from error
    except http.client.RemoteDisconnected as error:
        raise ReceiverUnreachable("The receiver closed the connection without an answer.") from error
    except http_head.HeadError as error:
        what = f"The receiver answered {status()}, but {error}." if status() else f"The receiver {error}."
        raise ReceiverUnreachable(what, status()) from error
    except (http.client.HTTPException, OSError, ValueError) as error:
        what = (
            f"The receiver answered {status()}, but broke off"
            if status()
            else "The connection broke or brought no HTTP"
        )
        raise ReceiverUnreachable(f"{what} ({type(error).__name__}).", status()) from error


def _system_text(error: BaseException) -> str:
    """The text of the operating system for an error, without its number."""
    return str(getattr(error, "strerror", None) or (error.args[:1] and error.args[0]) or type(error).__name__)
