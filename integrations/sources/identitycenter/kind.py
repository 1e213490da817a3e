"""AWS IAM Identity Center: the users and groups of its identity store
(docs.aws.amazon.com/singlesignon/latest/IdentityStoreAPIReference).

The API has neither MFA nor sign-ins. Administrators follow from permission sets (administrators.py).
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from requests.auth import AuthBase

from integrations.json_types import JsonMapping, JsonObject
from integrations.source_data import Cursor, ProbeResult, RecordPage, SourceSettings
from integrations.sources.identitycenter.administrators import look_at_administrators, next_administrators
from integrations.sources.identitycenter.pages import CALLS, CenterCall, members, store_page
from integrations.sources.shared.api_source import AccessToken, ApiSource, SyncPassKind
from integrations.sources.shared.aws_call import (
    CREDENTIAL_FIELDS,
    AwsCall,
    address_field,
    auth_of,
    check_credentials,
    role_token,
)
from integrations.sources.shared.cloud_fields import PROXY_CA, groups_field, pass_field
from integrations.sources.shared.memberships import ListPage, next_memberships
from integrations.sources.shared.probing import probe_passes
from integrations.sources.shared.source_call import objects_at, text_at
from integrations.targets.shared.documents import DocumentReader
from integrations.targets.shared.setting_fields import Field

STATUSES = {"ENABLED": "active", "DISABLED": "disabled"}


class IdentityCenterSource(ApiSource):
    slug = "identitycenter"
    label = "AWS IAM Identity Center"
    summary = "Users of an AWS organization with their status, names, groups and administrators."
    provider = "AWS_IDENTITY_CENTER"
    position = 75
    form_fields = (
        Field(
            path="region",
            label="Region",
            help="Of the instance, such as eu-central-1: IAM Identity Center → Settings.",
            pattern=r"[a-z]{2,4}(-[a-z]+)+-\d{1,2}",
            hint="Write a region such as eu-central-1.",
            most=40,
        ),
        Field(
            path="identity_store_id",
            label="Identity store ID",
            help="IAM Identity Center → Settings → Identity source.",
            pattern=r"d-[0-9a-f]{10}|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}",
            hint="Write the ID, such as d-1234567890.",
        ),
        *CREDENTIAL_FIELDS,
        groups_field(default=True),
        pass_field(
            "roles",
            "Read administrators",
            help="By permission sets: three calls or fewer for each, and one for each account of those that make an administrator.",
            default=True,
        ),
        address_field("identitystore", "the identity store"),
        address_field("sso", "IAM Identity Center"),
        address_field("sts", "STS"),
        PROXY_CA,
    )
    steps = (
        "In the AWS console open IAM Identity Center → Settings, and copy the region and the identity store ID.",
        "In the account of the instance, or in one that may administer it, open IAM → Policies → Create policy → JSON, and "
        "paste the policy of the guide: ten actions that read. Name it “identity-checks-center”.",
        "Open IAM → Users → Create user, name it “identity-checks”, without access to the console. Attach the policy. Under "
        "Security credentials choose Create access key → Other, and copy the ID and the secret.",
        "Save the form here, then run Test connectivity: it tries each permission and says which action is denied.",
    )
    passes = (
        SyncPassKind(
            slug="users",
            label="Users",
            groups=("profile",),
            limit=CALLS,
            needs="identitystore:ListUsers",
        ),
        SyncPassKind(
            slug="groups",
            label="Groups",
            groups=("groups",),
            limit=CALLS,
            absent={"groups": []},
            needs="identitystore:ListGroups and identitystore:ListGroupMemberships",
            optional=True,
        ),
        SyncPassKind(
            slug="roles",
            label="Administrators",
            groups=("roles",),
            limit=CALLS,
            absent={"admin_roles": []},
            needs="identitystore:ListGroupMemberships and the seven actions of sso in the guide's policy",
            optional=True,
        ),
    )

    def check(self, reader: DocumentReader, settings: JsonObject, secrets: JsonObject) -> None:
        check_credentials(reader, settings, secrets)

    def fetch_token(self, source: SourceSettings) -> AccessToken | None:
        return role_token(source, source.settings["region"])

    def auth(self, source: SourceSettings, token: AccessToken | None) -> AuthBase:
        return auth_of(source, token, source.settings["region"])

    def call(self, source: SourceSettings, auth: AuthBase | None) -> CenterCall:
        return CenterCall(source, auth)

    def fetch(self, reading: SyncPassKind, call: CenterCall, cursor: Cursor | None) -> RecordPage:
        if reading.slug == "roles":
            return next_administrators(call, cursor)
        if reading.slug == "groups":
            return next_memberships(
                cursor, lambda place: _groups(call, place), lambda key, place: members(call, key, place)
            )
        users, place, rates = store_page(call, "ListUsers", "Users", (cursor or {}).get("place"))
        return RecordPage([user_of(each) for each in users], {"place": place} if place else None, rates)

    def probe(self, source: SourceSettings, call: CenterCall, scopes: Sequence[str] | None) -> ProbeResult:
        def list_users() -> tuple[int, bool]:
            users, place, _ = store_page(call, "ListUsers", "Users", None)
            return len(users), bool(place)

        def look(slug: str) -> None:
            if slug == "roles":
                look_at_administrators(call)
                return
            groups = _groups(call, None)
            for key, _name in groups.items[:1]:
                members(call, key, None)

        return probe_passes(self, source, call, list_users, look)


def _groups(call: AwsCall, place: str | None) -> ListPage:
    groups, following, rates = store_page(call, "ListGroups", "Groups", place)
    return ListPage(
        [(text_at(each, "GroupId"), text_at(each, "DisplayName")) for each in groups], following, rates
    )


def user_of(user: JsonMapping) -> JsonObject:
    """The record of one user. A status that AWS may add is passed on: the import counts it as unknown."""
    name = user.get("Name")
    name = name if isinstance(name, Mapping) else {}
    record: JsonObject = {
        "source_key": text_at(user, "UserId"),
        "login": text_at(user, "UserName"),
        "email": _first(user, "Emails"),
        "phone": _first(user, "PhoneNumbers"),
        "first_name": text_at(name, "GivenName"),
        "last_name": text_at(name, "FamilyName"),
        "display_name": text_at(user, "DisplayName") or text_at(name, "Formatted"),
        "title": text_at(user, "Title"),
        "locale": text_at(user, "PreferredLanguage"),
        "source_anchor": _external_id(user),
    }
    if status := text_at(user, "UserStatus"):
        record["status"] = STATUSES.get(status.upper(), status)
    if kind := text_at(user, "UserType"):
        record["user_type"] = kind
    if created := _moment(user.get("CreatedAt")):
        record["created_at"] = created
    return record


def _external_id(user: JsonMapping) -> str:
    """The id that the identity provider gave when it pushed the user, "" for none."""
    return next((text_at(each, "Id") for each in objects_at(user, "ExternalIds")), "")


def _first(user: JsonMapping, key: str) -> str:
    """The primary value of a list, else its first one."""
    values = objects_at(user, key)
    primary = next((each for each in values if each.get("Primary") is True), values[0] if values else {})
    return text_at(primary, "Value")


def _moment(value: object) -> str | None:
    """The time of a number of seconds since 1970, as JSON 1.1 writes times; None for none."""
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 < value < 1e11:
        return None
    return datetime.fromtimestamp(value, UTC).isoformat()
