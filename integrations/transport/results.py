"""The outcome of one attempt, and its parts from an HTTP answer. Pure."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from enum import StrEnum
from http import HTTPStatus

from integrations.masking import MASK, mask, mask_bytes
from integrations.text_encoding import storable

MAX_RETRY_AFTER = 24 * 3600
MAX_EXCERPT = 8 * 1024
MAX_REASON = 500
MAX_HEADERS, MAX_HEADER = 50, 512
# Only this many characters of a header value are searched for secrets.
MAX_SEARCHED = 16 * 1024


class Result(StrEnum):
    DELIVERED = "delivered"
    RETRYABLE = (
        "retryable"  # a fault of the receiver that may pass: 408, 425, 429, 5xx, timeouts, connections
    )
    PERMANENT = "permanent"  # it does not pass by itself: 3xx, other 4xx, a refused address
    GONE = "gone"  # 410: the target gets disabled
    OURS = "ours"  # a fault of this program or machine: retried, and no failure of the target


@dataclass(frozen=True, slots=True)
class AttemptOutcome:
    """The outcome of one attempt.

    ``reason`` is a sentence without secrets. ``latency_ms`` is the time from the start of the attempt to the last byte
    of the answer. ``body`` is the answer's start (at most 8 KiB, decoded with replacement). ``retry_after`` is in
    seconds. ``token_step`` says what happened at the token endpoint; it is empty without one. ``concerns_recipient``:
    it failed because of the one recipient of this message, such as a mailbox that does not exist, so it does
    not count against the target.
    """

    result: Result
    reason: str
    status: int | None = None
    latency_ms: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: str = ""
    retry_after: float | None = None
    token_step: str = ""
    concerns_recipient: bool = False

    def __post_init__(self) -> None:
        """Make the texts storable: a receiver may send characters that a database refuses."""
        for name in ("reason", "body", "token_step"):
            object.__setattr__(self, name, storable(getattr(self, name)))
        headers = {storable(name): storable(value) for name, value in self.headers.items()}
        object.__setattr__(self, "headers", headers)


def result_of_status(status: int) -> tuple[Result, str]:
    """The result of a status code by the contract's table, and a sentence about it."""
    try:
        name = f"{status} {HTTPStatus(status).phrase}"
    except ValueError:
        name = str(status)
    match status:
        case _ if 200 <= status < 300:
            return Result.DELIVERED, f"Delivered: answered {name}."
        case 410:
            return Result.GONE, f"The receiver answered {name}: it wants no more events."
        case _ if status in (408, 425, 429) or status >= 500:
            return Result.RETRYABLE, f"The receiver answered {name}."
        case _ if 300 <= status < 400:
            return Result.PERMANENT, f"The receiver answered {name}; redirects are not followed."
        case _:
            return Result.PERMANENT, f"The receiver answered {name}."


def parse_retry_after(value: str | None, now: datetime) -> float | None:
    """Seconds to wait by a ``Retry-After`` header (RFC 9110 §10.2.3: seconds or a date), within 0 to 24 h.

    Of several values, as repeated headers give, the longest wait counts. Some receivers send decimals, a unit, a Unix
    time or an ISO 8601 date. None without a header, or with a malformed one.
    """
    text = (value or "").strip()[:MAX_HEADER]
    waits = [wait for one in _RETRY_AFTER.findall(text) if (wait := _wait(one, now)) is not None]
    return max(waits, default=None)


# A date has a comma after its day's name, so a comma alone does not end a value.
_RETRY_AFTER = re.compile(r"(?:\s*(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)[a-z]*\s*,)?[^,]+", re.IGNORECASE)
_SECONDS = re.compile(
    r"\+?(?P<number>[0-9]+(?:\.[0-9]*)?|\.[0-9]+)\s*"
    r"(?:(?P<ms>ms|milliseconds?)|s|secs?|seconds?|(?P<m>m|mins?|minutes?)|(?P<h>h|hrs?|hours?))?",
    re.IGNORECASE,
)
_UNITS = {"ms": 0.001, "m": 60.0, "h": 3600.0}
# No wait and no lifetime is that long, so a number in this range is a time: seconds or milliseconds since 1970.
_UNIX_TIME, _UNIX_YEARS = 1_000_000_000, 20


def _wait(text: str, now: datetime) -> float | None:
    text = text.partition(";")[0].strip().strip("\"'")
    if (seconds := parse_seconds(text)) is not None:
        return min(max(seconds_from(seconds, now), 0.0), float(MAX_RETRY_AFTER))
    moment = parse_http_date(text)
    if moment is None:
        return None
    try:
        seconds = (moment - now).total_seconds()
    except OverflowError:
        return None
    return min(max(seconds, 0.0), float(MAX_RETRY_AFTER))


def parse_seconds(text: str) -> float | None:
    """Seconds as a receiver writes them: ``30``, ``30.5``, ``30 s``, ``5 minutes``; None for another text. May be infinite."""
    found = _SECONDS.fullmatch(text.strip())
    if found is None:
        return None
    unit = next((name for name in _UNITS if found[name]), "")
    return float(found["number"]) * _UNITS.get(unit, 1.0)


def seconds_from(number: float, now: datetime) -> float:
    """A number of seconds. A Unix time of these years, in seconds or milliseconds, becomes the seconds until then."""
    for moment in (number, number / 1000) if number >= _UNIX_TIME else ():
        if abs(moment - now.timestamp()) < _UNIX_YEARS * 365 * 86_400:
            return moment - now.timestamp()
    return number


_LEAP_SECOND = re.compile(r"(?<=:\d\d):60\b")


def parse_http_date(text: str) -> datetime | None:
    """The time of one of the three forms of RFC 9110 §5.6.7, or of ISO 8601; without a zone it is UTC."""
    text = _LEAP_SECOND.sub(":59", text)
    for parse in (parsedate_to_datetime, datetime.fromisoformat):
        try:
            moment = parse(text)
        except (ValueError, TypeError, OverflowError, IndexError):
            continue
        return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return None


def masked_excerpt(body: bytes, secrets: Iterable[str] = (), *, is_cut: bool = False) -> str:
    """The start of an answer, at most 8 KiB, with secrets masked and without NUL, which PostgreSQL refuses.

    ``is_cut``: the answer was longer than ``body``. It is masked before it is cut: a part of a secret would not be found.
    """
    text = mask_bytes(body, secrets, is_cut=is_cut).decode("utf-8", "replace").replace("\x00", "\ufffd")
    return text.encode()[:MAX_EXCERPT].decode("utf-8", "ignore")


# Cookies (RFC 6265, RFC 2965), and challenges, credentials and their proofs (RFC 9110 §11): secrets of the receiver.
_HIDDEN_HEADERS = frozenset({
    "cookie", "cookie2", "set-cookie", "set-cookie2", "authorization", "www-authenticate", "authentication-info",
    "proxy-authorization", "proxy-authenticate", "proxy-authentication-info",
})  # fmt: skip


def masked_headers(headers: Mapping[str, str], secrets: Iterable[str] = ()) -> dict[str, str]:
    """At most fifty headers of an answer, with secrets masked before values are cut."""
    kept = dict(list(headers.items())[:MAX_HEADERS])
    together = "\x00".join([*kept, *kept.values()])
    secrets = frozenset(secrets)
    if len(together) > MAX_SEARCHED or mask(together, secrets) != together:
        kept = {_header(name, secrets): _header(value, secrets) for name, value in kept.items()}
    return {
        name[:MAX_HEADER]: MASK if name.lower() in _HIDDEN_HEADERS else value[:MAX_HEADER].replace("\x00", "")
        for name, value in kept.items()
    }


def _header(text: str, secrets: Iterable[str]) -> str:
    return mask(text[:MAX_SEARCHED], secrets, is_cut=len(text) > MAX_SEARCHED)
