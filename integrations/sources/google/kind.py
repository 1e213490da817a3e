"""Google Workspace and Cloud Identity: users, 2-Step Verification, security keys, administrator roles and groups
(developers.google.com/workspace/admin/directory and …/reports).

A service account acts for an administrator of the domain (domain-wide delegation). Its token has the delegated scopes
alone. Lists page by ``nextPageToken``; a key of a list that would be empty is left out.
"""

import json
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from functools import partial
from urllib.parse import quote, urlencode

from requests.auth import AuthBase

from integrations.auth.client_assertions import JWT_BEARER, SigningKeyError, private_key, signed_token
from integrations.json_types import JsonMapping, JsonObject
from integrations.source_data import (
    Cursor,
    Fault,
    ProbeResult,
    RecordPage,
    SourceFault,
    SourceSettings,
)
from integrations.sources.shared.api_source import AccessToken, ApiSource, RateLimit, SyncPassKind
from integrations.sources.shared.attributes import ATTRIBUTES_FIELD, attribute_text, mapped_attributes
from integrations.sources.shared.cloud_fields import PROXY_CA, groups_field, key_errors, pass_field
from integrations.sources.shared.memberships import ListPage, next_memberships
from integrations.sources.shared.probing import probe_passes
from integrations.sources.shared.role_holders import Assignment, next_role_holders
from integrations.sources.shared.source_call import HeaderAuth, SourceCall, objects_at, text_at
from integrations.sources.shared.token_endpoint import oauth_error, request_token
from integrations.targets.shared.documents import DocumentReader
from integrations.targets.shared.setting_fields import Field

TOKEN_ADDRESS = "https://oauth2.googleapis.com/token"  # noqa: S105  an address
API_ADDRESS = "https://admin.googleapis.com"
SCOPE = "https://www.googleapis.com/auth/"
# Google accepts an hour at most.
ASSERTION_SECONDS = 300
USERS_PAGE, GROUPS_PAGE, MEMBERS_PAGE, ROLES_PAGE, ASSIGNMENTS_PAGE, REPORT_PAGE = (
    500,
    200,
    200,
    100,
    200,
    1_000,
)
# An account that never signed in has this time.
NEVER = "1970-01-01"
# Reasons of an error that ask to wait, whatever the status: most come with 403.
THROTTLED = frozenset(("userRateLimitExceeded", "rateLimitExceeded", "quotaExceeded", "RESOURCE_EXHAUSTED"))
# The report of a day is complete some days later; a day that Google does not have yet is answered with 400.
REPORT_DELAY_DAYS, OLDEST_REPORT_DAYS = 2, 9
KEYS, PASSKEYS = "accounts:num_security_keys", "accounts:num_passkeys_enrolled"
SUPER_ADMIN, DELEGATED_ADMIN = "Super Admin", "Delegated administrator"
DIRECTORY = RateLimit("directory", 2_400)
REPORTS = RateLimit("reports", 2_400)


class GoogleSource(ApiSource):
    slug = "google"
    label = "Google Workspace"
    summary = "Users, 2-Step Verification, security keys and passkeys, administrator roles, groups."
    provider = "GOOGLE"
    position = 30
    form_fields = (
        Field(
            path="service_account",
            label="Key of the service account",
            help="The whole JSON file that Google makes with the key.",
            widget="pem",
            secret=True,
            hint='Paste the whole JSON file of the key: {"type": "service_account", …}.',
        ),
        Field(
            path="admin",
            label="Administrator",
            help="The address of the administrator that the service account acts for.",
            pattern=r"[^@\s]{1,64}@[^@\s]{1,255}",
            hint="Write an e-mail address, such as identity-checks@example.com.",
        ),
        pass_field(
            "roles",
            "Read administrator roles",
            help="Needs a super administrator to act for. Without it the list of users says who is an administrator, and "
            "not with which role.",
            default=False,
        ),
        pass_field(
            "keys",
            "Read security keys and passkeys",
            help="From the report of usage, which is some days old.",
            default=True,
        ),
        groups_field(default=False),
        ATTRIBUTES_FIELD,
        Field(
            path="addresses.token",
            label="Address of the token endpoint",
            help="Only for a gateway in front of it. Empty: Google's.",
            widget="url",
            required=False,
        ),
        Field(
            path="addresses.api",
            label="Address of the Admin SDK",
            help="Only for a gateway in front of it. Empty: Google's.",
            widget="url",
            required=False,
        ),
        PROXY_CA,
    )
    steps = (
        "In the Google Cloud console choose or create a project, open APIs & Services → Library and enable “Admin SDK API”.",
        "Open IAM & Admin → Service accounts → Create service account, name it “identity-checks”, without any role. Copy "
        "its Unique ID (the client ID), and under Keys → Add key → Create new key choose JSON.",
        "In the Google Admin console open Security → Access and data control → API controls → Manage domain-wide "
        f"delegation → Add new. Enter the client ID and the scopes {SCOPE}admin.directory.user.readonly and "
        f"{SCOPE}admin.reports.usage.readonly; {SCOPE}admin.directory.group.readonly only if groups are to be read, and "
        f"{SCOPE}admin.directory.rolemanagement.readonly beside it only for the names of administrator roles.",
        "Create a user for the service account to act for, with a custom role of the privileges Admin API → Users → Read, "
        "Groups → Read, and Reports. Only a super administrator can read the names of administrator roles.",
        "Save the form here with the JSON file and that user's address, then run Test connectivity: it tries each "
        "permission and says what is missing.",
    )
    passes = (
        SyncPassKind(
            slug="users",
            label="Users",
            groups=("profile", "sign_in", "factors"),
            limit=DIRECTORY,
            needs=f"{SCOPE}admin.directory.user.readonly",
        ),
        SyncPassKind(
            slug="roles",
            label="Administrator roles",
            groups=("roles",),
            limit=DIRECTORY,
            absent={"admin_roles": []},
            needs=f"{SCOPE}admin.directory.rolemanagement.readonly",
            optional=True,
        ),
        SyncPassKind(
            slug="keys",
            label="Security keys and passkeys",
            groups=("factors",),
            limit=REPORTS,
            needs=f"{SCOPE}admin.reports.usage.readonly",
            optional=True,
        ),
        SyncPassKind(
            slug="groups",
            label="Groups",
            groups=("groups",),
            limit=DIRECTORY,
            absent={"groups": []},
            needs=f"{SCOPE}admin.directory.group.readonly",
            optional=True,
        ),
    )

    def check(self, reader: DocumentReader, settings: JsonObject, secrets: JsonObject) -> None:
        if not (text := secrets.get("service_account")):
            return
        with key_errors(reader, "service_account"):
            private_key(service_account(text)["private_key"])

    def fetch_token(self, source: SourceSettings) -> AccessToken | None:
        scopes = self._scopes(source)
        try:
            return _token(source, scopes)
        except SourceFault as fault:
            # One scope that is not delegated fails the request for all.
            if "unauthorized_client" not in str(fault):
                raise
            granted = [scope for scope in scopes if _is_delegated(source, scope)]
            if self.listing.needs not in granted:
                raise
        return _token(source, granted)

    def _scopes(self, source: SourceSettings) -> list[str]:
        """Those of the chosen passes. The members of a group that holds a role need that of groups."""
        chosen = self.passes_of(source.settings)
        needed = [each.needs for each in chosen]
        if any(each.slug == "roles" for each in chosen):
            needed.append(self.pass_of("groups").needs)
        return list(dict.fromkeys(needed))

    def auth(self, source: SourceSettings, token: AccessToken | None) -> AuthBase:
        return HeaderAuth("Bearer", token.text if token else "")

    def call(self, source: SourceSettings, auth: AuthBase | None) -> SourceCall:
        return _call(source, _address(source, "api"), auth)

    def fetch(self, reading: SyncPassKind, call: SourceCall, cursor: Cursor | None) -> RecordPage:
        match reading.slug:
            case "users":
                return _users(call, cursor)
            case "roles":
                return _roles(call, cursor)
            case "keys":
                return _keys(call, cursor, datetime.now(UTC).date())
            case _:
                return _groups(call, cursor)

    def probe(self, source: SourceSettings, call: SourceCall, scopes: Sequence[str] | None) -> ProbeResult:
        def list_users() -> tuple[int, bool]:
            users, following = _page(call, USERS, "users")
            return len(users), bool(following)

        return probe_passes(self, source, call, list_users, partial(_look, call))


# --- Authorization ------------------------------------------------------------------------------------


def service_account(text: str) -> JsonObject:
    """The key of a service account, as Google's JSON file has it. Raises
    :class:`~integrations.auth.client_assertions.SigningKeyError`."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict) or found.get("type") != "service_account":
        raise SigningKeyError('Paste the whole JSON file of the key: {"type": "service_account", …}.')
    if not text_at(found, "client_email") or not text_at(found, "private_key"):
        raise SigningKeyError("The JSON file lacks client_email or private_key. Make a new key of type JSON.")
    return found


def _token(source: SourceSettings, scopes: Sequence[str]) -> AccessToken:
    """A token for these scopes (developers.google.com/identity/protocols/oauth2/service-account)."""
    account, now = service_account(source.secrets.get("service_account", "")), int(time.time())
    claims = {
        "iss": account["client_email"],
        "sub": source.settings["admin"],
        "scope": " ".join(scopes),
        "aud": TOKEN_ADDRESS,
        "iat": now,
        "exp": now + ASSERTION_SECONDS,
    }
    key_id = text_at(account, "private_key_id")
    assertion = signed_token(claims, private_key(account["private_key"]), {"kid": key_id} if key_id else {})
    form = {"grant_type": JWT_BEARER, "assertion": assertion}
    address, _, path = _address(source, "token").rpartition("/")
    return request_token(_call(source, address, None), f"/{path}", form)


def _is_delegated(source: SourceSettings, scope: str) -> bool:
    try:
        _token(source, [scope])
    except SourceFault as fault:
        if "unauthorized_client" in str(fault):
            return False
        raise
    return True


def _address(source: SourceSettings, name: str) -> str:
    own = (source.settings.get("addresses") or {}).get(name)
    return str(own or {"token": TOKEN_ADDRESS, "api": API_ADDRESS}[name]).rstrip("/")


def _call(source: SourceSettings, base: str, auth: AuthBase | None) -> SourceCall:
    return SourceCall(source, base, auth=auth, explain=error_text, classify=fault_of)


# --- Answers ------------------------------------------------------------------------------------------


def error_text(value: object) -> str:
    """Reason and message of an error of a Google API, or of the token endpoint."""
    error = value.get("error") if isinstance(value, dict) else None
    if not isinstance(error, dict):
        return oauth_error(value)
    return ": ".join(each for each in (_reason(value), text_at(error, "message")) if each)


def _reason(value: object) -> str:
    """The reason of an error: that of its first item, else the status or code of the whole."""
    error = value.get("error") if isinstance(value, dict) else None
    if not isinstance(error, dict):
        return ""
    items = error.get("errors")
    first = items[0] if isinstance(items, list) and items and isinstance(items[0], dict) else {}
    return text_at(first, "reason") or text_at(error, "status") or text_at(error, "code")


def fault_of(status: int, value: object) -> Fault | None:
    """Google answers a limit with 403 as often as with 429; only the reason tells it from a missing permission."""
    return Fault.THROTTLED if status in (403, 429) and _reason(value) in THROTTLED else None


def _page(
    call: SourceCall, path: str, key: str, limit: str = "directory"
) -> tuple[list[JsonObject], str | None]:
    """The items of a page of a list, and the path of the next page. Raises :class:`SourceFault`.

    The place in a list is valid for three days: a path that is refused with 400 only for its place is ``EXPIRED``.
    """
    try:
        answer, _ = call.get(path, limit=limit)
    except SourceFault as fault:
        if fault.status == 400 and "&pageToken=" in path:
            raise SourceFault(str(fault), Fault.EXPIRED, status=400) from fault
        raise
    value = answer.value if isinstance(answer.value, dict) else {}
    # An empty list has no key; what has no kind either is no list.
    items = answer.objects(value.get(key, [] if "kind" in value else None))
    token = text_at(value, "nextPageToken")
    first = path.partition("&pageToken=")[0]
    return items, f"{first}&pageToken={quote(token, safe='')}" if token else None


# --- The passes ---------------------------------------------------------------------------------------


def _path(path: str, **parameters: object) -> str:
    return f"/admin/{path}?{urlencode(parameters, safe=':,')}"


USERS = _path(
    "directory/v1/users",
    customer="my_customer",
    projection="full",
    orderBy="email",
    maxResults=USERS_PAGE,
)
ROLES = _path("directory/v1/customer/my_customer/roles", maxResults=ROLES_PAGE)
ASSIGNMENTS = _path("directory/v1/customer/my_customer/roleassignments", maxResults=ASSIGNMENTS_PAGE)
GROUPS = _path("directory/v1/groups", customer="my_customer", maxResults=GROUPS_PAGE)


def _members_path(key: str) -> str:
    """The members of a group, also by groups in it."""
    place = f"directory/v1/groups/{quote(key, safe='')}/members"
    return _path(place, includeDerivedMembership="true", maxResults=MEMBERS_PAGE)


def _report_path(day: date, rows: int = REPORT_PAGE) -> str:
    return _path(
        f"reports/v1/usage/users/all/dates/{day.isoformat()}",
        parameters=f"{KEYS},{PASSKEYS}",
        maxResults=rows,
    )


def _look(call: SourceCall, slug: str) -> None:
    """Try what a pass needs. The report of a day that Google does not have yet shows the permission too."""
    match slug:
        case "roles":
            _page(call, ROLES, "items")
        case "groups":
            _page(call, GROUPS, "groups")
        case _:
            day = datetime.now(UTC).date() - timedelta(days=OLDEST_REPORT_DAYS)
            _page(call, _report_path(day, 1), "usageReports", "reports")


def _users(call: SourceCall, cursor: Cursor | None) -> RecordPage:
    users, following = _page(call, cursor["url"] if cursor else USERS, "users")
    attributes = mapped_attributes(call.options)
    has_roles = bool((call.options.get("passes") or {}).get("roles"))
    records = [user_of(each, attributes, with_roles=not has_roles) for each in users]
    return RecordPage(records, {"url": following} if following else None)


def user_of(user: JsonMapping, attributes: Mapping[str, str], *, with_roles: bool = False) -> JsonObject:
    """The record of one user. ``attributes``: field → dotted place of the value that the member mapped to it.
    ``with_roles``: whether the record also says that the user is an administrator."""
    name = user.get("name")
    name = name if isinstance(name, Mapping) else {}
    work = _first(user, "organizations", lambda each: each.get("primary") is True)
    record: JsonObject = {
        "source_key": text_at(user, "id"),
        "login": text_at(user, "primaryEmail"),
        "email": text_at(user, "primaryEmail"),
        "first_name": text_at(name, "givenName"),
        "last_name": text_at(name, "familyName"),
        "display_name": text_at(name, "displayName") or text_at(name, "fullName"),
        "phone": text_at(_first(user, "phones", lambda each: each.get("type") == "mobile"), "value"),
        "employee_id": text_at(_typed(user, "externalIds", "organization"), "value"),
        "department": text_at(work, "department"),
        "title": text_at(work, "title"),
        "company": text_at(work, "name"),
        # All relations are in the list: without one to a manager the user has none.
        "manager": text_at(_typed(user, "relations", "manager"), "value"),
        "locale": text_at(_first(user, "languages", lambda each: each.get("preference") == "preferred"), "languageCode"),
        "status": _status(user),
    }  # fmt: skip
    changed = text_at(user, "archivalTime" if record["status"] == "disabled" else "suspensionTime")
    if changed and record["status"] != "active":
        record["status_changed_at"] = changed
    if text_at(user, "creationTime"):
        record["created_at"] = user["creationTime"]
    if last := text_at(user, "lastLoginTime"):
        record["last_sign_in_at"] = None if last.startswith(NEVER) else last
    if isinstance(user.get("isEnrolledIn2Sv"), bool):
        record["mfa_enabled"] = user["isEnrolledIn2Sv"]
    if user.get("isGuestUser") is True:
        record["user_type"] = "guest"
    if (
        with_roles
        and isinstance(user.get("isAdmin"), bool)
        and isinstance(user.get("isDelegatedAdmin"), bool)
    ):
        names = ((SUPER_ADMIN, user["isAdmin"]), (DELEGATED_ADMIN, user["isDelegatedAdmin"]))
        record["admin_roles"] = [role for role, holds in names if holds]
    for field, place in attributes.items():
        record[field] = attribute_text(user, place)
    return record


def _status(user: JsonMapping) -> str:
    """A user who never activated the account is shown as suspended; an archived one cannot sign in."""
    if user.get("suspended") is True:
        return "staged" if text_at(user, "suspensionReason") == "WEB_LOGIN_REQUIRED" else "suspended"
    return "disabled" if user.get("archived") is True else "active"


def _first(user: JsonMapping, key: str, is_wanted: Callable[[JsonMapping], object]) -> JsonMapping:
    """The item of a list that is wanted, else the first one, else an empty one."""
    items = objects_at(user, key)
    return next(filter(is_wanted, items), items[0] if items else {})


def _typed(user: JsonMapping, key: str, kind: str) -> JsonMapping:
    return next((each for each in objects_at(user, key) if each.get("type") == kind), {})


def _roles(call: SourceCall, cursor: Cursor | None) -> RecordPage:
    def list_roles(url: str | None) -> ListPage:
        roles, following = _page(call, url or ROLES, "items")
        return ListPage([(text_at(each, "roleId"), _role_name(each)) for each in roles], following, {})

    def list_assignments(url: str | None) -> tuple[list[Assignment], str | None]:
        assignments, following = _page(call, url or ASSIGNMENTS, "items")
        return [_assignment(each) for each in assignments if text_at(each, "assignedTo")], following

    return next_role_holders(cursor, list_roles, list_assignments, partial(_list_members, call))


def _role_name(role: JsonMapping) -> str:
    # The name of a predefined role is a constant such as _SEED_ADMIN_ROLE.
    return SUPER_ADMIN if role.get("isSuperAdminRole") is True else text_at(role, "roleName").strip("_")


def _assignment(found: JsonMapping) -> Assignment:
    is_group = text_at(found, "assigneeType").lower() == "group"
    return Assignment(text_at(found, "assignedTo"), text_at(found, "roleId"), is_group)


def _list_members(call: SourceCall, key: str, url: str | None) -> ListPage:
    """The users among the members of a group."""
    members, following = _page(call, url or _members_path(key), "members")
    users = [
        (text_at(each, "id"), "")
        for each in members
        if text_at(each, "type") == "USER" and text_at(each, "id")
    ]
    return ListPage(users, following, {})


def _keys(call: SourceCall, cursor: Cursor | None, today: date) -> RecordPage:
    """The report of the newest day that Google has. Cursor: ``day``, and ``url`` of the next page."""
    day = date.fromisoformat(cursor["day"]) if cursor else today - timedelta(days=REPORT_DELAY_DAYS)
    path = (cursor or {}).get("url") or _report_path(day)
    try:
        reports, following = _page(call, path, "usageReports", "reports")
    except SourceFault as fault:
        if (
            fault.status != 400
            or fault.fault is Fault.EXPIRED
            or today - day >= timedelta(days=OLDEST_REPORT_DAYS)
        ):
            raise
        reports, following = [], None
    if not reports and not following and not (cursor or {}).get("url"):
        if today - day >= timedelta(days=OLDEST_REPORT_DAYS):
            raise SourceFault(f"Google has no report of usage for {day} or the days after it.", Fault.REFUSED)
        return RecordPage((), {"day": (day - timedelta(days=1)).isoformat(), "url": None})
    records = [keys_of(each) for each in reports]
    return RecordPage(records, {"day": day.isoformat(), "url": following} if following else None)


def keys_of(report: JsonMapping) -> JsonObject:
    """The security keys and passkeys of one user. Without any the kinds of the user's factors are unknown."""
    entity = report.get("entity")
    counts = {
        text_at(each, "name"): str(each.get("intValue") or 0) for each in objects_at(report, "parameters")
    }
    kinds = [kind for kind, name in (("fido2", KEYS), ("passkey", PASSKEYS)) if counts.get(name, "0") != "0"]
    return {
        "source_key": text_at(entity, "profileId") if isinstance(entity, Mapping) else "",
        "mfa_factors": [{"kind": kind} for kind in kinds] if kinds else "unknown",
    }


def _groups(call: SourceCall, cursor: Cursor | None) -> RecordPage:
    def list_groups(url: str | None) -> ListPage:
        groups, following = _page(call, url or GROUPS, "groups")
        items = [(text_at(each, "id"), text_at(each, "name") or text_at(each, "email")) for each in groups]
        return ListPage(items, following, {})

    return next_memberships(cursor, list_groups, partial(_list_members, call))
