"""Middleware: what a request records in the audit trail names its member and their address."""

from collections.abc import Callable

from django.http import HttpRequest, HttpResponseBase

from cii_project.audit.services import Actor, ActorKind, acting
from cii_project.web.client_address import client_address


def actor_of(request: HttpRequest) -> Actor:
    """The member who sent the request, or a visitor who has not signed in."""
    address = client_address(request)
    if not request.user.is_authenticated:
        return Actor(ActorKind.VISITOR, address=address)
    return Actor(ActorKind.MEMBER, request.user.get_username(), address, str(request.user.pk))


class RequestActor:
    """Comes after Django's AuthenticationMiddleware, which knows the member."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        with acting(lambda: actor_of(request)):
            return self.get_response(request)
