"""One record of a source, as it was read, becomes the columns of one ``Account``. Pure.

A raw record is a dict of the data set's field names (docs/importing.md) to text (CSV) or JSON values.
:func:`parse` never raises: it gives a :class:`Record` or the list of what is wrong.
"""

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, date, datetime
from functools import lru_cache
from itertools import repeat
from math import isnan
from operator import itemgetter
from typing import Any, NamedTuple

import orjson

from checks.domains import written_domain
from checks.folding import folded
from checks.importing import list_values, placeholders, spellings, times, values
from checks.importing.anchors import anchor_of
from checks.importing.employee_ids import employee_key, reference_key
from checks.importing.names import name_key
from checks.importing.rules import Note, NoteKind, ReadingRules, Refused, Unread
from checks.importing.values import (
    ADDRESS,
    FLAGS,
    LIMITS,
    MISSING,
    REFERENCES,
    TEXTS,
    TIMES,
    TimeConverters,
    Value,
    shorten,
)
from checks.models import Status

# Increase when the same record gives other columns than before: every account is then written again.
RULES_VERSION = b"11"
ALWAYS = "1970-01-01 00:00:00"
# Texts and numbers of a column that are remembered with what they are read as. A column with more has few that recur.
MOST_REMEMBERED, LONGEST_REMEMBERED = 2_000, 200

Raw = Mapping[str, object]
# Field, converter, value where it is missing, value where it is empty, text or number → value (None: not remembered).
_Step = tuple[str, values.Converter, Value, Value, dict[object, Value] | None]


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
    ``notes``: values that are read as unknown although the record has one.
    """

    values: tuple[Value, ...]
    fingerprint: bytes
    devices: list[tuple[str, str]]
    forwards: list[tuple[str, str]]
    notes: list[Note]

    @property
    def login_key(self) -> str:
        return str(self.values[LOGIN_KEY])


LISTS = ("mfa_factors", "admin_roles", "groups", "forwarding", "applications")
DERIVED = [
    "login_key",
    "email_key",
    "employee_key",
    "name_key",
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
    "key_anchor",
]
# Values that a file may have.
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
    *LISTS,
)
COLUMNS = (*FIELDS, "last_sign_in_known", *DERIVED)
LOGIN_KEY = COLUMNS.index("login_key")

_in_order = itemgetter(*COLUMNS)
_SUSPECT = re.compile(r"\\x00|\\u0000|\\ud[89a-f]")
# Compared letter by letter, or looked up: no invisible character is meant.
_IDENTIFIERS = frozenset(
    ("login", "email", "employee_id", "source_key", "source_anchor", *REFERENCES, "mfa_factors", "forwarding")
)
_ENDED = frozenset((Status.DISABLED.value, Status.DEPROVISIONED.value, Status.DELETED.value))


def login_of(raw: Raw) -> str:
    """The login key of a record that may be bad, "" where it has none that could be an account's."""
    value = raw.get("login")
    if value.__class__ is str and value.isascii():
        key = value.strip().lower()
        return "" if key == "unknown" or "\0" in key or len(key) > LIMITS["login"] else key
    text = str(value).strip() if isinstance(value, str | int) and not isinstance(value, bool) else ""
    if text.casefold() == "unknown" or "\0" in text or not _encodable(text):
        return ""
    if not text.isascii():
        text = placeholders.without_invisible(text).strip()
    key = folded(text)
    return key if len(key) <= LIMITS["login"] else ""


def source_key_of(raw: Raw) -> str:
    """The immutable id of a record that may be bad, "" where it has none."""
    value = raw.get("source_key", "")
    if value is None or value == "":
        return ""
    try:
        text = values.source_key(value)
    except Refused:
        return ""
    if not text.isascii():
        text = placeholders.without_invisible(text).strip()
    return "" if "\0" in text or not _encodable(text) else text


class RecordParser:
    """Reads raw records by one source's rules. ``now``: the start of the import."""

    def __init__(self, rules: ReadingRules | None = None, now: datetime | None = None) -> None:
        self.rules = rules or ReadingRules()
        now = now or datetime.now(UTC)
        moments = TimeConverters(self.rules, now)
        self.latest, self.now = moments.latest, now.replace(tzinfo=None).isoformat(" ")
        found = {**values.converters(self.rules, now), **list_values.list_converters(self.rules, moments)}
        # Field, converter, what it gives for a missing and for an empty value, and what it gave for texts before:
        # most values are one of these.
        self._plan: list[_Step] = [
            (name, found[name], found[name](MISSING), found[name](""), {}) for name in FIELDS
        ]
        # Other rules, other columns.
        key = RULES_VERSION if self.rules == ReadingRules() else RULES_VERSION + repr(self.rules).encode()
        self._key = hashlib.blake2b(key, digest_size=32).digest()

    def parse(self, raw: Raw) -> Record | list[Problem]:
        """The account that a record describes, or everything that is wrong with it."""
        problems: list[Problem] = []
        notes: list[Note] = []
        text = _text_of(raw)
        # Nearly every record is plain: ASCII, and nothing in it that repr() would escape.
        plain = text.isascii() and "\\" not in text
        cleaned = raw if plain else _without_invisible(raw)
        found = self._read(cleaned, problems, notes)
        if problems:
            return problems
        if not found["login"]:
            return [Problem("login", shorten(cleaned.get("login", "")), "a login; every record needs one")]
        if not plain and (problems := _unstorable(text, raw)):
            return problems
        self._combine(found, raw, notes)
        return self._finish(found, text, notes, plain=plain)

    def _read(self, raw: Raw, problems: list[Problem], notes: list[Note]) -> dict[str, Value]:
        """Field → value, without the fields that have a problem."""
        found: dict[str, Value] = {}
        unseen: list[tuple[_Step, Value]] = []
        get = raw.get
        for step in self._plan:
            column, _, missing, empty, memory = step
            value = get(column, MISSING)
            if value is MISSING:
                found[column] = missing
            elif value is None or value == "":
                found[column] = empty
            elif (
                memory is not None
                and (value.__class__ is str or value.__class__ is int)
                and (known := memory.get(value, MISSING)) is not MISSING
            ):
                found[column] = known
            else:
                unseen.append((step, value))
        leftovers = _leftovers({step[0]: value for step, value in unseen if value.__class__ is str})
        for step, value in unseen:
            column = step[0]
            try:
                found[column] = self._convert(step, value, leftovers)
            except Refused as refused:
                problems.append(Problem(column, shorten(value), str(refused)))
            except Unread as unread:
                found[column] = unread.value
                notes.append(Note(column, unread.kind, shorten(unread.word), unread.text))
        return found

    def _convert(self, step: "_Step", value: Value, leftovers: Mapping[str, str]) -> Value:
        """The value of a column, which is remembered where it is of a text or number that may recur."""
        column, convert, missing, _, memory = step
        if value.__class__ is float:
            # pandas makes a number with a fraction of every number in a column that lacks one, and NaN of what it lacks.
            if isnan(value):
                return missing
            value = int(value) if value.is_integer() else value
        if column in leftovers:
            list_values.raise_leftover(column, value, missing, leftovers[column])
        read = convert(value)
        if memory is not None and (
            value.__class__ is int or (value.__class__ is str and len(value) <= LONGEST_REMEMBERED)
        ):
            memory[value] = read
            if len(memory) > MOST_REMEMBERED:
                self._forget(column)
        return read

    def _forget(self, column: str) -> None:
        """Remember no more of a column in which little recurs."""
        self._plan = [step if step[0] != column else (*step[:4], None) for step in self._plan]

    def read_fields(self, raw: Raw) -> dict[str, Value]:
        """Field → value, for the fields of a record that has them; what would be refused is unknown."""
        cleaned = _without_invisible(raw)
        leftovers = _leftovers({field: text for field, text in cleaned.items() if isinstance(text, str)})
        found: dict[str, Value] = {}
        for column, convert, missing, *_ in self._plan:
            if column not in cleaned:
                continue
            try:
                found[column] = missing if column in leftovers else convert(cleaned[column])
            except Refused:
                found[column] = missing
            except Unread as unread:
                found[column] = unread.value
        return found

    def fingerprint(self, raw: Raw) -> bytes:
        """16 bytes by which a record that was imported before is known again, without parsing it.

        A record with notes has another fingerprint than this: it is parsed at each import, since what is noted is
        reported each time and may depend on the day.
        """
        return self._digest(_text_of(raw))

    def _digest(self, text: str) -> bytes:
        return hashlib.blake2b(text.encode(), digest_size=16, key=self._key).digest()

    def _combine(self, found: dict[str, Value], raw: Raw, notes: list[Note]) -> None:
        """The value that two fields have together."""
        changed = found["status_changed_at"]
        if changed is not None and changed > self.now:
            self._look_ahead(found, changed, notes)
        # Duo's status: signs in without a second factor.
        if found["mfa_bypass"] is None and found["status"] == Status.ACTIVE:
            status = raw.get("status")
            if status.__class__ is str and spellings.fold(status) == "bypass":
                found["mfa_bypass"] = True

    def _look_ahead(self, found: dict[str, Value], changed: str, notes: list[Note]) -> None:
        """A termination in the future is not yet one; any other change in the future is a fault. A sentinel says nothing."""
        if changed >= times.SENTINELS_FROM:
            found["status_changed_at"] = None
        elif self.rules.hr and found["status"] in _ENDED:
            notes.append(Note("status", NoteKind.AHEAD, changed[:10]))
            found["status"], found["status_changed_at"] = Status.ACTIVE.value, None
        elif not self.rules.hr and changed > self.latest:
            found["status_changed_at"] = None
            notes.append(Note("status_changed_at", NoteKind.FUTURE, changed, values.FUTURE))

    def _finish(
        self, found: dict[str, Value], text: str, notes: list[Note], *, plain: bool
    ) -> Record | list[Problem]:
        forwarding = found["forwarding"]
        active = derive(found)
        unknown = unknown_kinds(found["mfa_factors"])
        notes += [Note("mfa_factors", NoteKind.UNKNOWN_WORD, shorten(kind)) for kind in unknown]
        for column in LISTS:
            if items := found[column]:
                found[column] = orjson.dumps(items).decode()
            elif items is not None:
                found[column] = "[]"
        moment = found["last_sign_in_at"]
        found["last_sign_in_known"] = moment is not None
        found["last_sign_in_at"] = moment or None
        if not plain and (problems := _too_long(found)):
            return problems
        digest = self._digest(f"{text}\n{notes}{found['status']}" if notes else text)
        return Record(_in_order(found), digest, devices_of(active), _forwards(forwarding), notes)


@lru_cache(maxsize=2)
def _ordinary_parser(_day: date) -> RecordParser:
    return RecordParser()


def parse(raw: Raw) -> Record | list[Problem]:
    """:meth:`RecordParser.parse` by no source's rules."""
    return _ordinary_parser(datetime.now(UTC).date()).parse(raw)


def fingerprint(raw: Raw) -> bytes:
    """:meth:`RecordParser.fingerprint` by no source's rules."""
    return _ordinary_parser(datetime.now(UTC).date()).fingerprint(raw)


def _without_invisible(raw: Raw) -> dict[str, object]:
    """The record's fields without characters that nobody sees."""
    return {field: _cleaned(raw[field], field in _IDENTIFIERS) for field in FIELDS if field in raw}


def _cleaned(value: Value, is_identifier: bool) -> Value:
    if value.__class__ is str and not value.isascii():
        return placeholders.without_invisible(value, keep_joiners=not is_identifier)
    if value.__class__ is list:
        return [
            placeholders.without_invisible(item, keep_joiners=not is_identifier)
            if item.__class__ is str
            else item
            for item in value
        ]
    return value


def _leftovers(texts: Mapping[str, str]) -> dict[str, str]:
    """Field → advice, for the fields whose text is the leftover of a broken export."""
    if not placeholders.may_hold_leftover(repr(list(texts.values()))):
        return {}
    return {field: advice for field, text in texts.items() if (advice := placeholders.leftover_advice(text))}


def _text_of(raw: Raw) -> str:
    get = raw.get
    try:
        return repr(list(map(get, FIELDS, repeat(...))))
    except RecursionError:
        # Too deeply nested for any field that is read: the fingerprint is made of the rest.
        return repr([str(type(get(field, ...))) for field in FIELDS])


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


def derive(found: dict[str, Value]) -> list[dict[str, str]]:
    """Fill the columns that follow from a record's fields (lists as lists); give the active factors."""
    _derive_keys(found)
    active = _derive_mfa(found)
    roles = found["admin_roles"]
    found["is_admin"] = None if roles is None else bool(roles)
    _derive_applications(found, found["applications"])
    if not found["display_name"]:
        found["display_name"] = f"{found['first_name']} {found['last_name']}".strip()[:320]
    found["name_key"] = name_key(found["display_name"])
    return active


def _derive_keys(found: dict[str, Value]) -> None:
    login = folded(found["login"])
    found["login_key"] = login
    email = found["email"]
    found["email_key"] = folded(email) if email else (login if ADDRESS.fullmatch(login) else "")
    for column, key, key_of in (
        ("employee_id", "employee_key", employee_key),
        ("manager", "manager_key", reference_key),
        ("owner", "owner_key", reference_key),
        ("department", "department_key", folded),
        ("title", "title_key", folded),
    ):
        value = found[column]
        found[key] = key_of(value) if value else ""
    found["key_anchor"] = anchor_of(found["source_key"])


def is_active_status(status: str) -> bool:
    word = spellings.fold(status)
    # A mark, such as a dash or a question mark, does not say that the factor is active.
    return word in spellings.ACTIVE_FACTOR if word else not status.strip()


def unknown_kinds(factors: list[dict[str, str]] | None) -> Sequence[str]:
    """The kinds in a list of factors that the product does not know, each once."""
    return _unknown_of(tuple([factor["kind"] for factor in factors])) if factors else ()


@lru_cache(maxsize=4096)
def _unknown_of(kinds: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(kind for kind in dict.fromkeys(kinds) if kind not in _KNOWN_KINDS)


_KNOWN_KINDS = spellings.SECOND_FACTORS | spellings.SINGLE_FACTORS


class _Mfa(NamedTuple):
    """The MFA columns that follow from ``mfa_enabled`` and a list of factors; ``active``: whether each factor
    is active."""

    mfa: bool | None
    assurance: int | None
    phishing_resistant: bool | None
    active: tuple[bool, ...]


def _derive_mfa(found: dict[str, Value]) -> list[dict[str, str]]:
    """Fill mfa, factors_known, assurance and phishing_resistant; give the active factors."""
    enabled, factors = found["mfa_enabled"], found["mfa_factors"]
    found["factors_known"] = factors is not None or enabled is False
    states = (
        None if factors is None else tuple([(factor["kind"], factor.get("status", "")) for factor in factors])
    )
    mfa = _mfa_of(enabled, states)
    found["mfa"], found["assurance"] = mfa.mfa, mfa.assurance
    found["phishing_resistant"] = mfa.phishing_resistant
    return [factor for factor, is_on in zip(factors or (), mfa.active, strict=False) if is_on]


@lru_cache(maxsize=4096)
def _mfa_of(enabled: bool | None, factors: tuple[tuple[str, str], ...] | None) -> _Mfa:
    """``factors``: (kind, status) each, None: unknown.

    What is not known to be a second factor never counts as one: MFA is then unknown unless ``enabled`` says it.
    """
    if enabled is False:
        return _Mfa(False, None, False, ())
    active = tuple(is_active_status(status) for _, status in factors or ())
    kinds = {kind for (kind, _), is_on in zip(factors or (), active, strict=True) if is_on}
    second = bool(kinds & spellings.SECOND_FACTORS)
    # The source cannot say whether one of them is active.
    undecided = any(
        placeholders.is_unknown_word(status) and kind not in spellings.SINGLE_FACTORS
        for kind, status in factors or ()
    )
    unknown = factors is None or undecided or bool(kinds - _KNOWN_KINDS)
    mfa = True if second or enabled else None if unknown else False
    if factors is None or (enabled and not second):
        # The account has a second factor that no list names.
        return _Mfa(mfa, None, None, active)
    levels = {spellings.ASSURANCE.get(kind) for kind in kinds}
    unrecognised = undecided or None in levels
    best = max((level for level in levels if level is not None), default=None)
    resistant = bool(kinds & spellings.PHISHING_RESISTANT)
    return _Mfa(
        mfa,
        None if unrecognised and best != 3 else best,
        True if resistant else None if unrecognised else False,
        active,
    )


def _derive_applications(found: dict[str, Value], applications: list[dict[str, Any]] | None) -> None:
    if not applications:
        found["app_unused_since"], found["applications_known"] = None, applications is not None
        return
    never = found["created_at"] or ALWAYS
    known = [a for a in applications if "last_used_at" in a]
    found["app_unused_since"] = min((a["last_used_at"] or never for a in known), default=None)
    found["applications_known"] = len(known) == len(applications)


def devices_of(active: list[dict[str, str]]) -> list[tuple[str, str]]:
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
    return [(a, written_domain(a.rpartition("@")[2])) for a in forwarding] if forwarding else []
