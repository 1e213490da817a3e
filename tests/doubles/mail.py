"""Mail servers on loopback, by aiosmtpd: TLS, sign-in, and every refusal that a test asks for."""

import socket
import ssl
import threading
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, Envelope

USER, PASSWORD = "robot", "correct horse"


@dataclass
class Mailbox:
    """``says`` maps a command (MAIL, RCPT, DATA) or an address to the reply that it gets."""

    says: dict[str, str] = field(default_factory=dict)
    envelopes: list[Envelope] = field(default_factory=list)
    port: int = 0
    signed_in: list[bytes] = field(default_factory=list)
    user: str = USER
    password: str = PASSWORD

    @property
    def mails(self) -> list[EmailMessage]:
        return [
            message_from_bytes(e.original_content, policy=policy.default.clone(utf8=True))
            for e in self.envelopes
        ]

    async def handle_MAIL(
        self, server: Any, session: Any, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if reply := self.says.get("MAIL"):
            return reply
        envelope.mail_from = address
        return "250 OK"

    async def handle_RCPT(
        self, server: Any, session: Any, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if reply := self.says.get(address, self.says.get("RCPT")):
            return reply
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: Any, session: Any, envelope: Envelope) -> str:
        if reply := self.says.get("DATA"):
            return reply
        self.envelopes.append(envelope)
        return "250 taken"

    def sign_in(self, server: Any, session: Any, envelope: Envelope, mechanism: str, data: Any) -> AuthResult:
        good = (data.login, data.password) == (self.user.encode(), self.password.encode())
        if good:
            self.signed_in.append(data.login)
        return AuthResult(success=good, handled=False)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def mail_server(
    security: str = "none", tls: ssl.SSLContext | None = None, **options: Any
) -> Iterator[Mailbox]:
    box = Mailbox()
    box.port = _free_port()
    if security == "starttls":
        options |= {"tls_context": tls, "require_starttls": True}
    if security == "tls":
        options |= {"ssl_context": tls}
    if security != "none":
        options |= {"authenticator": box.sign_in, "auth_require_tls": security == "starttls"}
    controller = Controller(box, hostname="127.0.0.1", port=box.port, **options)
    controller.start()
    try:
        yield box
    finally:
        controller.stop()


@contextmanager
def dripping(greeting: bytes) -> Iterator[int]:
    """A server that sends its greeting a byte each tenth of a second; yields its port."""
    stop = threading.Event()

    def serve() -> None:
        connection, _ = listener.accept()
        with connection, suppress(OSError):
            for byte in greeting:
                if stop.wait(0.1):
                    return
                connection.sendall(bytes([byte]))

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        try:
            yield int(listener.getsockname()[1])
        finally:
            stop.set()
            thread.join(5)


@dataclass
class Talk:
    """What a scripted server did: ``port``, the commands that it read, how many bytes it got rid of."""

    port: int = 0
    commands: list[str] = field(default_factory=list)
    sent: int = 0


@contextmanager
def talking(replies: dict[str, bytes | Iterable[bytes]], tls: ssl.SSLContext | None = None) -> Iterator[Talk]:
    """A server that answers each command (``GREETING``, ``EHLO`` … and ``.`` for the end of the mail) with fixed bytes.

    What is iterable is sent piece by piece until the client hangs up. ``STARTTLS`` wraps the connection in ``tls``.
    """
    given = {
        "GREETING": b"220 hi\r\n",
        "EHLO": b"250 hi\r\n",
        "DATA": b"354 go\r\n",
        "QUIT": b"221 bye\r\n",
        **replies,
    }
    talk, stop = Talk(), threading.Event()

    def answer(connection: socket.socket, command: str) -> None:
        said = given.get(command, b"250 ok\r\n")
        for piece in [said] if isinstance(said, bytes) else said:
            if stop.is_set():
                return
            connection.sendall(piece)
            talk.sent += len(piece)

    def serve() -> None:
        with suppress(OSError), ExitStack() as closing:
            connection, _ = listener.accept()
            closing.enter_context(connection)
            connection.settimeout(10)
            answer(connection, "GREETING")
            lines, in_mail = closing.enter_context(connection.makefile("rb")), False
            while line := lines.readline():
                command = line.decode("latin-1").rstrip("\r\n")
                if in_mail and command != ".":
                    continue
                word = command.split(" ")[0].upper()
                talk.commands.append(word)
                answer(connection, word)
                in_mail = word == "DATA"
                if word == "STARTTLS" and tls:
                    connection = closing.enter_context(tls.wrap_socket(connection, server_side=True))
                    lines = closing.enter_context(connection.makefile("rb"))

    with socket.create_server(("127.0.0.1", 0)) as listener:
        talk.port = int(listener.getsockname()[1])
        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield talk
        finally:
            stop.set()
            with suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            thread.join(12)
