"""/healthz and /metrics, and the mistakes in the settings that keep the server from starting."""

from datetime import timedelta

import pytest
from django.core.management import call_command
from django.db import DatabaseError, connection
from django.utils import timezone
from django_q.models import Schedule

from checks.models import Run
from cii_project import health, system_checks
from cii_project.settings import read_secret_files
from integrations.services import pause, save_integration
from notifications.models import Attempt, Delivery, Event


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
        }
        assert "no-store" in answer["Cache-Control"]

    def test_schedules_that_stand_still_mean_that_no_cluster_runs(self, installed, client):
        Schedule.objects.update(next_run=timezone.now() - timedelta(minutes=4))
        answer = client.get("/healthz")
        assert answer.status_code == 503
        assert "qcluster" in answer.json()["cluster"]

    def test_deliveries_that_nobody_sends_are_told(self, waiting, client):
        answer = client.get("/healthz")
        assert answer.status_code == 503
        assert answer.json()["oldest_due_seconds"] >= 3600

    def test_deliveries_that_wait_for_a_paused_target_are_no_illness(self, waiting, client):
        pause(waiting.integration)
        assert client.get("/healthz").status_code == 200

    def test_a_database_that_is_gone_is_told_without_details(self, installed, client, monkeypatch):
        def gone(*args):
            raise DatabaseError("password of the database")

        with monkeypatch.context() as patch:
            patch.setattr(connection, "cursor", gone)
            answer = client.get("/healthz")
        assert answer.status_code == 503
        assert answer.json() == {"ok": False, "database": "not reachable"}

    def test_it_takes_few_queries(self, waiting, client, django_assert_max_num_queries):
        with django_assert_max_num_queries(4):
            client.get("/healthz")


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

    def test_they_count_what_waits_what_was_tried_and_what_ran(self, waiting, admin_client):
        now = timezone.now()
        for latency, outcome in ((40, "delivered"), (700, "retryable")):
            Attempt.objects.create(
                delivery=waiting, number=latency, started_at=now, latency_ms=latency, outcome=outcome
            )
        call_command("run_checks", "no-mfa")
        lines = admin_client.get("/metrics").content.decode().splitlines()
        assert 'cii_deliveries{kind="webhook",state="due"} 1' in lines
        assert 'cii_attempts_last_hour{kind="webhook",outcome="retryable"} 1' in lines
        assert 'cii_attempt_latency_seconds_bucket{kind="webhook",le="0.05"} 1' in lines
        assert 'cii_attempt_latency_seconds_bucket{kind="webhook",le="1"} 2' in lines
        assert 'cii_attempt_latency_seconds_sum{kind="webhook"} 0.74' in lines
        assert 'cii_runs{state="succeeded"} 1' in lines
        assert 'cii_check_failing{check="no-mfa",severity="critical"} 0' in lines
        assert "cii_cluster_up 1" in lines

    def test_each_sample_stands_below_its_type_and_names_are_unique(self, waiting, admin_client):
        Run.objects.create(trigger="command", state="failed", finished_at=timezone.now())
        lines = admin_client.get("/metrics").content.decode().splitlines()
        types = [line.split()[2] for line in lines if line.startswith("# TYPE")]
        assert len(types) == len(set(types))
        samples = [line.split("{")[0].split()[0] for line in lines if not line.startswith("#")]
        assert all(any(name.startswith(kind) for kind in types) for name in samples)

    def test_a_label_cannot_break_out_of_its_quotes(self):
        assert health._sample("m", 1, a='x"} 9\n\\') == 'm{a="x\\"} 9\\n\\\\"} 1'


class TestSystemChecks:
    def ids(self, check):
        return [found.id for found in check()]

    def test_the_settings_of_the_tests_are_sound(self):
        assert (
            self.ids(system_checks.keys)
            == self.ids(system_checks.times)
            == self.ids(system_checks.networks)
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

    def test_times_must_grow(self, settings):
        settings.LEASE_SECONDS = settings.DISPATCH_SECONDS
        assert self.ids(system_checks.times) == ["cii.E004"]

    def test_debug_with_a_public_host(self, settings):
        settings.DEBUG, settings.ALLOWED_HOSTS = True, ["localhost", "checks.example.com"]
        assert self.ids(system_checks.debug_in_public) == ["cii.E005"]

    def test_a_network_with_a_slip_in_it(self, settings):
        settings.ALLOWED_NETWORKS = ["10.0.0.0/8", "10.20.0.0/33"]
        (error,) = system_checks.networks()
        assert "10.20.0.0/33" in error.msg


class TestSecretFiles:
    def test_a_name_is_read_from_the_file_that_its_other_name_names(self, tmp_path):
        path = tmp_path / "key"
        path.write_text("from-a-file\n")
        environment = {"SECRET_KEY_FILE": str(path)}
        read_secret_files(environment)
        assert environment["SECRET_KEY"] == "from-a-file"

    def test_the_name_itself_wins(self, tmp_path):
        environment = {"SECRET_KEY_FILE": str(tmp_path / "absent"), "SECRET_KEY": "given"}
        read_secret_files(environment)
        assert environment["SECRET_KEY"] == "given"

    def test_a_file_that_cannot_be_read_is_named(self, tmp_path):
        with pytest.raises(Exception, match=r"FIELD_KEYS_FILE names .*absent"):
            read_secret_files({"FIELD_KEYS_FILE": str(tmp_path / "absent")})
