"""The web server: waitress, with the bounds that its own command cannot set. ``manage.py serve`` runs it.

Waitress receives a request whole before a thread sees it, so a slow client holds a socket and no thread. Of the
servers tried, only it answered while 500 clients stopped in the middle of a body (docs/operations.md).
"""

from io import BytesIO
from time import monotonic

from django.db import connection
from waitress.channel import HTTPChannel
from waitress.parser import HTTPRequestParser, ParsingError
from waitress.receiver import FixedStreamReceiver
from waitress.server import TcpWSGIServer
from waitress.task import ErrorTask, Task, WSGITask
from waitress.utilities import Error

from cii_project.web.bodies import MAX_BODY_BYTES, MAX_UPLOAD_BYTES, MIB, accepted_bytes

# A head must be complete after this time, a body after as much and a second for each SLOWEST bytes.
REQUEST_SECONDS = 30
MIN_BYTES_PER_SECOND = 32 * 1024
# Under the 1,024 open files that a process commonly may have.
MAX_CONNECTIONS = 900


class LengthRequired(Error):
    code = 411
    reason = "Length Required"


class DiscardedBody:
    """Takes the place of waitress' buffer for a body that will be refused: drops it."""

    def append(self, data: bytes) -> None:
        """Drop it."""

    def getfile(self) -> BytesIO:
        return BytesIO()

    def close(self) -> None:
        """Nothing is open."""

    def __len__(self) -> int:
        return 0


class BoundedRequest(HTTPRequestParser):
    """A request under way: refuses a body of unknown length, and keeps no large body of a client that may not send it."""

    def __init__(self, adj: object) -> None:
        super().__init__(adj)
        self.deadline = monotonic() + REQUEST_SECONDS

    def received(self, data: bytes) -> int:
        consumed: int = super().received(data)
        if self.error:
            # Waitress would ask for the body of a request that is refused, and wait for it.
            self.expect_continue = False
        return consumed

    def parse_header(self, header_plus: bytes) -> None:
        try:
            super().parse_header(header_plus)
        except ValueError:  # a length of 5,000 digits, an address with half a bracket
            raise ParsingError("The head of the request cannot be read.") from None
        if self.chunked or "TRANSFER_ENCODING" in self.headers:
            # Two readers that disagree about the length take one request for two (RFC 9112, section 11.2).
            if "CONTENT_LENGTH" in self.headers:
                raise ParsingError("Send Content-Length or Transfer-Encoding, not both.")
            self.body_rcv, self.error = None, LengthRequired("Send the length of the body as Content-Length.")
        self.deadline += min(self.content_length, MAX_UPLOAD_BYTES) / MIN_BYTES_PER_SECOND
        if self.content_length > MAX_BODY_BYTES and self.content_length > self._accepted():
            # The application refuses it by its length; a connection that is closed instead loses the refusal.
            self.body_rcv = FixedStreamReceiver(self.content_length, DiscardedBody())

    def _accepted(self) -> int:
        headers = self.headers
        try:
            return accepted_bytes(self.path, headers.get("COOKIE", ""), headers.get("AUTHORIZATION", ""))
        finally:
            connection.close()


class NoBodyForHead(Task):
    """Writes the head alone where the request is HEAD, of the server's own refusals too."""

    @property
    def is_head(self) -> bool:
        return getattr(self.request, "command", "") == "HEAD"

    def write(self, data: bytes) -> None:
        super().write(b"" if self.is_head else data)

    def finish(self) -> None:
        if not self.wrote_header:
            self.write(b"")
        if not self.is_head:
            super().finish()


class AnswerTask(NoBodyForHead, WSGITask):
    pass


class RefusalTask(NoBodyForHead, ErrorTask):
    pass


class BoundedChannel(HTTPChannel):
    """A connection; closed when a request on it takes too long to arrive."""

    parser_class = BoundedRequest
    task_class = AnswerTask
    error_task_class = RefusalTask

    def readable(self) -> bool:
        request = self.request
        if request is not None and monotonic() > request.deadline:
            self.will_close = True
        return bool(super().readable())


class ConsoleServer(TcpWSGIServer):
    channel_class = BoundedChannel


def create_server(application: object, listen: str, threads: int) -> ConsoleServer:
    """Return a server that listens on ``listen``, such as ``127.0.0.1:8000``; ``run()`` serves until SystemExit."""
    return ConsoleServer(
        application,
        listen=listen,
        threads=threads,
        connection_limit=MAX_CONNECTIONS,
        asyncore_use_poll=True,
        channel_timeout=REQUEST_SECONDS,
        cleanup_interval=REQUEST_SECONDS // 3,
        max_request_header_size=64 * 1024,
        max_request_body_size=MAX_UPLOAD_BYTES + 1,
        # Bodies of requests without an upload stay in memory.
        inbuf_overflow=2 * MIB,
        # Waitress removes X-Forwarded-Proto by default; here TRUSTED_PROXIES decides (web/proxy.py).
        clear_untrusted_proxy_headers=False,
        ident=None,
    )
