"""A kind's configuration as a list of fields: one declaration serves validation, description and the form.

A kind whose document is a plain set of keys declares ``form_fields`` and gets :func:`clean` and
:func:`describe` from it; one form page can show them all. What a page needs: ``path`` (dotted, the key of the
document and of the errors), ``label``, ``help``, ``widget`` with ``choices``, ``default``, ``secret`` (write-only: never shown
again, left empty it stays), ``required``, and ``when`` (shown only while another, earlier field has one of the values).
A page leaves what is not shown out of the document.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any, Literal

from integrations import tls
from integrations.addresses import BadUrl, parse_url
from integrations.outcomes import MASK
from integrations.targets.base import Cleaned, Document
from integrations.targets.documents import MAX_TEXT, Reader, encodable

Widget = Literal["text", "url", "host", "number", "select", "checkbox", "lines", "pem"]
MAX_LINES = 50
MAX_PEM = 64 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """``most`` counts characters of a text, bounds a number (with ``least``). ``pattern`` must match the whole text."""

    path: str
    label: str
    help: str = ""
    widget: Widget = "text"
    secret: bool = False
    required: bool = True
    default: Any = None
    choices: Sequence[tuple[str, str]] = ()
    least: float = 0
    whole: bool = False
    most: float = MAX_TEXT
    pattern: str = ""
    hint: str = ""  # what to write where ``pattern`` does not match
    when: tuple[str, Sequence[str]] | None = None


TIMES = (
    Field(
        path="timeouts.connect", label="Seconds to connect", widget="number", least=0.1, most=30, default=5,
        required=False,
    ),
    Field(
        path="timeouts.answer", label="Seconds to answer", widget="number", least=0.1, most=30, default=5,
        required=False,
    ),
)  # fmt: skip
CA = Field(
    path="tls.ca",
    label="Private certificate authority",
    help="PEM of the authority that signed the server's certificate; trusted beside the public ones.",
    widget="pem",
    required=False,
)

Check = Callable[[Reader, dict[str, Any], dict[str, Any]], None]


def clean(
    fields: Sequence[Field], document: Document, stored: Cleaned | None = None, check: Check | None = None
) -> Cleaned:
    """Validate by the fields; ``check`` may then note through the reader what no single field can say.

    Raises :class:`~integrations.targets.base.InvalidDocument`.
    """
    root = Reader(document, stored.secrets if stored else None)
    _keep_on_host(root, fields, document, stored)
    readers = {"": root}
    settings: dict[str, Any] = {}
    secrets: dict[str, Any] = {}
    for field in fields:
        prefix, _, key = field.path.rpartition(".")
        if prefix not in readers:
            readers[prefix] = root.part(prefix)
        reader = readers[prefix]
        if not _applies(field, settings):
            if reader.value(key) not in (None, "", [], False):
                reader.wrong(
                    key, f"Leave this out: it goes with another choice of {field.when and field.when[0]}."
                )
            continue
        value = _read(reader, field, key)
        if value not in (None, "", []):
            _put(secrets if field.secret else settings, field.path, value)
    if check is not None:
        check(root, settings, secrets)
    for prefix, reader in readers.items():
        if prefix:
            reader.done()
    root.done()
    return Cleaned(settings, secrets)


def _keep_on_host(root: Reader, fields: Sequence[Field], document: Document, stored: Cleaned | None) -> None:
    """Stored secrets were given for the addresses that stand beside them: with another host they are asked for anew."""
    if stored is None or not isinstance(document, Mapping):
        return
    for field in fields:
        before, now = at(stored.settings, field.path), at(document, field.path)
        if field.widget == "url" and not field.secret:
            root.same_host(field.path, before)
        elif (
            field.widget == "host"
            and isinstance(now, str)
            and before is not None
            and now.lower() != before.lower()
        ):
            root.forget("Enter it again: the server is another than the one that this was stored for.")


def describe(fields: Sequence[Field], settings: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Label and value of what may be shown; a secret stands as a mask."""
    rows = []
    for field in fields:
        if not _applies(field, settings):
            continue
        value = at(settings, field.path)
        if field.secret:
            rows.append((field.label, MASK))
        elif value not in (None, "", []):
            rows.append((field.label, _shown(field, value)))
    return rows


def at(values: Mapping[str, Any], path: str, default: Any = None) -> Any:
    """The value at a dotted path."""
    found: Any = values
    for key in path.split("."):
        if not isinstance(found, Mapping) or key not in found:
            return default
        found = found[key]
    return found


def _applies(field: Field, settings: Mapping[str, Any]) -> bool:
    return field.when is None or at(settings, field.when[0]) in field.when[1]


def _put(values: dict[str, Any], path: str, value: Any) -> None:
    *parents, key = path.split(".")
    for parent in parents:
        values = values.setdefault(parent, {})
    values[key] = value


def _shown(field: Field, value: Any) -> str:
    match field.widget:
        case "checkbox":
            return "yes" if value else "no"
        case "select":
            return dict(field.choices)[value]
        case "lines":
            return ", ".join(value)
        case "pem":
            return "given"
        case "number":
            return f"{value:g}"
        case _:
            return str(value)


def _read(reader: Reader, field: Field, key: str) -> Any:
    found = reader.value(key, field.default)
    optional = not field.required and found in (None, "", [])
    match field.widget:
        case "checkbox":
            return reader.flag(key, bool(field.default))
        case "select":
            return reader.choice(key, [value for value, _ in field.choices], field.default)
        case "number":
            number = reader.number(key, least=field.least, most=field.most, default=field.default)
            if field.whole and number != int(number):
                reader.wrong(key, "Write a whole number.")
            return int(number) if field.whole else number
        case "lines":
            return None if optional else _lines(reader, field, key, found)
        case "pem":
            return _pem(reader, field, key, optional)
    if field.secret:
        stored = reader.stored.get(key)
        if optional and not isinstance(stored, str):
            return None
        text = reader.secret(key, most=int(field.most))
    else:
        if optional:
            return None
        text = field.default if found == field.default and found else reader.text(key, most=int(field.most))
    return _checked(reader, field, key, text)


def _checked(reader: Reader, field: Field, key: str, text: str) -> str:
    if not text:
        return ""
    if field.widget == "url" and (problem := url_problem(text)):
        reader.wrong(key, problem)
    elif field.pattern and not re.fullmatch(field.pattern, text):
        reader.wrong(key, field.hint)
    return text


def url_problem(text: str) -> str | None:
    """Why ``text`` is no URL that a secret may be sent to: https, or http to this machine."""
    try:
        url = parse_url(text)
    except BadUrl as error:
        return str(error)
    if url.scheme == "http" and not _this_machine(url.host):
        return "Write a URL that begins with https://: the request carries a secret."
    return None


def _this_machine(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _lines(reader: Reader, field: Field, key: str, found: Any) -> list[str]:
    items = re.split(r"[,\n]", found) if isinstance(found, str) else found
    if not isinstance(items, list) or not all(isinstance(item, str) for item in items):
        reader.wrong(key, "Write a list of texts.")
        return []
    items = list(dict.fromkeys(stripped for item in items if (stripped := item.strip())))
    if not items or len(items) > MAX_LINES:
        reader.wrong(key, f"Write 1 to {MAX_LINES} entries.")
    for item in items:
        if len(item) > field.most or not encodable(item) or not item.isprintable():
            reader.wrong(key, f"An entry has at most {field.most:g} characters and no control characters.")
        elif field.pattern and not re.fullmatch(field.pattern, item):
            reader.wrong(key, f"“{item}” will not do. {field.hint}")
    return items


def _pem(reader: Reader, field: Field, key: str, optional: bool) -> str | None:
    found = reader.value(key)
    if found in (None, "") and field.secret and isinstance(reader.stored.get(key), str):
        return str(reader.stored[key])
    if optional:
        return None
    if (
        not isinstance(found, str)
        or len(found) > MAX_PEM
        or not found.isascii()
        or "-----BEGIN " not in found
    ):
        reader.wrong(key, "Paste PEM text: -----BEGIN … -----.")
        return None
    text = found.strip()
    if field.path == CA.path:
        try:
            tls.check(tls.Tls(ca=text))
        except tls.BadPem as error:
            reader.wrong(key, str(error))
    return text
