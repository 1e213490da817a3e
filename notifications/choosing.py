"""Whom a subscription is about: its filter, by the check's severity and tags and by the user's attributes.

A filter is plain data, and what is absent admits all:
``{"severity": "high", "tags": ["pci"], "departments": ["Finance"], "user_types": ["internal"]}``.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from django.core.exceptions import ValidationError
from django.db.models import Q, QuerySet

from checks.check_settings import clean_tags
from checks.models import Check, Finding, User, UserType

# From the least to the worst.
SEVERITIES = ("low", "medium", "high", "critical")
MOST_ITEMS = 100
LONGEST_DEPARTMENT = 255

Filter = Mapping[str, Any]


def clean(given: Any) -> dict[str, Any]:
    """The filter without what admits all. Raises ``ValidationError``: key → what to write instead."""
    if given is None:
        return {}
    if not isinstance(given, Mapping):
        raise ValidationError("Write a filter as keys and values, such as {departments: [Finance]}.")
    errors: dict[str, list[str]] = {}
    found: dict[str, Any] = {}
    for key, value in given.items():
        if key not in _CLEAN:
            errors[str(key)] = [f"A filter has no “{key}”. It has: {', '.join(_CLEAN)}."]
            continue
        try:
            cleaned = _CLEAN[key](value)
        except ValidationError as error:
            errors[key] = error.messages
            continue
        if cleaned:
            found[key] = cleaned
    if errors:
        raise ValidationError(errors)
    return found


def _severity(value: Any) -> str:
    if value in ("", None):
        return ""
    if value not in SEVERITIES:
        raise ValidationError(f"Write one of: {', '.join(reversed(SEVERITIES))}.")
    return str(value)


def _texts(value: Any) -> list[str]:
    if (
        isinstance(value, str)
        or not isinstance(value, Sequence)
        or not all(isinstance(item, str) for item in value)
    ):
        raise ValidationError("Write a list of texts.")
    if len(value) > MOST_ITEMS:
        raise ValidationError(f"Write at most {MOST_ITEMS} items; these are {len(value)}.")
    return [item.strip() for item in value if item.strip()]


def _departments(value: Any) -> list[str]:
    departments: dict[str, str] = {}
    for name in _texts(value):
        if len(name) > LONGEST_DEPARTMENT or not name.isprintable():
            raise ValidationError(f"A department has at most {LONGEST_DEPARTMENT} printable characters.")
        departments.setdefault(name.casefold(), name)
    return sorted(departments.values())


def _user_types(value: Any) -> list[str]:
    types = sorted(set(_texts(value)))
    if unknown := [name for name in types if name not in UserType.values]:
        raise ValidationError(f"“{unknown[0]}” is no user type. Write some of: {', '.join(UserType.values)}.")
    return types


_CLEAN: Mapping[str, Callable[[Any], Any]] = {
    "severity": _severity,
    "tags": clean_tags,
    "departments": _departments,
    "user_types": _user_types,
}
KEYS = tuple(_CLEAN)


def refusal(chosen: Filter, check: Check) -> str:
    """Why the check itself is outside the filter; empty where it is inside."""
    least = chosen.get("severity")
    if least and SEVERITIES.index(check.severity) < SEVERITIES.index(least):
        return f"The check is {check.severity}; this target is told from {least} on."
    tags = {tag.casefold() for tag in chosen.get("tags", ())}
    if tags and not tags & {tag.casefold() for tag in check.tags}:
        return f"The check has none of the tags {', '.join(chosen['tags'])}."
    return ""


def by_user(chosen: Filter) -> Q:
    """The filter's condition on a finding's user, for the database to judge."""
    condition = Q()
    if departments := chosen.get("departments"):
        any_of = Q()
        for name in departments:
            any_of |= Q(user__department__iexact=name)
        condition &= any_of
    if types := chosen.get("user_types"):
        condition &= Q(user__user_type__in=types)
    return condition


def narrow(findings: QuerySet[Finding], chosen: Filter, check: Check) -> QuerySet[Finding]:
    """Those of a check's findings that the filter lets through."""
    return findings.none() if refusal(chosen, check) else findings.filter(by_user(chosen))


def admits(chosen: Filter, check: Check, user: User) -> bool:
    """The same for one user in hand."""
    if refusal(chosen, check):
        return False
    departments = {name.casefold() for name in chosen.get("departments", ())}
    types = chosen.get("user_types", ())
    return (not departments or user.department.casefold() in departments) and (
        not types or user.user_type in types
    )


def said(chosen: Filter) -> str:
    """The filter in words; empty where it admits all."""
    parts = []
    if least := chosen.get("severity"):
        parts.append(f"severity {least}" + ("" if least == "critical" else " or worse"))
    if tags := chosen.get("tags"):
        parts.append(f"tagged {' or '.join(tags)}")
    if departments := chosen.get("departments"):
        parts.append(f"department {' or '.join(departments)}")
    if types := chosen.get("user_types"):
        parts.append(" or ".join(str(UserType(name).label).lower() for name in types))
    return ", ".join(parts)
