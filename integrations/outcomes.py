"""What became of one attempt: a value, decided by pure functions."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from enum import StrEnum
from http import HTTPStatus

MAX_RETRY_AFTER = 24 * 3600
MAX_EXCERPT = 8 * 1024
MAX_REASON = 500
MASK = "•••"


class Result(StrEnum):
    DELIVERED = "delivered"
    RETRYABLE = "retryable"  # theirs, and may pass: 408, 425, 429, 5xx, timeouts, connections
    PERMANENT = "permanent"  # theirs, and will not pass: 3xx, other 4xx, a refused address
    GONE = "gone"  # 410: the target is to be disabled
    OURS = "ours"  # our own bug or machine: retried, never held against the target


@dataclass(frozen=True, slots=True)
class Outcome:
    """``latency_ms`` counts from the first byte of work to the last byte of the answer.

    ``reason`` is a sentence for a person, without secrets. ``body`` is the answer's beginning (at most
    8 KiB, decoded with replacement). ``retry_after`` is in seconds. ``token_step`` tells what happened
    at the token endpoint, empty where there is none.
    """

    result: Result
    reason: str
    status: int | None = None
    latency_ms: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: str = ""
    retry_after: float | None = None
    token_step: str = ""


def classify(status: int) -> tuple[Result, str]:
    """The contract's table of answers: what a status code means, and the sentence that says so."""
    try:
        name = f"{status} {HTTPStatus(status).phrase}"
    except ValueError:
        name = str(status)
    match status:
        case _ if 200 <= status < 300:
            return Result.DELIVERED, f"Delivered: answered {name}."
        case 410:
            return Result.GONE, f"The receiver answered {name}: it wants no more events."
        case 408 | 425 | 429:
            return Result.RETRYABLE, f"The receiver answered {name}."
        case _ if status >= 500:
            return Result.RETRYABLE, f"The receiver answered {name}."
        case _ if 300 <= status < 400:
            return Result.PERMANENT, f"The receiver answered {name}; redirects are not followed."
        case _:
            return Result.PERMANENT, f"The receiver answered {name}."


def retry_after(value: str | None, now: datetime) -> float | None:
    """Seconds to wait by a ``Retry-After`` header (RFC 9110 §10.2.3: seconds or a date), within 0 to 24 h.

    None where there is no header or it says nothing that can be read.
    """
    text = (value or "").strip()
    if text.isascii() and text.isdigit():
        # More digits than any clamp needs, fewer than make int() slow.
        return float(min(int(text[:12]), MAX_RETRY_AFTER))
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, TypeError, OverflowError):
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    try:
        seconds = (moment - now).total_seconds()
    except OverflowError:
        return None
    return min(max(seconds, 0.0), float(MAX_RETRY_AFTER))


def masked(text: str, secrets: Iterable[str]) -> str:
    """``text`` with every secret in it blotted out, the longest first; texts under four characters hide nothing."""
    for secret in sorted({s for s in secrets if len(s) >= 4}, key=len, reverse=True):
        text = text.replace(secret, MASK)
    return text


def excerpt(body: bytes, secrets: Iterable[str] = ()) -> str:
    """The beginning of an answer, for the record: at most 8 KiB, without NUL (PostgreSQL stores none).

    Masked before it is cut, so that no half of a secret stays.
    """
    text = masked(body.decode("utf-8", "replace").replace("\x00", "\ufffd"), secrets)
    return text.encode()[:MAX_EXCERPT].decode("utf-8", "ignore")


# A receiver's cookies and challenges are its own secrets; nobody needs them here.
_HIDDEN_HEADERS = frozenset({"set-cookie", "authorization", "proxy-authorization"})


def shown_headers(headers: Mapping[str, str], secrets: Iterable[str] = ()) -> dict[str, str]:
    """At most fifty headers of an answer, for the record."""
    secrets = list(secrets)
    return {
        name: MASK if name.lower() in _HIDDEN_HEADERS else masked(value[:512].replace("\x00", ""), secrets)
        for name, value in list(headers.items())[:50]
    }
