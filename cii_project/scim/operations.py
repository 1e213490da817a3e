"""The operations on pushed users and groups, alone and in bulk (RFC 7644, sections 3.3 to 3.7)."""

from collections.abc import Iterator, Mapping

from django.db import transaction
from django.utils import timezone

from checks.models import Source
from checks.services import record_problems
from cii_project.scim.answers import MAX_OPERATIONS, error_content
from integrations.models import ScimResource, SourceConnection
from integrations.services import (
    RESOURCE_TYPES,
    Json,
    JsonObject,
    ResourceType,
    ScimError,
    create_resource,
    delete_resource,
    patch_resource,
    records_of,
    replace_resource,
    version_tag,
)

BULK_ID = "bulkId:"


def change(
    connection: SourceConnection,
    method: str,
    kind: ResourceType,
    scim_id: str,
    body: object,
    expected: str = "",
) -> ScimResource | None:
    """One POST, PUT, PATCH or DELETE; None for DELETE. ``expected``: the If-Match. What an import would reject is
    refused, and nothing is changed. Raises ScimError."""
    with transaction.atomic():
        match method:
            case "POST":
                changed = create_resource(connection, kind, body)
            case "PUT":
                changed = replace_resource(connection, kind, scim_id, body, expected)
            case "PATCH":
                changed = patch_resource(connection, kind, scim_id, body, expected)
            case _:
                delete_resource(connection, kind, scim_id, expected)
                return None
        if kind.name == "User":
            _check(connection, changed)
    return changed


def _check(connection: SourceConnection, resource: ScimResource) -> None:
    source = Source.objects.filter(slug=connection.source_slug, deleted_at__isnull=True).first()
    if source is None:
        raise ScimError(404, "This source was deleted.")
    (record,) = records_of([resource], timezone.now())
    if problems := record_problems(source, record):
        raise ScimError(400, "; ".join(problems)[:1_000], "invalidValue")


class Bulk:
    """The operations of one request, each on its own: one that fails leaves the others."""

    def __init__(self, connection: SourceConnection, base: str) -> None:
        self.connection, self.base = connection, base
        self.ids: dict[str, str] = {}
        self.errors = 0

    def run(self, body: object) -> list[JsonObject]:
        """The answers in the order of the operations. One that names another's ``bulkId`` runs after it. Raises ScimError."""
        if not isinstance(body, dict):
            raise ScimError(400, "Send a JSON object.", "invalidSyntax")
        operations = body.get("Operations")
        if not isinstance(operations, list) or not operations:
            raise ScimError(400, "Operations: expected a list with at least one operation.", "invalidSyntax")
        if len(operations) > MAX_OPERATIONS:
            raise ScimError(413, f"At most {MAX_OPERATIONS} operations are accepted in one request.")
        most = body.get("failOnErrors")
        limit = (
            most if isinstance(most, int) and not isinstance(most, bool) and most > 0 else len(operations) + 1
        )
        return self._in_rounds(operations, limit)

    def _in_rounds(self, operations: list[Json], limit: int) -> list[JsonObject]:
        answers: dict[int, JsonObject] = {}
        waiting = dict(enumerate(operations))
        while waiting and self.errors < limit:
            ready = [place for place, raw in waiting.items() if not self._missing(raw)]
            for place in ready or list(waiting):
                if self.errors >= limit:
                    break
                answers[place] = self._answer(waiting.pop(place))
        return [answers[place] for place in sorted(answers)]

    def _missing(self, raw: object) -> set[str]:
        """The bulk ids that an operation names and that are not resolved yet."""
        if not isinstance(raw, dict):
            return set()
        named = {text[len(BULK_ID) :] for text in _texts(raw.get("data")) if text.startswith(BULK_ID)}
        path = raw.get("path")
        if isinstance(path, str) and BULK_ID in path:
            named.add(path.partition(BULK_ID)[2])
        return named - self.ids.keys()

    def _answer(self, raw: object) -> JsonObject:
        said: JsonObject = {}
        if isinstance(raw, dict):
            said = {name: raw[name] for name in ("method", "bulkId") if isinstance(raw.get(name), str)}
        try:
            return said | self._done(raw)
        except ScimError as error:
            self.errors += 1
            return said | {"status": str(error.status), "response": error_content(error)}

    def _done(self, raw: object) -> JsonObject:
        if not isinstance(raw, dict):
            raise ScimError(400, "Each of the Operations is an object.", "invalidSyntax")
        if missing := self._missing(raw):
            text = f"bulkId:{sorted(missing)[0][:64]} names no operation that succeeded."
            raise ScimError(409, text, "invalidValue")
        method, bulk_id = str(raw.get("method", "")).upper(), raw.get("bulkId")
        kind, scim_id = self._target(method, self._resolved(raw.get("path")))
        if method == "POST" and not (isinstance(bulk_id, str) and bulk_id):
            raise ScimError(400, "A POST needs a bulkId.", "invalidSyntax")
        expected = raw.get("version")
        changed = change(
            self.connection,
            method,
            kind,
            scim_id,
            self._resolved(raw.get("data")),
            expected if isinstance(expected, str) else "",
        )
        if changed is None:
            return {"status": "204", "location": f"{self.base}/{kind.endpoint}/{scim_id}"}
        if isinstance(bulk_id, str):
            self.ids[bulk_id] = changed.scim_id
        return {
            "status": "201" if method == "POST" else "200",
            "location": f"{self.base}/{kind.endpoint}/{changed.scim_id}",
            "version": version_tag(changed),
        }

    def _target(self, method: str, path: object) -> tuple[ResourceType, str]:
        parts = path.strip("/").split("/") if isinstance(path, str) else []
        kind = RESOURCE_TYPES.get(parts[0]) if parts else None
        if kind is None or len(parts) != (1 if method == "POST" else 2):
            raise ScimError(
                400, "path: expected /Users or /Groups, with an id except for POST.", "invalidPath"
            )
        if method not in ("POST", "PUT", "PATCH", "DELETE"):
            raise ScimError(400, "method: expected POST, PUT, PATCH or DELETE.", "invalidSyntax")
        return kind, parts[1] if len(parts) == 2 else ""

    def _resolved(self, value: Json) -> Json:
        """The value with the ids of resources in the place of bulk ids."""
        if isinstance(value, str):
            head, mark, name = value.partition(BULK_ID)
            return (
                head + self.ids[name]
                if mark and name in self.ids and (not head or head.endswith("/"))
                else value
            )
        if isinstance(value, list):
            return [self._resolved(item) for item in value]
        if isinstance(value, Mapping):
            return {name: self._resolved(item) for name, item in value.items()}
        return value


def _texts(value: object) -> Iterator[str]:
    """The texts in a value that is at most 32 levels deep."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, list | dict):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _texts(item)
