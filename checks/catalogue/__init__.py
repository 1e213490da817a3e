"""The catalogue: the checks that ship with the product, one module each.

A module of this package with a :class:`CatalogueCheck` named ``check`` is a check; nothing else has to name it.
"""

from collections.abc import Iterator
from importlib import import_module
from pkgutil import iter_modules

from checks.catalogue.definition import CatalogueCheck
from checks.models import severity_rank


def _shipped_checks() -> Iterator[CatalogueCheck]:
    for module in iter_modules(__path__):
        check = getattr(import_module(f"{__name__}.{module.name}"), "check", None)
        if isinstance(check, CatalogueCheck):
            yield check


def _by_slug(checks: Iterator[CatalogueCheck]) -> dict[str, CatalogueCheck]:
    """By default severity, then title: the order of pages and commands. Raises ``ValueError`` for a slug used twice."""
    found: dict[str, CatalogueCheck] = {}
    for check in sorted(checks, key=lambda check: (severity_rank(check.severity), check.title)):
        if check.slug in found:
            raise ValueError(
                f"{type(check).__module__} and {type(found[check.slug]).__module__} have the slug {check.slug}. "
                "Give each check a different slug."
            )
        found[check.slug] = check
    return found


CATALOGUE: dict[str, CatalogueCheck] = _by_slug(_shipped_checks())


def catalogue_check(slug: str) -> CatalogueCheck:
    """The check of that slug. Raises ``KeyError``."""
    return CATALOGUE[slug]


def catalogue_position(slug: str) -> int:
    """Index of the check in the catalogue; a check that has left the catalogue sorts last."""
    slugs = list(CATALOGUE)
    return slugs.index(slug) if slug in CATALOGUE else len(slugs)
