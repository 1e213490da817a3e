"""Reads and changes the settings of messages about one check, where they differ from the installation's."""

from collections.abc import Iterator, Mapping

from django.core.exceptions import ValidationError
from django.db import transaction

from checks.models import Check
from checks.services import catalogue_check
from cii_project.audit import services as audit
from notifications.models import CheckMessageSettings, Configuration


def message_settings_of(check: Check) -> CheckMessageSettings:
    """The check's own settings; an unsaved, empty row where it has none."""
    return CheckMessageSettings.objects.filter(check_ref=check).first() or CheckMessageSettings(
        check_ref=check
    )


def shared_message_settings(check: Check) -> dict[str, str]:
    """Values for messages about the check where it has no own setting: name → value, empty if none. They are
    the installation's, else the catalogue's. Sender and reply address are not included: they are the
    target's.
    """
    configuration, user = Configuration.load(), catalogue_check(check.slug).texts.user
    return {
        "instructions_url": configuration.instructions_url,
        "contact": configuration.contact or user.contact,
        "due_days": str(configuration.due_days or user.due_days),
        "signature": configuration.signature,
    }


def change_message_settings(check: Check, values: Mapping[str, object]) -> bool:
    """Validate and save the settings that ``values`` names; "" or None returns to the installation's value.

    Returns whether something changed. Raises ``ValidationError`` with a dictionary by name.
    """
    if problems := dict(_problems(values)):
        raise ValidationError(problems)
    stored = message_settings_of(check)
    before = {name: getattr(stored, name) for name in values}
    for name, value in values.items():
        empty = None if name == "due_days" else ""
        setattr(stored, name, empty if value in (None, "") else value)
    others = {field.name for field in CheckMessageSettings._meta.fields} - set(values)
    stored.clean_fields(exclude=others)
    old, new = audit.changes(before, {name: getattr(stored, name) for name in values})
    if not new:
        return False
    with transaction.atomic():
        if any(getattr(stored, name) for name in CheckMessageSettings.FIELDS):
            stored.save()
        else:
            CheckMessageSettings.objects.filter(check_ref=check).delete()
        text = f"Changed {', '.join(name.replace('_', ' ') for name in sorted(new))} of its messages."
        audit.record(audit.Action.CHANGE, check, text, before=old, after=new)
    return True


def _problems(values: Mapping[str, object]) -> Iterator[tuple[str, list[str]]]:
    """Values that a configuration file can have, but no form."""
    for name, value in values.items():
        if name not in CheckMessageSettings.FIELDS:
            yield name, [f"There is no such setting. Use {', '.join(CheckMessageSettings.FIELDS)}."]
        elif isinstance(value, bool) or not isinstance(value, str | int | None):
            yield name, ["Write a text or, for due_days, a number."]
