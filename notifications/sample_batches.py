"""Batches for test messages and previews: about users who fail now, or about a sample user."""

from uuid import uuid4

from checks.models import Check, Finding, User
from checks.services import login_details
from notifications.models import Audience
from notifications.planning import loading
from notifications.planning.loading import EventContext
from notifications.rendering import payloads
from notifications.rendering.batch import DirectMessage, ListBatch
from notifications.rendering.payloads import BatchPosition, Item, Recipient

# Users in a test message or preview.
MOST_USERS = 5
SAMPLE_MANAGER = Recipient("manager", "manager@example.com", "manager@example.com", "Sample Manager")


def sample_batch(
    context: EventContext, check: Check, audience: str, user: User | None = None
) -> tuple[ListBatch | DirectMessage, User]:
    """A batch about users who fail the check now, or about ``user``; and the first of them.

    The first user is an unsaved sample if nobody fails.
    """
    users, items = failing_users(context, check, user, 1 if user else MOST_USERS)
    first = users[0]
    if audience == Audience.LIST:
        return ListBatch(uuid4(), context.content, items, BatchPosition(1, 1, len(items))), first
    recipient = loading.recipient_of(first, audience) or SAMPLE_MANAGER
    message = DirectMessage(
        uuid4(), context.content, items[0], first.display_name, _trust_level(first), recipient
    )
    return message, first


def is_sample(user: User) -> bool:
    return user._state.adding


def _trust_level(user: User) -> str:
    if is_sample(user):
        return payloads.trust_level(())
    findings = Finding.objects.filter(user=user, resolved_at=None)
    return payloads.trust_level(findings.values_list("check_ref__severity", flat=True))


def failing_users(
    context: EventContext, check: Check, user: User | None, most: int
) -> tuple[list[User], list[Item]]:
    """At most ``most`` users who fail the check now, ``user`` first, with their items; a sample if nobody fails."""
    findings = Finding.objects.filter(check_ref=check, resolved_at=None).select_related("user__manager")
    users = [finding.user for finding in findings.order_by("id")[:most]]
    if user:
        users = [user, *(one for one in users if one != user)][:most]
    if not users:
        sample = User(name="kim@example.com", email="kim@example.com", display_name="Kim Doe")
        return [sample], [Item.of({"login": sample.name, "details": []}, sample.display_name)]
    details = login_details(check, users, now=context.event.created_at, tenant_id=context.content.tenant.id)
    return users, [
        Item.of(detail, one.display_name, one.pk) for detail, one in zip(details, users, strict=True)
    ]
