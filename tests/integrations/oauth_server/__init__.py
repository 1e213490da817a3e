"""django-oauth-toolkit as an authorization server of its own: a process with its own settings and database.

with running() as server: server.token_url, server.introspect(token), server.issued()
"""

import os
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.waiting import is_open, until

CLIENT_ID = "events client"
# Characters that RFC 6749 §2.3.1 wants encoded before Basic joins them.
CLIENT_SECRET = "s3cret:with/ü&=% signs"


@dataclass(frozen=True)
class Server:
    port: int
    database: Path

    @property
    def token_url(self) -> str:
        return f"http://127.0.0.1:{self.port}/o/token/"

    def issued(self) -> list[tuple[str, str]]:
        """Token and scope of every token issued, oldest first."""
        with sqlite3.connect(self.database) as database:
            rows = database.execute(
                "select token, scope from oauth2_provider_accesstoken order by id"
            ).fetchall()
        database.close()
        return rows


@contextmanager
def running() -> Iterator[Server]:
    with tempfile.TemporaryDirectory() as folder:
        database = Path(folder) / "oauth.sqlite3"
        environment = {
            **os.environ,
            "DJANGO_SETTINGS_MODULE": "tests.integrations.oauth_server.settings",
            "OAUTH_DATABASE": str(database),
        }
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.integrations.oauth_server.serve"],
            env=environment,
            cwd=Path(__file__).resolve().parents[3],
            stdout=subprocess.PIPE,
            text=True,
        )
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            assert line.startswith("port "), f"the authorization server did not start: {line!r}"
            server = Server(int(line.split()[1]), database)
            _wait(server)
            yield server
        finally:
            process.terminate()
            process.wait(10)
            if process.stdout:
                process.stdout.close()


def _wait(server: Server) -> None:
    until(lambda: is_open(server.port), "an open port of the authorization server")
