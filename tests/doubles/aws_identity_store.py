"""AWS's identity store as its API reference has it: JSON 1.1, pages by token, signed requests."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import orjson

from cii_project.tools.scripted_sources.server import Answer, Asked
from tests.doubles.aws_iam import CALLER, signature_problem
from tests.doubles.aws_permission_sets import STORE, Refused, ScriptedPermissionSets, group_id

REGION = "eu-central-1"
ARN = "arn:aws:identitystore:::"
# Errors of the signature have other codes in JSON than in XML.
CODES = {
    b"SignatureDoesNotMatch": "InvalidSignatureException",
    b"InvalidClientTokenId": "UnrecognizedClientException",
}


def store_error(code: str, message: str = "", status: int = 400) -> Answer:
    """An error of JSON 1.1."""
    return _json({"__type": f"com.amazonaws.identitystore#{code}", "Message": message}, status)


def store_user(number: int, name: str, **values: Any) -> dict[str, Any]:
    """A user as ``ListUsers`` shows one."""
    key = f"9067e0a1-0000-0000-0000-{number:012}"
    return {
        "IdentityStoreId": STORE,
        "UserId": key,
        "UserArn": f"{ARN}user/{key}",
        "Revision": "1",
        "UserName": name,
        "Name": {"GivenName": "Given", "FamilyName": "Family"},
        "DisplayName": name.title(),
        "Emails": [{"Value": f"{name}@example.com", "Type": "work", "Primary": True}],
        "UserStatus": "ENABLED",
        "CreatedAt": 1_709_283_600.5,
        **values,
    }


@dataclass
class ScriptedIdentityStore:
    """An identity store with its permission sets. ``groups``: name → ids of users; ``forbidden``: operations that are
    denied."""

    users: list[dict[str, Any]] = field(default_factory=list)
    groups: dict[str, list[str]] = field(default_factory=dict)
    forbidden: tuple[str, ...] = ()
    page: int = 100
    permissions: ScriptedPermissionSets = field(default_factory=ScriptedPermissionSets)
    base: str = ""

    def answer(self, asked: Asked) -> Answer:
        target = {name.lower(): value for name, value in asked.headers.items()}.get("x-amz-target", "")
        family, _, operation = target.partition(".")
        service = "sso" if family == "SWBExternalService" else "identitystore"
        if problem := signature_problem(asked, service, REGION):
            code = next(code for word, code in CODES.items() if word in problem.body)
            return store_error(code, "The signature or its key is wrong.")
        body = json.loads(asked.body)
        if operation in self.forbidden:
            action = f"{service}:{operation}"
            return store_error(
                "AccessDeniedException",
                f"User: {CALLER} is not authorized to perform: {action} on resource: *",
            )
        if service == "sso":
            try:
                return _json(self.permissions.result(operation, body))
            except Refused as refused:
                return store_error(str(refused), "The request was refused.")
        if body["IdentityStoreId"] != STORE:
            return store_error("ResourceNotFoundException", "The identity store was not found.")
        answers: dict[str, Callable[[dict[str, Any]], Answer]] = {
            "ListUsers": lambda body: self._page(body, "Users", self.users),
            "ListGroups": self._groups,
            "ListGroupMemberships": self._members,
        }
        return answers[operation](body) if operation in answers else store_error("UnknownOperationException")

    def _groups(self, body: dict[str, Any]) -> Answer:
        found = [
            {
                "IdentityStoreId": STORE,
                "GroupId": group_id(name),
                "GroupArn": f"{ARN}group/{group_id(name)}",
                "Revision": "1",
                "DisplayName": name,
            }
            for name in self.groups
        ]
        return self._page(body, "Groups", found)

    def _members(self, body: dict[str, Any]) -> Answer:
        members = {group_id(name): keys for name, keys in self.groups.items()}
        if body["GroupId"] not in members:
            return store_error("ResourceNotFoundException", "GROUP not found.")
        found = [
            {
                "IdentityStoreId": STORE,
                "MembershipId": (key := group_id(f"{body['GroupId']} {each}")),
                "MembershipArn": f"{ARN}membership/{key}",
                "GroupId": body["GroupId"],
                "MemberId": {"UserId": each},
            }
            for each in members[body["GroupId"]]
        ]
        return self._page(body, "GroupMemberships", found)

    def _page(self, body: dict[str, Any], key: str, items: list[Any]) -> Answer:
        token = body.get("NextToken", "")
        if token and not token.startswith("token-"):
            return store_error("ValidationException", "The token is not valid.")
        start = int(token.removeprefix("token-") or 0)
        end = start + min(body["MaxResults"], self.page)
        return _json({key: items[start:end], **({"NextToken": f"token-{end}"} if end < len(items) else {})})


def _json(value: dict[str, Any], status: int = 200) -> Answer:
    return Answer(status, orjson.dumps(value), {"Content-Type": "application/x-amz-json-1.1"})
