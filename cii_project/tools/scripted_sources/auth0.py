"""Auth0 as its documentation has it: a token by client credentials, with a secret or a signed assertion, the search of users, authentication methods, roles, the log.

A search shows the first 1,000 users alone. Role members and the log page by checkpoint. Each endpoint requires its scope.
"""

import base64
import json
import time
from dataclasses import dataclass, field
from urllib.parse import unquote

from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.hashes import SHA256

from cii_project.tools.scripted_sources.server import Answer, Asked, json_answer
from integrations.services import Json, JsonObject

ERRORS = {
    400: ("Bad Request", "invalid_query_string"),
    401: ("Unauthorized", ""),
    403: ("Forbidden", "insufficient_scope"),
    404: ("Not Found", "inexistent_user"),
    429: ("Too Many Requests", "too_many_requests"),
    500: ("Internal Server Error", ""),
    503: ("Service Unavailable", "search_timeout"),
}
SCOPES = ("read:users", "read:authentication_methods", "read:roles", "read:role_members", "read:logs")
MOST_FOUND = 1_000


def auth0_error(status: int, text: str = "", headers: dict[str, str] | None = None) -> Answer:
    """An error as the Management API answers it."""
    name, code = ERRORS[status]
    body = {"statusCode": status, "error": name, "message": text or name, "errorCode": code}
    return json_answer({key: value for key, value in body.items() if value}, status, headers)


def auth0_user(key: str, created_at: str, **values: Json) -> JsonObject:
    """A user as ``GET /api/v2/users`` shows one. A value None is left out, as Auth0 does."""
    provider, _, identity = key.partition("|")
    user = {
        "user_id": key,
        "created_at": created_at,
        "updated_at": created_at,
        "email": f"{identity}@example.com",
        "email_verified": True,
        "name": identity,
        "nickname": identity,
        "picture": "https://s.gravatar.com/avatar/1",
        "identities": [
            {
                "connection": "Username-Password-Authentication",
                "provider": provider,
                "user_id": identity,
                "isSocial": False,
            }
        ],
        "last_login": "2025-11-20T08:30:00.000Z",
        "last_ip": "192.0.2.1",
        "logins_count": 3,
        **values,
    }
    return {name: value for name, value in user.items() if value is not None}


def auth0_method(kind: str, *, confirmed: bool = True, **values: Json) -> JsonObject:
    """One authentication method of a user."""
    return {
        "id": f"{kind}|dev_1",
        "type": kind,
        "confirmed": confirmed,
        "created_at": "2025-01-01T00:00:00.000Z",
        **values,
    }


def auth0_event(key: str, date: str, kind: str, country: str = "") -> JsonObject:
    """An event of the log; its id is made when it is shown."""
    event: JsonObject = {"date": date, "type": kind, "user_id": key, "ip": "192.0.2.1"}
    return event | ({"location_info": {"country_code": country}} if country else {})


@dataclass
class ScriptedAuth0:
    """A tenant. ``methods``: of each user; ``roles``: id → (name, ids of users); ``events``: of the log. ``page``: the most of a page. ``scopes``: those that
    the application was granted. ``audience``: the identifier of the Management API; "": that of the address. ``public_key``: of the application, which
    then has no secret; ``key_id`` and ``algorithm`` of that credential."""

    client_id: str = "scripted0Client0Id"
    client_secret: str = "scripted-secret-of-auth0-0123456789"  # noqa: S105  of a scripted server
    users: list[JsonObject] = field(default_factory=list)
    methods: dict[str, list[JsonObject]] = field(default_factory=dict)
    roles: dict[str, tuple[str, list[str]]] = field(default_factory=dict)
    events: list[JsonObject] = field(default_factory=list)
    scopes: tuple[str, ...] = SCOPES
    audience: str = ""
    public_key: RSAPublicKey | None = None
    key_id: str = "kid-of-the-credential"
    algorithm: str = "RS256"
    used_ids: set[str] = field(default_factory=set)
    page: int = 100
    calls: int = 5_000_000
    base: str = ""
    tokens: set[str] = field(default_factory=set)
    count: int = 0

    def answer(self, asked: Asked) -> Answer:
        if asked.path == "/oauth/token":
            return self._token(asked)
        scheme, _, token = asked.headers.get("Authorization", "").partition(" ")
        if scheme != "Bearer" or token not in self.tokens:
            return auth0_error(401, "Invalid token")
        self.count += 1
        parts = [unquote(part) for part in asked.path.removeprefix("/api/v2/").split("/")]
        match parts:
            case ["users"]:
                return self._needing("read:users") or self._users(asked)
            case ["users", key, "authentication-methods"]:
                return self._needing("read:authentication_methods") or self._methods(key)
            case ["logs"]:
                return self._needing("read:logs") or self._log(asked)
            case ["roles"]:
                return self._needing("read:roles") or self._roles(asked)
            case ["roles", key, "users"]:
                return self._needing("read:role_members") or self._role_users(asked, key)
            case _:
                return auth0_error(404)

    def _token(self, asked: Asked) -> Answer:
        form = asked.form
        if problem := self._client_problem(form):
            return json_answer({"error": "access_denied", "error_description": problem}, 401)
        if form.get("audience") != (self.audience or f"{self.base}/api/v2/"):
            text = f"Service not found: {form.get('audience')}"
            return json_answer({"error": "access_denied", "error_description": text}, 403)
        claims = {"iss": f"{self.base}/", "scope": " ".join(self.scopes), "n": len(self.tokens)}
        body = base64.urlsafe_b64encode(json.dumps(claims).encode()).rstrip(b"=").decode()
        token = f"eyJhbGciOiJSUzI1NiJ9.{body}.c2lnbmF0dXJl"
        self.tokens.add(token)
        return json_answer({"access_token": token, "token_type": "Bearer", "expires_in": 86_400})

    def _client_problem(self, form: dict[str, str]) -> str:
        """Why the application is not accepted; "" for a right secret or assertion."""
        if self.public_key is None:
            is_right = (form.get("client_id"), form.get("client_secret")) == (
                self.client_id,
                self.client_secret,
            )
            return "" if is_right else "Unauthorized"
        if form.get("client_assertion_type") != "urn:ietf:params:oauth:client-assertion-type:jwt-bearer":
            return "Client authentication is required"
        try:
            head, claims, signature = form["client_assertion"].split(".")
            scheme = (
                padding.PKCS1v15() if self.algorithm == "RS256" else padding.PSS(padding.MGF1(SHA256()), 32)
            )
            self.public_key.verify(_decoded(signature), f"{head}.{claims}".encode(), scheme, SHA256())
            header, found = json.loads(_decoded(head)), json.loads(_decoded(claims))
        except Exception:  # noqa: BLE001  whatever is malformed is refused
            return "Invalid client assertion"
        if header["alg"] != self.algorithm or header.get("kid", self.key_id) != self.key_id:
            return "Invalid client assertion: no credential of this kid and algorithm"
        if (found["iss"], found["sub"]) != (self.client_id, self.client_id):
            return "Invalid client assertion: another client"
        if found["aud"] != f"{self.base}/":
            return "Invalid client assertion: audience"
        now = time.time()
        if not now < found["exp"] <= now + 300 or max(found["iat"], found["nbf"]) > now + 10:
            return "Invalid client assertion: time"
        if found["jti"] in self.used_ids:
            return "Invalid client assertion: used before"
        self.used_ids.add(found["jti"])
        return ""

    def _needing(self, scope: str) -> Answer | None:
        if scope in self.scopes:
            return None
        return auth0_error(403, f"Insufficient scope, expected any of: {scope}", self._rate())

    def _rate(self) -> dict[str, str]:
        return {
            "x-ratelimit-limit": str(self.calls),
            "x-ratelimit-remaining": str(self.calls - self.count),
            "x-ratelimit-reset": str(int(time.time()) + 1),
        }

    def _users(self, asked: Asked) -> Answer:
        found = sorted(self.users, key=lambda each: str(each["created_at"]))
        if query := asked.query.get("q"):
            since = query.removeprefix("created_at:[").removesuffix(" TO *]")
            found = [each for each in found if each["created_at"] >= since]
        most = min(int(asked.query["per_page"]), self.page)
        start = int(asked.query["page"]) * most
        if start + most > MOST_FOUND:
            text = "You can only page through the first 1000 records. See https://auth0.com/docs/users/search/v3/view-search-results-by-page#limitation"
            return auth0_error(400, text)
        fields = asked.query["fields"].split(",")
        shown = [
            {name: each[name] for name in fields if name in each} for each in found[start : start + most]
        ]
        page = {"start": start, "limit": most, "length": len(shown), "total": len(found), "users": shown}
        return json_answer(page, headers=self._rate())

    def _methods(self, key: str) -> Answer:
        if not any(each["user_id"] == key for each in self.users):
            return auth0_error(404, "The user does not exist.")
        return json_answer(self.methods.get(key, []), headers=self._rate())

    def _roles(self, asked: Asked) -> Answer:
        most = min(int(asked.query["per_page"]), self.page)
        start = int(asked.query["page"]) * most
        found = [{"id": key, "name": name, "description": ""} for key, (name, _) in self.roles.items()]
        page = {"start": start, "limit": most, "total": len(found), "roles": found[start : start + most]}
        return json_answer(page, headers=self._rate())

    def _role_users(self, asked: Asked, key: str) -> Answer:
        if key not in self.roles:
            return auth0_error(404, "The role does not exist.")
        members = self.roles[key][1]
        start = int(asked.query.get("from", "0"))
        end = start + min(int(asked.query["take"]), self.page)
        page: JsonObject = {"users": [{"user_id": each} for each in members[start:end]]}
        if end < len(members):
            page["next"] = str(end)
        return json_answer(page, headers=self._rate())

    def _log(self, asked: Asked) -> Answer:
        events = [{"log_id": f"9002{n:06}", **each} for n, each in enumerate(self.events)]
        if "from" not in asked.query:
            since = asked.query.get("q", "").removeprefix("date:[").removesuffix(" TO *]")
            found = [each for each in events if each["date"] >= since]
            return json_answer(found[: int(asked.query["per_page"])], headers=self._rate())
        place = asked.query["from"]
        newer = [each for each in events if each["log_id"] > place]
        shown = newer[: min(int(asked.query["take"]), self.page)]
        last = shown[-1]["log_id"] if shown else place
        link = f'<{self.base}/api/v2/logs?from={last}&take={asked.query["take"]}>; rel="next"'
        return json_answer(shown, headers={**self._rate(), "Link": link})


def _decoded(part: str) -> bytes:
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))
