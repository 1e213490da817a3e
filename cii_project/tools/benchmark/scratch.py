"""A scratch database and the environment of the processes that use it; made, copied and dropped here."""

import json
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote, urlsplit, urlunsplit

import psycopg
from cryptography.fernet import Fernet
from django.conf import settings
from psycopg import sql

from cii_project.errors import ProjectError
from cii_project.tools.demo.folder import OWN_SETTINGS
from integrations.services import JsonObject

LOOPBACK = "127.0.0.0/8"


class StepFailed(ProjectError):
    """A step's process ended with an error; the text is what it said."""


@dataclass(slots=True)
class Scratch:
    """``server``: URL of a PostgreSQL database that may create others, or "" for SQLite files in ``folder``."""

    server: str
    folder: Path
    redis: str = ""
    databases: list[str] = field(default_factory=list)
    template: str = ""
    keys: dict[str, str] = field(
        default_factory=lambda: {
            "SECRET_KEY": secrets.token_urlsafe(50),
            "FIELD_KEYS": Fernet.generate_key().decode(),
        }
    )

    @property
    def postgres(self) -> bool:
        return bool(self.server)

    def create(self, like: str = "") -> str:
        """A new database, empty or a copy of the one at the URL ``like``; its URL."""
        name = f"benchmark_{secrets.token_hex(6)}"
        if not self.postgres:
            path = self.folder / f"{name}.sqlite3"
            if like:
                _copy_sqlite(_path_of(like), path)
            url = f"sqlite:///{quote(str(path))}"
        else:
            statement = sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name))
            if like:
                template = sql.Identifier(urlsplit(like).path.lstrip("/"))
                statement += sql.SQL(" TEMPLATE {} STRATEGY FILE_COPY").format(template)
            self._on_server(statement)
            url = urlunsplit(urlsplit(self.server)._replace(path=f"/{name}"))
        self.databases.append(url)
        return url

    def installed(self) -> str:
        """A new database in which ``setup`` has run; its URL."""
        if not self.template:
            self.template = self.create()
            self.step(self.template, "install")
        return self.create(like=self.template)

    def drop(self, url: str) -> None:
        self.databases.remove(url)
        if self.postgres:
            name = sql.Identifier(urlsplit(url).path.lstrip("/"))
            self._on_server(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(name))
        else:
            for suffix in ("", "-wal", "-shm"):
                Path(f"{_path_of(url)}{suffix}").unlink(missing_ok=True)

    def _on_server(self, statement: sql.Composed) -> None:
        with psycopg.connect(self.server, autocommit=True) as connection:
            connection.execute(statement)

    def environment(self, url: str, **more: str) -> dict[str, str]:
        """The environment with which a process runs the product's code on the database at ``url``."""
        dropped = {*OWN_SETTINGS, *(f"{name}_FILE" for name in OWN_SETTINGS)}
        kept = {name: value for name, value in os.environ.items() if name not in dropped}
        return {
            **kept,
            **self.keys,
            "DATABASE_URL": url,
            "DATA_DIR": str(self.folder),
            "ALLOWED_NETWORKS": LOOPBACK,
            "DJANGO_SETTINGS_MODULE": "cii_project.settings",
            "LOG_LEVEL": "WARNING",
            **({"REDIS_URL": self.redis} if self.redis else {}),
            **more,
        }

    def step(self, url: str, name: str, env: dict[str, str] | None = None, **arguments: object) -> JsonObject:
        """Run a step (steps.py) in a separate process; returns its measurements. Raises
        :class:`StepFailed`."""
        done = subprocess.run(  # noqa: S603  our own interpreter and command  # nosec B603
            [
                sys.executable,
                "manage.py",
                "benchmark",
                "step",
                "--step",
                name,
                "--given",
                json.dumps(arguments),
            ],
            cwd=settings.BASE_DIR,
            env=self.environment(url, **(env or {})),
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise StepFailed(f"The step {name} ended with {done.returncode}.\n{done.stderr[-4000:]}")
        result: JsonObject = json.loads(done.stdout.strip().splitlines()[-1])
        return result


def _path_of(url: str) -> Path:
    from urllib.parse import unquote

    return Path(unquote(url.removeprefix("sqlite:///")))


def _copy_sqlite(source: Path, target: Path) -> None:
    import sqlite3

    with closing(sqlite3.connect(source)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    shutil.copyfile(source, target)


@contextmanager
def scratch(server: str, redis: str = "") -> Iterator[Scratch]:
    """Scratch databases for the block; all are dropped at its end, however it ends."""
    with tempfile.TemporaryDirectory(prefix="identity-checks-benchmark-") as folder:
        made = Scratch(server, Path(folder), redis)
        try:
            yield made
        finally:
            for url in list(made.databases):
                made.drop(url)
