"""A whole installation of its own for the browser: database, web server, worker and receiver as real processes."""

import base64
import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cryptography.fernet import Fernet
from django.conf import settings
from playwright.sync_api import Page, expect

from tests.waiting import is_open, until

ROOT = Path(settings.BASE_DIR)
PASSWORD = "correct horse battery staple"
SIGNING_SECRET = "whsec_" + base64.b64encode(b"a signing secret of thirty-two b").decode()
BASIC, API_KEY, CLIENT = "cii:open-sesame", "x-api-key=sesame", "console:hush-hush-hush"
START_SECONDS = 60

# The last two, as long as names get and from right to left, fail no-manager.
LONG = "x" * 320
USERS = f"""login,email,display_name,status,user_type,created_at,last_sign_in_at,mfa_enabled,admin_roles,manager,department
kim,kim@example.com,Kim Doe,active,internal,2020-01-01,2026-01-01,false,,boss,IT
lee,lee@example.com,"Lee <b>Doe</b>",active,internal,2020-01-01,2026-01-01,false,owner,boss,IT
ann,ann@example.com,Ann Doe,active,internal,2020-01-01,2026-01-01,false,,boss,IT
svc,,Backup,active,service_account,2020-01-01,,false,,,IT
boss,boss@example.com,The Boss,active,internal,2020-01-01,2026-01-01,true,owner,boss,IT
{LONG},,{"Long " * 63},active,internal,2020-01-01,2026-01-01,true,,,{"D" * 200}
rtl,,\u202e\u05e9\u05dc\u05d5\u05dd <i>\u05e2\u05d5\u05dc\u05dd</i>,active,internal,2020-01-01,2026-01-01,true,,,{"Very long " * 19}
"""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@dataclass
class Installation:
    folder: Path
    url: str
    receiver: str
    environment: dict[str, str]
    processes: list["subprocess.Popen[bytes]"] = field(default_factory=list)
    worker: "subprocess.Popen[bytes] | None" = None

    def manage(self, *command: str) -> None:
        done = subprocess.run(
            [sys.executable, "manage.py", *command],
            cwd=ROOT,
            env=self.environment,
            capture_output=True,
            check=False,
        )
        if done.returncode:
            raise AssertionError(f"{command}: {done.stdout.decode()}{done.stderr.decode()}")

    def start(self, name: str, *command: str) -> "subprocess.Popen[bytes]":
        with (self.folder / f"{name}.log").open("ab") as output:
            process = subprocess.Popen(
                [sys.executable, *command],
                cwd=ROOT,
                env=self.environment,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self.processes.append(process)
        return process

    def stop(self) -> None:
        for process in reversed(self.processes):
            process.send_signal(signal.SIGTERM)
        for process in self.processes:
            with suppress(subprocess.TimeoutExpired):
                process.wait(10)
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    @contextmanager
    def held(self, process: "subprocess.Popen[bytes]") -> Iterator[None]:
        """The process and its children stand still for the block, and hold no lock of the database."""

        def stops_without_a_lock() -> bool:
            os.killpg(process.pid, signal.SIGSTOP)
            with closing(
                sqlite3.connect(self.folder / "db.sqlite3", timeout=0.5, isolation_level=None)
            ) as connection:
                try:
                    connection.execute("BEGIN IMMEDIATE")
                except sqlite3.OperationalError:
                    os.killpg(process.pid, signal.SIGCONT)
                    return False
                connection.execute("ROLLBACK")
            return True

        until(stops_without_a_lock, "a worker without a lock")
        try:
            yield
        finally:
            os.killpg(process.pid, signal.SIGCONT)

    def received(self, path: str = "") -> list[dict[str, Any]]:
        """What the receiver wrote down: one entry per request, with its verification."""
        log = self.folder / "receiver.jsonl"
        lines = log.read_text().splitlines() if log.exists() else []
        return [entry for entry in map(json.loads, lines) if entry["path"].startswith(path)]


def wait_for_port(url: str) -> None:
    until(lambda: is_open(int(url.rpartition(":")[2])), f"an open port at {url}", seconds=START_SECONDS)


@contextmanager
def installation(folder: Path, *, has_users: bool = True) -> Iterator[Installation]:
    """Real servers over a database of their own; ``has_users``: with the users of ``USERS`` imported."""
    web, receiver = free_port(), free_port()
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith(("DJANGO_", "TEST_"))},
        "DJANGO_SETTINGS_MODULE": "cii_project.settings",
        "SECRET_KEY": "only-for-the-browser-tests-0123456789-0123456789-0123456789",
        "FIELD_KEYS": Fernet.generate_key().decode(),
        "DATA_DIR": str(folder),
        "DATABASE_URL": f"sqlite:///{folder / 'db.sqlite3'}",
        "ALLOWED_NETWORKS": "127.0.0.0/8",
        "WORKERS": "2",
        "DJANGO_SUPERUSER_PASSWORD": PASSWORD,
    }
    environment.pop("REDIS_URL", None)
    made = Installation(folder, f"http://127.0.0.1:{web}", f"http://127.0.0.1:{receiver}", environment)
    (folder / "users.csv").write_text(USERS)
    try:
        made.manage("setup")
        made.manage("createsuperuser", "--noinput", "--username", "admin", "--email", "admin@example.com")
        if has_users:
            made.manage("import_users", str(folder / "users.csv"), "--source", "okta")
        options = ["--port", str(receiver), "--log", str(folder / "receiver.jsonl")]
        options += ["--basic", BASIC, "--api-key", API_KEY, "--bearer", CLIENT]
        made.start("receiver", "manage.py", "receiver", *options, "--signing-secret", SIGNING_SECRET)
        made.worker = made.start("worker", "manage.py", "qcluster")
        made.start("web", "manage.py", "serve", f"--listen=127.0.0.1:{web}")
        wait_for_port(made.url)
        wait_for_port(made.receiver)
        yield made
    finally:
        made.stop()


def create_webhook(page: Page, world: Installation, name: str, path: str, kind: str, **given: str) -> None:
    """By the form. ``given``: ``url``, ``password``, ``client_secret`` or ``endpoint`` other than the right ones."""
    page.goto("/integrations/add/webhook/")
    page.get_by_label("Name", exact=True).fill(name)
    page.get_by_label("URL", exact=True).fill(given.get("url", f"{world.receiver}{path}"))
    page.get_by_label("Authorization", exact=True).select_option(kind)
    if kind == "basic":
        user, password = BASIC.split(":")
        page.get_by_label("User name").fill(user)
        page.get_by_label("Password").fill(given.get("password", password))
    elif kind == "api_key":
        header, value = API_KEY.split("=")
        page.get_by_label("Header name").fill(header)
        page.get_by_label("Header value").fill(value)
    else:
        client, secret = CLIENT.split(":")
        page.get_by_label("Authorization endpoint").fill(
            given.get("endpoint", f"{world.receiver}/oauth/token")
        )
        page.get_by_label("Client id").fill(client)
        page.get_by_label("Client secret").fill(given.get("client_secret", secret))
    page.get_by_label("Signing secret").fill(SIGNING_SECRET)
    page.get_by_role("button", name="Add integration").click()
    expect(page.get_by_text("It is on no check yet").first).to_be_visible()


def hold_messages(world: Installation, people: int = 3) -> None:
    """A run that holds its messages to new users who fail no-manager, by a webhook with HTTP Basic."""
    header, fields = USERS.splitlines()[0], "active,internal,2020-01-01,2026-01-01,true,,,IT"
    rows = [f"zz{number},zz{number}@example.com,Zoe Doe {number},{fields}" for number in range(people)]
    (world.folder / "more.csv").write_text("\n".join([header, *rows, ""]))
    world.manage("import_users", str(world.folder / "more.csv"), "--source", "more")
    user, password = BASIC.split(":")
    target = {
        "name": "People",
        "kind": "webhook",
        "url": f"{world.receiver}/basic/people",
        "authorization": {"type": "basic", "username": user, "password": password},
        "signing": {"secret": SIGNING_SECRET},
    }
    document = {
        "installation": {"max_people_per_run": people - 1},
        "integrations": [target],
        "checks": {"no-manager": {"targets": [{"name": "People", "audience": "user"}]}},
    }
    (world.folder / "held.json").write_text(json.dumps(document))
    world.manage("apply_config", str(world.folder / "held.json"))
    world.manage("run_checks", "no-manager")
