"""Reading a target's document, the same for every kind: each method reads one key and records what is wrong.

A kind reads its keys through a :class:`DocumentReader`, then calls :meth:`DocumentReader.finish`, which raises
:class:`~integrations.target_data.InvalidDocument` with all errors at once, keyed by dotted path.
"""

import re
from collections.abc import Collection, Mapping

from integrations.auth.sealed_urls import is_masked_url
from integrations.json_types import Json, JsonMapping, JsonObject
from integrations.target_data import CleanedDocument, InvalidDocument
from integrations.text_encoding import is_encodable
from integrations.transport.addresses import UrlError, parse_url

MAX_TEXT = 512
MAX_PARAMETERS = 100
CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
# RFC 9110 §5.1: a header name is a token.
TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
# Headers that a target must not set, and why.
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


OTHER_ADDRESS = "Enter it again: it was stored for another address."
OTHER_AUTHORITY = "Enter it again: it was stored with another certificate authority."
WHOLE_URL = "Write the whole URL: … replaces the part that is not shown."


class DocumentReader:
    """A section of a document, with the section of the stored secrets at the same place."""

    @classmethod
    def of(cls, document: object, stored: CleanedDocument | None) -> "DocumentReader":
        """A reader of a whole document and of what is stored of it."""
        if stored is None:
            return cls(document)
        reader = cls(document, stored.secrets, lost_reason=stored.lost)
        reader.same_authority(stored.settings)
        return reader

    def __init__(
        self,
        document: object,
        stored: object = None,
        path: str = "",
        errors: dict[str, str] | None = None,
        lost_reason: str = "",
    ) -> None:
        self.path = path
        self.lost_reason = lost_reason
        self.errors: dict[str, str] = {} if errors is None else errors
        self.stored: JsonMapping = stored if isinstance(stored, Mapping) else {}
        self.known: set[str] = set()
        if not isinstance(document, Mapping):
            self.errors[path or "document"] = "Write a mapping of keys to values."
            document = {}
        self.document: JsonMapping = document

    def at(self, key: str) -> str:
        return f"{self.path}.{key}" if self.path else key

    def add_error(self, key: str, text: str) -> None:
        self.errors.setdefault(self.at(key), text)

    def value(self, key: str, default: Json = None) -> Json:
        self.known.add(key)
        found = self.document.get(key)
        return default if found is None else found

    def part(self, key: str) -> "DocumentReader":
        return DocumentReader(
            self.value(key, {}), self.stored.get(key), self.at(key), self.errors, self.lost_reason
        )

    def forget(self, why: str) -> None:
        """Keep no stored secret from here on; ``why`` is the error of a secret that is left empty."""
        self.stored, self.lost_reason = {}, why

    def text(self, key: str, *, most: int = MAX_TEXT, default: str | None = None) -> str:
        """1 to ``most`` characters without control characters; ``default`` if the key may be absent."""
        found = self.value(key)
        if found in (None, "") and default is not None:
            return default
        return self._checked(key, found, most)

    def secret(self, key: str, *, most: int = MAX_TEXT) -> str:
        """Like :meth:`text`; absent or empty keeps the stored value."""
        found = self.value(key)
        if found in (None, "") and isinstance(self.stored.get(key), str):
            return str(self.stored[key])
        if found in (None, "") and self.lost_reason:
            self.add_error(key, self.lost_reason)
            return ""
        return self._checked(key, found, most)

    def _checked(self, key: str, found: object, most: int) -> str:
        if not isinstance(found, str) or not 1 <= len(found) <= most:
            self.add_error(key, f"Write 1 to {most:,} characters.")
        elif CONTROL.search(found) or not is_encodable(found):
            self.add_error(key, "Leave out line breaks and other control characters.")
        else:
            return found
        return ""

    def choice(self, key: str, choices: Collection[str], default: str | None = None) -> str:
        found = self.value(key, default)
        if found not in choices:
            self.add_error(key, f"Write one of: {', '.join(choices)}.")
            return next(iter(choices))
        return str(found)

    def flag(self, key: str, default: bool) -> bool:
        found = self.value(key, default)
        if not isinstance(found, bool):
            self.add_error(key, "Write true or false.")
            return default
        return found

    def number(self, key: str, *, least: float, most: float, default: float) -> float:
        found = self.value(key, default)
        if isinstance(found, bool) or not isinstance(found, int | float) or not least <= found <= most:
            self.add_error(key, f"Write a number from {least:g} to {most:g}.")
            return default
        return found

    def url(self, key: str) -> str:
        found = self.value(key)
        if not isinstance(found, str) or not found:
            self.add_error(key, "Write a URL such as https://example.com/hook.")
            return ""
        if problem := self.url_problem(found):
            self.add_error(key, problem)
        return found

    def url_problem(self, url: str) -> str | None:
        """Why ``url`` cannot be called, as a sentence; None if it can."""
        if is_masked_url(url):
            return self.lost_reason or WHOLE_URL
        try:
            parse_url(url)
        except UrlError as error:
            return str(error)
        return None

    def same_address(self, key: str, before: object, default: str | None = None) -> None:
        """Keep stored secrets only if the address under ``key`` is still the one that they were stored with."""
        if not is_same_address(self.document.get(key), before, default):
            self.forget(OTHER_ADDRESS)

    def same_authority(self, before: JsonMapping) -> None:
        """Keep stored secrets only if the server that receives them is verified by the same authority."""
        if isinstance(self.document, Mapping) and authority(self.document) != authority(before):
            self.forget(OTHER_AUTHORITY)

    def finish(self) -> None:
        for key in self.document:
            if key not in self.known:
                self.add_error(str(key), f"Unknown key. Known here: {', '.join(sorted(self.known))}.")
        if self.errors and not self.path:
            raise InvalidDocument(self.errors)


def authority(document: JsonMapping) -> str:
    """The private certificate authority of a document or of settings, as PEM; empty if there is none."""
    part = document.get("tls")
    found = part.get("ca") if isinstance(part, Mapping) else None
    return found.strip() if isinstance(found, str) else ""


def is_same_address(now: object, before: object, default: object = None) -> bool:
    """Whether two URLs are the same, however they are spelled; ``default`` in place of none."""
    return _address(now or default) == _address(before or default)


def _address(url: object) -> str:
    """The URL in one spelling, for comparison."""
    try:
        return str(parse_url(str(url or ""))).rstrip("/")
    except UrlError:
        return str(url or "")


def parameters(
    reader: DocumentReader, refused: Mapping[str, Mapping[str, str]]
) -> tuple[dict[str, JsonObject], dict[str, JsonObject]]:
    """The lists ``header``, ``query`` and ``body`` under ``parameters``: what may be shown, and the secret values.

    ``refused`` maps, for each list, names that are not accepted (headers in lower case) to the reason.
    """
    shown: dict[str, JsonObject] = {}
    secret: dict[str, JsonObject] = {}
    part = reader.part("parameters")
    for where in ("header", "query", "body"):
        rows = part.part(where)
        if len(rows.document) > MAX_PARAMETERS:
            part.add_error(where, f"At most {MAX_PARAMETERS} parameters.")
            continue
        shown[where], secret[where] = {}, {}
        seen: set[str] = set()
        for name, given in rows.document.items():
            folded = str(name).lower() if where == "header" else str(name)
            problem = _bad_name(where, name) or (
                f"Leave this one out: {refused[where][folded]}." if folded in refused.get(where, {}) else None
            )
            if folded in seen:
                problem = "This name is used twice."
            seen.add(folded)
            if problem:
                rows.add_error(str(name), problem)
            else:
                _one(rows, where, name, given, shown[where], secret[where])
    part.finish()
    return {w: v for w, v in shown.items() if v}, {w: v for w, v in secret.items() if v}


def _one(
    rows: DocumentReader, where: str, name: str, given: Json, shown: JsonObject, secret: JsonObject
) -> None:
    value, is_secret = given, False
    if isinstance(given, Mapping):
        value, is_secret = given.get("value"), given.get("secret", False)
        if set(given) - {"value", "secret"} or not isinstance(is_secret, bool):
            rows.add_error(name, "Write a value, or {value: …, secret: true}.")
            return
        if is_secret and value in (None, ""):
            value = rows.stored.get(name)
            if value is None:
                rows.add_error(name, rows.lost_reason or "Write the secret value.")
                return
    if problem := _bad_value(where, value):
        rows.add_error(name, problem)
    elif is_secret:
        shown[name], secret[name] = {"secret": True}, value
    else:
        shown[name] = value


def _bad_name(where: str, name: object) -> str | None:
    if not isinstance(name, str) or not 1 <= len(name) <= MAX_TEXT:
        return f"A name has 1 to {MAX_TEXT} characters."
    if CONTROL.search(name) or not is_encodable(name):
        return "A name must not contain control characters."
    if where == "header" and not TOKEN.fullmatch(name):
        return "A header name has letters, digits and hyphens, no spaces."
    return None


def _bad_value(where: str, value: object) -> str | None:
    if isinstance(value, bool) or (isinstance(value, int | float) and abs(value) < 1e300):
        return None
    if not isinstance(value, str):
        return "Write a text, a number, true or false."
    if len(value) > MAX_TEXT:
        return f"A value has at most {MAX_TEXT} characters."
    if not is_encodable(value) or (where != "body" and CONTROL.search(value)):
        return "A value must not contain line breaks or other control characters."
    if where == "header" and (value != value.strip() or not _latin(value)):
        return "A header value must contain Latin characters only, without spaces at its ends."
    return None


def _latin(text: str) -> bool:
    return all(ord(character) < 256 for character in text)
