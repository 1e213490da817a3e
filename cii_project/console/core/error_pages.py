"""The pages for what does not exist, is forbidden, or came from a stale form: with the console's frame for a
member, without it for other visitors."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from cii_project.console.core.console_view import ConsoleView
from cii_project.console.core.roles import Role, role_of


class ErrorPage(ConsoleView):
    """The frame around an answer that no page gave."""

    template = "console/error.html"


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Django's ``handler404``. The exception's text names models and is not shown."""
    return _answer(request, 404, "404.html", "This page does not exist", "search_off")


def forbidden(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Django's ``handler403``."""
    return _answer(request, 403, "403.html", "This page is not for your role", "lock")


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:
    """``CSRF_FAILURE_VIEW``."""
    return _answer(request, 403, "403_csrf.html", "This form was not accepted", "sync_problem")


def _answer(request: HttpRequest, status: int, plain: str, title: str, icon: str) -> HttpResponse:
    member = getattr(request, "user", None)
    page = ErrorPage()
    page.request = request
    if member is None or role_of(member) < Role.VIEWER or page.is_htmx:
        return render(request, plain, status=status)
    return page.page({"title": title, "icon": icon, "words": f"console/errors/{plain}"}, status=status)
