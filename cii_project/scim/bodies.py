"""Reading the body of a pushed request, within bounds: only with a valid token, at most 8 MiB, as JSON without doubles."""

from typing import Never

from django.http import HttpRequest

from cii_project.web.bodies import MAX_PUSH_BYTES, MIB
from integrations.services import Json, JsonObject, ScimError, load_json

MAX_VALUES = 400_000
MEDIA_TYPES = frozenset(("application/scim+json", "application/json"))


def read_json(request: HttpRequest) -> Json:
    """The JSON of a request's body. Raises ScimError."""
    if request.content_type not in MEDIA_TYPES:
        raise ScimError(415, "Send application/scim+json or application/json.")
    content = request.read(content_length(request))
    # A list or an object of nothing takes 30 times its two bytes.
    if content.count(b"[") + content.count(b"{") > MAX_VALUES:
        raise ScimError(400, f"The body holds more than {MAX_VALUES:,} values.", "invalidSyntax")
    try:
        return load_json(
            content,
            parse_constant=_refuse_constant,
            object_pairs_hook=_without_doubles,
            max_bytes=MAX_PUSH_BYTES,
            max_values=MAX_VALUES,
        )
    except ValueError as error:
        text = (
            str(error) if isinstance(error, _Refused) else "it cannot be read, or it is too deep or too full"
        )
        raise ScimError(400, f"The body is not accepted as JSON: {text}.", "invalidSyntax") from None


def content_length(request: HttpRequest) -> int:
    """The length of a request's body. Raises ScimError: 411 where the request does not say it, 413 over 8 MiB."""
    stated = request.META.get("CONTENT_LENGTH") or "0"
    if "HTTP_TRANSFER_ENCODING" in request.META or not stated.isdecimal():
        raise ScimError(411, "Send the length of the body as Content-Length.")
    if len(stated) > 18 or int(stated) > MAX_PUSH_BYTES:
        raise ScimError(413, f"At most {MAX_PUSH_BYTES // MIB} MiB are accepted.")
    return int(stated)


class _Refused(ValueError):
    """JSON that Python would read and that means two things."""


def _without_doubles(pairs: list[tuple[str, Json]]) -> JsonObject:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise _Refused("an object has a name twice")
    return found


def _refuse_constant(name: str) -> Never:
    raise _Refused(f"{name} is no number")
