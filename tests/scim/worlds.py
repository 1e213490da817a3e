"""A source that pushes by SCIM, and a client of it without a session."""

import json
from typing import Any

from django.test import Client

from checks.models import Account
from checks.services import add_source
from cii_project.scim.importing import import_waiting
from integrations.models import SourceConnection
from integrations.services import rotate_push_token, save_connection

USER = "urn:ietf:params:scim:schemas:core:2.0:User"
GROUP = "urn:ietf:params:scim:schemas:core:2.0:Group"
ENTERPRISE = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"
CHECKS = "urn:ietf:params:scim:schemas:extension:identity-checks:2.0:User"
CII_AD = "urn:ietf:params:scim:schemas:extension:cisco:cii:ad"
PATCH_OP = "urn:ietf:params:scim:api:messages:2.0:PatchOp"
SCIM_JSON = "application/scim+json"


def connect(slug: str = "push", kind: str = "identity") -> tuple[SourceConnection, str]:
    """A new source and its token."""
    add_source(slug=slug, name=slug.title(), kind=kind, provider="SCIM")
    connection, _ = save_connection(slug=slug, kind="scim", document={})
    return connection, rotate_push_token(connection)


class Sender:
    """Sends requests to one source, as an identity provider does. Checks that each answer is SCIM."""

    def __init__(self, connection: SourceConnection, token: str) -> None:
        self.connection, self.token = connection, token
        self.client = Client(enforce_csrf_checks=True)

    def send(self, method: str, path: str, body: object = None, **headers: str) -> Any:
        content = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        answer = self.client.generic(
            method,
            f"/scim/v2/{self.connection.source_slug}/{path}",
            content,
            content_type=headers.pop("content_type", SCIM_JSON),
            headers={"Authorization": f"Bearer {self.token}"} | headers,
        )
        assert answer["Content-Type"] == SCIM_JSON, answer.content
        return answer

    def get(self, path: str, **headers: str) -> Any:
        return self.send("GET", path, **headers)

    def create(self, **values: Any) -> dict[str, Any]:
        """Create a user."""
        answer = self.send("POST", "Users", {"schemas": [USER], "userName": "ann@example.com", **values})
        assert answer.status_code == 201, answer.content
        return answer.json()

    def create_group(self, name: str, *members: str) -> dict[str, Any]:
        body = {"schemas": [GROUP], "displayName": name, "members": [{"value": each} for each in members]}
        answer = self.send("POST", "Groups", body)
        assert answer.status_code == 201, answer.content
        return answer.json()

    def patch(self, path: str, *operations: dict[str, Any], **headers: str) -> Any:
        return self.send("PATCH", path, {"schemas": [PATCH_OP], "Operations": list(operations)}, **headers)

    def imported(self) -> int:
        """Import what waits; the number of users."""
        self.connection.refresh_from_db()
        return import_waiting(self.connection)


def account(login: str) -> Account:
    return Account.objects.get(login_key=login)


def error(answer: Any) -> tuple[int, str, str]:
    """Status, scimType and detail of an answer that is an error of RFC 7644, section 3.12."""
    content = answer.json()
    assert content["schemas"] == ["urn:ietf:params:scim:api:messages:2.0:Error"]
    assert content["status"] == str(answer.status_code)
    return answer.status_code, content.get("scimType", ""), content["detail"]
