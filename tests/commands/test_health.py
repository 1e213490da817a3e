"""/healthz and /metrics, and the mistakes in the settings that keep the server from starting."""

import base64
import re
import secrets
import tempfile
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography.fernet import Fernet
from django.core.management import call_command
from django.db import DatabaseError, connection
from django.utils import timezone
from django_q.models import Schedule
from prometheus_client.parser import text_string_to_metric_families

from checks.models import Run
from cii_project import system_checks
from cii_project.settings import read_secret_files
from integrations.models import Integration
from integrations.services import AttemptOutcome, Result, delete_integration, pause, save_integration
from notifications.delivery.backoff import RetryLimits
from notifications.delivery.leases import ClaimedDelivery
from notifications.delivery.recorder import AttemptResult, record_results
from notifications.models import Attempt, AttemptTotal, Configuration, Delivery, Event
from notifications.services import remove_old

ROOT = Path(__file__).parents[2]


@pytest.fixture
def installed(db):
    call_command("setup", verbosity=0)


@pytest.fixture
def waiting(installed):
    """A delivery that has been due for an hour."""
    hook = {
        "url": "https://hook.example.com/",
        "authorization": {"type": "api_key", "name": "x", "value": "y"},
    }
    target = save_integration(name="soar", kind="webhook", document=hook).integration
    now = timezone.now()
    event = Event.objects.create(created_at=now)
    hour_ago = now - timedelta(hours=1)
    return Delivery.objects.create(
        event=event, integration=target, created_at=hour_ago, due_at=hour_ago, body=b"{}"
    )


class TestHealthz:
    def test_a_fresh_installation_is_well(self, installed, client):
        answer = client.get("/healthz")
        assert answer.status_code == 200
        assert answer.json() == {
            "ok": True,
            "database": "ok",
            "cluster": "ok",
            "deliveries": "ok",
            "oldest_due_seconds": 0,
            "open_holds": 0,
        }
        assert "no-store" in answer["Cache-Control"]

    def test_schedules_that_stand_still_mean_that_no_cluster_runs(self, installed, client):
        Schedule.objects.update(next_run=timezone.now() - timedelta(minutes=4))
        answer = client.get("/healthz")
        assert answer.status_code == 503
        assert "qcluster" in answer.json()["cluster"]

    def test_schedules_of_before_the_clock_was_set_back_are_reported_and_corrected(self, installed, client):
        Schedule.objects.update(next_run=timezone.now() + timedelta(hours=5))
        Configuration.objects.update(daily_slot=timezone.now() + timedelta(hours=5))
        answer = client.get("/healthz")
        assert answer.status_code == 503
        assert "the clock was set back" in answer.json()["cluster"]
        call_command("setup", verbosity=0)
        assert client.get("/healthz").status_code == 200
        assert Configuration.load().daily_slot <= timezone.now()

    def test_deliveries_that_nobody_sends_are_reported(self, waiting, client):
        answer = client.get("/healthz")
        assert answer.status_code == 503
        assert answer.json()["oldest_due_seconds"] >= 3600

    def test_deliveries_that_wait_for_a_paused_target_are_no_illness(self, waiting, client):
        pause(waiting.integration)
        assert client.get("/healthz").status_code == 200

    def test_a_database_that_is_gone_is_reported_without_details(self, installed, client, monkeypatch):
        def gone(*args):
            raise DatabaseError("password of the database")

        with monkeypatch.context() as patch:
            patch.setattr(connection, "cursor", gone)
            answer = client.get("/healthz")
        assert answer.status_code == 503
        assert answer.json() == {"ok": False, "database": "not reachable"}

    def test_it_takes_few_queries(self, waiting, client, django_assert_max_num_queries):
        with django_assert_max_num_queries(5):
            client.get("/healthz")


def text(client) -> str:
    return client.get("/metrics").content.decode()


def samples(client) -> dict[str, float]:
    """Name with labels → value."""
    lines = [line for line in text(client).splitlines() if not line.startswith("#")]
    return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines)}


def totals(client) -> dict[str, float]:
    return {name: value for name, value in samples(client).items() if "_total" in name or "_seconds_" in name}


def recorded(delivery, latency_ms, result, **options):
    """An attempt that a worker made and recorded."""
    now = timezone.now()
    claimed = ClaimedDelivery(
        delivery.id, delivery.integration_id, b"{}", "", 0, None, 0, "lost", now + timedelta(minutes=1)
    )
    attempt = AttemptResult(claimed, AttemptOutcome(result, "Answered.", latency_ms=latency_ms), now, now)
    record_results([attempt], {delivery.integration_id: RetryLimits()}, **options)


class TestMetrics:
    def test_they_are_not_for_strangers(self, installed, client, settings):
        assert client.get("/metrics").status_code == 401
        settings.METRICS_TOKEN = "scrape-me"
        assert client.get("/metrics", headers={"Authorization": "Bearer wrong"}).status_code == 401

    def test_a_scraper_shows_the_token(self, installed, client, settings):
        settings.METRICS_TOKEN = "scrape-me"
        answer = client.get("/metrics", headers={"Authorization": "Bearer scrape-me"})
        assert answer.status_code == 200
        assert answer["Content-Type"].startswith("text/plain; version=0.0.4")

    def test_they_say_what_waits_what_was_tried_and_what_ran(self, waiting, admin_client):
        now = timezone.now()
        for latency, outcome in ((40, "delivered"), (700, "retryable")):
            Attempt.objects.create(
                delivery=waiting, number=latency, started_at=now, latency_ms=latency, outcome=outcome
            )
        call_command("run_checks", "no-mfa")
        found = samples(admin_client)
        assert found['cii_deliveries{kind="webhook",state="due"}'] == 1
        assert found['cii_attempts_last_hour{kind="webhook",outcome="retryable"}'] == 1
        assert found['cii_runs{state="succeeded"}'] == 1
        assert found['cii_check_failing{check="no-mfa",severity="critical"}'] == 0
        assert found["cii_cluster_up"] == 1

    def test_prometheus_own_parser_reads_them(self, waiting, admin_client):
        recorded(waiting, 40, Result.DELIVERED)
        families = {one.name: one for one in text_string_to_metric_families(text(admin_client))}
        assert families["cii_attempts"].type == "counter"
        assert families["cii_attempt_latency_seconds"].type == "histogram"
        assert all(one.type == "gauge" for name, one in families.items() if "attempt" not in name)
        assert all(one.documentation for one in families.values())

    def test_counters_and_histograms_are_cumulative(self, waiting, admin_client):
        for latency, result in ((40, Result.DELIVERED), (700, Result.RETRYABLE), (90_000, Result.RETRYABLE)):
            recorded(waiting, latency, result)
        found = samples(admin_client)
        assert found['cii_attempts_total{kind="webhook",outcome="delivered"}'] == 1
        assert found['cii_attempts_total{kind="webhook",outcome="retryable"}'] == 2
        name = "cii_attempt_latency_seconds"
        buckets = [
            found[f'{name}_bucket{{kind="webhook",le="{le}"}}'] for le in ("0.05", "0.5", "1", "30", "+Inf")
        ]
        assert buckets == [1, 1, 2, 2, 3]
        assert found[f'{name}_count{{kind="webhook"}}'] == 3
        assert found[f'{name}_sum{{kind="webhook"}}'] == pytest.approx(90.74)

    def test_they_never_fall_when_attempts_become_old_or_their_target_goes(self, waiting, admin_client):
        """increase() of a histogram over the last hour was wrong: it fell with each attempt that grew older."""
        recorded(waiting, 40, Result.DELIVERED)
        before = totals(admin_client)
        Attempt.objects.update(started_at=timezone.now() - timedelta(days=400))
        Delivery.objects.update(state="delivered")
        remove_old()
        assert not Attempt.objects.exists()
        assert totals(admin_client) == before
        delete_integration(waiting.integration)
        assert totals(admin_client) == before

    def test_they_sum_up_over_processes_and_hosts(self, waiting, admin_client):
        for worker in [f"host-{number}:7" for number in range(20)]:
            recorded(waiting, 40, Result.DELIVERED, worker=worker)
        assert AttemptTotal.objects.values("shard").distinct().count() > 1
        assert totals(admin_client)['cii_attempts_total{kind="webhook",outcome="delivered"}'] == 20
        assert totals(admin_client)['cii_attempt_latency_seconds_count{kind="webhook"}'] == 20

    def test_tests_of_members_do_not_count(self, waiting, admin_client):
        recorded(waiting, 40, Result.RETRYABLE, are_tests=True)
        assert totals(admin_client) == {}

    def test_each_sample_stands_below_its_type_and_names_are_unique(self, waiting, admin_client):
        Run.objects.create(trigger="command", state="failed", finished_at=timezone.now())
        lines = admin_client.get("/metrics").content.decode().splitlines()
        types = [line.split()[2] for line in lines if line.startswith("# TYPE")]
        assert len(types) == len(set(types))
        samples = [line.split("{")[0].split()[0] for line in lines if not line.startswith("#")]
        assert all(any(name.startswith(kind) for kind in types) for name in samples)

    def test_a_label_cannot_break_out_of_its_quotes(self, waiting, admin_client):
        Integration.objects.update(kind='x"} 9\n\\')
        lines = admin_client.get("/metrics").content.decode().splitlines()
        assert 'cii_deliveries{kind="x\\"} 9\\n\\\\",state="due"} 1.0' in lines


class TestSystemChecks:
    def ids(self, check):
        return [found.id for found in check()]

    def test_the_settings_of_the_tests_are_sound(self):
        assert (
            self.ids(system_checks.keys)
            == self.ids(system_checks.times)
            == [found for found in system_checks.networks() if found.is_serious()]
            == []
        )

    def test_no_key_no_start_and_how_to_make_one(self, settings):
        settings.SECRET_KEY, settings.FIELD_KEYS = "", []
        found = system_checks.keys()
        assert [error.id for error in found] == ["cii.E001", "cii.E002"]
        assert all("python -c" in error.hint for error in found)

    def test_a_key_that_is_none_is_named_by_its_place_and_not_shown(self, settings):
        settings.FIELD_KEYS = [*settings.FIELD_KEYS, "not-a-key"]
        (error,) = system_checks.keys()
        assert error.id == "cii.E003"
        assert "Key 2" in error.msg
        assert "not-a-key" not in f"{error.msg}{error.hint}"

    @pytest.mark.parametrize(
        ("secret", "said"),
        [
            ("abc", "has 3 characters, at least 50 are needed"),
            ("k" * 49, "has 49 characters"),
            ("abcd" * 20, "has 4 different characters, at least 5 are needed"),
            ("django-insecure-" + "0123456789abcdef" * 4, "starts with django-insecure-"),
            ("0123456789" * 6, "repeats a pattern"),
            ("changeme-" * 7, "repeats a pattern"),
            ("".join(map(chr, range(48, 110))), "counts up"),
        ],
    )
    def test_a_secret_key_that_can_be_guessed_is_refused_and_not_shown(self, settings, secret, said):
        settings.SECRET_KEY = secret
        (error,) = system_checks.keys()
        assert error.id == "cii.E007"
        assert said in error.msg
        assert "python -c" in error.hint
        assert secret not in error.msg

    def test_one_made_as_the_hint_and_the_readme_say_is_taken(self, settings):
        readme = (ROOT / "README.md").read_text()
        assert "python -c 'import secrets; print(secrets.token_urlsafe(50))'" in readme
        for _ in range(100):
            settings.SECRET_KEY = secrets.token_urlsafe(50)
            settings.FIELD_KEYS = [Fernet.generate_key().decode()]
            assert system_checks.keys() == []

    def test_a_field_key_that_can_be_guessed_is_named_by_its_place(self, settings):
        settings.FIELD_KEYS = [*settings.FIELD_KEYS, base64.urlsafe_b64encode(bytes(32)).decode()]
        (error,) = system_checks.keys()
        assert error.id == "cii.E008"
        assert "Key 2 of FIELD_KEYS can be guessed" in error.msg
        assert settings.FIELD_KEYS[1] not in error.msg

    def test_times_must_grow(self, settings):
        settings.LEASE_SECONDS = settings.DISPATCH_SECONDS
        assert self.ids(system_checks.times) == ["cii.E004"]

    def test_debug_with_a_public_host(self, settings):
        settings.DEBUG, settings.ALLOWED_HOSTS = True, ["localhost", "checks.example.com"]
        assert self.ids(system_checks.debug_in_public) == ["cii.E005"]

    def test_a_network_with_a_slip_in_it(self, settings):
        settings.ALLOWED_NETWORKS = ["10.0.0.0/8:443", "10.20.0.0/33"]
        (error,) = system_checks.networks()
        assert "10.20.0.0/33" in error.msg


class TestSecretFiles:
    def test_a_name_is_read_from_the_file_that_its_other_name_names(self, tmp_path):
        path = tmp_path / "key"
        path.write_text("from-a-file\n")
        environment = {"SECRET_KEY_FILE": str(path)}
        read_secret_files(environment)
        assert environment["SECRET_KEY"] == "from-a-file"

    def test_every_setting_that_may_hold_a_secret_has_one_and_docs_mark_it(self):
        marked = set(re.findall(r"^\| `([A-Z_]+)` †", (ROOT / "docs/settings.md").read_text(), re.MULTILINE))
        secret = {
            "SECRET_KEY", "FIELD_KEYS", "DATABASE_URL", "REDIS_URL", "OUTGOING_PROXY", "EMAIL_URL", "METRICS_TOKEN",
        }  # fmt: skip
        assert secret <= marked
        for name in marked:
            assert read_of(name) == "from-a-file", name

    def test_the_name_itself_wins(self, tmp_path):
        environment = {"SECRET_KEY_FILE": str(tmp_path / "absent"), "SECRET_KEY": "given"}
        read_secret_files(environment)
        assert environment["SECRET_KEY"] == "given"

    def test_a_file_that_cannot_be_read_is_named(self, tmp_path):
        with pytest.raises(Exception, match=r"FIELD_KEYS_FILE names .*absent"):
            read_secret_files({"FIELD_KEYS_FILE": str(tmp_path / "absent")})


def read_of(name: str) -> str:
    with tempfile.NamedTemporaryFile("w") as file:
        file.write("from-a-file\n")
        file.flush()
        environment = {f"{name}_FILE": file.name}
        read_secret_files(environment)
    return environment.get(name, "")
