"""What differs from GitHub's GraphQL schema is named, in a query and in its answer."""

import json
from typing import Any

import pytest

from cii_project.tools.scripted_sources.server import Asked, json_answer
from integrations.sources.github.kind import IDENTITIES, MEMBERS
from tests.sync.published import AnswerDiffers, published
from tests.sync.published_graphql import graphql_matches

VARIABLES = {"login": "example-inc", "first": 100, "after": None}
PAGE = {"hasNextPage": False, "endCursor": None}
EDGE = {
    "hasTwoFactorEnabled": None,
    "role": "ADMIN",
    "node": {
        "databaseId": 1,
        "login": "ann-gh",
        "name": None,
        "company": "Example",
        "createdAt": "2015-03-01T09:00:00Z",
        "organizationVerifiedDomainEmails": ["ann.ames@example.com"],
    },
}


def compare(query: str, organization: Any, variables: Any = VARIABLES) -> None:
    body = json.dumps({"query": query, "variables": variables}).encode()
    answer = json_answer({"data": {"organization": organization}})
    graphql_matches(published("github"), Asked(1, "POST", "/graphql", {}, {}, body), answer)


def members(*edges: Any, **page: Any) -> dict[str, Any]:
    return {"membersWithRole": {"edges": list(edges), "pageInfo": PAGE | page}}


def test_the_queries_and_answers_as_published_are_accepted():
    compare(MEMBERS, members(EDGE, None))
    compare(MEMBERS, None)
    compare(IDENTITIES, {"samlIdentityProvider": None})


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"role": "OWNER"}, "edges[0].role: 'OWNER' is no OrganizationMemberRole."),
        ({"hasTwoFactorEnabled": 1}, "edges[0].hasTwoFactorEnabled: 1 is no Boolean."),
        ({"cursor": "1"}, "edges[0]: the fields are ['cursor', 'hasTwoFactorEnabled', 'node', 'role']"),
        ({"node": EDGE["node"] | {"databaseId": 2**31}}, "node.databaseId: 2147483648 is no Int."),
        ({"node": EDGE["node"] | {"databaseId": True}}, "node.databaseId: True is no Int."),
        ({"node": EDGE["node"] | {"login": None}}, "node.login: null is no String!."),
        ({"node": EDGE["node"] | {"createdAt": "2015-03-01"}}, "node.createdAt: '2015-03-01' is no DateTime."),
        ({"node": EDGE["node"] | {"organizationVerifiedDomainEmails": [None]}}, "Emails[0]: null is no String!."),
        ({"node": EDGE["node"] | {"organizationVerifiedDomainEmails": "a"}}, "Emails: 'a' is no list."),
        ({"node": "ann"}, "node: 'ann' is no User."),
    ],
)  # fmt: skip
def test_a_value_of_another_type_is_refused(change, text):
    with pytest.raises(AnswerDiffers) as refused:
        compare(MEMBERS, members(EDGE | change))
    assert text in str(refused.value)


@pytest.mark.parametrize(
    ("old", "new", "text"),
    [
        ("createdAt", "madeAt", "organization.membersWithRole.edges.node.madeAt: User has no such field."),
        ("(login: $login) }", " }", "organizationVerifiedDomainEmails: argument login is missing."),
        ("first: $first, ", "size: $first, ", "membersWithRole: argument size is not published."),
        ("after: $after", "after: $first", "membersWithRole: argument after is String and not Int!."),
        ("$login: String!", "$login: String", "organization: argument login is String! and not String."),
        ("pageInfo { hasNextPage endCursor }", "pageInfo", "pageInfo: PageInfo needs a selection."),
        ("company", "company { name }", "company: String has no selection."),
    ],
)
def test_a_query_of_what_is_not_published_is_refused(old, new, text):
    assert old in MEMBERS
    with pytest.raises(AnswerDiffers) as refused:
        compare(MEMBERS.replace(old, new, 1), members(EDGE))
    assert text in str(refused.value)


@pytest.mark.parametrize(
    ("variables", "text"),
    [
        (VARIABLES | {"first": "100"}, "$first: '100' is no Int."),
        (VARIABLES | {"login": None}, "$login: null is no String!."),
        ({"login": "a", "first": 1}, "The variables are ['first', 'login'] and not ['after', 'first', 'login']."),
    ],
)  # fmt: skip
def test_other_variables_are_refused(variables, text):
    with pytest.raises(AnswerDiffers) as refused:
        compare(MEMBERS, members(EDGE), variables)
    assert text in str(refused.value)


def test_a_membership_filter_that_is_no_boolean_is_refused():
    with pytest.raises(AnswerDiffers, match="argument membersOnly is Boolean and not yes"):
        compare(IDENTITIES.replace("membersOnly: true", "membersOnly: yes"), {"samlIdentityProvider": None})
