"""Our pages at the root, the operators' records under /admin/; each console module lists its own URLs."""

from importlib import import_module
from importlib.util import find_spec
from typing import Any

from django.contrib import admin
from django.urls import include, path

CONSOLE = (
    "dashboard",
    "checks",
    "check",
    "messages",
    "runs",
    "deliveries",
    "integrations",
    "sources",
    "users",
    "settings_page",
)


def _patterns(module: str) -> list[Any]:
    if find_spec(module) is None:
        return []
    patterns: list[Any] = import_module(module).urlpatterns
    return patterns


console = [pattern for name in CONSOLE for pattern in _patterns(f"cii_project.console.{name}")]
urlpatterns = [
    *_patterns("cii_project.health"),
    path("admin/", admin.site.urls),
    path("", include((console, "console"))),
]
