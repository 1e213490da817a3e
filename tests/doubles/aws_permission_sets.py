"""The permission sets of IAM Identity Center as its API reference has them: the operations of ``SWBExternalService``."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from uuid import NAMESPACE_DNS, uuid5

STORE = "d-1234567890"
INSTANCE = "arn:aws:sso:::instance/ssoins-0123456789abcdef"
MANAGED = "arn:aws:iam::aws:policy/"
# The account of the instance.
OWNER = "999999999999"


def group_id(name: str) -> str:
    """The id of a group of the identity store."""
    return str(uuid5(NAMESPACE_DNS, name))


class Refused(Exception):
    """The request is answered by an error of this code."""


@dataclass
class PermissionSet:
    """A permission set. ``managed``: names of AWS's own policies; ``accounts``: account → ids of users and groups, a
    group's beginning with ``g-``."""

    name: str
    managed: tuple[str, ...] = ()
    inline: str = ""
    accounts: dict[str, list[str]] = field(default_factory=dict)


@dataclass
class ScriptedPermissionSets:
    """The permission sets of one instance. Requests must have exactly the members of the operation."""

    sets: list[PermissionSet] = field(default_factory=list)
    stores: tuple[str, ...] = ("d-9999999999", STORE)
    page: int = 100

    def result(self, operation: str, body: dict[str, Any]) -> dict[str, Any]:
        """The result of an operation. Raises :class:`Refused`."""
        answers: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
            "ListInstances": self._instances,
            "ListPermissionSets": lambda body: self._page(
                body, "PermissionSets", [self.arn(each.name) for each in self.sets]
            ),
            "DescribePermissionSet": lambda body: {
                "PermissionSet": {"Name": self._set(body).name, "PermissionSetArn": body["PermissionSetArn"]}
            },
            "ListManagedPoliciesInPermissionSet": lambda body: self._page(
                body,
                "AttachedManagedPolicies",
                [{"Name": each, "Arn": MANAGED + each} for each in self._set(body).managed],
            ),
            "GetInlinePolicyForPermissionSet": lambda body: (
                {"InlinePolicy": policy} if (policy := self._set(body).inline) else {}
            ),
            "ListAccountsForProvisionedPermissionSet": lambda body: self._page(
                body, "AccountIds", list(self._set(body).accounts)
            ),
            "ListAccountAssignments": self._assignments,
        }
        if operation not in answers:
            raise Refused("UnknownOperationException")
        if operation != "ListInstances" and body["InstanceArn"] != INSTANCE:
            raise Refused("ResourceNotFoundException")
        return answers[operation](body)

    def arn(self, name: str) -> str:
        return f"{INSTANCE.replace('instance', 'permissionSet')}/ps-{name.lower():0>16}"

    def _set(self, body: dict[str, Any]) -> PermissionSet:
        for each in self.sets:
            if self.arn(each.name) == body["PermissionSetArn"]:
                return each
        raise Refused("ResourceNotFoundException")

    def _instances(self, body: dict[str, Any]) -> dict[str, Any]:
        found = [
            {
                "IdentityStoreId": store,
                "InstanceArn": INSTANCE if store == STORE else f"{INSTANCE[:-1]}x",
                "OwnerAccountId": OWNER,
                "Status": "ACTIVE",
            }
            for store in self.stores
        ]
        return self._page(body, "Instances", found)

    def _assignments(self, body: dict[str, Any]) -> dict[str, Any]:
        holders = self._set(body).accounts.get(body["AccountId"], [])
        found = [
            {
                "AccountId": body["AccountId"],
                "PermissionSetArn": body["PermissionSetArn"],
                "PrincipalType": "GROUP" if each.startswith("g-") else "USER",
                "PrincipalId": group_id(each.removeprefix("g-")) if each.startswith("g-") else each,
            }
            for each in holders
        ]
        return self._page(body, "AccountAssignments", found)

    def _page(self, body: dict[str, Any], key: str, items: list[Any]) -> dict[str, Any]:
        token = body.get("NextToken", "")
        if token and not token.startswith("token-"):
            raise Refused("ValidationException")
        start = int(token.removeprefix("token-") or 0)
        end = start + min(body["MaxResults"], self.page)
        return {key: items[start:end], **({"NextToken": f"token-{end}"} if end < len(items) else {})}
