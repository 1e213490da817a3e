"""Sending one mail over SMTP (RFC 5321): resolved, checked and dialled as an HTTP request, within deadlines."""

import base64
import hmac
import re
import smtplib
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from time import monotonic
from typing import Any

from integrations.errors import IntegrationError
from integrations.transport import streams
from integrations.transport.addresses import parse_url
from integrations.transport.results import Result
from integrations.transport.tls import verifying_context

# RFC 5321 §4.5.3.1.5 allows 512 bytes a line and any number of lines. Servers exceed the first; none needs this many.
MAX_LINE = 2048
MAX_LINES = 128
# Seconds to wait for the reply to QUIT: the mail was accepted before.
QUIT_SECONDS = 2.0
# PLAIN has none or one, LOGIN two, CRAM-MD5 one.
MAX_CHALLENGES = 3
_NO_UTF8 = "The mail server does not offer SMTPUTF8, which these addresses need: {}. Use addresses in ASCII."
_REPLY = re.compile(rb"[2-5][0-9]{2}(?=[ -]|\Z)")  # RFC 5321 §4.2


@dataclass(frozen=True, slots=True)
class MailServer:
    """A mail server. ``connect``: seconds to dial, greet and encrypt; ``answer``: seconds for the rest. ``ca``: PEM or empty."""

    host: str
    port: int
    security: str
    username: str = ""
    password: str = field(repr=False, default="")
    ca: str = ""
    connect: float = 5
    answer: float = 20


class MailRejected(IntegrationError):
    """The server did not accept the mail. ``code`` is its reply code (RFC 5321 §4.2), None without one.

    ``is_mailbox``: it refused each recipient's mailbox, but may accept another.
    """

    def __init__(
        self, reason: str, result: Result, code: int | None = None, *, is_mailbox: bool = False
    ) -> None:
        super().__init__(reason)
        self.result, self.code, self.is_mailbox = result, code, is_mailbox


class _BadReply(smtplib.SMTPServerDisconnected):
    """A reply that is too large or was not expected; the connection is closed. The message is a sentence."""


def submit(server: MailServer, sender: str, recipients: Sequence[str], message: bytes) -> dict[str, str]:
    """Send one mail; the refused recipients and why, if the server accepted others.

    Without recipients it only connects and signs in. Raises :class:`MailRejected`, or :class:`~integrations.transport.http.TransportError` if no connection was opened.
    """
    # parse_url returns the name that is resolved, dialled and verified by TLS.
    host = parse_url(f"https://{server.host}:{server.port}/").host
    session = _Session(server, host)
    beyond_ascii = [address for address in (sender, *recipients) if not address.isascii()]
    # RFC 6531 §3.4: the addresses and headers are UTF-8, which needs 8BITMIME as well.
    options = ["SMTPUTF8", "BODY=8BITMIME"] if beyond_ascii else []
    try:
        plain_advice = (
            f"{host} answers without TLS at port {server.port}. Choose STARTTLS as its encryption, or the port for "
            "TLS from the start (465)."
        )
        with streams.connection_errors(host, server.connect, plain_advice):
            try:
                session.open()
            except smtplib.SMTPException as error:
                # These are OSErrors too, but of an open connection.
                raise _rejection(error) from error
        if beyond_ascii and not session.has_extn("smtputf8"):
            raise MailRejected(_NO_UTF8.format(", ".join(beyond_ascii)), Result.PERMANENT)
        if server.username:
            session.login(prepared(server.username), prepared(server.password))
        refused = session.sendmail(sender, list(recipients), message, options) if recipients else {}
        session.end_session()
    except ValueError as error:
        # smtplib decodes the challenges of a sign-in without catching errors.
        raise MailRejected(
            "The mail server's sign-in challenge cannot be decoded.", Result.RETRYABLE
        ) from error
    except smtplib.SMTPException as error:
        raise _rejection(error) from error
    except OSError as error:
        raise MailRejected(
            "The mail server broke off or did not answer in time.", Result.RETRYABLE
        ) from error
    finally:
        session.close()
    return {address: _reply(*reply) for address, reply in refused.items()}


class _Session(smtplib.SMTP):
    sock: streams.DeadlineSocket | None

    def __init__(self, server: MailServer, host: str) -> None:
        # Without a name smtplib would ask the resolver for one, without a timeout.
        super().__init__(local_hostname="localhost")
        self.server, self.peer = server, host
        self._host = host
        self._received = b""
        self.context = verifying_context(server.ca)

    def open(self) -> None:
        self.deadline = monotonic() + self.server.connect
        code, text = self.connect(self.peer, self.server.port)
        if not _is_positive(code):
            raise smtplib.SMTPConnectError(code, text)
        # RFC 5321 §4.1.3: a client without a public name sends its address.
        own = self._socket().getsockname()[0]
        self.local_hostname = f"[IPv6:{own}]" if ":" in own else f"[{own}]"
        if self.server.security == "starttls":
            # Raises if the server does not offer it: the mail is not sent unencrypted instead.
            self.starttls(context=_Wrapper(self))  # type: ignore[call-overload]
        self.ehlo_or_helo_if_needed()
        self.deadline = self._socket().deadline = monotonic() + self.server.answer

    def getreply(self) -> tuple[int, bytes]:
        """Code and text of one reply. smtplib's own method reads any number of lines."""
        lines: list[bytes] = []
        while len(lines) < MAX_LINES:
            line = self._line()
            if not _REPLY.match(line):
                self.close()
                raise _BadReply("The mail server answered with something that is not an SMTP reply.")
            lines.append(line[4:].strip())
            if line[3:4] != b"-":
                return int(line[:3]), b"\n".join(lines)
        self.close()
        raise _BadReply(f"The mail server sent a reply of more than {MAX_LINES} lines.")

    def _line(self) -> bytes:
        while b"\n" not in self._received and len(self._received) < MAX_LINE:
            self._receive()
        line, end, self._received = self._received.partition(b"\n")
        if not end or len(line) >= MAX_LINE:
            self.close()
            raise _BadReply(f"The mail server sent a line of more than {MAX_LINE:,} bytes.")
        return line.rstrip(b"\r")

    def _receive(self) -> None:
        try:
            received = self._socket().recv(4096)
        except OSError as error:
            self.close()
            raise smtplib.SMTPServerDisconnected("Connection unexpectedly closed") from error
        if not received:
            self.close()
            raise smtplib.SMTPServerDisconnected("Connection unexpectedly closed")
        self._received += received

    def send(self, s: Any) -> None:
        """Send a command or the mail, unless a reply was received already: it would be read as the reply to this."""
        self.check_nothing_received()
        super().send(s)

    def mail(self, sender: str, options: Sequence[str] = ()) -> tuple[int, bytes]:
        return _as_known(super().mail(sender, options))

    def rcpt(self, recip: str, options: Sequence[str] = ()) -> tuple[int, bytes]:
        return _as_known(super().rcpt(recip, options))

    def data(self, msg: Any) -> tuple[int, bytes]:
        return _as_known(super().data(msg))

    def auth(self, mechanism: str, authobject: Any, *, initial_response_ok: bool = True) -> tuple[int, bytes]:
        """Sign in by one mechanism. smtplib's own method takes ASCII alone; RFC 4616 §2 says UTF-8."""
        first = authobject() if initial_response_ok else None
        response = "" if first is None else f" {_encoded(first)}"
        # The base class's method for LOGIN counts with it.
        self._auth_challenge_count = 0 if first is None else 1
        code, text = self.docmd("AUTH", f"{mechanism.upper()}{response}")
        while code == 334:
            self._auth_challenge_count += 1
            if self._auth_challenge_count > MAX_CHALLENGES:
                raise smtplib.SMTPException("The server keeps sending challenges.")
            code, text = self.docmd(_encoded(authobject(base64.decodebytes(text))))
        if code in (235, 503):
            return code, text
        raise smtplib.SMTPAuthenticationError(code, text)

    def auth_cram_md5(self, challenge: bytes | None = None) -> str | None:  # type: ignore[override]
        """RFC 2195, with the password in UTF-8."""
        if challenge is None:
            return None
        password = prepared(self.server.password).encode()
        return f"{self.user} {hmac.new(password, challenge, 'md5').hexdigest()}"

    def check_nothing_received(self) -> None:
        """Raise if the server sent something before it was asked."""
        unasked = self._received or self._socket().arrived()
        if unasked:
            self.close()
            answer_text = " ".join(unasked.decode("utf-8", "replace").split())
            raise _BadReply(f"The mail server sent “{answer_text}” before anything was asked.")

    def close(self) -> None:
        self._received = b""
        super().close()

    def end_session(self) -> None:
        """End the session. The mail was accepted before, so the answer is ignored."""
        try:
            self._socket().deadline = min(self.deadline, monotonic() + QUIT_SECONDS)
            self.quit()
        except (smtplib.SMTPException, OSError):
            self.close()

    def _get_socket(self, host: str, port: int, timeout: float) -> streams.DeadlineSocket:
        raw = streams.open_stream(host, port, self.deadline)
        return self.wrap(raw) if self.server.security == "tls" else raw

    def wrap(self, raw: streams.PlainSocket) -> streams.TlsSocket:
        return streams.wrap_tls(raw, self.peer, self.context)

    def _socket(self) -> streams.DeadlineSocket:
        if self.sock is None:
            raise smtplib.SMTPServerDisconnected("closed")
        return self.sock


@dataclass(frozen=True, slots=True)
class _Wrapper:
    """The method of an SSLContext that ``starttls`` calls."""

    session: _Session

    def wrap_socket(self, raw: streams.PlainSocket, server_hostname: str | None = None) -> streams.TlsSocket:
        # Bytes that were received unencrypted would be read as if they had been encrypted (CVE-2011-0411).
        self.session.check_nothing_received()
        return self.session.wrap(raw)


def _is_positive(code: int) -> bool:
    return 200 <= code < 300


def _as_known(reply: tuple[int, bytes]) -> tuple[int, bytes]:
    """The reply with 250 for any 2yz. RFC 5321 §4.2 has a client act on the first digit; smtplib knows 250 and, to RCPT,
    251 alone, so 252 (cannot verify the mailbox, but accepts the mail) would be a refusal."""
    code, text = reply
    return (250 if _is_positive(code) else code), text


def _encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def prepared(text: str) -> str:
    """A user name or password beyond ASCII as SASLprep maps it (RFC 4013 §2.1, §2.2): spaces to one kind, then NFKC."""
    spaces = "".join(" " if unicodedata.category(character) == "Zs" else character for character in text)
    return unicodedata.normalize("NFKC", spaces)


def _reply(code: int, text: bytes | str) -> str:
    answer_text = text.decode("utf-8", "replace") if isinstance(text, bytes) else text
    return f"{code} {' '.join(answer_text.split())}".strip()


def _rejection(error: smtplib.SMTPException) -> MailRejected:
    match error:
        case _BadReply():
            return MailRejected(str(error), Result.RETRYABLE)
        case smtplib.SMTPRecipientsRefused():
            return _all_refused(error.recipients)
        case smtplib.SMTPAuthenticationError():
            reason = f"The mail server refused the user name or password: {_reply(error.smtp_code, error.smtp_error)}."
            return MailRejected(reason, _by_code(error.smtp_code), error.smtp_code)
        case smtplib.SMTPResponseException():
            reason = f"The mail server answered {_reply(error.smtp_code, error.smtp_error)}."
            return MailRejected(reason, _by_code(error.smtp_code), error.smtp_code or None)
        case smtplib.SMTPNotSupportedError():
            reason = "The mail server does not offer what is set: STARTTLS, or signing in."
            return MailRejected(reason, Result.PERMANENT)
        case _:
            reason = "The mail server closed the connection or did not answer in time."
            return MailRejected(reason, Result.RETRYABLE)


def _all_refused(replies: Mapping[str, tuple[int, bytes]]) -> MailRejected:
    # If one may be accepted later (greylisting), the mail is retried for all.
    code, text = min(replies.values(), key=lambda reply: reply[0])
    reason = f"The mail server took none of the recipients: {_reply(code, text)}."
    is_mailbox = all(_is_mailbox(*reply) for reply in replies.values())
    return MailRejected(reason, _by_code(code), code, is_mailbox=is_mailbox)


# RFC 5321 §4.2.2: mailbox busy or unavailable (greylisting is 450 or 451), over quota, not local, name not allowed.
_MAILBOX_CODES = frozenset({450, 451, 452, 550, 551, 552, 553})
# RFC 3463 §3.2, §3.3: x.1.* and x.2.* are about the address and the mailbox; x.7.* is about what this client may do.
_ENHANCED = re.compile(r"\s*#?[245]\.([0-9]{1,3})\.([0-9]{1,3})\b")
# qmail writes it behind its words: (#5.7.1).
_ENHANCED_AT_END = re.compile(r"\(#[245]\.([0-9]{1,3})\.([0-9]{1,3})\)\s*\Z")
# x.1.7 and x.1.8 are about the sender's address, which many servers check at RCPT.
_SENDER_DETAILS = ("7", "8")
# Exchange Online knows no such recipient (directory-based edge blocking). Elsewhere x.4.1 is about the network.
_UNKNOWN_AT_EXCHANGE = re.compile(r"\s*5\.4\.1\b[^\n]*\brecipient address(es)? rejected", re.IGNORECASE)
_GREYLISTING = re.compile(r"gr[ae]y-?list", re.IGNORECASE)
# rcpthosts: the list of domains for which qmail takes mail, so it refuses to relay.
_RELAYING = re.compile(
    r"\brelay|\brcpthosts|not permitted|authenticat|sender|client host|\b(?:helo|ehlo)\b|blocked|blacklist|\brbl\b|spam",
    re.IGNORECASE,
)


def _is_mailbox(code: int, text: bytes | str) -> bool:
    """Whether the reply to RCPT is about the mailbox, by its enhanced code, else by its code and words."""
    said = text.decode("utf-8", "replace") if isinstance(text, bytes) else text
    # Their enhanced codes say something else: 4.7.1 and 5.4.1.
    if _GREYLISTING.search(said) or _UNKNOWN_AT_EXCHANGE.match(said):
        return True
    if enhanced := _ENHANCED.match(said) or _ENHANCED_AT_END.search(said):
        subject, detail = enhanced.groups()
        return subject == "2" or (subject == "1" and detail not in _SENDER_DETAILS)
    return code in _MAILBOX_CODES and not _RELAYING.search(said)


def _by_code(code: int) -> Result:
    """RFC 5321 §4.2.1: 4yz is transient, 5yz is permanent."""
    return Result.PERMANENT if 500 <= code < 600 else Result.RETRYABLE
