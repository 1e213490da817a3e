"""The demonstration's data folder: its own keys, its own database, its own environment.

Nothing of the caller's environment that could name a real database or key is passed on.
"""

import fcntl
import json
import os
import secrets
import shlex
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from urllib.parse import quote

from cryptography.fernet import Fernet

from cii_project.demo import data
from integrations.signing import new_secret

OURS = [
    "DATABASE_URL",
    "REDIS_URL",
    "SECRET_KEY",
    "FIELD_KEYS",
    "DATA_DIR",
    "ALLOWED_NETWORKS",
    "ALLOWED_HOSTS",
    "DEBUG",
    "EMAIL_URL",
    "SECURE_COOKIES",
    "CSRF_TRUSTED_ORIGINS",
    "OUTGOING_PROXY",
    "METRICS_TOKEN",
    "DJANGO_SETTINGS_MODULE",
]
READY = "IDENTITY_CHECKS_DEMO"
LOOPBACK = "127.0.0.1"


class InUse(Exception):
    """Another demonstration runs in the folder."""


@dataclass(slots=True)
class State:
    """What the data was made from: ``now`` as ISO 8601, so that a later run makes the same again."""

    now: str
    users: int
    version: int = 1
    seed: int = data.SEED
    web_port: int = 0
    receiver_port: int = 0


def _write_private(path: Path, text: str) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
        stream.write(text)


def is_free(port: int) -> bool:
    try:
        HTTPServer((LOOPBACK, port), BaseHTTPRequestHandler).server_close()
    except OSError:
        return False
    return True


def free_port(wanted: int) -> int:
    """``wanted`` where nobody listens there, else one that the system gives."""
    if wanted and is_free(wanted):
        return wanted
    with HTTPServer((LOOPBACK, 0), BaseHTTPRequestHandler) as server:
        return int(server.server_address[1])


class Folder:
    def __init__(self, path: Path) -> None:
        self.path = path.resolve()
        self.files = self.path / "exports"
        self.logs = self.path / "logs"
        self.receiver_log = self.path / "receiver.jsonl"
        self.configuration = self.path / "configuration.yaml"
        self._keys = self.path / "keys.json"
        self._state = self.path / "state.json"

    def create(self) -> None:
        for path in (self.path, self.files, self.logs):
            path.mkdir(parents=True, exist_ok=True)
        self.path.chmod(0o700)
        if not self._keys.exists():
            keys = {
                "SECRET_KEY": secrets.token_urlsafe(50),
                "FIELD_KEYS": Fernet.generate_key().decode(),
                "DEMO_SOAR_PASSWORD": secrets.token_urlsafe(16),
                "DEMO_FLOW_TOKEN": secrets.token_urlsafe(24),
                "DEMO_SIEM_SECRET": secrets.token_urlsafe(24),
                **{f"DEMO_{name}_SIGNING_SECRET": new_secret() for name in ("SOAR", "FLOW", "SIEM")},
            }
            _write_private(self._keys, json.dumps(keys, indent=2) + "\n")

    def keys(self) -> dict[str, str]:
        keys: dict[str, str] = json.loads(self._keys.read_text(encoding="utf-8"))
        return keys

    def load(self) -> State | None:
        if not self._state.exists():
            return None
        return State(**json.loads(self._state.read_text(encoding="utf-8")))

    def save(self, state: State) -> None:
        self._state.write_text(json.dumps(asdict(state), indent=2) + "\n", encoding="utf-8")

    def new_state(self, users: int) -> State:
        return State(now=datetime.now(UTC).isoformat(timespec="seconds"), users=users)

    def environment(self, base: Mapping[str, str]) -> dict[str, str]:
        """The environment of every part; also written to ``env`` for ``. .demo/env && python manage.py …``."""
        dropped = {*OURS, *(f"{name}_FILE" for name in OURS)}
        own = {
            **self.keys(),
            "DATA_DIR": str(self.path),
            # As a URL: a folder's name may hold what means something else there.
            "DATABASE_URL": f"sqlite:///{quote(str(self.path / 'db.sqlite3'))}",
            "ALLOWED_NETWORKS": "127.0.0.0/8",
        }
        exports = "".join(f"export {name}={shlex.quote(value)}\n" for name, value in own.items())
        _write_private(self.path / "env", exports)
        tuning = {"WORKERS": "2", "LOG_LEVEL": "INFO"}
        kept = {name: value for name, value in base.items() if name not in dropped}
        return {**tuning, **kept, **own, READY: str(self.path)}

    @contextmanager
    def locked(self) -> Iterator[None]:
        """One demonstration at a time; the lock goes with the process, however it ends."""
        with (self.path / "lock").open("w") as stream:
            try:
                fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise InUse(f"A demonstration is already running in {self.path}.") from error
            yield
