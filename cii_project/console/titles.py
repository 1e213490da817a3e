"""What a check is called, and what a message is about."""

from checks.catalogue import CATALOGUE
from checks.models import Check
from notifications.models import Event


def title_of(check: Check | None) -> str:
    """The catalogue's title; the slug where the catalogue no longer has the check."""
    if check is None:
        return "Test Connectivity"
    known = CATALOGUE.get(check.slug)
    return known.title if known else check.slug


def about(event: Event) -> str:
    """What an event is about, for a person."""
    if event.origin == Event.Origin.PEOPLE:
        return "Message to a person"
    return title_of(event.check_ref)
