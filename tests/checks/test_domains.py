"""International domains, which accounts have in Unicode or in ASCII, in the scopes and settings of checks."""

from typing import Any

import pytest

from checks.models import Check
from checks.services import run_checks, sync_catalogue, update_check
from tests.checks.factories import open_names
from tests.checks.imports import Row, load

pytestmark = pytest.mark.django_db

PEOPLE = [
    "kim@münchen.example",
    "ana@xn--mnchen-3ya.example",
    "lee@straße.example",
    "bob@strasse.example",
    "dot@corp.example.",
    "cap@MÜNCHEN.Example",
    "nfd@mu\u0308nchen.example",
]
OLD = {"status": "active", "user_type": "internal", "created_at": "2020-01-01"}


@pytest.fixture(autouse=True)
def _catalogue(db: None) -> None:
    sync_catalogue()


def failing(slug: str, rows: list[Row], **settings: Any) -> set[str]:
    """The parts before the @ of the users who fail."""
    load([{**OLD, **row} for row in rows])
    update_check(Check.objects.get(slug=slug), **settings)
    run_checks(trigger="command", slugs=[slug])
    return {name.partition("@")[0] for name in open_names(slug)}


@pytest.mark.parametrize(
    ("ignored", "others"),
    [
        ("münchen.example", {"lee", "bob", "dot"}),
        ("MÜNCHEN.example", {"lee", "bob", "dot"}),
        ("xn--mnchen-3ya.example", {"lee", "bob", "dot"}),
        ("straße.example", {"kim", "ana", "cap", "nfd", "bob", "dot"}),
        ("strasse.example", {"kim", "ana", "cap", "nfd", "lee", "dot"}),
        ("corp.example", {"kim", "ana", "cap", "nfd", "lee", "bob"}),
    ],
)
def test_a_domain_is_ignored_however_it_is_written_and_no_other(ignored: str, others: set[str]) -> None:
    rows: list[Row] = [{"login": name.partition("@")[0], "email": name, "mfa_factors": ""} for name in PEOPLE]
    assert failing("no-mfa", rows, ignored_domains=[ignored]) == others


@pytest.mark.parametrize(
    ("included", "evaluated"),
    [("münchen.example", {"kim", "ana", "cap", "nfd"}), ("straße.example", {"lee"})],
)
def test_a_domain_is_included_however_it_is_written(included: str, evaluated: set[str]) -> None:
    rows: list[Row] = [{"login": name.partition("@")[0], "email": name, "mfa_factors": ""} for name in PEOPLE]
    assert failing("no-mfa", rows, included_domains=[included]) == evaluated


@pytest.mark.parametrize(
    ("internal", "outside"),
    [("münchen.example", {"to-lee", "to-bob"}), ("straße.example", {"to-kim", "to-ana", "to-bob"})],
)
def test_mail_may_be_forwarded_to_an_internal_domain_however_it_is_written(
    internal: str, outside: set[str]
) -> None:
    rows: list[Row] = [
        {
            "login": f"to-{name.partition('@')[0]}",
            "email": f"to-{name.partition('@')[0]}@own.example",
            "forwarding": name,
        }
        for name in PEOPLE[:4]
    ]
    assert failing("email-forwarding", rows, settings={"internal_domains": [internal]}) == outside


def test_mail_may_be_forwarded_within_the_own_domain() -> None:
    rows: list[Row] = [
        {"login": name.partition("@")[0], "email": name, "forwarding": f"desk@{name.partition('@')[2]}"}
        for name in PEOPLE[:4]
    ]
    assert failing("email-forwarding", rows) == set()
