"""The types of authorization of a request, as ``AuthBase`` of requests."""

from collections.abc import Callable
from http import HTTPStatus

from oauthlib.oauth2 import BackendApplicationClient
from requests_oauthlib import OAuth2

from integrations.auth import tokens
from integrations.json_types import JsonMapping
from integrations.target_data import Target
from integrations.transport.http import AuthBase, HttpAnswer, HTTPBasicAuth, PreparedRequest


class Basic(HTTPBasicAuth):
    """RFC 7617, user name and password as UTF-8 (requests alone would encode them as Latin-1)."""

    username: bytes
    password: bytes

    def __init__(self, username: str, password: str) -> None:
        super().__init__(username.encode(), password.encode())


class NoAuthorization(AuthBase):
    """Sends nothing, for receivers whose URL is the secret. Without it requests would read credentials from ``.netrc``."""

    def __call__(self, r: PreparedRequest) -> PreparedRequest:
        return r


class ApiKey(AuthBase):
    """A header with a configured name and value."""

    def __init__(self, name: str, value: str) -> None:
        self.name, self.value = name, value

    def __call__(self, r: PreparedRequest) -> PreparedRequest:
        r.headers[self.name] = self.value
        return r


class OAuthClientCredentials(OAuth2):
    """A bearer token (RFC 6750) from the token endpoint (RFC 6749 §4.4), shared by all workers.

    requests-oauthlib's own session fetches no token by PUT and opens its own connections, so only its authorization is
    used, with the token of tokens.py. The library refuses every ``http://`` URL; the transport decides about these
    (http.py), so the library sees the URL as ``https://`` during this call.

    ``step`` says, after the call, what happened at the token endpoint. Calling raises
    :class:`~integrations.auth.tokens.TokenError`.
    """

    def __init__(self, target: Target) -> None:
        self.client = BackendApplicationClient(target.settings["authorization"]["client_id"])
        super().__init__(client=self.client)
        self.target = target
        self.token: tokens.Token | None = None
        # Each token that was sent in this attempt, also a refused one: all of them are masked.
        self.sent: list[str] = []
        self.step = ""

    def __call__(self, r: PreparedRequest) -> PreparedRequest:
        if self.token is None:
            self.token, self.step = tokens.token_of(self.target)
        self.client.access_token = self.token.text
        self.sent.append(self.token.text)
        url = r.url or ""
        r.url = "https://" + url.partition("://")[2]
        super().__call__(r)
        r.url = url
        return r

    def renew(self) -> None:
        """Get another token after the receiver refused the present one. Raises :class:`~integrations.auth.tokens.TokenError`."""
        self.token, self.step = tokens.token_of(self.target, refused=self.token)

    def send(self, request: Callable[[], HttpAnswer]) -> HttpAnswer:
        """The answer of ``request``, which sends this token. If it refuses the token, the request is sent
        once more with a new one."""
        answer = request()
        if not tokens.may_be_revoked(self.target, answer.status, self.step):
            return answer
        first, status = self.step, answer.status
        self.renew()
        self.step = f"{first} The receiver answered {status}; {self.step}"
        answer = request()
        if answer.status == HTTPStatus.FORBIDDEN:
            tokens.note_forbidden(self.target)
        return answer


def authorization_of(target: Target) -> AuthBase:
    """The authorization of a webhook target."""
    given: JsonMapping = target.settings["authorization"]
    secret: JsonMapping = target.secrets.get("authorization", {})
    match given["type"]:
        case "none":
            return NoAuthorization()
        case "basic":
            return Basic(given["username"], secret["password"])
        case "api_key":
            return ApiKey(given["name"], secret["value"])
        case _:
            return OAuthClientCredentials(target)


def secrets_of(auth: AuthBase) -> list[str]:
    """Secrets that this authorization sent and that are not in the target: tokens, and user name with password."""
    if isinstance(auth, OAuthClientCredentials):
        return list(auth.sent)
    if isinstance(auth, HTTPBasicAuth):
        return [":".join(_as_text(part) for part in (auth.username, auth.password))]
    return []


def _as_text(part: str | bytes) -> str:
    return part.decode() if isinstance(part, bytes) else part
