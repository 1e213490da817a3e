"""The base class of every page: sign-in and role, the admin site's context, toasts, htmx. See
docs/console.md."""

import json
from collections.abc import Mapping
from typing import ClassVar, Literal, cast
from urllib.parse import urlsplit

from django.contrib import admin, messages
from django.contrib.auth.models import User
from django.contrib.auth.views import redirect_to_login
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme
from django.views import View

from cii_project.console.core.paging import KeysetPage
from cii_project.console.core.roles import Role, role_of
from cii_project.documentation.pages import address_of

__all__ = [
    "ConsoleView",
    "KeysetPage",
    "Role",
    "closing_dialog",
    "guide_url",
    "page_url",
    "with_toast",
]

Level = Literal["success", "info", "warning", "error"]
MESSAGE_LEVELS = {
    "success": messages.SUCCESS,
    "info": messages.INFO,
    "warning": messages.WARNING,
    "error": messages.ERROR,
}


def with_toast(response: HttpResponse, text: str, level: Level = "success") -> HttpResponse:
    """Has the page show ``text`` in a corner when this answer to an htmx request arrives."""
    return _trigger(response, "toast", {"text": text, "level": level})


def closing_dialog(response: HttpResponse) -> HttpResponse:
    """Has the page close its dialog when this answer to an htmx request arrives."""
    return _trigger(response, "close-dialog")


def _trigger(response: HttpResponse, event: str, detail: Mapping[str, str] | None = None) -> HttpResponse:
    events = json.loads(response.headers.get("HX-Trigger", "{}"))
    events[event] = detail or {}
    response["HX-Trigger"] = json.dumps(events)
    return response


def page_url(name: str, *args: object) -> str:
    """The address of one of our pages: ``page_url("check", "no-mfa")``."""
    return reverse(f"console:{name}", args=args)


def guide_url(guide: str) -> str:
    """``guide_url("targets/slack#set-up")`` → ``/docs/targets/slack/#set-up``; "" is the first page."""
    path, _, anchor = guide.partition("#")
    return address_of(path, anchor)


class ConsoleView(View):
    """One page. GET needs ``role``, every other method ``write_role``."""

    title: ClassVar[str] = ""
    template: ClassVar[str] = ""
    role: ClassVar[Role] = Role.VIEWER
    write_role: ClassVar[Role] = Role.OPERATOR
    # The highlighted entry of the sidebar: a URL name such as "console:checks".
    section: ClassVar[str] = ""
    # The guide of the page: a path below /docs/, also with an anchor: "checks#scope".
    guide: ClassVar[str] = ""
    # Whether a request may carry a file of up to 64 MiB (web/bodies.py).
    takes_uploads: ClassVar[bool] = False
    request: HttpRequest

    def dispatch(self, request: HttpRequest, *args: object, **kwargs: object) -> HttpResponseBase:
        if not request.user.is_authenticated:
            return self._to_login()
        needed = self.role if request.method in ("GET", "HEAD", "OPTIONS") else self.write_role
        if role_of(request.user) < needed:
            return self.forbidden(needed)
        return super().dispatch(request, *args, **kwargs)

    @property
    def member(self) -> User:
        """The member who sent the request; :meth:`dispatch` has checked their role."""
        return cast(User, self.request.user)

    @property
    def is_htmx(self) -> bool:
        """Asked for by a part of a page, which wants a fragment and not a page. htmx asks for a page when the browser
        goes back to one that it does not hold any more."""
        headers = self.request.headers
        return "HX-Request" in headers and not ({"HX-Boosted", "HX-History-Restore-Request"} & set(headers))

    def context(self, **extra: object) -> dict[str, object]:
        role = role_of(self.request.user)
        self.request.console_section = self.section  # type: ignore[attr-defined]  # read by site.navigation
        return {
            "title": self.title,
            "role": role.label,
            "can_operate": role >= Role.OPERATOR,
            "can_engineer": role >= Role.ENGINEER,
            "guide_url": guide_url(self.guide),
            **extra,
        }

    def page(
        self, context: Mapping[str, object] | None = None, *, template: str = "", status: int = 200
    ) -> HttpResponse:
        """A whole page. ``context`` may carry ``title``, ``subtitle`` and ``crumbs`` [(text, url)]."""
        mine = self.context(**(context or {}))
        whole = {**admin.site.each_context(self.request), **mine}
        return render(self.request, template or self.template, whole, status=status)

    def fragment(
        self, template: str, context: Mapping[str, object] | None = None, *, status: int = 200
    ) -> HttpResponse:
        """A part of a page, for htmx. A form with errors is answered with 200 like any other: browsers report
        each 4xx as an error of the page, and its errors are shown next to its fields."""
        return render(self.request, template, self.context(**(context or {})), status=status)

    def done(self, text: str, url: str, level: Level = "success") -> HttpResponse:
        """After a change: to ``url`` with a message, from a form and from htmx alike."""
        messages.add_message(self.request, MESSAGE_LEVELS[level], text)
        if self.is_htmx:
            return HttpResponse(status=204, headers={"HX-Redirect": url})
        return redirect(url)

    def refreshed(self, text: str, level: Level = "success") -> HttpResponse:
        """After a change by htmx that shows in many places: the page reloads, with a message."""
        messages.add_message(self.request, MESSAGE_LEVELS[level], text)
        if self.is_htmx:
            return HttpResponse(status=204, headers={"HX-Refresh": "true"})
        origin = self.request.headers.get("Referer", "")
        ours = url_has_allowed_host_and_scheme(origin, {self.request.get_host()}, self.request.is_secure())
        return redirect(origin if ours else reverse("console:dashboard"))

    def toast(self, text: str, level: Level = "success", *, close_dialog: bool = False) -> HttpResponse:
        """After a change made in place by htmx, when nothing else on the page changes."""
        response = with_toast(HttpResponse(status=204), text, level)
        return closing_dialog(response) if close_dialog else response

    def forbidden(self, needed: Role) -> HttpResponse:
        role = role_of(self.request.user)
        if self.is_htmx:
            text = f"This needs the role {needed.label}; yours is {role.label.lower()}."
            return with_toast(HttpResponse(text, status=403), text, "error")
        context = {"title": "Role required", "needed": needed.label, "has_role": role > Role.NONE}
        return self.page(context, template="console/forbidden.html", status=403)

    def _to_login(self) -> HttpResponse:
        """To the sign-in, and from there back to the page that the member was on: never to a part of a page, nor to the
        address of an action."""
        if self.is_htmx:
            answer = redirect_to_login(self._page_of("HX-Current-URL"), reverse("admin:login"))
            return HttpResponse(status=401, headers={"HX-Redirect": answer.url})
        is_page = self.request.method in ("GET", "HEAD")
        origin = self.request.get_full_path() if is_page else self._page_of("Referer")
        return redirect_to_login(origin, reverse("admin:login"))

    def _page_of(self, header: str) -> str:
        """Path and query of the page of ours that a header names; the dashboard where it names none."""
        origin = self.request.headers.get(header, "")
        if not url_has_allowed_host_and_scheme(origin, {self.request.get_host()}, self.request.is_secure()):
            return reverse("console:dashboard")
        return urlsplit(origin)._replace(scheme="", netloc="", fragment="").geturl()
