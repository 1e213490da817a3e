"""A GitHub organization: members with their role and two-factor authentication, outside collaborators, SAML identities,
teams (docs.github.com/rest and …/graphql).

Members come from GraphQL, 100 a page with role and two-factor authentication, which REST gives apart; collaborators and
teams from REST, which GraphQL does not list or lists one by one. Answers name their limit in ``X-RateLimit-*``.
"""

import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from urllib.parse import quote

from requests.auth import AuthBase

from integrations.auth.client_assertions import private_key, signed_token
from integrations.json_types import JsonMapping, JsonObject
from integrations.source_data import (
    Cursor,
    Fault,
    Permission,
    PermissionResult,
    ProbeResult,
    RateSeen,
    RecordPage,
    SourceFault,
    SourceSettings,
)
from integrations.sources.shared.api_source import AccessToken, ApiSource, RateLimit, SyncPassKind
from integrations.sources.shared.cloud_fields import PROXY_CA, check_private_key, groups_field, pass_field
from integrations.sources.shared.memberships import ListPage, next_memberships
from integrations.sources.shared.probing import Attempt, try_permission
from integrations.sources.shared.source_call import (
    HeaderAuth,
    JsonAnswer,
    SourceCall,
    epoch_rates,
    objects_at,
    text_at,
)
from integrations.targets.shared.documents import DocumentReader
from integrations.targets.shared.setting_fields import Field

ADDRESS = "https://api.github.com"
HEADERS = {"Accept": "application/vnd.github+json", "X-GitHub-Api-Version": "2022-11-28"}
PAGE = 100
# GitHub accepts ten minutes at most, and clocks may differ.
APP_TOKEN_SECONDS, CLOCK_MARGIN, INSTALLATION_SECONDS = 540, 60, 3_600
GRAPHQL = RateLimit("graphql", 5_000, 3_600)
CORE = RateLimit("core", 5_000, 3_600)
OWNER = "owner"
# The type of an error of GraphQL → what follows.
ERROR_FAULTS = {
    "RATE_LIMITED": Fault.THROTTLED,
    "RATE_LIMIT": Fault.THROTTLED,
    "FORBIDDEN": Fault.PERMISSION,
    "INSUFFICIENT_SCOPES": Fault.PERMISSION,
    # An organization that the token may not see is answered as one that does not exist.
    "NOT_FOUND": Fault.PERMISSION,
}
MEMBERS = """query($login: String!, $first: Int!, $after: String) {
  organization(login: $login) {
    membersWithRole(first: $first, after: $after) {
      pageInfo { hasNextPage endCursor }
      edges {
        hasTwoFactorEnabled
        role
        node { databaseId login name company createdAt organizationVerifiedDomainEmails(login: $login) }
      }
    }
  }
}"""
IDENTITIES = """query($login: String!, $first: Int!, $after: String) {
  organization(login: $login) {
    samlIdentityProvider {
      externalIdentities(first: $first, after: $after, membersOnly: true) {
        pageInfo { hasNextPage endCursor }
        nodes { samlIdentity { nameId } scimIdentity { username } user { databaseId } }
      }
    }
  }
}"""


class GitHubSource(ApiSource):
    slug = "github"
    label = "GitHub"
    summary = "Members of an organization, two-factor authentication, owners, outside collaborators, teams."
    provider = "GITHUB"
    position = 60
    form_fields = (
        Field(
            path="organization",
            label="Organization",
            help="As in its address: github.com/ORGANIZATION.",
            pattern=r"[A-Za-z0-9][A-Za-z0-9-]{0,99}",
            hint="Write the name in the organization's address, such as example-inc.",
        ),
        Field(
            path="authorization",
            label="Authorization",
            help="An app has rights of its own; a token has those of the person who made it.",
            widget="select",
            default="app",
            choices=(("app", "GitHub App"), ("token", "Personal access token")),
        ),
        Field(
            path="app_id",
            label="App ID or client ID",
            when=("authorization", ("app",)),
            pattern=r"[A-Za-z0-9.]{1,60}",
            hint="Copy the app ID, such as 123456.",
        ),
        Field(
            path="installation_id",
            label="Installation ID",
            help="The number at the end of the address of the installed app's settings.",
            when=("authorization", ("app",)),
            pattern=r"[0-9]{1,20}",
            hint="Write the number, such as 12345678.",
        ),
        Field(
            path="private_key",
            label="Private key",
            help="The PEM file that GitHub makes for the app.",
            widget="pem",
            secret=True,
            when=("authorization", ("app",)),
        ),
        Field(
            path="token",
            label="Personal access token",
            help="Enter its end under “The secret ends on”.",
            secret=True,
            when=("authorization", ("token",)),
        ),
        Field(
            path="collaborators",
            label="Read outside collaborators",
            widget="checkbox",
            default=True,
        ),
        pass_field(
            "identities",
            "Read SAML identities",
            help="Needs GitHub Enterprise Cloud with SAML for the organization, and an owner's token. Their names are the "
            "users' e-mail addresses.",
            default=False,
        ),
        groups_field(default=True),
        Field(
            path="url",
            label="Address of the API",
            help="GitHub Enterprise Server: https://HOST/api/v3. Enterprise Cloud with data residency: https://api.SUBDOMAIN.ghe.com.",
            widget="url",
            default=ADDRESS,
            pattern=r"https?://[^/?#]+(/api/v3)?/?",
            hint="Write https://api.github.com, https://HOST/api/v3 or https://api.SUBDOMAIN.ghe.com.",
        ),
        PROXY_CA,
    )
    steps = (
        "As an owner of the organization open Settings → Developer settings → GitHub Apps → New GitHub App. Name it "
        "“Identity checks (read-only)”, enter any homepage, and clear Webhook → Active.",
        "Under Organization permissions set Members to Read-only. Choose “Only on this account” and create the app. Copy its "
        "App ID.",
        "Under Private keys choose “Generate a private key”: the browser saves a PEM file.",
        "Choose Install App → Install. Copy the number at the end of the address that follows: the installation ID.",
        "Save the form here, then run Test connectivity: it tries each permission and says what is missing.",
    )
    passes = (
        SyncPassKind(
            slug="members",
            label="Members",
            groups=("profile", "factors", "roles"),
            limit=GRAPHQL,
            needs="Members: Read-only",
        ),
        SyncPassKind(
            slug="identities",
            label="SAML identities",
            groups=("profile",),
            limit=GRAPHQL,
            needs="an owner's token with admin:org",
            optional=True,
        ),
        SyncPassKind(
            slug="groups",
            label="Teams",
            groups=("groups",),
            limit=CORE,
            absent={"groups": []},
            needs="Members: Read-only",
            optional=True,
        ),
    )

    def check(self, reader: DocumentReader, settings: JsonObject, secrets: JsonObject) -> None:
        check_private_key(reader, secrets)

    def fetch_token(self, source: SourceSettings) -> AccessToken | None:
        if source.settings.get("authorization") == "token":
            return None
        now = int(time.time())
        claims = {
            "iss": source.settings["app_id"],
            "iat": now - CLOCK_MARGIN,
            "exp": now + APP_TOKEN_SECONDS - CLOCK_MARGIN,
        }
        app = HeaderAuth(
            "Bearer", signed_token(claims, private_key(source.secrets.get("private_key", "")), {})
        )
        path = f"/app/installations/{quote(source.settings['installation_id'], safe='')}/access_tokens"
        try:
            answer, _ = _call(source, app).send("POST", path, limit=CORE.name, headers=HEADERS)
        except SourceFault as fault:
            if fault.fault in (Fault.THROTTLED, Fault.TEMPORARY, Fault.OURS):
                raise
            raise SourceFault(f"No access token. {fault}", Fault.CREDENTIAL, status=fault.status) from fault
        value = answer.value if isinstance(answer.value, dict) else {}
        if not text_at(value, "token"):
            raise SourceFault("No access token. The answer names none.", Fault.CREDENTIAL)
        return AccessToken(value["token"], _lifetime(text_at(value, "expires_at")))

    def auth(self, source: SourceSettings, token: AccessToken | None) -> AuthBase:
        return HeaderAuth("Bearer", token.text if token else str(source.secrets.get("token", "")))

    def call(self, source: SourceSettings, auth: AuthBase | None) -> SourceCall:
        return _call(source, auth)

    def fetch(self, reading: SyncPassKind, call: SourceCall, cursor: Cursor | None) -> RecordPage:
        match reading.slug:
            case "members":
                return _people(call, cursor)
            case "identities":
                return _identities(call, cursor)
            case _:
                return _teams(call, cursor)

    def probe(self, source: SourceSettings, call: SourceCall, scopes: Sequence[str] | None) -> ProbeResult:
        rates: dict[str, RateSeen] = {}
        edges: list[JsonObject] = []
        found = {"more": False}

        def list_members() -> str:
            members, seen = _connection(call, MEMBERS, None, "membersWithRole")
            rates.update(seen)
            edges.extend(objects_at(members, "edges"))
            found["more"] = bool(_after(members))
            return "" if edges else "The credential is accepted, and no member is visible."

        def look(path: str) -> str:
            rates.update(_get(call, path)[1])
            return ""

        def look_at_identities() -> str:
            _connection(call, IDENTITIES, None, "samlIdentityProvider", "externalIdentities")
            return ""

        results = [try_permission(self.listing, list_members)]
        if results[0].state is Permission.GRANTED:
            results.append(_two_factor(edges))
            if source.settings.get("collaborators"):
                attempt = partial(look, f"{_organization(call)}/outside_collaborators?per_page=1")
                results.append(_named("Outside collaborators", try_permission(self.listing, attempt)))
            attempts: dict[str, Attempt] = {
                "identities": look_at_identities,
                "groups": partial(look, f"{_organization(call)}/teams?per_page=1"),
            }
            chosen = self.passes_of(source.settings)[1:]
            results += [try_permission(reading, attempts[reading.slug]) for reading in chosen]
        return ProbeResult(results, len(edges), found["more"], rates, call.clock_skew)


def _two_factor(edges: Sequence[JsonMapping]) -> PermissionResult:
    """GitHub answers null to whoever is no owner of the organization."""
    known = any(isinstance(each.get("hasTwoFactorEnabled"), bool) for each in edges)
    state = Permission.GRANTED if known else Permission.MISSING
    detail = "" if known else "GitHub does not say it: use the token of an owner, with admin:org."
    return PermissionResult("Two-factor authentication", state, detail, ("factors",))


def _named(name: str, result: PermissionResult) -> PermissionResult:
    return PermissionResult(name, result.state, result.detail, ("profile",))


def _lifetime(end: str) -> int:
    try:
        return int((datetime.fromisoformat(end) - datetime.now(UTC)).total_seconds())
    except (ValueError, TypeError):
        return INSTALLATION_SECONDS


# --- Requests -----------------------------------------------------------------------------------------


def _call(source: SourceSettings, auth: AuthBase | None) -> SourceCall:
    return SourceCall(
        source,
        source.settings.get("url") or ADDRESS,
        auth=auth,
        read_rates=partial(epoch_rates, prefix="X-RateLimit-"),
        explain=error_text,
        classify=fault_of,
    )


def error_text(value: object) -> str:
    return text_at(value, "message") if isinstance(value, dict) else ""


def fault_of(status: int, value: object) -> Fault | None:
    """Limits come with 403 as often as with 429; only the text tells them from a missing permission. A list that is
    for owners alone is refused with 422."""
    if status in (403, 429) and "rate limit" in error_text(value).lower():
        return Fault.THROTTLED
    return Fault.PERMISSION if status == 422 else None


def _organization(call: SourceCall) -> str:
    return f"/orgs/{quote(str(call.options.get('organization', '')), safe='')}"


def _get(call: SourceCall, path: str) -> tuple[JsonAnswer, Mapping[str, RateSeen]]:
    return call.get(path, limit=CORE.name, headers=HEADERS)


def _connection(
    call: SourceCall, query: str, after: str | None, *path: str
) -> tuple[JsonMapping, Mapping[str, RateSeen]]:
    """A page of a connection of the organization, by one query. Raises :class:`SourceFault`.

    Errors of single fields leave these null and are no fault; what ``path`` names must be there.
    """
    # Enterprise Server: …/api/v3 and …/api/graphql.
    address = f"{call.base.removesuffix('/v3')}/graphql"
    variables = {"login": call.options.get("organization"), "first": PAGE, "after": after}
    body = {"query": query, "variables": variables}
    answer, rates = call.send("POST", address, limit=GRAPHQL.name, json_body=body, headers=HEADERS)
    value = answer.value if isinstance(answer.value, dict) else {}
    found: object = value.get("data")
    for name in ("organization", *path):
        found = found.get(name) if isinstance(found, dict) else None
    if isinstance(found, dict):
        return found, rates
    raise _query_fault(call, value, rates, path)


def _query_fault(
    call: SourceCall, value: JsonMapping, rates: Mapping[str, RateSeen], path: Sequence[str]
) -> SourceFault:
    errors = objects_at(value, "errors")
    if not errors:
        if path[0] == "samlIdentityProvider" and isinstance(value.get("data"), dict):
            # Without an error, whichever it is.
            text = "GitHub shows no SAML identity provider: the organization has none, or the credential may not see it."
            return SourceFault(text, Fault.PERMISSION)
        return SourceFault("The answer has neither data nor errors.", Fault.TEMPORARY)
    kind = text_at(errors[0], "type")
    text = call.shown(": ".join(each for each in (kind, text_at(errors[0], "message")) if each))
    wait = max((seen.reset_in for seen in rates.values() if seen.remaining <= 0), default=None)
    return SourceFault(
        f"The provider answered: {text}", ERROR_FAULTS.get(kind, Fault.TEMPORARY), wait=wait, rates=rates
    )


def _after(connection: JsonMapping) -> str | None:
    info = connection.get("pageInfo")
    return (
        text_at(info, "endCursor") or None
        if isinstance(info, dict) and info.get("hasNextPage") is True
        else None
    )


# --- The passes ---------------------------------------------------------------------------------------


def _people(call: SourceCall, cursor: Cursor | None) -> RecordPage:
    """The members; then the outside collaborators without two-factor authentication; then all of these.

    Cursor: ``after``: the place in the list of members; or ``url``: the next page of collaborators, and ``disabled``: the
    ids of those without two-factor authentication (None: GitHub does not say it), which is complete once ``listing`` is true.
    """
    if cursor is None or "after" in cursor:
        return _members(call, (cursor or {}).get("after"))
    if "listing" in cursor and not cursor["listing"]:
        return _without_two_factor(call, cursor)
    answer, rates = _get(call, cursor["url"])
    records = [collaborator_of(each, cursor.get("disabled")) for each in answer.objects()]
    link = answer.next_link()
    return RecordPage(records, {**cursor, "url": link} if link else None, rates)


def _members(call: SourceCall, after: str | None) -> RecordPage:
    members, rates = _connection(call, MEMBERS, after, "membersWithRole")
    has_identities = bool((call.options.get("passes") or {}).get("identities"))
    records = [member_of(each, with_email=not has_identities) for each in objects_at(members, "edges")]
    following: Cursor | None = None
    if place := _after(members):
        following = {"after": place}
    elif call.options.get("collaborators"):
        path = f"{_organization(call)}/outside_collaborators?filter=2fa_disabled&per_page={PAGE}"
        following = {"url": path, "listing": False, "disabled": []}
    return RecordPage(records, following, rates)


def _without_two_factor(call: SourceCall, cursor: Cursor) -> RecordPage:
    link: str | None = None
    disabled: list[str] | None = None
    rates: Mapping[str, RateSeen]
    try:
        answer, rates = _get(call, cursor["url"])
    except SourceFault as fault:
        # For owners alone: without it the two-factor authentication of collaborators is unknown.
        if fault.fault is not Fault.PERMISSION:
            raise
        rates = fault.rates
    else:
        link = answer.next_link()
        disabled = [*cursor["disabled"], *(_key(each.get("id")) for each in answer.objects())]
    if link:
        return RecordPage((), {"url": link, "listing": False, "disabled": disabled}, rates)
    path = f"{_organization(call)}/outside_collaborators?per_page={PAGE}"
    return RecordPage((), {"url": path, "listing": True, "disabled": disabled}, rates)


def _key(number: object) -> str:
    """The immutable id of a user as text; "" for none."""
    return str(number) if isinstance(number, int) and not isinstance(number, bool) else ""


def member_of(edge: JsonMapping, *, with_email: bool) -> JsonObject:
    """The record of one member. Two-factor authentication that GitHub does not say is left out."""
    node = edge.get("node")
    node = node if isinstance(node, Mapping) else {}
    record: JsonObject = {
        "source_key": _key(node.get("databaseId")),
        "login": text_at(node, "login"),
        "display_name": text_at(node, "name"),
        "company": text_at(node, "company"),
        "status": "active",
    }
    if text_at(node, "createdAt"):
        record["created_at"] = node["createdAt"]
    if isinstance(edge.get("hasTwoFactorEnabled"), bool):
        record["mfa_enabled"] = edge["hasTwoFactorEnabled"]
    if text_at(edge, "role"):
        record["admin_roles"] = [OWNER] if edge["role"] == "ADMIN" else []
    emails = node.get("organizationVerifiedDomainEmails")
    if with_email and isinstance(emails, list):
        record["email"] = next((each for each in emails if isinstance(each, str)), "")
    return record


def collaborator_of(user: JsonMapping, disabled: Sequence[str] | None) -> JsonObject:
    """The record of one outside collaborator. ``disabled``: the ids without two-factor authentication; None: unknown."""
    key = _key(user.get("id"))
    record: JsonObject = {
        "source_key": key,
        "login": text_at(user, "login"),
        "status": "active",
        "user_type": "service_account" if text_at(user, "type") == "Bot" else "external",
        "admin_roles": [],
    }
    if disabled is not None:
        record["mfa_enabled"] = key not in disabled
    return record


def _identities(call: SourceCall, cursor: Cursor | None) -> RecordPage:
    after = cursor["after"] if cursor else None
    identities, rates = _connection(call, IDENTITIES, after, "samlIdentityProvider", "externalIdentities")
    records = [identity_of(each) for each in objects_at(identities, "nodes")]
    place = _after(identities)
    return RecordPage(
        [each for each in records if each["source_key"]], {"after": place} if place else None, rates
    )


def identity_of(identity: JsonMapping) -> JsonObject:
    """The e-mail address of a member by the SAML name, else the SCIM user name; "" where neither is an address."""
    names = [
        text_at(found, key)
        for part, key in (("samlIdentity", "nameId"), ("scimIdentity", "username"))
        if isinstance(found := identity.get(part), Mapping)
    ]
    user = identity.get("user")
    return {
        "source_key": _key(user.get("databaseId")) if isinstance(user, Mapping) else "",
        "email": next((name for name in names if "@" in name), ""),
    }


def _teams(call: SourceCall, cursor: Cursor | None) -> RecordPage:
    def list_teams(url: str | None) -> ListPage:
        answer, rates = _get(call, url or f"{_organization(call)}/teams?per_page={PAGE}")
        items = [(text_at(each, "slug"), text_at(each, "name")) for each in answer.objects()]
        return ListPage(items, answer.next_link(), rates)

    def list_members(slug: str, url: str | None) -> ListPage:
        path = f"{_organization(call)}/teams/{quote(slug, safe='')}/members?per_page={PAGE}"
        answer, rates = _get(call, url or path)
        return ListPage([(_key(each.get("id")), "") for each in answer.objects()], answer.next_link(), rates)

    return next_memberships(cursor, list_teams, list_members)
