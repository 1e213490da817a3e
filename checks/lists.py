"""Lists of a raw record: JSON lists, or one text of CSV with items separated by a vertical bar. Pure.

Each converter gives None for unknown and [] for none; see values.py.
"""

from functools import lru_cache
from typing import Any

from checks import spellings
from checks.values import ADDRESS, MISSING, Refused, Value, folded, is_unknown, scalar, shorten, sign_in

LARGEST_LIST = 10_000


def _items(value: Value) -> list[Value] | None:
    """None is unknown; [] is none. CSV gives one text, items separated by a vertical bar."""
    if value is MISSING:
        return None
    if value is None:
        return []
    if value.__class__ is str:
        if value == "":
            return []
        if is_unknown(value):
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


def words(value: Value) -> list[str] | None:
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


def addresses(value: Value) -> list[str] | None:
    texts = words(value)
    if not texts:
        return texts
    found = [text[5:] if text[:5].casefold() == "smtp:" else text for text in texts]
    for address in found:
        if not ADDRESS.fullmatch(address) or len(address) > 320:
            raise Refused(f"a list of e-mail addresses ({shorten(address)!r} is none)")
        if len(folded(address.rpartition("@")[2])) > 255:
            raise Refused("a list of e-mail addresses with domains of at most 255 characters")
    return found


@lru_cache(maxsize=4096)
def _kind(text: str) -> str:
    """The stored kind of a factor: ours where the spelling is known, else as given."""
    return spellings.FACTOR_KINDS.get(spellings.fold(text), text)


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
            text = scalar(item.get(name))
            if text and text.casefold() != "unknown":
                factor[name] = text
    else:
        raise Refused(_FACTORS_EXPECTED)
    if not factor["kind"] or len(factor["kind"]) > 64:
        raise Refused("factors whose kind has 1 to 64 characters")
    if len(folded(factor.get("device", ""))) > 255:
        raise Refused("factors whose device has at most 255 characters")
    return factor


def factors(value: Value) -> list[dict[str, str]] | None:
    items = _items(value)
    return [_factor(item) for item in items] if items else items


_APPLICATIONS_EXPECTED = (
    'applications such as {"name": "Jira", "last_used_at": "2026-01-02"} (CSV: Jira=2026-01-02)'
)


@lru_cache(maxsize=8192)
def _application_of(item: str) -> dict[str, Any]:
    name, equals, used = item.rpartition("=")
    return _used(name, used) if equals else _used(item, MISSING)


def _application(item: Value) -> dict[str, Any]:
    """Without ``last_used_at`` the last use is unknown; None there is never."""
    if item.__class__ is str:
        return _application_of(item)
    if item.__class__ is dict:
        return _used(item.get("name"), item.get("last_used_at", MISSING))
    raise Refused(_APPLICATIONS_EXPECTED)


def _used(name: Value, used: Value) -> dict[str, Any]:
    if name.__class__ is not str or not name.strip():
        raise Refused(_APPLICATIONS_EXPECTED)
    try:
        moment = sign_in(used)
    except Refused:
        raise Refused(f"{_APPLICATIONS_EXPECTED}; {shorten(used)!r} is no ISO 8601 date") from None
    return (
        {"name": name.strip()} if moment is None else {"name": name.strip(), "last_used_at": moment or None}
    )


def applications(value: Value) -> list[dict[str, Any]] | None:
    items = _items(value)
    return [_application(item) for item in items] if items else items
