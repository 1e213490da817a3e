"""Reading a directory over LDAP (RFC 4511): resolved, checked and dialled as an HTTP request, within deadlines.

The password is sent over TLS alone: from the start (LDAPS), or after StartTLS. Referrals are not followed. No library is
used: ldap3 and libldap open connections by themselves, past the rules about networks, and bound no answer.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from time import monotonic

from integrations.errors import IntegrationError
from integrations.transport import streams
from integrations.transport.addresses import parse_url
from integrations.transport.ldap_messages import (
    BIND_RESPONSE,
    DONE,
    ENTRY,
    EXTENDED_RESPONSE,
    SUBTREE,
    LdapEntry,
    LdapFormatError,
    LdapMessage,
    LdapResult,
    bind_request,
    parse_message,
    search_request,
    start_tls_request,
    unbind_request,
    whole_length,
)
from integrations.transport.tls import verifying_context

# Limit of the answer to one search, which is one page.
MAX_PAGE = 16 * 1024 * 1024
RECEIVED_AT_ONCE = 64 * 1024
UNBIND_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class DirectoryServer:
    """A directory and the account that reads it. ``security``: ``ldaps`` or ``starttls``. ``ca``: PEM or empty.

    ``connect``: seconds to dial, encrypt and sign in; ``answer``: seconds for one search.
    """

    host: str
    port: int
    security: str
    account: str = ""
    password: str = field(repr=False, default="")
    ca: str = ""
    connect: float = 10
    answer: float = 60


class LdapRefused(IntegrationError):
    """The server ended an operation with a result code other than success. ``text``: its own words."""

    def __init__(self, operation: str, result: LdapResult) -> None:
        super().__init__(f"The directory refused the {operation} with code {result.code}.")
        self.operation, self.code, self.text = operation, result.code, result.text


class LdapDisconnected(IntegrationError):
    """The connection ended, or what came over it was no LDAP. The message is a sentence."""


@dataclass(frozen=True, slots=True)
class LdapPage:
    """The entries of one page, and the cookie that asks for the next one; empty after the last."""

    entries: Sequence[LdapEntry]
    cookie: bytes = b""


class LdapConnection:
    """One connection, signed in. An error ends it: :attr:`is_open` is then false."""

    def __init__(self, server: DirectoryServer) -> None:
        """Dial, encrypt, sign in. Raises :class:`~integrations.transport.http.TransportError`, :class:`LdapRefused` and
        :class:`LdapDisconnected`."""
        self.server = server
        # parse_url returns the name that is resolved, dialled and verified by TLS.
        self.host = parse_url(f"https://{server.host}:{server.port}/").host
        self._number, self._received = 0, bytearray()
        deadline = monotonic() + server.connect
        advice = (
            f"{self.host} answers without TLS at port {server.port}. Choose StartTLS as its encryption, or the port "
            "for LDAPS (636)."
        )
        self._sock: streams.DeadlineSocket | None = None
        with streams.connection_errors(self.host, server.connect, advice):
            try:
                self._open(deadline)
            except BaseException:
                self.close()
                raise
        try:
            self._bind()
        except BaseException:
            self.close()
            raise

    @property
    def is_open(self) -> bool:
        return self._sock is not None

    def search(
        self,
        base: str,
        filter_text: str,
        attributes: Sequence[str],
        *,
        scope: int = SUBTREE,
        page: int = 0,
        cookie: bytes = b"",
    ) -> LdapPage:
        """One search, or one page of it. References to other servers are left out.

        Raises :class:`LdapRefused`, which leaves the connection open, :class:`LdapDisconnected` and
        :class:`~integrations.transport.ldap_messages.FilterError`.
        """
        number = self._next_number()
        request = search_request(number, base, scope, filter_text, attributes, page=page, cookie=cookie)
        self._socket().deadline = monotonic() + self.server.answer
        entries = []
        for message in self._answers(number, request):
            if message.operation == ENTRY and message.entry is not None:
                entries.append(message.entry)
            elif message.operation == DONE and message.result is not None:
                if message.result.code:
                    raise LdapRefused("search", message.result)
                return LdapPage(entries, message.result.cookie)
        raise self._ended("The directory ended the connection in the middle of an answer.")

    def close(self) -> None:
        """Sign out and close, also if the server does not answer."""
        sock, self._sock = self._sock, None
        if sock is None:
            return
        try:
            sock.deadline = monotonic() + UNBIND_SECONDS
            sock.sendall(unbind_request(self._next_number()))
        except OSError:
            pass
        finally:
            sock.close()

    def _open(self, deadline: float) -> None:
        raw = streams.open_stream(self.host, self.server.port, deadline)
        self._sock = raw
        if self.server.security == "starttls":
            self._start_tls(raw)
        self._sock = streams.wrap_tls(raw, self.host, verifying_context(self.server.ca))

    def _start_tls(self, raw: streams.PlainSocket) -> None:
        number = self._next_number()
        self._expect(number, start_tls_request(number), EXTENDED_RESPONSE, "StartTLS")
        # Bytes received in clear would be read as if they had been encrypted.
        if self._received or raw.arrived():
            raise self._ended("The directory sent something in the clear after it had agreed to StartTLS.")

    def _bind(self) -> None:
        number = self._next_number()
        request = bind_request(number, self.server.account, self.server.password)
        self._expect(number, request, BIND_RESPONSE, "sign-in")

    def _expect(self, number: int, request: bytes, operation: int, name: str) -> None:
        for message in self._answers(number, request):
            if message.operation == operation and message.result is not None:
                if message.result.code:
                    raise LdapRefused(name, message.result)
                return
        raise self._ended("The directory ended the connection instead of answering.")

    def _answers(self, number: int, request: bytes) -> Iterator[LdapMessage]:
        """Send a request and yield the messages that answer it, until the connection ends."""
        left = MAX_PAGE
        try:
            self._socket().sendall(request)
            while (data := self._message()) is not None:
                left -= len(data)
                if left < 0:
                    raise self._ended(f"An answer of the directory is longer than {MAX_PAGE:,} bytes.")
                message = parse_message(data)
                if message.number == number:
                    yield message
                elif message.number == 0 and message.result is not None:
                    # A notice of disconnection (RFC 4511 §4.4.1).
                    raise self._ended(f"The directory ended the connection (code {message.result.code}).")
        except LdapFormatError as error:
            raise self._ended(str(error)) from None
        except TimeoutError:
            raise self._ended("The directory did not answer in time.") from None
        except OSError as error:
            raise self._ended("The directory ended the connection.") from error

    def _message(self) -> bytes | None:
        """The next whole message; None when the peer has closed."""
        received = self._received
        while (size := whole_length(received)) is None or len(received) < size:
            if size is not None and size > MAX_PAGE:
                raise LdapFormatError(f"A message of the answer is longer than {MAX_PAGE:,} bytes.")
            part = self._socket().recv(RECEIVED_AT_ONCE)
            if not part:
                return None
            received += part
        data = bytes(received[:size])
        del received[:size]
        return data

    def _ended(self, reason: str) -> LdapDisconnected:
        """The error of a connection that is of no use any longer."""
        self.close()
        return LdapDisconnected(reason)

    def _socket(self) -> streams.DeadlineSocket:
        if self._sock is None:
            raise LdapDisconnected("The connection with the directory has ended.")
        return self._sock

    def _next_number(self) -> int:
        self._number += 1
        return self._number
