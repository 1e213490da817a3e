from datetime import datetime

from django import template
from django.utils.html import escape
from django.utils.safestring import SafeString, mark_safe
from django.utils.timesince import timesince

register = template.Library()


@register.filter
def ago(when: datetime) -> str:
    """How long ago, in the largest unit alone: “3 hours ago”; the exact time stands beside it."""
    passed = timesince(when, depth=1)
    return "just now" if passed.startswith("0") else f"{passed} ago"


@register.filter
def breakable(name: str) -> SafeString:
    """A login or an e-mail address that may break before its @, rather than within a word."""
    return mark_safe(escape(name).replace("@", "<wbr>@"))  # noqa: S308  escaped before


@register.filter
def words(value: str) -> str:
    """An identifier as words: “password_expired” is “Password expired”."""
    return value.replace("_", " ").capitalize()
