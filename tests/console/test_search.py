"""One search over users, checks, targets, sources, deliveries, pages and actions."""

from typing import Any
from uuid import uuid4

import pytest

from tests.console.checks_world import HTMX, check_of, client_of, delivered, fail, failing_run, text, webhook

pytestmark = pytest.mark.django_db


@pytest.fixture
def engineer() -> Any:
    return client_of("Engineer")


def found(client: Any, q: str) -> dict[str, list[str]]:
    """Group → titles of its lines."""
    answer = client.get("/search/", {"q": q})
    assert answer.status_code == 200
    return {group.title: [line.title for line in group.lines] for group in answer.context["groups"]}


def urls(client: Any, q: str) -> list[str]:
    groups: Any = client.get("/search/", {"q": q}).context["groups"]
    return [line.url for group in groups for line in group.lines]


def test_users_by_any_word_of_name_mail_login_and_by_employee_id(engineer: Any) -> None:
    ana = fail("ana.lopez@example.com", display_name="Ana García López", employee_id="E-4711")
    fail("bo@example.com", display_name="Bo Berg")
    for q in ("ana", "lópez", "LOPEZ", "garcía ana", "4711", "ana.lopez@"):
        assert found(engineer, q)["Users"] == ["Ana García López"], q
    assert f"/users/{ana.pk}/" in urls(engineer, "lópez")
    assert "Users" not in found(engineer, "berglund")


def test_of_many_users_a_few_and_the_way_to_all(engineer: Any) -> None:
    for number in range(9):
        fail(f"ann{number}@example.com")
    page = text(engineer.get("/search/", {"q": "ann"}))
    assert found(engineer, "ann")["Users"] == [f"ann{number}@example.com" for number in range(6)]
    assert 'href="/users/?q=ann"' in page


def test_checks_targets_and_sources_by_words_of_their_names(engineer: Any) -> None:
    check_of()
    webhook("Okta Workflows production")
    fail("ann@example.com")
    assert "No MFA Configured" in found(engineer, "mfa")["Checks"]
    assert found(engineer, "no-mfa")["Checks"][0] == "No MFA Configured"
    assert found(engineer, "production okta")["Targets"] == ["Okta Workflows production"]
    assert found(engineer, "okta")["Sources"] == ["Okta"]
    assert found(engineer, "okta staging") == {}


def test_a_delivery_by_its_id(engineer: Any) -> None:
    failing_run("ann@example.com")
    delivery = delivered(webhook())
    assert urls(engineer, f" {delivery.pk} ") == [f"/deliveries/{delivery.pk}/"]
    assert found(engineer, str(uuid4())) == {}


def test_pages_and_actions_of_the_members_role(engineer: Any) -> None:
    assert found(engineer, "")["Actions"] == [
        "Run checks now",
        "Add webhook",
        "Add integration",
        "Import a file of users",
    ]
    viewer = client_of("Viewer")
    assert "Actions" not in found(viewer, "")
    assert "Dashboard" in found(viewer, "")["Pages"]
    assert found(viewer, "integ")["Pages"] == ["Integrations"]


def test_a_name_is_text_and_never_markup(engineer: Any) -> None:
    fail("x@example.com", display_name="<b>Bold</b>")
    page = text(engineer.get("/search/", {"q": "<b>bold"}, headers=HTMX))
    assert "&lt;b&gt;Bold&lt;/b&gt;" in page
    assert "<b>" not in page


def test_what_finds_nothing_says_what_can_be_searched(engineer: Any) -> None:
    page = text(engineer.get("/search/", {"q": "zzz\0"}, headers=HTMX))
    assert "Nothing matches “zzz”" in page


def test_the_search_of_ten_thousand_targets_reads_few(
    engineer: Any, django_assert_max_num_queries: Any
) -> None:
    for number in range(30):
        webhook(f"Target {number}")
    with django_assert_max_num_queries(14):
        assert len(found(engineer, "target")["Targets"]) == 6
