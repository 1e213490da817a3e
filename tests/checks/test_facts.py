"""Every fact of a user, against accounts made by hand. Each case: the records of one person, by source
(``hr`` is an HR source, all others identity sources), and the facts that follow."""

from datetime import UTC, datetime
from typing import Any

import pytest
from django.db import connection

from checks.importing import fact_statements, facts
from checks.models import Account, User
from tests.checks.imports import Row, load

pytestmark = pytest.mark.django_db
ALWAYS = datetime(1970, 1, 1, tzinfo=UTC)
ANN = {"login": "ann@x.org"}


def day(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def user_of(accounts: dict[str, Row]) -> User:
    for slug, row in accounts.items():
        load([ANN | row], slug, "hr" if slug.startswith("hr") else "identity")
    return User.objects.get()


CASES: dict[str, tuple[dict[str, Row], dict[str, Any]]] = {
    # Who the user is.
    "an active account protects and enables": (
        {"a": {"status": "active"}},
        {"protected": True, "enabled": True},
    ),
    "all identity accounts disabled or gone: neither, though HR is active": (
        {"a": {"status": "disabled"}, "b": {"status": "deprovisioned"}, "hr": {"status": "active"}},
        {"protected": False, "enabled": False},
    ),
    "a suspended account is protected and not enabled": (
        {"a": {"status": "suspended"}},
        {"protected": True, "enabled": False},
    ),
    "an unknown status is not disabled and leaves enabled open": (
        {"a": {}, "b": {"status": "disabled"}},
        {"protected": True, "enabled": None},
    ),
    "an enabled account outweighs an unknown one": (
        {"a": {}, "b": {"status": "locked_out"}},
        {"enabled": True},
    ),
    "who only HR knows is protected and not enabled": (
        {"hr": {"status": "active"}},
        {"protected": True, "enabled": False, "in_hr": True},
    ),
    "a room is not protected": (
        {"a": {"status": "active", "user_type": "conference_room"}},
        {"protected": False, "internal": False},
    ),
    "a deleted room says nothing": (
        {"a": {"status": "active"}, "b": {"status": "deleted", "user_type": "equipment"}},
        {"protected": True, "internal": None},
    ),
    "one service account makes a non-human identity": (
        {
            "a": {"user_type": "internal", "employee_id": "7"},
            "b": {"user_type": "service_account", "employee_id": "7"},
        },
        {"nhi": True, "guest": False, "internal": False},
    ),
    "an employee id that joins nobody leaves HR unknown": (
        {"a": {"employee_id": "00000000"}},
        {"hr_unknown": True, "in_hr": False},
    ),
    "with HR's record, by another key, HR is known": (
        {"a": {"employee_id": "TBD"}, "hr": {"status": "active"}},
        {"hr_unknown": False, "in_hr": True},
    ),
    "a shared mailbox is non-human": ({"a": {"user_type": "shared_mailbox"}}, {"nhi": True}),
    "one external account makes a guest": (
        {"a": {"user_type": "internal"}, "b": {"user_type": "contractor"}},
        {"guest": True, "internal": False, "nhi": False},
    ),
    "internal where one says so and the other gives none": (
        {"a": {"user_type": "internal"}, "b": {"user_type": ""}},
        {"internal": True, "guest": False},
    ),
    "no type at all leaves internal open": ({"a": {"user_type": ""}}, {"internal": None}),
    "one role makes an administrator": (
        {"a": {"admin_roles": []}, "b": {"admin_roles": ["Owner"]}},
        {"admin": True},
    ),
    "no account that can say: administrator unknown": ({"a": {}}, {"admin": None}),
    "one that says none is enough for no": ({"a": {}, "b": {"admin_roles": None}}, {"admin": False}),
    "a deleted account's role does not count": (
        {"a": {"admin_roles": []}, "b": {"admin_roles": ["Owner"], "status": "deleted"}},
        {"admin": False},
    ),
    "the oldest creation of an identity account": (
        {
            "a": {"created_at": "2024-02-01"},
            "b": {"created_at": "2024-01-01"},
            "c": {},
            "hr": {"created_at": "2000-01-01"},
        },
        {"created_at": day("2024-01-01")},
    ),
    # Sign-in.
    "the latest sign-in and its country": (
        {
            "a": {"last_sign_in_at": "2026-01-01T10:00:00Z", "last_sign_in_country": "DE"},
            "b": {"last_sign_in_at": "2026-01-01T10:00:00.5Z", "last_sign_in_country": "FR"},
            "hr": {"last_sign_in_at": "2026-05-01", "last_sign_in_country": "US"},
        },
        {
            "last_sign_in_at": datetime(2026, 1, 1, 10, 0, 0, 500_000, tzinfo=UTC),
            "last_sign_in_country": "FR",
            "last_sign_in_known": True,
        },
    ),
    "the latest sign-in without a country has none": (
        {
            "a": {"last_sign_in_at": "2026-01-01", "last_sign_in_country": "DE"},
            "b": {"last_sign_in_at": "2026-02-01"},
        },
        {"last_sign_in_at": day("2026-02-01"), "last_sign_in_country": ""},
    ),
    "never signed in is known": (
        {"a": {"last_sign_in_at": None}, "b": {}},
        {"last_sign_in_at": None, "last_sign_in_known": True},
    ),
    "a sign-in that nobody tells is unknown": (
        {"a": {}, "b": {"last_sign_in_at": "unknown"}},
        {"last_sign_in_at": None, "last_sign_in_known": False},
    ),
    "failed sign-ins add up": (
        {"a": {"failed_sign_ins": 2}, "b": {"failed_sign_ins": "3"}, "c": {}},
        {"failed_sign_ins": 5},
    ),
    "failed sign-ins that nobody counts are unknown": ({"a": {}}, {"failed_sign_ins": None}),
    # MFA.
    "accounts without MFA, from the oldest to the youngest": (
        {
            "a": {"status": "active", "mfa_factors": [], "created_at": "2024-01-01"},
            "b": {"status": "active", "mfa_enabled": False, "created_at": "2025-01-01"},
            "c": {"status": "active", "mfa_enabled": True, "created_at": "2023-01-01"},
        },
        {
            "has_mfa": True,
            "no_mfa_since": day("2024-01-01"),
            "no_mfa_latest": day("2025-01-01"),
            "mfa_unknown_since": None,
        },
    ),
    "an unknown creation is no grace": (
        {"a": {"status": "active", "mfa_factors": []}},
        {"no_mfa_since": ALWAYS, "no_mfa_latest": ALWAYS},
    ),
    "accounts that cannot sign in are not evaluated": (
        {
            "a": {"status": "active", "mfa_enabled": True},
            "b": {"status": "suspended", "mfa_enabled": False, "password_never_expires": True},
            "hr": {"status": "active", "mfa_enabled": False, "mfa_bypass": True},
        },
        {"no_mfa_since": None, "has_mfa": True, "password_never_expires": None, "mfa_bypass": None},
    ),
    "MFA that nobody tells is unknown, not missing": (
        {"a": {"status": "active", "created_at": "2024-01-01"}},
        {
            "no_mfa_since": None,
            "mfa_unknown_since": day("2024-01-01"),
            "weak_unknown_since": day("2024-01-01"),
            "resistant_unknown_since": day("2024-01-01"),
        },
    ),
    "only low factors are weak": (
        {"a": {"status": "active", "mfa_factors": "sms:+1555|email", "created_at": "2024-01-01"}},
        {
            "weak_mfa_since": day("2024-01-01"),
            "not_resistant_since": day("2024-01-01"),
            "weak_unknown_since": None,
            "resistant_unknown_since": None,
            "has_mfa": True,
        },
    ),
    "an app beside SMS is not weak, nor phishing-resistant": (
        {"a": {"status": "active", "mfa_factors": "sms|push"}},
        {"weak_mfa_since": None, "not_resistant_since": ALWAYS},
    ),
    "a passkey is phishing-resistant": (
        {"a": {"status": "active", "mfa_factors": "passkey|sms"}},
        {"weak_mfa_since": None, "not_resistant_since": None, "resistant_unknown_since": None},
    ),
    "an unrecognised kind leaves weakness and resistance open": (
        {"a": {"status": "active", "mfa_factors": "retina|sms"}},
        {
            "has_mfa": True,
            "weak_mfa_since": None,
            "weak_unknown_since": ALWAYS,
            "not_resistant_since": None,
            "resistant_unknown_since": ALWAYS,
        },
    ),
    "beside a strong token an unrecognised kind leaves only resistance open": (
        {"a": {"status": "active", "mfa_factors": "retina|hardware otp with pin"}},
        {"weak_unknown_since": None, "resistant_unknown_since": ALWAYS},
    ),
    "an inactive factor is none": (
        {"a": {"status": "active", "mfa_factors": [{"kind": "fido2", "status": "pending"}]}},
        {"has_mfa": False, "no_mfa_since": ALWAYS, "not_resistant_since": ALWAYS, "weak_mfa_since": None},
    ),
    "no factor is not a weak factor": (
        {"a": {"status": "active", "mfa_enabled": False, "mfa_factors": "sms"}},
        {"no_mfa_since": ALWAYS, "weak_mfa_since": None, "not_resistant_since": ALWAYS},
    ),
    # Flags and passwords.
    "one account with a flag outweighs those that cannot say": (
        {
            "a": {"status": "active", "mfa_bypass": True, "password_never_expires": "yes"},
            "b": {"status": "active"},
        },
        {"mfa_bypass": True, "password_never_expires": True},
    ),
    "flags denied by all are false": (
        {"a": {"status": "active", "mfa_bypass": False, "password_never_expires": 0}},
        {"mfa_bypass": False, "password_never_expires": False},
    ),
    "without an enabled account flags are false": (
        {"a": {"status": "disabled"}},
        {"mfa_bypass": False, "password_never_expires": False, "password_unknown": False},
    ),
    "an account of unknown status leaves open what it would fail if it were enabled": (
        {
            "a": {
                "created_at": "2024-01-01",
                "mfa_enabled": False,
                "mfa_bypass": True,
                "password_never_expires": True,
                "password_changed_at": "2024-01-01",
            }
        },
        {
            "has_mfa": False,
            "no_mfa_since": None,
            "mfa_unknown_since": day("2024-01-01"),
            "resistant_unknown_since": day("2024-01-01"),
            "weak_unknown_since": None,
            "mfa_bypass": None,
            "password_never_expires": None,
            "password_changed_at": None,
            "password_unknown": True,
            "stuck_unknown": True,
        },
    ),
    "weak factors of an account of unknown status leave open whether they are weak": (
        {"a": {"created_at": "2024-01-01", "mfa_factors": "sms"}},
        {
            "mfa_unknown_since": None,
            "weak_mfa_since": None,
            "weak_unknown_since": day("2024-01-01"),
            "resistant_unknown_since": day("2024-01-01"),
        },
    ),
    "an account of unknown status that would pass leaves nothing open": (
        {"a": {"mfa_factors": "fido2", "mfa_bypass": False, "password_never_expires": False}},
        {
            "mfa_unknown_since": None,
            "weak_unknown_since": None,
            "resistant_unknown_since": None,
            "mfa_bypass": False,
            "password_never_expires": False,
        },
    ),
    "the oldest password counts": (
        {
            "a": {"status": "active", "password_changed_at": "2025-01-01"},
            "b": {"status": "active", "password_changed_at": "2024-01-01"},
            "c": {"status": "active"},
        },
        {"password_changed_at": day("2024-01-01"), "password_unknown": True},
    ),
    # What the sources say of one another.
    "one source without a type": (
        {"a": {"user_type": "internal"}, "b": {"user_type": ""}},
        {"type_missing": True, "type_inconsistent": False},
    ),
    "a source that has no such field leaves it open": (
        {"a": {"user_type": "internal"}, "b": {}},
        {"type_missing": None, "type_inconsistent": None},
    ),
    "types all given": (
        {"a": {"user_type": "internal"}},
        {"type_missing": False, "type_inconsistent": False},
    ),
    "one account alone cannot disagree": (
        {"a": {}},
        {"type_inconsistent": False, "status_inconsistent": False},
    ),
    "types that differ, HR's included": (
        {"a": {"user_type": "internal"}, "b": {}, "hr": {"user_type": "external"}},
        {"type_inconsistent": True},
    ),
    "two that agree are consistent whatever a third cannot say": (
        {"a": {"user_type": "internal"}, "b": {"user_type": "Member"}, "c": {}},
        {"type_inconsistent": False},
    ),
    "active here, suspended there": (
        {"a": {"status": "active"}, "b": {"status": "suspended"}},
        {"status_inconsistent": True},
    ),
    "active and locked out do not contradict": (
        {"a": {"status": "active"}, "b": {"status": "locked_out"}},
        {"status_inconsistent": False},
    ),
    "active and unknown may contradict": (
        {"a": {"status": "active"}, "b": {}},
        {"status_inconsistent": None},
    ),
    "stuck since the oldest change of status": (
        {
            "a": {"status": "staged", "status_changed_at": "2025-01-01"},
            "b": {"status": "locked_out", "status_changed_at": "2024-01-01"},
            "c": {"status": "active", "status_changed_at": "2020-01-01"},
        },
        {"stuck_since": day("2024-01-01"), "stuck_unknown": False},
    ),
    "stuck since who knows when": (
        {"a": {"status": "recovery"}},
        {"stuck_since": None, "stuck_unknown": True},
    ),
    # HR.
    "active in HR": (
        {"a": {}, "hr": {"status": "active"}},
        {"in_hr": True, "terminated_since": None, "hr_status_unknown": False},
    ),
    "terminated in HR": (
        {"a": {}, "hr": {"status": "terminated", "status_changed_at": "2025-03-01"}},
        {"terminated_since": day("2025-03-01"), "in_hr": True},
    ),
    "terminated without a date": ({"a": {}, "hr": {"status": "terminated"}}, {"terminated_since": ALWAYS}),
    "on leave in HR is employed": (
        {"a": {"status": "suspended"}, "hr": {"status": "On Leave", "status_changed_at": "2025-03-01"}},
        {"terminated_since": None, "in_hr": True, "hr_status_unknown": False, "status_inconsistent": False},
    ),
    "on leave in HR does not contradict an active account": (
        {"a": {"status": "active"}, "hr": {"status": "on_leave"}},
        {"terminated_since": None, "status_inconsistent": False, "enabled": True},
    ),
    "an identity account on leave is protected and not enabled": (
        {"a": {"status": "on_leave"}},
        {"protected": True, "enabled": False, "status": "on_leave"},
    ),
    "terminated in one HR system and active in another": (
        {"hr": {"status": "terminated"}, "hr2": {"status": "active"}},
        {"terminated_since": None},
    ),
    "an HR status that is unknown": (
        {"hr": {"status": "unknown"}},
        {"terminated_since": None, "hr_status_unknown": True},
    ),
    "unknown to HR": ({"a": {}}, {"in_hr": False, "terminated_since": None, "hr_status_unknown": False}),
    "HR and identity provider differ": (
        {
            "a": {"department": "Sales", "title": "Boss", "manager": "zoe"},
            "hr": {"department": "R&D", "title": " bOSS ", "manager": "max"},
        },
        {"hr_department_differs": True, "hr_title_differs": False, "hr_manager_differs": True},
    ),
    "letters beyond ASCII fold too": (
        {"a": {"department": "Ärzte"}, "hr": {"department": "ärzte"}},
        {"hr_department_differs": False},
    ),
    "nothing to compare": (
        {"a": {"department": "Sales"}, "hr": {"title": "Boss"}},
        {"hr_department_differs": None, "hr_title_differs": None, "hr_manager_differs": None},
    ),
    "managers named in two ways are compared as users": (
        {
            "a": {"employee_id": "7", "manager": "7"},
            "hr": {"employee_id": "7", "manager": "ANN@x.org"},
        },
        {"hr_manager_differs": False, "manager_given": True},
    ),
    "a manager field that is empty is none": (
        {"a": {"manager": "", "owner": None}},
        {"manager_given": False, "owner_given": False, "manager": None},
    ),
    "a manager field that is missing is unknown": (
        {"a": {"owner": "unknown"}},
        {"manager_given": None, "owner_given": None},
    ),
    "a manager nobody knows is given and not resolved": (
        {"a": {"manager": "nobody", "owner": "nobody"}},
        {"manager_given": True, "manager": None, "manager_enabled": None, "owner_given": True, "owner": None},
    ),
    # The rest.
    "the application unused for longest": (
        {
            "a": {"applications": "Jira=2025-05-01|Wiki=2025-04-01"},
            "b": {"applications": [{"name": "Figma", "last_used_at": "2025-06-01"}]},
        },
        {"app_unused_since": day("2025-04-01"), "applications_unknown": False},
    ),
    "an application never used counts from the creation": (
        {"a": {"applications": "Figma=", "created_at": "2025-01-01"}},
        {"app_unused_since": day("2025-01-01")},
    ),
    "an application without a date leaves the others": (
        {"a": {"applications": "Slack|Jira=2025-05-01"}},
        {"app_unused_since": day("2025-05-01"), "applications_unknown": True},
    ),
    "forwarding": ({"a": {"forwarding": "x@else.org"}, "b": {}}, {"forwards": True}),
    "no forwarding": ({"a": {"forwarding": ""}}, {"forwards": False}),
    "forwarding unknown": ({"a": {"forwarding": []}, "b": {}}, {"forwards": None}),
    "exposed credentials": ({"a": {"credentials_exposed": 1}, "b": {}}, {"credentials_exposed": True}),
    "exposure unknown": ({"a": {"credentials_exposed": 0}, "b": {}}, {"credentials_exposed": None}),
    "no exposure": ({"a": {"credentials_exposed": "no"}}, {"credentials_exposed": False}),
    # Profile.
    "the e-mail names the user": (
        {"a": {"email": "Ann@Corp.Example"}},
        {"name": "Ann@Corp.Example", "domain": "corp.example", "login": "ann@x.org"},
    ),
    "identity accounts come first, HR fills in": (
        {
            "hr": {
                "employee_id": "7",
                "department": "HR says",
                "title": "HR title",
                "phone": "1",
                "locale": "de-CH",
            },
            "a": {"employee_id": "7", "department": "A says", "first_name": "Ann", "last_name": "Lee"},
        },
        {
            "department": "A says",
            "title": "HR title",
            "employee_id": "7",
            "phone": "1",
            "locale": "de-CH",
            "display_name": "Ann Lee",
        },
    ),
}


@pytest.mark.parametrize(("accounts", "expected"), CASES.values(), ids=CASES)
def test_fact(accounts: dict[str, Row], expected: dict[str, Any]) -> None:
    user = user_of(accounts)
    assert {name: getattr(user, name) for name in expected} == expected


def test_every_fact_has_a_case() -> None:
    written = {name.removesuffix("_id") for name in fact_statements.FACTS} | {
        "name",
        "domain",
        "manager_enabled",
    }
    shown = {name for _, expected in CASES.values() for name in expected}
    # Plain copies of an account's own column.
    assert written - shown <= {"email", "company", "user_type", "status", "employee_key", "employee"}


def test_the_statement_of_the_facts_is_whole_and_gives_each_fact_once() -> None:
    with connection.cursor() as cursor:
        cursor.execute("CREATE TEMPORARY TABLE touched_for_test AS SELECT 1 AS user_id")
        cursor.execute("CREATE TEMPORARY TABLE named_users (name varchar(320), user_id bigint)")
        cursor.execute(fact_statements.aggregate_accounts("touched_for_test"))
        columns = [column[0] for column in cursor.description]
        assert columns == ["user_id", *fact_statements.FACTS]
        cursor.execute(f"EXPLAIN {fact_statements.aggregate_accounts('touched_for_test')}")
        assert cursor.fetchall()
        cursor.execute("DROP TABLE named_users")
        cursor.execute("DROP TABLE touched_for_test")


def test_a_manager_imported_later_is_found_and_followed() -> None:
    load([{"login": "ann", "manager": "BOSS@x.org", "owner": "boss@X.org"}])
    assert User.objects.get().manager is None
    load([{"login": "b", "email": "boss@x.org", "status": "active"}], "entra")
    ann, boss = User.objects.get(login="ann"), User.objects.get(login="b")
    assert (ann.manager, ann.owner, ann.manager_enabled) == (boss, boss, True)
    load([{"login": "b", "email": "boss@x.org", "status": "disabled"}], "entra")
    ann.refresh_from_db()
    assert ann.manager_enabled is False
    load([{"login": "b", "email": "new@x.org", "status": "disabled"}], "entra")
    ann.refresh_from_db()
    assert (ann.manager, ann.manager_enabled) == (None, None)


def test_hr_says_who_the_manager_is() -> None:
    load([{"login": "zoe"}, {"login": "max"}, {"login": "ann", "employee_id": "1", "manager": "zoe"}])
    load([{"login": "w1", "employee_id": "1", "manager": "max"}], "workday", "hr")
    assert User.objects.get(login="ann").manager == User.objects.get(login="max")


def test_a_device_of_two_users_is_shared_until_one_lets_go() -> None:
    load([{"login": "a", "mfa_factors": "sms:+1 (555) 01"}, {"login": "b", "mfa_factors": "voice:001555-01"}])
    load([{"login": "c", "mfa_factors": "push:PIXEL-9"}])
    shared = dict(User.objects.values_list("login", "shared_with"))
    assert shared == {"a": 2, "b": 2, "c": 0}
    load([{"login": "b", "mfa_factors": "sms:+2"}])
    assert set(User.objects.values_list("shared_with", flat=True)) == {0}


def test_masked_numbers_and_inactive_factors_are_shared_by_nobody() -> None:
    load(
        [
            {"login": "a", "mfa_factors": "sms:+1 XXX-XXX-0100"},
            {"login": "b", "mfa_factors": "sms:+1 XXX-XXX-0100"},
        ]
    )
    device = [{"kind": "push", "device": "p", "status": "inactive"}]
    load([{"login": "c", "mfa_factors": device}, {"login": "d", "mfa_factors": device}])
    assert set(User.objects.values_list("shared_with", flat=True)) == {0}


def test_refreshing_all_after_an_import_changes_nothing() -> None:
    rows = [{"login": f"u{i}", "manager": f"u{i // 2}", "mfa_factors": "sms:+1"} for i in range(7)]
    load(rows)
    before = list(User.objects.order_by("pk").values())
    facts.refresh_users(User.objects.values_list("pk", flat=True))
    assert list(User.objects.order_by("pk").values()) == before


def test_refreshing_all_mends_facts_that_were_lost() -> None:
    user = user_of({"a": {"status": "active", "mfa_factors": "sms"}})
    User.objects.update(enabled=None, has_mfa=False, name="?", weak_mfa_since=None)
    facts.refresh_users(User.objects.values_list("pk", flat=True))
    mended = User.objects.values().get()
    assert mended == {**mended, "enabled": True, "has_mfa": True, "name": user.name, "weak_mfa_since": ALWAYS}


def test_who_lost_all_accounts_keeps_the_name_and_no_facts() -> None:
    user = user_of({"a": {"status": "active", "email": "ann@x.org"}})
    Account.objects.update(user=None)
    facts.refresh_users([user.pk])
    user.refresh_from_db()
    assert (user.name, user.protected, user.enabled) == ("ann@x.org", False, False)
