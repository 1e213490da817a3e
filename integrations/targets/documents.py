"""Reading a target's document, the same for every kind: each method takes one key and notes what is wrong.

A kind reads its keys through a :class:`Reader`, then calls :meth:`Reader.done`, which raises
:class:`~integrations.targets.base.InvalidDocument` with all errors at once, keyed by dotted path.
"""

import re
from collections.abc import Collection, Mapping
from typing import Any

from integrations.addresses import BadUrl, parse_url
from integrations.targets.base import InvalidDocument

MAX_TEXT = 512
MAX_PARAMETERS = 100
CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
# RFC 9110 §5.1: a header name is a token.
TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
# What frames the message or belongs to the connection, and what this program sends itself.
REFUSED_HEADERS = {
    **dict.fromkeys(
        ("host", "content-length", "transfer-encoding", "connection", "te", "trailer", "upgrade", "via",
         "keep-alive", "proxy-connection", "proxy-authorization", "expect", "content-encoding", "accept-encoding"),
        "it belongs to the connection",
    ),
    **dict.fromkeys(
        ("user-agent", "content-type", "webhook-id", "webhook-timestamp", "webhook-signature"),
        "this program sends it itself",
    ),
}  # fmt: skip


class Reader:
    """A part of a document, with the parts of what is stored that lie at the same place."""

    def __init__(
        self,
        document: Any,
        stored: Any = None,
        path: str = "",
        errors: dict[str, str] | None = None,
        forgotten: str = "",
    ) -> None:
        self.path = path
        self.forgotten = forgotten
        self.errors: dict[str, str] = {} if errors is None else errors
        self.stored: Mapping[str, Any] = stored if isinstance(stored, Mapping) else {}
        self.known: set[str] = set()
        if not isinstance(document, Mapping):
            self.errors[path or "document"] = "Write a mapping of keys to values."
            document = {}
        self.document: Mapping[str, Any] = document

    def at(self, key: str) -> str:
        return f"{self.path}.{key}" if self.path else key

    def wrong(self, key: str, text: str) -> None:
        self.errors.setdefault(self.at(key), text)

    def value(self, key: str, default: Any = None) -> Any:
        self.known.add(key)
        found = self.document.get(key)
        return default if found is None else found

    def part(self, key: str) -> "Reader":
        return Reader(self.value(key, {}), self.stored.get(key), self.at(key), self.errors, self.forgotten)

    def forget(self, why: str) -> None:
        """Keep no stored secret from here on; ``why`` is what a person reads beside an empty one."""
        self.stored, self.forgotten = {}, why

    def text(self, key: str, *, most: int = MAX_TEXT, default: str | None = None) -> str:
        """1 to ``most`` characters without control characters; ``default`` where the key may be absent."""
        found = self.value(key)
        if found in (None, "") and default is not None:
            return default
        return self._checked(key, found, most)

    def secret(self, key: str, *, most: int = MAX_TEXT) -> str:
        """Like :meth:`text`; absent or empty keeps what is stored."""
        found = self.value(key)
        if found in (None, "") and isinstance(self.stored.get(key), str):
            return str(self.stored[key])
        if found in (None, "") and self.forgotten:
            self.wrong(key, self.forgotten)
            return ""
        return self._checked(key, found, most)

    def _checked(self, key: str, found: Any, most: int) -> str:
        if not isinstance(found, str) or not 1 <= len(found) <= most:
            self.wrong(key, f"Write 1 to {most:,} characters.")
        elif CONTROL.search(found) or not encodable(found):
            self.wrong(key, "Leave out line breaks and other control characters.")
        else:
            return found
        return ""

    def choice(self, key: str, choices: Collection[str], default: str | None = None) -> str:
        found = self.value(key, default)
        if found not in choices:
            self.wrong(key, f"Write one of: {', '.join(choices)}.")
            return next(iter(choices))
        return str(found)

    def flag(self, key: str, default: bool) -> bool:
        found = self.value(key, default)
        if not isinstance(found, bool):
            self.wrong(key, "Write true or false.")
            return default
        return found

    def number(self, key: str, *, least: float, most: float, default: float) -> float:
        found = self.value(key, default)
        if isinstance(found, bool) or not isinstance(found, int | float) or not least <= found <= most:
            self.wrong(key, f"Write a number from {least:g} to {most:g}.")
            return default
        return found

    def url(self, key: str) -> str:
        found = self.value(key)
        if not isinstance(found, str) or not found:
            self.wrong(key, "Write a URL such as https://example.com/hook.")
            return ""
        try:
            parse_url(found)
        except BadUrl as error:
            self.wrong(key, str(error))
        return found

    def same_host(self, key: str, before: Any) -> None:
        """Stored secrets were given for the host of ``before``: another host under ``key`` gets none of them."""
        now = self.document.get(key)
        if isinstance(before, str) and isinstance(now, str) and _host(now) != _host(before):
            self.forget(
                "Enter it again: the address names another host than the one that this was stored for."
            )

    def done(self) -> None:
        for key in self.document:
            if key not in self.known:
                self.wrong(str(key), f"Unknown key. Known here: {', '.join(sorted(self.known))}.")
        if self.errors and not self.path:
            raise InvalidDocument(self.errors)


def _host(url: str) -> tuple[str, str, int] | None:
    try:
        parsed = parse_url(url)
    except BadUrl:
        return None
    return parsed.scheme, parsed.host, parsed.port


def encodable(text: str) -> bool:
    """Whether UTF-8 can hold the text: lone surrogates, which JSON can bring, it cannot."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def parameters(
    reader: Reader, refused: Mapping[str, Mapping[str, str]]
) -> tuple[dict[str, dict[str, Any]], dict[str, dict[str, Any]]]:
    """The lists ``header``, ``query`` and ``body`` under ``parameters``: what may be shown, and the secret values.

    ``refused`` says per list which names (lower case for headers) are not taken, and why.
    """
    shown: dict[str, dict[str, Any]] = {}
    secret: dict[str, dict[str, Any]] = {}
    part = reader.part("parameters")
    for where in ("header", "query", "body"):
        rows = part.part(where)
        if len(rows.document) > MAX_PARAMETERS:
            part.wrong(where, f"At most {MAX_PARAMETERS} parameters.")
            continue
        shown[where], secret[where] = {}, {}
        seen: set[str] = set()
        for name, given in rows.document.items():
            folded = str(name).lower() if where == "header" else str(name)
            problem = _bad_name(where, name) or (
                f"Leave this one out: {refused[where][folded]}." if folded in refused.get(where, {}) else None
            )
            if folded in seen:
                problem = "This name stands here twice."
            seen.add(folded)
            if problem:
                rows.wrong(str(name), problem)
            else:
                _one(rows, where, name, given, shown[where], secret[where])
    part.done()
    return {w: v for w, v in shown.items() if v}, {w: v for w, v in secret.items() if v}


def _one(
    rows: Reader, where: str, name: str, given: Any, shown: dict[str, Any], secret: dict[str, Any]
) -> None:
    value, is_secret = given, False
    if isinstance(given, Mapping):
        value, is_secret = given.get("value"), given.get("secret", False)
        if set(given) - {"value", "secret"} or not isinstance(is_secret, bool):
            rows.wrong(name, "Write a value, or {value: …, secret: true}.")
            return
        if is_secret and value in (None, ""):
            value = rows.stored.get(name)
            if value is None:
                rows.wrong(name, rows.forgotten or "Write the secret value.")
                return
    if problem := _bad_value(where, value):
        rows.wrong(name, problem)
    elif is_secret:
        shown[name], secret[name] = {"secret": True}, value
    else:
        shown[name] = value


def _bad_name(where: str, name: Any) -> str | None:
    if not isinstance(name, str) or not 1 <= len(name) <= MAX_TEXT:
        return f"A name has 1 to {MAX_TEXT} characters."
    if CONTROL.search(name) or not encodable(name):
        return "A name holds no control characters."
    if where == "header" and not TOKEN.fullmatch(name):
        return "A header name holds letters, digits and hyphens, no spaces."
    return None


def _bad_value(where: str, value: Any) -> str | None:
    if isinstance(value, bool) or (isinstance(value, int | float) and abs(value) < 1e300):
        return None
    if not isinstance(value, str):
        return "Write a text, a number, true or false."
    if len(value) > MAX_TEXT:
        return f"A value has at most {MAX_TEXT} characters."
    if not encodable(value) or (where != "body" and CONTROL.search(value)):
        return "A value holds no line breaks or other control characters."
    if where == "header" and (value != value.strip() or not _latin(value)):
        return "A header value holds Latin characters only, and no spaces at its ends."
    return None


def _latin(text: str) -> bool:
    return all(ord(character) < 256 for character in text)
