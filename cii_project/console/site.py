"""The sidebar: our pages first, then the operators' records (Django admin)."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.templatetags.static import static
from django.urls import reverse

from cii_project.console.roles import Role, role_of

PAGES = [
    ("console:dashboard", "Dashboard", "space_dashboard"),
    ("console:checks", "Checks", "rule"),
    ("console:users", "Users", "group"),
    ("console:runs", "Runs", "play_circle"),
    ("console:deliveries", "Deliveries", "outbox"),
    ("console:integrations", "Integrations", "hub"),
    ("console:settings", "Settings", "tune"),
]

# The operators' records stand below the pages, under names that are not taken for them.
RECORDS = {
    "admin": "Audit log",
    "auth": "People and roles",
    "checks": "Records of checks",
    "console": "Records of the pages",
    "integrations": "Records of integrations",
    "notifications": "Records of notifications",
    "django_q": "Queue",
}


def favicon(request: HttpRequest) -> str:
    return static("console/icon.svg")


def stylesheet(request: HttpRequest) -> str:
    return static("console/console.css")


def navigation(request: HttpRequest) -> list[dict[str, Any]]:
    """Groups of entries as Unfold's ``SIDEBAR["navigation"]`` wants them; only what the person may open."""
    groups: list[dict[str, Any]] = []
    if role_of(request.user) >= Role.VIEWER:
        lit = getattr(request, "console_section", "")
        pages = [
            {"title": title, "icon": icon, "link": reverse(name), "active": lit == name}
            for name, title, icon in PAGES
        ]
        groups.append({"title": "", "items": pages})
    for app in admin.site.get_app_list(request) if request.user.is_staff else []:
        items = [
            {
                "title": model["name"],
                "icon": "table_rows",
                "link": model["admin_url"],
                "active": request.path.startswith(model["admin_url"]),
            }
            for model in app["models"]
            if model.get("admin_url")
        ]
        title = RECORDS.get(app["app_label"], app["name"])
        groups.append({"title": title, "separator": True, "collapsible": True, "items": items})
    return groups
