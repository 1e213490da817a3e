"""GitHub as its documentation has it: members and SAML identities by GraphQL, outside collaborators and teams by REST.

Lists of REST page by ``Link``, those of GraphQL by ``endCursor``; answers carry ``X-RateLimit-*``. An app's token is given for
a signed JSON web token; two-factor authentication is shown to owners alone.
"""

import base64
import json
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from urllib.parse import urlencode

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from cii_project.tools.scripted_sources.server import Answer, Asked, json_answer
from integrations.services import JsonObject

ERRORS = {
    401: "Bad credentials",
    403: "Resource not accessible by integration",
    404: "Not Found",
    422: "Only owners can use this filter.",
    429: "API rate limit exceeded for installation ID 1.",
    502: "Server Error",
}

WEB = "https://github.com"
# What a user of the REST API has an address of → its path below the user's own.
USER_URLS = {
    "events": "events{/privacy}",
    "followers": "followers",
    "following": "following{/other_user}",
    "gists": "gists{/gist_id}",
    "organizations": "orgs",
    "received_events": "received_events",
    "repos": "repos",
    "starred": "starred{/owner}{/repo}",
    "subscriptions": "subscriptions",
}


def github_error(status: int, text: str = "", headers: dict[str, str] | None = None) -> Answer:
    """An error as GitHub's REST API answers it."""
    body = {
        "message": text or ERRORS[status],
        "documentation_url": "https://docs.github.com/rest",
        "status": str(status),
    }
    return json_answer(body, status, headers)


def graphql_error(kind: str, text: str) -> Answer:
    """An error as GitHub's GraphQL API answers it: with status 200."""
    return json_answer(
        {
            "data": {"organization": None},
            "errors": [{"type": kind, "path": ["organization"], "message": text}],
        }
    )


@dataclass
class Person:
    """A user of GitHub. ``two_factor`` and ``role`` are those in the organization."""

    id: int
    login: str
    name: str | None = None
    company: str | None = None
    emails: tuple[str, ...] = ()
    two_factor: bool = True
    role: str = "MEMBER"
    type: str = "User"


@dataclass
class ScriptedGitHub:
    """An organization. ``teams``: slug → (name, ids of members). ``saml``: id of a member → (SAML name, SCIM user name); None: no
    identity provider. ``is_owner``: whether the credential is an owner's. ``forbidden``: prefixes of paths that answer 403."""

    organization: str = "example-inc"
    token: str = "github_pat_scripted_0123456789"  # noqa: S105  of a scripted server
    app_id: str = "123456"
    installation_id: str = "12345678"
    public_key: RSAPublicKey | None = None
    members: list[Person] = field(default_factory=list)
    collaborators: list[Person] = field(default_factory=list)
    teams: dict[str, tuple[str, list[int]]] = field(default_factory=dict)
    saml: dict[int, tuple[str | None, str | None]] | None = None
    is_owner: bool = True
    forbidden: tuple[str, ...] = ()
    page: int = 100
    calls: int = 5_000_000
    base: str = ""
    access_tokens: set[str] = field(default_factory=set)
    count: int = 0

    def answer(self, asked: Asked) -> Answer:
        self.count += 1
        if asked.path == f"/app/installations/{self.installation_id}/access_tokens":
            return self._installation_token(asked)
        scheme, _, text = asked.headers.get("Authorization", "").partition(" ")
        if scheme != "Bearer" or text not in {self.token, *self.access_tokens}:
            return github_error(401)
        if asked.path.startswith(self.forbidden or ("\0",)):
            return github_error(403, headers=self._rate("core"))
        if asked.path == "/graphql":
            return self._graphql(json.loads(asked.body))
        return self._resource(asked)

    def _rate(self, resource: str) -> dict[str, str]:
        return {
            "X-RateLimit-Limit": str(self.calls),
            "X-RateLimit-Remaining": str(self.calls - self.count),
            "X-RateLimit-Reset": str(int(time.time()) + 3600),
            "X-RateLimit-Resource": resource,
        }

    def _installation_token(self, asked: Asked) -> Answer:
        try:
            head, claims, signature = asked.headers["Authorization"].removeprefix("Bearer ").split(".")
            if self.public_key is None:
                return github_error(401)
            self.public_key.verify(
                _decoded(signature), f"{head}.{claims}".encode(), padding.PKCS1v15(), hashes.SHA256()
            )
            found = json.loads(_decoded(claims))
        except Exception:  # noqa: BLE001  whatever is malformed is refused
            return github_error(401, "A JSON web token could not be decoded")
        if (
            found["iss"] != self.app_id
            or not found["iat"] <= time.time() < found["exp"] <= found["iat"] + 600
        ):
            return github_error(401, "'Expiration time' claim ('exp') is too far in the future")
        token = f"ghs_scripted{len(self.access_tokens)}"
        self.access_tokens.add(token)
        end = (datetime.now(UTC) + timedelta(hours=1)).isoformat(timespec="seconds").replace("+00:00", "Z")
        value = {
            "token": token,
            "expires_at": end,
            "permissions": {"members": "read"},
            "repository_selection": "all",
        }
        return json_answer(value, 201, self._rate("core"))

    def _graphql(self, asked: JsonObject) -> Answer:
        variables = asked["variables"]
        if variables["login"].lower() != self.organization:
            text = f"Could not resolve to an Organization with the login of '{variables['login']}'."
            return graphql_error("NOT_FOUND", text)
        start = int(variables["after"] or 0)
        end = start + min(variables["first"], self.page)
        organization: JsonObject = {}
        if "membersWithRole" in asked["query"]:
            edges = [self._edge(each) for each in self.members[start:end]]
            organization["membersWithRole"] = {"edges": edges, "pageInfo": _page_info(end, len(self.members))}
        else:
            organization["samlIdentityProvider"] = self._identity_provider(start, end)
        return json_answer({"data": {"organization": organization}}, headers=self._rate("graphql"))

    def _edge(self, person: Person) -> JsonObject:
        return {
            "hasTwoFactorEnabled": person.two_factor if self.is_owner else None,
            "role": person.role,
            "node": {
                "databaseId": person.id,
                "login": person.login,
                "name": person.name,
                "company": person.company,
                "createdAt": "2015-03-01T09:00:00Z",
                "organizationVerifiedDomainEmails": list(person.emails),
            },
        }

    def _identity_provider(self, start: int, end: int) -> JsonObject | None:
        if self.saml is None:
            return None
        nodes = [
            {
                "samlIdentity": {"nameId": name},
                "scimIdentity": {"username": login} if login else None,
                "user": {"databaseId": key} if key > 0 else None,
            }
            for key, (name, login) in self.saml.items()
        ]
        return {"externalIdentities": {"nodes": nodes[start:end], "pageInfo": _page_info(end, len(nodes))}}

    def _resource(self, asked: Asked) -> Answer:
        match asked.path.strip("/").split("/"):
            case ["orgs", self.organization, "outside_collaborators"]:
                return self._collaborators(asked)
            case ["orgs", self.organization, "teams"]:
                teams = [self._team(place, slug) for place, slug in enumerate(self.teams, 1)]
                return self._list(asked, teams)
            case ["orgs", self.organization, "teams", slug, "members"] if slug in self.teams:
                people = {each.id: each for each in self.members}
                return self._list(asked, [self._person(people[key]) for key in self.teams[slug][1]])
            case _:
                return github_error(404, headers=self._rate("core"))

    def _collaborators(self, asked: Asked) -> Answer:
        people = self.collaborators
        if asked.query.get("filter", "all") != "all":
            if not self.is_owner:
                return github_error(422, headers=self._rate("core"))
            people = [each for each in people if not each.two_factor]
        return self._list(asked, [self._person(each) for each in people])

    def _team(self, place: int, slug: str) -> JsonObject:
        url, page = (
            f"{self.base}/organizations/1/team/{place}",
            f"{WEB}/orgs/{self.organization}/teams/{slug}",
        )
        return {
            "id": place,
            "node_id": f"T_{place}",
            "slug": slug,
            "name": self.teams[slug][0],
            "description": None,
            "privacy": "closed",
            "notification_setting": "notifications_enabled",
            "permission": "pull",
            "type": "organization",
            "organization_id": 1,
            "url": url,
            "html_url": page,
            "members_url": f"{url}/members{{/member}}",
            "repositories_url": f"{url}/repos",
            "parent": None,
        }

    def _person(self, person: Person) -> JsonObject:
        """A "simple user" of the REST API."""
        url = f"{self.base}/users/{person.login}"
        return {
            "login": person.login,
            "id": person.id,
            "node_id": f"U_{person.id}",
            "gravatar_id": "",
            "type": person.type,
            "site_admin": False,
            "user_view_type": "public",
            "avatar_url": f"{WEB}/{person.login}.png",
            "html_url": f"{WEB}/{person.login}",
            "url": url,
            **{f"{name}_url": f"{url}/{path}" for name, path in USER_URLS.items()},
        }

    def _list(self, asked: Asked, items: list[JsonObject]) -> Answer:
        page, most = int(asked.query.get("page", 1)), min(int(asked.query.get("per_page", 30)), self.page)
        headers = self._rate("core")
        if page * most < len(items):
            query = urlencode({**asked.query, "page": page + 1})
            headers["Link"] = f'<{self.base}{asked.path}?{query}>; rel="next"'
        return json_answer(items[(page - 1) * most : page * most], headers=headers)


def _page_info(end: int, count: int) -> JsonObject:
    return {"hasNextPage": end < count, "endCursor": str(min(end, count)) if count else None}


def _decoded(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
