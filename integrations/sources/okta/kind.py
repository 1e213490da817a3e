"""Okta: users, factors, administrator roles, groups and applications (developer.okta.com/docs/api).

Users come 200 a page. Factors are one call a user; roles one call an administrator; groups and applications one call or
more each. Whose factors have changed is in the System Log, 1,000 events a page. Every call names its limit in
``X-Rate-Limit-*``.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from functools import partial
from urllib.parse import quote

from requests.auth import AuthBase

from integrations.auth.client_assertions import (
    claims_of,
    new_proof_key,
)
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
from integrations.sources.shared.api_source import AccessToken, ApiSource, ChangeLog, RateLimit, SyncPassKind
from integrations.sources.shared.attributes import ATTRIBUTES_FIELD, mapped_attributes, with_mapped
from integrations.sources.shared.cloud_fields import PROXY_CA, check_private_key, groups_field, pass_field
from integrations.sources.shared.memberships import ListPage, next_memberships
from integrations.sources.shared.probing import try_permission
from integrations.sources.shared.source_call import (
    Explain,
    HeaderAuth,
    ProofAuth,
    SourceCall,
    epoch_rates,
    objects_at,
    text_at,
)
from integrations.sources.shared.token_endpoint import client_assertion, oauth_error, request_token
from integrations.targets.shared.documents import DocumentReader
from integrations.targets.shared.setting_fields import Field

USERS_PAGE, GROUPS_PAGE, ADMINS_PAGE, APP_USERS_PAGE, EVENTS_PAGE = 200, 200, 100, 500, 1000
# activate, deactivate, reset_all, suspend, unsuspend and update.
FACTOR_EVENTS = 'eventType sw "user.mfa.factor."'
# Older events are not returned.
LOG_KEPT = timedelta(days=90)
# Okta leaves the credentials out, which takes it less time.
LISTING_HEADERS = {"Content-Type": 'application/json; okta-response="omitCredentials,omitCredentialsLinks"'}
CONCURRENT_LIMIT_WAIT = 1.0
TOKEN_PATH = "/oauth2/v1/token"  # noqa: S105  no secret
# The errors of a token request: without a proof, from an app that requires one; for a scope that is not granted.
PROOF_WANTED, SCOPE_REFUSED = "invalid_dpop_proof", "invalid_scope"
LOG_SCOPE = "okta.logs.read"

# Okta's factorType, where it alone decides; others go by spellings.py of the import.
FACTOR_KINDS = {
    "call": "voice",
    "sms": "sms",
    "email": "email",
    "question": "security_question",
    "push": "push",
    "token:software:totp": "totp",
    "token:hotp": "hardware_otp",
    "token:hardware": "hardware_otp",
    "u2f": "fido2",
    "webauthn": "webauthn",
    "signed_nonce": "fastpass",
    "web": "external",
}
# The kind of a factor of type ``token``, by its provider.
TOKEN_KINDS = {"RSA": "hardware_otp_pin", "SYMANTEC": "software_oath"}
PROFILE_FIELDS = {
    "login": "login",
    "email": "email",
    "first_name": "firstName",
    "last_name": "lastName",
    "display_name": "displayName",
    "phone": "mobilePhone",
    "employee_id": "employeeNumber",
    "department": "department",
    "title": "title",
    "company": "organization",
    "locale": "locale",
    "manager": "managerId",
    "user_type": "userType",
}
TIME_FIELDS = {
    "created_at": "created",
    "status_changed_at": "statusChanged",
    "password_changed_at": "passwordChanged",
    "last_sign_in_at": "lastLogin",
}


class OktaSource(ApiSource):
    slug = "okta"
    label = "Okta"
    summary = "Users, MFA factors, administrator roles, groups and applications."
    provider = "OKTA"
    position = 10
    form_fields = (
        Field(
            path="url",
            label="Address of the organization",
            help="As in the browser, without “-admin”: https://example.okta.com.",
            widget="url",
            pattern=r"https?://[^/?#]+/?",
            hint="Write the address without a path, such as https://example.okta.com.",
        ),
        Field(
            path="authorization",
            label="Authorization",
            help="A service app can be limited to reading; an API token has all rights of the administrator who made it.",
            widget="select",
            default="service_app",
            choices=(("service_app", "Service app (OAuth, private key)"), ("api_token", "API token")),
        ),
        Field(
            path="client_id",
            label="Client ID",
            when=("authorization", ("service_app",)),
            pattern=r"[A-Za-z0-9_-]{5,100}",
            hint="Copy the client ID of the app, such as 0oa1gjh63g214q0Hq0g4.",
        ),
        Field(
            path="key_id",
            label="Key ID (kid)",
            help="Of the public key that the app holds.",
            required=False,
            most=200,
            when=("authorization", ("service_app",)),
        ),
        Field(
            path="private_key",
            label="Private key",
            help="The PEM text that Okta shows once when the key is made.",
            widget="pem",
            secret=True,
            when=("authorization", ("service_app",)),
        ),
        Field(
            path="api_token",
            label="API token",
            help="Okta deletes a token that is not used for 30 days.",
            secret=True,
            when=("authorization", ("api_token",)),
        ),
        groups_field(default=True),
        pass_field(
            "applications",
            "Read applications",
            help="One call or more for each application; Okta allows few of these a minute.",
            default=False,
        ),
        pass_field(
            "changes",
            "Read the System Log",
            help="It names the users whose factors have changed: these are read each time, the others by rotation.",
            default=True,
        ),
        ATTRIBUTES_FIELD,
        PROXY_CA,
    )
    steps = (
        "In Okta's Admin Console open Applications → Applications → Create App Integration → API Services, name it "
        "“Identity checks (read-only)” and copy its Client ID.",
        "Under General → Client Credentials choose “Public key / Private key”, add a key, copy the private key as PEM and "
        "its KID, and save.",
        "Under Okta API Scopes grant okta.users.read, okta.roles.read, okta.groups.read and okta.logs.read; okta.apps.read "
        "only if applications are to be read.",
        "Under Admin roles assign “Read-only Administrator”: scopes alone list no user.",
        "Save the form here, then run Test connectivity: it tries each permission and says what is missing.",
    )
    passes = (
        SyncPassKind(
            slug="users",
            label="Users",
            groups=("profile", "sign_in", "password"),
            limit=RateLimit("users", 600),
            needs="okta.users.read",
        ),
        SyncPassKind(
            slug="roles",
            label="Administrator roles",
            groups=("roles",),
            limit=RateLimit("roles", 200),
            absent={"admin_roles": []},
            needs="okta.roles.read",
        ),
        SyncPassKind(
            slug="groups",
            label="Groups",
            groups=("groups",),
            limit=RateLimit("groups", 500),
            absent={"groups": []},
            needs="okta.groups.read",
            optional=True,
        ),
        SyncPassKind(
            slug="applications",
            label="Applications",
            groups=("applications",),
            limit=RateLimit("applications", 100),
            absent={"applications": []},
            needs="okta.apps.read",
            optional=True,
        ),
        SyncPassKind(
            slug="changes",
            label="Changed factors (System Log)",
            groups=(),
            limit=RateLimit("logs", 50),
            changes=ChangeLog(of="factors", kept=LOG_KEPT),
            needs=LOG_SCOPE,
            optional=True,
        ),
        SyncPassKind(
            slug="factors",
            label="MFA factors",
            groups=("factors",),
            limit=RateLimit("factors", 600),
            per_account=True,
            needs="okta.users.read",
        ),
    )

    def check(self, reader: DocumentReader, settings: JsonObject, secrets: JsonObject) -> None:
        check_private_key(reader, secrets)

    def fetch_token(self, source: SourceSettings) -> AccessToken | None:
        if source.settings.get("authorization") == "api_token":
            return None
        # Those that the chosen passes need: a scope that is not granted fails the request.
        scopes = list(dict.fromkeys(each.needs for each in self.passes_of(source.settings)))
        try:
            return _token(source, scopes)
        except SourceFault as fault:
            if SCOPE_REFUSED not in str(fault) or LOG_SCOPE not in scopes:
                raise
        # The log only saves calls: without its scope everything else is read.
        return _token(source, [each for each in scopes if each != LOG_SCOPE])

    def token_scopes(self, token: str) -> list[str] | None:
        found = claims_of(token).get("scp")
        return [str(each) for each in found] if isinstance(found, list) else None

    def auth(self, source: SourceSettings, token: AccessToken | None) -> AuthBase:
        if token and token.proof_key:
            return ProofAuth(token.proof_key, token.text)
        if token:
            return HeaderAuth("Bearer", token.text)
        return HeaderAuth("SSWS", str(source.secrets.get("api_token", "")))

    def call(self, source: SourceSettings, auth: AuthBase | None) -> SourceCall:
        return _call(source, auth)

    def fetch(self, reading: SyncPassKind, call: SourceCall, cursor: Cursor | None) -> RecordPage:
        match reading.slug:
            case "users":
                return _users(call, cursor)
            case "roles":
                return _roles(call, cursor)
            case "changes":
                return _changes(call, cursor or {})
            case _:
                return _memberships(call, cursor, reading.slug)

    def fetch_account(self, reading: SyncPassKind, call: SourceCall, key: str) -> RecordPage:
        answer, rates = call.get(f"/api/v1/users/{quote(key, safe='')}/factors", limit="factors")
        factors = [factor_of(each) for each in answer.objects()]
        return RecordPage([{"source_key": key, "mfa_factors": factors}], None, rates)

    def probe(self, source: SourceSettings, call: SourceCall, scopes: Sequence[str] | None) -> ProbeResult:
        rates: dict[str, RateSeen] = {}
        users: list[JsonObject] = []
        more = False

        def list_users() -> str:
            nonlocal more
            answer, seen = call.get(
                "/api/v1/users", limit="users", parameters=_listing(), headers=LISTING_HEADERS
            )
            rates.update(seen)
            users.extend(answer.objects())
            more = bool(answer.next_link())
            return "" if users else NO_USERS

        def look(path: str, limit: str) -> str:
            _, seen = call.get(path, limit=limit)
            rates.update(seen)
            return ""

        results = [try_permission(self.listing, list_users, scopes)]
        if results[0].state is Permission.GRANTED:
            first = quote(text_at(users[0], "id"), safe="")
            for reading in self.passes_of(source.settings)[1:]:
                attempt = partial(look, PROBES[reading.slug].format(first), reading.limit.name)
                results.append(try_permission(reading, attempt, scopes))
        return ProbeResult(results, len(users), more, rates, call.clock_skew)


# One call per pass tries its permission; ``{}`` is replaced by the first user's id.
PROBES = {
    "roles": "/api/v1/iam/assignees/users?limit=1",
    "groups": "/api/v1/groups?limit=1",
    "applications": "/api/v1/apps?limit=1",
    "changes": "/api/v1/logs?limit=1",
    "factors": "/api/v1/users/{}/factors",
}
NO_USERS = (
    "The credential is accepted, and no user is visible. "
    "A service app needs an administrator role in addition to its scopes: "
    "assign it “Read-only Administrator”, or a custom role that can view users."
)


def _token(source: SourceSettings, scopes: Sequence[str]) -> AccessToken:
    """A token for these scopes, bound to a key if the app requires that, as new ones do."""
    call = _call(source, None, explain=oauth_error)
    try:
        return request_token(call, TOKEN_PATH, _token_form(source, scopes))
    except SourceFault as fault:
        if PROOF_WANTED not in str(fault):
            raise
    return request_token(call, TOKEN_PATH, _token_form(source, scopes), proof_key=new_proof_key())


def _token_form(source: SourceSettings, scopes: Sequence[str]) -> dict[str, str]:
    """The form of one request: its assertion is accepted once."""
    return {
        "grant_type": "client_credentials",
        "scope": " ".join(scopes),
        **client_assertion(source, f"{_base(source)}{TOKEN_PATH}"),
    }


def _base(source: SourceSettings) -> str:
    return str(source.settings.get("url", "")).rstrip("/")


def _call(source: SourceSettings, auth: AuthBase | None, explain: Explain | None = None) -> SourceCall:
    return SourceCall(
        source,
        _base(source),
        auth=auth,
        read_rates=read_rates,
        explain=explain or error_text,
    )


def read_rates(headers: Mapping[str, str], limit: str) -> Mapping[str, RateSeen]:
    """``X-Rate-Limit-Limit``, ``-Remaining`` and ``-Reset`` (epoch seconds by Okta's clock). All zero: the limit of
    requests at a time, which passes at once."""
    found = epoch_rates(headers, limit, prefix="X-Rate-Limit-")
    if limit in found and found[limit].limit == 0:
        return {limit: RateSeen(0, 0, CONCURRENT_LIMIT_WAIT)}
    return found


def error_text(value: object) -> str:
    """``errorSummary`` with its code and first cause, as Okta's API explains an error."""
    if not isinstance(value, dict):
        return ""
    summary, code = value.get("errorSummary"), value.get("errorCode")
    if not isinstance(summary, str):
        return oauth_error(value)
    causes = value.get("errorCauses")
    first = (
        causes[0].get("errorSummary")
        if isinstance(causes, list) and causes and isinstance(causes[0], dict)
        else ""
    )
    return ": ".join(str(each) for each in (code, summary, first) if each)


# --- The passes ---------------------------------------------------------------------------------------


def _listing() -> dict[str, str]:
    # Without a search Okta leaves deprovisioned users out, which would look deleted.
    return {"search": "status pr", "sortBy": "id", "limit": str(USERS_PAGE)}


def _users(call: SourceCall, cursor: Cursor | None) -> RecordPage:
    if cursor is None:
        answer, rates = call.get(
            "/api/v1/users", limit="users", parameters=_listing(), headers=LISTING_HEADERS
        )
    else:
        answer, rates = call.get(cursor["url"], limit="users", headers=LISTING_HEADERS)
    attributes = mapped_attributes(call.options)
    return RecordPage(
        [user_of(each, attributes) for each in answer.objects()], _next(answer.next_link()), rates
    )


def _next(link: str | None) -> Cursor | None:
    return {"url": link} if link else None


def user_of(user: JsonMapping, attributes: Mapping[str, str]) -> JsonObject:
    """The record of one user; ``attributes``: field → attribute of the profile that the member mapped to it.

    An attribute that Okta leaves out is unknown; null means none.
    """
    profile = user.get("profile")
    profile = profile if isinstance(profile, Mapping) else {}
    record: JsonObject = {"source_key": text_at(user, "id")}
    for field, name in PROFILE_FIELDS.items():
        if name in profile:
            record[field] = _plain(profile[name])
    for field, name in TIME_FIELDS.items():
        # An account without a password of Okta's has none that could be old.
        if name in user and (user[name] is not None or name == "lastLogin"):
            record[field] = user[name]
    record["status"] = "transient" if user.get("transitioningToStatus") else user.get("status")
    return with_mapped(record, profile, attributes)


def _plain(value: object) -> object:
    """A profile attribute as a value of the record: texts and numbers; a list's items joined."""
    if isinstance(value, list):
        return ", ".join(str(each) for each in value)
    return str(value) if isinstance(value, bool | int | float) else value if isinstance(value, str) else None


def factor_of(factor: JsonMapping) -> JsonObject:
    """One factor of the record: kind, status, and the device that identifies it."""
    kind = text_at(factor, "factorType")
    if kind == "token":
        found = TOKEN_KINDS.get(text_at(factor, "provider").upper(), "hardware_otp")
    else:
        found = FACTOR_KINDS.get(kind, kind or "unknown")
    profile = factor.get("profile")
    profile = profile if isinstance(profile, Mapping) else {}
    names = (
        ("phoneNumber",) if kind in ("sms", "call") else ("email",) if kind == "email" else ("credentialId",)
    )
    device = next((text_at(profile, name) for name in names if text_at(profile, name)), "")
    # A credential id of push or TOTP is the login of the account: it tells no devices apart.
    keeps_device = device and kind in (
        "sms",
        "call",
        "u2f",
        "webauthn",
        "token:hotp",
        "token:hardware",
        "token",
    )
    return {
        "kind": found,
        "status": text_at(factor, "status"),
        **({"device": device} if keeps_device else {}),
    }


def _roles(call: SourceCall, cursor: Cursor | None) -> RecordPage:
    """First the ids of all administrators, a page at a time; after each page one call for each of them."""
    pending = list((cursor or {}).get("pending", ()))
    if pending:
        key = pending.pop(0)
        following = (cursor or {}).get("url")
        more = {"pending": pending, "url": following} if pending or following else None
        return _roles_of(call, key, more)
    path = (cursor or {}).get("url") or f"/api/v1/iam/assignees/users?limit={ADMINS_PAGE}"
    answer, rates = call.get(path, limit="roles")
    value = answer.value if isinstance(answer.value, dict) else {}
    ids = [text_at(each, "id") for each in answer.objects(value.get("value"))]
    link = ((value.get("_links") or {}).get("next") or {}).get("href")
    more = {"pending": [each for each in ids if each], "url": link} if ids or link else None
    return RecordPage((), more, rates)


def _roles_of(call: SourceCall, key: str, more: Cursor | None) -> RecordPage:
    try:
        answer, rates = call.get(f"/api/v1/users/{quote(key, safe='')}/roles", limit="roles")
    except SourceFault as fault:
        if fault.fault is Fault.GONE:
            return RecordPage((), more, fault.rates)
        raise
    labels = [
        text_at(each, "label") or text_at(each, "type")
        for each in answer.objects()
        if text_at(each, "status") in ("", "ACTIVE")
    ]
    names = list(dict.fromkeys(label for label in labels if label))
    return RecordPage([{"source_key": key, "admin_roles": names}], more, rates)


def _changes(call: SourceCall, cursor: Cursor) -> RecordPage:
    """The users whose factors changed in a period, of one page of events.

    With ``until`` the request is bounded: its pages end. Without it, there is always a link to a next page
    (developer.okta.com/docs/reference/api/system-log/#bounded-requests).
    """
    if "url" in cursor:
        answer, rates = call.get(cursor["url"], limit="logs")
    else:
        parameters = {
            "since": cursor["since"],
            "until": cursor["until"],
            "filter": FACTOR_EVENTS,
            "sortOrder": "ASCENDING",
            "limit": str(EVENTS_PAGE),
        }
        answer, rates = call.get("/api/v1/logs", limit="logs", parameters=parameters)
    keys = dict.fromkeys(key for event in answer.objects() for key in _users_of(event))
    return RecordPage([{"source_key": key} for key in keys], _next(answer.next_link()), rates)


def _users_of(event: JsonMapping) -> Iterator[str]:
    """The ids of the users that an event is about; an enrollment or a policy may be a target too."""
    for target in objects_at(event, "target"):
        if text_at(target, "type") == "User" and text_at(target, "id"):
            yield text_at(target, "id")


def _memberships(call: SourceCall, cursor: Cursor | None, field: str) -> RecordPage:
    """The members of groups or of applications."""
    listing, members = MEMBERSHIPS[field]

    def list_groups(url: str | None) -> ListPage:
        answer, rates = call.get(url or listing, limit=field)
        items = [(text_at(each, "id"), NAMES[field](each)) for each in answer.objects()]
        return ListPage(items, answer.next_link(), rates)

    def list_members(key: str, url: str | None) -> ListPage:
        answer, rates = call.get(url or members.format(quote(key, safe="")), limit=field)
        return ListPage([(text_at(each, "id"), "") for each in answer.objects()], answer.next_link(), rates)

    def member(key: str, name: str) -> JsonObject:
        return {"source_key": key, field: [{"name": name}] if field == "applications" else [name]}

    return next_memberships(cursor, list_groups, list_members, member)


def _group_name(group: JsonMapping) -> str:
    """The name of a group; "" for “Everyone”, which holds all users: it has no use and costs a listing."""
    profile = group.get("profile")
    if text_at(group, "type") == "BUILT_IN" or not isinstance(profile, Mapping):
        return ""
    return text_at(profile, "name")


def _application_name(app: JsonMapping) -> str:
    return text_at(app, "label") or text_at(app, "name")


# Field → the path of the list, and that of the members of one of its items.
MEMBERSHIPS = {
    "groups": (f"/api/v1/groups?limit={GROUPS_PAGE}", f"/api/v1/groups/{{}}/users?limit={USERS_PAGE}"),
    "applications": (
        "/api/v1/apps?limit=200&filter=status%20eq%20%22ACTIVE%22",
        f"/api/v1/apps/{{}}/users?limit={APP_USERS_PAGE}",
    ),
}
NAMES = {"groups": _group_name, "applications": _application_name}
