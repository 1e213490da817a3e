"""Titles of checks and events."""

from checks.models import Check
from checks.services import CATALOGUE
from notifications.models import Event


def check_title(slug: str) -> str:
    """The catalogue's title; the slug if the catalogue no longer has the check."""
    return CATALOGUE[slug].title if slug in CATALOGUE else slug


def check_choices() -> list[tuple[str, str]]:
    """Slug and title of each check, by title. One query."""
    slugs = Check.objects.values_list("slug", flat=True)
    return sorted(((slug, check_title(slug)) for slug in slugs), key=lambda pair: pair[1])


def event_title(event: Event) -> str:
    """The subject of an event: a check, several checks for one recipient, or a connectivity test."""
    if event.origin == Event.Origin.PEOPLE:
        return "Direct message"
    return check_title(event.check_ref.slug) if event.check_ref else "Connectivity test"
