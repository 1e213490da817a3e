"""Importing records: what is written, what is refused, and that nothing else changes."""

from typing import Any

import pytest

from checks.accounts import import_accounts
from checks.models import Account, Source, User

pytestmark = pytest.mark.django_db


def run(source: Source, rows: list[dict[str, Any]], **options: Any) -> Any:
    return import_accounts(enumerate(rows, 2), source=source, **options)


@pytest.fixture
def okta() -> Source:
    return Source.objects.create(slug="okta", name="Okta")


def test_importing_twice_changes_nothing(okta: Source) -> None:
    rows = [{"login": f"u{i}", "email": f"u{i}@example.com", "mfa_factors": "sms:+1555"} for i in range(5)]
    first = run(okta, rows)
    assert (first.created, first.changed, first.unchanged) == (5, 0, 0)
    before = list(User.objects.order_by("pk").values()), list(Account.objects.order_by("pk").values())
    second = run(okta, rows)
    assert (second.created, second.changed, second.unchanged) == (0, 0, 5)
    assert before == (
        list(User.objects.order_by("pk").values()),
        list(Account.objects.order_by("pk").values()),
    )
    assert User.objects.count() == 5
    assert User.objects.first().shared_with == 5
