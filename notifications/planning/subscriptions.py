"""Changes of subscriptions: which targets a check notifies, about which users, and when."""

import logging
from collections.abc import Callable, Mapping
from datetime import datetime

from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils import timezone

from checks.models import Check, Run
from cii_project.audit import services as audit
from integrations.models import Integration
from integrations.services import kind_of
from notifications.members import Actor, stored_member
from notifications.models import Audience, Cadence, Subscription
from notifications.planning import check_events, digests, filters
from notifications.planning.due import EPOCH, last_ended

log = logging.getLogger(__name__)

MOST_DAYS = 365


def subscribe(
    check: Check, integration: Integration, audience: str = Audience.LIST, by: Actor = None, **options: object
) -> Subscription:
    """Enable a target on a check. Sends nothing: users who fail now are not new (see ``send_current``).

    ``options`` as in :func:`change_subscription`; an existing subscription keeps the others. Raises ``ValidationError``
    if the kind of target does not support the audience.
    """
    kind = kind_of(integration.kind)
    if audience not in kind.audiences:
        known = ", ".join(sorted(kind.audiences))
        raise ValidationError(f"{kind.label} does not support the audience “{audience}”. Use {known}.")
    with transaction.atomic():
        subscription, created = Subscription.objects.get_or_create(
            check_ref=check,
            integration=integration,
            audience=audience,
            defaults={"created_by": stored_member(by), **_cursors_from_now_on()},
        )
        if created:
            audit.record(audit.Action.ADD, check, f"Target “{integration.name}” enabled ({audience}).")
        if options:
            change_subscription(subscription, **options)
    return subscription


def unsubscribe(check: Check, integration: Integration, audience: str = Audience.LIST) -> bool:
    """Disable a target on a check; returns whether it was enabled. What is planned is still sent."""
    with transaction.atomic():
        removed, _ = Subscription.objects.filter(
            check_ref=check, integration=integration, audience=audience
        ).delete()
        if removed:
            audit.record(audit.Action.DELETE, check, f"Target “{integration.name}” disabled ({audience}).")
    return bool(removed)


def change_subscription(subscription: Subscription, **options: object) -> bool:
    """Set any of the options ``filter``, ``cadence``, ``resolved``, ``after_days`` and ``remind_days``.

    Returns whether something changed. Raises ``ValidationError``: option → what is wrong. Findings that the next digest
    would have sent are sent; findings that were sent are not sent again.
    """
    values = clean_options(subscription.audience, options)
    changed = {name: value for name, value in values.items() if getattr(subscription, name) != value}
    if not changed:
        return False
    before = {name: getattr(subscription, name) for name in changed}
    was_in_run = check_events.is_sent_in_run(subscription)
    for name, value in changed.items():
        setattr(subscription, name, value)
    cursors: dict[str, datetime] = {}
    if was_in_run:  # the runs have sent all findings so far
        cursors = _cursors_from_now_on()
        del cursors["starts_after"]
    elif changed.keys() & {"cadence", "after_days", "remind_days"}:
        cursors = {"last_scheduled_at": timezone.now()}
    for name, value in cursors.items():
        setattr(subscription, name, value)
    with transaction.atomic():
        subscription.save(update_fields=[*changed, *cursors])
        if not was_in_run and check_events.is_sent_in_run(subscription):
            digests.plan_backlog(subscription)
        names = ", ".join(name.replace("_", " ") for name in sorted(changed))
        to = f"Target “{subscription.integration.name}” ({subscription.audience})"
        text = f"{to}: changed {names}."
        audit.record(audit.Action.CHANGE, subscription.check_ref, text, before=before, after=changed)
    return True


def clean_options(audience: str, given: Mapping[str, object]) -> dict[str, object]:
    """The options as they are stored. Raises ``ValidationError``: option → what is expected."""
    errors: dict[str, list[str]] = {}
    values: dict[str, object] = {}
    for name, value in given.items():
        try:
            if name not in _CLEAN:
                raise ValidationError(f"Unknown option. Use {', '.join(_CLEAN)}.")
            values[name] = _CLEAN[name](value)
        except ValidationError as error:
            if hasattr(error, "error_dict"):
                errors |= {f"{name}.{key}": messages for key, messages in error.message_dict.items()}
            else:
                errors[name] = error.messages
    if values.get("remind_days") and audience == Audience.LIST:
        errors["remind_days"] = ["Reminders need the audience user or manager; a list is not reminded."]
    if errors:
        raise ValidationError(errors)
    return values


def _cadence(value: object) -> str:
    if value not in Cadence.values:
        raise ValidationError(f"Unknown cadence “{value}”. Use {', '.join(Cadence.values)}.")
    return str(value)


def _flag(value: object) -> bool:
    if not isinstance(value, bool):
        raise ValidationError("Write true or false.")
    return value


def _days(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= MOST_DAYS:
        raise ValidationError(f"Write a whole number of days from 0 to {MOST_DAYS}.")
    return value


_CLEAN: Mapping[str, Callable[[object], object]] = {
    "filter": filters.clean_filter,
    "cadence": _cadence,
    "resolved": _flag,
    "after_days": _days,
    "remind_days": _days,
}
SUBSCRIPTION_OPTIONS = tuple(_CLEAN)


def _cursors_from_now_on() -> dict[str, datetime]:
    """Cursors after all ended runs: their findings are not sent."""
    is_running = Run.objects.filter(state=Run.State.RUNNING).exists()
    # While a run is live its findings are new, also those that it has stored already.
    until = (last_ended() or EPOCH) if is_running else timezone.now()
    return {
        "starts_after": until,
        "opened_until": until,
        "resolved_until": until,
        "last_scheduled_at": timezone.now(),
    }
