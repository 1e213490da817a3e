"""Auth0: users with sign-ins, authentication methods and roles (auth0.com/docs/api/management/v2).

The list of users is a search, which shows the first 1,000 users alone. Each page therefore starts at the time at which the
last user of the page before was created: nobody is missed when users are added or deleted meanwhile. Authentication methods are
one call a user; the members of a role, and the log of the tenant, page by checkpoint.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from urllib.parse import quote, urlencode

from requests.auth import AuthBase

from integrations.auth.client_assertions import (
    claims_of,
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
from integrations.sources.shared.api_source import AccessToken, ApiSource, RateLimit, SyncPassKind
from integrations.sources.shared.attributes import ATTRIBUTES_FIELD, attribute_text, mapped_attributes
from integrations.sources.shared.cloud_fields import PROXY_CA, check_private_key, pass_field
from integrations.sources.shared.memberships import ListPage, in_group, next_memberships
from integrations.sources.shared.probing import try_permission
from integrations.sources.shared.source_call import (
    HeaderAuth,
    SourceCall,
    epoch_rates,
    objects_at,
    text_at,
)
from integrations.sources.shared.token_endpoint import client_assertion, oauth_error, request_token
from integrations.targets.shared.documents import DocumentReader
from integrations.targets.shared.setting_fields import Field

USERS, ROLES, LOGS = "/api/v2/users", "/api/v2/roles", "/api/v2/logs"
PAGE = 100
# A search shows no user after these.
MOST_FOUND = 1_000
# The header names the size of a bucket, which fills within some seconds: 10 calls at two a second for a free tenant, 50 at 16 a
# second for others.
MANAGEMENT = RateLimit("management", 10, 5.0)
# Of a user, what the record needs. Metadata only where an attribute is mapped to it.
USER_FIELDS = (
    *("user_id", "email", "email_verified", "name", "given_name", "family_name", "phone_number"),
    *("blocked", "created_at", "last_login", "last_ip", "last_password_reset"),
)
# Auth0 refuses assertions that are valid for more than five minutes by its own clock.
ASSERTION_SECONDS = 120
LOG_DAYS = 7
# Types of events of the log: a sign-in, and one that failed.
SUCCESSES = frozenset(("s", "scoa", "sens"))
FAILURES = frozenset(("f", "fc", "fcoa", "fens", "fp", "fu"))
PROFILE_FIELDS = {
    "display_name": "name",
    "first_name": "given_name",
    "last_name": "family_name",
    "phone": "phone_number",
}
# Methods of the list that are no second factor: the password itself, a code to recover with, the proof of an address.
NO_FACTORS = frozenset(("password", "recovery-code", "email-verification"))
# Auth0's word → kind of the record, where it alone decides; others go by spellings.py of the import.
METHOD_KINDS = {
    "push": "push",
    "push-notification": "push",
    "totp": "totp",
    "email": "email",
    "phone": "phone",
    "sms": "sms",
    "voice": "voice",
    "guardian": "push",
    "passkey": "passkey",
    "webauthn-roaming": "webauthn",
    "webauthn-platform": "webauthn",
}


class Auth0Source(ApiSource):
    slug = "auth0"
    label = "Auth0"
    summary = "Users with sign-ins, authentication methods and roles."
    provider = "AUTH0"
    position = 70
    form_fields = (
        Field(
            path="url",
            label="Address of the tenant",
            help="The domain of the application with https:// before it; also a custom domain.",
            widget="url",
            pattern=r"https?://[^/?#]+/?",
            hint="Write the address without a path, such as https://example.eu.auth0.com.",
        ),
        Field(
            path="client_id",
            label="Client ID",
            pattern=r"[A-Za-z0-9_-]{5,100}",
            hint="Copy the client ID of the machine-to-machine application.",
        ),
        Field(
            path="authorization",
            label="Authorization",
            help="As the application has it under Credentials → Authentication Methods.",
            widget="select",
            default="client_secret",
            choices=(("client_secret", "Client secret"), ("private_key_jwt", "Private key (JWT)")),
        ),
        Field(
            path="client_secret",
            label="Client secret",
            secret=True,
            when=("authorization", ("client_secret",)),
        ),
        Field(
            path="private_key",
            label="Private key",
            help="The PEM text of the RSA key whose public part the application holds.",
            widget="pem",
            secret=True,
            when=("authorization", ("private_key_jwt",)),
        ),
        Field(
            path="key_id",
            label="Key ID (kid)",
            help="Of the credential in Auth0.",
            required=False,
            most=200,
            when=("authorization", ("private_key_jwt",)),
        ),
        Field(
            path="algorithm",
            label="Algorithm",
            help="The one that was chosen for the credential in Auth0.",
            widget="select",
            default="RS256",
            choices=(("RS256", "RS256"), ("PS256", "PS256")),
            when=("authorization", ("private_key_jwt",)),
        ),
        Field(
            path="audience",
            label="Identifier of the Management API",
            help="Only with a custom domain: https://example.eu.auth0.com/api/v2/.",
            widget="url",
            required=False,
        ),
        Field(
            path="admin_roles",
            label="Administrator roles",
            help="One name a line. Users with one of these roles are administrators; empty: not known.",
            widget="lines",
            required=False,
            most=200,
        ),
        pass_field(
            "groups",
            "Read roles as groups",
            help="One call or more for each role.",
            default=False,
        ),
        pass_field(
            "factors",
            "Read authentication methods",
            help="One call for each user.",
            default=True,
        ),
        pass_field(
            "sign_ins",
            "Read the log of the tenant",
            help="Country of the last success, and failures since. One call for 100 events of any type.",
            default=False,
        ),
        Field(
            path="unverified_email",
            label="Take unverified e-mail addresses",
            help="Only if nobody can sign up, and no outside identity provider is connected: accounts are joined by address.",
            widget="checkbox",
            default=False,
        ),
        ATTRIBUTES_FIELD,
        PROXY_CA,
    )
    steps = (
        "In the Auth0 Dashboard open Applications → Applications → Create Application, name it “Identity checks "
        "(read-only)” and choose Machine to Machine Applications.",
        "Choose “Auth0 Management API” and tick read:users and read:authentication_methods; read:roles and "
        "read:role_members only if administrators or roles are to be read, read:logs for the log. Authorize.",
        "On the tab Settings copy Domain, Client ID and Client Secret. With a private key instead: Credentials → Private Key JWT, "
        "and add the public key.",
        "Name the roles whose members are administrators, if the tenant has such roles.",
        "Save the form here, then run Test connectivity: it tries each permission and says what is missing.",
    )
    passes = (
        SyncPassKind(
            slug="users",
            label="Users",
            groups=("profile", "sign_in", "password"),
            limit=MANAGEMENT,
            needs="read:users",
        ),
        SyncPassKind(
            slug="roles",
            label="Administrator roles",
            groups=("roles",),
            limit=MANAGEMENT,
            absent={"admin_roles": []},
            needs="read:roles",
        ),
        SyncPassKind(
            slug="groups",
            label="Roles as groups",
            groups=("groups",),
            limit=MANAGEMENT,
            absent={"groups": []},
            needs="read:roles",
            optional=True,
        ),
        SyncPassKind(
            slug="factors",
            label="Authentication methods",
            groups=("factors",),
            limit=MANAGEMENT,
            per_account=True,
            needs="read:authentication_methods",
            optional=True,
        ),
        SyncPassKind(
            slug="sign_ins",
            label="Log of the tenant",
            groups=("sign_in",),
            limit=MANAGEMENT,
            needs="read:logs",
            optional=True,
        ),
    )

    def check(self, reader: DocumentReader, settings: JsonObject, secrets: JsonObject) -> None:
        check_private_key(reader, secrets)

    def passes_of(self, settings: JsonMapping) -> list[SyncPassKind]:
        """Without named roles nothing says who is an administrator."""
        chosen = super().passes_of(settings)
        return [each for each in chosen if each.slug != "roles" or settings.get("admin_roles")]

    def fetch_token(self, source: SourceSettings) -> AccessToken | None:
        form = {
            "grant_type": "client_credentials",
            "client_id": source.settings["client_id"],
            "audience": source.settings.get("audience") or f"{_base(source)}/api/v2/",
            **_proof(source),
        }
        return request_token(_call(source, None), "/oauth/token", form)

    def token_scopes(self, token: str) -> list[str] | None:
        found = claims_of(token).get("scope")
        return found.split() if isinstance(found, str) else None

    def auth(self, source: SourceSettings, token: AccessToken | None) -> AuthBase:
        return HeaderAuth("Bearer", token.text if token else "")

    def call(self, source: SourceSettings, auth: AuthBase | None) -> SourceCall:
        return _call(source, auth)

    def fetch(self, reading: SyncPassKind, call: SourceCall, cursor: Cursor | None) -> RecordPage:
        match reading.slug:
            case "users":
                return _users(call, cursor)
            case "roles":
                names = {str(name).casefold() for name in call.options.get("admin_roles") or ()}
                return _members(call, cursor, lambda name: name.casefold() in names, as_administrator)
            case "groups":
                return _members(call, cursor, bool, in_group)
            case _:
                return _log(call, cursor, datetime.now(UTC))

    def fetch_account(self, reading: SyncPassKind, call: SourceCall, key: str) -> RecordPage:
        answer, rates = call.get(_methods_path(key), limit=MANAGEMENT.name)
        record = {"source_key": key, "mfa_factors": factors_of(answer.objects())}
        return RecordPage([record], None, rates)

    def probe(self, source: SourceSettings, call: SourceCall, scopes: Sequence[str] | None) -> ProbeResult:
        rates: dict[str, RateSeen] = {}
        users: list[JsonObject] = []
        found = 0

        def list_users() -> str:
            nonlocal found
            page, found, seen = _page(call, _users_path(call), "users")
            rates.update(seen)
            users.extend(page)
            return "" if users else "The credential is accepted, and the tenant has no user."

        results = [try_permission(self.listing, list_users, scopes)]
        if results[0].state is Permission.GRANTED:
            first = text_at(users[0], "user_id")
            attempts: dict[str, Callable[[], str]] = {
                "roles": partial(_try_roles, call, call.options.get("admin_roles") or ()),
                "groups": partial(_try_roles, call, ()),
                "factors": partial(_try, call, _methods_path(first)),
                "sign_ins": partial(_try, call, f"{LOGS}?per_page=1"),
            }
            chosen = self.passes_of(source.settings)[1:]
            results += [try_permission(reading, attempts[reading.slug], scopes) for reading in chosen]
        return ProbeResult(results, found, False, rates, call.clock_skew)


# --- Requests -----------------------------------------------------------------------------------------


def _base(source: SourceSettings) -> str:
    return str(source.settings.get("url", "")).rstrip("/")


def _proof(source: SourceSettings) -> dict[str, str]:
    """The parameters with which the application proves itself at the token endpoint: its secret, or an assertion that its
    key signs (auth0.com/docs/get-started/authentication-and-authorization-flow/authenticate-with-private-key-jwt)."""
    if source.settings.get("authorization") != "private_key_jwt":
        return {"client_secret": str(source.secrets.get("client_secret", ""))}
    algorithm = source.settings.get("algorithm", "RS256")
    return client_assertion(source, f"{_base(source)}/", algorithm=algorithm, lifetime=ASSERTION_SECONDS)


def _call(source: SourceSettings, auth: AuthBase | None) -> SourceCall:
    return SourceCall(
        source,
        _base(source),
        auth=auth,
        read_rates=partial(epoch_rates, prefix="X-RateLimit-"),
        explain=error_text,
    )


def error_text(value: object) -> str:
    """The message of an error of the Management API, such as the scope that is missing; or of the token endpoint."""
    return (text_at(value, "message") if isinstance(value, dict) else "") or oauth_error(value)


def _page(call: SourceCall, path: str, key: str) -> tuple[list[JsonObject], int, Mapping[str, RateSeen]]:
    """The items of a page of a list with totals; how many items from the page's first one on there are; and the rates.

    Raises :class:`SourceFault`.
    """
    answer, rates = call.get(path, limit=MANAGEMENT.name)
    value = answer.value if isinstance(answer.value, dict) else {}
    items = answer.objects(value.get(key))
    total, start = value.get("total"), value.get("start")
    if not isinstance(total, int) or not isinstance(start, int) or (total > start and not items):
        raise SourceFault(
            "The page is empty, or does not say how many there are.", Fault.TEMPORARY, rates=rates
        )
    return items, total - start, rates


# --- Users --------------------------------------------------------------------------------------------


def _users_path(call: SourceCall, since: str = "", page: int = 0) -> str:
    """The users who were created at ``since`` or later, the oldest first."""
    mapped = [place.partition(".")[0] for place in mapped_attributes(call.options).values()]
    parameters = {
        "per_page": PAGE,
        "page": page,
        "include_totals": "true",
        "sort": "created_at:1",
        "search_engine": "v3",
        "fields": ",".join(dict.fromkeys((*USER_FIELDS, *mapped))),
        "include_fields": "true",
        **({"q": f"created_at:[{since} TO *]"} if since else {}),
    }
    return f"{USERS}?{urlencode(parameters, safe=',:')}"


def _users(call: SourceCall, cursor: Cursor | None) -> RecordPage:
    """Cursor: ``url`` of the page; ``since``: the time it starts at; ``page``: its number among the users since then; ``known``: the
    ids of those created just then that came before."""
    cursor = cursor or {"url": _users_path(call), "since": "", "page": 0, "known": []}
    users, left, rates = _page(call, cursor["url"], "users")
    known = set(cursor.get("known", ()))
    attributes = mapped_attributes(call.options)
    takes_unverified = call.options.get("unverified_email") is True
    records = [
        user_of(each, attributes, takes_unverified=takes_unverified)
        for each in users
        if text_at(each, "user_id") not in known
    ]
    if len(users) >= left:
        return RecordPage(records, None, rates)
    since = text_at(users[-1], "created_at")
    same = [text_at(each, "user_id") for each in users if text_at(each, "created_at") == since]
    if since == cursor["since"]:
        same, page = [*cursor["known"], *same], cursor["page"] + 1
    else:
        page = 0
    if not since or (page + 1) * PAGE > MOST_FOUND:
        text = f"More than {MOST_FOUND:,} users were created at {since or 'an unknown time'}: Auth0 does not list all of them."
        raise SourceFault(text, Fault.REFUSED, rates=rates)
    more = {
        "url": _users_path(call, since, page),
        "since": since,
        "page": page,
        "known": list(dict.fromkeys(same)),
    }
    return RecordPage(records, more, rates)


def user_of(
    user: JsonMapping, attributes: Mapping[str, str], *, takes_unverified: bool = False
) -> JsonObject:
    """The record of one user. ``attributes``: field → dotted place of the value that the member mapped to it.

    The login is the immutable id: several connections may have the same address. Anybody can sign up with any address, so only a
    verified one counts, by which accounts are joined.
    """
    key = text_at(user, "user_id")
    record: JsonObject = {
        "source_key": key,
        "login": key,
        "status": "suspended" if user.get("blocked") is True else "active",
        # A user who never signed in has neither.
        "last_sign_in_at": text_at(user, "last_login") or None,
        "last_sign_in_ip": text_at(user, "last_ip"),
    }
    if takes_unverified or user.get("email_verified") is True:
        record["email"] = text_at(user, "email")
    for field, name in PROFILE_FIELDS.items():
        record[field] = text_at(user, name)
    # Before the first change of the password there is no time; nor without a database connection.
    times = {"created_at": "created_at", "password_changed_at": "last_password_reset"}
    record |= {field: user[name] for field, name in times.items() if text_at(user, name)}
    for field, place in attributes.items():
        record[field] = attribute_text(user, place)
    return record


# --- Authentication methods ---------------------------------------------------------------------------


def _methods_path(key: str) -> str:
    return f"{USERS}/{quote(key, safe='')}/authentication-methods?per_page={PAGE}"


def factors_of(methods: Sequence[JsonMapping]) -> list[JsonObject]:
    """The second factors among the authentication methods of a user."""
    return [
        factor for each in methods if text_at(each, "type") not in NO_FACTORS for factor in _factors(each)
    ]


def _factors(method: JsonMapping) -> list[JsonObject]:
    """Guardian, and a telephone, list what they can do; a telephone names its preferred way."""
    kind = text_at(method, "type")
    parts = [text_at(each, "type") for each in objects_at(method, "authentication_methods")]
    kinds = [each for each in parts if each] or [text_at(method, "preferred_authentication_method") or kind]
    device = text_at(method, "phone_number" if kind == "phone" else "key_id")
    # An enrolment that was begun and not confirmed cannot be used.
    status = "unconfirmed" if method.get("confirmed") is False else "confirmed"
    return [
        {
            "kind": METHOD_KINDS.get(each, each or "unknown"),
            "status": status,
            **({"device": device} if device else {}),
        }
        for each in dict.fromkeys(kinds)
        if each not in NO_FACTORS
    ]


def _try(call: SourceCall, path: str) -> str:
    call.get(path, limit=MANAGEMENT.name)
    return ""


# --- Roles --------------------------------------------------------------------------------------------


def _roles_path(page: int) -> str:
    return f"{ROLES}?per_page={PAGE}&page={page}&include_totals=true"


def _role_users_path(key: str, take: int = PAGE) -> str:
    return f"{ROLES}/{quote(key, safe='')}/users?take={take}"


def as_administrator(key: str, name: str) -> JsonObject:
    return {"source_key": key, "admin_roles": [name]}


def _members(
    call: SourceCall,
    cursor: Cursor | None,
    is_wanted: Callable[[str], object],
    member: Callable[[str, str], JsonObject],
) -> RecordPage:
    """The members of the roles whose name is wanted."""

    def list_roles(url: str | None) -> ListPage:
        path = url or _roles_path(0)
        roles, left, rates = _page(call, path, "roles")
        names = [(text_at(each, "id"), text_at(each, "name")) for each in roles]
        wanted = [(key, name if is_wanted(name) else "") for key, name in names]
        following = _roles_path(int(path.partition("&page=")[2].partition("&")[0]) + 1)
        return ListPage(wanted, following if len(roles) < left else None, rates)

    def list_users(key: str, url: str | None) -> ListPage:
        answer, rates = call.get(url or _role_users_path(key), limit=MANAGEMENT.name)
        value: JsonObject = answer.value if isinstance(answer.value, dict) else {"users": answer.value}
        users = [(text_at(each, "user_id"), "") for each in answer.objects(value.get("users"))]
        place = text_at(value, "next")
        following = f"{_role_users_path(key)}&from={quote(place, safe='')}" if place else None
        return ListPage(users, following, rates)

    return next_memberships(cursor, list_roles, list_users, member)


def _try_roles(call: SourceCall, names: Sequence[str]) -> str:
    """Look at the roles, and at one user of the first; say which of ``names`` no role has."""
    roles, left, _ = _page(call, _roles_path(0), "roles")
    if roles:
        call.get(_role_users_path(text_at(roles[0], "id"), 1), limit=MANAGEMENT.name)
    found = {text_at(each, "name").casefold() for each in roles}
    missing = [name for name in names if name.casefold() not in found]
    return f"No role has this name: {', '.join(missing)}." if missing and len(roles) >= left else ""


# --- Log ----------------------------------------------------------------------------------------------


def _log(call: SourceCall, cursor: Cursor | None, now: datetime) -> RecordPage:
    """First the id of the first event of the last days; then the events after it, in the order in which Auth0 stored them.

    Cursor: ``url``; ``until``: the time at which the pass began; ``failed``: failures of each user since their last success.
    """
    if cursor is None:
        return _first_event(call, now)
    answer, rates = call.get(cursor["url"], limit=MANAGEMENT.name)
    events = answer.objects()
    failed: dict[str, int] = dict(cursor["failed"])
    records: dict[str, JsonObject] = {}
    for event in events:
        _note_event(event, failed, records)
    for key, record in records.items():
        record["failed_sign_ins"] = failed.get(key, 0)
    # A busy log has no end.
    is_over = not events or text_at(events[-1], "date") >= cursor["until"]
    # The link of the answer may be of the tenant's own domain, where the source has a custom one.
    last = "" if is_over else text_at(events[-1], "log_id")
    more = {**cursor, "url": _log_path(last), "failed": failed} if last else None
    return RecordPage(list(records.values()), more, rates)


def _log_path(key: str) -> str:
    """The events after that with this id."""
    return f"{LOGS}?from={quote(key, safe='')}&take={PAGE}"


def _first_event(call: SourceCall, now: datetime) -> RecordPage:
    since = (now - timedelta(days=LOG_DAYS)).strftime("%Y-%m-%dT%H:%M:%S")
    query = urlencode({"q": f"date:[{since} TO *]", "sort": "date:1", "per_page": 1, "page": 0}, safe=":")
    answer, rates = call.get(f"{LOGS}?{query}", limit=MANAGEMENT.name)
    key = next((text_at(each, "log_id") for each in answer.objects()), "")
    if not key:
        return RecordPage((), None, rates)
    return RecordPage(
        (), {"url": _log_path(key), "until": now.strftime("%Y-%m-%dT%H:%M:%S"), "failed": {}}, rates
    )


def _note_event(event: JsonMapping, failed: dict[str, int], records: dict[str, JsonObject]) -> None:
    key, kind = text_at(event, "user_id"), text_at(event, "type")
    if not key or kind not in SUCCESSES | FAILURES:
        return
    record = records.setdefault(key, {"source_key": key})
    if kind in FAILURES:
        failed[key] = failed.get(key, 0) + 1
        return
    failed.pop(key, None)
    place = event.get("location_info")
    record["last_sign_in_country"] = text_at(place, "country_code") if isinstance(place, Mapping) else ""
