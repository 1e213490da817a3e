"""The web server as a process of its own, with members of each role, and a client that writes and reads raw bytes."""

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from cryptography.fernet import Fernet
from django.conf import settings

from tests.waiting import is_open, until

ROOT = Path(settings.BASE_DIR)
START_SECONDS = 60
HOST = "localhost"
# A CSRF secret is 32 letters and digits; the cookie and the header agree.
CSRF = "c" * 32
MEMBERS = """
from django.contrib.auth.models import Group, User
from django.test import Client
for role in ("Viewer", "Operator"):
    member = User.objects.create_user(role.lower())
    member.groups.add(Group.objects.get(name=role))
    client = Client()
    client.force_login(member)
    print(f"{role}={client.session.session_key}")
"""


def environment(folder: Path, **changes: str) -> dict[str, str]:
    return {
        **{name: value for name, value in os.environ.items() if not name.startswith(("DJANGO_", "TEST_"))},
        "DJANGO_SETTINGS_MODULE": "cii_project.settings",
        "SECRET_KEY": "only-for-the-server-tests-0123456789-0123456789-0123456789",
        "FIELD_KEYS": Fernet.generate_key().decode(),
        "DATA_DIR": str(folder),
        "DATABASE_URL": f"sqlite:///{folder / 'db.sqlite3'}",
        "REDIS_URL": "",
        **changes,
    }


@dataclass
class Live:
    """A running server: its port, its process, the session keys of its members by role."""

    port: int
    pid: int
    sessions: dict[str, str]
    temporary: Path
    variables: dict[str, str]

    def connect(self, timeout: float = 10) -> "Wire":
        return Wire(socket.create_connection(("127.0.0.1", self.port), timeout))

    def answer(self, request: bytes, timeout: float = 10) -> bytes:
        """All that comes back on a connection of its own until the server closes it."""
        with self.connect(timeout) as wire:
            wire.send(request)
            return wire.rest()

    def get(self, path: str, *headers: str, timeout: float = 10) -> bytes:
        return self.answer(head("GET", path, "Connection: close", *headers), timeout)

    def cookie(self, role: str = "") -> str:
        session = f"; sessionid={self.sessions[role]}" if role else ""
        return f"Cookie: csrftoken={CSRF}{session}\r\nX-CSRFToken: {CSRF}"

    def buffered_on_disk(self) -> int:
        """Bytes in the temporary files that the server holds open; their names are gone at once."""
        size = 0
        for link in Path(f"/proc/{self.pid}/fd").iterdir():
            with suppress(OSError):
                if os.readlink(link).startswith(str(self.temporary)):
                    size += link.stat().st_size
        return size


class Wire:
    """One connection."""

    def __init__(self, connection: socket.socket) -> None:
        self._socket = connection
        self._buffer = b""

    def __enter__(self) -> "Wire":
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def send(self, data: bytes) -> None:
        self._socket.sendall(data)

    def head(self) -> bytes:
        """The next status line and headers, up to the empty line."""
        while b"\r\n\r\n" not in self._buffer:
            data = self._socket.recv(65536)
            assert data, f"closed after {self._buffer!r}"
            self._buffer += data
        found, _, self._buffer = self._buffer.partition(b"\r\n\r\n")
        return found

    def rest(self) -> bytes:
        with suppress(ConnectionResetError):
            while data := self._socket.recv(65536):
                self._buffer += data
        return self._buffer


def head(method: str, path: str, *headers: str) -> bytes:
    return "".join(
        f"{line}\r\n" for line in (f"{method} {path} HTTP/1.1", f"Host: {HOST}", *headers, "")
    ).encode()


def status_of(answer: bytes) -> int:
    found = re.match(rb"HTTP/1\.[01] (\d{3}) ", answer)
    assert found, answer[:100]
    return int(found[1])


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def manage(variables: dict[str, str], *arguments: str) -> str:
    """What ``manage.py`` prints. Fails with its output where the command fails."""
    done = subprocess.run(
        [sys.executable, "manage.py", *arguments],
        cwd=ROOT,
        env=variables,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def set_up(variables: dict[str, str]) -> dict[str, str]:
    """Make the database and its members; their session keys by role."""
    manage(variables, "setup")
    return dict(re.findall(r"^(\w+)=(\w+)$", manage(variables, "shell", "-c", MEMBERS), re.MULTILINE))


@contextmanager
def serving(
    folder: Path, variables: dict[str, str], sessions: dict[str, str], program: list[str] | None = None
) -> Iterator[Live]:
    """Run ``manage.py serve``, or another program whose last argument is the address, for the block."""
    port, temporary = free_port(), folder / "tmp"
    temporary.mkdir(exist_ok=True)
    command = [*(program or ["manage.py", "serve"]), f"--listen=127.0.0.1:{port}"]
    with (folder / "web.log").open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, *command],
            cwd=ROOT,
            env={**variables, "TMPDIR": str(temporary)},
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    try:
        until(lambda: process.poll() is not None or is_open(port), "an open port", seconds=START_SECONDS)
        assert process.poll() is None, (folder / "web.log").read_text()
        yield Live(port, process.pid, sessions, temporary, variables)
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(20)
        finally:
            process.kill()
            process.wait()
