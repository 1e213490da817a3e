"""Answers of token endpoints (RFC 6749 §5), read as real servers write them. Pure."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import cast
from urllib.parse import parse_qsl

from integrations.errors import IntegrationError
from integrations.formats import bounded_json
from integrations.json_types import Json, JsonMapping
from integrations.transport.results import parse_http_date, parse_seconds, seconds_from

# The lifetime if the endpoint names none (RFC 6749 §5.1 allows that) or an unusable one: an hour; a refusal
# renews sooner.
DEFAULT_LIFETIME = 3600
MAX_LIFETIME = 30 * 24 * 3600
# Apigee's name is BearerToken: https://github.com/DuendeArchive/Support/issues/1413. “null” is what Spring's library makes
# of a null that it relays: https://github.com/spring-attic/spring-security-oauth/issues/676. Another type must not be
# used (RFC 6749 §7.1), also false or a list, which no server is known to send.
_BEARER = frozenset({"", "bearer", "bearertoken", "null"})
_NO_ERROR = frozenset({"", "0", "false", "null", "none"})
# RFC 6749; many APIs; AWS; Okta; Apigee; RFC 9457.
_TEXT_KEYS = (
    "error_description",
    "message",
    "Message",
    "errorMessage",
    "errorSummary",
    "faultstring",
    "detail",
)
MAX_ERRORS = 5
# Python reads no int of more digits.
MAX_DIGITS = 4_300
_FORM = re.compile(r"[\w.-]+=[^\s&<>]*(?:&[\w.-]+=[^\s&<>]*)*")
# The scheme, which some endpoints write before the token.
_SCHEME = re.compile(r"^bearer\s+", re.IGNORECASE)


class AnswerError(IntegrationError, ValueError):
    """An answer without a usable token. The message completes the sentence “Token endpoint: …”."""


@dataclass(frozen=True, slots=True)
class TokenAnswer:
    """``lifetime`` in seconds; ``is_assumed``: the answer names none that can be used."""

    token: str
    lifetime: int
    is_assumed: bool = False


def parse_token_answer(
    status: int, content_type: str, body: bytes, now: datetime, *, is_cut: bool = False
) -> TokenAnswer:
    """The token and its lifetime. ``is_cut``: the answer is longer than ``body``. Raises :class:`AnswerError`.

    JSON is read with any content type, also with a byte order mark; old servers answer with a form.
    """
    text = body.decode(json.detect_encoding(body), "replace").strip("\ufeff\0 \t\r\n")
    if not 200 <= status < 300:
        redirect = "; redirects are not followed" if 300 <= status < 400 else ""
        raise AnswerError(f"it answered {status}{redirect}{_oauth_error(text)}.")
    if is_cut and text.startswith("{"):
        raise AnswerError(f"it answered {status} with more than {len(body):,} bytes, too many for a token.")
    found = _fields(status, content_type, text)
    said = _server_text(found)
    if _is_error(error := found.get("error")):
        parts = (_as_text(part) for part in (error, said) if part)
        raise AnswerError(f"it answered {status} with the error {': '.join(parts)}.")
    if "access_token" not in found:
        advice = f": {said}." if said else ". Is this the address of a token endpoint?"
        raise AnswerError(f"it answered {status} without access_token{advice}")
    token = _access_token(found)
    lifetime = _lifetime(found.get("expires_in"), now)
    return TokenAnswer(token, lifetime or DEFAULT_LIFETIME, is_assumed=lifetime is None)


def _is_error(value: Json) -> bool:
    """Whether a value names an error: null, an empty text and what holds nothing else are none."""
    if isinstance(value, Mapping | list):
        return any(map(_is_error, value.values() if isinstance(value, Mapping) else value))
    return value.strip().lower() not in _NO_ERROR if isinstance(value, str) else bool(value)


def _fields(status: int, content_type: str, text: str) -> JsonMapping:
    if text.startswith("{"):
        try:
            return cast("JsonMapping", _json_value(text))
        except ValueError:
            raise AnswerError(f"it answered {status} with JSON that cannot be read.") from None
    if _FORM.fullmatch(text) and ("access_token=" in text or "error=" in text):
        return dict(parse_qsl(text))
    if text.startswith("<") or "html" in content_type.lower():
        raise AnswerError(f"it answered {status} with HTML instead of a token.")
    raise AnswerError(f"it answered {status} with {content_type or 'no content type'}, not a JSON object.")


def _json_value(text: str) -> Json:
    """The value of an answer. Raises ValueError."""
    return bounded_json.loads(text, parse_int=_whole_number, strict=False)


def _whole_number(digits: str) -> int | float:
    """The number; one of too many digits is infinite, which a lifetime may be."""
    return int(digits) if len(digits) <= MAX_DIGITS else float(digits)


def _access_token(found: JsonMapping) -> str:
    token, kind = found["access_token"], found.get("token_type")
    if not isinstance(token, str) or not token.strip():
        said = _server_text(found)
        advice = f": {said}." if said else ". Check at the endpoint whether this client may get a token."
        raise AnswerError(f"its access_token is {_type_text(token)}{advice}")
    token = _SCHEME.sub("", token.strip())
    if token.lower() == "bearer":
        raise AnswerError(f"its access_token is the word “{token}” without a token.")
    if not token.isascii() or not token.isprintable() or " " in token:
        raise AnswerError("its access_token contains characters that a header must not contain.")
    if kind is not None and (not isinstance(kind, str) or _folded(kind) not in _BEARER):
        raise AnswerError(f"its token_type is “{_as_text(kind)}”; only Bearer can be sent.")
    return token


def _type_text(value: Json) -> str:
    """What is in the place of a token. The value itself is not shown: it may hold one."""
    match value:
        case None:
            return "null"
        case str():
            return "empty"
        case bool():
            return "true or false, not a text"
        case int() | float():
            return "a number, not a text"
        case list():
            return "a list, not a text"
        case _:
            return "an object, not a text"


def _folded(kind: str) -> str:
    return re.sub(r"[\s_-]", "", kind).lower()


def _lifetime(value: Json, now: datetime) -> int | None:
    """Seconds within 1 to 30 days, from a number, a text of one, or a date; None for anything else. Zero and
    negative values do not name a lifetime: servers write 0 or -1 for a token without an end.
    """
    seconds: float | None = None
    if isinstance(value, str):
        seconds = parse_seconds(value)
        if seconds is None and (moment := parse_http_date(value)):
            seconds = (moment - now).total_seconds()
    elif isinstance(value, int | float) and not isinstance(value, bool):
        seconds = value
    if seconds is None or not seconds >= 1:  # also NaN
        return None
    seconds = seconds_from(min(seconds, 10.0**15), now)
    return int(min(seconds, MAX_LIFETIME)) if seconds >= 1 else None


def _oauth_error(text: str) -> str:
    """RFC 6749 §5.2: ``error`` and ``error_description``, if the answer has them, or what other servers write instead."""
    try:
        found = _json_value(text)
    except ValueError:
        return ""
    if not isinstance(found, dict):
        return ""
    error, said = found.get("error"), _server_text(found)
    if not _is_error(error):
        return f": {said}" if said else ""
    more = f" ({said})" if said else ""
    return f": {_as_text(error)}{more}"


def _server_text(found: Json) -> str:
    """The server's words about an error, without a full stop; "" for none.

    Only texts of these keys count: another value may be a secret.
    """
    if isinstance(found, str):
        return " ".join(found.split()).rstrip(".") if _is_error(found) else ""
    if isinstance(found, list):
        return "; ".join(filter(None, map(_server_text, found[:MAX_ERRORS])))
    if not isinstance(found, Mapping):
        return ""
    texts = (_server_text(found[key]) for key in _TEXT_KEYS if isinstance(found.get(key), str))
    nested = (_server_text(found.get(key)) for key in ("fault", "errors"))
    return next(filter(None, (*texts, *nested)), "")


def _as_text(value: Json) -> str:
    """The value in a form for a sentence."""
    return json.dumps(value) if isinstance(value, Mapping | list) else str(value)
