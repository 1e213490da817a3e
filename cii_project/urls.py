"""Our pages at the root, the operators' records under /admin/; each console module lists its own URLs."""

from django.contrib import admin
from django.urls import include, path

from cii_project import health
from cii_project.console import (
    check,
    checks,
    dashboard,
    deliveries,
    integrations,
    messages,
    runs,
    settings_page,
    sources,
    users,
)

PAGES = (dashboard, checks, check, messages, runs, deliveries, integrations, sources, users, settings_page)
console = [pattern for module in PAGES for pattern in module.urlpatterns]
urlpatterns = [
    *health.urlpatterns,
    path("admin/", admin.site.urls),
    path("", include((console, "console"))),
]
