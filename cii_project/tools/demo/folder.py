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

from cii_project.errors import ProjectError
from cii_project.tools.demo import sample_exports
from integrations.services import new_signing_secret

OWN_SETTINGS = [
    "DATABASE_URL",
    "REDIS_URL",
    "SECRET_KEY",
    "FIELD_KEYS",
    "DATA_DIR",
    "ALLOWED_NETWORKS",
    "DENIED_NETWORKS",
    "OUTGOING_HOSTS",
    "ALLOWED_HOSTS",
    "DEBUG",
    "EMAIL_URL",
    "SECURE_COOKIES",
    "CSRF_TRUSTED_ORIGINS",
    "PUBLIC_URL",
    "TRUSTED_PROXIES",
    "OUTGOING_PROXY",
    "METRICS_TOKEN",
    "DJANGO_SETTINGS_MODULE",
]
READY_VARIABLE = "IDENTITY_CHECKS_DEMO"
RECEIVER_PORT = "DEMO_RECEIVER_PORT"
OKTA_PORT, ENTRA_PORT = "DEMO_OKTA_PORT", "DEMO_ENTRA_PORT"
LOOPBACK = "127.0.0.1"


class FolderInUse(ProjectError):
    """Another demonstration runs in the folder."""


@dataclass(slots=True)
class DemoState:
    """The parameters of the data: ``now`` as ISO 8601, so that a later run makes the same data."""

    now: str
    users: int
    version: int = 1
    seed: int = sample_exports.SEED
    web_port: int = 0
    receiver_port: int = 0
    # Okta and Entra are scripted servers: what was synced once is not read from files again.
    live: bool = False
    okta_port: int = 0
    entra_port: int = 0


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
    """The port ``wanted`` if it is free, else one from the system."""
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
                **{f"DEMO_{name}_SIGNING_SECRET": new_signing_secret() for name in ("SOAR", "FLOW", "SIEM")},
            }
            _write_private(self._keys, json.dumps(keys, indent=2) + "\n")

    def keys(self) -> dict[str, str]:
        keys: dict[str, str] = json.loads(self._keys.read_text(encoding="utf-8"))
        return keys

    def load(self) -> DemoState | None:
        if not self._state.exists():
            return None
        return DemoState(**json.loads(self._state.read_text(encoding="utf-8")))

    def save(self, state: DemoState) -> None:
        self._state.write_text(json.dumps(asdict(state), indent=2) + "\n", encoding="utf-8")

    def new_state(self, users: int) -> DemoState:
        return DemoState(now=datetime.now(UTC).isoformat(timespec="seconds"), users=users)

    def receiver_port(self) -> int:
        """The port of the last demonstration, 8099 for the first; another one where it is taken."""
        state = self.load()
        return free_port(state.receiver_port if state and state.receiver_port else 8099)

    def live_ports(self) -> dict[str, str]:
        """The variables with the ports of the scripted sources: those of the last demonstration, where they are free."""
        state = self.load() or self.new_state(0)
        okta = free_port(state.okta_port or 8097)
        entra = free_port(state.entra_port or 8098)
        return {OKTA_PORT: str(okta), ENTRA_PORT: str(entra)}

    def environment(self, base: Mapping[str, str], *, live: bool = False) -> dict[str, str]:
        """The environment of every part; also written to ``env`` for ``. .demo/env && python manage.py …``."""
        port = str(self.receiver_port())
        state = self.load()
        sources = self.live_ports() if live or (state and state.live) else {}
        dropped = {*OWN_SETTINGS, *(f"{name}_FILE" for name in OWN_SETTINGS)}
        own = {
            **self.keys(),
            "DATA_DIR": str(self.path),
            # As a URL: a folder's name may contain characters with a special meaning there.
            "DATABASE_URL": f"sqlite:///{quote(str(self.path / 'db.sqlite3'))}",
            RECEIVER_PORT: port,
            **sources,
            "ALLOWED_NETWORKS": ",".join(f"{LOOPBACK}:{each}" for each in (port, *sources.values())),
        }
        exports = "".join(f"export {name}={shlex.quote(value)}\n" for name, value in own.items())
        _write_private(self.path / "env", exports)
        tuning = {"WORKERS": "2", "LOG_LEVEL": "INFO"}
        kept = {name: value for name, value in base.items() if name not in dropped}
        return {**tuning, **kept, **own, READY_VARIABLE: str(self.path)}

    @contextmanager
    def locked(self) -> Iterator[None]:
        """One demonstration at a time; the lock goes with the process, however it ends."""
        with (self.path / "lock").open("w") as stream:
            try:
                fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise FolderInUse(f"A demonstration is already running in {self.path}.") from error
            yield
