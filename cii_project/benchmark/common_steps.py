"""Steps that every benchmark begins with: an installed database, users in it, tidy tables."""

from datetime import UTC, datetime
from io import StringIO
from typing import Any

from django.core.management import call_command
from django.db import connection

from checks.accounts import import_accounts
from checks.models import Account, Source, User
from cii_project.benchmark import data
from cii_project.benchmark.measuring import measured
from cii_project.benchmark.steps import step


@step
def install() -> dict[str, Any]:
    call_command("setup", verbosity=0, stdout=StringIO())
    for slug, name, provider, kind in data.SOURCES:
        Source.objects.create(slug=slug, name=name, provider=provider, kind=kind)
    return {}


@step
def load(users: int, seed: int, now: str, version: int = 0) -> dict[str, Any]:
    """Import the sources' records as the product does."""
    with measured() as result:
        for slug, *_ in data.SOURCES:
            given = data.records(slug, users, seed=seed, now=datetime.fromisoformat(now), version=version)
            import_accounts(enumerate(given, start=1), source=Source.objects.get(slug=slug))
    return {**result, "users": User.objects.count(), "accounts": Account.objects.count()}


@step
def tidy() -> dict[str, Any]:
    """What autovacuum would do at a time of its own: so that it does not fall into a measurement."""
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute("VACUUM (ANALYZE)")
            cursor.execute("CHECKPOINT")
        else:
            cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return {}


def utc_now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
