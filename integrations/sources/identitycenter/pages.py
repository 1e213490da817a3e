"""The lists of IAM Identity Center and its identity store: JSON 1.1, pages by token."""

from collections.abc import Mapping

from requests.auth import AuthBase

from integrations.json_types import Json, JsonMapping, JsonObject
from integrations.source_data import Fault, RateSeen, SourceFault, SourceSettings
from integrations.sources.shared.api_source import RateLimit
from integrations.sources.shared.aws_call import AwsCall, address_of, regional_address
from integrations.sources.shared.memberships import ListPage
from integrations.sources.shared.source_call import objects_at, text_at

# 20 calls a second of all operations together (docs.aws.amazon.com/singlesignon/latest/userguide/limits.html). Both
# services count against this one, as no page says that they have limits of their own.
CALLS = RateLimit("identitystore", 1_200)
PAGE = 100


class CenterCall(AwsCall):
    """The requests to an identity store. ``permissions``: those to the service of permission sets."""

    def __init__(self, source: SourceSettings, auth: AuthBase | None) -> None:
        settings = source.settings

        def address(service: str) -> str:
            return address_of(settings, service, regional_address(service, settings["region"]))

        super().__init__(source, address("identitystore"), "identitystore", auth=auth)
        self.permissions = AwsCall(source, address("sso"), "sso", auth=auth)


Listed = tuple[list[Json], str | None, Mapping[str, RateSeen]]


def list_page(call: AwsCall, target: str, key: str, place: str | None, body: JsonMapping) -> Listed:
    """The items of a page of a list, and the token of the next page. A token that AWS does not accept any longer is
    ``EXPIRED``."""
    body = {"MaxResults": PAGE, **body}
    if place:
        body["NextToken"] = place
    try:
        result, rates = call.json_target(target, body, limit=CALLS.name)
    except SourceFault as fault:
        if place and fault.status == 400 and fault.fault is Fault.REFUSED:
            raise SourceFault(str(fault), Fault.EXPIRED, status=400) from fault
        raise
    found = result.get(key)
    if not isinstance(found, list):
        raise SourceFault(f"The answer has no list {key}.", Fault.TEMPORARY)
    return found, text_at(result, "NextToken") or None, rates


def store_page(
    call: AwsCall, operation: str, key: str, place: str | None, **values: Json
) -> tuple[list[JsonObject], str | None, Mapping[str, RateSeen]]:
    """The objects of a page of the identity store."""
    body = {"IdentityStoreId": call.options["identity_store_id"], **values}
    found, following, rates = list_page(call, f"AWSIdentityStore.{operation}", key, place, body)
    return objects_at({key: found}, key), following, rates


def members(call: AwsCall, group: str, place: str | None) -> ListPage:
    """A page of the members of a group. An identity store has no groups in groups."""
    found, following, rates = store_page(
        call, "ListGroupMemberships", "GroupMemberships", place, GroupId=group
    )
    names = [each["MemberId"] for each in found if isinstance(each.get("MemberId"), Mapping)]
    return ListPage([(text_at(each, "UserId"), "") for each in names], following, rates)
