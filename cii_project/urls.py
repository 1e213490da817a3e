"""The console's pages at the root, the operators' records under /admin/; each console package lists its own URLs."""

from importlib import import_module

from django.contrib import admin
from django.urls import include, path

from cii_project import probes
from cii_project.scim import views as scim

# Earlier patterns win: a list comes before the pages below it.
CONSOLE_MODULES = (
    "dashboard.views",
    "dashboard.report",
    "checks.overview",
    "checks.detail",
    "checks.messages",
    "integrations.views",
    "sources.connection_views",
    "sources.views",
    "sources.upload_views",
    "sources.import_views",
    "users.views",
    "users.user_page",
    "users.joining",
    "runs.views",
    "deliveries.views",
    "deliveries.read_message",
    "deliveries.holds",
    "settings.views",
    "settings.preferences",
    "search.views",
    "documentation.views",
    "saved_filters.views",
)
console = [
    pattern
    for name in CONSOLE_MODULES
    for pattern in import_module(f"cii_project.console.{name}").urlpatterns
]
handler403 = "cii_project.console.core.error_pages.forbidden"
handler404 = "cii_project.console.core.error_pages.not_found"
handler500 = "cii_project.web.server_errors.server_error"
urlpatterns = [
    *probes.urlpatterns,
    *scim.urlpatterns,
    path("admin/", admin.site.urls),
    path("", include((console, "console"))),
]
