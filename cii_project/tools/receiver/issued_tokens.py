"""A token endpoint for OAuth 2.0 client credentials (RFC 6749 §4.4): the receiver's own, on loopback.

The request may come as POST or PUT with a form body or as GET with a query, since senders that copy
AWS EventBridge offer all three; the client authenticates in the form or by HTTP Basic (§2.3.1).
"""

import base64
import binascii
import hmac
import secrets
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, unquote_plus, urlsplit

from integrations.services import JsonObject

PATH = "/oauth/token"
MOST_TOKENS = 1000


@dataclass(frozen=True, slots=True)
class TokenResponse:
    """``parameters`` are what else was asked for (scope, audience …), for the log."""

    status: int
    document: dict[str, object]
    headers: dict[str, str] = field(default_factory=dict)
    parameters: dict[str, str] = field(default_factory=dict)


def _error(status: int, code: str, text: str) -> TokenResponse:
    challenge = {"WWW-Authenticate": 'Basic realm="receiver"'} if status == 401 else {}
    return TokenResponse(status, {"error": code, "error_description": text}, challenge)


def _basic_client(header: str) -> tuple[str, str] | None:
    scheme, _, value = header.partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        name, _, secret = base64.b64decode(value, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return "", ""
    # RFC 6749 §2.3.1: both are form-encoded before they are joined.
    return unquote_plus(name), unquote_plus(secret)


class TokenEndpoint:
    """Issues and knows tokens; thread-safe. ``lifetime`` in seconds."""

    def __init__(
        self,
        client_id: str,
        client_secret: str,
        *,
        lifetime: int = 3600,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._client = (client_id, client_secret)
        self._lifetime = lifetime
        self._clock = clock
        self._lock = threading.Lock()
        self._expiry: dict[str, float] = {}
        self.issued = 0

    def knows(self, token: str) -> bool:
        with self._lock:
            return self._expiry.get(token, 0.0) > self._clock()

    def answer(self, method: str, target: str, headers: Mapping[str, str], body: bytes) -> TokenResponse:
        """``headers`` with names in lower case; ``target`` is the request's path with its query."""
        fields = dict(parse_qsl(urlsplit(target).query, keep_blank_values=True))
        if method in ("POST", "PUT"):
            if not headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
                return _error(
                    400, "invalid_request", "Send the parameters as application/x-www-form-urlencoded."
                )
            fields |= dict(parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True))
        elif method != "GET":
            return _error(405, "invalid_request", "Use POST, PUT or GET.")
        return self._issue(fields, _basic_client(headers.get("authorization", "")))

    def _issue(self, fields: dict[str, str], basic: tuple[str, str] | None) -> TokenResponse:
        in_form = (fields.pop("client_id", ""), fields.pop("client_secret", ""))
        if basic and in_form[1]:
            return _error(
                400, "invalid_request", "Client authentication twice: choose the form or HTTP Basic."
            )
        given = basic or in_form
        known = [
            hmac.compare_digest(a.encode(), b.encode()) for a, b in zip(given, self._client, strict=True)
        ]
        if not all(known):
            return _error(401, "invalid_client", "The client's id or secret is wrong.")
        grant = fields.pop("grant_type", "")
        if grant != "client_credentials":
            return _error(400, "unsupported_grant_type", "grant_type must be client_credentials.")
        document: JsonObject = {
            "access_token": secrets.token_urlsafe(32),
            "token_type": "Bearer",
            "expires_in": self._lifetime,
        }
        if scope := fields.get("scope"):
            document["scope"] = scope
        with self._lock:
            now = self._clock()
            if len(self._expiry) >= MOST_TOKENS:
                self._expiry = {token: end for token, end in self._expiry.items() if end > now}
            self._expiry[document["access_token"]] = now + self._lifetime
            self.issued += 1
        return TokenResponse(200, document, {"Cache-Control": "no-store"}, fields)
