"""Okta as its documentation has it (developer.okta.com/docs/api: Users, User Factors, Role Assignments, Groups, Apps,
System Log). ``tests/sync/test_published_schemas.py`` compares every answer with the published schemas.

Lists page by ``Link``; answers carry ``X-Rate-Limit-*``; errors have ``errorCode`` and ``errorSummary``. The token endpoint
verifies the client's signed assertion.
"""

import base64
import hashlib
import json
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from urllib.parse import urlencode

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey, RSAPublicNumbers

from cii_project.tools.scripted_sources.server import Answer, Asked, json_answer
from integrations.services import Json, JsonObject

ERRORS = {
    400: ("E0000021", "The request was not valid"),
    401: ("E0000011", "Invalid token provided"),
    403: ("E0000006", "You do not have permission to perform the requested action"),
    404: ("E0000007", "Not found: Resource not found: (UserFactor)"),
    429: ("E0000047", "API call exceeded rate limit due to too many requests."),
    500: ("E0000009", "Internal Server Error"),
}
# The standard roles, by type; any other name is that of a custom role.
ADMIN_LABELS = {
    "API_ACCESS_MANAGEMENT_ADMIN": "API Access Management Administrator",
    "APP_ADMIN": "Application Administrator",
    "HELP_DESK_ADMIN": "Help Desk Administrator",
    "ORG_ADMIN": "Organization Administrator",
    "READ_ONLY_ADMIN": "Read-only Administrator",
    "SUPER_ADMIN": "Super Administrator",
}
# Who makes the factors of a type, where that is not Okta.
FACTOR_PROVIDERS = {
    "token": "RSA",
    "token:hardware": "YUBICO",
    "token:hotp": "CUSTOM",
    "u2f": "FIDO",
    "web": "DUO",
    "webauthn": "FIDO",
}


def okta_error(status: int, headers: dict[str, str] | None = None) -> Answer:
    """An error as Okta's API answers it."""
    code, summary = ERRORS[status]
    body = {
        "errorCode": code,
        "errorSummary": summary,
        "errorLink": code,
        "errorId": "oae1",
        "errorCauses": [],
    }
    return json_answer(body, status, headers)


def okta_user(key: str, login: str, **values: Json) -> JsonObject:
    """A user as ``GET /api/v1/users`` shows one; ``profile`` is merged, other values replace the defaults."""
    first, _, last = login.partition("@")[0].partition(".")
    profile = {
        "firstName": first.capitalize(),
        "lastName": last.capitalize() or "Doe",
        "mobilePhone": None,
        "secondEmail": None,
        "login": login,
        "email": login,
        **values.pop("profile", {}),
    }
    return {
        "id": key,
        "status": "ACTIVE",
        "created": "2024-03-01T09:00:00.000Z",
        "activated": "2024-03-01T09:00:00.000Z",
        "statusChanged": "2024-03-01T09:00:00.000Z",
        "lastLogin": "2026-11-20T08:30:00.000Z",
        "lastUpdated": "2026-11-20T08:30:00.000Z",
        "passwordChanged": "2026-10-01T10:00:00.000Z",
        "type": {"id": "oty1"},
        "profile": profile,
        **values,
    }


def okta_factor(kind: str, *, status: str = "ACTIVE", provider: str = "", **profile: Json) -> JsonObject:
    """A factor as ``GET /api/v1/users/{id}/factors`` shows one; ``provider`` is one that its type has by default."""
    provider = provider or FACTOR_PROVIDERS.get(kind, "OKTA")
    return {
        "id": f"fac{kind}",
        "factorType": kind,
        "provider": provider,
        "vendorName": provider,
        "status": status,
        "created": "2024-03-02T09:00:00.000Z",
        "lastUpdated": "2024-03-02T09:00:00.000Z",
        "profile": profile,
    }


def okta_event(key: str, kind: str = "user.mfa.factor.activate", **values: Json) -> JsonObject:
    """An event of the System Log about a user's factor, as ``GET /api/v1/logs`` shows one; ``published`` is now by default."""
    return {
        "uuid": "0d4a62f9-9c3e-11f0-8f4a-1b2c3d4e5f60",
        "published": f"{datetime.now(UTC).isoformat(timespec='milliseconds').removesuffix('+00:00')}Z",
        "eventType": kind,
        "severity": "INFO",
        "displayMessage": "Activate factor or authenticator enrollment method for user",
        "actor": {"id": "00uactor", "type": "User", "alternateId": "help.desk@example.com"},
        "outcome": {"result": "SUCCESS"},
        "target": [
            {"id": key, "type": "User", "alternateId": "user@example.com", "displayName": "User"},
            {"id": "opf1", "type": "AuthenticatorEnrollment", "alternateId": "unknown"},
        ],
        **values,
    }


@dataclass
class ScriptedOkta:
    """An organization. ``users`` by id; ``factors``, ``roles`` (types, or names of custom roles) by user; ``groups`` and ``apps``: id → (name, user ids).

    ``events``: the System Log. ``forbidden``: starts of paths that answer 403. ``page``: the most records of a page, ``log_page`` of the log.
    ``calls``: the limit a minute that the headers name.
    """

    token: str = "00scripted-token-0123456789"  # noqa: S105  of a scripted server
    client_id: str = "0oascripted"
    public_key: RSAPublicKey | None = None
    # Whether the app requires proofs of possession (DPoP), with this nonce.
    nonce: str = ""
    users: dict[str, JsonObject] = field(default_factory=dict)
    factors: dict[str, list[JsonObject]] = field(default_factory=dict)
    roles: dict[str, list[str]] = field(default_factory=dict)
    groups: dict[str, tuple[str, list[str]]] = field(default_factory=dict)
    apps: dict[str, tuple[str, list[str]]] = field(default_factory=dict)
    events: list[JsonObject] = field(default_factory=list)
    forbidden: tuple[str, ...] = ()
    # The scopes that the app has not been granted.
    ungranted: tuple[str, ...] = ()
    page: int = 200
    log_page: int = 1000
    calls: int = 600_000
    base: str = ""
    access_tokens: set[str] = field(default_factory=set)
    window: dict[tuple[str, int], int] = field(default_factory=dict)

    def change_factors(self, key: str, factors: list[JsonObject], **event: Json) -> None:
        """Replace a user's factors, which is logged."""
        self.factors[key] = factors
        self.events.append(okta_event(key, **event))

    def answer(self, asked: Asked) -> Answer:
        if asked.path == "/oauth2/v1/token":
            return self._token(asked)
        headers = self._rate(asked.path)
        given = asked.headers.get("Authorization", "")
        scheme, _, text = given.partition(" ")
        if not self._is_authorized(asked, scheme, text):
            return okta_error(401, headers)
        if int(headers["X-Rate-Limit-Remaining"]) < 0:
            return okta_error(429, {**headers, "X-Rate-Limit-Remaining": "0"})
        is_out_of_scope = asked.path == "/api/v1/logs" and "okta.logs.read" in self.ungranted
        if is_out_of_scope or asked.path.startswith(self.forbidden or ("\0",)):
            return okta_error(403, headers)
        return self._resource(asked, headers)

    def _is_authorized(self, asked: Asked, scheme: str, text: str) -> bool:
        if scheme == "SSWS":
            return text == self.token
        if scheme == "DPoP":
            return text in self.access_tokens and not self._proof_problem(asked, text)
        return scheme == "Bearer" and text in self.access_tokens and not self.nonce

    def _resource(self, asked: Asked, headers: dict[str, str]) -> Answer:
        match asked.path.strip("/").split("/")[2:]:
            case ["users"]:
                return self._list(
                    asked, sorted(self.users.values(), key=lambda user: str(user["id"])), headers
                )
            case ["users", key, "factors"] if key in self.users:
                return json_answer(self.factors.get(key, []), headers=headers)
            case ["users", key, "roles"] if key in self.users:
                return json_answer([_role(each) for each in self.roles.get(key, [])], headers=headers)
            case ["iam", "assignees", "users"]:
                return self._assignees(asked, headers)
            case ["logs"]:
                return self._logs(asked, headers)
            case ["groups"]:
                return self._list(asked, [_group(*each) for each in self.groups.items()], headers)
            case ["apps"]:
                return self._list(asked, [_app(key, name) for key, (name, _) in self.apps.items()], headers)
            case ["groups", key, "users"] if key in self.groups:
                members = [self.users.get(each, {"id": each}) for each in self.groups[key][1]]
                return self._list(asked, members, headers)
            case ["apps", key, "users"] if key in self.apps:
                return self._list(asked, [_app_user(each) for each in self.apps[key][1]], headers)
            case _:
                return okta_error(404, headers)

    def _list(self, asked: Asked, items: list[JsonObject], headers: dict[str, str]) -> Answer:
        after, limit = asked.query.get("after", ""), min(int(asked.query.get("limit", self.page)), self.page)
        start = (
            next((place + 1 for place, item in enumerate(items) if item["id"] == after), 0) if after else 0
        )
        shown = items[start : start + limit]
        links = [f'<{self.base}{asked.path}?limit={limit}>; rel="self"']
        if start + limit < len(items):
            query = urlencode({**asked.query, "after": shown[-1]["id"], "limit": limit})
            links.append(f'<{self.base}{asked.path}?{query}>; rel="next"')
        return json_answer(shown, headers={**headers, "Link": ", ".join(links)})

    def _logs(self, asked: Asked, headers: dict[str, str]) -> Answer:
        """Of a bounded request (with ``until``) the last page has no link; of a polling one each page has."""
        now = datetime.now(UTC)
        try:
            until = datetime.fromisoformat(asked.query["until"]) if "until" in asked.query else now
            since = datetime.fromisoformat(asked.query.get("since") or f"{until - timedelta(days=7)}")
        except ValueError:
            return okta_error(400, headers)
        since = max(since, now - timedelta(days=90))
        prefix = asked.query.get("filter", 'eventType sw ""').removeprefix("eventType sw ").strip('"')
        found = [
            event
            for event in self.events
            if since <= datetime.fromisoformat(event["published"]) <= until
            and str(event.get("eventType", "")).startswith(prefix)
        ]
        start, limit = (
            int(asked.query.get("after", 0)),
            min(int(asked.query.get("limit", 100)), self.log_page),
        )
        links = [f'<{self.base}{asked.path}>; rel="self"']
        if start + limit < len(found) or "until" not in asked.query:
            query = urlencode({**asked.query, "after": min(start + limit, len(found))})
            links.append(f'<{self.base}{asked.path}?{query}>; rel="next"')
        return json_answer(found[start : start + limit], headers={**headers, "Link": ", ".join(links)})

    def _assignees(self, asked: Asked, headers: dict[str, str]) -> Answer:
        ids = sorted(key for key, roles in self.roles.items() if roles)
        after, limit = asked.query.get("after", ""), min(int(asked.query.get("limit", 100)), self.page)
        rest = [key for key in ids if key > after]
        links: JsonObject = {}
        if len(rest) > limit:
            links["next"] = {"href": f"{self.base}{asked.path}?after={rest[limit - 1]}&limit={limit}"}
        value = [{"id": key, "orn": f"orn:okta:directory:00o1:users:{key}"} for key in rest[:limit]]
        return json_answer({"value": value, "_links": links}, headers=headers)

    def _rate(self, path: str) -> dict[str, str]:
        now = int(time.time())
        parts = path.strip("/").split("/")
        family = parts[-1] if len(parts) > 3 else parts[2] if len(parts) > 2 else path
        key = (family, now // 60)
        self.window[key] = self.window.get(key, 0) + 1
        return {
            "X-Rate-Limit-Limit": str(self.calls),
            "X-Rate-Limit-Remaining": str(self.calls - self.window[key]),
            "X-Rate-Limit-Reset": str((now // 60 + 1) * 60),
        }

    def _token(self, asked: Asked) -> Answer:
        form = asked.form
        if self.nonce and (wrong := self._proof_problem(asked, "")):
            headers = {"DPoP-Nonce": self.nonce} if wrong == "use_dpop_nonce" else {}
            body = {"error": wrong, "error_description": "The DPoP proof is not accepted."}
            return json_answer(body, 400, headers)
        problem = self._assertion_problem(form.get("client_assertion", ""))
        if problem:
            return json_answer({"error": "invalid_client", "error_description": problem}, 401)
        if set(form.get("scope", "").split()) & set(self.ungranted):
            text = "One or more scopes are not configured for the authorization server resource."
            return json_answer({"error": "invalid_scope", "error_description": text}, 400)
        token = f"at{len(self.access_tokens)}." + _encoded({"scp": form.get("scope", "").split()}) + ".s"
        self.access_tokens.add(token)
        return json_answer(
            {
                "token_type": "DPoP" if self.nonce else "Bearer",
                "expires_in": 3600,
                "access_token": token,
                "scope": form.get("scope", ""),
            }
        )

    def _proof_problem(self, asked: Asked, token: str) -> str:
        """The error of a DPoP proof for this request (RFC 9449 §4.3); "" for a good one."""
        try:
            claims = _proven_claims(asked.headers.get("DPoP", ""))
        except Exception:  # noqa: BLE001  whatever is malformed is refused
            return "invalid_dpop_proof"
        if claims["htm"] != asked.method or claims["htu"] != f"{self.base}{asked.path}":
            return "invalid_dpop_proof"
        if not token:
            return "" if claims.get("nonce") == self.nonce else "use_dpop_nonce"
        digest = hashlib.sha256(token.encode()).digest()
        wanted = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
        return "" if claims.get("ath") == wanted else "invalid_dpop_proof"

    def _assertion_problem(self, assertion: str) -> str:
        """The problem of a client assertion; "" for a valid one."""
        try:
            head, claims, signature = assertion.split(".")
            if self.public_key is None:
                return "The client has no registered key."
            self.public_key.verify(
                _decoded(signature), f"{head}.{claims}".encode(), padding.PKCS1v15(), hashes.SHA256()
            )
            found = json.loads(_decoded(claims))
        except Exception:  # noqa: BLE001  whatever is malformed is refused
            return "The client_assertion signature is invalid."
        if found["iss"] != self.client_id or found["sub"] != self.client_id:
            return "The client_assertion is of another client."
        if (
            found["aud"] != f"{self.base}/oauth2/v1/token"
            or not time.time() < found["exp"] <= time.time() + 3600
        ):
            return "The client_assertion has another audience or has expired."
        return ""


def _proven_claims(proof: str) -> JsonObject:
    """The claims of a proof that the key inside it verifies. Raises for any other."""
    head, claims, signature = proof.split(".")
    jwk = json.loads(_decoded(head))["jwk"]
    numbers = RSAPublicNumbers(*(int.from_bytes(_decoded(jwk[name]), "big") for name in ("e", "n")))
    numbers.public_key().verify(
        _decoded(signature), f"{head}.{claims}".encode(), padding.PKCS1v15(), hashes.SHA256()
    )
    found: JsonObject = json.loads(_decoded(claims))
    return found


def _role(kind: str) -> JsonObject:
    role: JsonObject = {
        "id": f"ra{kind}",
        "label": ADMIN_LABELS.get(kind, kind),
        "type": kind if kind in ADMIN_LABELS else "CUSTOM",
        "status": "ACTIVE",
        "assignmentType": "USER",
    }
    return role if kind in ADMIN_LABELS else {**role, "role": f"cr{kind}", "resource-set": "iam1"}


def _group(key: str, value: tuple[str, list[str]]) -> JsonObject:
    kind = "BUILT_IN" if value[0] == "Everyone" else "OKTA_GROUP"
    return {"id": key, "type": kind, "profile": {"name": value[0], "description": f"All of {value[0]}"}}


def _app(key: str, name: str) -> JsonObject:
    return {"id": key, "name": name.lower(), "label": name, "status": "ACTIVE", "signOnMode": "SAML_2_0"}


def _app_user(key: str) -> JsonObject:
    return {"id": key, "scope": "USER", "status": "ACTIVE", "syncState": "DISABLED"}


def _encoded(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


def _decoded(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
