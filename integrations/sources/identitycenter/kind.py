"""AWS IAM Identity Center: the users and groups of its identity store
(docs.aws.amazon.com/singlesignon/latest/IdentityStoreAPIReference).

The API has neither MFA nor sign-ins. Who administers which account is spread over assignments of permission sets to
accounts, one call for each pair of them, and is not read.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from requests.auth import AuthBase

from integrations.json_types import Json, JsonMapping, JsonObject
from integrations.source_data import (
    Cursor,
    Fault,
    ProbeResult,
    RateSeen,
    RecordPage,
    SourceFault,
    SourceSettings,
)
from integrations.sources.shared.api_source import AccessToken, ApiSource, RateLimit, SyncPassKind
from integrations.sources.shared.aws_call import (
    CREDENTIAL_FIELDS,
    AwsCall,
    address_field,
    address_of,
    auth_of,
    check_credentials,
    regional_address,
    role_token,
)
from integrations.sources.shared.cloud_fields import PROXY_CA, groups_field
from integrations.sources.shared.memberships import ListPage, next_memberships
from integrations.sources.shared.probing import probe_passes
from integrations.sources.shared.source_call import objects_at, text_at
from integrations.targets.shared.documents import DocumentReader
from integrations.targets.shared.setting_fields import Field

# 20 calls a second (docs.aws.amazon.com/singlesignon/latest/userguide/limits.html).
CALLS = RateLimit("identitystore", 1_200)
PAGE = 100
STATUSES = {"ENABLED": "active", "DISABLED": "disabled"}


class IdentityCenterSource(ApiSource):
    slug = "identitycenter"
    label = "AWS IAM Identity Center"
    summary = "Users of an AWS organization with their status, names and groups."
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
        address_field("identitystore", "the identity store"),
        address_field("sts", "STS"),
        PROXY_CA,
    )
    steps = (
        "In the AWS console open IAM Identity Center → Settings, and copy the region and the identity store ID.",
        "In the account of the instance, or in one that may administer it, open IAM → Policies → Create policy → JSON, and "
        "paste the policy of the guide: three actions that read. Name it “identity-checks-center”.",
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
    )

    def check(self, reader: DocumentReader, settings: JsonObject, secrets: JsonObject) -> None:
        check_credentials(reader, settings, secrets)

    def fetch_token(self, source: SourceSettings) -> AccessToken | None:
        return role_token(source, source.settings["region"])

    def auth(self, source: SourceSettings, token: AccessToken | None) -> AuthBase:
        return auth_of(source, token, source.settings["region"])

    def call(self, source: SourceSettings, auth: AuthBase | None) -> AwsCall:
        usual = regional_address("identitystore", source.settings["region"])
        base = address_of(source.settings, "identitystore", usual)
        return AwsCall(source, base, "identitystore", auth=auth)

    def fetch(self, reading: SyncPassKind, call: AwsCall, cursor: Cursor | None) -> RecordPage:
        if reading.slug == "groups":
            return next_memberships(
                cursor, lambda place: _groups(call, place), lambda key, place: _members(call, key, place)
            )
        users, place, rates = _page(call, "ListUsers", "Users", (cursor or {}).get("place"))
        return RecordPage([user_of(each) for each in users], {"place": place} if place else None, rates)

    def probe(self, source: SourceSettings, call: AwsCall, scopes: Sequence[str] | None) -> ProbeResult:
        def list_users() -> tuple[int, bool]:
            users, place, _ = _page(call, "ListUsers", "Users", None)
            return len(users), bool(place)

        def look(_: str) -> None:
            groups = _groups(call, None)
            for key, _name in groups.items[:1]:
                _members(call, key, None)

        return probe_passes(self, source, call, list_users, look)


def _page(
    call: AwsCall, operation: str, key: str, place: str | None, **values: Json
) -> tuple[list[JsonObject], str | None, Mapping[str, RateSeen]]:
    """A page of a list, and the place of the next one. A place that AWS does not accept any longer is ``EXPIRED``."""
    body = {"IdentityStoreId": call.options["identity_store_id"], "MaxResults": PAGE, **values}
    if place:
        body["NextToken"] = place
    try:
        result, rates = call.json_target(f"AWSIdentityStore.{operation}", body, limit=CALLS.name)
    except SourceFault as fault:
        if place and fault.status == 400 and fault.fault is Fault.REFUSED:
            raise SourceFault(str(fault), Fault.EXPIRED, status=400) from fault
        raise
    if not isinstance(result.get(key), list):
        raise SourceFault(f"The answer has no list {key}.", Fault.TEMPORARY)
    return objects_at(result, key), text_at(result, "NextToken") or None, rates


def _groups(call: AwsCall, place: str | None) -> ListPage:
    groups, following, rates = _page(call, "ListGroups", "Groups", place)
    return ListPage(
        [(text_at(each, "GroupId"), text_at(each, "DisplayName")) for each in groups], following, rates
    )


def _members(call: AwsCall, key: str, place: str | None) -> ListPage:
    found, following, rates = _page(call, "ListGroupMemberships", "GroupMemberships", place, GroupId=key)
    members = [each["MemberId"] for each in found if isinstance(each.get("MemberId"), Mapping)]
    return ListPage([(text_at(each, "UserId"), "") for each in members], following, rates)


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
    }
    if status := text_at(user, "UserStatus"):
        record["status"] = STATUSES.get(status.upper(), status)
    if kind := text_at(user, "UserType"):
        record["user_type"] = kind
    if created := _moment(user.get("CreatedAt")):
        record["created_at"] = created
    return record


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
