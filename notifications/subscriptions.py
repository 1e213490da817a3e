"""Which targets a check tells, of whom, when, and of what: one place for each change."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils import timezone

from checks.models import Check, Run
from integrations import targets
from integrations.models import Integration
from notifications import audit, choosing, digests, planning
from notifications.models import Audience, Cadence, Subscription
from notifications.rounds import EPOCH, last_ended

LONGEST_DAYS = 365


def subscribe(
    check: Check, integration: Integration, audience: str = Audience.LIST, by: Any = None, **options: Any
) -> Subscription:
    """Enable a target on a check. Sends nothing: what fails now is not new (see ``send_current``).

    ``options`` as in :func:`change_subscription`; one that exists keeps those that are not given.
    """
    kind = targets.get(integration.kind)
    if audience not in kind.audiences:
        raise ValidationError(f"{kind.label} cannot write to “{Audience(audience).label}”.")
    with transaction.atomic():
        subscription, created = Subscription.objects.get_or_create(
            check_ref=check,
            integration=integration,
            audience=audience,
            defaults={"created_by": by, **_from_now_on()},
        )
        if created:
            audit.note(by, check, f"Target “{integration.name}” enabled ({audience}).")
        if options:
            change_subscription(subscription, by=by, **options)
    return subscription


def unsubscribe(
    check: Check, integration: Integration, audience: str = Audience.LIST, by: Any = None
) -> bool:
    """Disable a target on a check; what is planned is still sent. True if it was enabled."""
    with transaction.atomic():
        removed, _ = Subscription.objects.filter(
            check_ref=check, integration=integration, audience=audience
        ).delete()
        if removed:
            audit.note(by, check, f"Target “{integration.name}” disabled ({audience}).")
    return bool(removed)


def change_subscription(subscription: Subscription, *, by: Any = None, **options: Any) -> bool:
    """Set any of the options ``filter``, ``cadence``, ``resolved``, ``after_days`` and ``remind_days``.

    True if something changed. Raises ``ValidationError``: option → what is wrong.
    What a round had yet to tell is told; what was told is not told again.
    """
    values = clean(subscription.audience, options)
    changed = {name: value for name, value in values.items() if getattr(subscription, name) != value}
    if not changed:
        return False
    was_in_run = planning.told_in_run(subscription)
    for name, value in changed.items():
        setattr(subscription, name, value)
    cursors: dict[str, datetime] = {}
    if was_in_run:  # told of all until now
        cursors = {**_from_now_on()}
        del cursors["since"]
    elif changed.keys() & {"cadence", "after_days", "remind_days"}:
        cursors = {"slot": timezone.now()}
    for name, value in cursors.items():
        setattr(subscription, name, value)
    with transaction.atomic():
        subscription.save(update_fields=[*changed, *cursors])
        if not was_in_run and planning.told_in_run(subscription):
            digests.tell_rest(subscription)
        names = ", ".join(name.replace("_", " ") for name in sorted(changed))
        to = f"Target “{subscription.integration.name}” ({subscription.audience})"
        audit.note(by, subscription.check_ref, f"{to}: changed {names}.")
    return True


def clean(audience: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """The options as they are stored. Raises ``ValidationError``: option → what to write instead."""
    errors: dict[str, list[str]] = {}
    values: dict[str, Any] = {}
    for name, value in given.items():
        try:
            if name not in _CLEAN:
                raise ValidationError(f"There is no such option. Known: {', '.join(_CLEAN)}.")
            values[name] = _CLEAN[name](value)
        except ValidationError as error:
            if hasattr(error, "error_dict"):
                errors |= {f"{name}.{key}": messages for key, messages in error.message_dict.items()}
            else:
                errors[name] = error.messages
    if values.get("remind_days") and audience == Audience.LIST:
        errors["remind_days"] = ["Only people are reminded: choose each user or each manager."]
    if errors:
        raise ValidationError(errors)
    return values


def _cadence(value: Any) -> str:
    if value not in Cadence.values:
        raise ValidationError(f"Write one of: {', '.join(Cadence.values)}.")
    return str(value)


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValidationError("Write true or false.")
    return value


def _days(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= LONGEST_DAYS:
        raise ValidationError(f"Write a whole number of days from 0 to {LONGEST_DAYS}.")
    return value


_CLEAN: Mapping[str, Callable[[Any], Any]] = {
    "filter": choosing.clean,
    "cadence": _cadence,
    "resolved": _flag,
    "after_days": _days,
    "remind_days": _days,
}
OPTIONS = tuple(_CLEAN)


def _from_now_on() -> dict[str, datetime]:
    """The cursors of one who is told nothing old: what ended runs have found lies behind them."""
    live = Run.objects.filter(state=Run.State.RUNNING).exists()
    # While a run is under way, what it finds is new, also what it has written already.
    until = (last_ended() or EPOCH) if live else timezone.now()
    return {"since": until, "told_until": until, "resolved_until": until, "slot": timezone.now()}
