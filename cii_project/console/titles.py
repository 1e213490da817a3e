"""What a check is called."""

from checks.catalogue import CATALOGUE
from checks.models import Check


def title_of(check: Check | None) -> str:
    """The catalogue's title; the slug where the catalogue no longer has the check."""
    if check is None:
        return "Test Connectivity"
    known = CATALOGUE.get(check.slug)
    return known.title if known else check.slug
