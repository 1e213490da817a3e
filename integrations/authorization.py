"""How a request says who it is: each type of authorization as requests' ``AuthBase``."""

import base64
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from oauthlib.oauth2 import BackendApplicationClient
from requests_oauthlib import OAuth2

from integrations import tokens
from integrations.http import AuthBase, HTTPBasicAuth

if TYPE_CHECKING:
    from integrations.targets.base import Target


class Basic(HTTPBasicAuth):
    """RFC 7617, user name and password as UTF-8 (requests itself would take Latin-1)."""

    username: bytes
    password: bytes

    def __init__(self, username: str, password: str) -> None:
        super().__init__(username.encode(), password.encode())


class ApiKey(AuthBase):
    """One header, name and value of the owner's choice."""

    def __init__(self, name: str, value: str) -> None:
        self.name, self.value = name, value

    def __call__(self, r: Any) -> Any:
        r.headers[self.name] = self.value
        return r


class OAuthClientCredentials(OAuth2):
    """A bearer token (RFC 6750) from the token endpoint (RFC 6749 §4.4), shared by all workers.

    requests-oauthlib's own session fetches no token by PUT and opens its own connections; its
    authorization places the one that tokens.py has fetched through the door.

    ``step`` tells, after the call, what happened at the endpoint. Calling raises
    :class:`~integrations.tokens.NoToken`.
    """

    def __init__(self, target: "Target") -> None:
        self.client = BackendApplicationClient(target.settings["authorization"]["client_id"])
        super().__init__(client=self.client)
        self.target = target
        self.token: tokens.Token | None = None
        self.step = ""

    def __call__(self, r: Any) -> Any:
        if self.token is None:
            self.token, self.step = tokens.token_of(self.target)
        self.client.access_token = self.token.text
        return super().__call__(r)

    def renew(self) -> None:
        """Get another token than the one that the receiver refused. Raises :class:`~integrations.tokens.NoToken`."""
        self.token, self.step = tokens.token_of(self.target, refused=self.token)


def of(target: "Target") -> AuthBase:
    """The authorization of a webhook target."""
    given: Mapping[str, Any] = target.settings["authorization"]
    secret: Mapping[str, Any] = target.secrets.get("authorization", {})
    match given["type"]:
        case "basic":
            return Basic(given["username"], secret["password"])
        case "api_key":
            return ApiKey(given["name"], secret["value"])
        case _:
            return OAuthClientCredentials(target)


def secrets_of(auth: AuthBase) -> list[str]:
    """What this authorization put into the request, to be blotted out of all that is kept."""
    if isinstance(auth, OAuthClientCredentials) and auth.token is not None:
        return [auth.token.text]
    if isinstance(auth, Basic):
        return [base64.b64encode(auth.username + b":" + auth.password).decode()]
    return []
