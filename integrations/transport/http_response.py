"""An HTTP/1.1 answer, read from a socket: its interim answers, its head and its body."""

import http.client
import io
import socket
from http import HTTPStatus
from typing import Any

from integrations.transport import http_head
from integrations.transport.errors import ReceiverUnreachable


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


class Response(http.client.HTTPResponse):
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
        # http.client skips only 100, and does not report it. 101 is one too: no request asks for another protocol.
        found = self._read_status_line()
        while found[1] < 200:
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
