"""Values of a raw record, one at a time: what each column takes, and how it is spelt. Pure.

A converter takes a raw value, or ``MISSING`` where the record has no such field, and gives the column's
value; it raises :class:`Refused` with what was expected. ``PLAN`` names the converter of each field.
"""

import ipaddress
import re
import unicodedata
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from checks import spellings
from checks.models import Account

LARGEST_COUNT = 1_000_000
SHOWN = 60

Value = Any
MISSING = object()
TEXTS = [
    "login",
    "email",
    "display_name",
    "first_name",
    "last_name",
    "employee_id",
    "department",
    "title",
    "company",
    "phone",
]
REFERENCES = ("manager", "owner")
TIMES = ("created_at", "status_changed_at", "password_changed_at")
FLAGS = ("mfa_enabled", "mfa_bypass", "password_never_expires", "credentials_exposed")

LIMITS: dict[str, int] = {
    name: getattr(Account._meta.get_field(name), "max_length", 0) for name in (*TEXTS, *REFERENCES)
}
# What people write into these two columns where there is nothing; taken literally, it would join strangers.
_PLACEHOLDERS = frozenset(("n/a", "na", "none", "null", "nil", "-", "--", "0", "#n/a"))
_TRUE = frozenset(("true", "yes", "y", "1", "t", "on", "enabled", "enforced"))
_FALSE = frozenset(("false", "no", "n", "0", "f", "off", "disabled"))
_IPV4 = re.compile(r"(?:(?:25[0-5]|2[0-4]\d|1?\d?\d)(?:\.(?!$)|$)){4}", re.ASCII)
ADDRESS = re.compile(r"[^\s@,;<>]+@[^\s@,;<>]+")


class Refused(Exception):
    """A value is not what its column takes; the text says what was expected."""


def shorten(value: object) -> str:
    """A value as an error shows it: one line of printable text, at most ``SHOWN`` characters."""
    text = value if isinstance(value, str) else repr(value)
    text = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text[: SHOWN + 1])
    return text if len(text) <= SHOWN else text[: SHOWN - 1] + "…"


def folded(text: str) -> str:
    """The form in which two spellings of a login, an address or an id are the same."""
    return text.lower() if text.isascii() else unicodedata.normalize("NFC", text.casefold())


# --- Converters: value (or MISSING) in, column value out, Refused where it cannot be -----------------


def is_unknown(value: Value) -> bool:
    return value is MISSING or (value.__class__ is str and value.strip().casefold() == "unknown")


def scalar(value: Value) -> str:
    """The text of a value; "" for None."""
    if value.__class__ is str:
        return value.strip()
    if value is None:
        return ""
    if value.__class__ is int:
        return str(value)
    raise Refused("text")


def text_of(limit: int) -> Callable[[Value], str]:
    def convert(value: Value) -> str:
        if value.__class__ is str:
            text = value.strip()
        elif value is MISSING:
            return ""
        else:
            text = scalar(value)
        length = len(text)
        if length > limit:
            raise Refused(f"at most {limit} characters (it has {length})")
        return "" if length == 7 and text.casefold() == "unknown" else text

    return convert


_employee_text, _email_text = text_of(LIMITS["employee_id"]), text_of(LIMITS["email"])


def employee_id(value: Value) -> str:
    text = _employee_text(value)
    return "" if len(text) < 5 and text.casefold() in _PLACEHOLDERS else text


def email(value: Value) -> str:
    text = _email_text(value)
    if not text or ADDRESS.fullmatch(text):
        return text
    if text.casefold() in _PLACEHOLDERS:
        return ""
    raise Refused("an e-mail address")


def reference_of(limit: int) -> Callable[[Value], str | None]:
    convert = text_of(limit)

    def reference(value: Value) -> str | None:
        if value is MISSING:
            return None
        text = convert(value)
        return None if not text and is_unknown(value) else text

    return reference


def choice(table: Mapping[str, str], expected: str, empty: str | None) -> Callable[[Value], str | None]:
    @lru_cache(maxsize=1024)
    def look_up(text: str) -> str | None:
        if not text.strip():
            return empty
        folded_text = spellings.fold(text)
        if folded_text == "unknown":
            return None
        if folded_text not in table:
            raise Refused(expected)
        return str(table[folded_text])

    def convert(value: Value) -> str | None:
        if value is MISSING:
            return None
        if value.__class__ is str:
            return look_up(value)
        if value is None:
            return empty
        if value.__class__ is bool:
            return look_up(str(value))
        raise Refused(expected)

    return convert


_TIME_EXPECTED = "an ISO 8601 date or time, such as 2026-01-31 or 2026-01-31T08:30:00Z"
_EPOCH = f"{_TIME_EXPECTED}; it looks like seconds or milliseconds since 1970"


def _moment(value: Value) -> str:
    """The stored form of an ISO 8601 date or time; no zone is UTC."""
    if value.__class__ is not str:
        raise Refused(_EPOCH if value.__class__ in (int, float) else _TIME_EXPECTED)
    # Days recur from record to record, moments hardly ever.
    return _day(value) if len(value) == 10 else _moment_of(value)


def _moment_of(value: str) -> str:
    text = value.strip()
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        try:
            moment = datetime.fromisoformat(text.upper())
        except ValueError:
            raise Refused(_EPOCH if text.replace(".", "").lstrip("-").isdigit() else _TIME_EXPECTED) from None
    if text.isdigit() and len(text) != 8:
        raise Refused(_EPOCH)
    if moment.tzinfo is UTC:
        return moment.isoformat(" ")[: -len("+00:00")]
    if moment.tzinfo is not None:
        try:
            moment = moment.astimezone(UTC).replace(tzinfo=None)
        except OverflowError:
            raise Refused(_TIME_EXPECTED) from None
    return moment.isoformat(" ")


_day = lru_cache(maxsize=8192)(_moment_of)


def time(value: Value) -> str | None:
    if value is MISSING or value is None or value == "":
        return None
    try:
        return _moment(value)
    except Refused:
        # Looked for last, since nearly every value is a time.
        if is_unknown(value) or (value.__class__ is str and not value.strip()):
            return None
        raise


def sign_in(value: Value) -> str | None:
    """None is unknown, "" is never."""
    if value is MISSING:
        return None
    if value is None or value == "":
        return ""
    try:
        return _moment(value)
    except Refused:
        word = value.strip().casefold() if value.__class__ is str else None
        if word in ("", "never"):
            return ""
        if word == "unknown":
            return None
        raise


@lru_cache(maxsize=1024)
def _country_of(text: str) -> str:
    code = text.strip().upper()
    if code in ("", "UNKNOWN"):
        return ""
    if len(code) != 2 or not (code.isascii() and code.isalpha()):
        raise Refused("an ISO 3166 code of two letters, such as DE")
    return "GB" if code == "UK" else code


def country(value: Value) -> str:
    return "" if value is MISSING or value is None else _country_of(scalar(value))


def ip(value: Value) -> str:
    if value is MISSING or value is None or value == "":
        return ""
    text = scalar(value)
    if _IPV4.fullmatch(text) or not text:
        return text
    if is_unknown(text):
        return ""
    try:
        address = str(ipaddress.ip_address(text.strip("[]")))
    except ValueError:
        raise Refused("an IPv4 or IPv6 address") from None
    if len(address) > 45:
        raise Refused("an IP address without a long zone")
    return address


def count(value: Value) -> int | None:
    if value is MISSING or value is None or is_unknown(value):
        return None
    text = str(value) if value.__class__ is float else scalar(value)
    text = text.removesuffix(".0")
    if not text:
        return None
    if not (text.isascii() and text.isdigit()) or len(text) > 7 or int(text) > LARGEST_COUNT:
        raise Refused(f"a whole number from 0 to {LARGEST_COUNT:,}")
    return int(text)


@lru_cache(maxsize=256)
def _flag_of(text: str) -> bool | None:
    word = text.strip().casefold()
    if word in ("", "unknown"):
        return None
    if word in _TRUE:
        return True
    if word in _FALSE:
        return False
    raise Refused("true or false (yes/no and 1/0 will do)")


def flag(value: Value) -> bool | None:
    if value is MISSING or value is None:
        return None
    if value.__class__ is bool:
        return value
    if value.__class__ in (str, int):
        return _flag_of(str(value))
    raise Refused("true or false (yes/no and 1/0 will do)")


_STATUS_EXPECTED = (
    "a status: active, staged, provisioned, recovery, password_expired, locked_out, suspended, disabled, "
    "deprovisioned, deleted or transient"
)
_TYPE_EXPECTED = (
    "a user type: internal, guest, external, service_account, shared_mailbox, conference_room or equipment"
)
status = choice(spellings.STATUSES, _STATUS_EXPECTED, None)
user_type = choice(spellings.USER_TYPES, _TYPE_EXPECTED, "")
