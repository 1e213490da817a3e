"""Who administers accounts by permission sets, one request at a time
(docs.aws.amazon.com/singlesignon/latest/APIReference).

AWS lists the assignments of each pair of a permission set and an account apart. So the policies of each permission set
are read first, and the accounts of those alone that make an administrator.
"""

from collections.abc import Sequence

from integrations.json_types import Json, JsonObject
from integrations.source_data import Cursor, Fault, RecordPage, SourceFault
from integrations.sources.identitycenter.pages import CALLS, CenterCall, Listed, list_page, members
from integrations.sources.shared.aws_call import AwsCall
from integrations.sources.shared.aws_policies import allows_administration, is_admin_policy_of_aws
from integrations.sources.shared.role_holders import members_left, next_members
from integrations.sources.shared.source_call import objects_at, text_at

# Of a permission set in more accounts their number is named alone.
MOST_NAMED = 10
# A group that no identity store has: asking for its members shows whether that is permitted.
NO_GROUP = "00000000-0000-0000-0000-000000000000"


def next_administrators(call: CenterCall, cursor: Cursor | None) -> RecordPage:
    """The next page of administrators.

    Cursor: ``stage``; ``instance``: its ARN; ``sets``: ARNs of the permission sets that are left, the first of which is
    being read; ``name`` of that one; ``accounts``: its accounts that are left; ``holders``: {id: [is a group, ids of up to
    ``MOST_NAMED`` accounts, number of accounts]} of that one; ``groups``: {group id: [role names]} whose members are to
    be read; ``place``: the token of the next page.
    """
    cursor = cursor or {"stage": "instance"}
    stage, place = cursor["stage"], cursor.get("place")
    if stage == "instance":
        return _find_instance(call, place)
    if stage == "members":
        return next_members(cursor["groups"], cursor.get("url"), lambda key, url: members(call, key, url))
    if stage == "sets":
        return _list_sets(call, cursor, place)
    try:
        return _read_set(call.permissions, cursor, place)
    except SourceFault as fault:
        if fault.fault is not Fault.GONE:
            raise
        # The permission set was deleted meanwhile, or an account left the organization.
        return _next_account(cursor) if stage == "assignments" else _next_set(cursor)


def look_at_administrators(call: CenterCall) -> None:
    """Make each call of the pass once. Raises :class:`SourceFault`."""
    permissions = call.permissions
    instances, _, _ = _page(permissions, "ListInstances", "Instances", None)
    instance = _instance_of(call, instances)
    if instance is None:
        raise _no_instance(call)
    arn = {"InstanceArn": text_at(instance, "InstanceArn")}
    sets, _, _ = _page(permissions, "ListPermissionSets", "PermissionSets", None, **arn)
    for each in _texts(sets)[:1]:
        arn["PermissionSetArn"] = each
        _page(permissions, "ListManagedPoliciesInPermissionSet", "AttachedManagedPolicies", None, **arn)
        for operation in ("GetInlinePolicyForPermissionSet", "DescribePermissionSet"):
            _ask(permissions, operation, arn)
        accounts, _, _ = _page(
            permissions, "ListAccountsForProvisionedPermissionSet", "AccountIds", None, **arn
        )
        account = next(iter(_texts(accounts)), text_at(instance, "OwnerAccountId"))
        _page(permissions, "ListAccountAssignments", "AccountAssignments", None, AccountId=account, **arn)
    try:
        members(call, NO_GROUP, None)
    except SourceFault as fault:
        if fault.fault is not Fault.GONE:
            raise


def roles_in(name: str, accounts: Sequence[str], count: int) -> list[str]:
    """The roles of a holder of a permission set: one for each account, or one for all where there are many."""
    if count > MOST_NAMED:
        return [f"{name} in {count} accounts"]
    return [f"{name} in {each}" for each in sorted(accounts)]


# --- Instance and permission sets ---------------------------------------------------------------------


def _find_instance(call: CenterCall, place: str | None) -> RecordPage:
    found, following, rates = _page(call.permissions, "ListInstances", "Instances", place)
    instance = _instance_of(call, found)
    if instance is not None:
        return RecordPage(
            (), {"stage": "sets", "instance": text_at(instance, "InstanceArn"), "sets": []}, rates
        )
    if following is None:
        raise _no_instance(call)
    return RecordPage((), {"stage": "instance", "place": following}, rates)


def _instance_of(call: CenterCall, instances: list[Json]) -> JsonObject | None:
    """The instance with the identity store of the source."""
    store = call.options["identity_store_id"]
    found = objects_at({"found": instances}, "found")
    return next((each for each in found if text_at(each, "IdentityStoreId") == store), None)


def _no_instance(call: CenterCall) -> SourceFault:
    text = (
        f"No instance of IAM Identity Center that this account may see in {call.options['region']} has the identity store "
        f"{call.options['identity_store_id']}."
    )
    return SourceFault(text, Fault.REFUSED)


def _list_sets(call: CenterCall, cursor: Cursor, place: str | None) -> RecordPage:
    """Read all of the list first: its token might not outlast the reading of a hundred permission sets."""
    instance = {"InstanceArn": cursor["instance"]}
    found, following, rates = _page(
        call.permissions, "ListPermissionSets", "PermissionSets", place, **instance
    )
    sets = [*cursor["sets"], *_texts(found)]
    if following:
        return RecordPage((), {**cursor, "sets": sets, "place": following}, rates)
    # _next_set leaves the first of them behind.
    return _next_set({"instance": cursor["instance"], "sets": ["", *sets]})


# --- One permission set -------------------------------------------------------------------------------


def _read_set(call: AwsCall, cursor: Cursor, place: str | None) -> RecordPage:
    arn = {"InstanceArn": cursor["instance"], "PermissionSetArn": cursor["sets"][0]}
    match cursor["stage"]:
        case "policies":
            return _read_policies(call, cursor, place, arn)
        case "inline":
            result = _ask(call, "GetInlinePolicyForPermissionSet", arn)
            if allows_administration(result.get("InlinePolicy")):
                return _at(cursor, "name")
            return _next_set(cursor)
        case "name":
            described = _ask(call, "DescribePermissionSet", arn).get("PermissionSet")
            name = text_at(described, "Name") if isinstance(described, dict) else ""
            return _at({**cursor, "name": name or arn["PermissionSetArn"], "accounts": []}, "accounts")
        case "accounts":
            operation = "ListAccountsForProvisionedPermissionSet"
            found, following, _ = _page(call, operation, "AccountIds", place, **arn)
            more = {**cursor, "accounts": [*cursor["accounts"], *_texts(found)], "holders": {}}
            if following:
                return _at(more, "accounts", following)
            return _at(more, "assignments") if more["accounts"] else _next_set(more)
        case _:
            return _read_assignments(call, cursor, place, arn)


def _read_policies(call: AwsCall, cursor: Cursor, place: str | None, arn: dict[str, str]) -> RecordPage:
    operation = "ListManagedPoliciesInPermissionSet"
    found, following, _ = _page(call, operation, "AttachedManagedPolicies", place, **arn)
    attached = objects_at({"found": found}, "found")
    if any(is_admin_policy_of_aws(text_at(each, "Arn")) for each in attached):
        return _at(cursor, "name")
    return _at(cursor, "policies", following) if following else _at(cursor, "inline")


def _read_assignments(call: AwsCall, cursor: Cursor, place: str | None, arn: dict[str, str]) -> RecordPage:
    account = cursor["accounts"][0]
    found, following, _ = _page(
        call, "ListAccountAssignments", "AccountAssignments", place, AccountId=account, **arn
    )
    holders = dict(cursor["holders"])
    for each in objects_at({"found": found}, "found"):
        kind, holder = text_at(each, "PrincipalType"), text_at(each, "PrincipalId")
        if holder and kind in ("USER", "GROUP"):
            _, accounts, count = holders.get(holder, (False, [], 0))
            holders[holder] = [kind == "GROUP", [*accounts, account][:MOST_NAMED], count + 1]
    more = {**cursor, "holders": holders}
    return _at(more, "assignments", following) if following else _next_account(more)


def _at(cursor: Cursor, stage: str, place: str | None = None) -> RecordPage:
    return RecordPage((), {**cursor, "stage": stage, "place": place})


def _next_account(cursor: Cursor) -> RecordPage:
    """Go on with the next account; after the last one give the holders of the permission set."""
    rest = cursor["accounts"][1:]
    if rest:
        return _at({**cursor, "accounts": rest}, "assignments")
    records: list[JsonObject] = []
    groups = dict(cursor.get("groups", {}))
    for holder, (is_group, accounts, count) in cursor["holders"].items():
        roles = roles_in(cursor["name"], accounts, count)
        if is_group:
            groups[holder] = [*groups.get(holder, ()), *roles]
        else:
            records.append({"source_key": holder, "admin_roles": roles})
    return _next_set({**cursor, "groups": groups}, records)


def _next_set(cursor: Cursor, records: Sequence[JsonObject] = ()) -> RecordPage:
    """Go on with the next permission set; after the last one with the members of the groups."""
    sets, groups = cursor["sets"][1:], cursor.get("groups", {})
    if not sets:
        return RecordPage(records, members_left(groups, None))
    more = {
        "stage": "policies",
        "instance": cursor["instance"],
        "sets": sets,
        "groups": groups,
        "place": None,
    }
    return RecordPage(records, more)


def _page(call: AwsCall, operation: str, key: str, place: str | None, **body: Json) -> Listed:
    return list_page(call, f"SWBExternalService.{operation}", key, place, body)


def _ask(call: AwsCall, operation: str, body: JsonObject) -> JsonObject:
    return call.json_target(f"SWBExternalService.{operation}", body, limit=CALLS.name)[0]


def _texts(items: list[Json]) -> list[str]:
    return [each for each in items if isinstance(each, str) and each]
