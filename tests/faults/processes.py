"""The processes of the suite, each started by us and ended by its own id."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import psutil

ROOT = Path(__file__).resolve().parents[2]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Process:
    """A command in a session of its own, its output in a file."""

    def __init__(self, command: Sequence[str], log: Path, *, ready: str = "", cwd: Path = ROOT) -> None:
        self.command, self.log, self.ready, self.cwd = list(command), log, ready, cwd
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, wait: float = 40) -> "Process":
        begun = self.log.stat().st_size if self.log.exists() else 0
        with self.log.open("ab") as output:
            self.process = subprocess.Popen(
                self.command,
                stdout=output,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                cwd=self.cwd,
                start_new_session=True,
            )
        deadline = time.monotonic() + wait
        while self.ready and self.ready.encode() not in self.log.read_bytes()[begun:]:
            if not self.running or time.monotonic() > deadline:
                raise RuntimeError(f"{' '.join(self.command)} did not start; see {self.log}")
            time.sleep(0.05)
        return self

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    @property
    def running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def children(self) -> list[psutil.Process]:
        with suppress(psutil.NoSuchProcess):
            return psutil.Process(self.pid).children(recursive=True)
        return []

    def kill(self) -> None:
        """SIGKILL to it and to all that it has started."""
        if self.process is None:
            return
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def terminate(self, grace: float = 20) -> None:
        if self.running:
            self.process.terminate()  # type: ignore[union-attr]
            with suppress(subprocess.TimeoutExpired):
                self.process.wait(grace)  # type: ignore[union-attr]
        self.kill()

    def wait(self, timeout: float) -> int:
        assert self.process is not None
        return self.process.wait(timeout)


def manage(log: Path, *arguments: str) -> Process:
    return Process([sys.executable, "manage.py", *arguments], log)


class Redis(Process):
    """Keeps nothing on disk: each restart forgets everything."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        options = ["--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
        command = ["redis-server", *options, "--dir", str(folder)]
        super().__init__(command, folder / "redis.log", ready="Ready to accept connections")


class Postgres:
    """A cluster of its own in a temporary folder."""

    def __init__(self, folder: Path) -> None:
        found = shutil.which("pg_ctl") or max(
            map(str, Path("/usr/lib/postgresql").glob("*/bin/pg_ctl")), default=""
        )
        if not found:
            raise RuntimeError("PostgreSQL's pg_ctl is not installed.")
        self.bin, self.folder, self.port = Path(found).resolve().parent, folder / "postgres", free_port()
        self.folder.mkdir()
        if os.geteuid() == 0:
            shutil.chown(self.folder, "postgres")
        data = str(self.folder / "data")
        self._run(
            "initdb", "-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "-N"
        )
        self.url = f"postgres://postgres@127.0.0.1:{self.port}/faults"

    def _run(self, program: str, *arguments: str) -> None:
        # The machine stays up, so the kernel keeps what was written: fsync proves nothing here and costs much.
        # Every commit is still written to the log before it is confirmed.
        as_user = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
        with (self.folder / "commands.log").open("ab") as output:
            command = [*as_user, str(self.bin / program), *arguments]
            subprocess.run(
                command, check=True, stdout=output, stderr=output, cwd="/", stdin=subprocess.DEVNULL
            )

    def create_database(self) -> None:
        self._run("createdb", "-h", "127.0.0.1", "-p", str(self.port), "-U", "postgres", "faults")

    def start(self) -> None:
        options = f"-p {self.port} -k {self.folder} -c listen_addresses=127.0.0.1 -c fsync=off -c max_connections=200"
        data = str(self.folder / "data")
        self._run("pg_ctl", "-D", data, "-l", str(self.folder / "server.log"), "-w", "-o", options, "start")

    def stop(self, mode: str = "immediate") -> None:
        self._run("pg_ctl", "-D", str(self.folder / "data"), "-m", mode, "-w", "stop")
