"""Salesforce: users with sign-ins, verification methods, administrators and groups, by SOQL over REST (developer.salesforce.com).

A query brings 2,000 rows and the path of the next ones. The object of verification methods ends after 2,500 rows without an
error, so it is read from one user id to the next. The newest version of the API that this code knows is asked for at the start of
each pass; that call does not count against the limit of a day.
"""

# ruff: noqa: S608  a query of SOQL is made of constants, columns that the form checked, and ids that match _ID

import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from urllib.parse import urlencode, urlsplit

from requests.auth import AuthBase

from integrations.auth.client_assertions import JWT_BEARER, private_key, signed_token
from integrations.json_types import JsonMapping, JsonObject
from integrations.source_data import (
    Cursor,
    Fault,
    Permission,
    ProbeResult,
    RateSeen,
    RecordPage,
    SourceFault,
    SourceSettings,
)
from integrations.sources.shared.api_source import AccessToken, ApiSource, RateLimit, SyncPassKind
from integrations.sources.shared.attributes import (
    ATTRIBUTES_FIELD,
    attribute_text,
    mapped_attributes,
    with_mapped,
)
from integrations.sources.shared.cloud_fields import PROXY_CA, check_private_key, pass_field
from integrations.sources.shared.probing import try_permission
from integrations.sources.shared.source_call import HeaderAuth, SourceCall, text_at
from integrations.sources.shared.token_endpoint import oauth_error, request_token
from integrations.targets.shared.documents import DocumentReader
from integrations.targets.shared.setting_fields import Field

TOKEN_PATH, VERSIONS = "/services/oauth2/token", "/services/data"
# Of Spring '26: later ones may leave out fields that are asked for.
NEWEST_KNOWN = 66.0
ASSERTION_SECONDS = 180
# A pace of our own: Salesforce limits the calls of a day.
QUERIES = RateLimit("queries", 200)
# With less than this share of the day's calls left, the others get them.
DAILY_RESERVE = 0.2
LOOK_AGAIN_SECONDS = 3_600.0
METHODS_PAGE = 500
HISTORY_DAYS = 7
_USAGE = re.compile(r"\bapi-usage=(\d+)/(\d+)")
_NO_SUCH = re.compile(r"No such (?:column|relation) '([\w.]+)'")
_ID = re.compile(r"[A-Za-z0-9]{15,18}")

# Field of the record → column of User.
TEXT_COLUMNS = {
    "email": "Email",
    "first_name": "FirstName",
    "last_name": "LastName",
    "display_name": "Name",
    "employee_id": "EmployeeNumber",
    "department": "Department",
    "title": "Title",
    "company": "CompanyName",
    "phone": "MobilePhone",
    "locale": "LanguageLocaleKey",
    "manager": "Manager.Username",
    "user_type": "UserType",
}
TIME_COLUMNS = {
    "created_at": "CreatedDate",
    "password_changed_at": "LastPasswordChangeDate",
    "last_sign_in_at": "LastLoginDate",
}
LICENCE = "Profile.UserLicense.Name"
REQUIRED = ("Id", "Username", "IsActive")
# The type of user that a licence tells, where UserType is the one of employees.
LICENCE_TYPES = {
    "Salesforce Integration": "service_account",
    "Analytics Cloud Integration User": "service_account",
    "Chatter External": "external",
}
# Column of TwoFactorMethodsInfo → kind. Verified numbers and addresses tell a new device apart, and are no MFA.
METHODS = {
    "HasSalesforceAuthenticator": "push",
    "HasTotp": "totp",
    "HasSecurityKey": "fido2",
    "HasU2F": "fido2",
    "HasBuiltInAuthenticator": "webauthn",
}
ADMINISTRATORS = ("PermissionsModifyAllData", "PermissionsManageUsers")
NEVER_EXPIRES, WAIVED = "PermissionsPasswordNeverExpires", "PermissionsBypassMFAForUiLogins"
FROZEN_USERS = "SELECT UserId, IsFrozen, IsPasswordLocked FROM UserLogin WHERE IsFrozen = true OR IsPasswordLocked = true"
GROUP_MEMBERS = "SELECT UserOrGroupId, Group.Name FROM GroupMember WHERE Group.Type = 'Regular'"
USER_PREFIX = "005"
FAULTS = {
    "REQUEST_LIMIT_EXCEEDED": Fault.THROTTLED,
    "INVALID_QUERY_LOCATOR": Fault.EXPIRED,
    # An object that the user may not see is called unknown.
    "INVALID_TYPE": Fault.PERMISSION,
    "INSUFFICIENT_ACCESS": Fault.PERMISSION,
    "API_DISABLED_FOR_ORG": Fault.LICENCE,
    "API_CURRENTLY_DISABLED": Fault.PERMISSION,
    "QUERY_TIMEOUT": Fault.TEMPORARY,
    "SERVER_UNAVAILABLE": Fault.TEMPORARY,
}
ONE_USER = "One user is visible, which may be the run-as user itself. It needs the permission View All Users to see the others."
NO_METHODS = "No user's verification methods are visible: the run-as user needs Manage MFA in API."


class SalesforceSource(ApiSource):
    slug = "salesforce"
    label = "Salesforce"
    summary = "Users with sign-ins, MFA, administrators and public groups."
    provider = "SALESFORCE"
    position = 80
    form_fields = (
        Field(
            path="url",
            label="My Domain",
            help="The My Domain login URL: https://example.my.salesforce.com. A sandbox has one of its own.",
            widget="url",
            pattern=r"https?://[^/?#]+/?",
            hint="Write the address without a path, such as https://example.my.salesforce.com.",
        ),
        Field(
            path="authorization",
            label="Authorization",
            help="Client credentials use a run-as user that the app names; JWT bearer signs with a private key.",
            widget="select",
            default="client_credentials",
            choices=(
                ("client_credentials", "Client credentials (secret)"),
                ("jwt_bearer", "JWT bearer (private key)"),
            ),
        ),
        Field(
            path="client_id",
            label="Consumer key",
            pattern=r"[A-Za-z0-9._-]{10,300}",
            hint="Copy the consumer key of the external client app.",
        ),
        Field(
            path="client_secret",
            label="Consumer secret",
            secret=True,
            when=("authorization", ("client_credentials",)),
        ),
        Field(
            path="username",
            label="Username",
            help="The integration user that is pre-authorized for the app.",
            when=("authorization", ("jwt_bearer",)),
            pattern=r"[^@\s]{1,64}@[^@\s]{1,255}",
            hint="Write a username, such as identity-checks@example.com.",
        ),
        Field(
            path="private_key",
            label="Private key",
            help="PEM of the key whose certificate the app holds.",
            widget="pem",
            secret=True,
            when=("authorization", ("jwt_bearer",)),
        ),
        Field(
            path="frozen",
            label="Read frozen and locked users",
            help="Needs Manage Users, which can change users too. Without it a frozen user is active.",
            widget="checkbox",
            default=False,
        ),
        pass_field(
            "roles",
            "Read administrators",
            help="Users who can modify all data or manage users, and whose password never expires.",
            default=True,
        ),
        pass_field(
            "factors",
            "Read verification methods",
            help="Needs Manage MFA in API.",
            default=True,
        ),
        pass_field(
            "groups",
            "Read public groups",
            default=False,
        ),
        pass_field(
            "sign_ins",
            "Read the login history",
            help="Country and address of the last success, and failures since. Needs Monitor Login History.",
            default=False,
        ),
        ATTRIBUTES_FIELD,
        PROXY_CA,
    )
    steps = (
        "In Salesforce Setup → Users make a user “Identity checks” with the licence Salesforce Integration and the profile "
        "Minimum Access - API Only Integrations.",
        "Make a permission set with API Enabled, View Setup and Configuration and View All Users; Manage MFA in API for "
        "verification methods, Monitor Login History for the login history. Assign it to that user.",
        "In External Client App Manager → New External Client App enable OAuth with the scope “Manage user data via APIs "
        "(api)” and the Client Credentials Flow; under Policies name that user as Run As.",
        "Copy consumer key and secret, and the My Domain login URL from Setup → My Domain.",
        "Save the form here, then run Test connectivity: it tries each permission and says what is missing.",
    )
    passes = (
        SyncPassKind(
            slug="users",
            label="Users",
            groups=("profile", "sign_in", "password"),
            limit=QUERIES,
            needs="View All Users",
        ),
        SyncPassKind(
            slug="roles",
            label="Administrators",
            groups=("roles", "password"),
            limit=QUERIES,
            absent={"admin_roles": [], "password_never_expires": False},
            needs="View Setup and Configuration",
            optional=True,
        ),
        SyncPassKind(
            slug="factors",
            label="Verification methods",
            groups=("factors",),
            limit=QUERIES,
            absent={"mfa_factors": [], "mfa_bypass": False},
            needs="Manage MFA in API",
            optional=True,
        ),
        SyncPassKind(
            slug="groups",
            label="Public groups",
            groups=("groups",),
            limit=QUERIES,
            absent={"groups": []},
            needs="View Setup and Configuration",
            optional=True,
        ),
        SyncPassKind(
            slug="sign_ins",
            label="Login history",
            groups=("sign_in",),
            limit=QUERIES,
            needs="Monitor Login History",
            optional=True,
        ),
    )

    def check(self, reader: DocumentReader, settings: JsonObject, secrets: JsonObject) -> None:
        check_private_key(reader, secrets)

    def fetch_token(self, source: SourceSettings) -> AccessToken | None:
        call = _call(source, None)
        if source.settings.get("authorization") == "jwt_bearer":
            claims = {
                "iss": source.settings["client_id"],
                "sub": source.settings["username"],
                "aud": login_address(call.base),
                "exp": int(time.time()) + ASSERTION_SECONDS,
            }
            key = private_key(source.secrets.get("private_key", ""))
            form = {"grant_type": JWT_BEARER, "assertion": signed_token(claims, key, {})}
        else:
            form = {
                "grant_type": "client_credentials",
                "client_id": source.settings["client_id"],
                "client_secret": str(source.secrets.get("client_secret", "")),
            }
        return request_token(call, TOKEN_PATH, form, check=partial(_check_instance, call))

    def auth(self, source: SourceSettings, token: AccessToken | None) -> AuthBase:
        return HeaderAuth("Bearer", token.text if token else "")

    def call(self, source: SourceSettings, auth: AuthBase | None) -> SourceCall:
        return _call(source, auth)

    def fetch(self, reading: SyncPassKind, call: SourceCall, cursor: Cursor | None) -> RecordPage:
        match reading.slug:
            case "users":
                return _users(call, cursor)
            case "roles":
                return _administrators(call, cursor)
            case "factors":
                return _methods(call, cursor)
            case "groups":
                return _groups(call, cursor)
            case _:
                return _history(call, cursor, datetime.now(UTC))

    def probe(self, source: SourceSettings, call: SourceCall, scopes: Sequence[str] | None) -> ProbeResult:
        rates: dict[str, RateSeen] = {}
        data = ""
        users = 0

        def list_users() -> str:
            nonlocal data, users
            data = _newest(call)
            users = _count(call, data, "SELECT COUNT() FROM User", rates)
            if not users:
                return "The credential is accepted, and no user is visible."
            return ONE_USER if users == 1 else ""

        def look(query: str, problem: str = "") -> str:
            found = _count(call, data, query, rates)
            return "" if found else problem

        results = [try_permission(self.listing, list_users)]
        if results[0].state is Permission.GRANTED:
            if source.settings.get("frozen"):
                part = replace(self.listing, label="Frozen and locked users", needs="Manage Users")
                attempt = partial(look, "SELECT Id FROM UserLogin LIMIT 1")
                results.append(try_permission(part, attempt))
            for reading in self.passes_of(source.settings)[1:]:
                query, problem = PROBES[reading.slug]
                results.append(try_permission(reading, partial(look, query, problem)))
        return ProbeResult(results, users, False, rates, call.clock_skew)


# One query per pass tries its permission; what a query without rows means.
PROBES = {
    "roles": (
        "SELECT Id FROM PermissionSetAssignment LIMIT 1",
        "No assignment of a permission set is visible.",
    ),
    "factors": ("SELECT UserId FROM TwoFactorMethodsInfo LIMIT 1", NO_METHODS),
    "groups": ("SELECT Id FROM GroupMember LIMIT 1", ""),
    "sign_ins": ("SELECT Id FROM LoginHistory LIMIT 1", "No login is visible."),
}


# --- Requests -----------------------------------------------------------------------------------------


def _call(source: SourceSettings, auth: AuthBase | None) -> SourceCall:
    return SourceCall(
        source,
        str(source.settings.get("url", "")),
        auth=auth,
        read_rates=read_rates,
        explain=error_text,
        classify=fault_of,
    )


def login_address(base: str) -> str:
    """The address of the login server, to which an assertion is addressed, of the cloud and the kind of organization.

    A host without ``.my.`` is its own.
    """
    first, _, cloud = (urlsplit(base).hostname or "").partition(".my.")
    if not cloud:
        return base
    is_sandbox = "--" in first or first.endswith((".sandbox", ".scratch"))
    return f"https://{'test' if is_sandbox else 'login'}.{cloud}"


def _check_instance(call: SourceCall, value: JsonMapping) -> None:
    """A token is good at the organization's own address alone. Raises :class:`SourceFault`."""
    instance = text_at(value, "instance_url")
    try:
        call.url_of(instance or call.base)
    except SourceFault:
        text = f"Salesforce has this organization at {call.shown(instance[:200])}: enter that address."
        raise SourceFault(text, Fault.CREDENTIAL) from None


def read_rates(headers: Mapping[str, str], limit: str) -> Mapping[str, RateSeen]:
    """The calls of the last 24 hours by ``Sforce-Limit-Info``. With few left this source pauses."""
    found = _USAGE.search(headers.get("Sforce-Limit-Info", ""))
    if not found:
        return {}
    used, most = (float(number) for number in found.groups())
    left = max(most - used, 0.0)
    rates = {"api-usage": RateSeen(most, left, LOOK_AGAIN_SECONDS)}
    if left < most * DAILY_RESERVE:
        rates[limit] = RateSeen(QUERIES.calls, 0, LOOK_AGAIN_SECONDS)
    return rates


def _error(value: object) -> JsonMapping:
    """The first error of an answer of the REST API, which is a list of errors."""
    found = value[0] if isinstance(value, list) and value else value
    return found if isinstance(found, dict) else {}


def error_text(value: object) -> str:
    error = _error(value)
    parts = (text_at(error, "errorCode"), text_at(error, "message"))
    return ": ".join(each for each in parts if each) or oauth_error(value)


def fault_of(status: int, value: object) -> Fault | None:
    return FAULTS.get(text_at(_error(value), "errorCode"))


def _newest(call: SourceCall) -> str:
    """The path of the newest version of the API that both sides know."""
    answer, _ = call.get(VERSIONS, limit=QUERIES.name)
    found = {text_at(each, "version"): text_at(each, "url") for each in answer.objects()}
    known = [version for version in found if version.replace(".", "", 1).isdigit() and found[version]]
    if not known:
        raise SourceFault("Salesforce names no version of its API.", Fault.TEMPORARY)
    old = [version for version in known if float(version) <= NEWEST_KNOWN]
    return found[max(old, key=float)] if old else found[min(known, key=float)]


def _query(data: str, soql: str) -> str:
    return f"{data}/query?{urlencode({'q': soql})}"


def _rows(call: SourceCall, path: str) -> tuple[list[JsonObject], str | None, Mapping[str, RateSeen]]:
    """The rows of a page of a query, the path of the next page, and the rates. Raises :class:`SourceFault`."""
    answer, rates = call.get(path, limit=QUERIES.name)
    value = answer.value if isinstance(answer.value, dict) else {}
    rows, following = answer.objects(value.get("records")), text_at(value, "nextRecordsUrl")
    if value.get("done") is not True and not following:
        raise SourceFault("The result is not complete, and has no next page.", Fault.TEMPORARY, rates=rates)
    return rows, None if value.get("done") is True else following, rates


def _count(call: SourceCall, data: str, soql: str, rates: dict[str, RateSeen]) -> int:
    answer, seen = call.get(_query(data, soql), limit=QUERIES.name)
    rates.update(seen)
    value = answer.value if isinstance(answer.value, dict) else {}
    found = value.get("totalSize")
    return found if isinstance(found, int) else len(answer.objects(value.get("records")))


# --- Users --------------------------------------------------------------------------------------------


def _users_query(call: SourceCall, without: Sequence[str]) -> str:
    wanted = (
        *REQUIRED,
        *TEXT_COLUMNS.values(),
        *TIME_COLUMNS.values(),
        LICENCE,
        *mapped_attributes(call.options).values(),
    )
    shown = [column for column in dict.fromkeys(wanted) if not _is_without(column, without)]
    return f"SELECT {', '.join(shown)} FROM User"


def _is_without(column: str, without: Sequence[str]) -> bool:
    return any(name.lower() in column.lower().split(".") for name in without)


def _users(call: SourceCall, cursor: Cursor | None) -> RecordPage:
    """First the ids of frozen and locked users, if chosen; then the users.

    Cursor: ``url`` of the page, ``data``: path of the API; ``stage``; ``frozen``, ``locked``: ids; ``without``: columns that the
    run-as user may not see.
    """
    if cursor is None:
        data = _newest(call)
        if call.options.get("frozen"):
            cursor = {"stage": "frozen", "url": _query(data, FROZEN_USERS), "data": data}
        else:
            cursor = {"url": _query(data, _users_query(call, ())), "data": data}
    if cursor.get("stage") == "frozen":
        return _frozen_users(call, cursor)
    without = list(cursor.get("without", ()))
    try:
        rows, following, rates = _rows(call, cursor["url"])
    except SourceFault as fault:
        found = _NO_SUCH.search(str(fault))
        name = found.group(1).rpartition(".")[2] if found and fault.status == 400 else ""
        if not name or name in (*without, *REQUIRED):
            raise
        without.append(name)
        url = _query(cursor["data"], _users_query(call, without))
        return RecordPage((), {**cursor, "url": url, "without": without}, fault.rates)
    attributes = mapped_attributes(call.options)
    records = [user_of(each, attributes, cursor.get("frozen", ()), cursor.get("locked", ())) for each in rows]
    return RecordPage(records, {**cursor, "url": following} if following else None, rates)


def _frozen_users(call: SourceCall, cursor: Cursor) -> RecordPage:
    rows, following, rates = _rows(call, cursor["url"])
    frozen, locked = list(cursor.get("frozen", ())), list(cursor.get("locked", ()))
    frozen += [text_at(each, "UserId") for each in rows if each.get("IsFrozen") is True]
    locked += [text_at(each, "UserId") for each in rows if each.get("IsPasswordLocked") is True]
    more: Cursor = {**cursor, "frozen": frozen, "locked": locked, "url": following}
    if not following:
        more |= {"stage": "users", "url": _query(cursor["data"], _users_query(call, ()))}
    return RecordPage((), more, rates)


def user_of(
    user: JsonMapping,
    attributes: Mapping[str, str] | None = None,
    frozen: Sequence[str] = (),
    locked: Sequence[str] = (),
) -> JsonObject:
    """The record of one user. A column that the run-as user may not see is not in the row, and unknown.

    ``attributes``: field → column that the member mapped to it. ``frozen``, ``locked``: ids of users.
    """
    key = text_at(user, "Id")
    record: JsonObject = {"source_key": key, "login": text_at(user, "Username")}
    for field, column in TEXT_COLUMNS.items():
        if column.partition(".")[0] in user:
            record[field] = attribute_text(user, column)
    for field, column in TIME_COLUMNS.items():
        # Without a password there is no time; a user who never signed in has null.
        if column in user and (user[column] is not None or field == "last_sign_in_at"):
            record[field] = user[column]
    licence = attribute_text(user, LICENCE) or ""
    if licence in LICENCE_TYPES:
        record["user_type"] = LICENCE_TYPES[licence]
    record["status"] = _status(user, key in frozen, key in locked)
    return with_mapped(record, user, attributes or {})


def _status(user: JsonMapping, is_frozen: bool, is_locked: bool) -> str:
    if user.get("IsActive") is not True:
        return "disabled"
    return "suspended" if is_frozen else "locked_out" if is_locked else "active"


# --- Permissions --------------------------------------------------------------------------------------


def _assignments(*permissions: str) -> str:
    """The assignments of profiles, permission sets and groups of these that grant one of the permissions."""
    columns = (
        "AssigneeId",
        "IsActive",
        "ExpirationDate",
        "PermissionSet.Label",
        "PermissionSet.Profile.Name",
    )
    granted = " OR ".join(f"PermissionSet.{name} = true" for name in permissions)
    return f"SELECT {', '.join(columns)} FROM PermissionSetAssignment WHERE {granted}"


def _is_assigned(row: JsonMapping) -> bool:
    """Whether the assignment has not run out."""
    return bool(text_at(row, "AssigneeId")) and not (
        row.get("IsActive") is False and row.get("ExpirationDate") is not None
    )


def _two_queries(
    call: SourceCall,
    cursor: Cursor | None,
    first: Callable[[Cursor | None], tuple[Sequence[JsonObject], str | None, Mapping[str, RateSeen], str]],
    second: str,
    record: Callable[[str], JsonObject],
) -> RecordPage:
    """The pages of ``first``, then one record for each assignee of the query ``second``.

    ``first(cursor)`` gives records, the path of its next page, the rates and the path of the API. Cursor: ``url``, ``data``,
    ``stage``: "second".
    """
    if cursor is None or cursor.get("stage") != "second":
        records, following, rates, data = first(cursor)
        if following:
            return RecordPage(records, {"url": following, "data": data}, rates)
        return RecordPage(records, {"url": _query(data, second), "data": data, "stage": "second"}, rates)
    rows, following, rates = _rows(call, cursor["url"])
    found = [record(text_at(each, "AssigneeId")) for each in rows if _is_assigned(each)]
    return RecordPage(found, {**cursor, "url": following} if following else None, rates)


def _administrators(call: SourceCall, cursor: Cursor | None) -> RecordPage:
    """Who can modify all data or manage users, by the name of the profile or permission set; then whose password never expires."""

    def first(
        at: Cursor | None,
    ) -> tuple[Sequence[JsonObject], str | None, Mapping[str, RateSeen], str]:
        data = at["data"] if at else _newest(call)
        rows, following, rates = _rows(call, at["url"] if at else _query(data, _assignments(*ADMINISTRATORS)))
        records: list[JsonObject] = [
            {
                "source_key": text_at(each, "AssigneeId"),
                "admin_roles": [_role_name(each)],
                "password_never_expires": False,
            }
            for each in rows
            if _is_assigned(each)
        ]
        return records, following, rates, data

    def never_expires(key: str) -> JsonObject:
        # The list is added to that of the record before.
        return {"source_key": key, "admin_roles": [], "password_never_expires": True}

    return _two_queries(call, cursor, first, _assignments(NEVER_EXPIRES), never_expires)


def _role_name(row: JsonMapping) -> str:
    """The name of the profile that owns the permission set, else that of the permission set."""
    places = ("PermissionSet.Profile.Name", "PermissionSet.Label")
    return next((name for place in places if (name := attribute_text(row, place))), "Administrator")


def _methods(call: SourceCall, cursor: Cursor | None) -> RecordPage:
    """The verification methods, from one user id to the next; then who is exempt from MFA. Cursor: also ``last``: that id."""

    def first(
        at: Cursor | None,
    ) -> tuple[Sequence[JsonObject], str | None, Mapping[str, RateSeen], str]:
        data = at["data"] if at else _newest(call)
        rows, _, rates = _rows(call, at["url"] if at else _query(data, _methods_query("")))
        if not rows and at is None:
            raise SourceFault(NO_METHODS, Fault.PERMISSION, rates=rates)
        last = text_at(rows[-1], "UserId") if rows else ""
        following = _query(data, _methods_query(last)) if _ID.fullmatch(last) else None
        return [methods_of(each) for each in rows], following, rates, data

    def waived(key: str) -> JsonObject:
        return {"source_key": key, "mfa_factors": [], "mfa_bypass": True}

    return _two_queries(call, cursor, first, _assignments(WAIVED), waived)


def _methods_query(last: str) -> str:
    after = f" WHERE UserId > '{last}'" if last else ""
    columns = ", ".join(("UserId", *METHODS, "HasTempCode"))
    return f"SELECT {columns} FROM TwoFactorMethodsInfo{after} ORDER BY UserId LIMIT {METHODS_PAGE}"


def methods_of(row: JsonMapping) -> JsonObject:
    """The verification methods of one user. A temporary code gets around them."""
    kinds = [kind for column, kind in METHODS.items() if row.get(column) is True]
    return {
        "source_key": text_at(row, "UserId"),
        "mfa_factors": [{"kind": kind} for kind in dict.fromkeys(kinds)],
        "mfa_bypass": row.get("HasTempCode") is True,
    }


# --- Groups and logins --------------------------------------------------------------------------------


def _groups(call: SourceCall, cursor: Cursor | None) -> RecordPage:
    """The users who are members of a public group themselves."""
    rows, following, rates = _rows(call, cursor["url"] if cursor else _query(_newest(call), GROUP_MEMBERS))
    records: list[JsonObject] = [
        {"source_key": key, "groups": [name]}
        for each in rows
        if (key := text_at(each, "UserOrGroupId")).startswith(USER_PREFIX)
        and (name := attribute_text(each, "Group.Name"))
    ]
    return RecordPage(records, {"url": following} if following else None, rates)


def _history(call: SourceCall, cursor: Cursor | None, now: datetime) -> RecordPage:
    """The logins of the last days, the oldest first. Cursor: ``url``, and ``failed``: failures of each user since their last success."""
    if cursor is None:
        since = (now - timedelta(days=HISTORY_DAYS)).strftime("%Y-%m-%dT%H:%M:%SZ")
        columns = "UserId, LoginTime, SourceIp, CountryIso, Status"
        soql = f"SELECT {columns} FROM LoginHistory WHERE LoginTime >= {since} ORDER BY LoginTime"
        cursor = {"url": _query(_newest(call), soql), "failed": {}}
    rows, following, rates = _rows(call, cursor["url"])
    failed: dict[str, int] = dict(cursor["failed"])
    records: dict[str, JsonObject] = {}
    for row in rows:
        key = text_at(row, "UserId")
        record = records.setdefault(key, {"source_key": key})
        if text_at(row, "Status") == "Success":
            failed.pop(key, None)
            record["last_sign_in_country"] = text_at(row, "CountryIso")
            record["last_sign_in_ip"] = text_at(row, "SourceIp")
        else:
            failed[key] = failed.get(key, 0) + 1
    for key, record in records.items():
        record["failed_sign_ins"] = failed.get(key, 0)
    more = {"url": following, "failed": failed} if following else None
    return RecordPage([each for each in records.values() if each["source_key"]], more, rates)
