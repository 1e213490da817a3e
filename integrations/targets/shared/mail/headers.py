"""The headers of a mail, written and read. Pure.

The library's own classes decode what looks like an encoded word (RFC 2047) when a header is made, and write the result as
it is: a name from a directory could add recipients, headers and a body. They also lose spaces between encoded words.
Here a text is only ever encoded, and a header is divided into addresses before anything is decoded.
"""

import re
from collections.abc import Iterable
from email import message_from_string, policy
from email.errors import HeaderParseError
from email.header import Header, decode_header, make_header
from email.message import EmailMessage
from email.utils import getaddresses
from functools import lru_cache

LINE = 78  # RFC 5322 §2.1.1
_FOLD = "\r\n "
_ATOMS = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~ -]*")


@lru_cache(maxsize=256)  # most headers are the same in all mails of a run
def text_header(name: str, text: str) -> bytes:
    """A header whose value people read, such as the subject: one line of visible text, folded, and encoded unless it is
    ASCII."""
    text = _undecodable(text)
    value = _folded(name, text) if text.isascii() else f"{name}: {_encoded(name, text)}"
    return f"{value}\r\n".encode("ascii")


@lru_cache(maxsize=256)
def plain_header(name: str, value: str) -> bytes:
    """A header whose value programs read: ASCII, and neither folded nor encoded, which would make another URL of a URL."""
    return f"{name}: {value}\r\n".encode("ascii")


def address_header(name: str, addresses: Iterable[tuple[str, str]]) -> bytes:
    """A header of addresses, a line each. ``addresses``: display names, and addresses of ``smtp_address``; one that only
    SMTPUTF8 carries is written in UTF-8 (RFC 6532)."""
    line = f"{name}: {f',{_FOLD}'.join(_address(*each) for each in addresses)}\r\n"
    return line.encode()


def parsed(body: bytes) -> EmailMessage:
    """The mail, whose headers may be UTF-8 (RFC 6532); parsed from bytes, their letters beyond ASCII are lost."""
    return message_from_string(body.decode("utf-8", "replace"), policy=policy.SMTPUTF8)


def read_addresses(mail: EmailMessage, name: str) -> list[tuple[str, str]]:
    """Display names and addresses of a header of :func:`address_header`."""
    found = getaddresses([_raw(mail, name)])
    return [(_decoded(display_name), address) for display_name, address in found if address]


def read_header(mail: EmailMessage, name: str) -> str:
    """A header as people see it; empty if there is none."""
    return _decoded(_raw(mail, name))


def _raw(mail: EmailMessage, name: str) -> str:
    found = (str(value) for key, value in mail.raw_items() if key.lower() == name.lower())
    return re.sub(r"\r?\n(?=[ \t])", "", next(found, "")).strip()


def _decoded(value: str) -> str:
    try:
        return str(make_header(decode_header(value)))
    except (HeaderParseError, LookupError, UnicodeError):
        return value


@lru_cache(maxsize=256)
def _address(display_name: str, address: str) -> str:
    phrase = _phrase(_undecodable(display_name))
    if not phrase:
        return address
    last_line = phrase.rpartition(_FOLD)[2]
    fits = len("Reply-To:  <>,") + len(last_line) + len(address) <= LINE
    return f"{phrase}{' ' if fits else _FOLD}<{address}>"


def _phrase(text: str) -> str:
    """A display name (RFC 5322 §3.2.5)."""
    if not text.isascii():
        return _encoded("Reply-To", text)
    if _ATOMS.fullmatch(text):
        return text
    escaped = text.replace("\\", r"\\").replace('"', r"\"")
    return f'"{escaped}"'


def _encoded(name: str, text: str) -> str:
    return Header(text, "utf-8", maxlinelen=LINE, header_name=name).encode(linesep="\r\n")


def _folded(name: str, text: str) -> str:
    lines = [f"{name}:"]
    for number, word in enumerate(text.split(" ")):
        if number and len(lines[-1]) + 1 + len(word) > LINE:
            lines.append("")
        lines[-1] += f" {word}"
    return "\r\n".join(lines)


def _undecodable(text: str) -> str:
    """The text without the start of an encoded word: a vendor's API or a mailbox may decode what it gets."""
    return text.replace("=?", "= ?")
