"""Pushed users become accounts: what was not pushed is unknown, and nothing is lost or deleted by silence."""

from datetime import timedelta

import pytest
from django.utils import timezone

from checks.models import Account, FieldGroup, Import, SourceFreshness, User
from checks.services import ImportRefused
from cii_project.scim import importing
from cii_project.sync.tasks import sweep_syncs
from integrations.models import ScimResource, SourceConnection
from tests.scim.worlds import CHECKS, ENTERPRISE, Sender, account, connect

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_pushed_user_becomes_an_account(sender):
    made = sender.create(
        userName="Ann@Example.com",
        displayName="Ann Ames",
        name={"givenName": "Ann", "familyName": "Ames"},
        title="Clerk",
        active=True,
        locale="en-GB",
        userType="Employee",
        emails=[
            {"value": "home@example.com", "type": "home"},
            {"value": "ann@example.com", "type": "work", "primary": True},
        ],
        phoneNumbers=[{"value": "+15550100", "type": "work"}, {"value": "+15550101", "type": "mobile"}],
        **{ENTERPRISE: {"employeeNumber": "1001", "department": "Finance", "organization": "Example"}},
    )
    assert sender.imported() == 1
    found = account("ann@example.com")
    assert found.source_key == made["id"]
    assert (found.display_name, found.first_name, found.last_name) == ("Ann Ames", "Ann", "Ames")
    assert (found.email, found.phone, found.locale) == ("ann@example.com", "+15550101", "en-GB")
    assert (found.employee_id, found.department, found.company, found.title) == (
        "1001",
        "Finance",
        "Example",
        "Clerk",
    )
    assert (found.status, found.user_type) == ("active", "internal")


def test_what_was_not_pushed_is_unknown(sender):
    sender.create()
    sender.imported()
    found = account("ann@example.com")
    assert (found.status, found.user_type, found.manager) == (None, None, None)
    assert (found.mfa, found.is_admin, found.groups, found.last_sign_in_known) == (None, None, None, False)


def test_the_projects_extension_says_what_checks_read(sender):
    sender.create(
        **{
            CHECKS: {
                "status": "locked_out",
                "owner": "boss@example.com",
                "lastSignInAt": "2026-11-02T08:30:00Z",
                "createdAt": "2024-03-01T00:00:00Z",
                "passwordNeverExpires": False,
                "mfaFactors": [{"kind": "sms", "device": "+15550100"}],
                "adminRoles": ["Super Administrator"],
                "failedSignIns": 3,
            }
        }
    )
    sender.imported()
    found = account("ann@example.com")
    assert (found.status, found.owner, found.failed_sign_ins) == ("locked_out", "boss@example.com", 3)
    assert (found.mfa, found.is_admin, found.password_never_expires) == (True, True, False)
    assert found.last_sign_in_at.isoformat() == "2026-11-02T08:30:00+00:00"


def test_an_empty_list_is_none_and_a_removed_one_unknown(sender):
    made = sender.create(**{CHECKS: {"mfaFactors": [], "adminRoles": [], "neverSignedIn": True}})
    sender.imported()
    found = account("ann@example.com")
    assert (found.mfa, found.is_admin) == (False, False)
    assert (found.last_sign_in_known, found.last_sign_in_at) == (True, None)
    sender.patch(f"Users/{made['id']}", {"op": "remove", "path": f"{CHECKS}:mfaFactors"})
    sender.imported()
    found = account("ann@example.com")
    assert (found.mfa, found.is_admin) == (None, False)


def test_a_user_who_is_deactivated_is_disabled_and_one_who_is_deleted_deleted(sender):
    ann, bob = sender.create(active=True), sender.create(userName="bob@example.com", active=True)
    sender.imported()
    sender.patch(f"Users/{ann['id']}", {"op": "replace", "value": {"active": False}})
    sender.send("DELETE", f"Users/{bob['id']}")
    sender.imported()
    assert account("ann@example.com").status == "disabled"
    assert account("bob@example.com").status == "deleted"
    assert not ScimResource.objects.filter(is_deleted=True).exists()


def test_a_user_who_was_deleted_before_the_import_leaves_no_account(sender):
    made = sender.create()
    sender.send("DELETE", f"Users/{made['id']}")
    sender.imported()
    assert not Account.objects.exists()
    assert not ScimResource.objects.exists()


def test_a_login_that_another_user_takes_over_is_another_account(sender):
    old = sender.create(active=True)
    sender.imported()
    sender.send("DELETE", f"Users/{old['id']}")
    new = sender.create(active=True)
    sender.imported()
    states = dict(Account.objects.values_list("source_key", "status"))
    assert states == {old["id"]: "deleted", new["id"]: "active"}


def test_a_renamed_user_keeps_account_and_user(sender):
    made = sender.create(active=True)
    sender.imported()
    before = User.objects.get().pk
    sender.patch(f"Users/{made['id']}", {"op": "replace", "path": "userName", "value": "ann.new@example.com"})
    sender.imported()
    assert account("ann.new@example.com").user_id == User.objects.get().pk == before


def test_a_manager_is_named_by_the_login_of_the_pushed_user(sender):
    boss = sender.create(userName="boss@example.com")
    sender.create(**{ENTERPRISE: {"manager": {"value": boss["id"]}}})
    sender.create(userName="cem@example.com", **{ENTERPRISE: {"manager": "boss@example.com"}})
    sender.imported()
    assert account("ann@example.com").manager == account("cem@example.com").manager == "boss@example.com"
    sender.patch(f"Users/{boss['id']}", {"op": "replace", "path": "userName", "value": "chief@example.com"})
    assert sender.imported() == 2
    assert account("ann@example.com").manager == "chief@example.com"


def test_groups_are_those_that_were_pushed(sender):
    made = sender.create()
    group = sender.create_group("Payroll", made["id"])
    sender.create_group("Everyone", made["id"])
    sender.imported()
    assert account("ann@example.com").groups == ["Everyone", "Payroll"]
    sender.patch(f"Groups/{group['id']}", {"op": "replace", "path": "displayName", "value": "Salaries"})
    sender.imported()
    assert account("ann@example.com").groups == ["Everyone", "Salaries"]
    sender.send("DELETE", f"Groups/{group['id']}")
    sender.imported()
    assert account("ann@example.com").groups == ["Everyone"]


def test_silence_changes_nothing(sender):
    """Only what changed is imported; no import is a full one."""
    sender.create(active=True)
    sender.imported()
    sender.create(userName="bob@example.com", active=True)
    assert sender.imported() == 1
    assert sender.imported() == 0
    assert account("ann@example.com").status == "active"
    assert set(Import.objects.values_list("full", flat=True)) == {False}


def test_the_profile_has_no_maximum_age_and_a_sign_in_has(sender):
    sender.create(**{CHECKS: {"lastSignInAt": "2026-11-02T08:30:00Z"}})
    sender.imported()
    ages = dict(SourceFreshness.objects.values_list("group", "max_age_days"))
    assert ages == {FieldGroup.PROFILE: None, FieldGroup.SIGN_IN: 14}


def test_an_account_that_came_later_is_as_fresh_as_its_push(sender):
    sender.create(**{CHECKS: {"lastSignInAt": "2026-11-02T08:30:00Z"}})
    sender.imported()
    long_ago = timezone.now() - timedelta(days=60)
    SourceFreshness.objects.update(as_of=long_ago)
    sender.create(userName="bob@example.com", **{CHECKS: {"lastSignInAt": "2026-11-02T08:30:00Z"}})
    sender.imported()
    group = account("bob@example.com").freshness.get(group=FieldGroup.SIGN_IN)
    assert group.as_of > long_ago + timedelta(days=59)


def test_what_a_killed_worker_had_read_is_read_again(sender, monkeypatch):
    sender.create()

    def killed(*args, **options):
        raise SystemExit

    monkeypatch.setattr(importing, "mark_imported", killed)
    with pytest.raises(SystemExit):
        sender.imported()
    monkeypatch.undo()
    assert sender.imported() == 1
    assert Account.objects.count() == 1


def test_a_change_during_the_import_is_imported_next(sender, monkeypatch):
    made = sender.create(title="Clerk")
    original = importing.import_accounts

    def import_slowly(*args, **options):
        done = original(*args, **options)
        sender.patch(f"Users/{made['id']}", {"op": "replace", "path": "title", "value": "Chief"})
        return done

    monkeypatch.setattr(importing, "import_accounts", import_slowly)
    sender.imported()
    monkeypatch.undo()
    assert account("ann@example.com").title == "Clerk"
    sender.imported()
    assert account("ann@example.com").title == "Chief"


def test_the_sweep_queues_what_waits_and_one_worker_imports_it(sender, monkeypatch):
    sender.create()
    queued = []
    monkeypatch.setattr(importing, "request_task", lambda task, *args: queued.append((task, *args)))
    sweep_syncs()
    assert queued == [(importing.TASK, str(sender.connection.pk))]
    SourceConnection.objects.update(push_claimed_until=timezone.now() + timedelta(minutes=1))
    assert importing.import_pushes(queued[0][1]) == "another worker imports"
    SourceConnection.objects.update(push_claimed_until=timezone.now() - timedelta(minutes=1))
    assert importing.import_pushes(queued[0][1]) == "1 users"
    assert importing.request_imports() == 0


def test_an_import_that_has_to_wait_keeps_what_was_pushed(sender, monkeypatch):
    sender.create()

    def refuse(*args, **options):
        raise ImportRefused("another import into push finished while this one was reading")

    monkeypatch.setattr(importing, "import_accounts", refuse)
    assert importing.import_pushes(str(sender.connection.pk)) == "waits"
    monkeypatch.undo()
    assert sender.imported() == 1


def test_a_paused_source_stores_what_is_pushed(sender):
    SourceConnection.objects.update(state=SourceConnection.State.PAUSED)
    sender.create()
    assert importing.request_imports() == 0
    assert sender.imported() == 0
    SourceConnection.objects.update(state=SourceConnection.State.ACTIVE)
    assert sender.imported() == 1


def test_an_hr_system_can_push(db):
    sender = Sender(*connect("hr", kind="hr"))
    sender.create(active=False, **{ENTERPRISE: {"employeeNumber": "1001"}})
    sender.imported()
    assert account("ann@example.com").status == "disabled"
