from datetime import date, datetime

from django import template
from django.utils.html import escape
from django.utils.safestring import SafeString, mark_safe
from django.utils.timesince import timesince

from cii_project import __version__
from cii_project.console.core.viewer_zone import SECOND, shown_day, shown_time

register = template.Library()


@register.filter
def ago(when: datetime) -> str:
    """Time since then in the largest unit: “3 hours ago”. Pages show the exact time next to it."""
    passed = timesince(when, depth=1)
    return "just now" if passed.startswith("0") else f"{passed} ago"


@register.filter
def day(when: date | None) -> str:
    """``2 Mar 2026``; of a moment its day in the viewer's zone."""
    return shown_day(when) if when else ""


@register.filter
def minute(when: datetime | None) -> str:
    """The exact time in the viewer's zone: ``2 Mar 2026, 07:00 CET``."""
    return shown_time(when) if when else ""


@register.filter
def second(when: datetime | None) -> str:
    """The exact time in the viewer's zone: ``2 Mar 2026, 07:00:00 CET``."""
    return shown_time(when, SECOND) if when else ""


@register.filter
def breakable(name: str) -> SafeString:
    """A login or an e-mail address that may break before its @, rather than within a word."""
    return mark_safe(escape(name).replace("@", "<wbr>@"))  # noqa: S308  escaped before  # nosec B308, B703


@register.filter
def words(value: str) -> str:
    """An identifier as words: “password_expired” is “Password expired”."""
    return value.replace("_", " ").capitalize()


@register.simple_tag
def product_version() -> str:
    """The version of the installation."""
    return __version__
