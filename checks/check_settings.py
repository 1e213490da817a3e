"""What an installation sets for its checks: one place for each change, with its validation."""

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils import timezone

from checks.catalogue import CATALOGUE, get
from checks.catalogue.base import Settings
from checks.catalogue.fields import host_name
from checks.models import Check, Exclusion, User
from checks.rules import Scope, build_rule, failing_users

MOST_TAGS = 50
LONGEST_TAG = 64
MOST_ITEMS = 10_000
_NOT_IN_A_TAG = re.compile(r"[\x00-\x1f\x7f-\x9f,]")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


def sync_catalogue() -> None:
    """A ``Check`` for each slug of the catalogue that has none, in the next free slot. Idempotent.

    A check that has left the catalogue keeps its row and its slot, so that a later one never reads its
    verdicts as its own.
    """
    with transaction.atomic():
        known = dict(Check.objects.values_list("slug", "slot"))
        slot = max(known.values(), default=-1)
        for slug, catalogued in CATALOGUE.items():
            if slug not in known:
                slot += 1
                Check.objects.create(slug=slug, slot=slot, severity=catalogued.severity)


def update_check(
    check: Check,
    *,
    enabled: bool | None = None,
    severity: str | None = None,
    tags: Sequence[str] | None = None,
    settings: Mapping[str, Any] | None = None,
    ignored_domains: Sequence[str] | None = None,
    included_domains: Sequence[str] | None = None,
    ignored_logins: Sequence[str] | None = None,
) -> bool:
    """Validates and saves what is given; None leaves as it is. True if something changed.

    ``settings`` holds only those to set; the others stay. Raises ``ValidationError`` with a dictionary
    whose keys are the arguments' names, ``settings.NAME`` for a setting.
    """
    given: dict[str, tuple[Callable[[Any], Any], Any]] = {
        "enabled": (_boolean, enabled),
        "severity": (_severity, severity),
        "tags": (clean_tags, tags),
        "ignored_domains": (clean_domains, ignored_domains),
        "included_domains": (clean_domains, included_domains),
        "ignored_logins": (clean_logins, ignored_logins),
    }
    values: dict[str, Any] = {}
    errors: dict[str, list[str]] = {}
    for name, (clean, value) in given.items():
        if value is None:
            continue
        try:
            values[name] = clean(value)
        except ValidationError as error:
            errors[name] = error.messages
    if settings is not None:
        cleaned, wrong = clean_settings(check.slug, settings)
        errors |= {f"settings.{name}": messages for name, messages in wrong.items()}
        values["settings"] = _overrides(check, cleaned)
    if errors:
        raise ValidationError(errors)
    changed = {name: value for name, value in values.items() if getattr(check, name) != value}
    for name, value in changed.items():
        setattr(check, name, value)
    if changed:
        check.save(update_fields=[*changed, "updated_at"])
    return bool(changed)


def clean_settings(slug: str, given: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, list[str]]]:
    """The settings cleaned by the check's form fields, and messages by name for those that are wrong."""
    fields = get(slug).fields
    cleaned: dict[str, Any] = {}
    errors: dict[str, list[str]] = {}
    for name, value in given.items():
        if name not in fields:
            has = f"It has: {', '.join(fields)}." if fields else "It has none."
            errors[name] = [f"The check {slug} has no setting “{name}”. {has}"]
            continue
        try:
            if isinstance(value, bool):  # int(True) is 1, which nobody means
                raise ValidationError("Write a value of the setting's own type, not true or false.")
            cleaned[name] = fields[name].clean(value)
        except ValidationError as error:
            errors[name] = error.messages
    return cleaned, errors


def _overrides(check: Check, cleaned: Mapping[str, Any]) -> dict[str, Any]:
    """What differs from the defaults, once ``cleaned`` is set."""
    fields = get(check.slug).fields
    wanted = {**check.settings, **cleaned}
    return {
        name: wanted[name]
        for name, field in fields.items()
        if name in wanted and wanted[name] != field.initial
    }


def _boolean(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValidationError("Write true or false.")
    return value


def _severity(value: Any) -> str:
    choices = [slug for slug, _ in Check._meta.get_field("severity").choices or ()]
    if value not in choices:
        raise ValidationError(f"“{value}” is no severity. Write one of: {', '.join(choices)}.")
    return str(value)


def _texts(value: Any, most: int) -> list[str]:
    if (
        isinstance(value, str)
        or not isinstance(value, Sequence)
        or not all(isinstance(v, str) for v in value)
    ):
        raise ValidationError("Write a list of texts.")
    if len(value) > most:
        raise ValidationError(f"Write at most {most} items; these are {len(value)}.")
    return [item.strip() for item in value]


def clean_tags(value: Any) -> list[str]:
    """Sorted, each once whatever its case; the first spelling stays."""
    tags: dict[str, str] = {}
    for tag in _texts(value, MOST_TAGS):
        if not 1 <= len(tag) <= LONGEST_TAG:
            raise ValidationError(
                f"A tag has 1 to {LONGEST_TAG} characters; “{tag[:LONGEST_TAG]}” has {len(tag)}."
            )
        if _NOT_IN_A_TAG.search(tag):
            raise ValidationError(f"A tag has no commas and no control characters: {tag!r}.")
        tags.setdefault(tag.casefold(), tag)
    return sorted(tags.values())


def clean_domains(value: Any) -> list[str]:
    return sorted({host_name(item) for item in _texts(value, MOST_ITEMS)})


def clean_logins(value: Any) -> list[str]:
    logins: dict[str, str] = {}
    for login in _texts(value, MOST_ITEMS):
        if not 1 <= len(login) <= 320 or _CONTROL.search(login):
            raise ValidationError(
                f"A login or e-mail has 1 to 320 characters, none of them control: {login[:80]!r}."
            )
        logins.setdefault(login.casefold(), login)
    return sorted(logins.values())


def exclude_user(
    check: Check, user: User, *, reason: str, until: datetime | None = None, by: Any = None
) -> Exclusion:
    """Leaves ``user`` out of ``check`` from the next run on, for good or until a moment (a snooze).

    A second exclusion of the same user replaces the first. Raises ``ValidationError``.
    """
    errors: dict[str, list[str]] = {}
    reason = reason.strip()
    if not 1 <= len(reason) <= 500:
        errors["reason"] = ["Write why, in 1 to 500 characters."]
    if until is not None and timezone.is_naive(until):
        errors["until"] = ["Write a time with its time zone."]
    elif until is not None and until <= timezone.now():
        errors["until"] = ["Write a time that is still to come, or none."]
    if errors:
        raise ValidationError(errors)
    exclusion, _ = Exclusion.objects.update_or_create(
        check_ref=check, user=user, defaults={"reason": reason, "until": until, "created_by": by}
    )
    return exclusion


def remove_exclusion(exclusion: Exclusion) -> None:
    """The user is judged again from the next run on."""
    exclusion.delete()


def would_fail(
    check: Check,
    *,
    settings: Mapping[str, Any],
    ignored_domains: Sequence[str] = (),
    included_domains: Sequence[str] = (),
    ignored_logins: Sequence[str] = (),
) -> int:
    """How many users would fail with these settings and this scope. Raises ``ValidationError`` as
    :func:`update_check` does; settings that are not given count as they are set."""
    cleaned, wrong = clean_settings(check.slug, settings)
    if wrong:
        raise ValidationError({f"settings.{name}": messages for name, messages in wrong.items()})
    scope = Scope(
        clean_domains(ignored_domains), clean_domains(included_domains), clean_logins(ignored_logins)
    )
    merged = Settings({name: field.initial for name, field in get(check.slug).fields.items()})
    merged |= {**check.settings, **cleaned}
    return failing_users(build_rule(check, timezone.now(), settings=merged, scope=scope)).count()
