"""The demonstration's comparison and its supervisor: they notice errors."""

import json
import os
import signal
import subprocess
import sys
import uuid
from pathlib import Path

import psutil
import pytest
import requests
from django.utils import timezone
from rich.console import Console

from checks.catalogue import CATALOGUE
from checks.models import Check, CheckResult, Run
from checks.services import sync_catalogue
from cii_project.configuration import apply_config
from cii_project.tools.demo import result, webhooks
from cii_project.tools.demo.folder import Folder, FolderInUse, free_port
from cii_project.tools.demo.processes import DemoProcess, PartFailed, Parts
from cii_project.tools.demo.show import Demonstration
from integrations.models import Integration
from notifications.models import Delivery, Event, Subscription
from tests.waiting import until


@pytest.fixture
def story(db, tmp_path):
    """A run that found two users for one target, delivered and logged."""
    sync_catalogue()
    check = Check.objects.get(slug="no-mfa")
    now = timezone.now()
    run = Run.objects.create(trigger="command", state="succeeded")
    CheckResult.objects.create(run=run, check_ref=check, severity="critical", failing=5, new=2)
    target = Integration.objects.create(name="soar", kind="webhook")
    Subscription.objects.create(check_ref=check, integration=target)
    event = Event.objects.create(run=run, check_ref=check, created_at=now)
    delivery = Delivery.objects.create(
        event=event, integration=target, users=2, created_at=now, state="delivered"
    )
    log = Log(tmp_path / "receiver.jsonl")
    log.add(delivery.id, ["ann", "bob"])
    return run, delivery, log


class Log:
    def __init__(self, path: Path) -> None:
        self.path = path

    def add(self, ident, users, ok=True):
        body = json.dumps({"id": str(ident), "detail": {"usersFailing": users}})
        entry = {"body": body, "verification": {"ok": ok, "id": str(ident)}}
        with self.path.open("a") as stream:
            stream.write(json.dumps(entry) + "\n")

    def compared(self, run):
        received = result.read_log(self.path)
        rows = result.compare_run(run, received)
        return rows, result.disagreements(rows, received)


class TestComparison:
    def test_what_was_delivered_and_verified_agrees(self, story):
        run, _, log = story
        (row,), found = log.compared(run)
        assert (row.failing, row.new, row.targets, row.delivered, row.verified) == (5, 2, 1, 2, 2)
        assert row.agrees
        assert found == []

    def test_a_repeat_and_a_rejection_that_was_sent_again_agree_too(self, story):
        run, delivery, log = story
        log.add(delivery.id, ["ann", "bob"])
        log.add(delivery.id, ["ann", "bob"], ok=False)
        assert log.compared(run)[1] == []
        assert result.read_log(log.path).repeats == 1

    def test_a_token_request_is_no_event(self, story):
        run, _, log = story
        with log.path.open("a") as stream:
            stream.write(json.dumps({"body": "", "verification": {"ok": True, "token": "issued"}}) + "\n")
        assert log.compared(run)[1] == []

    def test_an_event_that_the_receiver_never_saw_is_reported(self, story):
        run, _, log = story
        log.path.write_text("")
        assert any("not in the receiver's log" in text for text in log.compared(run)[1])

    def test_an_event_with_a_user_less_is_reported(self, story):
        run, delivery, log = story
        log.path.write_text("")
        log.add(delivery.id, ["ann"])
        assert any(
            "no-mfa: 2 new for 1 targets, 2 delivered, 1 verified" in text for text in log.compared(run)[1]
        )

    def test_an_event_whose_bytes_were_changed_is_reported(self, story):
        run, delivery, log = story
        Delivery.objects.filter(id=delivery.id).update(body=json.loads(log.path.read_text())["body"].encode())
        assert log.compared(run)[1] == []
        log.path.write_text(log.path.read_text().replace("bob", "eve"))
        assert log.compared(run)[1] == [
            f"1 events came with other bytes than were sent, such as {delivery.id}"
        ]

    def test_a_line_that_cannot_be_read_is_left_out_and_reported(self, story):
        run, _, log = story
        with log.path.open("ab") as stream:
            stream.write(b'{"time": "2026-\xff\n[]\n7\n')
        assert result.read_log(log.path).unreadable == [2, 3, 4]
        assert log.compared(run)[1] == []

    def test_an_event_that_nobody_planned_is_reported(self, story):
        run, _, log = story
        log.add(uuid.uuid4(), ["eve"])
        assert any("unknown here" in text for text in log.compared(run)[1])

    def test_a_dead_letter_is_reported(self, story):
        run, delivery, log = story
        Delivery.objects.filter(id=delivery.id).update(state="dead")
        assert any("1 deliveries are not delivered" in text for text in log.compared(run)[1])

    def test_a_check_that_failed_to_run_is_reported(self, story):
        run, _, log = story
        CheckResult.objects.update(error="boom")
        assert "no-mfa: boom" in log.compared(run)[1]


class TestTheConfiguration:
    @pytest.mark.django_db
    def test_it_applies_and_every_check_has_a_target(self, tmp_path):
        sync_catalogue()
        folder = Folder(tmp_path / "demo")
        folder.create()
        document = webhooks.document("http://127.0.0.1:8099", "http://127.0.0.1:8000")
        assert apply_config(document, folder.keys()).secrets == {}
        types = {row.settings["authorization"]["type"] for row in Integration.objects.all()}
        assert types == {"basic", "api_key", "oauth"}
        assert Subscription.objects.values("check_ref").distinct().count() == len(CATALOGUE)

    def test_no_secret_stands_in_the_file(self, tmp_path):
        folder = Folder(tmp_path / "demo")
        folder.create()
        text = webhooks.as_yaml("http://127.0.0.1:8099", "http://127.0.0.1:8000")
        assert not [secret for secret in folder.keys().values() if secret in text]

    def test_a_folder_serves_one_demonstration_at_a_time(self, tmp_path):
        folder = Folder(tmp_path / "demo")
        folder.create()
        with folder.locked(), pytest.raises(FolderInUse, match="already running"), folder.locked():
            pass


SLEEPER = ["-c", "print('ready', flush=True); import time; time.sleep(60)"]


class TestTheSupervisor:
    @pytest.fixture
    def parts(self):
        said: list[str] = []
        supervisor = Parts(said.append)
        supervisor.said = said
        yield supervisor
        supervisor.stop()

    def test_it_waits_until_a_part_is_ready_and_stops_it_by_its_id(self, parts, tmp_path):
        part = parts.start(DemoProcess("sleeper", SLEEPER, tmp_path / "sleeper.log"), "ready")
        pid = int((tmp_path / "sleeper.pid").read_text())
        assert part.running
        parts.stop()
        assert not Path(f"/proc/{pid}").exists()

    def test_a_part_that_ends_at_once_has_failed_and_names_its_log(self, parts, tmp_path):
        part = DemoProcess("quitter", ["-c", "raise SystemExit(3)"], tmp_path / "quitter.log")
        with pytest.raises(PartFailed, match=r"quitter\.log"):
            parts.start(part, "ready")

    def test_a_part_that_is_killed_is_started_again(self, parts, tmp_path):
        part = parts.start(DemoProcess("sleeper", SLEEPER, tmp_path / "sleeper.log"), "ready")
        assert not parts.watch()
        first = part.process.pid
        os.kill(first, signal.SIGKILL)
        part.process.wait()
        assert parts.watch()
        assert part.running
        assert part.process.pid != first
        assert "sleeper has ended" in parts.said[0]

    def test_what_a_killed_demonstration_left_running_is_ended_by_the_next(self, parts, tmp_path):
        orphan = DemoProcess("sleeper", SLEEPER, tmp_path / "sleeper.log")
        orphan.start("ready")
        pid = orphan.process.pid
        parts.start(DemoProcess("sleeper", SLEEPER, tmp_path / "sleeper.log"), "ready")
        orphan.process.wait(5)
        assert not _is_alive(pid)

    def test_a_process_of_somebody_else_that_has_the_number_now_is_left_alone(
        self, parts, tmp_path, monkeypatch
    ):
        monkeypatch.setenv("DATA_DIR", str(tmp_path / "elsewhere"))
        stranger = subprocess.Popen(
            [sys.executable, "-c", "import time; time.sleep(60)"], start_new_session=True
        )
        monkeypatch.undo()
        try:
            (tmp_path / "sleeper.pid").write_text(str(stranger.pid))
            parts.start(DemoProcess("sleeper", SLEEPER, tmp_path / "sleeper.log"), "ready")
            assert stranger.poll() is None
        finally:
            stranger.kill()
            stranger.wait()

    def test_a_child_that_outlives_its_killed_parent_is_ended_too(self, parts, tmp_path):
        code = "import os, time; pid = os.fork(); print('ready', os.getpid(), flush=True); time.sleep(60)"
        part = parts.start(DemoProcess("parent", ["-c", code], tmp_path / "parent.log"), "ready")
        until(lambda: (tmp_path / "parent.log").read_text().count("ready") == 2)
        pids = {int(line.split()[1]) for line in (tmp_path / "parent.log").read_text().splitlines()}
        (child,) = pids - {part.process.pid}
        os.kill(part.process.pid, signal.SIGKILL)
        part.stop()
        until(lambda: not _is_alive(child), "the child's end")


def _is_alive(pid: int) -> bool:
    """A zombie that nobody waits for is dead."""
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except FileNotFoundError:
        return False


def test_the_receiver_s_secrets_are_not_on_its_command_line(tmp_path):
    """What ps shows to everybody on the machine."""
    folder = Folder(tmp_path / "demo")
    folder.create()
    demonstration = Demonstration(folder, Console(quiet=True))
    try:
        demonstration._start_receiver(free_port(0))
        (part,) = demonstration.parts._started
        shown = " ".join(psutil.Process(part.process.pid).cmdline())
        assert "receiver" in shown
        assert [name for name, secret in folder.keys().items() if secret in shown] == []
        port = shown.split("--port ")[1].split()[0]
        basic = ("cii", folder.keys()["DEMO_SOAR_PASSWORD"])
        for auth, status in ((basic, 401), (("cii", "wrong"), 401)):
            answer = requests.post(f"http://127.0.0.1:{port}/basic/hook", json={}, auth=auth, timeout=10)
            assert answer.status_code == status
            # The right password passes; the request is refused for its missing signature alone.
            assert ("basic authorization" in answer.text) == (auth != basic), answer.text
    finally:
        demonstration.parts.stop()
