"""setup, run_checks, schema, rotate_keys, retention, replay: what they do and how they end."""

import json
import os
import subprocess
import sys
import uuid
from datetime import timedelta

import pytest
from cryptography.fernet import Fernet
from django.conf import settings
from django.contrib.auth.models import Group, User as Member
from django.core.management import CommandError, call_command
from django.utils import timezone
from django_q.models import Schedule
from jsonschema import Draft202012Validator

from checks import services as check_services
from checks.catalogue import CATALOGUE
from checks.importing.accounts import import_accounts
from checks.models import Check, Finding, Run, Source
from cii_project.imports.uploads import open_upload, store_upload
from cii_project.tools.demo.folder import OWN_SETTINGS
from integrations.auth import sealing
from integrations.models import Integration
from integrations.services import save_integration, target_of
from notifications import services
from notifications.models import Attempt, Configuration, Delivery, Event, Hold

pytestmark = pytest.mark.django_db

RECORDS = [
    {
        "login": "ann",
        "email": "ann@example.com",
        "status": "active",
        "mfa_enabled": False,
        "created_at": "2020-01-01",
    },
    {
        "login": "bob",
        "email": "bob@example.com",
        "status": "active",
        "mfa_enabled": True,
        "created_at": "2020-01-01",
    },
]


def fail(login):
    """One more user who fails no-mfa."""
    records = [{**RECORDS[0], "login": login, "email": f"{login}@example.com"}]
    import_accounts(enumerate(records, start=1), source=Source.objects.get(slug="okta"), full=False)


@pytest.fixture
def users():
    check_services.sync_catalogue()
    source = Source.objects.create(slug="okta", name="Okta", provider="OKTA")
    import_accounts(enumerate(RECORDS, start=1), source=source)


@pytest.fixture
def webhook():
    document = {
        "url": "https://hook.example.com/in",
        "authorization": {"type": "basic", "username": "u", "password": "a-password"},
    }
    return save_integration(name="soar", kind="webhook", document=document).integration


def run(*arguments, **options):
    call_command("run_checks", *arguments, **options)


class TestSetup:
    def test_a_second_time_changes_nothing(self):
        call_command("setup", verbosity=0)
        before = {
            model: list(model.objects.order_by("pk").values())
            for model in (Check, Group, Schedule, Configuration, Group.permissions.through)
        }
        call_command("setup", verbosity=0)
        assert all(list(model.objects.order_by("pk").values()) == rows for model, rows in before.items())

    def test_the_catalogue_the_groups_and_the_schedules_are_there(self, capsys):
        call_command("setup", verbosity=0)
        assert set(Check.objects.values_list("slug", flat=True)) == set(CATALOGUE)
        assert {"Viewer", "Operator", "Engineer", "Administrator"} == set(
            Group.objects.values_list("name", flat=True)
        )
        assert "notifications.tasks.sweep" in Schedule.objects.values_list("func", flat=True)
        assert f"{len(CATALOGUE)} checks" in capsys.readouterr().out

    def test_the_records_are_for_superusers_and_the_audit_trail_for_administrators(self):
        call_command("setup", verbosity=0)
        permissions = {}
        for group in Group.objects.all():
            member = Member.objects.create_user(group.name)
            member.groups.add(group)
            permissions[group.name] = member.get_all_permissions()
        assert permissions == {
            "Viewer": set(),
            "Operator": set(),
            "Engineer": set(),
            "Administrator": {"audit.view_auditentry"},
        }

    def test_a_new_machine_needs_keys_and_nothing_else(self, tmp_path):
        kept = {name: value for name, value in os.environ.items() if name not in OWN_SETTINGS}
        environment = {**kept, "DATA_DIR": str(tmp_path / "data")}
        command = [sys.executable, "manage.py", "setup"]
        refused = subprocess.run(
            command, cwd=settings.BASE_DIR, env=environment, capture_output=True, text=True, check=False
        )
        assert refused.returncode != 0
        assert "SECRET_KEY is not set" in refused.stderr
        assert "FIELD_KEYS is not set" in refused.stderr
        assert "Traceback" not in refused.stderr
        environment |= {
            "SECRET_KEY": "of-these-tests-alone-0123456789-0123456789-0123456789",
            "FIELD_KEYS": Fernet.generate_key().decode(),
        }
        done = subprocess.run(
            command, cwd=settings.BASE_DIR, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        assert f"{len(CATALOGUE)} checks, 4 groups" in done.stdout
        assert (tmp_path / "data" / "db.sqlite3").exists()

    def test_what_a_person_has_set_stays(self):
        call_command("setup", verbosity=0)
        Check.objects.filter(slug="no-mfa").update(severity="low", enabled=False)
        call_command("setup", verbosity=0)
        check = Check.objects.get(slug="no-mfa")
        assert (check.severity, check.enabled) == ("low", False)


class TestRunChecks:
    def test_it_evaluates_and_prints_a_table(self, users, capsys):
        run()
        printed = capsys.readouterr().out
        assert "no-mfa" in printed
        assert f"{len(CATALOGUE)} checks:" in printed
        assert Finding.objects.filter(check_ref__slug="no-mfa").count() == 1

    def test_it_says_which_users_it_could_not_evaluate_and_why(self, capsys):
        call_command("setup", verbosity=0)
        source = Source.objects.create(slug="okta", name="Okta", provider="OKTA")
        import_accounts(enumerate([{"login": "ann", "status": "active"}], 1), source=source)
        cause = "Okta does not say whether there is MFA"
        for options in ({"dry_run": True}, {}):
            run("no-mfa", "stuck-state", **options)
            printed = capsys.readouterr().out
            assert f"no-mfa could not evaluate: 1 ({cause})" in printed
            assert "stuck-state could not" not in printed
            run("no-mfa", format="json", **options)
            (row,) = json.loads(capsys.readouterr().out)["checks"]
            assert (row["unknown"], row["causes"]) == (1, [cause])

    def test_messages_that_are_held_are_named_in_text_and_json(self, users, webhook, capsys):
        call_command("setup", verbosity=0)
        Configuration.objects.update(max_people_per_run=1, base_url="https://checks.example.com")
        fail("cid")
        services.subscribe(Check.objects.get(slug="no-mfa"), webhook, "user")
        run("no-mfa", dry_run=True)
        assert "Direct messages of a run now would be held. 2 people would get" in capsys.readouterr().out
        run("no-mfa", dry_run=True, format="json")
        forecast = json.loads(capsys.readouterr().out)["hold"]
        run("no-mfa", format="json")
        held = json.loads(capsys.readouterr().out)["hold"]
        assert (forecast["id"], held["id"]) == (None, Hold.objects.get().pk)
        assert forecast | {"id": held["id"]} == held
        assert (held["people"], held["messages"], held["max_people_per_run"]) == (2, 2, 1)
        fail("dan")
        run("no-mfa")
        printed = " ".join(capsys.readouterr().out.split())
        assert (
            "1 direct message held: nothing is sent to these people. 1 person would get direct messages; with other"
            in printed
        )
        assert f"https://checks.example.com/deliveries/held/{Hold.objects.first().pk}/" in printed

    def test_json_is_all_that_stdout_holds(self, users, capsys):
        run("no-mfa", format="json")
        document = json.loads(capsys.readouterr().out)
        assert document["state"] == "succeeded"
        (row,) = document["checks"]
        assert {
            "check": "no-mfa",
            "evaluated": 2,
            "failing": 1,
            "new": 1,
            "resolved": 0,
            "error": "",
        }.items() <= row.items()

    def test_a_dry_run_writes_nothing(self, users, capsys):
        run("no-mfa", dry_run=True, format="json")
        assert json.loads(capsys.readouterr().out)["checks"][0]["new"] == 1
        assert not Run.objects.exists()
        assert not Finding.objects.exists()

    @pytest.mark.parametrize("notify", [True, False])
    def test_notifications_are_planned_by_default(self, users, webhook, notify):
        services.subscribe(Check.objects.get(slug="no-mfa"), webhook)
        run(no_notify=not notify)
        assert Delivery.objects.count() == int(notify)

    def test_an_unknown_check_ends_with_two_and_a_suggestion(self, users):
        with pytest.raises(CommandError, match="Did you mean no-mfa") as caught:
            run("no-mfaa")
        assert caught.value.returncode == 2

    def test_a_run_under_way_ends_with_two(self, users):
        check_services.request_run(trigger="person")
        with pytest.raises(CommandError) as caught:
            run()
        assert caught.value.returncode == 2

    def test_a_check_that_cannot_run_ends_with_one_and_the_others_run(self, users, monkeypatch, capsys):
        def broken(self, s, now):
            raise RuntimeError("boom")

        monkeypatch.setattr(type(CATALOGUE["no-mfa"]), "fails", broken)
        with pytest.raises(SystemExit) as caught:
            run(format="json")
        assert caught.value.code == 1
        document = json.loads(capsys.readouterr().out)
        assert document["state"] == "partial"
        assert [row["check"] for row in document["checks"] if row["error"]] == ["no-mfa"]


class TestSchema:
    @pytest.mark.parametrize("detail_type", ["FAILED_CHECK", "DIRECT_MESSAGE", "WebhookTest"])
    def test_it_prints_a_schema_of_2020_12(self, detail_type, capsys):
        call_command("schema", detail_type)
        document = json.loads(capsys.readouterr().out)
        assert document["$schema"].endswith("2020-12/schema")
        Draft202012Validator.check_schema(document)

    def test_without_a_name_it_prints_all(self, capsys):
        call_command("schema")
        assert set(json.loads(capsys.readouterr().out)) == {
            "FAILED_CHECK",
            "CHECK_RESOLVED",
            "DIRECT_MESSAGE",
            "WebhookTest",
        }

    def test_an_unknown_one_gets_a_suggestion(self):
        with pytest.raises(CommandError, match="Did you mean FAILED_CHECK"):
            call_command("schema", "FAILED_CHECKS")


class TestRotateKeys:
    def test_secrets_open_with_the_new_key_alone_afterwards(self, webhook, settings, capsys):
        new, old = Fernet.generate_key().decode(), settings.FIELD_KEYS
        settings.FIELD_KEYS = [new, *old]
        call_command("rotate_keys")
        assert "2 secrets" in capsys.readouterr().out  # the password, the signing secret
        settings.FIELD_KEYS = [new]
        assert target_of(Integration.objects.get()).secrets["authorization"]["password"] == "a-password"
        settings.FIELD_KEYS = old
        with pytest.raises(sealing.UnsealError):
            target_of(Integration.objects.get())

    def test_files_that_wait_open_with_the_new_key_alone_afterwards(self, settings, capsys):
        source = Source.objects.create(slug="okta", name="Okta")
        content = b"login\n" + b"kim@example.com\n" * 100_000
        upload = store_upload(source, "okta.csv", [content], None)
        new, old = Fernet.generate_key().decode(), settings.FIELD_KEYS
        settings.FIELD_KEYS = [new, *old]
        call_command("rotate_keys")
        assert "2 parts of uploaded files are sealed with the first" in capsys.readouterr().out
        settings.FIELD_KEYS = [new]
        assert open_upload(upload).read() == content
        settings.FIELD_KEYS = [Fernet.generate_key().decode()]
        call_command("rotate_keys")
        assert "2 parts of uploaded files open with no key: upload" in capsys.readouterr().out

    def test_without_the_old_key_it_says_what_is_missing(self, webhook, settings):
        settings.FIELD_KEYS = [Fernet.generate_key().decode()]
        with pytest.raises(CommandError, match="Add the key that sealed it"):
            call_command("rotate_keys")


@pytest.fixture
def deliveries(users, webhook):
    """Three dead letters and one that was delivered."""
    now = timezone.now()
    event = Event.objects.create(check_ref=Check.objects.get(slug="no-mfa"), created_at=now)
    common = {"event": event, "integration": webhook, "created_at": now, "body": b"{}"}
    states = [Delivery.State.DEAD, Delivery.State.DEAD, Delivery.State.DEAD, Delivery.State.DELIVERED]
    return [
        Delivery.objects.create(state=state, batch=place, **common) for place, state in enumerate(states, 1)
    ]


class TestReplay:
    def test_dead_letters_are_due_again(self, deliveries, capsys):
        call_command("replay", "--yes")
        assert Delivery.objects.filter(state="due").count() == 3
        assert "3 deliveries match." in capsys.readouterr().out

    def test_one_by_its_id_whatever_its_state(self, deliveries):
        call_command("replay", str(deliveries[3].id), "--yes")
        assert list(Delivery.objects.filter(state="due").values_list("id", flat=True)) == [deliveries[3].id]

    @pytest.mark.parametrize(
        ("arguments", "count"),
        [
            (["--check", "no-mfa"], 3),
            (["--check", "weak-mfa-only"], 0),
            (["--integration", "SOAR"], 3),
            (["--state", "delivered"], 1),
            (["--since", "2020-01-01"], 3),
            (["--until", "2020-01-01T00:00+01:00"], 0),
        ],
    )
    def test_those_that_match(self, deliveries, arguments, count):
        call_command("replay", *arguments, "--yes")
        assert Delivery.objects.filter(state="due").count() == count

    @pytest.mark.parametrize(
        ("arguments", "said"),
        [
            (["--integration", "soa"], "Did you mean soar"),
            (["--check", "no-mf"], "Did you mean no-mfa"),
            ([str(uuid.uuid4())], "There is no delivery"),
            (["not-an-id"], "no delivery's id"),
            (["--since", "yesterday"], "such as 2026-01-31"),
        ],
    )
    def test_what_is_unknown_is_refused(self, deliveries, arguments, said):
        with pytest.raises(CommandError, match=said):
            call_command("replay", *arguments, "--yes")

    def test_without_a_terminal_it_wants_yes(self, deliveries, monkeypatch):
        monkeypatch.setattr("sys.stdin.isatty", lambda: False, raising=False)
        with pytest.raises(CommandError, match="--yes"):
            call_command("replay")
        assert not Delivery.objects.filter(state="due").exists()


class TestRetention:
    def test_it_says_what_it_removed(self, deliveries, capsys):
        long_ago = timezone.now() - timedelta(days=60)
        Delivery.objects.update(created_at=long_ago, delivered_at=long_ago, finished_at=long_ago)
        Attempt.objects.create(delivery=deliveries[3], number=1, started_at=long_ago, outcome="delivered")
        call_command("retention")
        assert "1 attempts" in capsys.readouterr().out
        assert not Attempt.objects.exists()
        assert Delivery.objects.get(id=deliveries[3].id).body is None
