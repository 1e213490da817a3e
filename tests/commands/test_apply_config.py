"""A configuration file: what it changes, what it leaves, and how each mistake is named."""

import json
from datetime import time
from pathlib import Path

import pytest
from django.conf import settings
from django.core.management import CommandError, call_command

from checks.models import Check
from checks.services import sync_catalogue
from cii_project.configuration import ConfigurationErrors, apply_config, read_file
from cii_project.configuration.reading import parse
from integrations.models import Integration
from integrations.services import target_of
from notifications.models import Configuration, MessageTemplate, Subscription

pytestmark = pytest.mark.django_db

ENVIRONMENT = {
    "SOAR_PASSWORD": "soar-secret-1",
    "OKTA_TOKEN": "okta-secret-2",
    "SIEM_SECRET": "siem-secret-3",
    "SIEM_SIGNING_SECRET": "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=",
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
    return apply_config(parse(text, as_json=False), environment, **options)


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

    def test_a_signing_secret_that_it_does_not_give_is_made_and_shown_once(self):
        secrets = apply(EXAMPLE).secrets
        assert sorted(secrets) == ["okta-workflows", "soar"]
        assert secrets["soar"].startswith("whsec_")
        assert target_of(Integration.objects.get(name="soar")).signing_secrets == (secrets["soar"],)

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
        path.write_text(json.dumps(parse(EXAMPLE, as_json=False)))
        assert read_file(path) == parse(EXAMPLE, as_json=False)


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
            ("schedule: {zone: Mars}", "schedule.zone", "no time zone"),
            ("schedule: [1]", "schedule", "keys and values"),
            ("installation: {account: '12'}", "installation.account", "12 digits"),
            ("installation: {max_users_per_event: 0}", "installation.max_users_per_event", "greater than"),
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
            ("checks: {}\nchecks: {}", "line 2, column 1: the key checks stands here twice"),
            ("a: [", "line 1"),
            ("- 1", "at the top"),
            ("a: !!python/object:os.system x", "constructor"),
            ("a: &a [*a]", "recursive"),
        ],
    )
    def test_what_is_no_configuration_is_refused_with_its_place(self, text, said):
        with pytest.raises(ConfigurationErrors, match=said):
            parse(text, as_json=False)

    def test_a_key_twice_in_json_is_refused_too(self):
        with pytest.raises(ConfigurationErrors, match="twice"):
            parse('{"checks": {}, "checks": {}}', as_json=True)

    def test_plain_words_mean_what_people_mean(self):
        document = parse("{countries: [NO, DE], at: 16:00, days: 010, day: 2026-01-02}", as_json=False)
        assert document == {"countries": ["NO", "DE"], "at": "16:00", "days": 10, "day": "2026-01-02"}

    def test_anchors_and_merges_serve_what_is_common(self):
        document = parse("a: &x {k: 1, l: 2}\nb: {<<: *x, l: 3}", as_json=False)
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
        assert "The signing secret of soar, shown this once: whsec_" in first
        call_command("apply_config", str(path))
        assert capsys.readouterr().out == "Nothing changed.\n"

    def test_errors_end_it_with_two(self, tmp_path):
        path = tmp_path / "configuration.yaml"
        path.write_text("checks: {no-mfaa: {}}")
        with pytest.raises(CommandError, match=r"1 error, nothing was changed") as caught:
            call_command("apply_config", str(path))
        assert caught.value.returncode == 2


class TestTheDocumentation:
    def test_its_example_of_all_keys_applies(self, tmp_path):
        text = (Path(settings.BASE_DIR) / "docs" / "configuration.md").read_text(encoding="utf-8")
        example = text.partition("```yaml\n")[2].partition("```")[0]
        secret = tmp_path / "siem"
        secret.write_text("siem-secret-3\n")
        report = apply(example.replace("/run/secrets/siem", str(secret)))
        assert "check no-mfa: message for slack (user)" in report.changes
        assert sorted(report.secrets) == ["okta-workflows", "soar"]
