"""AWS IAM: the users of one account with passwords, access keys, MFA devices, groups and administrator policies
(docs.aws.amazon.com/IAM/latest/APIReference).

The credential report says of all users at once what no list does; it has names instead of ids. So the listing reads it
first and carries what it says to the pages of users. AWS allows 5,000 users in an account. Which devices a user has is
asked for one by one, of those with MFA alone.
"""

import csv
import io
from base64 import b64decode
from collections.abc import Mapping, Sequence

from requests.auth import AuthBase

from integrations.json_types import Json, JsonMapping, JsonObject
from integrations.source_data import (
    Cursor,
    Fault,
    ProbeResult,
    RecordPage,
    SourceFault,
    SourceSettings,
)
from integrations.sources.shared.api_source import AccessToken, ApiSource, RateLimit, SyncPassKind
from integrations.sources.shared.attributes import ATTRIBUTES_FIELD, mapped_attributes
from integrations.sources.shared.aws_call import (
    CREDENTIAL_FIELDS,
    IAM_VERSION,
    PARTITIONS,
    AwsCall,
    Partition,
    address_field,
    address_of,
    auth_of,
    check_credentials,
    listed,
    next_marker,
    partition_named,
    role_token,
)
from integrations.sources.shared.aws_policies import admin_arn, admin_policies
from integrations.sources.shared.cloud_fields import PROXY_CA, pass_field
from integrations.sources.shared.probing import probe_passes
from integrations.sources.shared.source_call import text_at
from integrations.targets.shared.documents import DocumentReader
from integrations.targets.shared.setting_fields import Field

# AWS publishes no limit of IAM.
CALLS = RateLimit("iam", 600)
PAGE = 500
# How often the report is asked for until it is made, which takes seconds to minutes.
MOST_POLLS = 150
ROOT = "<root_account>"
ROOT_ROLE = "Root user"
# Words of the report for no time: no such credential; never used, or not since 20 October 2014; not for the root user.
NOT_THERE, NO_INFORMATION = frozenset(("n/a", "not_supported", "")), "no_information"
TRACKED_SINCE = "2014-10-20"
USES = ("password_last_used", "access_key_1_last_used_date", "access_key_2_last_used_date")
# A part of a device's serial number → kind of factor; a hardware token's number is no ARN.
DEVICES = ((":mfa/", "totp"), (":u2f/", "fido2"), (":sms-mfa/", "sms"))
TOKEN = "hardware_otp"  # noqa: S105  a kind of factor


class AwsIamSource(ApiSource):
    slug = "awsiam"
    label = "AWS IAM"
    summary = (
        "Users of an account with passwords, access keys, MFA devices, groups and administrator policies."
    )
    provider = "AWS"
    position = 70
    form_fields = (
        Field(
            path="partition",
            label="Partition",
            help="The part of AWS that the account belongs to.",
            widget="select",
            default="aws",
            choices=tuple((each.name, each.label) for each in reversed(PARTITIONS)),
        ),
        *CREDENTIAL_FIELDS,
        pass_field(
            "factors",
            "Read MFA devices",
            help="One call for each user with MFA. Without it the kinds of their factors are unknown.",
            default=True,
        ),
        ATTRIBUTES_FIELD,
        address_field("iam", "IAM"),
        address_field("sts", "STS"),
        PROXY_CA,
    )
    steps = (
        "In the AWS console of the account open IAM → Policies → Create policy → JSON, and paste the policy of the guide: six "
        "actions that read, and one that has the credential report made. Name it “identity-checks”.",
        "Open IAM → Users → Create user, name it “identity-checks”, without access to the console. Choose “Attach policies "
        "directly” and the policy.",
        "Open the user → Security credentials → Create access key → Other. Copy the ID and the secret.",
        "Save the form here, then run Test connectivity: it tries each permission and says which action is denied.",
    )
    passes = (
        SyncPassKind(
            slug="users",
            label="Users",
            groups=("profile", "password", "sign_in", "factors", "roles", "groups"),
            limit=CALLS,
            needs="iam:GenerateCredentialReport, iam:GetCredentialReport and iam:GetAccountAuthorizationDetails",
        ),
        SyncPassKind(
            slug="factors",
            label="MFA devices",
            groups=("factors",),
            limit=CALLS,
            needs="iam:ListUsers, iam:ListMFADevices and iam:ListVirtualMFADevices",
            optional=True,
        ),
    )

    def check(self, reader: DocumentReader, settings: JsonObject, secrets: JsonObject) -> None:
        check_credentials(reader, settings, secrets)

    def fetch_token(self, source: SourceSettings) -> AccessToken | None:
        return role_token(source, _partition(source).home)

    def auth(self, source: SourceSettings, token: AccessToken | None) -> AuthBase:
        return auth_of(source, token, _partition(source).home)

    def call(self, source: SourceSettings, auth: AuthBase | None) -> AwsCall:
        base = address_of(source.settings, "iam", f"https://{_partition(source).iam_host}")
        return AwsCall(source, base, "iam", auth=auth)

    def fetch(self, reading: SyncPassKind, call: AwsCall, cursor: Cursor | None) -> RecordPage:
        cursor = cursor or {"stage": "generate", "polls": 0}
        if cursor["stage"] == "generate":
            return _generate(call, cursor)
        return _users(call, cursor) if reading.slug == "users" else _factors(call, cursor)

    def probe(self, source: SourceSettings, call: AwsCall, scopes: Sequence[str] | None) -> ProbeResult:
        def list_users() -> tuple[int, bool]:
            _ask(call, "GenerateCredentialReport")
            _try_report(call)
            users, following = _details(call, "UserDetailList", "", "User")
            return len(users), bool(following)

        def look(_: str) -> None:
            users = listed(_ask(call, "ListUsers", MaxItems="1"), "Users")
            for user in users[:1]:
                _ask(call, "ListMFADevices", UserName=text_at(user, "UserName"))
            _ask(call, "ListVirtualMFADevices", MaxItems="1")

        return probe_passes(self, source, call, list_users, look)


def _partition(source: SourceSettings) -> Partition:
    return partition_named(str(source.settings.get("partition", "")))


def _ask(call: AwsCall, action: str, **parameters: str) -> JsonObject:
    """The result of an action. A marker that AWS does not accept any longer is ``EXPIRED``."""
    try:
        return call.query(action, IAM_VERSION, parameters, limit=CALLS.name)[0]
    except SourceFault as fault:
        if fault.status == 400 and fault.fault is Fault.REFUSED and parameters.get("Marker"):
            raise SourceFault(str(fault), Fault.EXPIRED, status=400) from fault
        raise


def _page(
    call: AwsCall, action: str, key: str, marker: str, **parameters: str
) -> tuple[list[JsonObject], str]:
    place = {"Marker": marker} if marker else {}
    result = _ask(call, action, MaxItems=str(PAGE), **place, **parameters)
    return listed(result, key), next_marker(result)


def _details(call: AwsCall, key: str, marker: str, kind: str) -> tuple[list[JsonObject], str]:
    return _page(call, "GetAccountAuthorizationDetails", key, marker, **{"Filter.member.1": kind})


# --- The credential report ----------------------------------------------------------------------------


def _generate(call: AwsCall, cursor: Cursor) -> RecordPage:
    """Have the report made. AWS gives one of the last four hours instead, if there is one."""
    if text_at(_ask(call, "GenerateCredentialReport"), "State") == "COMPLETE":
        return RecordPage((), {"stage": "report"})
    polls = int(cursor["polls"]) + 1
    if polls > MOST_POLLS:
        raise SourceFault("AWS did not finish the credential report.", Fault.TEMPORARY)
    return RecordPage((), {"stage": "generate", "polls": polls})


def _try_report(call: AwsCall) -> None:
    """Try the permission; a report that is not made yet shows it too."""
    try:
        _ask(call, "GetCredentialReport")
    except SourceFault as fault:
        if fault.status not in (404, 410):
            raise


def _report(call: AwsCall) -> list[dict[str, str]]:
    """The rows of the report by its header, which AWS may extend. Raises :class:`SourceFault`."""
    try:
        result = _ask(call, "GetCredentialReport")
    except SourceFault as fault:
        if fault.status in (404, 410):
            # It has expired since it was made: have another one made.
            raise SourceFault(str(fault), Fault.EXPIRED, status=fault.status) from fault
        raise
    try:
        text = b64decode(text_at(result, "Content"), validate=False).decode()
        rows = list(csv.DictReader(io.StringIO(text, newline="")))
    except (ValueError, csv.Error):
        rows = []
    if not rows or not {"user", "arn"} <= rows[0].keys():
        raise SourceFault("AWS's credential report cannot be read.", Fault.TEMPORARY)
    return [{str(name): value or "" for name, value in row.items() if name} for row in rows]


def record_of_row(row: Mapping[str, str]) -> JsonObject:
    """What the report says of one user."""
    record: JsonObject = {}
    console = row.get("password_enabled", "").lower()
    keys = [row.get(f"access_key_{number}_active", "").lower() for number in (1, 2)]
    if console in ("true", "false") and all(keys):
        has_key = "true" in keys
        # IAM has no disabled users: one without a password and without a key cannot sign in.
        record["status"] = "active" if console == "true" or has_key else "disabled"
        if console == "false" and has_key:
            record["user_type"] = "service_account"
    if created := _time(row.get("user_creation_time", "")):
        record["created_at"] = created
    if changed := _time(row.get("password_last_changed", "")):
        record["password_changed_at"] = changed
    record |= _last_use(row)
    match row.get("mfa_active", "").lower():
        case "true":
            record["mfa_enabled"] = True
        case "false" if console != "false":
            # A user without a password needs no MFA for the console: its absence says nothing.
            record |= {"mfa_enabled": False, "mfa_factors": []}
    return record


def _last_use(row: Mapping[str, str]) -> JsonObject:
    """The latest use of password and keys; none where nothing was used, if AWS would know."""
    uses = [row.get(name) for name in USES]
    if times := [found for use in uses if use and (found := _time(use))]:
        return {"last_sign_in_at": max(times)}
    if any(use is None or use.lower() not in (*NOT_THERE, NO_INFORMATION) for use in uses):
        return {}
    is_older = row.get("user_creation_time", "") < TRACKED_SINCE
    has_unknown = any(use and use.lower() == NO_INFORMATION for use in uses)
    return {} if is_older and has_unknown else {"last_sign_in_at": None}


def _time(value: str) -> str:
    """The time, or "" for a word in its place."""
    return value if value[:4].isdigit() else ""


def root_record(row: Mapping[str, str]) -> JsonObject:
    """The root user, who has all rights and is in no list. Its ARN never changes."""
    arn = row.get("arn", "")
    account = (arn.split(":") + [""] * 5)[4]
    record: JsonObject = {
        "source_key": arn,
        "login": f"root@{account}",
        "display_name": f"Root user of {account}",
        "admin_roles": [ROOT_ROLE],
        "groups": [],
        "status": "active",
    }
    return record | {name: value for name, value in record_of_row(row).items() if name != "user_type"}


# --- The listing --------------------------------------------------------------------------------------


def _users(call: AwsCall, cursor: Cursor) -> RecordPage:
    """Cursor: ``stage``; ``report``: name → what the report says of the users not read yet; ``policies``: ARNs that make an
    administrator; ``groups``: name → such policies of the group; ``marker`` of the page."""
    match cursor["stage"]:
        case "report":
            rows = _report(call)
            roots = [root_record(row) for row in rows if row["user"] == ROOT]
            report = {row["user"]: record_of_row(row) for row in rows if row["user"] != ROOT}
            more = {"stage": "policies", "report": report, "policies": [], "groups": {}, "marker": ""}
            return RecordPage(roots, more)
        case "policies":
            policies, marker = _details(call, "Policies", cursor["marker"], "LocalManagedPolicy")
            found = [*cursor["policies"], *(arn for each in policies if (arn := admin_arn(each)))]
            stage = "policies" if marker else "groups"
            return RecordPage((), {**cursor, "stage": stage, "policies": found, "marker": marker})
        case "groups":
            groups, marker = _details(call, "GroupDetailList", cursor["marker"], "Group")
            roles = {
                text_at(each, "GroupName"): names
                for each in groups
                if (names := admin_policies(each, "GroupPolicyList", cursor["policies"]))
            }
            stage = "groups" if marker else "users"
            more = {**cursor, "stage": stage, "groups": {**cursor["groups"], **roles}, "marker": marker}
            return RecordPage((), more)
        case _:
            return _page_of_users(call, cursor)


def _page_of_users(call: AwsCall, cursor: Cursor) -> RecordPage:
    users, marker = _details(call, "UserDetailList", cursor["marker"], "User")
    report, attributes = dict(cursor["report"]), mapped_attributes(call.options)
    records = []
    for user in users:
        said = report.pop(text_at(user, "UserName"), {})
        records.append(user_of(user, said, cursor["policies"], cursor["groups"], attributes))
    return RecordPage(records, {**cursor, "report": report, "marker": marker} if marker else None)


def user_of(
    user: JsonMapping,
    said: JsonMapping,
    admin_arns: Sequence[str],
    admin_groups: Mapping[str, Sequence[str]],
    attributes: Mapping[str, str],
) -> JsonObject:
    """The record of one user. ``said``: what the report says; ``admin_groups``: name → policies that make an
    administrator; ``attributes``: field → key of the tag that the member mapped to it."""
    groups = [each for each in _texts(user.get("GroupList")) if each]
    roles = admin_policies(user, "UserPolicyList", admin_arns)
    roles += [name for group in groups for name in admin_groups.get(group, ())]
    tags = {text_at(each, "Key"): text_at(each, "Value") for each in listed(user, "Tags")}
    named = {key.lower(): value for key, value in tags.items()}
    record: JsonObject = {
        "source_key": text_at(user, "UserId"),
        "login": text_at(user, "UserName"),
        "groups": groups,
        "admin_roles": list(dict.fromkeys(roles)),
        **said,
    }
    record |= {field: named[field] for field in ("email", "owner") if named.get(field)}
    if "created_at" not in record and text_at(user, "CreateDate"):
        record["created_at"] = user["CreateDate"]
    for field, key in attributes.items():
        record[field] = tags.get(key)
    return record


def _texts(value: Json) -> list[str]:
    return [each for each in value if isinstance(each, str)] if isinstance(value, list) else []


# --- MFA devices --------------------------------------------------------------------------------------


def _factors(call: AwsCall, cursor: Cursor) -> RecordPage:
    """Cursor: ``stage``; ``names`` of the users with MFA whose ids are not known yet; ``root``: the root user's ARN, if it
    has MFA; ``pending`` [[id, name]] of the users whose devices are to be read; ``marker`` of the page."""
    match cursor["stage"]:
        case "report":
            rows = [row for row in _report(call) if row.get("mfa_active", "").lower() == "true"]
            root = next((row["arn"] for row in rows if row["user"] == ROOT), "")
            names = [row["user"] for row in rows if row["user"] != ROOT]
            stage = "root" if root else "names"
            more = {"stage": stage, "names": names, "root": root, "pending": [], "marker": ""}
            return RecordPage((), more if root or names else None)
        case "root":
            return _root_device(call, cursor)
        case "names":
            users, marker = _page(call, "ListUsers", "Users", cursor["marker"])
            wanted = frozenset(cursor["names"])
            found = [
                [text_at(each, "UserId"), text_at(each, "UserName")]
                for each in users
                if text_at(each, "UserName") in wanted
            ]
            pending = [*cursor["pending"], *found]
            if marker:
                return RecordPage((), {**cursor, "pending": pending, "marker": marker})
            return RecordPage((), {"stage": "devices", "pending": pending} if pending else None)
        case _:
            return _devices(call, cursor)


def _root_device(call: AwsCall, cursor: Cursor) -> RecordPage:
    """The root user's virtual device. No call shows its security keys and hardware tokens."""
    found, marker = _page(
        call, "ListVirtualMFADevices", "VirtualMFADevices", cursor["marker"], AssignmentStatus="Assigned"
    )
    serials = [text_at(each, "SerialNumber") for each in found if _is_of(each, cursor["root"])]
    records = [{"source_key": cursor["root"], "mfa_factors": factors_of(serials)}] if serials else []
    more: Cursor | None = {**cursor, "marker": marker}
    if not marker:
        more = {**cursor, "stage": "names", "marker": ""} if cursor["names"] else None
    return RecordPage(records, more)


def _is_of(device: JsonMapping, arn: str) -> bool:
    user = device.get("User")
    return isinstance(user, Mapping) and text_at(user, "Arn") == arn


def _devices(call: AwsCall, cursor: Cursor) -> RecordPage:
    """The devices of the first pending user, who may have been deleted meanwhile. A user has eight at most."""
    (key, name), *rest = cursor["pending"]
    more = {"stage": "devices", "pending": rest} if rest else None
    try:
        devices = listed(_ask(call, "ListMFADevices", UserName=name), "MFADevices")
    except SourceFault as fault:
        if fault.fault is not Fault.GONE:
            raise
        return RecordPage((), more)
    serials = [text_at(each, "SerialNumber") for each in devices]
    return RecordPage([{"source_key": key, "mfa_factors": factors_of(serials)}], more)


def factors_of(serials: Sequence[str]) -> list[JsonObject]:
    """The factors that these serial numbers name."""
    return [
        {"kind": next((kind for part, kind in DEVICES if part in serial), TOKEN), "device": serial}
        for serial in serials
        if serial
    ]
