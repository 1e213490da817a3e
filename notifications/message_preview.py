"""Previews of a message before it is saved: rendered as a delivery, but not sent."""

from collections.abc import Sequence
from dataclasses import dataclass
from tempfile import SpooledTemporaryFile
from uuid import uuid4

from django.utils import timezone

from checks.models import Check, User
from integrations.models import Integration
from integrations.services import MessagePreview, example_settings, killable_templates, kind_of
from notifications.message_editor import default_message
from notifications.models import Audience, Event
from notifications.planning import list_messages, loading
from notifications.planning.loading import EventContext, TargetDestination
from notifications.rendering import templates
from notifications.rendering.batch import ItemFile, ListBatch
from notifications.rendering.payloads import BatchPosition, Item
from notifications.rendering.render import Message, NotRendered, render
from notifications.rendering.templates import MessageError
from notifications.sample_batches import failing_users, is_sample, sample_batch

# Users who fail now that a preview reads; it makes the others up.
MOST_REAL = 20
MEMORY_BYTES = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class DeliveryPreview:
    """The first delivery of an event about ``users`` users, of which ``made_up`` are not real.

    ``looks`` is None if ``error`` is set. ``target`` is the target whose settings it has; empty: examples.
    """

    looks: MessagePreview | None = None
    size: int = 0  # bytes
    deliveries: int = 1
    users: int = 1
    made_up: int = 0
    target: str = ""
    error: MessageError | None = None


def preview_delivery(
    check: Check,
    kind: str,
    text: str,
    *,
    audience: str = Audience.LIST,
    user: User | None = None,
    users: int = 1,
) -> DeliveryPreview:
    """The message with ``text`` as a target of ``kind`` gets it. Writes nothing.

    ``user`` is the first of the ``users``; a message to a person is about one. A text that is the default renders as
    a message that nobody customised.
    """
    integration = Integration.objects.filter(kind=kind).order_by("name").first()
    name = integration.name if integration else ""
    integration = integration or Integration(
        name="Example", kind=kind, settings=example_settings(kind_of(kind).form_fields)
    )
    event = Event(check_ref=check, created_at=timezone.now())
    context = loading.event_context(event, check)
    custom = None if text == default_message(kind, audience) else text
    destination = loading.destination(integration, audience, None, template_text=custom)
    try:
        with killable_templates():
            if audience != Audience.LIST:
                message, made_up = _to_person(context, destination, check, custom, user)
                return _shown(destination, message, name, made_up=made_up)
            people, items = failing_users(context, check, user, MOST_REAL)
            real = 0 if is_sample(people[0]) else min(len(items), users)
            message, deliveries = _to_list(context, destination, custom, with_examples(items, users))
    except NotRendered as error:
        cause = error.__cause__
        return DeliveryPreview(error=cause if isinstance(cause, MessageError) else MessageError(error.reason))
    except MessageError as error:
        return DeliveryPreview(error=error)
    return _shown(destination, message, name, deliveries=deliveries, users=users, made_up=users - real)


def with_examples(items: Sequence[Item], count: int) -> list[Item]:
    """``count`` items: the given ones, then copies of the first with made-up logins."""
    detail = items[0].plain
    made_up = (
        Item.of({**detail, "login": f"example{number:04}@example.com"})
        for number in range(len(items) + 1, count + 1)
    )
    return [*items[:count], *made_up]


def _to_person(
    context: EventContext, destination: TargetDestination, check: Check, custom: str | None, user: User | None
) -> tuple[Message, int]:
    batch, first = sample_batch(context, check, destination.audience, user)
    assert not isinstance(batch, ListBatch)  # noqa: S101  the audience is a person
    if custom is not None:
        templates.check(custom, destination.audience, batch.variables)
    return render(destination, batch), int(is_sample(first))


def _to_list(
    context: EventContext, destination: TargetDestination, custom: str | None, items: Sequence[Item]
) -> tuple[Message, int]:
    if custom is not None:
        most = items[: list_messages.MOST_NAMED]
        batch = ListBatch(uuid4(), context.content, most, BatchPosition(1, 1, len(items)))
        templates.check(custom, destination.audience, batch.variables)
    with SpooledTemporaryFile(max_size=MEMORY_BYTES) as file:
        users = ItemFile(file)
        users.add(items, range(len(items)))
        return list_messages.first_message(context, destination, users)


def _shown(
    destination: TargetDestination,
    message: Message,
    target: str,
    *,
    deliveries: int = 1,
    users: int = 1,
    made_up: int = 0,
) -> DeliveryPreview:
    body = message.rendered.body
    looks = destination.kind.preview(body, destination.target)
    return DeliveryPreview(looks, len(body), deliveries, users, made_up, target)
