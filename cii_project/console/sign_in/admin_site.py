"""Django's admin as part of this product: its records are for superusers, its sign-in is for every member."""

from django.contrib.auth import REDIRECT_FIELD_NAME
from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied
from django.core.paginator import InvalidPage
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, resolve_url
from django.utils.http import url_has_allowed_host_and_scheme
from unfold.sites import UnfoldAdminSite

from cii_project.audit.services import Action, record
from cii_project.console.core.roles import Role, role_of
from cii_project.console.sign_in.limits import remember_browser
from cii_project.console.sign_in.views import SignInForm

HOME = "console:dashboard"


class ConsoleAdminSite(UnfoldAdminSite):
    login_form = SignInForm

    def has_permission(self, request: HttpRequest) -> bool:
        return role_of(request.user) > Role.NONE

    def login(self, request: HttpRequest, extra_context: dict[str, object] | None = None) -> HttpResponse:
        wanted = request.POST.get(REDIRECT_FIELD_NAME) or request.GET.get(REDIRECT_FIELD_NAME) or ""
        allowed = url_has_allowed_host_and_scheme(wanted, {request.get_host()}, request.is_secure())
        target = wanted if allowed else resolve_url(HOME)
        if request.method == "GET" and self.has_permission(request):
            return redirect(target)
        # On a new installation the page says how the first member is made.
        more = {REDIRECT_FIELD_NAME: target, "has_no_member": not User.objects.exists()}
        response: HttpResponse = super().login(request, {**more, **(extra_context or {})})
        if request.method == "POST" and response.status_code == 302:
            remember_browser(request, response, request.user.get_username())
        return response

    def index(self, request: HttpRequest, extra_context: dict[str, object] | None = None) -> HttpResponse:
        if not request.user.is_superuser:
            raise PermissionDenied
        response: HttpResponse = super().index(request, extra_context)
        return response

    def password_change(
        self, request: HttpRequest, extra_context: dict[str, object] | None = None
    ) -> HttpResponse:
        response: HttpResponse = super().password_change(request, extra_context)
        if request.method == "POST" and response.status_code == 302:
            record(Action.CHANGE, request.user, "Changed their own password.")  # type: ignore[arg-type]
        return response

    def search(self, request: HttpRequest, extra_context: dict[str, object] | None = None) -> HttpResponse:
        try:
            response: HttpResponse = super().search(request, extra_context)
        except (InvalidPage, ValueError):  # Unfold reads the number of the page as it comes
            raise Http404("This page of results does not exist.") from None
        return response
