"""Microsoft Entra ID through Microsoft Graph 1.0 (learn.microsoft.com/graph/api).

Profiles, sign-ins and registered methods come from three lists, each with its own limits and licence, joined
by the user's id. ``signInActivity`` and the registration report need Entra ID P1 or P2.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial

from requests.auth import AuthBase

from integrations.auth.client_assertions import (
    belongs_together,
    certificate_thumbprint,
    private_key,
)
from integrations.json_types import JsonMapping, JsonObject
from integrations.source_data import (
    Cursor,
    Fault,
    ProbeResult,
    RecordPage,
    SourceSettings,
)
from integrations.sources.shared.api_source import AccessToken, ApiSource, RateLimit, SyncPassKind
from integrations.sources.shared.attributes import ATTRIBUTES_FIELD, mapped_attributes, with_mapped
from integrations.sources.shared.cloud_fields import PROXY_CA, groups_field, key_errors, pass_field
from integrations.sources.shared.memberships import ListPage, next_memberships
from integrations.sources.shared.probing import probe_passes
from integrations.sources.shared.role_holders import Assignment, next_role_holders
from integrations.sources.shared.source_call import HeaderAuth, JsonAnswer, SourceCall, text_at
from integrations.sources.shared.token_endpoint import client_assertion, oauth_error, request_token
from integrations.targets.shared.documents import DocumentReader
from integrations.targets.shared.setting_fields import Field

# Cloud → token endpoint's host, and Graph's.
CLOUDS = {
    "global": ("https://login.microsoftonline.com", "https://graph.microsoft.com"),
    "us": ("https://login.microsoftonline.us", "https://graph.microsoft.us"),
    "dod": ("https://login.microsoftonline.us", "https://dod-graph.microsoft.us"),
    "china": ("https://login.partner.microsoftonline.cn", "https://microsoftgraph.chinacloudapi.cn"),
}
PROFILE_FIELDS = {
    # objectGUID of the account of Active Directory from which Entra Connect made this one.
    "source_anchor": "onPremisesImmutableId",
    "login": "userPrincipalName",
    "email": "mail",
    "display_name": "displayName",
    "first_name": "givenName",
    "last_name": "surname",
    "employee_id": "employeeId",
    "department": "department",
    "title": "jobTitle",
    "company": "companyName",
    "phone": "mobilePhone",
    "locale": "preferredLanguage",
}
TIME_FIELDS = {"created_at": "createdDateTime", "password_changed_at": "lastPasswordChangeDateTime"}
OTHER_PROPERTIES = ("id", "accountEnabled", "userType", "passwordPolicies", "externalUserState")
# For months Graph answered pages of more than 120 users with signInActivity with an error. It may return
# fewer.
USERS_PAGE, SIGN_INS_PAGE = 999, 120
# Graph has signInActivity since then: an older account without it may have signed in before.
SIGN_INS_SINCE = "2020-05-01"
NEVER = "0001-01-01"
# Graph throttles calls of low priority first, before those of the customer's own applications.
HEADERS = {"x-ms-throttle-priority": "low"}
NOT_LICENSED = ("nonpremiumtenant", "premium license", "premium licence")
DIRECTORY = RateLimit("directory", 300, 10)
# Per app and tenant, for sign-ins and reports.
REPORTS = RateLimit("reports", 5, 10)
MEMBERS = "/v1.0/groups/{}/transitiveMembers/microsoft.graph.user?$select=id&$top=999"


class EntraSource(ApiSource):
    slug = "entra"
    label = "Microsoft Entra ID"
    summary = "Users, sign-ins, registered authentication methods, directory roles and groups."
    provider = "ENTRA"
    position = 20
    form_fields = (
        Field(
            path="tenant",
            label="Tenant",
            help="Directory (tenant) ID, or its domain: contoso.onmicrosoft.com.",
            pattern=r"[A-Za-z0-9][A-Za-z0-9.-]{2,100}",
            hint="Write the directory ID or a domain of the tenant.",
        ),
        Field(
            path="client_id",
            label="Application (client) ID",
            pattern=r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}",
            hint="Copy the application (client) ID, such as 11112222-bbbb-3333-cccc-4444dddd5555.",
        ),
        Field(
            path="authorization",
            label="Authorization",
            widget="select",
            default="client_secret",
            choices=(("client_secret", "Client secret"), ("certificate", "Certificate")),
        ),
        Field(
            path="client_secret",
            label="Client secret",
            help="The value, not the secret ID. Enter its end under “The secret ends on”.",
            secret=True,
            when=("authorization", ("client_secret",)),
        ),
        Field(
            path="certificate",
            label="Certificate",
            help="PEM of the certificate that is uploaded to the application.",
            widget="pem",
            when=("authorization", ("certificate",)),
        ),
        Field(
            path="private_key",
            label="Private key",
            help="PEM of its key, without a passphrase.",
            widget="pem",
            secret=True,
            when=("authorization", ("certificate",)),
        ),
        Field(
            path="cloud",
            label="Cloud",
            widget="select",
            default="global",
            choices=(
                ("global", "Global"),
                ("us", "US Government (GCC High)"),
                ("dod", "US Department of Defense"),
                ("china", "China (21Vianet)"),
            ),
        ),
        pass_field(
            "sign_ins",
            "Read sign-ins",
            help="Needs Entra ID P1 or P2.",
            default=True,
        ),
        pass_field(
            "factors",
            "Read authentication methods",
            help="Needs Entra ID P1 or P2.",
            default=True,
        ),
        groups_field(default=False),
        ATTRIBUTES_FIELD,
        Field(
            path="addresses.login",
            label="Address of the token endpoint",
            help="Only for a gateway in front of it. Empty: that of the cloud.",
            widget="url",
            required=False,
        ),
        Field(
            path="addresses.graph",
            label="Address of Microsoft Graph",
            help="Only for a gateway in front of it. Empty: that of the cloud.",
            widget="url",
            required=False,
        ),
        PROXY_CA,
    )
    steps = (
        "In the Microsoft Entra admin center open Entra ID → App registrations → New registration, name it “Identity checks "
        "(read-only)” and register it without a redirect URI. Copy the Application (client) ID and the Directory (tenant) ID.",
        "Under API permissions → Add a permission → Microsoft Graph → Application permissions add User.Read.All, "
        "AuditLog.Read.All, RoleManagement.Read.Directory and Directory.Read.All; GroupMember.Read.All only if groups are "
        "to be read. Remove User.Read.",
        "Choose “Grant admin consent”. You need the role Privileged Role Administrator for it.",
        "Under Certificates & secrets add a client secret, copy its value (it is shown once) and note when it ends.",
        "Save the form here, then run Test connectivity: it tries each permission and says what is missing.",
    )
    passes = (
        SyncPassKind(
            slug="users",
            label="Users",
            groups=("profile", "password"),
            limit=DIRECTORY,
            needs="User.Read.All",
        ),
        SyncPassKind(
            slug="roles",
            label="Directory roles",
            groups=("roles",),
            limit=DIRECTORY,
            absent={"admin_roles": []},
            needs="RoleManagement.Read.Directory",
        ),
        SyncPassKind(
            slug="factors",
            label="Authentication methods",
            groups=("factors",),
            limit=REPORTS,
            needs="AuditLog.Read.All",
            optional=True,
        ),
        SyncPassKind(
            slug="sign_ins",
            label="Sign-ins",
            groups=("sign_in",),
            limit=REPORTS,
            needs="AuditLog.Read.All",
            optional=True,
        ),
        SyncPassKind(
            slug="groups",
            label="Groups",
            groups=("groups",),
            limit=DIRECTORY,
            absent={"groups": []},
            needs="GroupMember.Read.All",
            optional=True,
        ),
    )

    def check(self, reader: DocumentReader, settings: JsonObject, secrets: JsonObject) -> None:
        key, certificate = secrets.get("private_key"), settings.get("certificate")
        if not key or not certificate:
            return
        with key_errors(reader, "private_key"):
            if not belongs_together(certificate, private_key(key)):
                reader.add_error("private_key", "This key does not belong to the certificate.")

    def fetch_token(self, source: SourceSettings) -> AccessToken | None:
        login, _ = addresses(source.settings)
        path = f"/{source.settings['tenant']}/oauth2/v2.0/token"
        form = {
            "grant_type": "client_credentials",
            "client_id": source.settings["client_id"],
            "scope": f"{CLOUDS[source.settings['cloud']][1]}/.default",
        }
        if source.settings["authorization"] == "certificate":
            header = {"x5t#S256": certificate_thumbprint(source.settings["certificate"])}
            form |= client_assertion(source, f"{login}{path}", header=header, algorithm="PS256")
        else:
            form["client_secret"] = source.secrets.get("client_secret", "")
        return request_token(_call(source, login, None), path, form)

    def auth(self, source: SourceSettings, token: AccessToken | None) -> AuthBase:
        return HeaderAuth("Bearer", token.text if token else "")

    def call(self, source: SourceSettings, auth: AuthBase | None) -> SourceCall:
        return _call(source, addresses(source.settings)[1], auth)

    def fetch(self, reading: SyncPassKind, call: SourceCall, cursor: Cursor | None) -> RecordPage:
        match reading.slug:
            case "users":
                return _users(call, cursor)
            case "roles":
                return _roles(call, cursor)
            case "factors":
                return _list(call, cursor, METHODS, registration_of)
            case "sign_ins":
                return _list(call, cursor, SIGN_INS, sign_in_of)
            case _:
                return _groups(call, cursor)

    def probe(self, source: SourceSettings, call: SourceCall, scopes: Sequence[str] | None) -> ProbeResult:
        def list_users() -> tuple[int, bool]:
            answer = _get(call, users_path(source.settings))
            return len(_values(answer)), bool(_next(answer))

        return probe_passes(self, source, call, list_users, lambda slug: _values(_get(call, PROBES[slug])))


def addresses(settings: JsonMapping) -> tuple[str, str]:
    """The addresses of the token endpoint and of Graph."""
    own = settings.get("addresses") or {}
    login, graph = CLOUDS[settings.get("cloud") or "global"]
    return (own.get("login") or login).rstrip("/"), (own.get("graph") or graph).rstrip("/")


def _call(source: SourceSettings, base: str, auth: AuthBase | None) -> SourceCall:
    return SourceCall(source, base, auth=auth, explain=error_text, classify=fault_of)


def error_text(value: object) -> str:
    """Code and message of Graph's error, or of the token endpoint's; of the latter the first line, which has no ids."""
    error = value.get("error") if isinstance(value, dict) else None
    if isinstance(error, dict):
        return ": ".join(str(error[key]) for key in ("code", "message") if isinstance(error.get(key), str))
    return oauth_error(value).partition(" Trace ID")[0]


def fault_of(status: int, value: object) -> Fault | None:
    """A missing licence is answered like a missing permission; only code and text tell them apart."""
    if status in (400, 403) and any(word in error_text(value).lower() for word in NOT_LICENSED):
        return Fault.LICENCE
    return None


def _get(call: SourceCall, path: str) -> JsonAnswer:
    return call.get(path, limit="graph", headers=HEADERS)[0]


def _values(answer: JsonAnswer) -> list[JsonObject]:
    value = answer.value.get("value") if isinstance(answer.value, dict) else None
    return answer.objects(value)


def _next(answer: JsonAnswer) -> str | None:
    """The next page; an empty page with a link is not the last."""
    return text_at(answer.value, "@odata.nextLink") or None


# --- The passes ---------------------------------------------------------------------------------------


SIGN_INS = f"/v1.0/users?$select=id,createdDateTime,signInActivity&$top={SIGN_INS_PAGE}"
METHODS = "/v1.0/reports/authenticationMethods/userRegistrationDetails"
DEFINITIONS = "/v1.0/roleManagement/directory/roleDefinitions?$select=id,displayName"
ASSIGNMENTS = "/v1.0/roleManagement/directory/roleAssignments?$expand=principal($select=id)"
GROUPS = "/v1.0/groups?$select=id,displayName&$top=999"
PROBES = {
    "roles": "/v1.0/roleManagement/directory/roleAssignments?$top=1",
    "factors": METHODS,
    "sign_ins": "/v1.0/users?$select=id,signInActivity&$top=1",
    "groups": "/v1.0/groups?$select=id&$top=1",
}


def _list(
    call: SourceCall, cursor: Cursor | None, path: str, record: Callable[[JsonMapping], JsonObject]
) -> RecordPage:
    answer = _get(call, cursor["url"] if cursor else path)
    link = _next(answer)
    return RecordPage([record(each) for each in _values(answer)], {"url": link} if link else None)


def users_path(settings: JsonMapping) -> str:
    """The listing with every property that is read: Graph leaves others out."""
    wanted = (*OTHER_PROPERTIES, *PROFILE_FIELDS.values(), *TIME_FIELDS.values())
    own = (name.partition(".")[0] for name in mapped_attributes(settings).values())
    properties = ",".join(dict.fromkeys((*wanted, *own)))
    return f"/v1.0/users?$select={properties}&$expand=manager($select=id,userPrincipalName)&$top={USERS_PAGE}"


def _users(call: SourceCall, cursor: Cursor | None) -> RecordPage:
    attributes = mapped_attributes(call.options)
    return _list(call, cursor, users_path(call.options), partial(user_of, attributes=attributes))


def user_of(user: JsonMapping, attributes: Mapping[str, str]) -> JsonObject:
    """The record of one user. A property that Graph leaves out is unknown; null means none. ``attributes``: field → dotted
    place of the value that the member mapped to it."""
    record: JsonObject = {"source_key": text_at(user, "id")}
    for field, name in PROFILE_FIELDS.items():
        if name in user:
            record[field] = user[name] if isinstance(user[name], str) else None
    for field, name in TIME_FIELDS.items():
        if user.get(name):
            record[field] = user[name]
    manager = user.get("manager")
    # The manager is requested with each user: if it is missing, the user has none.
    record["manager"] = text_at(manager, "userPrincipalName") if isinstance(manager, Mapping) else ""
    if isinstance(user.get("accountEnabled"), bool):
        pending = user["accountEnabled"] and user.get("externalUserState") == "PendingAcceptance"
        record["status"] = "staged" if pending else "active" if user["accountEnabled"] else "disabled"
    if user.get("userType"):
        record["user_type"] = user["userType"]
    if "passwordPolicies" in user:
        record["password_never_expires"] = "DisablePasswordExpiration" in str(user["passwordPolicies"])
    return with_mapped(record, user, attributes)


def sign_in_of(user: JsonMapping) -> JsonObject:
    """The last sign-in: the last success, else the last attempt. Successes are known since December 2023 only."""
    record: JsonObject = {"source_key": text_at(user, "id")}
    activity = user.get("signInActivity")
    if not isinstance(activity, Mapping):
        # Never, or before Graph kept it: an account that is younger has never signed in.
        if text_at(user, "createdDateTime") >= SIGN_INS_SINCE:
            record["last_sign_in_at"] = None
        return record
    attempts = (
        text_at(activity, name) for name in ("lastSignInDateTime", "lastNonInteractiveSignInDateTime")
    )
    known = [each for each in attempts if each and not each.startswith(NEVER)]
    success = text_at(activity, "lastSuccessfulSignInDateTime")
    if success and not success.startswith(NEVER):
        record["last_sign_in_at"] = success
    else:
        record["last_sign_in_at"] = max(known, default=None)
    return record


def registration_of(user: JsonMapping) -> JsonObject:
    """The registered methods, in Microsoft's words: those for password reset alone count as none when they are read."""
    record: JsonObject = {"source_key": text_at(user, "id")}
    methods = user.get("methodsRegistered")
    if isinstance(methods, list):
        record["mfa_factors"] = [{"kind": str(each)} for each in methods]
    if user.get("isMfaRegistered") is True:
        record["mfa_enabled"] = True
    return record


def _roles(call: SourceCall, cursor: Cursor | None) -> RecordPage:
    def list_roles(url: str | None) -> ListPage:
        answer = _get(call, url or DEFINITIONS)
        items = [(text_at(each, "id"), text_at(each, "displayName")) for each in _values(answer)]
        return ListPage(items, _next(answer), {})

    def list_assignments(url: str | None) -> tuple[list[Assignment], str | None]:
        answer = _get(call, url or ASSIGNMENTS)
        found = [assignment for each in _values(answer) if (assignment := _assignment(each))]
        return found, _next(answer)

    return next_role_holders(cursor, list_roles, list_assignments, partial(_list_members, call))


def _assignment(found: JsonMapping) -> Assignment | None:
    """The assignment of a role to a user or a group; None for an application's."""
    principal = found.get("principal")
    sort = text_at(principal, "@odata.type") if isinstance(principal, Mapping) else ""
    if sort and not sort.endswith((".group", ".user")):
        return None
    holder, role = text_at(found, "principalId"), text_at(found, "roleDefinitionId")
    return Assignment(holder, role, is_group=sort.endswith(".group"))


def _list_members(call: SourceCall, key: str, url: str | None) -> ListPage:
    answer = _get(call, url or MEMBERS.format(key))
    return ListPage([(text_at(each, "id"), "") for each in _values(answer)], _next(answer), {})


def _groups(call: SourceCall, cursor: Cursor | None) -> RecordPage:
    def list_groups(url: str | None) -> ListPage:
        answer = _get(call, url or GROUPS)
        items = [(text_at(each, "id"), text_at(each, "displayName")) for each in _values(answer)]
        return ListPage(items, _next(answer), {})

    return next_memberships(cursor, list_groups, partial(_list_members, call))
