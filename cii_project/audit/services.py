"""The one writer of the audit trail.

The actor comes from the context, so that a service records the same from a page and from a command: the
middleware sets the member and their address for a request, ``AuditedCommand`` the operating system's user
for a command. Without either the actor is the system (a worker, a schedule).
"""

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

from django.db import models
from django.utils import timezone

from cii_project.audit.models import Action, ActorKind, AuditEntry

__all__ = ["Action", "Actor", "ActorKind", "acting", "changes", "current_actor", "record"]

# Values are cut to these lengths: the trail says what changed, it does not store payloads.
MAX_TEXT_LENGTH = 1_000
MAX_ITEMS = 200


@dataclass(frozen=True, slots=True)
class Actor:
    """The actor of a change: a member (with ``id``), the user of a command, the system, or a visitor."""

    kind: ActorKind
    name: str = ""
    address: str = ""
    id: str = ""


SYSTEM = Actor(ActorKind.SYSTEM)
# A function, since a request's member may change while it is handled: signing in is such a request.
_actor: ContextVar[Callable[[], Actor]] = ContextVar("audit_actor", default=lambda: SYSTEM)


@contextmanager
def acting(actor: Actor | Callable[[], Actor]) -> Iterator[None]:
    """Every entry recorded inside the block names ``actor``."""
    token = _actor.set(actor if callable(actor) else lambda: actor)
    try:
        yield
    finally:
        _actor.reset(token)


def current_actor() -> Actor:
    """The actor of the innermost :func:`acting` block, else the system."""
    return _actor.get()()


def record(
    action: Action,
    thing: models.Model | None,
    text: str,
    *,
    before: Mapping[str, object] | None = None,
    after: Mapping[str, object] | None = None,
    actor: Actor | None = None,
) -> AuditEntry:
    """Add one entry, in the transaction of the change that it describes.

    ``thing`` is the object of the change, or None. Record a deletion before it: afterwards ``thing`` has no
    key. ``before`` and ``after`` hold the values that changed, by name. Neither they nor ``text`` may hold a
    secret.
    """
    who = actor or current_actor()
    return AuditEntry.objects.create(
        at=timezone.now(),
        actor_kind=who.kind,
        actor_id=who.id,
        actor=storable_text(who.name)[:150],
        address=storable_text(who.address)[:255],
        action=action,
        object_kind=thing._meta.label_lower if thing is not None else "",
        object_id=str(thing.pk)[:64] if thing is not None and thing.pk is not None else "",
        object_label=storable_text(str(thing))[:200] if thing is not None else "",
        text=storable_text(text)[:MAX_TEXT_LENGTH],
        before=_plain(before) if before is not None else None,
        after=_plain(after) if after is not None else None,
    )


def changes(
    before: Mapping[str, object], after: Mapping[str, object]
) -> tuple[dict[str, object], dict[str, object]]:
    """The entries of two states that differ, as ``before`` and ``after`` of :func:`record`."""
    names = [name for name in {**before, **after} if before.get(name) != after.get(name)]
    return {name: before.get(name) for name in names}, {name: after.get(name) for name in names}


def storable_text(text: str) -> str:
    """``text`` without what a database refuses: NUL and lone surrogates."""
    return text.encode("utf-8", "replace").decode().replace("\0", "\ufffd")


def _plain(value: object) -> object:
    """``value`` as JSON that both databases store, with long texts and lists cut."""
    if value is None or isinstance(value, bool | int) or (isinstance(value, float) and math.isfinite(value)):
        return value
    if isinstance(value, Mapping):
        return {
            storable_text(str(key))[:MAX_TEXT_LENGTH]: _plain(item)
            for key, item in list(value.items())[:MAX_ITEMS]
        }
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(item) for item in list(value)[:MAX_ITEMS]]
    return storable_text(str(value))[:MAX_TEXT_LENGTH]
