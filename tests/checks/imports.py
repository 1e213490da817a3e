"""Short ways to import records in tests."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.db import transaction

from checks.importing.accounts import import_accounts
from checks.models import Import, Source

Row = dict[str, Any]


def source(slug: str = "okta", kind: str = "identity") -> Source:
    return Source.objects.get_or_create(slug=slug, defaults={"name": slug, "kind": kind})[0]


def load(rows: list[Row], into: str = "okta", kind: str = "identity", **options: Any) -> Import:
    """Import rows as lines 2, 3 … of a file with a header."""
    return import_accounts(enumerate(rows, 2), source=source(into, kind), **options)


@contextmanager
def undone() -> Iterator[None]:
    """Roll back what happens inside. PostgreSQL keeps the locks of dropped temporary tables until then, and an example
    with many imports after the other in one transaction would run out of them."""
    with transaction.atomic():
        yield
        transaction.set_rollback(True)
