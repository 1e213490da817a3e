"""What the SCIM server says of itself, and the frames of its answers (RFC 7643, sections 5 to 7; RFC 7644)."""

import json
from collections.abc import Iterable, Sequence

from django.http import HttpResponse

from cii_project.web.bodies import MAX_PUSH_BYTES
from integrations.services import (
    RESOURCE_TYPES,
    SCHEMAS,
    JsonObject,
    ResourceType,
    ScimError,
)

MEDIA_TYPE = "application/scim+json"
MAX_OPERATIONS, MAX_RESULTS = 50, 200
_MESSAGES = "urn:ietf:params:scim:api:messages:2.0:"
_CORE = "urn:ietf:params:scim:schemas:core:2.0"


def answer(status: int, content: JsonObject | None = None, **headers: str) -> HttpResponse:
    """``headers``: by their names with underscores."""
    body = json.dumps(content, ensure_ascii=False) if content is not None else ""
    response = HttpResponse(body.encode("utf-8", "replace"), status=status, content_type=MEDIA_TYPE)
    for name, value in headers.items():
        response[name.replace("_", "-")] = value
    return response


def error_content(error: ScimError) -> JsonObject:
    return {
        "schemas": [f"{_MESSAGES}Error"],
        "status": str(error.status),
        **({"scimType": error.kind} if error.kind else {}),
        "detail": str(error),
    }


def listing(total: int, resources: Sequence[JsonObject], first: int = 1, *more: str) -> JsonObject:
    """A ListResponse. ``more``: further URNs of its schemas."""
    return {
        "schemas": [f"{_MESSAGES}ListResponse", *more],
        "totalResults": total,
        "startIndex": first,
        "itemsPerPage": len(resources),
        "Resources": list(resources),
    }


def bulk_content(operations: Iterable[JsonObject]) -> JsonObject:
    return {"schemas": [f"{_MESSAGES}BulkResponse"], "Operations": list(operations)}


def provider_config(base: str) -> JsonObject:
    return {
        "schemas": [f"{_CORE}:ServiceProviderConfig"],
        "patch": {"supported": True},
        "bulk": {
            "supported": True,
            "maxOperations": MAX_OPERATIONS,
            "maxPayloadSize": MAX_PUSH_BYTES,
        },
        "filter": {"supported": True, "maxResults": MAX_RESULTS},
        "changePassword": {"supported": False},
        "sort": {"supported": False},
        "etag": {"supported": True},
        "authenticationSchemes": [
            {
                "type": "oauthbearertoken",
                "name": "Bearer token",
                "description": "The token that the source's page shows once",
                "primary": True,
            }
        ],
        "meta": {"resourceType": "ServiceProviderConfig", "location": f"{base}/ServiceProviderConfig"},
    }


def resource_types(base: str) -> list[JsonObject]:
    return [
        {
            "schemas": [f"{_CORE}:ResourceType"],
            "id": each.name,
            "name": each.name,
            "endpoint": f"/{each.endpoint}",
            "description": each.main.description,
            "schema": each.main.urn,
            **_extensions(each),
            "meta": {"resourceType": "ResourceType", "location": f"{base}/ResourceTypes/{each.name}"},
        }
        for each in RESOURCE_TYPES.values()
    ]


def _extensions(kind: ResourceType) -> JsonObject:
    found = [{"schema": each.urn, "required": False} for each in kind.extensions]
    return {"schemaExtensions": found} if found else {}


def schemas(base: str) -> list[JsonObject]:
    return [
        each.as_json() | {"meta": {"resourceType": "Schema", "location": f"{base}/Schemas/{each.urn}"}}
        for each in SCHEMAS.values()
    ]


# Cisco's collector tests a server by looking for this URN in the list of schemas (Provision.ps1).
LISTED_SCHEMAS = _CORE
