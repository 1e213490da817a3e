"""The member who makes a change, as a column stores them."""

from django.contrib.auth.models import AnonymousUser, User as Member

# A request's user; None for a command or a task.
Actor = Member | AnonymousUser | None


def stored_member(actor: Actor) -> Member | None:
    return actor if isinstance(actor, Member) else None
