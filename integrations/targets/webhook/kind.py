"""The webhook: the contract's JSON over HTTP, with Basic, API key, OAuth client credentials or none (docs/webhooks.md)."""

from collections.abc import Callable, Mapping
from typing import ClassVar

from integrations.auth import authorization, signing
from integrations.auth.parameters import (
    Value,
    allows_plain_http,
    parameters_of,
    to_texts,
    user_agent,
    with_query,
)
from integrations.auth.sealed_urls import masked_url
from integrations.auth.tokens import token_address
from integrations.json_types import JsonMapping, JsonObject
from integrations.masking import MASK
from integrations.target_data import AttemptRequest, CleanedDocument, Document, Event, RenderedBody, Target
from integrations.targets.shared.call import Call
from integrations.targets.shared.documents import REFUSED_HEADERS, TOKEN, DocumentReader, parameters
from integrations.targets.shared.event_json import encode_event
from integrations.targets.shared.json_answers import compact
from integrations.targets.shared.setting_fields import MAX_PEM
from integrations.targets.shared.target_kind import ALL_AUDIENCES, Inert, TargetKind
from integrations.targets.webhook import bodies
from integrations.templating import liquid
from integrations.transport import http, streams, tls
from integrations.transport.addresses import MAX_URL
from integrations.transport.results import AttemptOutcome

ENVELOPE = ("version", "id", "detail-type", "source", "account", "time", "region", "resources", "detail")
METHODS = ("POST", "PUT", "PATCH")
# 256 KiB is the contract's cap. Secret body parameters are added to the stored bytes when these are sent;
# this number of bytes is reserved for them.
CAP = 256 * 1024
SECRET_BODY = 8 * 1024
PLAIN_BODY = 64 * 1024
MOST_USERS = 10_000


SECRET_PATHS = frozenset({
    "authorization.password", "authorization.value", "authorization.client_secret",
    "authorization.parameters.*.*", "parameters.*.*", "signing.secret", "tls.client_key",
    "url", "authorization.endpoint",
})  # fmt: skip


class Webhook(TargetKind):
    slug: ClassVar[str] = "webhook"
    label: ClassVar[str] = "Webhook"
    summary: ClassVar[str] = "JSON over HTTP to any receiver, signed, with Basic, API key, OAuth or none."
    position: ClassVar[int] = 10
    one_message: ClassVar[bool] = False
    max_bytes: ClassVar[int] = CAP - SECRET_BODY
    per_second: ClassVar[float | None] = None
    concurrency: ClassVar[int] = 32
    audiences: ClassVar[frozenset[str]] = ALL_AUDIENCES
    inert: ClassVar[Inert] = Inert.DATA

    @property
    def sealed_urls(self) -> Mapping[str, str]:
        return {"url": "URL", "authorization.endpoint": "Token endpoint"}

    @property
    def secret_paths(self) -> frozenset[str]:
        """Any parameter may be a secret one."""
        return SECRET_PATHS

    def clean(self, document: Document, stored: CleanedDocument | None = None) -> CleanedDocument:
        reader = DocumentReader.of(document, stored)
        settings: JsonObject = {
            "url": reader.url("url"),
            "method": reader.choice("method", METHODS, "POST"),
        }
        if reader.flag("allow_plain_http", False):
            settings["allow_plain_http"] = True
        _check_plain(reader, "url", settings["url"], settings)
        if stored:
            reader.same_address("url", stored.settings.get("url"))
        settings["authorization"], credentials = _authorization(reader, stored)
        _check_plain(
            reader, "authorization.endpoint", settings["authorization"].get("endpoint", ""), settings
        )
        sent = {"query": {}, "header": _refused_headers(settings["authorization"]), "body": _ENVELOPE_REFUSED}
        shown, secret = parameters(reader, sent)
        _check_length(reader, "url", settings["url"], to_texts(_values(shown, secret)["query"]))
        _check_body(reader, shown.get("body", {}), secret.get("body", {}))
        settings["parameters"] = shown
        signing_part = reader.part("signing")
        settings["signing"] = {"enabled": signing_part.flag("enabled", True)}
        signing_secret = signing_part.value("secret")
        if signing_secret not in (None, ""):
            try:
                signing.check_signing_secret(str(signing_secret))
            except signing.SigningSecretError as error:
                signing_part.add_error("secret", str(error))
        signing_part.finish()
        times = reader.part("timeouts")
        settings["timeouts"] = {
            name: times.number(name, least=0.1, most=30, default=5) for name in ("connect", "answer")
        }
        times.finish()
        if own := _body(reader):
            settings["body"] = own
        settings["tls"], key = _tls(reader)
        reader.finish()
        secrets = {
            "authorization": credentials,
            "parameters": secret,
            "tls": {"client_key": key} if key else {},
        }
        return CleanedDocument(settings, {name: value for name, value in secrets.items() if value})

    def describe(self, settings: JsonMapping) -> list[tuple[str, str]]:
        auth = settings["authorization"]
        shown: dict[str, Callable[[], list[tuple[str, str]]]] = {
            "none": lambda: [],
            "basic": lambda: [("User name", auth["username"]), ("Password", MASK)],
            "api_key": lambda: [("Header", auth["name"]), ("Value", MASK)],
            "oauth": lambda: [
                ("Token endpoint", f"{auth['method']} {masked_url(auth['endpoint'])}"),
                ("Client", auth["client_id"]),
                ("Client secret", f"{MASK} (sent in the {_CLIENT[auth['client_authentication']]})"),
                *_described(auth, "OAuth "),
            ],
        }
        credentials = shown[auth["type"]]()
        times, given = settings["timeouts"], settings["tls"]
        return [
            ("URL", masked_url(settings["url"])),
            *([("Plain http", "allowed")] if allows_plain_http(settings) else []),
            ("Method", settings["method"]),
            ("Authorization", AUTHORIZATIONS[auth["type"]]),
            *credentials,
            *_described(settings, ""),
            *_described_body(settings.get("body", {})),
            ("Signature", "Standard Webhooks" if settings["signing"]["enabled"] else "off"),
            ("Timeouts", f"{times['connect']:g} s to connect, {times['answer']:g} s to answer"),
            *([("Certificate authority", "private, and the public ones")] if given.get("ca") else []),
            *([("Client certificate", "sent")] if given.get("client_certificate") else []),
        ]

    def warnings(self, settings: JsonMapping) -> list[str]:
        if not allows_plain_http(settings):
            return []
        called = {
            "The URL": settings["url"],
            "The token endpoint": settings["authorization"].get("endpoint", ""),
        }
        return [
            f"{what} is called by plain http: requests and their credentials can be read and changed on the way. "
            "Use https and turn “Allow plain http” off."
            for what, url in called.items()
            if url.startswith("http://")
        ]

    def render(self, event: Event, target: Target) -> RenderedBody:
        """The event with the body parameters at its top level. :meth:`attempt` adds the secret ones."""
        given = target.settings.get("parameters", {}).get("body", {})
        plain = {name: value for name, value in given.items() if not isinstance(value, Mapping)}
        template = target.settings.get("body", {}).get("template")
        if not template:
            return RenderedBody(_joined(encode_event(event), plain))
        made = bodies.render_body(template, event)
        # Parameters have no place in a list.
        return RenderedBody(compact(made if isinstance(made, list) else {**made, **plain}))

    def is_verbatim(self, target: Target) -> bool:
        return not target.settings.get("body", {}).get("template")

    def users_per_request(self, target: Target) -> int | None:
        most: int | None = target.settings.get("body", {}).get("users_per_request")
        return most

    def show(self, body: bytes, target: Target) -> str:
        """The body as sent, with each secret body parameter masked."""
        names = target.settings.get("parameters", {}).get("body", {})
        hidden = {name: MASK for name, value in names.items() if isinstance(value, Mapping)}
        return _joined(bytes(body), hidden).decode("utf-8", "replace")

    def attempt(self, request: AttemptRequest, target: Target, call: Call) -> AttemptOutcome:
        auth = authorization.authorization_of(target)
        if isinstance(auth, authorization.OAuthClientCredentials):
            return call.outcome(auth.send(lambda: self._call(request, target, call, auth)))
        return call.outcome(self._call(request, target, call, auth))

    def _call(
        self, request: AttemptRequest, target: Target, call: Call, auth: http.AuthBase
    ) -> http.HttpAnswer:
        given = parameters_of(target.settings, target.secrets)
        hidden = target.secrets.get("parameters", {}).get("body", {})
        body = _joined(request.body, hidden)
        signatures = target.signing_secrets if target.settings["signing"]["enabled"] else ()
        headers = {
            **to_texts(given["header"]),
            "User-Agent": user_agent(),
            "Content-Type": request.content_type,
            **signing.headers(signatures, request.id, request.timestamp, body),
        }
        url = with_query(target.settings["url"], to_texts(given["query"]))
        return call.send(target.settings["method"], url, headers=headers, body=body, auth=auth)


AUTHORIZATIONS = {
    "basic": "Basic",
    "api_key": "API key",
    "oauth": "OAuth client credentials",
    "none": "None",
}
_CLIENT = {"body": "form", "basic": "Authorization header"}
_ENVELOPE_REFUSED = dict.fromkeys(ENVELOPE, "the event itself has a key of this name")
_CREDENTIALS = dict.fromkeys(("client_id", "client_secret"), "client_id and client_secret above are sent")


def _authorization(reader: DocumentReader, stored: CleanedDocument | None) -> tuple[JsonObject, JsonObject]:
    part = reader.part("authorization")
    kind = part.choice("type", tuple(AUTHORIZATIONS))
    if stored and stored.settings.get("authorization", {}).get("type") != kind:
        part.stored = {}
    given: JsonObject = {"type": kind}
    secret: JsonObject = {}
    if kind == "basic":
        given["username"] = part.text("username")
        if ":" in given["username"]:
            part.add_error("username", "A Basic user name must not contain a colon.")
        secret["password"] = part.secret("password")
    elif kind == "api_key":
        given["name"] = part.text("name")
        _check_header_name(part, given["name"])
        secret["value"] = part.secret("value")
        if not secret["value"].isprintable() or any(ord(c) > 255 for c in secret["value"]):
            part.add_error("value", "A header value must contain Latin characters only.")
    elif kind == "oauth":
        given["endpoint"] = part.url("endpoint")
        if stored:
            part.same_address("endpoint", stored.settings["authorization"].get("endpoint"))
        given["method"] = part.choice("method", ("POST", "PUT", "GET"), "POST")
        given["client_authentication"] = part.choice("client_authentication", tuple(_CLIENT), "body")
        given["client_id"] = part.text("client_id")
        secret["client_secret"] = part.secret("client_secret")
        basic = (
            {"authorization": "the client authenticates with it"}
            if given["client_authentication"] == "basic"
            else {}
        )
        refused = {"header": REFUSED_HEADERS | basic, "query": _CREDENTIALS, "body": _CREDENTIALS}
        given["parameters"], hidden = parameters(part, refused)
        if hidden:
            secret["parameters"] = hidden
        if not part.errors:
            _check_length(part, "endpoint", *token_address(given, secret))
    part.finish()
    return given, secret


def _check_plain(reader: DocumentReader, key: str, url: str, settings: JsonMapping) -> None:
    """Plain http needs the target's switch or an open network. A host name is resolved and checked when it is called."""
    if url and not allows_plain_http(settings) and (problem := streams.plain_http_problem(url)):
        reader.add_error(key, problem)


def _check_length(part: DocumentReader, key: str, url: str, query: Mapping[str, str]) -> None:
    """Report a URL that can be called without its query parameters but not with them."""
    if query and url and part.url_problem(url) is None and part.url_problem(with_query(url, query)):
        part.add_error(
            key,
            f"The URL is too long with its query parameters: together they may have {MAX_URL:,} characters. "
            "Shorten them, or send the parameters in the header or body.",
        )


def _values(shown: JsonMapping, secret: JsonMapping) -> dict[str, dict[str, Value]]:
    return parameters_of({"parameters": shown}, {"parameters": secret})


def _check_header_name(part: DocumentReader, name: str) -> None:
    if name and not TOKEN.fullmatch(name):
        part.add_error("name", "A header name has letters, digits and hyphens, no spaces.")
    elif why := REFUSED_HEADERS.get(name.lower()):
        part.add_error("name", f"Choose another header: {why}.")


def _refused_headers(auth: JsonMapping) -> dict[str, str]:
    own = {"none": "", "api_key": auth.get("name", "").lower()}.get(auth["type"], "authorization")
    return REFUSED_HEADERS | ({own: "the authorization sets it"} if own else {})


def _check_body(reader: DocumentReader, shown: JsonMapping, secret: JsonMapping) -> None:
    plain = {name: value for name, value in shown.items() if not isinstance(value, Mapping)}
    for values, most, what in ((plain, PLAIN_BODY, "Body"), (secret, SECRET_BODY, "Secret body")):
        if len(compact(values)) > most:
            reader.add_error("parameters.body", f"{what} parameters may have {most // 1024} KiB in all.")


def _body(reader: DocumentReader) -> JsonObject:
    """``template``: Liquid that renders JSON. ``users_per_request``: 1 for a request for each user."""
    part = reader.part("body")
    found: JsonObject = {}
    template = part.value("template")
    if not isinstance(template, str | None):
        part.add_error("template", "Write the template's text.")
    elif template and template.strip():
        try:
            bodies.check_template(template)
        except liquid.TemplateError as error:
            part.add_error("template", str(error))
        found["template"] = template
    most = part.value("users_per_request")
    if most not in (None, ""):
        if isinstance(most, bool) or not isinstance(most, int) or not 1 <= most <= MOST_USERS:
            part.add_error("users_per_request", f"Write a whole number from 1 to {MOST_USERS:,}.")
        found["users_per_request"] = most
    part.finish()
    return found


def _tls(reader: DocumentReader) -> tuple[JsonObject, str]:
    part = reader.part("tls")
    given = {name: _pem(part, name) for name in ("ca", "client_certificate")}
    stored = part.stored.get("client_key", "") if given["client_certificate"] else ""
    key = _pem(part, "client_key") or stored
    part.finish()
    if given["client_certificate"] and not key and part.lost_reason:
        part.add_error("client_key", part.lost_reason)
    try:
        tls.check_pem(tls.Tls(given["ca"], given["client_certificate"], key))
    except tls.PemError as error:
        part.add_error(
            {"ca": "ca", "certificate": "client_certificate", "key": "client_key"}[error.part], str(error)
        )
    return {name: pem for name, pem in given.items() if pem}, key


def _pem(part: DocumentReader, key: str) -> str:
    found = part.value(key, "")
    if not isinstance(found, str) or len(found) > MAX_PEM or not found.isascii():
        part.add_error(key, "Paste PEM text: -----BEGIN … -----.")
        return ""
    return found.strip()


def _described(given: JsonMapping, prefix: str) -> list[tuple[str, str]]:
    return [
        (f"{prefix}{where} parameters" if prefix else f"{where.capitalize()} parameters", text)
        for where, rows in given.get("parameters", {}).items()
        if (text := ", ".join(f"{n}: {MASK if isinstance(v, Mapping) else v}" for n, v in rows.items()))
    ]


def _described_body(given: JsonMapping) -> list[tuple[str, str]]:
    most = given.get("users_per_request")
    return [
        *([("Body", "a template of its own")] if given.get("template") else []),
        *([("Users in one request", f"{most:,} at most")] if most else []),
    ]


def _joined(body: bytes, more: JsonMapping) -> bytes:
    """The JSON object with ``more`` keys at its end, without parsing it; a list is unchanged."""
    if not more or body[:1] != b"{":
        return body
    return body[:-1] + (b"," if body != b"{}" else b"") + compact(more)[1:]
