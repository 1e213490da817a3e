"""Values of a raw record, one at a time: what each column takes, and how it is spelt. Pure.

A converter takes a raw value, or ``MISSING`` where the record has no such field, and gives the column's
value. It raises :class:`Refused` with what was expected, or :class:`Unread` where the value has to be read as unknown
and reported. :func:`converters` gives the converter of each field for one source's rules.
"""

import ipaddress
import re
from collections.abc import Callable, Mapping
from datetime import datetime
from functools import lru_cache
from typing import Any, cast

from checks.domains import written_domain
from checks.importing import countries, placeholders, spellings, times
from checks.importing.anchors import anchor_of
from checks.importing.employee_ids import ROUNDED
from checks.importing.rules import NoteKind, ReadingRules, Refused, Unread
from checks.models import Account

__all__ = [
    "ADDRESS",
    "FLAGS",
    "FUTURE",
    "LIMITS",
    "MISSING",
    "NO",
    "REFERENCES",
    "TEXTS",
    "TIMES",
    "YES",
    "Refused",
    "Value",
    "yes_or_no",
]

LARGEST_COUNT = 1_000_000
SHOWN = 60

Value = Any
Converter = Callable[[Value], Value]
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
    "locale",
    "source_key",
    "source_anchor",
]
# Texts in which a word for nothing can be someone's name.
NAMES = frozenset(("login", "display_name", "first_name", "last_name"))
REFERENCES = ("manager", "owner")
TIMES = ("created_at", "status_changed_at", "password_changed_at")
FLAGS = ("mfa_enabled", "mfa_bypass", "password_never_expires", "credentials_exposed")

LIMITS: dict[str, int] = {
    name: getattr(Account._meta.get_field(name), "max_length", 0) for name in (*TEXTS, *REFERENCES)
}
# Words that people write into these two columns for no value; taken literally, they would join strangers.
_PLACEHOLDERS = frozenset(("n/a", "na", "none", "null", "nil", "-", "--", "0", "#n/a"))
# What stands for yes and for no in a column of any question.
YES = frozenset(
    spellings.fold(word)
    for word in [
        *("true", "yes", "y", "1", "t", "on", "x"),
        # Spreadsheets write booleans in the language of their user.
        *("wahr", "vrai", "verdadero", "vero", "verdadeiro", "waar", "prawda", "истина"),
        *("ja", "oui", "sí", "si", "sim", "да", "tak"),
    ]
)
NO = frozenset(
    spellings.fold(word)
    for word in [
        *("false", "no", "n", "0", "f", "off"),
        *("falsch", "faux", "falso", "onwaar", "fałsz", "ложь"),
        *("nein", "non", "não", "nee", "nie", "нет"),
    ]
)
# A boolean may also name the state that it asks for.
_TRUE = YES | frozenset(("enabled", "enforced", "enrolled", "registered"))
_FALSE = NO | frozenset(
    spellings.fold(word)
    for word in [
        "disabled",
        "not enabled",
        "not enforced",
        "not enrolled",
        "not registered",
        "not configured",
        "unenrolled",
        "not set up",
    ]
)
# A cell without a value: unknown for a flag and a number, no value for the other scalars.
_NO_VALUE = frozenset(
    spellings.fold(word)
    for word in ["", "n/a", "none", "null", "nil", "not_supported", "no_information", "not applicable"]
)
_IPV4 = re.compile(r"(?:(?:25[0-5]|2[0-4]\d|1?\d?\d)(?:\.(?!$)|$)){4}", re.ASCII)
ADDRESS = re.compile(r"[^\s@,;<>]+@[^\s@,;<>]+")
_SCHEME = re.compile(r"(?:(?:smtp|mailto|sip|e-?mail|primary):\s*(?://)?)+(?=[^:])", re.I)
# PowerShell's {SMTP:a@x.example, smtp:b@x.example}, and quotes that a cell kept.
_ENCLOSED = frozenset("{['\"")
_SEVERAL = re.compile(r"[\s;,|]+")
# The next address of a list by another sign that an address may hold: the admin center's "+", and "|".
_NEXT_ADDRESS = re.compile(r"[+|/;,\s]+(?=(?:smtp|sip|x500|x400|spo|eum|mailto):)", re.I)
_DISPLAYED = re.compile(r"[^<>]*<\s*([^\s@,;<>]+@[^\s@,;<>]+)\s*>")
# RFC 4514, with the attributes that directories use: CN=Boss\, Big,OU=Staff,DC=x,DC=example.
_DISTINGUISHED_NAME = re.compile(r"\s*(?:CN|UID|OU|DC|O|E)\s*=.+,\s*(?:CN|OU|DC|O|C|L|ST)\s*=.+", re.I | re.S)


_FIRST_PART = re.compile(r'[^=]*=\s*(?:"(?P<quoted>(?:[^"\\]|\\.)*)"|(?P<plain>(?:[^,\\]|\\.)*))', re.S)
# A byte in hexadecimal, or a sign.
_ESCAPED = re.compile(rb"\\([0-9A-Fa-f]{2}|.)", re.S)


def shorten(value: object) -> str:
    """A value as an error shows it: one line of printable text, at most ``SHOWN`` characters."""
    text = value if isinstance(value, str) else repr(value)
    text = printable(text[: SHOWN + 1])
    return text if len(text) <= SHOWN else text[: SHOWN - 1] + "…"


def printable(text: str) -> str:
    """The text on one line, with a replacement character for each that cannot be shown or stored."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)


def is_distinguished_name(text: str) -> bool:
    """Whether a reference is an LDAP distinguished name."""
    return "=" in text and bool(_DISTINGUISHED_NAME.fullmatch(text))


def common_name(name: str) -> str:
    """The value of the first part of a distinguished name, its escapes resolved (RFC 4514, section 3), also one in quotes
    (RFC 2253, section 4)."""
    found = _FIRST_PART.match(name)
    if found is None:
        return ""
    value = found["quoted"] if found["quoted"] is not None else found["plain"].strip()
    return _ESCAPED.sub(_without_escape, value.encode()).decode("utf-8", "replace")


def _without_escape(found: re.Match[bytes]) -> bytes:
    return bytes.fromhex(found[1].decode()) if len(found[1]) == 2 else found[1]


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
    if value.__class__ is float and value.is_integer():
        # A spreadsheet or pandas has made a number of it.
        return str(int(value))
    raise Refused("text")


def text_of(limit: int, *, is_name: bool = True) -> Callable[[Value], str]:
    """A converter of texts up to ``limit`` characters; ``is_name``: words for nothing are kept, except ``unknown``."""

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
        if length == 7 and text.casefold() == "unknown":
            return ""
        return "" if not is_name and placeholders.is_no_text(text) else text

    return convert


_employee_text, _email_text = text_of(LIMITS["employee_id"]), text_of(LIMITS["email"])
_key_text, _locale_text = text_of(LIMITS["source_key"]), text_of(LIMITS["locale"])
_LOCALE = re.compile(r"[A-Za-z]{2,3}(-[A-Za-z0-9]{1,8})*")


def source_key(value: Value) -> str:
    """An immutable id as it is, "" for what identifies nobody: a placeholder, zeros, a number that a spreadsheet has
    rounded, the leftover of a broken export."""
    text = _key_text(value)
    word = placeholders.fold(text)
    is_nobody = (
        not word.strip("0")
        or word in placeholders.NO_ENTRY
        or word in placeholders.UNKNOWN
        or ROUNDED.fullmatch(text)
        or (placeholders.may_be_leftover(text) and placeholders.leftover_advice(text))
    )
    return "" if is_nobody else text


def source_anchor(value: Value) -> str:
    """Another source's immutable id as it is compared, "" for what need not be unique outside its source: e-mail addresses
    and nicknames stand where an id is meant."""
    return "" if is_unknown(value) else anchor_of(scalar(value))


def locale(value: Value) -> str:
    """A BCP 47 tag (RFC 5646); providers also write ``en_US``. "" for anything else: no reason to reject a
    record."""
    text = _locale_text(value).replace("_", "-")
    return text if _LOCALE.fullmatch(text) else ""


def employee_id(value: Value) -> str:
    text = _employee_text(value)
    return "" if text.casefold() in _PLACEHOLDERS else text


def email(value: Value) -> str:
    # A domain's last dot is the root's, or ends a sentence.
    text = _email_text(value).rstrip(".")
    if text[:1] in _ENCLOSED:
        text = text.strip("{}[]'\" ")
    if not text or (_is_plain_address(text) and text.isascii()):
        return text
    return _first_address(text) or address_of(text)


def _first_address(text: str) -> str:
    """The first of several plain addresses, all of them this account's (GitHub's verified ones), or the one with a
    separator behind it; "" for anything else."""
    parts = [part for part in _SEVERAL.split(text) if part]
    return address_of(parts[0]) if parts and all(map(_is_plain_address, parts)) else ""


def _is_plain_address(text: str) -> bool:
    return bool(ADDRESS.fullmatch(text)) and ":" not in text


def address_of(text: str) -> str:
    """The address in ``SMTP:kim@x.example``, ``mailto:…`` or ``Kim <kim@x.example>``; "" for a word for nothing.

    Of several addresses, the one that Exchange marks as primary by ``SMTP:`` in upper case.
    """
    if len(several := _NEXT_ADDRESS.split(text)) > 1:
        text = " ".join(several)
    bare = text
    if displayed := _DISPLAYED.fullmatch(bare):
        bare = displayed[1]
    bare = _SCHEME.sub("", bare, count=1).strip()
    if text[:7].casefold() == "mailto:":
        bare = bare.partition("?")[0]
    if ADDRESS.fullmatch(bare):
        local, _, domain = bare.rpartition("@")
        return f"{local}@{written_domain(domain)}" if not domain.isascii() else bare
    primary = [part[5:] for part in _SEVERAL.split(text) if part.startswith("SMTP:")]
    if len(primary) == 1 and ADDRESS.fullmatch(primary[0]):
        return primary[0]
    if (
        text.casefold() in _PLACEHOLDERS
        or placeholders.is_no_text(text)
        or placeholders.is_unknown_word(text)
    ):
        return ""
    raise Refused("an e-mail address")


def reference_of(limit: int) -> Callable[[Value], str | None]:
    convert = text_of(limit)

    def reference(value: Value) -> str | None:
        if value is MISSING:
            return None
        text = convert(value)
        if not text:
            return None if is_unknown(value) else text
        if len(text) < 24 and (
            text == "0" or placeholders.is_no_text(text) or placeholders.fold(text) in placeholders.NOBODY
        ):
            return ""
        if (":" in text and _SCHEME.match(text)) or ("<" in text and _DISPLAYED.fullmatch(text)):
            return address_of(text)
        return text

    return reference


_UNSEEN = object()
_DASHES = re.compile(r"[\s\-\N{EN DASH}\N{EM DASH}._/\\()\[\]{}<>\"'`,;:|*#~^+=!$&]*")


def _of_marks(text: str, no_value: Value) -> Value:
    """What a text without letters and digits means: a dash is an empty cell, a tick or cross a word to be reported."""
    return None if "?" in text else no_value if _DASHES.fullmatch(text) else _UNSEEN


def _word_reader(
    table: Mapping[str, Value],
    no_value: Value,
    words: Mapping[str, Value],
    other: Callable[[str], Value] = lambda _: None,
) -> Callable[[str], Value]:
    """Looks a text up: ``words`` are the source's own and come first, ``table`` is ours, ``other`` reads what is in
    neither. ``no_value``: for a word that means an empty cell. Raises :class:`Unread` for a word without a
    meaning.
    """
    known = {
        **dict.fromkeys(_NO_VALUE, no_value),
        **dict.fromkeys(placeholders.UNKNOWN, None),
        **table,
        **words,
    }

    @lru_cache(maxsize=1024)
    def look_up(text: str) -> Value:
        text = text.strip()
        word = spellings.fold(text)
        # A text of marks alone, such as a dash, is a word only if the source says so.
        found = known.get(word, _UNSEEN) if word else known.get(text, _of_marks(text, no_value))
        if found is _UNSEEN and (found := other(text)) is None:
            raise Unread(None, NoteKind.UNKNOWN_WORD, text)
        return found

    return look_up


def choice(
    table: Mapping[str, str],
    expected: str,
    empty: str | None,
    words: Mapping[str, str] | None = None,
    other: Callable[[str], str | None] = lambda _: None,
) -> Callable[[Value], str | None]:
    """A converter of words. ``empty``: for a cell without a value. ``words``: the source's own, with their meanings.
    ``other``: for a text in neither. A word without a meaning raises :class:`Unread`."""
    own = {word: meaning_of(meaning, empty) for word, meaning in (words or {}).items()}
    look_up = _word_reader({word: str(value) for word, value in table.items()}, empty, own, other)

    def convert(value: Value) -> str | None:
        if value is MISSING:
            return None
        if value.__class__ is str:
            return cast(str | None, look_up(value))
        if value is None:
            return empty
        if value.__class__ in (bool, int):
            return cast(str | None, look_up(str(value)))
        raise Refused(expected)

    return convert


def meaning_of(meaning: str, none: Value) -> Value:
    """The value that a member's meaning of a word stores: ``unknown``, ``none`` or the word itself."""
    return None if meaning == "unknown" else none if meaning == "none" else meaning


class TimeConverters:
    """The converters of times by one source's rules. ``now``: stored form of the import's start."""

    def __init__(self, rules: ReadingRules, now: datetime) -> None:
        self.read = times.Moments(rules).read
        self.latest = (now + times.FUTURE_ALLOWED).replace(tzinfo=None).isoformat(" ")
        self.words = rules.meanings

    def time(self, value: Value, field: str, *, may_lie_ahead: bool = False) -> str | None:
        """The stored form of a time, None where it is unknown."""
        if value is MISSING or value is None:
            return None
        try:
            moment = self.read(value) if value.__class__ is str else self._number(value)
        except Refused:
            # Looked for last, since nearly every value is a time.
            if self._word(value, field) is not None:
                return None
            raise
        if moment > self.latest and not may_lie_ahead:
            if moment >= times.SENTINELS_FROM:
                return None
            raise Unread(None, NoteKind.FUTURE, shorten(value), FUTURE)
        return moment or None

    def created(self, value: Value) -> str | None:
        return self.time(value, "created_at")

    def status_changed(self, value: Value) -> str | None:
        """May lie ahead: records.py reads such a time together with the status."""
        return self.time(value, "status_changed_at", may_lie_ahead=True)

    def password_changed(self, value: Value) -> str | None:
        return self.time(value, "password_changed_at")

    def sign_in(self, value: Value) -> str | None:
        """None is unknown, "" is never."""
        if value is MISSING:
            return None
        if value is None or value == "":
            return ""
        try:
            moment = self.read(value) if value.__class__ is str else self._number(value)
        except Refused:
            word = self._word(value, "last_sign_in_at")
            if word is None:
                raise
            return "" if word == "never" else None
        if moment > self.latest:
            raise Unread(None, NoteKind.FUTURE, shorten(value), FUTURE)
        return moment

    def _number(self, value: Value) -> str:
        if value.__class__ is int and value >= 0:
            return self.read(str(value))
        raise Refused(times.EPOCH if value.__class__ in (int, float) else times.EXPECTED)

    def _word(self, value: Value, field: str) -> str | None:
        """``never`` or ``unknown`` for a word that means so, None for any other value."""
        if value.__class__ is bool:
            return "never" if value is False else None
        if value.__class__ is not str:
            return None
        text = value.strip()
        own = self.words.get(field)
        if own and (meaning := own.get(spellings.fold(text) or text)) is not None:
            return meaning
        if times.is_no_time_word(text):
            return "unknown"
        return "never" if not text or times.is_never_word(text) else None


FUTURE = (
    "it is in the future; check the clock and the time zone of the source, and how the times are exported"
)


def country_of(words: Mapping[str, str] | None = None) -> Callable[[Value], str]:
    own = words or {}

    @lru_cache(maxsize=1024)
    def look_up(text: str) -> str:
        word = spellings.fold(text)
        if (meaning := own.get(word or text.strip())) is not None:
            return str(meaning_of(meaning, "") or "").upper()
        code = text.strip().upper()
        # NA is Namibia.
        if code != "NA" and (word in _NO_VALUE or placeholders.is_unknown_word(text)):
            return ""
        if code in countries.CODES:
            return code
        if named := countries.CODE_OF_NAME.get(word):
            return named
        if len(code) < 2 or not any(c.isalpha() for c in code):
            raise Refused("an ISO 3166 code of two letters, such as DE, or the name of a country")
        # Names of several countries (Congo, Korea), of none (XX, a proxy's A1), or in another language.
        raise Unread("", NoteKind.UNKNOWN_WORD, text.strip())

    def convert(value: Value) -> str:
        return "" if value is MISSING or value is None else look_up(scalar(value))

    return convert


def ip(value: Value) -> str:
    if value is MISSING or value is None or value == "":
        return ""
    text = scalar(value)
    if _IPV4.fullmatch(text) or not text:
        return text
    if spellings.fold(text) in _NO_VALUE or placeholders.is_unknown_word(text):
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
    if not (text.isascii() and text.isdigit()):
        if spellings.fold(text) in _NO_VALUE or placeholders.is_unknown_word(text):
            return None
        raise Refused(_COUNT)
    if len(text) > 7 or int(text) > LARGEST_COUNT:
        raise Refused(_COUNT)
    return int(text)


_COUNT = f"a whole number from 0 to {LARGEST_COUNT:,}"
_FLAG = "true or false (yes/no and 1/0 are accepted)"


def flag_of(
    words: Mapping[str, str] | None = None, undecided: frozenset[str] = frozenset()
) -> Callable[[Value], bool | None]:
    """A converter of booleans. ``words``: the source's own. ``undecided``: folded words that do not say."""
    own = {word: {"true": True, "false": False}.get(meaning) for word, meaning in (words or {}).items()}
    table = {**dict.fromkeys(_TRUE - undecided, True), **dict.fromkeys(_FALSE, False)}
    look_up = _word_reader(table, None, own)

    def convert(value: Value) -> bool | None:
        if value is MISSING or value is None:
            return None
        if value.__class__ is bool:
            return value
        if value.__class__ in (str, int):
            return cast(bool | None, look_up(str(value)))
        raise Refused(_FLAG)

    return convert


_STATUS_EXPECTED = (
    "a status: active, on_leave, staged, provisioned, recovery, password_expired, locked_out, suspended, disabled, "
    "deprovisioned, deleted or transient"
)
_TYPE_EXPECTED = (
    "a user type: internal, guest, external, service_account, shared_mailbox, conference_room or equipment"
)
# Microsoft Entra's per-user MFA state: asked to enrol at the next sign-in, perhaps for years.
_MFA_UNDECIDED = frozenset(("enabled",))
flag, country = flag_of(), country_of()


def yes_or_no(value: Value) -> bool | None:
    """What the value of a boolean says; None where it says neither."""
    try:
        return flag(value)
    except (Refused, Unread):
        return None


def converters(rules: ReadingRules, now: datetime) -> dict[str, Converter]:
    """Field → converter, for all fields but lists. ``now``: the start of the import, in UTC."""
    moments = TimeConverters(rules, now)
    words = rules.meanings
    found: dict[str, Converter] = {name: text_of(LIMITS[name], is_name=name in NAMES) for name in TEXTS}
    found |= {"email": email, "employee_id": employee_id, "source_key": source_key, "locale": locale}
    found["source_anchor"] = source_anchor
    found |= {name: reference_of(LIMITS[name]) for name in REFERENCES}
    found["status"] = choice(
        spellings.STATUSES, _STATUS_EXPECTED, None, words.get("status"), spellings.status_of_control_bits
    )
    found["user_type"] = choice(spellings.USER_TYPES, _TYPE_EXPECTED, "", words.get("user_type"))
    found["created_at"] = moments.created
    found["status_changed_at"] = moments.status_changed
    found["password_changed_at"] = moments.password_changed
    found["last_sign_in_at"] = moments.sign_in
    found["last_sign_in_country"] = country_of(words.get("last_sign_in_country"))
    found["last_sign_in_ip"] = ip
    found["failed_sign_ins"] = count
    for name in FLAGS:
        found[name] = flag_of(words.get(name), _MFA_UNDECIDED if name == "mfa_enabled" else frozenset())
    return found
