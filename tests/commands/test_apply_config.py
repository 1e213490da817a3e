"""A configuration file: what it changes, what it leaves, and how each mistake is named."""

import errno
import json
import os
import re
from datetime import time
from pathlib import Path

import pytest
import yaml
from django.conf import settings
from django.core.management import CommandError, call_command

from checks.models import Check
from checks.services import sync_catalogue
from cii_project.configuration import ConfigurationErrors, apply_config, read_file
from cii_project.configuration.reading import load_yaml_or_json, parse_document
from integrations.models import Integration
from integrations.services import target_of
from integrations.targets import KINDS, is_secret_key
from notifications.models import Configuration, MessageTemplate, Subscription
from notifications.services import report_addresses

pytestmark = pytest.mark.django_db

ENVIRONMENT = {
    "SOAR_PASSWORD": "soar-secret-1",
    "OKTA_TOKEN": "okta-secret-2",
    "SIEM_SECRET": "siem-secret-3",
    "SIEM_SIGNING_SECRET": "whsec_b2YgdGhlIHRlc3RzIG9mIGEgZmlsZSwgMzIgYnl0ZXMu",
}
EXAMPLE = """
schedule: {time: "16:00", zone: Europe/Berlin}
integrations:
  - name: soar
    kind: webhook
    description: Tines, production
    url: https://soar.example.com/hook/1
    method: POST
    authorization: {type: basic, username: cii, password: {env: SOAR_PASSWORD}}
  - name: okta-workflows
    kind: webhook
    url: https://example.workflows.okta.com/api/flo/1/invoke
    authorization: {type: api_key, name: x-api-client-token, value: {env: OKTA_TOKEN}}
  - name: siem
    kind: webhook
    url: https://siem.example.com/in
    authorization:
      type: oauth
      endpoint: https://id.example.com/oauth/token
      method: POST
      client_authentication: body
      client_id: abc
      client_secret: {env: SIEM_SECRET}
      parameters: {header: {}, query: {}, body: {audience: siem, scope: events.write}}
    parameters: {header: {X-Tenant: acme}, query: {}, body: {team: iam}}
    signing: {secret: {env: SIEM_SIGNING_SECRET}}
checks:
  no-mfa:
    enabled: true
    severity: high
    tags: [tier-1, pci]
    settings: {grace_days: 21}
    targets: [soar, siem]
"""


@pytest.fixture(autouse=True)
def _catalogue():
    sync_catalogue()


def apply(text, environment=ENVIRONMENT, **options):
    return apply_config(parse_document(text, as_json=False), environment, **options)


def errors_of(text, environment=ENVIRONMENT):
    with pytest.raises(ConfigurationErrors) as caught:
        apply(text, environment)
    return caught.value.errors


def no_mfa():
    return Check.objects.get(slug="no-mfa")


class TestTheExample:
    def test_it_configures_everything_that_it_names(self):
        apply(EXAMPLE)
        configuration = Configuration.load()
        assert (configuration.run_time, configuration.run_zone) == (time(16), "Europe/Berlin")
        assert list(Integration.objects.values_list("name", flat=True)) == ["okta-workflows", "siem", "soar"]
        assert target_of(Integration.objects.get(name="siem")).signing_secrets == (
            ENVIRONMENT["SIEM_SIGNING_SECRET"],
        )
        check = no_mfa()
        assert (check.severity, check.tags, check.settings) == ("high", ["pci", "tier-1"], {"grace_days": 21})
        names = Subscription.objects.filter(check_ref=check).values_list("integration__name", flat=True)
        assert sorted(names) == ["siem", "soar"]

    def test_applying_it_twice_changes_nothing(self):
        first = apply(EXAMPLE)
        before = list(Integration.objects.values())
        again = apply(EXAMPLE)
        assert first.changes
        assert (again.changes, again.secrets) == ([], {})
        assert list(Integration.objects.values()) == before

    def test_a_signing_secret_that_it_does_not_give_is_made_and_reported(self):
        secrets = apply(EXAMPLE).secrets
        assert sorted(secrets) == ["okta-workflows", "soar"]
        assert secrets["soar"].startswith("whsec_")
        assert target_of(Integration.objects.get(name="soar")).signing_secrets == (secrets["soar"],)

    def test_the_report_by_e_mail_is_set_up_and_ended(self):
        named = "{report_every: monthly, report_recipients: 'ciso@example.com, iam@example.com'}"
        assert apply(f"schedule: {named}").changes == [
            "schedule.report_every: monthly",
            "schedule.report_recipients: ciso@example.com, iam@example.com",
        ]
        configuration = Configuration.load()
        assert configuration.report_every == "monthly"
        assert report_addresses(configuration) == ["ciso@example.com", "iam@example.com"]
        assert configuration.report_slot is not None
        assert apply(f"schedule: {named}").changes == []
        assert apply("schedule: {report_every: null}").changes == ["schedule.report_every: None"]
        assert Configuration.load().report_every == ""

    def test_no_secret_stands_in_the_database_in_clear(self):
        apply(EXAMPLE)
        stored = json.dumps(list(Integration.objects.values("settings", "sealed", "description")))
        assert not [secret for secret in ENVIRONMENT.values() if secret in stored]

    def test_a_dry_run_says_what_would_change_and_changes_nothing(self):
        report = apply(EXAMPLE, dry_run=True)
        assert "integration soar: created" in report.changes
        assert report.secrets == {}
        assert not Integration.objects.exists()
        assert no_mfa().settings == {}

    def test_json_says_the_same_as_yaml(self, tmp_path):
        path = tmp_path / "configuration.json"
        path.write_text(json.dumps(parse_document(EXAMPLE, as_json=False)))
        assert read_file(path) == parse_document(EXAMPLE, as_json=False)


class TestWhatIsNotNamedStays:
    def test_of_an_integration(self):
        apply(EXAMPLE)
        apply("integrations: [{name: SOAR, description: moved}]")
        soar = Integration.objects.get(name="soar")
        assert soar.description == "moved"
        target = target_of(soar)
        assert target.settings["url"] == "https://soar.example.com/hook/1"
        assert target.secrets["authorization"]["password"] == "soar-secret-1"

    def test_of_a_check(self):
        apply(EXAMPLE)
        apply("checks: {no-mfa: {tags: []}}")
        check = no_mfa()
        assert (check.tags, check.severity, check.settings) == ([], "high", {"grace_days": 21})
        assert Subscription.objects.filter(check_ref=check).count() == 2

    def test_integrations_and_checks_that_are_absent(self):
        apply(EXAMPLE)
        assert apply("installation: {region: eu-1}").changes == ["installation.region: eu-1"]
        assert Integration.objects.count() == 3
        assert Configuration.load().run_zone == "Europe/Berlin"

    def test_but_the_list_of_a_checks_targets_is_exact(self):
        apply(EXAMPLE)
        apply("checks: {no-mfa: {targets: [{name: siem, audience: user}, okta-workflows]}}")
        rows = Subscription.objects.filter(check_ref=no_mfa()).values_list("integration__name", "audience")
        assert sorted(rows) == [("okta-workflows", "list"), ("siem", "user")]


class TestMore:
    def test_limits_owner_and_state(self):
        apply(EXAMPLE)
        apply(
            "integrations: [{name: soar, owner_email: ann@example.com, state: paused,"
            " limits: {per_second: 2.5, concurrency: 4, max_attempts: 10, max_age_hours: 2}}]"
        )
        soar = Integration.objects.get(name="soar")
        assert (soar.owner_email, soar.state) == ("ann@example.com", "paused")
        assert (soar.per_second, soar.concurrency, soar.max_attempts, soar.max_age_hours) == (2.5, 4, 10, 2)
        assert apply("integrations: [{name: soar, state: active}]").changes == ["integration soar: active"]

    def test_messages_are_set_and_reset(self):
        apply("checks: {no-mfa: {messages: {webhook: '{{ check.title }}!'}}}")
        assert MessageTemplate.objects.get().text == "{{ check.title }}!"
        apply("checks: {no-mfa: {messages: {webhook: {list: null}}}}")
        assert not MessageTemplate.objects.exists()

    def test_a_secret_from_a_file(self, tmp_path):
        path = tmp_path / "password"
        path.write_text("from-a-file\n")
        apply(EXAMPLE.replace("{env: SOAR_PASSWORD}", f"{{file: {path}}}"))
        soar = target_of(Integration.objects.get(name="soar"))
        assert soar.secrets["authorization"]["password"] == "from-a-file"

    def test_a_parameter_that_is_a_reference_is_a_secret_one_and_one_called_env_is_none(self):
        apply(EXAMPLE.replace("{X-Tenant: acme}", "{X-Key: {env: OKTA_TOKEN}, env: production}"))
        siem = target_of(Integration.objects.get(name="siem"))
        assert siem.settings["parameters"]["header"] == {"X-Key": {"secret": True}, "env": "production"}
        assert siem.secrets["parameters"]["header"] == {"X-Key": "okta-secret-2"}


class TestMistakes:
    @pytest.mark.parametrize(
        ("text", "path", "said"),
        [
            ("intergations: []", "intergations", "Did you mean integrations?"),
            ("checks: {no-mfaa: {}}", "checks.no-mfaa", "Did you mean no-mfa?"),
            ("checks: {no-mfa: {setings: {}}}", "checks.no-mfa.setings", "Did you mean settings?"),
            ("checks: {no-mfa: {settings: {grace: 1}}}", "checks.no-mfa.settings.grace", "grace_days"),
            (
                "checks: {no-mfa: {settings: {grace_days: -1}}}",
                "checks.no-mfa.settings.grace_days",
                "greater than",
            ),
            ("checks: {no-mfa: {severity: urgent}}", "checks.no-mfa.severity", "critical"),
            ("checks: {no-mfa: {enabled: 'yes'}}", "checks.no-mfa.enabled", "true or false"),
            ("checks: {no-mfa: {tags: pci}}", "checks.no-mfa.tags", "list"),
            ("checks: {no-mfa: [x]}", "checks.no-mfa", "keys and values"),
            ("checks: {no-mfa: {targets: soar}}", "checks.no-mfa.targets", "list"),
            ("checks: {no-mfa: {targets: [nobody]}}", "checks.no-mfa.targets[0]", "no integration nobody"),
            (
                "checks: {no-mfa: {messages: {webhook: '{{ x'}}}",
                "checks.no-mfa.messages.webhook.list",
                "Line 1",
            ),
            (
                "checks: {no-mfa: {messages: {webhok: x}}}",
                "checks.no-mfa.messages.webhok",
                "Did you mean webhook?",
            ),
            ("schedule: {time: '25:00'}", "schedule.time", "valid"),
            ("schedule: {weekly_on: someday}", "schedule.weekly_on", "not a valid choice"),
            ("schedule: {zone: Mars}", "schedule.zone", "Unknown time zone"),
            ("schedule: {report_every: daily}", "schedule.report_every", "not a valid choice"),
            (
                "schedule: {report_recipients: ann}",
                "schedule.report_recipients",
                "“ann” is no e-mail address",
            ),
            ("schedule: {report_every: weekly}", "schedule.report_recipients", "at least one address"),
            ("schedule: [1]", "schedule", "keys and values"),
            ("installation: {account: '12'}", "installation.account", "12 digits"),
            ("installation: {max_users_per_event: 0}", "installation.max_users_per_event", "greater than"),
            ("installation: {max_people_percent: 101}", "installation.max_people_percent", "less than"),
            ("installation: {max_people_per_run: many}", "installation.max_people_per_run", "integer"),
            ("installation: {max_people_per_run: null}", "installation.max_people_per_run", "integer"),
            ("integrations: {name: soar}", "integrations", "list"),
            ("integrations: [{kind: webhook}]", "integrations[0].name", "1 to 64"),
            ("integrations: [{name: x}]", "integrations[x].kind", "what kind"),
            ("integrations: [{name: x, kind: webhok}]", "integrations[x].kind", "Did you mean webhook?"),
            ("integrations: [{name: x, kind: webhook, state: off}]", "integrations[x].state", "paused"),
            (
                "integrations: [{name: x, kind: webhook, limits: {concurrency: 0}}]",
                "integrations[x].limits.concurrency",
                "from 1",
            ),
            ("integrations: [{name: x, kind: webhook, url: ftp://a}]", "integrations[x].url", "http"),
        ],
    )
    def test_each_is_named_by_the_path_to_its_key(self, text, path, said):
        errors = errors_of(text)
        assert path in errors
        assert said in errors[path]

    def test_all_are_named_at_once_and_nothing_is_changed(self):
        errors = errors_of(
            EXAMPLE.replace("grace_days: 21", "grace_days: x").replace(
                "method: POST\n    auth", "method: GET\n    auth"
            ),
            environment={},
        )
        assert {
            "integrations[soar].authorization.password",
            "integrations[soar].method",
            "integrations[okta-workflows].authorization.value",
            "integrations[siem].signing.secret",
            "checks.no-mfa.settings.grace_days",
        } <= errors.keys()
        assert not Integration.objects.exists()
        assert Configuration.load().run_zone == "UTC"

    def test_a_missing_variable_is_named_and_its_integration_is_no_second_error(self):
        environment = {**ENVIRONMENT}
        del environment["SOAR_PASSWORD"]
        assert errors_of(EXAMPLE, environment) == {
            "integrations[soar].authorization.password": "The environment variable SOAR_PASSWORD is not set."
        }

    def test_an_error_never_shows_a_secret(self):
        errors = errors_of(EXAMPLE, {**ENVIRONMENT, "SIEM_SIGNING_SECRET": "whsec_not-a-secret-at-all"})
        assert "integrations[siem].signing.secret" in errors
        assert "not-a-secret-at-all" not in str(errors)

    def test_a_name_that_stands_there_twice_whatever_its_case(self):
        text = EXAMPLE.replace("name: siem\n", "name: SOAR\n").replace("[soar, siem]", "[soar]")
        assert "twice" in errors_of(text)["integrations[SOAR]"]

    def test_the_kind_of_an_integration_cannot_change(self):
        apply(EXAMPLE)
        Integration.objects.filter(name="soar").update(kind="other")
        assert "cannot change" in errors_of(EXAMPLE)["integrations[soar].kind"]


class TestFiles:
    @pytest.mark.parametrize(
        ("text", "said"),
        [
            ("checks: {}\nchecks: {}", "line 2, column 1: the key checks occurs twice"),
            ("a: [", "line 1"),
            ("- 1", "at the top"),
            ("a: !!python/object:os.system x", "constructor"),
            ("a: &a [*a]", "recursive"),
        ],
    )
    def test_what_is_no_configuration_is_refused_with_its_place(self, text, said):
        with pytest.raises(ConfigurationErrors, match=said):
            parse_document(text, as_json=False)

    def test_a_key_twice_in_json_is_refused_too(self):
        with pytest.raises(ConfigurationErrors, match="twice"):
            parse_document('{"checks": {}, "checks": {}}', as_json=True)

    def test_plain_words_mean_what_people_mean(self):
        document = parse_document(
            "{countries: [NO, DE], at: 16:00, days: 010, day: 2026-01-02}", as_json=False
        )
        assert document == {"countries": ["NO", "DE"], "at": "16:00", "days": 10, "day": "2026-01-02"}

    def test_anchors_and_merges_serve_what_is_common(self):
        document = parse_document("a: &x {k: 1, l: 2}\nb: {<<: *x, l: 3}", as_json=False)
        assert document["b"] == {"k": 1, "l": 3}

    def test_an_empty_file_changes_nothing(self):
        assert apply("").changes == []

    def test_a_file_that_cannot_be_read(self, tmp_path):
        with pytest.raises(ConfigurationErrors, match="cannot be read"):
            read_file(tmp_path / "absent.yaml")


class TestCommand:
    def test_it_reports_and_then_has_nothing_to_do(self, tmp_path, capsys, monkeypatch):
        path = tmp_path / "configuration.yaml"
        path.write_text(EXAMPLE)
        for name, value in ENVIRONMENT.items():
            monkeypatch.setenv(name, value)
        call_command("apply_config", str(path))
        first = capsys.readouterr().out
        assert "integration soar: created" in first
        assert "Signing secrets were made for soar, okta-workflows and are shown nowhere." in first
        call_command("apply_config", str(path))
        assert capsys.readouterr().out == "Nothing changed.\n"

    @pytest.fixture
    def example(self, tmp_path, monkeypatch):
        path = tmp_path / "configuration.yaml"
        path.write_text(EXAMPLE)
        for name, value in ENVIRONMENT.items():
            monkeypatch.setenv(name, value)
        return str(path)

    def test_new_signing_secrets_go_to_a_file_of_their_owner_and_nowhere_else(
        self, example, tmp_path, capsys
    ):
        kept = tmp_path / "secrets.yaml"
        call_command("apply_config", example, "--secrets-to", str(kept))
        said = capsys.readouterr()
        secrets = load_yaml_or_json(kept.read_text())
        assert sorted(secrets) == ["okta-workflows", "soar"]
        for name, secret in secrets.items():
            assert target_of(Integration.objects.get(name=name)).signing_secrets == (secret,)
        assert kept.stat().st_mode & 0o777 == 0o600
        for secret in (*secrets.values(), *ENVIRONMENT.values()):
            assert secret not in said.out + said.err
        call_command("apply_config", example, "--secrets-to", str(tmp_path / "none.yaml"))
        assert not (tmp_path / "none.yaml").exists()

    @pytest.mark.parametrize("what", ["file", "link", "dangling link", "folder"])
    def test_a_file_of_secrets_that_exists_is_left_alone_and_nothing_is_changed(
        self, example, tmp_path, what
    ):
        kept = tmp_path / "secrets.yaml"
        if what == "file":
            kept.write_text("mine")
        elif what == "folder":
            kept.mkdir()
        else:
            kept.symlink_to(tmp_path / ("configuration.yaml" if what == "link" else "elsewhere"))
        with pytest.raises(CommandError, match=r"secrets\.yaml cannot be written") as caught:
            call_command("apply_config", example, "--secrets-to", str(kept))
        assert caught.value.returncode == 2
        assert not Integration.objects.exists()
        assert not (tmp_path / "elsewhere").exists()
        assert what != "file" or kept.read_text() == "mine"

    def test_secrets_that_cannot_be_written_undo_everything(self, example, tmp_path, monkeypatch):
        def full(descriptor):
            raise OSError(errno.ENOSPC, "No space left on device")

        monkeypatch.setattr(os, "fsync", full)
        with pytest.raises(CommandError, match=r"No space left on device\. Nothing was changed"):
            call_command("apply_config", example, "--secrets-to", str(tmp_path / "secrets.yaml"))
        assert not Integration.objects.exists()
        assert not (tmp_path / "secrets.yaml").exists()

    def test_a_dry_run_leaves_no_file_of_secrets(self, example, tmp_path):
        call_command("apply_config", example, "--dry-run", "--secrets-to", str(tmp_path / "secrets.yaml"))
        assert not (tmp_path / "secrets.yaml").exists()

    def test_errors_end_it_with_two(self, tmp_path):
        path = tmp_path / "configuration.yaml"
        path.write_text("checks: {no-mfaa: {}}")
        with pytest.raises(CommandError, match=r"1 error, nothing was changed") as caught:
            call_command("apply_config", str(path))
        assert caught.value.returncode == 2


REFERENCE = "Only a secret key, such as authorization.password, takes a reference. Write the value itself."
WEBHOOK = "integrations: [{name: x, kind: webhook, url: 'https://x.example.com/', authorization: %s, %s}]"
BASIC = "{type: basic, username: a, password: b}"


class TestReferences:
    @pytest.mark.parametrize(
        ("text", "path"),
        [
            ("installation: {tenant_name: {env: SECRET_KEY}}", "installation.tenant_name"),
            ("installation: {base_url: {file: /etc/hostname}}", "installation.base_url"),
            ("schedule: {zone: {env: SECRET_KEY}}", "schedule.zone"),
            ("schedule: {env: SECRET_KEY}", "schedule"),
            (WEBHOOK % (BASIC, "description: {env: SECRET_KEY}"), "integrations[x].description"),
            (WEBHOOK % (BASIC, "owner_email: {env: SECRET_KEY}"), "integrations[x].owner_email"),
            (WEBHOOK % (BASIC, "method: {env: SECRET_KEY}"), "integrations[x].method"),
            (
                WEBHOOK % (BASIC, "limits: {concurrency: {env: SECRET_KEY}}"),
                "integrations[x].limits.concurrency",
            ),
            (WEBHOOK % (BASIC, "body: {template: {env: SECRET_KEY}}"), "integrations[x].body.template"),
            (WEBHOOK % (BASIC, "tls: {ca: {file: /etc/hostname}}"), "integrations[x].tls.ca"),
            (WEBHOOK % (BASIC, "signing: {enabled: {env: SECRET_KEY}}"), "integrations[x].signing.enabled"),
            (
                WEBHOOK % ("{type: basic, username: {env: SECRET_KEY}, password: b}", "state: active"),
                "integrations[x].authorization.username",
            ),
            (
                WEBHOOK % (BASIC, "parameters: {header: {X-A: {value: {env: SECRET_KEY}}}}"),
                "integrations[x].parameters.header.X-A.value",
            ),
            (
                "integrations: [{name: x, kind: email, recipients: [{env: SECRET_KEY}]}]",
                "integrations[x].recipients[0]",
            ),
            (
                "integrations: [{name: x, kind: jira, url: {env: SECRET_KEY}}]",
                "integrations[x].url",
            ),
        ],
    )
    def test_one_at_a_key_that_is_shown_is_refused_and_not_read(self, text, path):
        errors = errors_of(text, {"SECRET_KEY": "top-secret-value"})
        assert errors[path] == REFERENCE
        assert "top-secret-value" not in str(errors)

    @pytest.mark.parametrize(
        "value", ["top-sesame", "ftp://top-sesame/", "https://top sesame/", "http://a:top-sesame@b/"]
    )
    def test_a_url_that_is_one_and_is_wrong_is_not_shown(self, value):
        text = (WEBHOOK % (BASIC, "state: active")).replace("'https://x.example.com/'", "{env: URL}")
        errors = errors_of(text, {"URL": value})
        assert list(errors) == ["integrations[x].url"]
        assert "sesame" not in str(errors)

    def test_one_among_the_settings_of_a_check_is_no_reference(self):
        errors = errors_of("checks: {no-mfa: {severity: {env: SECRET_KEY}}}", {"SECRET_KEY": "top-secret"})
        assert "top-secret" not in str(errors)

    def test_the_message_for_a_file_is_no_reference(self):
        check = "checks: {no-mfa: {messages: {file: 'Hello {{ check.title }}'}}}"
        assert apply(check).changes == ["check no-mfa: message for file (list)"]

    @pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "file"])
    def test_every_kind_has_a_secret_key_that_takes_one(self, kind):
        paths = sorted(KINDS[kind].secret_paths)
        assert paths
        assert all(is_secret_key(kind, path.replace("*", "x").split(".")) for path in paths)
        assert not is_secret_key(kind, ["name"])

    def test_a_parameter_that_is_one_is_sealed(self):
        text = WEBHOOK % (BASIC, "parameters: {header: {X-A.b: {env: TOKEN}}, query: {env: plain}}")
        apply(text, {"TOKEN": "sesame-token"})
        target = target_of(Integration.objects.get())
        assert target.settings["parameters"] == {
            "header": {"X-A.b": {"secret": True}},
            "query": {"env": "plain"},
        }
        assert target.secrets["parameters"] == {"header": {"X-A.b": "sesame-token"}}

    @pytest.mark.parametrize(
        ("make", "said"),
        [
            (lambda path: path.mkdir(), "Is a directory|not a regular file"),
            (os.mkfifo, "it is not a regular file"),
            (lambda path: path.symlink_to("/dev/zero"), "it is not a regular file"),
            (lambda path: path.write_text("x" * 65_537), "larger than 65,536 bytes"),
            (lambda path: path.write_bytes(b"\xff"), "not UTF-8 text"),
            (lambda path: path.write_text("\n"), "is empty"),
            (lambda path: None, "No such file"),
        ],
    )
    def test_a_file_of_a_secret_is_regular_small_and_not_empty(self, tmp_path, make, said):
        path = tmp_path / "secret"
        make(path)
        document = f"{{type: basic, username: a, password: {{file: {path}}}}}"
        errors = errors_of(WEBHOOK % (document, "state: active"))
        assert re.search(said, errors["integrations[x].authorization.password"])

    def test_a_secret_may_be_a_link_to_a_regular_file(self, tmp_path):
        (tmp_path / "data").write_text("sesame-secret\n")
        (tmp_path / "secret").symlink_to(tmp_path / "data")
        document = f"{{type: basic, username: a, password: {{file: {tmp_path / 'secret'}}}}}"
        apply(WEBHOOK % (document, "state: active"))
        assert target_of(Integration.objects.get()).secrets["authorization"]["password"] == "sesame-secret"


def aliases(width, levels):
    lines = [f"a0: &a0 [{','.join('x' * width)}]"]
    lines += [f"a{n}: &a{n} [{','.join([f'*a{n - 1}'] * width)}]" for n in range(1, levels)]
    return "\n".join(lines)


class TestBounds:
    @pytest.mark.parametrize(
        ("text", "said"),
        [
            (aliases(9, 8), "more than 50,000 values, with the values that aliases repeat"),
            (aliases(1, 40), "nested more than 32 levels deep"),
            ("a: &a {b: 1}\nc:\n" + "\n".join(f"  d{n}: {{<<: *a}}" for n in range(20_000)), "50,000 values"),
            ("a: " + "[" * 20_000, "nested more than 32 levels deep"),
            ("a:\n" + "".join(f"{' ' * n}- \n" for n in range(1, 500)), "nested more than 32 levels deep"),
            ("a: [" + "1," * 60_000 + "1]", "more than 50,000 values"),
        ],
        ids=["wide aliases", "deep aliases", "merges", "brackets", "indentation", "one list"],
    )
    def test_yaml_beyond_them_is_refused_with_its_place(self, text, said):
        with pytest.raises(ConfigurationErrors, match=rf"^line \d+, column \d+: the file .*{said}"):
            parse_document(text, as_json=False)

    @pytest.mark.parametrize("text", ['{"a":' + "[" * 20_000, '{"a": [' + "1," * 60_000 + "1]}"])
    def test_json_beyond_them_is_refused(self, text):
        with pytest.raises(ConfigurationErrors, match=r"nested more than 32|more than 50,000 values"):
            parse_document(text, as_json=True)

    def test_a_file_beyond_them_is_refused(self, tmp_path):
        path = tmp_path / "configuration.yaml"
        path.write_text("#" * (1 << 20) + "\n")
        with pytest.raises(ConfigurationErrors, match="larger than 1,048,576 bytes"):
            read_file(path)
        with pytest.raises(ConfigurationErrors, match="larger than 1,048,576 bytes"):
            read_file(Path("/dev/zero"))

    @pytest.mark.parametrize(
        ("text", "path"),
        [
            ('installation: {tenant_name: "a\\0b"}', "installation.tenant_name"),
            ('integrations: [{description: "\\ud800"}]', "integrations[0].description"),
            ('checks: {"\\0": 1}', "checks"),
        ],
    )
    @pytest.mark.parametrize("as_json", [True, False])
    def test_a_text_that_no_database_takes_is_refused_by_its_path(self, text, path, as_json):
        if as_json:
            text = json.dumps(yaml.safe_load(text.replace("\\ud800", "half"))).replace("half", "\\ud800")
        with pytest.raises(ConfigurationErrors) as caught:
            parse_document(text, as_json=as_json)
        assert list(caught.value.errors) == [path]


class TestTheDocumentation:
    def test_its_example_of_all_keys_applies(self, tmp_path):
        text = (Path(settings.BASE_DIR) / "docs" / "configuration.md").read_text(encoding="utf-8")
        example = text.partition("```yaml\n")[2].partition("```")[0]
        secret = tmp_path / "siem"
        secret.write_text("siem-secret-3\n")
        report = apply(example.replace("/run/secrets/siem", str(secret)))
        assert "check no-mfa: message for slack (user)" in report.changes
        assert sorted(report.secrets) == ["okta-workflows", "soar"]
