"""Commands that change something are recorded with the operating system's user, the host and what came of it."""

import os
import platform
import pwd

import pytest
from django.core.management import CommandError, call_command

from checks.models import Check
from checks.services import sync_catalogue
from cii_project.audit.models import AuditEntry

pytestmark = pytest.mark.django_db
CSV = "login,email\nann@example.com,ann@example.com\n,bob@example.com\n"


def commands():
    return list(AuditEntry.objects.filter(action="command").order_by("id"))


@pytest.fixture
def users_file(tmp_path):
    path = tmp_path / "okta.csv"
    path.write_text(CSV)
    return path


def test_the_actor_is_the_operating_systems_user_not_a_variable_of_the_environment(monkeypatch):
    for name in ("USER", "LOGNAME", "LNAME", "USERNAME"):
        monkeypatch.setenv(name, "somebody-else")
    call_command("retention")
    (entry,) = commands()
    assert (entry.actor_kind, entry.actor) == ("command", pwd.getpwuid(os.getuid()).pw_name)
    assert entry.address == platform.node()
    assert (entry.text, entry.after["exit_code"]) == ("manage.py retention", 0)


def test_an_import_that_rejects_rows_is_recorded_with_its_counts(users_file, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit):
        call_command("import_users", str(users_file), source="okta")
    (entry,) = commands()
    assert (entry.after["exit_code"], entry.after["created"], entry.after["rejected"]) == (1, 1, 1)
    assert entry.after["arguments"] == {"file": str(users_file), "source": "okta"}


def test_a_refused_command_is_recorded_with_its_exit_code():
    with pytest.raises(CommandError):
        call_command("run_checks", "no-such-check")
    (entry,) = commands()
    assert (entry.text, entry.after["exit_code"]) == ("manage.py run_checks", 2)


def test_what_a_configuration_file_changes_is_recorded_value_by_value(tmp_path):
    sync_catalogue()
    path = tmp_path / "configuration.yaml"
    path.write_text("checks:\n  no-mfa: {severity: low}\nschedule: {time: '07:30'}\n")
    before = Check.objects.get(slug="no-mfa").severity
    call_command("apply_config", str(path))
    changed = AuditEntry.objects.get(object_kind="checks.check")
    assert (changed.actor_kind, changed.before, changed.after) == (
        "command",
        {"severity": before},
        {"severity": "low"},
    )
    assert AuditEntry.objects.get(object_kind="notifications.configuration").after["run time"] == "07:30:00"
    assert commands()[0].after["changes"] == ["schedule.time: 07:30", "check no-mfa: severity"]


def test_a_dry_run_changes_nothing_and_leaves_no_entry(tmp_path):
    sync_catalogue()
    path = tmp_path / "configuration.yaml"
    path.write_text("checks:\n  no-mfa: {severity: low}\n")
    call_command("apply_config", str(path), dry_run=True)
    call_command("run_checks", dry_run=True)
    assert not AuditEntry.objects.exists()


@pytest.mark.parametrize(
    ("command", "options", "counted"),
    [
        ("run_checks", {}, {"state": "succeeded"}),
        ("rotate_keys", {}, {"secrets": 0, "upload_parts": 0}),
        ("setup", {"verbosity": 0}, {}),
        ("retention", {}, {"attempts": 0, "payloads": 0}),
    ],
)
def test_each_command_that_acts_leaves_one_entry(command, options, counted):
    sync_catalogue()
    call_command(command, **options)
    (entry,) = commands()
    assert entry.text == f"manage.py {command}"
    assert entry.after["exit_code"] == 0
    assert {name: entry.after[name] for name in counted} == counted
