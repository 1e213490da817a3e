"""Microsoft Graph as its documentation has it: users with manager, sign-in activity, the registration report, directory
roles and groups. Lists page by ``@odata.nextLink``; errors have ``error.code`` and ``error.message``."""

from dataclasses import dataclass, field
from urllib.parse import urlencode

from cii_project.tools.scripted_sources.server import Answer, Asked, json_answer
from integrations.services import Json, JsonObject

CODES = {
    400: "BadRequest",
    401: "InvalidAuthenticationToken",
    403: "Authorization_RequestDenied",
    404: "Request_ResourceNotFound",
}
NO_LICENCE = "Authentication_RequestFromNonPremiumTenantOrB2CTenant"
REQUEST_ID = "b0282ff7-0000-4000-8000-000000000001"
SECRET = "scripted~secret~0123456789"  # noqa: S105  of a scripted server


def graph_error(status: int, code: str = "", headers: dict[str, str] | None = None) -> Answer:
    """An error as Graph answers it."""
    code = code or CODES.get(status, "UnknownError")
    messages = {NO_LICENCE: "Neither tenant is B2C or tenant doesn't have premium license"}
    text = messages.get(
        code, "Insufficient privileges to complete the operation." if status == 403 else "Scripted."
    )
    inner = {"date": "2026-11-29T06:00:00", "request-id": REQUEST_ID, "client-request-id": REQUEST_ID}
    return json_answer({"error": {"code": code, "message": text, "innerError": inner}}, status, headers)


def entra_user(key: str, login: str, **values: Json) -> JsonObject:
    """A user with all properties; a request gets those that it selects."""
    first, _, last = login.partition("@")[0].partition(".")
    return {
        "id": key,
        "userPrincipalName": login,
        "mail": login,
        "displayName": f"{first.capitalize()} {last.capitalize()}".strip(),
        "givenName": first.capitalize(),
        "surname": last.capitalize(),
        "accountEnabled": True,
        "userType": "Member",
        "createdDateTime": "2024-03-01T09:00:00Z",
        "lastPasswordChangeDateTime": "2026-10-01T10:00:00Z",
        "passwordPolicies": None,
        "employeeId": None,
        "department": None,
        "jobTitle": None,
        "companyName": None,
        "mobilePhone": None,
        "preferredLanguage": None,
        "externalUserState": None,
        "signInActivity": {
            "lastSignInDateTime": "2026-11-20T08:30:00Z",
            "lastNonInteractiveSignInDateTime": "2026-11-21T08:30:00Z",
            "lastSuccessfulSignInDateTime": "2026-11-20T08:30:00Z",
        },
        **values,
    }


@dataclass
class ScriptedEntra:
    """A tenant. ``managers``: user → manager's id. ``methods``: user → methodsRegistered, of enabled users alone.
    ``roles``: name → principal ids (users or groups). ``groups``: id → (name, user ids). ``page``: the most of a page."""

    tenant: str = "contoso.onmicrosoft.com"
    client_id: str = "11112222-bbbb-3333-cccc-4444dddd5555"
    users: dict[str, JsonObject] = field(default_factory=dict)
    managers: dict[str, str] = field(default_factory=dict)
    methods: dict[str, list[str]] = field(default_factory=dict)
    roles: dict[str, list[str]] = field(default_factory=dict)
    groups: dict[str, tuple[str, list[str]]] = field(default_factory=dict)
    licensed: bool = True
    forbidden: tuple[str, ...] = ()
    page: int = 999
    base: str = ""
    access_tokens: set[str] = field(default_factory=set)

    def answer(self, asked: Asked) -> Answer:
        if asked.path == f"/{self.tenant}/oauth2/v2.0/token":
            return self._token(asked.form)
        scheme, _, text = asked.headers.get("Authorization", "").partition(" ")
        if scheme != "Bearer" or text not in self.access_tokens:
            return graph_error(401)
        if asked.path.startswith(self.forbidden or ("\0",)):
            return graph_error(403)
        needs_licence = "signInActivity" in asked.query.get("$select", "") or "/reports/" in asked.path
        if needs_licence and not self.licensed:
            return graph_error(403, NO_LICENCE)
        return self._resource(asked)

    def _token(self, form: dict[str, str]) -> Answer:
        if form.get("client_id") != self.client_id or form.get("client_secret") != SECRET:
            text = "AADSTS7000215: Invalid client secret provided. Trace ID: 0 Correlation ID: 0"
            return json_answer({"error": "invalid_client", "error_description": text}, 401)
        token = f"token-{len(self.access_tokens)}"
        self.access_tokens.add(token)
        return json_answer({"token_type": "Bearer", "expires_in": 3599, "access_token": token})

    def _resource(self, asked: Asked) -> Answer:
        match asked.path.strip("/").split("/")[1:]:
            case ["users"]:
                return self._list(asked, [self._user(user, asked) for user in self.users.values()])
            case ["reports", "authenticationMethods", "userRegistrationDetails"]:
                enabled = [key for key in self.users if self.users[key]["accountEnabled"]]
                return self._list(asked, [self._registration(key) for key in enabled])
            case ["roleManagement", "directory", "roleDefinitions"]:
                return self._list(asked, [{"id": f"role-{name}", "displayName": name} for name in self.roles])
            case ["roleManagement", "directory", "roleAssignments"]:
                return self._list(asked, self._assignments())
            case ["groups"]:
                found = [{"id": key, "displayName": name} for key, (name, _) in self.groups.items()]
                return self._list(asked, found)
            case ["groups", key, "transitiveMembers", _] if key in self.groups:
                return self._list(asked, [{"id": each} for each in self.groups[key][1]])
            case _:
                return graph_error(404)

    def _user(self, user: JsonObject, asked: Asked) -> JsonObject:
        wanted = asked.query.get("$select", "id").split(",")
        found = {name: user[name] for name in wanted if name in user}
        boss = self.managers.get(user["id"])
        if "manager" in asked.query.get("$expand", "") and boss:
            found["manager"] = {
                "@odata.type": "#microsoft.graph.user",
                "id": boss,
                "userPrincipalName": self.users[boss]["userPrincipalName"],
            }
        return found

    def _registration(self, key: str) -> JsonObject:
        methods = self.methods.get(key, [])
        reset_only = {"email", "securityQuestion"}
        return {
            "id": key,
            "userPrincipalName": self.users[key]["userPrincipalName"],
            "isMfaRegistered": bool(set(methods) - reset_only),
            "methodsRegistered": methods,
            "lastUpdatedDateTime": "2026-11-27T00:00:00Z",
        }

    def _assignments(self) -> list[JsonObject]:
        return [
            {
                "id": f"{name}-{key}",
                "principalId": key,
                "roleDefinitionId": f"role-{name}",
                "principal": {
                    "@odata.type": f"#microsoft.graph.{'group' if key in self.groups else 'user'}",
                    "id": key,
                },
            }
            for name, keys in self.roles.items()
            for key in keys
        ]

    def _list(self, asked: Asked, items: list[JsonObject]) -> Answer:
        start = int(asked.query.get("$skiptoken", "0"))
        most = min(int(asked.query.get("$top", self.page)), self.page)
        context = f"{self.base}/v1.0/$metadata#{asked.path.removeprefix('/v1.0/')}"
        value: JsonObject = {"@odata.context": context, "value": items[start : start + most]}
        if start + most < len(items):
            query = urlencode({**asked.query, "$skiptoken": start + most}, safe="$(),=")
            value["@odata.nextLink"] = f"{self.base}{asked.path}?{query}"
        return json_answer(value)
