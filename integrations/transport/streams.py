"""Connections to other hosts, for any protocol. Only this module opens them.

A host name is resolved once, each of its addresses is checked (network_rules.py), and a checked address is dialled, so
a second answer of the resolver changes nothing. TLS is verified against the name.

A connection has a deadline, and its socket keeps it: before each call it sets the remaining time as its timeout, so a peer
that sends one byte a second is cut off like one that sends nothing.
"""

import errno
import http.client
import logging
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import monotonic
from typing import Any, TypeVar

from django.conf import settings
from urllib3.util.wait import wait_for_read

from integrations.errors import IntegrationError
from integrations.transport import network_rules
from integrations.transport.addresses import Url, UrlError, parse_url
from integrations.transport.errors import LocalFault, ReceiverUnreachable, RequestRefused, TransportError
from integrations.transport.network_rules import Rules, address_refusal, entry_for, host_refusal, parse_rules

log = logging.getLogger(__name__)
T = TypeVar("T")

# Seconds to wait for the rest of a TLS record whose start was received.
RECORD_SECONDS = 0.01

# Host and port, with flow and scope for IPv6, as the socket module passes them.
SocketAddress = tuple[Any, ...]

_OUR_MACHINE = frozenset(
    {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM, errno.EADDRNOTAVAIL, errno.ENETUNREACH}
)


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


def checked_addresses(url: Url, deadline: float, *, plain: bool = True) -> list[tuple[int, SocketAddress]]:
    """Family and socket address of every record of the host. Raises :class:`RequestRefused` if one is not allowed.

    ``plain``: without it, each address must be in ``ALLOWED_NETWORKS``, since the request is not encrypted.
    """
    given = present_rules()
    if why := host_refusal(url.host, url.port, given):
        raise _refusal(url, why)
    found = resolve(url.host, url.port, deadline)
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
        return network_rules.plain_url_problem(parse_url(url), present_rules())
    except (UrlError, LocalFault):
        return None


def present_rules() -> Rules:
    """The rules of the settings: the same object while these are the same."""
    try:
        return parse_rules(
            tuple(settings.ALLOWED_NETWORKS),
            tuple(settings.DENIED_NETWORKS),
            tuple(settings.OUTGOING_HOSTS),
        )
    except ValueError as error:
        raise LocalFault(str(error)) from error


def resolve(host: str, port: int, deadline: float) -> list[tuple[int, SocketAddress]]:
    """The addresses from the resolver, within the deadline: it has no timeout itself, so a thread calls it."""
    result: list[list[tuple[int, SocketAddress]] | OSError | UnicodeError] = []

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


def dial(addresses: list[tuple[int, SocketAddress]], deadline: float) -> PlainSocket:
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


def open_stream(host: str, port: int, deadline: float) -> PlainSocket:
    """A connection for another protocol than HTTP (mail, LDAP), resolved, checked and dialled as for a request.

    Its ``deadline`` (of ``time.monotonic``) applies to all reads and writes. ``OUTGOING_PROXY`` is for HTTP only.
    Call it within :func:`connection_errors`.
    """
    return dial(checked_addresses(Url("https", host, port, "/"), deadline), deadline)


def open_async_stream(host: str, port: int, deadline: float) -> socket.socket:
    """As :func:`open_stream`, for asyncio: the socket never waits, and its user keeps the deadline."""
    raw = open_stream(host, port, deadline)
    # A socket of this module sets a timeout before each call, which asyncio refuses.
    plain = socket.socket(fileno=raw.detach())
    plain.setblocking(False)
    return plain


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


def _system_text(error: BaseException) -> str:
    """The text of the operating system for an error, without its number."""
    return str(getattr(error, "strerror", None) or (error.args[:1] and error.args[0]) or type(error).__name__)
