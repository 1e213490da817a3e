"""The deliveries of one event to the targets that take lists: batches, each within its limits."""

from collections.abc import Iterator, Sequence
from uuid import uuid4

from django.db import transaction

from integrations.models import Integration
from integrations.services import KINDS
from notifications import sql
from notifications.errors import NotificationsError
from notifications.models import Delivery
from notifications.planning import delivery_rows, finding_ranges
from notifications.planning.delivery_rows import DeliveryRow
from notifications.planning.loading import EventContext, TargetDestination
from notifications.rendering.batch import ItemFile, ListBatch, partition
from notifications.rendering.payloads import BatchPosition, Item
from notifications.rendering.render import Message, render

# A chat or mail names at most this many users and counts the others.
MOST_NAMED = 1000


class _TooLarge(NotificationsError):
    """Some batches exceed what the kind takes; ``ranges`` has them in halves."""

    def __init__(self, ranges: list[range]) -> None:
        super().__init__(len(ranges))
        self.ranges = ranges


def is_combined(integration: Integration) -> bool:
    """Whether one message of this target is about many users: chats and mails are, the contract's event is not."""
    kind = KINDS.get(integration.kind)
    return kind is not None and kind.one_message


def insert_list(context: EventContext, destination: TargetDestination, users: ItemFile) -> int:
    """Insert the deliveries of one target; returns how many."""
    if is_combined(destination.integration):
        return sql.insert_rows(Delivery, delivery_rows.COLUMNS, [_single_row(context, destination, users)])
    ranges = _ranges(context, destination, users)
    while True:
        try:
            with transaction.atomic():
                rows = _batch_rows(context, destination, users, ranges)
                return sql.insert_rows(Delivery, delivery_rows.COLUMNS, rows)
        except _TooLarge as error:  # each batch says how many there are, so all are rendered again
            ranges = error.ranges


def first_message(
    context: EventContext, destination: TargetDestination, users: ItemFile
) -> tuple[Message, int]:
    """The first delivery of a list as it would be planned, and how many there would be; for a preview.

    Raises :class:`~notifications.rendering.render.NotRendered`.
    """
    total, combined = len(users), is_combined(destination.integration)
    ranges = [range(min(total, MOST_NAMED))] if combined else _ranges(context, destination, users)
    while True:
        (items,) = users.batches(ranges[:1])
        part = BatchPosition(1, 1 if combined else len(ranges), total)
        message = render(destination, ListBatch(uuid4(), context.content, items, part))
        if _fits(destination, message, items):
            return message, part.count
        ranges = [half for cut in ranges for half in _halves(cut)]


def _halves(cut: range) -> tuple[range, range]:
    middle = cut.start + len(cut) // 2
    return range(cut.start, middle), range(middle, cut.stop)


def _ranges(context: EventContext, destination: TargetDestination, users: ItemFile) -> list[range]:
    """The indexes at which to cut the list. If the kind writes the contract's event, the sizes of its bodies
    are known before rendering."""
    most = min(context.max_users, destination.users_per_request or context.max_users)
    total = len(users)
    if not destination.is_verbatim:
        return [range(start, min(start + most, total)) for start in range(0, total, most)]
    empty = render(destination, ListBatch(uuid4(), context.content, (), BatchPosition(total, total, total)))
    return partition(users.sizes, len(empty.rendered.body), most, destination.kind.max_bytes)


def _single_row(context: EventContext, destination: TargetDestination, users: ItemFile) -> DeliveryRow:
    """One message about all: it names as many as fit, and counts the others."""
    total = len(users)
    (named,) = users.batches([range(min(total, MOST_NAMED))])
    values = {"users": total, "finding_ranges": finding_ranges.from_ids(users.findings)}
    while True:
        batch = ListBatch(uuid4(), context.content, named, BatchPosition(1, 1, total))
        try:
            message = render(destination, batch)
        except Exception as error:  # noqa: BLE001  a fault of one kind ends this message, not the run
            return delivery_rows.failed_row(context, destination, batch, error, **values)
        if _fits(destination, message, named):
            return delivery_rows.message_row(context, destination, batch, message, **values)
        named = named[: len(named) // 2]


def _batch_rows(
    context: EventContext, destination: TargetDestination, users: ItemFile, ranges: Sequence[range]
) -> Iterator[DeliveryRow]:
    """The rows of all batches. Raises :class:`_TooLarge` at the end, when it knows all that exceed the limit."""
    smaller: list[range] = []
    for index, (cut, items) in enumerate(zip(ranges, users.batches(ranges), strict=True), start=1):
        batch = ListBatch(uuid4(), context.content, items, BatchPosition(index, len(ranges), len(users)))
        values = {
            "batch": index,
            "batches": len(ranges),
            "users": len(items),
            "finding_ranges": finding_ranges.from_ids(users.findings[cut.start : cut.stop]),
        }
        try:
            message = render(destination, batch)
        except Exception as error:  # noqa: BLE001  as above
            smaller.append(cut)
            yield delivery_rows.failed_row(context, destination, batch, error, **values)
            continue
        if not _fits(destination, message, items):
            smaller += _halves(cut)
            continue
        smaller.append(cut)
        yield delivery_rows.message_row(context, destination, batch, message, **values)
    if len(smaller) > len(ranges):
        raise _TooLarge(smaller)


def _fits(destination: TargetDestination, message: Message, items: Sequence[Item]) -> bool:
    """Whether the body is within the kind's limit; one about a single user cannot be cut."""
    return len(message.rendered.body) <= destination.kind.max_bytes or len(items) == 1
