from datetime import datetime

from django import template
from django.utils.timesince import timesince

register = template.Library()


@register.filter
def ago(when: datetime) -> str:
    """How long ago, in the largest unit alone: “3 hours ago”; the exact time stands beside it."""
    passed = timesince(when, depth=1)
    return "just now" if passed.startswith("0") else f"{passed} ago"


@register.filter
def words(value: str) -> str:
    """An identifier as words: “password_expired” is “Password expired”."""
    return value.replace("_", " ").capitalize()
