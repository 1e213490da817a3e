"""The messages of LDAP (RFC 4511) that reading a directory takes, in BER, and its filters (RFC 4515). Pure.

A message that is not well-formed raises :class:`LdapFormatError`; lengths are checked before anything is copied.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from integrations.errors import IntegrationError

MAX_FILTER = 20_000
MAX_DEPTH = 32
START_TLS = "1.3.6.1.4.1.1466.20037"
PAGED_RESULTS = "1.2.840.113556.1.4.319"  # RFC 2696

_BOOLEAN, _INTEGER, _OCTETS, _ENUMERATED, _SEQUENCE, _SET = 0x01, 0x02, 0x04, 0x0A, 0x30, 0x31
# Context tags of a message's controls, of a simple bind's password, of an extended request's name.
_CONTROLS, _SIMPLE, _NAME = 0xA0, 0x80, 0x80
BIND, UNBIND, SEARCH, EXTENDED = 0x60, 0x42, 0x63, 0x77
BIND_RESPONSE, ENTRY, DONE, REFERENCE, EXTENDED_RESPONSE, INTERMEDIATE = 0x61, 0x64, 0x65, 0x73, 0x78, 0x79
RESULTS = frozenset((BIND_RESPONSE, DONE, EXTENDED_RESPONSE))
BASE, SUBTREE = 0, 2
_NEVER_ALIASES = 0


class LdapFormatError(IntegrationError, ValueError):
    """Bytes that are no LDAP message."""


class FilterError(IntegrationError, ValueError):
    """A text that is no filter. The message says what is expected."""


@dataclass(frozen=True, slots=True)
class LdapEntry:
    """An entry: its name, and by attribute in lower case the values as received."""

    dn: str
    values: Mapping[str, Sequence[bytes]]

    def text(self, name: str) -> str | None:
        """The first value as text; None without one, or where it is not UTF-8."""
        found = self.texts(name)
        return found[0] if found else None

    def texts(self, name: str) -> list[str]:
        """The values that are UTF-8, as texts."""
        found = []
        for value in self.values.get(name.lower(), ()):
            try:
                found.append(value.decode())
            except UnicodeDecodeError:
                continue
        return found


@dataclass(frozen=True, slots=True)
class LdapResult:
    """The end of an operation: result code (RFC 4511 §4.1.9), the server's text, and the cookie of the next page."""

    code: int
    text: str
    cookie: bytes = b""


@dataclass(frozen=True, slots=True)
class LdapMessage:
    """One received message: its number, the tag of its operation, and what it brought."""

    number: int
    operation: int
    entry: LdapEntry | None = None
    result: LdapResult | None = None


# --- Requests -------------------------------------------------------------------------------------------


def element(tag: int, content: bytes) -> bytes:
    """One element of BER with a definite length."""
    size = len(content)
    if size < 0x80:
        return bytes((tag, size)) + content
    length = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes((tag, 0x80 | len(length))) + length + content


def integer(value: int, tag: int = _INTEGER) -> bytes:
    return element(tag, value.to_bytes(value.bit_length() // 8 + 1, "big", signed=True))


def octets(value: str | bytes, tag: int = _OCTETS) -> bytes:
    return element(tag, value.encode() if isinstance(value, str) else value)


def _message(number: int, operation: bytes, controls: bytes = b"") -> bytes:
    return element(
        _SEQUENCE, integer(number) + operation + (element(_CONTROLS, controls) if controls else b"")
    )


def bind_request(number: int, name: str, password: str) -> bytes:
    """A simple bind (RFC 4513 §5.1.3)."""
    return _message(number, element(BIND, integer(3) + octets(name) + octets(password, _SIMPLE)))


def unbind_request(number: int) -> bytes:
    return _message(number, element(UNBIND, b""))


def start_tls_request(number: int) -> bytes:
    return _message(number, element(EXTENDED, octets(START_TLS, _NAME)))


def search_request(
    number: int,
    base: str,
    scope: int,
    filter_text: str,
    attributes: Sequence[str],
    *,
    page: int = 0,
    cookie: bytes = b"",
) -> bytes:
    """A search that follows no aliases and sets no limits; ``page``: entries a page, 0 for all at once.

    Raises :class:`FilterError`.
    """
    operation = element(
        SEARCH,
        octets(base)
        + integer(scope, _ENUMERATED)
        + integer(_NEVER_ALIASES, _ENUMERATED)
        + integer(0)
        + integer(0)
        + element(_BOOLEAN, b"\x00")
        + compiled_filter(filter_text)
        + element(_SEQUENCE, b"".join(octets(name) for name in attributes)),
    )
    controls = b""
    if page:
        value = element(_SEQUENCE, integer(page) + octets(cookie))
        # Critical: a server without paging says so, instead of cutting the answer.
        controls = element(_SEQUENCE, octets(PAGED_RESULTS) + element(_BOOLEAN, b"\xff") + octets(value))
    return _message(number, operation, controls)


# --- Answers --------------------------------------------------------------------------------------------


def whole_length(data: bytes | bytearray) -> int | None:
    """The length of the message at the start of ``data``; None while its head is not complete.

    Raises :class:`LdapFormatError`.
    """
    if not data:
        return None
    if data[0] != _SEQUENCE:
        raise LdapFormatError("The answer is not LDAP.")
    if len(data) < 2:
        return None
    first = data[1]
    if first < 0x80:
        return 2 + first
    count = first & 0x7F
    if not 1 <= count <= 4:
        raise LdapFormatError("A message of the answer has no definite length.")
    if len(data) < 2 + count:
        return None
    return 2 + count + int.from_bytes(data[2 : 2 + count], "big")


class _BerReader:
    """Reads the elements of one constructed element, in order."""

    def __init__(self, data: bytes) -> None:
        self.data, self.at = data, 0

    @property
    def tag(self) -> int | None:
        """The tag of the next element; None at the end."""
        return self.data[self.at] if self.at < len(self.data) else None

    def next(self, tag: int | None = None) -> bytes:
        """The content of the next element, which must have this tag."""
        data, at = self.data, self.at
        if at + 2 > len(data) or (tag is not None and data[at] != tag):
            raise LdapFormatError("A message of the answer lacks an element.")
        size, start = data[at + 1], at + 2
        if size >= 0x80:
            count = size & 0x7F
            if not 1 <= count <= 4 or start + count > len(data):
                raise LdapFormatError("An element of the answer has no definite length.")
            size, start = int.from_bytes(data[start : start + count], "big"), start + count
        self.at = start + size
        if self.at > len(data):
            raise LdapFormatError("An element of the answer is longer than its message.")
        return data[start : self.at]

    def rest(self) -> Iterator[tuple[int, bytes]]:
        """Tag and content of each element that is left."""
        while (tag := self.tag) is not None:
            yield tag, self.next()


def _number(content: bytes) -> int:
    if not 1 <= len(content) <= 8:
        raise LdapFormatError("A number of the answer is too long.")
    return int.from_bytes(content, "big", signed=True)


def parse_message(data: bytes) -> LdapMessage:
    """One whole message. Raises :class:`LdapFormatError`."""
    reader = _BerReader(_BerReader(data).next(_SEQUENCE))
    number = _number(reader.next(_INTEGER))
    operation = reader.tag
    if operation is None:
        raise LdapFormatError("A message of the answer has no operation.")
    content = reader.next()
    if operation == ENTRY:
        return LdapMessage(number, operation, entry=_entry(content))
    if operation in RESULTS:
        fields = _BerReader(content)
        code = _number(fields.next(_ENUMERATED))
        fields.next(_OCTETS)
        text = fields.next(_OCTETS).decode("utf-8", "replace")
        return LdapMessage(number, operation, result=LdapResult(code, text, _cookie(reader)))
    return LdapMessage(number, operation)


def _entry(content: bytes) -> LdapEntry:
    fields = _BerReader(content)
    dn = fields.next(_OCTETS).decode("utf-8", "replace")
    values: dict[str, list[bytes]] = {}
    for tag, attribute in _BerReader(fields.next(_SEQUENCE)).rest():
        if tag != _SEQUENCE:
            raise LdapFormatError("An attribute of the answer is malformed.")
        parts = _BerReader(attribute)
        name = parts.next(_OCTETS).decode("utf-8", "replace").lower()
        values[name] = [value for _, value in _BerReader(parts.next(_SET)).rest()]
    return LdapEntry(dn, values)


def _cookie(reader: _BerReader) -> bytes:
    """That of the control for paged results; empty without one."""
    if reader.tag != _CONTROLS:
        return b""
    for _, control in _BerReader(reader.next()).rest():
        parts = _BerReader(control)
        if parts.next(_OCTETS) != PAGED_RESULTS.encode():
            continue
        if parts.tag == _BOOLEAN:
            parts.next()
        value = _BerReader(_BerReader(parts.next(_OCTETS)).next(_SEQUENCE))
        value.next(_INTEGER)
        return value.next(_OCTETS)
    return b""


# --- Filters --------------------------------------------------------------------------------------------

_AND, _OR, _NOT = 0xA0, 0xA1, 0xA2
_COMPARISONS = {"=": 0xA3, ">=": 0xA5, "<=": 0xA6, "~=": 0xA8}
_SUBSTRINGS, _PRESENT, _EXTENSIBLE = 0xA4, 0x87, 0xA9
_DESCRIPTION = r"[A-Za-z0-9][A-Za-z0-9.;_-]*"
_ITEM = re.compile(rf"({_DESCRIPTION})\s*(>=|<=|~=|=)([^()]*)", re.DOTALL)
_RULE = re.compile(rf"({_DESCRIPTION})?(:dn)?(?::({_DESCRIPTION}))?:=([^()]*)", re.DOTALL)
_ESCAPE = re.compile(r"\\(?:([0-9A-Fa-f]{2})|(.?))", re.DOTALL)
_SPECIAL = frozenset("*()\\\0")


def escaped(value: str | bytes) -> str:
    """A value as a filter writes it: bytes as pairs of digits, of a text only the characters with a meaning."""
    if isinstance(value, bytes):
        return "".join(f"\\{byte:02x}" for byte in value)
    return "".join(f"\\{ord(each):02x}" if each in _SPECIAL else each for each in value)


def compiled_filter(text: str) -> bytes:
    """A filter in BER. Raises :class:`FilterError`."""
    stripped = text.strip()
    if not stripped or len(stripped) > MAX_FILTER:
        raise FilterError(
            f"Write a filter of at most {MAX_FILTER:,} characters, such as (objectClass=person)."
        )
    found, end = _filter(stripped, 0, 0)
    if end != len(stripped):
        raise FilterError(
            f"A filter ends before “{stripped[end : end + 20]}”. Join filters with (&…) or (|…)."
        )
    return found


def _filter(text: str, at: int, depth: int) -> tuple[bytes, int]:
    """The filter that starts at ``at``, and where it ends."""
    if depth > MAX_DEPTH:
        raise FilterError(f"A filter may be nested {MAX_DEPTH} times.")
    if text[at : at + 1] != "(":
        raise FilterError(f"A filter starts with “(”, not with “{text[at : at + 20]}”.")
    sign = text[at + 1 : at + 2]
    if sign in ("&", "|", "!"):
        return _combined(text, at + 2, depth, {"&": _AND, "|": _OR, "!": _NOT}[sign])
    end = text.find(")", at)
    if end < 0:
        raise FilterError("A “)” is missing at the end of the filter.")
    return _item(text[at + 1 : end]), end + 1


def _combined(text: str, at: int, depth: int, tag: int) -> tuple[bytes, int]:
    parts = []
    while text[at : at + 1] == "(":
        part, at = _filter(text, at, depth + 1)
        parts.append(part)
    if text[at : at + 1] != ")":
        raise FilterError("A “)” is missing at the end of the filter.")
    if not parts or (tag == _NOT and len(parts) > 1):
        raise FilterError("(&…) and (|…) take one or more filters, (!…) takes one.")
    return element(tag, b"".join(parts)), at + 1


def _item(text: str) -> bytes:
    if found := _RULE.fullmatch(text):
        name, with_dn, rule, value = found.groups()
        if name or rule:
            content = octets(rule, 0x81) if rule else b""
            content += octets(name, 0x82) if name else b""
            content += octets(_unescaped(value), 0x83)
            return element(_EXTENSIBLE, content + (element(0x84, b"\xff") if with_dn else b""))
    found = _ITEM.fullmatch(text)
    if not found:
        raise FilterError(f"“{text[:60]}” is not a comparison. Write attribute=value.")
    name, sign, value = found.groups()
    if sign == "=" and value == "*":
        return octets(name, _PRESENT)
    if sign == "=" and "*" in value:
        return _substrings(name, value)
    if "*" in value:
        raise FilterError(f"“{text[:60]}” has an asterisk. It goes with “=” alone.")
    return element(_COMPARISONS[sign], octets(name) + octets(_unescaped(value)))


def _substrings(name: str, value: str) -> bytes:
    parts = value.split("*")
    tags = [0x80, *[0x81] * (len(parts) - 2), 0x82]
    pieces = [octets(_unescaped(part), tag) for part, tag in zip(parts, tags, strict=True) if part]
    if not pieces:
        raise FilterError(f"“{name}={value[:20]}” has no text between its asterisks. Write {name}=*.")
    return element(_SUBSTRINGS, octets(name) + element(_SEQUENCE, b"".join(pieces)))


def _unescaped(value: str) -> bytes:
    r"""The bytes of a value: ``\2a`` is a byte."""

    def replaced() -> Iterator[bytes]:
        at = 0
        for found in _ESCAPE.finditer(value):
            if found[1] is None:
                raise FilterError(f"“\\{found[2]}” is no escape. Write a backslash as \\5c.")
            yield value[at : found.start()].encode()
            yield bytes.fromhex(found[1])
            at = found.end()
        yield value[at:].encode()

    return b"".join(replaced())
