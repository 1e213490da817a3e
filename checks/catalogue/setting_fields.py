"""Form fields for the settings of checks. Page, configuration file and engine validate with the same ones."""

import re
from collections.abc import Sequence

from django import forms
from django.core.exceptions import ValidationError

from checks.domains import ascii_domain

LONGEST_DAYS = 3650
_SEPARATORS = re.compile(r"[\s,;|]+")
_LABEL = r"(?!-)[a-z0-9-]{1,63}(?<!-)"
_HOST_NAME = re.compile(rf"(?=.{{1,253}}$){_LABEL}(\.{_LABEL})*")


def days(initial: int, label: str, help_text: str, *, least: int = 0) -> forms.IntegerField:
    """A field for a number of days. Ages are exact and fail at strictly more than this many days."""
    return forms.IntegerField(
        initial=initial, min_value=least, max_value=LONGEST_DAYS, label=label, help_text=help_text
    )


def host_name(text: str) -> str:
    """The text as a lower-case host name in ASCII (IDNA). Raises ``ValidationError``."""
    name = text.strip().lower().lstrip("@").rstrip(".")
    try:
        name = ascii_domain(name)
    except UnicodeError:
        name = ""
    if not _HOST_NAME.fullmatch(name):
        raise ValidationError(f"“{text}” is not a domain name. Use one such as example.com.")
    return name


class ListField(forms.CharField):
    """A list of words, given as a list or as one text with commas or spaces between. Each item is cleaned
    separately."""

    most = 1000

    def prepare_value(self, value: object) -> object:
        return ", ".join(value) if isinstance(value, list | tuple) else value

    def to_python(self, value: object) -> list[str]:  # type: ignore[override]
        if value in self.empty_values:
            return []
        if isinstance(value, str):
            value = [item for item in _SEPARATORS.split(value) if item]
        if not isinstance(value, Sequence) or not all(isinstance(item, str) for item in value):
            raise ValidationError("This is not a list. Use a list of texts, or one text with commas between.")
        if len(value) > self.most:
            raise ValidationError(f"There are {len(value)} items. Use at most {self.most}.")
        return sorted({self.clean_item(item) for item in value})

    def clean_item(self, item: str) -> str:
        return item

    def run_validators(self, value: object) -> None:
        """Do nothing: ``clean_item`` has validated each item."""

    def has_changed(self, initial: object, data: object) -> bool:
        return self.to_python(initial) != self.to_python(data)


class DomainListField(ListField):
    def clean_item(self, item: str) -> str:
        return host_name(item)


class CountryListField(ListField):
    def clean_item(self, item: str) -> str:
        code = item.strip().upper()
        if not re.fullmatch(r"[A-Z]{2}", code):
            raise ValidationError(f"“{item}” is not a country code. Use two letters (ISO 3166), such as KP.")
        return code
