"""Which proxy may say that a request came over HTTPS: the setting TRUSTED_PROXIES."""

from collections.abc import Callable

from django.http import HttpRequest, HttpResponseBase

from cii_project.web.client_address import is_from_trusted_proxy


class TrustedProxyHeaders:
    """Removes ``X-Forwarded-Proto`` from each request that does not come from a trusted proxy.

    What is left is read by Django (``SECURE_PROXY_SSL_HEADER``), where PUBLIC_URL is an https address.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        if not is_from_trusted_proxy(request):
            request.META.pop("HTTP_X_FORWARDED_PROTO", None)
        return self.get_response(request)
