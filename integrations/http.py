"""The one door to the network: no other module opens a connection.

A name is resolved once, every address that it has is judged (addresses.py) and a judged address is the one
dialled, so that no second answer of the resolver matters. TLS is verified against the name. Redirects are not
followed, the environment's proxies are not honoured, answers are read up to a cap and never decompressed.

Two deadlines hold for a request as a whole: ``connect`` (resolve, dial, TLS handshake) and ``answer`` (send, head
and body of the answer). They are kept by the socket itself, which before each call gives the operating
system only the time that is left: a peer that drips one byte a second is cut off like one that hangs.

Authorization comes as requests' ``AuthBase``. requests' Session is not used: its redirects, cookies, hooks and
environment look-ups would have to be switched off one by one, and it halves the throughput.
"""

import base64
import errno
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

import urllib3.exceptions
from django.conf import settings
from requests import PreparedRequest
from requests.auth import AuthBase, HTTPBasicAuth
from requests.structures import CaseInsensitiveDict
from urllib3.connection import HTTPConnection
from urllib3.response import HTTPResponse

from integrations.addresses import BadUrl, Network, Url, forbidden, networks, parse_url
from integrations.tls import Tls, context

__all__ = ["Answer", "AuthBase", "DoorError", "Fault", "HTTPBasicAuth", "Refused", "Unreachable", "request"]

CONNECT_SECONDS = 5.0
ANSWER_SECONDS = 5.0
MAX_ANSWER = 64 * 1024
# Shorter than the keep-alive that common servers grant (5 s), so that a kept connection is rarely found closed.
IDLE_SECONDS = 4.0

# urllib3 logs whole URLs, whose query may hold a secret.
logging.getLogger("urllib3").setLevel(logging.CRITICAL)

_OUR_MACHINE = frozenset(
    {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM, errno.EADDRNOTAVAIL, errno.ENETUNREACH}
)


class DoorError(Exception):
    """No whole answer came. The message is a sentence for a person and holds no secret."""

    status: int | None = None


class Refused(DoorError):
    """The URL or an address of the host is not allowed: it will not pass by itself."""


class Unreachable(DoorError):
    """Theirs, and may pass: name, connection, TLS, timeout, half an answer.

    ``status`` is set where the answer's head came but not its whole body.
    """

    def __init__(self, message: str, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status


class Fault(DoorError):
    """Our own machine or settings: no file handles, no network, a bad ALLOWED_NETWORKS."""


@dataclass(frozen=True, slots=True)
class Answer:
    """``body`` is at most 64 KiB, as it came; ``cut`` tells that there was more. ``seconds`` from call to last byte."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    cut: bool
    seconds: float


class _Deadline:
    """A socket that gives each call only what is left of the time."""

    deadline = 0.0

    def left(self) -> float:
        left = self.deadline - monotonic()
        if left <= 0:
            raise TimeoutError
        return left

    def recv_into(self, *args, **kwargs):  # type: ignore[no-untyped-def]
        self.settimeout(self.left())  # type: ignore[attr-defined]
        return super().recv_into(*args, **kwargs)  # type: ignore[misc]

    def send(self, *args):  # type: ignore[no-untyped-def]
        self.settimeout(self.left())  # type: ignore[attr-defined]
        return super().send(*args)  # type: ignore[misc]

    def sendall(self, *args):  # type: ignore[no-untyped-def]
        self.settimeout(self.left())  # type: ignore[attr-defined]
        return super().sendall(*args)  # type: ignore[misc]


class _PlainSocket(_Deadline, socket.socket):
    pass


class _TlsSocket(_Deadline, ssl.SSLSocket):
    pass


class _Connection(HTTPConnection):
    """One connection to one target; ``sock`` is dialled, checked and wrapped here."""

    sock: _PlainSocket | _TlsSocket | None
    # Never dials by itself, which would resolve again.
    auto_open = 0

    def __init__(self, url: Url, tls: Tls) -> None:
        super().__init__(url.host, url.port)
        self.url, self.tls, self.used = url, tls, 0.0
        self._gathered: list[bytes] | None = None

    def open(self, deadline: float) -> None:
        proxy = settings.OUTGOING_PROXY
        addresses = _checked(self.url, deadline)
        if proxy:
            parts = urlsplit(proxy)
            port = parts.port or 3128
            # The proxy is told the checked address, never the name, which it would resolve again.
            self.set_tunnel(addresses[0][1][0], self.url.port, _proxy_headers(parts.username, parts.password))
            self.sock = _dial(_resolve(parts.hostname or "", port, deadline), deadline)
            self._tunnel()
        else:
            self.sock = _dial(addresses, deadline)
        if self.url.scheme == "https":
            self.sock = secured(self.sock, self.url.host, context(self.tls))

    def request(self, *args: Any, **kwargs: Any) -> None:
        """Head and body in one write: one packet where they fit, and the receiver wakes once."""
        self._gathered = []
        super().request(*args, **kwargs)
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


def secured(raw: _PlainSocket, host: str, ssl_context: ssl.SSLContext) -> _TlsSocket:
    """``raw`` wrapped in TLS, verified against the name, within its deadline."""
    deadline = raw.deadline
    ssl_context.sslsocket_class = _TlsSocket
    name = host.removesuffix(".")
    secured = ssl_context.wrap_socket(raw, server_hostname=name, do_handshake_on_connect=False)
    assert isinstance(secured, _TlsSocket)  # noqa: S101  for the type checker
    try:
        secured.deadline = deadline
        secured.settimeout(secured.left())
        secured.do_handshake()
    except BaseException:
        secured.close()
        raise
    return secured


def _checked(url: Url, deadline: float) -> list[tuple[int, tuple]]:
    """Family and socket address of every record of the host. Raises :class:`Refused` if any is bad."""
    allowed = _allowed(tuple(settings.ALLOWED_NETWORKS))
    found = _resolve(url.host, url.port, deadline)
    for _, address in found:
        if why := forbidden(address[0], allowed):
            raise Refused(f"{url.host} must not be called: {why}.")
    return found


def _allowed(cidrs: tuple[str, ...]) -> tuple[Network, ...]:
    try:
        return networks(cidrs)
    except ValueError as error:
        raise Fault(str(error)) from error


def _resolve(host: str, port: int, deadline: float) -> list[tuple[int, tuple]]:
    """What the resolver says, within the time: it knows no timeout itself, so a thread asks it."""
    result: list[list[tuple[int, tuple]] | OSError | UnicodeError] = []

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
        raise Unreachable(f"The name {host} was not resolved in time.")
    if isinstance(result[0], Exception):
        raise Unreachable(f"The name {host} cannot be resolved ({_said(result[0])}).") from result[0]
    if not result[0]:
        raise Unreachable(f"The name {host} has no address.")
    return result[0]


def _dial(addresses: list[tuple[int, tuple]], deadline: float) -> _PlainSocket:
    """Connect to the first address that answers; the time left is shared among those still to try."""
    error: OSError = TimeoutError()
    for number, (family, address) in enumerate(addresses):
        sock = _PlainSocket(family, socket.SOCK_STREAM)
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
    """Open connections that wait for their next request, as many as may be in flight, the longest unused leaves first."""

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
        """Drop all: after a fork the sockets are the parent's, before one test the next has other rules."""
        with self._lock:
            for connection in self._kept:
                connection.close()
            self._kept.clear()
            self._by_key.clear()


_idle = _Idle()


def _after_fork() -> None:
    # A new lock too: the parent may have held the old one. Closing here leaves the parent's connection open
    # (for TLS as well: closing sends nothing).
    global _idle
    parents, _idle = _idle, _Idle()
    for connection in list(parents._kept):
        connection.close()


os.register_at_fork(after_in_child=_after_fork)


def close_idle() -> None:
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
) -> Answer:
    """One request, one answer. ``connect`` and ``answer`` are seconds. Raises :class:`DoorError`."""
    start = monotonic()
    try:
        parsed = url if isinstance(url, Url) else parse_url(url)
    except BadUrl as error:
        raise Refused(str(error)) from error
    message = _prepared(method, parsed, headers or {}, body, auth)
    tls = tls or Tls()
    key = (
        parsed.scheme,
        parsed.host,
        parsed.port,
        tls,
        tuple(settings.ALLOWED_NETWORKS),
        settings.OUTGOING_PROXY,
    )
    connection = _idle.take(key)
    try:
        if connection is not None:
            connection.until(monotonic() + answer)
            try:
                _send(connection, message, parsed)
            except OSError:
                # The peer had closed it and cannot have got the whole request: a fresh connection may have it.
                connection.close()
                connection = None
        if connection is None:
            connection = _Connection(parsed, tls)
            _open(connection, monotonic() + connect, connect)
            connection.until(monotonic() + answer)
            # It may have answered already, such as 413 or a TLS alert, before it stopped reading.
            with suppress(OSError):
                _send(connection, message, parsed)
        result = _read(connection, start, answer)
    except BaseException:
        if connection is not None:
            connection.close()
        raise
    if connection.sock is not None and not result.cut:
        _idle.keep(key, connection)
    else:
        connection.close()
    return result


def _prepared(
    method: str, url: Url, headers: Mapping[str, str], body: bytes, auth: AuthBase | None
) -> PreparedRequest:
    message = PreparedRequest()
    message.method, message.url, message.body = method, str(url), body
    # Identity: answers are kept as they come, so there is no decompression and no bomb.
    message.headers = CaseInsensitiveDict({"Host": url.netloc, "Accept-Encoding": "identity", **headers})
    return auth(message) if auth is not None else message


def stream(host: str, port: int, deadline: float) -> _PlainSocket:
    """A connection for a protocol other than HTTP (mail), resolved, judged and dialled as for a request.

    Its ``deadline`` (of ``time.monotonic``) holds for all that is read and written. ``OUTGOING_PROXY`` is for HTTP alone.
    Wrap what may go wrong in :func:`connecting`.
    """
    return _dial(_checked(Url("https", host, port, "/"), deadline), deadline)


def tunnel(host: str, port: int, seconds: float) -> _PlainSocket:
    """A connection for TLS that somebody else speaks (relay.py), made as for a request, by ``OUTGOING_PROXY`` too.

    Raises :class:`DoorError`.
    """
    connection = _Connection(Url("http", host, port, "/"), Tls())
    try:
        _open(connection, monotonic() + seconds, seconds)
    except BaseException:
        connection.close()
        raise
    assert isinstance(connection.sock, _PlainSocket)  # noqa: S101  for the type checker
    return connection.sock


def _open(connection: _Connection, deadline: float, seconds: float) -> None:
    with connecting(connection.url.host, seconds, proxy=bool(settings.OUTGOING_PROXY)):
        connection.open(deadline)


@contextmanager
def connecting(host: str, seconds: float, *, proxy: bool = False) -> Iterator[None]:
    """What goes wrong on the way to a connection, as :class:`DoorError`."""
    try:
        yield
    except DoorError:
        raise
    except ssl.SSLCertVerificationError as error:
        raise Unreachable(f"The certificate of {host} was refused: {error.verify_message}.") from error
    except ssl.SSLError as error:
        raise Unreachable(f"No TLS connection with {host} ({error.reason or 'handshake failed'}).") from error
    except TimeoutError as error:
        raise Unreachable(f"No connection with {host} within {seconds:g} s.") from error
    except (OSError, http.client.HTTPException) as error:
        if getattr(error, "errno", None) in _OUR_MACHINE:
            raise Fault(f"This machine cannot connect to {host} ({_said(error)}).") from error
        if proxy:
            raise Fault(
                f"No connection with {host} through the proxy of OUTGOING_PROXY ({_said(error)})."
            ) from error
        raise Unreachable(f"No connection with {host} ({_said(error)}).") from error


def _send(connection: _Connection, message: PreparedRequest, url: Url) -> None:
    try:
        connection.request(
            message.method or "POST",
            url.target,
            body=message.body or None,
            headers=message.headers,
            preload_content=False,
            decode_content=False,
        )
    except TimeoutError as error:
        raise Unreachable("The receiver did not take the request in time.") from error
    except ValueError:
        # The standard library's last guard against a line break in a header; its text shows the header's value.
        raise Refused("A header of this request holds characters that are not allowed.") from None


def _read(connection: _Connection, start: float, seconds: float) -> Answer:
    status = None
    try:
        response: HTTPResponse = connection.getresponse()
        status = response.status
        body = b""
        while len(body) <= MAX_ANSWER and (piece := response.read(MAX_ANSWER + 1 - len(body))):
            body += piece
    except (TimeoutError, urllib3.exceptions.ReadTimeoutError) as error:
        what = (
            f"The receiver answered {status}, but its body was not complete" if status else "No whole answer"
        )
        raise Unreachable(f"{what} within {seconds:g} s.", status) from error
    except ssl.SSLError as error:
        raise Unreachable(
            f"The receiver ended the TLS connection ({error.reason or 'no reason'}).", status
        ) from error
    except http.client.RemoteDisconnected as error:
        raise Unreachable("The receiver closed the connection without an answer.") from error
    except (http.client.HTTPException, urllib3.exceptions.HTTPError, OSError, ValueError) as error:
        what = (
            f"The receiver answered {status}, but broke off"
            if status
            else "The connection broke or brought no HTTP"
        )
        raise Unreachable(f"{what} ({type(error).__name__}).", status) from error
    return Answer(
        status=response.status,
        headers=CaseInsensitiveDict(response.headers),
        body=body[:MAX_ANSWER],
        cut=len(body) > MAX_ANSWER,
        seconds=monotonic() - start,
    )


def _said(error: BaseException) -> str:
    """What the operating system says of an error, without its number."""
    return str(getattr(error, "strerror", None) or (error.args[:1] and error.args[0]) or type(error).__name__)
