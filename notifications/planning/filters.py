"""The filter of a subscription: by the check's severity and tags and by the user's attributes.

A filter is plain data. An absent key matches all:
``{"severity": "high", "tags": ["pci"], "departments": ["Finance"], "user_types": ["internal"]}``.
"""

from collections.abc import Callable, Mapping, Sequence

from django.core.exceptions import ValidationError
from django.db.models import Q, QuerySet

from checks.models import Check, Finding, Severity, User, UserType, severity_rank
from checks.services import among, clean_tags, folded
from integrations.services import JsonMapping

MOST_ITEMS = 100
LONGEST_DEPARTMENT = 255

Filter = JsonMapping


def clean_filter(given: object) -> dict[str, object]:
    """The filter as it is stored, without empty keys. Raises ``ValidationError``: key → what is expected."""
    if given is None:
        return {}
    if not isinstance(given, Mapping):
        raise ValidationError("A filter is a mapping of keys to values, such as {departments: [Finance]}.")
    errors: dict[str, list[str]] = {}
    found: dict[str, object] = {}
    for key, value in given.items():
        if key not in _CLEAN:
            errors[str(key)] = [f"Unknown key “{key}”. Use {', '.join(_CLEAN)}."]
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


def _severity(value: object) -> str:
    if value in ("", None):
        return ""
    if value not in Severity.values:
        raise ValidationError(f"Unknown severity “{value}”. Use {', '.join(Severity.values)}.")
    return str(value)


def _texts(value: object) -> list[str]:
    if (
        isinstance(value, str)
        or not isinstance(value, Sequence)
        or not all(isinstance(item, str) for item in value)
    ):
        raise ValidationError("Write a list of texts.")
    if len(value) > MOST_ITEMS:
        raise ValidationError(f"Write at most {MOST_ITEMS} items; these are {len(value)}.")
    return [item.strip() for item in value if item.strip()]


def _departments(value: object) -> list[str]:
    departments: dict[str, str] = {}
    for name in _texts(value):
        if len(name) > LONGEST_DEPARTMENT or not name.isprintable():
            raise ValidationError(f"A department has at most {LONGEST_DEPARTMENT} printable characters.")
        departments.setdefault(folded(name), name)
    return sorted(departments.values())


def _user_types(value: object) -> list[str]:
    types = sorted(set(_texts(value)))
    if unknown := [name for name in types if name not in UserType.values]:
        raise ValidationError(f"Unknown user type “{unknown[0]}”. Use {', '.join(UserType.values)}.")
    return types


_CLEAN: Mapping[str, Callable[[object], object]] = {
    "severity": _severity,
    "tags": clean_tags,
    "departments": _departments,
    "user_types": _user_types,
}
FILTER_KEYS = tuple(_CLEAN)


def check_refusal(chosen: Filter, check: Check) -> str:
    """Why the filter excludes the check itself; empty if it does not."""
    least = chosen.get("severity")
    if least and severity_rank(check.severity) > severity_rank(least):
        return f"The check is {check.severity}; this target is notified from {least} on."
    tags = {folded(tag) for tag in chosen.get("tags", ())}
    if tags and not tags & {folded(tag) for tag in check.tags}:
        return f"The check has none of the tags {', '.join(chosen['tags'])}."
    return ""


def user_condition(chosen: Filter, prefix: str = "user__") -> Q:
    """The filter's condition on users; on the user of a finding with the default ``prefix``."""
    condition = Q()
    if departments := chosen.get("departments"):
        any_of = Q()
        for name in departments:
            any_of |= Q(**{f"{prefix}department__iexact": name})
        condition &= any_of
    if types := chosen.get("user_types"):
        condition &= Q(**{f"{prefix}user_type__in": types})
    return condition


def apply_filter(findings: QuerySet[Finding], chosen: Filter, check: Check) -> QuerySet[Finding]:
    """The findings of ``check`` that match the filter."""
    return findings.none() if check_refusal(chosen, check) else findings.filter(user_condition(chosen))


def filter_users(users: Sequence[User], chosen: Filter, check: Check) -> list[User]:
    """The users whose findings of ``check`` match the filter."""
    if check_refusal(chosen, check):
        return []
    if not (condition := user_condition(chosen, prefix="")):
        return list(users)
    found = User.objects.filter(condition, pk__in=among(user.pk for user in users))
    keys = set(found.values_list("pk", flat=True))
    return [user for user in users if user.pk in keys]


def describe_filter(chosen: Filter) -> str:
    """The filter in words; empty if it matches all."""
    parts = []
    if least := chosen.get("severity"):
        parts.append(f"severity {least}" + ("" if least == Severity.CRITICAL else " or worse"))
    if tags := chosen.get("tags"):
        parts.append(f"tagged {' or '.join(tags)}")
    if departments := chosen.get("departments"):
        parts.append(f"department {' or '.join(departments)}")
    if types := chosen.get("user_types"):
        parts.append(" or ".join(str(UserType(name).label).lower() for name in types))
    return ", ".join(parts)
