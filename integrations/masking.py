"""Masks secrets in texts that are stored, logged or shown, in each encoding in which a receiver may return them.

A text is searched unchanged and with its escapes undone (percent-encoding, JSON, HTML, up to three deep). Each secret is
searched for unchanged, in hexadecimal, and in base64 at any offset, once and twice: ``Basic`` puts a user name before
the password, and a gateway may log a whole request in base64. Mask a text before you cut it: a part of a secret is not found.
"""

import base64
import html
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from itertools import combinations, pairwise
from typing import NamedTuple
from urllib.parse import parse_qsl, quote, quote_plus, unquote, urlsplit

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

MASK = "•••"
# A shorter secret would be found in ordinary text.
SHORTEST = 4
# The start of a longer secret is masked even without the rest: receivers shorten what they quote.
HEAD = 16
MANY = 200
LAYERS = 3
# The longest answer that is read has 64 KiB.
LONGEST = 256 * 1024

_PERCENT = rb"%[0-9A-Fa-f]{2}"
_JSON = (
    rb"(?:\\[rn])+(?:[ \t]|\\t)*|\\u[Dd][89ABab][0-9A-Fa-f]{2}\\u[Dd][C-Fc-f][0-9A-Fa-f]{2}|\\u[0-9A-Fa-f]{4}"
    rb"|\\x[0-9A-Fa-f]{2}|\\[nrtbf\"'/\\]"
)
_HTML = rb"&#[0-9]{1,7};?|&#[xX][0-9A-Fa-f]{1,6};?|&[A-Za-z]{2,8};"
# Removed with the indent that follows, also where JSON has them: base64 and PEM have line breaks, and headers are folded.
_LINE_BREAKS = rb"[\r\n]+[ \t]*"
_ESCAPE = re.compile(b"|".join((_PERCENT, _JSON, _HTML, _LINE_BREAKS)))
_SOME_ESCAPES = [
    re.compile(b"|".join(some)) for n in (1, 2) for some in combinations((_PERCENT, _JSON, _HTML), n)
]
_HALF_ESCAPE = re.compile(
    rb"(?:%[0-9A-Fa-f]?|&#?\w{0,8}|\\(?:u[0-9A-Fa-f]{0,3}"
    rb"|u[Dd][89ABab][0-9A-Fa-f]{2}(?:\\(?:u[0-9A-Fa-f]{0,3})?)?|x[0-9A-Fa-f]?)?)\Z"
)
_LONGEST_ESCAPE = 12
_SIGNS = {b"\\t": b"\t", b"\\b": b"\b", b"\\f": b"\f"}
# One spelling for a space in a path and in a form, and for what differs between base64 and base64url.
_FOLD = bytes.maketrans(b"+", b" ")
_FOLD_BASE64 = bytes.maketrans(b"-_", b"+/")
_TO_BASE64URL = bytes.maketrans(b"+/", b"-_")
_BASE64 = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/")
_WORD = re.compile(r"[^0-9]{1,19}")


class _Needle(NamedTuple):
    """Folded bytes to search for. The base64 characters next to a match contain bits of the secret too."""

    head: bytes
    text: bytes
    in_base64: bool


class _Needles(NamedTuple):
    """The needles of one folding. ``by_start`` finds them by their first ``SHORTEST`` bytes."""

    fold: bytes
    all: tuple[_Needle, ...]
    by_start: Mapping[bytes, tuple[_Needle, ...]]

    def candidates(self, text: bytes) -> list[_Needle]:
        """The needles whose head is in a folded text."""
        # Measured: visiting each place of the text is cheaper for a short text or very many needles.
        if len(text) < 4 * len(self.all) or len(self.all) > MANY:
            starts = {
                start
                for at in range(len(text) - SHORTEST + 1)
                if (start := text[at : at + SHORTEST]) in self.by_start
            }
            return [needle for start in starts for needle in self.by_start[start] if needle.head in text]
        return [_Needle(head, whole, coded) for head, whole, coded in self.all if head in text]


def mask(text: str, secrets: Iterable[str], *, is_cut: bool = False, longest: int = LONGEST) -> str:
    """``text`` with every secret masked. ``is_cut``: the text was longer and may end within a secret.

    ``longest``: bytes; the rest is dropped.
    """
    data = text.encode("utf-8", "surrogatepass")
    found = mask_bytes(data, secrets, is_cut=is_cut, longest=longest)
    return text if found is data else found.decode("utf-8", "replace")


def mask_bytes(data: bytes, secrets: Iterable[str], *, is_cut: bool = False, longest: int = LONGEST) -> bytes:
    """Like :func:`mask`, for bytes as received; returns ``data`` itself if there is no secret in it."""
    needles = _needles(frozenset(secrets))
    if len(data) > longest:
        data, is_cut = data[:longest], True
    if not needles or not data:
        return data
    if is_cut:
        data = _without_half_escape(data)
    spans: list[tuple[int, int]] = []
    layers = [data]
    for _ in range(LAYERS + 1):
        if found := _found(layers[-1], needles, is_cut):
            spans += _in_data(found, layers)
        plain = _unescaped(layers[-1])
        if is_cut:
            plain = _without_half_escape(plain)
        if plain == layers[-1]:
            break
        layers.append(plain)
    return _without_spans(data, spans) if spans else data


@lru_cache(maxsize=512)
def url_secrets(url: str) -> tuple[str, ...]:
    """The parts of a URL whose path and query are a secret: together, and each alone, as receivers return them.

    A part that is a word (``services``, ``invoke``) is left out: the word would be masked everywhere.
    """
    try:
        parts = urlsplit(url)
    except ValueError:
        return (url,)
    target = parts.path + (f"?{parts.query}" if parts.query else "")
    pieces = [piece for piece in parts.path.split("/") if len(piece) >= 8 and not _WORD.fullmatch(piece)]
    values = [value for _, value in parse_qsl(parts.query)]
    return (target, parts.path, parts.query, *pieces, *values) if len(target) > 1 else ()


def settings_secrets() -> frozenset[str]:
    """The secrets of the settings, which log lines, error pages or a proxy's answers may contain."""
    urls = [settings.DATABASE_URL, settings.REDIS_URL, settings.OUTGOING_PROXY]
    given = [
        _setting("SECRET_KEY"),
        *settings.FIELD_KEYS,
        settings.METRICS_TOKEN,
        settings.EMAIL_HOST_PASSWORD,
    ]
    return _settings_secrets(tuple(map(str, urls)), tuple(str(secret) for secret in given if secret))


def _setting(name: str) -> str:
    try:
        return str(getattr(settings, name))
    except ImproperlyConfigured:  # Django's answer to an empty SECRET_KEY
        return ""


@lru_cache(maxsize=4)
def _settings_secrets(urls: tuple[str, ...], given: tuple[str, ...]) -> frozenset[str]:
    found = set(given)
    for url in urls:
        # Without a parser: a URL with an unescaped sign in its password is malformed, but the password is a secret.
        credentials, at, _ = url.partition("://")[2].rpartition("@")
        if at:
            password = credentials.partition(":")[2]
            found |= {credentials, password, unquote(password)}
    return frozenset(found)


def _without_spans(data: bytes, spans: list[tuple[int, int]]) -> bytes:
    pieces, end = [], 0
    for start, stop in sorted(spans):
        if start >= end:
            pieces += [data[end:start], MASK.encode()]
        end = max(end, stop)
    return b"".join([*pieces, data[end:]])


# --- Search ----------------------------------------------------------------------------------------
def _found(layer: bytes, needles: Iterable[_Needles], is_cut: bool) -> list[tuple[int, int]]:
    """Start and end of each secret in a layer, which is the data with some levels of escapes undone."""
    found: list[tuple[int, int]] = []
    for wanted in needles:
        text = layer.translate(wanted.fold)
        found += [span for needle in wanted.candidates(text) for span in _spans_of(text, needle)]
        if is_cut:
            started = [at for needle in wanted.all if (at := _cut_start(text, needle)) is not None]
            found += [(min(started), len(text))] if started else []
    return found


def _spans_of(text: bytes, needle: _Needle) -> Iterator[tuple[int, int]]:
    end = 0
    while (start := text.find(needle.head, end)) >= 0:
        end = _end(text, start, needle.text)
        if needle.in_base64:
            yield _with_base64_neighbours(text, start, end)
        else:
            yield start, end


def _end(text: bytes, at: int, wanted: bytes) -> int:
    """The end of the longest prefix of ``wanted`` at ``at``."""
    if text.startswith(wanted, at):
        return at + len(wanted)
    length = HEAD
    while text[at + length : at + length + 1] == wanted[length : length + 1] != b"":
        length += 1
    return at + length


def _with_base64_neighbours(text: bytes, start: int, end: int) -> tuple[int, int]:
    start -= start > 0 and text[start - 1] in _BASE64
    end += end < len(text) and text[end] in _BASE64
    while end < len(text) and text[end : end + 1] == b"=":
        end += 1
    return start, end


def _cut_start(text: bytes, needle: _Needle) -> int | None:
    """The place where the end of ``text`` starts to match a prefix of the needle; None if it does not."""
    wanted = needle.text
    at = text.find(wanted[:1], max(0, len(text) - len(wanted) + 1))
    while at >= 0:
        if wanted.startswith(text[at:]):
            return max(0, at - needle.in_base64)
        at = text.find(wanted[:1], at + 1)
    return None


def _without_half_escape(text: bytes) -> bytes:
    head, tail = text[:-_LONGEST_ESCAPE], text[-_LONGEST_ESCAPE:]
    while (shorter := _HALF_ESCAPE.sub(b"", tail)) != tail:
        tail = shorter
    return head + tail


def _unescaped(data: bytes) -> bytes:
    return _ESCAPE.sub(lambda match: _plain(match[0]), data)


def _in_data(found: list[tuple[int, int]], layers: list[bytes]) -> list[tuple[int, int]]:
    """The spans of the last layer as spans of the first."""
    for layer, plain in reversed(list(pairwise(layers))):
        starts, ends = _places(layer)
        # A layer may be shorter than the data: half an escape at its end was removed.
        found = [(starts[start], ends[end - 1] if end < len(plain) else len(layer)) for start, end in found]
    return found


def _places(data: bytes) -> tuple[list[int], list[int]]:
    """For each byte of ``data`` with its escapes undone, its start and end in ``data``."""
    starts: list[int] = []
    ends: list[int] = []
    at = 0
    for match in _ESCAPE.finditer(data):
        start, end = match.span()
        length = len(_plain(match[0]))
        starts += [*range(at, start), *([start] * length)]
        ends += [*range(at + 1, start + 1), *([end] * length)]
        at = end
    starts += range(at, len(data))
    ends += range(at + 1, len(data) + 1)
    return starts, ends


@lru_cache(maxsize=4096)
def _plain(escape: bytes) -> bytes:
    match escape[:2]:
        case b"\\u":
            units = b"".join(bytes.fromhex(unit.decode()) for unit in escape.split(b"\\u")[1:])
            return units.decode("utf-16-be", "replace").encode()
        case b"\\n" | b"\\r":
            return b""
        case b"\\x":
            return bytes([int(escape[2:], 16)])
        case sign if sign[:1] == b"\\":
            return _SIGNS.get(sign, sign[1:])
        case sign if sign[:1] == b"%":
            return bytes([int(escape[1:], 16)])
        case sign if sign[:1] == b"&":
            return html.unescape(escape.decode()).encode("utf-8", "replace")
        case _:
            return b""


# --- Needles -----------------------------------------------------------------------------
@lru_cache(maxsize=512)
def _needles(secrets: frozenset[str]) -> tuple[_Needles, ...]:
    plain: set[bytes] = set()
    coded: set[bytes] = set()
    for secret in secrets:
        if len(secret) < SHORTEST:
            continue
        for data in _bytes_of(secret):
            plain |= {data, *_without_own_escapes(data), data.hex().encode(), data.hex().upper().encode()}
        for inner in _before_base64(secret):
            coded |= set(_in_base64(inner))
        # A gateway that puts a whole request into base64 puts ``Basic`` into it a second time.
        for once in _in_base64(secret.encode("utf-8", "replace")):
            for spelling in {once, once.translate(_TO_BASE64URL)}:
                coded |= set(_in_base64(spelling))
    return tuple(_needles_of(texts, fold) for texts, fold in ((plain, _FOLD), (coded, _FOLD_BASE64)) if texts)


def _needles_of(texts: set[bytes], fold: bytes) -> _Needles:
    # A line break is removed with its indent, in JSON without it, and in a form without spaces, which are "+" there.
    breaks = (_LINE_BREAKS, rb"[\r\n]+", rb"[\r\n]+\t*")
    folded = {re.sub(some, b"", text).translate(fold) for text in texts for some in breaks}
    found = [_Needle(text[:HEAD], text, fold is _FOLD_BASE64) for text in folded if len(text) >= SHORTEST]
    by_start: dict[bytes, list[_Needle]] = {}
    for needle in found:
        by_start.setdefault(needle.head[:SHORTEST], []).append(needle)
    return _Needles(fold, tuple(found), {start: tuple(same) for start, same in by_start.items()})


def _bytes_of(text: str) -> set[bytes]:
    """The text in UTF-8, UTF-16 and, if possible, Latin-1, in which headers are sent."""
    data = text.encode("utf-8", "replace")
    found = {data, text.encode("utf-16-le", "replace"), text.encode("utf-16-be", "replace")}
    if not text.isascii():
        # http.client reads a header's UTF-8 as Latin-1.
        found.add(data.decode("latin-1").encode())
        if all(ord(character) < 256 for character in text):
            found.add(text.encode("latin-1"))
    return found


def _without_own_escapes(data: bytes) -> set[bytes]:
    """A secret that contains escapes itself, with these undone, since they are undone with those of the text."""
    found = {pattern.sub(lambda match: _plain(match[0]), data) for pattern in _SOME_ESCAPES}
    for _ in range(LAYERS):
        data = _unescaped(data)
        found.add(data)
    return found


def _before_base64(secret: str) -> set[bytes]:
    """The bytes that base64 may encode: the secret unchanged, or escaped for the form or JSON that contains it."""
    texts = {quote(secret, safe=""), quote_plus(secret), html.escape(secret)}
    in_json = {json.dumps(secret, ensure_ascii=ascii_only)[1:-1] for ascii_only in (True, False)}
    texts |= in_json | {text.replace("/", r"\/") for text in in_json}  # as PHP writes JSON
    return _bytes_of(secret) | {text.encode("utf-8", "replace") for text in texts}


def _in_base64(data: bytes) -> list[bytes]:
    """The base64 characters that depend on ``data`` only, for each of the three offsets at which it may start."""
    found = []
    for offset in range(3):
        text = base64.b64encode(b"\0" * offset + data)
        first = (offset * 8 + 5) // 6
        last = (offset + len(data)) * 8 // 6
        found.append(text[first:last])
    return found
