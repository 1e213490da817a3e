"""Google's Admin SDK as its documentation and its discovery documents have it: users, roles, groups and the report of
usage. Lists page by ``nextPageToken``; errors have ``error.errors[].reason``. The token endpoint verifies the signed assertion
and grants the scopes that are delegated."""

import base64
import json
import time
from dataclasses import dataclass, field

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from cii_project.tools.scripted_sources.server import Answer, Asked, json_answer
from integrations.services import Json, JsonObject

SCOPE = "https://www.googleapis.com/auth/"
USERS_SCOPE, ROLES_SCOPE = (
    f"{SCOPE}admin.directory.user.readonly",
    f"{SCOPE}admin.directory.rolemanagement.readonly",
)
GROUPS_SCOPE, REPORTS_SCOPE = f"{SCOPE}admin.directory.group.readonly", f"{SCOPE}admin.reports.usage.readonly"
ALL_SCOPES = (USERS_SCOPE, ROLES_SCOPE, GROUPS_SCOPE, REPORTS_SCOPE)
# Status → reason and message.
ERRORS = {
    400: ("invalid", "Invalid Input"),
    401: ("authError", "Invalid Credentials"),
    403: ("forbidden", "Not Authorized to access this resource/api"),
    404: ("notFound", "Resource Not Found: groupKey"),
    429: ("rateLimitExceeded", "Quota exceeded for quota metric 'Queries'."),
    503: ("backendError", "Service unavailable. Please try again"),
}


def google_error(
    status: int, reason: str = "", text: str = "", headers: dict[str, str] | None = None
) -> Answer:
    """An error as a Google API answers it."""
    usual, message = ERRORS[status]
    text = text or message
    item = {"message": text, "domain": "global", "reason": reason or usual}
    return json_answer({"error": {"code": status, "message": text, "errors": [item]}}, status, headers)


def google_user(key: str, login: str, **values: Json) -> JsonObject:
    """A user as ``users.list`` shows one with ``projection=full``."""
    first, _, last = login.partition("@")[0].partition(".")
    return {
        "kind": "admin#directory#user",
        "id": key,
        "primaryEmail": login,
        "name": {
            "givenName": first.capitalize(),
            "familyName": last.capitalize(),
            "fullName": f"{first.capitalize()} {last.capitalize()}".strip(),
        },
        "isAdmin": False,
        "isDelegatedAdmin": False,
        "lastLoginTime": "2026-11-20T08:30:00.000Z",
        "creationTime": "2024-03-01T09:00:00.000Z",
        "agreedToTerms": True,
        "suspended": False,
        "archived": False,
        "changePasswordAtNextLogin": False,
        "emails": [{"address": login, "primary": True}],
        "customerId": "C01scripted",
        "orgUnitPath": "/",
        "isMailboxSetup": True,
        "isEnrolledIn2Sv": False,
        "isEnforcedIn2Sv": False,
        **values,
    }


@dataclass
class ScriptedGoogle:
    """A customer. ``keys``: user → (security keys, passkeys). ``roles``: name → ids of users or groups. ``groups``: id →
    (name, user ids). ``scopes``: those that are delegated. ``report_days``: the days of which there is a report, by ISO
    date; None: every day. ``page``: the most of a page."""

    email: str = "identity-checks@scripted.iam.gserviceaccount.com"
    admin: str = "identity-checks@example.com"
    public_key: RSAPublicKey | None = None
    users: dict[str, JsonObject] = field(default_factory=dict)
    keys: dict[str, tuple[int, int]] = field(default_factory=dict)
    roles: dict[str, list[str]] = field(default_factory=dict)
    groups: dict[str, tuple[str, list[str]]] = field(default_factory=dict)
    scopes: tuple[str, ...] = ALL_SCOPES
    report_days: set[str] | None = None
    page: int = 500
    base: str = ""
    # Access token → its scopes.
    access_tokens: dict[str, list[str]] = field(default_factory=dict)

    def answer(self, asked: Asked) -> Answer:
        if asked.path == "/token":
            return self._token(asked.form)
        scheme, _, text = asked.headers.get("Authorization", "").partition(" ")
        if scheme != "Bearer" or text not in self.access_tokens:
            return google_error(401)
        parts = asked.path.strip("/").split("/")[1:]
        if _needed_scope(parts) not in self.access_tokens[text]:
            return google_error(
                403, "insufficientPermissions", "Request had insufficient authentication scopes."
            )
        return self._resource(asked, parts)

    def _token(self, form: dict[str, str]) -> Answer:
        try:
            claims = self._claims(form)
        except Exception:  # noqa: BLE001  whatever is malformed is refused
            return _refused("invalid_grant", "Invalid JWT Signature.", 400)
        if not claims["iat"] <= time.time() + 60 or claims["exp"] - claims["iat"] > 3600:
            return _refused("invalid_grant", "Invalid JWT: Token must be a short-lived token.", 400)
        if claims["sub"] != self.admin:
            return _refused("invalid_grant", "Invalid email or User ID", 400)
        scopes = claims["scope"].split()
        if not set(scopes) <= set(self.scopes):
            text = (
                "Client is unauthorized to retrieve access tokens using this method, or client not authorized for any "
                "of the scopes requested."
            )
            return _refused("unauthorized_client", text, 401)
        token = f"ya29.scripted-{len(self.access_tokens)}"
        self.access_tokens[token] = scopes
        return json_answer({"access_token": token, "expires_in": 3599, "token_type": "Bearer"})

    def _claims(self, form: dict[str, str]) -> JsonObject:
        """The claims of an assertion that the service account's key verifies. Raises for any other."""
        head, claims, signature = form["assertion"].split(".")
        if self.public_key is None or form["grant_type"] != "urn:ietf:params:oauth:grant-type:jwt-bearer":
            raise ValueError("no key")
        self.public_key.verify(
            _decoded(signature), f"{head}.{claims}".encode(), padding.PKCS1v15(), hashes.SHA256()
        )
        found: JsonObject = json.loads(_decoded(claims))
        if found["iss"] != self.email or found["aud"] != "https://oauth2.googleapis.com/token":
            raise ValueError("another client or audience")
        return found

    def _resource(self, asked: Asked, parts: list[str]) -> Answer:
        match parts[2:]:
            case ["users"]:
                users = sorted(self.users.values(), key=lambda user: str(user["primaryEmail"]))
                return self._list(asked, "admin#directory#users", "users", users)
            case ["customer", "my_customer", "roles"]:
                return self._list(asked, "admin#directory#roles", "items", self._roles())
            case ["customer", "my_customer", "roleassignments"]:
                return self._list(asked, "admin#directory#roleAssignments", "items", self._assignments())
            case ["groups"]:
                groups = [_group(key, name, members) for key, (name, members) in self.groups.items()]
                return self._list(asked, "admin#directory#groups", "groups", groups)
            case ["groups", key, "members"] if key in self.groups:
                members = [self._member(each) for each in self.groups[key][1]]
                return self._list(asked, "admin#directory#members", "members", members)
            case ["usage", "users", "all", "dates", day]:
                return self._report(asked, day)
            case _:
                return google_error(404)

    def _report(self, asked: Asked, day: str) -> Answer:
        if self.report_days is not None and day not in self.report_days:
            text = f"Data for dates later than {max(self.report_days)} is not yet available. Please check back later"
            return google_error(400, "invalid", text)
        names = asked.query["parameters"].split(",")
        reports = [_usage(key, day, names, self.keys.get(key, (0, 0))) for key in self.users]
        return self._list(asked, "admin#reports#usageReports", "usageReports", reports)

    def _roles(self) -> list[JsonObject]:
        return [
            {
                "kind": "admin#directory#role",
                "roleId": str(number),
                "roleName": name,
                "isSystemRole": name.startswith("_"),
                "isSuperAdminRole": name == "_SEED_ADMIN_ROLE",
            }
            for number, name in enumerate(self.roles, 1)
        ]

    def _assignments(self) -> list[JsonObject]:
        return [
            {
                "kind": "admin#directory#roleAssignment",
                "roleAssignmentId": f"{number}{place}",
                "roleId": str(number),
                "assignedTo": key,
                "assigneeType": "group" if key in self.groups else "user",
                "scopeType": "CUSTOMER",
            }
            for number, keys in enumerate(self.roles.values(), 1)
            for place, key in enumerate(keys)
        ]

    def _member(self, key: str) -> JsonObject:
        kind = "GROUP" if key in self.groups else "USER"
        email = self.users[key]["primaryEmail"] if key in self.users else f"{key}@example.com"
        member = {"kind": "admin#directory#member", "id": key, "email": email, "role": "MEMBER", "type": kind}
        return member | ({"status": "ACTIVE"} if kind == "USER" else {})

    def _list(self, asked: Asked, kind: str, key: str, items: list[JsonObject]) -> Answer:
        token = asked.query.get("pageToken", "0")
        if not token.isdigit():
            return google_error(400, "invalid", "Invalid Input: pageToken")
        start, most = int(token), min(int(asked.query.get("maxResults", 100)), self.page)
        value: JsonObject = {"kind": kind}
        # Google leaves the key of an empty list out.
        if items[start : start + most]:
            value[key] = items[start : start + most]
        if start + most < len(items):
            value["nextPageToken"] = str(start + most)
        return json_answer(value)


def _needed_scope(parts: list[str]) -> str:
    if parts[:1] == ["reports"]:
        return REPORTS_SCOPE
    return {"users": USERS_SCOPE, "groups": GROUPS_SCOPE}.get(parts[2] if len(parts) > 2 else "", ROLES_SCOPE)


def _refused(error: str, text: str, status: int) -> Answer:
    return json_answer({"error": error, "error_description": text}, status)


def _group(key: str, name: str, members: list[str]) -> JsonObject:
    return {
        "kind": "admin#directory#group",
        "id": key,
        "email": f"{name.lower()}@example.com",
        "name": name,
        "directMembersCount": str(len(members)),
        "adminCreated": True,
    }


def _usage(key: str, day: str, names: list[str], counts: tuple[int, int]) -> JsonObject:
    known = {"accounts:num_security_keys": counts[0], "accounts:num_passkeys_enrolled": counts[1]}
    return {
        "kind": "admin#reports#usageReport",
        "date": day,
        "entity": {"type": "USER", "customerId": "C01scripted", "profileId": key},
        "parameters": [{"name": name, "intValue": str(known[name])} for name in names],
    }


def _decoded(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
