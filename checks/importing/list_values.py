"""Lists of a raw record: JSON lists, or one text of CSV. Pure.

Each converter gives None for unknown and [] for none; see values.py. A text is split at vertical bars, semicolons,
line breaks and commas, or read as a JSON list. Words for nothing are no entries.
"""

import re
from collections.abc import Callable, Mapping
from functools import lru_cache

import orjson

from checks.folding import folded
from checks.importing import placeholders, spellings
from checks.importing.rules import NoteKind, ReadingRules, Refused, Unread
from checks.importing.values import (
    ADDRESS,
    MISSING,
    Converter,
    TimeConverters,
    Value,
    address_of,
    is_unknown,
    scalar,
    shorten,
)

LARGEST_LIST = 10_000
# A kind of 64 characters and a device of 255 with all that may stand between and around them.
_LONGEST_FACTOR = 500
_DIGITS = "0123456789"
# Characters of a list that is cached: thousands of the largest would fill the memory.
_MOST_CACHED = 2_000
_remembered = lru_cache(maxsize=4096)
# An artefact in one of these decides whether a user is protected or powerful.
STRICT = frozenset(("mfa_factors", "admin_roles"))
_LIST = "a list (in CSV: items separated by a vertical bar, semicolon, comma or line break)"
_SEPARATORS = re.compile(r"[|;,\r\n]+")
_PLAIN_SEPARATORS = re.compile(r"[|;\r\n]+")
_BAR = re.compile(r"\|")
# Separators of items in addition to the vertical bar, which is the project's own.
_SPECIAL = re.compile(r"[;,\r\n\[\]{}()\"']")
_NAMED_PART = re.compile(r"(?:^|[,;]\s*)(?:CN|OU|DC|O|UID)\s*=", re.I)


def _is_empty(item: Value) -> bool:
    """Whether an item in a list of several is no entry. A group may be called Disabled, a role Inactive."""
    if item.__class__ is str:
        return placeholders.fold(item) in ("", "none", "null", "nil") or item.strip().casefold() in (
            "n/a",
            "unknown",
        )
    return item is None or item is False or item == {} or item == []


def _items(
    value: Value,
    separators: re.Pattern[str] = _SEPARATORS,
    is_nothing: Callable[[Value], bool] = _is_empty,
) -> list[Value] | None:
    """None is unknown; [] is none. ``is_nothing``: which items of a list of several are no entries."""
    if value is MISSING:
        return None
    if value is None:
        return []
    if value.__class__ is str:
        return _items_of_text(value, separators, is_nothing)
    if value.__class__ is not list:
        # Leftovers that broken exports write for an empty list.
        if value is False or value == {} or (value.__class__ is int and value == 0):
            return []
        raise Refused(_LIST)
    if len(value) > LARGEST_LIST:
        raise Refused(f"a list of at most {LARGEST_LIST:,} items (it has {len(value):,})")
    return _entries(value, is_nothing)


def _entries(parts: list[Value], is_nothing: Callable[[Value], bool]) -> list[Value] | None:
    if len(parts) == 1:
        is_nothing = _is_nothing
    # A leftover may fold to a word for nothing: #N/A, #####. It stays, so that it is refused or reported.
    items = [item for item in parts if not is_nothing(item) or _leftover_advice(item)]
    return None if not items and any(map(_says_unknown, parts)) else items


def _items_of_text(
    text: str, separators: re.Pattern[str], is_nothing: Callable[[Value], bool]
) -> list[Value] | None:
    text = text.strip()
    if placeholders.may_be_placeholder(text):
        if placeholders.is_unknown_word(text):
            return None
        if not text or placeholders.is_no_entry(text):
            return []
    if text[0] in "[{(" and text[-1] in "]})":
        read = _json_list(text)
        if read is not None:
            return _items(read, separators, is_nothing)
        text = text[1:-1]
    return _entries([part.strip().strip("\"'").strip() for part in separators.split(text)], is_nothing)


def _json_list(text: str) -> list[Value] | None:
    """The list that a text holds as JSON; an object alone is a list of one. None: it is not JSON."""
    try:
        read = orjson.loads(text)
    except orjson.JSONDecodeError:
        return None
    if "\\u0000" in text:
        raise Refused("text without NUL characters")
    return read if isinstance(read, list) else [read] if isinstance(read, dict) else None


def _is_nothing(item: Value) -> bool:
    """Whether an item alone, or a factor, is no entry."""
    if item.__class__ is str:
        return placeholders.may_be_placeholder(item) and (
            placeholders.is_no_entry(item) or placeholders.is_unknown_word(item)
        )
    return item is None or item is False or item == {} or item == []


def _says_unknown(item: Value) -> bool:
    return item.__class__ is str and placeholders.is_unknown_word(item)


def _leftover_advice(item: Value) -> str:
    if item.__class__ is str and placeholders.may_be_leftover(item):
        return placeholders.leftover_advice(item)
    return ""


def _refuse_leftovers(field: str, items: list[Value]) -> None:
    """Refuse, or read as unknown, a list with an item that is the leftover of a broken export."""
    for item in items:
        if advice := _leftover_advice(item):
            raise_leftover(field, item, None, advice)


def _parts_with_marks(items: list[Value]) -> list[Value]:
    """The words of texts that hold a leftover beside something else: ``sms System.Object[]``, ``sms:#REF!``."""
    return [
        part
        for item in items
        if item.__class__ is str and placeholders.may_be_leftover(item)
        for part in re.split(r"[\s:+&]+", item)
    ]


def raise_leftover(field: str, text: str, unknown: Value, advice: str) -> None:
    """Refuse the record in factors and roles; elsewhere the field is unknown."""
    if field in STRICT:
        raise Refused(f"a list of values; {advice}")
    raise Unread(unknown, NoteKind.LEFTOVER, shorten(text), advice)


class NameLists:
    """The converter of lists of names: groups and roles."""

    def __init__(self, field: str) -> None:
        self.field = field
        self._of_text = _remembered(self._split)
        self._of_list = _remembered(self._listed)

    def __call__(self, value: Value) -> list[str] | None:
        if value.__class__ is str:
            return self._of_text(value) if len(value) <= _MOST_CACHED else self._split(value)
        if (
            value.__class__ is list
            and set(map(type, value)) == {str}
            and sum(map(len, value)) <= _MOST_CACHED
        ):
            return self._of_list(tuple(value))
        return self._texts(_items(value))

    def _split(self, text: str) -> list[str] | None:
        if "|" in text:
            return self._texts(_items(text, _BAR))
        # A distinguished name holds commas.
        return self._texts(_items(text, _PLAIN_SEPARATORS if _NAMED_PART.search(text) else _SEPARATORS))

    def _listed(self, items: tuple[str, ...]) -> list[str] | None:
        return self._texts(_items(list(items)))

    def _texts(self, items: list[Value] | None) -> list[str] | None:
        if not items:
            return items
        items = [_name_in(item) if item.__class__ is dict else item for item in items]
        _refuse_leftovers(self.field, items)
        if any(item.__class__ is not str for item in items):
            raise Refused("a list of texts")
        return [name for item in items if (name := item.strip())]


# How an API's objects name a group or role: Graph, SCIM (RFC 7643, section 2.4), Duo and Okta.
_NAME_KEYS = ("displayName", "display", "name", "label", "value")


def _name_in(item: Mapping[str, Value]) -> Value:
    """The name in an object such as ``{"value": "g1", "display": "Staff"}``; None where it has none."""
    return next((item[key] for key in _NAME_KEYS if item.get(key)), None)


def addresses(value: Value) -> list[str] | None:
    items = _items(value)
    if not items:
        return items
    _refuse_leftovers("forwarding", items)
    found = []
    for item in items:
        if item.__class__ is not str:
            raise Refused("a list of texts")
        try:
            address = address_of(item.strip().rstrip("."))
        except Refused:
            raise Refused(f"a list of e-mail addresses ({shorten(item.strip())!r} is none)") from None
        if not address:
            continue
        if not ADDRESS.fullmatch(address) or len(address) > 320:
            raise Refused(f"a list of e-mail addresses ({shorten(address)!r} is none)")
        if len(folded(address.rpartition("@")[2])) > 255:
            raise Refused("a list of e-mail addresses with domains of at most 255 characters")
        found.append(address)
    return found


_FACTORS_EXPECTED = (
    'factors such as {"kind": "sms", "device": "+15550100", "status": "active"} (CSV: sms:+15550100)'
)
# Letters, digits and what joins words. Another mark says something about the kind: "sms ?", "push=-", "sms [none]".
_PLAIN_KIND = re.compile(
    r"[#\[{(]?[^\W_](?:[^\W_]|[\s_.:/'+&-]+(?=[^\W_]|\()|\((?=[^\W_])|(?<=[^\W_])\))*[\]})]?"
)
_GRAPH_TYPE = re.compile(r"#?microsoft\.graph\.", re.I)
_BREAKS = re.compile(r"[\s|;,]")
# The word before a colon, where a further factor may begin: sms:disabled push:off, sms:off / push:off.
_HEAD = re.compile(r"(?<=[\s/+&])[^\s/+&:]+(?=:)")
_WORDS = re.compile(r"[^\W_]+")
_LETTER = re.compile(r"[^\W\d_]")
# A telephone number, of which the source may show the last digits only.
_NUMBER = re.compile(r"\d{2}|[*\N{BULLET}]\d|\+\d")
# What a broken export leaves within a text.
_BROKEN = re.compile(r"[\[\]{}<>\N{HORIZONTAL ELLIPSIS}]|\.\.\.|#\w*[!?/]|%!|\(object|\bErr:|@[0-9a-f]{4}")
# Keys under which vendors' APIs name the kind: ours, Okta's, Graph's, AWS's.
_KIND_KEYS = ("kind", "factorType", "@odata.type", "type", "method", "authenticatorName", "name")


class Factors:
    """The converter of ``mfa_factors`` by one source's rules."""

    def __init__(self, rules: ReadingRules) -> None:
        self.entra = rules.entra
        own = rules.meanings.get("mfa_factors", {})
        self.own = {word: spellings.NO_FACTOR if kind == "none" else kind for word, kind in own.items()}
        self.kind = _remembered(self._kind)
        self._of_name = _remembered(self._named)
        self._of_head = _remembered(self._head)

    def __call__(self, value: Value) -> list[dict[str, str]] | None:
        items = _items(value, is_nothing=_is_nothing)
        if not items:
            return items
        if str in set(map(type, items)):
            _refuse_leftovers("mfa_factors", items)
            _refuse_leftovers("mfa_factors", _parts_with_marks(items))
            items = [
                one for item in items for one in (self._several(item) if item.__class__ is str else [item])
            ]
        factors = [factor for factor in map(self._factor, items) if factor["kind"] != spellings.NO_FACTOR]
        if any(factor["kind"] in spellings.ENTRA_RESET_ONLY for factor in factors) and (
            self.entra or any(map(_is_entra, items))
        ):
            return [factor for factor in factors if factor["kind"] not in spellings.ENTRA_RESET_ONLY]
        return factors

    def _meaning(self, text: str) -> str:
        """The kind that a known spelling means; "" for an unknown one."""
        bare = _GRAPH_TYPE.sub("", text)
        word = spellings.fold(bare)
        if word in self.own:
            return self.own[word]
        return spellings.FACTOR_KINDS.get(word, "") if _PLAIN_KIND.fullmatch(bare.strip()) else ""

    def _kind(self, text: str) -> str:
        """The stored kind of a factor: ours where the spelling is known, else as it is written."""
        return self._meaning(text) or text

    def _is_known(self, text: str) -> bool:
        return bool(self._meaning(text))

    def _several(self, text: str) -> list[str]:
        """The methods of one item: PowerShell joins a list by blanks, others write several into one JSON text."""
        # sms:off+push:off holds two, sms:+15550100 one.
        if text.count(":") < 2 and not _BREAKS.search(text):
            return [text]
        if _SEPARATORS.search(text):
            return [part.strip() for part in _SEPARATORS.split(text) if not _is_nothing(part)]
        parts = text.split()
        if self._is_known(text):
            return [text]
        return parts if all(map(self._is_known, parts)) else self._at_heads(text)

    def _at_heads(self, text: str) -> list[str]:
        """The text, cut where a known kind and a colon begin a further factor."""
        parts, begin = [], 0
        for head in _HEAD.finditer(text):
            # In "security key:blue" the word before the colon ends the kind that has begun.
            if self._is_known(head[0]) and not self._is_known(text[begin : head.end()]):
                parts.append(text[begin : head.start()].strip(" /+&\t"))
                begin = head.start()
        return [part for part in (*parts, text[begin:]) if not _is_nothing(part)]

    def _split(self, item: str) -> tuple[str, str]:
        """``kind:device``; the longest known kind wins, since Okta's kinds hold colons themselves."""
        parts = item.split(":")
        if len(parts) == 2 and "." not in item and item.isascii():
            kind, letters = self._of_head(parts[0])
            device = parts[1]
            first = device.lstrip("+-_ ")[:1].lower()
            if kind and first.isalnum() and first not in letters:
                return kind, device.strip()
        tail = parts[-1].strip()
        if tail and not placeholders.fold(tail) and self._is_known(head := ":".join(parts[:-1])):
            # sms:-, push:?
            return self.kind(head), tail
        for length in range(len(parts), 0, -1):
            head = ":".join(parts[:length])
            if self._is_known(head):
                return self.kind(head), ":".join(parts[length:]).strip(": ")
        return parts[0].strip(), ":".join(parts[1:]).strip()

    def _head(self, head: str) -> tuple[str, frozenset[str]]:
        """The kind that ``head`` of ``head:device`` names ("" for none), and the letters that a device can
        start with when it is part of a longer known spelling."""
        word = spellings.fold(head)
        if not word or not self._is_known(head):
            return "", frozenset()
        longer = [each for each in (*self.own, *spellings.FACTOR_KINDS) if each.startswith(word)]
        return self.kind(head), frozenset(each[len(word)] for each in longer if len(each) > len(word))

    def _named(self, name: str) -> str:
        """The stored kind of a factor's name in JSON."""
        if advice := placeholders.leftover_advice(name):
            raise_leftover("mfa_factors", name, None, advice)
        return spellings.NO_FACTOR if _is_nothing(name) and name.strip() else self.kind(name.strip())

    def _of_provider(self, name: str, provider: Value) -> str:
        """The kind that Okta's factor type and provider mean together; else the name."""
        if provider.__class__ is not str or (word := spellings.fold(name)) in self.own:
            return name
        return spellings.KINDS_BY_PROVIDER.get((word, spellings.fold(provider)), name)

    def _factor(self, item: Value) -> dict[str, str]:
        if item.__class__ is str:
            if len(item) > _LONGEST_FACTOR:
                # To look for its kind would take as long as the square of its length.
                raise Refused(f"factors of at most {_LONGEST_FACTOR} characters")
            kind, device = self._split(item)
            factor = {"kind": kind, "device": device} if device else {"kind": kind}
            # Most devices are telephone numbers.
            if device and (device[0] != "+" or " " in device or device[-1] not in _DIGITS):
                is_unknown_state = placeholders.is_unknown_word(device)
                factor = {"kind": kind, "status": device} if is_unknown_state else _in_state(factor)
        elif item.__class__ is dict:
            name = next((item[key] for key in _KIND_KEYS if key in item), None)
            if name.__class__ is not str:
                raise Refused(_FACTORS_EXPECTED)
            name = self._of_provider(name, item.get("provider"))
            # {"kind": "sms:disabled"} is written as in CSV.
            factor = self._factor(name) if ":" in name else {"kind": self._of_name(name)}
            text = scalar(item.get("device"))
            # No word for unknown ends with a digit, as most devices do.
            if text and (text[-1] in _DIGITS or not placeholders.is_unknown_word(text)):
                factor["device"] = text
            if status := _status_of(item):
                factor["status"] = status
            factor = _in_state(factor) if text else _in_state_beside(factor, item)
        else:
            raise Refused(_FACTORS_EXPECTED)
        if not factor["kind"] or len(factor["kind"]) > 64:
            raise Refused("factors whose kind has 1 to 64 characters")
        if len(folded(factor.get("device", ""))) > 255:
            raise Refused("factors whose device has at most 255 characters")
        return factor


def _in_state_beside(factor: dict[str, str], item: Mapping[str, Value]) -> dict[str, str]:
    """The factor in the state that another key of its device says: ``{"type": "sms", "phoneNumber": "none"}``."""
    for key, value in item.items():
        if value.__class__ is str and placeholders.fold(key) in _DEVICE_KEYS and value.strip():
            read = _in_state({**factor, "device": value.strip()})
            return {name: text for name, text in read.items() if name != "device"}
    return factor


def _in_state(factor: dict[str, str]) -> dict[str, str]:
    """The factor, where its device is a word for its state: ``sms:disabled``, ``push:false``, ``totp:enrolled``."""
    device = factor.get("device", "")
    if not device or (device[-1] in "123456789" and not _LETTER.search(device)):
        return factor
    if placeholders.is_no_entry(device) or not placeholders.fold(device).strip("0"):
        if "status" not in factor:
            return {"kind": spellings.NO_FACTOR}
        return {"kind": factor["kind"], "status": factor["status"]}
    word = placeholders.fold(device)
    # "- true" has lost its device, or is two values.
    is_one_word = device.strip("\"'()[]. ").isalnum()
    if word in spellings.FACTOR_STATES and (is_one_word or word not in spellings.ACTIVE_FACTOR):
        return {"kind": factor["kind"], "status": factor.get("status", device)}
    if "status" not in factor and (status := _state_in(device)):
        return {**factor, "status": status}
    if "status" not in factor and factor["kind"] in spellings.BY_PHONE and not _NUMBER.search(device):
        # Not a telephone number, not even a masked one: nobody knows what the word says.
        return {**factor, "status": "unknown"}
    return factor


@lru_cache(maxsize=8192)
def _state_in(device: str) -> str:
    """The state that a device's text begins with or mentions: ``disabled by policy`` is disabled, and nobody can
    say whether ``Ann's lost phone`` may still be used. "" for a name alone."""
    words: list[str] = [word for word in _WORDS.findall(device.casefold()) if not word.isdecimal()]
    if words and words[0] in spellings.OUT_OF_USE:
        return words[0]
    if len(words) > 1 and " " not in device:
        # In the id of a credential (base64url) two letters between marks say nothing.
        words = [word for word in words if len(word) > 2]
    parts = [part for part in placeholders.words_of(device) if part]
    is_doubtful = (
        bool(spellings.DOUBTFUL.intersection(words))
        or any(map(_says_nothing, parts[:1]))
        # A mark or zeros alone say something only where the name begins: "- Ann", but "Ann - phone", "Serial 00".
        or any(_says_nothing(part) for part in parts[1:] if placeholders.fold(part).strip("0"))
        or any(map(placeholders.is_unknown_word, parts))
        or bool(_BROKEN.search(device))
    )
    return "unknown" if is_doubtful else ""


def _says_nothing(part: str) -> bool:
    """Whether a part of a device's name is a word for nothing, for a factor that is off, or zeros alone."""
    word = placeholders.fold(part)
    return placeholders.is_no_entry(part) or word in spellings.INACTIVE_FACTOR or not word.strip("0")


def _status_of(item: Mapping[str, Value]) -> str:
    """The state that a factor in JSON names, "" for none: its ``status`` or ``state``, or a flag that is off."""
    if item.keys() <= _PLAIN_KEYS and item.get("status").__class__ is str:
        return str(item["status"]).strip()
    flags = [
        value
        for key, value in item.items()
        if key not in _PLAIN_KEYS and placeholders.fold(key) in spellings.FACTOR_FLAGS
    ]
    if any(map(_is_off, flags)):
        return "inactive"
    status = item.get("status")
    if status is None:
        # state, Status, enrollmentStatus, registration_state
        status = next(
            (
                value
                for key, value in item.items()
                if key not in _PLAIN_KEYS and placeholders.fold(key).endswith(("status", "state"))
            ),
            None,
        )
    if status.__class__ is bool:
        return str(status).lower()
    if text := scalar(status):
        return text
    # A flag that is neither on nor off.
    return "unknown" if any(value is not None and not _is_on(value) for value in flags) else ""


_PLAIN_KEYS = frozenset(("kind", "device", "status"))
_ON = spellings.ACTIVE_FACTOR | {"1", "y"}
_DEVICE_KEYS = frozenset(("phonenumber", "phone", "mobile", "number", "value", "address"))


def _is_on(value: Value) -> bool:
    if value.__class__ is int:
        return bool(value)
    return value is True or (value.__class__ is str and placeholders.fold(value) in _ON)


def _is_off(value: Value) -> bool:
    return value is False or (value.__class__ in (int, str) and placeholders.is_no_entry(str(value)))


def _is_entra(item: Value) -> bool:
    if item.__class__ is dict:
        kind = next((item[key] for key in _KIND_KEYS if key in item), "")
        return kind.__class__ is str and (kind in spellings.ENTRA_SPELLINGS or bool(_GRAPH_TYPE.match(kind)))
    return item.__class__ is str and (
        item.partition(":")[0] in spellings.ENTRA_SPELLINGS or bool(_GRAPH_TYPE.match(item))
    )


_APPLICATIONS_EXPECTED = (
    'applications such as {"name": "Jira", "last_used_at": "2026-01-02"} (CSV: Jira=2026-01-02)'
)


class Applications:
    """The converter of ``applications``. Without ``last_used_at`` the last use is unknown; None there is never."""

    def __init__(self, moments: TimeConverters) -> None:
        self.moments = moments
        self._of_text = _remembered(self._read)
        self._of_pair = _remembered(self._used)

    def __call__(self, value: Value) -> list[dict[str, object]] | None:
        items = _items(value, _BAR if value.__class__ is str and "|" in value else _SEPARATORS)
        if not items:
            return items
        _refuse_leftovers("applications", items)
        return [self._application(item) for item in items]

    def _application(self, item: Value) -> dict[str, object]:
        if item.__class__ is str:
            return self._of_text(item)
        if item.__class__ is dict:
            name, used = item.get("name"), item.get("last_used_at", MISSING)
            is_pair = name.__class__ is str and used.__class__ is str
            return self._of_pair(name, used) if is_pair else self._used(name, used)
        raise Refused(_APPLICATIONS_EXPECTED)

    def _read(self, item: str) -> dict[str, object]:
        name, equals, used = item.rpartition("=")
        return self._used(name, used) if equals else self._used(item, MISSING)

    def _used(self, name: Value, used: Value) -> dict[str, object]:
        if name.__class__ is not str or not name.strip():
            raise Refused(_APPLICATIONS_EXPECTED)
        if used.__class__ is str and placeholders.leftover_advice(used):
            used = MISSING
        try:
            moment = self.moments.sign_in(used)
        except Unread:
            moment = None
        except Refused as refused:
            raise Refused(f"{_APPLICATIONS_EXPECTED}; {shorten(used)!r} is not {refused}") from None
        name = name.strip()
        return {"name": name} if moment is None else {"name": name, "last_used_at": moment or None}


def list_converters(rules: ReadingRules, moments: TimeConverters) -> Mapping[str, Converter]:
    """Field → converter, for the fields that are lists."""
    return {
        "mfa_factors": Factors(rules),
        "admin_roles": NameLists("admin_roles"),
        "groups": NameLists("groups"),
        "forwarding": addresses,
        "applications": Applications(moments),
    }


__all__ = ["STRICT", "Applications", "Factors", "NameLists", "addresses", "is_unknown", "list_converters"]
