"""The webhook: the contract's JSON over HTTP, with Basic, API key or OAuth client credentials (docs/webhooks.md)."""

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from time import monotonic
from typing import Any, ClassVar
from urllib.parse import quote_plus

from integrations import authorization, http, liquid, outcomes, signing, tls
from integrations.outcomes import Outcome, Result
from integrations.parameters import as_texts, of_target, secret_texts, timeouts, user_agent, with_query
from integrations.targets import bodies
from integrations.targets.base import Cleaned, Document, Event, Outgoing, Rendered, Target
from integrations.targets.documents import REFUSED_HEADERS, TOKEN, Reader, parameters
from integrations.tokens import NoToken

ENVELOPE = ("version", "id", "detail-type", "source", "account", "time", "region", "resources", "detail")
METHODS = ("POST", "PUT", "PATCH")
# 256 KiB is the contract's cap. Secret body parameters are not in the stored bytes but join them when they are
# sent; so much is kept free for them.
CAP = 256 * 1024
SECRET_BODY = 8 * 1024
PLAIN_BODY = 64 * 1024
PEM = 64 * 1024
MOST_USERS = 10_000


class Webhook:
    slug: ClassVar[str] = "webhook"
    label: ClassVar[str] = "Webhook"
    summary: ClassVar[str] = "JSON over HTTP to any receiver, signed, with Basic, API key or OAuth."
    max_bytes: ClassVar[int] = CAP - SECRET_BODY
    per_second: ClassVar[float | None] = None
    concurrency: ClassVar[int] = 32
    audiences: ClassVar[frozenset[str]] = frozenset({"list", "user", "manager"})

    def clean(self, document: Document, stored: Cleaned | None = None) -> Cleaned:
        reader = Reader(document, stored.secrets if stored else None)
        settings: dict[str, Any] = {
            "url": reader.url("url"),
            "method": reader.choice("method", METHODS, "POST"),
        }
        if stored:
            reader.same_host("url", stored.settings.get("url"))
        settings["authorization"], credentials = _authorization(reader, stored)
        sent = {"query": {}, "header": _refused_headers(settings["authorization"]), "body": _ENVELOPE_REFUSED}
        shown, secret = parameters(reader, sent)
        _check_body(reader, shown.get("body", {}), secret.get("body", {}))
        settings["parameters"] = shown
        signing_part = reader.part("signing")
        settings["signing"] = {"enabled": signing_part.flag("enabled", True)}
        signing_secret = signing_part.value("secret")
        if signing_secret not in (None, ""):
            try:
                signing.key_of(str(signing_secret))
            except signing.BadSecret as error:
                signing_part.wrong("secret", str(error))
        signing_part.done()
        times = reader.part("timeouts")
        settings["timeouts"] = {
            name: times.number(name, least=0.1, most=30, default=5) for name in ("connect", "answer")
        }
        times.done()
        if own := _body(reader):
            settings["body"] = own
        settings["tls"], key = _tls(reader)
        reader.done()
        secrets = {
            "authorization": credentials,
            "parameters": secret,
            "tls": {"client_key": key} if key else {},
        }
        return Cleaned(settings, {name: value for name, value in secrets.items() if value})

    def describe(self, settings: Mapping[str, Any]) -> list[tuple[str, str]]:
        auth = settings["authorization"]
        who = {
            "basic": lambda: [("User name", auth["username"]), ("Password", outcomes.MASK)],
            "api_key": lambda: [("Header", auth["name"]), ("Value", outcomes.MASK)],
            "oauth": lambda: [
                ("Token endpoint", f"{auth['method']} {_without_query(auth['endpoint'])}"),
                ("Client", auth["client_id"]),
                ("Client secret", f"{outcomes.MASK} (sent in the {_CLIENT[auth['client_authentication']]})"),
                *_described(auth, "OAuth "),
            ],
        }[auth["type"]]()
        times, given = settings["timeouts"], settings["tls"]
        return [
            ("URL", _without_query(settings["url"])),
            ("Method", settings["method"]),
            ("Authorization", AUTHORIZATIONS[auth["type"]]),
            *who,
            *_described(settings, ""),
            *_described_body(settings.get("body", {})),
            ("Signature", "Standard Webhooks" if settings["signing"]["enabled"] else "off"),
            ("Timeouts", f"{times['connect']:g} s to connect, {times['answer']:g} s to answer"),
            *([("Certificate authority", "a private one, beside the public")] if given.get("ca") else []),
            *([("Client certificate", "sent")] if given.get("client_certificate") else []),
        ]

    def render(self, event: Event, target: Target) -> Rendered:
        """The event with the body parameters at its top level, but for secret ones, which :meth:`send` adds."""
        given = target.settings.get("parameters", {}).get("body", {})
        plain = {name: value for name, value in given.items() if not isinstance(value, Mapping)}
        template = target.settings.get("body", {}).get("template")
        made = bodies.render(template, event) if template else event
        # Parameters have no place in a list.
        return Rendered(_compact(made if isinstance(made, list) else {**made, **plain}))

    def verbatim(self, target: Target) -> bool:
        """Whether the body is the event as it is, with fixed keys: then what varies can be put into it later."""
        return not target.settings.get("body", {}).get("template")

    def users_per_request(self, target: Target) -> int | None:
        """How many users one request speaks of at most; None: as many as the installation allows."""
        most: int | None = target.settings.get("body", {}).get("users_per_request")
        return most

    def show(self, body: bytes, target: Target) -> str:
        """The stored bytes as a page may show them: as sent, each secret body parameter blotted out."""
        names = target.settings.get("parameters", {}).get("body", {})
        hidden = {name: outcomes.MASK for name, value in names.items() if isinstance(value, Mapping)}
        return _joined(bytes(body), hidden).decode("utf-8", "replace")

    def send(self, outgoing: Outgoing, target: Target) -> Outcome:
        start = monotonic()
        auth = authorization.of(target)
        secrets = _hidden(target)
        try:
            answer = self._call(outgoing, target, auth)
            if answer.status in (401, 407) and isinstance(auth, authorization.OAuthClientCredentials):
                first = auth.step
                auth.renew()
                auth.step = f"{first} The receiver answered {answer.status}; {auth.step}"
                answer = self._call(outgoing, target, auth)
        except NoToken as error:
            result, reason, wait = error.result, outcomes.masked(str(error), secrets), error.retry_after
            return Outcome(
                result,
                f"No token, nothing sent. {reason}"[:500],
                None,
                _since(start),
                retry_after=wait,
                token_step=reason[:500],
            )
        except http.DoorError as error:
            result = _RESULTS.get(type(error), Result.OURS)
            return Outcome(result, str(error)[:500], error.status, _since(start), token_step=_step(auth))
        secrets += authorization.secrets_of(auth)
        result, reason = outcomes.classify(answer.status)
        return Outcome(
            result,
            reason,
            answer.status,
            _since(start),
            headers=outcomes.shown_headers(answer.headers, secrets),
            body=outcomes.excerpt(answer.body, secrets),
            retry_after=outcomes.retry_after(answer.headers.get("Retry-After"), datetime.now(UTC)),
            token_step=_step(auth),
        )

    def probe(self, outgoing: Outgoing, target: Target) -> Outcome:
        return self.send(outgoing, target)

    def _call(self, outgoing: Outgoing, target: Target, auth: http.AuthBase) -> http.Answer:
        given = of_target(target.settings, target.secrets)
        hidden = target.secrets.get("parameters", {}).get("body", {})
        body = _joined(outgoing.body, hidden)
        signatures = target.signing_secrets if target.settings["signing"]["enabled"] else ()
        headers = {
            **as_texts(given["header"]),
            "User-Agent": user_agent(),
            "Content-Type": outgoing.content_type,
            **signing.headers(signatures, outgoing.id, outgoing.timestamp, body),
        }
        url = with_query(target.settings["url"], as_texts(given["query"]))
        return http.request(
            target.settings["method"],
            url,
            headers=headers,
            body=body,
            auth=auth,
            tls=tls.of(target),
            **timeouts(target),
        )


AUTHORIZATIONS = {"basic": "Basic", "api_key": "API key", "oauth": "OAuth client credentials"}
_CLIENT = {"body": "form", "basic": "Authorization header"}
_RESULTS = {http.Refused: Result.PERMANENT, http.Unreachable: Result.RETRYABLE, http.Fault: Result.OURS}
_ENVELOPE_REFUSED = dict.fromkeys(ENVELOPE, "the event itself has a key of this name")
_CREDENTIALS = dict.fromkeys(("client_id", "client_secret"), "client_id and client_secret above are sent")


def _authorization(reader: Reader, stored: Cleaned | None) -> tuple[dict[str, Any], dict[str, Any]]:
    part = reader.part("authorization")
    kind = part.choice("type", tuple(AUTHORIZATIONS))
    if stored and stored.settings.get("authorization", {}).get("type") != kind:
        part.stored = {}
    given: dict[str, Any] = {"type": kind}
    secret: dict[str, Any] = {}
    if kind == "basic":
        given["username"] = part.text("username")
        if ":" in given["username"]:
            part.wrong("username", "A Basic user name holds no colon.")
        secret["password"] = part.secret("password")
    elif kind == "api_key":
        given["name"] = part.text("name")
        _check_header_name(part, given["name"])
        secret["value"] = part.secret("value")
        if not secret["value"].isprintable() or any(ord(c) > 255 for c in secret["value"]):
            part.wrong("value", "A header value holds Latin characters only.")
    else:
        given["endpoint"] = part.url("endpoint")
        if stored:
            part.same_host("endpoint", stored.settings["authorization"].get("endpoint"))
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
    part.done()
    return given, secret


def _check_header_name(part: Reader, name: str) -> None:
    if name and not TOKEN.fullmatch(name):
        part.wrong("name", "A header name holds letters, digits and hyphens, no spaces.")
    elif why := REFUSED_HEADERS.get(name.lower()):
        part.wrong("name", f"Choose another header: {why}.")


def _refused_headers(auth: Mapping[str, Any]) -> dict[str, str]:
    own = auth.get("name", "").lower() if auth["type"] == "api_key" else "authorization"
    return REFUSED_HEADERS | {own: "the authorization sets it"}


def _check_body(reader: Reader, shown: Mapping[str, Any], secret: Mapping[str, Any]) -> None:
    plain = {name: value for name, value in shown.items() if not isinstance(value, Mapping)}
    for values, most, what in ((plain, PLAIN_BODY, "Body"), (secret, SECRET_BODY, "Secret body")):
        if len(_compact(values)) > most:
            reader.wrong("parameters.body", f"{what} parameters may have {most // 1024} KiB in all.")


def _body(reader: Reader) -> dict[str, Any]:
    """``template``: Liquid that makes JSON; ``users_per_request``: 1 for one request a user."""
    part = reader.part("body")
    found: dict[str, Any] = {}
    template = part.value("template")
    if not isinstance(template, str | None):
        part.wrong("template", "Write the template's text.")
    elif template and template.strip():
        try:
            bodies.check(template)
        except liquid.TemplateError as error:
            part.wrong("template", str(error))
        found["template"] = template
    most = part.value("users_per_request")
    if most not in (None, ""):
        if isinstance(most, bool) or not isinstance(most, int) or not 1 <= most <= MOST_USERS:
            part.wrong("users_per_request", f"Write a whole number from 1 to {MOST_USERS:,}.")
        found["users_per_request"] = most
    part.done()
    return found


def _tls(reader: Reader) -> tuple[dict[str, Any], str]:
    part = reader.part("tls")
    given = {name: _pem(part, name) for name in ("ca", "client_certificate")}
    stored = part.stored.get("client_key", "") if given["client_certificate"] else ""
    key = _pem(part, "client_key") or stored
    part.done()
    try:
        tls.check(tls.Tls(given["ca"], given["client_certificate"], key))
    except tls.BadPem as error:
        part.wrong(
            {"ca": "ca", "certificate": "client_certificate", "key": "client_key"}[error.part], str(error)
        )
    return {name: pem for name, pem in given.items() if pem}, key


def _pem(part: Reader, key: str) -> str:
    found = part.value(key, "")
    if not isinstance(found, str) or len(found) > PEM or not found.isascii():
        part.wrong(key, "Paste PEM text: -----BEGIN … -----.")
        return ""
    return found.strip()


def _described(given: Mapping[str, Any], prefix: str) -> list[tuple[str, str]]:
    return [
        (f"{prefix}{where} parameters".capitalize() if not prefix else f"{prefix}{where} parameters", text)
        for where, rows in given.get("parameters", {}).items()
        if (
            text := ", ".join(
                f"{n}: {outcomes.MASK if isinstance(v, Mapping) else v}" for n, v in rows.items()
            )
        )
    ]


def _described_body(given: Mapping[str, Any]) -> list[tuple[str, str]]:
    most = given.get("users_per_request")
    return [
        *([("Body", "a template of its own")] if given.get("template") else []),
        *([("Users in one request", f"{most:,} at most")] if most else []),
    ]


def _hidden(target: Target) -> list[str]:
    """What a receiver could echo and nobody may read: secrets, as they are and as a URL holds them, and URLs' queries."""
    texts = secret_texts(target.secrets)
    urls = (target.settings["url"], target.settings["authorization"].get("endpoint", ""))
    return [*texts, *map(quote_plus, texts), *(url.partition("?")[2] for url in urls)]


def _without_query(url: str) -> str:
    head, mark, _ = url.partition("?")
    return f"{head}?{outcomes.MASK}" if mark else head


def _compact(value: Mapping[str, Any] | Sequence[Any]) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode(
        "utf-8", "replace"
    )


def _joined(body: bytes, more: Mapping[str, Any]) -> bytes:
    """The JSON object with further keys at its end, without parsing it; a list takes none."""
    if not more or body[:1] != b"{":
        return body
    return body[:-1] + (b"," if body != b"{}" else b"") + _compact(more)[1:]


def _step(auth: http.AuthBase) -> str:
    return auth.step[:500] if isinstance(auth, authorization.OAuthClientCredentials) else ""


def _since(start: float) -> int:
    return round((monotonic() - start) * 1000)
