"""An answer to HEAD has no body (RFC 9110, section 9.3.2).

A web server that passes one on writes it where the client expects the status line of the next answer; the sign-in
page, for one, repeats what ``?next=`` says.
"""

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse, HttpResponseBase, StreamingHttpResponse


class HeadWithoutBody:
    """Drops the body of each answer to HEAD; its headers, ``Content-Length`` among them, stay those of GET."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        response = self.get_response(request)
        if request.method == "HEAD":
            if isinstance(response, StreamingHttpResponse):
                response.streaming_content = []
            elif isinstance(response, HttpResponse):
                response.content = b""
        return response
