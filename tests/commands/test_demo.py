"""The demonstration: its data, and the whole of it with real processes on SQLite."""

import json
import os
import re
import signal
import stat
import subprocess
import sys
import threading
from collections import Counter
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from django.conf import settings
from django.core.management import call_command

from checks.catalogue import CATALOGUE
from checks.models import CheckResult, Finding, Run, User
from checks.services import run_checks, sync_catalogue
from cii_project.tools.demo import past, sample_exports
from cii_project.tools.demo.folder import OWN_SETTINGS, Folder, free_port, is_free
from tests.waiting import until

NOW = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)


class TestData:
    def test_the_same_arguments_give_the_same_records(self):
        assert sample_exports.build(NOW, users=300) == sample_exports.build(NOW, users=300)
        assert sample_exports.build(NOW, users=300) != sample_exports.build(NOW, users=300, version=2)

    def test_the_next_version_holds_the_same_accounts(self):
        def logins(version):
            return {
                source: {record["login"] for record in records}
                for source, records in sample_exports.build(NOW, users=500, version=version).items()
                if source != "workday"
            }

        assert logins(1) == logins(2) == logins(7)

    def test_no_name_address_or_number_can_belong_to_anybody(self):
        text = json.dumps(sample_exports.build(NOW))
        domains = set(re.findall(r"@([a-z0-9.-]+)", text))
        assert all(domain.endswith((".example", "example.net")) for domain in domains)
        addresses = set(re.findall(r"\b\d{1,3}(?:\.\d{1,3}){3}\b", text))
        assert all(address.startswith(("192.0.2.", "198.51.100.", "203.0.113.")) for address in addresses)
        assert all(re.fullmatch(r"\+1\d{3}55501\d\d", number) for number in re.findall(r"\+\d+", text))

    def test_more_users_than_names_is_refused(self):
        with pytest.raises(ValueError, match="Ask for fewer"):
            sample_exports.build(NOW, users=5000)

    @pytest.mark.django_db
    @pytest.mark.parametrize("users", [100, 2000])
    def test_nearly_every_check_has_failing_users_and_changes_move_some_in_and_out(self, users, tmp_path):
        sync_catalogue()
        self.load(users, 1, tmp_path)
        assert User.objects.count() == users
        first = self.counts(run_checks(trigger=Run.Trigger.COMMAND))
        assert set(first) == set(CATALOGUE)
        without = [slug for slug, (failing, _, _) in first.items() if not failing]
        assert len(without) <= len(CATALOGUE) // 10, without
        self.load(users, 2, tmp_path)
        assert User.objects.count() == users
        second = self.counts(run_checks(trigger=Run.Trigger.COMMAND))
        assert sum(new for _, new, _ in second.values()) > 20
        assert sum(resolved for _, _, resolved in second.values()) > 20
        assert sum(new for _, new, _ in second.values()) < sum(failing for failing, _, _ in second.values())

    def load(self, users, version, folder):
        sample_exports.write(folder, sample_exports.build(datetime.now(UTC), users=users, version=version))
        for source in sample_exports.SAMPLE_SOURCES:
            mapping = str(folder / source.map_file) if source.map_file else None
            path = str(folder / source.file_name)
            # A rejected record would end this with SystemExit(1).
            call_command(
                "import_users", path, source=source.slug, kind=source.kind, map_file=mapping, strict=True
            )

    def counts(self, run):
        rows = CheckResult.objects.filter(run=run).select_related("check_ref")
        return {row.check_ref.slug: (row.failing, row.new, row.resolved) for row in rows}


@pytest.mark.django_db
class TestPast:
    def test_sixty_days_of_past_agree_with_each_other_and_with_the_run_that_follows(self, tmp_path):
        sync_catalogue()
        TestData().load(100, 1, tmp_path)
        now = datetime.now(UTC)
        past.write_past(now, seed=1)
        runs = list(Run.objects.order_by("created_at"))
        assert len(runs) == past.DAYS
        assert now - runs[0].created_at == timedelta(days=past.DAYS)
        for run in (runs[0], runs[30], runs[-1]):
            at = run.created_at
            alive = Finding.objects.filter(opened_at__lte=at).exclude(resolved_at__lte=at)
            by_check = Counter(alive.values_list("check_ref_id", flat=True))
            assert {one.check_ref_id: one.failing for one in run.results.all()} == {
                one.check_ref_id: by_check[one.check_ref_id] for one in run.results.all()
            }
            assert run.failing_users == alive.values("user").distinct().count()
            groups = run.groups.filter(dimension="department")
            assert sum(one.failing_users for one in groups) == run.failing_users
            assert sum(one.findings for one in groups) == alive.count()
        cured = Finding.objects.filter(resolution="cured")
        assert cured.count() > 40
        assert Finding.objects.filter(resolved_at=None).exists()
        run = run_checks(trigger=Run.Trigger.COMMAND)
        before = {one.check_ref_id: one.failing for one in runs[-1].results.all()}
        for one in run.results.all():
            assert one.new > 0
            assert one.resolved == 0
            assert one.failing == before[one.check_ref_id] + one.new


class TestFolder:
    def test_it_passes_on_nothing_that_names_a_real_installation(self, tmp_path):
        folder = Folder(tmp_path / "demo")
        folder.create()
        outer = dict.fromkeys(OWN_SETTINGS, "real") | {
            "SECRET_KEY_FILE": "/real",
            "PATH": "/bin",
            "WORKERS": "1",
        }
        environment = folder.environment(outer)
        assert "real" not in environment.values()
        assert "/real" not in environment.values()
        assert (environment["PATH"], environment["WORKERS"]) == ("/bin", "1")
        assert environment["DATABASE_URL"] == f"sqlite:///{tmp_path}/demo/db.sqlite3"

    def test_it_may_call_the_receiver_and_nothing_else_on_this_machine(self, tmp_path):
        folder = Folder(tmp_path / "demo")
        folder.create()
        environment = folder.environment({})
        assert environment["ALLOWED_NETWORKS"] == f"127.0.0.1:{environment['DEMO_RECEIVER_PORT']}"

    def test_its_keys_are_its_own_and_its_owners(self, tmp_path):
        one, other = Folder(tmp_path / "one"), Folder(tmp_path / "other")
        for folder in (one, other):
            folder.create()
            folder.environment({})
        assert one.keys() != other.keys()
        before = one.keys()
        one.create()
        assert one.keys() == before
        assert stat.S_IMODE((one.path / "keys.json").stat().st_mode) == 0o600
        assert stat.S_IMODE((one.path / "env").stat().st_mode) == 0o600
        assert stat.S_IMODE(one.path.stat().st_mode) == 0o700

    def test_a_port_that_is_taken_gives_way_to_a_free_one(self):
        from http.server import BaseHTTPRequestHandler, HTTPServer

        with HTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler) as server:
            taken = server.server_address[1]
            assert not is_free(taken)
            assert free_port(taken) not in (0, taken)


class Demo:
    """``manage.py demo`` as a stranger starts it: no setting of ours in the environment."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def start(
        self, *arguments: str, stderr: int = subprocess.STDOUT, **environment: str
    ) -> "subprocess.Popen[str]":
        kept = {name: value for name, value in os.environ.items() if name not in OWN_SETTINGS}
        command = [
            sys.executable,
            "manage.py",
            "demo",
            "--data-dir",
            str(self.folder),
            "--users",
            "100",
            *arguments,
        ]
        return subprocess.Popen(
            command,
            cwd=settings.BASE_DIR,
            env={**kept, **environment},
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
        )

    def once(self, *arguments: str) -> tuple[int, str]:
        process = self.start("--once", *arguments)
        output, _ = process.communicate(timeout=120)
        return process.returncode, output

    def events(self) -> list[str]:
        """The ids of the verified events, as often as they came."""
        path = self.folder / "receiver.jsonl"
        entries = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
        return [
            e["verification"]["id"]
            for e in entries
            if "token" not in e["verification"] and e["verification"]["ok"]
        ]

    def is_running(self, part: str) -> bool:
        pid = int((self.folder / "logs" / f"{part}.pid").read_text())
        return Path(f"/proc/{pid}").exists()


@pytest.fixture
def demo(tmp_path):
    # A name that a URL, a shell and a format would each read otherwise.
    return Demo(tmp_path / "a demo + #1 'x' %41")


# Two at the same moment could choose the same free port: .ci/run gives a file to one process.
class TestTheWhole:
    def test_once_then_nothing_new_then_just_what_changed(self, demo):
        code, output = demo.once()
        assert code == 0, output
        assert "Every count agrees" in output
        assert " INFO " not in output  # the log is in the folder
        assert re.search(r"login admin +password \S{16,}", output)
        first = demo.events()
        assert len(first) >= len(CATALOGUE) * 0.9
        assert max(Counter(first).values()) == 1

        code, output = demo.once()
        assert code == 0, output
        assert "No new failing users" in output
        assert "password " not in output.replace("password that", "")
        assert demo.events() == first

        code, output = demo.once("--changes")
        assert code == 0, output
        assert "Every count agrees" in output
        new = demo.events()[len(first) :]
        assert len(new) > 0
        assert not set(new) & set(first)
        assert not any(demo.is_running(part) for part in ("worker", "receiver", "web-server"))

    def test_a_worker_that_is_killed_is_started_again_and_the_rest_arrives_each_once_by_id(self, demo):
        # A few at a time, each answered after a moment: the kill falls in the middle.
        slow = {"DISPATCH_IN_FLIGHT": "3", "DISPATCH_SECONDS": "5", "LEASE_SECONDS": "6"}
        process = demo.start("--once", "--delay", "0.3", **slow)
        until(lambda: len(demo.events()) >= 4, seconds=300)
        os.killpg(int((demo.folder / "logs" / "worker.pid").read_text()), signal.SIGKILL)
        before = len(set(demo.events()))
        output, _ = process.communicate(timeout=120)
        assert process.returncode == 0, output
        assert "The worker has ended; starting it again" in output
        assert "Every count agrees" in output
        planned = int(re.search(r"([\d,]+) events of this folder", output)[1].replace(",", ""))
        assert before < planned == len(set(demo.events()))

    def test_ctrl_c_ends_every_part(self, demo):
        process = demo.start()
        try:
            until((demo.folder / "logs" / "web-server.pid").exists, seconds=300)
            assert demo.is_running("worker")
        finally:
            process.send_signal(signal.SIGINT)
            output, _ = process.communicate(timeout=60)
        assert process.returncode == 0, output
        assert "Stopping." in output
        assert not any(demo.is_running(part) for part in ("worker", "receiver", "web-server"))

    def test_at_a_terminal_the_parts_log_to_their_files(self, demo):
        ours, terminal = os.openpty()
        shown: list[bytes] = []

        def read() -> None:
            # A terminal takes 4 KiB and then makes its writer wait. One that nobody writes to any more ends with an error.
            with suppress(OSError):
                while piece := os.read(ours, 65536):
                    shown.append(piece)

        process = demo.start(stderr=terminal)
        reader = threading.Thread(target=read, daemon=True)
        reader.start()
        try:
            worker = demo.folder / "logs" / "worker.log"
            # Setting up and importing takes seconds alone and minutes on a busy machine.
            until(lambda: worker.exists() and " INFO " in worker.read_text(), seconds=300)
        finally:
            process.send_signal(signal.SIGINT)
            output, _ = process.communicate(timeout=60)
            os.close(terminal)
            reader.join(10)
            os.close(ours)
        output += b"".join(shown).decode("utf-8", "replace")
        assert process.returncode == 0, output
        assert " INFO " not in output

    def test_another_number_of_users_needs_another_folder(self, demo):
        demo.folder.mkdir()
        state = {
            "now": NOW.isoformat(),
            "users": 500,
            "version": 1,
            "seed": 1,
            "web_port": 0,
            "receiver_port": 0,
        }
        (demo.folder / "state.json").write_text(json.dumps(state))
        code, output = demo.once()
        assert code == 1
        assert "--data-dir" in output
