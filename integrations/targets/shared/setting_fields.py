"""A kind's configuration as a list of fields: one declaration serves validation, description and the form.

A kind whose document is a plain set of keys declares ``form_fields``; :func:`clean_fields` and :func:`describe_fields`
follow from them, and one form page shows any of them. A form leaves hidden fields out of the document.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Literal

from integrations.auth.sealed_urls import masked_url
from integrations.json_types import Json, JsonMapping, JsonObject
from integrations.masking import MASK
from integrations.nested_values import put_value, value_at
from integrations.target_data import CleanedDocument, Document
from integrations.targets.shared.documents import MAX_TEXT, OTHER_ADDRESS, DocumentReader, is_same_address
from integrations.text_encoding import is_encodable
from integrations.transport import tls
from integrations.transport.addresses import UrlError, parse_url

Widget = Literal["text", "url", "host", "number", "select", "checkbox", "lines", "pem"]
MAX_LINES = 50
MAX_PEM = 64 * 1024
PORT = "port"


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """One key of a document.

    ``path`` is the dotted path of the key, in documents and errors. A ``secret`` is write-only: it is never shown, and left
    empty it stays. ``when`` names an earlier field and the values with which this field is shown. ``most`` is the
    highest number of characters of a text, or the highest number (``least`` the lowest). ``pattern`` must match the
    whole text.
    """

    path: str
    label: str
    help: str = ""
    widget: Widget = "text"
    secret: bool = False
    sealed: bool = False  # of a URL: its path and query are a secret (sealed_urls.py)
    required: bool = True
    default: Json = None
    example: Json = None  # its value in a preview without a target, where there is no default
    choices: Sequence[tuple[str, str]] = ()
    least: float = 0
    whole: bool = False
    most: float = MAX_TEXT
    pattern: str = ""
    hint: str = ""  # what to write where ``pattern`` does not match, or instead of “Paste PEM text”
    when: tuple[str, Sequence[str]] | None = None


def timeout_fields(*, answer: float = 5, most: float = 30, help: str = "") -> tuple[Field, Field]:
    """The fields of the two timeouts; ``answer`` is the default of the second, ``most`` its highest value."""
    return (
        Field(
            path="timeouts.connect",
            label="Seconds to connect",
            widget="number",
            least=0.1,
            most=30,
            default=5,
            required=False,
        ),
        Field(
            path="timeouts.answer",
            label="Seconds to answer",
            help=help,
            widget="number",
            least=0.1,
            most=most,
            default=answer,
            required=False,
        ),
    )


TIMES = timeout_fields()
CA = Field(
    path="tls.ca",
    label="Private certificate authority",
    help="PEM of the authority that signed the server's certificate; trusted in addition to the public ones.",
    widget="pem",
    required=False,
)


def example_settings(fields: Sequence[Field]) -> JsonObject:
    """Settings for a preview without a target: the defaults, and the examples of what has none."""
    settings: JsonObject = {}
    for field in fields:
        value = field.example if field.default is None else field.default
        if value is not None and _applies(field, settings):
            put_value(settings, field.path, value)
    return settings


Check = Callable[[DocumentReader, JsonObject, JsonObject], None]


def clean_fields(
    fields: Sequence[Field],
    document: Document,
    stored: CleanedDocument | None = None,
    check: Check | None = None,
) -> CleanedDocument:
    """Validate by the fields; ``check`` may then record errors that concern more than one field.

    Raises :class:`~integrations.target_data.InvalidDocument`.
    """
    root = DocumentReader.of(document, stored)
    _keep_at_address(root, fields, document, stored)
    readers = {"": root}
    settings: JsonObject = {}
    secrets: JsonObject = {}
    for field in fields:
        prefix, _, key = field.path.rpartition(".")
        if prefix not in readers:
            readers[prefix] = root.part(prefix)
        reader = readers[prefix]
        if not _applies(field, settings):
            if reader.value(key) not in (None, "", [], False):
                reader.add_error(
                    key, f"Leave this out: it goes with another choice of {field.when and field.when[0]}."
                )
            continue
        value = _read(reader, field, key)
        if value not in (None, "", []):
            put_value(secrets if field.secret else settings, field.path, value)
    if check is not None:
        check(root, settings, secrets)
    for prefix, reader in readers.items():
        if prefix:
            reader.finish()
    root.finish()
    return CleanedDocument(settings, secrets)


def _keep_at_address(
    root: DocumentReader, fields: Sequence[Field], document: Document, stored: CleanedDocument | None
) -> None:
    """Keep stored secrets only for the addresses that they were stored with; for another they must be entered again."""
    if stored is None or not isinstance(document, Mapping):
        return
    for field in fields:
        before, now = (
            value_at(values, field.path) or field.default for values in (stored.settings, document)
        )
        if field.widget == "url":
            is_same = is_same_address(now, before)
        elif field.widget == "host" or field.path == PORT:
            is_same = str(now).lower() == str(before).lower()
        else:
            continue
        if not is_same:
            root.forget(OTHER_ADDRESS)


def describe_fields(fields: Sequence[Field], settings: JsonMapping) -> list[tuple[str, str]]:
    """Label and value of each field that may be shown; a secret as a mask."""
    rows = []
    for field in fields:
        if not _applies(field, settings):
            continue
        value = value_at(settings, field.path)
        if field.secret:
            rows.append((field.label, MASK))
        elif value not in (None, "", []):
            rows.append((field.label, masked_url(value) if field.sealed else _shown(field, value)))
    return rows


def _applies(field: Field, settings: JsonMapping) -> bool:
    return field.when is None or value_at(settings, field.when[0]) in field.when[1]


def _shown(field: Field, value: Json) -> str:
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


def _read(reader: DocumentReader, field: Field, key: str) -> Json:
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
                reader.add_error(key, "Write a whole number.")
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


def _checked(reader: DocumentReader, field: Field, key: str, text: str) -> str:
    if not text:
        return ""
    if field.widget == "url" and (problem := reader.url_problem(text) or cleartext_problem(text)):
        reader.add_error(key, problem)
    elif field.pattern and not re.fullmatch(field.pattern, text):
        reader.add_error(key, field.hint)
    return text


def cleartext_problem(text: str) -> str | None:
    """Why a secret must not be sent to this URL, as a sentence; None for https, and for http to this machine."""
    try:
        url = parse_url(text)
    except UrlError as error:
        return str(error)
    if url.scheme == "http" and not _this_machine(url.host):
        return "Write a URL that starts with https://: the request carries a secret."
    return None


def _this_machine(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _lines(reader: DocumentReader, field: Field, key: str, found: object) -> list[str]:
    items = re.split(r"[,\n]", found) if isinstance(found, str) else found
    if not isinstance(items, list) or not all(isinstance(item, str) for item in items):
        reader.add_error(key, "Write a list of texts.")
        return []
    items = list(dict.fromkeys(stripped for item in items if (stripped := item.strip())))
    if not items or len(items) > MAX_LINES:
        reader.add_error(key, f"Write 1 to {MAX_LINES} entries.")
    for item in items:
        if len(item) > field.most or not is_encodable(item) or not item.isprintable():
            reader.add_error(
                key, f"An entry has at most {field.most:g} characters and no control characters."
            )
        elif field.pattern and not re.fullmatch(field.pattern, item):
            reader.add_error(key, f"“{item}” is not accepted. {field.hint}")
    return items


def _pem(reader: DocumentReader, field: Field, key: str, optional: bool) -> str | None:
    found = reader.value(key)
    if found in (None, "") and field.secret and isinstance(reader.stored.get(key), str):
        return str(reader.stored[key])
    if found in (None, "") and field.secret and reader.lost_reason:
        reader.add_error(key, reader.lost_reason)
        return None
    if optional:
        return None
    if (
        not isinstance(found, str)
        or len(found) > MAX_PEM
        or not found.isascii()
        or "-----BEGIN " not in found
    ):
        reader.add_error(key, field.hint or "Paste PEM text: -----BEGIN … -----.")
        return None
    text = found.strip()
    if field.path == CA.path:
        try:
            tls.check_pem(tls.Tls(ca=text))
        except tls.PemError as error:
            reader.add_error(key, str(error))
    return text
