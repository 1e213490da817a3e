"""One mail over SMTP (RFC 5321), through the door: resolved, judged and dialled as every request, within deadlines."""

import smtplib
import ssl
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from time import monotonic
from typing import Any

import certifi

from integrations import http
from integrations.addresses import parse_url
from integrations.outcomes import Result

SECURITIES = ("starttls", "tls", "none")


@dataclass(frozen=True, slots=True)
class Server:
    """``connect`` seconds to dial, greet and secure; ``answer`` seconds for the rest. ``ca`` is PEM or empty."""

    host: str
    port: int
    security: str
    username: str = ""
    password: str = field(repr=False, default="")
    ca: str = ""
    connect: float = 5
    answer: float = 20


class NotTaken(Exception):
    """The server did not take the mail. ``code`` is its reply code (RFC 5321 §4.2), None without one."""

    def __init__(self, reason: str, result: Result, code: int | None = None) -> None:
        super().__init__(reason)
        self.result, self.code = result, code


def submit(server: Server, sender: str, recipients: Sequence[str], message: bytes) -> dict[str, str]:
    """Hand over one mail: who of ``recipients`` was refused, and why, where others were taken.

    Without recipients it goes as far as signing in. Raises :class:`NotTaken`, or :class:`~integrations.http.DoorError` where no connection came about.
    """
    # parse_url gives the name that is resolved, dialled and named in TLS.
    host = parse_url(f"https://{server.host}:{server.port}/").host
    session = _Session(server, host)
    try:
        with http.connecting(host, server.connect):
            try:
                session.open()
            except smtplib.SMTPException as error:
                # These are OSErrors too, but of a connection that stands.
                raise _not_taken(error) from error
        if server.username:
            session.login(server.username, server.password)
        refused = session.sendmail(sender, list(recipients), message) if recipients else {}
        session.leave()
    except smtplib.SMTPException as error:
        raise _not_taken(error) from error
    except OSError as error:
        raise NotTaken("The mail server broke off or did not answer in time.", Result.RETRYABLE) from error
    finally:
        session.close()
    return {address: _reply(*reply) for address, reply in refused.items()}


class _Session(smtplib.SMTP):
    def __init__(self, server: Server, host: str) -> None:
        # A name of its own, because smtplib would ask the resolver for one, without end.
        super().__init__(local_hostname="localhost")
        self.server, self.peer = server, host
        self._host = host
        self.context = _context(server.ca)

    def open(self) -> None:
        self.deadline = monotonic() + self.server.connect
        code, text = self.connect(self.peer, self.server.port)
        if code != 220:
            raise smtplib.SMTPConnectError(code, text)
        # RFC 5321 §4.1.3: who has no public name says the address.
        own = self._socket().getsockname()[0]
        self.local_hostname = f"[IPv6:{own}]" if ":" in own else f"[{own}]"
        if self.server.security == "starttls":
            # Raises if the server does not offer it: never in the clear instead.
            self.starttls(context=_Wrapper(self))  # type: ignore[call-overload]
        self.ehlo_or_helo_if_needed()
        self.deadline = self._socket().deadline = monotonic() + self.server.answer

    def leave(self) -> None:
        """The mail is taken by now, whatever becomes of the farewell."""
        try:
            self.quit()
        except (smtplib.SMTPException, OSError):
            self.close()

    def _get_socket(self, host: str, port: int, timeout: float) -> Any:
        raw = http.stream(host, port, self.deadline)
        return self.wrap(raw) if self.server.security == "tls" else raw

    def wrap(self, raw: Any) -> Any:
        return http.secured(raw, self.peer, self.context)

    def _socket(self) -> Any:
        if self.sock is None:
            raise smtplib.SMTPServerDisconnected("closed")
        return self.sock


@dataclass(frozen=True, slots=True)
class _Wrapper:
    """What ``starttls`` takes for an SSLContext: wraps by the door's rule."""

    session: _Session

    def wrap_socket(self, raw: Any, server_hostname: str | None = None) -> Any:
        return self.session.wrap(raw)


def _context(ca: str) -> ssl.SSLContext:
    result = ssl.create_default_context(cafile=certifi.where(), cadata=ca or None)
    result.minimum_version = ssl.TLSVersion.TLSv1_2
    return result


def _reply(code: int, text: bytes | str) -> str:
    said = text.decode("utf-8", "replace") if isinstance(text, bytes) else text
    return f"{code} {' '.join(said.split())}"[:300].strip()


def _not_taken(error: smtplib.SMTPException) -> NotTaken:
    match error:
        case smtplib.SMTPRecipientsRefused():
            return _all_refused(error.recipients)
        case smtplib.SMTPAuthenticationError():
            reason = f"The mail server refused the user name or password: {_reply(error.smtp_code, error.smtp_error)}."
            return NotTaken(reason, _by_code(error.smtp_code), error.smtp_code)
        case smtplib.SMTPResponseException():
            reason = f"The mail server answered {_reply(error.smtp_code, error.smtp_error)}."
            return NotTaken(reason, _by_code(error.smtp_code), error.smtp_code or None)
        case smtplib.SMTPNotSupportedError():
            reason = "The mail server does not offer what is set: STARTTLS, or signing in."
            return NotTaken(reason, Result.PERMANENT)
        case _:
            reason = "The mail server closed the connection or did not answer in time."
            return NotTaken(reason, Result.RETRYABLE)


def _all_refused(replies: Mapping[str, tuple[int, bytes]]) -> NotTaken:
    # One that may be taken later (greylisting) is worth another try for all.
    code, text = min(replies.values(), key=lambda reply: reply[0])
    reason = f"The mail server took none of the recipients: {_reply(code, text)}."
    return NotTaken(reason, _by_code(code), code)


def _by_code(code: int) -> Result:
    """RFC 5321 §4.2.1: 4yz may pass, 5yz will not."""
    return Result.PERMANENT if 500 <= code < 600 else Result.RETRYABLE
