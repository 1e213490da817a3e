"""The customised messages of checks: read, preview, save, reset."""

from dataclasses import dataclass

from django.db import transaction
from django.utils import timezone

from checks.models import Check, User
from cii_project.audit import services as audit
from integrations.services import kind_of
from notifications.members import Actor, stored_member
from notifications.models import Audience, Configuration, Event, MessageTemplate
from notifications.planning import loading
from notifications.rendering import templates
from notifications.rendering.templates import MessageError
from notifications.sample_batches import is_sample, sample_batch


@dataclass(frozen=True, slots=True)
class PreviewedMessage:
    """A message about ``user``, who may be a sample. ``text`` is empty if ``error`` is set."""

    text: str
    user: str
    is_sample: bool
    error: MessageError | None = None


def current_text(check: Check, kind: str, audience: str = Audience.LIST) -> str:
    """The customised message, or the default: what the editor starts with."""
    stored = MessageTemplate.objects.filter(check_ref=check, kind=kind, audience=audience)
    text = stored.values_list("text", flat=True).first()
    return default_message(kind, audience) if text is None else text


def default_message(kind: str, audience: str) -> str:
    """The text of a message that nobody customised, in the installation's language; empty where the event of a list has
    no message."""
    if audience == Audience.LIST and kind_of(kind).is_for_programs:
        return ""
    return templates.default_text(audience, Configuration.load().language)


def preview_message(
    check: Check, text: str, *, audience: str = Audience.LIST, user: User | None = None
) -> PreviewedMessage:
    """The message about a user who fails now, or about ``user``. Writes nothing."""
    event = Event(origin=Event.Origin.TEST, check_ref=check, created_at=timezone.now())
    batch, first = sample_batch(loading.event_context(event, check), check, audience, user)
    try:
        return PreviewedMessage(
            templates.check(text, audience, batch.variables), first.name, is_sample(first)
        )
    except MessageError as error:
        return PreviewedMessage("", first.name, is_sample(first), error)


def save_message(
    check: Check,
    kind: str,
    text: str,
    *,
    audience: str = Audience.LIST,
    by: Actor = None,
) -> MessageTemplate:
    """Store the message of a check for a kind of target.

    Raises :class:`MessageError` if it fails on the sample data or on a user who fails now.
    """
    templates.check(text, audience)
    preview = preview_message(check, text, audience=audience)
    if preview.error:
        raise preview.error
    with transaction.atomic():
        before = current_text(check, kind, audience)
        message, _ = MessageTemplate.objects.update_or_create(
            check_ref=check,
            kind=kind,
            audience=audience,
            defaults={"text": text, "updated_by": stored_member(by)},
        )
        change = f"Message for {kind} ({audience}) changed."
        audit.record(audit.Action.CHANGE, check, change, before={"text": before}, after={"text": text})
    return message


def reset_message(check: Check, kind: str, *, audience: str = Audience.LIST) -> bool:
    """Return to the default message; returns whether there was a customised one."""
    with transaction.atomic():
        before = current_text(check, kind, audience)
        removed, _ = MessageTemplate.objects.filter(check_ref=check, kind=kind, audience=audience).delete()
        if removed:
            change = f"Message for {kind} ({audience}) reset to the default."
            after = {"text": current_text(check, kind, audience)}
            audit.record(audit.Action.CHANGE, check, change, before={"text": before}, after=after)
    return bool(removed)
