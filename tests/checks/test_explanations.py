"""What a message says of a check and of the users who fail it."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from checks.catalogue import CATALOGUE
from checks.engine.explanations import check_description, iso, login_details, recommended_actions
from checks.engine.model_rows import EXPLAINED_USER_FIELDS, model_from_row
from checks.models import Source, User
from checks.services import update_check
from tests.checks.factories import NOW, check_of, days_ago, make_account, make_source, make_user

pytestmark = pytest.mark.django_db
TENANT = "6d2f3a4e-0000-4000-8000-000000000001"


def explained(slug: str, *users: Any) -> list[dict[str, Any]]:
    """Login and the details, their JSON read."""
    items = login_details(check_of(slug), users, now=NOW, tenant_id=TENANT)
    assert all(list(item) == ["login", "details"] for item in items)
    return [
        {"login": item["login"]} | {pair["key"]: json.loads(pair["value"]) for pair in item["details"]}
        for item in items
    ]


def key(slug: str, source: Source) -> str:
    return f"providerFailingCheck-{slug}-{TENANT}__{source.provider}__{source.short_id}"


def test_the_sources_that_fail_come_first_as_json_text():
    user = make_user(no_mfa_since=days_ago(300))
    okta, entra = make_source("okta"), make_source("entra")
    make_account(user, okta, mfa=False, created_at=days_ago(300), mfa_factors=[])
    make_account(user, entra, mfa=True, created_at=days_ago(300), mfa_factors=[{"kind": "sms"}])

    [item] = login_details(check_of("no-mfa"), [user], now=NOW, tenant_id=TENANT)

    assert item["details"][0] == {"key": "providersFailingChecks", "value": json.dumps([key("no-mfa", okta)])}
    assert explained("no-mfa", user) == [
        {
            "login": "ann@example.com",
            "providersFailingChecks": [key("no-mfa", okta)],
            "createdAt": iso(user.created_at),
            "lastSignIn": iso(user.last_sign_in_at),
            "factors": ["sms"],
            "sourcesWithoutMfa": ["Okta"],
        }
    ]


def test_users_come_in_the_order_given_with_one_query_however_many(django_assert_num_queries):
    users = [make_user(f"user{number}@example.com") for number in (3, 1, 2)]
    for user in users:
        make_account(user)
    check = check_of("no-mfa")
    with django_assert_num_queries(1):
        items = login_details(check, users, now=NOW, tenant_id=TENANT)
    assert [item["login"] for item in items] == [user.name for user in users]


def test_where_no_account_fails_any_longer_the_identity_accounts_are_named():
    user = make_user()
    make_account(user, make_source("hr", kind="hr"))
    make_account(user, make_source("okta"), mfa=True)
    [item] = explained("no-mfa", user)
    assert item["providersFailingChecks"] == [key("no-mfa", make_source("okta"))]


def test_an_account_that_is_deleted_is_not_named():
    user = make_user()
    make_account(user, make_source("okta"), status="deleted", mfa_bypass=True)
    make_account(user, make_source("entra"), mfa_bypass=True)
    [item] = explained("mfa-bypass", user)
    assert item["sourcesWithBypass"] == ["Entra"]


def test_what_is_unknown_is_left_out():
    user = make_user(created_at=None)
    make_account(user)
    assert "createdAt" not in explained("no-mfa", user)[0]


FULL: dict[str, Any] = {
    "manager": "boss@gone.test",
    "owner": "",
    "user_type": "guest",
    "department": "Sales",
    "title": "Clerk",
    "created_at": days_ago(900),
    "status_changed_at": days_ago(90),
    "password_changed_at": days_ago(900),
    "last_sign_in_at": days_ago(90),
    "last_sign_in_known": True,
    "last_sign_in_country": "KP",
    "last_sign_in_ip": "192.0.2.1",
    "failed_sign_ins": 7,
    "mfa": False,
    "mfa_bypass": True,
    "password_never_expires": True,
    "credentials_exposed": True,
    "mfa_factors": [{"kind": "sms", "device": "+15550100"}],
    "factors_known": True,
    "assurance": 1,
    "phishing_resistant": False,
    "is_admin": True,
    "admin_roles": ["Owner"],
    "forwarding": ["x@evil.test"],
    "applications": [
        {"name": "Jira", "last_used_at": "2026-01-02T00:00:00+00:00"},
        {"name": "Figma", "last_used_at": None},
    ],
    "app_unused_since": days_ago(180),
}


@pytest.mark.parametrize("slug", list(CATALOGUE))
def test_every_check_explains_a_failing_user_in_camel_case(slug):
    user = make_user(
        last_sign_in_at=days_ago(90),
        last_sign_in_country="KP",
        failed_sign_ins=7,
        password_changed_at=days_ago(900),
        terminated_since=days_ago(3),
        stuck_since=days_ago(90),
        shared_with=3,
        hr_department_differs=True,
        hr_title_differs=True,
        hr_manager_differs=True,
        employee_id="17",
        department="Sales",
        title="Clerk",
        user_type="guest",
        manager=None,
        manager_enabled=None,
    )
    make_account(user, make_source("okta"), **FULL)
    make_account(user, make_source("entra"), status="locked_out", **FULL)
    make_account(
        user, make_source("hr", kind="hr"), status="disabled", department="Ops", manager="", owner=""
    )

    [item] = explained(slug, user)

    assert len(item) >= 3, "the login, the sources and a reason of the check's own"
    assert item["providersFailingChecks"]
    assert all(name.isidentifier() and name[0].islower() and "_" not in name for name in item)
    texts = CATALOGUE[slug].texts
    assert {*texts.user.shows, *texts.manager.shows} <= set(item), "messages to people show what is there"


def test_a_shared_device_is_named_by_its_last_digits_only():
    user = make_user(shared_with=2)
    make_account(user, mfa_factors=[{"kind": "sms", "device": "+15550100"}])
    assert explained("shared-authenticator", user)[0]["authenticators"] == [
        {"kind": "sms", "device": "…0100"}
    ]


def test_only_the_applications_that_are_unused_are_listed():
    user = make_user()
    make_account(
        user,
        created_at=days_ago(31),
        app_unused_since=days_ago(31),
        applications=[
            {"name": "used", "last_used_at": days_ago(30).isoformat()},
            {"name": "unused", "last_used_at": (days_ago(30) - timedelta(microseconds=1)).isoformat()},
            {"name": "as stored", "last_used_at": "2026-01-02 00:00:00"},
            {"name": "never", "last_used_at": None},
            {"name": "unknown"},
        ],
    )
    [item] = explained("unused-applications", user)
    assert [(each["name"], each["lastUsed"]) for each in item["applications"]] == [
        ("unused", "2026-06-01T05:59:59.999Z"),
        ("as stored", "2026-01-02T00:00:00.000Z"),
        ("never", "never"),
    ]


def test_placeholders_are_replaced_by_the_settings_in_force():
    check = check_of("no-mfa")
    update_check(check, settings={"grace_days": 21})
    assert "younger than 21 days" in check_description(check)[1]
    assert "KP, LB" in check_description(check_of("denied-territory"))[0]


@pytest.mark.parametrize("slug", list(CATALOGUE))
def test_no_placeholder_is_left(slug):
    check = check_of(slug)
    texts = check_description(check) + recommended_actions(check)
    assert all(texts)
    assert not any("{" in text or "}" in text for text in texts)


def test_times_are_utc_with_milliseconds():
    assert iso(datetime(2026, 1, 2, 3, 4, 5, 678_999, tzinfo=UTC)) == "2026-01-02T03:04:05.678Z"


@pytest.mark.parametrize("slug", CATALOGUE)
def test_what_is_read_for_explanations_is_all_that_the_checks_ask_for(slug, django_assert_num_queries):
    saved = make_user(manager=make_user("boss@example.com"))
    make_account(saved, make_source("okta"), mfa_factors=[{"kind": "sms"}], admin_roles=["root"])
    make_account(saved, make_source("hr", kind="hr"))
    values = User.objects.values_list(*EXPLAINED_USER_FIELDS).get(pk=saved.pk)
    user = model_from_row(User, EXPLAINED_USER_FIELDS, values)
    check = check_of(slug)
    with django_assert_num_queries(1):
        items = login_details(check, [user], now=NOW, tenant_id=TENANT)
    assert items == login_details(check, [saved], now=NOW, tenant_id=TENANT)


def test_a_light_instance_is_the_row_and_fetches_what_was_not_read(django_assert_num_queries):
    saved = make_user(department="Finance")
    with django_assert_num_queries(0):
        user = model_from_row(User, ("id", "name"), (saved.pk, saved.name))
        assert (user, user.name) == (saved, saved.name)
    with django_assert_num_queries(1):
        assert user.department == "Finance"
    user.title = "Clerk"
    user.save()
    assert User.objects.get(pk=saved.pk).title == "Clerk"
