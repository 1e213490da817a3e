"""``manage.py reread_accounts``: what an earlier version stored is read by the present rules."""

import io
from datetime import UTC, datetime
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from checks.models import Account, User
from tests.checks.imports import load, source

pytestmark = pytest.mark.django_db

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def run(*options: str) -> str:
    out = io.StringIO()
    call_command("reread_accounts", *options, stdout=out)
    return out.getvalue()


def stored(**values: Any) -> None:
    """An account with values as an earlier version stored them, and with what it derived from them."""
    load([{"login": "kim", "status": "active", "created_at": "2020-01-01"}])
    Account.objects.update(**values)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({"mfa_factors": [{"kind": "None"}], "mfa": True}, {"mfa_factors": [], "mfa": False}),
        (
            {"mfa_factors": [{"kind": "sms", "device": "disabled"}], "mfa": True},
            {"mfa_factors": [], "mfa": False},
        ),
        ({"mfa_factors": [{"kind": "System.Object[]"}], "mfa": True}, {"mfa_factors": None, "mfa": None}),
        (
            {"mfa_factors": [{"kind": "mobilePhone, email"}], "mfa": True},
            {"mfa_factors": [{"kind": "phone"}], "mfa": True, "assurance": 1},
        ),
        (
            {"mfa_factors": [{"kind": "platformCredential"}], "mfa": True},
            {"assurance": 3, "phishing_resistant": True},
        ),
        (
            {"last_sign_in_at": EPOCH, "last_sign_in_known": True},
            {"last_sign_in_at": None, "last_sign_in_known": True},
        ),
        ({"password_changed_at": datetime(1601, 1, 1, tzinfo=UTC)}, {"password_changed_at": None}),
        (
            {"last_sign_in_at": datetime(9999, 12, 31, tzinfo=UTC), "last_sign_in_known": True},
            {"last_sign_in_at": None, "last_sign_in_known": False},
        ),
        ({"admin_roles": ["n/a"], "is_admin": True}, {"admin_roles": [], "is_admin": False}),
        ({"email": "SMTP:kim@x.example", "email_key": "smtp:kim@x.example"}, {"email_key": "kim@x.example"}),
        ({"manager": "N/A", "manager_key": "n/a"}, {"manager": "", "manager_key": ""}),
        ({"department": "#REF!", "department_key": "#ref!"}, {"department": "", "department_key": ""}),
    ],
)
def test_what_was_misread_is_read_again_and_counted(before: dict[str, Any], after: dict[str, Any]) -> None:
    stored(**before)
    text = run("--dry-run")
    assert text.startswith("okta: 1 of 1 accounts would change (")
    assert Account.objects.filter(**before).exists()
    assert run() == text.replace("would change", "changed")
    assert Account.objects.values(*after).get() == after
    assert run() == "okta: 0 of 1 accounts changed\n"


@pytest.mark.parametrize(
    "misread",
    [
        # A placeholder that an earlier version took for an id.
        {"employee_id": "EMP-TBD", "employee_key": "emp-tbd"},
        # A service account with its owner's id.
        {"employee_id": "1001", "employee_key": "1001", "user_type": "service_account"},
    ],
)
def test_accounts_that_were_joined_by_mistake_are_parted_and_counted(misread: dict[str, Any]) -> None:
    person = {"login": "kim", "user_type": "internal", "employee_id": misread["employee_id"]}
    load([{**person, "status": "active"}])
    load([{"login": "svc", "status": "active"}], into="ad")
    kim = Account.objects.get(login="kim")
    Account.objects.filter(login="svc").update(user_id=kim.user_id, join_reason="employee_id", **misread)
    Account.objects.filter(login="kim").update(employee_key=misread["employee_key"])
    said = run("--dry-run")
    assert "; accounts that would get another user: 1\n" in said
    assert len(set(Account.objects.values_list("user_id", flat=True))) == 1
    assert "; accounts that got another user: 1\n" in run()
    assert len(set(Account.objects.values_list("user_id", flat=True))) == 2
    assert Account.objects.get(login="kim").user_id == kim.user_id
    assert "another user" not in run()


def test_the_facts_of_the_user_follow() -> None:
    stored(mfa_factors=[{"kind": "none"}], mfa=True)
    run()
    assert User.objects.get().no_mfa_since is not None


def test_the_next_import_of_the_record_reads_it_whole() -> None:
    stored(mfa_factors=[{"kind": "none"}], mfa=True)
    run()
    done = load([{"login": "kim", "status": "active", "created_at": "2020-01-01"}])
    assert (done.changed, Account.objects.get().mfa_factors) == (1, [])


def test_only_the_named_source_is_read() -> None:
    source("entra")
    stored(mfa_factors=[{"kind": "none"}], mfa=True)
    assert run("--source", "entra") == "entra: 0 of 0 accounts changed\n"
    with pytest.raises(CommandError, match=r"Unknown source “x”. The sources are: entra, okta."):
        run("--source", "x")


@pytest.mark.parametrize("manager", ["77", "CN=Big Boss,OU=Staff,DC=x,DC=example"])
def test_a_manager_that_was_resolved_stays_resolved(manager: str) -> None:
    load(
        [
            {"login": "kim", "manager": manager},
            {"login": "boss", "employee_id": "0077", "display_name": "Big Boss"},
        ]
    )
    boss = User.objects.get(login="boss")
    run()
    assert User.objects.get(login="kim").manager == boss


def test_accounts_that_leading_zeros_kept_apart_are_joined() -> None:
    load([{"login": "kim", "email": "kim@x.org", "employee_id": "1001"}])
    load([{"login": "w1", "email": "kim@x.org", "employee_id": "001001"}], "hr", "hr")
    first, second = Account.objects.order_by("pk")
    # As an earlier version stored them.
    second.user = User.objects.create(login="w1", name="w1")
    second.save()
    run()
    assert len(set(Account.objects.values_list("user", flat=True))) == 1
    assert Account.objects.get(pk=first.pk).user_id == first.user_id


def test_the_mark_of_a_spreadsheets_text_leaves_the_key_of_an_employee_id() -> None:
    stored(employee_id='="001001"', employee_key='="001001"')
    run()
    assert Account.objects.get().employee_key == "001001"
