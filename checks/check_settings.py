"""The settings, scopes and exclusions of an installation's checks: validation and changes."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime

from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from checks.catalogue import CATALOGUE, catalogue_check
from checks.catalogue.definition import Settings
from checks.catalogue.setting_fields import host_name
from checks.engine.rules import Scope, build_rule, effective_settings, failing_users
from checks.folding import folded
from checks.importing.accounts import decide
from checks.models import Check, Exclusion, JoinSuggestion, Member, Severity, User
from cii_project.audit import services as audit

MOST_TAGS = 50
LONGEST_TAG = 64
MOST_ITEMS = 10_000
_NOT_IN_A_TAG = re.compile(r"[\x00-\x1f\x7f-\x9f,]")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


def sync_catalogue() -> None:
    """Create a ``Check`` for each slug of the catalogue that has none. Idempotent.

    A check that has left the catalogue keeps its row, with its findings and settings.
    """
    with transaction.atomic():
        known = set(Check.objects.values_list("slug", flat=True))
        for slug, catalogued in CATALOGUE.items():
            if slug not in known:
                Check.objects.create(slug=slug, severity=catalogued.severity)


def update_check(
    check: Check,
    *,
    enabled: bool | None = None,
    severity: str | None = None,
    tags: Sequence[str] | None = None,
    settings: Mapping[str, object] | None = None,
    ignored_domains: Sequence[str] | None = None,
    included_domains: Sequence[str] | None = None,
    ignored_logins: Sequence[str] | None = None,
) -> bool:
    """Validate and save the arguments that are not None; returns whether something changed.

    ``settings``: only those to change. Raises ``ValidationError`` with a dictionary whose keys are the names of the
    arguments, ``settings.NAME`` for a setting.
    """
    given: dict[str, tuple[Callable[[object], object], object]] = {
        "enabled": (_boolean, enabled),
        "severity": (_severity, severity),
        "tags": (clean_tags, tags),
        "ignored_domains": (clean_domains, ignored_domains),
        "included_domains": (clean_domains, included_domains),
        "ignored_logins": (clean_logins, ignored_logins),
    }
    values: dict[str, object] = {}
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
    if not changed:
        return False
    before = _state(check)
    with transaction.atomic():
        for name, value in changed.items():
            setattr(check, name, value)
        check.save(update_fields=[*changed, "updated_at"])
        old, new = audit.changes(before, _state(check))
        text = f"Changed {', '.join(new or changed)}."
        audit.record(audit.Action.CHANGE, check, text, before=old, after=new)
    return True


def _state(check: Check) -> dict[str, object]:
    """The values that :func:`update_check` can change, as the audit trail shows them."""
    names = ("enabled", "severity", "tags", "included_domains", "ignored_domains", "ignored_logins")
    own = {f"setting {name}": value for name, value in effective_settings(check).items()}
    return {name.replace("_", " "): getattr(check, name) for name in names} | {
        name.replace("_", " "): value for name, value in own.items()
    }


def clean_settings(slug: str, given: Mapping[str, object]) -> tuple[dict[str, object], dict[str, list[str]]]:
    """The settings cleaned by the check's form fields, and the messages by name of those that are not accepted."""
    fields = catalogue_check(slug).fields
    cleaned: dict[str, object] = {}
    errors: dict[str, list[str]] = {}
    for name, value in given.items():
        if name not in fields:
            has = f"It has: {', '.join(fields)}." if fields else "It has none."
            errors[name] = [f"The check {slug} has no setting “{name}”. {has}"]
            continue
        try:
            if isinstance(value, bool):  # int(True) is 1
                raise ValidationError(
                    "true and false are not accepted. Use a value of the setting's own type."
                )
            cleaned[name] = fields[name].clean(value)
        except ValidationError as error:
            errors[name] = error.messages
    return cleaned, errors


def _overrides(check: Check, cleaned: Mapping[str, object]) -> dict[str, object]:
    """The settings that differ from the defaults once ``cleaned`` is set."""
    fields = catalogue_check(check.slug).fields
    wanted = {**check.settings, **cleaned}
    return {
        name: wanted[name]
        for name, field in fields.items()
        if name in wanted and wanted[name] != field.initial
    }


def _boolean(value: object) -> bool:
    if not isinstance(value, bool):
        raise ValidationError(f"“{value}” is not accepted. Use true or false.")
    return value


def _severity(value: object) -> str:
    if value not in Severity.values:
        raise ValidationError(f"Unknown severity “{value}”. Use critical, high, medium or low.")
    return str(value)


def _texts(value: object, most: int) -> list[str]:
    if (
        isinstance(value, str)
        or not isinstance(value, Sequence)
        or not all(isinstance(v, str) for v in value)
    ):
        raise ValidationError("This is not a list. Use a list of texts.")
    if len(value) > most:
        raise ValidationError(f"There are {len(value)} items. Use at most {most}.")
    return [item.strip() for item in value]


def clean_tags(value: object) -> list[str]:
    """The tags sorted, each once regardless of case in its first spelling. Raises ``ValidationError``."""
    tags: dict[str, str] = {}
    for tag in _texts(value, MOST_TAGS):
        if not 1 <= len(tag) <= LONGEST_TAG:
            raise ValidationError(
                f"The tag “{tag[:LONGEST_TAG]}” has {len(tag)} characters. Use 1 to {LONGEST_TAG}."
            )
        if _NOT_IN_A_TAG.search(tag):
            raise ValidationError(
                f"The tag {tag!r} is not accepted. Use no commas and no control characters."
            )
        tags.setdefault(folded(tag), tag)
    return sorted(tags.values())


def clean_domains(value: object) -> list[str]:
    return sorted({host_name(item) for item in _texts(value, MOST_ITEMS)})


def clean_logins(value: object) -> list[str]:
    logins: dict[str, str] = {}
    for login in _texts(value, MOST_ITEMS):
        if not 1 <= len(login) <= 320 or _CONTROL.search(login):
            raise ValidationError(
                f"The login {login[:80]!r} is not accepted. Use 1 to 320 characters, none of them control characters."
            )
        logins.setdefault(folded(login), login)
    return sorted(logins.values())


def exclude_user(
    check: Check, user: User, *, reason: str, until: datetime | None = None, by: Member | None = None
) -> Exclusion:
    """Exclude ``user`` from ``check`` from the next run on, permanently or until a time.

    A second exclusion of the same user replaces the first. ``by``: the member who decides. Raises ``ValidationError``.
    """
    errors: dict[str, list[str]] = {}
    reason = reason.strip()
    if not 1 <= len(reason) <= 500:
        errors["reason"] = ["Give a reason of 1 to 500 characters."]
    if until is not None and timezone.is_naive(until):
        errors["until"] = ["The time has no time zone. Give one."]
    elif until is not None and until <= timezone.now():
        errors["until"] = ["The time has passed. Use one in the future, or none."]
    if errors:
        raise ValidationError(errors)
    with transaction.atomic():
        old = Exclusion.objects.filter(check_ref=check, user=user).first()
        exclusion, _ = Exclusion.objects.update_or_create(
            check_ref=check,
            user=user,
            defaults={"reason": reason, "until": until, "created_by_id": by.pk if by else None},
        )
        audit.record(
            audit.Action.ADD,
            check,
            f"Excluded {user.name}: {reason}",
            before=_exclusion_state(old) if old else None,
            after=_exclusion_state(exclusion),
        )
    return exclusion


def exclude_users(
    pairs: Iterable[tuple[Check, User]],
    reason: str,
    until: datetime | None = None,
    *,
    by: Member | None = None,
) -> int:
    """:func:`exclude_user` for each pair, all or none; returns how many. Raises ``ValidationError``."""
    with transaction.atomic():
        return len([exclude_user(check, user, reason=reason, until=until, by=by) for check, user in pairs])


def _exclusion_state(exclusion: Exclusion) -> dict[str, object]:
    return {"user": exclusion.user.name, "reason": exclusion.reason, "until": exclusion.until}


def remove_exclusions(exclusions: Iterable[Exclusion]) -> None:
    """End the exclusions, all or none: the users are evaluated again from the next run on."""
    with transaction.atomic():
        for exclusion in exclusions:
            remove_exclusion(exclusion)


def remove_exclusion(exclusion: Exclusion) -> None:
    """End the exclusion: the user is evaluated again from the next run on."""
    with transaction.atomic():
        text = f"Removed the exclusion of {exclusion.user.name}"
        before = _exclusion_state(exclusion)
        audit.record(audit.Action.DELETE, exclusion.check_ref, text, before=before)
        exclusion.delete()


def would_fail(
    check: Check,
    *,
    settings: Mapping[str, object],
    ignored_domains: Sequence[str] = (),
    included_domains: Sequence[str] = (),
    ignored_logins: Sequence[str] = (),
) -> int:
    """Number of users who would fail with these settings and this scope. Settings that are not given keep
    their value. Raises ``ValidationError`` as :func:`update_check` does."""
    cleaned, wrong = clean_settings(check.slug, settings)
    if wrong:
        raise ValidationError({f"settings.{name}": messages for name, messages in wrong.items()})
    scope = Scope(
        clean_domains(ignored_domains), clean_domains(included_domains), clean_logins(ignored_logins)
    )
    merged = Settings({name: field.initial for name, field in catalogue_check(check.slug).fields.items()})
    merged |= {**check.settings, **cleaned}
    return failing_users(build_rule(check, timezone.now(), settings=merged, scope=scope)).count()


def copy_exclusions(suggestion: JoinSuggestion, *, by: Member | None = None) -> int:
    """Exclude the account's user from the checks that the suggestion's user is excluded from; returns their number."""
    account_user = suggestion.account.user
    if account_user is None:
        return 0
    held = Exclusion.objects.filter(user=suggestion.user).filter(
        Q(until__isnull=True) | Q(until__gt=timezone.now())
    )
    number = 0
    with transaction.atomic():
        decide(suggestion, JoinSuggestion.State.REJECTED, by)
        for exclusion in held.select_related("check_ref"):
            exclude_user(
                exclusion.check_ref, account_user, reason=exclusion.reason, until=exclusion.until, by=by
            )
            number += 1
    return number
