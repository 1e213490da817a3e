"""The form fields that settings of checks are made of: one validation for page, file and engine."""

import re
from collections.abc import Sequence
from typing import Any

from django import forms
from django.core.exceptions import ValidationError

LONGEST_DAYS = 3650
_SEPARATORS = re.compile(r"[\s,;|]+")
_LABEL = r"(?!-)[a-z0-9-]{1,63}(?<!-)"
_HOST_NAME = re.compile(rf"(?=.{{1,253}}$){_LABEL}(\.{_LABEL})*")


def days(initial: int, label: str, help_text: str, *, least: int = 0) -> forms.IntegerField:
    """A number of days; ages are exact and fail at strictly more than this many."""
    return forms.IntegerField(
        initial=initial, min_value=least, max_value=LONGEST_DAYS, label=label, help_text=help_text
    )


def host_name(text: str) -> str:
    """``text`` as a lower-case host name in ASCII (IDNA). Raises ``ValidationError``."""
    name = text.strip().lower().lstrip("@").rstrip(".")
    try:
        name = name.encode("idna").decode("ascii")
    except UnicodeError:
        name = ""
    if not _HOST_NAME.fullmatch(name):
        raise ValidationError(f"“{text}” is no domain name. Write one such as example.com.")
    return name


class ListField(forms.CharField):
    """A list of words, as a list or as text with commas or spaces between; each item is cleaned alone."""

    most = 1000

    def prepare_value(self, value: Any) -> Any:
        return ", ".join(value) if isinstance(value, list | tuple) else value

    def to_python(self, value: Any) -> list[str]:  # type: ignore[override]
        if value in self.empty_values:
            return []
        if isinstance(value, str):
            value = [item for item in _SEPARATORS.split(value) if item]
        if not isinstance(value, Sequence) or not all(isinstance(item, str) for item in value):
            raise ValidationError("Write a list of texts, or one text with commas between.")
        if len(value) > self.most:
            raise ValidationError(f"Write at most {self.most} items; these are {len(value)}.")
        return sorted({self.clean_item(item) for item in value})

    def clean_item(self, item: str) -> str:
        return item

    def run_validators(self, value: Any) -> None:
        """The items were validated one by one."""

    def has_changed(self, initial: Any, data: Any) -> bool:
        return self.to_python(initial) != self.to_python(data)


class DomainListField(ListField):
    def clean_item(self, item: str) -> str:
        return host_name(item)


class CountryListField(ListField):
    def clean_item(self, item: str) -> str:
        code = item.strip().upper()
        if not re.fullmatch(r"[A-Z]{2}", code):
            raise ValidationError(f"“{item}” is no country code. Write two letters (ISO 3166), such as KP.")
        return code
