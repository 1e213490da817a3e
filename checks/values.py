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
LARGEST_LIST = 10_000
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


def _is_unknown(value: Value) -> bool:
    return value is MISSING or (value.__class__ is str and value.strip().casefold() == "unknown")


def _scalar(value: Value) -> str:
    """The text of a value; "" for None."""
    if value.__class__ is str:
        return value.strip()
    if value is None:
        return ""
    if value.__class__ is int:
        return str(value)
    raise Refused("text")


def _text(limit: int) -> Callable[[Value], str]:
    def convert(value: Value) -> str:
        if value is MISSING or value is None or value == "":
            return ""
        text = _scalar(value)
        if len(text) > limit:
            raise Refused(f"at most {limit} characters (it has {len(text)})")
        return "" if len(text) == 7 and text.casefold() == "unknown" else text

    return convert


def _employee_id(value: Value) -> str:
    text = _text(LIMITS["employee_id"])(value)
    return "" if len(text) < 5 and text.casefold() in _PLACEHOLDERS else text


def _email(value: Value) -> str:
    text = _text(LIMITS["email"])(value)
    if not text or ADDRESS.fullmatch(text):
        return text
    if text.casefold() in _PLACEHOLDERS:
        return ""
    raise Refused("an e-mail address")


def _reference(limit: int) -> Callable[[Value], str | None]:
    convert = _text(limit)

    def reference(value: Value) -> str | None:
        if value is MISSING:
            return None
        text = convert(value)
        return None if not text and _is_unknown(value) else text

    return reference


def _choice(table: Mapping[str, str], expected: str, empty: str | None) -> Callable[[Value], str | None]:
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
    if moment.tzinfo is not None:
        try:
            moment = moment.astimezone(UTC).replace(tzinfo=None)
        except OverflowError:
            raise Refused(_TIME_EXPECTED) from None
    return moment.isoformat(" ")


def _time(value: Value) -> str | None:
    if value is MISSING or value is None or value == "":
        return None
    try:
        return _moment(value)
    except Refused:
        # Looked for last, since nearly every value is a time.
        if _is_unknown(value) or (value.__class__ is str and not value.strip()):
            return None
        raise


def _sign_in(value: Value) -> str | None:
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


def _country(value: Value) -> str:
    return "" if value is MISSING or value is None else _country_of(_scalar(value))


def _ip(value: Value) -> str:
    if value is MISSING or value is None or value == "":
        return ""
    text = _scalar(value)
    if _IPV4.fullmatch(text) or not text:
        return text
    if _is_unknown(text):
        return ""
    try:
        address = str(ipaddress.ip_address(text.strip("[]")))
    except ValueError:
        raise Refused("an IPv4 or IPv6 address") from None
    if len(address) > 45:
        raise Refused("an IP address without a long zone")
    return address


def _count(value: Value) -> int | None:
    if value is MISSING or value is None or value == "" or _is_unknown(value):
        return None
    text = str(value) if value.__class__ is float else _scalar(value)
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


def _flag(value: Value) -> bool | None:
    if value is MISSING or value is None:
        return None
    if value.__class__ is bool:
        return value
    if value.__class__ in (str, int):
        return _flag_of(str(value))
    raise Refused("true or false (yes/no and 1/0 will do)")


# --- Lists ------------------------------------------------------------------------------------------


def _items(value: Value) -> list[Value] | None:
    """None is unknown; [] is none. CSV gives one text, items separated by a vertical bar."""
    if value is MISSING:
        return None
    if value is None:
        return []
    if value.__class__ is str:
        if value == "":
            return []
        if _is_unknown(value):
            return None
        return [item for part in value.split("|") if (item := part.strip())]
    if value.__class__ is not list:
        raise Refused("a list (in CSV: items separated by a vertical bar)")
    if len(value) > LARGEST_LIST:
        raise Refused(f"a list of at most {LARGEST_LIST:,} items (it has {len(value):,})")
    return value


@lru_cache(maxsize=4096)
def _words_of(text: str) -> list[str] | None:
    return _items(text)


def _words(value: Value) -> list[str] | None:
    if value.__class__ is str:
        return _words_of(value)
    items = _items(value)
    if not items:
        return items
    words = []
    for item in items:
        if item.__class__ is not str:
            raise Refused("a list of texts")
        if word := item.strip():
            words.append(word)
    return words


def _addresses(value: Value) -> list[str] | None:
    words = _words(value)
    if not words:
        return words
    addresses = [w[5:] if w[:5].casefold() == "smtp:" else w for w in words]
    for address in addresses:
        if not ADDRESS.fullmatch(address) or len(address) > 320:
            raise Refused(f"a list of e-mail addresses ({shorten(address)!r} is none)")
        if len(folded(address.rpartition("@")[2])) > 255:
            raise Refused("a list of e-mail addresses with domains of at most 255 characters")
    return addresses


@lru_cache(maxsize=4096)
def _kind(text: str) -> str:
    """The stored kind of a factor: ours where the spelling is known, else as given."""
    return spellings.FACTOR_KINDS.get(spellings.fold(text), text)


@lru_cache(maxsize=4096)
def _split_factor(item: str) -> tuple[str, str]:
    """``kind:device``; the longest known kind wins, since Okta's kinds hold colons themselves."""
    parts = item.split(":")
    for length in range(len(parts), 0, -1):
        head = ":".join(parts[:length])
        if spellings.fold(head) in spellings.FACTOR_KINDS:
            return _kind(head), ":".join(parts[length:]).strip()
    return parts[0].strip(), ":".join(parts[1:]).strip()


_FACTORS_EXPECTED = (
    'factors such as {"kind": "sms", "device": "+15550100", "status": "active"} (CSV: sms:+15550100)'
)


def _factor(item: Value) -> dict[str, str]:
    kind: Value
    if item.__class__ is str:
        kind, device = _split_factor(item)
        factor = {"kind": kind, "device": device} if device else {"kind": kind}
    elif item.__class__ is dict:
        kind = item.get("kind")
        if kind.__class__ is not str:
            raise Refused(_FACTORS_EXPECTED)
        factor = {"kind": _kind(kind.strip())}
        for name in ("device", "status"):
            text = _scalar(item.get(name))
            if text and text.casefold() != "unknown":
                factor[name] = text
    else:
        raise Refused(_FACTORS_EXPECTED)
    if not factor["kind"] or len(factor["kind"]) > 64:
        raise Refused("factors whose kind has 1 to 64 characters")
    if len(folded(factor.get("device", ""))) > 255:
        raise Refused("factors whose device has at most 255 characters")
    return factor


def _factors(value: Value) -> list[dict[str, str]] | None:
    items = _items(value)
    return [_factor(item) for item in items] if items else items


_APPLICATIONS_EXPECTED = (
    'applications such as {"name": "Jira", "last_used_at": "2026-01-02"} (CSV: Jira=2026-01-02)'
)


def _application(item: Value) -> dict[str, Any]:
    """Without ``last_used_at`` the last use is unknown; None there is never."""
    name: Value
    used: Value = MISSING
    if item.__class__ is str:
        name, equals, text = item.rpartition("=")
        name, used = (name, text) if equals else (item, MISSING)
    elif item.__class__ is dict:
        name, used = item.get("name"), item.get("last_used_at", MISSING)
    else:
        raise Refused(_APPLICATIONS_EXPECTED)
    if name.__class__ is not str or not name.strip():
        raise Refused(_APPLICATIONS_EXPECTED)
    try:
        moment = _sign_in(used)
    except Refused:
        raise Refused(f"{_APPLICATIONS_EXPECTED}; {shorten(used)!r} is no ISO 8601 date") from None
    return (
        {"name": name.strip()} if moment is None else {"name": name.strip(), "last_used_at": moment or None}
    )


def _applications(value: Value) -> list[dict[str, Any]] | None:
    items = _items(value)
    return [_application(item) for item in items] if items else items


_STATUS_EXPECTED = (
    "a status: active, staged, provisioned, recovery, password_expired, locked_out, suspended, disabled, "
    "deprovisioned, deleted or transient"
)
_TYPE_EXPECTED = (
    "a user type: internal, guest, external, service_account, shared_mailbox, conference_room or equipment"
)
_CONVERTERS: tuple[tuple[str, Callable[[Value], Value]], ...] = (
    *((name, _text(LIMITS[name])) for name in TEXTS if name not in ("email", "employee_id")),
    ("email", _email),
    ("employee_id", _employee_id),
    *((name, _reference(LIMITS[name])) for name in REFERENCES),
    ("status", _choice(spellings.STATUSES, _STATUS_EXPECTED, None)),
    ("user_type", _choice(spellings.USER_TYPES, _TYPE_EXPECTED, "")),
    *((name, _time) for name in TIMES),
    ("last_sign_in_at", _sign_in),
    ("last_sign_in_country", _country),
    ("last_sign_in_ip", _ip),
    ("failed_sign_ins", _count),
    *((name, _flag) for name in FLAGS),
    ("mfa_factors", _factors),
    ("admin_roles", _words),
    ("groups", _words),
    ("forwarding", _addresses),
    ("applications", _applications),
)
# Field, converter, and what it gives for a missing and for an empty value: most values are one of these.
PLAN = tuple((name, convert, convert(MISSING), convert("")) for name, convert in _CONVERTERS)
