"""Which policies make an administrator of an AWS account. Pure.

docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_grammar.html. An action or a resource may be a pattern; a
condition is not evaluated, since it allows the same once it is met.
"""

import json
from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from urllib.parse import unquote

from integrations.json_types import Json, JsonMapping
from integrations.sources.shared.aws_call import listed
from integrations.sources.shared.source_call import text_at

# AWS's own policies that allow everything, or to grant oneself everything.
ADMIN_POLICIES = frozenset(("AdministratorAccess", "IAMFullAccess"))
AWS_OWNED = ":iam::aws:policy/"
# With one of these a user can make themselves an administrator.
DECISIVE = ("iam:attachuserpolicy", "iam:putuserpolicy")


def admin_policies(holder: JsonMapping, inline: str, admin_arns: Iterable[str]) -> list[str]:
    """The names of the policies of a user or group that make an administrator. ``inline``: the key of its own policies;
    ``admin_arns``: the account's policies that do."""
    own = frozenset(admin_arns)
    attached = [
        text_at(each, "PolicyName")
        for each in listed(holder, "AttachedManagedPolicies")
        if text_at(each, "PolicyArn") in own or is_admin_policy_of_aws(text_at(each, "PolicyArn"))
    ]
    return attached + [
        text_at(each, "PolicyName")
        for each in listed(holder, inline)
        if allows_administration(each.get("PolicyDocument"))
    ]


def admin_arn(policy: JsonMapping) -> str | None:
    """The ARN of one of the account's policies, if it makes an administrator."""
    for version in listed(policy, "PolicyVersionList"):
        if str(version.get("IsDefaultVersion")).lower() == "true" and allows_administration(
            version.get("Document")
        ):
            return text_at(policy, "Arn")
    return None


def allows_administration(document: Json) -> bool:
    """Whether a policy allows to give any permission to any user. ``document``: JSON, in URLs' encoding or not."""
    policy = _policy(document)
    statements = policy.get("Statement", [])
    statements = statements if isinstance(statements, list) else [statements]
    return any(_is_decisive(each) for each in statements if isinstance(each, Mapping))


def is_admin_policy_of_aws(arn: str) -> bool:
    """Whether the ARN is that of one of AWS's own policies that make an administrator."""
    return AWS_OWNED in arn and arn.rpartition("/")[2] in ADMIN_POLICIES


def _policy(document: Json) -> JsonMapping:
    if isinstance(document, str):
        try:
            document = json.loads(document if document.lstrip().startswith("{") else unquote(document))
        except (ValueError, RecursionError):
            return {}
    return document if isinstance(document, Mapping) else {}


def _is_decisive(statement: JsonMapping) -> bool:
    if statement.get("Effect") != "Allow" or "*" not in _texts(statement.get("Resource")):
        return False
    if "NotAction" in statement:
        return not _covers(_texts(statement["NotAction"]))
    return _covers(_texts(statement.get("Action")))


def _covers(patterns: list[str]) -> bool:
    return any(fnmatchcase(action, each.lower()) for action in DECISIVE for each in patterns)


def _texts(value: Json) -> list[str]:
    items = value if isinstance(value, list) else [value]
    return [each for each in items if isinstance(each, str)]
