"""One record of a source, as it was read, becomes the columns of one ``Account``. Pure.

A raw record is a dict of the data set's field names (docs/importing.md) to text (CSV) or JSON values.
:func:`parse` never raises: it gives a :class:`Record` or the list of what is wrong.
"""

import hashlib
import re
from collections.abc import Callable, Iterator, Mapping
from itertools import repeat
from operator import itemgetter
from typing import Any, NamedTuple

import orjson

from checks import lists, spellings, values
from checks.values import (
    ADDRESS,
    FLAGS,
    LIMITS,
    MISSING,
    REFERENCES,
    TEXTS,
    TIMES,
    Refused,
    Value,
    folded,
    shorten,
)

# Raise when the same record shall give other columns than before: every account is then written anew.
RULES_VERSION = b"1"
ALWAYS = "1970-01-01 00:00:00"

Raw = Mapping[str, Any]


class Problem(NamedTuple):
    """Why a record is refused: the column, its value (shortened) and what was expected there."""

    column: str
    value: str
    expected: str

    def __str__(self) -> str:
        return f"{self.column}: {self.value!r} is not {self.expected}"


class Record(NamedTuple):
    """``values``: in the order of ``COLUMNS``, in the form that both databases store: times as
    ``YYYY-MM-DD HH:MM:SS[.ffffff]`` in UTC, lists as JSON text, None for NULL.
    ``devices``: (kind, key) of what the active factors are bound to; ``forwards``: (address, domain).
    """

    values: tuple[Value, ...]
    fingerprint: bytes
    devices: list[tuple[str, str]]
    forwards: list[tuple[str, str]]

    @property
    def login_key(self) -> str:
        return str(self.values[LOGIN_KEY])


_LISTS = ("mfa_factors", "admin_roles", "groups", "forwarding", "applications")
_DERIVED = [
    "login_key",
    "email_key",
    "employee_key",
    "manager_key",
    "owner_key",
    "department_key",
    "title_key",
    "mfa",
    "assurance",
    "factors_known",
    "phishing_resistant",
    "is_admin",
    "app_unused_since",
    "applications_known",
]
# What a file may say.
FIELDS = (
    *TEXTS,
    *REFERENCES,
    "status",
    "user_type",
    *TIMES,
    "last_sign_in_at",
    "last_sign_in_country",
    "last_sign_in_ip",
    "failed_sign_ins",
    *FLAGS,
    *_LISTS,
)
COLUMNS = (*FIELDS, "last_sign_in_known", *_DERIVED)
LOGIN_KEY = COLUMNS.index("login_key")
_CONVERTERS: tuple[tuple[str, Callable[[Value], Value]], ...] = (
    *((name, values.text_of(LIMITS[name])) for name in TEXTS if name not in ("email", "employee_id")),
    ("email", values.email),
    ("employee_id", values.employee_id),
    *((name, values.reference_of(LIMITS[name])) for name in REFERENCES),
    ("status", values.status),
    ("user_type", values.user_type),
    *((name, values.time) for name in TIMES),
    ("last_sign_in_at", values.sign_in),
    ("last_sign_in_country", values.country),
    ("last_sign_in_ip", values.ip),
    ("failed_sign_ins", values.count),
    *((name, values.flag) for name in FLAGS),
    ("mfa_factors", lists.factors),
    ("admin_roles", lists.words),
    ("groups", lists.words),
    ("forwarding", lists.addresses),
    ("applications", lists.applications),
)
# Field, converter, and what it gives for a missing and for an empty value: most values are one of these.
PLAN = tuple((name, convert, convert(MISSING), convert("")) for name, convert in _CONVERTERS)

_in_order = itemgetter(*COLUMNS)
_SUSPECT = re.compile(r"\\x00|\\u0000|\\ud[89a-f]")


def login_of(raw: Raw) -> str:
    """The login key of a record that may be bad, "" where it has none that could be an account's."""
    value = raw.get("login")
    text = str(value).strip() if isinstance(value, str | int) and not isinstance(value, bool) else ""
    if text.casefold() == "unknown" or "\0" in text or not _encodable(text):
        return ""
    key = folded(text)
    return key if len(key) <= LIMITS["login"] else ""


def parse(raw: Raw) -> Record | list[Problem]:
    """The account that a record describes, or everything that is wrong with it."""
    problems: list[Problem] = []
    found: dict[str, Value] = {}
    get = raw.get
    for column, convert, missing, empty in PLAN:
        value = get(column, MISSING)
        if value is MISSING:
            found[column] = missing
            continue
        if value is None or value == "":
            found[column] = empty
            continue
        try:
            found[column] = convert(value)
        except Refused as refused:
            problems.append(Problem(column, shorten(value), str(refused)))
    if problems:
        return problems
    if not found["login"]:
        return [Problem("login", shorten(get("login", "")), "a login; every record needs one")]
    return _finish(found, raw)


def _finish(found: dict[str, Value], raw: Raw) -> Record | list[Problem]:
    text = _text_of(raw)
    # Nearly every record is plain: ASCII, and nothing in it that repr() would escape.
    plain = text.isascii() and "\\" not in text
    if not plain and (problems := _unstorable(text, raw)):
        return problems
    factors, roles = found["mfa_factors"], found["admin_roles"]
    forwarding, applications = found["forwarding"], found["applications"]
    _derive_keys(found)
    active = _derive_mfa(found, factors)
    found["is_admin"] = None if roles is None else bool(roles)
    _derive_applications(found, applications)
    if not found["display_name"]:
        found["display_name"] = f"{found['first_name']} {found['last_name']}".strip()[:320]
    for column in _LISTS:
        if items := found[column]:
            found[column] = orjson.dumps(items).decode()
        elif items is not None:
            found[column] = "[]"
    moment = found["last_sign_in_at"]
    found["last_sign_in_known"] = moment is not None
    found["last_sign_in_at"] = moment or None
    if not plain and (problems := _too_long(found)):
        return problems
    return Record(_in_order(found), _digest(text), _devices(active), _forwards(forwarding))


def fingerprint(raw: Raw) -> bytes:
    """16 bytes by which a record that was imported before is known again, without parsing it."""
    return _digest(_text_of(raw))


def _text_of(raw: Raw) -> str:
    get = raw.get
    try:
        return repr(list(map(get, FIELDS, repeat(...))))
    except RecursionError:
        # Nested so deeply that only fields nobody reads can hold it: known by the rest.
        return repr([str(type(get(field, ...))) for field in FIELDS])


def _digest(text: str) -> bytes:
    return hashlib.blake2b(text.encode(), digest_size=16, key=RULES_VERSION).digest()


def _unstorable(text: str, raw: Raw) -> list[Problem]:
    """Neither database takes NUL or half a surrogate pair. ``text``: the record's repr."""
    if not _SUSPECT.search(text):
        return []
    problems = []
    for column in FIELDS:
        value = raw.get(column)
        texts = list(_texts_in(value))
        if any("\0" in text for text in texts):
            problems.append(Problem(column, shorten(value), "text without NUL characters"))
        elif not all(_encodable(text) for text in texts):
            problems.append(Problem(column, shorten(value), "UTF-8 text; save the file as UTF-8"))
    return problems


def _texts_in(value: Value) -> Iterator[str]:
    """The texts of a value that can end up in a column: those of a list's items too."""
    waiting = [value]
    while waiting:
        item = waiting.pop()
        if isinstance(item, str):
            yield item
        elif isinstance(item, list | dict):
            waiting.extend(item.values() if isinstance(item, dict) else item)


def _encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _too_long(found: dict[str, Value]) -> list[Problem]:
    """Folding can lengthen a text past its column (ß becomes ss)."""
    return [
        Problem(column, shorten(found[column]), f"at most {limit} characters once case-folded")
        for column, limit in LIMITS.items()
        if found[column] and not found[column].isascii() and len(folded(found[column])) > limit
    ]


# --- What follows from the record alone -------------------------------------------------------------


def _derive_keys(found: dict[str, Value]) -> None:
    login = folded(found["login"])
    found["login_key"] = login
    email = found["email"]
    found["email_key"] = folded(email) if email else (login if ADDRESS.fullmatch(login) else "")
    for column, key in (
        ("employee_id", "employee_key"),
        ("manager", "manager_key"),
        ("owner", "owner_key"),
        ("department", "department_key"),
        ("title", "title_key"),
    ):
        value = found[column]
        found[key] = folded(value) if value else ""


def _derive_mfa(found: dict[str, Value], factors: list[dict[str, str]] | None) -> list[dict[str, str]]:
    """Fill mfa, factors_known, assurance and phishing_resistant; give the active factors."""
    enabled = found["mfa_enabled"]
    if enabled is False or not factors:
        known = factors is not None or enabled is False
        found["mfa"] = enabled if enabled is not None or factors is None else False
        found["factors_known"], found["assurance"] = known, None
        found["phishing_resistant"] = False if known else None
        return []
    active = [f for f in factors if spellings.fold(f.get("status", "")) in spellings.ACTIVE_FACTOR]
    kinds = {f["kind"] for f in active}
    levels = {spellings.ASSURANCE.get(kind) for kind in kinds}
    unrecognised = None in levels
    best = max((level for level in levels if level is not None), default=None)
    found["factors_known"] = True
    found["mfa"] = bool(kinds - {spellings.PASSWORD}) or enabled is True
    found["assurance"] = None if unrecognised and best != 3 else best
    resistant = bool(kinds & spellings.PHISHING_RESISTANT)
    found["phishing_resistant"] = True if resistant else None if unrecognised else False
    return active


def _derive_applications(found: dict[str, Value], applications: list[dict[str, Any]] | None) -> None:
    if not applications:
        found["app_unused_since"], found["applications_known"] = None, applications is not None
        return
    never = found["created_at"] or ALWAYS
    known = [a for a in applications if "last_used_at" in a]
    found["app_unused_since"] = min((a["last_used_at"] or never for a in known), default=None)
    found["applications_known"] = len(known) == len(applications)


def _devices(active: list[dict[str, str]]) -> list[tuple[str, str]]:
    if not active:
        return []
    keys = {(f["kind"], _device_key(f["kind"], f.get("device", ""))) for f in active if f.get("device")}
    return sorted(key for key in keys if key[1])


def _device_key(kind: str, device: str) -> str:
    """A number without its spacing; "" for a number that the source masks, which names nobody."""
    if kind not in spellings.BY_PHONE:
        return folded(device)
    if re.search(r"[^\d\s+()./-]", device):
        return ""
    digits = re.sub(r"\D", "", device)
    international = device.lstrip().startswith("+") or digits.startswith("00")
    return ("+" + digits.removeprefix("00") if international else digits) if digits else ""


def _forwards(forwarding: list[str] | None) -> list[tuple[str, str]]:
    return [(a, folded(a.rpartition("@")[2])) for a in forwarding] if forwarding else []
