"""The limit of a request's body: 1 MiB, a file of 64 MiB that a signed-in Operator uploads, or 8 MiB that a source
pushes with a valid token.

The limit is checked before anything reads the body. Django keeps up to 2.5 MiB in memory, so only an upload is
written to disk. A view that takes pushes checks token and length itself, before it reads.
"""

from collections.abc import Callable
from importlib import import_module

from django.conf import settings
from django.contrib.auth import get_user
from django.http import HttpRequest, HttpResponse, HttpResponseBase, parse_cookie
from django.shortcuts import render
from django.urls import Resolver404, resolve

from cii_project.console.core.roles import Role, role_of
from integrations.services import connection_of_token

MIB = 1024 * 1024
MAX_BODY_BYTES = MIB
MAX_FILE_BYTES = 64 * MIB
# A file comes with the form's other fields.
MAX_UPLOAD_BYTES = MAX_FILE_BYTES + MAX_BODY_BYTES
MAX_PUSH_BYTES = 8 * MIB


class BodyLimit:
    """Refuses a request whose body is too large (413) or of unknown length (411).

    A view class that takes a file says so by ``takes_uploads = True``.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        return self.get_response(request)

    def process_view(
        self, request: HttpRequest, view: Callable[..., object], args: object, kwargs: object
    ) -> HttpResponse | None:
        if _takes_pushes(view):
            return None
        stated = request.META.get("CONTENT_LENGTH") or "0"
        if "HTTP_TRANSFER_ENCODING" in request.META or not stated.isdecimal():
            return _refusal(request, 411, "The request does not say how long it is (Content-Length).")
        length = int(stated)
        if length <= MAX_BODY_BYTES:
            return None
        most = MAX_UPLOAD_BYTES if _takes_uploads(view) and _may_upload(request.user) else MAX_BODY_BYTES
        if length <= most:
            return None
        text = f"The request has {length / MIB:.1f} MiB; at most {most // MIB} MiB are accepted here."
        return _refusal(request, 413, text)


def accepted_bytes(path: str, cookies: str, authorization: str) -> int:
    """How large a body of a request to ``path`` may be: for a web server, which reads it before the application."""
    try:
        found = resolve(path)
    except Resolver404:
        return MAX_BODY_BYTES
    if _takes_uploads(found.func) and _may_upload(_user_of(cookies)):
        return MAX_UPLOAD_BYTES
    if _takes_pushes(found.func):
        scheme, _, token = authorization.partition(" ")
        is_known = scheme.lower() == "bearer" and connection_of_token(found.kwargs["source"], token.strip())
        return MAX_PUSH_BYTES if is_known else MAX_BODY_BYTES
    return MAX_BODY_BYTES


def _takes_uploads(view: Callable[..., object]) -> bool:
    return bool(getattr(getattr(view, "view_class", None), "takes_uploads", False))


def _takes_pushes(view: Callable[..., object]) -> bool:
    return bool(getattr(getattr(view, "view_class", None), "takes_pushes", False))


def _may_upload(user: object) -> bool:
    return role_of(user) >= Role.OPERATOR


def _user_of(cookies: str) -> object:
    """The person whose session a ``Cookie`` header names."""
    request = HttpRequest()
    request.COOKIES = parse_cookie(cookies)
    store = import_module(settings.SESSION_ENGINE).SessionStore
    request.session = store(request.COOKIES.get(settings.SESSION_COOKIE_NAME))
    return get_user(request)


def _refusal(request: HttpRequest, status: int, text: str) -> HttpResponse:
    return render(request, "body_refused.html", {"text": text}, status=status)
