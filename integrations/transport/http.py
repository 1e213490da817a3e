"""HTTP requests, over the checked connections of streams.py.

Redirects are not followed, proxies of the environment are not used, and answers are read up to a cap and not
decompressed. A request has two deadlines: ``connect`` (resolve, dial, TLS handshake) and ``answer`` (send, and receive
the whole answer).

Authorization is an ``AuthBase`` of requests. Its Session is not used: redirects, cookies, hooks and environment
look-ups would have to be switched off one by one, and it halves the throughput.
"""

import base64
import http.client
import logging
import os
import socket
import ssl
import threading
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from time import monotonic
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from requests import PreparedRequest
from requests.auth import AuthBase, HTTPBasicAuth
from requests.structures import CaseInsensitiveDict
from urllib3 import HTTPHeaderDict
from urllib3.connection import HTTPConnection

from integrations.transport import http_head, streams
from integrations.transport.addresses import Url, UrlError, parse_url
from integrations.transport.errors import LocalFault, ReceiverUnreachable, RequestRefused, TransportError
from integrations.transport.http_response import Response
from integrations.transport.tls import Tls, ssl_context

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

# urllib3 logs whole URLs, whose query may contain a secret.
logging.getLogger("urllib3").setLevel(logging.CRITICAL)


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


class _Connection(HTTPConnection):
    """One connection to one target; ``sock`` is dialled, checked and wrapped here."""

    sock: streams.DeadlineSocket | None
    # http.client must not dial by itself: it would resolve the name again.
    auto_open = 0

    def __init__(self, url: Url, tls: Tls, *, plain: bool) -> None:
        super().__init__(url.host, url.port)
        self.url, self.tls, self.plain, self.used = url, tls, plain, 0.0
        self.answer: Response | None = None
        self.limits = AnswerLimits()
        self._gathered: list[bytes] | None = None

    def response_class(  # type: ignore[override]
        self, sock: socket.socket, debuglevel: int = 0, method: str | None = None
    ) -> Response:
        self.answer = Response(sock, debuglevel, method, most=self.limits.received)
        return self.answer

    def getresponse(self) -> Response:  # type: ignore[override]
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
        found = streams.checked_addresses(self.url, deadline, plain=self.plain or self.url.scheme == "https")
        if proxy:
            parts = urlsplit(proxy)
            port = parts.port or 3128
            # The proxy gets the checked address, not the name, which it would resolve again.
            self.set_tunnel(found[0][1][0], self.url.port, _proxy_headers(parts.username, parts.password))
            self.sock = streams.dial(streams.resolve(parts.hostname or "", port, deadline), deadline)
            self._tunnel()
            self._check_tunnel()
        else:
            self.sock = streams.dial(found, deadline)
        if self.url.scheme == "https":
            self.sock = streams.wrap_tls(self.sock, self.url.host, ssl_context(self.tls))

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
        streams.present_rules(),
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


def open_tunnel(host: str, port: int, seconds: float) -> streams.PlainSocket:
    """A connection for TLS of a client behind relay.py, opened as for a request, also by ``OUTGOING_PROXY``.

    Raises :class:`TransportError`.
    """
    connection = _Connection(Url("http", host, port, "/"), Tls(), plain=True)
    try:
        _open(connection, monotonic() + seconds, seconds)
    except BaseException:
        connection.end()
        raise
    assert isinstance(connection.sock, streams.PlainSocket)  # noqa: S101  for the type checker
    return connection.sock


def _open(connection: _Connection, deadline: float, seconds: float) -> None:
    url = connection.url
    plain_advice = (
        f"{url.host} answers without TLS at port {url.port}, so it is no https address. Write the port that "
        "speaks TLS, or http:// where the receiver speaks plain http only."
    )
    with streams.connection_errors(url.host, seconds, plain_advice, proxy=bool(settings.OUTGOING_PROXY)):
        connection.open(deadline)


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
