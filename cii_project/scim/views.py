"""The SCIM 2.0 server (RFC 7643, RFC 7644): each pushing source below ``/scim/v2/<source>/``.

A request carries the source's bearer token and nothing of a session. Without a valid token every request is answered
alike, before its body is read.
"""

import logging
from typing import ClassVar

from django.http import HttpRequest, HttpResponse, JsonResponse, QueryDict
from django.urls import path
from django.utils.decorators import method_decorator
from django.views import View
from django.views.decorators.csrf import csrf_exempt

from cii_project.scim import answers
from cii_project.scim.answers import answer, listing
from cii_project.scim.bodies import content_length, read_json
from cii_project.scim.operations import Bulk, change
from integrations.models import ScimResource, SourceConnection
from integrations.services import (
    RESOURCE_TYPES,
    Json,
    JsonObject,
    ResourceType,
    ScimError,
    connection_of_token,
    find_resource,
    is_matched,
    list_resources,
    parse_filter,
    parse_names,
    represent,
    selected,
    version_tag,
)
from notifications.models import Configuration
from notifications.services import console_address

log = logging.getLogger(__name__)

DEFAULT_RESULTS = 100
TOKEN_SECONDS = 3_600
CHANGES = ("POST", "PUT", "PATCH", "DELETE")


def base_url(request: HttpRequest, source: str) -> str:
    """The base URL of a source, as pages and answers show it."""
    address = console_address(Configuration.load()) or request.build_absolute_uri("/").rstrip("/")
    return f"{address}/scim/v2/{source}"


def bearer_token(header: str) -> str:
    """The token of an ``Authorization`` header, "" without one."""
    scheme, _, text = header.partition(" ")
    return text.strip() if scheme.lower() == "bearer" else ""


def _refused() -> HttpResponse:
    error = ScimError(401, "The request is not authorized.")
    return answer(401, answers.error_content(error), WWW_Authenticate="Bearer")


@method_decorator(csrf_exempt, name="dispatch")
class ScimView(View):
    """Every endpoint of one source."""

    # Its bodies are larger than others, with a valid token (web/bodies.py).
    takes_pushes: ClassVar[bool] = True
    connection: SourceConnection
    base: str

    def dispatch(self, request: HttpRequest, *args: object, **kwargs: object) -> HttpResponse:
        source, rest = str(kwargs["source"]), str(kwargs.get("rest", ""))
        found = connection_of_token(source, bearer_token(request.headers.get("Authorization", "")))
        if found is None:
            return _refused()
        self.connection, self.base = found, base_url(request, source)
        try:
            content_length(request)
            response = self.route([part for part in rest.split("/") if part])
        except ScimError as error:
            response = answer(error.status, answers.error_content(error))
        if request.method in CHANGES:
            log.info(
                "Pushed",
                extra={"source": source, "method": request.method, "status": response.status_code},
            )
        return response

    def route(self, parts: list[str]) -> HttpResponse:
        match parts:
            case ["Bulk"]:
                self.allow("POST")
                operations = Bulk(self.connection, self.base).run(read_json(self.request))
                return answer(200, answers.bulk_content(operations))
            case [".search"]:
                self.allow("POST")
                return self.search(list(RESOURCE_TYPES.values()), read_json(self.request))
            case ["Me", *_]:
                raise ScimError(501, "A token belongs to a source, not to a user.")
            case ["ServiceProviderConfig" | "ResourceTypes" | "Schemas", *_]:
                return self.describe(parts)
            case [endpoint, *rest] if endpoint in RESOURCE_TYPES and len(rest) <= 1:
                return self.resources(RESOURCE_TYPES[endpoint], rest[0] if rest else "")
        raise ScimError(404, "There is no such endpoint.")

    def allow(self, *methods: str) -> None:
        if self.request.method not in methods:
            raise ScimError(405, f"Use {', '.join(methods)}.")

    def describe(self, parts: list[str]) -> HttpResponse:
        self.allow("GET", "HEAD")
        if "filter" in self.request.GET:
            raise ScimError(403, "This endpoint takes no filter.")
        if parts == ["ServiceProviderConfig"]:
            return answer(200, answers.provider_config(self.base))
        is_schemas = parts[0] == "Schemas"
        found = answers.schemas(self.base) if is_schemas else answers.resource_types(self.base)
        if len(parts) == 1:
            more = (answers.LISTED_SCHEMAS,) if is_schemas else ()
            return answer(200, listing(len(found), found, 1, *more))
        named = next((each for each in found if [each["id"]] == parts[1:]), None)
        if named is None:
            raise ScimError(404, f"There is no such entry of {parts[0]}.")
        return answer(200, named)

    def resources(self, kind: ResourceType, scim_id: str) -> HttpResponse:
        if scim_id == ".search":
            self.allow("POST")
            return self.search([kind], read_json(self.request))
        if not scim_id:
            self.allow("GET", "HEAD", "POST")
            return self.create(kind) if self.request.method == "POST" else self.search([kind], None)
        self.allow("GET", "HEAD", "PUT", "PATCH", "DELETE")
        match self.request.method:
            case "PUT" | "PATCH" as method:
                changed = change(
                    self.connection, method, kind, scim_id, read_json(self.request), self.expected
                )
                assert changed is not None  # noqa: S101  # nosec B101  for the type checker
                return self.one(changed, kind)
            case "DELETE":
                change(self.connection, "DELETE", kind, scim_id, None, self.expected)
                return answer(204)
        found = find_resource(self.connection, kind, scim_id)
        tags = self.request.headers.get("If-None-Match", "")
        if tags and is_matched(tags, found):
            return answer(304, ETag=version_tag(found))
        return self.one(found, kind)

    @property
    def expected(self) -> str:
        return str(self.request.headers.get("If-Match", ""))

    def create(self, kind: ResourceType) -> HttpResponse:
        made = change(self.connection, "POST", kind, "", read_json(self.request))
        assert made is not None  # noqa: S101  # nosec B101  for the type checker
        return self.one(made, kind, 201)

    def one(self, resource: ScimResource, kind: ResourceType, status: int = 200) -> HttpResponse:
        wanted, excluded = self.attributes(self.request.GET)
        (found,) = represent([resource], self.base, has_members="members" not in excluded)
        return answer(
            status,
            selected(found, kind, wanted, excluded),
            ETag=version_tag(resource),
            Location=found["meta"]["location"],
        )

    @staticmethod
    def attributes(said: QueryDict | JsonObject) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """The attributes that are wanted and excluded, of a query or a SearchRequest."""
        names = []
        for key in ("attributes", "excludedAttributes"):
            value = said.get(key) or ""
            text = ",".join(map(str, value)) if isinstance(value, list) else str(value)
            names.append(parse_names(text))
        return names[0], names[1]

    def search(self, kinds: list[ResourceType], body: Json) -> HttpResponse:
        """A listing by a query, or by a SearchRequest (``body``)."""
        if body is not None and not isinstance(body, dict):
            raise ScimError(400, "Send a JSON object.", "invalidSyntax")
        said = self.request.GET if body is None else body
        first = max(_whole(said.get("startIndex"), 1, "startIndex"), 1)
        count = min(max(_whole(said.get("count"), DEFAULT_RESULTS, "count"), 0), answers.MAX_RESULTS)
        wanted, excluded = self.attributes(said)
        text = said.get("filter") or ""
        if not isinstance(text, str):
            raise ScimError(400, "filter: expected text.", "invalidFilter")
        total = 0
        found: list[JsonObject] = []
        for kind in kinds:
            number, page = list_resources(
                self.connection,
                kind,
                parse_filter(text, kind) if text.strip() else None,
                first=max(first - 1 - total, 0),
                count=count - len(found),
                base=self.base,
                has_members="members" not in excluded,
            )
            total += number
            found += [selected(each, kind, wanted, excluded) for each in page]
        return answer(200, listing(total, found, first))


def _whole(value: object, default: int, name: str) -> int:
    if value is None or value == "":
        return default
    text = str(value).strip()
    if not text.removeprefix("-").isdecimal() or len(text) > 10:
        raise ScimError(400, f"{name}: expected a whole number.", "invalidValue")
    return int(text)


@method_decorator(csrf_exempt, name="dispatch")
class TokenView(View):
    """Client credentials (RFC 6749, section 4.4) for Cisco's collector, which has no field for a bearer token: the client
    secret is the source's token, and so is the access token."""

    http_method_names = ("post",)

    def post(self, request: HttpRequest, source: str) -> HttpResponse:
        form: JsonObject = {
            name: request.POST.get(name, "") for name in ("grant_type", "client_id", "client_secret")
        }
        if form["grant_type"] != "client_credentials":
            return self.answered({"error": "unsupported_grant_type"}, 400)
        found = connection_of_token(source, form["client_secret"])
        if found is None or form["client_id"] != source:
            return self.answered({"error": "invalid_client"}, 401)
        content = {
            "access_token": form["client_secret"],
            "token_type": "Bearer",
            "expires_in": TOKEN_SECONDS,
        }
        return self.answered(content, 200)

    def answered(self, content: JsonObject, status: int) -> HttpResponse:
        return JsonResponse(content, status=status, headers={"Cache-Control": "no-store"})


urlpatterns = [
    path("scim/v2/<slug:source>/token", TokenView.as_view(), name="scim-token"),
    path("scim/v2/<slug:source>/<path:rest>", ScimView.as_view(), name="scim"),
]
