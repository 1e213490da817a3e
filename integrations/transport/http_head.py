"""The header lines of an answer and the length of its body (RFC 9112), read leniently. Pure.

A recipient may repair some malformed lines (§2.2, §5.1, §5.2); others are skipped. What was repaired or skipped is
reported: a connection whose answers are malformed must not carry another request.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from http.client import HTTPException, HTTPMessage

from integrations.errors import IntegrationError

MAX_LINE = 64 * 1024
MAX_LINES = 1000
# “HTTP/1.1 200 ”: enough of a status line to read the status.
STATUS_BYTES = 13
_STATUS = re.compile(
    rb"(?:\xef\xbb\xbf)?[ \t]*HTTP/([0-9](?:\.[0-9])?)[ \t]+([1-9][0-9]{2})([^0-9].*|\Z)",
    re.IGNORECASE | re.DOTALL,
)
_NAME = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
# Name and value of each header field.
Fields = list[tuple[bytes, bytes]]
_CHUNK_SIZE = re.compile(rb"[0-9A-Fa-f]{1,15}")


class HeadError(IntegrationError, HTTPException):
    """A head that cannot be used; the message completes the sentence “The receiver …”."""


@dataclass(frozen=True, slots=True)
class Head:
    """``is_malformed``: a line deviates from the grammar and was repaired or skipped, or the head did not end."""

    headers: HTTPMessage
    is_malformed: bool


@dataclass(frozen=True, slots=True)
class Framing:
    """The way a body ends: by chunks, after ``length`` bytes, or (None) with the connection."""

    chunked: bool
    length: int | None


def parse_status(line: bytes, *, is_whole: bool = False) -> tuple[str, int, str] | None:
    """Version, status and reason of a status line (RFC 9112 §4); None where it is no such line, or does not show its
    status yet. Also read: any version in any case, white space or a byte order mark before it, no reason.
    """
    found = _STATUS.match(line)
    if found is None or not (found[3] or is_whole):
        return None
    return found[1].decode(), int(found[2]), found[3].strip().decode("latin-1")


def skip_head(read_line: Callable[[int], bytes]) -> None:
    """Read over the header lines of an interim answer, of any number and length: nothing in them counts."""
    is_start = True
    while line := read_line(MAX_LINE):
        if is_start and line in (b"\r\n", b"\n"):
            return
        is_start = line.endswith(b"\n")


def read_head(read_line: Callable[[int], bytes], fields: Fields | None = None) -> Head:
    """The header lines up to the empty one. ``read_line(n)`` returns the next line, at most ``n`` bytes of it.

    ``fields`` gets each field as soon as it is read, for a head that breaks off.

    Repaired, as RFC 9112 allows: white space before a colon, folded lines, lines that end with LF alone, CR and NUL in
    values. Skipped: lines that start with white space before the first field, lines without a colon or without a valid
    name. Raises :class:`HeadError` for more than 1,000 lines or a line of more than 64 KiB.
    """
    fields = [] if fields is None else fields
    is_malformed, may_continue = False, False
    for _ in range(MAX_LINES + 1):
        line = read_line(MAX_LINE + 1)
        if len(line) > MAX_LINE:
            raise HeadError(f"sent a header line of more than {MAX_LINE:,} bytes")
        if line in (b"\r\n", b"\n", b""):
            return Head(message_of(fields), is_malformed or line != b"\r\n")
        if line.endswith(b"\r\n"):
            text = line[:-2]
        else:
            text, is_malformed = line.rstrip(b"\n"), True
        if b"\r" in text or b"\0" in text:
            text, is_malformed = text.replace(b"\r", b" ").replace(b"\0", b" "), True
        if text[:1] in (b" ", b"\t"):
            is_malformed = True
            if may_continue:
                name, value = fields[-1]
                fields[-1] = name, value + b" " + text.strip(b" \t")
            continue
        name, colon, value = text.partition(b":")
        if name[-1:] in (b" ", b"\t"):
            name, is_malformed = name.rstrip(b" \t"), True
        may_continue = bool(colon and _NAME.fullmatch(name))
        if may_continue:
            fields.append((name, value.strip(b" \t")))
        else:
            is_malformed = True
    raise HeadError(f"sent more than {MAX_LINES:,} header lines")


def message_of(fields: Fields) -> HTTPMessage:
    """The fields as http.client keeps them."""
    message = HTTPMessage()
    for name, value in fields:
        message[name.decode("ascii")] = value.strip(b" \t").decode("latin-1")
    return message


def framing(status: int, headers: HTTPMessage) -> Framing:
    """The way the body of an answer with this head ends (RFC 9112 §6.3).

    Raises :class:`HeadError` where the length is contradictory or not a number.
    """
    if status in (HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED) or status < 200:
        return Framing(chunked=False, length=0)
    codings = [coding.lower() for coding in _items(headers, "Transfer-Encoding")]
    if any(coding != "identity" for coding in codings):  # RFC 2616 §3.6: identity changes nothing
        return Framing(chunked=codings[-1] == "chunked", length=None)
    lengths = set(_items(headers, "Content-Length"))
    if not lengths:
        return Framing(chunked=False, length=None)
    length = lengths.pop()
    if lengths or not (length.isascii() and length.isdigit() and len(length) <= 18):
        raise HeadError("announced contradictory or malformed lengths (Content-Length)")
    return Framing(chunked=False, length=int(length))


def _items(headers: HTTPMessage, name: str) -> list[str]:
    """The items of a field that is a list, over all its lines, without empty ones."""
    texts = ",".join(headers.get_all(name, []))
    return [text for item in texts.split(",") if (text := item.strip())]


def chunk_size(line: bytes) -> int:
    """The size in a chunk's first line (RFC 9112 §7.1). Raises ValueError; int() alone would take ``-1`` and ``1_0``."""
    text = line.partition(b";")[0].strip(b" \t\r\n")
    if not _CHUNK_SIZE.fullmatch(text):
        raise ValueError("not a chunk size")
    return int(text, 16)
