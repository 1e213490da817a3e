"""Values that are too old neither open nor resolve a finding, and an import says when it read what."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db.models import Q
from django.utils import timezone

from checks.freshness import GROUP_OF_FACT, GROUP_OF_FIELD, groups_read, outdated_groups, stale_users
from checks.importing.records import FIELDS
from checks.models import Account, AccountFreshness, FieldGroup, Finding, Source, SourceFreshness, User
from checks.services import preview_run, run_checks, sync_catalogue
from tests.checks.factories import days_ago, make_account, make_source, make_user, open_names
from tests.checks.imports import load

pytestmark = pytest.mark.django_db
OLD = days_ago(4000)


@pytest.fixture(autouse=True)
def _catalogue(db: None) -> None:
    sync_catalogue()


def fail(name: str, source: Source, **facts: Any) -> User:
    user = make_user(name, no_mfa_since=OLD, **facts)
    make_account(user, source)
    return user


def read(source: Source, group: str, days: float, *, max_age: int | None = 14, name: str = "") -> None:
    """The group was read so many days ago: for all accounts or for one."""
    as_of = timezone.now() - timedelta(days=days)
    of_source, _ = SourceFreshness.objects.update_or_create(
        source=source, group=group, defaults={"max_age_days": max_age}, create_defaults={"as_of": as_of}
    )
    if name:
        account = Account.objects.get(source=source, login=name)
        AccountFreshness.objects.update_or_create(account=account, group=group, defaults={"as_of": as_of})
    else:
        SourceFreshness.objects.filter(pk=of_source.pk).update(as_of=as_of, max_age_days=max_age)


def result(*slugs: str) -> tuple[int, int, int, int, int]:
    """evaluated, failing, new, resolved, stale"""
    run = run_checks(trigger="command", slugs=slugs or ("no-mfa",))
    assert run.state == "succeeded"
    values = ("evaluated", "failing", "new", "resolved", "stale")
    return run.results.values_list(*values).get(check_ref__slug=(slugs or ("no-mfa",))[0])


def test_too_old_a_value_does_not_open_a_finding_and_a_fresh_one_does():
    okta = make_source()
    fail("ann@example.com", okta)
    read(okta, "factors", 14.1)
    assert result() == (1, 0, 0, 0, 1)

    read(okta, "factors", 13.9)
    assert result() == (1, 1, 1, 0, 0)


def test_too_old_a_value_does_not_resolve_a_finding_and_a_fresh_one_does():
    okta = make_source()
    user = fail("ann@example.com", okta)
    read(okta, "factors", 1)
    result()
    User.objects.filter(pk=user.pk).update(no_mfa_since=None)

    read(okta, "factors", 15)
    assert result() == (1, 1, 0, 0, 1), "the finding is open and its user stale: counted as both"
    assert open_names("no-mfa") == ["ann@example.com"]

    read(okta, "factors", 0)
    assert result() == (1, 0, 0, 1, 0)
    assert Finding.objects.get().resolution == "cured"


def test_a_finding_that_was_resolved_as_unknown_waits_for_a_fresh_value():
    okta = make_source()
    user = fail("ann@example.com", okta)
    result()
    User.objects.filter(pk=user.pk).update(no_mfa_since=None, mfa_unknown_since=OLD)
    result()
    User.objects.filter(pk=user.pk).update(no_mfa_since=OLD)

    read(okta, "factors", 15)
    assert result() == (1, 0, 0, 0, 1)

    read(okta, "factors", 1)
    assert result() == (1, 1, 0, 0, 0), "reopened"
    assert Finding.objects.count() == 1


def test_the_age_counts_for_the_checks_that_read_the_group():
    okta = make_source()
    fail("ann@example.com", okta, mfa_bypass=True, credentials_exposed=True)
    read(okta, "factors", 15)

    run = run_checks(trigger="command")

    stale = set(run.results.filter(stale=1).values_list("check_ref__slug", flat=True))
    assert {"no-mfa", "mfa-bypass"} <= stale
    assert "leaked-credentials" not in stale
    assert open_names("leaked-credentials") == ["ann@example.com"]


def test_one_account_may_have_been_read_at_another_time_than_its_source():
    okta = make_source()
    fail("ann@example.com", okta)
    fail("bob@example.com", okta)
    read(okta, "factors", 15)
    read(okta, "factors", 1, name="ann@example.com")
    result()
    assert open_names("no-mfa") == ["ann@example.com"]

    read(okta, "factors", 1)
    read(okta, "factors", 15, name="ann@example.com")
    assert result() == (2, 2, 1, 0, 1)
    assert open_names("no-mfa") == ["ann@example.com", "bob@example.com"]


def test_without_a_maximum_age_old_values_count():
    okta = make_source()
    fail("ann@example.com", okta)
    read(okta, "factors", 900, max_age=None)
    assert result() == (1, 1, 1, 0, 0)


def test_a_user_out_of_scope_is_not_stale_and_the_finding_is_resolved():
    okta = make_source()
    user = fail("ann@example.com", okta)
    result()
    read(okta, "factors", 15)
    User.objects.filter(pk=user.pk).update(nhi=True)
    assert result() == (0, 0, 0, 1, 0)
    assert Finding.objects.get().resolution == "out_of_scope"


def test_a_preview_counts_the_stale_users():
    okta = make_source()
    fail("ann@example.com", okta)
    read(okta, "factors", 15)
    [preview] = preview_run(["no-mfa"])
    assert (preview.evaluated, preview.failing, preview.new, preview.stale) == (1, 0, 0, 1)


def test_an_hr_source_makes_stale_only_for_what_hr_is_asked():
    hr = make_source("hr", kind="hr")
    fail("ann@example.com", hr, in_hr=True, terminated_since=OLD)
    read(hr, "profile", 15)

    run_checks(trigger="command", slugs=["no-mfa", "terminated-active"])

    assert (open_names("no-mfa"), open_names("terminated-active")) == (["ann@example.com"], [])


# --- Imports ----------------------------------------------------------------------------------------


def as_of(source: Source) -> dict[str, datetime]:
    return dict(source.freshness.values_list("group", "as_of"))


def test_an_import_records_when_it_read_which_groups():
    load([{"login": "ann", "mfa_enabled": "true"}, {"login": "bob", "last_sign_in_at": "2026-01-01"}])
    okta = Source.objects.get()
    first = as_of(okta)
    assert set(first) == {"profile", "factors", "sign_in"}

    load([{"login": "ann", "mfa_enabled": "true"}, {"login": "bob"}])
    second = as_of(okta)
    assert second["factors"] > first["factors"], "unchanged records were read too"
    assert second["sign_in"] == first["sign_in"], "no record has such a field"


def test_an_import_leaves_the_maximum_age_as_it_is():
    load([{"login": "ann", "mfa_enabled": "true"}])
    SourceFreshness.objects.update(max_age_days=7)
    load([{"login": "ann", "mfa_enabled": "true"}])
    assert set(SourceFreshness.objects.values_list("max_age_days", flat=True)) == {7}


def test_old_groups_of_a_source_are_named_the_oldest_first():
    okta = make_source()
    read(okta, "profile", 13, max_age=None)
    read(okta, "factors", 15, max_age=None)
    read(okta, "roles", 20, max_age=30)
    read(okta, "risk", 40, max_age=30)
    found = outdated_groups(timezone.now())
    assert [each.group for each in found[okta.pk]] == ["risk", "factors"]


# --- Which groups a check reads -----------------------------------------------------------------------


def test_every_fact_and_field_that_is_named_exists():
    assert {field.name for field in User._meta.get_fields()} >= GROUP_OF_FACT.keys()
    assert set(FIELDS) >= GROUP_OF_FIELD.keys()


def test_the_groups_of_a_condition_are_those_of_its_facts():
    nested = Q(enabled=True) & (Q(last_sign_in_at__lt=OLD) | ~Q(admin=False))
    assert groups_read(nested) == {FieldGroup.PROFILE, FieldGroup.SIGN_IN, FieldGroup.ROLES}
    assert groups_read(Q()) == {FieldGroup.PROFILE}


def test_the_stale_users_of_some_groups_can_be_asked_for():
    okta = make_source()
    ann = fail("ann@example.com", okta)
    assert not User.objects.filter(pk__in=stale_users({FieldGroup.FACTORS}, timezone.now())).exists()
    read(okta, "factors", 15)
    assert User.objects.get(pk__in=stale_users({FieldGroup.FACTORS}, timezone.now())) == ann
    assert not User.objects.filter(pk__in=stale_users({FieldGroup.RISK}, timezone.now())).exists()
