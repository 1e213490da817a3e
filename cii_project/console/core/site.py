"""The sidebar: our pages first, then in one place the records of Django's admin."""

from django.http import HttpRequest
from django.templatetags.static import static
from django.urls import reverse

from cii_project.console.core.roles import Role, role_of

CONSOLE_PAGES = [
    ("console:dashboard", "Dashboard", "space_dashboard"),
    ("console:checks", "Checks", "rule"),
    ("console:users", "Users", "group"),
    ("console:runs", "Runs", "play_circle"),
    ("console:deliveries", "Deliveries", "outbox"),
    ("console:integrations", "Integrations", "hub"),
    ("console:report", "Report", "summarize"),
    ("console:settings", "Settings", "tune"),
    ("console:docs", "Documentation", "menu_book"),
]

# Title, icon, URL name, whether only superusers may open it.
RECORD_PAGES = [
    ("Audit trail", "history", "admin:audit_auditentry_changelist", False),
    ("Members and roles", "badge", "admin:auth_user_changelist", True),
    ("Records", "database", "admin:index", True),
]


def favicon(request: HttpRequest) -> str:
    return static("console/icon.svg")


def stylesheet(request: HttpRequest) -> str:
    return static("console/console.css")


def alpine(request: HttpRequest) -> str:
    return static("console/alpine.js")


def navigation(request: HttpRequest) -> list[dict[str, object]]:
    """Groups of entries as Unfold's ``SIDEBAR["navigation"]`` wants them; only what the person may open."""
    groups: list[dict[str, object]] = []
    if role_of(request.user) >= Role.VIEWER:
        lit = getattr(request, "console_section", "")
        pages = [
            {"title": title, "icon": icon, "link": reverse(name), "active": lit == name}
            for name, title, icon in CONSOLE_PAGES
        ]
        groups.append({"title": "", "items": pages})
    records = [
        (title, icon, reverse(name))
        for title, icon, name, is_for_superusers in RECORD_PAGES
        if request.user.is_superuser
        or (not is_for_superusers and role_of(request.user) >= Role.ADMINISTRATOR)
    ]
    # The longest address that fits: the page of all records is the start of the others.
    lit_link = max((link for _, _, link in records if request.path.startswith(link)), key=len, default="")
    items = [
        {"title": title, "icon": icon, "link": link, "active": link == lit_link}
        for title, icon, link in records
    ]
    if items:
        groups.append({"title": "Administration", "separator": True, "collapsible": True, "items": items})
    return groups
