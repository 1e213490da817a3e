"""What every page shares: sign-in and role, the admin site's context, toasts, htmx. See docs/console.md."""

import json
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal, cast

from django.contrib import admin, messages
from django.contrib.auth.models import User
from django.contrib.auth.views import redirect_to_login
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme
from django.views import View

from cii_project.console.audit import ADDITION, CHANGE, DELETION, record
from cii_project.console.paging import KeysetPage
from cii_project.console.roles import Role, role_of

__all__ = [
    "ADDITION",
    "CHANGE",
    "DELETION",
    "ConsoleView",
    "KeysetPage",
    "Role",
    "closing_dialog",
    "link",
    "record",
    "sparkline",
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


def sparkline(values: Sequence[float], width: int = 96, height: int = 24) -> str:
    """Values, oldest first, as the ``points`` of an SVG polyline; the least value sits at the bottom."""
    if not values:
        return ""
    low, span = min(values), (max(values) - min(values)) or 1
    step = (width - 4) / max(len(values) - 1, 1)
    points = (
        (2 + place * step, height - 2 - (value - low) / span * (height - 4))
        for place, value in enumerate(values)
    )
    drawn = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    return drawn if len(values) > 1 else f"{drawn} {width - 2},{drawn.split(',')[1]}"


def link(name: str, *args: Any) -> str:
    """The address of one of our pages: ``link("check", "no-mfa")``."""
    return reverse(f"console:{name}", args=args)


class ConsoleView(View):
    """One page. GET needs ``role``, every other method ``write_role``."""

    title: ClassVar[str] = ""
    template: ClassVar[str] = ""
    role: ClassVar[Role] = Role.VIEWER
    write_role: ClassVar[Role] = Role.OPERATOR
    # The sidebar's entry that is lit: a URL name such as "console:checks".
    section: ClassVar[str] = ""
    request: HttpRequest

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        if not request.user.is_authenticated:
            return self._to_login()
        needed = self.role if request.method in ("GET", "HEAD", "OPTIONS") else self.write_role
        if role_of(request.user) < needed:
            return self.forbidden(needed)
        return super().dispatch(request, *args, **kwargs)

    @property
    def person(self) -> User:
        """Who asks; :meth:`dispatch` lets nobody else through."""
        return cast(User, self.request.user)

    @property
    def is_htmx(self) -> bool:
        """Asked for by a part of a page, which wants a fragment and not a page."""
        return "HX-Request" in self.request.headers and "HX-Boosted" not in self.request.headers

    def context(self, **extra: Any) -> dict[str, Any]:
        role = role_of(self.request.user)
        self.request.console_section = self.section  # type: ignore[attr-defined]  # read by site.navigation
        return {
            "title": self.title,
            "role": role.label,
            "can_operate": role >= Role.OPERATOR,
            "can_engineer": role >= Role.ENGINEER,
            **extra,
        }

    def page(
        self, context: Mapping[str, Any] | None = None, *, template: str = "", status: int = 200
    ) -> HttpResponse:
        """A whole page. ``context`` may carry ``title``, ``subtitle`` and ``crumbs`` [(text, url)]."""
        mine = self.context(**(context or {}))
        whole = {**admin.site.each_context(self.request), **mine}
        return render(self.request, template or self.template, whole, status=status)

    def fragment(
        self, template: str, context: Mapping[str, Any] | None = None, *, status: int = 200
    ) -> HttpResponse:
        """A part of a page, for htmx. A form with errors is answered with 200 like any other: browsers
        report each 4xx as an error of the page, and its errors stand beside its fields."""
        return render(self.request, template, self.context(**(context or {})), status=status)

    def done(self, text: str, url: str, level: Level = "success") -> HttpResponse:
        """After a change: to ``url`` with a message, from a form and from htmx alike."""
        messages.add_message(self.request, MESSAGE_LEVELS[level], text)
        if self.is_htmx:
            return HttpResponse(status=204, headers={"HX-Redirect": url})
        return redirect(url)

    def refreshed(self, text: str, level: Level = "success") -> HttpResponse:
        """After a change by htmx that shows in many places: the page that asked loads anew, with a message."""
        messages.add_message(self.request, MESSAGE_LEVELS[level], text)
        if self.is_htmx:
            return HttpResponse(status=204, headers={"HX-Refresh": "true"})
        origin = self.request.headers.get("Referer", "")
        ours = url_has_allowed_host_and_scheme(origin, {self.request.get_host()}, self.request.is_secure())
        return redirect(origin if ours else reverse("console:dashboard"))

    def toast(self, text: str, level: Level = "success", *, close_dialog: bool = False) -> HttpResponse:
        """After a change made in place by htmx, when nothing needs to be drawn anew."""
        response = with_toast(HttpResponse(status=204), text, level)
        return closing_dialog(response) if close_dialog else response

    def forbidden(self, needed: Role) -> HttpResponse:
        role = role_of(self.request.user)
        if self.is_htmx:
            text = f"This needs the role {needed.label}; yours is {role.label.lower()}."
            return with_toast(HttpResponse(text, status=403), text, "error")
        context = {"title": "Not with your role", "needed": needed.label, "has_role": role > Role.NONE}
        return self.page(context, template="console/forbidden.html", status=403)

    def _to_login(self) -> HttpResponse:
        if self.is_htmx:
            return HttpResponse(status=401, headers={"HX-Redirect": reverse("admin:login")})
        return redirect_to_login(self.request.get_full_path(), reverse("admin:login"))
