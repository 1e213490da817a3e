"""An id for each request: in every log line that the request causes, and in the answer as ``X-Request-Id``."""

import re
from collections.abc import Callable, Iterator
from uuid import uuid4

from django.conf import settings
from django.http import FileResponse, HttpRequest, HttpResponseBase, StreamingHttpResponse
from structlog.contextvars import bound_contextvars

from cii_project.web.client_address import is_from_trusted_proxy

REQUEST_ID_HEADER = "X-Request-Id"
WELL_FORMED = re.compile(r"[A-Za-z0-9._-]{8,64}")


class RequestId:
    """Binds ``request_id`` for the log and adds the header to the response.

    An id from outside counts only with TRUST_REQUEST_ID, from one of TRUSTED_PROXIES, and if it is well formed:
    otherwise a client could give its requests the id of others.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        request_id = _trusted_id(request) or uuid4().hex
        with bound_contextvars(request_id=request_id):
            response = self.get_response(request)
        response.headers[REQUEST_ID_HEADER] = request_id
        # A file is left as it is: the server sends it without the application.
        if isinstance(response, StreamingHttpResponse) and not isinstance(response, FileResponse):
            response.streaming_content = _bound(iter(response), request_id)
        return response


def _trusted_id(request: HttpRequest) -> str | None:
    if not (settings.TRUST_REQUEST_ID and is_from_trusted_proxy(request)):
        return None
    sent = request.headers.get(REQUEST_ID_HEADER, "")
    return sent if WELL_FORMED.fullmatch(sent) else None


def _bound(parts: Iterator[bytes], request_id: str) -> Iterator[bytes]:
    """The parts of a streamed body; what their making logs carries the id too."""
    with bound_contextvars(request_id=request_id):
        yield from parts
